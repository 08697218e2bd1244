"""What a contribution came to, as its caller and its webhook read it: both are made from the events of its record.

A webhook is told one result for each instance: the target, and each of its links.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import astuple

from jackpotd.core.events import Contributed, PotWon
from jackpotd.core.rules import Rules
from jackpotd.wire import codec
from jackpotd.wire.errors import STATUS_BY_CODE
from jackpotd.wire.gateway_messages import ContributionAnswer, Opaque

_NO_WIN = codec.amount(0)


class AcceptedAnswer(Struct, frozen=True, gc=False):
    """A contribution with a webhook was accepted, durably; what it comes to is told to the webhook."""

    trace_id: str


class ResultBody(ContributionAnswer, frozen=True, gc=False, tag_field="type", tag="data"):
    """To a webhook: what one instance made of a contribution."""


class ErrorResultBody(Struct, frozen=True, gc=False, tag_field="type", tag="error"):
    """To a webhook: a contribution, or one of its links, was refused."""

    status_code: int
    code: str
    message: str
    metadata: Opaque
    trace_id: str
    instance_id: str | UnsetType = UNSET


def contribution_answer(
    instance_id: str, events: Sequence[Any], rules: Rules, metadata: Raw
) -> ContributionAnswer:
    """What one instance made of a contribution.

    Args:
        instance_id: the instance.
        events: the core's events of its record; the first is the contribution.
        rules: those that the instance was born with.
        metadata: the request's.
    """
    contributed = events[0]
    if not isinstance(contributed, Contributed):
        raise TypeError("a contribution's first event is the contribution")
    win_amount, win_pot_id, is_withheld = _NO_WIN, None, False
    if len(events) > 1:
        wins = [event for event in events if isinstance(event, PotWon)]
        win_amount = codec.amount(sum(won.win for won in wins))
        highest = max(wins, key=lambda won: won.paid, default=None)
        win_pot_id = None if highest is None else rules.pots[highest.pot].id
        is_withheld = any(won.is_withheld for won in wins)
    return ContributionAnswer(
        instance_id,
        contributed.at_ms,
        contributed.round_id,
        win_amount,
        win_pot_id,
        _tickets(rules, contributed),
        is_withheld,
        contributed.currency,
        codec.amount(contributed.amount),
        metadata,
    )


def _tickets(rules: Rules, contributed: Contributed) -> int | None:
    """The tickets that a contribution has bought; None where the jackpot is no raffle."""
    if rules.raffle is None:
        return None
    return 0 if contributed.issued is None else contributed.issued.awarded


def is_win(answer: ContributionAnswer) -> bool:
    """Whether a contribution won a pot: what a webhook is told that wants wins alone."""
    return answer.win_pot_id is not None


def result_body(answer: ContributionAnswer) -> Raw:
    """What a webhook is told of a contribution that was taken."""
    return Raw(codec.encode(ResultBody(*astuple(answer))))


def error_result_body(
    code: str, message: str, *, instance_id: str, trace_id: str, metadata: Raw
) -> Raw:
    """What a webhook is told of a contribution that was refused; `instance_id` is empty where it is not known."""
    body = ErrorResultBody(
        status_code=STATUS_BY_CODE[code],
        code=code,
        message=message,
        metadata=metadata,
        trace_id=trace_id,
        instance_id=instance_id or UNSET,
    )
    return Raw(codec.encode(body))
