"""One pot as it stands, with its accounts, and how far the real ones may lie away.

The real system keeps whole units and carries remainders, so an account knows its `slack`: how many units the real one
may lie away from the exact sum. It is 0 until a share first does not divide exactly. Money that a bound turns away
(a full reserve, a ceiling) goes between the pot's own two accounts, and takes the deviation with it; so from then on
each may lie twice as far away as their sum may, which is `joint` and does not grow with the number of such moves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from jackpotd.testing.reference_model.numbers import SCALE, ZERO, down_to_scale
from jackpotd.testing.reference_model.places import Places
from jackpotd.testing.reference_model.records import (
    Contributor,
    Meters,
    OracleDisagreementError,
)
from jackpotd.testing.reference_model.template import HiddenTime, PotRules


@dataclass(slots=True)
class Account:
    """An exact sum, and how many units of 1e-8 the real account may lie away from it."""

    exact: Fraction = ZERO
    slack: Fraction = ZERO

    def admits(self, units: Fraction | int) -> bool:
        return abs(units - self.exact * SCALE) <= self.slack


@dataclass(frozen=True)
class Seal:
    """A secret and since when it decides: `first` contributions and `floor_units` in the pot were there before."""

    places: Places
    first: int
    at_ms: int
    floor_units: int


@dataclass(slots=True)
class Window:
    """The window of a hidden time; `total` in units by those who may win it."""

    index: int
    is_done: bool = False
    total: int = 0
    candidate: Contributor | None = None


@dataclass(slots=True)
class Pot:
    """One pot; `share` with what closed pots left to it."""

    rules: PotRules
    share: Fraction
    value: Account
    reserve: Account = field(default_factory=Account)
    joint: Fraction = ZERO
    boost: Fraction = ZERO
    undistributed: Account = field(default_factory=Account)
    instance_count: int = 1
    is_open: bool = True
    is_due: bool = False
    windows: dict[int, Window] = field(default_factory=dict)
    seal: Seal | None = None
    needs_seal: bool | None = True  # None: whether it does is for the last units to decide

    @property
    def in_last_cycle(self) -> bool:
        return self.rules.cycles_max is not None and self.instance_count >= self.rules.cycles_max

    def split(self, worth: Fraction) -> tuple[Fraction, Fraction]:
        """The pot's part of a contribution: what grows the pot, what is seed money."""
        part = self.share * worth
        seed_money = part * self.rules.seed_share if self.rules.is_progressive else part
        return part - seed_money, seed_money

    def receive(self, worth: Fraction) -> None:
        """Grow; seed money that the reserve does not keep goes into the pot, what the pot cannot hold back to it."""
        growth, seed_money = self.split(worth)
        kept = self._kept_in_reserve(seed_money)
        self.reserve.exact += kept
        if kept < seed_money or self._may_be_full():
            self._mix()
        self._add(growth + seed_money - kept, self.rules.ceiling)

    def lift(self, amount: Fraction) -> None:
        """Money that is no contribution: never so far that it could have reached a hidden value."""
        was_reached = self._has_surely_reached()
        into_value = self._add(amount, self.rules.lift_end)
        self._disturb(was_reached, moved=into_value * SCALE > self.value.slack + 1)

    def correct(self, amount: Fraction, held: Fraction) -> None:
        """An operator's correction of a real pot that held so much: all of it comes, or goes, to the unit."""
        self.value.exact += amount
        if self.seal is not None and self.rules.hidden_values:
            self._disturb(self.has_reached(held), moved=True)

    def _add(self, amount: Fraction, end: Fraction | None) -> Fraction:
        """Into the pot up to this end; the excess into its reserve. A pot of fixed value takes all as seed."""
        into_value = amount if self.rules.is_progressive else ZERO
        if end is not None and self.rules.is_progressive:
            if self.value.exact + amount + self.joint / SCALE > end:
                self._mix()
            into_value = min(amount, max(end - self.value.exact, ZERO))
        self.value.exact += into_value
        self.reserve.exact += amount - into_value
        return into_value

    def has_reached(self, value: Fraction) -> bool:
        """Whether so much reaches any of its hidden values, or is all that it can hold so that it never will."""
        points = self.rules.hidden_values
        if not points:
            return False
        seal = self.seal
        if seal is None:
            raise ValueError(f"hidden values of pot {self.rules.id}, which is not sealed")
        if self.rules.ceiling is not None and value >= self.rules.ceiling:
            return True
        return any(
            value * SCALE
            >= seal.places.hidden_value(
                place, int(point.low * SCALE), int(point.high * SCALE), seal.floor_units
            )
            for place, point in enumerate(points)
        )

    def _has_surely_reached(self) -> bool | None:
        """None where it depends on how far the real pot lies away from ours."""
        if self.seal is None:
            return False
        near = self.value.slack / SCALE
        least, most = (self.has_reached(self.value.exact + off) for off in (-near, near))
        return least if least == most else None

    def _disturb(self, was_reached: bool | None, *, moved: bool) -> None:
        """Other money has come: what is hidden is drawn anew above it, but never once a contribution has reached it."""
        if not self.rules.hidden_values or self.needs_seal or was_reached:
            return
        self.needs_seal = True if moved and was_reached is False else None

    def widen(self, units: Fraction | int, of_both: Fraction | int) -> None:
        """The real accounts may lie this much farther off, and their sum so much."""
        self.value.slack += units
        self.reserve.slack += units
        self.joint += of_both

    def _mix(self) -> None:
        self.value.slack = self.reserve.slack = max(
            2 * self.joint, self.value.slack, self.reserve.slack
        )

    def _may_be_full(self) -> bool:
        bounded = self.rules.is_progressive and not self.rules.collects_always
        near = self.reserve.exact + self.joint / SCALE
        return bounded and (self.in_last_cycle or near > self.rules.min_reseed)

    def _kept_in_reserve(self, seed_money: Fraction) -> Fraction:
        if not self.rules.is_progressive:
            return seed_money
        if self.in_last_cycle:
            return ZERO
        if self.rules.collects_always:
            return seed_money
        return min(seed_money, max(self.rules.min_reseed - self.reserve.exact, ZERO))

    def window(self, place: int, point: HiddenTime, at_ms: int) -> Window:
        """The window in which a hidden time is; the first that is asked for begins its life."""
        return self.windows.setdefault(place, Window(point.window_at(at_ms)))

    def seed_sources(self, value: Fraction, reserve: Fraction) -> tuple[Fraction, ...]:
        """What reserve, boost and operator give to a pot that holds `value` after it was paid.

        WholeReserve takes from the reserve no more than may lift the pot, if that is more than the least seed.
        """
        least = self.rules.min_reseed
        taken = min(reserve, least)
        if self.rules.reseeds_whole_reserve and reserve > least:
            taken = reserve
            if self.rules.lift_end is not None:
                taken = max(min(reserve, self.rules.lift_end - value), least)
        boost = min(self.boost, max(least - taken, ZERO))
        return taken, boost, max(least - taken - boost, ZERO)

    def is_funded(self, reserve: Fraction) -> bool:
        """Whether the next seed is covered, where that is asked for."""
        if not self.rules.opens_when_funded or self.in_last_cycle:
            return True
        return reserve + self.boost >= self.rules.min_reseed


class Readings:
    """The real system's meters: after it grew, which is before the first payment, and before each further one.

    The oracle decides by these, once they are where its own books have them; without them it decides by its own books,
    cut to whole units.
    """

    def __init__(self, given: Sequence[Meters] | None) -> None:
        self._given = given

    def before_win(self, index: int, pot: Pot) -> tuple[Fraction, Fraction]:
        """Value and reserve before the payment of this index."""
        if self._given is None:
            return down_to_scale(pot.value.exact), down_to_scale(pot.reserve.exact)
        if index >= len(self._given):
            raise OracleDisagreementError(f"pot {pot.rules.id} should be paid too, as win {index}")
        value, reserve = self._given[index][pot.rules.id]
        if not (pot.value.admits(value) and pot.reserve.admits(reserve)):
            raise OracleDisagreementError(f"pot {pot.rules.id} holds {value}, {reserve}: {pot}")
        return Fraction(value, SCALE), Fraction(reserve, SCALE)
