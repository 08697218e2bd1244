"""What is noted of a jackpot's lives: sums that are exact, and samples of what wins look like.

Amounts are units of the jackpot's currency. Of everything that a pot pays the book knows what part came from seeds, in
proportion to what the pot held of them.
"""

from collections import Counter
from typing import Any

from msgspec import Struct, field

from jackpotd.core.events import CommunityPaid, PotWon, WindowEnded
from jackpotd.core.rules import PotRules, Rules
from jackpotd.core.state import Instance
from jackpotd.simulation.samples import Sample, Track

COLLECTED_MAX = 500_000


class Batch(Struct):
    """A stretch of one life: what it added to the sums, for the intervals around them.

    `pots` holds for each pot: hits, what it paid, deficit of its seeds, reseeds, reseeds that found the reserve short.
    """

    contributions: int
    staked: int
    contributed: int
    growth: float
    seed: float
    community: int
    deficit: int
    liability: float
    pots: tuple[tuple[int, int, int, int, int], ...]


class PotBook(Struct):
    """One pot: its wins, its seeds, its reserve, its windows.

    `seeded` is what of the running cycle's value came from a seed; `since` where and when the cycle began, in stake,
    contributions and milliseconds; `reserve_was` what the reserve held then. `collected` is what came into the reserve
    in each cycle that was completed, in order.
    """

    hits: int = 0
    paid: int = 0
    won: int = 0
    growth: float = 0.0
    seed: float = 0.0
    community: int = 0
    awards: Sample = field(default_factory=Sample)
    stakes: Sample = field(default_factory=Sample)
    times_ms: Sample = field(default_factory=Sample)
    tips: Counter[str] = field(default_factory=Counter)
    tips_held: int = 0
    withheld: int = 0
    initial: int = 0
    reseeds: int = 0
    short: int = 0
    from_reserve: int = 0
    from_boost: int = 0
    deficit: int = 0
    collected: list[int] = field(default_factory=list)
    reserve_at_reseed: Sample = field(default_factory=Sample)
    reserve_highest: int = 0
    payouts: Counter[int] = field(default_factory=Counter)
    paid_by_strategy: Counter[int] = field(default_factory=Counter)
    windows: int = 0
    windows_dropped: int = 0
    windows_drawn: int = 0
    times_closed: int = 0
    held_value: int = 0
    held_reserve: int = 0
    seeded: float = 0.0
    since: tuple[int, int, int] = (0, 0, 0)
    reserve_was: int = 0

    def totals(self) -> tuple[int, int, int, int, int]:
        return self.hits, self.paid, self.deficit, self.reseeds, self.short


class Book(Struct):
    """Everything that was noted of some lives."""

    pots: list[PotBook]
    lives: int = 1
    ended: int = 0
    offered: int = 0
    contributions: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    staked: int = 0
    elapsed_ms: int = 0
    contributed: int = 0
    operator_part: int = 0
    house: int = 0
    liability: Sample = field(default_factory=Sample)
    liability_highest: int = 0
    batches: list[Batch] = field(default_factory=list)
    track: Track = field(default_factory=Track)

    def sums(self) -> tuple[Any, ...]:
        """Growth, seed and community that were paid so far, and the deficit."""
        return (
            sum(pot.growth for pot in self.pots),
            sum(pot.seed for pot in self.pots),
            sum(pot.community for pot in self.pots),
            sum(pot.deficit for pot in self.pots),
        )


def book_for(rules: Rules) -> Book:
    """An empty book."""
    return Book(pots=[PotBook() for _ in rules.pots])


def begin(pot: PotBook, rules: PotRules, staked: int, count: int, at_ms: int) -> None:
    """A pot is born with the operator's seed."""
    pot.initial += rules.initial_seed
    pot.seeded = float(rules.initial_seed)
    pot.since = (staked, count, at_ms)
    pot.reserve_was = 0


def note_community(pot: PotBook, event: CommunityPaid, value: int) -> int:
    """Community parts left the pot, which held `value`; returns how much."""
    paid = sum(payout.paid for payout in event.payouts)
    pot.community += paid
    pot.paid += paid
    pot.seeded -= pot.seeded * paid / value
    for payout in event.payouts:
        pot.payouts[payout.strategy] += 1
        pot.paid_by_strategy[payout.strategy] += payout.paid
    return paid


def note_win(
    pot: PotBook, event: PotWon, before: Instance, community: int, staked: int, count: int
) -> None:
    """The winner's own part left the pot, and it was seeded again; `before` is the instance just before that."""
    held = before.pots[event.pot]
    part = pot.seeded * event.paid / held.value
    pot.hits += 1
    pot.paid += event.paid
    pot.won += event.paid
    pot.seed += part
    pot.growth += event.paid - part
    pot.seeded += event.seed - part
    pot.withheld += event.is_withheld
    pot.tips[event.tip.value] += 1
    pot.awards.add(float(event.paid + community))
    began_staked, _, began_ms = pot.since
    pot.stakes.add(float(staked - began_staked))
    pot.times_ms.add(float(event.at_ms - began_ms))
    pot.since = (staked, count, event.at_ms)
    _note_reseed(pot, event, before)


def _note_reseed(pot: PotBook, event: PotWon, before: Instance) -> None:
    reserve = before.pots[event.pot].reserve
    if len(pot.collected) < COLLECTED_MAX:
        pot.collected.append(reserve - pot.reserve_was)
    pot.reserve_at_reseed.add(float(reserve))
    pot.reserve_highest = max(pot.reserve_highest, reserve)
    pot.reserve_was = reserve - event.from_reserve
    rules = before.rules.pots[event.pot]
    if rules.cycles_max is not None and before.pots[event.pot].cycle >= rules.cycles_max:
        return  # the last cycle: nothing is seeded any more
    pot.reseeds += 1
    pot.short += reserve < rules.min_reseed
    pot.from_reserve += event.from_reserve
    pot.from_boost += event.from_boost
    pot.deficit += event.deficit


def note_window(pot: PotBook, event: WindowEnded, before: Instance, *, was_drawn: bool) -> None:
    """Windows passed: the one that ended, and those that nobody even noticed."""
    window = before.rare.pots[event.pot].windows[event.point]
    pot.windows += event.index - window.index
    pot.windows_drawn += was_drawn
    pot.windows_dropped += window.is_done and not was_drawn


def liability(state: Instance) -> int:
    """What the operator would have to hand over: pots, seed reserves, boosts and withheld wins."""
    total = state.rare.net
    for pot in state.pots:
        total += pot.value + pot.reserve
    return total


def merge(into: Book, other: Book) -> None:
    """Adds the lives of another book."""
    for mine, theirs in zip(into.pots, other.pots, strict=True):
        _merge_fields(mine, theirs, skipped=_RUNNING)
        mine.reserve_highest = max(mine.reserve_highest, theirs.reserve_highest)
    _merge_fields(into, other, skipped=_MERGED_APART)
    into.liability_highest = max(into.liability_highest, other.liability_highest)


_RUNNING = frozenset({"seeded", "since", "reserve_was", "reserve_highest"})
_MERGED_APART = frozenset({"pots", "track", "liability_highest"})


def _merge_fields(mine: Struct, theirs: Struct, *, skipped: frozenset[str]) -> None:
    for name in mine.__struct_fields__:
        if name in skipped:
            continue
        own, added = getattr(mine, name), getattr(theirs, name)
        if isinstance(own, Sample | list):
            own.extend(added)
        elif isinstance(own, Counter):
            own.update(added)
        else:
            setattr(mine, name, own + added)
