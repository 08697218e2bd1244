"""The core against the oracle: the same template, the same history, everything equal after every step.

Random templates with every feature of the contract, and random histories of contributions, passing time, opt-ins,
triggers, boosts, adjustments, decisions on withheld wins, changes of parameters, pauses and transfers. The ledger is
checked after every event, by the core and by the oracle.
"""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from jackpotd.core.commands import Bet
from jackpotd.core.events import Contributed
from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Status
from jackpotd.testing.core_driver import RATES, CoreInstance, assert_replays
from jackpotd.testing.histories import UNLISTED, decommission, history
from jackpotd.testing.templates import MULTIPLIERS, compiled


@settings(derandomize=True, deadline=None, max_examples=120)
@given(st.integers(0, 2**48), st.sampled_from((25, 100, 200)))
def test_core_agrees_with_the_oracle_over_long_histories(seed: int, steps: int) -> None:
    """Random templates, currencies, players, operators and times: everything equal after every step."""
    run = history(seed)
    run.play(steps)

    assert_replays(run.pair.core)
    for what in run.pair.seen:
        event(what)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 2**48))
def test_core_agrees_with_the_oracle_on_plain_templates(seed: int) -> None:
    """The same where a template has HitRate pots alone, which the core takes a shorter way through."""
    run = history(seed, features=())
    run.play(120)

    assert_replays(run.pair.core)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 2**48))
def test_money_that_is_sent_to_another_instance_arrives_whole(seed: int) -> None:
    """Two random instances play, one is decommissioned into the other, which plays on; then both are terminated."""
    run, to = history(seed, instance_id="a"), history(seed + 1, instance_id="b")
    run.play(30)
    to.play(30)
    decommission(run, to)
    to.play(30)
    for each in (run, to):
        each.status(Status.TERMINATED)
        assert_replays(each.pair.core)


def test_core_and_oracle_have_met_every_branch() -> None:
    """The properties above are worth something: all that a template can do occurs in histories like theirs."""
    total: Counter[str] = Counter()
    for seed in range(120):
        run, to = history(seed, instance_id="a"), history(seed + 1, instance_id="b")
        run.play(90)
        to.play(10)
        total[str(run.pair.core.state.status)] += 1
        decommission(run, to)
        total += run.pair.seen + to.pair.seen

    for what in (
        *(f"won by {tip}" for tip in ("HitRate", "Value", "Time", "TimeFallback", "Trigger")),
        "several pots won",
        "pots closed",
        "deficits",
        "boosts used",
        "withheld",
        "release",
        "rejection",
        "adjustment",
        "adjustment refused",
        "trigger refused",
        "changes",
        "changes dropped",
        "tips held",
        "lots",
        "windows ended",
        "community ActivePlayers",
        "community HighestContributionPerWin",
        "community HighestLifetimeContributor",
        "Active to Paused",
        "sent",
        "taken",
        "NegativeWager",
        "ContributionOutOfRange",
        "JackpotNotActive",
        UNLISTED,
        "Ended",
        "Ended to Terminated",
        "Paused to Terminated",
    ):
        assert total[what] >= 3, (what, total)


@pytest.mark.parametrize("jackpot", ["EUR", "USD", "JPY", "KWD"])
def test_core_gives_equal_money_an_equal_chance_in_every_currency(jackpot: str) -> None:
    """The same percentage of wagers that are worth the same is the same worth, but for the last unit of money."""
    template = history(5, features=()).pair.template
    template["currency"] = jackpot
    template["contribution_rules"] |= {
        "contribution_type": {"Percentage": "0.5"},
        "currency_values": {},
        "opt_in_required": False,
    }
    found = set()
    for currency in MULTIPLIERS:
        instance = CoreInstance(compiled(template))
        wager = 7 * SCALE * RATES[currency] // SCALE
        done = instance.contribute(
            Bet("op:a", "anna", None, None, None, currency, wager, None, "gameround", None), 1
        )
        assert not isinstance(done, Rejection)
        found.add(done.of(Contributed)[0].worth)

    exact = Fraction(7 * RATES[jackpot], 2)
    assert all(abs(worth - exact) <= Fraction(RATES[jackpot], 43_217) + 1 for worth in found)
