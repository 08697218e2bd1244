"""What a worker knows of the instances of others: their rules, from the catalog, and their status, as announced.

Everything announces what it has when it connects, and each change of status from then on. A change by a person is
answered when every worker has heard of it; that an instance has ended is told to whoever tries it next.
"""

from collections.abc import Callable, Iterable

from jackpotd.core import evolve as transitions
from jackpotd.core.state import Instance, Status
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.places import Definitions
from jackpotd.engine.shard import Shard
from jackpotd.mesh import is_worker
from jackpotd.mesh.mesh import Asked, Mesh
from jackpotd.wire import mesh_messages as wire

INSTANCES_PER_MESSAGE_MAX = 1_000


class Sketches:
    """Announces the instances of this worker, and listens to the others."""

    def __init__(
        self, mesh: Mesh, catalog: Catalog, definitions: Definitions, shard: Shard
    ) -> None:
        self._mesh = mesh
        self._catalog = catalog
        self._definitions = definitions
        self._shard = shard
        self._statuses: dict[str, Status] = {}
        self._sketches: dict[str, Instance] = {}
        self._announced: list[Callable[[int, set[str]], None]] = []
        mesh.handle(wire.Announce, self._hear)
        mesh.on_up(self._greet)

    def on_announcement(self, callback: Callable[[int, set[str]], None]) -> None:
        """Told which worker has said that it has which instances."""
        self._announced.append(callback)

    def get(self, instance_id: str) -> Instance | None:
        """An instance of another worker; one whose status nobody has told is taken for Active, so that it is asked."""
        if instance_id not in self._catalog.instances:
            return None
        status = self._statuses.get(instance_id, Status.ACTIVE)
        found = self._sketches.get(instance_id)
        if found is None or found.status is not status:
            found = transitions.create(self._definitions.of(instance_id), status)
            self._sketches[instance_id] = found
        return found

    def note(self, instance_id: str, status: Status) -> None:
        """Another worker's instance has this status."""
        self._statuses[instance_id] = status

    def _hear(self, asked: Asked, message: wire.Announce) -> None:
        for instance_id, status in message.instances:
            self._statuses[instance_id] = Status(status)
        names = {instance_id for instance_id, _ in message.instances}
        for callback in self._announced:
            callback(asked.peer, names)
        asked.answer(wire.DONE)

    def _message(self, instance_ids: Iterable[str]) -> wire.Announce:
        states = self._shard.fold.cells
        return wire.Announce(tuple((name, states[name].state.status) for name in instance_ids))

    def _greet(self, node: int) -> None:
        if not is_worker(node):
            return
        names = list(self._shard.actors)
        for at in range(0, len(names), INSTANCES_PER_MESSAGE_MAX):
            self._mesh.post(node, self._message(names[at : at + INSTANCES_PER_MESSAGE_MAX]))

    def tell(self, node: int, instance_id: str) -> None:
        """Announces an instance to one worker."""
        self._mesh.post(node, self._message([instance_id]))

    def announce(self, instance_id: str) -> None:
        """Announces an instance to all workers."""
        for node in self._mesh.up():
            if is_worker(node):
                self.tell(node, instance_id)

    async def told(self, instance_ids: Iterable[str]) -> None:
        """Announces instances to all workers; returns when those that are there have heard."""
        nodes = [node for node in self._mesh.up() if is_worker(node)]
        await self._mesh.all_answered(nodes, self._message(instance_ids))
