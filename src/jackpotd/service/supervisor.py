"""The server's worker processes: starts them side by side, leads them through their lives, brings back one that ended.

Owns processes and their leashes, and knows nothing of jackpots. A worker that ends more often than the budget allows
stops the server, because one more start does not cure a defect that comes back every second. However the supervisor is
left, no worker is.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import trio

from jackpotd.service.keeping import Keeper, Kind, Slot, WorkerLost
from jackpotd.service.leash import Begin, Drain, Leash, Stop
from jackpotd.service.settings import ServiceSettings

ANSWER_TIMEOUT_S = 2.0
_GRACE_S = 2.0


class Supervisor:
    """All workers.

    Args:
        settings: the restart budget and the deadline of a stop.
        begin: what a worker is told first.
        rejoined: called when a worker has come back, before it serves; what was cut off is ended here.
        answer: answers a question of a worker.
        lost: told that a worker has spent its budget while others serve: an orderly stop is due.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        begin: Callable[[int], Begin],
        *,
        rejoined: Callable[[int], Awaitable[None]],
        answer: Callable[[str], Awaitable[str | None]],
        lost: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._begin = begin
        self._rejoined = rejoined
        self._answer = answer
        self._lost = lost
        self.loss: WorkerLost | None = None
        self._has_served = False
        self.slots: dict[int, Slot] = {}

    async def run(
        self,
        workers: int,
        retired: Iterable[int],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Keeps the workers alive until `stop`; has started when all of them stand on their journals.

        Raises:
            WorkerLost: one did not start. One that has spent its budget later is `loss`.
        """
        slots = [_slot(index, is_retired=False) for index in range(workers)]
        slots += [_slot(index, is_retired=True) for index in retired]
        self.slots = {slot.index: slot for slot in slots}
        async with trio.open_nursery() as nursery:
            for slot in slots:
                nursery.start_soon(self._keep, slot, name=f"worker {slot.index}")
            for slot in slots:
                await slot.recovered.wait()
            task_status.started()

    async def serve(self) -> None:
        """Opens the listeners; returns when all of them answer."""
        serving = [slot for slot in self.slots.values() if not slot.is_retired]
        for slot in serving:
            await slot.serve()
        for slot in serving:
            await slot.serving.wait()
        self._has_served = True

    async def retire(self, index: int) -> None:
        """Ends a worker that has nothing left to do."""
        await self._end([self.slots[index]])
        del self.slots[index]

    async def drain(self) -> None:
        """Closes the listeners; returns when nothing is in flight any more, or when that took too long."""
        await self._drain(list(self.slots.values()))

    async def stop(self) -> None:
        """Lets all workers finish what is in flight, then end. Those that take too long are left to `run`'s end."""
        await self._end(list(self.slots.values()))

    async def _drain(self, slots: list[Slot]) -> None:
        for slot in slots:
            if slot.pid is None:
                slot.drained.set()
            slot.ending.set()
            await slot.send(Drain())
        with trio.move_on_after(self._deadline_s):
            for slot in slots:
                await slot.drained.wait()

    async def _end(self, slots: list[Slot]) -> None:
        await self._drain([slot for slot in slots if not slot.ending.is_set()])
        for slot in slots:
            await slot.send(Stop())
        with trio.move_on_after(self._deadline_s):
            for slot in slots:
                await slot.ended.wait()

    @property
    def _deadline_s(self) -> float:
        return self._settings.drain_deadline_s + _GRACE_S

    async def ask(self, subject: str) -> dict[int, str]:
        """Asks all workers at once; those that do not answer in time are left out."""
        told: dict[int, str] = {}

        async def one(slot: Slot, leash: Leash) -> None:
            text = await leash.ask(subject, timeout_s=ANSWER_TIMEOUT_S)
            if text is not None:
                told[slot.index] = text

        async with trio.open_nursery() as nursery:
            for slot in self.slots.values():
                if slot.leash is not None:
                    nursery.start_soon(one, slot, slot.leash)
        return told

    async def _keep(self, slot: Slot) -> None:
        index = slot.index
        keeper = Keeper(
            slot,
            self._settings,
            partial(self._begin_of, index),
            rejoined=partial(self._rejoined, index),
            answer=self._answer,
        )
        try:
            await keeper.run()
        except WorkerLost as loss:
            if not self._has_served:
                raise
            self.loss = loss
            self._lost()

    async def _begin_of(self, index: int) -> Begin:
        return self._begin(index)


def _slot(index: int, *, is_retired: bool) -> Slot:
    kind = Kind("worker", {"worker": index}, ("worker", "--index", str(index)))
    return Slot(kind, index, is_retired=is_retired)
