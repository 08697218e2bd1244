"""What happened to an instance. Facts only: replay folds them and never decides again.

Amounts are units of money; those named `win`, `amount` and `preferred` are in the player's currency, all others in the
jackpot's. `pot` is the index of the pot in the rules.
"""

from msgspec import Struct

from jackpotd.core.state import Status


class Contributed(Struct, frozen=True, gc=False):
    """Money came in: `worth` was divided among house, pots and reserves; `operator_part` of it the operator paid.

    `draws` holds (pot, draw, threshold) for every attempt; `cycles` the cycle of each pot that it went into; the rates
    are the multipliers that made `amount` worth `worth`.
    """

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


class PotWon(Struct, frozen=True, gc=False):
    """A pot was paid and seeded again; `seed` is the new starting value, `deficit` what the reserve lacked."""

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


class PotClosed(Struct, frozen=True, gc=False):
    """A limited pot was used up.

    What it still held, and the residuals carried so far, were moved: `to_values` and `to_reserves` for each pot,
    `to_house` where no pot could take the residual.
    """

    at_ms: int
    pot: int
    to_values: tuple[int, ...]
    to_reserves: tuple[int, ...]
    to_house: int


class StatusChanged(Struct, frozen=True, gc=False):
    """The instance was started, paused, resumed, terminated, or it ended."""

    at_ms: int
    status: Status
    reason: str
    by: str


class OptInChanged(Struct, frozen=True, gc=False):
    """A player opted in or out; without a preference the default contribution applies again."""

    at_ms: int
    brand: str
    player_id: str
    opted_in: bool
    preferred: int | None
    preferred_currency: str | None


InstanceEvent = Contributed | PotWon | PotClosed | StatusChanged | OptInChanged
