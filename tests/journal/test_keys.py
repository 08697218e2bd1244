"""The key index against a dict, through any order of work, through time and beside other work.

Nothing sleeps and nothing waits. Crashes at every step and damage are in `test_keys_crash`.
"""

import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jackpotd.journal.key_directory import KeyIndexInUse
from jackpotd.journal.key_jobs import Absorption, Compaction, Flush
from jackpotd.journal.key_manifest import ManifestFile
from jackpotd.journal.key_merge import Pace

from .key_oracle import (
    BUCKET_MS,
    POOL,
    RETENTION_MS,
    Journal,
    digests,
    expire,
    flush,
    merge,
    open_index,
    run_files,
    two_flushed_buckets,
)


class KeyIndexMachine(RuleBasedStateMachine):
    """Any order of puts, jobs in all their stages, time and crashes gives what a dict gives."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="keys-"))
        self.journal = Journal()
        self.now_ms = 100 * BUCKET_MS
        self.index = open_index(self.directory)
        self.flush: Flush | None = None
        self.compaction: Compaction | None = None
        self.absorption: Absorption | None = None

    def teardown(self) -> None:
        self.index.close()
        shutil.rmtree(self.directory)

    @rule(chosen=st.lists(st.sampled_from(POOL), min_size=1, max_size=5), late=st.booleans())
    def put(self, chosen: list[bytes], late: bool) -> None:
        for digest in chosen:
            self.journal.put(self.index, digest, self.now_ms - (BUCKET_MS if late else 0))

    @rule(step_ms=st.sampled_from((1, BUCKET_MS // 2, BUCKET_MS, 3 * BUCKET_MS, RETENTION_MS)))
    def pass_time(self, step_ms: int) -> None:
        self.now_ms += step_ms

    @precondition(lambda self: self.flush is None)
    @rule(staged=st.integers(0, 3))
    def begin_flush(self, staged: int) -> None:
        seq = max(self.journal.seq - staged, self.index.covered_seq)
        self.flush = self.index.begin_flush(seq)

    @precondition(lambda self: self.flush is not None and not self.flush.written)
    @rule()
    def write_flush(self) -> None:
        assert self.flush is not None
        self.flush.write()

    @precondition(lambda self: self.flush is not None and self.flush.written)
    @rule()
    def end_flush(self) -> None:
        assert self.flush is not None
        self.index.end_flush(self.flush)
        self.flush.release()
        self.flush = None

    @rule(put_between=st.booleans())
    def flush_in_one_go(self, put_between: bool) -> None:
        if self.flush is None:
            self.begin_flush(staged=0)
        if self.flush is not None:
            if put_between:
                self.journal.put(self.index, POOL[0], self.now_ms)
            if not self.flush.written:
                self.flush.write()
            self.end_flush()

    @precondition(lambda self: self.compaction is None and self.absorption is None)
    @rule(is_new=st.booleans())
    def begin_absorb(self, is_new: bool) -> None:
        if is_new:  # as if it were full: all runs move to a new filter
            self.index._filter.keys = self.index._filter.size + 1
        self.absorption = self.index.begin_absorb()

    @precondition(lambda self: self.absorption is not None)
    @rule()
    def write_and_end_absorption(self) -> None:
        assert self.absorption is not None
        self.absorption.write()
        self.index.end_absorb(self.absorption)
        self.absorption = None

    @precondition(lambda self: self.compaction is None and self.absorption is None)
    @rule()
    def begin_merge(self) -> None:
        self.compaction = self.index.begin_merge(self.now_ms)

    @precondition(lambda self: self.compaction is None and self.absorption is None)
    @rule()
    def begin_expire(self) -> None:
        self.compaction = self.index.begin_expire(self.now_ms)

    @precondition(lambda self: self.compaction is not None and not self.compaction.written)
    @rule()
    def write_compaction(self) -> None:
        assert self.compaction is not None
        self.compaction.write()

    @precondition(lambda self: self.compaction is not None and self.compaction.written)
    @rule(released=st.booleans())
    def end_compaction(self, released: bool) -> None:
        assert self.compaction is not None
        self.index.end_merge(self.compaction)
        if released:
            self.compaction.release()
        self.compaction = None

    @rule()
    def crash(self) -> None:
        self.index.close()
        self.flush = self.compaction = self.absorption = None
        self.index = open_index(self.directory)
        self.journal.replay(self.index)

    @invariant()
    def answers_as_a_dict_does(self) -> None:
        expected = {digest: self.journal.expected(digest, self.now_ms) for digest in POOL}
        assert expected == {digest: self.index.get(digest, self.now_ms) for digest in POOL}


KeyIndexMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestKeyIndexMachine = KeyIndexMachine.TestCase


def test_index_many_keys_merged_twice_all_found_with_their_latest_put(tmp_path: Path) -> None:
    """Thousands of keys over many blocks, slices and parts are all found after two merges."""
    index, journal, now_ms = open_index(tmp_path), Journal(), 50 * BUCKET_MS
    keys = digests(12_000)
    for start in range(0, 12_000, 1_500):
        for digest in keys[start : start + 1_500] + keys[::40]:
            journal.put(index, digest, now_ms)
        flush(index, journal.seq)
        if start == 4_500:
            merge(index, now_ms)
    merge(index, now_ms + 2 * BUCKET_MS)
    assert index.statistics().runs == 1
    assert index.statistics().file_keys == 12_000
    assert [journal.latest[key][0] for key in keys] == [index.get(key, now_ms) for key in keys]
    assert all(index.get(key, now_ms) is None for key in digests(12_000, seed=2))
    index.close()


# -- retention


@pytest.mark.parametrize("in_files", [False, True])
def test_get_at_the_end_of_retention_answers_to_the_millisecond(
    tmp_path: Path, *, in_files: bool
) -> None:
    """A key lives for exactly the retention, wherever it is kept, deleted or not yet."""
    index = open_index(tmp_path)
    index.put(POOL[0], 1, 500)
    if in_files:
        flush(index, 1)
    assert index.get(POOL[0], 500 + RETENTION_MS) == 1
    assert index.get(POOL[0], 501 + RETENTION_MS) is None
    index.close()


def test_expire_deletes_whole_buckets_and_only_those(tmp_path: Path) -> None:
    """Expiry deletes the files of a bucket once its newest key is too old, not earlier."""
    index = open_index(tmp_path)
    for seq, at_ms in enumerate((100, 900, 1_100), 1):
        index.put(POOL[seq], seq, at_ms)
    flush(index, 3)
    assert index.begin_expire(900 + RETENTION_MS) is None
    expire(index, 901 + RETENTION_MS)
    assert (index.statistics().runs, len(run_files(tmp_path))) == (1, 1)
    assert index.get(POOL[3], 901 + RETENTION_MS) == 3
    index.close()


def test_put_again_after_expiry_hides_the_older_put(tmp_path: Path) -> None:
    """A key that is used again after its time answers with the later record, file or not."""
    index = open_index(tmp_path)
    later_ms = RETENTION_MS + 1
    index.put(POOL[0], 1, 0)
    flush(index, 1)
    assert index.get(POOL[0], later_ms) is None
    index.put(POOL[0], 2, later_ms)
    assert index.get(POOL[0], later_ms) == 2
    flush(index, 2)
    assert index.get(POOL[0], later_ms) == 2
    index.close()


# -- manners


def test_flush_in_a_thread_reads_and_puts_go_on(tmp_path: Path) -> None:
    """While a thread writes, frozen keys are found and new ones are taken."""
    index, keys = open_index(tmp_path), digests(5_000)
    for seq, digest in enumerate(keys[:4_000], 1):
        index.put(digest, seq, 0)
    job = index.begin_flush(4_000)
    assert job is not None
    assert index.begin_flush(4_000) is None
    thread = threading.Thread(target=job.write)
    thread.start()
    for seq, digest in enumerate(keys[4_000:], 4_001):
        index.put(digest, seq, 0)
        assert index.get(keys[seq - 4_001], 0) == seq - 4_000
    thread.join()
    index.end_flush(job)
    job.release()
    assert list(range(1, 5_001)) == [index.get(digest, 0) for digest in keys]
    assert index.statistics().memory_keys == 1_000
    index.close()


def test_flush_during_a_merge_both_are_published(tmp_path: Path) -> None:
    """A flush that is written while a merge is under way survives the merge's manifest."""
    index, journal = open_index(tmp_path), Journal()
    now_ms = two_flushed_buckets(index, journal)
    compaction = index.begin_merge(now_ms)
    assert compaction is not None
    assert index.begin_expire(now_ms + RETENTION_MS) is None
    journal.put(index, POOL[0], now_ms)
    flush(index, journal.seq)
    compaction.write()
    index.end_merge(compaction)
    index.close()
    index = open_index(tmp_path)
    assert index.covered_seq == journal.seq
    for digest in journal.latest:
        assert journal.expected(digest, now_ms) == index.get(digest, now_ms)
    index.close()


def test_begin_flush_without_keys_moves_the_covered_seq_only(tmp_path: Path) -> None:
    """Records without keys are covered too, by a manifest without a new run."""
    index = open_index(tmp_path)
    assert index.begin_flush(0) is None
    flush(index, 9)
    index.close()
    index = open_index(tmp_path)
    assert (index.covered_seq, index.statistics().runs) == (9, 0)
    with pytest.raises(ValueError, match="covered already"):
        index.begin_flush(8)
    index.close()


def test_open_for_reading_sees_what_is_published_and_changes_nothing(tmp_path: Path) -> None:
    """A reader beside the writer answers from the files and can start no job."""
    index = open_index(tmp_path)
    index.put(POOL[0], 1, 0)
    flush(index, 1)
    index.put(POOL[1], 2, 0)
    reader = open_index(tmp_path, writable=False)
    assert [reader.get(key, 0) for key in POOL[:2]] == [1, None]
    with pytest.raises(RuntimeError, match="reading only"):
        reader.begin_flush(2)
    with pytest.raises(RuntimeError, match="reading only"):
        reader.begin_merge(0)
    reader.close()
    index.close()
    assert open_index(tmp_path / "nothing", writable=False).covered_seq == 0
    assert not (tmp_path / "nothing").exists()


def test_open_for_reading_while_runs_are_replaced_tries_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A reader whose manifest was replaced before it opened the runs reads the new one."""
    index, journal = open_index(tmp_path), Journal()
    now_ms = two_flushed_buckets(index, journal)
    stale, read = [ManifestFile.read(tmp_path)], ManifestFile.read
    merge(index, now_ms)
    monkeypatch.setattr(
        ManifestFile, "read", staticmethod(lambda path: stale.pop() if stale else read(path))
    )
    reader = open_index(tmp_path, writable=False)
    assert reader.statistics().runs == index.statistics().runs == 3
    reader.close()
    index.close()


def test_open_second_writer_is_refused(tmp_path: Path) -> None:
    """Two writers would delete each other's files."""
    index = open_index(tmp_path)
    with pytest.raises(KeyIndexInUse):
        open_index(tmp_path)
    index.close()
    open_index(tmp_path).close()


@pytest.mark.parametrize(
    ("digest", "seq", "at_ms"),
    [(b"short", 1, 0), (bytes(16), -1, 0), (bytes(16), 1 << 63, 0), (bytes(16), 1, -1)],
)
def test_put_what_a_row_cannot_hold_is_refused(
    tmp_path: Path, digest: bytes, seq: int, at_ms: int
) -> None:
    """A value that a row cannot hold is refused at the door, not in the background."""
    index = open_index(tmp_path)
    with pytest.raises(ValueError, match="not a digest"):
        index.put(digest, seq, at_ms)
    assert index.statistics().memory_keys == 0
    index.close()


def test_pace_rests_in_proportion_to_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a quarter of a core, 2 ms of work are followed by 6 ms of rest."""
    clock = iter((0.0, 0.002, 0.002))
    slept: list[float] = []
    monkeypatch.setattr(time, "thread_time", lambda: next(clock))
    monkeypatch.setattr(time, "sleep", slept.append)
    Pace(0.25).rest()
    assert slept == [pytest.approx(0.006)]
    with pytest.raises(ValueError, match="share"):
        Pace(0)
