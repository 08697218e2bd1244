"""What happened to an instance. Facts only: replay folds them and never decides again.

Amounts are units of money; those named `win`, `amount` and `preferred` are in the player's currency, all others in the
jackpot's. `pot` is the index of the pot in the rules.
"""

from enum import StrEnum

from msgspec import Struct

from jackpotd.core.rules import CommunityKind, Rules
from jackpotd.core.schedule import Schedule
from jackpotd.core.state import Contributor, Seal, Status, Transfer


class Attendance(Struct, frozen=True):
    """What boards and draws among contributors need to know of a contribution; None where a template has neither.

    `number` is the contribution's among all of the instance; `lifetime` and `in_cycles` are the player's totals after
    it; `lots` holds (pot, point, draw) for each window whose candidate was drawn anew: the contributor replaces the
    candidate where the draw is below the contribution's worth.
    """

    number: int
    lifetime: int
    in_cycles: tuple[int, ...]
    lots: tuple[tuple[int, int, int], ...] = ()


class Issued(Struct, frozen=True, gc=False):
    """What a contribution bought in a round of a raffle: `awarded` tickets for `counted` units of the ticket's metric.

    `accumulated` is what the player has towards the next ticket after it.
    """

    round: int
    entrant: int
    counted: int
    awarded: int
    accumulated: int


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
    attendance: Attendance | None = None
    issued: Issued | None = None


class Tip(StrEnum):
    """What tipped a pot."""

    HIT_RATE = "HitRate"
    VALUE = "Value"
    TIME = "Time"
    FALLBACK = "TimeFallback"
    TRIGGER = "Trigger"


class PotWon(Struct, frozen=True, gc=False):
    """A pot was paid and seeded again; `seed` is the new starting value, `deficit` what reserve and boost lacked.

    `paid` is the winner's own part: what left the pot for them, into `withheld` where `is_withheld`. `times` are the
    hidden times whose drop of this window it is.
    """

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
    tip: Tip = Tip.HIT_RATE
    is_withheld: bool = False
    times: tuple[int, ...] = ()


class Payout(Struct, frozen=True):
    """A community winner: found by this strategy (its index), at this place; `paid` left the pot.

    `draw` is the number that picked an active player among `among` of them; both 0 for a board.
    """

    strategy: int
    kind: CommunityKind
    winner: Contributor
    win: int
    paid: int
    draw: int = 0
    among: int = 0


class CommunityPaid(Struct, frozen=True):
    """What a community got of a pot, before the winner of that round was paid."""

    at_ms: int
    round_id: str
    pot: int
    payouts: tuple[Payout, ...]


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


class Sealed(Struct, frozen=True):
    """A pot has a new secret, or none where `seal` is None; `revealed` is the one before, in hex, if there was one."""

    at_ms: int
    pot: int
    seal: Seal | None
    revealed: str


class TipHeld(Struct, frozen=True):
    """A hidden time has come for somebody who could not be paid: the pot stays due."""

    at_ms: int
    pot: int
    point: int


class WindowEnded(Struct, frozen=True):
    """A window of a hidden time is over, and the instance is in the window `index`."""

    at_ms: int
    pot: int
    point: int
    index: int


class Triggered(Struct, frozen=True):
    """A person says that a pot's external trigger has come."""

    at_ms: int
    pot: int
    reference_id: str
    by: str
    reason: str


class HeldWinDecided(Struct, frozen=True):
    """A withheld win was released to its winner, or rejected: its money went back to the pots.

    An `id` is kept among those `taken`, so that it is not done again. `raffle_round` as in `HeldWin`.
    """

    at_ms: int
    round_id: str
    pot: int
    is_released: bool
    to_values: tuple[int, ...]
    by: str
    reason: str
    id: str = ""
    raffle_round: int = 0


class Boosted(Struct, frozen=True):
    """The operator put money aside for a pot's next seeds."""

    at_ms: int
    pot: int
    amount_units: int
    by: str
    reason: str


class Adjusted(Struct, frozen=True):
    """A person corrected a pot: the operator pays in, or takes back where negative.

    An `id` is kept among those `taken`, so that it is not done again.
    """

    at_ms: int
    pot: int
    amount_units: int
    before: int
    by: str
    reason: str
    id: str = ""


class ChangeAsked(Struct, frozen=True):
    """Parameters wait for the next win, of one pot or (None) of any. `before` and `changes` are JSON."""

    at_ms: int
    id: str
    pot: int | None
    changes: bytes
    before: bytes
    by: str
    reason: str


class RulesChanged(Struct, frozen=True):
    """Pending parameters took effect, or were dropped because they no longer fit (`document` is then empty)."""

    at_ms: int
    id: str
    document: bytes
    rules: Rules | None


class TransfersSent(Struct, frozen=True):
    """Money left for other instances."""

    at_ms: int
    transfers: tuple[Transfer, ...]
    by: str
    reason: str


class TransferDone(Struct, frozen=True):
    """Another instance has taken the money that was sent."""

    at_ms: int
    id: str


class TransferTaken(Struct, frozen=True):
    """Money of another instance came into a pot."""

    at_ms: int
    id: str
    from_instance: str
    pot: int
    value: int
    reserve: int
    boost: int


class Inherited(Struct, frozen=True):
    """From now on, or (empty) no longer, opt-ins of another instance count here for whom has none of their own."""

    at_ms: int
    from_instance: str


class ScheduleChanged(Struct, frozen=True):
    """A brand's schedule, or (empty) the instance's own, is another one from now on, or (None) there is none."""

    at_ms: int
    brand: str
    schedule: Schedule | None
    by: str
    reason: str


class RoundOpened(Struct, frozen=True):
    """A raffle's next round is set: it takes tickets, when the schedule is open."""

    at_ms: int
    number: int
    starts_ms: int
    ends_ms: int


class RoundsMissed(Struct, frozen=True):
    """Rounds went by while nobody served, the last until `until_ms`; there was nothing in them."""

    at_ms: int
    count: int
    until_ms: int


class Prize(Struct, frozen=True):
    """A prize of a tier that was drawn, worth `value` in the jackpot's currency, of which `paid` left the pot.

    `draw` is the place of the ticket that won, among `among` that were left.
    """

    tier: int
    winner: Contributor
    round_id: str
    entrant: int
    draw: int
    among: int
    value: int
    win: int
    paid: int
    is_withheld: bool = False


class RoundResolved(Struct, frozen=True):
    """A round of a raffle is over, and its prizes are drawn.

    `pot` is what the pot held then. `shortfall` is what the operator added for the prizes; the rest is what the pot was
    topped up with for the next round.
    """

    at_ms: int
    number: int
    starts_ms: int
    ends_ms: int
    tickets: int
    entrants: int
    counted: int
    pot: int
    prizes: tuple[Prize, ...]
    shortfall: int
    from_reserve: int
    from_boost: int
    deficit: int


class StatusChanged(Struct, frozen=True, gc=False):
    """The instance was started, paused, resumed, terminated, or it ended."""

    at_ms: int
    status: Status
    reason: str
    by: str


class OptInChanged(Struct, frozen=True, gc=False):
    """A player opted in or out; without a preference the default contribution applies again.

    `count` and `value` are the player's contributions to the instance so far, for whoever is told of it; None where it
    was journalled before they were.
    """

    at_ms: int
    brand: str
    player_id: str
    opted_in: bool
    preferred: int | None
    preferred_currency: str | None
    count: int | None = None
    value: int | None = None


InstanceEvent = (
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
