"""A worker among others: its shard and its router, joined with those of its peers over the mesh.

It serves what it has as soon as it runs; what needs the catalog waits for the edge.
"""

from collections.abc import Callable

import trio

from jackpotd.cluster.answering import Answering
from jackpotd.cluster.answers import Outcomes
from jackpotd.cluster.catalog import CatalogCopy
from jackpotd.cluster.contributions import RemoteContributions, ask_opt_in
from jackpotd.cluster.feed_answering import FeedAnswering
from jackpotd.cluster.links import RemoteLinks
from jackpotd.cluster.owners import RemoteOwners
from jackpotd.cluster.sketches import Sketches
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.messages import (
    MOVED,
    ContributeMessage,
    LinkMessage,
    OperateMessage,
    OptInMessage,
)
from jackpotd.engine.owners import LocalOwners
from jackpotd.engine.places import Definitions, Places
from jackpotd.engine.router import Router
from jackpotd.engine.shard import Shard
from jackpotd.mesh.mesh import Mesh


class WorkerNode:
    """Joins a shard and its router to the mesh.

    Args:
        mesh: not yet running.
        catalog: empty; it becomes the edge's.
        shard: recovered, not yet running.
        router: before the shard.
        workers: how many workers share the instances.
        link_deadline_s: how long a request waits for links of other workers.
    """

    def __init__(
        self,
        mesh: Mesh,
        catalog: Catalog,
        shard: Shard,
        router: Router,
        *,
        workers: int,
        link_deadline_s: float,
    ) -> None:
        self._mesh = mesh
        self._catalog = catalog
        self._shard = shard
        self._places = Places(catalog, workers)
        self.copy = CatalogCopy(mesh, catalog)
        definitions = Definitions(catalog)
        self._sketches = Sketches(mesh, catalog, definitions, shard)
        self._contributions = RemoteContributions(
            mesh,
            self.copy,
            catalog,
            shard,
            router,
            self._sketches,
            Outcomes(definitions),
            self.where,
        )
        self._links = RemoteLinks(mesh, self.copy, shard, self.where, deadline_s=link_deadline_s)
        self._answering = Answering(mesh, self.copy, catalog, shard, self._sketches)
        self.owners = RemoteOwners(
            mesh,
            catalog,
            definitions,
            self.where,
            here=LocalOwners(shard),
            note=self._sketches.note,
        )
        self._feed = FeedAnswering(mesh, catalog, shard, router, self.owners)
        self._has_resumed = False
        self.copy.on_change(self._resume_links)
        self._sketches.on_announcement(self._links.announced)
        router.elsewhere = self._contributions
        shard.propagation.away = self._links
        shard.told_of_start = self._started
        shard.told_of_removal = self._removed
        shard.told_of_status = self._sketches.announce
        self.redispatch = Parked(mesh, self._links, self.where)

    def where(self, instance_id: str) -> int:
        """The worker that has an instance: this one if it lives here, else the one that the catalog says."""
        if instance_id in self._shard.actors:
            return self._mesh.node
        return self._places.owner_of(instance_id)

    def _started(self, instance_id: str) -> None:
        self._contributions.forget_routes()
        self._sketches.announce(instance_id)
        self._links.announced(self._mesh.node, {instance_id})

    def _removed(self, _instance_id: str) -> None:
        self._contributions.forget_routes()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs shard and mesh until cancelled; started when the catalog is there and links are resumed."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._shard.run, self._catalog, name="shard")
            await nursery.start(self._mesh.run, name="mesh")
            nursery.start_soon(self._shard.propagation.run, name="link deadlines")
            nursery.start_soon(self._links.forget, name="links to forget")
            nursery.start_soon(self._links.tell_settled, name="settled links")
            await self.copy.ready()
            task_status.started()

    def _resume_links(self) -> None:
        """As soon as the catalog is there, and before any contribution: links of this life are not sent again."""
        if not self._has_resumed:
            self._has_resumed = True
            wallet = self._shard.has_embedded_wallet
            self._shard.propagation.resume(self._catalog, can_debit=wallet)


class Parked:
    """Where messages go that waited for an instance while it moved away: to where it is now."""

    def __init__(self, mesh: Mesh, links: RemoteLinks, where: Callable[[str], int]) -> None:
        self._mesh = mesh
        self._links = links
        self._where = where

    def contribute(self, message: ContributeMessage) -> None:
        """The request is routed anew, from the claim of its key on."""
        message.answer(MOVED)

    def link(self, instance_id: str, message: LinkMessage) -> None:
        """Links of other workers are sent again by them, so that each has one way only."""
        self._links.redispatch(instance_id, message)

    def opt_in(self, instance_id: str, message: OptInMessage) -> None:
        node = self._where(instance_id)
        ask_opt_in(self._mesh, node, instance_id, message.command, message.answer)

    def operate(self, instance_id: str, message: OperateMessage) -> None:  # noqa: ARG002 - the port's shape
        """Nobody here has the new state; the person who asked may look, and ask again."""
        message.answer(MOVED)
