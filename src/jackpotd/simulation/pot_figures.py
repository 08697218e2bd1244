"""What the lives say of one pot. Amounts are in the template's currency, times in seconds."""

from collections.abc import Sequence

from msgspec import Struct

from jackpotd.core.money import SCALE
from jackpotd.core.rules import HiddenTime, PotRules
from jackpotd.simulation import estimates, formulas, reserve
from jackpotd.simulation.book import Batch, Book, PotBook
from jackpotd.simulation.estimates import Estimate, Interval
from jackpotd.simulation.reserve import ReserveFigures
from jackpotd.simulation.samples import Sample

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_MS = 1000.0
_DAY_S = 86_400.0


class Quantile(Struct, frozen=True):
    """The value below which this share lies."""

    share: float
    value: float
    ci95: Interval | None


class Spread(Struct, frozen=True):
    """The distribution of something."""

    mean: Estimate
    lowest: float
    highest: float
    quantiles: list[Quantile]


class WindowFigures(Struct, frozen=True):
    """Windows of hidden times: won at the instant, drawn among contributors at the end, or empty.

    `formula_nobody` is the chance that nobody comes after the instant, at the stated rate (F7).
    """

    windows: int
    won: int
    drawn: int
    nobody_came: Estimate
    formula_nobody: float


class CommunityFigures(Struct, frozen=True):
    """One strategy: how many of its places found somebody, and what it paid."""

    kind: str
    places: int
    found: int
    paid: float


class PotFigures(Struct, frozen=True):
    """One pot. An award is all that left the pot at a win, the community's parts included.

    `value_at_end` and `reserve_at_end` are means over the ends of jackpots.
    """

    hits: int
    mean_award: float | None
    stderr_award: float | None
    mean_award_ci95: Interval | None
    mean_award_method: str | None
    mean_stake_between_hits: float | None
    mean_stake_between_hits_ci95: Interval | None
    mean_stake_between_hits_method: str | None
    mean_win: float | None
    rtp: float | None
    rtp_growth: float | None
    rtp_seed: float | None
    rtp_community: float | None
    hit_frequency: Estimate
    hits_per_day: Estimate
    award: Spread | None
    stake_between_hits: Spread | None
    seconds_between_hits: Spread | None
    tips: dict[str, int]
    tips_held: int
    withheld: int
    times_closed: int
    value_at_end: float
    reserve_at_end: float
    reserve: ReserveFigures
    windows: WindowFigures | None
    community: list[CommunityFigures]


def figures_of(at: int, rules: PotRules, book: Book, per_second: float) -> PotFigures:
    """The figures of the pot at this place."""
    pot, batches = book.pots[at], book.batches
    hits = [batch.pots[at][0] for batch in batches]
    award = _spread(pot.awards, 1 / SCALE)
    mean_award = estimates.NOTHING if award is None else award.mean
    between = estimates.each_hit([batch.staked / SCALE for batch in batches], hits)
    contributions = [float(batch.contributions) for batch in batches]
    frequency = estimates.frequency(hits, contributions)
    ends = book.lives + book.ended
    return PotFigures(
        hits=pot.hits,
        mean_award=pot.paid / pot.hits / SCALE if pot.hits else None,
        stderr_award=_or_none(estimates.standard_error(pot.awards.kept)),
        mean_award_ci95=mean_award.ci95,
        mean_award_method=mean_award.method,
        mean_stake_between_hits=between.value,
        mean_stake_between_hits_ci95=between.ci95,
        mean_stake_between_hits_method=between.method,
        mean_win=pot.won / pot.hits / SCALE if pot.hits else None,
        rtp=_of_stake(pot.paid, book),
        rtp_growth=_of_stake(pot.growth, book),
        rtp_seed=_of_stake(pot.seed, book),
        rtp_community=_of_stake(pot.community, book),
        hit_frequency=frequency,
        hits_per_day=_scaled(frequency, per_second * _DAY_S),
        award=award,
        stake_between_hits=_spread(pot.stakes, 1 / SCALE),
        seconds_between_hits=_spread(pot.times_ms, 1 / _MS),
        tips=dict(sorted(pot.tips.items())),
        tips_held=pot.tips_held,
        withheld=pot.withheld,
        times_closed=pot.times_closed,
        value_at_end=pot.held_value / SCALE / ends,
        reserve_at_end=pot.held_reserve / SCALE / ends,
        reserve=reserve.figures_of(pot, rules, book.staked, book.contributed, _shorts(at, batches)),
        windows=_windows(pot, rules.hidden_times, per_second),
        community=_community(pot, rules),
    )


def _or_none(value: float | None) -> float | None:
    return None if value is None else value / SCALE


def _of_stake(units: float, book: Book) -> float | None:
    return units / book.staked if book.staked else None


def _shorts(at: int, batches: Sequence[Batch]) -> list[tuple[int, int]]:
    return [(batch.pots[at][4], batch.pots[at][3]) for batch in batches]


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    if estimate.value is None:
        return estimate
    ci95 = estimate.ci95
    scaled = None if ci95 is None else (ci95[0] * factor, ci95[1] * factor)
    return Estimate(estimate.value * factor, scaled, estimate.method)


def _spread(sample: Sample, factor: float) -> Spread | None:
    if sample.lowest is None or sample.highest is None:
        return None
    values = [value * factor for value in sample]
    mean = estimates.mean(values)
    ordered = sorted(values)
    quantiles = []
    for share in QUANTILES:
        found = estimates.quantile(ordered, share)
        if found.value is not None:
            quantiles.append(Quantile(share, found.value, found.ci95))
    return Spread(mean, sample.lowest * factor, sample.highest * factor, quantiles)


def _windows(pot: PotBook, points: Sequence[HiddenTime], per_second: float) -> WindowFigures | None:
    if not points:
        return None
    shortest_s = min(point.every_ms for point in points) / _MS
    return WindowFigures(
        windows=pot.windows,
        won=pot.windows_dropped,
        drawn=pot.windows_drawn,
        nobody_came=estimates.share(pot.windows - pot.windows_dropped, pot.windows),
        formula_nobody=formulas.nobody_comes(per_second * shortest_s),
    )


def _community(pot: PotBook, rules: PotRules) -> list[CommunityFigures]:
    return [
        CommunityFigures(
            kind=strategy.kind.value,
            places=strategy.winners * pot.hits,
            found=pot.payouts[at],
            paid=pot.paid_by_strategy[at] / SCALE,
        )
        for at, strategy in enumerate(rules.community)
    ]
