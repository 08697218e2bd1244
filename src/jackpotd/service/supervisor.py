"""The server's worker processes: starts them side by side, leads them through their lives, brings back one that ended.

Owns processes and their leashes, and knows nothing of jackpots. A worker that ends is started again, at once the first
time, then after a delay that doubles; one that ends more often than the budget allows stops the server, because one
more start does not cure a defect that comes back every second. However the supervisor is left, no worker is.
"""

import signal
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

import structlog
import trio

from jackpotd.service.leash import (
    Ask,
    Begin,
    Drain,
    Drained,
    Leash,
    LeashBroken,
    Message,
    Recovered,
    Serve,
    Serving,
    Stop,
    Told,
    leashes,
)
from jackpotd.service.settings import ServiceSettings
from jackpotd.service.worker_process import started

ANSWER_TIMEOUT_S = 2.0
_GRACE_S = 2.0
_DELAY_MAX_S = 30.0

_log = structlog.get_logger("jackpotd.supervisor")


class WorkerLost(Exception):
    """A worker that cannot be had any more; the server stops, and the message says why."""


class Slot:
    """One worker through all its lives."""

    def __init__(self, index: int, *, is_retired: bool) -> None:
        self.index = index
        self.is_retired = is_retired
        self.restarts = 0
        self.ending = trio.Event()
        self.state = (
            "starting"  # then "recovered", "serving", "drained"; "down", "ended" without a process
        )
        self.pid: int | None = None
        self.leash: Leash | None = None
        self.recovered = trio.Event()
        self.drained = trio.Event()
        self.ended = trio.Event()
        self.serving = trio.Event()
        self.ends: deque[float] = deque()

    async def send(self, message: Message) -> None:
        """A line to the worker, if there is one."""
        if self.leash is not None:
            try:
                await self.leash.send(message)
            except LeashBroken:
                _log.debug("worker is gone already", worker=self.index)


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
        self._is_serving = False
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
        slots = [Slot(index, is_retired=False) for index in range(workers)]
        slots += [Slot(index, is_retired=True) for index in retired]
        self.slots = {slot.index: slot for slot in slots}
        async with trio.open_nursery() as nursery:
            for slot in slots:
                nursery.start_soon(self._keep, slot, name=f"worker {slot.index}")
            for slot in slots:
                await slot.recovered.wait()
            task_status.started()

    async def serve(self) -> None:
        """Opens the listeners; returns when all of them answer."""
        self._is_serving = True
        serving = [slot for slot in self.slots.values() if not slot.is_retired]
        for slot in serving:
            if slot.state == "recovered":
                await slot.send(Serve())
        for slot in serving:
            await slot.serving.wait()
        self._has_served = True

    async def retire(self, index: int) -> None:
        """Ends a worker that has nothing left to do."""
        await self._end([self.slots[index]])
        del self.slots[index]

    async def stop(self) -> None:
        """Lets all workers finish what is in flight, then end. Those that take too long are left to `run`'s end."""
        await self._end(list(self.slots.values()))

    async def _end(self, slots: list[Slot]) -> None:
        deadline_s = self._settings.drain_deadline_s + _GRACE_S
        for slot in slots:
            slot.ending.set()
            if slot.pid is None:
                slot.drained.set()
            await slot.send(Drain())
        with trio.move_on_after(deadline_s):
            for slot in slots:
                await slot.drained.wait()
        for slot in slots:
            await slot.send(Stop())
        with trio.move_on_after(deadline_s):
            for slot in slots:
                await slot.ended.wait()

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
        try:
            while True:
                ended = await self._live(slot)
                slot.drained.set()
                if slot.ending.is_set():
                    break
                try:
                    delay_s = self._delay_s(slot, ended)
                except WorkerLost as loss:
                    if not self._has_served:
                        raise
                    self.loss = loss
                    self._lost()
                    break
                slot.restarts += 1
                _log.error("worker ended", worker=slot.index, how=ended, restart_in_s=delay_s)
                with trio.move_on_after(delay_s):
                    await slot.ending.wait()
                    break
        finally:
            slot.state = "ended"
            slot.ended.set()

    def _delay_s(self, slot: Slot, ended: str) -> float:
        """How long to wait before the next life.

        Raises:
            WorkerLost: there is none.
        """
        is_new = self._is_serving and not slot.is_retired and not slot.serving.is_set()
        if is_new or not slot.recovered.is_set():
            raise WorkerLost(f"worker {slot.index} {ended} before it had started")
        now = trio.current_time()
        slot.ends.append(now)
        while slot.ends[0] < now - self._settings.restart_window_s:
            slot.ends.popleft()
        times = len(slot.ends)
        if times > self._settings.restarts_max:
            raise WorkerLost(
                f"worker {slot.index} {ended}, which is end number {times} within "
                f"{self._settings.restart_window_s:g} s; [service] restarts_max = "
                f"{self._settings.restarts_max} allows no further start"
            )
        if times == 1:
            return 0.0
        return float(min(self._settings.restart_delay_s * 2 ** (times - 2), _DELAY_MAX_S))

    async def _live(self, slot: Slot) -> str:
        """One life of a worker; returns how it ended, in words."""
        ours, its = leashes()
        leash = Leash(ours)
        with started(slot.index, its) as process:
            slot.pid, slot.state, slot.leash = process.pid, "starting", leash
            slot.drained = trio.Event()
            try:
                async with trio.open_nursery() as nursery:
                    await slot.send(self._begin(slot.index))
                    async for message in leash.lines():
                        await self._hear(nursery, slot, message)
                    nursery.cancel_scope.cancel()
                returncode = await process.wait()
            finally:
                leash.close()
                slot.pid, slot.state, slot.leash = None, "down", None
        return _in_words(returncode)

    async def _hear(self, nursery: trio.Nursery, slot: Slot, message: Message) -> None:
        match message:
            case Recovered():
                slot.state = "recovered"
                nursery.start_soon(self._take_in, slot)
            case Serving():
                slot.state = "serving"
                slot.serving.set()
                _log.info("worker serves", worker=slot.index, pid=slot.pid)
            case Drained():
                slot.state = "drained"
                slot.drained.set()
            case Ask():
                nursery.start_soon(self._tell, slot, message)
            case _:
                raise TypeError(f"worker {slot.index} said {message}")

    async def _take_in(self, slot: Slot) -> None:
        """A worker that comes back serves as soon as what its end has cut off is done."""
        if not slot.recovered.is_set():
            slot.recovered.set()
        else:
            await self._rejoined(slot.index)
        if self._is_serving and not slot.is_retired and not slot.ending.is_set():
            await slot.send(Serve())

    async def _tell(self, slot: Slot, question: Ask) -> None:
        await slot.send(Told(question.number, await self._answer(question.subject)))


def _in_words(returncode: int) -> str:
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with exit status {returncode}"
