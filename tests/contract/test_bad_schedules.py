"""Schedules that cannot be are refused, with path and reason, wherever they are set (contract §9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.raffles import (
    DAY_MS,
    HOUR_MS,
    NEW_YEAR_2024,
    SECOND_MS,
    WEEK_MS,
    a_raffle,
    closed_now,
    daily,
    hours,
    instantiated,
    now_ms,
    put,
    raffle,
    shown,
    time_of_day,
    weekly,
)

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Lab, Platform


def rule(**frequency: object) -> Json:
    return {"recurrence_rules": [{"frequency": frequency}]}


def windows(*pairs_of_times: object) -> Json:
    return rule(Daily={"hours": list(pairs_of_times)})


def window(first: Json, last: Json) -> Json:
    return windows([first, last])


RULE = ".recurrence_rules[0]"
DAILY = f"{RULE}.frequency.Daily"
WEEKLY = f"{RULE}.frequency.Weekly"
NOON, ONE = {"hour": 12, "minute": 0, "sec": 0}, {"hour": 13, "minute": 0, "sec": 0}
# where → the reason in a few words of it, and schedules that have it
IMPOSSIBLE: list[tuple[str, str, Json]] = [
    # End before start.
    (
        ".timestamp_end",
        "after timestamp_start",
        {"timestamp_start": 2 * 10**12, "timestamp_end": 19 * 10**11},
    ),
    (
        ".timestamp_end",
        "after timestamp_start",
        {"timestamp_start": 2 * 10**12, "timestamp_end": 2 * 10**12},
    ),
    (".timestamp_end", "passed already", {"timestamp_end": NEW_YEAR_2024}),
    (
        ".timestamp_end",
        "passed already",
        {"timestamp_start": NEW_YEAR_2024, "timestamp_end": NEW_YEAR_2024 + 1},
    ),
    # Times that are none.
    (".timestamp_start", "2000 to 2199", {"timestamp_start": 1704067200}),
    (".timestamp_start", "2000 to 2199", {"timestamp_start": -1}),
    (".timestamp_start", "2000 to 2199", {"timestamp_start": 10**16}),
    (".timestamp_start", "expected", {"timestamp_start": "2024-01-01"}),
    (".timestamp_start", "expected", {"timestamp_start": 1704067200000.5}),
    (".timestamp_end", "2000 to 2199", {"timestamp_end": 10**30}),
    (".timestamp_stop", "unknown", {"timestamp_stop": 4102444800000}),
    # Empty windows.
    (f"{DAILY}.hours[0]", "same time", window(NOON, NOON)),
    (f"{DAILY}.hours[1]", "same time", windows([NOON, ONE], [ONE, ONE])),
    (f"{DAILY}.hours[0]", "same time", window(time_of_day(0), time_of_day(0))),
    (f"{DAILY}.hours", "windows", windows()),
    (f"{DAILY}.hours", "missing", rule(Daily={})),
    (f"{DAILY}.hours[0]", "expected", windows([NOON])),
    (f"{DAILY}.hours[0]", "expected", windows([NOON, ONE, NOON])),
    (f"{DAILY}.hours[0]", "expected", windows({"from": NOON, "to": ONE})),
    (f"{WEEKLY}.days", "at least one day", rule(Weekly={"days": []})),
    (
        f"{WEEKLY}.days[0][1].Daily.hours",
        "windows",
        rule(Weekly={"days": [["Mon", {"Daily": hours()}]]}),
    ),
    (
        ".recurrence_rules",
        "never open",
        {
            "timestamp_start": NEW_YEAR_2024,
            "recurrence_rules": [daily((8, 9), interval=2), weekly(["Tue", None], interval=2)],
        },
    ),
    (
        ".timestamp_end",
        "before the first window opens",
        {
            "timestamp_start": 2 * 10**12,
            "timestamp_end": 2 * 10**12 + DAY_MS,
            "recurrence_rules": [weekly(["Tue", None])],
        },
    ),
    # Unknown days, hours and units.
    (f"{WEEKLY}.days[0][0]", "none of Mon", rule(Weekly={"days": [["Monday", None]]})),
    (f"{WEEKLY}.days[1][0]", "none of Mon", rule(Weekly={"days": [["Mon", None], ["mon", None]]})),
    (f"{WEEKLY}.days[1][0]", "twice", rule(Weekly={"days": [["Mon", None], ["Mon", None]]})),
    (f"{WEEKLY}.days[0]", "expected", rule(Weekly={"days": ["Mon"]})),
    (f"{WEEKLY}.days[0][1].Weekly", "not Daily", rule(Weekly={"days": [["Mon", {"Weekly": {}}]]})),
    (f"{DAILY}.hours[0][0].hour", "<= 23", window({"hour": 25, "minute": 0, "sec": 0}, ONE)),
    (f"{DAILY}.hours[0][1].hour", "<= 23", window(NOON, {"hour": 24, "minute": 0, "sec": 0})),
    (f"{DAILY}.hours[0][0].hour", ">= 0", window({"hour": -1}, ONE)),
    (f"{DAILY}.hours[0][0].hour", "missing", window({"minute": 5}, ONE)),
    (f"{DAILY}.hours[0][1].minute", "<= 59", window(NOON, {"hour": 13, "minute": 60, "sec": 0})),
    (f"{DAILY}.hours[0][1].sec", "<= 59", window(NOON, {"hour": 13, "minute": 0, "sec": 60})),
    (f"{DAILY}.hours[0][1].second", "unknown", window(NOON, {"hour": 13, "second": 1})),
    (
        f"{WEEKLY}.days[0][1].Daily.hours[0][0].hour",
        "<= 23",
        rule(Weekly={"days": [["Sat", {"Daily": hours((25, 26))}]]}),
    ),
    (f"{RULE}.frequency.Monthly", "none of Daily, Weekly", rule(Monthly={"days": [1]})),
    (f"{RULE}.frequency", "exactly one", rule()),
    (
        f"{RULE}.frequency",
        "exactly one",
        rule(Daily=hours((8, 9)), Weekly={"days": [["Mon", None]]}),
    ),
    (f"{RULE}.frequency", "missing", {"recurrence_rules": [{"interval": 1}]}),
    (f"{RULE}.until", "unknown", {"recurrence_rules": [daily((8, 9)) | {"until": 1}]}),
    (".recurrence_rules", "expected", {"recurrence_rules": daily((8, 9))}),
    # Intervals that count from nowhere, or not at all.
    (f"{RULE}.interval", "timestamp_start", {"recurrence_rules": [daily((8, 9), interval=2)]}),
    (f"{RULE}.interval", "1 to", {"recurrence_rules": [daily((8, 9), interval=0)]}),
    (f"{RULE}.interval", "1 to", {"recurrence_rules": [daily((8, 9), interval=-1)]}),
    (f"{RULE}.interval", "1 to", {"recurrence_rules": [weekly(["Mon", None], interval=10**9)]}),
    (f"{RULE}.interval", "expected", {"recurrence_rules": [daily((8, 9)) | {"interval": 1.5}]}),
    (".recurrence_rules", "at most 32", {"recurrence_rules": [daily((8, 9))] * 33}),
]


@pytest.mark.parametrize(
    ("where", "reason", "schedule"),
    IMPOSSIBLE,
    ids=[f"{at}-{each[0]}" for at, each in enumerate(IMPOSSIBLE)],
)
async def test_impossible_schedule_is_refused_with_the_path_and_the_reason(
    platform: Platform, where: str, reason: str, schedule: Json
) -> None:
    """At an instantiation, where it stands below `$.schedule`; and where it is the body itself, of a brand too."""
    template = platform.template()
    await platform.publish(template)
    jackpot = str((await instantiated(platform, template)).successful().body["id"])
    before = await platform.instance(jackpot)
    refusals = {
        f"$.schedule{where} ": await instantiated(platform, template, schedule),
        f"${where} ": await put(platform, jackpot, schedule),
    }
    of_brand = await put(platform, jackpot, schedule, brand_id="brand1")

    for path, answer in [*refusals.items(), (f"${where} ", of_brand)]:
        status, code, message = answer.refusal
        assert (status, code) == (400, "INVALID_REQUEST")
        told = next((each for each in message.split("; ") if each.startswith(path)), None)
        assert told is not None, message
        assert reason in told.removeprefix(path)
    assert await platform.instance(jackpot) == before
    named = {"name": template["id"]}
    assert len((await platform.admin.get("/instances", named)).body) == 1


async def test_schedule_that_never_opens_any_more_is_refused(platform: Platform) -> None:
    """Not over yet, but its last window is; only a raffle's running round may end like that."""
    closed = closed_now() | {"timestamp_end": now_ms() + HOUR_MS}
    template = platform.template()
    await platform.publish(template)
    plain, tickets = await platform.jackpot(), await a_raffle(platform)
    waiting = await a_raffle(platform, {"timestamp_start": now_ms() + DAY_MS})
    refusals = {
        "$.schedule": await instantiated(platform, template, closed),
        "$": await put(platform, plain, closed),
    }
    of_brand = await put(platform, tickets, closed, brand_id="brand1")

    never = [*refusals.items(), ("$", of_brand), ("$", await put(platform, waiting, closed))]
    for path, answer in never:
        assert answer.refusal[:2] == (400, "INVALID_REQUEST")
        told = f"{path}.timestamp_end comes before the next window"
        assert answer.refusal[2].startswith(told), answer.refusal
    (put_,) = (await put(platform, tickets, closed)).successful().body["rounds"]
    assert put_["end"] == closed["timestamp_end"]
    assert (await platform.instance(waiting))["status"] == "Pending"


async def test_raffle_keeps_a_schedule_that_it_can_have_rounds_by(platform: Platform) -> None:
    """Its own needs a start, an end where it has no duration, and cannot be taken away; a brand's needs neither."""
    start = now_ms() - SECOND_MS
    ending = {"timestamp_start": start, "timestamp_end": start + HOUR_MS}
    recurring = await a_raffle(platform)
    once = await a_raffle(platform, ending, raffle=raffle(duration=None))
    cases: list[tuple[str, Json, str]] = [
        (recurring, {}, "$.timestamp_start is needed"),
        (recurring, {"recurrence_rules": [daily((8, 9))]}, "$.timestamp_start is needed"),
        (once, {"timestamp_start": start}, "$.timestamp_end is needed"),
        (
            once,
            {"timestamp_start": start, "timestamp_end": start + 1},
            "$.timestamp_end has passed",
        ),
    ]
    for jackpot, schedule, where in cases:
        refused = (await put(platform, jackpot, schedule)).refusal
        assert refused[:2] == (400, "INVALID_REQUEST")
        assert refused[2].startswith(where), refused
        (await put(platform, jackpot, {}, brand_id="brand1")).successful()
    for jackpot in (recurring, once):
        path = f"/instances/{jackpot}/schedule"
        refused = (await platform.admin.delete(path)).refusal
        assert refused[:2] == (409, "INVALID_STATE")
        assert "raffle" in refused[2]
        assert (await platform.admin.delete(f"{path}?brand_id=brand1")).status == 200


async def test_schedule_and_parameters_that_wait_fit_together(platform: Platform) -> None:
    """A raffle that is to last as long as its schedule does not lose the end of it meanwhile."""
    start = now_ms() - SECOND_MS
    jackpot = await a_raffle(platform, {"timestamp_start": start, "timestamp_end": start + WEEK_MS})
    body = {"changes": {"raffle": raffle(duration=None)}, "reason": "longer"}
    (await platform.admin.put(f"/instances/{jackpot}/parameters", body)).successful()
    refused = (await put(platform, jackpot, {"timestamp_start": start})).refusal

    assert refused[:2] == (400, "INVALID_REQUEST")
    assert refused[2].startswith("$.timestamp_end is needed")
    (
        await put(platform, jackpot, {"timestamp_start": start, "timestamp_end": start + DAY_MS})
    ).successful()


async def test_what_else_is_wrong_with_a_change_is_refused(platform: Platform, lab: Lab) -> None:
    """Brands that do not take part, instances that are over or not there, accounts without the right."""
    jackpot, over = await platform.jackpot(), await platform.jackpot()
    (await platform.set_status(over, "Terminated")).successful()
    cases: list[tuple[str, Json, int, str]] = [
        (jackpot, {"brand_id": "nobody"}, 400, "$.brand_id names no brand"),
        (jackpot, {"brand_id": lab.one}, 400, "$.brand_id names no brand"),
        (jackpot, {"brand_id": "a:b:c"}, 400, "$.brand_id"),
        (jackpot, {"brand_id": 1}, 400, "$.brand_id"),
        (jackpot, {"reason": 1}, 400, "$.reason"),
        (jackpot, {"reason": "x" * 1025}, 400, "$.reason"),
        (jackpot, {"schedule": {}}, 400, "$.schedule is unknown"),
        (over, {}, 409, "the jackpot is Terminated"),
        ("none", {}, 404, "none"),
    ]
    for instance_id, body, status, where in cases:
        refused = (await put(platform, instance_id, body)).refusal
        assert refused[0] == status, refused
        assert refused[2].startswith(where), refused
    path = f"/instances/{jackpot}/schedule"
    too_long = await platform.admin.delete(f"{path}?reason={'x' * 1025}")
    assert too_long.refusal[0] == 400
    stranger = platform.admin.with_token(lab.user)
    for answer in (
        await stranger.put(path, {}),
        await stranger.get(path),
        await stranger.delete(path),
    ):
        assert answer.refusal[:2] == (403, "FORBIDDEN")
    assert (await shown(platform, jackpot))["brands"] == {}
