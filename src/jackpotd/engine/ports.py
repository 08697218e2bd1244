"""What the engine needs from outside, as it sees it. `journal` has the durable forms, `testing` those in memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol


class Journal(Protocol):
    """The writer of one log: stages records, tells when they are durable, reads them back."""

    @property
    def staged_seq(self) -> int: ...

    @property
    def committed_seq(self) -> int: ...

    def stage(self, record: bytes) -> int: ...

    def when_durable(self, callback: Callable[[], None]) -> None: ...

    async def durable(self) -> None: ...

    def read(self, seq: int) -> bytes | None: ...


class Rows(Protocol):
    """An ordered map of bytes to bytes; `write` is one durable transaction, None removes a row."""

    def get(self, key: bytes) -> bytes | None: ...

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]: ...

    def scan_down(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]: ...

    def write(self, items: Sequence[tuple[bytes, bytes | None]]) -> None: ...


class Keys(Protocol):
    """Which record has used an idempotency key: digest of 16 bytes to sequence number, for as long as keys live."""

    @property
    def covered_seq(self) -> int: ...

    def get(self, digest: bytes, now_ms: int) -> int | None: ...

    def put(self, digest: bytes, seq: int, at_ms: int) -> None: ...


class Entropy(Protocol):
    """Random numbers that nobody can foresee."""

    def draws(self, count: int) -> tuple[int, ...]:
        """Independent 64-bit integers."""
        ...

    def uuid(self) -> str:
        """A random UUID (version 4)."""
        ...


Clock = Callable[[], int]
"""Unix time in milliseconds."""
