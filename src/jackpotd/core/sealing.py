"""Which pots need a new secret after what has happened."""

from collections.abc import Sequence

from jackpotd.core.events import (
    Adjusted,
    HeldWinDecided,
    InstanceEvent,
    PotClosed,
    PotWon,
    RoundResolved,
    StatusChanged,
    TransferTaken,
)
from jackpotd.core.state import OVER, Instance, Status


def unsealed(state: Instance, events: Sequence[InstanceEvent]) -> list[int]:
    """Pots whose seal has served, in the state after these events: each is revealed, and sealed again if it goes on.

    A pot that was won begins a new cycle, as a raffle's does with each round. One with a hidden value that other money
    than contributions has reached draws it anew, above what it holds, because no such money may win it (R-CHG-1). An
    instance that is over seals nothing.
    """
    touched: set[int] = set()
    moved: set[int] = set()
    for event in events:
        match event:
            case PotWon():
                touched.add(event.pot)
            case RoundResolved():
                touched.add(0)
            case PotClosed() | HeldWinDecided():
                moved.update(at for at, units in enumerate(event.to_values) if units > 0)
            case Adjusted() | TransferTaken():
                moved.add(event.pot)
            case StatusChanged(status=Status.TERMINATED | Status.ENDED):
                touched.update(at for at, seal in enumerate(state.rare.seals) if seal is not None)
            case _:
                pass
    touched.update(at for at in moved if state.rules.pots[at].hidden_values)
    return sorted(at for at in touched if state.rare.seals[at] is not None)


def moves(event: InstanceEvent, pot: int) -> bool:
    """Whether an event brings other money than contributions to a pot, or takes it away."""
    match event:
        case PotClosed() | HeldWinDecided():
            return event.to_values[pot] > 0
        case Adjusted() | TransferTaken():
            return event.pot == pot
        case _:
            return False


def goes_on(state: Instance, pot: int) -> bool:
    """Whether a pot can still be won, so that it needs a secret."""
    return state.pots[pot].is_open and state.status not in OVER
