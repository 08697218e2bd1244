"""The nodes of a server of several processes, put together: the edge, and a worker."""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import trio
from msgspec import Struct

from jackpotd.cluster.edge_node import EdgeNode
from jackpotd.cluster.moving import RemoteWorker, serve_moving
from jackpotd.cluster.worker_node import WorkerNode
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.giving import Giver
from jackpotd.engine.taking import Taker
from jackpotd.engine.transfers import Transfers
from jackpotd.journal.log import LmdbLog
from jackpotd.mesh import EDGE
from jackpotd.mesh.mesh import Mesh
from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.entropy import SystemEntropy
from jackpotd.service.leash import Begin
from jackpotd.service.private_directory import EVENTS_SOCKET
from jackpotd.service.settings import Settings
from jackpotd.service.storage import WorkerStorage, clock_ms
from jackpotd.service.telemetry import Telemetry
from jackpotd.service.trust import build_identity
from jackpotd.service.wiring import (
    System,
    WorkerPart,
    build_administration,
    build_catalog,
    build_worker,
)

Metrics = Callable[[], Awaitable[bytes]]


class Edge(Struct, frozen=True):
    """The node that owns the catalog, and its ways to the workers."""

    system: System
    node: EdgeNode
    workers: dict[int, RemoteWorker]


class Worker(Struct, frozen=True):
    """A node that owns instances."""

    system: System
    node: WorkerNode
    mesh: Mesh

    async def meet(self, peers: Iterable[int], wait_s: float) -> None:
        """Returns when all peers are connected, or the wait is over: who is down must not keep others waiting."""
        missing, all_there = set(peers) - set(self.mesh.up()), trio.Event()

        def up(node: int) -> None:
            missing.discard(node)
            if not missing:
                all_there.set()

        self.mesh.on_up(up)
        if missing:
            with trio.move_on_after(wait_s):
                await all_there.wait()


def build_edge(
    settings: Settings,
    data: DataDirectory,
    log: LmdbLog,
    sockets: Path,
    metrics: Metrics,
    telemetry: Telemetry,
    *,
    workers: int,
    retired: tuple[int, ...],
) -> Edge:
    """The edge, with the catalog as its log tells it."""
    part = build_catalog(settings, log)
    catalog = part.owner.catalog
    mesh = Mesh(EDGE, sockets, connects_to=())
    node = EdgeNode(mesh, part.owner, workers=workers)
    guard, sessions = build_identity(settings, data, catalog)
    entropy = SystemEntropy()
    system = System(
        settings=settings,
        catalog=catalog,
        guard=guard,
        sessions=sessions,
        telemetry=telemetry,
        entropy=entropy,
        metrics=metrics,
        owners=node.owners,
        catalog_part=part,
        worker_part=None,
        administration=build_administration(
            settings,
            data,
            part.owner,
            node.owners,
            guard,
            entropy,
            node.places.owner_of,
            node.dead_letters if settings.events.enabled else None,
        ),
    )
    remote = {index: RemoteWorker(mesh, index) for index in (*range(workers), *retired)}
    return Edge(system, node, remote)


def build_worker_node(
    begin: Begin,
    data: DataDirectory,
    storage: WorkerStorage,
    metrics: Metrics,
    telemetry: Telemetry,
) -> Worker:
    """A worker, recovered from its own disk; the catalog comes over the mesh."""
    settings, entropy, catalog = begin.settings, SystemEntropy(), Catalog()
    part = build_worker(
        settings,
        data,
        storage,
        catalog,
        telemetry,
        entropy,
        is_demo=begin.is_demo,
        index=begin.index,
    )
    guard, sessions = build_identity(settings, data, catalog)
    lower = [node for node in begin.nodes if node < begin.index]
    mesh = Mesh(begin.index, Path(begin.sockets), connects_to=(EDGE, *lower))
    node = WorkerNode(
        mesh,
        catalog,
        part.shard,
        part.router,
        workers=begin.workers,
        link_deadline_s=settings.service.link_deadline_s,
    )
    _join_moves(begin.index, part, mesh, node)
    system = System(
        settings=settings,
        catalog=catalog,
        guard=guard,
        sessions=sessions,
        telemetry=telemetry,
        entropy=entropy,
        metrics=metrics,
        owners=node.owners,
        catalog_part=None,
        worker_part=part,
        transfers=Transfers(part.shard, node.owners),
        events=Path(begin.sockets) / EVENTS_SOCKET if settings.events.enabled else None,
    )
    return Worker(system, node, mesh)


def _join_moves(index: int, part: WorkerPart, mesh: Mesh, node: WorkerNode) -> None:
    """Lets the edge move instances out of a worker, and into it."""
    fold, journal, checkpointer, dropper = (
        part.shard.fold,
        part.journal,
        part.checkpointer,
        part.dropper,
    )
    giver = Giver(
        index,
        fold,
        journal,
        part.disk,
        checkpointer,
        dropper,
        part.shard,
        node.redispatch,
        clock_ms,
    )
    taker = Taker(index, fold, journal, checkpointer, dropper, part.shard, part.views, clock_ms)
    serve_moving(mesh, giver, taker, fold)
