"""The index of idempotency keys: which journal record has used a key, for as long as the key lives.

Recent keys are in memory; older ones are in run files (`key_runs`), one or a few for each time
bucket, and a bucket expires by deleting its files. The journal is the truth and this is derived
from it: the files answer for every record up to `covered_seq`, and after a crash the keys of later
records are put again from the journal's tail, so nothing here is logged.

What the manifest names is complete and on stable storage; a file that it does not name is rubbish
of a crash and is removed. Background work has one shape: `begin_…` plans on the event loop,
`write()` works and publishes in a worker thread, `end_…` swaps on the event loop, `release()` frees
what was replaced in a worker thread. Where `write()` fails, the old files stand; it may be called
again. One flush and one merge or expiry may be under way at a time, beside each other.

Never here: the clock, the journal, the meaning of a digest, threads of its own, or a Trio call.
"""

import fcntl
import itertools
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import msgspec

from jackpotd.journal.key_runs import (
    AT_BITS,
    AT_MS_MAX,
    DIGEST_BYTES,
    MANIFEST_FORMAT,
    MANIFEST_NAME,
    PREFIX_BYTES,
    VALUE_BYTES,
    KeyIndexDamaged,
    Manifest,
    ManifestFile,
    Pace,
    Run,
    RunEntry,
    RunWriter,
    merge_runs,
    sync_directory,
    write_manifest,
)

SEQ_MAX = (1 << 63) - 1
# More buckets waste less space on keys that are past their time; fewer are quicker to search.
BUCKETS_PER_RETENTION = 6
# A bucket is merged into one run when this part of the next one has passed: no flush still has
# keys for it by then.
CLOSING_PARTS = 8
RUNS_MERGED_MIN = 4
BACKGROUND_SHARE = 0.25  # of one core, while a job is under way
OPEN_ATTEMPTS_MAX = 20
SHARD_BITS = 8  # the memory table, by first byte: no resize, sort or release of a part takes long

_Shards = tuple[dict[bytes, int], ...]


class KeyIndexInUse(Exception):
    """Another writer holds the directory."""


class KeyStatistics(msgspec.Struct, frozen=True):
    """Sizes of a key index. A key that was put again, or is past its time, may count twice."""

    covered_seq: int
    memory_keys: int
    file_keys: int
    runs: int
    file_bytes: int
    index_bytes: int  # the part of the files that is held in memory


class Place:
    """What every job works with: where files go, what they are called, how fast to go."""

    def __init__(self, directory: Path, manifest: Manifest, background_share: float) -> None:
        self.directory = directory
        self.manifest_file = ManifestFile(directory, manifest)
        self.bucket_ms = manifest.bucket_ms
        self._numbers = itertools.count(manifest.next_number)
        self._background_share = background_share
        self.is_stopped = False

    def next_number(self) -> int:
        return next(self._numbers)

    def pace(self) -> Pace:
        return Pace(self._background_share, lambda: self.is_stopped)


class Flush:
    """The memory table on its way into run files, one for each time bucket it has keys of."""

    def __init__(self, place: Place, shards: _Shards, seq: int) -> None:
        self.seq = seq
        self.shards = shards
        self.added: tuple[Run, ...] = ()
        self.later: dict[bytes, int] = {}
        self.written = False
        self._place = place
        self._value_limit = (seq + 1) << AT_BITS

    def write(self) -> None:
        """In a worker thread: write, sync and publish the runs."""
        place = self._place
        entries = self._write_runs(place.pace())
        sync_directory(place.directory)
        self.added = tuple(Run(place.directory, entry) for entry in entries)
        place.manifest_file.publish(added=self.added, covered_seq=self.seq)
        self.written = True

    def _write_runs(self, pace: Pace) -> list[RunEntry]:
        counts, newest_at_ms = self._survey(pace)
        with ExitStack() as stack:
            writers = {}
            for bucket, count in counts.items():
                number = self._place.next_number()
                writers[bucket] = writer = RunWriter(
                    self._place.directory,
                    number=number,
                    age=number,
                    bucket=bucket,
                    rows_max=count,
                    newest_at_ms=newest_at_ms[bucket],
                )
                stack.callback(writer.close)
            for part, shard in enumerate(self.shards):
                records = self._records_by_bucket(shard)
                for bucket, writer in writers.items():
                    writer.append(part, SHARD_BITS, sorted(records.get(bucket, ())))
                pace.rest()
            return [writer.finish() for writer in writers.values()]

    def _records_by_bucket(self, shard: dict[bytes, int]) -> dict[int, list[bytes]]:
        bucket_ms, limit = self._place.bucket_ms, self._value_limit
        records: dict[int, list[bytes]] = {}
        for digest, value in shard.items():
            if value >= limit:
                # Its record is staged, not committed. A file that knew it would, after a crash,
                # answer a bet that never happened.
                self.later[digest] = value
                continue
            record = digest + value.to_bytes(VALUE_BYTES, "big")
            records.setdefault((value & AT_MS_MAX) // bucket_ms, []).append(record)
        return records

    def _survey(self, pace: Pace) -> tuple[dict[int, int], dict[int, int]]:
        counts: dict[int, int] = {}
        newest_at_ms: dict[int, int] = {}
        for shard in self.shards:
            for value in shard.values():
                if value >= self._value_limit:
                    continue
                at_ms = value & AT_MS_MAX
                bucket = at_ms // self._place.bucket_ms
                counts[bucket] = counts.get(bucket, 0) + 1
                if at_ms > newest_at_ms.get(bucket, -1):
                    newest_at_ms[bucket] = at_ms
            pace.rest()
        return counts, newest_at_ms

    def release(self) -> None:
        """In a worker thread, after `end_flush`: free the table, which at once would be a pause."""
        pace = self._place.pace()
        for shard in self.shards:
            shard.clear()
            pace.rest()


class Compaction:
    """Runs that make way: to one run with their keys (a merge), or to nothing (expiry)."""

    def __init__(self, place: Place, removed: tuple[Run, ...], *, merges: bool) -> None:
        self.removed = removed
        self.added: tuple[Run, ...] = ()
        self.written = False
        self._place = place
        self._merges = merges

    def write(self) -> None:
        """In a worker thread: write and sync the new run, if any, and publish the change."""
        place = self._place
        if self._merges:
            number = place.next_number()
            entry = merge_runs(place.directory, self.removed, number=number, pace=place.pace())
            sync_directory(place.directory)
            self.added = (Run(place.directory, entry),)
        place.manifest_file.publish(removed=self.removed, added=self.added)
        self.written = True

    def release(self) -> None:
        """In a worker thread, after `end_merge` or `end_expire`: delete the replaced files."""
        for run in self.removed:
            run.close()
            os.unlink(self._place.directory / run.entry.file_name)  # noqa: PTH108 - the tests stop between calls of os


class KeyIndex:
    """digest (16 bytes) -> journal sequence number, with an accepted-at time in milliseconds.

    Everything but `write` and `release` of a job belongs to the event loop's thread.
    """

    def __init__(
        self, place: Place, runs: Iterable[Run], *, retention_ms: int, lock: int | None
    ) -> None:
        self.covered_seq = place.manifest_file.current.covered_seq
        self._place = place
        self._retention_ms = retention_ms
        self._lock = lock
        self._fresh = _new_shards()
        self._no_shards = self._frozen = _new_shards()
        self._runs: tuple[Run, ...] = ()
        self._swap_runs((), runs)
        self._flush: Flush | None = None
        self._compaction: Compaction | None = None

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        retention_ms: int,
        writable: bool = True,
        background_share: float = BACKGROUND_SHARE,
    ) -> Self:
        """Open or create; read-only it may be opened beside a writer and sees what was published.

        Raises KeyIndexDamaged, or KeyIndexInUse where another writer holds the directory.
        """
        if retention_ms <= 0:
            raise ValueError("retention_ms is above 0")
        bucket_ms = max(1, retention_ms // BUCKETS_PER_RETENTION)
        empty = Manifest(
            format=MANIFEST_FORMAT,
            byte_order=sys.byteorder,
            bucket_ms=bucket_ms,
            covered_seq=0,
            next_number=1,
            runs=(),
        )
        with ExitStack() as undo:
            lock = None
            if writable:
                directory.mkdir(parents=True, exist_ok=True)
                lock = _lock_directory(directory)
                undo.callback(os.close, lock)
                _tidy(directory, empty)
            manifest, runs = _open_published(directory, empty)
            place = Place(directory, manifest, background_share)
            index = cls(place, runs, retention_ms=retention_ms, lock=lock)
            undo.pop_all()
        return index

    def stop(self) -> None:
        """Jobs under way end at their next rest, with JobStopped; a stop of the server need not wait for a merge."""
        self._place.is_stopped = True

    def close(self) -> None:
        """Let go of the files. Nothing is written: what was not flushed is in the journal."""
        for run in self._runs:
            run.close()
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None
        self._swap_runs(self._runs, ())

    def get(self, digest: bytes, now_ms: int) -> int | None:
        """The sequence number of the latest put, or None when unknown or older than retention."""
        shard = digest[0]
        value = self._fresh[shard].get(digest)
        if value is None:
            value = self._frozen[shard].get(digest)
            if value is None:
                value = self._find_in_runs(digest)
                if value is None:
                    return None
        if now_ms - (value & AT_MS_MAX) > self._retention_ms:
            return None
        return value >> AT_BITS

    def _find_in_runs(self, digest: bytes) -> int | None:
        # The latest put of a digest has the latest time, so the first run that has it decides.
        prefix = int.from_bytes(digest[:PREFIX_BYTES], "big")
        mark = digest[DIGEST_BYTES - 1]
        for shift, starts, find_first_mark, confirm in self._probes:
            number = prefix >> shift
            end = starts[number + 1]
            position = find_first_mark(mark, starts[number], end)
            if position >= 0:
                value = confirm(digest, position, end)
                if value is not None:
                    return value
        return None

    def put(self, digest: bytes, seq: int, at_ms: int) -> None:
        """Remember a key, in memory; call it after the journal has staged the record.

        Of one digest, a later put never has a lower `seq` or `at_ms` than an earlier one; it
        replaces the earlier one.
        """
        if len(digest) != DIGEST_BYTES or not 0 <= seq <= SEQ_MAX or not 0 <= at_ms <= AT_MS_MAX:
            raise ValueError(
                f"not a digest, a sequence number and a time: {digest!r} {seq} {at_ms}"
            )
        self._fresh[digest[0]][digest] = seq << AT_BITS | at_ms

    def begin_flush(self, seq: int) -> Flush | None:
        """Freeze the memory table; it holds the keys of all records after `covered_seq` to `seq`.

        `seq` is committed. Keys of later records, staged only, come back into the table in
        `end_flush`: the files never know more than the journal. None where a flush is under way,
        or nothing is new.
        """
        self._require_writable()
        if seq < self.covered_seq:
            raise ValueError(f"records to {self.covered_seq} are covered already, not to {seq}")
        if self._flush is not None or (seq == self.covered_seq and not any(self._fresh)):
            return None
        self._frozen, self._fresh = self._fresh, _new_shards()
        self._flush = Flush(self._place, self._frozen, seq)
        return self._flush

    def end_flush(self, flush: Flush) -> None:
        """Let the new runs answer in place of the frozen table."""
        _require_under_way(flush, self._flush)
        self._swap_runs((), flush.added)
        for digest, value in flush.later.items():
            self._fresh[digest[0]].setdefault(digest, value)
        self._frozen = self._no_shards
        self._flush = None
        self.covered_seq = flush.seq

    def begin_merge(self, now_ms: int) -> Compaction | None:
        """Choose runs of one time bucket that are worth merging, or None."""
        closed = (now_ms - self._place.bucket_ms // CLOSING_PARTS) // self._place.bucket_ms
        return self._begin_compaction(lambda: runs_to_merge(self._runs, closed), merges=True)

    def end_merge(self, merge: Compaction) -> None:
        """Let the merged run answer in place of its parts."""
        _require_under_way(merge, self._compaction)
        self._swap_runs(merge.removed, merge.added)
        self._compaction = None

    def begin_expire(self, now_ms: int) -> Compaction | None:
        """Choose the runs whose newest key is older than retention, or None."""
        limit_ms = now_ms - self._retention_ms
        return self._begin_compaction(
            lambda: tuple(run for run in self._runs if run.entry.newest_at_ms < limit_ms),
            merges=False,
        )

    def end_expire(self, expiry: Compaction) -> None:
        """Forget the expired runs."""
        self.end_merge(expiry)

    def statistics(self) -> KeyStatistics:
        entries = [run.entry for run in self._runs]
        return KeyStatistics(
            covered_seq=self.covered_seq,
            memory_keys=sum(map(len, self._fresh)) + sum(map(len, self._frozen)),
            file_keys=sum(entry.rows for entry in entries),
            runs=len(entries),
            file_bytes=sum(entry.file_bytes for entry in entries),
            index_bytes=sum(entry.index_bytes for entry in entries),
        )

    def _begin_compaction(
        self, choose: Callable[[], tuple[Run, ...]], *, merges: bool
    ) -> Compaction | None:
        self._require_writable()
        if self._compaction is not None:
            return None
        runs = choose()
        if not runs:
            return None
        self._compaction = Compaction(self._place, runs, merges=merges)
        return self._compaction

    def _swap_runs(self, removed: Iterable[Run], added: Iterable[Run]) -> None:
        gone = {run.entry.number for run in removed}
        runs = [run for run in self._runs if run.entry.number not in gone]
        runs += added
        runs.sort(key=lambda run: (run.entry.bucket, run.entry.age), reverse=True)
        self._runs = tuple(runs)
        # One unpacking is cheaper than four attributes, and a new key asks every run.
        self._probes = tuple((r.shift, r.starts, r.find_first_mark, r.confirm) for r in runs)

    def _require_writable(self) -> None:
        if self._lock is None:
            raise RuntimeError("the key index is open for reading only")


def runs_to_merge(runs: Iterable[Run], closed_bucket: int) -> tuple[Run, ...]:
    """The neighbours to merge next, given all runs, newest first; buckets below a closed one rest.

    A closed bucket becomes one run. In an open one, like in a binary counter, a run waits until
    the newer ones together have its size: each key is rewritten about log2(flushes) - 1 times.
    """
    for bucket, group in itertools.groupby(runs, key=lambda run: run.entry.bucket):
        newest_first = tuple(group)
        if bucket < closed_bucket:
            if len(newest_first) > 1:
                return newest_first
            continue
        count, rows = 0, 0
        for run in newest_first:
            if count and run.entry.rows > rows:
                break
            count, rows = count + 1, rows + run.entry.rows
        if count >= RUNS_MERGED_MIN:
            return newest_first[:count]
    return ()


def _new_shards() -> _Shards:
    return tuple({} for _ in range(1 << SHARD_BITS))


def _require_under_way(job: Flush | Compaction, under_way: Flush | Compaction | None) -> None:
    if job is not under_way:
        raise ValueError("this job is not the one under way")
    if not job.written:
        raise ValueError("a job ends after its write has succeeded")


def _lock_directory(directory: Path) -> int:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise KeyIndexInUse(f"another writer holds {directory}") from error
    return descriptor


def _tidy(directory: Path, empty: Manifest) -> None:
    """Remove what a crash left behind, and give a new directory its first manifest."""
    manifest = ManifestFile.read(directory)
    files = {path.name for path in directory.glob("run-*.keys")}
    if manifest is None:
        # The first manifest is written before the first run, so this was not a crash.
        if files:
            raise KeyIndexDamaged(f"{directory} has run files but no manifest")
        write_manifest(directory, empty)
        return
    for name in files - {entry.file_name for entry in manifest.runs}:
        (directory / name).unlink()
    (directory / f"{MANIFEST_NAME}.draft").unlink(missing_ok=True)


def _open_published(directory: Path, empty: Manifest) -> tuple[Manifest, list[Run]]:
    manifest = ManifestFile.read(directory) or empty
    for _ in range(OPEN_ATTEMPTS_MAX):
        with ExitStack() as undo:
            runs = []
            try:
                for entry in manifest.runs:
                    run = Run(directory, entry)
                    undo.callback(run.close)
                    runs.append(run)
            except FileNotFoundError as error:
                # A writer may have replaced the runs since this reader read their names.
                newer = ManifestFile.read(directory) or empty
                if newer == manifest:
                    raise KeyIndexDamaged(f"{error.filename} is missing") from error
                manifest = newer
                continue
            undo.pop_all()
            return manifest, runs
    raise KeyIndexDamaged(f"the runs in {directory} change faster than they can be opened")
