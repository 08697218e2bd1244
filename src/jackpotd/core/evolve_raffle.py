"""Transitions of schedules and of a raffle's rounds; the tickets themselves stand with the players."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from jackpotd.core.events import Issued, RoundOpened, RoundResolved, RoundsMissed, ScheduleChanged
from jackpotd.core.evolve_rare import balanced, with_pots
from jackpotd.core.schedule import Schedule
from jackpotd.core.state import BoundSchedule, HeldWin, Instance, Pot, Rare, Round, Tickets


def with_tickets(rare: Rare, issued: Issued) -> Rare:
    """The running round with what a contribution bought in it."""
    known = rare.round
    if known is None or known.number != issued.round:
        raise ValueError(f"round {issued.round} does not run")
    after = Round(
        known.number,
        known.starts_ms,
        known.ends_ms,
        known.tickets + issued.awarded,
        max(known.entrants, issued.entrant + 1),
        known.counted + issued.counted,
    )
    return replace(rare, round=after)


def tickets_after(before: Tickets | None, issued: Issued) -> Tickets:
    """A player's tickets with those of a contribution; each round begins with none."""
    is_same = before is not None and before.round == issued.round
    count = before.count if before is not None and is_same else 0
    return Tickets(issued.round, issued.entrant, count + issued.awarded, issued.accumulated)


def _schedule_changed(state: Instance, event: ScheduleChanged) -> Instance:
    others = [each for each in state.rare.schedules if each.brand != event.brand]
    if event.schedule is not None:
        others.append(BoundSchedule(event.brand, event.schedule))
    rare = replace(state.rare, schedules=tuple(sorted(others, key=lambda each: each.brand)))
    if not event.brand and event.schedule is not None:
        known = _rescheduled(state, event.schedule, event.at_ms)
        # Rounds that this schedule would have had before it was set have not been missed.
        ended_ms = rare.round_end_ms
        if known is None and rare.rounds:
            ended_ms = max(ended_ms, event.at_ms)
        rare = replace(rare, round=known, round_end_ms=ended_ms)
    return replace(state, rare=rare, updated_ms=event.at_ms)


def _rescheduled(state: Instance, schedule: Schedule, at_ms: int) -> Round | None:
    """The round under another schedule: one that lies ahead is set anew, one that runs goes on until its new end."""
    known, raffle = state.rare.round, state.rules.raffle
    if known is None or raffle is None or (at_ms < known.starts_ms and not known.entrants):
        return None
    if known.ends_ms <= at_ms:
        return known  # it is over, and waits for its draw
    ends = [schedule.end_ms]
    if raffle.duration_ms is not None:
        ends.append(known.starts_ms + raffle.duration_ms)
    return replace(known, ends_ms=min(end for end in ends if end is not None))


def _round_opened(state: Instance, event: RoundOpened) -> Instance:
    rare = replace(state.rare, round=Round(event.number, event.starts_ms, event.ends_ms))
    return replace(state, rare=rare, version=event.number, updated_ms=event.at_ms)


def _rounds_missed(state: Instance, event: RoundsMissed) -> Instance:
    rare = replace(
        state.rare,
        rounds=state.rare.rounds + event.count,
        missed=state.rare.missed + event.count,
        round_end_ms=event.until_ms,
    )
    return replace(state, rare=rare, updated_ms=event.at_ms)


def _round_resolved(state: Instance, event: RoundResolved) -> Instance:
    ended = state.rare.round
    if ended is None or ended.number != event.number:
        raise ValueError(f"round {event.number} does not run")
    paid = sum(prize.paid for prize in event.prizes)
    held = tuple(
        HeldWin(prize.round_id, 0, event.at_ms, prize.winner, prize.win, prize.paid, event.number)
        for prize in event.prizes
        if prize.is_withheld
    )
    withheld = sum(win.paid for win in held)
    pot = state.pots[0]
    added = event.from_reserve + event.from_boost + event.deficit
    after = Pot(
        value=pot.value + event.shortfall - paid + added,
        reserve=pot.reserve - event.from_reserve,
        cycle=pot.cycle + 1,
        is_open=pot.is_open,
        hits=pot.hits + sum(1 for prize in event.prizes if prize.win),
        paid=pot.paid + paid,
    )
    rare = replace(
        state.rare,
        held=(*state.rare.held, *held),
        withheld=state.rare.withheld + withheld,
        round=None,
        rounds=event.number,
        round_end_ms=ended.ends_ms,
    )
    boosted = replace(rare.pots[0], boost=rare.pots[0].boost - event.from_boost)
    return replace(
        state,
        pots=(after,),
        rare=balanced(with_pots(rare, {0: boosted})),
        deficit=state.deficit + event.shortfall + event.deficit,
        payouts=state.payouts + paid - withheld,
        updated_ms=event.at_ms,
    )


HANDLERS: dict[type, Callable[[Instance, Any], Instance]] = {
    ScheduleChanged: _schedule_changed,
    RoundOpened: _round_opened,
    RoundsMissed: _rounds_missed,
    RoundResolved: _round_resolved,
}
