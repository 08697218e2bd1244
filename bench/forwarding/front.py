"""A front without HTTP, and the edge beside it: gives the owner its instances, then forwards to it without a pause."""

import time
from collections.abc import Iterator
from pathlib import Path

import trio
from msgspec import Raw, Struct

from bench.forwarding.owner import MAP_BYTES_MAX, OWNER
from bench.generator.workload import OPERATOR, SLOTS
from bench.reporting.command import Options
from bench.servers.programs import Program, ProgramFailed
from jackpotd.cluster.answers import contribute
from jackpotd.cluster.edge_node import EdgeNode
from jackpotd.core.commands import Bet
from jackpotd.core.rejections import Rejection
from jackpotd.engine.catalog import Catalog, CatalogOwner
from jackpotd.engine.messages import ContributionRequest, Target
from jackpotd.journal.group_commit import GroupCommit
from jackpotd.journal.log import LmdbLog
from jackpotd.mesh import EDGE
from jackpotd.mesh.link import Unreached
from jackpotd.mesh.mesh import Mesh
from jackpotd.service import demo_data
from jackpotd.service.storage import clock_ms
from jackpotd.wire import mesh_messages as wire

FRAME = 64
FRAMES_UNDER_WAY = 4
FRONT = 1
CONNECT_TIMEOUT_S = 15.0


class Round(Struct, frozen=True):
    """What one round of forwarding took.

    Attributes:
        owner_us: processor time of the owner for each contribution, all of its threads and the kernel included.
        rate: contributions a second.
        refused: answers that were no contribution.
    """

    owner_us: float
    rate: float
    refused: int

    @property
    def busy(self) -> float:
        """The owner's share of its core, 0 to 1."""
        return self.owner_us * self.rate / 1e6


class Front:
    """Keeps a few frames under way and counts what is answered."""

    def __init__(self, mesh: Mesh, version: int) -> None:
        self._mesh = mesh
        self._version = version
        self._requests = requests(f"{time.time_ns()}")
        self._open = 0
        self.answered = 0
        self.refused = 0

    def send_frame(self) -> None:
        for _ in range(FRAME):
            message = contribute(next(self._requests), self._version, 0)
            self._mesh.ask(OWNER, message, self._told)
        self._open += FRAME

    def _told(self, answer: wire.Message | Unreached) -> None:
        if isinstance(answer, Unreached):  # the end
            return
        self.answered += 1
        self.refused += not isinstance(answer, wire.Served)
        self._open -= 1
        if self._open <= FRAME * (FRAMES_UNDER_WAY - 1):
            self.send_frame()


def requests(run: str) -> Iterator[ContributionRequest]:
    """Contributions of many players to the hottest jackpot of the demo, each with its own key."""
    number = 0
    while True:
        number += 1
        yield ContributionRequest(
            target=Target("source", SLOTS),
            operator=OPERATOR,
            bet=Bet(
                f"{OPERATOR}:brand{number % 2 + 1}",
                f"player-{number * 7919 % 10_000}",
                "MT",
                ("regular",),
                None,
                "EUR",
                100_000_000,
                SLOTS,
                "gameround",
                f"{run}-{number}",
            ),
            with_links=True,
            key=f"{run}-{number:012}",
            fingerprint=number.to_bytes(16, "big"),
            trace_id=f"trace-{number:026}",
            accepted_ms=clock_ms(),
            api_version=2,
            metadata=Raw(b'{"session": "a1b2c3"}'),
            event_metadata=Raw(b"null"),
        )


def demo_catalog() -> Catalog:
    """The demo's catalog, as its first change leaves it."""
    catalog = Catalog()
    entities = demo_data.fill(catalog, clock_ms())
    if isinstance(entities, Rejection):
        raise TypeError(entities.message)
    for entity in entities:
        catalog.apply(entity)
    catalog.version = 1
    return catalog


async def forward(directory: Path, owner: Program, options: Options) -> list[Round]:
    """Connects to the owner, gives it all instances, and forwards for some rounds.

    Raises:
        ProgramFailed: the owner cannot be reached, or answers nothing.
    """
    catalog = demo_catalog()
    log = LmdbLog.open(directory / "catalog", name="bench", map_bytes_max=MAP_BYTES_MAX, now_ms=0)
    edge_mesh, mesh = Mesh(EDGE, directory, ()), Mesh(FRONT, directory, (OWNER,))
    writer = CatalogOwner(catalog, GroupCommit(log, batch_records_max=1), clock_ms)
    edge = EdgeNode(edge_mesh, writer, workers=1)
    mesh.handle(wire.Announce, lambda asked, _: asked.answer(wire.DONE))
    mesh.handle(wire.LinksSettled, lambda _asked, _: None)
    found: list[Round] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(edge.run)
        await nursery.start(mesh.run)
        with trio.move_on_after(CONNECT_TIMEOUT_S) as connecting:
            for node in (edge_mesh, mesh):
                await _connected(node)
            await edge.give_birth(OWNER, tuple(catalog.instances))
        if not connecting.cancelled_caught:
            found = await _rounds(Front(mesh, catalog.version), owner, options)
        nursery.cancel_scope.cancel()
    log.close()
    if not found:
        raise ProgramFailed(f"the owner does not answer: {owner.log_tail()}")
    return found


async def _rounds(front: Front, owner: Program, options: Options) -> list[Round]:
    """All rounds; none where one has no answers."""
    front.send_frame()
    await trio.sleep(options.warm_up_s)
    found = []
    for _ in range(options.rounds):
        count, refused = front.answered, front.refused
        spent_s, began = owner.cpu_s(), time.perf_counter()
        await trio.sleep(options.seconds)
        took_s = time.perf_counter() - began
        spent_s = owner.cpu_s() - spent_s
        count = front.answered - count
        if not count:
            return []
        found.append(Round(spent_s / count * 1e6, count / took_s, front.refused - refused))
    return found


async def _connected(mesh: Mesh) -> None:
    up = trio.Event()
    mesh.on_up(lambda _: up.set())
    if not mesh.is_up(OWNER):
        await up.wait()
