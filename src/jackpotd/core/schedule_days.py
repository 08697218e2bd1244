"""What a schedule is, and what its rules say about one day: the arithmetic of days, without start and end.

A day is its number since 1 January 1970, in UTC, where all days have the same length. Rules are periodic in both
directions: those days of a rule that lie before the start are clipped, but a window of the day before the start may
reach over midnight into it. So every rule is a set of progressions of days (a modulus and a residue), and the next day
with a window is computed instead of searched.
"""

from functools import lru_cache
from math import gcd, lcm

from msgspec import Struct

DAY_MS = 86_400_000
WEEK_DAYS = 7
_EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday
_SCHEDULES_AT_HAND = 1024
_PATTERNS_AT_HAND = 4096

# Milliseconds since 00:00 of the day: [start, end), and an end up to two days where the window crosses midnight.
Hours = tuple[int, int]
# The days that leave the residue (second) when divided by the modulus (first).
Progression = tuple[int, int]


class DailyRule(Struct, frozen=True):
    """Windows of every `interval`-th day, counted from the day of the schedule's start."""

    hours: tuple[Hours, ...]
    interval: int = 1


class WeeklyRule(Struct, frozen=True):
    """Days (0 = Monday) of every `interval`-th ISO week, counted from the week of the schedule's start.

    A day has hours of its own, or those of the daily rules: all day where there is no daily rule (None).
    """

    days: tuple[tuple[int, tuple[Hours, ...] | None], ...]
    interval: int = 1


class Schedule(Struct, frozen=True, cache_hash=True):
    """When an instance takes contributions: from `start_ms` to before `end_ms` (Unix, UTC), where the rules allow it.

    Rules of one kind unite. Without any rule it is always open. The hash is kept: schedules are keys of what is known
    about their days.
    """

    start_ms: int | None
    end_ms: int | None
    daily: tuple[DailyRule, ...] = ()
    weekly: tuple[WeeklyRule, ...] = ()


class _Plan(Struct, frozen=True):
    """The rules as progressions of days, with what is in force on them: places in `hours`.

    Those of `own` override the daily ones, which else are in force on the days of `listed` only. Both are by `day % 7`,
    so that few are looked at for a day.
    """

    hours: tuple[tuple[Hours, ...], ...]
    daily: tuple[Progression, ...]
    own: tuple[tuple[tuple[Progression, int], ...], ...]
    listed: tuple[tuple[Progression, ...], ...]

    def in_force(self, day: int) -> tuple[int, ...]:
        """The places in `hours` of what begins on a day."""
        found = [at for (m, r), at in self.own[day % WEEK_DAYS] if day % m == r]
        if not found and any(day % m == r for m, r in self.listed[day % WEEK_DAYS]):
            found = [at for at, (m, r) in enumerate(self.daily) if day % m == r]
        return tuple(found)


@lru_cache(maxsize=_SCHEDULES_AT_HAND)
def _plan(schedule: Schedule) -> _Plan:
    # Without a start every interval is 1, so any day will do to count from.
    anchor = (schedule.start_ms or 0) // DAY_MS
    monday = anchor - (anchor + _EPOCH_WEEKDAY) % WEEK_DAYS
    daily = schedule.daily or (DailyRule(((0, DAY_MS),)),)
    hours = [rule.hours for rule in daily]
    own: list[list[tuple[Progression, int]]] = [[] for _ in range(WEEK_DAYS)]
    listed: list[list[Progression]] = [[] for _ in range(WEEK_DAYS)]
    for rule in schedule.weekly:
        modulus = WEEK_DAYS * rule.interval
        for weekday, overrides in rule.days:
            day = monday + weekday
            days = modulus, day % modulus
            if overrides is None:
                listed[day % WEEK_DAYS].append(days)
            else:
                own[day % WEEK_DAYS].append((days, len(hours)))
                hours.append(overrides)
    if not schedule.weekly:
        listed = [[(1, 0)]] * WEEK_DAYS
    return _Plan(
        hours=tuple(hours),
        daily=tuple([(rule.interval, anchor % rule.interval) for rule in daily]),
        own=tuple(map(tuple, own)),
        listed=tuple(map(tuple, listed)),
    )


def stretches_of(schedule: Schedule, day: int) -> tuple[Hours, ...]:
    """The open parts of a day in their order, merged and cut at its midnights; what the day before left open is in."""
    plan = _plan(schedule)
    return _merged(schedule, plan.in_force(day), plan.in_force(day - 1))


@lru_cache(maxsize=_PATTERNS_AT_HAND)
def _merged(schedule: Schedule, today: tuple[int, ...], eve: tuple[int, ...]) -> tuple[Hours, ...]:
    """The open parts of a day from the windows in force on it and on the day before; few days differ in them."""
    plan = _plan(schedule)
    found = [(opens, min(closes, DAY_MS)) for at in today for opens, closes in plan.hours[at]]
    found += [(0, closes - DAY_MS) for at in eve for _, closes in plan.hours[at] if closes > DAY_MS]
    found.sort()
    merged: list[Hours] = []
    for opens, closes in found:
        if merged and opens <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], closes))
        else:
            merged.append((opens, closes))
    return tuple(merged)


def period_days(schedule: Schedule) -> int:
    """After how many days the rules repeat."""
    weeks = [WEEK_DAYS * rule.interval for rule in schedule.weekly]
    return lcm(*[rule.interval for rule in schedule.daily], *weeks)


def next_day(schedule: Schedule, day: int) -> int | None:
    """The first day at or after one on which a window begins; None if there never is one."""
    found = [day + (residue - day) % modulus for modulus, residue in _days(schedule)]
    return min(found, default=None)


@lru_cache(maxsize=_SCHEDULES_AT_HAND)
def _days(schedule: Schedule) -> tuple[Progression, ...]:
    """All days on which a window begins, and no others.

    A day that is overridden has a window too, so overrides take no day away from those with daily hours.
    """
    plan = _plan(schedule)
    own = {days for each in plan.own for days, _ in each}
    listed = {days for each in plan.listed for days in each}
    met = [_both(some, others) for some in listed for others in plan.daily]
    return tuple(own.union(filter(None, met)))


def _both(one: Progression, other: Progression) -> Progression | None:
    """The days in both progressions (Chinese remainder theorem); None if they never meet."""
    (m, a), (n, b) = one, other
    common = gcd(m, n)
    if (b - a) % common:
        return None
    steps = (b - a) // common * pow(m // common, -1, n // common) % (n // common)
    return lcm(m, n), a + m * steps
