"""Warnings for whoever designs a jackpot: what template and lives say that a player or an operator will not like.

A warning never stops a simulation. It goes by the formulae where these are exact, else by what happened.
"""

from collections.abc import Iterator

from msgspec import Struct

from jackpotd.core.money import SCALE
from jackpotd.core.rules import Fallback, PotRules, Rules
from jackpotd.simulation import formulas
from jackpotd.simulation.book import Book, PotBook
from jackpotd.simulation.life import Plan
from jackpotd.simulation.population import Group

ENOUGH_HITS = 30
FEW_HITS = 10
EMPTY_WINDOW_MAX = 0.01
RARE_ODDS = 100_000_000
UNFOUND_MAX = 0.1
_YEAR_S = 365.25 * 86_400


class Warned(Struct, frozen=True):
    """Something to think about; `pot` is its id, or None for the whole template."""

    code: str
    pot: str | None
    message: str


def warnings_of(plan: Plan, book: Book, house_edge: float | None) -> list[Warned]:
    """All that there is to say, the template first, then its pots in order."""
    found = list(_of_template(plan.rules, book))
    for at, rules in enumerate(plan.rules.pots):
        found += _Pot(plan, book, at, rules, house_edge).warnings()
    return found


def _of_template(rules: Rules, book: Book) -> Iterator[Warned]:
    paid = sum(pot.paid for pot in book.pots)
    if book.contributed and paid > book.contributed:
        yield Warned(
            "PAYS_MORE_THAN_IT_TAKES",
            None,
            f"{paid / book.contributed:.1%} of what was contributed was paid out: the operator adds to it for ever",
        )
    if not rules.house_share:
        yield Warned(
            "HOUSEHOLD_ZERO",
            None,
            "the household gets nothing: no contribution pays for what reserves lack",
        )
    refused = sum(book.refused.values())
    if refused:
        most = max(book.refused, key=book.refused.__getitem__)
        yield Warned(
            "REFUSED",
            None,
            f"{refused / (refused + book.contributions):.1%} of the contributions were refused, most of them {most}",
        )


class _Pot:
    """What there is to say of one pot."""

    def __init__(
        self, plan: Plan, book: Book, at: int, rules: PotRules, house_edge: float | None
    ) -> None:
        self._population, self._currency = plan.population, plan.rules.currency
        self._all, self._rules, self._house_edge = plan.rules, rules, house_edge
        self._book, self._pot = book, book.pots[at]
        self._worth = book.contributed / book.contributions / SCALE if book.contributions else 0.0

    def warnings(self) -> list[Warned]:
        return [
            *self._wins(),
            *self._seeds(),
            *self._ceiling(),
            *self._windows(),
            *self._break_even(),
            *self._criteria(),
            *self._community(),
        ]

    def _warned(self, code: str, message: str) -> Warned:
        return Warned(code, self._rules.id, message)

    def _contributed_between(self) -> tuple[float | None, str]:
        """What is contributed between hits, and where that is known from."""
        hits = self._pot.hits
        expected = formulas.expected_contributed(self._rules, self._worth)
        if hits >= ENOUGH_HITS and (not self._rules.is_plain or expected is None):
            return self._book.contributed / hits / SCALE, "as simulated"
        return expected, "by its chances"

    def _wins(self) -> Iterator[Warned]:
        rules, hits = self._rules, self._pot.hits
        p = formulas.chance(
            rules, self._worth
        )  # R-DIS-4 asks for odds beyond 1 in 100,000,000 to be shown
        only_draws = rules.hit_rates and not rules.hidden_values and not rules.hidden_times
        per_year = p * self._population.per_second * _YEAR_S
        if only_draws and per_year < 1:
            yield self._warned(
                "NOBODY_IN_A_YEAR",
                f"at {self._population.per_second:g} contributions per second it is won {per_year:.2g} times a year",
            )
        if only_draws and p * RARE_ODDS < 1:
            yield self._warned(
                "RARER_THAN_1_IN_100_MILLION",
                f"an average contribution wins it with a chance of {p:.3g}: its odds have to be shown",
            )
        if not rules.hit_rates and not rules.hidden_values and not rules.hidden_times:
            yield self._warned(
                "TRIGGER_ALONE", "only its external trigger tips it, which is not simulated"
            )
        elif not hits:
            yield self._warned("NO_HITS", "it was never won: simulate more contributions")
        elif hits < FEW_HITS:
            yield self._warned(
                "FEW_HITS",
                f"it was won {hits} times only: its figures are rough, intervals say how",
            )

    def _seeds(self) -> Iterator[Warned]:
        rules = self._rules
        seed = rules.min_reseed / SCALE
        if not seed or rules.cycles_max == 1:
            return
        share = formulas.reserve_share(rules)
        between, source = self._contributed_between()
        # One that opens when it is funded waits for its seed; a ceiling sends more to the reserve than its share.
        collected = None if between is None else share * between
        if rules.value_max is not None and self._pot.hits >= ENOUGH_HITS:
            collected = sum(self._pot.collected) / len(self._pot.collected) / SCALE
        is_short = collected is not None and collected < seed and not rules.opens_when_funded
        if is_short and between and collected is not None:
            yield self._warned(
                "SEED_NOT_FUNDED",
                f"its reserve collects {collected:,.2f} {self._currency} between two hits ({source}) and "
                f"{seed:,.2f} are reseeded: the operator pays the rest, {self._short()}; it needs "
                f"{seed / between:.2%} of each contribution (b* = s / V), not {share:.2%}",
            )
        if rules.opens_when_funded and not share:
            yield self._warned(
                "NEVER_OPENS",
                "it opens when its next seed is covered, and nothing goes to its reserve",
            )

    def _short(self) -> str:
        if not self._pot.reseeds:
            return "at every reseed that is short"
        return f"at {self._pot.short / self._pot.reseeds:.0%} of the reseeds"

    def _ceiling(self) -> Iterator[Warned]:
        rules = self._rules
        if rules.value_max is None:
            return
        ceiling = rules.value_max / SCALE
        between, source = self._contributed_between()
        # What happened is cut at the ceiling, so the growth is reckoned without it (R-CHG-2).
        if between is not None:
            trigger = rules.min_reseed / SCALE + formulas.growth_share(rules) * between
            if ceiling < trigger:
                yield self._warned(
                    "CEILING_BELOW_TRIGGER",
                    f"its ceiling of {ceiling:,.2f} {self._currency} lies below the {trigger:,.2f} at which it would "
                    f"be won on average ({source}); the excess goes to its reserve",
                )

    def _windows(self) -> Iterator[Warned]:
        for point in self._rules.hidden_times:
            per_window = self._population.per_second * point.every_ms / 1000
            nobody = formulas.nobody_comes(per_window)
            if nobody <= EMPTY_WINDOW_MAX:
                continue
            then = "rolls over"
            if point.fallback is Fallback.DRAW_AMONG_CONTRIBUTORS:
                then = "is drawn among its contributors, where it has any"
            yield self._warned(
                "WINDOW_OFTEN_EMPTY",
                f"with {per_window:,.3g} contributions a window, nobody comes after its instant in {nobody:.1%} of the "
                f"windows: the drop then {then}",
            )

    def _break_even(self) -> Iterator[Warned]:
        """F4 knows of one uniform value alone."""
        rules, edge = self._rules, self._house_edge
        if edge is None or len(rules.hidden_values) != 1 or not self._book.staked:
            return
        rate = formulas.growth_share(rules) * self._book.contributed / self._book.staked
        if not rate:
            return
        value = rules.hidden_values[0]
        high, start = value.high / SCALE, max(value.low, rules.min_reseed) / SCALE
        at = formulas.break_even(high, rate, edge)
        if at < high:
            part = (high - max(at, start)) / (high - start) if high > start else 1.0
            yield self._warned(
                "WORTH_WAITING_FOR",
                f"above {at:,.2f} {self._currency} it is worth more to players than a game with an edge of {edge:.2%} "
                f"costs them: {part:.0%} of its cycles get there, and players who wait for it win them",
            )

    def _criteria(self) -> Iterator[Warned]:
        criteria = self._rules.criteria
        if criteria is None:
            return
        names = [
            group.name
            for group in self._population.groups
            if not _may_fit(group, self._rules, self._all)
        ]
        if names:
            whole = len(names) == len(self._population.groups)
            yield self._warned(
                "CRITERIA_EXCLUDE",
                "nobody of the population fits its criteria: it is never won"
                if whole
                else f"its criteria keep these groups from winning it: {', '.join(names)}",
            )

    def _community(self) -> Iterator[Warned]:
        pot: PotBook = self._pot
        for at, strategy in enumerate(self._rules.community):
            places = strategy.winners * pot.hits
            if places and pot.payouts[at] < (1 - UNFOUND_MAX) * places:
                yield self._warned(
                    "COMMUNITY_NOT_FOUND",
                    f"{1 - pot.payouts[at] / places:.0%} of the places of {strategy.kind.value} found nobody who could "
                    "be paid: their parts stayed in the pot",
                )


def _may_fit(group: Group, pot: PotRules, rules: Rules) -> bool:
    criteria = pot.criteria
    if criteria is None:
        return True
    if criteria.currencies is not None and group.currency not in criteria.currencies:
        return False
    segments = group.segments
    if segments is None and rules.allowed_segments:
        segments = (min(rules.allowed_segments),)
    return criteria.segments is None or not criteria.segments.isdisjoint(segments or ())
