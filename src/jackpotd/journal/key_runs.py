"""What the key index has on disk: run files, and the manifest that names them.

A run file is written once, read by position, and deleted whole.

It holds keys that were accepted in one time bucket: the rows in digest order,
then the index over them: two marks (one byte each) for each row, where each slice of the digest
space starts, and a checksum for each block of rows. The index is held in memory while the run is
open (about 2.4 bytes for each key), so a key that is not in the run costs one `bytearray.find` and
no read; a key that is in it costs one `pread` of one block, whose checksum is verified first.

A run file says nothing about itself; its entry in the manifest is what makes its bytes a run. The
manifest is replaced whole, by a rename, after everything that it names is on stable storage.

Never here: the clock, which runs to write or to merge, and when.
"""

import os
import sys
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from pathlib import Path
from zlib import crc32

import msgspec

DIGEST_BYTES = 16
AT_BITS = 48  # milliseconds until the year 10889
AT_MS_MAX = (1 << AT_BITS) - 1
VALUE_BYTES = 14  # a sequence number of 64 bits, then the accepted-at time of 48 bits
ROW_BYTES = DIGEST_BYTES + VALUE_BYTES
RUN_ROWS_MAX = (1 << 32) - 1  # positions are 32 bits wide

# A slice is a range of digests that share their first bits. About 12 rows in each: the search for
# the first mark stays within one or two cache lines, and the starts cost a third of a byte a row.
PREFIX_BYTES = 3
PREFIX_BITS = 8 * PREFIX_BYTES
SLICE_BITS_MIN = 8
SLICE_ROWS_MAX = 16

MANIFEST_NAME = "manifest"
MANIFEST_FORMAT = 1

BLOCK_ROWS = 128  # one read and one checksum for each row that is looked at
WRITE_BYTES_MAX = 1 << 20
# The journal's own fsync waits for what is dirty on the same disk; let little pile up.
UNSYNCED_BYTES_MAX = 8 << 20
STEP_ROWS = 1024  # what a background thread does between two rests


class JobStopped(Exception):
    """The index stops: a job ends before its result, and its files are rubbish of a crash."""


class KeyIndexDamaged(Exception):
    """A file that the manifest names is missing, short, or does not match its checksum."""


class RunEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the manifest knows of one run; without it the file is only bytes."""

    number: int
    age: int  # within a bucket, the run with the higher age has the later puts
    bucket: int
    rows: int
    slice_bits: int
    newest_at_ms: int
    rows_checksum: int
    index_checksum: int

    @property
    def file_name(self) -> str:
        return f"run-{self.number:010d}.keys"

    @property
    def index_bytes(self) -> int:
        blocks = -(-self.rows // BLOCK_ROWS)
        return 2 * self.rows + 4 * ((1 << self.slice_bits) + 1) + 4 * blocks

    @property
    def file_bytes(self) -> int:
        return self.rows * ROW_BYTES + self.index_bytes


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


def slice_bits_for(rows: int) -> int:
    """How many leading bits of a digest choose its slice in a run of so many rows."""
    bits = max(rows // SLICE_ROWS_MAX, 1).bit_length()
    return min(max(bits, SLICE_BITS_MIN), PREFIX_BITS)


def sync_directory(directory: Path) -> None:
    """Put the names in a directory on stable storage."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


class RunWriter:
    """Writes one run file, given all of its rows in digest order, part by part.

    A part is a range of digests that share their first `part_bits` bits. `rows_max` only sizes the
    slices, `newest_at_ms` is taken as told. The caller makes the file's name durable and publishes
    the entry.
    """

    def __init__(
        self,
        directory: Path,
        *,
        number: int,
        age: int,
        bucket: int,
        rows_max: int,
        newest_at_ms: int,
    ) -> None:
        if rows_max > RUN_ROWS_MAX:
            raise ValueError(f"a run holds at most {RUN_ROWS_MAX} rows")
        self._number, self._age, self._bucket = number, age, bucket
        self._newest_at_ms = newest_at_ms
        self.slice_bits = slice_bits_for(rows_max)
        self._first_marks = bytearray()
        self._second_marks = bytearray()
        self._starts = array("I", (0,))
        self._block_checksums = array("I")
        self._open_block = b""
        self._rows = 0
        self._rows_checksum = 0
        self._unsynced_bytes = 0
        path = directory / f"run-{number:010d}.keys"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

    def append(self, part: int, part_bits: int, records: list[bytes]) -> None:
        """Add the sorted rows of the next part; every part comes once, in order, even if empty."""
        slices = 1 << (self.slice_bits - part_bits)
        first = part * slices
        shift = PREFIX_BITS - self.slice_bits
        position = 0
        for number in range(first + 1, first + slices):
            edge = (number << shift).to_bytes(PREFIX_BYTES, "big")
            position = bisect_left(records, edge, position)
            self._starts.append(self._rows + position)
        self._rows += len(records)
        self._starts.append(self._rows)
        if records:
            self._append_rows(b"".join(records))

    def _append_rows(self, rows: bytes) -> None:
        self._first_marks += rows[DIGEST_BYTES - 1 :: ROW_BYTES]
        self._second_marks += rows[DIGEST_BYTES - 2 :: ROW_BYTES]
        self._rows_checksum = crc32(rows, self._rows_checksum)
        block_bytes = BLOCK_ROWS * ROW_BYTES
        pending = self._open_block + rows
        whole = len(pending) - len(pending) % block_bytes
        for start in range(0, whole, block_bytes):
            self._block_checksums.append(crc32(pending[start : start + block_bytes]))
        self._open_block = pending[whole:]
        self._write(rows)

    def _write(self, data: bytes | bytearray) -> None:
        with memoryview(data) as view:
            for start in range(0, len(view), WRITE_BYTES_MAX):
                piece = view[start : start + WRITE_BYTES_MAX]
                write_all(self._descriptor, piece)
                self._unsynced_bytes += len(piece)
                if self._unsynced_bytes >= UNSYNCED_BYTES_MAX:
                    os.fdatasync(self._descriptor)
                    self._unsynced_bytes = 0

    def finish(self) -> RunEntry:
        """Write the index, put the file on stable storage, and describe it."""
        if self._open_block:
            self._block_checksums.append(crc32(self._open_block))
        checksum = 0
        index = (
            self._first_marks,
            self._second_marks,
            self._starts.tobytes(),
            self._block_checksums.tobytes(),
        )
        for section in index:
            checksum = crc32(section, checksum)
            self._write(section)
        os.fsync(self._descriptor)
        return RunEntry(
            number=self._number,
            age=self._age,
            bucket=self._bucket,
            rows=self._rows,
            slice_bits=self.slice_bits,
            newest_at_ms=self._newest_at_ms,
            rows_checksum=self._rows_checksum,
            index_checksum=checksum,
        )

    def close(self) -> None:
        os.close(self._descriptor)


class Run:
    """One open run file, with its index in memory."""

    def __init__(self, directory: Path, entry: RunEntry) -> None:
        self.entry = entry
        self._descriptor = os.open(directory / entry.file_name, os.O_RDONLY)
        try:
            self._load_index()
        except BaseException:
            self.close()
            raise

    def _load_index(self) -> None:
        entry = self.entry
        if os.fstat(self._descriptor).st_size != entry.file_bytes:
            raise KeyIndexDamaged(f"{entry.file_name} is not {entry.file_bytes} bytes long")
        slices = 1 << entry.slice_bits
        sizes = (entry.rows, entry.rows, 4 * (slices + 1), 4 * -(-entry.rows // BLOCK_ROWS))
        offset, checksum, sections = entry.rows * ROW_BYTES, 0, []
        for size in sizes:
            section = self._read(offset, size)
            checksum = crc32(section, checksum)
            sections.append(section)
            offset += size
        if checksum != entry.index_checksum:
            raise KeyIndexDamaged(f"the index of {entry.file_name} does not match its checksum")
        self.find_first_mark = sections[0].find
        self._second_marks = sections[1]
        self.starts = array("I")
        self.starts.frombytes(sections[2])
        self._block_checksums = array("I")
        self._block_checksums.frombytes(sections[3])
        self.shift = PREFIX_BITS - entry.slice_bits

    def confirm(self, digest: bytes, position: int, end: int) -> int | None:
        """The value of `digest`, given the first row in its slice that bears its first mark."""
        second_mark = digest[DIGEST_BYTES - 2]
        while position >= 0:
            if self._second_marks[position] == second_mark:
                row = self._checked_row(position)
                if row.startswith(digest):
                    return int.from_bytes(row[DIGEST_BYTES:], "big")
            position = self.find_first_mark(digest[DIGEST_BYTES - 1], position + 1, end)
        return None

    def _checked_row(self, position: int) -> bytes:
        # Damage must not look like an unknown key: that would count a bet twice.
        block, row = divmod(position, BLOCK_ROWS)
        first = block * BLOCK_ROWS
        rows = self.read_rows(first, min(first + BLOCK_ROWS, self.entry.rows))
        if crc32(rows) != self._block_checksums[block]:
            raise KeyIndexDamaged(f"block {block} of {self.entry.file_name} is damaged")
        return rows[row * ROW_BYTES : (row + 1) * ROW_BYTES]

    def position(self, prefix: int) -> int:
        """How many rows have digests below `prefix`, a number of `PREFIX_BITS` bits."""
        if prefix >> PREFIX_BITS:
            return self.entry.rows
        number = prefix >> self.shift
        start = self.starts[number]
        if not prefix & ((1 << self.shift) - 1):
            return start
        records = split_rows(self.read_rows(start, self.starts[number + 1]))
        return start + bisect_left(records, prefix.to_bytes(PREFIX_BYTES, "big"))

    def read_rows(self, start: int, end: int) -> bytes:
        return bytes(self._read(start * ROW_BYTES, (end - start) * ROW_BYTES))

    def _read(self, offset: int, size: int) -> bytearray:
        # Read in place: joining pieces of a large index would copy it while holding the GIL.
        data = bytearray(size)
        with memoryview(data) as view:
            done = 0
            while done < size:
                piece = view[done : done + WRITE_BYTES_MAX]
                count = os.preadv(self._descriptor, (piece,), offset + done)
                if not count:
                    raise KeyIndexDamaged(f"{self.entry.file_name} ends too early")
                done += count
        return data

    def close(self) -> None:
        os.close(self._descriptor)


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


def split_rows(rows: bytes) -> list[bytes]:
    return [rows[start : start + ROW_BYTES] for start in range(0, len(rows), ROW_BYTES)]


def _latest_of_each(records: list[bytes]) -> list[bytes]:
    # Rows of one digest sort by sequence number, and the last one to enter the dict stays.
    records.sort()
    latest = {record[:DIGEST_BYTES]: record for record in records}
    return records if len(latest) == len(records) else list(latest.values())


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that the files are known by; `bucket_ms` stays what it was at creation."""

    format: int
    byte_order: str  # of the starts and checksums in the run files
    bucket_ms: int
    covered_seq: int
    next_number: int
    runs: tuple[RunEntry, ...]


class ManifestFile:
    """The published manifest, replaced whole by one job at a time."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.current = manifest
        self._directory = directory
        self._lock = threading.Lock()

    @staticmethod
    def read(directory: Path) -> Manifest | None:
        try:
            checksum, _, body = (directory / MANIFEST_NAME).read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        if checksum != _checksum_line(body):
            raise KeyIndexDamaged(f"{directory / MANIFEST_NAME} does not match its checksum")
        try:
            manifest = msgspec.json.decode(body, type=Manifest)
        except msgspec.MsgspecError as error:
            raise KeyIndexDamaged(f"{directory / MANIFEST_NAME} is not understood") from error
        if manifest.format != MANIFEST_FORMAT:
            raise KeyIndexDamaged(f"the key index has format {manifest.format}, unknown here")
        if manifest.byte_order != sys.byteorder:
            raise KeyIndexDamaged(f"the key index was written {manifest.byte_order}-endian")
        return manifest

    def publish(
        self, *, removed: Iterable[Run] = (), added: Iterable[Run] = (), covered_seq: int = 0
    ) -> None:
        """Make a change of runs durable; publishing the same change again alters nothing."""
        with self._lock:
            runs = {entry.number: entry for entry in self.current.runs}
            for run in removed:
                runs.pop(run.entry.number, None)
            runs |= {run.entry.number: run.entry for run in added}
            manifest = msgspec.structs.replace(
                self.current,
                covered_seq=max(self.current.covered_seq, covered_seq),
                next_number=max(self.current.next_number, *(n + 1 for n in runs), 1),
                runs=tuple(runs.values()),
            )
            write_manifest(self._directory, manifest)
            self.current = manifest


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Replace the manifest; it is on stable storage, whole, when this returns."""
    body = msgspec.json.encode(manifest)
    draft = directory / f"{MANIFEST_NAME}.draft"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        write_all(descriptor, _checksum_line(body) + b"\n" + body)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(draft, directory / MANIFEST_NAME)  # noqa: PTH105 - the tests stop between calls of os
    sync_directory(directory)


def _checksum_line(body: bytes) -> bytes:
    return b"%08x" % crc32(body)
