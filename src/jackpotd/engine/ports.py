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
    """An ordered map of bytes to bytes; `write` is one durable transaction, None removes a row.

    A scan goes over the keys with a prefix, or over those of them that come after a key.
    """

    def get(self, key: bytes) -> bytes | None: ...

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]: ...

    def scan_down(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]: ...

    def write(self, items: Sequence[tuple[bytes, bytes | None]]) -> None: ...


class Keys(Protocol):
    """Which record has used an idempotency key: digest of 16 bytes to sequence number, for as long as keys live."""

    @property
    def covered_seq(self) -> int: ...

    def get(self, digest: bytes, now_ms: int) -> int | None: ...

    def put(self, digest: bytes, seq: int, at_ms: int) -> None: ...


Read = Callable[[int], bytes | None]
"""Reads a committed record of a journal."""


class Views(Protocol):
    """The keys of workers that instances here came from, read from their files."""

    def find(self, digest: bytes, now_ms: int) -> tuple[int, Read] | None:
        """The record that has used a key, and how the journal that has it is read."""
        ...

    async def open(self, worker: int, since_ms: int) -> None:
        """Looks into a worker's keys from now on, for as long as keys of that time live."""
        ...


class NoViews:
    """For a worker that no instance has moved to."""

    def find(self, digest: bytes, now_ms: int) -> tuple[int, Read] | None:  # noqa: ARG002 - the port's shape
        return None

    async def open(self, worker: int, since_ms: int) -> None:  # noqa: ARG002 - the port's shape
        raise RuntimeError("this worker has no neighbours")


class Entropy(Protocol):
    """Identifiers that nobody can foresee."""

    def uuid(self) -> str:
        """A random UUID (version 4)."""
        ...


class Vault(Protocol):
    """The keeper of the secrets behind seals; it finds each of them again from its nonce."""

    def fresh(self, instance_id: str, pot_id: str, number: int) -> tuple[str, bytes]:
        """A new nonce, 32 bytes in hex, for the seal of this number, and the secret of 32 bytes that it leads to."""
        ...

    def secret(self, instance_id: str, pot_id: str, number: int, nonce: str) -> bytes:
        """The secret that a nonce stands for: the same at any time and in every worker."""
        ...


Clock = Callable[[], int]
"""Unix time in milliseconds."""
