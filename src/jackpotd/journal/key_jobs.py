"""The jobs of the key index: planned on the event loop, written in a worker thread, swapped in on the event loop.

Each job's `write()` works and publishes in a worker thread; where it fails, the old files stand, and it may be called
again. Its `release()`, also in a worker thread, frees what was replaced.
"""

import itertools
import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from zlib import crc32

from jackpotd.journal.key_filter import KeyFilter
from jackpotd.journal.key_manifest import Manifest, ManifestFile, sync_directory
from jackpotd.journal.key_merge import STEP_ROWS, Pace, merge_runs
from jackpotd.journal.key_runs import (
    AT_BITS,
    AT_MS_MAX,
    VALUE_BYTES,
    KeyIndexDamaged,
    Run,
    RunEntry,
    RunWriter,
)

RUNS_MERGED_MIN = 4
SHARD_BITS = 8  # the memory table, by first byte: no resize, sort or release of a part takes long

Shards = tuple[dict[bytes, int], ...]


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

    def __init__(self, place: Place, shards: Shards, seq: int, key_filter: KeyFilter) -> None:
        self.seq = seq
        self.key_filter = key_filter
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
                    rows = writer.append(part, SHARD_BITS, sorted(records.get(bucket, ())))
                    self.key_filter.add(rows)
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


class Absorption:
    """Runs whose keys become known to a filter: those of a start, or all of them to a sharper filter.

    Every row is read, so the whole checksum of each run is verified on the way: a damaged row must not look unknown.
    """

    def __init__(self, place: Place, runs: tuple[Run, ...], key_filter: KeyFilter) -> None:
        self.runs = runs
        self.key_filter = key_filter
        self.written = False
        self._place = place

    def write(self) -> None:
        """In a worker thread: put every key of the runs into the filter."""
        pace = self._place.pace()
        for run in self.runs:
            checksum = 0
            for start in range(0, run.entry.rows, STEP_ROWS):
                rows = run.read_rows(start, min(start + STEP_ROWS, run.entry.rows))
                checksum = crc32(rows, checksum)
                self.key_filter.add(rows)
                pace.rest()
            if checksum != run.entry.rows_checksum:
                raise KeyIndexDamaged(f"the rows of {run.entry.file_name} are damaged")
        self.written = True

    def release(self) -> None:
        """Nothing on disk has made way."""


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


def new_shards() -> Shards:
    return tuple({} for _ in range(1 << SHARD_BITS))
