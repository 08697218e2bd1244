"""The data directory: what lies where, and the lock that lets in one process at a time."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jackpotd.service.data_directory import DataDirectory, DataDirectoryError

DEADLINE_S = 20

HOLDER = """
import sys
from pathlib import Path
from jackpotd.service.data_directory import DataDirectory

with DataDirectory(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""

TAKER = """
import sys
from pathlib import Path
from jackpotd.service.data_directory import DataDirectory, DataDirectoryError

try:
    with DataDirectory(Path(sys.argv[1])).locked():
        print("locked")
except DataDirectoryError as error:
    print(error)
"""


@contextmanager
def held_by_another_process(root: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process has the directory until the block is left; it is gone afterwards."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            yield holder
        finally:
            holder.kill()


def taken_by_another_process(root: Path) -> str:
    """What another process says that tries to take the directory."""
    taker = subprocess.run(
        [sys.executable, "-c", TAKER, str(root)],
        check=True,
        timeout=DEADLINE_S,
        capture_output=True,
        text=True,
    )
    return taker.stdout.strip()


# -- the lock


def test_locked_keeps_a_second_process_out(tmp_path: Path) -> None:
    """While one process has the directory, another is told so in words, and changes nothing."""
    root = tmp_path / "data"
    with DataDirectory(root).locked():
        assert f"{root} is in use by another jackpotd" == taken_by_another_process(root)
        assert [root / "lock"] == list(root.iterdir())
    assert taken_by_another_process(root) == "locked"


def test_locked_is_refused_while_another_process_holds_it(tmp_path: Path) -> None:
    """The same the other way round; who is refused does not disturb who holds it."""
    data = DataDirectory(tmp_path / "data")
    with held_by_another_process(data.root) as holder:
        for _ in range(2):
            with pytest.raises(DataDirectoryError, match="in use by another"), data.locked():
                pytest.fail("both have the directory")
        assert holder.poll() is None


def test_locked_is_free_again_when_its_holder_was_killed(tmp_path: Path) -> None:
    """A lock ends with its process, however that ended: no stale file keeps the next one out."""
    data = DataDirectory(tmp_path / "data")
    with held_by_another_process(data.root) as holder:
        holder.kill()
        holder.wait(DEADLINE_S)
        with data.locked():
            assert (data.root / "lock").exists()


def test_locked_keeps_a_second_holder_of_the_same_process_out(tmp_path: Path) -> None:
    """The lock is per opening, so not even its own process gets it twice."""
    data = DataDirectory(tmp_path)
    with data.locked():
        with pytest.raises(DataDirectoryError, match="in use"), data.locked():
            pytest.fail("the directory was taken twice")
        assert "in use" in taken_by_another_process(tmp_path)


def test_locked_is_free_again_after_an_error(tmp_path: Path) -> None:
    """Whatever happens inside, the lock is given back when the block is left."""
    data = DataDirectory(tmp_path)
    with pytest.raises(ZeroDivisionError), data.locked():
        raise ZeroDivisionError
    with data.locked():
        pass


def test_locked_other_directories_are_free(tmp_path: Path) -> None:
    """Each directory has a lock of its own."""
    with DataDirectory(tmp_path / "one").locked(), DataDirectory(tmp_path / "other").locked():
        assert {"one", "other"} == {path.name for path in tmp_path.iterdir()}


def test_locked_is_not_handed_to_children(tmp_path: Path) -> None:
    """A program that the server starts does not keep the directory when the server is gone."""
    with DataDirectory(tmp_path).locked():
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False
        )
    with child:
        try:
            assert taken_by_another_process(tmp_path) == "locked"
        finally:
            child.kill()


# -- directories that cannot be used


def test_locked_makes_the_directory_with_its_parents(tmp_path: Path) -> None:
    """A first start needs nothing to be there."""
    root = tmp_path / "a" / "b"
    with DataDirectory(root).locked():
        assert root.is_dir()


@pytest.mark.parametrize(
    ("root", "reason"), [("file", "Not a directory"), ("file/data", "Not a directory")]
)
def test_locked_where_no_directory_can_be_says_why(tmp_path: Path, root: str, reason: str) -> None:
    """The message names the directory and the system's reason."""
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(DataDirectoryError) as refused,
        DataDirectory(tmp_path / root).locked(),
    ):
        pytest.fail("a file was taken for a directory")
    assert f"{tmp_path / root}: {reason}" == str(refused.value)


@pytest.mark.parametrize("made", ["nothing", "empty", "something else"])
def test_require_without_a_catalog_is_refused(tmp_path: Path, made: str) -> None:
    """Reading commands refuse a directory that no server has used, and make nothing there."""
    root = tmp_path / "data"
    if made != "nothing":
        root.mkdir()
    if made == "something else":
        (root / "catalog").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataDirectoryError) as refused:
        DataDirectory(root).require()
    assert f"{root} is not a data directory of jackpotd" == str(refused.value)
    assert before == sorted(tmp_path.rglob("*"))


def test_require_with_a_catalog_passes(tmp_path: Path) -> None:
    """A directory with a catalog's log is one of ours."""
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "data.mdb").write_bytes(b"")
    DataDirectory(tmp_path).require()


# -- what lies where


def test_paths_lie_in_the_directory_and_apart(tmp_path: Path) -> None:
    """Each part has a place of its own, so that none takes another's files for its own."""
    data = DataDirectory(tmp_path)
    places = [
        data.catalog,
        data.worker(0).journal,
        data.worker(0).rows,
        data.worker(0).keys,
        data.token_secret,
        data.vault_key,
        tmp_path / "lock",
    ]
    names = [
        "catalog",
        "worker-0/journal",
        "worker-0/rows",
        "worker-0/keys",
        "token.secret",
        "vault.key",
        "lock",
    ]
    assert names == [os.fspath(place.relative_to(tmp_path)) for place in places]


def test_prepare_makes_the_folders_and_may_be_repeated(tmp_path: Path) -> None:
    """All folders are there before anything is opened in them; what they hold is left alone."""
    data = DataDirectory(tmp_path / "data")
    data.prepare()
    data.worker(0).prepare()
    kept = data.worker(0).journal / "data.mdb"
    kept.write_bytes(b"kept")
    data.prepare()
    data.worker(0).prepare()
    data.sync()
    data.worker(0).sync()
    folders = [data.catalog, data.worker(0).journal, data.worker(0).rows, data.worker(0).keys]
    assert [True] * 4 == [folder.is_dir() for folder in folders]
    assert kept.read_bytes() == b"kept"


@pytest.mark.parametrize(
    "root",
    [
        "data",
        "a/data",
    ],
)
def test_prepare_puts_the_name_of_each_folder_on_stable_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    """A folder's name is safe once the folder above it was synced, so all of those are."""
    data, synced = DataDirectory(tmp_path / root), set[Path]()
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.add(Path(f"/proc/self/fd/{descriptor}").resolve())
    )
    data.prepare()
    data.worker(0).prepare()
    made = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert set() == {path.parent for path in made} - synced
