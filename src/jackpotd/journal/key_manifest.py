"""The manifest of the key index: what its bytes on disk are known by, replaced whole by a rename."""

import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

import msgspec

from jackpotd.journal.key_runs import KeyIndexDamaged, Run, RunEntry, write_all

MANIFEST_NAME = "manifest"
MANIFEST_FORMAT = 1


def sync_directory(directory: Path) -> None:
    """Put the names in a directory on stable storage."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that the files are known by; `bucket_ms` stays what it was at creation."""

    format: int
    byte_order: str  # of the starts and checksums in the run files
    bucket_ms: int
    covered_seq: int
    next_number: int
    runs: tuple[RunEntry, ...]


class ManifestFile:
    """The published manifest, replaced whole by one job at a time."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.current = manifest
        self._directory = directory
        self._lock = threading.Lock()

    @staticmethod
    def read(directory: Path) -> Manifest | None:
        try:
            checksum, _, body = (directory / MANIFEST_NAME).read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        if checksum != _checksum_line(body):
            raise KeyIndexDamaged(f"{directory / MANIFEST_NAME} does not match its checksum")
        try:
            manifest = msgspec.json.decode(body, type=Manifest)
        except msgspec.MsgspecError as error:
            raise KeyIndexDamaged(f"{directory / MANIFEST_NAME} is not understood") from error
        if manifest.format != MANIFEST_FORMAT:
            raise KeyIndexDamaged(f"the key index has format {manifest.format}, unknown here")
        if manifest.byte_order != sys.byteorder:
            raise KeyIndexDamaged(f"the key index was written {manifest.byte_order}-endian")
        return manifest

    def publish(
        self, *, removed: Iterable[Run] = (), added: Iterable[Run] = (), covered_seq: int = 0
    ) -> None:
        """Make a change of runs durable; publishing the same change again alters nothing."""
        with self._lock:
            runs = {entry.number: entry for entry in self.current.runs}
            for run in removed:
                runs.pop(run.entry.number, None)
            runs |= {run.entry.number: run.entry for run in added}
            manifest = msgspec.structs.replace(
                self.current,
                covered_seq=max(self.current.covered_seq, covered_seq),
                next_number=max(self.current.next_number, *(n + 1 for n in runs), 1),
                runs=tuple(runs.values()),
            )
            write_manifest(self._directory, manifest)
            self.current = manifest


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Replace the manifest; it is on stable storage, whole, when this returns."""
    body = msgspec.json.encode(manifest)
    draft = directory / f"{MANIFEST_NAME}.draft"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        write_all(descriptor, _checksum_line(body) + b"\n" + body)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(draft, directory / MANIFEST_NAME)  # noqa: PTH105 - the tests stop between calls of os
    sync_directory(directory)


def _checksum_line(body: bytes) -> bytes:
    return b"%08x" % crc32(body)
