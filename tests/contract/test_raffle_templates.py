"""Raffles that cannot do what they say are refused before anybody plays, with path and reason (contract §9)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.contract.raffles import (
    HOUR_MS,
    SECOND_MS,
    a_raffle,
    daily,
    instantiated,
    now_ms,
    raffle,
    raffle_template,
    resolved,
    weekly,
)

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Platform

Change = Callable[["Json"], object]

RAFFLE = "$.raffle"
PRIZES = f"{RAFFLE}.prizes"
TICKET = f"{RAFFLE}.ticket"
POT = "$.pots[0]"
DURATION = f"{RAFFLE}.duration"


def of_raffle(**changes: object) -> Change:
    return lambda template: template["raffle"].update(changes)


def of_ticket(**changes: object) -> Change:
    return lambda template: template["raffle"]["ticket"].update(changes)


def prizes(*tiers: object) -> Change:
    return of_raffle(prizes=list(tiers))


def of_pot(**changes: object) -> Change:
    return lambda template: template["pots"][0].update(changes)


def contributing(contribution_type: object, **ticket: object) -> Change:
    """A raffle whose tickets are bought with contributions."""

    def change(template: Json) -> None:
        template["contribution_rules"]["contribution_type"] = contribution_type
        template["contribution_rules"]["operator_contribution_percentage"] = 1
        template["raffle"]["ticket"].update({"metric": "Contribution"} | ticket)

    return change


# path → the reason in a few words of it, and templates that have it
BAD: list[tuple[str, str, Change]] = [
    # What it is.
    (RAFFLE, "needed", lambda t: t.update(raffle=None)),
    (RAFFLE, "needed", lambda t: t.pop("raffle")),
    (RAFFLE, "for raffles", lambda t: t.update(jackpot_type="Jackpot")),
    (RAFFLE, "for raffles", lambda t: t.pop("jackpot_type")),
    ("$.jackpot_type", "none of Jackpot, Raffle", lambda t: t.update(jackpot_type="Tombola")),
    (RAFFLE, "expected", lambda t: t.update(raffle=[])),
    (f"{RAFFLE}.colour", "unknown", of_raffle(colour=1)),
    # How long a round lasts.
    (f"{DURATION}.Months", "none of Seconds", of_raffle(duration={"Months": 1})),
    (DURATION, "exactly one", of_raffle(duration={})),
    (DURATION, "exactly one", of_raffle(duration={"Days": 1, "Hours": 2})),
    (DURATION, "expected", of_raffle(duration=22)),
    (DURATION, "between a second", of_raffle(duration={"Seconds": 0})),
    (DURATION, "between a second", of_raffle(duration={"Hours": -22})),
    (DURATION, "between a second", of_raffle(duration={"Weeks": 1001})),
    (f"{DURATION}.Hours", "expected", of_raffle(duration={"Hours": 1.5})),
    (f"{DURATION}.Hours", "expected", of_raffle(duration={"Hours": "22"})),
    # What a ticket costs.
    (TICKET, "missing", lambda t: t["raffle"].pop("ticket")),
    (f"{TICKET}.cost", "missing", lambda t: t["raffle"]["ticket"].pop("cost")),
    (f"{TICKET}.cost", "at least 0.0001", of_ticket(cost=0)),
    (f"{TICKET}.cost", "at least 0.0001", of_ticket(cost=-2)),
    (f"{TICKET}.cost", "at least 0.0001", of_ticket(cost="0.00009999")),
    (f"{TICKET}.cost", "number", of_ticket(cost="much")),
    (f"{TICKET}.metric", "enum", of_ticket(metric="Wins")),
    (f"{TICKET}.metric", "missing", lambda t: t["raffle"]["ticket"].pop("metric")),
    (f"{TICKET}.accumulate", "expected", of_ticket(accumulate="yes")),
    (f"{TICKET}.price", "unknown", of_ticket(price=2)),
    # Tickets that nobody can buy.
    (f"{TICKET}.metric", "buys no ticket", contributing({"Fixed": 0})),
    (f"{TICKET}.metric", "buys no ticket", contributing({"Percentage": 0})),
    (f"{TICKET}.cost", "above every", contributing({"Fixed": 1.99}, accumulate=False)),
    (
        f"{TICKET}.cost",
        "above every",
        contributing({"Variable": {"min": 0.1, "max": 1, "default": 0.5}}, accumulate=False),
    ),
    # What can be won.
    (PRIZES, "missing", lambda t: t["raffle"].pop("prizes")),
    (PRIZES, "1 to 5000 prizes", prizes()),
    (PRIZES, "1 to 5000 prizes", prizes({"count": 5001, "amount": 1})),
    (PRIZES, "1 to 5000 prizes", prizes(*[{"count": 2501, "amount": 1}] * 2)),
    (f"{PRIZES}[0].count", "at least 1", prizes({"count": 0, "amount": 1})),
    (
        f"{PRIZES}[1].count",
        "at least 1",
        prizes({"count": 1, "share": 1}, {"count": -1, "share": 1}),
    ),
    (f"{PRIZES}[0].count", "expected", prizes({"count": 1.5, "amount": 1})),
    (f"{PRIZES}[0].count", "missing", prizes({"amount": 1})),
    (f"{PRIZES}[0]", "either an amount or a share", prizes({"count": 1})),
    (f"{PRIZES}[0]", "either an amount or a share", prizes({"count": 1, "amount": 1, "share": 1})),
    (f"{PRIZES}[0].amount", "above 0", prizes({"count": 1, "amount": 0})),
    (f"{PRIZES}[0].amount", "above 0", prizes({"count": 1, "amount": -5})),
    (f"{PRIZES}[0].amount", "bound", prizes({"count": 1, "amount": 10**12})),
    (f"{PRIZES}[0].share", "above 0 and at most 1", prizes({"count": 1, "share": 0})),
    (f"{PRIZES}[0].share", "above 0 and at most 1", prizes({"count": 1, "share": 1.1})),
    (PRIZES, "more than 1", prizes({"count": 11, "share": 0.1})),
    (PRIZES, "more than 1", prizes({"count": 1, "share": 0.6}, {"count": 1, "share": 0.41})),
    (f"{RAFFLE}.one_prize_per_player", "expected", of_raffle(one_prize_per_player=1)),
    # A pot that only the draw can win.
    ("$.pots", "exactly one pot", lambda t: t.update(pots=[])),
    (
        f"{POT}.pot_types",
        "only a raffle's draw",
        of_pot(pot_types=[{"HitRate": {"max_magic_number": 5, "cost_per_attempt": 0.1}}]),
    ),
    (
        f"{POT}.pot_types",
        "only a raffle's draw",
        of_pot(pot_types=[{"Value": {"min": 20, "max": 30}}]),
    ),
    (f"{POT}.pot_types", "missing", lambda t: t["pots"][0].pop("pot_types")),
    (f"{POT}.supports_external_trigger", "left out", of_pot(supports_external_trigger=True)),
    (f"{POT}.max_instantiation_count", "left out", of_pot(max_instantiation_count=3)),
    (f"{POT}.criteria", "left out", of_pot(criteria={"segments": ["vip"]})),
    (
        f"{POT}.community_payout",
        "left out",
        of_pot(
            community_payout={
                "share": 0.5,
                "strategies": [{"HighestLifetimeContributor": {"share": 0.5, "winners": 3}}],
            }
        ),
    ),
    (
        f"{POT}.seed_strategy.open_when_funded",
        "left out",
        lambda t: t["pots"][0]["seed_strategy"].update(open_when_funded=True),
    ),
    # What holds for every template holds for raffles.
    ("$.house_hold_contribution", "exactly 1", of_pot(contribution={"Percentage": 0.5})),
    (f"{POT}.max_pot_value", "initial_seed_value", of_pot(max_pot_value=9.99)),
    ("$.withhold_wins_above", "negative", lambda t: t.update(withhold_wins_above=-1)),
]


@pytest.mark.parametrize(
    ("path", "reason", "change"), BAD, ids=[f"{at}-{bad[0]}" for at, bad in enumerate(BAD)]
)
async def test_impossible_raffle_is_refused_with_the_path_and_the_reason(
    platform: Platform, path: str, reason: str, change: Change
) -> None:
    """It is not stored, and the message says where it has to be mended."""
    template = raffle_template(platform)
    change(template)
    status, code, message = (await platform.admin.post("/templates", template)).refusal

    assert (status, code) == (400, "INVALID_REQUEST")
    told = next(each for each in message.split("; ") if each.startswith(f"{path} "))
    assert reason in told.removeprefix(path)
    stored = f"/templates/{template['id']}?owner_id={platform.operator}"
    assert (await platform.admin.get(stored)).status == 404


async def test_all_that_is_wrong_with_a_raffle_is_said_at_once(platform: Platform) -> None:
    """A person mends it in one go."""
    template = raffle_template(
        platform,
        raffle=raffle(duration={"Seconds": 0}, prizes=[{"count": 0, "amount": 0}]),
        pots=[platform.pot("a", contribution={"Percentage": 0.3}), platform.pot("b")],
    )
    message = (await platform.admin.post("/templates", template)).refusal[2]

    assert {
        "$.house_hold_contribution",
        DURATION,
        PRIZES,
        f"{PRIZES}[0].count",
        f"{PRIZES}[0].amount",
        "$.pots",
        "$.pots[0].pot_types",
        "$.pots[1].pot_types",
    } == {told.partition(" ")[0] for told in message.split("; ")}


GOOD: list[Json] = [
    raffle(),
    raffle(duration=None),
    {key: value for key, value in raffle().items() if key in ("ticket", "prizes")},
    raffle(duration={"Seconds": 1}),
    raffle(duration={"Weeks": 1000}),
    raffle(ticket={"cost": "0.0001", "metric": "Contribution"}),
    raffle(ticket={"cost": 2, "metric": "Contribution"}),
    raffle(prizes=[{"count": 5000, "amount": "0.01"}]),
    raffle(
        prizes=[{"count": 1, "share": 0.5}, {"count": 10, "share": 0.05}],
        one_prize_per_player=False,
    ),
    raffle(prizes=[{"count": 1, "amount": 500}, {"count": 10, "share": 0.05}]),
]


@pytest.mark.parametrize("rules", GOOD, ids=range(len(GOOD)))
async def test_raffle_that_is_possible_is_stored_as_it_was_written(
    platform: Platform, rules: Json
) -> None:
    """The contract's own among them; what may be left out may be left out."""
    template = raffle_template(platform, raffle=rules)
    await platform.publish(template)
    path = f"/templates/{template['id']}?owner_id={platform.operator}"
    shown = (await platform.admin.get(path)).successful().body

    assert (shown["jackpot_type"], set(shown["raffle"])) == ("Raffle", set(rules))
    assert len(shown["raffle"]["prizes"]) == len(rules["prizes"])


START = {"timestamp_start": 1704067200000}
# path → what an instantiation of this raffle lacks
UNSCHEDULED: list[tuple[str, Json | None, Json | None]] = [
    ("$.schedule", {"Hours": 22}, None),
    ("$.schedule", None, None),
    ("$.schedule.timestamp_start", {"Hours": 22}, {}),
    ("$.schedule.timestamp_start", {"Hours": 22}, {"recurrence_rules": [daily((8, 22))]}),
    ("$.schedule.timestamp_start", {"Hours": 22}, {"timestamp_end": 4102444800000}),
    ("$.schedule.timestamp_start", None, {"timestamp_end": 4102444800000}),
    ("$.schedule.timestamp_end", None, START),
    ("$.schedule.timestamp_end", {"Hours": 22}, START | {"timestamp_end": 1738367999000}),
    ("$.schedule.timestamp_end", {"Hours": 22}, START | {"timestamp_end": 1704067200000}),
]


@pytest.mark.parametrize(("path", "duration", "schedule"), UNSCHEDULED)
async def test_raffle_without_schedule_or_duration_is_refused_at_its_instantiation(
    platform: Platform, path: str, duration: Json | None, schedule: Json | None
) -> None:
    """It needs a start, and a duration or an end; nothing is created."""
    template = raffle_template(platform, raffle=raffle(duration=duration))
    await platform.publish(template)
    refused = (await instantiated(platform, template, schedule)).refusal
    named = {"name": template["id"]}

    assert refused[:2] == (400, "INVALID_REQUEST")
    assert refused[2].startswith(f"{path} "), refused
    assert (await platform.admin.get("/instances", named)).body == []


async def test_raffle_may_last_as_long_as_its_schedule(platform: Platform) -> None:
    """Without a duration there is one round, until the end of the schedule: a once-off raffle."""
    start = now_ms() - SECOND_MS
    schedule = {"timestamp_start": start, "timestamp_end": start + HOUR_MS}
    jackpot = await a_raffle(platform, schedule, raffle=raffle(duration=None))
    state = await platform.instance(jackpot)

    assert (state["timestamp_start"], state["timestamp_end"]) == (start, start + HOUR_MS)
    assert state["raffle"] == {
        "round": 1,
        "starts": start,
        "ends": start + HOUR_MS,
        "tickets": 0,
        "entrants": 0,
        "missed_rounds": 0,
    }


async def test_raffle_is_a_raffle_wherever_it_is_shown(platform: Platform) -> None:
    """Its type, its schedule as it was written, and its round."""
    start = now_ms() - SECOND_MS
    schedule = {"timestamp_start": start, "recurrence_rules": [daily((0, 24)), weekly(*_ALL_DAYS)]}
    jackpot = await a_raffle(platform, schedule)
    (await platform.contribute(jackpot, base_wager=5)).successful()
    state = await platform.instance(jackpot)
    (listed,) = (await platform.admin.get("/instances", {"name": state["name"]})).body

    assert listed == state
    assert (state["jackpot_type"], state["status"]) == ("Raffle", "Active")
    assert state["schedule"] == schedule | {"timestamp_end": None}
    assert (state["raffle"]["tickets"], state["raffle"]["entrants"]) == (2, 1)
    assert state["pots"][0]["seal"]["contributions_before"] == 0


_ALL_DAYS = [[day, None] for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")]


async def test_a_round_ends_and_the_next_one_begins_with_the_new_parameters(
    platform: Platform,
) -> None:
    """A raffle's rules are changed as a whole, from the end of the running round on; its type never (R-CHG-1)."""
    rules = raffle(duration={"Seconds": 2}, ticket={"cost": 1, "metric": "BaseWager"})
    jackpot = await a_raffle(platform, raffle=rules)
    (await platform.contribute(jackpot, base_wager=3)).successful()
    number = (await platform.instance(jackpot))["raffle"]["round"]
    path = f"/instances/{jackpot}/parameters"
    asked = raffle(duration={"Hours": 1}, ticket={"cost": 3, "metric": "BaseWager"})
    body = {"changes": {"raffle": asked}, "reason": "dearer"}
    pending = (await platform.admin.put(path, body)).successful().body["pending"]
    round_ = await resolved(platform, jackpot, number)
    after = (await platform.admin.get(path)).successful().body
    state = await platform.instance(jackpot)
    won = (await platform.contribute(jackpot, base_wager=3)).successful().body

    (waits,) = pending
    assert (waits["pot_id"], waits["by"], waits["reason"]) == (None, "admin", "dearer")
    assert waits["before"]["raffle"]["ticket"]["cost"] == 1
    assert round_["tickets"] == 3
    assert after["pending"] == []
    assert after["parameters"]["raffle"]["ticket"]["cost"] == 3
    assert state["raffle"]["round"] == number + 1
    assert state["raffle"]["ends"] - state["raffle"]["starts"] == HOUR_MS
    assert won["tickets_awarded"] == 1


WRONG_CHANGES: list[tuple[str, Json]] = [
    ("$.changes.jackpot_type", {"jackpot_type": "Jackpot"}),
    ("$.changes.raffle is needed", {"raffle": None}),
    ("$.changes.raffle.ticket is missing", {"raffle": {"prizes": [{"count": 1, "share": 1}]}}),
    ("$.changes.raffle.prizes needs", {"raffle": raffle(prizes=[])}),
    ("$.changes.raffle.duration must", {"raffle": raffle(duration={"Days": 0})}),
    ("$.changes.raffle.duration is needed", {"raffle": raffle(duration=None)}),
    ("$.changes.raffle.colour is unknown", {"raffle": raffle(colour=1)}),
    (
        "$.changes.pots.main.pot_types must be left out",
        {"pots": {"main": {"pot_types": [{"Value": {"min": 20, "max": 30}}]}}},
    ),
]


async def test_parameters_that_make_no_raffle_are_refused(platform: Platform) -> None:
    """With the path in the change; a plain jackpot is made no raffle, either."""
    jackpot, plain = await a_raffle(platform), await platform.jackpot()
    for where, changes in WRONG_CHANGES:
        body = {"changes": changes, "reason": "a test"}
        refused = (await platform.admin.put(f"/instances/{jackpot}/parameters", body)).refusal
        assert refused[:2] == (400, "INVALID_REQUEST")
        assert refused[2].startswith(where), refused
    body = {"changes": {"raffle": raffle()}, "reason": "a test"}
    refused = (await platform.admin.put(f"/instances/{plain}/parameters", body)).refusal
    assert refused[2].startswith("$.changes.raffle is for raffles")


async def test_share_prizes_are_shown_as_they_are_paid(platform: Platform) -> None:
    """Of what the pot holds when the round ends, for each winner; the rest stays."""
    pots = [
        platform.pot(pot_types=[], seed_strategy={"initial_seed_value": 20, "min_reseed_value": 0})
    ]
    rules = raffle(
        duration={"Seconds": 2},
        prizes=[{"count": 2, "share": 0.25}],
        ticket={"cost": 1, "metric": "BaseWager"},
    )
    jackpot = await a_raffle(platform, raffle=rules, pots=pots)
    for _ in range(3):
        player = platform.unique("player")
        (await platform.contribute(jackpot, player_id=player)).successful()
    number = (await platform.instance(jackpot))["raffle"]["round"]
    round_ = await resolved(platform, jackpot, number)

    # Each contribution of 0.10 brings 0.07 to the pot: 20.21, of which a quarter is 5.0525.
    assert round_["pot_value"] == Decimal("20.21")
    assert [each["amount"] for each in round_["winners"]] == [Decimal("5.05")] * 2
    assert (round_["prizes"], round_["paid"]) == (2, Decimal("10.1"))
    assert await platform.main_pot(jackpot) == Decimal("10.11")
