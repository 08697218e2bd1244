"""The events of instances as the journal has them: mirrors of the core's, under the same names.

Both sides have the same fields in the same order, and are copied by position. What is nested in them stands in `parts`.
The rules of evolution are those of `records`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args

from msgspec import Raw, Struct
from msgspec.structs import astuple

from jackpotd.core import events as core
from jackpotd.core.state import Status
from jackpotd.wire import parts
from jackpotd.wire.catalog_records import compile_document


class _Event(Struct, frozen=True, gc=False, array_like=True):
    pass


class Contributed(_Event, frozen=True, gc=False, tag="c"):
    at_ms: int
    round_id: str
    brand: str
    player_id: str
    currency: str
    amount: int
    worth: int
    operator_part: int
    cycles: tuple[int, ...]
    draws: tuple[tuple[int, int, int], ...]
    source_id: str | None
    reference_type: str
    reference_id: str | None
    player_rate: int
    jackpot_rate: int
    attendance: parts.Attendance | None = None
    issued: parts.Issued | None = None


class PotWon(_Event, frozen=True, gc=False, tag="w"):
    at_ms: int
    round_id: str
    brand: str
    player_id: str
    currency: str
    pot: int
    win: int
    paid: int
    player_rate: int
    jackpot_rate: int
    from_reserve: int
    deficit: int
    seed: int
    from_boost: int = 0
    tip: core.Tip = core.Tip.HIT_RATE
    is_withheld: bool = False
    times: tuple[int, ...] = ()


class CommunityPaid(_Event, frozen=True, gc=False, tag="p"):
    at_ms: int
    round_id: str
    pot: int
    payouts: tuple[parts.Payout, ...]


class PotClosed(_Event, frozen=True, gc=False, tag="x"):
    at_ms: int
    pot: int
    to_values: tuple[int, ...]
    to_reserves: tuple[int, ...]
    to_house: int


class Sealed(_Event, frozen=True, gc=False, tag="k"):
    at_ms: int
    pot: int
    seal: parts.Seal | None
    revealed: str


class TipHeld(_Event, frozen=True, gc=False, tag="h"):
    at_ms: int
    pot: int
    point: int


class WindowEnded(_Event, frozen=True, gc=False, tag="t"):
    at_ms: int
    pot: int
    point: int
    index: int


class Triggered(_Event, frozen=True, gc=False, tag="g"):
    at_ms: int
    pot: int
    reference_id: str
    by: str
    reason: str


class HeldWinDecided(_Event, frozen=True, gc=False, tag="d"):
    at_ms: int
    round_id: str
    pot: int
    is_released: bool
    to_values: tuple[int, ...]
    by: str
    reason: str
    id: str = ""
    raffle_round: int = 0


class Boosted(_Event, frozen=True, gc=False, tag="b"):
    at_ms: int
    pot: int
    amount_units: int
    by: str
    reason: str


class Adjusted(_Event, frozen=True, gc=False, tag="a"):
    at_ms: int
    pot: int
    amount_units: int
    before: int
    by: str
    reason: str
    id: str = ""


class ChangeAsked(_Event, frozen=True, gc=False, tag="q"):
    at_ms: int
    id: str
    pot: int | None
    changes: Raw
    before: Raw
    by: str
    reason: str


class RulesChanged(_Event, frozen=True, gc=False, tag="r"):
    """`document` is the template, or null where the change was dropped; its rules are compiled for these brands."""

    at_ms: int
    id: str
    document: Raw
    brands: tuple[str, ...]


class TransfersSent(_Event, frozen=True, gc=False, tag="f"):
    at_ms: int
    transfers: tuple[parts.Transfer, ...]
    by: str
    reason: str


class TransferDone(_Event, frozen=True, gc=False, tag="e"):
    at_ms: int
    id: str


class TransferTaken(_Event, frozen=True, gc=False, tag="v"):
    at_ms: int
    id: str
    from_instance: str
    pot: int
    value: int
    reserve: int
    boost: int


class Inherited(_Event, frozen=True, gc=False, tag="i"):
    at_ms: int
    from_instance: str


class ScheduleChanged(_Event, frozen=True, gc=False, tag="l"):
    at_ms: int
    brand: str
    schedule: parts.Schedule | None
    by: str
    reason: str


class RoundOpened(_Event, frozen=True, gc=False, tag="n"):
    at_ms: int
    number: int
    starts_ms: int
    ends_ms: int


class RoundsMissed(_Event, frozen=True, gc=False, tag="m"):
    at_ms: int
    count: int
    until_ms: int


class RoundResolved(_Event, frozen=True, gc=False, tag="j"):
    at_ms: int
    number: int
    starts_ms: int
    ends_ms: int
    tickets: int
    entrants: int
    counted: int
    pot: int
    prizes: tuple[parts.Prize, ...]
    shortfall: int
    from_reserve: int
    from_boost: int
    deficit: int


class StatusChanged(_Event, frozen=True, gc=False, tag="s"):
    at_ms: int
    status: Status
    reason: str
    by: str


class OptInChanged(_Event, frozen=True, gc=False, tag="o"):
    at_ms: int
    brand: str
    player_id: str
    opted_in: bool
    preferred: int | None
    preferred_currency: str | None
    count: int | None = None
    value: int | None = None


EventRecord = (
    Contributed
    | PotWon
    | CommunityPaid
    | PotClosed
    | Sealed
    | TipHeld
    | WindowEnded
    | Triggered
    | HeldWinDecided
    | Boosted
    | Adjusted
    | ChangeAsked
    | RulesChanged
    | TransfersSent
    | TransferDone
    | TransferTaken
    | Inherited
    | ScheduleChanged
    | RoundOpened
    | RoundsMissed
    | RoundResolved
    | StatusChanged
    | OptInChanged
)

# The fields that hold parts; all others are the same on both sides.
_IN_PARTS: dict[type, tuple[str, ...]] = {
    Contributed: ("attendance", "issued"),
    CommunityPaid: ("payouts",),
    Sealed: ("seal",),
    ChangeAsked: ("changes", "before"),
    TransfersSent: ("transfers",),
    ScheduleChanged: ("schedule",),
    RoundResolved: ("prizes",),
}


def _mirrors() -> Iterator[tuple[type, type, tuple[int, ...]]]:
    """Each event of the core, its record, and the places of the fields that hold parts."""
    for record in get_args(EventRecord):
        names = _IN_PARTS.get(record, ())
        places = tuple(record.__struct_fields__.index(name) for name in names)
        yield getattr(core, record.__name__), record, places


_TO_RECORD: dict[type, tuple[Any, tuple[int, ...]]] = {
    event: (record, places) for event, record, places in _mirrors()
}
_TO_EVENT: dict[type, tuple[Any, tuple[int, ...]]] = {
    record: (event, places) for event, record, places in _mirrors()
}


def from_events(events: Sequence[core.InstanceEvent]) -> tuple[EventRecord, ...]:
    """The core's events in the journal's format."""
    if len(events) == 1:
        event = events[0]
        # Nearly every entry, here and in `to_events`: it must cost no more than the copy.
        if type(event) is core.Contributed and event.attendance is None:
            if event.issued is None:
                return (Contributed(*astuple(event)),)
            fields = (*astuple(event)[:-1], parts.Issued(*astuple(event.issued)))
            return (Contributed(*fields),)
    return tuple([_record_of(event) for event in events])


def to_events(records: tuple[EventRecord, ...]) -> list[core.InstanceEvent]:
    """The journal's events as the core knows them; rules that changed are compiled again."""
    if len(records) == 1:
        record = records[0]
        if type(record) is Contributed and record.attendance is None and record.issued is None:
            return [core.Contributed(*astuple(record))]
    return [_event_of(record) for record in records]


def _record_of(event: core.InstanceEvent) -> EventRecord:
    if type(event) is core.RulesChanged:
        brands = () if event.rules is None else tuple(sorted(event.rules.allowed_brands))
        return RulesChanged(event.at_ms, event.id, parts.raw_of(event.document), brands)
    kind, places = _TO_RECORD[type(event)]
    fields = astuple(event)
    record: EventRecord = kind(*_with(parts.part_of, fields, places))
    return record


def _event_of(record: EventRecord) -> core.InstanceEvent:
    if type(record) is RulesChanged:
        document = parts.bytes_of(record.document)
        rules = compile_document(document, list(record.brands)) if document else None
        return core.RulesChanged(record.at_ms, record.id, document, rules)
    kind, places = _TO_EVENT[type(record)]
    fields = astuple(record)
    event: core.InstanceEvent = kind(*_with(parts.core_of, fields, places))
    return event


def _with(
    copy: Callable[[Any], Any], fields: tuple[Any, ...], places: tuple[int, ...]
) -> Sequence[Any]:
    """The fields, with those at some places copied."""
    if not places:
        return fields
    found = list(fields)
    for place in places:
        found[place] = copy(found[place])
    return found
