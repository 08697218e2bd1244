"""The raffle of a template as an operator writes it (contract §9), and its compilation to the core's rules."""

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

from jackpotd.core import rules as core
from jackpotd.wire.codec import IncomingAmount, decode_part
from jackpotd.wire.durations import duration_ms

_BASE = "$.raffle"


class TicketDoc(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a ticket is bought with, in the template's currency."""

    cost: IncomingAmount
    metric: Literal["BaseWager", "Contribution"]
    accumulate: bool = True


class PrizeDoc(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many prizes of an amount, or each of a share of the pot."""

    count: int
    amount: IncomingAmount | None = None
    share: IncomingAmount | None = None


class RaffleDoc(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A raffle; without a duration a round lasts as long as the schedule."""

    # Decoded late: it is one of the units.
    duration: dict[str, Raw] | None = None
    ticket: TicketDoc
    prizes: Annotated[list[PrizeDoc], Meta(max_length=core.RAFFLE_PRIZES_MAX)]
    one_prize_per_player: bool = True


def raffle_rules(content: Raw) -> core.RaffleRules:
    """The rules of a raffle.

    Raises:
        RequestRefused: 400 with the JSON path, where they cannot be read.
    """
    doc = decode_part(RaffleDoc, content, _BASE)
    duration = None if doc.duration is None else duration_ms(doc.duration, f"{_BASE}.duration")
    return core.RaffleRules(
        duration_ms=duration,
        cost=doc.ticket.cost.units,
        metric=core.TicketMetric(doc.ticket.metric),
        accumulates=doc.ticket.accumulate,
        prizes=tuple(
            core.PrizeTier(
                prize.count,
                None if prize.amount is None else prize.amount.units,
                None if prize.share is None else prize.share.units,
            )
            for prize in doc.prizes
        ),
        one_prize_per_player=doc.one_prize_per_player,
    )
