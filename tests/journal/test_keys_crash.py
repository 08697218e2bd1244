"""The key index through crashes at every step, and with damaged files."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import pytest

from jackpotd.journal import key_runs
from jackpotd.journal.key_merge import JobStopped
from jackpotd.journal.key_runs import KeyIndexDamaged
from jackpotd.journal.keys import KeyIndex

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
from .power_cut import LOSSES, Disk, PowerCut


@pytest.fixture(autouse=True)
def disk_that_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Syncs return at once: what they keep is for `Disk` to say, and a hundred crashes take a while."""
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, os.fstat)


def crash_at_each_step(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    job: Callable[[KeyIndex, Journal], None],
    *,
    loss: str,
) -> Iterator[tuple[Path, Journal]]:
    """One directory for each point at which the machine may stop during a job, just after it did.

    The last one is of a job that came to its end.
    """
    for cut in range(200):
        directory, journal = tmp_path / str(cut), Journal()
        index = open_index(directory)
        two_flushed_buckets(index, journal)
        with monkeypatch.context() as patch:
            disk = Disk(patch, directory, cut)
            try:
                job(index, journal)
                finished = True
            except PowerCut:
                finished = False
        index.close()
        disk.lose(loss)
        yield directory, journal
        if finished:
            return
    pytest.fail("the job has more steps than the test allows for")


def check_after_crash(directory: Path, journal: Journal, now_ms: int) -> int:
    """Open, compare before and after the journal's tail, and give back what the files cover."""
    index = open_index(directory)
    for digest, seq in journal.covered(index).items():
        if journal.latest[digest][0] == seq:
            assert journal.expected(digest, now_ms) == index.get(digest, now_ms)
    covered_seq, runs = index.covered_seq, index.statistics().runs
    assert len(run_files(directory)) == runs
    assert not (directory / "manifest.draft").exists()
    journal.replay(index)
    for digest in journal.latest:
        assert journal.expected(digest, now_ms) == index.get(digest, now_ms)
    index.close()
    return covered_seq


@pytest.mark.parametrize("loss", LOSSES)
def test_flush_stopped_at_each_step_covers_all_or_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, loss: str
) -> None:
    """A flush that is cut off anywhere leaves the old coverage or the new one, and lost no key."""

    def add_and_flush(index: KeyIndex, journal: Journal) -> None:
        for bucket in (51, 52):
            for digest in digests(60, seed=bucket):
                journal.put(index, digest, bucket * BUCKET_MS)
        flush(index, journal.seq)

    advanced = []
    crashes = crash_at_each_step(monkeypatch, tmp_path, add_and_flush, loss=loss)
    for directory, journal in crashes:
        covered_seq = check_after_crash(directory, journal, 53 * BUCKET_MS)
        assert covered_seq in (journal.seq - 120, journal.seq)
        advanced.append(covered_seq == journal.seq)
    assert sorted(advanced) == advanced
    assert set(advanced) == {False, True}


@pytest.mark.parametrize("loss", LOSSES)
def test_merge_stopped_at_each_step_loses_no_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, loss: str
) -> None:
    """A merge that is cut off anywhere leaves either its inputs or its result, complete."""
    now_ms, runs = 53 * BUCKET_MS, []
    crashes = crash_at_each_step(
        monkeypatch, tmp_path, lambda index, _: merge(index, now_ms), loss=loss
    )
    for directory, journal in crashes:
        assert check_after_crash(directory, journal, now_ms) == journal.seq
        runs.append(len(run_files(directory)))
    assert sorted(runs, reverse=True) == runs
    assert set(runs) == {4, 3}


@pytest.mark.parametrize("loss", LOSSES)
def test_expiry_stopped_at_each_step_loses_no_live_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, loss: str
) -> None:
    """An expiry that is cut off anywhere leaves every live key, and no expired one answers."""
    now_ms, runs = 51 * BUCKET_MS + RETENTION_MS, []
    crashes = crash_at_each_step(
        monkeypatch, tmp_path, lambda index, _: expire(index, now_ms), loss=loss
    )
    for directory, journal in crashes:
        assert check_after_crash(directory, journal, now_ms) == journal.seq
        runs.append(len(run_files(directory)))
    assert set(runs) == {4, 2}


def test_open_unnamed_and_torn_files_are_removed(tmp_path: Path) -> None:
    """What the manifest does not name is removed when a writer opens."""
    index = open_index(tmp_path)
    index.put(POOL[0], 1, 0)
    flush(index, 1)
    index.close()
    (tmp_path / "run-0000000077.keys").write_bytes(b"torn")
    (tmp_path / "manifest.draft").write_bytes(b"torn")
    index = open_index(tmp_path)
    assert len(run_files(tmp_path)) == 1
    assert {path.name for path in tmp_path.iterdir()} - {run_files(tmp_path)[0].name} == {
        "manifest"
    }
    assert index.get(POOL[0], 0) == 1
    index.close()


def test_flush_write_failed_once_succeeds_when_called_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A full disk fails the write, not the index: reads go on and the same flush can be written."""
    index = open_index(tmp_path)
    index.put(POOL[0], 1, 0)
    job = index.begin_flush(1)
    assert job is not None
    with monkeypatch.context() as patch:

        def fail(_descriptor: int, _data: bytes) -> int:
            raise OSError(28, "No space left on device")

        patch.setattr(os, "write", fail)
        with pytest.raises(OSError, match="No space"):
            job.write()
    with pytest.raises(ValueError, match="succeeded"):
        index.end_flush(job)
    assert (index.get(POOL[0], 0), index.covered_seq) == (1, 0)
    job.write()
    index.end_flush(job)
    assert (index.get(POOL[0], 0), index.covered_seq) == (1, 1)
    index.close()


def test_flush_record_staged_after_seq_stays_out_of_the_files(tmp_path: Path) -> None:
    """A key whose record is not committed is answered from memory, and forgotten by a crash."""
    index = open_index(tmp_path)
    index.put(POOL[0], 7, 0)
    index.put(POOL[1], 8, 0)
    flush(index, 7)
    assert [index.get(key, 0) for key in POOL[:2]] == [7, 8]
    index.close()
    index = open_index(tmp_path)
    assert [index.get(key, 0) for key in POOL[:2]] == [7, None]
    assert index.covered_seq == 7
    index.close()


# -- jobs that outlive their index


def test_flush_of_a_stopped_index_ends_without_a_result(tmp_path: Path) -> None:
    """A stop makes jobs end at their next rest: nothing is published, and the next writer covers the keys again."""
    index = open_index(tmp_path)
    index.put(POOL[0], 1, 0)
    job = index.begin_flush(1)
    assert job is not None
    index.stop()
    with pytest.raises(JobStopped):
        job.write()
    index.close()
    later = open_index(tmp_path)
    assert (0, None) == (later.covered_seq, later.get(POOL[0], 0))
    later.close()


# -- damage


def flushed(directory: Path, keys: list[bytes]) -> Path:
    index = open_index(directory)
    for seq, digest in enumerate(keys, 1):
        index.put(digest, seq, 0)
    flush(index, len(keys))
    index.close()
    return run_files(directory)[-1]


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x40
    path.write_bytes(data)


@pytest.mark.parametrize("offset", [0, 15, 16, 29])
def test_get_damaged_row_raises_rather_than_misses(tmp_path: Path, offset: int) -> None:
    """A changed bit in a row stops the lookup of any key of its block."""
    keys = sorted(digests(300))
    flip(flushed(tmp_path, keys), 30 * 100 + offset)
    index = open_index(tmp_path)
    with pytest.raises(KeyIndexDamaged, match="block 3"):
        index.get(keys[100], 0)
    assert index.get(keys[299], 0) == 300
    index.close()


def test_merge_damaged_input_raises_and_publishes_nothing(tmp_path: Path) -> None:
    """A merge does not launder damage: it stops before its result is named."""
    flushed(tmp_path, digests(300))
    index = open_index(tmp_path)
    index.put(POOL[0], 301, 0)
    flush(index, 301)
    index.close()
    flip(run_files(tmp_path)[0], 4_000)
    before = (tmp_path / "manifest").read_bytes()
    index = open_index(tmp_path)
    job = index.begin_merge(5 * BUCKET_MS)
    assert job is not None
    with pytest.raises(KeyIndexDamaged, match="rows"):
        job.write()
    assert before == (tmp_path / "manifest").read_bytes()
    index.close()


def test_absorb_damaged_run_raises_and_the_filter_does_not_answer_for_it(tmp_path: Path) -> None:
    """A damaged digest would make its key look new for good: it is found before the filter answers."""
    flip(flushed(tmp_path, digests(300)), 4_000)
    index = open_index(tmp_path)
    job = index.begin_absorb()
    assert job is not None
    with pytest.raises(KeyIndexDamaged, match="rows"):
        job.write()
    with pytest.raises(ValueError, match="succeeded"):
        index.end_absorb(job)
    assert 300 == index.statistics().unfiltered_keys
    index.close()


def test_open_run_of_larger_blocks_is_read_as_it_was_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Runs from before blocks were named in their entry had 128 rows in each; they are read and merged as they are."""
    keys = sorted(digests(300))
    with monkeypatch.context() as patch:
        patch.setattr(key_runs, "BLOCK_ROWS", 128)
        patch.setattr(key_runs, "BLOCK_BYTES", 128 * 30)
        flushed(tmp_path, keys)
    _, _, body = (tmp_path / "manifest").read_bytes().partition(b"\n")
    body = body.replace(b',"block_rows":128', b"")
    (tmp_path / "manifest").write_bytes(b"%08x\n" % crc32(body) + body)
    index = open_index(tmp_path)
    index.put(POOL[0], 301, 0)
    flush(index, 301)
    assert list(range(1, 301)) == [index.get(key, 0) for key in keys]
    merge(index, 5 * BUCKET_MS)
    assert list(range(1, 301)) == [index.get(key, 0) for key in keys]
    index.close()


@pytest.mark.parametrize("offset", [30 * 300, 30 * 300 + 500, -1])
def test_open_damaged_index_section_raises(tmp_path: Path, offset: int) -> None:
    """A changed bit in the marks, the starts or the block checksums is found when opening."""
    flip(flushed(tmp_path, digests(300)), offset)
    with pytest.raises(KeyIndexDamaged, match="checksum"):
        open_index(tmp_path)


def test_open_short_or_missing_run_raises(tmp_path: Path) -> None:
    """A named file must be there in its whole length."""
    path = flushed(tmp_path, digests(300))
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(KeyIndexDamaged, match="bytes long"):
        open_index(tmp_path)
    path.unlink()
    with pytest.raises(KeyIndexDamaged, match="missing"):
        open_index(tmp_path)


def test_open_damaged_or_missing_manifest_raises_and_keeps_the_runs(tmp_path: Path) -> None:
    """Without a sound manifest nothing is guessed and nothing is removed."""
    path = flushed(tmp_path, digests(3))
    flip(tmp_path / "manifest", 30)
    with pytest.raises(KeyIndexDamaged, match="checksum"):
        open_index(tmp_path)
    (tmp_path / "manifest").unlink()
    with pytest.raises(KeyIndexDamaged, match="no manifest"):
        open_index(tmp_path)
    assert path.exists()


def test_open_manifest_of_another_format_raises(tmp_path: Path) -> None:
    """A sound manifest that this version does not understand is refused in clear words."""
    index = open_index(tmp_path)
    body = b'{"format":2}'
    (tmp_path / "manifest").write_bytes(b"%08x\n" % crc32(body) + body)
    index.close()
    with pytest.raises(KeyIndexDamaged, match="not understood"):
        open_index(tmp_path)
