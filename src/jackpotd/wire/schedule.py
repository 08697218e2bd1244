"""The schedule as an operator writes it (contract §9), its compilation to the core's, and back.

The shape of a rule depends on its tag, so the tag is looked at first, and the rule decoded then; whatever is wrong is
refused with its whole path. An end of 23:59:59 is midnight, and midnight is written as 23:59:59.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from msgspec import Meta, Raw

from jackpotd.core import schedule as core
from jackpotd.wire.codec import decode_part, encode
from jackpotd.wire.errors import RequestRefused, invalid
from jackpotd.wire.template import Strict

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WEEKDAYS: Mapping[str, int] = MappingProxyType({name: at for at, name in enumerate(_DAYS)})
_LAST_SECOND_MS = core.DAY_MS - 1000

Sixtieth = Annotated[int, Meta(ge=0, le=59)]


class TimeOfDayDoc(Strict, frozen=True):
    """A time of day in UTC."""

    hour: Annotated[int, Meta(ge=0, le=23)]
    minute: Sixtieth = 0
    sec: Sixtieth = 0

    @property
    def since_ms(self) -> int:
        """Milliseconds since 00:00."""
        return ((self.hour * 60 + self.minute) * 60 + self.sec) * 1000


class HoursDoc(Strict, frozen=True):
    """Windows of a day: from a time to before another; one that ends before it starts crosses midnight."""

    hours: list[tuple[TimeOfDayDoc, TimeOfDayDoc]]


class DaysDoc(Strict, frozen=True):
    """Days of the week: the Daily hours (null), or `{"Daily": {"hours": […]}}` of the day's own."""

    days: list[tuple[str, dict[str, Raw] | None]]


class RecurrenceRuleDoc(Strict, frozen=True):
    """One rule: each day, or each week; or each so many of them, counted from `timestamp_start`."""

    # One of Daily, Weekly.
    frequency: dict[str, Raw]
    interval: int | None = None


class ScheduleDoc(Strict, frozen=True):
    """When an instance takes contributions; times in Unix milliseconds, hours in UTC. Without rules: always."""

    timestamp_start: int | None = None
    timestamp_end: int | None = None
    recurrence_rules: list[RecurrenceRuleDoc] | None = None


def compile_schedule(doc: ScheduleDoc, base: str = "$.schedule") -> core.Schedule:
    """The schedule that a document says, checked whole.

    Args:
        doc: the decoded document.
        base: the JSON path at which it stands in its body.

    Raises:
        RequestRefused: 400 INVALID_REQUEST with the path of each value that cannot be.
    """
    daily: list[core.DailyRule] = []
    weekly: list[core.WeeklyRule] = []
    places: tuple[list[int], list[int]] = ([], [])
    for place, rule in enumerate(doc.recurrence_rules or ()):
        path = f"{base}.recurrence_rules[{place}].frequency"
        kind, content = _tagged(rule.frequency, path)
        path = f"{path}.{kind}"
        match kind:
            case "Daily":
                daily.append(core.DailyRule(_hours(content, path), _interval(rule)))
                places[0].append(place)
            case "Weekly":
                weekly.append(core.WeeklyRule(_days(content, path), _interval(rule)))
                places[1].append(place)
            case _:
                raise invalid(path, "is none of Daily, Weekly")
    schedule = core.Schedule(doc.timestamp_start, doc.timestamp_end, tuple(daily), tuple(weekly))
    found = core.problems(schedule, [*places[0], *places[1]])
    if found:
        text = "; ".join(f"{base}{path} {message}" for path, message in found)
        raise RequestRefused("INVALID_REQUEST", text)
    return schedule


def _tagged(value: dict[str, Raw], path: str) -> tuple[str, Raw]:
    if len(value) != 1:
        raise invalid(path, "must hold exactly one variant")
    return next(iter(value.items()))


def _hours(content: Raw, path: str) -> tuple[core.Hours, ...]:
    found: list[core.Hours] = []
    for at, (first, last) in enumerate(decode_part(HoursDoc, content, path).hours):
        opens, closes = first.since_ms, last.since_ms
        if opens == closes:
            raise invalid(f"{path}.hours[{at}]", "starts and ends at the same time")
        if closes == _LAST_SECOND_MS:
            closes = core.DAY_MS
        elif closes < opens:
            closes += core.DAY_MS
        found.append((opens, closes))
    return tuple(found)


def _days(content: Raw, path: str) -> tuple[tuple[int, tuple[core.Hours, ...] | None], ...]:
    found: list[tuple[int, tuple[core.Hours, ...] | None]] = []
    for at, (name, own) in enumerate(decode_part(DaysDoc, content, path).days):
        day = f"{path}.days[{at}]"
        if name not in _WEEKDAYS:
            raise invalid(f"{day}[0]", f"is none of {', '.join(_DAYS)}")
        hours = None
        if own is not None:
            kind, part = _tagged(own, f"{day}[1]")
            if kind != "Daily":
                raise invalid(f"{day}[1].{kind}", "is not Daily")
            hours = _hours(part, f"{day}[1].Daily")
        found.append((_WEEKDAYS[name], hours))
    return tuple(found)


def schedule_answer(schedule: core.Schedule) -> ScheduleDoc:
    """The schedule as its operator wrote it, except that Daily rules come first and midnight is 23:59:59."""
    rules = [_rule_doc("Daily", _hours_doc(each.hours), each.interval) for each in schedule.daily]
    rules += [_rule_doc("Weekly", _days_doc(each), each.interval) for each in schedule.weekly]
    return ScheduleDoc(
        timestamp_start=schedule.start_ms, timestamp_end=schedule.end_ms, recurrence_rules=rules
    )


def _interval(rule: RecurrenceRuleDoc) -> int:
    """Every day or week, where nothing else is said; clients send null for what they leave out."""
    return 1 if rule.interval is None else rule.interval


def _rule_doc(kind: str, content: HoursDoc | DaysDoc, interval: int) -> RecurrenceRuleDoc:
    return RecurrenceRuleDoc(frequency={kind: Raw(encode(content))}, interval=interval)


def _hours_doc(hours: tuple[core.Hours, ...]) -> HoursDoc:
    return HoursDoc(hours=[(_time_doc(opens), _end_doc(opens, closes)) for opens, closes in hours])


def _days_doc(rule: core.WeeklyRule) -> DaysDoc:
    return DaysDoc(
        days=[
            (_DAYS[day], None if hours is None else {"Daily": Raw(encode(_hours_doc(hours)))})
            for day, hours in rule.days
        ]
    )


def _end_doc(opens: int, closes: int) -> TimeOfDayDoc:
    # The last second of a day begins where midnight is written: its end is the next day's 00:00.
    if closes == core.DAY_MS and opens != _LAST_SECOND_MS:
        closes = _LAST_SECOND_MS
    return _time_doc(closes % core.DAY_MS)


def _time_doc(since_ms: int) -> TimeOfDayDoc:
    minutes, sec = divmod(since_ms // 1000, 60)
    hour, minute = divmod(minutes, 60)
    return TimeOfDayDoc(hour=hour, minute=minute, sec=sec)
