"""The shape of a bench's result, whatever its question."""

from collections.abc import Sequence
from statistics import median

from msgspec import Struct


class Goal(Struct, frozen=True):
    """A figure that §5 of the design asks for, and what it was.

    Attributes:
        name: what was compared with what.
        wanted: the goal; reached when the value is at least that, or at most that.
        value: the median of all rounds; None where it could not be measured.
        low, high: the smallest and the largest round.
    """

    name: str
    wanted: float
    value: float | None
    unit: str = "×"
    is_at_most: bool = False
    low: float | None = None
    high: float | None = None

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
        return {True: "met", False: "not met", None: "skipped"}[self.is_met]


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
    ratios = [own / other for own, other in pairs if other]
    if not ratios:
        return Goal(name, wanted, None)
    return Goal(name, wanted, median(ratios), low=min(ratios), high=max(ratios))
