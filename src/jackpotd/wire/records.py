"""The record format of the journal: JSON arrays, tagged, one record for each thing that happened.

These types are the format, apart from the core's own: a field is added last and with a default, never reordered, never
retyped, and a tag is never used again. JSON, because a journal is evidence: anyone can read it with no tool of ours,
and its integers have no size. The events of instances stand in `event_records`, what is nested in them in `parts`.
"""

import msgspec
from msgspec import Raw, Struct

from jackpotd.core.state import Status
from jackpotd.wire.codec import NULL
from jackpotd.wire.event_records import (
    Adjusted,
    Boosted,
    ChangeAsked,
    CommunityPaid,
    Contributed,
    EventRecord,
    HeldWinDecided,
    Inherited,
    OptInChanged,
    PotClosed,
    PotWon,
    RoundOpened,
    RoundResolved,
    RoundsMissed,
    RulesChanged,
    ScheduleChanged,
    Sealed,
    StatusChanged,
    TipHeld,
    TransferDone,
    TransfersSent,
    TransferTaken,
    Triggered,
    WindowEnded,
    from_events,
    to_events,
)
from jackpotd.wire.parts import Callback, Schedule
from jackpotd.wire.rows import CreditRow, InstanceRow, PlayerRow, ReceivedRow, RoundRow, WinnerRow

__all__ = [
    "Abandoned",
    "Adjusted",
    "Adopted",
    "Boosted",
    "ChangeAsked",
    "CommunityPaid",
    "Contributed",
    "Created",
    "Declined",
    "Departed",
    "Departing",
    "Dropped",
    "Entry",
    "EventRecord",
    "Forgotten",
    "HeldWinDecided",
    "Imported",
    "Inherited",
    "InheritedPlayers",
    "LinkRefused",
    "OptInChanged",
    "PotClosed",
    "PotWon",
    "Record",
    "RemoteAnswered",
    "Request",
    "Returned",
    "RoundOpened",
    "RoundResolved",
    "RoundsMissed",
    "RulesChanged",
    "ScheduleChanged",
    "Sealed",
    "Settled",
    "StatusChanged",
    "TipHeld",
    "TransferDone",
    "TransferTaken",
    "TransfersSent",
    "Triggered",
    "WindowEnded",
    "decode",
    "encode",
    "from_events",
    "remote_answer",
    "to_events",
]


class _Record(Struct, frozen=True, gc=False, array_like=True):
    pass


class Request(_Record, frozen=True, gc=False):
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
    callback: Callback | None = None


class Created(_Record, frozen=True, gc=False, tag="I"):
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
    schedule: Schedule | None = None


class Entry(_Record, frozen=True, gc=False, tag="E"):
    """What happened to one instance at once.

    A target's entry of a linked request names its `links`; the entry of a linked instance names the target's sequence
    number as its `cause` and its `place` among the links. `worker` is the one whose journal holds the cause; None is
    this journal itself.
    """

    instance_id: str
    events: tuple[EventRecord, ...]
    request: Request | None = None
    links: tuple[str, ...] = ()
    cause: int | None = None
    place: int = 0
    worker: int | None = None


class LinkRefused(_Record, frozen=True, gc=False, tag="L"):
    """A linked instance refused its part; `worker` as in `Entry`."""

    cause: int
    place: int
    instance_id: str
    code: str
    message: str
    worker: int | None = None


class Declined(_Record, frozen=True, gc=False, tag="Y"):
    """A request with a webhook was accepted, and refused as a whole: its key is used, and the webhook is told why.

    `instance_id` is the instance that refused it, empty where none was found.
    """

    at_ms: int
    request: Request
    instance_id: str
    code: str
    message: str


class Settled(_Record, frozen=True, gc=False, tag="S"):
    """All links of a request have answered: `results` are the sequence numbers of their records, in order.

    Where the request had a key, its digest now leads to this record.
    """

    cause: int
    results: tuple[int, ...]
    key_digest: bytes | None
    accepted_ms: int


class RemoteAnswered(_Record, frozen=True, gc=False, tag="R"):
    """A link that lives in another worker has answered: `events` where it took its part, else `code` and `message`.

    A copy of that worker's evidence, so that a repeat of the key is answered from this journal alone.
    """

    cause: int
    place: int
    worker: int
    instance_id: str
    events: tuple[EventRecord, ...] | None
    code: str = ""
    message: str = ""


class Forgotten(_Record, frozen=True, tag="F"):
    """Another worker has settled these causes, and all below `below`: what it was answered may be forgotten.

    But not by instances that stand `still`, because they are on the move, or draw a raffle, or gather players.
    """

    worker: int
    causes: tuple[int, ...]
    below: int = 0
    still: tuple[str, ...] = ()


class InheritedPlayers(_Record, frozen=True, gc=False, tag="P"):
    """Players whose opt-ins with another instance count with this one: brand, id and preferences.

    Each has a row from here on; those that had one keep it as it is.
    """

    instance_id: str
    from_instance: str
    players: tuple[tuple[str, str, tuple[tuple[str, int], ...]], ...]
    at_ms: int = 0


class Departing(_Record, frozen=True, gc=False, tag="D"):
    """An instance leaves for another worker: after this record it takes nothing more here."""

    at_ms: int
    instance_id: str
    to_worker: int


class Returned(_Record, frozen=True, gc=False, tag="B"):
    """A departure was called off before the other worker took the instance over; it goes on here."""

    at_ms: int
    instance_id: str
    departing_seq: int


class Departed(_Record, frozen=True, gc=False, tag="G"):
    """The other worker has taken the instance over; its rows here are dropped in the background from now on."""

    at_ms: int
    instance_id: str
    to_worker: int
    departing_seq: int


class Imported(_Record, frozen=True, gc=False, tag="M"):
    """Some rows of an instance that arrives, as the worker that it leaves had them at its `Departing`.

    Players come with brand and id; winners with pot, order and place, as their keys have them.
    """

    instance_id: str
    from_worker: int
    departing_seq: int
    players: tuple[tuple[str, str, PlayerRow], ...] = ()
    winners: tuple[tuple[int, int, int, WinnerRow], ...] = ()
    received: tuple[ReceivedRow, ...] = ()
    rounds: tuple[RoundRow, ...] = ()
    credits: tuple[CreditRow, ...] = ()


class Adopted(_Record, frozen=True, gc=False, tag="A"):
    """An instance lives here from now on; `instance` is its row as the worker that it left had it.

    `moves` counts how often it has moved; `views` are (worker, since) of those that may hold keys of the giver's
    instances, the giver among them.
    """

    at_ms: int
    instance_id: str
    from_worker: int
    departing_seq: int
    moves: int
    instance: InstanceRow
    views: tuple[tuple[int, int], ...]


class Abandoned(_Record, frozen=True, gc=False, tag="Q"):
    """An import that never became an adoption: its rows are dropped in the background from now on."""

    instance_id: str
    from_worker: int
    departing_seq: int


class Dropped(_Record, frozen=True, gc=False, tag="Z"):
    """No row of an instance that departed, or of an abandoned import, is left."""

    instance_id: str


Record = (
    Created
    | Entry
    | LinkRefused
    | Declined
    | Settled
    | RemoteAnswered
    | Forgotten
    | InheritedPlayers
    | Departing
    | Returned
    | Departed
    | Imported
    | Adopted
    | Abandoned
    | Dropped
)

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    return _ENCODER.encode(record)


def decode(data: bytes) -> Record:
    return _DECODER.decode(data)


def remote_answer(
    cause: int, place: int, worker: int, answer: Entry | LinkRefused
) -> RemoteAnswered:
    """The copy of another worker's answer to a link."""
    if isinstance(answer, LinkRefused):
        return RemoteAnswered(
            cause, place, worker, answer.instance_id, None, answer.code, answer.message
        )
    return RemoteAnswered(cause, place, worker, answer.instance_id, answer.events)
