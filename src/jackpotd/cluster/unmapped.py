"""Keys of requests whose source gave them no jackpot: where they are kept, and how all workers know.

A request that names a webhook uses its key also where it was refused. Where no jackpot says which worker is its home,
the oldest instance does: it is the same for every node, and wherever it moves, its keys are found; before there is any
instance it is the first worker. Before the first such key of a source is bound, the catalog takes the source up among
those that were used before they had a jackpot: so whoever is the source's home once it has one asks there, too. A
server of one process does the same, because it may have more of them after its next start.
"""

from collections.abc import Callable, Iterable

import trio

from jackpotd.cluster.answers import refusal_of
from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.catalog import (
    EVERY_SOURCE,
    UNMAPPED_OF_BRAND_MAX,
    Catalog,
    CatalogOwner,
)
from jackpotd.engine.messages import ContributionRequest
from jackpotd.mesh import EDGE
from jackpotd.mesh.link import Unreached
from jackpotd.mesh.mesh import Mesh
from jackpotd.wire import mesh_messages as wire
from jackpotd.wire.catalog_records import CatalogEntity, Unmapped

WAITING_MAX = 1_000
NO_EDGE = Rejection(Code.OVERLOADED, "the catalog is not there")
CROWDED = Rejection(Code.OVERLOADED, "too many requests wait for the catalog")

At = tuple[str, str]
"""A brand's path and the id of a source."""
Told = Callable[[Rejection | None], None]
"""Told once it is done, or why it cannot be."""


class UnmappedSources:
    """A worker's side: asks that sources are taken up, many at once while an answer is awaited."""

    def __init__(self, mesh: Mesh, catalog: Catalog) -> None:
        self._mesh = mesh
        self._catalog = catalog
        self._waiting: list[tuple[At, Told]] = []
        self._under_way: list[tuple[At, Told]] = []
        self._is_asking = False

    def take_up(self, at: At, told: Told) -> None:
        """Calls back once every worker that is there knows the source as one of these."""
        if self._catalog.was_unmapped(*at):
            told(None)
        elif len(self._waiting) >= WAITING_MAX:
            told(CROWDED)
        else:
            self._waiting.append((at, told))
            self._ask()

    def _ask(self) -> None:
        while self._waiting and not self._is_asking:
            self._is_asking = True
            self._under_way, self._waiting = self._waiting, []
            sources = tuple(dict.fromkeys(at for at, _ in self._under_way))
            self._mesh.ask(EDGE, wire.TakeUpSources(sources), self._answered)

    def _answered(self, answer: wire.Message | Unreached) -> None:
        due, self._under_way = self._under_way, []
        hindrance = None
        if isinstance(answer, Unreached):
            hindrance = NO_EDGE
        elif not isinstance(answer, wire.Done):
            hindrance = refusal_of(answer)
        for _, told in due:
            told(hindrance)
        self._is_asking = False
        self._ask()


class OnlyWorkersSources:
    """The same in a server of one process, which owns the catalog itself."""

    def __init__(self, owner: CatalogOwner) -> None:
        self._owner = owner
        self._waiting: list[tuple[At, Told]] = []
        self._has_work = trio.Event()

    def bind(self, request: ContributionRequest, told: Told) -> None:
        """Calls back when the key of a request that was refused may be bound; or with why it may not."""
        catalog, at = self._owner.catalog, (request.bet.brand, request.target.id)
        if (
            request.key is None
            or request.target.kind == "instance"
            or catalog.was_unmapped(*at)
            or any(catalog.ever_mapped(*at))
        ):
            told(None)
        elif len(self._waiting) >= WAITING_MAX:
            told(CROWDED)
        else:
            self._waiting.append((at, told))
            self._has_work.set()

    async def run(self) -> None:
        """Takes sources up until cancelled, as many at once as wait."""
        while True:
            await self._has_work.wait()
            self._has_work = trio.Event()
            due, self._waiting = self._waiting, []
            await take_up(self._owner, "server", [at for at, _ in due])
            for _, told in due:
                told(None)


class UnmappedDesk:
    """The edge's side."""

    def __init__(self, mesh: Mesh, owner: CatalogOwner) -> None:
        self._owner = owner
        mesh.handle_slowly(wire.TakeUpSources, self._take_up)

    async def _take_up(self, peer: int, message: wire.TakeUpSources) -> wire.Message:
        await take_up(self._owner, f"worker {peer}", message.sources)
        return wire.DONE


async def take_up(owner: CatalogOwner, by: str, sources: Iterable[At]) -> None:
    """Has the catalog know these sources; returns when every node that is there does."""

    def decide(known: Catalog) -> list[CatalogEntity] | Rejection:
        new: dict[str, set[str]] = {}
        for brand, source_id in sources:
            if not known.was_unmapped(brand, source_id):
                new.setdefault(brand, set()).add(source_id)
        for brand, ids in new.items():
            if len(known.unmapped.get(brand, ())) + len(ids) > UNMAPPED_OF_BRAND_MAX:
                new[brand] = {EVERY_SOURCE}
        return [Unmapped(brand=brand, source_id=each) for brand, ids in new.items() for each in ids]

    await owner.change(by, decide)
