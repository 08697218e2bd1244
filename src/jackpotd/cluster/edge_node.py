"""The edge among its workers: it owns the catalog and has no instances; what it wants to know of them it asks."""

import trio

from jackpotd.cluster.answers import refusal_of
from jackpotd.cluster.catalog import CatalogPublisher
from jackpotd.cluster.feed_desk import OriginsDesk, RemoteDeadLetters
from jackpotd.cluster.owners import RemoteOwners
from jackpotd.cluster.unmapped import UnmappedDesk
from jackpotd.core.rejections import Rejection
from jackpotd.engine.catalog import CatalogOwner
from jackpotd.engine.places import Definitions, Places
from jackpotd.mesh.mesh import Mesh
from jackpotd.wire import mesh_messages as wire


class EdgeNode:
    """Joins the catalog's owner to the mesh.

    Args:
        mesh: not yet running.
        owner: from now on its changes are answered when every worker that is there has them.
        workers: how many workers share the instances.
    """

    def __init__(self, mesh: Mesh, owner: CatalogOwner, *, workers: int) -> None:
        self._mesh = mesh
        self._catalog = owner.catalog
        self.places = Places(owner.catalog, workers)
        self._publisher = CatalogPublisher(mesh, owner)
        self._origins = OriginsDesk(mesh, owner)
        self._unmapped = UnmappedDesk(mesh, owner)
        self.dead_letters = RemoteDeadLetters(mesh)
        self.owners = RemoteOwners(
            mesh,
            owner.catalog,
            Definitions(owner.catalog),
            self.places.owner_of,
            here=None,
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs the mesh until cancelled."""
        await self._mesh.run(task_status=task_status)

    async def give_birth(self, worker: int, instance_ids: tuple[str, ...]) -> Rejection | None:
        """Instances of the catalog that no worker has; returns when their births are durable and announced."""
        message = wire.GiveBirth(self._catalog.version, instance_ids)
        answer = await self._mesh.question(worker, message)
        return None if isinstance(answer, wire.Instances) else refusal_of(answer)
