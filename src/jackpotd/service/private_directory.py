"""Where a running server keeps its sockets: a private directory outside the data directory.

The path of a Unix socket has about a hundred bytes, and a data directory's may be longer. DATA_DIR/runtime names the
private one, so that a command finds the server, and the next start finds what a killed one has left.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jackpotd.service.data_directory import DataDirectory, DataDirectoryError

CONTROL_SOCKET = "control.sock"
EVENTS_SOCKET = "events.sock"

_PREFIX = "jackpotd-"
_OWNER = "data-directory"
_SOCKET_PATH_BYTES_MAX = 100
_LONGEST_NAME = "worker-9999.sock"


@contextmanager
def private_directory(data: DataDirectory) -> Iterator[Path]:
    """A fresh private directory, gone when left. Expects the data directory's lock to be held.

    Raises:
        DataDirectoryError: the system's directory for temporary files has too long a path for sockets.
    """
    _remove_stale(data)
    path = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        if len(os.fsencode(path / _LONGEST_NAME)) > _SOCKET_PATH_BYTES_MAX:
            raise DataDirectoryError(f"{path}: too long for sockets; choose another with TMPDIR")
        (path / _OWNER).write_text(str(data.root.resolve()))
        fresh = data.runtime.with_suffix(".new")
        fresh.write_text(str(path))
        fresh.replace(data.runtime)
        yield path
    finally:
        data.runtime.unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)


def running_directory(data: DataDirectory) -> Path | None:
    """The private directory of the server that runs, or ran, on a data directory."""
    with suppress(OSError):
        path = Path(data.runtime.read_text())
        if _is_ours(path, data):
            return path
    return None


def _remove_stale(data: DataDirectory) -> None:
    path = running_directory(data)
    if path is not None:
        shutil.rmtree(path, ignore_errors=True)


def _is_ours(path: Path, data: DataDirectory) -> bool:
    """Whether a server of this user has made it for this very data directory, and not for one that it is a copy of."""
    with suppress(OSError):
        found = path.lstat()
        return (
            path.name.startswith(_PREFIX)
            and stat.S_ISDIR(found.st_mode)
            and found.st_uid == os.getuid()
            and (path / _OWNER).read_text() == str(data.root.resolve())
        )
    return False
