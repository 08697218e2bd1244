"""Messages of Connect: the envelope of all that its sockets send, what they take, and bodies of its reads.

Names and shapes are the documents' own (`integration-guide`, `connect-api`); the contract settles the rest. A message
to a socket is externally tagged, `{"SubscribeRequest": {…}}`; its fields are checked by the type behind the tag, and
unknown ones are ignored. Amounts are numbers with the exact decimal but where the documents show a string.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from jackpotd.wire.gateway_messages import (
    Amount,
    BrandPath,
    Id,
    OptInV1,
    OptInV2,
    Text,
)

SOURCE = "thrillpots"
"""The name under which Connect's clients know this platform."""

EVENTS_PER_SUBSCRIPTION_MAX = 64
ORIGINS_PER_REQUEST_MAX = 200
PATTERN_LENGTH_MAX = 256

MessageType = Literal["Event", "Message", "Error"]


class Envelope(Struct, frozen=True, kw_only=True):
    """All that a socket of Connect sends. `brand_id` is the bare brand; ids are null where it is for more than one.

    Only what can be resumed from has an `event_id`. `timestamp` is when it was sent (Unix ms).
    """

    msg_type: MessageType
    source: str = SOURCE
    msg_name: str
    operator_id: str | None
    brand_id: str | None
    player_id: str | None
    data: Any
    timestamp: int
    event_id: str | UnsetType = UNSET


class Wish(Struct, frozen=True):
    """Events of one source; either name may be a pattern in which `*` stands for any text."""

    source: Annotated[str, Meta(min_length=1, max_length=64)]
    event_type: Annotated[str, Meta(min_length=1, max_length=64)]


class SubscribeRequest(Struct, frozen=True):
    """What a socket wants to be told from now on, in place of what it wanted before; with an id, from there on."""

    events: Annotated[list[Wish], Meta(max_length=EVENTS_PER_SUBSCRIPTION_MAX)]
    last_event_id: Text | None = None


class PlayerOptInRequest(OptInV1, frozen=True, gc=False):
    """An opt-in or opt-out of one instance; `brand_id` is `operator:brand`."""


class PlayerOptInRequestV2(OptInV2, frozen=True, gc=False, kw_only=True):
    """An opt-in or opt-out of a source's jackpot or an instance, and of its links; `player.brand_id` is bare."""


class PlayerRaffleTicketsRequest(Struct, frozen=True):
    """How many tickets a player has in the running round of a raffle, or of every raffle where none is named."""

    player_id: Id
    brand_id: BrandPath
    instance_id: Id | None = None


class InstanceTickets(Struct, frozen=True):
    """A player's tickets in the running round of a raffle, which lasts from one time to before the other (Unix ms).

    The times are null where no round runs.
    """

    instance_id: str
    ticket_count: int
    timestamp_start: int | None
    timestamp_end: int | None


class TicketList(Struct, frozen=True):
    """The raffles in whose running rounds a player has tickets, or a part of one."""

    instance_tickets: list[InstanceTickets]


class MessageError(Struct, frozen=True):
    """Why a request was refused; `instance_id` where it is about one of several."""

    status_code: int
    code: str
    message: str
    instance_id: str | UnsetType = UNSET


class DefaultCurrencies(Struct, frozen=True):
    """The multipliers from the base currency, and when they were last changed (Unix ms)."""

    last_updated: int
    base_currency: str
    multipliers: dict[str, Amount]


class PotTicker(Struct, frozen=True):
    """A pot on a ticker; amounts are decimal strings, as the document has them."""

    id: str
    is_progressive: bool
    current_value: str
    community_split: str


class TickerAnswer(Struct, frozen=True):
    """`GET /v1/thrillpots/instances/{instance_id}/ticker`."""

    id: str
    jackpot_type: str
    currency: str
    pots: list[PotTicker]
    allowed_brands: list[str]
    allowed_sources: list[str]
    status: str
    timestamp_start: int | None
    timestamp_end: int | None
    last_updated: int


MatchMode = Literal["Exact", "Suffix", "Regex"]
Pattern = Annotated[str, Meta(min_length=1, max_length=PATTERN_LENGTH_MAX)]


class CorsOriginDoc(Struct, frozen=True):
    """Whose pages may call from a browser; how the pattern is read is the mode's business."""

    pattern: Pattern
    match_mode: MatchMode


class CorsOrigins(Struct, frozen=True):
    """Origins that are, or shall be, allowed."""

    cors_origin_list: Annotated[list[CorsOriginDoc], Meta(max_length=ORIGINS_PER_REQUEST_MAX)]


class CorsRemoval(Struct, frozen=True):
    """Patterns to be forgotten."""

    cors_origin_list: Annotated[list[Pattern], Meta(max_length=ORIGINS_PER_REQUEST_MAX)]


class CorsRemoved(Struct, frozen=True):
    """How many were forgotten, and what is allowed now."""

    removed: int
    cors_origin_list: list[CorsOriginDoc]
