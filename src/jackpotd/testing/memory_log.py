"""A log in memory, for tests: what `GroupCommit` appends to and recovery reads, cut where a crash would cut it.

It keeps the rules of the durable log: record 0 is its own, numbers are contiguous, and a batch goes in whole or not at
all. `copy` is what a crash after some record would have left.
"""

from collections.abc import Iterator, Sequence

GENESIS = b"genesis"


class AppendRefused(Exception):
    """The log does not stand where the writer expects, or a test broke it."""


class MemoryLog:
    """Records in a list; `append` may run in the writer's thread."""

    def __init__(self, records: Sequence[bytes] = ()) -> None:
        self.records: list[bytes] = [GENESIS, *records]
        self.is_broken = False

    @property
    def last_seq(self) -> int:
        return len(self.records) - 1

    def append(self, expected_seq: int, records: Sequence[bytes]) -> None:
        """Takes a batch.

        Raises:
            AppendRefused: another number was expected, or the log is broken; nothing was taken.
        """
        if self.is_broken:
            raise AppendRefused("the disk is full")
        if expected_seq != len(self.records):
            raise AppendRefused(f"append at {expected_seq}, but the log stands at {self.last_seq}")
        self.records.extend(records)

    def read(self, seq: int) -> bytes | None:
        return self.records[seq] if seq < len(self.records) else None

    def scan(self, first_seq: int) -> Iterator[tuple[int, bytes]]:
        return iter(list(enumerate(self.records))[first_seq:])

    def scan_verified(self) -> Iterator[tuple[int, bytes]]:
        return self.scan(0)

    def copy(self, last_seq: int | None = None) -> "MemoryLog":
        """A log of its own that ends with `last_seq`; without one, the same as this."""
        end = self.last_seq if last_seq is None else last_seq
        return MemoryLog(self.records[1 : end + 1])
