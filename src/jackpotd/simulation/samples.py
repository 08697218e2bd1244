"""Numbers that were observed, in bounded memory."""

from array import array
from collections.abc import Iterable, Iterator

KEPT_MAX = 1 << 20
TRACK_MAX = 600


class Sample:
    """Every number, or of very many every second, fourth, … of them; count and total are those of all."""

    __slots__ = ("count", "every", "highest", "kept", "lowest", "total")

    def __init__(self) -> None:
        self.kept = array("d")
        self.count = 0
        self.total = 0.0
        self.lowest: float | None = None
        self.highest: float | None = None
        self.every = 1

    def add(self, value: float) -> None:
        if not self.count % self.every:
            self.kept.append(value)
            if len(self.kept) >= KEPT_MAX:
                self._thin()
        self.count += 1
        self.total += value
        if self.lowest is None or value < self.lowest:
            self.lowest = value
        if self.highest is None or value > self.highest:
            self.highest = value

    def _thin(self) -> None:
        self.kept = self.kept[::2]
        self.every *= 2

    def extend(self, other: "Sample") -> None:
        """What another life observed, after what this one did."""
        theirs = other.kept
        while self.every < other.every:
            self._thin()
        if self.every > other.every:
            theirs = theirs[:: self.every // other.every]
        self.kept += theirs
        while len(self.kept) >= KEPT_MAX:
            self._thin()
        self.count += other.count
        self.total += other.total
        self.lowest = min(_known(self.lowest, other.lowest), default=None)
        self.highest = max(_known(self.highest, other.highest), default=None)

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    def __iter__(self) -> Iterator[float]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)


def _known(*values: float | None) -> list[float]:
    return [value for value in values if value is not None]


def sample_of(values: Iterable[float]) -> Sample:
    """A sample of these numbers."""
    sample = Sample()
    for value in values:
        sample.add(value)
    return sample


class Track:
    """Rows over time, for a picture: at most so many, evenly spaced however long it becomes."""

    __slots__ = ("_every", "_seen", "rows")

    def __init__(self) -> None:
        self.rows: list[tuple[float, ...]] = []
        self._every = 1
        self._seen = 0

    def add(self, row: tuple[float, ...]) -> None:
        if not self._seen % self._every:
            self.rows.append(row)
            if len(self.rows) >= TRACK_MAX:
                del self.rows[1::2]
                self._every *= 2
        self._seen += 1

    @property
    def is_due(self) -> bool:
        """Whether the next row would be kept; others need not be made."""
        return not self._seen % self._every

    def skip(self) -> None:
        self._seen += 1
