"""The catalog on several nodes: the edge publishes each change, and every worker keeps a copy (design decision 10).

A worker that connects gets the whole catalog first, in parts; from then on each change in its order. A change is
answered when every worker that is there has it. Whoever goes by a version that this node has not seen yet is kept
waiting until it has.
"""

from collections.abc import Callable
from itertools import islice

import trio

from jackpotd.engine.catalog import Catalog, CatalogOwner
from jackpotd.mesh import FEED
from jackpotd.mesh.link import Unreached
from jackpotd.mesh.mesh import Asked, Mesh
from jackpotd.wire import catalog_records as records
from jackpotd.wire import mesh_messages as wire

PART_ENTITIES_MAX = 256
FEED_WAIT_S = 0.5
"""So long a change waits for the feed, which has it in a few milliseconds unless it hangs."""


class CatalogPublisher:
    """The edge's side."""

    def __init__(self, mesh: Mesh, owner: CatalogOwner) -> None:
        self._mesh = mesh
        self._catalog = owner.catalog
        self._owed_by_feed = 0
        owner.publish = self._publish
        mesh.on_up(self._snapshot)

    async def _publish(self, version: int, change: bytes) -> None:
        """Returns when every worker that is connected has the change, or is gone; one that comes back gets it all.

        The feed is told, and waited for a little: only as long as it is not behind with its answers already, because
        nobody depends on it.
        """
        part = wire.CatalogPart(version, change)
        has_heard = self._tell_feed(part)
        await self._mesh.all_answered([node for node in self._mesh.up() if node != FEED], part)
        if has_heard is not None:
            with trio.move_on_after(FEED_WAIT_S):
                await has_heard.wait()

    def _tell_feed(self, part: wire.CatalogPart) -> trio.Event | None:
        """Sends a change to the feed, if it is there; the event of its answer, if that is worth waiting for."""
        if not self._mesh.is_up(FEED):
            return None
        has_heard, is_prompt = trio.Event(), not self._owed_by_feed
        self._owed_by_feed += 1

        def heard(answer: wire.Message | Unreached) -> None:
            self._owed_by_feed -= 1
            has_heard.set()
            if (
                answer is Unreached.CROWDED
            ):  # it was not asked: it gets the whole catalog when it is back
                self._mesh.cut(FEED)

        self._mesh.ask(FEED, part, heard)
        return has_heard if is_prompt else None

    def _snapshot(self, node: int) -> None:
        entities, is_first, is_last = self._catalog.entities(), True, False
        while not is_last:
            some = tuple(islice(entities, PART_ENTITIES_MAX))
            is_last = len(some) < PART_ENTITIES_MAX
            change = records.encode(records.Change(at_ms=0, by="", entities=some))
            self._mesh.post(
                node, wire.CatalogPart(self._catalog.version, change, is_first, is_last)
            )
            is_first = False


class CatalogCopy:
    """A worker's side."""

    def __init__(self, mesh: Mesh, catalog: Catalog) -> None:
        self._catalog = catalog
        self._arriving = Catalog()
        self._is_whole = False
        self._ready = trio.Event()
        self._later: list[tuple[int, Callable[[], None]]] = []
        self._changed: list[Callable[[], None]] = []
        mesh.handle(wire.CatalogPart, self._part)

    @property
    def version(self) -> int:
        """The last change that has taken effect here."""
        return self._catalog.version

    async def ready(self) -> None:
        """Returns when the whole catalog is there."""
        await self._ready.wait()

    async def seen(self, version: int) -> None:
        """Returns once this node has seen a version."""
        event = trio.Event()
        self.when_seen(version, event.set)
        await event.wait()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Told after each change that it has taken effect."""
        self._changed.append(callback)

    def when_seen(self, version: int, callback: Callable[[], None]) -> None:
        """Calls back once this node has seen a version; at once if it has."""
        if version <= self._catalog.version:
            callback()
        else:
            self._later.append((version, callback))

    def _part(self, asked: Asked, part: wire.CatalogPart) -> None:
        if part.is_first:
            self._arriving, self._is_whole = Catalog(), False
        target = self._catalog if self._is_whole else self._arriving
        for entity in records.decode(part.change).entities:
            target.apply(entity)
        if part.is_last:
            target.version = part.version
            if not self._is_whole:
                self._catalog.take_over(target)
                self._is_whole = True
                self._ready.set()
            self._tell()
        asked.answer(wire.DONE)

    def _tell(self) -> None:
        for changed in self._changed:
            changed()
        seen = self._catalog.version
        due = [callback for version, callback in self._later if version <= seen]
        self._later = [(version, callback) for version, callback in self._later if version > seen]
        for callback in due:
            callback()
