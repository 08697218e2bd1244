"""When the rounds of a raffle begin and end: examples, and random schedules against rounds counted one by one."""

import random
from calendar import timegm
from collections.abc import Iterator
from itertools import islice, pairwise

import pytest

from jackpotd.core import rounds
from jackpotd.core.rounds import Bounds, advance, following
from jackpotd.core.schedule import (
    DailyRule,
    Hours,
    Schedule,
    WeeklyRule,
    next_open_ms,
    problems,
    windows,
)

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
FAR_MS = 7_000_000_000_000
"""In the year 2191."""
COUNTED = 300
"""Rounds of a schedule that are counted one by one."""


def at_ms(*parts: int) -> int:
    """Unix ms of year, month, day, hour, minute and second in UTC."""
    return timegm((*parts, 0, 0, 0)[:6]) * SECOND_MS


def daily(*hours: tuple[float, float]) -> tuple[DailyRule, ...]:
    """One rule that is open every day in these hours."""
    return (DailyRule(tuple([(int(a * HOUR_MS), int(b * HOUR_MS)) for a, b in hours])),)


def one_by_one(schedule: Schedule, duration_ms: int | None, after_ms: int) -> Iterator[Bounds]:
    """All rounds that begin at or after a moment, each from the windows alone."""
    until_ms = after_ms
    for opens_ms, closes_ms in windows(schedule, after_ms, FAR_MS):
        while until_ms < closes_ms:
            start_ms = max(opens_ms, until_ms)
            until_ms = FAR_MS if duration_ms is None else start_ms + duration_ms
            if schedule.end_ms is not None:
                until_ms = min(until_ms, schedule.end_ms)
            yield start_ms, until_ms


def chain(schedule: Schedule, duration_ms: int | None, count: int) -> list[Bounds]:
    """The first rounds of a schedule, each asked for where the one before ends."""
    assert schedule.start_ms is not None
    found: list[Bounds] = []
    after_ms = schedule.start_ms
    while len(found) < count and (bounds := following(schedule, duration_ms, after_ms)):
        found.append(bounds)
        after_ms = bounds[1]
    return found


# Examples.


def test_rounds_of_22_hours_end_each_day_at_ten_in_the_evening() -> None:
    """From 1 August 2024, open from midnight to 22:00: a round a day, and two hours between them."""
    start_ms = at_ms(2024, 8, 1)
    schedule = Schedule(start_ms, None, daily((0, 22)))
    assert [
        (at_ms(2024, 8, 1), at_ms(2024, 8, 1, 22)),
        (at_ms(2024, 8, 2), at_ms(2024, 8, 2, 22)),
        (at_ms(2024, 8, 3), at_ms(2024, 8, 3, 22)),
    ] == chain(schedule, 22 * HOUR_MS, 3)
    second = (at_ms(2024, 8, 2), at_ms(2024, 8, 2, 22))
    assert (0, chain(schedule, 22 * HOUR_MS, 1)[0], start_ms) == advance(
        schedule, 22 * HOUR_MS, start_ms, at_ms(2024, 8, 1, 22) - 1
    )
    for now_ms in (at_ms(2024, 8, 1, 22), at_ms(2024, 8, 1, 23), at_ms(2024, 8, 2, 22) - 1):
        expected = 1, second, at_ms(2024, 8, 1, 22)
        assert expected == advance(schedule, 22 * HOUR_MS, start_ms, now_ms)


def test_year_of_daily_rounds_is_one_for_each_of_its_days() -> None:
    """Leap day and all, asked for one by one and passed over at once."""
    start_ms, end_ms = at_ms(2024, 1, 1), at_ms(2025, 1, 1)
    for schedule in (Schedule(start_ms, end_ms), Schedule(start_ms, end_ms, daily((19, 21)))):
        found = chain(schedule, DAY_MS, 1_000)
        opens_ms = start_ms if not schedule.daily else start_ms + 19 * HOUR_MS
        assert [opens_ms + day * DAY_MS for day in range(366)] == [start for start, _ in found]
        assert all(end == later for (_, end), (later, _) in pairwise(found))
        assert end_ms == found[-1][1]
        assert (366, None, end_ms) == advance(schedule, DAY_MS, start_ms, end_ms)
        assert (365, found[-1], found[-1][0]) == advance(schedule, DAY_MS, start_ms, end_ms - 1)


def test_once_off_round_lasts_until_the_end_of_its_schedule() -> None:
    """From the first opening in December to the morning of the 25th: with its duration cut there, or without one."""
    start_ms, end_ms = at_ms(2024, 12, 1), at_ms(2024, 12, 25, 9)
    schedule = Schedule(start_ms, end_ms, daily((8, 24)))
    only = (at_ms(2024, 12, 1, 8), end_ms)
    for duration_ms in (24 * DAY_MS + 9 * HOUR_MS, None):
        assert [only] == chain(schedule, duration_ms, 5)
        assert (0, only, start_ms) == advance(schedule, duration_ms, start_ms, start_ms)
        assert (0, only, start_ms) == advance(schedule, duration_ms, start_ms, end_ms - 1)
        assert (1, None, end_ms) == advance(schedule, duration_ms, start_ms, end_ms)
        assert (1, None, end_ms) == advance(schedule, duration_ms, start_ms, end_ms + WEEK_MS)
        assert (0, None, end_ms) == advance(schedule, duration_ms, end_ms, end_ms + WEEK_MS)


def test_end_of_the_schedule_cuts_the_last_round() -> None:
    """Seven-hour rounds in a day: the fourth has three hours, and there is no fifth."""
    start_ms = at_ms(2025, 3, 3)
    schedule = Schedule(start_ms, start_ms + DAY_MS)
    hours = [(0, 7), (7, 14), (14, 21), (21, 24)]
    expected = [(start_ms + a * HOUR_MS, start_ms + b * HOUR_MS) for a, b in hours]
    assert expected == chain(schedule, 7 * HOUR_MS, 9)
    assert (3, expected[3], expected[2][1]) == advance(
        schedule, 7 * HOUR_MS, start_ms, start_ms + DAY_MS - 1
    )
    assert (4, None, start_ms + DAY_MS) == advance(
        schedule, 7 * HOUR_MS, start_ms, start_ms + DAY_MS
    )


def test_round_ends_in_a_closed_time_and_the_next_begins_when_it_opens() -> None:
    """Fifty-minute rounds, open from 9 to 11: the third runs over by half an hour, and counts once."""
    start_ms = at_ms(2025, 3, 3)
    schedule = Schedule(start_ms, None, daily((9, 11)))
    opens_ms = start_ms + 9 * HOUR_MS
    expected = [
        (begins_ms + at * MINUTE_MS, begins_ms + (at + 50) * MINUTE_MS)
        for begins_ms in (opens_ms, opens_ms + DAY_MS)
        for at in (0, 50, 100)
    ]
    assert expected == chain(schedule, 50 * MINUTE_MS, 6)
    for count, (_, end_ms) in enumerate(expected[:-1], 1):
        assert (count, expected[count], end_ms) == advance(
            schedule, 50 * MINUTE_MS, start_ms, end_ms
        )


def test_round_that_reaches_into_another_window_is_followed_at_once() -> None:
    """Ten-hour rounds, open from 6 to 8 and from 12 to 18: the first ends at 16:00, while it is open."""
    start_ms = at_ms(2025, 3, 3)
    schedule = Schedule(start_ms, None, daily((6, 8), (12, 18)))
    starts_ms = [start for start, _ in chain(schedule, 10 * HOUR_MS, 4)]
    assert [6, 16, 24 + 6, 24 + 16] == [(start - start_ms) // HOUR_MS for start in starts_ms]


def test_rounds_missed_in_a_downtime_are_counted_and_the_current_one_goes_on() -> None:
    """Down from Friday evening to Monday noon: hourly rounds of working days between 9 and 17."""
    working = WeeklyRule(tuple([(day, None) for day in range(5)]))
    schedule = Schedule(at_ms(2025, 3, 3), None, daily((9, 17)), (working,))
    resolved_ms = at_ms(2025, 3, 7, 15)
    current = at_ms(2025, 3, 10, 12), at_ms(2025, 3, 10, 13)
    expected = 2 + 3, current, current[0]
    assert expected == advance(schedule, HOUR_MS, resolved_ms, at_ms(2025, 3, 10, 12, 30))
    closed = 2, (at_ms(2025, 3, 10, 9), at_ms(2025, 3, 10, 10)), at_ms(2025, 3, 7, 17)
    assert closed == advance(schedule, HOUR_MS, resolved_ms, at_ms(2025, 3, 8))


def test_nothing_is_missed_before_the_first_round_is_over() -> None:
    """Long before the start, and at it: the first round, and the moment that was asked for."""
    schedule = Schedule(at_ms(2025, 3, 3), None, daily((9, 17)))
    first = at_ms(2025, 3, 3, 9), at_ms(2025, 3, 3, 10)
    asked_ms = at_ms(2025, 1, 1)
    for now_ms in (asked_ms - DAY_MS, asked_ms, at_ms(2025, 3, 3), at_ms(2025, 3, 3, 9, 59, 59)):
        assert (0, first, asked_ms) == advance(schedule, HOUR_MS, asked_ms, now_ms)


@pytest.mark.parametrize("duration_ms", [0, -1, None])
def test_rounds_without_a_length_are_refused(duration_ms: int | None) -> None:
    """Neither a duration that is none, nor no duration where nothing ends."""
    schedule = Schedule(at_ms(2025, 3, 3), None)
    with pytest.raises(ValueError, match="round"):
        following(schedule, duration_ms, at_ms(2025, 3, 3))
    with pytest.raises(ValueError, match="round"):
        advance(schedule, duration_ms, at_ms(2025, 3, 3), at_ms(2025, 3, 4))


# Jumps.


def test_ten_years_of_rounds_of_a_second_are_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without rules, and with rules that leave no gap: the schedule is asked twice."""
    start_ms, asked = at_ms(2024, 2, 29), count_questions(monkeypatch)
    now_ms = at_ms(2034, 2, 28) + 1
    seconds = (now_ms - start_ms) // SECOND_MS
    expected = seconds, (now_ms - 1, now_ms - 1 + SECOND_MS), now_ms - 1
    for rules in ((), daily((0, 24)), daily((0, 13), (12, 25))):
        asked.clear()
        assert expected == advance(Schedule(start_ms, None, rules), SECOND_MS, start_ms, now_ms)
        assert len(asked) == 2
    ends_ms = at_ms(2030, 1, 1) + 500
    last = (ends_ms - start_ms) // SECOND_MS + 1, None, ends_ms
    assert last == advance(Schedule(start_ms, ends_ms), SECOND_MS, start_ms, now_ms)


def test_rounds_of_a_second_in_windows_are_one_step_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A year of two hours a day: 366 questions, and rounds that do not fit exactly end after the window."""
    start_ms, asked = at_ms(2025, 1, 1), count_questions(monkeypatch)
    schedule = Schedule(start_ms, None, daily((19, 21)))
    now_ms = at_ms(2026, 1, 1)
    first_ms = now_ms + 19 * HOUR_MS
    expected = 365 * 7_200, (first_ms, first_ms + SECOND_MS), now_ms - 3 * HOUR_MS
    assert expected == advance(schedule, SECOND_MS, start_ms, now_ms)
    assert len(asked) == 366
    odd = 365 * 1_029, (first_ms, first_ms + 7_000), now_ms - 3 * HOUR_MS + 3_000
    assert odd == advance(schedule, 7_000, start_ms, now_ms)


def count_questions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Notes the moments for which the schedule is asked for its next opening."""
    asked: list[int] = []

    def noted(schedule: Schedule, moment_ms: int) -> int | None:
        asked.append(moment_ms)
        return next_open_ms(schedule, moment_ms)

    monkeypatch.setattr(rounds, "next_open_ms", noted)
    return asked


# Random schedules.


def random_hours(rng: random.Random) -> tuple[Hours, ...]:
    """Some windows of a day, from a second to all day; one in four crosses midnight."""
    found = []
    for _ in range(rng.randint(1, 3)):
        opens_ms = rng.choice([0, rng.randrange(24) * HOUR_MS, rng.randrange(86_400) * SECOND_MS])
        closes_ms = DAY_MS + rng.choice([0, 0, 0, rng.randrange(86_400) * SECOND_MS])
        if rng.random() < 0.6:
            closes_ms = opens_ms + rng.randint(1, 12 * 3_600) * SECOND_MS
        found.append((opens_ms, min(closes_ms, opens_ms + DAY_MS)))
    return tuple(found)


def random_schedule(rng: random.Random) -> Schedule:
    """Any kind of schedule that is open at some time."""
    while True:
        start_ms = at_ms(2024, 2, 20) + rng.randrange(-400 * DAY_MS, 400 * DAY_MS, SECOND_MS)
        length_ms = rng.choice([HOUR_MS, 3 * DAY_MS, 100 * DAY_MS, 900 * DAY_MS])
        end_ms = start_ms + rng.randint(1, length_ms) if rng.random() < 0.5 else None
        days = [
            DailyRule(random_hours(rng), rng.choice([1, 1, 1, 2, 3, 7]))
            for _ in range(rng.choice([0, 1, 1, 2]))
        ]
        weeks = [
            WeeklyRule(
                tuple(
                    [
                        (day, random_hours(rng) if rng.random() < 0.3 else None)
                        for day in sorted(rng.sample(range(7), rng.randint(1, 7)))
                    ]
                ),
                rng.choice([1, 1, 2, 3]),
            )
            for _ in range(rng.choice([0, 0, 1, 2]))
        ]
        schedule = Schedule(start_ms, end_ms, tuple(days), tuple(weeks))
        if not problems(schedule):
            return schedule


def random_duration_ms(rng: random.Random, schedule: Schedule) -> int | None:
    """Of seconds to weeks; none now and then, where the schedule ends."""
    if schedule.end_ms is not None and rng.random() < 0.1:
        return None
    units = [(SECOND_MS, 120), (MINUTE_MS, 90), (HOUR_MS, 30), (DAY_MS, 10), (WEEK_MS, 6)]
    unit_ms, most = rng.choice(units)
    return rng.randint(1, most) * unit_ms


@pytest.mark.parametrize("seed", range(10))
def test_rounds_come_as_when_counted_one_by_one(seed: int) -> None:
    """Many schedules: their rounds from any moment on, and what is over at moments between them and at their ends."""
    rng = random.Random(seed)
    for _ in range(25):
        schedule = random_schedule(rng)
        assert schedule.start_ms is not None
        duration_ms = random_duration_ms(rng, schedule)
        after_ms = schedule.start_ms + rng.choice([0, 0, -1, rng.randint(-DAY_MS, 30 * DAY_MS)])
        bounds = list(islice(one_by_one(schedule, duration_ms, after_ms), COUNTED))
        assert (bounds[0] if bounds else None) == following(schedule, duration_ms, after_ms)
        moments = [after_ms - 1, after_ms, after_ms + rng.randint(0, DAY_MS), FAR_MS]
        for start_ms, end_ms in rng.sample(bounds, min(8, len(bounds))) + bounds[-2:]:
            moments += [start_ms, end_ms - 1, end_ms, rng.randint(start_ms, end_ms)]
        for now_ms in moments:
            over = [end_ms for _, end_ms in bounds if end_ms <= now_ms]
            if len(over) < COUNTED:
                current = bounds[len(over)] if len(over) < len(bounds) else None
                expected = len(over), current, over[-1] if over else after_ms
                found = advance(schedule, duration_ms, after_ms, now_ms)
                assert expected == found, (schedule, duration_ms, after_ms, now_ms)


@pytest.mark.parametrize("seed", range(10, 15))
def test_rounds_are_the_same_however_often_one_looks(seed: int) -> None:
    """Whoever is asked at many moments, going on from the last answer, counts as who is asked once."""
    rng = random.Random(seed)
    for _ in range(40):
        schedule = random_schedule(rng)
        assert schedule.start_ms is not None
        duration_ms = random_duration_ms(rng, schedule)
        after_ms = until_ms = now_ms = schedule.start_ms
        total = 0
        for _ in range(20):
            now_ms += rng.choice([0, 1, rng.randint(0, DAY_MS), rng.randint(0, 20 * DAY_MS)])
            missed, bounds, until_ms = advance(schedule, duration_ms, until_ms, now_ms)
            total += missed
            assert (total, bounds, until_ms) == advance(schedule, duration_ms, after_ms, now_ms)
