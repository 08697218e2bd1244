"""When an instance takes contributions: is it open, when does it open, how long does it stay open (contract §9).

All times are Unix milliseconds. Windows are half-open; those that touch are one stretch. Nothing here is searched day
by day except a stretch that lasts over midnight, and that walk ends with the period of the rules.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from jackpotd.core.schedule_days import (
    DAY_MS,
    DailyRule,
    Hours,
    Schedule,
    WeeklyRule,
    next_day,
    period_days,
    stretches_of,
)

__all__ = [
    "DAY_MS",
    "DailyRule",
    "Hours",
    "Schedule",
    "WeeklyRule",
    "is_open",
    "next_open_ms",
    "open_until_ms",
    "problems",
    "windows",
    "windows_written",
]

RULES_MAX = 32
HOURS_MAX = 48
WINDOWS_MAX = 168  # in all rules together
INTERVAL_MAX = 1000
TIMESTAMP_MIN = 946_684_800_000  # the year 2000
TIMESTAMP_MAX = 7_258_118_400_000  # the year 2200
# 40 years: what stays open longer never closes, for all that anybody will see. Only intervals without a small common
# multiple have to be followed so far.
_STRETCH_DAYS_MAX = 14_610
_DAYS_AT_HAND = 4096
_NEVER_MS = 1 << 62

_stretches = lru_cache(maxsize=_DAYS_AT_HAND)(stretches_of)


def is_open(schedule: Schedule, at_ms: int) -> bool:
    """Whether contributions are taken at an instant. On the path of every contribution."""
    if schedule.start_ms is not None and at_ms < schedule.start_ms:
        return False
    if schedule.end_ms is not None and at_ms >= schedule.end_ms:
        return False
    if not schedule.daily and not schedule.weekly:
        return True
    day, since_ms = divmod(at_ms, DAY_MS)
    for opens, closes in _stretches(schedule, day):
        if since_ms < closes:
            return since_ms >= opens
    return False


def next_open_ms(schedule: Schedule, at_ms: int) -> int | None:
    """The first open instant at or after one; None if there is none any more."""
    from_ms = at_ms if schedule.start_ms is None else max(at_ms, schedule.start_ms)
    has_rules = schedule.daily or schedule.weekly
    found = _next_by_rules_ms(schedule, from_ms) if has_rules else from_ms
    if found is None or (schedule.end_ms is not None and found >= schedule.end_ms):
        return None
    return found


def _next_by_rules_ms(schedule: Schedule, at_ms: int) -> int | None:
    day, since_ms = divmod(at_ms, DAY_MS)
    for opens, closes in _stretches(schedule, day):
        if since_ms < closes:
            return day * DAY_MS + max(opens, since_ms)
    # Nothing is open at the end of this day, so nothing reaches over midnight: what opens next begins on its own day.
    following = next_day(schedule, day + 1)
    if following is None:
        return None
    return following * DAY_MS + _stretches(schedule, following)[0][0]


def open_until_ms(schedule: Schedule, at_ms: int) -> int | None:
    """When the open stretch of an open instant ends; None if it never does (not within 40 years).

    Raises:
        ValueError: it is not open at that instant.
    """
    if not is_open(schedule, at_ms):
        raise ValueError(f"the schedule is not open at {at_ms}")
    limit_ms = _NEVER_MS if schedule.end_ms is None else schedule.end_ms
    until_ms = _until_ms(schedule, at_ms, limit_ms)
    return None if until_ms == _NEVER_MS else until_ms


def _until_ms(schedule: Schedule, at_ms: int, limit_ms: int) -> int:
    """The end of the stretch of an open instant, or the limit if that comes first; nobody looks beyond it."""
    if not schedule.daily and not schedule.weekly:
        return limit_ms
    day, since_ms = divmod(at_ms, DAY_MS)
    closes = next(closes for _, closes in _stretches(schedule, day) if since_ms < closes)
    last = day + min(period_days(schedule), _STRETCH_DAYS_MAX)
    while closes == DAY_MS:
        day += 1
        if day > last or day * DAY_MS >= limit_ms:
            return limit_ms
        closes = next((closes for opens, closes in stretches_of(schedule, day) if opens == 0), 0)
    return min(day * DAY_MS + closes, limit_ms)


def windows(schedule: Schedule, from_ms: int, to_ms: int) -> Iterator[tuple[int, int]]:
    """The open stretches from an instant to before another, in their order; the first and the last may be cut there."""
    limit_ms = to_ms if schedule.end_ms is None else min(to_ms, schedule.end_ms)
    opens_ms = next_open_ms(schedule, from_ms)
    while opens_ms is not None and opens_ms < limit_ms:
        closes_ms = _until_ms(schedule, opens_ms, limit_ms)
        yield opens_ms, closes_ms
        opens_ms = next_open_ms(schedule, closes_ms)


def windows_written(schedule: Schedule) -> int:
    """How many windows all rules list: no day has more."""
    daily = sum(len(rule.hours) for rule in schedule.daily)
    weekly = [hours for rule in schedule.weekly for _, hours in rule.days]
    return daily + sum(1 if hours is None else len(hours) for hours in weekly)


def problems(schedule: Schedule, written: Sequence[int] | None = None) -> list[tuple[str, str]]:
    """All that is wrong with a schedule, as paths below it (like `.timestamp_end`) and messages.

    Args:
        schedule: what the document was compiled to.
        written: the place of each rule in the document, the daily rules first; by default they stand in this order.
    """
    found = [*_bound_problems(schedule)]
    rules: list[DailyRule | WeeklyRule] = [*schedule.daily, *schedule.weekly]
    if len(rules) > RULES_MAX:
        found.append((".recurrence_rules", f"needs at most {RULES_MAX} rules"))
    if windows_written(schedule) > WINDOWS_MAX:
        found.append((".recurrence_rules", f"needs at most {WINDOWS_MAX} windows in all"))
    places = range(len(rules)) if written is None else written
    for place, rule in sorted(zip(places, rules, strict=True), key=lambda each: each[0]):
        found += _rule_problems(f".recurrence_rules[{place}]", rule, schedule.start_ms is None)
    if not found:
        found += _never_open(schedule)
    return found


def _bound_problems(schedule: Schedule) -> Iterator[tuple[str, str]]:
    start_ms, end_ms = schedule.start_ms, schedule.end_ms
    for name, at_ms in (("start", start_ms), ("end", end_ms)):
        if at_ms is not None and not TIMESTAMP_MIN <= at_ms < TIMESTAMP_MAX:
            yield f".timestamp_{name}", "must be Unix milliseconds of the years 2000 to 2199"
    if start_ms is not None and end_ms is not None and end_ms <= start_ms:
        yield ".timestamp_end", "must be after timestamp_start"


def _rule_problems(
    path: str, rule: DailyRule | WeeklyRule, has_no_start: bool
) -> Iterator[tuple[str, str]]:
    if not 1 <= rule.interval <= INTERVAL_MAX:
        yield f"{path}.interval", f"must be 1 to {INTERVAL_MAX}"
    elif rule.interval > 1 and has_no_start:
        yield f"{path}.interval", "counts from timestamp_start, which is missing"
    if isinstance(rule, DailyRule):
        yield from _hours_problems(f"{path}.frequency.Daily.hours", rule.hours)
        return
    days = f"{path}.frequency.Weekly.days"
    if not rule.days:
        yield days, "needs at least one day"
    seen: set[int] = set()
    for at, (weekday, hours) in enumerate(rule.days):
        if weekday in seen:
            yield f"{days}[{at}][0]", "is listed twice"
        seen.add(weekday)
        if hours is not None:
            yield from _hours_problems(f"{days}[{at}][1].Daily.hours", hours)


def _hours_problems(path: str, hours: tuple[Hours, ...]) -> Iterator[tuple[str, str]]:
    if not 1 <= len(hours) <= HOURS_MAX:
        yield path, f"needs 1 to {HOURS_MAX} windows"


def _never_open(schedule: Schedule) -> Iterator[tuple[str, str]]:
    """Rules that contradict each other, or have no window between start and end; both found without a search."""
    if next_day(schedule, 0) is None:
        yield ".recurrence_rules", "never open: no day has both a Weekly and a Daily rule"
    elif schedule.start_ms is not None and next_open_ms(schedule, schedule.start_ms) is None:
        yield ".timestamp_end", "comes before the first window opens"
