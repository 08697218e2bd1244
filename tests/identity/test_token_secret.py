"""The signing secret in the data directory: made once, whole, for its owner's eyes, and never guessed at."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from jackpotd.identity.tokens import SecretDamaged, load_secret


@pytest.fixture
def generous_umask() -> Iterator[None]:
    """A umask that takes no right away, as the least careful of shells has it."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("generous_umask")
def test_load_secret_new_file_is_the_owners_alone(tmp_path: Path) -> None:
    """The file is born with mode 0600, whatever the umask, and nothing is left beside it."""
    path = tmp_path / "token.secret"
    load_secret(path)
    assert stat.S_IFREG | 0o600 == path.stat().st_mode
    assert [path] == list(tmp_path.iterdir())


def test_load_secret_is_the_same_each_time_and_its_own_for_each_directory(tmp_path: Path) -> None:
    """Tokens survive restarts, and those of one data directory open nothing at another."""
    one = load_secret(tmp_path / "one")
    assert [one, one] == [load_secret(tmp_path / "one") for _ in range(2)]
    other = load_secret(tmp_path / "other")
    assert one != other
    assert [64, 64] == [len(one), len(other)]
    assert one == (tmp_path / "one").read_bytes()


@pytest.mark.parametrize("damaged", [b"", b"x", bytes(63), bytes(65)])
def test_load_secret_damaged_file_is_refused_and_left_alone(tmp_path: Path, damaged: bytes) -> None:
    """A file that is no secret is named and kept: a new secret would void every token in silence."""
    path = tmp_path / "token.secret"
    path.write_bytes(damaged)
    with pytest.raises(SecretDamaged, match=r"token\.secret is not a token secret of 64 bytes"):
        load_secret(path)
    assert damaged == path.read_bytes()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_load_secret_stopped_while_it_is_made_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A server that dies before its first secret is whole starts again without help."""
    path = tmp_path / "token.secret"

    def stop(*_: object) -> None:
        raise InterruptedError(call)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, stop)
        with pytest.raises(InterruptedError):
            load_secret(path)
    assert not path.exists()
    secret = load_secret(path)
    assert secret == load_secret(path)
    assert [path] == list(tmp_path.iterdir())
