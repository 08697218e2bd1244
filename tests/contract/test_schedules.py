"""Schedules of instances over HTTP: what is set, what is shown of it, what it does, and what is refused (§8, §9)."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import trio

from jackpotd.journal.log import LmdbLog
from jackpotd.service.data_directory import DataDirectory
from jackpotd.wire.event_records import ScheduleChanged
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
    scheduled,
    shown,
    status_of,
    time_of_day,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.conftest import Answer, Json, Platform, StartServer

# The guide's three examples, as they stand there; the second one is over, so tests move it.
HAPPY_HOUR: Json = {
    "timestamp_start": NEW_YEAR_2024,
    "recurrence_rules": [
        daily((19, 21)),
        {
            "frequency": {
                "Weekly": {
                    "days": [
                        *[[day, None] for day in ("Mon", "Tue", "Wed", "Thu", "Fri")],
                        ["Sat", {"Daily": hours((8, 20))}],
                    ]
                }
            }
        },
    ],
}
FESTIVE: Json = {
    "timestamp_start": 1733011200000,
    "timestamp_end": 1735117200000,
    "recurrence_rules": [daily((8, 24))],
}
DAILY_RAFFLE: Json = {
    "timestamp_start": 1722470400000,
    "recurrence_rules": [daily((0, 22))],
}


def pairs(windows: list[Json]) -> list[tuple[int, int]]:
    return [(window["start"], window["end"]) for window in windows]


def on_day(day: int, opens: int, closes: int) -> tuple[int, int]:
    """A window of a day since the new year of 2024, in whole hours."""
    start = NEW_YEAR_2024 + day * DAY_MS
    return start + opens * HOUR_MS, start + closes * HOUR_MS


# What is shown


async def test_the_guides_happy_hour_is_as_its_text_says(platform: Platform) -> None:
    """19 to 21 from Monday to Friday, 8 to 20 on Saturday, nothing on Sunday."""
    jackpot = await scheduled(platform, HAPPY_HOUR)
    week = await shown(platform, jackpot, from_=NEW_YEAR_2024, to=NEW_YEAR_2024 + WEEK_MS)

    working_days = [on_day(day, 19, 21) for day in range(5)]
    assert pairs(week["windows"]) == [*working_days, on_day(5, 8, 20)]
    assert (week["rounds"], week["truncated"]) == ([], False)
    assert (week["instance_id"], week["brand_id"], week["brands"]) == (jackpot, None, {})
    assert (week["from"], week["to"]) == (NEW_YEAR_2024, NEW_YEAR_2024 + WEEK_MS)
    rules = [
        *HAPPY_HOUR["recurrence_rules"][:1],
        HAPPY_HOUR["recurrence_rules"][1] | {"interval": 1},
    ]
    assert week["schedule"] == HAPPY_HOUR | {"timestamp_end": None, "recurrence_rules": rules}
    assert (await platform.instance(jackpot))["schedule"] == week["schedule"]


async def test_the_guides_festive_raffle_is_as_its_text_says(platform: Platform) -> None:
    """One round over all days, contributions from 8 to the end of each day; the last day until 9."""
    start = (now_ms() // DAY_MS + 1) * DAY_MS
    length = FESTIVE["timestamp_end"] - FESTIVE["timestamp_start"]
    moved = FESTIVE | {"timestamp_start": start, "timestamp_end": start + length}
    assert length == 24 * DAY_MS + 9 * HOUR_MS
    jackpot = await a_raffle(platform, moved, raffle=raffle(duration={"Hours": 24 * 24 + 9}))
    month = await shown(platform, jackpot, from_=start, to=start + 31 * DAY_MS)

    windows = pairs(month["windows"])
    assert len(windows) == 25
    assert windows[0] == (start + 8 * HOUR_MS, start + DAY_MS)
    assert windows[-1] == (start + length - HOUR_MS, start + length)
    # The round lasts its 24 days and 9 hours, or until the end of the schedule if that comes first.
    assert month["rounds"] == [{"number": 1, "start": start + 8 * HOUR_MS, "end": start + length}]
    assert (await platform.instance(jackpot))["status"] == "Pending"


async def test_the_guides_daily_raffle_is_as_its_text_says(platform: Platform) -> None:
    """A round each day, from midnight until it is resolved at 22:00; missed ones have numbers, too."""
    jackpot = await a_raffle(platform, DAILY_RAFFLE)
    today = now_ms() // DAY_MS * DAY_MS
    number = 1 + (today - DAILY_RAFFLE["timestamp_start"]) // DAY_MS
    coming = await shown(platform, jackpot, from_=today + DAY_MS, to=today + 4 * DAY_MS)
    far = await shown(platform, jackpot, from_=today + 1000 * DAY_MS, to=today + 1001 * DAY_MS)

    days = [(today + day * DAY_MS, today + day * DAY_MS + 22 * HOUR_MS) for day in (1, 2, 3)]
    assert pairs(coming["windows"]) == pairs(coming["rounds"]) == days
    assert [each["number"] for each in coming["rounds"]] == [number + 1, number + 2, number + 3]
    assert [each["number"] for each in far["rounds"]] == [number + 1000]


async def test_windows_over_midnight_and_intervals_are_shown(platform: Platform) -> None:
    """Several windows a day, one that crosses midnight, every second day from the start on."""
    rules = [daily((6, 7), (22, 3), interval=2)]
    jackpot = await scheduled(
        platform, {"timestamp_start": NEW_YEAR_2024, "recurrence_rules": rules}
    )
    found = await shown(platform, jackpot, from_=NEW_YEAR_2024, to=NEW_YEAR_2024 + 3 * DAY_MS)

    expected = [on_day(0, 6, 7), on_day(0, 22, 27), on_day(2, 6, 7), on_day(2, 22, 24)]
    assert pairs(found["windows"]) == expected


async def test_range_is_a_week_from_now_unless_it_is_asked_for(platform: Platform) -> None:
    """What is open at `from` is cut there; without a schedule, it is always open."""
    jackpot = await platform.jackpot()
    before = now_ms()
    found = await shown(platform, jackpot)

    assert before <= found["from"] <= now_ms()
    assert found["to"] == found["from"] + WEEK_MS
    assert found["schedule"] is None
    assert pairs(found["windows"]) == [(found["from"], found["to"])]


async def test_more_windows_than_are_listed_are_not_silently_left_out(platform: Platform) -> None:
    """A thousand at most, and it is said that there are more."""
    every_hour = {
        "Daily": {"hours": [[time_of_day(h), time_of_day(h) | {"minute": 30}] for h in range(24)]}
    }
    rules = [{"frequency": every_hour, "interval": 1}]
    jackpot = await scheduled(platform, {"recurrence_rules": rules})
    year = await shown(platform, jackpot, from_=NEW_YEAR_2024, to=NEW_YEAR_2024 + 365 * DAY_MS)
    weeks = await shown(platform, jackpot, from_=NEW_YEAR_2024, to=NEW_YEAR_2024 + 4 * WEEK_MS)

    assert (len(year["windows"]), year["truncated"]) == (1000, True)
    assert (len(weeks["windows"]), weeks["truncated"]) == (672, False)


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": -1}, "from"),
        ({"from": 1}, "from"),
        ({"from": 4102444800000}, "from"),
        ({"from": NEW_YEAR_2024, "to": NEW_YEAR_2024}, "to"),
        ({"from": NEW_YEAR_2024, "to": NEW_YEAR_2024 - 1}, "to"),
        ({"from": NEW_YEAR_2024, "to": 4102444800000}, "to"),
        ({"to": "9" * 400}, "to"),
        ({"brand_id": "nobody"}, "brand_id"),
        ({"brand_id": "another:brand1"}, "brand_id"),
    ],
)
async def test_range_that_makes_no_sense_is_refused(
    platform: Platform, params: dict[str, str | int], where: str
) -> None:
    """The parameter is named."""
    jackpot = await platform.jackpot()
    refused = (await platform.admin.get(f"/instances/{jackpot}/schedule", params)).refusal

    assert refused[:2] == (400, "INVALID_REQUEST")
    assert f"query parameter {where} " in refused[2]


# What it does


async def test_jackpot_whose_schedule_begins_later_waits_for_it(platform: Platform) -> None:
    """Pending though Active was asked for; then it becomes Active by itself, and is over at its end."""
    template = platform.template()
    await platform.publish(template)
    start = now_ms() + 2 * SECOND_MS
    schedule = {"timestamp_start": start, "timestamp_end": start + SECOND_MS}
    jackpot = (await instantiated(platform, template, schedule)).successful().body["id"]
    waiting = await platform.instance(jackpot)
    early = await platform.contribute(jackpot)
    begun = await status_of(platform, jackpot, once="Active")
    taken = await platform.contribute(jackpot)
    over = await status_of(platform, jackpot, once="Terminated")
    late = await platform.contribute(jackpot)

    assert (waiting["status"], waiting["schedule"]["timestamp_start"]) == ("Pending", start)
    assert (waiting["timestamp_start"], waiting["timestamp_end"]) == (start, start + SECOND_MS)
    assert early.refusal == (400, "CONTRIBUTION_REJECTED", "JackpotNotActive")
    assert taken.status == 200
    assert begun["last_updated"] >= start
    assert over["last_updated"] >= start + SECOND_MS
    assert late.refusal == (400, "CONTRIBUTION_REJECTED", "JackpotNotActive")


async def test_closed_window_refuses_contributions_and_opens_for_nobody_else(
    platform: Platform,
) -> None:
    """The jackpot stays Active, and its source leads to it, and to no other."""
    jackpot, other = await scheduled(platform, closed_now()), await platform.jackpot()
    source = await platform.source(jackpot, other)
    refusals = [await platform.contribute(jackpot), await platform.contribute_by_source(source)]

    assert {each.refusal for each in refusals} == {
        (400, "CONTRIBUTION_REJECTED", "OutsideSchedule")
    }
    state = await platform.instance(jackpot)
    assert (state["status"], state["contribution_count"]) == ("Active", 0)


async def test_schedule_that_is_set_takes_effect_at_once(platform: Platform) -> None:
    """Closed, opened again, taken away: of a jackpot that runs; all of it survives a restart."""
    jackpot = await platform.jackpot()
    closed = (await put(platform, jackpot, closed_now(), reason="inventory")).successful().body
    refused = await platform.contribute(jackpot)
    opened = await put(platform, jackpot, {"recurrence_rules": [daily((0, 24))]})
    taken = await platform.contribute(jackpot)
    again = (await put(platform, jackpot, closed_now())).successful()
    gone = (await platform.admin.delete(f"/instances/{jackpot}/schedule?reason=over")).successful()
    free = await platform.contribute(jackpot)

    assert closed["schedule"] == closed_now() | {"timestamp_end": None}
    assert len(closed["windows"]) in {7, 8}
    assert refused.refusal[2] == "OutsideSchedule"
    assert len(opened.successful().body["windows"]) == 1
    assert (taken.status, free.status) == (200, 200)
    assert again.body["schedule"] is not None
    assert (gone.body["schedule"], (await platform.instance(jackpot))["schedule"]) == (None, None)
    repeated = await platform.admin.delete(f"/instances/{jackpot}/schedule")
    assert repeated.successful().body["schedule"] is None


async def test_brand_may_have_a_schedule_of_its_own(platform: Platform) -> None:
    """It gates that brand instead of the instance's, whichever of both is open; a bare brand is the operator's."""
    jackpot = await scheduled(platform, {"recurrence_rules": [daily((0, 24))]})
    own = (await put(platform, jackpot, closed_now(), brand_id="brand2")).successful().body
    theirs = await platform.contribute(jackpot, brand_id=platform.other_brand)
    others = await platform.contribute(jackpot)
    (await put(platform, jackpot, closed_now())).successful()
    (await put(platform, jackpot, {}, brand_id=platform.other_brand)).successful()
    both = await shown(platform, jackpot)
    swapped = await platform.contribute(jackpot, brand_id=platform.other_brand)
    path = f"/instances/{jackpot}/schedule?brand_id=brand2"
    gone = (await platform.admin.delete(path)).successful().body

    assert (own["brand_id"], set(own["brands"])) == (platform.other_brand, {platform.other_brand})
    assert own["schedule"] == own["brands"][platform.other_brand]
    assert theirs.refusal[2] == "OutsideSchedule"
    assert (others.status, swapped.status) == (200, 200)
    assert (await platform.contribute(jackpot)).refusal[2] == "OutsideSchedule"
    assert both["brands"][platform.other_brand]["recurrence_rules"] == []
    # Without one of its own a brand follows the instance's windows.
    assert (gone["schedule"], gone["brands"]) == (None, {})
    windows = await shown(platform, jackpot, from_=gone["from"], to=gone["to"])
    assert gone["windows"] == windows["windows"]


async def test_schedules_survive_a_crash(start_server: StartServer) -> None:
    """What was answered is there after `kill -9`: at birth, set later, of a brand."""
    async with start_server() as (server, platform):
        born = await scheduled(platform, closed_now())
        later, raffle_id = await platform.jackpot(), await a_raffle(platform)
        (await put(platform, later, HAPPY_HOUR)).successful()
        (await put(platform, later, closed_now(), brand_id="brand2")).successful()
        found = [await shown(platform, each, from_=NEW_YEAR_2024) for each in (born, later)]
        before = await platform.instance(raffle_id)
        await server.kill()
        await server.start()
        after = [await shown(platform, each, from_=NEW_YEAR_2024) for each in (born, later)]

        assert after == found
        assert (await platform.instance(raffle_id))["raffle"] == before["raffle"]
        assert (await platform.contribute(born)).refusal[2] == "OutsideSchedule"


async def test_r_rec_5_who_changed_a_schedule_and_why_is_recorded(
    start_server: StartServer,
) -> None:
    """Each change with the schedule as it was set, by whom, and the reason, as JSON that anybody can read."""
    async with start_server() as (server, platform):
        jackpot = await platform.jackpot()
        (await put(platform, jackpot, HAPPY_HOUR, reason="happy hour")).successful()
        (await put(platform, jackpot, {}, brand_id="brand1", reason="not for one")).successful()
        path = f"/instances/{jackpot}/schedule?brand_id=brand1&reason=for%20all"
        (await platform.admin.delete(path)).successful()
        await server.stop()
        events = schedule_events(server.data_dir, jackpot)

    assert [(event[2], event[4], event[5]) for event in events] == [
        ("", "admin", "happy hour"),
        (platform.brand, "admin", "not for one"),
        (platform.brand, "admin", "for all"),
    ]
    assert events[0][3][0] == NEW_YEAR_2024
    assert events[1][3][:2] == [None, None]
    assert events[2][3] is None


def schedule_events(data_dir: Path, jackpot: str) -> list[list[Any]]:
    folder = DataDirectory(data_dir).worker(0)
    log = LmdbLog.open_readonly(folder.journal, name=folder.log_name, map_bytes_max=1 << 36)
    tag = ScheduleChanged.__struct_config__.tag
    with closing(log):
        records = [json.loads(data) for seq, data in log.scan(0) if seq]
    events = [event for record in records if record[:2] == ["E", jackpot] for event in record[2]]
    return [event for event in events if event[0] == tag]


async def test_o12c_a_switched_jackpot_keeps_its_schedules(platform: Platform) -> None:
    """Its own and those of brands; one that was paused does not begin by itself."""
    target = platform.template(pots=[_unseeded(platform)])
    await platform.publish(target)
    for status, expected in (("Active", "Active"), ("Paused", "Paused")):
        old = await scheduled(platform, closed_now())
        (await put(platform, old, HAPPY_HOUR, brand_id="brand2")).successful()
        if status == "Paused":
            (await platform.set_status(old, "Paused")).successful()
        before = await shown(platform, old, from_=NEW_YEAR_2024)
        done = (await _switch(platform, old, target)).successful().body
        after = await shown(platform, done["target_instance_id"], from_=NEW_YEAR_2024)

        assert (done["stage"], done["instance"]["status"]) == ("Done", expected)
        assert after == before | {"instance_id": done["target_instance_id"]}
        new = await platform.instance(done["target_instance_id"])
        assert new["schedule"] == before["schedule"]
        refused = await platform.contribute(done["target_instance_id"])
        assert refused.refusal[2] == (
            "OutsideSchedule" if status == "Active" else "JackpotNotActive"
        )


async def test_a_jackpot_that_waits_for_its_schedule_waits_after_a_switch(
    platform: Platform,
) -> None:
    """It begins when the schedule does."""
    target = platform.template(pots=[_unseeded(platform)])
    await platform.publish(target)
    start = now_ms() + 3 * SECOND_MS
    old = await scheduled(platform, {"timestamp_start": start})
    done = (await _switch(platform, old, target)).successful().body

    assert (done["instance"]["status"], done["instance"]["timestamp_start"]) == ("Pending", start)
    begun = await status_of(platform, done["target_instance_id"], once="Active")
    assert begun["last_updated"] >= start


def _unseeded(platform: Platform) -> Json:
    return platform.pot(seed_strategy={"initial_seed_value": 0, "min_reseed_value": 1})


async def _switch(platform: Platform, old: str, template: Json, **changes: object) -> Answer:
    body = {
        "source_instance_id": old,
        "template_id": template["id"],
        "template_owner_id": template["owner_id"],
        "target_instance_owner_id": platform.operator,
        "target_instance_name": platform.unique("new"),
        "pot_rules": [{"source_pot": "main", "target_pot": {"main": 1}}],
        "reason": "a test asks for it",
    }
    return await platform.admin.post("/instances/switchmodel", body | changes)


async def test_raffles_are_not_switched(platform: Platform) -> None:
    """Neither from one (409) nor to the template of one (400), with words; nothing happens."""
    old, jackpot = await a_raffle(platform), await platform.jackpot()
    plain = platform.template(pots=[_unseeded(platform)])
    tickets = platform.template(
        jackpot_type="Raffle",
        raffle=raffle(),
        pots=[_unseeded(platform) | {"pot_types": []}],
    )
    for template in (plain, tickets):
        await platform.publish(template)
    for dry_run in (True, False):
        source = (await _switch(platform, old, plain, dry_run=dry_run)).refusal
        target = (await _switch(platform, jackpot, tickets, dry_run=dry_run)).refusal
        assert source[:2] == (409, "INVALID_STATE")
        assert target[:2] == (400, "INVALID_REQUEST")
        assert "raffle" in source[2]
        assert target[2].startswith("$.template_id ")
    assert (await platform.instance(old))["status"] == "Active"
    assert (await platform.instance(jackpot))["status"] == "Active"


async def test_a_jackpot_with_a_brand_kept_out_for_good_is_not_switched(platform: Platform) -> None:
    """The new one could not keep that brand out; a person decides first."""
    jackpot = await platform.jackpot()
    target = platform.template(pots=[_unseeded(platform)])
    await platform.publish(target)
    end = now_ms() + SECOND_MS
    (await put(platform, jackpot, {"timestamp_end": end}, brand_id="brand2")).successful()
    while now_ms() < end:
        await trio.lowlevel.checkpoint()

    assert (await platform.contribute(jackpot, brand_id=platform.other_brand)).status == 400
    refused = (await _switch(platform, jackpot, target)).refusal
    assert refused[:2] == (409, "INVALID_STATE")
    assert platform.other_brand in refused[2]
    (await platform.admin.delete(f"/instances/{jackpot}/schedule?brand_id=brand2")).successful()
    assert (await _switch(platform, jackpot, target)).status == 200


async def test_rounds_of_a_raffle_follow_a_new_schedule(platform: Platform) -> None:
    """The running round ends when the new schedule does, and none follows."""
    start = now_ms() - SECOND_MS
    jackpot = await a_raffle(platform, {"timestamp_start": start})
    schedule = {"timestamp_start": start, "timestamp_end": start + 5 * HOUR_MS}
    found = (await put(platform, jackpot, schedule, reason="sooner")).successful().body

    assert found["rounds"] == [{"number": 1, "start": start, "end": start + 5 * HOUR_MS}]
    state = await platform.instance(jackpot)
    assert (state["raffle"]["ends"], state["timestamp_end"]) == (start + 5 * HOUR_MS,) * 2


async def test_schedules_and_rounds_are_described(platform: Platform) -> None:
    """OpenAPI has the calls with their parameters, bodies and answers."""
    document = (await platform.admin.get("/openapi.json")).body
    paths, schemas = document["paths"], document["components"]["schemas"]
    calls = paths["/instances/{instance_id}/schedule"]
    rounds = [
        paths["/instances/{instance_id}/rounds"]["get"],
        paths["/instances/{instance_id}/rounds/{number}"]["get"],
    ]

    assert {"get", "put", "delete"} <= set(calls)
    body = calls["put"]["requestBody"]["content"]["application/json"]["schema"]
    fields = schemas[body["$ref"].rpartition("/")[2]]["properties"]
    assert set(fields) == {
        "timestamp_start",
        "timestamp_end",
        "recurrence_rules",
        "brand_id",
        "reason",
    }
    asked = {each["name"] for each in calls["get"]["parameters"] if each["in"] == "query"}
    assert asked == {"from", "to", "brand_id"}
    for call in (*calls.values(), *rounds):
        assert call["summary"]
        assert call["responses"]["200"]["content"]["application/json"]["schema"]
    shown_fields = schemas["ScheduleAnswer"]["properties"]
    assert {"from", "to", "windows", "rounds", "truncated"} <= set(shown_fields)
    assert {"events", "credits", "winners"} <= set(schemas["RoundAnswer"]["properties"])
    instantiation = schemas["InstantiateDoc"]["properties"]["schedule"]
    assert "ScheduleDoc" in str(instantiation)
