"""The journals of all workers as the feed reads them, each opened once, when it is there."""

from collections.abc import Callable

from jackpotd.journal.log import LmdbLog, LogError


class Journals:
    """Readers of the workers' journals.

    Args:
        open_journal: opens a worker's journal read-only; raises LogError where there is none yet.
    """

    def __init__(self, open_journal: Callable[[int], LmdbLog]) -> None:
        self._open_journal = open_journal
        self._open: dict[int, LmdbLog] = {}

    def find(self, worker: int) -> LmdbLog | None:
        """A worker's journal; None where it never wrote one, or none that can be read yet."""
        found = self._open.get(worker)
        if found is None:
            try:
                found = self._open_journal(worker)
            except LogError:
                return None
            self._open[worker] = found
        return found

    def read(self, worker: int, seq: int) -> bytes | None:
        """A record; None where that journal is not there, or does not have it."""
        journal = self.find(worker)
        return None if journal is None else journal.read(seq)

    def close(self) -> None:
        for journal in self._open.values():
            journal.close()
        self._open.clear()
