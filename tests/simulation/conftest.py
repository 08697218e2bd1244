"""Templates with one pot, and lives of them, for the tests of the simulation."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from jackpotd.core.rules import Rules
from jackpotd.simulation import estimates, population, templates, workers
from jackpotd.simulation.book import Book
from jackpotd.simulation.figures import Figures, Template, figures_of
from jackpotd.simulation.life import Plan
from jackpotd.simulation.population import Population

Json = dict[str, Any]

MakeTemplate = Callable[..., Json]
MakeRules = Callable[[Json], Rules]
Simulate = Callable[..., tuple[Figures, Book]]


def template_of(*pots: Json, **changes: Any) -> Json:
    """A template of which each contribution is 1 % of the base wager, and no household takes a part."""
    return {
        "name": "simulated",
        "currency": "EUR",
        "contribution_rules": {
            "opt_in_required": True,
            "contribution_type": {"Percentage": 0.01},
        },
        "house_hold_contribution": {"Percentage": 0},
        "pots": list(pots),
        **changes,
    }


def pot_of(**changes: Any) -> Json:
    """A pot of seed 10 that takes everything and is won by one in 200 contributions of 1 cent."""
    seed = changes.pop("seed", 10)
    strategy = {"initial_seed_value": seed, "min_reseed_value": seed}
    return {
        "id": "main",
        "contribution": {"Percentage": 1},
        "seed_contribution": {"Percentage": 0},
        "seed_strategy": strategy | changes.pop("strategy", {}),
        "pot_types": [{"HitRate": {"max_magic_number": 200, "cost_per_attempt": 0.01}}],
        **changes,
    }


def rules_of(template: Json) -> Rules:
    """The rules of a template, as the command reads them."""
    return templates.read(msgspec.json.encode(template))[0]


def simulated(
    template: Json,
    contributions: int,
    *,
    seed: int = 1,
    lives: int = 1,
    processes: int = 1,
    people: Population | None = None,
    house_edge: float | None = None,
    **flags: Any,
) -> tuple[Figures, Book]:
    """The figures of a template, and the book behind them."""
    rules = rules_of(template)
    plan = Plan(
        rules=rules,
        population=people or population.from_flags(rules.currency, **flags),
        contributions=contributions,
        lives=lives,
        seed=seed,
        batches=estimates.BATCHES,
    )
    book = workers.run(plan, processes, lambda _done: None)
    named = Template(id=None, name=template["name"], currency=rules.currency)
    return figures_of(plan, book, named, house_edge), book


@pytest.fixture
def template() -> MakeTemplate:
    return template_of


@pytest.fixture
def pot() -> MakeTemplate:
    return pot_of


@pytest.fixture
def rules() -> MakeRules:
    return rules_of


@pytest.fixture
def simulate() -> Simulate:
    return simulated
