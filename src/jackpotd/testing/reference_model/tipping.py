"""What tips a pot at a contribution: its HitRates' draws, its hidden values, its hidden instants (contract §9)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from jackpotd.testing.reference_model.numbers import DRAWS, NEAR, SCALE
from jackpotd.testing.reference_model.pots import Pot, Window
from jackpotd.testing.reference_model.records import (
    Attempt,
    Contributor,
    OracleDisagreementError,
    Tip,
)
from jackpotd.testing.reference_model.template import Criteria, HiddenTime


@dataclass(frozen=True)
class Moment:
    """A contribution as the tipping points see it: `number` contributions of the instance were before it."""

    number: int
    at_ms: int
    worth: Fraction
    contributor: Contributor
    wager: Fraction  # in the template's currency
    segments: frozenset[str]
    is_free: bool  # the operator pays everything

    def fits(self, criteria: Criteria) -> bool:
        return (
            (criteria.wager_min is None or self.wager >= criteria.wager_min)
            and (criteria.segments is None or not criteria.segments.isdisjoint(self.segments))
            and (criteria.currencies is None or self.contributor.currency in criteria.currencies)
        )


class Chance:
    """The draws of one contribution: from the pots' seals, or as given; with the system's thresholds, if reported."""

    def __init__(
        self, given: Mapping[tuple[str, int], int], reported: Sequence[Attempt] | None
    ) -> None:
        self._given = dict(given)
        self._reported = None if reported is None else list(reported)

    def hits(self, pot: Pot, moment: Moment) -> bool:
        """Whether any HitRate of the pot tips it; every one of them attempts."""
        tips = []
        for place, hit in enumerate(pot.rules.hit_rates):
            draw = self._draw(pot, place, moment)
            tips.append(self._tips(pot.rules.id, draw, hit.threshold(moment.worth)))
        if True not in tips and None in tips:
            raise ValueError(f"pot {pot.rules.id}: a draw is missing")
        return True in tips

    def close(self, points: Collection[tuple[str, int]]) -> None:
        """No attempt may be reported, nor a draw be given, for what is no HitRate of an open pot."""
        if self._reported or not set(self._given) <= set(points):
            raise OracleDisagreementError(f"no attempts: {self._given} {self._reported}")

    def _draw(self, pot: Pot, place: int, moment: Moment) -> int | None:
        if pot.seal is not None:
            return pot.seal.places.draw(place, moment.number - pot.seal.first)
        return self._given.pop((pot.rules.id, place), None)

    def _tips(self, pot_id: str, draw: int | None, threshold: int) -> bool | None:
        """None where a draw that decides is missing."""
        if draw is None:
            return False if threshold == 0 else True if threshold == DRAWS else None
        if not 0 <= draw < DRAWS:
            raise ValueError(f"not 64 bits: {draw}")
        return draw < self._settled(pot_id, draw, threshold)

    def _settled(self, pot_id: str, draw: int, threshold: int) -> int:
        """The system's threshold for this draw, which must be as near to ours as the last digits are."""
        if self._reported is None or threshold == 0:
            return threshold
        found = next(iter(self._reported), None)
        if found is not None and (found.pot_id, found.draw) == (pot_id, draw):
            self._reported.pop(0)
            if abs(found.threshold - threshold) <= (0 if threshold == DRAWS else NEAR):
                return found.threshold
        elif threshold <= NEAR:
            return 0  # so near to no chance at all that the system may have made no attempt
        raise OracleDisagreementError(f"{found}: should be {pot_id}, {draw}, {threshold}")


def time_tips(pot: Pot, moment: Moment) -> list[int]:
    """The hidden times whose instant has come in the running window, for the first who may win it."""
    found: list[int] = []
    at_ms = moment.at_ms
    if not may_win(pot, moment):
        return found
    for place, point in enumerate(pot.rules.hidden_times):
        window = running_window(pot, place, point, at_ms)
        if pot.seal is None:
            raise ValueError(f"hidden times of pot {pot.rules.id}, which is not sealed")
        start = max(point.start_of(window.index), pot.seal.at_ms)
        end = point.start_of(window.index + 1)
        if not window.is_done and at_ms >= pot.seal.places.instant(place, window.index, start, end):
            found.append(place)
    return found


def running_window(pot: Pot, place: int, point: HiddenTime, at_ms: int) -> Window:
    window = pot.window(place, point, at_ms)
    if window.index != point.window_at(at_ms):
        raise ValueError(f"pot {pot.rules.id}: windows that are over must be ended first")
    return window


def draw_lots(pot: Pot, moment: Moment) -> list[tuple[str, int, int]]:
    """A contributor's chance to be the candidate of each window that would be drawn for, by what they contributed."""
    worth = int(moment.worth * SCALE)
    drawn: list[tuple[str, int, int]] = []
    if not may_win(pot, moment):
        return drawn
    for place, point in enumerate(pot.rules.hidden_times):
        window = running_window(pot, place, point, moment.at_ms)
        if not point.draws_among_contributors or window.is_done or not worth:
            continue
        if pot.seal is None:
            raise ValueError(f"lots of pot {pot.rules.id}, which is not sealed")
        window.total += worth
        number = moment.number - pot.seal.first
        lot = pot.seal.places.below(window.total, f"lot {place}", number)
        if lot < worth:
            window.candidate = moment.contributor
        drawn.append((pot.rules.id, place, lot))
    return drawn


def may_win(pot: Pot, moment: Moment) -> bool:
    """Whether this contributor can win the pot at all; nothing is won for nothing, but where the operator pays all."""
    return moment.fits(pot.rules.criteria) and (moment.worth > 0 or moment.is_free)


def tips_of(
    pot: Pot,
    moment: Moment,
    value: Fraction,
    reserve: Fraction,
    came: Sequence[int],
    chance: Chance,
) -> frozenset[Tip]:
    """Everything that tips the pot for this contributor; empty if they cannot win it."""
    if not may_win(pot, moment) or not pot.is_funded(reserve):
        return frozenset()
    tips: set[Tip] = set()
    if chance.hits(pot, moment):
        tips.add("HitRate")
    if moment.worth > 0 and pot.has_reached(value):
        tips.add("Value")
    if came or pot.is_due:
        tips.add("Time")
    return frozenset(tips)
