"""What the feed asks of the other nodes, and they of it, as it stands in the frames of the mesh."""

from typing import Literal

from msgspec import Struct


class _Message(Struct, frozen=True, array_like=True):
    pass


class AskTickers(_Message, frozen=True, tag=70):
    """The instances of a worker that have changed behind a position in its journal, all of them behind 0: Tickers."""

    since_seq: int


class Ticker(Struct, frozen=True, array_like=True):
    """An instance as a ticker shows it; amounts of its pots in units, in their order; times of a raffle's round."""

    instance_id: str
    status: str
    starts_ms: int | None
    ends_ms: int | None
    updated_ms: int
    values: tuple[int, ...]


class Tickers(_Message, frozen=True, tag=71):
    """What `AskTickers` asked for, durable with the worker; what changes behind `position` is asked for later."""

    tickers: tuple[Ticker, ...]
    position: int


class AskShown(_Message, frozen=True, tag=72):
    """The instance that a source gives to a reader, and the player's standing: Standing. Parameters may be missing."""

    source_id: str
    brand: str
    country: str | None
    segments: tuple[str, ...] | None
    player_id: str


class AskOptIns(_Message, frozen=True, tag=73):
    """An opt-in or opt-out of a target and, where that was asked for, of its links: OptInsDone."""

    target_kind: Literal["source", "instance"]
    target_id: str
    brand: str
    player_id: str
    country: str | None
    opt_in: bool
    preferred: int | None
    preferred_currency: str | None
    with_links: bool


class OptInsDone(_Message, frozen=True, tag=74):
    """The target first, then its links: each with the code and the message of its refusal, or with neither."""

    outcomes: tuple[tuple[str, str, str], ...]


class ChangeOrigins(_Message, frozen=True, tag=75):
    """To the edge: origins of browsers to allow, pattern and match mode, and patterns to forget: Origins.

    All of one operator's list, or of the platform's where `operator` is empty.
    """

    by: str
    add: tuple[tuple[str, str], ...]
    remove: tuple[str, ...]
    operator: str = ""


class Origins(_Message, frozen=True, tag=76):
    """All origins from now on, which every node that is there has heard of, and how many were removed."""

    origins: tuple[tuple[str, str], ...]
    removed: int


class AskDeadLetters(_Message, frozen=True, tag=77):
    """To the feed: results for an operator's webhooks that were given up, the latest first: DeadLetters."""

    operator: str
    skip: int
    limit: int


class DeadLetters(_Message, frozen=True, tag=78):
    """Rows, as JSON."""

    rows: tuple[bytes, ...]


class ReplayDeadLetters(_Message, frozen=True, tag=79):
    """To the feed: try these again, or all of the operator's where none is named: DeadLettersReplayed."""

    operator: str
    ids: tuple[str, ...]


class DeadLettersReplayed(_Message, frozen=True, tag=80):
    """Those that are on their way again, durably."""

    ids: tuple[str, ...]


FeedMessage = (
    AskTickers
    | Tickers
    | AskShown
    | AskOptIns
    | OptInsDone
    | ChangeOrigins
    | Origins
    | AskDeadLetters
    | DeadLetters
    | ReplayDeadLetters
    | DeadLettersReplayed
)
