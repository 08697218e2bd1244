"""Tails that are cut at any step and begin again: every event and every result once, under the same id."""

import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from jackpotd.feed import tail
from jackpotd.feed.event_ids import EventIds
from jackpotd.journal.feed_store import FeedStore
from jackpotd.journal.log import LmdbLog
from jackpotd.wire.catalog_records import CatalogEntity

from .ground import (
    EPOCH,
    TEST_TIMEOUT_S,
    Following,
    assert_told,
    delivered,
    journal_on_disk,
    logged,
    open_store,
    oracle_of,
)
from .play import house_on, play, seeded_catalog

ROOT = Path(__file__).parents[2]
OPERATIONS = ("follow", "awaiting", "commit")
SEED = 9


class CutError(Exception):
    """The process is gone."""


class Fuse:
    """Cuts a store at its n-th operation, before it is done or right after."""

    def __init__(self, number: int, *, is_after: bool) -> None:
        self.left = number
        self.is_after = is_after
        self.operations = 0

    def guard(self, store: FeedStore) -> None:
        """Whatever is asked of the store goes through here."""
        for name in OPERATIONS:
            setattr(store, name, self._guarded(getattr(store, name)))

    def _guarded(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any) -> Any:
            self.operations += 1
            self.left -= 1
            if self.left == 0 and not self.is_after:
                raise CutError
            found = operation(*arguments)
            if self.left <= 0:  # nothing is told by a process that is gone
                raise CutError
            return found

        return guarded


async def played(directory: Path, seed: int) -> tuple[list[CatalogEntity], LmdbLog]:
    """A journal with some of everything."""
    entities, rng = seeded_catalog(seed), random.Random(seed)
    log = journal_on_disk(directory, 0)
    house = house_on(log, entities, rng, seed)
    async with house.running():
        await play(house, rng, 8)
    return entities, log


async def life(
    log: LmdbLog, entities: Sequence[CatalogEntity], directory: Path, fuse: Fuse
) -> bool:
    """One life of the feed; whether it came to the end of the journal."""
    with open_store(directory) as store:
        following, is_over = Following({0: log}, entities, store), True
        fuse.guard(store)
        try:
            await following.caught_up()
        except* CutError:
            is_over = False
        return is_over


@contextmanager
def begun_anew(directory: Path) -> Iterator[Path]:
    """A directory with no store in it."""
    for name in ("data.mdb", "lock.mdb"):
        (directory / "feed" / name).unlink(missing_ok=True)
    yield directory


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "LOOK_RECORDS_MAX", 3)


@pytest.mark.usefixtures("small_steps")
async def test_a_tail_is_cut_at_each_operation_of_its_store(tmp_path: Path) -> None:
    """Before it and after it; the next life makes of it what an uncut one does, to the id of each result."""
    with trio.fail_after(3 * TEST_TIMEOUT_S):
        entities, log = await played(tmp_path, SEED)
        expected = oracle_of(entities, {0: log}).expected(0)
        whole = Fuse(1_000_000, is_after=False)
        assert await life(log, entities, tmp_path, whole)
        with open_store(tmp_path) as store:
            assert_told(store, [expected])
            results = delivered(store)
        for number in range(1, whole.operations + 1):
            for is_after in (False, True):
                with begun_anew(tmp_path):
                    fuse = Fuse(number, is_after=is_after)
                    assert not await life(log, entities, tmp_path, fuse)
                    assert await life(log, entities, tmp_path, Fuse(1_000_000, is_after=False))
                    with open_store(tmp_path) as store:
                        assert_told(store, [expected])
                        assert delivered(store) == results
        log.close()
    assert whole.operations > 15


@pytest.mark.usefixtures("small_steps")
async def test_a_tail_that_is_cut_again_and_again_gets_there(tmp_path: Path) -> None:
    """Lives of one, two, three operations: each goes on where the last one stood, and ids stay as they were."""
    rng, ids = random.Random(4), EventIds(EPOCH)
    told: dict[int, tuple[str, Any]] = {}
    with trio.fail_after(2 * TEST_TIMEOUT_S):
        entities, log = await played(tmp_path, SEED + 1)
        lives, is_over = 0, False
        while not is_over:
            lives += 1
            fuse = Fuse(rng.randint(3, 8), is_after=rng.random() < 0.5)
            is_over = await life(log, entities, tmp_path, fuse)
            with open_store(tmp_path) as store:
                assert store.epoch == EPOCH
                for position, event in enumerate(logged(store), 1):
                    assert told.setdefault(position, (ids.of(position), event)) == (
                        EventIds(store.epoch).of(position),
                        event,
                    )
        with open_store(tmp_path) as store:
            assert len(told) == store.last_position
            assert_told(store, [oracle_of(entities, {0: log}).expected(0)])
        log.close()
    assert lives > 5


async def killed_after(
    directory: Path,
    seed: int,
    lines: int,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """A process that follows the journals; it is killed after so many commits, or when this is cancelled."""
    command = [sys.executable, "-m", "tests.feed.tail_process", str(directory), str(seed)]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    try:
        seen = b""
        while seen.count(b"\n") <= lines:
            if seen:
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
            received = await process.stdout.receive_some()
            assert received, "the process has ended by itself"
            seen += received
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            await process.stdout.aclose()


async def test_a_tail_whose_process_is_killed_gets_there(tmp_path: Path) -> None:
    """SIGKILL at random moments, beside a worker that goes on writing; in the end the worker is gone."""
    rng = random.Random(SEED)
    with trio.fail_after(3 * TEST_TIMEOUT_S):
        entities, log = await played(tmp_path, SEED)
        for number in range(1, 6):
            house = house_on(log, entities, rng, SEED + number)
            house.clock.now_ms += number * 10**9
            async with house.running(), trio.open_nursery() as nursery:
                lines = rng.randint(1, 8)
                await nursery.start(killed_after, tmp_path, SEED, lines)
                await play(house, rng, 2, 1_000 * number)
                nursery.cancel_scope.cancel()
            with open_store(tmp_path) as store:
                assert 0 <= store.positions()[0] <= log.last_seq
        with open_store(tmp_path) as store:
            assert 0 < store.last_position
            await Following({0: log}, entities, store).caught_up()
            assert_told(store, [oracle_of(entities, {0: log}).expected(0)])
        log.close()
