"""The result of a simulation: everything that the table, the JSON and the report show.

Returns are relative to the base wagers. The same plan gives the same figures to the last digit: no clock, no machine
and no number of processes stands in them, but for the number of lives.
"""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from jackpotd.core.money import SCALE
from jackpotd.simulation import advice, estimates, population, pot_figures
from jackpotd.simulation.advice import Warned
from jackpotd.simulation.book import Batch, Book
from jackpotd.simulation.estimates import Estimate, Interval
from jackpotd.simulation.life import Plan
from jackpotd.simulation.pot_figures import PotFigures

_MS = 1000.0
_DAY_S = 86_400.0

METHODS = {
    "rtp": "ratio of sums, interval by batch means: stretches of lives, or whole lives where there are many",
    "mean_award": "bootstrap up to 400 awards, batch means beyond; no interval below 10",
    "stderr_award": "standard deviation over the root of the hits; awards are far from normal",
    "mean_stake_between_hits": "stake over hits; Garwood's interval for counts below 40 hits, batch means beyond",
    "quantiles": "order statistics",
    "shares": "Wilson's interval where trials are independent, batch means where they hang together",
    "confidence": "95 %",
}


class Template(Struct, frozen=True):
    """Which template was simulated."""

    id: str | None
    name: str
    currency: str


class Simulated(Struct, frozen=True):
    """How much was simulated; amounts in the template's currency, `days` of the stated arrivals in all lives."""

    offered: int
    days: float
    stake: float
    mean_stake: float | None
    contributed: float
    jackpots_ended: int


class Returns(Struct, frozen=True):
    """What players got back, relative to the base wagers: `total` is the sum of the three.

    `growth` and `seed` are the winners' own parts, by where the money of the pot came from; `community` is what
    community winners got.
    """

    total: float | None
    growth: float | None
    seed: float | None
    community: float | None


class ReturnIntervals(Struct, frozen=True):
    """The 95 % intervals of the same."""

    total: Interval | None
    growth: Interval | None
    seed: Interval | None
    community: Interval | None


class Accounts(Struct, frozen=True):
    """Where the money came from and where it is, relative to the base wagers.

    `in_pots` and `in_reserves` are what lives held at their ends: growth that was not won yet is not in the returns.
    `paid_of_contributed` is what was paid, relative to what was contributed.
    """

    contributed: float | None
    operator_part: float | None
    house: float | None
    in_pots: float | None
    in_reserves: float | None
    initial_seeds: float | None
    seeds_from_reserve: float | None
    seeds_from_boost: float | None
    seeds_from_operator: float | None
    paid_of_contributed: Estimate


class Liability(Struct, frozen=True):
    """What the operator would have to hand over at one moment: pots, reserves and withheld wins, of one life."""

    highest: float
    mean: Estimate


class Figures(Struct, frozen=True):
    """All of it."""

    contributions: int
    refused: dict[str, int]
    seed: int
    lives: int
    meaning: str
    template: Template
    population: dict[str, Any]
    simulated: Simulated
    rtp: Returns
    rtp_ci95: ReturnIntervals
    accounts: Accounts
    hits: int
    pots: dict[str, PotFigures]
    liability: Liability
    warnings: list[Warned]
    methods: dict[str, str]


def figures_of(plan: Plan, book: Book, template: Template, house_edge: float | None) -> Figures:
    """The figures of some lives."""
    batches = book.batches
    per_second = plan.population.per_second
    pots = {
        rules.id: pot_figures.figures_of(at, rules, book, per_second)
        for at, rules in enumerate(plan.rules.pots)
    }
    rtp, intervals = _returns(batches)
    return Figures(
        contributions=book.contributions,
        refused=dict(sorted(book.refused.items())),
        seed=plan.seed,
        lives=plan.lives,
        meaning=meaning(plan.lives),
        template=template,
        population=population.described(plan.population),
        simulated=Simulated(
            offered=book.offered,
            days=book.elapsed_ms / _MS / _DAY_S,
            stake=book.staked / SCALE,
            mean_stake=book.staked / book.contributions / SCALE if book.contributions else None,
            contributed=book.contributed / SCALE,
            jackpots_ended=book.ended,
        ),
        rtp=rtp,
        rtp_ci95=intervals,
        accounts=_accounts(book),
        hits=sum(pot.hits for pot in book.pots),
        pots=pots,
        liability=_liability(book),
        warnings=advice.warnings_of(plan, book, house_edge),
        methods=METHODS,
    )


def meaning(lives: int) -> str:
    """What the number of lives means for whoever reads the figures."""
    if lives == 1:
        return "one jackpot, from its initial state on, took all contributions"
    return (
        f"{lives} jackpots, each with its own initial seeds and players, shared the contributions; figures are of "
        "all of them together, liability is of one"
    )


def _returns(batches: Sequence[Batch]) -> tuple[Returns, ReturnIntervals]:
    parts: dict[str, Callable[[Batch], float]] = {
        "total": lambda batch: batch.growth + batch.seed + batch.community,
        "growth": lambda batch: batch.growth,
        "seed": lambda batch: batch.seed,
        "community": lambda batch: float(batch.community),
    }
    staked = [float(batch.staked) for batch in batches]
    found = {
        name: estimates.ratio([part(batch) for batch in batches], staked)
        for name, part in parts.items()
    }
    return (
        Returns(**{name: each.value for name, each in found.items()}),
        ReturnIntervals(**{name: each.ci95 for name, each in found.items()}),
    )


def _accounts(book: Book) -> Accounts:
    def relative(units: float) -> float | None:
        return units / book.staked if book.staked else None

    paid = [batch.growth + batch.seed + batch.community for batch in book.batches]
    return Accounts(
        contributed=relative(book.contributed),
        operator_part=relative(book.operator_part),
        house=relative(book.house),
        in_pots=relative(sum(pot.held_value for pot in book.pots)),
        in_reserves=relative(sum(pot.held_reserve for pot in book.pots)),
        initial_seeds=relative(sum(pot.initial for pot in book.pots)),
        seeds_from_reserve=relative(sum(pot.from_reserve for pot in book.pots)),
        seeds_from_boost=relative(sum(pot.from_boost for pot in book.pots)),
        seeds_from_operator=relative(sum(pot.deficit for pot in book.pots)),
        paid_of_contributed=estimates.ratio(
            paid, [float(batch.contributed) for batch in book.batches]
        ),
    )


def _liability(book: Book) -> Liability:
    """The mean weighs each batch by its length; stretches of one life follow each other, so the interval is rough."""
    lengths = [float(batch.contributions) for batch in book.batches]
    owed = [
        batch.liability / SCALE * length
        for batch, length in zip(book.batches, lengths, strict=True)
    ]
    return Liability(book.liability_highest / SCALE, estimates.ratio(owed, lengths))
