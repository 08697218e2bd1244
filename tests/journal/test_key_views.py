"""Views of another worker's keys: what was on disk is found, whatever the writer does to its files meanwhile."""

from pathlib import Path

import pytest
import trio

from jackpotd.journal.key_runs import KeyIndexDamaged
from jackpotd.journal.key_views import KeyViews, ViewSource
from jackpotd.journal.keys import KeyIndex
from jackpotd.journal.log import LmdbLog, LogError

from .key_oracle import (
    BUCKET_MS,
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

TEST_TIMEOUT_S = 10
MAP_BYTES = 1 << 24


class Clock:
    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def written(directory: Path) -> tuple[KeyIndex, Journal]:
    """A worker that is running: two buckets of keys in four files, and a journal of records."""
    log = LmdbLog.open(directory / "journal", name="worker-7", map_bytes_max=MAP_BYTES, now_ms=1)
    log.append(1, [b"record %d" % seq for seq in range(1, 400)])
    log.close()
    index, journal = open_index(directory / "keys"), Journal()
    two_flushed_buckets(index, journal)
    return index, journal


def views_of(directory: Path, clock: Clock) -> KeyViews:
    def source(worker: int) -> ViewSource:
        def log() -> LmdbLog:
            return LmdbLog.open_readonly(
                directory / "journal", name=f"worker-{worker}", map_bytes_max=MAP_BYTES
            )

        return ViewSource(directory / "keys", log)

    return KeyViews(source, retention_ms=RETENTION_MS, clock=clock)


def check(views: KeyViews, journal: Journal, now_ms: int) -> None:
    """The view knows what a dict knows, and reads the record that has used each key."""
    for digest in journal.latest:
        seq, found = journal.expected(digest, now_ms), views.find(digest, now_ms)
        assert seq == (None if found is None else found[0])
        if found is not None:
            assert found[1](found[0]) == b"record %d" % found[0]


async def test_views_find_what_was_on_disk_while_the_writer_merges_and_deletes(
    tmp_path: Path,
) -> None:
    """The writer's files are replaced under the view: it goes on with those that it has open, then lets go of them."""
    now_ms = 53 * BUCKET_MS
    index, journal = written(tmp_path)
    clock = Clock(now_ms)
    views = views_of(tmp_path, clock)
    with trio.fail_after(TEST_TIMEOUT_S):
        await views.open(7, now_ms)
        check(views, journal, now_ms)
        merge(index, now_ms)
        merge(index, now_ms)
        assert 2 == len(run_files(tmp_path / "keys"))
        check(views, journal, now_ms)

        fresh = digests(60, seed=99)
        for digest in fresh:
            journal.put(index, digest, now_ms)
        flush(index, journal.seq)
        assert all(views.find(digest, now_ms) is None for digest in fresh)
        await views.refresh()
        check(views, journal, now_ms)

        clock.now_ms = 50 * BUCKET_MS + RETENTION_MS + BUCKET_MS + 1
        expire(index, clock.now_ms)
        await views.refresh()
        check(views, journal, clock.now_ms)
    views.close()
    index.close()


async def test_views_are_opened_again_with_what_was_flushed_since(tmp_path: Path) -> None:
    """A second move from the same worker sees the keys of its time at once."""
    now_ms = 53 * BUCKET_MS
    index, journal = written(tmp_path)
    views = views_of(tmp_path, Clock(now_ms))
    with trio.fail_after(TEST_TIMEOUT_S):
        await views.open(7, now_ms)
        for digest in digests(30, seed=5):
            journal.put(index, digest, now_ms)
        flush(index, journal.seq)
        await views.open(7, now_ms)
        check(views, journal, now_ms)
    assert 1 == len(views)
    views.close()
    index.close()


async def test_views_end_when_no_key_of_their_time_lives(tmp_path: Path) -> None:
    """A view is open for as long as keys live, also after another start; then its files are let go."""
    now_ms = 53 * BUCKET_MS
    index, _ = written(tmp_path)
    clock = Clock(now_ms)
    views = views_of(tmp_path, clock)
    with trio.fail_after(TEST_TIMEOUT_S):
        await views.open_all({7: now_ms})
        clock.now_ms = now_ms + RETENTION_MS
        await views.refresh()
        assert 1 == len(views)
        clock.now_ms += 1
        await views.refresh()
        assert 0 == len(views)
        await views.open_all({7: now_ms})
        assert 0 == len(views)
    index.close()


async def test_views_of_damaged_or_missing_files_are_refused(tmp_path: Path) -> None:
    """Keys that cannot be trusted are never taken for unknown ones."""
    now_ms = 53 * BUCKET_MS
    index, _ = written(tmp_path)
    index.close()
    views = views_of(tmp_path, Clock(now_ms))
    with trio.fail_after(TEST_TIMEOUT_S):
        with pytest.raises(LogError):
            await views.open(8, now_ms)
        run_files(tmp_path / "keys")[0].unlink()
        with pytest.raises(KeyIndexDamaged):
            await views.open(7, now_ms)
    assert 0 == len(views)
