"""The folder of a key index: who may write in it, what a crash left there, and what is published."""

import fcntl
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from jackpotd.journal.key_manifest import MANIFEST_NAME, Manifest, ManifestFile, write_manifest
from jackpotd.journal.key_runs import KeyIndexDamaged, Run, RunEntry

OPEN_ATTEMPTS_MAX = 20


class KeyIndexInUse(Exception):
    """Another writer holds the directory."""


def lock_directory(directory: Path) -> int:
    """A descriptor that keeps other writers out until it is closed."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise KeyIndexInUse(f"another writer holds {directory}") from error
    return descriptor


def tidy(directory: Path, empty: Manifest) -> None:
    """Remove what a crash left behind, and give a new directory its first manifest."""
    manifest = ManifestFile.read(directory)
    files = {path.name for path in directory.glob("run-*.keys")}
    if manifest is None:
        # The first manifest is written before the first run, so this was not a crash.
        if files:
            raise KeyIndexDamaged(f"{directory} has run files but no manifest")
        write_manifest(directory, empty)
        return
    for name in files - {entry.file_name for entry in manifest.runs}:
        (directory / name).unlink()
    (directory / f"{MANIFEST_NAME}.draft").unlink(missing_ok=True)


def open_published(
    directory: Path, empty: Manifest, reused: Mapping[RunEntry, Run]
) -> tuple[Manifest, list[Run]]:
    """What a writer, this one or another, has published last; runs that are open already are taken as they are."""
    manifest = ManifestFile.read(directory) or empty
    for _ in range(OPEN_ATTEMPTS_MAX):
        with ExitStack() as undo:
            runs = []
            try:
                for entry in manifest.runs:
                    run = reused.get(entry)
                    if run is None:
                        run = Run(directory, entry)
                        undo.callback(run.close)
                    runs.append(run)
            except FileNotFoundError as error:
                # A writer may have replaced the runs since this reader read their names.
                newer = ManifestFile.read(directory) or empty
                if newer == manifest:
                    raise KeyIndexDamaged(f"{error.filename} is missing") from error
                manifest = newer
                continue
            undo.pop_all()
            return manifest, runs
    raise KeyIndexDamaged(f"the runs in {directory} change faster than they can be opened")
