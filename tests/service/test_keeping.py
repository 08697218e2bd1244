"""How long a child that has ended waits for its next life, in virtual time."""

import pytest
import trio
from trio.testing import MockClock

from jackpotd.service.keeping import Keeper, Kind, Slot, WorkerLost
from jackpotd.service.leash import Message, Stop
from jackpotd.service.settings import ServiceSettings

SETTINGS = ServiceSettings(restarts_max=3, restart_window_s=60, restart_delay_s=1)


def kept(*, is_vital: bool) -> tuple[Slot, Keeper]:
    """A child that has served once."""
    slot = Slot(Kind("child", {}, ("child",), is_vital=is_vital), 0)
    slot.recovered.set()
    slot.serving.set()

    async def begin() -> Message:
        return Stop()

    async def answer(_subject: str) -> None:
        return None

    keeper = Keeper(slot, SETTINGS, begin, rejoined=trio.lowlevel.checkpoint, answer=answer)
    return slot, keeper


async def delays(slot: Slot, keeper: Keeper, clock: MockClock, lives: int) -> list[float]:
    """The waits between so many lives of a second each."""
    found = []
    for _ in range(lives):
        slot.began_at = trio.current_time()
        clock.jump(1)
        found.append(keeper._delay_s("ended"))
        clock.jump(found[-1])
    return found


async def test_child_that_is_not_vital_is_tried_ever_more_rarely(mock_clock: MockClock) -> None:
    """Up to half a minute, where it stays; a life that was long enough begins the count anew."""
    slot, keeper = kept(is_vital=False)
    assert await delays(slot, keeper, mock_clock, 10) == [0, 1, 2, 4, 8, 16, 30, 30, 30, 30]

    slot.began_at = trio.current_time()
    mock_clock.jump(61)
    assert keeper._delay_s("ended") == 0


async def test_child_that_is_vital_has_a_budget_in_a_window(mock_clock: MockClock) -> None:
    """Ends that are long ago do not count; one too many is the last."""
    slot, keeper = kept(is_vital=True)
    assert await delays(slot, keeper, mock_clock, 3) == [0, 1, 2]
    mock_clock.jump(120)
    assert await delays(slot, keeper, mock_clock, 3) == [0, 1, 2]
    with pytest.raises(WorkerLost, match="end number 4 within 60 s"):
        await delays(slot, keeper, mock_clock, 1)


async def test_child_that_ends_before_it_ever_served_is_lost(mock_clock: MockClock) -> None:
    """Also one that is not vital: what `ready` promises would not be there."""
    for is_vital in (True, False):
        slot, keeper = kept(is_vital=is_vital)
        slot.shall_serve = True
        slot.serving = trio.Event()
        with pytest.raises(WorkerLost, match="before it had started"):
            await delays(slot, keeper, mock_clock, 1)
