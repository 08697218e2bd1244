"""Several runs of one time bucket to one, at a pace that leaves the processor to the event loop."""

import time
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

from jackpotd.journal.key_runs import (
    DIGEST_BYTES,
    PREFIX_BITS,
    KeyIndexDamaged,
    Run,
    RunEntry,
    RunWriter,
    split_rows,
)

STEP_ROWS = 1024  # what a background thread does between two rests


class JobStopped(Exception):
    """The index stops: a job ends before its result, and its files are rubbish of a crash."""


class Pace:
    """Gives the processor, and with it the GIL, back to the event loop between two steps.

    A thread that never rests makes every system call of the event loop wait for a whole switch
    interval. Resting in proportion to the processor time used bounds both the longest wait (one
    step) and the share of a core that the background takes.
    """

    __slots__ = ("_is_stopped", "_rest_factor", "_worked_s")

    def __init__(self, share: float, is_stopped: Callable[[], bool] = lambda: False) -> None:
        if not 0 < share <= 1:
            raise ValueError("the background's share of a core is above 0 and at most 1")
        self._is_stopped = is_stopped
        self._rest_factor = 1 / share - 1
        self._worked_s = time.thread_time()

    def rest(self) -> None:
        """Sleep for as long as the share asks after the work done since the last rest.

        Raises JobStopped once the index does not want the job's result any more.
        """
        if self._is_stopped():
            raise JobStopped("the index stops")
        if self._rest_factor:
            worked_s = time.thread_time() - self._worked_s
            time.sleep(worked_s * self._rest_factor)
            self._worked_s = time.thread_time()


def merge_runs(directory: Path, runs: tuple[Run, ...], *, number: int, pace: Pace) -> RunEntry:
    """Write one run with the latest put of every key in `runs`, all of one bucket.

    Every row of the inputs is read once, in order, so their whole checksums are verified on the
    way: a merge never copies damage into a file with good checksums.
    """
    entries = [run.entry for run in runs]
    rows_max = sum(entry.rows for entry in entries)
    writer = RunWriter(
        directory,
        number=number,
        age=max(entry.age for entry in entries),
        bucket=entries[0].bucket,
        rows_max=rows_max,
        newest_at_ms=max(entry.newest_at_ms for entry in entries),
    )
    try:
        _merge_parts(
            runs, writer, min((rows_max // STEP_ROWS).bit_length(), writer.slice_bits), pace
        )
        return writer.finish()
    finally:
        writer.close()


def _merge_parts(runs: tuple[Run, ...], writer: RunWriter, part_bits: int, pace: Pace) -> None:
    starts = [0] * len(runs)
    checksums = [0] * len(runs)
    for part in range(1 << part_bits):
        edge = (part + 1) << (PREFIX_BITS - part_bits)
        records: list[bytes] = []
        for index, run in enumerate(runs):
            end = run.position(edge)
            rows = run.read_rows(starts[index], end)
            checksums[index] = crc32(rows, checksums[index])
            starts[index] = end
            records += split_rows(rows)
        writer.append(part, part_bits, _latest_of_each(records))
        pace.rest()
    for run, checksum in zip(runs, checksums, strict=True):
        if checksum != run.entry.rows_checksum:
            raise KeyIndexDamaged(f"the rows of {run.entry.file_name} are damaged")


def _latest_of_each(records: list[bytes]) -> list[bytes]:
    # Rows of one digest sort by sequence number, and the last one to enter the dict stays.
    records.sort()
    latest = {record[:DIGEST_BYTES]: record for record in records}
    return records if len(latest) == len(records) else list(latest.values())
