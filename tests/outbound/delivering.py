"""A store, a dispatcher over it, and a clock and an allow-list that a test sets."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing

from jackpotd.outbound.dispatcher import Dispatcher
from jackpotd.outbound.signing import secrets_of
from jackpotd.outbound.targets import Targets
from jackpotd.wire.catalog_records import Webhooks
from tests.outbound.delivery_rows import Rows, delivery

NOW_MS = 1_700_000_000_000
SECRETS = secrets_of(None, "op", b"s")


class Clock:
    """Unix ms, set by the test."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


class House:
    """A store, a dispatcher over it, and the allow-list that it asks."""

    def __init__(self, rows: Rows, allow: Sequence[str], **options: Any) -> None:
        self.rows = rows
        self.clock = Clock()
        self.webhooks: dict[str, Webhooks] = {
            name: Webhooks(operator_id=name, allow=tuple(allow)) for name in ("op", "other")
        }
        self.dispatcher = Dispatcher(
            rows.store,
            Targets([], self.webhooks.get),
            lambda _operator: SECRETS,
            self.clock,
            chance=lambda: 0.0,
            **options,
        )

    def add(self, url: str, *names: str, operator: str = "op") -> None:
        self.rows.add(
            *(delivery(name, url, due_ms=self.clock(), operator=operator) for name in names)
        )
        self.dispatcher.wake()

    def pass_ms(self, time_ms: int) -> None:
        """Lets time pass for the schedule, and has every lane look at its clock."""
        self.clock.now_ms += time_ms
        for lane in self.dispatcher._lanes.values():
            lane.changed.set()

    def pending(self) -> list[str]:
        store = self.rows.store
        return [each.id for lane in store.lanes() for each in store.earliest(lane, 9999)]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Waits for what goes on in the background."""
        while not is_so():  # noqa: ASYNC110 - the store is written in a thread, and tells nobody
            await trio.sleep(0.002)

    async def until_empty(self) -> None:
        await self.until(lambda: not self.pending())

    async def until_settled(self) -> None:
        """Nothing is under way, and everything is written."""
        await self.until(lambda: all(lane.is_idle for lane in self.dispatcher._lanes.values()))

    async def nothing_more(self) -> None:
        """Lets everything happen that happens at this moment of the test's clock."""
        await self.until_settled()
        await trio.testing.wait_all_tasks_blocked(0.01)


@asynccontextmanager
async def running(house: House) -> AsyncIterator[House]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.dispatcher.run)
        yield house
        nursery.cancel_scope.cancel()
