"""Lives of jackpots: their money closes, they end and begin again, and nothing but the seed decides them."""

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from jackpotd.core import ledger, sealing
from jackpotd.core.money import SCALE
from jackpotd.core.rules import Rules
from jackpotd.core.state import Status
from jackpotd.simulation import estimates, population, workers
from jackpotd.simulation.book import Book
from jackpotd.simulation.figures import Figures
from jackpotd.simulation.life import Life, Plan
from jackpotd.testing.templates import EVERYTHING, MULTIPLIERS, compiled, random_template

Json = dict[str, Any]
Make = Callable[..., Json]
MakeRules = Callable[[Json], Rules]
Simulate = Callable[..., tuple[Figures, Book]]

CURRENCIES = ",".join(f"{code}={rate}" for code, rate in MULTIPLIERS.items())


def plan_of(rules: Rules, contributions: int, lives: int = 1, **flags: Any) -> Plan:
    return Plan(
        rules=rules,
        population=population.from_flags(rules.currency, **flags),
        contributions=contributions,
        lives=lives,
        seed=11,
        batches=estimates.BATCHES,
    )


@pytest.mark.parametrize("seed", range(25))
def test_money_closes_in_lives_of_any_template(seed: int) -> None:
    """What came in is paid, held or the household's, to the last unit; the book says the same as the ledger."""
    rules = compiled(random_template(random.Random(seed), ("op:a",), EVERYTHING))
    plan = plan_of(rules, 1_500, stake="lognormal:2:1", currencies=CURRENCIES, per_second=0.02)
    life = Life(plan, 0)
    book = life.run(plan.contributions, lambda _done: None)
    state = life._state
    ledger.check_whole(state)

    came_in = book.contributed + sum(pot.initial + pot.deficit for pot in book.pots)
    paid = sum(pot.paid for pot in book.pots)
    held = sum(pot.held_value + pot.held_reserve for pot in book.pots)
    boosts = sum(pot.boost for pot in state.rare.pots)
    carried = came_in - paid - held - boosts - book.house
    if book.ended:
        assert carried >= 0  # what divisions carried of the jackpots that ended is the household's
    else:
        assert carried == ledger.residual(state)
    assert book.contributions + sum(book.refused.values()) == 1_500
    assert state.rare.held == ()
    for at, seal in enumerate(state.rare.seals):
        assert (seal is not None) == sealing.goes_on(state, at)


def test_parts_of_the_return_add_up_to_what_was_paid(
    template: Make, pot: Make, simulate: Simulate
) -> None:
    """Growth, seed and community are a partition of all that left the pots."""
    figures, book = simulate(template(pot(seed_contribution={"Percentage": 0.5})), 20_000)
    main = book.pots[0]

    assert main.growth + main.seed + main.community == pytest.approx(main.paid)
    assert figures.rtp.total == pytest.approx(main.paid / book.staked)
    assert figures.pots["main"].mean_award == main.paid / main.hits / SCALE


def test_jackpot_that_is_used_up_begins_again(
    template: Make, pot: Make, simulate: Simulate
) -> None:
    """A pot of two drops ends its jackpot; the next one of the kind goes on, so all contributions count."""
    figures, book = simulate(template(pot(max_instantiation_count=2)), 20_000)

    assert book.ended == book.pots[0].hits // 2 > 10
    assert figures.contributions == 20_000
    assert figures.refused == {}
    assert book.pots[0].reseeds == pytest.approx(book.pots[0].hits / 2, abs=1)
    assert figures.simulated.jackpots_ended == book.ended


def test_withheld_wins_are_released_at_once(template: Make, pot: Make, simulate: Simulate) -> None:
    """They count as paid, and are counted."""
    figures, book = simulate(template(pot(), withhold_wins_above=11), 20_000)
    main = figures.pots["main"]

    assert 0 < main.withheld < main.hits
    assert book.pots[0].paid == book.pots[0].won


def test_liability_is_what_pots_and_reserves_hold(
    template: Make, pot: Make, simulate: Simulate
) -> None:
    """Its highest is that just before a win, not what is left after it."""
    figures, book = simulate(template(pot(seed_contribution={"Percentage": 0.5})), 20_000)
    main = figures.pots["main"]

    assert main.award is not None
    assert figures.liability.highest >= main.award.highest
    assert figures.liability.mean.value is not None
    assert 10 < figures.liability.mean.value < figures.liability.highest
    assert book.liability_highest >= max(book.liability.kept)


def test_refused_contributions_are_not_staked(
    template: Make, pot: Make, simulate: Simulate
) -> None:
    """A population that the template does not let in stakes nothing, and the reasons are counted."""
    people = population.from_toml("[[groups]]\ncountry = 'SE'\n[[groups]]\nweight = 3", "EUR")
    figures, book = simulate(template(pot(), allowed_countries=["MT"]), 4_000, people=people)

    assert figures.refused == {"CountryNotAllowed": 4_000 - figures.contributions}
    assert figures.contributions == pytest.approx(3_000, rel=0.1)
    assert book.staked == figures.contributions * SCALE
    assert "REFUSED" in {warned.code for warned in figures.warnings}


def test_nobody_is_let_in(template: Make, pot: Make, simulate: Simulate) -> None:
    """Figures of nothing are none."""
    people = population.from_toml("[[groups]]\ncountry = 'SE'", "EUR")
    figures, _ = simulate(template(pot(), allowed_countries=["MT"]), 500, people=people)

    assert (figures.contributions, figures.rtp.total) == (0, None)
    assert figures.pots["main"].mean_award is None
    assert figures.pots["main"].mean_stake_between_hits is None


def test_same_seed_gives_the_same_figures(template: Make, pot: Make, simulate: Simulate) -> None:
    """To the last digit; another seed gives others."""
    document = template(pot())
    first, _ = simulate(document, 5_000, seed=3, stake="uniform:0.5:2")
    again, _ = simulate(document, 5_000, seed=3, stake="uniform:0.5:2")
    other, _ = simulate(document, 5_000, seed=4, stake="uniform:0.5:2")

    assert msgspec.json.encode(first) == msgspec.json.encode(again)
    assert msgspec.json.encode(first) != msgspec.json.encode(other)


def test_processes_do_not_change_what_lives_show(
    template: Make, pot: Make, simulate: Simulate
) -> None:
    """Three lives in two processes are the same as in one."""
    document = template(pot())
    here, _ = simulate(document, 6_000, lives=3, processes=1)
    spread, _ = simulate(document, 6_000, lives=3, processes=2)

    assert msgspec.json.encode(here) == msgspec.json.encode(spread)
    assert here.contributions == 6_000


def test_lives_are_independent_of_each_other(template: Make, pot: Make, rules: MakeRules) -> None:
    """Each starts from the initial state and has draws and players of its own."""
    plan = plan_of(rules(template(pot())), 4_000, lives=2, stake="uniform:0.5:2")
    first = workers.run_lives(plan, range(1), lambda _done: None)
    second = workers.run_lives(plan, range(1, 2), lambda _done: None)

    assert first.pots[0].initial == second.pots[0].initial == 10 * SCALE
    assert list(first.pots[0].awards) != list(second.pots[0].awards)
    assert first.staked != second.staked


@pytest.mark.parametrize("processes", [1, 2])
def test_progress_hears_of_every_contribution(
    template: Make, pot: Make, rules: MakeRules, processes: int
) -> None:
    """Here and from other processes."""
    done: list[int] = []
    workers.run(plan_of(rules(template(pot())), 3_001, lives=2), processes, done.append)

    assert sum(done) == 3_001


def test_defect_in_a_process_is_told(template: Make, pot: Make, rules: MakeRules) -> None:
    """A worker that fails says why, and the others are stopped."""
    plan = plan_of(rules(template(pot())), 2_000, lives=2)
    broken = msgspec.structs.replace(
        plan, population=msgspec.structs.replace(plan.population, rates={})
    )
    with pytest.raises(workers.WorkerFailed, match="KeyError: 'EUR'"):
        workers.run(broken, 2, lambda _done: None)


def test_seals_are_replaced_as_cycles_end(template: Make, pot: Make, rules: MakeRules) -> None:
    """Each win has a secret of its own, as in the service."""
    plan = plan_of(rules(template(pot())), 5_000)
    life = Life(plan, 0)
    book = life.run(5_000, lambda _done: None)
    seal = life._state.rare.seals[0]

    assert life._state.status is Status.ACTIVE
    assert seal is not None
    assert seal.number == book.pots[0].hits + 1
