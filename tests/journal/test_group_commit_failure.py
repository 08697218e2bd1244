"""Group commit when an append fails, when it is stopped, and on the log of the disk itself."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
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

    journal.stage(b"a")
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
    journal.stage(b"a")
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
    journal.stage(b"a")
    journal.stage(b"b")
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            scope = await nursery.start(run_in_a_scope, journal, trio.Event())
            await log.begun()
            scope.cancel()
            log.open_for_good()
        assert [b"genesis", b"a"] == log.records
        async with trio.open_nursery() as nursery:
            await nursery.start(run_in_a_scope, journal, trio.Event())
            await journal.durable()
            nursery.cancel_scope.cancel()
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
