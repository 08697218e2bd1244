"""A child process through all its lives: started, led by its leash, and started again when it ends.

A child that ends is started again, at once the first time, then after a delay that doubles; what becomes of one that
ends more often than the budget allows is its own kind's choice. However the keeper is left, no child is.
"""

import signal
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack

import structlog
import trio
from msgspec import Struct

from jackpotd.service.leash import (
    Ask,
    Drained,
    Leash,
    LeashBroken,
    Message,
    Recovered,
    Serve,
    Serving,
    Told,
    leashes,
)
from jackpotd.service.settings import ServiceSettings
from jackpotd.service.worker_process import started

ENDS_KEPT_MAX = 1_001  # one more than any budget of restarts
_DELAY_MAX_S = 30.0

_log = structlog.get_logger("jackpotd.supervisor")


class WorkerLost(Exception):
    """A child that cannot be had any more; the server stops, and the message says why."""


class Kind(Struct, frozen=True):
    """What a child is: its name in logs, what its log lines are labelled with, and its command.

    One that is not vital gets no budget: it is tried again and again, ever more rarely until it has lived for a while,
    and the server goes on without it.
    """

    name: str
    labels: Mapping[str, int]
    part: Sequence[str]
    is_vital: bool = True


class Slot:
    """One child through all its lives."""

    def __init__(self, kind: Kind, index: int, *, is_retired: bool = False) -> None:
        self.kind = kind
        self.index = index
        self.is_retired = is_retired
        self.shall_serve = False
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
        self.began_at = 0.0
        self.ends: deque[float] = deque(maxlen=ENDS_KEPT_MAX)

    async def send(self, message: Message) -> None:
        """A line to the child, if there is one."""
        if self.leash is not None:
            try:
                await self.leash.send(message)
            except LeashBroken:
                _log.debug(f"{self.kind.name} is gone already", **self.kind.labels)

    async def serve(self) -> None:
        """Has it open its listener, now or as soon as it stands."""
        self.shall_serve = True
        if self.state == "recovered":
            await self.send(Serve())


class Keeper:
    """Keeps one child alive.

    Args:
        slot: whose lives these are.
        settings: the restart budget.
        begin: what the child is told first, as soon as that can be said.
        rejoined: called when it has come back, before it serves; what was cut off is ended here.
        answer: answers a question of the child.
    """

    def __init__(
        self,
        slot: Slot,
        settings: ServiceSettings,
        begin: Callable[[], Awaitable[Message]],
        *,
        rejoined: Callable[[], Awaitable[None]],
        answer: Callable[[str], Awaitable[str | None]],
    ) -> None:
        self._slot = slot
        self._settings = settings
        self._begin = begin
        self._rejoined = rejoined
        self._answer = answer

    async def run(self) -> None:
        """Until the slot is ending and its child has ended.

        Raises:
            WorkerLost: it did not start, or has spent its budget.
        """
        slot = self._slot
        try:
            while True:
                ended = await self._live()
                slot.drained.set()
                if slot.ending.is_set():
                    break
                delay_s = self._delay_s(ended)
                slot.restarts += 1
                message = f"{slot.kind.name} ended"
                _log.error(message, **slot.kind.labels, how=ended, restart_in_s=delay_s)
                with trio.move_on_after(delay_s):
                    await slot.ending.wait()
                    break
        finally:
            slot.state = "ended"
            slot.ended.set()

    def _delay_s(self, ended: str) -> float:
        """How long to wait before the next life.

        Raises:
            WorkerLost: there is none.
        """
        slot, settings = self._slot, self._settings
        name = " ".join([slot.kind.name, *map(str, slot.kind.labels.values())])
        is_new = slot.shall_serve and not slot.serving.is_set()
        if is_new or not slot.recovered.is_set():
            raise WorkerLost(f"{name} {ended} before it had started")
        now = trio.current_time()
        window_begins = now - settings.restart_window_s
        if not slot.kind.is_vital and slot.began_at < window_begins:
            slot.ends.clear()  # it has lived long enough to begin anew
        slot.ends.append(now)
        while slot.kind.is_vital and slot.ends[0] < window_begins:
            slot.ends.popleft()
        times = len(slot.ends)
        if times > settings.restarts_max and slot.kind.is_vital:
            raise WorkerLost(
                f"{name} {ended}, which is end number {times} within "
                f"{settings.restart_window_s:g} s; [service] restarts_max = "
                f"{settings.restarts_max} allows no further start"
            )
        if times == 1:
            return 0.0
        doublings = min(times - 2, 32)
        return float(min(settings.restart_delay_s * 2**doublings, _DELAY_MAX_S))

    async def _live(self) -> str:
        """One life; returns how it ended, in words."""
        slot = self._slot
        with ExitStack() as stack:
            try:
                ours, its = leashes()
                leash = Leash(ours)
                stack.callback(leash.close)
                process = stack.enter_context(started(slot.kind.part, its))
            except OSError as error:  # no descriptors, no memory: there may be some again
                return f"could not be started ({error.strerror})"
            slot.pid, slot.state, slot.leash = process.pid, "starting", leash
            slot.began_at = trio.current_time()
            slot.drained = trio.Event()
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._tell_who_it_is)
                    async for message in leash.lines():
                        await self._hear(nursery, message)
                    nursery.cancel_scope.cancel()
                returncode = await process.wait()
            finally:
                slot.pid, slot.state, slot.leash = None, "down", None
        return _in_words(returncode)

    async def _tell_who_it_is(self) -> None:
        await self._slot.send(await self._begin())

    async def _hear(self, nursery: trio.Nursery, message: Message) -> None:
        slot = self._slot
        match message:
            case Recovered():
                slot.state = "recovered"
                nursery.start_soon(self._take_in)
            case Serving():
                slot.state = "serving"
                slot.serving.set()
                _log.info(f"{slot.kind.name} serves", **slot.kind.labels, pid=slot.pid)
            case Drained():
                slot.state = "drained"
                slot.drained.set()
            case Ask():
                nursery.start_soon(self._tell, message)
            case _:
                raise TypeError(f"{slot.kind.name} said {message}")

    async def _take_in(self) -> None:
        """A child that comes back serves as soon as what its end has cut off is done."""
        slot = self._slot
        if not slot.recovered.is_set():
            slot.recovered.set()
        else:
            await self._rejoined()
        if slot.shall_serve and not slot.ending.is_set():
            await slot.send(Serve())

    async def _tell(self, question: Ask) -> None:
        await self._slot.send(Told(question.number, await self._answer(question.subject)))


def _in_words(returncode: int) -> str:
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with exit status {returncode}"
