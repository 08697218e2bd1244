"""The keeper of the secrets behind seals: one master key in the data directory, and fresh nonces.

A secret is never written down: it follows from the key, from who it is for and from its nonce, which stands in the
journal. So the key must survive restarts, and be read by nobody else: who has it knows every draw of the cycles that
run. All workers of a server share it.
"""

import fcntl
import os
import secrets
import stat
from contextlib import closing
from pathlib import Path

import structlog

from jackpotd.core.drbg import Drbg, EntropySource, Seeding
from jackpotd.core.fairness import secret_from
from jackpotd.journal.log import LogError
from jackpotd.journal.row_store import LmdbRows
from jackpotd.service.data_directory import DataDirectory, WorkerFolder
from jackpotd.service.settings import Settings
from jackpotd.service.storage import map_bytes_max
from jackpotd.wire import rows

KEY_BYTES = 32
NONCE_BYTES = 32
RESEED_EVERY_NONCES = 256

_OTHERS = stat.S_IRWXG | stat.S_IRWXO

_log = structlog.get_logger("jackpotd.vault")


class KeyDamaged(Exception):
    """The master key on disk cannot be used; the message says why."""


def guard_key(settings: Settings, data: DataDirectory) -> None:
    """Makes the key of a new data directory, or checks the one that is there, before any worker needs it.

    Raises:
        KeyDamaged: it cannot be used, or it is gone and jackpots are sealed with it.
    """
    path = data.vault_key
    if not path.exists() and any(_is_sealed(settings, folder) for folder in data.workers()):
        raise KeyDamaged(
            f"{path} is missing, and the jackpots here are sealed with it: bring it back from a backup"
        )
    load_key(path)


def _is_sealed(settings: Settings, folder: WorkerFolder) -> bool:
    """Whether an instance in a worker's checkpoint has a seal; those of version 0.1 have none."""
    try:
        found = LmdbRows.open_readonly(folder.rows, map_bytes_max=map_bytes_max(settings))
    except LogError:
        return False
    with closing(found):
        for _, data in found.scan(rows.INSTANCES):
            row: rows.InstanceRow = rows.decode(data)
            if row.rare is not None and any(row.rare.seals):
                return True
    return False


def load_key(path: Path) -> bytes:
    """The master key of a data directory, created once, whole, and readable by its owner alone.

    Raises:
        KeyDamaged: the file is there and is no key of ours, or others can get at it. It is left alone: with another
            key no seal could be opened any more.
    """
    # Workers start side by side: one of them makes the key, the others find it.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if not path.exists():
            _create(path)
            os.fsync(folder)
    finally:
        os.close(folder)
    return _read(path)


def _create(path: Path) -> None:
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise KeyDamaged(f"{path} is no file")
        if mode & _OTHERS:
            raise KeyDamaged(
                f"{path} can be reached by others than its owner (mode {stat.S_IMODE(mode):03o}); "
                "where nobody has read it, set its mode to 600"
            )
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise KeyDamaged(f"{path} is not a master key of {KEY_BYTES} bytes")
    if len(set(key)) == 1:
        raise KeyDamaged(f"{path} holds one byte over and over, which is no master key")
    return key


class SystemVault:
    """Secrets under a master key; nonces from a generator that the operating system seeds, again and again.

    Args:
        master: the key.
        entropy: the operating system's, or a test's.
    """

    def __init__(self, master: bytes, entropy: EntropySource = os.urandom) -> None:
        self._master = master
        self._drbg = Drbg(
            entropy, personalisation=b"jackpotd nonces", reseed_every=RESEED_EVERY_NONCES
        )
        self._log_seeding()

    @property
    def seeding(self) -> Seeding:
        """How often the generator was seeded, and the hash of the last seed."""
        return self._drbg.seeding

    def fresh(self, instance_id: str, pot_id: str, number: int) -> tuple[str, bytes]:
        """A nonce, in hex, that was never given before, and the secret that follows from it.

        Raises:
            EntropyFailed: the system's entropy is not to be trusted, now or earlier.
        """
        before = self._drbg.seeding.generation
        nonce = self._drbg.generate(NONCE_BYTES).hex()
        if self._drbg.seeding.generation != before:
            self._log_seeding()
        return nonce, self.secret(instance_id, pot_id, number, nonce)

    def secret(self, instance_id: str, pot_id: str, number: int, nonce: str) -> bytes:
        """The secret that was given with this nonce."""
        return secret_from(self._master, instance_id, pot_id, number, nonce)

    def _log_seeding(self) -> None:
        seeding = self._drbg.seeding
        _log.info(
            "generator seeded",
            generation=seeding.generation,
            material_sha256=seeding.material_sha256,
        )
