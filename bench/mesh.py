"""What does a contribution cost its owner when other workers forward it, in frames of 64?

Two processes over a Unix socket: the owner, pinned to one core, with real shard, router and journal in a temporary
directory; and a front beside it that sends frames of 64 contributions of the demo's hottest jackpot, each with a key of
its own, a few frames at a time, so that the owner is always busy. Counted is the owner's processor time, its writer
thread included: decoding, the key, the decision, the journal, the answer.

One machine, shared and noisy: read the best of several rounds.

    python -m bench mesh --rounds 5
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import trio
from msgspec import Raw

from jackpotd.cluster.answers import contribute
from jackpotd.cluster.edge_node import EdgeNode
from jackpotd.cluster.worker_node import WorkerNode
from jackpotd.core.commands import Bet
from jackpotd.core.rejections import Rejection
from jackpotd.engine.catalog import Catalog, CatalogOwner
from jackpotd.engine.fold import Fold
from jackpotd.engine.messages import ContributionRequest, Target
from jackpotd.engine.router import Router
from jackpotd.engine.shard import Shard
from jackpotd.journal.group_commit import GroupCommit
from jackpotd.journal.keys import KeyIndex
from jackpotd.journal.log import LmdbLog
from jackpotd.journal.row_store import LmdbRows
from jackpotd.mesh import EDGE
from jackpotd.mesh.link import Unreached
from jackpotd.mesh.mesh import Mesh
from jackpotd.service import demo_data
from jackpotd.service.entropy import SystemEntropy
from jackpotd.service.interpreter import prepare
from jackpotd.service.storage import clock_ms
from jackpotd.wire import mesh_messages as wire

GOAL_US = 35.0
FRAME = 64
FRAMES_UNDER_WAY = 4
MAP_BYTES = 8 << 30
SOURCE = "casino-slots"
OWNER, FRONT = 0, 1


async def own(directory: Path) -> None:
    """The owner's process."""
    prepare()
    log = LmdbLog.open(directory / "journal", name="bench", map_bytes_max=MAP_BYTES, now_ms=0)
    rows = LmdbRows.open(directory / "rows", map_bytes_max=MAP_BYTES)
    keys = KeyIndex.open(directory / "keys", retention_ms=86_400_000)
    journal = GroupCommit(log, batch_records_max=1024)
    catalog = Catalog()
    shard = Shard(
        Fold(rows, keys),
        journal,
        clock_ms,
        SystemEntropy(),
        mailbox_length_max=10_000,
        has_embedded_wallet=True,
        index=OWNER,
    )
    router = Router(catalog, shard, requests_in_flight_max=10_000)
    mesh = Mesh(OWNER, directory, connects_to=(EDGE,))
    node = WorkerNode(mesh, catalog, shard, router, workers=1, link_deadline_s=2.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        await nursery.start(node.run)


@contextmanager
def owner_process(directory: Path, core: int) -> Iterator[int]:
    """Runs the owner on one core; yields its process id."""
    with Popen([sys.executable, __file__, "--own", os.fspath(directory)]) as process:
        os.sched_setaffinity(process.pid, {core})
        try:
            yield process.pid
        finally:
            process.kill()


def requests(run: str) -> Iterator[ContributionRequest]:
    """Contributions of many players, each with its own key."""
    number = 0
    while True:
        number += 1
        yield ContributionRequest(
            target=Target("source", SOURCE),
            operator="thrilltech",
            bet=Bet(
                f"thrilltech:brand{number % 2 + 1}",
                f"player-{number * 7919 % 10_000}",
                "MT",
                ("regular",),
                None,
                "EUR",
                100_000_000,
                SOURCE,
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


class Front:
    """Keeps a few frames under way and counts what is answered."""

    def __init__(self, mesh: Mesh, version: int) -> None:
        self._mesh = mesh
        self._version = version
        self._requests = requests(f"{time.time_ns()}")
        self._open = 0
        self.answered = 0
        self.failed = 0

    def send_frame(self) -> None:
        for _ in range(FRAME):
            message = contribute(next(self._requests), self._version, 0)
            self._mesh.ask(OWNER, message, self._told)
        self._open += FRAME

    def _told(self, answer: wire.Message | Unreached) -> None:
        if isinstance(answer, Unreached):  # the end
            return
        self.answered += 1
        self.failed += not isinstance(answer, wire.Served)
        self._open -= 1
        if self._open <= FRAME * (FRAMES_UNDER_WAY - 1):
            self.send_frame()


def processor_s(pid: int) -> float:
    """Seconds that a process has spent on processors so far, all threads."""
    fields = Path(f"/proc/{pid}/schedstat").read_text().split()
    threads = Path(f"/proc/{pid}/task").iterdir()
    spent = sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)
    return max(spent, int(fields[0])) / 1e9


async def _connected(mesh: Mesh) -> None:
    up = trio.Event()
    mesh.on_up(lambda _: up.set())
    if not mesh.is_up(OWNER):
        await up.wait()


async def measure(
    directory: Path, pid: int, rounds: int, round_s: float
) -> list[tuple[float, float]]:
    """Microseconds of the owner for each contribution, and contributions a second, for each round."""
    catalog = Catalog()
    entities = demo_data.fill(catalog, clock_ms())
    if isinstance(entities, Rejection):
        raise TypeError(entities.message)
    for entity in entities:
        catalog.apply(entity)
    catalog.version = 1
    log = LmdbLog.open(directory / "catalog", name="bench", map_bytes_max=MAP_BYTES, now_ms=0)
    edge_mesh, mesh = Mesh(EDGE, directory, ()), Mesh(FRONT, directory, (OWNER,))
    edge = EdgeNode(
        edge_mesh, CatalogOwner(catalog, GroupCommit(log, batch_records_max=1), clock_ms), workers=1
    )
    mesh.handle(wire.Announce, lambda asked, _: asked.answer(wire.DONE))
    mesh.handle(wire.LinksSettled, lambda _asked, _: None)
    found = []
    async with trio.open_nursery() as nursery:
        await nursery.start(edge.run)
        await nursery.start(mesh.run)
        for node in (edge_mesh, mesh):
            await _connected(node)
        await edge.give_birth(OWNER, tuple(catalog.instances))
        front = Front(mesh, catalog.version)
        front.send_frame()
        await trio.sleep(round_s)
        for _ in range(rounds):
            count, spent, began = front.answered, processor_s(pid), time.perf_counter()
            await trio.sleep(round_s)
            count = front.answered - count
            spent = processor_s(pid) - spent
            found.append((spent / count * 1e6, count / (time.perf_counter() - began)))
        if front.failed:
            raise RuntimeError(f"{front.failed} contributions were refused")
        nursery.cancel_scope.cancel()
    return found


@click.command(help=__doc__)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 100))
@click.option("--round-s", default=3.0, show_default=True, type=click.FloatRange(0.1, 60))
@click.option("--core", default=1, show_default=True, help="The owner's core.")
@click.option("--own", hidden=True, type=click.Path(path_type=Path))
def main(rounds: int, round_s: float, core: int, own: Path | None) -> None:
    if own is not None:
        trio.run(run_owner, own)
        return
    with TemporaryDirectory(prefix="mesh") as made, owner_process(Path(made), core) as pid:
        found = trio.run(measure, Path(made), pid, rounds, round_s)
    for microseconds, rate in found:
        print(
            f"{microseconds:6.1f} us of the owner for each contribution, {rate:8.0f} contributions/s"
        )
    best = min(microseconds for microseconds, _ in found)
    print(f"best {best:.1f} us, goal {GOAL_US:.0f} us: {'met' if best <= GOAL_US else 'not met'}")


run_owner = own

if __name__ == "__main__":
    main()
