"""Group commit: what shares an append, who is called back when, and what a failure leaves behind.

The clock is real, because a thread writes; a gated log stands still where a test wants it, so
nothing sleeps and nothing depends on how fast a thread is.
"""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing

from jackpotd.journal.group_commit import GroupCommit

from .gated_log import GatedLog

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


async def contribute(journal: GroupCommit, record: bytes) -> None:
    journal.stage(record)


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
        stage(journal, b"b")
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(contribute, journal, b"b")
        assert log.unseen == 0
        log.let_through()
        assert (2, (b"b", b"b", b"b")) == await log.begun()


async def test_stage_by_tasks_that_can_run_joins_the_same_batch(log: GatedLog) -> None:
    """A burst of tasks is one append: the writer lets whoever is ready go first."""
    journal = GroupCommit(log, batch_records_max=100)
    async with running(journal, log):
        await trio.testing.wait_all_tasks_blocked()
        stage(journal, b"a")
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(contribute, journal, b"a")
        assert (1, (b"a",) * 21) == await log.begun()


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
    assert "journal" not in {thread.name for thread in threading.enumerate()}


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

    def tell(count: int, seconds: float) -> None:
        assert seconds > 0
        told.append(count)

    journal = GroupCommit(log, batch_records_max=2, on_commit=tell)
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
