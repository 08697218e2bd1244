"""What the nodes of one jackpotd tell each other, as they stand in the frames of the mesh.

All nodes run the same program, so there is no evolution to care for. MessagePack arrays; records and rows travel as the
bytes of their JSON, whose integers have no size.
A frame holds pairs of a number and a message: 0 for what needs no answer, n for a question, -n for the answer to it.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from jackpotd.core.commands import Bet
from jackpotd.wire.feed_messages import FeedMessage
from jackpotd.wire.moving_messages import Departure, Holding, RowsChunk
from jackpotd.wire.parts import Callback
from jackpotd.wire.raffle_messages import RaffleMessage
from jackpotd.wire.records import EventRecord


class _Message(Struct, frozen=True, array_like=True):
    pass


class Hello(_Message, frozen=True, tag=0):
    """The first message of a connection, both ways: who speaks."""

    node: int


class Done(_Message, frozen=True, tag=1):
    """What was asked for is done."""


class Refused(_Message, frozen=True, tag=2):
    """A rejection."""

    code: str
    message: str


class Contribute(_Message, frozen=True, tag=3):
    """A contribution for an instance of another worker: a `ContributionRequest` as a front understood it.

    `version` is the catalog's that the sender went by. `chosen` is empty, or the instance that the home has chosen for
    a request whose key it holds; `hops` counts how often the request was handed on.
    """

    version: int
    chosen: str
    hops: int
    target_kind: Literal["source", "instance"]
    target_id: str
    operator: str
    bet: Bet
    with_links: bool
    key: str | None
    fingerprint: bytes
    trace_id: str
    accepted_ms: int
    api_version: int
    metadata: bytes
    event_metadata: bytes
    callback: Callback | None = None
    hindrance: str = ""


class TakeUpSources(_Message, frozen=True, tag=51):
    """To the edge: sources, by brand and id, that keys are used with although they give no jackpot: Done."""

    sources: tuple[tuple[str, str], ...]


class TakenPart(_Message, frozen=True, tag=4):
    """What one instance made of a request that it took; `events` as in its record."""

    instance_id: str
    events: bytes


class PendingPart(_Message, frozen=True, tag=5):
    """A link that has not answered yet."""

    instance_id: str


Part = TakenPart | PendingPart | Refused


class Served(_Message, frozen=True, tag=6):
    """A contribution was taken, or accepted; what the answer repeats of the request, the asker knows."""

    outcomes: tuple[Part, ...]


class Replayed(_Message, frozen=True, tag=7):
    """The key was used before: the answer of its first request."""

    trace_id: str
    accepted_ms: int
    api_version: int
    metadata: bytes
    outcomes: tuple[Part, ...]
    is_asynchronous: bool = False


class ClaimKey(_Message, frozen=True, tag=8):
    """The home of a request asks for its key where it might have been used: Done, Replayed or Refused."""

    version: int
    operator: str
    key: str
    fingerprint: bytes


class ReleaseKey(_Message, frozen=True, tag=9):
    """The request whose key was claimed is over."""

    digest: bytes


class Announce(_Message, frozen=True, tag=10):
    """Instances of the sender, with their status: all that it has on connect, then each that changes."""

    instances: tuple[tuple[str, str], ...]


class Link(_Message, frozen=True, tag=11):
    """A link's part of a contribution that the sender's journal holds at `cause`; sent again until it is answered."""

    cause: int
    place: int
    instance_id: str
    bet: Bet
    rates: dict[str, int]
    can_debit: bool


class LinkAnswered(_Message, frozen=True, tag=12):
    """The record of a link's answer, which is durable with the instance's worker."""

    cause: int
    place: int
    record: bytes


class LinksSettled(_Message, frozen=True, tag=13):
    """Causes of the sender that are settled, and all below `below`: what they were answered may be forgotten."""

    causes: tuple[int, ...]
    below: int


class CatalogPart(_Message, frozen=True, tag=14):
    """A change of the catalog, as journalled; or a part of a whole catalog, which begins anew with `is_first`."""

    version: int
    change: bytes
    is_first: bool = False
    is_last: bool = True


class AskInstances(_Message, frozen=True, tag=15):
    """The rows of these instances: Instances."""

    instance_ids: tuple[str, ...]


class Instances(_Message, frozen=True, tag=16):
    """Rows of instances, as the checkpoint writes them; empty for one that is not there."""

    rows: tuple[bytes, ...]


class AskStanding(_Message, frozen=True, tag=17):
    """An instance with a player's standing."""

    instance_id: str
    brand: str
    player_id: str


class Standing(_Message, frozen=True, tag=18):
    """An instance's row, and the player's if there is one."""

    instance: bytes
    player: bytes | None


class AskWinners(_Message, frozen=True, tag=19):
    """The latest winners of a brand, or of all where it is empty; of one pot, or over all pots."""

    instance_id: str
    pot: int | None
    brand: str
    limit: int


class Winners(_Message, frozen=True, tag=20):
    """Rows of winners."""

    rows: tuple[bytes, ...]


class AskOptIn(_Message, frozen=True, tag=21):
    """An opt-in or opt-out of a player: Done or Refused."""

    instance_id: str
    brand: str
    player_id: str
    country: str | None
    opt_in: bool
    preferred: int | None
    preferred_currency: str | None
    rates: dict[str, int]


class AskOperate(_Message, frozen=True, tag=22):
    """What a person wants of an instance, as `operator_commands` encodes it: Operated or Refused."""

    instance_id: str
    kind: str
    command: bytes


class Operated(_Message, frozen=True, tag=25):
    """The instance's row after a person's command, and what happened, as in its record."""

    row: bytes
    events: bytes


class GiveBirth(_Message, frozen=True, tag=23):
    """Instances of the catalog that nobody has yet and the receiver shall own: Instances or Refused."""

    version: int
    instance_ids: tuple[str, ...]


class LinkNotHere(_Message, frozen=True, tag=24):
    """The receiver of a link does not have the instance, as of this version of the catalog."""

    cause: int
    place: int
    version: int


# Messages of moves: tags from 40 on; those of raffles, in `raffle_messages`, from 60 on.


class AskHoldings(_Message, frozen=True, tag=40):
    """Which instances a worker's journal has: Holdings."""


class Holdings(_Message, frozen=True, tag=41):
    instances: tuple[Holding, ...]


class Depart(_Message, frozen=True, tag=42):
    """The edge asks the giver to let an instance stand still: Departs or Refused."""

    instance_id: str
    to_worker: int


class Departs(_Message, frozen=True, tag=43):
    departure: Departure


class Take(_Message, frozen=True, tag=44):
    """The edge asks the taker to fetch an instance: Done once it lives there durably, or Refused."""

    departure: Departure


class AskRows(_Message, frozen=True, tag=45):
    """The taker asks the giver for rows behind a key: Rows or Refused."""

    instance_id: str
    departing_seq: int
    after: bytes


class Rows(_Message, frozen=True, tag=46):
    chunk: RowsChunk


class Finish(_Message, frozen=True, tag=47):
    """The edge tells the giver that the taker has the instance, and that every worker knows: Done."""

    instance_id: str
    departing_seq: int


class Resume(_Message, frozen=True, tag=48):
    """The edge tells the giver that the move is called off: Done."""

    instance_id: str
    departing_seq: int


class Abandon(_Message, frozen=True, tag=49):
    """The edge tells the taker that the move is called off: Abandoned."""

    instance_id: str
    from_worker: int
    departing_seq: int


class Abandoned(_Message, frozen=True, tag=50):
    """Whether the import is given up; else the instance lives with the taker already."""

    is_given_up: bool


Message = (
    Hello
    | Done
    | Refused
    | Contribute
    | TakeUpSources
    | Served
    | Replayed
    | ClaimKey
    | ReleaseKey
    | Announce
    | Link
    | LinkAnswered
    | LinksSettled
    | CatalogPart
    | AskInstances
    | Instances
    | AskStanding
    | Standing
    | AskWinners
    | Winners
    | AskOptIn
    | AskOperate
    | Operated
    | GiveBirth
    | LinkNotHere
    | AskHoldings
    | Holdings
    | Depart
    | Departs
    | Take
    | AskRows
    | Rows
    | Finish
    | Resume
    | Abandon
    | Abandoned
    | RaffleMessage
    | FeedMessage
)

DONE = Done()

_EVENTS_ENCODER = msgspec.json.Encoder()
_EVENTS_DECODER: msgspec.json.Decoder[tuple[EventRecord, ...]] = msgspec.json.Decoder(
    tuple[EventRecord, ...]
)

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[list[tuple[int, Message]]] = msgspec.msgpack.Decoder(
    list[tuple[int, Message]]
)


def encode(messages: list[tuple[int, Message]]) -> bytes:
    return _ENCODER.encode(messages)


def decode(data: memoryview) -> list[tuple[int, Message]]:
    """The messages of a frame.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _DECODER.decode(data)


def encode_events(events: tuple[EventRecord, ...]) -> bytes:
    return _EVENTS_ENCODER.encode(events)


def decode_events(data: bytes) -> tuple[EventRecord, ...]:
    return _EVENTS_DECODER.decode(data)
