"""Alarms in virtual time: who is woken when, whatever people do to the clock."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from jackpotd.engine.alarms import LOOK_AGAIN_S, Alarms

TEST_TIMEOUT_S = 1_000_000  # of virtual time
START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class WallClock:
    """Unix time that passes with Trio's, until somebody puts it forward or back."""

    def __init__(self, clock: MockClock) -> None:
        self._clock = clock
        self._began = clock.current_time()
        self.shift_ms = 0

    def __call__(self) -> int:
        passed_s = self._clock.current_time() - self._began
        return START_MS + self.shift_ms + round(passed_s * 1000)


class Stage:
    """Alarms that note what they ring, and when; `on_ring` is done besides."""

    def __init__(self, clock: MockClock) -> None:
        self.clock = WallClock(clock)
        self.alarms = Alarms(self.clock, self._ring)
        self.rung: list[tuple[str, int]] = []
        self.on_ring: Callable[[str], None] = lambda _instance_id: None

    def _ring(self, instance_id: str) -> None:
        self.rung.append((instance_id, self.clock() - START_MS))
        self.on_ring(instance_id)

    def set(self, instance_id: str, after_ms: int | None) -> None:
        """An alarm so long after the start."""
        self.alarms.set(instance_id, None if after_ms is None else START_MS + after_ms)


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[None]:
    """The task of the alarms, until the end of this."""
    with trio.fail_after(TEST_TIMEOUT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.alarms.run)
            yield
            nursery.cancel_scope.cancel()


async def test_alarms_ring_once_each_in_the_order_of_their_times(autojump_clock: MockClock) -> None:
    """Those that were set before the task began, and those set while it sleeps."""
    stage = Stage(autojump_clock)
    stage.set("b", 2_000)
    async with running(stage):
        await wait_all_tasks_blocked()
        stage.set("c", HOUR_MS)
        stage.set("a", 500)
        await trio.sleep(2 * HOUR_MS / 1000)

    assert [("a", 500), ("b", 2_000), ("c", HOUR_MS)] == stage.rung
    assert (0, 3, 0) == (
        stage.alarms.statistics().waiting,
        stage.alarms.statistics().rung,
        stage.alarms.statistics().entries,
    )


async def test_an_alarm_that_has_passed_rings_at_once(autojump_clock: MockClock) -> None:
    """After a long standstill, too; nothing has to happen for it."""
    stage = Stage(autojump_clock)
    stage.set("late", -DAY_MS)
    async with running(stage):
        await wait_all_tasks_blocked()
        assert [("late", 0)] == stage.rung
        stage.set("later", -1)
        await wait_all_tasks_blocked()

    assert [("late", 0), ("later", 0)] == stage.rung


async def test_an_alarm_that_is_set_anew_rings_at_its_new_time_only(
    autojump_clock: MockClock,
) -> None:
    """Earlier, later, and back to the first time."""
    stage = Stage(autojump_clock)
    async with running(stage):
        for instance_id, times in {
            "earlier": (5_000, 1_000),
            "later": (1_000, 5_000),
            "back": (3_000, 9_000, 3_000),
        }.items():
            for after_ms in times:
                stage.set(instance_id, after_ms)
        await trio.sleep(60)

    assert [("earlier", 1_000), ("back", 3_000), ("later", 5_000)] == stage.rung


async def test_a_cancelled_alarm_does_not_ring(autojump_clock: MockClock) -> None:
    """Neither does one of an instance that never had any."""
    stage = Stage(autojump_clock)
    async with running(stage):
        stage.set("a", 1_000)
        stage.set("b", 2_000)
        stage.set("a", None)
        stage.set("unknown", None)
        await trio.sleep(60)

    assert [("b", 2_000)] == stage.rung


async def test_whoever_rings_may_set_the_next_alarm(autojump_clock: MockClock) -> None:
    """Windows follow each other: each end sets the next one."""
    stage = Stage(autojump_clock)
    ends = iter([2_000, 3_000, None])
    stage.on_ring = lambda instance_id: stage.set(instance_id, next(ends))
    stage.set("a", 1_000)
    async with running(stage):
        await trio.sleep(60)

    assert [("a", 1_000), ("a", 2_000), ("a", 3_000)] == stage.rung


async def test_whoever_rings_may_cancel_another_that_is_due(autojump_clock: MockClock) -> None:
    """Two are due at once, and the first one stops the second."""
    stage = Stage(autojump_clock)
    stage.on_ring = lambda _instance_id: stage.set("b", None)
    stage.set("a", 1_000)
    stage.set("b", 1_000)
    async with running(stage):
        await trio.sleep(60)

    assert [("a", 1_000)] == stage.rung


async def test_an_instance_that_is_always_due_keeps_nobody_from_working(
    autojump_clock: MockClock,
) -> None:
    """Its alarm is set for the past each time it rings: others still get their turns."""
    stage = Stage(autojump_clock)
    stage.on_ring = lambda instance_id: stage.set(instance_id, -len(stage.rung))
    stage.set("a", 0)
    async with running(stage):
        for _ in range(100):
            await trio.lowlevel.checkpoint()

    assert len(stage.rung) > 10


async def test_a_clock_put_forward_is_noticed_within_a_minute(autojump_clock: MockClock) -> None:
    """The alarm is a day away; after a moment the clock says that it has come."""
    stage = Stage(autojump_clock)
    async with running(stage):
        stage.set("a", DAY_MS)
        await trio.sleep(1)
        stage.clock.shift_ms = DAY_MS
        await trio.sleep(LOOK_AGAIN_S)
        assert ["a"] == [instance_id for instance_id, _ in stage.rung]


async def test_a_clock_put_back_makes_alarms_wait(autojump_clock: MockClock) -> None:
    """Nothing rings before the clock shows its time."""
    stage = Stage(autojump_clock)
    async with running(stage):
        stage.set("a", 10_000)
        await trio.sleep(9)
        stage.clock.shift_ms = -HOUR_MS
        await trio.sleep(3_600)
        assert [] == stage.rung
        await trio.sleep(2)

    assert [("a", 10_000)] == stage.rung


async def test_alarms_that_are_set_again_and_again_leave_little_behind(
    autojump_clock: MockClock,
) -> None:
    """Memory follows the instances that wait, not how often their alarms were moved."""
    stage = Stage(autojump_clock)
    async with running(stage):
        for after_ms in range(100_000, 0, -1):
            stage.set(f"instance {after_ms % 10}", after_ms)
        entries = stage.alarms.statistics().entries
        await trio.sleep(200)

    assert entries < 100
    assert [(f"instance {each % 10}", each) for each in range(1, 11)] == stage.rung


async def test_a_failure_of_the_bell_ends_the_alarms(autojump_clock: MockClock) -> None:
    """It is not hidden: the shard that runs them stops."""
    stage = Stage(autojump_clock)

    def fail(_instance_id: str) -> None:
        raise OSError("no bell")

    stage.on_ring = fail
    stage.set("a", 0)
    with pytest.raises(ExceptionGroup) as failure:
        async with running(stage):
            await trio.sleep(60)

    assert failure.group_contains(OSError, match="no bell")
