"""The private directory of a running server: found by commands, gone at the end, and what a killed server has left."""

import shutil
import stat
from pathlib import Path

import pytest

from jackpotd.service.data_directory import DataDirectory, DataDirectoryError
from jackpotd.service.private_directory import private_directory, running_directory


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    root = tmp_path / "data"
    root.mkdir()
    return DataDirectory(root)


def left_by_a_killed_server(data: DataDirectory) -> Path:
    """A private directory that nobody has cleaned away."""
    with private_directory(data) as path:
        kept = path.with_name(f"{path.name}-kept")
        shutil.copytree(path, kept)
    data.runtime.write_text(str(kept))
    (kept / "edge.sock").write_bytes(b"")
    return kept


def test_directory_is_private_named_and_gone_afterwards(data: DataDirectory) -> None:
    """Only its owner may look inside, `runtime` names it, and nothing stays."""
    with private_directory(data) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert path == running_directory(data)
    assert not path.exists()
    assert not data.runtime.exists()
    assert running_directory(data) is None


def test_what_a_killed_server_has_left_is_removed(data: DataDirectory) -> None:
    """The next start cleans up after it."""
    stale = left_by_a_killed_server(data)
    with private_directory(data) as path:
        assert path != stale
        assert not stale.exists()


def test_copy_of_a_data_directory_leaves_the_original_servers_alone(
    data: DataDirectory, tmp_path: Path
) -> None:
    """A copy names the original's directory, which is none of its own."""
    with private_directory(data) as path:
        shutil.copytree(data.root, tmp_path / "copy")
        copied = DataDirectory(tmp_path / "copy")
        assert running_directory(copied) is None
        with private_directory(copied):
            assert path.exists()


@pytest.mark.parametrize("text", ["", "/", "/etc", "relative", "/tmp/jackpotd-not-there"])  # noqa: S108
def test_foreign_directory_is_never_taken_for_ours(data: DataDirectory, text: str) -> None:
    """Whatever `runtime` says, only a directory that a server has made for this data is removed."""
    data.runtime.write_text(text)
    assert running_directory(data) is None
    with private_directory(data):
        pass
    assert not text or not text.startswith("/etc") or Path(text).exists()


def test_other_directory_with_our_name_is_never_taken_for_ours(
    data: DataDirectory, tmp_path: Path
) -> None:
    """A name proves nothing; what is inside does."""
    foreign = tmp_path / "jackpotd-foreign"
    foreign.mkdir()
    (foreign / "precious").write_bytes(b"")
    data.runtime.write_text(str(foreign))
    with private_directory(data):
        assert (foreign / "precious").exists()


def test_temporary_directory_with_a_long_path_is_refused(
    data: DataDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket's path has about a hundred bytes; the message names the way out, and nothing stays."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with pytest.raises(DataDirectoryError, match="TMPDIR"), private_directory(data):
        pytest.fail("sockets would not fit")
    assert list(long.iterdir()) == []
