"""The index of idempotency keys: which journal record has used a key, for as long as the key lives.

Recent keys are in memory; older ones are in run files (`key_runs`), one or a few for each time
bucket, and a bucket expires by deleting its files. The journal is the truth and this is derived
from it: the files answer for every record up to `covered_seq`, and after a crash the keys of later
records are put again from the journal's tail, so nothing here is logged.

What the manifest names is complete and on stable storage; a file that it does not name is rubbish
of a crash and is removed. Background work has one shape: `begin_…` plans on the event loop,
`write()` works and publishes in a worker thread, `end_…` swaps on the event loop, `release()` frees
what was replaced in a worker thread. Where `write()` fails, the old files stand; it may be called
again. One flush and one merge, expiry or absorption may be under way at a time, beside each other.

A filter in memory (`key_filter`) answers for all runs that it has taken up; one that it does not
know yet, as all are after a start, is asked by itself. Without it every answer would be the same.

Never here: the clock, the journal, the meaning of a digest, threads of its own, or a Trio call.
"""

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import msgspec

from jackpotd.journal.key_directory import lock_directory, open_published, tidy
from jackpotd.journal.key_filter import MASKS, WORD_BYTES, KeyFilter
from jackpotd.journal.key_jobs import (
    Absorption,
    Compaction,
    Flush,
    Place,
    new_shards,
    runs_to_merge,
)
from jackpotd.journal.key_manifest import (
    MANIFEST_FORMAT,
    Manifest,
    ManifestFile,
)
from jackpotd.journal.key_runs import (
    AT_BITS,
    AT_MS_MAX,
    DIGEST_BYTES,
    PREFIX_BYTES,
    Run,
)

SEQ_MAX = (1 << 63) - 1
# More buckets waste less space on keys that are past their time; fewer are quicker to search.
BUCKETS_PER_RETENTION = 6
# A bucket is merged into one run when this part of the next one has passed: no flush still has
# keys for it by then.
CLOSING_PARTS = 8
BACKGROUND_SHARE = 0.25  # of one core, while a job is under way


class KeyStatistics(msgspec.Struct, frozen=True):
    """Sizes of a key index. A key that was put again, or is past its time, may count twice."""

    covered_seq: int
    memory_keys: int
    file_keys: int
    runs: int
    file_bytes: int
    index_bytes: int  # the part of the files that is held in memory
    filter_bytes: int
    unfiltered_keys: int  # in runs that the filter does not know yet


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
        self._fresh = new_shards()
        self._no_shards = self._frozen = new_shards()
        self._runs: tuple[Run, ...] = ()
        self._filter = KeyFilter(0)
        self._filtered: set[int] = set()  # the numbers of the runs that the filter knows
        self._swap_runs((), runs)
        self._flush: Flush | None = None
        self._compaction: Compaction | Absorption | None = None

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
                lock = lock_directory(directory)
                undo.callback(os.close, lock)
                tidy(directory, empty)
            manifest, runs = open_published(directory, empty, {})
            place = Place(directory, manifest, background_share)
            index = cls(place, runs, retention_ms=retention_ms, lock=lock)
            undo.pop_all()
        return index

    def newer(self) -> Self | None:
        """In a worker thread: a reader's index as the writer has published it since, or None if nothing is new.

        It shares the files that are still there; `give_way` afterwards lets the others go.
        """
        place = self._place
        known = place.manifest_file.current
        published = ManifestFile.read(place.directory)
        if published is None or published == known:
            return None
        reused = {run.entry: run for run in self._runs}
        manifest, runs = open_published(place.directory, published, reused)
        newer = Place(place.directory, manifest, BACKGROUND_SHARE)
        return type(self)(newer, runs, retention_ms=self._retention_ms, lock=None)

    def give_way(self, newer: Self) -> None:
        """Lets go of the files that a newer index does not share."""
        for run in set(self._runs) - set(newer._runs):
            run.close()

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
                mask = MASKS[digest[WORD_BYTES]]
                byte = self._bits[int.from_bytes(digest[:WORD_BYTES], "big") >> self._shift]
                probes = self._probes if byte & mask == mask else self._unfiltered_probes
                value = _find(digest, probes) if probes else None
                if value is None:
                    return None
        if now_ms - (value & AT_MS_MAX) > self._retention_ms:
            return None
        return value >> AT_BITS

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
        self._frozen, self._fresh = self._fresh, new_shards()
        self._flush = Flush(self._place, self._frozen, seq, self._filter)
        return self._flush

    def end_flush(self, flush: Flush) -> None:
        """Let the new runs answer in place of the frozen table."""
        _require_under_way(flush, self._flush)
        if flush.key_filter is self._filter:
            self._filtered |= {run.entry.number for run in flush.added}
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
        if all(run.entry.number in self._filtered for run in merge.removed):
            self._filtered |= {run.entry.number for run in merge.added}
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

    def begin_absorb(self) -> Absorption | None:
        """Choose runs that the filter should take up, or all of them for a new filter where it is full; or None."""
        self._require_writable()
        if self._compaction is not None:
            return None
        key_filter, runs = self._filter, self._unfiltered()
        keys = sum(run.entry.rows for run in self._runs)
        if key_filter.is_full or (runs == self._runs and not key_filter.has_room_for(keys)):
            key_filter, runs = KeyFilter(keys), self._runs
        elif not runs:
            return None
        self._compaction = absorption = Absorption(self._place, runs, key_filter)
        return absorption

    def end_absorb(self, absorption: Absorption) -> None:
        """Let the filter answer for the runs that it has taken up."""
        _require_under_way(absorption, self._compaction)
        if absorption.key_filter is not self._filter:
            self._filter = absorption.key_filter
            self._filtered.clear()
        self._filtered |= {run.entry.number for run in absorption.runs}
        self._swap_runs((), ())
        self._compaction = None

    def statistics(self) -> KeyStatistics:
        entries = [run.entry for run in self._runs]
        return KeyStatistics(
            covered_seq=self.covered_seq,
            memory_keys=sum(map(len, self._fresh)) + sum(map(len, self._frozen)),
            file_keys=sum(entry.rows for entry in entries),
            runs=len(entries),
            file_bytes=sum(entry.file_bytes for entry in entries),
            index_bytes=sum(entry.index_bytes for entry in entries),
            filter_bytes=self._filter.size,
            unfiltered_keys=sum(run.entry.rows for run in self._unfiltered()),
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
        self._filtered -= gone
        self._bits, self._shift = self._filter.table, self._filter.shift
        self._probes = tuple(map(_probe, runs))
        self._unfiltered_probes = tuple(map(_probe, self._unfiltered()))

    def _unfiltered(self) -> tuple[Run, ...]:
        return tuple(run for run in self._runs if run.entry.number not in self._filtered)

    def _require_writable(self) -> None:
        if self._lock is None:
            raise RuntimeError("the key index is open for reading only")


_Find = Callable[[bytes, int, int], int]
_Confirm = Callable[[bytes, int, int], int | None]
_Probe = tuple[int, memoryview, _Find, _Confirm]


def _probe(run: Run) -> _Probe:
    # One unpacking is cheaper than four attributes.
    return run.shift, run.starts, run.find_first_mark, run.confirm


def _find(digest: bytes, probes: tuple[_Probe, ...]) -> int | None:
    # The latest put of a digest has the latest time, so the first run that has it decides.
    prefix = int.from_bytes(digest[:PREFIX_BYTES], "big")
    mark = digest[DIGEST_BYTES - 1 :]
    for shift, starts, find_first_mark, confirm in probes:
        number = prefix >> shift
        end = starts[number + 1]
        position = find_first_mark(mark, starts[number], end)
        if position >= 0:
            value = confirm(digest, position, end)
            if value is not None:
                return value
    return None


def _require_under_way(
    job: Flush | Compaction | Absorption, under_way: Flush | Compaction | Absorption | None
) -> None:
    if job is not under_way:
        raise ValueError("this job is not the one under way")
    if not job.written:
        raise ValueError("a job ends after its write has succeeded")
