"""The append-only log on LMDB: sequence numbers as keys, opaque records, one hash chain.

Every append is one transaction in default sync mode: its records, then a seal that chains their hash to the seal
before.
A seal's key is that of the last record and one byte more, so it sorts right after it and the records stay contiguous.
`append` runs in the writer's thread alone; `read` and `scan` may run anywhere, and in other processes.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import lmdb
import msgspec

FORMAT = 1
_SEAL_MARK = b"\x01"
_SEQ_BYTES = 8
_SCAN_CHUNK = 1024


StorageError = lmdb.Error
"""What LMDB raises where the disk is full, a file is not its own, or a page is damaged."""


class LogError(Exception):
    """The log cannot be used: wrong format, a writer that is not the last one, or a broken chain."""


class Genesis(msgspec.Struct, frozen=True):
    """The record at sequence 0: what this log was created with, for good."""

    format: int
    name: str
    created_ms: int


def _key(seq: int) -> bytes:
    return seq.to_bytes(_SEQ_BYTES, "big")


def chain(previous: bytes, records: Sequence[bytes]) -> bytes:
    """The seal of a commit: SHA-256 over the seal before and each record with its length."""
    # One call, without the interpreter's lock: each of many would have to get it back from a busy event loop.
    parts = [previous]
    for record in records:
        parts += (len(record).to_bytes(4, "big"), record)
    return hashlib.sha256(b"".join(parts)).digest()


class LmdbLog:
    """One log, one environment; records have contiguous sequence numbers from 0, the genesis record."""

    def __init__(self, env: lmdb.Environment, name: str) -> None:
        self._env = env
        self.genesis = self._read_genesis(name)
        self.last_seq, self._seal = self._tail()

    @classmethod
    def open(cls, directory: Path, *, name: str, map_bytes_max: int, now_ms: int) -> "LmdbLog":
        """The log in a directory, created with its genesis record if it is not there yet."""
        directory.mkdir(parents=True, exist_ok=True)
        env = lmdb.open(os.fspath(directory), map_size=map_bytes_max, max_dbs=0, max_readers=64)
        with env.begin(write=True) as txn:
            if txn.get(_key(0)) is None:
                genesis = msgspec.json.encode(Genesis(FORMAT, name, now_ms))
                txn.put(_key(0), genesis)
                txn.put(_key(0) + _SEAL_MARK, chain(b"", [genesis]))
        return cls._checked(env, name)

    @classmethod
    def open_readonly(cls, directory: Path, *, name: str, map_bytes_max: int) -> "LmdbLog":
        """The log of another process, as it stands at each read; the map must hold what it may grow to."""
        if not (directory / "data.mdb").exists():
            raise LogError(f"{directory} holds no journal")
        env = lmdb.open(
            os.fspath(directory), map_size=map_bytes_max, readonly=True, max_dbs=0, max_readers=64
        )
        return cls._checked(env, name)

    @classmethod
    def _checked(cls, env: lmdb.Environment, name: str) -> "LmdbLog":
        """A log that is what it should be; else its environment is let go, so that it can be opened again."""
        try:
            return cls(env, name)
        except BaseException:
            env.close()
            raise

    def _read_genesis(self, name: str) -> Genesis:
        data = self.read(0)
        if data is None:
            raise LogError("the journal has no first record")
        try:
            genesis = msgspec.json.decode(data, type=Genesis)
        except msgspec.DecodeError as error:
            raise LogError(f"the journal's first record is unreadable: {error}") from None
        if genesis.format != FORMAT or genesis.name != name:
            raise LogError(f"expected format {FORMAT} of {name!r}, found {genesis}")
        return genesis

    def _tail(self) -> tuple[int, bytes]:
        with self._env.begin() as txn, txn.cursor() as cursor:
            if not cursor.last() or not cursor.key().endswith(_SEAL_MARK, _SEQ_BYTES):
                raise LogError("the journal does not end with a seal")
            return int.from_bytes(cursor.key()[:_SEQ_BYTES], "big"), cursor.value()

    def append(self, expected_seq: int, records: Sequence[bytes]) -> None:
        """Writes records from `expected_seq` on, and a seal after them, durably.

        Raises:
            LogError: the log does not stand right before `expected_seq`.
            lmdb.Error: disk full, I/O error; nothing was written.
        """
        if expected_seq != self.last_seq + 1:
            raise LogError(f"append at {expected_seq}, but the log stands at {self.last_seq}")
        seal = chain(self._seal, records)
        last = self.last_seq + len(records)
        items = [(_key(seq), record) for seq, record in enumerate(records, expected_seq)]
        items.append((_key(last) + _SEAL_MARK, seal))
        with self._env.begin(write=True) as txn, txn.cursor() as cursor:
            _, added = cursor.putmulti(items, append=True, overwrite=False)
            if added < len(items):
                raise LogError(f"sequence number {min(expected_seq, last)} is taken")
        self.last_seq, self._seal = last, seal

    def read(self, seq: int) -> bytes | None:
        """One committed record."""
        with self._env.begin() as txn:
            data: bytes | None = txn.get(_key(seq))
        return data

    def scan(self, first_seq: int) -> Iterator[tuple[int, bytes]]:
        """Committed records from a sequence number on, without seals, to the end as of the last chunk read."""
        for key, value in self._items(first_seq):
            if len(key) == _SEQ_BYTES:
                yield int.from_bytes(key, "big"), value

    def _items(self, first_seq: int) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in chunks: a long read transaction would keep LMDB from using pages again."""
        following = _key(first_seq)
        while True:
            with self._env.begin() as txn, txn.cursor() as cursor:
                found = cursor.set_range(following)
                chunk: list[tuple[bytes, bytes]] = []
                while found and len(chunk) < _SCAN_CHUNK:
                    chunk.append((cursor.key(), cursor.value()))
                    found = cursor.next()
            if not chunk:
                return
            yield from chunk
            following = chunk[-1][0] + b"\0"

    def scan_verified(self) -> Iterator[tuple[int, bytes]]:
        """Every record from the genesis on, checking that numbers are contiguous and each seal fits its records.

        Raises:
            LogError: the first number or seal that does not fit.
        """
        seal, pending, expected = b"", list[bytes](), 0
        for key, value in self._items(0):
            seq = int.from_bytes(key[:_SEQ_BYTES], "big")
            if len(key) > _SEQ_BYTES:
                seal = chain(seal, pending)
                if seq != expected - 1 or value != seal:
                    raise LogError(f"the seal after record {seq} does not fit what it seals")
                pending.clear()
                continue
            if seq != expected:
                raise LogError(f"record {expected} is missing")
            expected += 1
            pending.append(value)
            yield seq, value
        if pending:
            raise LogError("the journal does not end with a seal")

    def close(self) -> None:
        self._env.close()
