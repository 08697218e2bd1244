"""What a contribution is answered, what the journal keeps of it, and which refusals go to a webhook (contract §3).

A request with a webhook is decided at once like every other; its caller is told that it was accepted as soon as that is
durable. Where it was refused as a whole, the journal keeps that, too, so that its key is used and its webhook is told.
"""

from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.messages import Accepted, ContributionRequest, Outcome
from jackpotd.wire import records
from jackpotd.wire.errors import STATUS_BY_CODE

_STATUSES_AT_ONCE = frozenset({401, 403, 422, 503})
_CODES_AT_ONCE = frozenset(
    {code for code in Code if STATUS_BY_CODE[code] in _STATUSES_AT_ONCE} | {Code.INVALID_REQUEST}
)


def is_refused_at_once(refused: Rejection) -> bool:
    """Whether the caller is refused although the request names a webhook; the key is free then."""
    return refused.code in _CODES_AT_ONCE


def accepted(request: ContributionRequest, outcomes: tuple[Outcome, ...]) -> Accepted:
    """The answer to a request, with what its instances made of it; with a webhook, that one is told the outcomes."""
    if request.callback is None:
        return Accepted(
            request.trace_id,
            request.accepted_ms,
            request.api_version,
            request.metadata,
            outcomes,
        )
    return Accepted(
        trace_id=request.trace_id,
        accepted_ms=request.accepted_ms,
        api_version=request.api_version,
        metadata=request.metadata,
        outcomes=(),
        is_asynchronous=True,
    )


def replayed(request: records.Request, outcomes: tuple[Outcome, ...]) -> Accepted:
    """The answer to a repeat of a request that the journal has."""
    is_asynchronous = request.callback is not None
    return Accepted(
        trace_id=request.trace_id,
        accepted_ms=request.accepted_ms,
        api_version=request.api_version,
        metadata=request.metadata,
        outcomes=() if is_asynchronous else outcomes,
        is_replay=True,
        is_asynchronous=is_asynchronous,
    )


def request_record(request: ContributionRequest, *, has_links: bool) -> records.Request:
    """What the journal keeps of a request: enough to answer a repeat, and to serve the links after a crash."""
    if not has_links:
        return records.Request(
            request.operator,
            request.key,
            request.fingerprint,
            request.trace_id,
            request.accepted_ms,
            request.api_version,
            request.metadata,
            request.event_metadata,
            0,
            None,
            None,
            None,
            request.callback,
        )
    bet = request.bet
    return records.Request(
        request.operator,
        request.key,
        request.fingerprint,
        request.trace_id,
        request.accepted_ms,
        request.api_version,
        request.metadata,
        request.event_metadata,
        bet.wager,
        bet.country,
        bet.segments,
        bet.vertical,
        request.callback,
    )
