"""Schedules as operators write them: the guide's examples mean what its text says, and what cannot be has its path."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from jackpotd.core.schedule import (
    DAY_MS,
    DailyRule,
    Schedule,
    WeeklyRule,
    is_open,
    next_open_ms,
    open_until_ms,
    windows,
)
from jackpotd.wire.codec import decode, decoder, encode
from jackpotd.wire.errors import RequestRefused
from jackpotd.wire.schedule import ScheduleDoc, compile_schedule, schedule_answer

Json = dict[str, Any]

DECODER = decoder(ScheduleDoc)
HOUR_MS = 3_600_000
WEEK_MS = 7 * DAY_MS


def clock(hour: int, minute: int = 0, sec: int = 0) -> Json:
    return {"hour": hour, "minute": minute, "sec": sec}


def daily(*pairs: list[Any]) -> Json:
    """`{"Daily": …}` of pairs of times."""
    return {"Daily": {"hours": list(pairs)}}


def weekly(*days: Any) -> Json:
    return {"Weekly": {"days": list(days)}}


def one_rule(frequency: Any, **changes: Any) -> Json:
    """A schedule of one rule; `changes` are of the rule."""
    return {"recurrence_rules": [{"frequency": frequency, **changes}]}


def compiled(document: Any) -> Schedule:
    return compile_schedule(decode(DECODER, json.dumps(document).encode()))


def refusal(document: Any) -> str:
    with pytest.raises(RequestRefused) as caught:
        compiled(document)
    assert (400, "INVALID_REQUEST") == (caught.value.body.status_code, caught.value.body.code)
    return caught.value.body.message


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


# Weekdays from 19:00 to 21:00, and Saturdays from 08:00 to 20:00.
HAPPY_HOURS: Json = {
    "timestamp_start": 1704067200000,
    "recurrence_rules": [
        {"frequency": daily([clock(19), clock(21)]), "interval": 1},
        {
            "frequency": weekly(
                ["Mon", None],
                ["Tue", None],
                ["Wed", None],
                ["Thu", None],
                ["Fri", None],
                ["Sat", daily([clock(8), clock(20)])],
            )
        },
    ],
}
# Once, from the 1st of December to the 25th at 09:00, each day from 08:00 on.
FESTIVE: Json = {
    "timestamp_start": 1733011200000,
    "timestamp_end": 1735117200000,
    "recurrence_rules": [{"frequency": daily([clock(8), clock(23, 59, 59)]), "interval": 1}],
}
# Each day until 22:00, for raffles of 22 hours.
DAILY_RAFFLE: Json = {
    "timestamp_start": 1722470400000,
    "recurrence_rules": [{"frequency": daily([clock(0), clock(22)]), "interval": 1}],
}


def test_the_guide_s_happy_hours_open_six_days_a_week() -> None:
    """79,200 seconds a week: two hours on five days and twelve on Saturday; Sunday is closed."""
    schedule = compiled(HAPPY_HOURS)
    start = at("2024-01-01 00:00")
    week = list(windows(schedule, start, start + WEEK_MS))

    assert 79_200_000 == sum(closes - opens for opens, closes in week)
    assert [(day * 24 + 19, day * 24 + 21) for day in range(5)] + [(5 * 24 + 8, 5 * 24 + 20)] == [
        ((opens - start) // HOUR_MS, (closes - start) // HOUR_MS) for opens, closes in week
    ]
    assert at("2024-01-08 19:00") == next_open_ms(schedule, at("2024-01-06 20:00"))
    assert not is_open(schedule, at("2024-01-07 19:30"))
    assert not is_open(schedule, at("2023-12-29 20:00"))  # a Friday before the start
    assert next_open_ms(schedule, at("2199-01-01 00:00")) is not None  # it has no end


def test_the_guide_s_festive_raffle_lasts_24_days_and_9_hours() -> None:
    """Its last window, on the 25th, is cut after one hour; on other days it reaches midnight."""
    schedule = compiled(FESTIVE)
    assert schedule.start_ms is not None
    assert schedule.end_ms is not None
    found = list(windows(schedule, schedule.start_ms, schedule.end_ms))

    assert 24 * DAY_MS + 9 * HOUR_MS == schedule.end_ms - schedule.start_ms
    assert 25 == len(found)
    assert (at("2024-12-01 08:00"), at("2024-12-02 00:00")) == found[0]
    assert (at("2024-12-25 08:00"), at("2024-12-25 09:00")) == found[-1]
    assert is_open(schedule, at("2024-12-24 23:59") + 59_999)
    assert not is_open(schedule, at("2024-12-25 00:00"))
    assert next_open_ms(schedule, schedule.end_ms) is None


def test_the_guide_s_daily_raffle_is_open_for_22_hours_of_each_day() -> None:
    """From midnight to 22:00, from the first day on."""
    schedule = compiled(DAILY_RAFFLE)
    start = at("2024-08-01 00:00")

    assert [(start + day * DAY_MS, start + day * DAY_MS + 22 * HOUR_MS) for day in range(31)] == (
        list(windows(schedule, 0, start + 31 * DAY_MS))
    )
    assert start + 22 * HOUR_MS == open_until_ms(schedule, start)


@pytest.mark.parametrize("document", [HAPPY_HOURS, FESTIVE, DAILY_RAFFLE])
def test_the_guide_s_examples_are_rendered_as_they_were_written(document: Json) -> None:
    """With what they left out."""
    full = {"timestamp_end": None, **document}
    full["recurrence_rules"] = [{"interval": 1, **rule} for rule in full["recurrence_rules"]]

    assert full == json.loads(encode(schedule_answer(compiled(document))))


def test_a_schedule_may_have_nothing_in_it() -> None:
    """It is always open; what is left out may be null."""
    assert Schedule(None, None) == compiled({})
    assert Schedule(None, None) == compiled({"recurrence_rules": None, "timestamp_end": None})
    assert compiled(one_rule(daily(FINE))) == compiled(one_rule(daily(FINE), interval=None))
    assert {"timestamp_start": None, "timestamp_end": None, "recurrence_rules": []} == (
        json.loads(encode(schedule_answer(Schedule(None, None))))
    )


def test_minutes_and_seconds_may_be_left_out() -> None:
    """Then they are 0; so is the interval 1."""
    schedule = compiled(one_rule(daily([{"hour": 7}, {"hour": 8, "minute": 30}])))

    assert Schedule(None, None, (DailyRule(((7 * HOUR_MS, 8 * HOUR_MS + HOUR_MS // 2),)),)) == (
        schedule
    )


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (clock(8), clock(23, 59, 59), (8 * HOUR_MS, DAY_MS)),
        (clock(8), clock(23, 59, 58), (8 * HOUR_MS, DAY_MS - 2000)),
        (clock(8), clock(0), (8 * HOUR_MS, DAY_MS)),
        (clock(0), clock(23, 59, 59), (0, DAY_MS)),
        (clock(0), clock(0, 0, 1), (0, 1000)),
        (clock(22), clock(2), (22 * HOUR_MS, 26 * HOUR_MS)),
        (clock(12, 0, 1), clock(12), (12 * HOUR_MS + 1000, 36 * HOUR_MS)),
        (clock(23, 59, 59), clock(0), (DAY_MS - 1000, DAY_MS)),
        (clock(23, 59, 59), clock(23, 59, 58), (DAY_MS - 1000, 2 * DAY_MS - 2000)),
        (clock(23, 59, 58), clock(23, 59, 59), (DAY_MS - 2000, DAY_MS)),
    ],
)
def test_windows_mean_the_same_when_rendered_and_read_again(
    first: Json, last: Json, expected: tuple[int, int]
) -> None:
    """An end of 23:59:59 is midnight, an end before the start is on the next day."""
    schedule = compiled(one_rule(daily([first, last])))

    assert (DailyRule((expected,)),) == schedule.daily
    assert schedule == compile_schedule(schedule_answer(schedule))


def test_rules_of_both_kinds_may_be_mixed() -> None:
    """Each finds its place, and is rendered: the Daily ones first."""
    document: Json = {
        "timestamp_start": at("2024-01-01 00:00"),
        "recurrence_rules": [
            {"frequency": weekly(["Sun", None], ["Mon", daily([clock(1), clock(2)])])},
            {"frequency": daily([clock(3), clock(4)], [clock(5), clock(6)]), "interval": 3},
            {"frequency": weekly(["Sat", None]), "interval": 2},
        ],
    }
    three_to_six = ((3 * HOUR_MS, 4 * HOUR_MS), (5 * HOUR_MS, 6 * HOUR_MS))
    expected = Schedule(
        document["timestamp_start"],
        None,
        (DailyRule(three_to_six, 3),),
        (WeeklyRule(((6, None), (0, ((HOUR_MS, 2 * HOUR_MS),)))), WeeklyRule(((5, None),), 2)),
    )
    assert expected == compiled(document)
    assert expected == compile_schedule(schedule_answer(expected))


FREQUENCY = "$.schedule.recurrence_rules[0].frequency"
HOURS = f"{FREQUENCY}.Daily.hours"
DAYS = f"{FREQUENCY}.Weekly.days"
FINE = [clock(1), clock(2)]


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"timestamp_start": 1_704_067_200, "recurrence_rules": []}, "$.schedule.timestamp_start"),
        (
            {"timestamp_start": 1_704_067_200_000, "timestamp_end": 1_704_067_199_000},
            "$.schedule.timestamp_end",
        ),
        ({**FESTIVE, "timestamp_end": 1733011200000 + 8 * HOUR_MS}, "$.schedule.timestamp_end"),
        (one_rule({"Monthly": {}}), f"{FREQUENCY}.Monthly"),
        (one_rule({}), FREQUENCY),
        (one_rule({**daily(FINE), **weekly(["Mon", None])}), FREQUENCY),
        (one_rule({"Daily": None}), f"{FREQUENCY}.Daily"),
        (one_rule({"Daily": {}}), HOURS),
        (one_rule({"Daily": {"hours": [], "days": []}}), f"{FREQUENCY}.Daily.days"),
        (one_rule(daily()), HOURS),
        (one_rule(daily(FINE, [clock(3)])), f"{HOURS}[1]"),
        (one_rule(daily(FINE, [clock(3), clock(4), clock(5)])), f"{HOURS}[1]"),
        (one_rule(daily([clock(1), clock(25)])), f"{HOURS}[0][1].hour"),
        (one_rule(daily([clock(1), clock(24)])), f"{HOURS}[0][1].hour"),
        (one_rule(daily([clock(-1), clock(2)])), f"{HOURS}[0][0].hour"),
        (one_rule(daily([clock(1), clock(2, 60)])), f"{HOURS}[0][1].minute"),
        (one_rule(daily(FINE, [clock(1, 0, 60), clock(2)])), f"{HOURS}[1][0].sec"),
        (one_rule(daily([{"hour": "1"}, clock(2)])), f"{HOURS}[0][0].hour"),
        (one_rule(daily([{"minute": 1}, clock(2)])), f"{HOURS}[0][0].hour"),
        (one_rule(daily([{"hour": 1, "second": 1}, clock(2)])), f"{HOURS}[0][0].second"),
        (one_rule(daily(FINE, [clock(3), clock(3)])), f"{HOURS}[1]"),
        (one_rule(daily([clock(23, 59, 59)] * 2)), f"{HOURS}[0]"),
        (one_rule({"Weekly": []}), f"{FREQUENCY}.Weekly"),
        (one_rule(weekly()), DAYS),
        (one_rule(weekly("Mon")), f"{DAYS}[0]"),
        (one_rule(weekly(["Mon"])), f"{DAYS}[0]"),
        (one_rule(weekly(["Mon", None], ["Moon", None])), f"{DAYS}[1][0]"),
        (one_rule(weekly(["mon", None])), f"{DAYS}[0][0]"),
        (one_rule(weekly([1, None])), f"{DAYS}[0][0]"),
        (one_rule(weekly(["Mon", None], ["Mon", None])), f"{DAYS}[1][0]"),
        (one_rule(weekly(["Mon", 1])), f"{DAYS}[0][1]"),
        (one_rule(weekly(["Mon", {}])), f"{DAYS}[0][1]"),
        (one_rule(weekly(["Mon", weekly(["Mon", None])])), f"{DAYS}[0][1].Weekly"),
        (one_rule(weekly(["Mon", daily()])), f"{DAYS}[0][1].Daily.hours"),
        (
            one_rule(weekly(["Mon", None], ["Tue", daily(FINE, [clock(1), clock(25)])])),
            f"{DAYS}[1][1].Daily.hours[1][1].hour",
        ),
        (
            one_rule(weekly(["Mon", daily([clock(1), clock(1)])])),
            f"{DAYS}[0][1].Daily.hours[0]",
        ),
        (one_rule(daily(FINE), interval=0), "$.schedule.recurrence_rules[0].interval"),
        (one_rule(daily(FINE), interval=2), "$.schedule.recurrence_rules[0].interval"),
        (one_rule(daily(FINE), interval=10**30), "$.schedule.recurrence_rules[0].interval"),
        (
            {
                "timestamp_start": 1_704_067_200_000,  # a Monday
                "recurrence_rules": [
                    {"frequency": daily(FINE), "interval": 7},
                    {"frequency": weekly(["Sun", None])},
                ],
            },
            "$.schedule.recurrence_rules",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_whole_path(document: Json, path: str) -> None:
    """The path of the schedule's place in its body, down to the value to mend."""
    assert path == refusal(document).split()[0]


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"timestamp_end": "2024"}, "$.timestamp_end"),
        ({"timestamp_start": 1.5}, "$.timestamp_start"),
        ({"start": 1}, "$.start"),
        ({"recurrence_rules": {}}, "$.recurrence_rules"),
        ({"recurrence_rules": [{"interval": 1}]}, "$.recurrence_rules[0].frequency"),
        (one_rule(daily(FINE), interval="1"), "$.recurrence_rules[0].interval"),
        (one_rule(daily(FINE), intervall=1), "$.recurrence_rules[0].intervall"),
        (one_rule([]), "$.recurrence_rules[0].frequency"),
    ],
)
def test_what_does_not_decode_is_refused_where_the_body_is_read(document: Json, path: str) -> None:
    """The body's own decoder puts the schedule's place before it."""
    assert path == refusal(document).split()[0]


def test_all_relations_that_do_not_hold_are_named_at_once() -> None:
    """With the rules' places in the document, and under the base that was asked for."""
    document: Json = {
        "timestamp_start": 1_704_067_200_000,
        "timestamp_end": 1_704_067_200_000,
        "recurrence_rules": [
            {"frequency": weekly(["Mon", None], ["Mon", daily()])},
            {"frequency": daily(), "interval": 1001},
        ],
    }
    with pytest.raises(RequestRefused) as caught:
        compile_schedule(decode(DECODER, json.dumps(document).encode()), base="$")
    rules = "$.recurrence_rules"

    assert caught.value.body.message == "; ".join(
        [
            "$.timestamp_end must be after timestamp_start",
            f"{rules}[0].frequency.Weekly.days[1][0] is listed twice",
            f"{rules}[0].frequency.Weekly.days[1][1].Daily.hours needs 1 to 48 windows",
            f"{rules}[1].interval must be 1 to 1000",
            f"{rules}[1].frequency.Daily.hours needs 1 to 48 windows",
        ]
    )
