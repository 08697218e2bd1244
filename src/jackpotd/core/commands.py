"""What the core may be asked, stamped with time and entropy by the caller; it reads neither itself."""

from collections.abc import Mapping

from msgspec import Struct

from jackpotd.core.state import Status


class Bet(Struct, frozen=True, gc=False, array_like=True):
    """What a player did, as every instance that receives from it sees it; `wager` is in units of `currency`.

    `source_id` is the source that was named, if any; the reference leads back to the player's own action.
    """

    brand: str
    player_id: str
    country: str | None
    segments: tuple[str, ...] | None
    vertical: str | None
    currency: str
    wager: int
    source_id: str | None
    reference_type: str
    reference_id: str | None


class Contribute(Struct, frozen=True, gc=False):
    """One contribution to one instance.

    `rates` are the brand's multipliers to its base currency, as units; `draws` are 64-bit random numbers, one for each
    tipping point of the rules in order. `can_debit` says whether the brand has a wallet that the player's part can be
    taken from.
    """

    at_ms: int
    round_id: str
    draws: tuple[int, ...]
    bet: Bet
    rates: Mapping[str, int]
    can_debit: bool = True


class OptIn(Struct, frozen=True, gc=False):
    """A player's wish to take part or not, with the contribution that they prefer, if any."""

    at_ms: int
    brand: str
    player_id: str
    country: str | None
    opt_in: bool
    preferred: int | None
    preferred_currency: str | None
    rates: Mapping[str, int]


class ChangeStatus(Struct, frozen=True, gc=False):
    """A person's wish to start, pause, resume or terminate an instance."""

    at_ms: int
    status: Status
    reason: str
    by: str
