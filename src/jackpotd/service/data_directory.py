"""What lies where in a data directory, and the lock that keeps a second writer out."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

CATALOG_LOG = "catalog"

_WORKER_FOLDER = re.compile(r"worker-(0|[1-9][0-9]{0,3})")
_EMPTIED = "emptied"


class DataDirectoryError(Exception):
    """A data directory that cannot be used; the message says why."""


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    """Makes a folder and those above it that are missing, each name on stable storage."""
    if not folder.exists():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


class WorkerFolder(Struct, frozen=True):
    """The paths of one worker's part of a data directory."""

    index: int
    root: Path

    @property
    def log_name(self) -> str:
        """What the worker's journal calls itself."""
        return f"worker-{self.index}"

    @property
    def journal(self) -> Path:
        return self.root / "journal"

    @property
    def rows(self) -> Path:
        return self.root / "rows"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def is_used(self) -> bool:
        """Whether a worker has ever written here."""
        return (self.journal / "data.mdb").exists()

    @property
    def is_emptied(self) -> bool:
        """Whether every instance has moved out since a worker last wrote here."""
        return (self.root / _EMPTIED).exists()

    def mark_emptied(self) -> None:
        """Notes, on stable storage, that nothing lives here any more: the next start needs no process for it."""
        (self.root / _EMPTIED).touch()
        _sync(self.root)

    def prepare(self) -> None:
        """Makes the folders, and takes back that they are empty."""
        for folder in (self.journal, self.rows, self.keys):
            _make(folder.absolute())
        if self.is_emptied:
            (self.root / _EMPTIED).unlink()
            _sync(self.root)

    def sync(self) -> None:
        """Puts the names of files that were just created on stable storage."""
        for folder in (self.root, self.journal, self.rows):
            _sync(folder)


class DataDirectory(Struct, frozen=True):
    """The paths of a data directory. Each worker has a folder of its own."""

    root: Path

    @property
    def catalog(self) -> Path:
        return self.root / "catalog"

    @property
    def feed(self) -> Path:
        """What the feed keeps: events for those who missed them, and results on their way to webhooks."""
        return self.root / "feed"

    @property
    def token_secret(self) -> Path:
        return self.root / "token.secret"

    @property
    def vault_key(self) -> Path:
        """The master key behind all seals; whoever has it knows what is still hidden."""
        return self.root / "vault.key"

    @property
    def runtime(self) -> Path:
        """Names the private directory of the server that is running, or was."""
        return self.root / "runtime"

    def worker(self, index: int) -> WorkerFolder:
        """The part of one worker."""
        return WorkerFolder(index, self.root / f"worker-{index}")

    def workers(self) -> list[WorkerFolder]:
        """The parts of all workers that have ever written here, in their order."""
        found = [_WORKER_FOLDER.fullmatch(path.name) for path in self.root.glob("worker-*")]
        parts = (self.worker(int(match[1])) for match in found if match)
        return sorted((part for part in parts if part.is_used), key=lambda part: part.index)

    def prepare(self) -> None:
        """Makes the catalog's folder, with its name on stable storage: LMDB syncs files, not the folders above them."""
        _make(self.catalog.absolute())

    def sync(self) -> None:
        """Puts the names of files that were just created on stable storage."""
        for folder in (self.root, self.catalog):
            _sync(folder)

    def prepare_feed(self) -> None:
        """Makes the feed's folder, with its name on stable storage."""
        _make(self.feed.absolute())

    def sync_feed(self) -> None:
        """Puts the names of the feed's files on stable storage."""
        _sync(self.feed)

    def require(self) -> None:
        """Refuses a directory that no server has used yet."""
        if not (self.catalog / "data.mdb").exists():
            raise DataDirectoryError(f"{self.root} is not a data directory of jackpotd")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the directory, if it is not there, and holds it alone until left.

        Raises:
            DataDirectoryError: another process has it, or it cannot be made.
        """
        try:
            _make(self.root.absolute())
            descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataDirectoryError(f"{self.root}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise DataDirectoryError(f"{self.root} is in use by another jackpotd") from None
        try:
            yield
        finally:
            os.close(descriptor)
