"""What the world is told of jackpots, as the feed keeps it: each event once, in the order in which it was told."""

from enum import StrEnum

import msgspec
from msgspec import Raw, Struct


class Kind(StrEnum):
    """The events of the gateway's stream, under their names there (contract §6)."""

    UPDATE = "JackpotUpdateEvent"
    WIN = "JackpotWinEvent"
    RAFFLE_WIN = "RaffleWinEvent"
    OPT_IN = "OptInEvent"
    COMMUNITY_ERROR = "CommunityPayoutErrorEvent"
    RAFFLE_ERROR = "RafflePayoutErrorEvent"


class LoggedEvent(Struct, frozen=True, array_like=True):
    """An event that is kept: everything but an update. `data` is that of the gateway's stream.

    Who may see it: accounts that reach `owner_id` or one of `brands`, which are those of the jackpot at that time; an
    opt-in those that reach `brand`, the player's own. `player_id` is empty where it is not about one player alone.
    """

    kind: Kind
    at_ms: int
    instance_id: str
    owner_id: str
    brands: tuple[str, ...]
    brand: str
    player_id: str
    data: Raw


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(LoggedEvent)


def encode(event: LoggedEvent) -> bytes:
    return _ENCODER.encode(event)


def decode(data: bytes) -> LoggedEvent:
    return _DECODER.decode(data)
