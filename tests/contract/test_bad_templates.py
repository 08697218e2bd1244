"""Templates that cannot do what they say are refused before anybody plays, with path and reason (contract §9)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Platform

Change = Callable[["Json"], object]

POT = "$.pots[0]"
TYPES = f"{POT}.pot_types"
SEEDS = f"{POT}.seed_strategy"
RULES = "$.contribution_rules"
PAYOUT = f"{POT}.community_payout"


def of_pot(**changes: object) -> Change:
    return lambda template: template["pots"][0].update(changes)


def of_seeds(**changes: object) -> Change:
    return lambda template: template["pots"][0]["seed_strategy"].update(changes)


def of_rules(**changes: object) -> Change:
    return lambda template: template["contribution_rules"].update(changes)


def points(*values: Json) -> Change:
    return of_pot(pot_types=list(values))


def hit_rate(outcomes: object, cost: object = 0.1) -> Json:
    return {"HitRate": {"max_magic_number": outcomes, "cost_per_attempt": cost}}


def value(low: object, high: object) -> Json:
    return {"Value": {"min": low, "max": high}}


def time(every: Json, **changes: object) -> Json:
    return {"Time": {"every": every, "window_start": 0, "fallback": "RollOver"} | changes}


def community(share: object, **strategies: Json) -> Change:
    tagged = [{kind: content} for kind, content in strategies.items()]
    return of_pot(community_payout={"share": share, "strategies": tagged})


def leaders(share: object = 0.5, winners: object = 5) -> Json:
    return {"share": share, "winners": winners}


def both(*changes: Change) -> Change:
    def change(template: Json) -> None:
        for each in changes:
            each(template)

    return change


# path → the reason in a few words of it, and templates that have it
BAD: list[tuple[str, str, Change]] = [
    # Shares that do not add up to 1.
    ("$.house_hold_contribution", "exactly 1", of_pot(contribution={"Percentage": 0.71})),
    ("$.house_hold_contribution", "exactly 1", of_pot(contribution={"Percentage": 0.69999999})),
    (f"{POT}.seed_contribution.Percentage", "0 and 1", of_pot(seed_contribution={"Percentage": 2})),
    (f"{PAYOUT}.share", "add up", community(0.5, HighestLifetimeContributor=leaders(0.4))),
    (f"{PAYOUT}.share", "below 1", community(1, HighestLifetimeContributor=leaders(1))),
    # min >= max.
    (f"{TYPES}[0].Value.min", "below max", points(value(1000, 1000))),
    (f"{TYPES}[1].Value.min", "below max", points(hit_rate(5), value(1000, 900))),
    (f"{TYPES}[0].Value.min", "above 0", points(value(0, 900))),
    (f"{TYPES}[0].Value.min", "above 0", points(value(-5, 900))),
    (
        f"{RULES}.contribution_type.Variable",
        "min <= default <= max",
        of_rules(contribution_type={"Variable": {"min": 5, "max": 0.1, "default": 0.1}}),
    ),
    (
        f"{RULES}.currency_values.JPY",
        "min <= default <= max",
        of_rules(currency_values={"JPY": {"min": 10, "max": 9, "default": 10}}),
    ),
    # Ceiling below the seed, or below what tips the pot; seeds that win at once.
    (f"{POT}.max_pot_value", "initial_seed_value", of_pot(max_pot_value=9.99)),
    (
        f"{POT}.max_pot_value",
        "min_reseed_value",
        both(of_seeds(initial_seed_value=0), of_pot(max_pot_value=9.99)),
    ),
    (
        f"{POT}.max_pot_value",
        "Value",
        of_pot(max_pot_value=999, pot_types=[value(900, 1000)]),
    ),
    (f"{POT}.max_pot_value", "above 0", of_pot(max_pot_value=0)),
    (f"{SEEDS}.initial_seed_value", "seeding", points(value(9, 1000))),
    (f"{SEEDS}.min_reseed_value", "seeding", points(value(9, 1000))),
    (f"{SEEDS}.initial_seed_value", "negative", of_seeds(initial_seed_value=-1)),
    # Variants that are unknown, missing, or too many.
    (f"{TYPES}[0].Points", "none of HitRate, Value, Time", points({"Points": {"min": 1}})),
    (f"{TYPES}[0]", "exactly one variant", points({})),
    (f"{TYPES}[0]", "exactly one variant", points(hit_rate(5) | value(900, 1000))),
    (TYPES, "1 to 8", points()),
    (TYPES, "1 to 8", points(*[hit_rate(5)] * 9)),
    (f"{TYPES}[0].Time.every.Months", "none of Seconds", points(time({"Months": 1}))),
    (f"{TYPES}[0].Time.every", "exactly one", points(time({"Hours": 1, "Minutes": 30}))),
    (f"{TYPES}[0].Time.every", "60 seconds", points(time({"Seconds": 59}))),
    (f"{TYPES}[0].Time.every", "366 days", points(time({"Days": 367}))),
    (f"{TYPES}[0].Time.fallback", "enum", points(time({"Hours": 1}, fallback="Later"))),
    (f"{PAYOUT}.strategies[0].Everybody", "none of", community(0.5, Everybody=leaders())),
    (
        f"{PAYOUT}.strategies[0].HighestLifetimeContributor.winners",
        "1 and 100",
        community(0.5, HighestLifetimeContributor=leaders(winners=101)),
    ),
    (
        f"{PAYOUT}.strategies[0].ActivePlayers.within_hours",
        "missing",
        community(0.5, ActivePlayers=leaders()),
    ),
    (f"{PAYOUT}.strategies", "at least one", community(0.5)),
    ("$.jackpot_type", "none of Jackpot, Raffle", lambda t: t.update(jackpot_type="Lottery")),
    # Chances that cannot be reached, and pots that cannot be won.
    (f"{TYPES}[0].HitRate.max_magic_number", "1 and 1e15", points(hit_rate(0))),
    (f"{TYPES}[0].HitRate.max_magic_number", "1 and 1e15", points(hit_rate(10**15 + 1))),
    (f"{TYPES}[0].HitRate.max_magic_number", "1 and 1e15", points(hit_rate(10**40))),
    (f"{TYPES}[0].HitRate.max_magic_number", "cannot be reached", points(hit_rate(10**15, 10**6))),
    (f"{TYPES}[0].Value", "progressive", of_pot(is_progressive=False, pot_types=[value(20, 30)])),
    (
        f"{POT}.seed_contribution.Percentage",
        "never reach",
        both(
            of_seeds(fund_strategy="CollectAlways"),
            of_pot(seed_contribution={"Percentage": 1}, pot_types=[value(20, 30)]),
        ),
    ),
    (f"{POT}.criteria.segments", "nobody could win", of_pot(criteria={"segments": []})),
    (f"{POT}.criteria.currencies", "nobody could win", of_pot(criteria={"currencies": []})),
    (f"{POT}.criteria.min_base_wager", "negative", of_pot(criteria={"min_base_wager": -0.01})),
    ("$.allowed_segments", "nobody could contribute", lambda t: t.update(allowed_segments=[])),
    ("$.withhold_wins_above", "negative", lambda t: t.update(withhold_wins_above=-1)),
    (f"{POT}.max_instantiation_count", "at least 1", of_pot(max_instantiation_count=0)),
    # Contributions of nothing that somebody has to pay for.
    (
        f"{RULES}.contribution_type.Fixed",
        "operator pays",
        of_rules(contribution_type={"Fixed": 0}),
    ),
    (
        f"{RULES}.contribution_type.Variable.min",
        "operator pays",
        of_rules(contribution_type={"Variable": {"min": 0, "max": 1, "default": 0.1}}),
    ),
    (
        f"{RULES}.currency_values.JPY.min",
        "operator pays",
        of_rules(currency_values={"JPY": {"min": 0, "max": 500, "default": 10}}),
    ),
    (f"{TYPES}[0].HitRate.cost_per_attempt", "operator pays", points(hit_rate(5, 0))),
    (
        f"{TYPES}[0].HitRate.cost_per_attempt",
        "tips by Value",
        both(
            of_rules(operator_contribution_percentage=1),
            points(hit_rate(5, 0), value(900, 1000)),
        ),
    ),
    (
        f"{RULES}.contribution_type.Fixed",
        "tips by Value",
        both(
            of_rules(operator_contribution_percentage=1, contribution_type={"Fixed": 0}),
            points(value(900, 1000)),
        ),
    ),
]


@pytest.mark.parametrize(
    ("path", "reason", "change"), BAD, ids=[f"{at}-{each[0]}" for at, each in enumerate(BAD)]
)
async def test_bad_template_is_refused_with_the_path_and_the_reason(
    platform: Platform, path: str, reason: str, change: Change
) -> None:
    """Refused where it stands, in plain words, and not stored."""
    template = platform.template()
    change(template)
    status, code, message = (await platform.admin.post("/templates", template)).refusal
    told = [each for each in message.split("; ") if each.startswith(f"{path} ")]

    assert (status, code) == (400, "INVALID_REQUEST")
    assert any(reason in each for each in told), message
    stored = await platform.admin.get(f"/templates/{template['id']}?owner_id={platform.operator}")
    assert stored.status == 404


async def test_all_that_is_wrong_with_a_template_is_said_at_once(platform: Platform) -> None:
    """A person mends it in one go."""
    template = platform.template(withhold_wins_above=-1)
    both(of_pot(max_pot_value=5, contribution={"Percentage": 0.6}), points(hit_rate(0)))(template)
    message = (await platform.admin.post("/templates", template)).refusal[2]

    assert {
        "$.house_hold_contribution",
        "$.withhold_wins_above",
        f"{POT}.max_pot_value",
        f"{TYPES}[0].HitRate.max_magic_number",
    } == {told.partition(" ")[0] for told in message.split("; ")}


async def test_template_with_everything_is_accepted_and_played(platform: Platform) -> None:
    """Pots by draw, by value and by time, with all that a pot may have; it is shown as it was written."""
    share = {"Percentage": 0.2}
    strategies: list[Json] = [
        {"ActivePlayers": {"share": 0.1, "winners": 10, "within_hours": 24}},
        {"ActivePlayers": {"share": 0.1, "winners": 1, "within_hours": 8760}},
        {"HighestContributionPerWin": {"share": 0.2, "winners": 5}},
        {"HighestLifetimeContributor": {"share": 0.1, "winners": 3}},
    ]
    every_kind = [hit_rate(10**9), value(900, 1000), time({"Hours": 24})]
    seeds = platform.pot()["seed_strategy"] | {"open_when_funded": True}
    pots = [
        platform.pot(
            "all",
            contribution=share,
            pot_types=every_kind,
            max_pot_value=1000,
            criteria={"min_base_wager": 0.5, "segments": ["vip"], "currencies": ["EUR"]},
            community_payout={"share": 0.5, "strategies": strategies},
            seed_strategy=seeds,
            max_instantiation_count=3,
            supports_external_trigger=True,
        ),
        platform.pot("value", contribution=share, pot_types=[value("10.5", "20")]),
        platform.pot(
            "time",
            contribution=share,
            pot_types=[time({"Days": 1}, fallback="DrawAmongContributors", window_start=1)],
        ),
        platform.pot("by-hand", contribution=share, pot_types=[], supports_external_trigger=True),
    ]
    house = {"Percentage": 0.2}
    template = platform.template(pots=pots, house_hold_contribution=house, withhold_wins_above=750)
    await platform.publish(template)
    path = f"/templates/{template['id']}?owner_id={platform.operator}"
    shown = (await platform.admin.get(path)).successful().body
    body = platform.instantiation(template)
    created = (await platform.admin.post("/templates/instantiate", body)).successful().body
    before = await platform.pots(created["id"])
    answer = await platform.contribute(created["id"])

    assert shown["pots"][0]["community_payout"]["strategies"][1] == {
        "ActivePlayers": {"share": Decimal("0.1"), "winners": 1, "within_hours": 8760}
    }
    assert shown["withhold_wins_above"] == 750
    assert set(before) == {"all", "value", "time", "by-hand"}
    assert answer.status == 200
