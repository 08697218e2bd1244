"""One process over one data directory: starts as a worker does, takes contributions for a while, and stops dead.

Prints a line when it is ready, and then one with what it measured. It ends without a last checkpoint, so that the next
start over the same directory has a tail to replay.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import click
import msgspec
import trio
from msgspec import Struct

from bench.generator.workload import OPERATOR
from bench.growing.datasets import (
    BRAND,
    CATALOG,
    MAP_BYTES_MAX,
    RETENTION_MS,
    WORKER,
    instance_id,
    player_id,
)
from jackpotd.core.commands import Bet
from jackpotd.core.rejections import Rejection
from jackpotd.engine.catalog import Catalog, replay
from jackpotd.engine.checkpoint import Checkpointer
from jackpotd.engine.fold import Fold
from jackpotd.engine.messages import Accepted, ContributionRequest, Target
from jackpotd.engine.recovery import recover
from jackpotd.engine.router import Router
from jackpotd.engine.shard import Shard
from jackpotd.journal.group_commit import GroupCommit
from jackpotd.journal.key_upkeep import KeyUpkeep
from jackpotd.journal.keys import KeyIndex
from jackpotd.journal.log import LmdbLog
from jackpotd.journal.row_store import LmdbRows
from jackpotd.service import interpreter
from jackpotd.service.entropy import SystemEntropy
from jackpotd.testing.vault import SeededVault
from jackpotd.wire.codec import NULL

IN_FLIGHT = 128
TICK_S = 0.002
CHECKPOINT_INTERVAL_S = 2.0
TIDY_INTERVAL_S = 10.0
TRANSACTION_ROWS_MAX = 2_000


class Outcome(Struct, frozen=True):
    """What one process measured; times in milliseconds, memory in bytes."""

    rate: float
    loop_us: float  # processor time of the event loop for each contribution
    background_us: float  # and of all other threads: the commit, the checkpoint, the keys
    refused: int
    memory: int
    replayed: int
    settled_s: float  # from ready until the tail was checkpointed and the filter knew all keys
    commit_ms: float
    records_per_commit: float
    late_p99: float
    late_p999: float
    late_max: float


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def memory_bytes() -> int:
    """Memory of this process alone, without pages of files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise OSError("the system does not tell a process's memory")


class House:
    """A worker's parts, put together as the service does."""

    def __init__(self, directory: Path) -> None:
        catalog_log = LmdbLog.open(
            directory / "catalog", name=CATALOG, map_bytes_max=MAP_BYTES_MAX, now_ms=0
        )
        log = LmdbLog.open(
            directory / "journal", name=WORKER, map_bytes_max=MAP_BYTES_MAX, now_ms=0
        )
        disk = LmdbRows.open(directory / "rows", map_bytes_max=MAP_BYTES_MAX)
        keys = KeyIndex.open(directory / "keys", retention_ms=RETENTION_MS)
        self.catalog = Catalog()
        replay(self.catalog, catalog_log.scan(0))
        fold = Fold(disk, keys)
        self.replayed = recover(fold, log)
        self.journal = GroupCommit(log, batch_records_max=4096)
        self.shard = Shard(
            fold,
            self.journal,
            now_ms,
            SystemEntropy(),
            vault=SeededVault(),
            mailbox_length_max=10_000,
            has_embedded_wallet=True,
        )
        self.router = Router(self.catalog, self.shard, requests_in_flight_max=10_000)
        self.upkeep = KeyUpkeep(keys, now_ms)
        self.checkpointer = Checkpointer(
            fold,
            self.journal,
            disk,
            self.upkeep,
            interval_s=CHECKPOINT_INTERVAL_S,
            transaction_rows_max=TRANSACTION_ROWS_MAX,
        )

    async def start(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(self.journal.run)
        await nursery.start(self.shard.run, self.catalog)

    async def settle(self, nursery: trio.Nursery) -> None:
        """What a start leaves to the background; then the background goes on at its intervals."""
        await self.checkpointer.checkpoint()
        await self.upkeep.absorb()
        nursery.start_soon(self.checkpointer.run)
        nursery.start_soon(self.upkeep.run, TIDY_INTERVAL_S)


def requests(instances: int, players: int) -> Iterator[ContributionRequest]:
    """Contributions with keys that nobody has used: all instances in turn, each with its part of the players.

    So there are as many pairs of an instance and a player as there are players, however many instances.
    """
    draw, run, each = Random(), f"{time.time_ns():x}", max(1, players // instances)
    number = 0
    while True:
        number += 1
        key = f"{run}-{number}"
        bet = Bet(
            brand=BRAND,
            player_id=player_id(draw.randrange(each)),
            country="MT",
            segments=None,
            vertical=None,
            currency="EUR",
            wager=100_000_000,
            source_id=None,
            reference_type="gameround",
            reference_id=key,
        )
        yield ContributionRequest(
            target=Target("instance", instance_id(number % instances)),
            operator=OPERATOR,
            bet=bet,
            with_links=True,
            key=key,
            fingerprint=key.encode(),
            trace_id=key,
            accepted_ms=now_ms(),
            api_version=2,
            metadata=NULL,
            event_metadata=NULL,
        )


class Load:
    """Keeps so many contributions in flight; the next one leaves when an answer is there."""

    def __init__(self, router: Router, source: Iterator[ContributionRequest]) -> None:
        self._submit, self._source = router.submit, source
        self._free = IN_FLIGHT
        self._freed = trio.Event()
        self.answered = self.refused = 0

    async def run(self) -> None:
        while True:
            while self._free:
                self._free -= 1
                self._submit(next(self._source), self._answer)
            self._freed = trio.Event()
            await self._freed.wait()

    def _answer(self, outcome: Accepted | Rejection) -> None:
        self.answered += 1
        self.refused += isinstance(outcome, Rejection)
        self._free += 1
        self._freed.set()


async def lateness(into: list[float]) -> None:
    """How long after its time a timer is served: what any request waits before it is even looked at."""
    due = trio.current_time()
    while True:
        due += TICK_S
        await trio.sleep_until(due)
        late = trio.current_time() - due
        into.append(late * 1e3)
        due += late


async def measure(directory: Path, size: tuple[int, int], times: tuple[float, float]) -> None:
    """Starts, says so, loads, says what it saw, and is gone.

    The interpreter is set as the service sets it; else this would measure the collector.
    """
    say: Callable[[str], None] = lambda line: print(line, flush=True)  # noqa: E731
    house = House(directory)
    async with trio.open_nursery() as nursery:
        await house.start(nursery)
        interpreter.settle()
        memory = memory_bytes()
        say("ready")
        settling = time.perf_counter()
        await house.settle(nursery)
        settled_s = time.perf_counter() - settling
        load, late = Load(house.router, requests(*size)), list[float]()
        nursery.start_soon(load.run)
        await trio.sleep(times[0])
        nursery.start_soon(lateness, late)
        answered, before, started = load.answered, house.journal.statistics(), time.perf_counter()
        loop_s, process_s = time.thread_time(), time.process_time()
        await trio.sleep(times[1])
        seconds, after = time.perf_counter() - started, house.journal.statistics()
        loop_s, process_s = time.thread_time() - loop_s, time.process_time() - process_s
        count = max(1, load.answered - answered)
        commits = max(1, after.commits - before.commits)
        late.sort()
        outcome = Outcome(
            rate=count / seconds,
            loop_us=loop_s / count * 1e6,
            background_us=(process_s - loop_s) / count * 1e6,
            refused=load.refused,
            memory=memory,
            replayed=house.replayed,
            settled_s=settled_s,
            commit_ms=(after.commit_s - before.commit_s) / commits * 1e3,
            records_per_commit=(after.records - before.records) / commits,
            late_p99=late[len(late) * 99 // 100],
            late_p999=late[len(late) * 999 // 1000],
            late_max=late[-1],
        )
        say(msgspec.json.encode(outcome).decode())
        os._exit(0)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--instances", default=1)
@click.option("--players", default=10_000)
@click.option("--warm-up-s", default=1.0)
@click.option("--seconds", default=3.0)
def main(directory: Path, instances: int, players: int, warm_up_s: float, seconds: float) -> None:
    interpreter.prepare()
    trio.run(measure, directory, (instances, players), (warm_up_s, seconds))


if __name__ == "__main__":
    main()
