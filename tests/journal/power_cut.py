"""A disk that stops at a chosen call, and on a power cut takes away what was never synced.

`Disk` counts the calls that change the disk, and lets each of them through until the machine stops.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# A killed process loses nothing that it wrote. A power cut loses what was not synced: the names of
# new files only, while renames and removals stay, or every change of a name since the last sync.
LOSSES = ("nothing", "new names", "all names")


class PowerCut(BaseException):
    """The machine stops here."""


class Disk:
    """Lets `calls_left` changes of the disk happen, then stops; knows what a power cut undoes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path, calls_left: int) -> None:
        self.calls_left = calls_left
        self._directory = directory
        self._synced_bytes = {path: path.stat().st_size for path in directory.iterdir()}
        self._undo_names: list[tuple[str, Callable[[], object]]] = []
        for name in ("open", "write", "fsync", "fdatasync", "replace", "unlink"):
            monkeypatch.setattr(os, name, self._counted(getattr(os, name), name))

    def _counted(self, call: Callable[..., object], name: str) -> Callable[..., object]:
        def counted(*args: object) -> object:
            if name == "open" and args[1] & os.O_ACCMODE == os.O_RDONLY:  # type: ignore[operator]
                return call(*args)
            if not self.calls_left:
                if name == "write":
                    half = bytes(args[1])[: len(bytes(args[1])) // 2]  # type: ignore[call-overload]
                    call(args[0], half)
                raise PowerCut
            self.calls_left -= 1
            self._note(name, args)
            return call(*args)

        return counted

    def _note(self, name: str, args: tuple[object, ...]) -> None:
        if name in ("fsync", "fdatasync"):
            path = Path(f"/proc/self/fd/{args[0]}").resolve()
            if path.is_dir():
                self._undo_names.clear()
            else:
                self._synced_bytes[path] = path.stat().st_size
        elif name == "open" and not Path(str(args[0])).exists():
            created = Path(str(args[0]))
            self._undo_names.append((name, lambda: created.unlink(missing_ok=True)))
        elif name == "replace":
            new, old = Path(str(args[1])), Path(str(args[1])).read_bytes()
            self._synced_bytes[new] = self._synced_bytes[Path(str(args[0]))]
            self._undo_names.append((name, lambda: new.write_bytes(old)))
        elif name == "unlink":
            gone, data = Path(str(args[0])), Path(str(args[0])).read_bytes()
            self._undo_names.append((name, lambda: gone.write_bytes(data)))

    def lose(self, loss: str) -> None:
        """Cut unsynced files short and undo unsynced changes of names, as file systems may."""
        if loss == "nothing":
            return
        for path in self._directory.iterdir():
            os.truncate(path, self._synced_bytes.get(path, 0))
        for kind, undo in reversed(self._undo_names):
            if loss == "all names" or kind == "open":
                undo()
