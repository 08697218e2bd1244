"""Bodies of the admin listener about schedules and rounds (contract §8, §9): times in Unix milliseconds."""

from msgspec import Struct, field

from jackpotd.wire.admin_instances import AnyBrand, Reason
from jackpotd.wire.gateway_messages import Amount
from jackpotd.wire.raffle_events import CreditBatch, RaffleWinEvent
from jackpotd.wire.schedule import ScheduleDoc


class ScheduleChangeDoc(ScheduleDoc, frozen=True):
    """`PUT /instances/{id}/schedule`: with a brand the schedule is that brand's own, else the instance's."""

    brand_id: AnyBrand | None = None
    reason: Reason = ""


class WindowState(Struct, frozen=True):
    """Open from `start` to before `end`."""

    start: int
    end: int


class RoundTimes(Struct, frozen=True):
    """A round of a raffle, which takes tickets from `start` to before `end`."""

    number: int
    start: int
    end: int


class ScheduleAnswer(Struct, frozen=True):
    """A schedule, and what it comes to between `from` and `to`.

    `schedule` is the brand's own where a brand was asked for, else the instance's; null where there is none: a brand
    then follows the instance's, and an instance is always open. `windows` are when contributions are taken; `rounds`
    those of a raffle that are not over yet. `truncated`: there are more of either.
    """

    instance_id: str
    brand_id: str | None
    schedule: ScheduleDoc | None
    brands: dict[str, ScheduleDoc]
    from_: int = field(name="from")
    to: int
    windows: list[WindowState]
    rounds: list[RoundTimes]
    truncated: bool


class RoundState(Struct, frozen=True):
    """A resolved round of a raffle, in the jackpot's currency.

    `counted` is the money that its tickets were bought with, `pot_value` what the pot held when it ended, `prizes` how
    many were drawn, `paid` what they came to, `seed_deficit` what the operator had to add.
    """

    number: int
    start: int
    end: int
    resolved_at: int
    tickets: int
    entrants: int
    counted: Amount
    pot_value: Amount
    prizes: int
    paid: Amount
    seed_deficit: Amount


class RoundWinner(Struct, frozen=True):
    """Who won a prize; `tier` counts from 0 in the order of the template.

    `amount` left the pot, in the jackpot's currency; `win_amount` is what the player gets, in theirs. `win_withheld`:
    the money still waits for a person.
    """

    player_id: str
    brand_id: str
    tier: int
    gameround_id: str
    amount: Amount
    currency: str
    win_amount: Amount
    win_currency: str
    win_withheld: bool


class RoundAnswer(RoundState, frozen=True):
    """A resolved round with its winners, its win events, and the credits that wallets have still to be told of."""

    instance_id: str
    currency: str
    winners: list[RoundWinner]
    events: list[RaffleWinEvent]
    credits: list[CreditBatch]
