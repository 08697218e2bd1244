"""The vault: its key is made once, whole, for its owner's eyes, and its secrets follow from key and nonce alone."""

import hashlib
import os
import random
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog.testing
from msgspec import Raw
from msgspec.structs import replace

from jackpotd.core.drbg import EntropyFailed
from jackpotd.core.events import Sealed
from jackpotd.core.evolve import create, evolve
from jackpotd.core.fairness import secret_from
from jackpotd.core.state import Seal, Status
from jackpotd.engine.cells import Cell, definition_of, row_of
from jackpotd.journal.row_store import LmdbRows
from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.settings import Settings
from jackpotd.service.vault import (
    RESEED_EVERY_NONCES,
    KeyDamaged,
    SystemVault,
    guard_key,
    load_key,
)
from jackpotd.testing.templates import encoded, random_template
from jackpotd.wire import records, rows

LOADER = """
import sys
from pathlib import Path
from jackpotd.service.vault import load_key
sys.stdin.read()
print(load_key(Path(sys.argv[1])).hex())
"""


@pytest.fixture
def generous_umask() -> Iterator[None]:
    """A umask that takes no right away, as the least careful of shells has it."""
    before = os.umask(0)
    yield
    os.umask(before)


class Source:
    """The system's entropy, watched; `bad` stands in for what comes next."""

    def __init__(self) -> None:
        self.given: list[bytes] = []
        self.bad: bytes | None = None

    def __call__(self, length_bytes: int) -> bytes:
        found = os.urandom(length_bytes) if self.bad is None else self.bad
        self.given.append(found)
        return found


@pytest.mark.usefixtures("generous_umask")
def test_load_key_new_file_is_the_owners_alone(tmp_path: Path) -> None:
    """The file is born with mode 0600, whatever the umask, and nothing is left beside it."""
    path = tmp_path / "vault.key"
    load_key(path)
    assert stat.S_IFREG | 0o600 == path.stat().st_mode
    assert [path] == list(tmp_path.iterdir())


def test_load_key_is_the_same_each_time_and_its_own_for_each_directory(tmp_path: Path) -> None:
    """Seals survive restarts, and nothing of one data directory opens those of another."""
    one = load_key(tmp_path / "one")
    assert [one, one] == [load_key(tmp_path / "one") for _ in range(2)]
    other = load_key(tmp_path / "other")
    assert one != other
    assert [32, 32] == [len(one), len(other)]
    assert one == (tmp_path / "one").read_bytes()


def test_load_key_workers_that_start_together_agree(tmp_path: Path) -> None:
    """Several processes that find no key at the same moment end up with one and the same."""
    path = tmp_path / "vault.key"
    command = [sys.executable, "-c", LOADER, str(path)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.close()
    found = set()
    for worker in workers:
        with worker:
            assert worker.stdout is not None
            found.add(worker.stdout.read().strip())
    assert {path.read_bytes().hex()} == found
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize("damaged", [b"", b"x", bytes(range(31)), bytes(range(33)), bytes(32)])
def test_load_key_damaged_file_is_refused_and_left_alone(tmp_path: Path, damaged: bytes) -> None:
    """A file that is no key is named and kept: with a new key no seal could be opened."""
    path = tmp_path / "vault.key"
    path.write_bytes(damaged)
    path.chmod(0o600)
    with pytest.raises(KeyDamaged, match=r"vault\.key .*master key"):
        load_key(path)
    assert damaged == path.read_bytes()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o777])
def test_load_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    """Any right of the group or of others will do; the message says how it is."""
    path = tmp_path / "vault.key"
    key = load_key(path)
    path.chmod(mode)
    with pytest.raises(KeyDamaged, match=f"by others than its owner .mode {mode:o}"):
        load_key(path)
    path.chmod(0o400)
    assert key == load_key(path)


def test_load_key_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """A pipe is not waited for."""
    path = tmp_path / "vault.key"
    os.mkfifo(path, 0o600)
    with pytest.raises(KeyDamaged, match="is no file"):
        load_key(path)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_load_key_stopped_while_it_is_made_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A server that dies before its first key is whole starts again without help."""
    path = tmp_path / "vault.key"

    def stop(*_: object) -> None:
        raise InterruptedError(call)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, stop)
        with pytest.raises(InterruptedError):
            load_key(path)
    assert not path.exists()
    assert load_key(path) == load_key(path)
    assert [path] == list(tmp_path.iterdir())


def data_directory_of(root: Path, *, is_sealed: bool) -> DataDirectory:
    """One that a worker has used: with an instance in its checkpoint, sealed or as version 0.1 left it."""
    data = DataDirectory(root)
    data.prepare()
    folder = data.worker(0)
    folder.prepare()
    (folder.journal / "data.mdb").touch()
    created = records.Created(
        at_ms=0,
        instance_id="i",
        name="i",
        owner_id="op",
        template_id="t",
        template_owner_id="op",
        template=Raw(encoded(random_template(random.Random(1)))),
        brands=("op:a",),
        status=Status.ACTIVE,
        by="test",
    )
    cell = Cell(create(definition_of(created), Status.ACTIVE), 1, records.encode(created))
    row = replace(row_of(cell), rare=None)
    if is_sealed:
        sealed = Sealed(0, 0, Seal(1, "", "", 0, 0, 0), "")
        cell.state = evolve(cell.state, sealed)
        row = row_of(cell)
    disk = LmdbRows.open(folder.rows, map_bytes_max=1 << 24)
    disk.write([(rows.instance_key("i"), rows.encode(row))])
    disk.close()
    return data


def test_guard_key_makes_one_for_data_without_seals(tmp_path: Path) -> None:
    """For a new directory, and for one of version 0.1; afterwards it is the same."""
    for name in ("new", "old"):
        data = DataDirectory(tmp_path / name)
        if name == "old":
            data = data_directory_of(tmp_path / name, is_sealed=False)
        data.prepare()
        guard_key(Settings(), data)
        key = load_key(data.vault_key)
        guard_key(Settings(), data)
        assert key == load_key(data.vault_key)


def test_guard_key_makes_none_for_data_with_seals(tmp_path: Path) -> None:
    """A lost key is not replaced in silence: every jackpot would be out of service, and the loss hard to see."""
    data = data_directory_of(tmp_path / "data", is_sealed=True)
    with pytest.raises(
        KeyDamaged, match=r"vault\.key is missing, and the jackpots here are sealed"
    ):
        guard_key(Settings(), data)
    assert not data.vault_key.exists()
    load_key(data.vault_key)
    guard_key(Settings(), data)


def test_vault_finds_a_secret_again_from_its_nonce() -> None:
    """After a restart, in another worker: key and nonce are enough, and both are needed."""
    key = bytes(range(32))
    nonce, secret = SystemVault(key).fresh("instance", "pot", 3)
    assert secret_from(key, "instance", "pot", 3, nonce) == secret
    assert secret == SystemVault(key).secret("instance", "pot", 3, nonce)
    assert secret != SystemVault(key[::-1]).secret("instance", "pot", 3, nonce)
    assert [32, 32] == [len(bytes.fromhex(nonce)), len(secret)]


def test_r_win_2_nonces_and_secrets_never_repeat() -> None:
    """Not for the same seal either, over several seeds of the generator, in two workers that share the key."""
    workers = [SystemVault(bytes(range(32))) for _ in range(2)]
    count = 3 * RESEED_EVERY_NONCES
    pairs = [vault.fresh("instance", "pot", 1) for vault in workers for _ in range(count)]
    assert 2 * count == len({nonce for nonce, _ in pairs})
    assert 2 * count == len({secret for _, secret in pairs})


def test_r_rng_3_the_system_seeds_the_generator_again_and_again() -> None:
    """Every so many nonces, and no nonce is a piece of what the system gave."""
    source = Source()
    vault = SystemVault(bytes(range(32)), source)
    generations = []
    nonces = []
    for _ in range(2 * RESEED_EVERY_NONCES + 1):
        nonces.append(vault.fresh("instance", "pot", 1)[0])
        generations.append(vault.seeding.generation)
    assert [*sorted([1, 2] * RESEED_EVERY_NONCES), 3] == generations
    assert [32, 16, 32, 32] == [len(found) for found in source.given]
    assert not {found.hex() for found in source.given} & set(nonces)


def test_r_rng_3_log_holds_the_hash_of_a_seed_and_nothing_of_it() -> None:
    """One line for each seed, with its number; neither key, nor seed, nor secret is in any of them."""
    source, key = Source(), bytes(range(32))
    with structlog.testing.capture_logs() as lines:
        vault = SystemVault(key, source)
        secrets = [vault.fresh("instance", "pot", 1) for _ in range(RESEED_EVERY_NONCES + 1)]
    first = hashlib.sha256(source.given[0] + source.given[1] + b"jackpotd nonces").hexdigest()
    second = hashlib.sha256(source.given[2]).hexdigest()
    assert [(1, first), (2, second)] == [
        (line["generation"], line["material_sha256"]) for line in lines
    ]
    text = repr(lines)
    assert key.hex() not in text
    assert not any(found.hex() in text for found in source.given)
    assert not any(nonce in text or secret.hex() in text for nonce, secret in secrets)


@pytest.mark.parametrize("bad", [b"short", bytes(32)])
def test_r_rng_4_vault_without_entropy_makes_no_seal(bad: bytes) -> None:
    """It fails closed; what was sealed before can still be opened."""
    source = Source()
    vault = SystemVault(bytes(range(32)), source)
    nonce, secret = vault.fresh("instance", "pot", 1)
    for _ in range(RESEED_EVERY_NONCES - 1):
        vault.fresh("instance", "pot", 1)
    source.bad = bad
    with pytest.raises(EntropyFailed):
        vault.fresh("instance", "pot", 1)
    source.bad = None
    with pytest.raises(EntropyFailed):
        vault.fresh("instance", "pot", 1)
    assert secret == vault.secret("instance", "pot", 1, nonce)
