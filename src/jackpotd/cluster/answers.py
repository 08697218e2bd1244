"""Contributions and their answers as the workers hand them to each other."""

from msgspec import Raw

from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.acceptance import accepted
from jackpotd.engine.messages import (
    MOVED,
    Accepted,
    ContributionRequest,
    Outcome,
    Pending,
    Taken,
    Target,
)
from jackpotd.engine.places import Definitions
from jackpotd.mesh.link import Unreached
from jackpotd.wire import mesh_messages as wire
from jackpotd.wire import records

NOT_THERE = Rejection(Code.OVERLOADED, "the worker of this jackpot is not there")
CROWDED = Rejection(Code.OVERLOADED, "too many requests wait for the worker of this jackpot")
LOST = Rejection(
    Code.OVERLOADED,
    "the connection to the worker of this jackpot broke: whether it has happened, "
    "a repeat with the same idempotency key tells",
)
UNREACHED = {
    Unreached.ABSENT: NOT_THERE,
    Unreached.CROWDED: CROWDED,
    Unreached.LOST: LOST,
}


def contribute(
    request: ContributionRequest, version: int, hops: int, chosen: str = ""
) -> wire.Contribute:
    """A request for another worker."""
    target = request.target
    return wire.Contribute(
        version,
        chosen,
        hops,
        target.kind,
        target.id,
        request.operator,
        request.bet,
        request.with_links,
        request.key,
        request.fingerprint,
        request.trace_id,
        request.accepted_ms,
        request.api_version,
        bytes(request.metadata),
        bytes(request.event_metadata),
        request.callback,
        request.hindrance,
    )


def request_of(message: wire.Contribute) -> ContributionRequest:
    """A request from another worker."""
    return ContributionRequest(
        target=Target(message.target_kind, message.target_id),
        operator=message.operator,
        bet=message.bet,
        with_links=message.with_links,
        key=message.key,
        fingerprint=message.fingerprint,
        trace_id=message.trace_id,
        accepted_ms=message.accepted_ms,
        api_version=message.api_version,
        metadata=Raw(message.metadata),
        event_metadata=Raw(message.event_metadata),
        callback=message.callback,
        hindrance=message.hindrance,
    )


def answer_of(outcome: Accepted | Rejection) -> wire.Served | wire.Replayed | wire.Refused:
    """An outcome for the worker that has asked."""
    if isinstance(outcome, Rejection):
        return wire.Refused(outcome.code, outcome.message)
    parts = tuple([_part(each) for each in outcome.outcomes])  # a list is faster than a generator
    if not outcome.is_replay:
        return wire.Served(parts)
    metadata = bytes(outcome.metadata)
    return wire.Replayed(
        outcome.trace_id,
        outcome.accepted_ms,
        outcome.api_version,
        metadata,
        parts,
        outcome.is_asynchronous,
    )


def _part(outcome: Outcome) -> wire.Part:
    if isinstance(outcome, Taken):
        return wire.TakenPart(
            outcome.instance_id, wire.encode_events(records.from_events(outcome.events))
        )
    if isinstance(outcome, Rejection):
        return wire.Refused(outcome.code, outcome.message)
    return wire.PendingPart(outcome.instance_id)


class Outcomes:
    """Outcomes from the answers of other workers, with the rules that their rendering needs."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    def of(
        self, request: ContributionRequest, answer: wire.Message | Unreached
    ) -> Accepted | Rejection:
        """What came of a request that was asked of another worker."""
        match answer:
            case wire.Served():
                return accepted(request, self._outcomes(answer.outcomes))
            case wire.Replayed():
                return Accepted(
                    trace_id=answer.trace_id,
                    accepted_ms=answer.accepted_ms,
                    api_version=answer.api_version,
                    metadata=Raw(answer.metadata),
                    outcomes=self._outcomes(answer.outcomes),
                    is_replay=True,
                    is_asynchronous=answer.is_asynchronous,
                )
            case _:
                return refusal_of(answer)

    def _outcomes(self, parts: tuple[wire.Part, ...]) -> tuple[Outcome, ...]:
        return tuple([self._outcome(part) for part in parts])

    def _outcome(self, part: wire.Part) -> Outcome:
        match part:
            case wire.TakenPart():
                events = tuple(records.to_events(wire.decode_events(part.events)))
                return Taken(part.instance_id, events, self._definitions.of(part.instance_id).rules)
            case wire.Refused():
                return Rejection(Code(part.code), part.message)
            case wire.PendingPart():
                return Pending(part.instance_id)


def refusal_of(answer: wire.Message | Unreached) -> Rejection:
    """The refusal of another worker, or why it cannot be asked."""
    match answer:
        case Unreached():
            return UNREACHED[answer]
        case wire.Refused():
            refused = Rejection(Code(answer.code), answer.message)
            return MOVED if refused == MOVED else refused
        case _:
            raise TypeError(f"{type(answer).__name__} is no answer to this question")
