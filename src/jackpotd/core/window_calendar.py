"""Which window of a hidden time a moment lies in, and where windows begin and end."""

from jackpotd.core.rules import HiddenTime, PotRules
from jackpotd.core.state import Window


def index_of(point: HiddenTime, at_ms: int) -> int:
    """The window of a moment; the one that begins at `start_ms` is 0."""
    return (at_ms - point.start_ms) // point.every_ms


def bounds_ms(point: HiddenTime, index: int) -> tuple[int, int]:
    """Where a window begins, and where it has ended."""
    start_ms = point.start_ms + index * point.every_ms
    return start_ms, start_ms + point.every_ms


def first_windows(rules: PotRules, at_ms: int) -> tuple[Window, ...]:
    """The windows of a pot's hidden times at a moment, with nothing in them."""
    return tuple([Window(index_of(point, at_ms)) for point in rules.hidden_times])
