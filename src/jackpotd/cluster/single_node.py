"""A server of one process, as the feed sees it: the edge and the only worker, on two meshes that nobody else joins."""

from pathlib import Path

import trio

from jackpotd.cluster.answering import Reading
from jackpotd.cluster.catalog import CatalogPublisher
from jackpotd.cluster.feed_answering import FeedAnswering
from jackpotd.cluster.feed_desk import OriginsDesk, RemoteDeadLetters
from jackpotd.cluster.unmapped import OnlyWorkersSources
from jackpotd.engine.catalog import CatalogOwner
from jackpotd.engine.owners import LocalOwners
from jackpotd.engine.router import Router
from jackpotd.engine.shard import Shard
from jackpotd.mesh import EDGE
from jackpotd.mesh.mesh import Mesh

ONLY_WORKER = 0


class SingleNode:
    """Answers the feed.

    Args:
        sockets: where the meshes listen.
        owner: from now on its changes are answered when the feed, if it is there, has them.
        shard: the only worker's.
        router: before the shard.
    """

    def __init__(self, sockets: Path, owner: CatalogOwner, shard: Shard, router: Router) -> None:
        self._edge = Mesh(EDGE, sockets, connects_to=())
        self._worker = Mesh(ONLY_WORKER, sockets, connects_to=())
        self._publisher = CatalogPublisher(self._edge, owner)
        self._origins = OriginsDesk(self._edge, owner)
        self.dead_letters = RemoteDeadLetters(self._edge)
        self._sources = OnlyWorkersSources(owner)
        router.binding = self._sources
        self._reading = Reading(self._worker, shard)
        self._answering = FeedAnswering(
            self._worker, owner.catalog, shard, router, LocalOwners(shard)
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs both meshes until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._edge.run, name="edge mesh")
            await nursery.start(self._worker.run, name="worker mesh")
            nursery.start_soon(self._sources.run, name="unmapped sources")
            task_status.started()
