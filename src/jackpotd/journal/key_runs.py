"""The run files of the key index: what it has on disk.

A run file is written once, read by position, and deleted whole. It holds keys that were accepted in one time bucket:
the rows in digest order, then the index over them: two marks (one byte each) for each row, where each slice of the
digest space starts, and a checksum for each block of rows. The index is held in memory while the run is open (about
2.5 bytes for each key), so a key that is not in the run costs one `find` and no read; a key that is in it costs one
`pread` of one block, whose checksum is verified first.

A run file says nothing about itself; its entry in the manifest is what makes its bytes a run.

Never here: the clock, which runs to write or to merge, and when.
"""

import mmap
import os
from array import array
from bisect import bisect_left
from contextlib import suppress
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

BLOCK_ROWS = (
    32  # one read and one checksum for each row that is looked at: the checksum is the dearer half
)
FORMER_BLOCK_ROWS = 128  # of runs whose entry says nothing about it
BLOCK_BYTES = BLOCK_ROWS * ROW_BYTES
# Each write lets go of the interpreter and has to get it back from a busy event loop: few writes, and none too long.
PENDING_BYTES = 256 * BLOCK_BYTES
WRITE_BYTES_MAX = 1 << 20
HUGE_PAGE_BYTES = 2 << 20
# The journal's own fsync waits for what is dirty on the same disk; let little pile up.
UNSYNCED_BYTES_MAX = 8 << 20


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
    block_rows: int = FORMER_BLOCK_ROWS

    @property
    def file_name(self) -> str:
        return f"run-{self.number:010d}.keys"

    @property
    def index_bytes(self) -> int:
        blocks = -(-self.rows // self.block_rows)
        return 2 * self.rows + 4 * ((1 << self.slice_bits) + 1) + 4 * blocks

    @property
    def file_bytes(self) -> int:
        return self.rows * ROW_BYTES + self.index_bytes


def slice_bits_for(rows: int) -> int:
    """How many leading bits of a digest choose its slice in a run of so many rows."""
    bits = max(rows // SLICE_ROWS_MAX, 1).bit_length()
    return min(max(bits, SLICE_BITS_MIN), PREFIX_BITS)


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
        self._pending = bytearray()
        self._rows = 0
        self._rows_checksum = 0
        self._unsynced_bytes = 0
        path = directory / f"run-{number:010d}.keys"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

    def append(self, part: int, part_bits: int, records: list[bytes]) -> bytes:
        """Add the sorted rows of the next part, and give them back joined; every part comes once, in order, even if
        empty.
        """
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
        rows = b"".join(records)
        self._append_rows(rows)
        return rows

    def _append_rows(self, rows: bytes) -> None:
        self._first_marks += rows[DIGEST_BYTES - 1 :: ROW_BYTES]
        self._second_marks += rows[DIGEST_BYTES - 2 :: ROW_BYTES]
        self._rows_checksum = crc32(rows, self._rows_checksum)
        self._pending += rows
        if len(self._pending) >= PENDING_BYTES:
            self._write_blocks(len(self._pending) // BLOCK_BYTES * BLOCK_BYTES)

    def _write_blocks(self, size: int) -> None:
        blocks = bytes(self._pending[:size])
        del self._pending[:size]
        for start in range(0, size, BLOCK_BYTES):
            self._block_checksums.append(crc32(blocks[start : start + BLOCK_BYTES]))
        self._write(blocks)

    def _write(self, data: "bytes | bytearray | array[int]") -> None:
        if not data:
            return  # an empty view cannot be cast
        with memoryview(data).cast("B") as view:
            for start in range(0, len(view), WRITE_BYTES_MAX):
                piece = view[start : start + WRITE_BYTES_MAX]
                write_all(self._descriptor, piece)
                self._unsynced_bytes += len(piece)
                if self._unsynced_bytes >= UNSYNCED_BYTES_MAX:
                    os.fdatasync(self._descriptor)
                    self._unsynced_bytes = 0

    def finish(self) -> RunEntry:
        """Write the index, put the file on stable storage, and describe it."""
        self._write_blocks(len(self._pending))
        checksum = 0
        for section in (
            self._first_marks,
            self._second_marks,
            self._starts,
            self._block_checksums,
        ):
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
            block_rows=BLOCK_ROWS,
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
        index = anonymous_memory(entry.index_bytes)
        view = memoryview(index)[: entry.index_bytes]
        self._read_into(view, entry.rows * ROW_BYTES)
        if crc32(view) != entry.index_checksum:
            raise KeyIndexDamaged(f"the index of {entry.file_name} does not match its checksum")
        self.find_first_mark = index.find
        self._second_marks = view[entry.rows : 2 * entry.rows]
        starts_end = 2 * entry.rows + 4 * ((1 << entry.slice_bits) + 1)
        self.starts = view[2 * entry.rows : starts_end].cast("I")
        self._block_checksums = view[starts_end:].cast("I")
        self.shift = PREFIX_BITS - entry.slice_bits

    def confirm(self, digest: bytes, position: int, end: int) -> int | None:
        """The value of `digest`, given the first row in its slice that bears its first mark."""
        second_mark = digest[DIGEST_BYTES - 2]
        while position >= 0:
            if self._second_marks[position] == second_mark:
                row = self._checked_row(position)
                if row.startswith(digest):
                    return int.from_bytes(row[DIGEST_BYTES:], "big")
            position = self.find_first_mark(digest[DIGEST_BYTES - 1 :], position + 1, end)
        return None

    def _checked_row(self, position: int) -> bytes:
        # Damage must not look like an unknown key: that would count a bet twice.
        block_rows = self.entry.block_rows
        block, row = divmod(position, block_rows)
        first = block * block_rows
        rows = self.read_rows(first, min(first + block_rows, self.entry.rows))
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
        data = os.pread(self._descriptor, (end - start) * ROW_BYTES, start * ROW_BYTES)
        if len(data) == (end - start) * ROW_BYTES:
            return data
        raise KeyIndexDamaged(f"{self.entry.file_name} ends too early")

    def _read_into(self, memory: memoryview, offset: int) -> None:
        done = 0
        while done < len(memory):
            piece = memory[done : done + WRITE_BYTES_MAX]
            count = os.preadv(self._descriptor, (piece,), offset + done)
            if not count:
                raise KeyIndexDamaged(f"{self.entry.file_name} ends too early")
            done += count

    def close(self) -> None:
        os.close(self._descriptor)


def split_rows(rows: bytes) -> list[bytes]:
    return [rows[start : start + ROW_BYTES] for start in range(0, len(rows), ROW_BYTES)]


def anonymous_memory(size: int) -> mmap.mmap:
    """Memory that costs no pause: its zeroes are not written beforehand, and huge pages go back in no time."""
    memory = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= HUGE_PAGE_BYTES:
        with suppress(OSError):  # a system without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
