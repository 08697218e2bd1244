"""The rows of the checkpoint on LMDB: ordered byte keys, small write transactions, short reads (design decision 4)."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import lmdb

from jackpotd.journal.log import LogError

_SCAN_CHUNK = 256


class LmdbRows:
    """One ordered map of bytes to bytes; `write` runs in one thread at a time, reads may run anywhere."""

    def __init__(self, env: lmdb.Environment) -> None:
        self._env = env

    @classmethod
    def open(cls, directory: Path, *, map_bytes_max: int) -> "LmdbRows":
        directory.mkdir(parents=True, exist_ok=True)
        return cls(
            lmdb.open(os.fspath(directory), map_size=map_bytes_max, max_dbs=0, max_readers=64)
        )

    @classmethod
    def open_readonly(cls, directory: Path, *, map_bytes_max: int) -> "LmdbRows":
        """The rows of another process; the map must hold what they may grow to.

        Raises:
            LogError: there are none.
        """
        if not (directory / "data.mdb").exists():
            raise LogError(f"{directory} holds no rows")
        return cls(
            lmdb.open(
                os.fspath(directory),
                map_size=map_bytes_max,
                readonly=True,
                max_dbs=0,
                max_readers=64,
            )
        )

    def get(self, key: bytes) -> bytes | None:
        with self._env.begin() as txn:
            data: bytes | None = txn.get(key)
        return data

    def write(self, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        """One durable transaction; None removes a row, and of several values for one key the last one counts."""
        latest = dict(items)
        # In the order of the tree, neighbours meet in the same page while it is at hand.
        values = sorted((key, value) for key, value in latest.items() if value is not None)
        with self._env.begin(write=True) as txn:
            with txn.cursor() as cursor:
                cursor.putmulti(values)
            for key in latest.keys() - {key for key, _ in values}:
                txn.delete(key)

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows with a prefix in ascending order, from behind `after` on if that is one of them.

        There is one short read transaction for each chunk.
        """
        following = max(prefix, after + b"\0") if after else prefix
        while True:
            with self._env.begin() as txn, txn.cursor() as cursor:
                found = cursor.set_range(following)
                chunk: list[tuple[bytes, bytes]] = []
                while found and len(chunk) < _SCAN_CHUNK and cursor.key().startswith(prefix):
                    chunk.append((cursor.key(), cursor.value()))
                    found = cursor.next()
            yield from chunk
            if len(chunk) < _SCAN_CHUNK:
                return
            following = chunk[-1][0] + b"\0"

    def scan_down(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows with a prefix in descending order, in one short read transaction for each chunk."""
        before = _after(prefix)
        while True:
            with self._env.begin() as txn, txn.cursor() as cursor:
                is_within = before is not None and cursor.set_range(before)
                found = cursor.prev() if is_within else cursor.last()
                chunk: list[tuple[bytes, bytes]] = []
                while found and len(chunk) < _SCAN_CHUNK and cursor.key().startswith(prefix):
                    chunk.append((cursor.key(), cursor.value()))
                    found = cursor.prev()
            yield from chunk
            if len(chunk) < _SCAN_CHUNK:
                return
            before = chunk[-1][0]

    def snapshot(self) -> Iterator[tuple[bytes, bytes]]:
        """All rows as they stood at one moment, in one read transaction: for `verify`, in a process of its own."""
        with self._env.begin() as txn, txn.cursor() as cursor:
            yield from cursor.iternext(keys=True, values=True)

    def close(self) -> None:
        self._env.close()


def _after(prefix: bytes) -> bytes | None:
    """The first key behind all that begin with the prefix; None where there can be none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
