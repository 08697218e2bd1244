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
            self.root.mkdir(parents=True, exist_ok=True)
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
