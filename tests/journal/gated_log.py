"""A log whose appends a test lets through one by one: what a slow disk is to the group commit."""

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import trio

Batch = tuple[int, tuple[bytes, ...]]

_GATE_TIMEOUT_S = 20


class DiskFull(Exception):
    """What a test has the next append raise."""


class GatedLog:
    """Each append reports itself to the test, then waits in the writer's thread until it is let through.

    When the context is left all gates are open, so that no thread waits for a test that has failed.
    """

    def __init__(self) -> None:
        self.records: list[bytes] = [b"genesis"]
        self.threads: set[int] = set()
        self._gate = threading.Semaphore(0)
        self._is_open = self._is_full = False
        self._token = trio.lowlevel.current_trio_token()
        self._report, self._reports = trio.open_memory_channel[Batch](1_000)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.open_for_good()

    @property
    def last_seq(self) -> int:
        return len(self.records) - 1

    def append(self, expected_seq: int, records: Sequence[bytes]) -> None:
        self.threads.add(threading.get_ident())
        batch = (expected_seq, tuple(records))
        self._token.run_sync_soon(self._report.send_nowait, batch)
        if not self._is_open and not self._gate.acquire(timeout=_GATE_TIMEOUT_S):
            raise TimeoutError("the test let nothing through")
        if self._is_full:
            raise DiskFull("no space left")
        assert expected_seq == len(self.records)
        self.records.extend(records)

    def read(self, seq: int) -> bytes | None:
        return self.records[seq] if seq < len(self.records) else None

    async def begun(self) -> Batch:
        """The next append that has begun: its first number and its records."""
        return await self._reports.receive()

    @property
    def unseen(self) -> int:
        """How many appends have begun that the test has not asked about."""
        return self._reports.statistics().current_buffer_used

    def let_through(self) -> None:
        """One append comes to its end."""
        self._gate.release()

    def fail(self) -> None:
        """One append, and every later one, raises and writes nothing."""
        self._is_full = True
        self._gate.release()

    def open_for_good(self) -> None:
        """This append and all later ones come to their end by themselves."""
        self._is_open = True
        self._gate.release()
