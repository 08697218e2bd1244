"""Estimates with 95 % intervals that suit what jackpots do.

Awards are far from normal, and what one cycle does can depend on the one before. So: ratios of sums by batch means (a
life cut into stretches, or lives), means of few values by the bootstrap and of many by batch means, quantiles by order
statistics, counts of rare wins by Garwood's interval, shares of independent trials by Wilson's. Nothing here takes an
award for a normal variable.
"""

import math
from collections.abc import Sequence
from random import Random
from statistics import NormalDist, fmean, stdev

from msgspec import Struct

CONFIDENCE = 0.95
BATCHES = 40
_RESAMPLES = 1000
BOOTSTRAP_MAX = 400
BOOTSTRAP_MIN = 10
GARWOOD_MAX = 40
_EXACT_MAX = 2000
_Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
_BOOTSTRAP_SEED = 1

Interval = tuple[float, float]


class Estimate(Struct, frozen=True):
    """A figure with its 95 % interval, where there is enough for one, and the method that made it."""

    value: float | None
    ci95: Interval | None = None
    method: str | None = None


NOTHING = Estimate(None)


def student(degrees: int) -> float:
    """The 97.5 % point of Student's t, by the Cornish-Fisher expansion; within 0.1 % from 5 degrees up."""
    z = _Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / degrees**power for power, term in enumerate(terms, 1))


def ratio(above: Sequence[float], below: Sequence[float]) -> Estimate:
    """The sum of one quantity over that of another, from batches of both."""
    total = math.fsum(below)
    if not total:
        return NOTHING
    value = math.fsum(above) / total
    count = len(below)
    if count < BOOTSTRAP_MIN:
        return Estimate(value)
    errors = [up - value * down for up, down in zip(above, below, strict=True)]
    spread = math.sqrt(math.fsum(error * error for error in errors) / (count * (count - 1)))
    half = student(count - 1) * spread / (total / count)
    return Estimate(value, (value - half, value + half), "batch means")


def mean(values: Sequence[float]) -> Estimate:
    """The mean of what was observed one after the other."""
    count = len(values)
    if not count:
        return NOTHING
    value = fmean(values)
    if count < BOOTSTRAP_MIN:
        return Estimate(value)
    if count <= BOOTSTRAP_MAX:
        return Estimate(value, _bootstrap(values), "bootstrap")
    size = count // BATCHES
    means = [fmean(values[at * size : (at + 1) * size]) for at in range(BATCHES)]
    half = student(BATCHES - 1) * stdev(means) / math.sqrt(BATCHES)
    return Estimate(value, (value - half, value + half), "batch means")


def _bootstrap(values: Sequence[float]) -> Interval:
    """Percentiles of the means of resamples; always the same resamples, so that results can be repeated."""
    rng, count = Random(_BOOTSTRAP_SEED), len(values)
    means = sorted(math.fsum(rng.choices(values, k=count)) / count for _ in range(_RESAMPLES))
    cut = round(_RESAMPLES * (1 - CONFIDENCE) / 2)
    return means[cut], means[-cut - 1]


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean, as if the values were independent: standard deviation over the root of their number."""
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def quantile(ordered: Sequence[float], share: float) -> Estimate:
    """A quantile of sorted values; its interval runs between order statistics, whatever the distribution is."""
    count = len(ordered)
    if not count:
        return NOTHING
    value = ordered[min(count - 1, math.ceil(count * share) - 1 if share else 0)]
    ranks = _ranks(count, share)
    if ranks is None:
        return Estimate(value)
    low, high = ranks
    return Estimate(value, (ordered[low], ordered[high]), "order statistics")


def _ranks(count: int, share: float) -> tuple[int, int] | None:
    """Places, from 0, between which the quantile lies with at least the confidence; None where there are too few."""
    tail = (1 - CONFIDENCE) / 2
    if count > _EXACT_MAX and count * share * (1 - share) > GARWOOD_MAX:
        half = _Z * math.sqrt(count * share * (1 - share))
        return max(0, math.floor(count * share - half) - 1), min(
            count - 1, math.ceil(count * share + half)
        )
    # P(quantile below the value at place i) = P(at most i of the values lie below it), a binomial.
    below, low, high = 0.0, None, None
    for place in range(count):
        below += _binomial(count, place, share)
        if below <= tail:
            low = place
        if below >= 1 - tail:
            high = place
            break
    if low is None or high is None or high >= count:
        return None
    return low, high


def _binomial(count: int, successes: int, share: float) -> float:
    log = (
        math.lgamma(count + 1)
        - math.lgamma(successes + 1)
        - math.lgamma(count - successes + 1)
        + successes * math.log(share)
        + (count - successes) * math.log1p(-share)
    )
    return math.exp(log)


def share(hits: int, trials: int) -> Estimate:
    """The share of independent trials that hit, with Wilson's interval."""
    if not trials:
        return NOTHING
    value, square = hits / trials, _Z * _Z
    middle = (value + square / (2 * trials)) / (1 + square / trials)
    half = _Z / (1 + square / trials)
    half *= math.sqrt(value * (1 - value) / trials + square / (4 * trials * trials))
    return Estimate(value, (max(0.0, middle - half), min(1.0, middle + half)), "Wilson")


def rare_count(hits: int) -> Interval:
    """Between which means a count of rare and independent events lies (Garwood)."""
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if not hits else _chi_square(tail, 2 * hits) / 2
    return low, _chi_square(1 - tail, 2 * hits + 2) / 2


def _chi_square(probability: float, degrees: int) -> float:
    """A quantile by bisection on the Poisson sum: for even degrees the two are the same."""
    half = degrees // 2

    def above(value: float) -> float:
        term = total = math.exp(-value / 2)
        for at in range(1, half):
            term *= value / 2 / at
            total += term
        return total

    low, high = 0.0, 10.0 * degrees + 50
    for _ in range(80):
        middle = (low + high) / 2
        if above(middle) > 1 - probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def each_hit(amounts: Sequence[float], hits: Sequence[int]) -> Estimate:
    """How much of something there is to one hit, from batches: by counts where hits are few."""
    total, count = math.fsum(amounts), sum(hits)
    if not count:
        return NOTHING
    if count < GARWOOD_MAX:
        low, high = rare_count(count)
        return Estimate(total / count, (total / high, total / low), "Garwood")
    return ratio(amounts, hits)


def frequency(hits: Sequence[int], amounts: Sequence[float]) -> Estimate:
    """How many hits there are to one of something, from batches."""
    total, count = math.fsum(amounts), sum(hits)
    if not total:
        return NOTHING
    if count < GARWOOD_MAX:
        low, high = rare_count(count)
        return Estimate(count / total, (low / total, high / total), "Garwood")
    return ratio(hits, amounts)
