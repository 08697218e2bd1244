"""The shape of a bench's result, whatever its question."""

from collections.abc import Sequence
from statistics import median

from msgspec import Struct

ROUNDS_MIN = 3
NOISE = 0.3
"""What the machine's drift alone may do to a figure; with few rounds nobody can see it."""


class Goal(Struct, frozen=True):
    """A figure that §5 of the design asks for, and what it was.

    Attributes:
        name: what was compared with what.
        wanted: the goal; reached when the value is at least that, or at most that.
        value: the median of all rounds; None where it could not be measured.
        low, high: the smallest and the largest round.
        rounds: how many there were.
        limits: what was smaller than the goal asks for, such as a quick run's data; then nothing is decided.
    """

    name: str
    wanted: float
    value: float | None
    unit: str = "×"
    is_at_most: bool = False
    low: float | None = None
    high: float | None = None
    rounds: int = 1
    limits: str = ""

    @property
    def is_decided(self) -> bool:
        """Whether the verdict is more than noise: all rounds are on the same side of the goal."""
        if self.value is None or self.limits:
            return False
        low, high = self.value * (1 - NOISE), self.value * (1 + NOISE)
        if self.rounds >= ROUNDS_MIN and self.low is not None and self.high is not None:
            low, high = self.low, self.high
        if self.is_at_most:
            return high <= self.wanted or low > self.wanted
        return low >= self.wanted or high < self.wanted

    @property
    def is_met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.wanted if self.is_at_most else self.value >= self.wanted

    @property
    def wish(self) -> str:
        return f"{'≤' if self.is_at_most else '≥'} {number(self.wanted)} {self.unit}"

    @property
    def measured(self) -> str:
        if self.value is None:
            return "not measured"
        spread = ""
        if self.low is not None and self.high is not None and self.low != self.high:
            spread = f" ({number(self.low)} – {number(self.high)})"
        return f"{number(self.value)} {self.unit}{spread}"

    @property
    def verdict(self) -> str:
        if self.is_met is None:
            return "skipped"
        if not self.is_decided:
            return f"not decided: {self.limits}" if self.limits else "not decided"
        return "met" if self.is_met else "not met"


class Table(Struct, frozen=True):
    """Rows of text under a title; the first column names the row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Report(Struct, frozen=True):
    """One bench's answer.

    Attributes:
        name: the bench.
        facts: the machine.
        tables, goals: what was measured.
        notes: what a reader must know: parts skipped and why, answers that were not as they should be.
        command: how to run it again.
    """

    name: str
    question: str
    facts: dict[str, str]
    tables: tuple[Table, ...] = ()
    goals: tuple[Goal, ...] = ()
    notes: tuple[str, ...] = ()
    command: str = ""
    figures: dict[str, list[float]] = {}


def number(value: float) -> str:
    """Three digits that matter."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio_goal(
    name: str, wanted: float, ours: Sequence[float], theirs: Sequence[float] | None
) -> Goal:
    """The median of the rounds' ratios, each round's own: both sides had the same moment of the machine."""
    pairs = list(zip(ours, theirs, strict=True)) if theirs else []
    return goal_of(name, wanted, [own / other for own, other in pairs if other])


def goal_of(
    name: str,
    wanted: float,
    values: Sequence[float],
    unit: str = "×",
    *,
    is_at_most: bool = False,
    limits: str = "",
) -> Goal:
    """The median of all rounds' values beside the smallest and the largest; skipped where there are none."""
    if not values:
        return Goal(name, wanted, None, unit, is_at_most)
    return Goal(
        name,
        wanted,
        median(values),
        unit,
        is_at_most,
        low=min(values),
        high=max(values),
        rounds=len(values),
        limits=limits,
    )
