"""Several workers and their edge in one process: real shards, routers and meshes, over logs in memory.

The nodes talk over Unix sockets in a directory of their own. A worker can be stopped as a crash would, at once, and
started again from what its log has. Nothing here decides: it puts the engine's parts together as the service does.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import trio
import trio.lowlevel

from jackpotd.cluster.edge_node import EdgeNode
from jackpotd.cluster.feed_node import FeedNode
from jackpotd.cluster.worker_node import WorkerNode
from jackpotd.engine.catalog import Catalog, CatalogOwner
from jackpotd.engine.fold import Fold
from jackpotd.engine.recovery import MemoryKeys, MemoryRows, recover
from jackpotd.engine.router import Router
from jackpotd.engine.shard import Shard
from jackpotd.engine.transfers import Transfers
from jackpotd.mesh import EDGE, FEED
from jackpotd.mesh.mesh import Mesh
from jackpotd.testing.house import SeededEntropy, StepClock
from jackpotd.testing.memory_journal import MemoryJournal
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.vault import SeededVault
from jackpotd.wire.catalog_records import CatalogEntity


@contextmanager
def sockets() -> Iterator[Path]:
    """A directory whose path is short enough for sockets."""
    made = Path(mkdtemp(prefix="mesh"))
    try:
        yield made
    finally:
        rmtree(made)


class Neighbour:
    """One worker, recovered from its log."""

    def __init__(
        self, index: int, log: MemoryLog, directory: Path, *, workers: int, link_deadline_s: float
    ) -> None:
        self.catalog = Catalog()
        self.fold = Fold(MemoryRows(), MemoryKeys())
        recover(self.fold, log)
        self.journal = MemoryJournal(log)
        self.clock = StepClock()
        self.shard = Shard(
            self.fold,
            self.journal,
            self.clock,
            SeededEntropy(index * 1_000_000 + log.last_seq),
            vault=SeededVault(),
            mailbox_length_max=10_000,
            has_embedded_wallet=True,
            index=index,
        )
        self.router = Router(self.catalog, self.shard, requests_in_flight_max=100_000)
        self.mesh = Mesh(index, directory, connects_to=(EDGE, *range(index)))
        self.node = WorkerNode(
            self.mesh,
            self.catalog,
            self.shard,
            self.router,
            workers=workers,
            link_deadline_s=link_deadline_s,
        )
        self.transfers = Transfers(self.shard, self.node.owners)
        self.stopping = trio.CancelScope()
        self.stopped = trio.Event()


class Street:
    """The edge and its workers.

    Args:
        directory: where they listen.
        entities: the catalog.
        workers: how many there are.
        link_deadline_s: how long requests wait for links of other workers.
    """

    def __init__(
        self,
        directory: Path,
        entities: Sequence[CatalogEntity],
        workers: int,
        *,
        link_deadline_s: float = 30.0,
    ) -> None:
        self.logs = [MemoryLog() for _ in range(workers)]
        self.workers: dict[int, Neighbour] = {}
        self._directory = directory
        self._entities = entities
        self._count = workers
        self._link_deadline_s = link_deadline_s
        self._catalog_journal = MemoryJournal(MemoryLog())
        self.owner = CatalogOwner(Catalog(), self._catalog_journal, StepClock())
        self.edge = EdgeNode(Mesh(EDGE, directory, ()), self.owner, workers=workers)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[trio.Nursery]:
        """Runs everything; every instance is born where it belongs, and all workers know each other."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._catalog_journal.run)
            await nursery.start(self.edge.run)
            await self.change(*self._entities)
            for index in range(self._count):
                await self.start(nursery, index)
            await self.acquainted()
            for name in self.owner.catalog.instances:
                refused = await self.edge.give_birth(self.edge.places.owner_of(name), (name,))
                if refused is not None:
                    raise RuntimeError(f"{name} was not born: {refused}")
            yield nursery
            nursery.cancel_scope.cancel()

    async def start(self, nursery: trio.Nursery, index: int, *, commits: bool = True) -> Neighbour:
        """A worker's next life; returns when it has the catalog and its links are resumed.

        Args:
            nursery: where it runs.
            index: its number.
            commits: whether its journal runs by itself; else the test commits by hand.
        """
        worker = Neighbour(
            index,
            self.logs[index],
            self._directory,
            workers=self._count,
            link_deadline_s=self._link_deadline_s,
        )
        self.workers[index] = worker
        await nursery.start(self._live, worker, commits)
        return worker

    @staticmethod
    async def _live(
        worker: Neighbour, commits: bool, *, task_status: trio.TaskStatus[None]
    ) -> None:
        with worker.stopping:
            async with trio.open_nursery() as nursery:
                if commits:
                    nursery.start_soon(worker.journal.run)
                nursery.start_soon(worker.transfers.run)
                await nursery.start(worker.node.run)
                task_status.started()
        worker.stopped.set()

    async def feed(self, nursery: trio.Nursery) -> FeedNode:
        """The feed's node, with the whole catalog and connected to everybody who runs."""
        mesh = Mesh(FEED, self._directory, connects_to=(EDGE, *range(self._count)))
        node = FeedNode(mesh, workers=self._count, nodes=tuple(range(self._count)))
        await nursery.start(node.run)
        while set(self.workers) - set(mesh.up()):
            await trio.lowlevel.checkpoint()
        return node

    async def stop(self, index: int) -> None:
        """A crash: what is not committed is lost."""
        worker = self.workers.pop(index)
        worker.stopping.cancel()
        await worker.stopped.wait()

    async def acquainted(self) -> None:
        """Waits until every worker is connected to all others that run, and to the edge."""
        for index, worker in self.workers.items():
            while {EDGE, *self.workers} - {index} - set(worker.mesh.up()):
                await trio.lowlevel.checkpoint()

    async def change(self, *entities: CatalogEntity) -> None:
        """A change of the catalog; returns when every worker has it."""
        await self.owner.change("test", lambda _: list(entities))

    async def settled(self) -> None:
        """Waits until no link is outstanding anywhere and nothing is staged."""
        while any(
            worker.fold.propagations or worker.journal.staged_seq != worker.journal.committed_seq
            for worker in self.workers.values()
        ):
            await trio.lowlevel.checkpoint()
