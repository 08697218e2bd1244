"""Relations between fields of a template: each one broken alone is found, at its path."""

from typing import Any

import pytest
from msgspec.structs import replace

from jackpotd.core.hit_rate import threshold
from jackpotd.core.pot_problems import START_MS_MAX
from jackpotd.core.problems import problems
from jackpotd.core.rules import (
    COMMUNITY_STRATEGIES_MAX,
    HIT_RATE_MAX,
    POTS_MAX,
    TIPPING_POINTS_MAX,
    WHOLE,
    CommunityKind,
    CommunityStrategy,
    Criteria,
    Fallback,
    Fixed,
    FundStrategy,
    HiddenTime,
    HiddenValue,
    HitRate,
    Percentage,
    PotRules,
    ReseedStrategy,
    Rules,
    ValueRange,
    Variable,
    WinSelector,
)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
EUR = WHOLE  # units of one
POT = PotRules(
    id="a",
    is_progressive=True,
    share=WHOLE // 2,
    seed_share=0,
    initial_seed=0,
    min_reseed=0,
    fund_strategy=FundStrategy.COLLECT_ALWAYS,
    reseed_strategy=ReseedStrategy.FULL,
    cycles_max=None,
    hit_rates=(HitRate(outcomes=1, cost_units=1),),
)
RULES = Rules(
    currency="EUR",
    allowed_brands=frozenset({"op:a"}),
    allowed_countries=None,
    blocked_countries=frozenset(),
    allowed_segments=None,
    allowed_verticals=None,
    opt_in_required=False,
    contribution=Fixed(EUR // 10),
    currency_values={},
    operator_share=0,
    house_share=WHOLE // 2,
    win_selector=WinSelector.ALL,
    pots=(POT,),
)
CONTRIBUTION = "$.contribution_rules"
TYPE = f"{CONTRIBUTION}.contribution_type"
VALUES = f"{CONTRIBUTION}.currency_values"
PATH = "$.pots[0]"
HIT = f"{PATH}.pot_types[0].HitRate"
VALUE = f"{PATH}.pot_types[1].Value"
TIME = f"{PATH}.pot_types[1].Time"
STRATEGY = f"{PATH}.community_payout.strategies[0]"


def broken(**changes: Any) -> Rules:
    return replace(RULES, **changes)


def broken_pot(**changes: Any) -> Rules:
    return replace(RULES, pots=(replace(POT, **changes),))


def broken_hit(outcomes: int, cost: int, **changes: Any) -> Rules:
    return replace(broken_pot(hit_rates=(HitRate(outcomes, cost),)), **changes)


def with_value(low: int, high: int, **changes: Any) -> Rules:
    return broken_pot(**{"hidden_values": (HiddenValue(low, high),)} | changes)


def with_time(every_ms: int, start_ms: int = 0) -> Rules:
    return broken_pot(hidden_times=(HiddenTime(every_ms, start_ms, Fallback.ROLL_OVER),))


def with_criteria(
    wager_min: int | None = None,
    segments: frozenset[str] | None = None,
    currencies: frozenset[str] | None = None,
) -> Rules:
    return broken_pot(criteria=Criteria(wager_min, segments, currencies))


def active(share: int = WHOLE // 2, winners: int = 1, hours: int = 1) -> CommunityStrategy:
    kind = CommunityKind.ACTIVE_PLAYERS
    return CommunityStrategy(kind=kind, share=share, winners=winners, within_ms=hours * HOUR_MS)


def leaders(share: int, winners: int = 1) -> CommunityStrategy:
    kind = CommunityKind.HIGHEST_CONTRIBUTION_PER_WIN
    return CommunityStrategy(kind=kind, share=share, winners=winners)


def with_community(*strategies: CommunityStrategy) -> Rules:
    return broken_pot(community=strategies)


def spread(low: int, high: int, default: int) -> ValueRange:
    return ValueRange(minimum=low, maximum=high, default=default)


FREE = {"operator_share": WHOLE}

BROKEN: dict[str, tuple[Rules, str]] = {
    "house and pots above 1": (broken(house_share=WHOLE // 2 + 1), "$.house_hold_contribution"),
    "house and pots below 1": (broken(house_share=WHOLE // 2 - 1), "$.house_hold_contribution"),
    "operator below 0": (
        broken(operator_share=-1),
        f"{CONTRIBUTION}.operator_contribution_percentage",
    ),
    "operator above 1": (
        broken(operator_share=WHOLE + 1),
        f"{CONTRIBUTION}.operator_contribution_percentage",
    ),
    "seed share above 1": (
        broken_pot(seed_share=WHOLE + 1),
        f"{PATH}.seed_contribution.Percentage",
    ),
    "seed share below 0": (broken_pot(seed_share=-1), f"{PATH}.seed_contribution.Percentage"),
    "negative Fixed": (broken(contribution=Fixed(-1)), f"{TYPE}.Fixed"),
    "negative Percentage": (broken(contribution=Percentage(-1)), f"{TYPE}.Percentage"),
    "Percentage above 1": (broken(contribution=Percentage(WHOLE + 1)), f"{TYPE}.Percentage"),
    "Variable min above max": (
        broken(contribution=Variable(spread(2, 1, 1))),
        f"{TYPE}.Variable",
    ),
    "Variable default above max": (
        broken(contribution=Variable(spread(1, 3, 4))),
        f"{TYPE}.Variable",
    ),
    "Variable min negative": (
        broken(contribution=Variable(spread(-1, 3, 1))),
        f"{TYPE}.Variable",
    ),
    "currency default below min": (
        broken(currency_values={"JPY": spread(1, 2, 0)}),
        f"{VALUES}.JPY",
    ),
    "no pots": (broken(house_share=WHOLE, pots=()), "$.pots"),
    "pot without id": (broken_pot(id=""), f"{PATH}.id"),
    "negative seed": (broken_pot(initial_seed=-1), f"{PATH}.seed_strategy.initial_seed_value"),
    "negative reseed": (broken_pot(min_reseed=-1), f"{PATH}.seed_strategy.min_reseed_value"),
    "no drop at all": (broken_pot(cycles_max=0), f"{PATH}.max_instantiation_count"),
    "nothing tips": (broken_pot(hit_rates=()), f"{PATH}.pot_types"),
    "too many tipping points": (
        broken_pot(hit_rates=POT.hit_rates * (TIPPING_POINTS_MAX + 1)),
        f"{PATH}.pot_types",
    ),
    "too many tipping points of several kinds": (
        with_value(1, 2, hit_rates=POT.hit_rates * TIPPING_POINTS_MAX),
        f"{PATH}.pot_types",
    ),
    "one in none": (broken_hit(0, 1), f"{HIT}.max_magic_number"),
    "one in too many": (broken_hit(HIT_RATE_MAX + 1, 1), f"{HIT}.max_magic_number"),
    "negative cost": (broken_hit(1, -1), f"{HIT}.cost_per_attempt"),
    "free attempts that players pay": (broken_hit(1, 0), f"{HIT}.cost_per_attempt"),
    "free attempts that players pay in part": (
        broken_hit(1, 0, operator_share=WHOLE - 1),
        f"{HIT}.cost_per_attempt",
    ),
    "free attempts beside a Value": (
        replace(with_value(1, 2, hit_rates=(HitRate(1, 0),)), **FREE),
        f"{HIT}.cost_per_attempt",
    ),
    "no country": (broken(allowed_countries=frozenset()), "$.allowed_countries"),
    "no segment": (broken(allowed_segments=frozenset()), "$.allowed_segments"),
    "no vertical": (broken(allowed_verticals=frozenset()), "$.allowed_verticals"),
    "all countries blocked": (
        broken(
            allowed_countries=frozenset({"MT"}),
            blocked_countries=frozenset({"MT", "UK"}),
        ),
        "$.blocked_countries",
    ),
    "the only country blocked": (
        broken(allowed_countries=frozenset({"MT"}), blocked_countries=frozenset({"MT"})),
        "$.blocked_countries",
    ),
    "withhold below 0": (broken(withhold_above=-1), "$.withhold_wins_above"),
    "nobody's segment": (with_criteria(segments=frozenset()), f"{PATH}.criteria.segments"),
    "nobody's currency": (with_criteria(currencies=frozenset()), f"{PATH}.criteria.currencies"),
    "negative wager": (with_criteria(-1), f"{PATH}.criteria.min_base_wager"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_rules_with_one_broken_relation_name_its_path(what: str) -> None:
    """One thing wrong, one problem, at the field to mend."""
    rules, path = BROKEN[what]

    assert [path] == [problem.path for problem in problems(rules)]


ZEROS: dict[str, tuple[Rules, str]] = {
    "Fixed": (broken(contribution=Fixed(0)), f"{TYPE}.Fixed"),
    "Percentage": (broken(contribution=Percentage(0)), f"{TYPE}.Percentage"),
    "Variable": (broken(contribution=Variable(spread(0, 5, 1))), f"{TYPE}.Variable.min"),
    "of a currency": (broken(currency_values={"JPY": spread(0, 5, 1)}), f"{VALUES}.JPY.min"),
    "Variable of a currency": (
        broken(
            contribution=Variable(spread(1, 5, 1)),
            currency_values={"JPY": spread(0, 5, 1)},
        ),
        f"{VALUES}.JPY.min",
    ),
}


@pytest.mark.parametrize("what", ZEROS)
def test_zero_contributions_need_an_operator_who_pays_them_whole(what: str) -> None:
    """Contributions of 0 only where the operator pays everything and no pot tips by value."""
    rules, path = ZEROS[what]
    free_pot = replace(POT, hit_rates=(HitRate(5, 0),))
    free = replace(rules, pots=(free_pot,), **FREE)
    by_value = replace(POT, hit_rates=(), hidden_values=(HiddenValue(1, 2),))

    assert [path] == [problem.path for problem in problems(rules)]
    assert [path] == [
        problem.path for problem in problems(replace(rules, operator_share=WHOLE - 1))
    ]
    assert [path] == [problem.path for problem in problems(replace(free, pots=(by_value,)))]
    assert [] == problems(free)


def test_zero_as_the_least_of_a_currency_is_no_zero_contribution_of_a_percentage() -> None:
    """There a range only bounds what the wager makes; a wager of 0 is 0 whatever the range says."""
    rules = broken(contribution=Percentage(WHOLE // 10), currency_values={"JPY": spread(0, 5, 1)})

    assert [] == problems(rules)


VALUE_BROKEN: dict[str, tuple[Rules, str]] = {
    "min of 0": (with_value(0, 5), f"{VALUE}.min"),
    "min is max": (with_value(5, 5), f"{VALUE}.min"),
    "min above max": (with_value(6, 5), f"{VALUE}.min"),
    "not progressive": (with_value(1, 5, is_progressive=False), VALUE),
    "seed above min": (
        with_value(3, 5, initial_seed=4),
        f"{PATH}.seed_strategy.initial_seed_value",
    ),
    "reseed above min": (with_value(3, 5, min_reseed=4), f"{PATH}.seed_strategy.min_reseed_value"),
    "no part of a contribution": (
        replace(with_value(3, 5, share=0), house_share=WHOLE),
        f"{PATH}.contribution.Percentage",
    ),
    "all of it kept for seeds": (
        with_value(3, 5, seed_share=WHOLE),
        f"{PATH}.seed_contribution.Percentage",
    ),
    "all of it kept until the last cycle": (
        with_value(3, 5, seed_share=WHOLE, cycles_max=2),
        f"{PATH}.seed_contribution.Percentage",
    ),
}


@pytest.mark.parametrize("what", VALUE_BROKEN)
def test_r_chg_1_hidden_value_that_could_not_be_reached_by_contributions_alone_is_refused(
    what: str,
) -> None:
    """Neither a seed that wins at once, nor a pot that never gets there."""
    rules, path = VALUE_BROKEN[what]

    assert [path] == [problem.path for problem in problems(rules)]


CEILINGS: dict[str, tuple[Rules, str]] = {
    "of 0": (broken_pot(value_max=0), "must be above 0"),
    "below 0": (broken_pot(value_max=-1), "must be above 0"),
    "below the seed": (broken_pot(value_max=9, initial_seed=10), "initial_seed_value"),
    "below the reseed": (broken_pot(value_max=9, min_reseed=10), "min_reseed_value"),
    "below the hidden value": (with_value(5, 10, value_max=9), "Value"),
    "below the highest hidden value": (
        with_value(5, 10, hidden_values=(HiddenValue(5, 10), HiddenValue(4, 20)), value_max=19),
        "Value",
    ),
}


@pytest.mark.parametrize("what", CEILINGS)
def test_r_chg_2_ceiling_below_what_tips_or_starts_the_pot_is_refused(what: str) -> None:
    """The expected trigger lies below the ceiling, and the pot is at least its reset value."""
    rules, reason = CEILINGS[what]

    (problem,) = problems(rules)
    assert problem.path == f"{PATH}.max_pot_value"
    assert reason in problem.message


TIMES = {
    "every": (with_time(59_999), with_time(366 * DAY_MS + 1), with_time(0), with_time(-1)),
    "window_start": (with_time(DAY_MS, -1), with_time(DAY_MS, START_MS_MAX + 1)),
}


@pytest.mark.parametrize("field", TIMES)
def test_window_that_is_too_short_too_long_or_out_of_time_is_refused(field: str) -> None:
    """A window is a minute at least, and 366 days at most."""
    for rules in TIMES[field]:
        assert [f"{TIME}.{field}"] == [problem.path for problem in problems(rules)]


def test_draw_by_contribution_is_refused_where_every_contribution_is_nothing() -> None:
    """There is nothing to weigh the contributors by; the window has to roll over."""
    time = HiddenTime(DAY_MS, 0, Fallback.DRAW_AMONG_CONTRIBUTORS)
    pot = replace(POT, hit_rates=(), hidden_times=(time,))
    rules = broken(contribution=Fixed(0), pots=(pot,), **FREE)
    rolling = replace(pot, hidden_times=(replace(time, fallback=Fallback.ROLL_OVER),))

    found = [problem.path for problem in problems(rules)]
    assert [f"{PATH}.pot_types[0].Time.fallback"] == found
    assert [] == problems(replace(rules, pots=(rolling,)))
    assert [] == problems(replace(rules, contribution=Variable(spread(0, 1, 0))))


COMMUNITIES: dict[str, tuple[Rules, str]] = {
    "share of 0": (with_community(active(0)), f"{STRATEGY}.ActivePlayers.share"),
    "negative share": (with_community(active(-1)), f"{STRATEGY}.ActivePlayers.share"),
    "everything": (with_community(active(WHOLE)), f"{PATH}.community_payout.share"),
    "everything together": (
        with_community(active(WHOLE - 1), leaders(1)),
        f"{PATH}.community_payout.share",
    ),
    "nobody": (with_community(active(winners=0)), f"{STRATEGY}.ActivePlayers.winners"),
    "too many": (
        with_community(leaders(1, winners=101)),
        f"{STRATEGY}.HighestContributionPerWin.winners",
    ),
    "no time": (with_community(active(hours=0)), f"{STRATEGY}.ActivePlayers.within_hours"),
    "too long ago": (with_community(active(hours=8761)), f"{STRATEGY}.ActivePlayers.within_hours"),
    "too many strategies": (
        with_community(*[leaders(1)] * (COMMUNITY_STRATEGIES_MAX + 1)),
        f"{PATH}.community_payout.strategies",
    ),
}


@pytest.mark.parametrize("what", COMMUNITIES)
def test_community_that_could_not_be_paid_as_it_says_is_refused(what: str) -> None:
    """Shares, winners and hours within their bounds."""
    rules, path = COMMUNITIES[what]

    assert [path] == [problem.path for problem in problems(rules)]


@pytest.mark.parametrize(
    ("outcomes", "cost", "contribution"),
    [
        (10**15, 2 * 10**10, Fixed(7)),
        (10**15, 10**16, Fixed(EUR)),
        (10**15, 10**17, Variable(spread(1, 5 * EUR, EUR))),
    ],
)
def test_chance_that_no_draw_resolves_is_refused(
    outcomes: int, cost: int, contribution: Fixed | Variable
) -> None:
    """Where even the largest contribution wins with less than one of 2^64 draws, nobody ever could."""
    rules = broken_hit(outcomes, cost, contribution=contribution)

    (problem,) = problems(rules)
    assert problem.path == f"{HIT}.max_magic_number"
    assert "cannot be reached" in problem.message


def test_chance_is_measured_by_the_largest_contribution() -> None:
    """One draw of 2^64 is enough; a currency of its own may be larger, and others are at rates nobody knows yet."""
    outcomes, cost = HIT_RATE_MAX, 10**11
    least = next(worth for worth in range(1, 10**8) if threshold(outcomes, cost, worth))
    rules = broken_hit(outcomes, cost, contribution=Fixed(least - 1))

    assert [f"{HIT}.max_magic_number"] == [problem.path for problem in problems(rules)]
    assert [] == problems(replace(rules, contribution=Fixed(least)))
    assert [] == problems(replace(rules, contribution=Percentage(1)))
    own = {"EUR": spread(1, least, least)}
    assert [] == problems(replace(rules, currency_values=own))
    other = {"JPY": spread(1, 1, 1)}
    assert [] == problems(replace(rules, currency_values=other))
    smaller = {"EUR": spread(1, least, least - 1)}
    assert [] != problems(replace(rules, currency_values=smaller))


def test_chance_of_contributions_of_nothing_needs_attempts_that_cost_nothing() -> None:
    """With k above 0 a contribution of 0 buys no attempt, so the pot could never be won."""
    rules = broken(contribution=Fixed(0), **FREE)
    free = replace(POT, hit_rates=(HitRate(5, 0),))

    assert [f"{HIT}.cost_per_attempt"] == [problem.path for problem in problems(rules)]
    assert [] == problems(replace(rules, pots=(free,)))


ALLOWED: dict[str, Rules] = {
    "plain": RULES,
    "operator pays": broken(**FREE),
    "rarest draw": broken_hit(HIT_RATE_MAX, 1),
    "free attempts": broken_hit(1, 0, **FREE),
    "whole wager": broken(contribution=Percentage(WHOLE)),
    "one value": broken(contribution=Variable(spread(1, 1, 1))),
    "other currency": broken(currency_values={"JPY": spread(1, 3, 2)}),
    "own currency": broken(currency_values={"EUR": spread(1, 2, 1)}),
    "one drop": broken_pot(cycles_max=1, hit_rates=POT.hit_rates * TIPPING_POINTS_MAX),
    "all pots": broken(
        house_share=0,
        pots=tuple(replace(POT, id=str(at), share=WHOLE // POTS_MAX) for at in range(POTS_MAX)),
    ),
    "trigger alone": broken_pot(hit_rates=(), has_trigger=True),
    "smallest value": with_value(1, 2),
    "value from the seed on": with_value(4, 5, initial_seed=4, min_reseed=4),
    "value below the ceiling": with_value(4, 5, value_max=5),
    "value of the last cycle": with_value(4, 5, seed_share=WHOLE, cycles_max=1),
    "value after the reserve is full": with_value(
        4, 5, seed_share=WHOLE, fund_strategy=FundStrategy.COLLECT_TO_MIN_RESEED
    ),
    "ceiling at the seed": broken_pot(value_max=10, initial_seed=10, min_reseed=10),
    "ceiling far below what a draw may need": broken_pot(
        hit_rates=(HitRate(HIT_RATE_MAX, EUR),), value_max=1
    ),
    "shortest window": with_time(60_000),
    "longest window": with_time(366 * DAY_MS, 1_700_000_000_000),
    "window of the last day": with_time(60_000, START_MS_MAX),
    "as many strategies as may be": with_community(*[leaders(1)] * COMMUNITY_STRATEGIES_MAX),
    "withhold everything": broken(withhold_above=0),
    "criteria": with_criteria(0, frozenset({"vip"}), frozenset({"EUR"})),
    "community": with_community(
        active(WHOLE // 2, 100, 8760), leaders(WHOLE // 4, 100), leaders(WHOLE // 4 - 1)
    ),
    "funded by boosts alone": broken_pot(opens_when_funded=True, min_reseed=10),
    "allowed and blocked": broken(
        allowed_countries=frozenset({"MT", "UK"}), blocked_countries=frozenset({"MT"})
    ),
}


@pytest.mark.parametrize("what", ALLOWED)
def test_rules_at_the_edge_of_what_is_allowed_have_no_problem(what: str) -> None:
    """Every bound is itself allowed."""
    assert [] == problems(ALLOWED[what])


def test_rules_with_two_pots_of_one_id_or_too_many_pots_are_refused() -> None:
    """Pots are told apart by their ids, and there is a limit on them."""
    twice = broken(house_share=0, pots=(POT, POT))
    many = tuple(replace(POT, id=str(at), share=0) for at in range(POTS_MAX))

    assert ["$.pots[1].id"] == [problem.path for problem in problems(twice)]
    found = problems(broken(pots=(POT, *many)))
    assert ["$.pots"] == [problem.path for problem in found]


def test_rules_with_everything_broken_name_everything() -> None:
    """A person mends a template in one go: all problems come at once."""
    rules = replace(
        broken_pot(
            hit_rates=(HitRate(0, -1),),
            hidden_values=(HiddenValue(0, -1),),
            hidden_times=(HiddenTime(0, -1, Fallback.ROLL_OVER),),
            value_max=-1,
            criteria=Criteria(-1, frozenset(), frozenset()),
            community=(active(0, 0, 0),),
        ),
        house_share=-1,
        operator_share=-1,
        contribution=Fixed(-1),
        currency_values={"EUR": spread(2, 1, 0)},
        withhold_above=-1,
    )

    assert len({problem.path for problem in problems(rules)}) == 18


def test_problems_of_tipping_points_lead_to_where_they_were_written() -> None:
    """Rules hold the points by kind; the path counts them as the template does."""
    rules = broken_pot(
        hit_rates=(HitRate(0, 1), HitRate(1, 1), HitRate(1, -1)),
        hidden_values=(HiddenValue(2, 1),),
        hidden_times=(HiddenTime(1, 0, Fallback.ROLL_OVER),),
    )
    written = [["Time", "HitRate", "HitRate", "Value", "HitRate"]]

    assert {
        f"{PATH}.pot_types[0].Time.every",
        f"{PATH}.pot_types[1].HitRate.max_magic_number",
        f"{PATH}.pot_types[4].HitRate.cost_per_attempt",
        f"{PATH}.pot_types[3].Value.min",
    } == {problem.path for problem in problems(rules, written)}
