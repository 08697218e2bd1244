"""Group commit: what shares an append, who is called back when, and what a failure leaves behind.

The clock is real, because a thread writes; a gated log stands still where a test wants it, so
nothing sleeps and nothing depends on how fast a thread is.
"""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from jackpotd.journal.group_commit import GroupCommit, JournalFailed
from jackpotd.journal.log import LmdbLog, StorageError

from .gated_log import DiskFull, GatedLog

DEADLINE_S = 20


@pytest.fixture
async def log() -> AsyncIterator[GatedLog]:
    with GatedLog() as gated:
        yield gated


@asynccontextmanager
async def running(journal: GroupCommit, log: GatedLog) -> AsyncIterator[None]:
    """The journal's writer at work until the block is left."""
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.run)
            try:
                yield
            finally:
                log.open_for_good()
                nursery.cancel_scope.cancel()


def stage(journal: GroupCommit, *records: bytes) -> list[int]:
    return [journal.stage(record) for record in records]


# -- batches


async def test_stage_before_run_all_go_in_one_batch(log: GatedLog) -> None:
    """Numbers are given at once; what is waiting when the writer starts is one append."""
    journal = GroupCommit(log, batch_records_max=10)
    assert [1, 2, 3] == stage(journal, b"a", b"b", b"c")
    assert (3, 0) == (journal.staged_seq, journal.committed_seq)
    async with running(journal, log):
        assert (1, (b"a", b"b", b"c")) == await log.begun()
        assert journal.committed_seq == 0
        log.let_through()
        await journal.durable()
        assert journal.committed_seq == 3
    assert [b"genesis", b"a", b"b", b"c"] == log.records


async def test_stage_while_a_commit_runs_fills_the_next_batch(log: GatedLog) -> None:
    """Everything that comes during an append shares the next one, from whatever task it came."""
    journal = GroupCommit(log, batch_records_max=10)
    async with running(journal, log):
        stage(journal, b"a")
        assert (1, (b"a",)) == await log.begun()
        async with trio.open_nursery() as nursery:
            for record in (b"b", b"b", b"b"):
                nursery.start_soon(trio.to_thread.run_sync, bytes, record)
                stage(journal, record)
        assert log.unseen == 0
        log.let_through()
        assert (2, (b"b", b"b", b"b")) == await log.begun()


async def test_stage_by_tasks_that_can_run_joins_the_same_batch(log: GatedLog) -> None:
    """A burst of tasks is one append: the writer lets whoever is ready go first."""
    journal = GroupCommit(log, batch_records_max=100)
    async with running(journal, log):
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(trio.lowlevel.checkpoint)
                stage(journal, b"a")
        first, batch = await log.begun()
        assert (1, 20) == (first, len(batch))


@pytest.mark.parametrize(
    ("staged", "limit", "sizes"), [(7, 3, [3, 3, 1]), (6, 3, [3, 3]), (3, 1, [1, 1, 1])]
)
async def test_batch_records_max_splits_what_is_staged(
    log: GatedLog, staged: int, limit: int, sizes: list[int]
) -> None:
    """No append holds more than the limit, and the numbers go on across the pieces."""
    journal = GroupCommit(log, batch_records_max=limit)
    records = [b"%d" % number for number in range(1, staged + 1)]
    stage(journal, *records)
    batches = []
    async with running(journal, log):
        for _ in sizes:
            batches.append(await log.begun())
            log.let_through()
        await journal.durable()
    assert sizes == [len(batch) for _, batch in batches]
    assert [1 + sum(sizes[:at]) for at in range(len(sizes))] == [first for first, _ in batches]
    assert records == log.records[1:]


async def test_run_every_append_is_in_one_thread_of_its_own(log: GatedLog) -> None:
    """LMDB binds a transaction to its thread; the event loop's thread never waits for a disk."""
    journal = GroupCommit(log, batch_records_max=1)
    log.open_for_good()
    stage(journal, b"a", b"b", b"c")
    async with running(journal, log):
        await journal.durable()
    assert len(log.threads) == 1
    assert threading.get_ident() not in log.threads
    assert log.threads.isdisjoint({thread.ident for thread in threading.enumerate()})


# -- who is told, and when


async def test_when_durable_calls_back_in_order_after_the_commit_that_covers_it(
    log: GatedLog,
) -> None:
    """A callback waits for the commit with the last record that was staged before it was given."""
    journal, called = GroupCommit(log, batch_records_max=2), list[str]()
    for name in ("a", "b", "c", "d", "e"):
        journal.stage(name.encode())
        journal.when_durable(partial(called.append, f"first of {name}"))
        journal.when_durable(partial(called.append, f"second of {name}"))
    expected = [f"{which} of {name}" for name in "abcde" for which in ("first", "second")]
    async with running(journal, log):
        for covered in (0, 4, 8):
            await log.begun()
            assert expected[:covered] == called
            log.let_through()
        await journal.durable()
        assert expected == called


async def test_when_durable_with_nothing_staged_calls_back_at_once(log: GatedLog) -> None:
    """There is nothing to wait for before the first record, nor after the last commit."""
    journal, called = GroupCommit(log, batch_records_max=10), list[int]()
    journal.when_durable(lambda: called.append(journal.committed_seq))
    assert [0] == called
    log.open_for_good()
    async with running(journal, log):
        stage(journal, b"a")
        await journal.durable()
        journal.when_durable(lambda: called.append(journal.committed_seq))
        assert [0, 1] == called


async def test_when_durable_callback_stages_more_and_is_told_of_that_too(log: GatedLog) -> None:
    """Whoever is called back may stage what follows; it goes into a commit of its own."""
    journal, called = GroupCommit(log, batch_records_max=10), list[str]()

    def follow_up() -> None:
        called.append("cause")
        journal.stage(b"effect")
        journal.when_durable(lambda: called.append("effect"))

    journal.stage(b"cause")
    journal.when_durable(follow_up)
    log.open_for_good()
    async with running(journal, log):
        assert (1, (b"cause",)) == await log.begun()
        assert (2, (b"effect",)) == await log.begun()
        await journal.durable()
    assert ["cause", "effect"] == called


async def test_durable_covers_what_was_staged_when_it_was_asked(log: GatedLog) -> None:
    """Later records do not hold back who waits for earlier ones."""
    journal, passed = GroupCommit(log, batch_records_max=1), list[str]()

    async def wait(name: str) -> None:
        await journal.durable()
        passed.append(name)

    async with running(journal, log), trio.open_nursery() as nursery:
        for name in ("a", "b"):
            stage(journal, name.encode())
            nursery.start_soon(wait, name)
            await trio.testing.wait_all_tasks_blocked()
        assert [] == passed
        log.let_through()
        for _ in range(2):
            await log.begun()
        await trio.testing.wait_all_tasks_blocked()
        assert ["a"] == passed
        log.let_through()
    assert ["a", "b"] == passed


async def test_read_gives_committed_records_only(log: GatedLog) -> None:
    """A record that is staged, or in an append that has not ended, is not there to be read."""
    journal = GroupCommit(log, batch_records_max=1)
    stage(journal, b"a", b"b")
    async with running(journal, log):
        await log.begun()
        assert [None, None] == [journal.read(seq) for seq in (1, 2)]
        log.let_through()
        await log.begun()
        assert [b"a", None] == [journal.read(seq) for seq in (1, 2)]


async def test_statistics_count_commits_records_and_what_is_staged(log: GatedLog) -> None:
    """The totals and the metrics' callback tell of each append once it has ended."""
    told: list[int] = []
    journal = GroupCommit(
        log, batch_records_max=2, on_commit=lambda count, seconds: told.append(count)
    )
    stage(journal, b"a", b"b", b"c")
    assert (0, 0, 3) == figures(journal)
    async with running(journal, log):
        await log.begun()
        assert ((0, 0, 1), []) == (figures(journal), told)
        log.let_through()
        await log.begun()
        assert ((1, 2, 0), [2]) == (figures(journal), told)
        log.let_through()
        await journal.durable()
        assert ((2, 3, 0), [2, 1]) == (figures(journal), told)
    statistics = journal.statistics()
    assert (3, False) == (statistics.committed_seq, statistics.failed)
    assert statistics.commit_s > 0


def figures(journal: GroupCommit) -> tuple[int, int, int]:
    statistics = journal.statistics()
    return statistics.commits, statistics.records, statistics.staged


# -- failure


async def test_run_append_failed_answers_nobody_and_takes_no_more(log: GatedLog) -> None:
    """After a failed append `run` raises, no callback of it or behind it runs, and `stage` raises."""
    journal, called = GroupCommit(log, batch_records_max=1), list[str]()
    for name in ("a", "b", "c"):
        journal.stage(name.encode())
        journal.when_durable(partial(called.append, name))
    log.let_through()
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail_at_the_second, log)
            with pytest.raises(JournalFailed, match="append at 2 failed: no space left") as failure:
                await journal.run()
    assert isinstance(failure.value.__cause__, DiskFull)
    assert ["a"] == called
    assert [b"genesis", b"a"] == log.records
    with pytest.raises(JournalFailed, match="does not accept writes"):
        journal.stage(b"d")
    statistics = journal.statistics()
    assert (1, 1, True) == (statistics.committed_seq, statistics.commits, statistics.failed)


async def fail_at_the_second(log: GatedLog) -> None:
    for _ in range(2):
        await log.begun()
    log.fail()


async def test_durable_append_failed_raises_now_and_later(log: GatedLog) -> None:
    """Who waits for a record that will never be durable is told so, and so is who asks later."""
    journal, told = GroupCommit(log, batch_records_max=10), list[str]()

    async def wait() -> None:
        with pytest.raises(JournalFailed):
            await journal.durable()
        told.append("failed")

    stage(journal, b"a")
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            log.fail()
            with pytest.raises(JournalFailed):
                await journal.run()
        await wait()
    assert ["failed", "failed"] == told


# -- stopping


async def test_run_cancelled_waits_for_the_append_that_has_begun(log: GatedLog) -> None:
    """A commit under way comes to its end and is answered; what is staged behind it is not begun."""
    journal, called = GroupCommit(log, batch_records_max=1), list[str]()
    for name in ("a", "b"):
        journal.stage(name.encode())
        journal.when_durable(partial(called.append, name))
    ended = trio.Event()
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            scope = await nursery.start(run_in_a_scope, journal, ended)
            await log.begun()
            scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
            assert not ended.is_set()
            log.let_through()
    assert ended.is_set()
    assert (["a"], [b"genesis", b"a"]) == (called, log.records)
    assert (1, 2, 0) == (journal.committed_seq, journal.staged_seq, log.unseen)


async def run_in_a_scope(
    journal: GroupCommit,
    ended: trio.Event,
    task_status: trio.TaskStatus[trio.CancelScope] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.CancelScope() as scope:
        task_status.started(scope)
        await journal.run()
    ended.set()


async def test_run_cancelled_during_an_append_that_fails_still_raises(log: GatedLog) -> None:
    """A stop does not hide that the last append failed."""
    journal = GroupCommit(log, batch_records_max=10)
    stage(journal, b"a")
    with trio.fail_after(DEADLINE_S), trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_then_fail, log, scope)
            with pytest.raises(JournalFailed):
                await journal.run()
    assert journal.statistics().failed


async def cancel_then_fail(log: GatedLog, scope: trio.CancelScope) -> None:
    await log.begun()
    scope.cancel()
    log.fail()


async def test_run_again_after_a_stop_commits_what_was_left(log: GatedLog) -> None:
    """Records that were staged when the writer stopped are the first of the next one."""
    journal = GroupCommit(log, batch_records_max=1)
    stage(journal, b"a", b"b")
    async with running(journal, log):
        await log.begun()
    assert [b"genesis", b"a"] == log.records
    async with running(journal, log):
        await journal.durable()
    assert [b"genesis", b"a", b"b"] == log.records


# -- on the real log


@pytest.fixture
def disk_log(tmp_path: Path) -> Iterator[LmdbLog]:
    with closing(LmdbLog.open(tmp_path, name="w", map_bytes_max=256 << 10, now_ms=0)) as opened:
        yield opened


async def test_run_on_disk_many_tasks_share_commits_and_nothing_is_lost(disk_log: LmdbLog) -> None:
    """Tasks that wait for each of their records find all of them, in fewer commits than records."""
    journal = GroupCommit(disk_log, batch_records_max=64)

    async def contribute(task: int) -> None:
        for number in range(5):
            record = b"%d of %d" % (number, task)
            seq = journal.stage(record)
            await journal.durable()
            assert record == disk_log.read(seq)

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.run)
            async with trio.open_nursery() as tasks:
                for task in range(40):
                    tasks.start_soon(contribute, task)
            nursery.cancel_scope.cancel()
    expected = {b"%d of %d" % (number, task) for task in range(40) for number in range(5)}
    stored = [data for _, data in disk_log.scan_verified()][1:]
    assert (200, expected) == (len(stored), set(stored))
    assert journal.statistics().commits < 100


async def test_run_on_a_full_disk_fails_and_keeps_what_was_committed(disk_log: LmdbLog) -> None:
    """Where the map is full the journal fails; everything that it called durable is still there."""
    journal, durable = GroupCommit(disk_log, batch_records_max=8), list[int]()
    with trio.fail_after(DEADLINE_S):
        for _ in range(100):
            seq = journal.stage(bytes(10_000))
            journal.when_durable(partial(durable.append, seq))
        with pytest.raises(JournalFailed) as failure:
            await journal.run()
    assert isinstance(failure.value.__cause__, StorageError)
    assert 0 < len(durable) < 100
    assert list(range(1, disk_log.last_seq + 1)) == durable
    assert [bytes(10_000)] * len(durable) == [data for _, data in disk_log.scan_verified()][1:]
