"""The chance of the real `decide`, counted: within three standard errors of the formula, with fixed seeds."""

import random
from math import sqrt

import pytest
from msgspec.structs import replace

from jackpotd.core import decide
from jackpotd.core import evolve as transitions
from jackpotd.core.commands import Bet, Contribute
from jackpotd.core.events import PotWon
from jackpotd.core.fairness import PotStream
from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Rejection
from jackpotd.core.rules import HitRate
from jackpotd.core.state import UNKNOWN_PLAYER, Definition, Instance, Status
from jackpotd.testing.sealed import SealedPlay
from jackpotd.testing.templates import compiled, random_template, rates

TRIALS = 12_000


def one_pot(outcomes: int, cost: str) -> Instance:
    """A pot, sealed, that always has enough to pay, on half of each base wager."""
    template = random_template(random.Random(1))
    template |= {"currency": "EUR", "house_hold_contribution": {"Percentage": "0.5"}}
    template["contribution_rules"] = {
        "opt_in_required": False,
        "contribution_type": {"Percentage": "0.5"},
    }
    pot = template["pots"][0] | {
        "is_progressive": True,
        "contribution": {"Percentage": "0.5"},
        "max_instantiation_count": None,
        "pot_types": [{"HitRate": {"max_magic_number": outcomes, "cost_per_attempt": cost}}],
    }
    pot["seed_strategy"]["initial_seed_value"] = "100"
    template["pots"] = [pot]
    definition = Definition("id", "", "op", "t", "op", 0, compiled(template))
    return SealedPlay("id").begun(transitions.create(definition, Status.ACTIVE))


def command(wager: int, currency: str = "EUR") -> Contribute:
    return Contribute(
        at_ms=1,
        round_id="round",
        streams=(PotStream(bytes(32)),),
        bet=Bet("op:a", "anna", None, None, None, currency, wager, None, "gameround", None),
        rates=rates(),
    )


def is_hit(state: Instance, asked: Contribute, rng: random.Random) -> bool:
    """Whether a contribution with a fresh draw wins; the state is the same for every trial."""
    asked = replace(asked, streams=(PotStream(rng.randbytes(32)),))
    outcome = decide.contribute(state, UNKNOWN_PLAYER, asked)
    assert not isinstance(outcome, Rejection)
    return any(isinstance(item, PotWon) for item in outcome)


def assert_within_three_errors(hits: int, chance: float, trials: int = TRIALS) -> None:
    error = sqrt(chance * (1 - chance) / trials)
    assert abs(hits / trials - chance) <= 3 * error, (hits, chance * trials)


@pytest.mark.parametrize("currency", ["EUR", "USD"])
@pytest.mark.parametrize(
    ("outcomes", "attempts"), [(2, 1.0), (5, 0.25), (20, 1.0), (50, 10.0), (1_000, 100.0)]
)
def test_chance_of_a_hit_is_the_formula_s(outcomes: int, attempts: float, currency: str) -> None:
    """Hits of 12,000 contributions worth c are 1 - (1 - 1/N)^(c/k), in the jackpot's currency and in another."""
    rng = random.Random(f"{outcomes} {attempts} {currency}")
    state = one_pot(outcomes, "0.1")
    wager = round(attempts * SCALE / 5) * rates()[currency] // SCALE
    asked = command(wager, currency)
    hits = sum(is_hit(state, asked, rng) for _ in range(TRIALS))

    assert_within_three_errors(hits, 1 - (1 - 1 / outcomes) ** attempts)


def test_chance_does_not_change_when_a_wager_is_split_in_ten() -> None:
    """Ten wagers of a tenth win something as often as one wager: the same formula fits both."""
    rng = random.Random(10)
    state = one_pot(30, "0.1")
    whole, tenth = command(2 * SCALE), command(2 * SCALE // 10)
    chance = 1 - (1 - 1 / 30) ** 10
    trials = TRIALS // 4
    once = sum(is_hit(state, whole, rng) for _ in range(trials))
    split = sum(any(is_hit(state, tenth, rng) for _ in range(10)) for _ in range(trials))

    assert_within_three_errors(once, chance, trials)
    assert_within_three_errors(split, chance, trials)


def test_chance_of_one_in_one_is_certainty_and_of_no_money_is_none() -> None:
    """N = 1 wins on every draw; a base wager of 0 wins on none."""
    state = one_pot(1, "0.1")
    for wager, wins in ((1, False), (2, True), (SCALE, True), (0, False)):
        outcome = decide.contribute(state, UNKNOWN_PLAYER, command(wager))
        assert not isinstance(outcome, Rejection)
        assert wins is any(isinstance(item, PotWon) for item in outcome)


def test_chance_with_k_zero_is_one_attempt_whatever_the_contribution() -> None:
    """k = 0, the operator pays all: a wager of 0 and one of 1,000 win one time in N."""
    state = one_pot(4, "0.1")
    pot = replace(state.rules.pots[0], hit_rates=(HitRate(outcomes=4, cost_units=0),))
    rules = replace(state.rules, operator_share=SCALE, pots=(pot,))
    state = transitions.create(replace(state.definition, rules=rules), Status.ACTIVE)
    state = SealedPlay("id").begun(state)
    rng = random.Random(4)
    for wager in (0, 1_000 * SCALE):
        hits = sum(is_hit(state, command(wager), rng) for _ in range(TRIALS // 4))
        assert_within_three_errors(hits, 0.25, TRIALS // 4)
