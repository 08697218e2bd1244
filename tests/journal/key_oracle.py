"""The key index as these tests drive it, and the dict that knows what it must answer.

`Journal` stands for the truth outside: it remembers every put, and after a crash gives back those
that the files do not cover.
"""

import random
from pathlib import Path

from jackpotd.journal.keys import KeyIndex

RETENTION_MS = 6_000  # buckets of 1,000 ms
BUCKET_MS = 1_000

# Few digests, so that they meet again; many share their slice and one or both of their marks.
POOL = [
    head + bytes(11) + tail
    for head in (b"\x00\x00\x00", b"\x00\x00\x01", b"\x7f\xff\xff", b"\xff\xff\xff")
    for tail in (b"\x00\x00", b"\x00\x01", b"\x01\x00", b"\xff\xff")
]


def open_index(directory: Path, *, writable: bool = True) -> KeyIndex:
    return KeyIndex.open(
        directory, retention_ms=RETENTION_MS, writable=writable, background_share=1
    )


def flush(index: KeyIndex, seq: int) -> None:
    job = index.begin_flush(seq)
    assert job is not None
    job.write()
    index.end_flush(job)
    job.release()


def merge(index: KeyIndex, now_ms: int) -> None:
    job = index.begin_merge(now_ms)
    assert job is not None
    job.write()
    index.end_merge(job)
    job.release()


def absorb(index: KeyIndex) -> None:
    job = index.begin_absorb()
    assert job is not None
    job.write()
    index.end_absorb(job)
    job.release()


def expire(index: KeyIndex, now_ms: int) -> None:
    job = index.begin_expire(now_ms)
    assert job is not None
    job.write()
    index.end_expire(job)
    job.release()


def digests(count: int, seed: int = 1) -> list[bytes]:
    draw = random.Random(seed)
    return [draw.randbytes(16) for _ in range(count)]


def run_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("run-*.keys"))


class Journal:
    """Every put in order, and what a dict says of them."""

    def __init__(self) -> None:
        self.puts: list[tuple[bytes, int, int]] = []
        self.latest: dict[bytes, tuple[int, int]] = {}

    @property
    def seq(self) -> int:
        return len(self.puts)

    def put(self, index: KeyIndex, digest: bytes, at_ms: int) -> None:
        # The contract of put: of one digest, time does not go back.
        at_ms = max(at_ms, self.latest.get(digest, (0, 0))[1])
        self.puts.append((digest, self.seq + 1, at_ms))
        self.latest[digest] = (self.seq, at_ms)
        index.put(*self.puts[-1])

    def replay(self, index: KeyIndex) -> None:
        for digest, seq, at_ms in self.puts[index.covered_seq :]:
            index.put(digest, seq, at_ms)

    def expected(self, digest: bytes, now_ms: int) -> int | None:
        seq, at_ms = self.latest.get(digest, (None, 0))
        return seq if now_ms - at_ms <= RETENTION_MS else None

    def covered(self, index: KeyIndex) -> dict[bytes, int]:
        return {digest: seq for digest, seq, _ in self.puts[: index.covered_seq]}


def two_flushed_buckets(index: KeyIndex, journal: Journal) -> int:
    """Two runs in each of two buckets; gives back a time when both are closed."""
    for bucket in (50, 50, 51, 51):
        for digest in digests(40, seed=journal.seq) + digests(4):
            journal.put(index, digest, bucket * BUCKET_MS)
        flush(index, journal.seq)
    return 53 * BUCKET_MS
