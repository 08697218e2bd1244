"""`verify` counts a raffle's tickets again, and draws every round again from the secret that was revealed."""

from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from jackpotd.core.events import Contributed, InstanceEvent, RoundResolved
from jackpotd.engine.fold import Fold
from jackpotd.engine.recovery import MemoryKeys, MemoryRows
from jackpotd.engine.round_audit import RoundAudit
from jackpotd.wire import records
from tests.fairness.raffles import CHOSEN, played

Items = Sequence[tuple[int, bytes]]
SEED, STEPS = 7, 300


def problem_in(items: Items, *, forgets: bool = False) -> tuple[int, str] | None:
    """The first record in which the audit finds something; one that forgets has the tickets from the rows alone."""
    fold = Fold(MemoryRows(), MemoryKeys())
    audit = RoundAudit(fold)
    for seq, data in items:
        record = records.decode(data)
        if isinstance(record, records.Entry):
            if forgets:
                audit = RoundAudit(fold)
            state = fold.cells[record.instance_id].state
            found = audit.problem(state, records.to_events(record.events))
            if found is not None:
                return seq, found
        fold.replay(seq, data)
    return None


def a_prize_less(event: RoundResolved) -> RoundResolved:
    return replace(event, prizes=event.prizes[:-1])


def another_place(event: RoundResolved) -> RoundResolved:
    first = event.prizes[0]
    return replace(event, prizes=(replace(first, draw=first.draw + 1), *event.prizes[1:]))


def a_unit_more(event: RoundResolved) -> RoundResolved:
    last = event.prizes[-1]
    return replace(event, prizes=(*event.prizes[:-1], replace(last, paid=last.paid + 1)))


def a_shortfall(event: RoundResolved) -> RoundResolved:
    return replace(event, shortfall=event.shortfall + 1)


def forged(
    items: Items, change: Callable[[InstanceEvent], InstanceEvent | None]
) -> tuple[Items, int]:
    """The journal with the last event that can be changed; and the number of its record."""
    for at in reversed(range(len(items))):
        seq, data = items[at]
        record = records.decode(data)
        if not isinstance(record, records.Entry):
            continue
        events = records.to_events(record.events)
        for place, event in enumerate(events):
            other = change(event)
            if other is not None:
                events[place] = other
                entry = replace(record, events=records.from_events(events))
                return [*items[:at], (seq, records.encode(entry)), *items[at + 1 :]], seq
    raise ValueError("there is nothing to forge")


@pytest.mark.parametrize("name", CHOSEN)
def test_journals_of_raffles_are_accepted(name: str) -> None:
    """Also where a round's tickets are in the rows alone, as after a move from another worker."""
    items = [item for item in played(CHOSEN[name], SEED, STEPS).log.scan(1) if item[0]]

    assert problem_in(items) is None
    assert problem_in(items, forgets=True) is None


@pytest.mark.parametrize("forgery", [a_prize_less, another_place, a_unit_more, a_shortfall])
def test_forged_draws_are_found(forgery: Callable[[RoundResolved], RoundResolved]) -> None:
    """At the record that was forged, and not before."""
    items = [
        item for item in played(next(iter(CHOSEN.values())), SEED, STEPS).log.scan(1) if item[0]
    ]

    def change(event: InstanceEvent) -> InstanceEvent | None:
        is_draw = isinstance(event, RoundResolved) and event.prizes
        return forgery(event) if is_draw and isinstance(event, RoundResolved) else None

    changed, seq = forged(items, change)
    found = problem_in(changed)

    assert found is not None
    assert found[0] == seq


def test_tickets_that_were_not_paid_for_are_found() -> None:
    """One more than the contribution bought."""
    items = [
        item for item in played(next(iter(CHOSEN.values())), SEED, STEPS).log.scan(1) if item[0]
    ]

    def change(event: InstanceEvent) -> InstanceEvent | None:
        if not isinstance(event, Contributed) or event.issued is None:
            return None
        return replace(event, issued=replace(event.issued, awarded=event.issued.awarded + 1))

    changed, seq = forged(items, change)

    assert problem_in(changed) == (seq, "tickets that were not paid for")
