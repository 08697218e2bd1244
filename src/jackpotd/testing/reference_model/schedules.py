"""A schedule as the oracle walks it: day by day, with the windows that the calendar of `schedule_oracle` gives each.

Everything is UTC. Windows are half-open; `timestamp_start` is inclusive, `timestamp_end` exclusive (contract §9).
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from jackpotd.testing.reference_model.template import OutsideTheModelError
from jackpotd.testing.schedule_oracle import unix_ms, windows_of

Span = tuple[int, int]

_DAY_MS: Final = 86_400_000
_EPOCH: Final = date(1970, 1, 1)
_DAYS_MAX: Final = 5_000  # without an end, the next window of any schedule that we use is nearer


class Calendar:
    """When a schedule, as its document says it, is open."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document: dict[str, Any] = {"recurrence_rules": [], **document}
        self.starts_ms: int | None = document.get("timestamp_start")
        self.ends_ms: int | None = document.get("timestamp_end")
        self._days: dict[int, list[Span]] = {}

    def is_open(self, at_ms: int) -> bool:
        """Whether contributions are let in at this moment."""
        if self.starts_ms is not None and at_ms < self.starts_ms:
            return False
        if self.ends_ms is not None and at_ms >= self.ends_ms:
            return False
        if not self.document["recurrence_rules"]:
            return True
        day = at_ms // _DAY_MS
        spans = self._spans(day) + self._spans(day - 1)
        return any(begins <= at_ms < ends for begins, ends in spans)

    def next_open_ms(self, at_ms: int) -> int | None:
        """The first open moment at or after this one; None where there is none any more.

        Raises:
            OutsideTheModelError: a schedule without an end opens no sooner than in a dozen years.
        """
        if self.starts_ms is not None:
            at_ms = max(at_ms, self.starts_ms)
        if self.is_open(at_ms):
            return at_ms
        first = at_ms // _DAY_MS
        for day in range(first, first + _DAYS_MAX):
            if self.ends_ms is not None and day * _DAY_MS >= self.ends_ms:
                return None
            later = [begins for begins, _ in self._spans(day) if begins >= at_ms]
            if later:
                opens = min(later)
                return opens if self.is_open(opens) else None
        raise OutsideTheModelError("a schedule that is closed for so long")

    def edges_ms(self, at_ms: int) -> list[int]:
        """Moments after this one at which a window of these days, or the schedule, begins or ends."""
        day = at_ms // _DAY_MS
        spans = [span for each in (-1, 0, 1) for span in self._spans(day + each)]
        edges = [self.starts_ms, self.ends_ms, *(edge for span in spans for edge in span)]
        return sorted({edge for edge in edges if edge is not None and edge > at_ms})

    def _spans(self, day: int) -> list[Span]:
        """The windows that belong to a day."""
        if not self.document["recurrence_rules"]:
            return []
        known = self._days.get(day)
        if known is None:
            found = windows_of(self.document, _EPOCH + timedelta(days=day))
            known = [(unix_ms(begins), unix_ms(ends)) for begins, ends in found]
            self._days[day] = known
        return known
