"""Windows of hidden times: one instant in each, unknown until it has passed (contract §9, "Time").

Windows follow each other without a gap. The first contribution at or after the instant that may win the pot wins it. A
window that ends without its drop rolls over, or a winner is drawn among those who contributed in it, each with odds of
their contributions: a candidate is replaced by each contributor with the odds of the contribution to all so far, which
is the same as one draw at the end and needs no list.
"""

from collections.abc import Iterator

from jackpotd.core import winning
from jackpotd.core.commands import PassTime
from jackpotd.core.events import InstanceEvent, PotWon, Tip, TipHeld, WindowEnded
from jackpotd.core.evolve import evolve
from jackpotd.core.fairness import PotStream
from jackpotd.core.rules import Fallback, HiddenTime
from jackpotd.core.state import Instance, Seal, Status
from jackpotd.core.window_calendar import bounds_ms, index_of
from jackpotd.core.winners import Tipped, Winner


def instant_ms(stream: PotStream, seal: Seal, point: HiddenTime, at: int, window: int) -> int:
    """The hidden instant of a window, never before the seal that decides it."""
    start_ms, end_ms = bounds_ms(point, window)
    return stream.instant_ms(at, window, max(start_ms, seal.at_ms), end_ms)


def has_come(
    state: Instance, pot: int, at: int, point: HiddenTime, stream: PotStream, now_ms: int
) -> bool:
    """Whether the instant of the window in which the instance is has passed, and its drop has not come."""
    window = state.rare.pots[pot].windows[at]
    seal = state.rare.seals[pot]
    if window.is_done or seal is None:
        return False
    return now_ms >= instant_ms(stream, seal, point, at, window.index)


def next_end_ms(state: Instance) -> int | None:
    """When the first of the current windows ends; what comes then or later must end windows before anything else."""
    return min((end_ms for end_ms, _ in _open_windows(state)), default=None)


def alarm_ms(state: Instance) -> int | None:
    """When somebody must end windows though nobody comes: a winner has to be drawn then."""
    if state.status is not Status.ACTIVE:
        return None
    return min((end_ms for end_ms, is_drawn in _open_windows(state) if is_drawn), default=None)


def _open_windows(state: Instance) -> Iterator[tuple[int, bool]]:
    """The end of each current window of the open pots, and whether somebody is to be drawn at it."""
    for rules, pot, rare in zip(state.rules.pots, state.pots, state.rare.pots, strict=True):
        if pot.is_open:
            for point, window in zip(rules.hidden_times, rare.windows, strict=True):
                waits = window.candidate is not None and not window.is_done
                yield bounds_ms(point, window.index)[1], waits and _draws(point)


def _draws(point: HiddenTime) -> bool:
    return point.fallback is Fallback.DRAW_AMONG_CONTRIBUTORS


def end(state: Instance, command: PassTime) -> list[InstanceEvent]:
    """Ends the windows that are over, with their draws. While the instance is not active, none does (R-FLT-1)."""
    events: list[InstanceEvent] = []
    if state.status is not Status.ACTIVE:
        return events
    won: set[int] = set()
    for pot, rules in enumerate(state.rules.pots):
        for at, point in enumerate(rules.hidden_times):
            if not state.pots[pot].is_open:
                break
            index = index_of(point, command.at_ms)
            if index <= state.rare.pots[pot].windows[at].index:
                continue
            # A pot drops once, though several of its windows end together: its next cycle is not sealed yet.
            drawn = [] if pot in won else _fallback(state, command, pot, at, point)
            for event in (*drawn, WindowEnded(command.at_ms, pot, at, index)):
                if isinstance(event, PotWon):
                    won.add(pot)
                events.append(event)
                state = evolve(state, event)
    return events


def _fallback(
    state: Instance, command: PassTime, pot: int, at: int, point: HiddenTime
) -> list[InstanceEvent]:
    """What the candidate is paid; who cannot be paid leaves the pot due."""
    rare = state.rare.pots[pot]
    window = rare.windows[at]
    if window.is_done or window.candidate is None or not _draws(point):
        return []
    held: list[InstanceEvent] = [TipHeld(command.at_ms, pot, at)]
    if not winning.is_funded(state.rules.pots[pot], state.pots[pot], rare.boost):
        return held
    winner = Winner(
        command.at_ms, command.round_ids[pot], window.candidate, command.streams, command.crowd
    )
    return winning.pay(state, [Tipped(pot, Tip.FALLBACK)], winner) or held
