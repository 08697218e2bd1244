"""What lies where in a data directory, and the lock that keeps a second writer out."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

CATALOG_LOG = "catalog"
WORKER_LOG = "worker-0"


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


class DataDirectory(Struct, frozen=True):
    """The paths of a data directory. Each worker has a folder of its own."""

    root: Path

    @property
    def catalog(self) -> Path:
        return self.root / "catalog"

    @property
    def worker_journal(self) -> Path:
        return self.root / "worker-0" / "journal"

    @property
    def worker_rows(self) -> Path:
        return self.root / "worker-0" / "rows"

    @property
    def worker_keys(self) -> Path:
        return self.root / "worker-0" / "keys"

    @property
    def token_secret(self) -> Path:
        return self.root / "token.secret"

    def prepare(self) -> None:
        """Makes the folders, with their names on stable storage: LMDB syncs files, not the folders above them."""
        for folder in (self.catalog, self.worker_journal, self.worker_rows, self.worker_keys):
            _make(folder.absolute())

    def sync(self) -> None:
        """Puts the names of files that were just created on stable storage."""
        for folder in (self.root, self.catalog, self.worker_journal, self.worker_rows):
            _sync(folder)

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
