"""The record format of the journal: JSON arrays, tagged, one record for each thing that happened.

These types are the format, apart from the core's own: a field is added last and with a default, never reordered, never
retyped, and a tag is never used again. JSON, because a journal is evidence: anyone can read it with no tool of ours,
and its integers have no size.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from jackpotd.core import events as core
from jackpotd.core.state import Status
from jackpotd.wire.codec import NULL


class _Record(Struct, frozen=True, array_like=True):
    pass


class Contributed(_Record, frozen=True, tag="c"):
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


class PotWon(_Record, frozen=True, tag="w"):
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


class PotClosed(_Record, frozen=True, tag="x"):
    at_ms: int
    pot: int
    to_values: tuple[int, ...]
    to_reserves: tuple[int, ...]
    to_house: int


class StatusChanged(_Record, frozen=True, tag="s"):
    at_ms: int
    status: Status
    reason: str
    by: str


class OptInChanged(_Record, frozen=True, tag="o"):
    at_ms: int
    brand: str
    player_id: str
    opted_in: bool
    preferred: int | None
    preferred_currency: str | None


EventRecord = Contributed | PotWon | PotClosed | StatusChanged | OptInChanged

_TO_RECORD: dict[type, Any] = {
    core.Contributed: Contributed,
    core.PotWon: PotWon,
    core.PotClosed: PotClosed,
    core.StatusChanged: StatusChanged,
    core.OptInChanged: OptInChanged,
}
_TO_EVENT: dict[type, Any] = {record: event for event, record in _TO_RECORD.items()}


class Request(_Record, frozen=True):
    """The request behind a target's entry: what a repeat of its key has to be answered with.

    `wager`, `country`, `segments` and `vertical` are there for the links, which decide for themselves.
    """

    operator: str
    key: str | None
    fingerprint: bytes
    trace_id: str
    accepted_ms: int
    api_version: int
    metadata: Raw = NULL
    event_metadata: Raw = NULL
    wager: int = 0
    country: str | None = None
    segments: tuple[str, ...] | None = None
    vertical: str | None = None


class Created(_Record, frozen=True, tag="I"):
    """An instance was born from a template."""

    at_ms: int
    instance_id: str
    name: str
    owner_id: str
    template_id: str
    template_owner_id: str
    template: Raw
    brands: tuple[str, ...]
    status: Status
    by: str


class Entry(_Record, frozen=True, tag="E"):
    """What happened to one instance at once.

    A target's entry of a linked request names its `links`; the entry of a linked instance names the target's sequence
    number as its `cause` and its `place` among the links.
    """

    instance_id: str
    events: tuple[EventRecord, ...]
    request: Request | None = None
    links: tuple[str, ...] = ()
    cause: int | None = None
    place: int = 0


class LinkRefused(_Record, frozen=True, tag="L"):
    """A linked instance refused its part."""

    cause: int
    place: int
    instance_id: str
    code: str
    message: str


class Settled(_Record, frozen=True, tag="S"):
    """All links of a request have answered: `results` are the sequence numbers of their records, in order.

    Where the request had a key, its digest now leads to this record.
    """

    cause: int
    results: tuple[int, ...]
    key_digest: bytes | None
    accepted_ms: int


Record = Created | Entry | LinkRefused | Settled

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    return _ENCODER.encode(record)


def decode(data: bytes) -> Record:
    return _DECODER.decode(data)


def from_events(events: list[core.InstanceEvent]) -> tuple[EventRecord, ...]:
    """The core's events in the journal's format; both have the same fields in the same order."""
    return tuple([_TO_RECORD[type(event)](*msgspec.structs.astuple(event)) for event in events])


def to_events(records: tuple[EventRecord, ...]) -> list[core.InstanceEvent]:
    """The journal's events as the core knows them."""
    return [_TO_EVENT[type(record)](*msgspec.structs.astuple(record)) for record in records]
