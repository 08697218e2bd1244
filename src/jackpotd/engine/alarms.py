"""Alarms of a shard: an instance is woken at a time, whether anybody comes or not.

One task for all of them. It sleeps until the earliest, by a clock that people may set: so it looks again at least once
a minute, and an alarm is at most that late after the clock was put forward.
"""

import heapq
from collections.abc import Callable

import trio
from msgspec import Struct

from jackpotd.engine.ports import Clock

LOOK_AGAIN_S = 60.0
_LEFT_OVER_MAX = 64


class AlarmsStatistics(Struct, frozen=True):
    """`waiting` instances have an alarm, `rung` counts those that were woken; `entries` are in the heap."""

    waiting: int
    rung: int
    entries: int


class Alarms:
    """Who is to be woken when.

    Args:
        clock: what alarms are set by.
        ring: wakes an instance; it may set alarms. What it raises ends `run`.
    """

    def __init__(self, clock: Clock, ring: Callable[[str], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._when_ms: dict[str, int] = {}
        # Whatever differs from `_when_ms` was set anew or cancelled, and is passed over.
        self._heap: list[tuple[int, str]] = []
        self._is_sooner = trio.Event()
        self._rung = 0

    def set(self, instance_id: str, when_ms: int | None) -> None:
        """Wakes an instance once when the clock shows this time or a later one, or (None) not at all.

        It has one alarm at most: an earlier call counts no longer. A time that has passed is due at once.
        """
        before = self._when_ms.get(instance_id)
        if when_ms == before:
            return
        if when_ms is None:
            del self._when_ms[instance_id]
        else:
            self._when_ms[instance_id] = when_ms
            heapq.heappush(self._heap, (when_ms, instance_id))
            if self._heap[0] == (when_ms, instance_id):
                self._is_sooner.set()
        if len(self._heap) > 2 * len(self._when_ms) + _LEFT_OVER_MAX:
            self._heap = [(each_ms, each) for each, each_ms in self._when_ms.items()]
            heapq.heapify(self._heap)

    async def run(self) -> None:
        """Rings until cancelled."""
        while True:
            self._is_sooner = trio.Event()
            for when_ms, instance_id in self._due():
                # One that rang a moment ago may have changed the alarms of others.
                if self._when_ms.get(instance_id) == when_ms:
                    del self._when_ms[instance_id]
                    self._rung += 1
                    self._ring(instance_id)
            with trio.move_on_after(self._rest_s()):
                await self._is_sooner.wait()

    def _due(self) -> list[tuple[int, str]]:
        """Takes from the heap what is due now; what is set for the past while they ring waits for the next look."""
        now_ms, heap, due = self._clock(), self._heap, list[tuple[int, str]]()
        while heap and heap[0][0] <= now_ms:
            due.append(heapq.heappop(heap))
        return due

    def _rest_s(self) -> float:
        if not self._heap:
            return LOOK_AGAIN_S
        return min(max((self._heap[0][0] - self._clock()) / 1000, 0), LOOK_AGAIN_S)

    def statistics(self) -> AlarmsStatistics:
        return AlarmsStatistics(len(self._when_ms), self._rung, len(self._heap))
