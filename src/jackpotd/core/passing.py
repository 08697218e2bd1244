"""What time does to an instance by its schedule and its windows (contract §8, §9), and who is let in by a schedule."""

from msgspec.structs import replace

from jackpotd.core import schedule as schedules
from jackpotd.core import windows
from jackpotd.core.commands import PassTime
from jackpotd.core.events import InstanceEvent, StatusChanged
from jackpotd.core.evolve import evolve
from jackpotd.core.schedule import Schedule
from jackpotd.core.state import OVER, Instance, Status

BY = "schedule"


def own_schedule(state: Instance) -> Schedule | None:
    """The schedule that an instance begins, ends and, as a raffle, has its rounds by."""
    return schedule_of(state, "")


def schedule_of(state: Instance, brand: str) -> Schedule | None:
    """A brand's own schedule; that of no brand is the instance's."""
    for each in state.rare.schedules:
        if each.brand == brand:
            return each.schedule
    return None


def is_closed(state: Instance, brand: str, at_ms: int) -> bool:
    """Whether a schedule keeps a brand's contributions out now: its own, or else the instance's."""
    found = schedule_of(state, brand) or own_schedule(state)
    return found is not None and not schedules.is_open(found, at_ms)


def next_ms(state: Instance) -> int | None:
    """When the schedule changes the state of the instance next: it begins, or it is over."""
    own = own_schedule(state)
    if own is None or state.status in OVER:
        return None
    begins_ms = own.start_ms if state.status is Status.PENDING else None
    ends_ms = None if state.rules.raffle else own.end_ms
    return min((each for each in (begins_ms, ends_ms) if each is not None), default=None)


def due_ms(state: Instance) -> int | None:
    """When time has to pass before anything else happens: `passed` has something to say from then on."""
    ends_ms = windows.next_end_ms(state) if state.rules.has_times else None
    if not state.rare.schedules:
        return ends_ms
    found = (next_ms(state), ends_ms)
    return min((each for each in found if each is not None), default=None)


def passed(state: Instance, command: PassTime) -> list[InstanceEvent]:
    """What has come by now: the beginning, then the ends of windows with their draws, then the end.

    A raffle does not end here, but with its last round.
    """
    own, at_ms = own_schedule(state), command.at_ms
    events: list[InstanceEvent] = []
    is_over = own is not None and own.end_ms is not None and own.end_ms <= at_ms
    is_over = is_over and state.rules.raffle is None and state.status not in OVER
    has_begun = own is not None and own.start_ms is not None and own.start_ms <= at_ms
    if state.status is Status.PENDING and has_begun and not is_over:
        begun = StatusChanged(at_ms, Status.ACTIVE, "the schedule has begun", BY)
        events.append(begun)
        state = evolve(state, begun)
    # What would have ended after the end has not: nothing is won any more then, however late this is noticed.
    until_ms = own.end_ms if is_over and own is not None and own.end_ms is not None else at_ms
    events += windows.end(state, replace(command, at_ms=until_ms))
    if is_over:
        events.append(StatusChanged(at_ms, Status.TERMINATED, "the schedule is over", BY))
    return events
