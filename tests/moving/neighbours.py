"""One worker of a neighbourhood, with everything that is its own, and how the others reach it."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import trio
import trio.lowlevel
from msgspec import Raw

from jackpotd.core.rejections import Rejection
from jackpotd.engine.actor import Actor
from jackpotd.engine.cells import Cell
from jackpotd.engine.checkpoint import Checkpointer
from jackpotd.engine.dropping import Dropper
from jackpotd.engine.fold import Fold
from jackpotd.engine.giving import Giver
from jackpotd.engine.messages import (
    ContributeMessage,
    LinkMessage,
    OperateMessage,
    OptInMessage,
)
from jackpotd.engine.moving import MoveRefused
from jackpotd.engine.ports import Read
from jackpotd.engine.recovery import recover
from jackpotd.engine.taking import Taker
from jackpotd.wire import records
from jackpotd.wire.catalog_records import InstanceEntry
from jackpotd.wire.moving_messages import Departure, RowsChunk

from .linking import Links

if TYPE_CHECKING:
    from .neighbourhood import Neighbourhood


class Unalarmed:
    """No template of these tests has windows."""

    def set(self, instance_id: str, when_ms: int | None) -> None:
        assert when_ms is None, instance_id


class WorkerGone(Exception):
    """A call to a worker that is down."""


class Worker:
    """One worker, recovered from its disk."""

    def __init__(self, hood: "Neighbourhood", index: int) -> None:
        self.hood = hood
        self.index = index
        ground = self.ground = hood.grounds[index]
        self.fold = Fold(ground.rows, ground.keys)
        recover(self.fold, ground.log)
        self.journal = ground.journal()
        self.checkpointer = Checkpointer(
            self.fold,
            self.journal,
            ground.rows,
            ground.key_flush,
            interval_s=60,
            transaction_rows_max=hood.transaction_rows_max,
        )
        self.actors: dict[str, Actor] = {}
        self.links = Links(self)
        self.views = ground.views(hood)
        self.dropper = Dropper(self.fold, self.journal, ground.rows, self.checkpointer)
        self.giver = Giver(
            index,
            self.fold,
            self.journal,
            ground.rows,
            self.checkpointer,
            self.dropper,
            self,
            self,
            hood.clock,
            settle_wait_s=0.2,
        )
        self.taker = Taker(
            index,
            self.fold,
            self.journal,
            self.checkpointer,
            self.dropper,
            self,
            self.views,
            hood.clock,
        )
        self._nursery: trio.Nursery | None = None
        self._life = trio.CancelScope()
        self._asked: set[trio.Event] = set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self._life:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self.journal.run)
                nursery.start_soon(self.dropper.run)
                for cell in list(self.fold.cells.values()):
                    self.start(cell)
                for worker, since_ms in self.fold.moves.views.items():
                    await self.views.open(worker, since_ms)
                task_status.started()
                await trio.sleep_forever()

    def serve(self, call: Callable[[], Awaitable[None]], over: trio.Event) -> None:
        """Answers a neighbour; it is told when this worker stops before."""
        assert self._nursery is not None
        self._asked.add(over)
        self._nursery.start_soon(call)

    def stop(self) -> None:
        """Stops as a killed process does."""
        self._life.cancel()
        for over in self._asked:
            over.set()

    # The host of the actors.

    def start(self, cell: Cell) -> None:
        assert self._nursery is not None
        actor = Actor(
            cell,
            fold=self.fold,
            journal=self.journal,
            clock=self.hood.clock,
            entropy=self.hood.entropy,
            vault=self.hood.vault,
            alarms=Unalarmed(),
            propagation=self.links,
            mailbox_length_max=1000,
            one_draw_at_a_time=trio.Lock(),
        )
        self.actors[actor.instance_id] = actor
        self._nursery.start_soon(actor.run)

    def remove(self, instance_id: str) -> None:
        del self.actors[instance_id]

    def give_birth(self, entry: InstanceEntry) -> None:
        created = records.Created(
            entry.created_ms,
            entry.instance_id,
            entry.name,
            entry.owner_id,
            entry.template_id,
            entry.template_owner_id,
            Raw(entry.document),
            entry.brands,
            entry.status,
            entry.by,
        )
        encoded = records.encode(created)
        self.fold.create(self.journal.stage(encoded), created, encoded)
        self.start(self.fold.cells[entry.instance_id])

    # Where parked messages go.

    def contribute(self, message: ContributeMessage) -> None:
        self.hood.post(message.request.target.id, message)

    def link(self, instance_id: str, message: LinkMessage) -> None:
        if message.worker in (None, self.index):
            again = LinkMessage(
                message.cause,
                message.place,
                message.bet,
                message.rates,
                message.can_debit,
                self.index,
            )
            self.links.send(instance_id, again)

    def opt_in(self, instance_id: str, message: OptInMessage) -> None:
        self.hood.post(instance_id, message)

    def operate(self, instance_id: str, message: OperateMessage) -> None:
        self.hood.post(instance_id, message)

    def used(self, digest: bytes) -> tuple[int, Read] | None:
        """Where a key was used, as this worker sees it."""
        now_ms = self.hood.clock()
        seq = self.fold.keys.get(digest, now_ms)
        return self.views.find(digest, now_ms) if seq is None else (seq, self.ground.log.read)


T = TypeVar("T")


class Port:
    """A worker as its neighbours and the edge see it: what it was asked goes on there, or is lost with it."""

    def __init__(self, hood: "Neighbourhood", index: int) -> None:
        self._hood = hood
        self._index = index

    async def _call(self, call: Callable[[Worker], Awaitable[T]]) -> T:
        worker = self._hood.workers.get(self._index)
        if worker is None:
            raise WorkerGone(self._index)
        results: list[T] = []
        failures: list[Exception] = []
        over = trio.Event()

        async def serve() -> None:
            try:
                results.append(await call(worker))
            except (MoveRefused, WorkerGone) as failure:
                failures.append(failure)
            over.set()

        worker.serve(serve, over)
        await over.wait()
        if results:
            return results[0]
        raise failures[0] if failures else WorkerGone(self._index)

    async def depart(self, instance_id: str, to_worker: int) -> Departure | Rejection:
        return await self._call(lambda worker: worker.giver.depart(instance_id, to_worker))

    async def rows(self, instance_id: str, departing_seq: int, after: bytes) -> RowsChunk:
        return await self._call(lambda worker: worker.giver.rows(instance_id, departing_seq, after))

    async def take(self, departure: Departure) -> None:
        giver = Port(self._hood, departure.from_worker)
        await self._call(lambda worker: worker.taker.take(departure, giver))

    async def finish(self, instance_id: str, departing_seq: int) -> None:
        await self._call(lambda worker: worker.giver.finish(instance_id, departing_seq))

    async def abandon(self, instance_id: str, from_worker: int, departing_seq: int) -> bool:
        return await self._call(
            lambda worker: worker.taker.abandon(instance_id, from_worker, departing_seq)
        )

    async def checkpoint(self) -> None:
        await self._call(lambda worker: worker.checkpointer.checkpoint())

    async def resume(self, instance_id: str, departing_seq: int) -> None:
        await self._call(lambda worker: worker.giver.resume(instance_id, departing_seq))
