"""Schedules by brute force: each slot of a span of days is marked open or closed, and answers are looked up.

It reads the document as an operator writes it, knows days from the calendar of the standard library, and shares no line
with the core or the wire: what both say is right twice.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

Json = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_END_OF_DAY = time(23, 59, 59)


def unix_ms(moment: datetime) -> int:
    """Unix milliseconds of a moment."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def moment_of(at_ms: int) -> datetime:
    """The moment of Unix milliseconds, in UTC."""
    return _EPOCH + timedelta(milliseconds=at_ms)


def windows_of(document: Json, day: date) -> list[tuple[datetime, datetime]]:
    """The windows that belong to a day, as the rules have them, before start and end cut them."""
    rules = [(*_only(rule["frequency"]), rule) for rule in document["recurrence_rules"]]
    daily = [
        pair
        for kind, content, rule in rules
        if kind == "Daily" and _days_since_start(document, day) % rule.get("interval", 1) == 0
        for pair in content["hours"]
    ]
    weekly = [rule for rule in rules if rule[0] == "Weekly"]
    if not weekly:
        return [_window(day, *pair) for pair in daily]
    entries = [
        override
        for _, content, rule in weekly
        if _weeks_since_start(document, day) % rule.get("interval", 1) == 0
        for name, override in content["days"]
        if name == _NAMES[day.weekday()]
    ]
    own = [
        pair for override in entries if override is not None for pair in override["Daily"]["hours"]
    ]
    if own:
        return [_window(day, *pair) for pair in own]
    if not entries:
        return []
    if all(kind == "Weekly" for kind, _, _ in rules):
        midnight = datetime.combine(day, time(), UTC)
        return [(midnight, midnight + _DAY)]
    return [_window(day, *pair) for pair in daily]


def _only(tagged: Json) -> tuple[str, Any]:
    ((kind, content),) = tagged.items()
    return kind, content


def _start_date(document: Json) -> date:
    start = document.get("timestamp_start")
    return date(1970, 1, 1) if start is None else moment_of(start).date()


def _days_since_start(document: Json, day: date) -> int:
    return (day - _start_date(document)).days


def _weeks_since_start(document: Json, day: date) -> int:
    return (_monday(day) - _monday(_start_date(document))).days // 7


def _monday(day: date) -> date:
    year, week, _ = day.isocalendar()
    return date.fromisocalendar(year, week, 1)


def _window(day: date, first: Json, last: Json) -> tuple[datetime, datetime]:
    begins, ends = _time(first), _time(last)
    over_midnight = datetime.combine(day + _DAY, time(), UTC)
    if ends == _END_OF_DAY:
        return datetime.combine(day, begins, UTC), over_midnight
    last_day = day if begins < ends else day + _DAY
    return datetime.combine(day, begins, UTC), datetime.combine(last_day, ends, UTC)


def _time(written: Json) -> time:
    return time(written["hour"], written.get("minute", 0), written.get("sec", 0))


class Marked:
    """A span of days, cut into slots, each open or closed. What lies outside is not known here."""

    def __init__(self, document: Json, first: date, days: int, slot_s: int) -> None:
        """Marks a span of days.

        Args:
            document: the schedule; its times must be multiples of the slot, but for 23:59:59 as an end.
            first: the first day of the span.
            days: how many days it has.
            slot_s: the length of a slot in seconds, a divisor of a day.
        """
        self._slot = timedelta(seconds=slot_s)
        self._origin = datetime.combine(first, time(), UTC)
        self._slots = bytearray(days * _DAY // self._slot)
        if document["recurrence_rules"]:
            for number in range(-1, days):  # windows of the day before may reach in
                for begins, ends in windows_of(document, first + number * _DAY):
                    self._mark(begins, ends, 1)
        else:
            self._slots = bytearray(b"\1" * len(self._slots))
        start, end = document.get("timestamp_start"), document.get("timestamp_end")
        if start is not None:
            self._mark(self._origin, moment_of(start), 0)
        if end is not None:
            self._mark(moment_of(end), self._moment(len(self._slots)), 0)

    @property
    def from_ms(self) -> int:
        """Where the span begins."""
        return unix_ms(self._origin)

    @property
    def to_ms(self) -> int:
        """Where it ends."""
        return unix_ms(self._moment(len(self._slots)))

    def _mark(self, begins: datetime, ends: datetime, value: int) -> None:
        first, last = max(self._place(begins), 0), min(self._place(ends), len(self._slots))
        if first < last:
            self._slots[first:last] = bytes([value]) * (last - first)

    def _place(self, moment: datetime) -> int:
        return (moment - self._origin) // self._slot

    def _moment(self, place: int) -> datetime:
        return self._origin + place * self._slot

    def is_open(self, at_ms: int) -> bool:
        """Whether a moment of the span is open."""
        return self._slots[self._place(moment_of(at_ms))] == 1

    def next_open_ms(self, at_ms: int) -> int | None:
        """The first open moment of the span at or after one; None if the span has none."""
        if self.is_open(at_ms):
            return at_ms
        found = self._slots.find(1, self._place(moment_of(at_ms)))
        return None if found < 0 else unix_ms(self._moment(found))

    def open_until_ms(self, at_ms: int) -> int | None:
        """When an open moment's stretch ends; None if that is not before the end of the span."""
        found = self._slots.find(0, self._place(moment_of(at_ms)))
        return None if found < 0 else unix_ms(self._moment(found))

    def stretches(self) -> list[tuple[int, int]]:
        """All open stretches of the span, cut at its ends."""
        found = []
        opens = self.next_open_ms(self.from_ms)
        while opens is not None:
            closes = self.open_until_ms(opens)
            found.append((opens, self.to_ms if closes is None else closes))
            opens = None if closes is None else self.next_open_ms(closes)
        return found
