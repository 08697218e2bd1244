"""Schedules by hand: each rule of the contract's Schedule line in a case of its own, and each problem with its path."""

from datetime import UTC, datetime
from itertools import islice

import pytest

from jackpotd.core.schedule import (
    DAY_MS,
    DailyRule,
    Hours,
    Schedule,
    WeeklyRule,
    is_open,
    next_open_ms,
    open_until_ms,
    problems,
    windows,
)

HOUR_MS = 3_600_000
MON, TUE, WED, THU, FRI, SAT, SUN = range(7)


def at(text: str) -> int:
    """Unix milliseconds of a time in UTC, like `2024-02-29 19:00`."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def between(*hours: tuple[float, float]) -> tuple[Hours, ...]:
    """Windows of a day in hours."""
    return tuple((round(opens * HOUR_MS), round(closes * HOUR_MS)) for opens, closes in hours)


def daily(*hours: tuple[float, float], interval: int = 1) -> DailyRule:
    return DailyRule(between(*hours), interval)


def days(*weekdays: int, interval: int = 1) -> WeeklyRule:
    """A weekly rule of days without hours of their own."""
    return WeeklyRule(tuple((day, None) for day in weekdays), interval)


def starts(schedule: Schedule, count: int, first: str) -> list[str]:
    """When the next stretches open."""
    found = islice(windows(schedule, at(first), at("2199-12-31 00:00")), count)
    return [f"{datetime.fromtimestamp(opens / 1000, UTC):%a %Y-%m-%d %H:%M}" for opens, _ in found]


def test_without_rules_it_is_open_from_start_to_end() -> None:
    """The start is inclusive, the end exclusive; without them it was and will be open."""
    start, end = at("2024-03-01 08:00"), at("2024-03-09 09:00")
    both, never_ends, always = Schedule(start, end), Schedule(start, None), Schedule(None, None)

    assert [False, True, True, False] == [
        is_open(both, ms) for ms in (start - 1, start, end - 1, end)
    ]
    assert start == next_open_ms(both, 0)
    assert next_open_ms(both, end) is None
    assert end == open_until_ms(both, start)
    assert [(start, end)] == list(windows(both, 0, end + DAY_MS))
    assert open_until_ms(never_ends, start) is None
    assert [(start, end)] == list(windows(never_ends, 0, end))
    assert is_open(always, 0)
    assert 5 == next_open_ms(always, 5)
    assert open_until_ms(always, 5) is None
    assert [(5, 9)] == list(windows(always, 5, 9))
    assert [] == list(windows(always, 9, 9))


def test_windows_are_half_open_and_unite() -> None:
    """Those that overlap or touch are one stretch, whichever rule they are of."""
    schedule = Schedule(None, None, (daily((9, 10), (10, 11)), daily((10.5, 12), (18, 19))))
    day = at("2024-02-29 00:00")

    assert [(day + 9 * HOUR_MS, day + 12 * HOUR_MS), (day + 18 * HOUR_MS, day + 19 * HOUR_MS)] == (
        list(windows(schedule, day, day + DAY_MS))
    )
    edges = [9 * HOUR_MS - 1, 9 * HOUR_MS, 12 * HOUR_MS - 1, 12 * HOUR_MS, 18 * HOUR_MS]
    assert [False, True, True, False, True] == [is_open(schedule, day + edge) for edge in edges]


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_starts() -> None:
    """Friday's night lasts into Saturday, which is no day of the rule; Thursday's does not exist."""
    schedule = Schedule(None, None, (daily((22, 26)),), (days(FRI),))
    friday = at("2024-03-01 22:00")

    assert [(friday, friday + 4 * HOUR_MS)] == list(
        windows(schedule, at("2024-02-29 12:00"), at("2024-03-07 00:00"))
    )
    assert is_open(schedule, at("2024-03-02 01:59"))
    assert not is_open(schedule, at("2024-03-01 01:00"))
    assert at("2024-03-02 02:00") == open_until_ms(schedule, friday)
    assert at("2024-03-02 02:00") == open_until_ms(schedule, at("2024-03-02 00:00"))
    assert at("2024-03-02 01:00") == next_open_ms(schedule, at("2024-03-02 01:00"))


def test_a_window_that_began_before_the_start_is_open_from_the_start() -> None:
    """The day before the start counts as a day of the rules, but what lies before the start is cut."""
    every_night = Schedule(at("2024-03-01 01:00"), None, (daily((22, 26)),))
    other_nights = Schedule(at("2024-03-01 01:00"), None, (daily((22, 26), interval=2),))

    assert ["Fri 2024-03-01 01:00", "Fri 2024-03-01 22:00"] == starts(
        every_night, 2, "2024-02-01 00:00"
    )
    assert ["Fri 2024-03-01 22:00", "Sun 2024-03-03 22:00"] == starts(
        other_nights, 2, "2024-02-01 00:00"
    )


def test_the_end_cuts_a_window() -> None:
    """And what would open at the end does not."""
    schedule = Schedule(None, at("2024-03-02 10:00"), (daily((9, 12)),))
    later = Schedule(None, at("2024-03-02 09:00"), (daily((9, 12)),))

    assert at("2024-03-02 10:00") == open_until_ms(schedule, at("2024-03-02 09:30"))
    assert next_open_ms(schedule, at("2024-03-02 10:00")) is None
    assert next_open_ms(later, at("2024-03-01 12:00")) is None
    assert not is_open(schedule, at("2024-03-02 10:00"))


def test_daily_intervals_count_dates_from_the_start() -> None:
    """Whatever the time of the start is, over leap days and ends of years."""
    schedule = Schedule(at("2024-02-26 18:00"), None, (daily((9, 10), interval=3),))
    expected = ["Thu 2024-02-29 09:00", "Sun 2024-03-03 09:00", "Wed 2024-03-06 09:00"]

    assert expected == starts(schedule, 3, "2024-01-01 00:00")
    assert ["Tue 2024-12-31 09:00", "Fri 2025-01-03 09:00"] == starts(
        schedule, 2, "2024-12-30 00:00"
    )


def test_weekly_intervals_count_iso_weeks_from_the_start_s() -> None:
    """The week of the start is the first, though its Monday is over; a week 53 is one like the others."""
    schedule = Schedule(at("2020-12-17 12:00"), None, (), (days(MON, SUN, interval=2),))
    expected = [
        "Sun 2020-12-20 00:00",  # week 51
        "Mon 2020-12-28 00:00",  # week 53
        "Sun 2021-01-03 00:00",
        "Mon 2021-01-11 00:00",  # week 2
    ]
    assert expected == starts(schedule, 4, "2020-01-01 00:00")


def test_rules_of_different_intervals_unite() -> None:
    """Each counts for itself."""
    schedule = Schedule(
        at("2024-01-01 00:00"), None, (daily((1, 2), interval=2), daily((5, 6), interval=3))
    )
    expected = ["Mon 2024-01-01 01:00", "Mon 2024-01-01 05:00", "Wed 2024-01-03 01:00"]
    expected += ["Thu 2024-01-04 05:00", "Fri 2024-01-05 01:00", "Sun 2024-01-07 01:00"]

    assert expected == starts(schedule, 6, "2024-01-01 00:00")


def test_weekly_days_without_hours_are_open_all_day_where_no_daily_rule_is() -> None:
    """Even if another day has hours of its own; days that touch are one stretch."""
    own = WeeklyRule(((SAT, None), (SUN, between((0, 5))), (TUE, between((8, 9)))))
    schedule = Schedule(None, None, (), (own,))
    saturday = at("2024-03-02 00:00")

    assert saturday + DAY_MS + 5 * HOUR_MS == open_until_ms(schedule, saturday)
    assert ["Sat 2024-03-02 00:00", "Tue 2024-03-05 08:00", "Sat 2024-03-09 00:00"] == starts(
        schedule, 3, "2024-03-01 00:00"
    )


def test_hours_of_a_day_override_the_daily_ones_whichever_rule_has_them() -> None:
    """One weekly rule lists Saturday without hours, two with: only the latter count, together."""
    schedule = Schedule(
        None,
        None,
        (daily((19, 21)),),
        (
            days(FRI, SAT),
            WeeklyRule(((SAT, between((8, 10))),)),
            WeeklyRule(((SAT, between((15, 16))),)),
        ),
    )
    expected = ["Fri 2024-03-01 19:00", "Sat 2024-03-02 08:00", "Sat 2024-03-02 15:00"]

    assert [*expected, "Fri 2024-03-08 19:00"] == starts(schedule, 4, "2024-03-01 00:00")


def test_an_override_holds_in_the_weeks_of_its_rule_only() -> None:
    """In the others the day has the daily hours that another rule gives it."""
    schedule = Schedule(
        at("2024-03-01 00:00"),
        None,
        (daily((19, 21)),),
        (days(SAT), WeeklyRule(((SAT, between((8, 10))),), 2)),
    )
    expected = ["Sat 2024-03-02 08:00", "Sat 2024-03-09 19:00", "Sat 2024-03-16 08:00"]

    assert expected == starts(schedule, 3, "2024-03-01 00:00")


def test_a_weekly_day_needs_a_daily_day_where_daily_rules_have_intervals() -> None:
    """Every third day, if it is a Monday: every third Monday."""
    schedule = Schedule(
        at("2024-01-01 00:00"), None, (daily((9, 10), interval=3),), (days(MON, interval=1),)
    )
    expected = ["Mon 2024-01-01 09:00", "Mon 2024-01-22 09:00", "Mon 2024-02-12 09:00"]

    assert expected == starts(schedule, 3, "2024-01-01 00:00")


def test_the_next_opening_is_found_however_far_it_is() -> None:
    """Every 997th day that is the Monday of every 991st week: each 19,000 years, which no search finds."""
    schedule = Schedule(
        at("2024-01-01 00:00"), None, (daily((9, 10), interval=997),), (days(MON, interval=991),)
    )
    first = at("2024-01-01 09:00")

    assert first == next_open_ms(schedule, 0)
    assert first + 7 * 991 * 997 * DAY_MS == next_open_ms(schedule, first + HOUR_MS)


def test_a_stretch_over_many_days_has_its_end() -> None:
    """Five whole days of every third week, and days of which a rule of several takes each."""
    start = at("2024-01-01 00:00")
    weekdays = Schedule(start, None, (), (days(MON, TUE, WED, THU, FRI, interval=3),))
    divided = Schedule(start, None, tuple(daily((0, 24), interval=n) for n in (2, 3, 5)))

    assert at("2024-01-06 00:00") == open_until_ms(weekdays, start + HOUR_MS)
    assert ["Mon 2024-01-22 00:00"] == starts(weekdays, 1, "2024-01-06 00:00")
    assert start + DAY_MS == open_until_ms(divided, start)
    assert start + 7 * DAY_MS == open_until_ms(divided, start + 2 * DAY_MS)


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(None, None, (daily((0, 24)),)),
        Schedule(None, None, (daily((0, 12)), daily((12, 24)))),
        Schedule(None, None, (daily((20, 44)),)),
        Schedule(None, None, (), (days(*range(7)),)),
        Schedule(0, None, (daily((0, 24), interval=2), daily((12, 36), interval=1))),
        Schedule(0, None, (daily((0, 24)), *[daily((3, 4), interval=n) for n in range(101, 111)])),
    ],
)
def test_a_stretch_without_a_gap_never_ends(schedule: Schedule) -> None:
    """It is one window, however long one looks, and an end of the schedule still ends it."""
    day = at("2024-03-01 00:00")
    end = day + 300 * DAY_MS
    ended = Schedule(schedule.start_ms, end, schedule.daily, schedule.weekly)

    assert open_until_ms(schedule, day) is None
    assert [(day, end)] == list(windows(schedule, day, end))
    assert end == open_until_ms(ended, day)


def test_the_end_of_a_stretch_is_asked_of_an_open_instant() -> None:
    """Else there is none."""
    with pytest.raises(ValueError, match="not open"):
        open_until_ms(Schedule(None, None, (daily((9, 10)),)), at("2024-03-01 10:00"))


def test_windows_are_listed_lazily_and_cut_where_one_looks() -> None:
    """A span of centuries costs what is taken from it."""
    schedule = Schedule(None, None, (daily((9, 12)),))
    first = at("2024-03-01 10:00")
    found = windows(schedule, first, at("9999-01-01 00:00"))

    assert (first, first + 2 * HOUR_MS) == next(found)
    assert [(first, first + HOUR_MS)] == list(windows(schedule, first, first + HOUR_MS))


START = at("2024-03-01 00:00")
RULE = ".recurrence_rules[0]"
DAILY_HOURS = f"{RULE}.frequency.Daily.hours"
WEEKLY_DAYS = f"{RULE}.frequency.Weekly.days"


@pytest.mark.parametrize(
    ("schedule", "paths"),
    [
        (Schedule(None, None), []),
        (Schedule(START, START + 1), []),
        (Schedule(START, START), [".timestamp_end"]),
        (Schedule(START, START - 1), [".timestamp_end"]),
        (Schedule(at("1999-12-31 23:59"), None), [".timestamp_start"]),
        (Schedule(at("2000-01-01 00:00"), at("2199-12-31 23:59")), []),
        (Schedule(START // 1000, at("2200-01-01 00:00")), [".timestamp_start", ".timestamp_end"]),
        (Schedule(START, None, (daily((1, 2), interval=0),)), [f"{RULE}.interval"]),
        (Schedule(START, None, (daily((1, 2), interval=1000),)), []),
        (Schedule(START, None, (daily((1, 2), interval=1001),)), [f"{RULE}.interval"]),
        (Schedule(START, None, (), (days(MON, interval=-1),)), [f"{RULE}.interval"]),
        (Schedule(None, None, (daily((1, 2), interval=2),)), [f"{RULE}.interval"]),
        (Schedule(None, START, (), (days(MON, interval=2),)), [f"{RULE}.interval"]),
        (Schedule(None, None, (DailyRule(()),)), [DAILY_HOURS]),
        (Schedule(None, None, (DailyRule(between((1, 2)) * 48),)), []),
        (Schedule(None, None, (DailyRule(between((1, 2)) * 49),)), [DAILY_HOURS]),
        (Schedule(None, None, (), (WeeklyRule(()),)), [WEEKLY_DAYS]),
        (Schedule(None, None, (), (days(MON, TUE, MON),)), [f"{WEEKLY_DAYS}[2][0]"]),
        (Schedule(None, None, (), (days(MON), days(MON))), []),
        (
            Schedule(None, None, (), (WeeklyRule(((MON, None), (TUE, ()))),)),
            [f"{WEEKLY_DAYS}[1][1].Daily.hours"],
        ),
        (Schedule(None, None, (daily((1, 2)),) * 32), []),
        (Schedule(None, None, (daily((1, 2)),) * 20, (days(MON),) * 13), [".recurrence_rules"]),
        # Fridays of every second week have daily hours, but Saturdays are asked for.
        (
            Schedule(START, None, (daily((1, 2), interval=14),), (days(SAT, interval=2),)),
            [".recurrence_rules"],
        ),
        (
            Schedule(START, None, (daily((1, 2), interval=14),), (days(FRI, interval=2),)),
            [],
        ),
        (Schedule(START, START + HOUR_MS, (daily((1, 2)),)), [".timestamp_end"]),
        (Schedule(START, START + HOUR_MS + 1, (daily((1, 2)),)), []),
        (Schedule(START, START + DAY_MS, (), (days(SAT),)), [".timestamp_end"]),
        (Schedule(None, START, (), (days(SAT),)), []),
    ],
)
def test_impossible_schedules_are_named_by_their_paths(
    schedule: Schedule, paths: list[str]
) -> None:
    """Each problem at the field to mend, and none where there is none."""
    assert paths == [path for path, _ in problems(schedule)]


def test_problems_are_found_at_once_in_the_order_of_the_document() -> None:
    """The rules' places are those of the document, where kinds may be mixed."""
    schedule = Schedule(START, START, (DailyRule(()), daily((1, 2), interval=0)), (WeeklyRule(()),))
    expected = [
        (".timestamp_end", "must be after timestamp_start"),
        (".recurrence_rules[0].frequency.Daily.hours", "needs 1 to 48 windows"),
        (".recurrence_rules[1].frequency.Weekly.days", "needs at least one day"),
        (".recurrence_rules[2].interval", "must be 1 to 1000"),
    ]
    assert expected == problems(schedule, written=[0, 2, 1])
