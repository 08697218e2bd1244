"""The rows of the checkpoint against a dict: any writes, any prefix, both directions."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackpotd.journal import row_store
from jackpotd.journal.log import LogError, StorageError
from jackpotd.journal.row_store import LmdbRows

MEBIBYTE = 1 << 20
DEADLINE_S = 20
CHUNK = row_store._SCAN_CHUNK

Rows = dict[bytes, bytes]
Items = list[tuple[bytes, bytes | None]]

# Few letters, so that keys meet again and are prefixes of each other; the ends of the order are among them.
KEYS = st.lists(st.sampled_from(b"\x00ab\xff"), min_size=1, max_size=4).map(bytes)
BATCHES = st.lists(
    st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=3)), max_size=6), max_size=5
)


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[LmdbRows]:
    with closing(LmdbRows.open(tmp_path / "rows", map_bytes_max=8 * MEBIBYTE)) as opened:
        yield opened


def applied(table: Rows, items: Items) -> Rows:
    """What a dict holds after the same write."""
    after = dict(table)
    for key, value in items:
        if value is None:
            after.pop(key, None)
        else:
            after[key] = value
    return after


def ascending(table: Rows, prefix: bytes) -> list[tuple[bytes, bytes]]:
    return sorted(item for item in table.items() if item[0].startswith(prefix))


def numbered(prefix: bytes, count: int) -> Rows:
    return {prefix + b"%08d" % number: b"%d" % number for number in range(count)}


# -- against a dict


@settings(derandomize=True, deadline=None, max_examples=150)
@given(batches=BATCHES, prefixes=st.lists(KEYS, max_size=4))
def test_any_writes_answer_as_a_dict_does(batches: list[Items], prefixes: list[bytes]) -> None:
    """After each write every key and every prefix, both ways, give what a dict gives."""
    with tempfile.TemporaryDirectory(prefix="rows-") as directory:
        # Not synced: no example is about a crash, and each would wait for the disk.
        rows = LmdbRows(lmdb.open(directory, map_size=MEBIBYTE, sync=False))
        table: Rows = {}
        seen = {key for batch in batches for key, _ in batch}
        for items in batches:
            rows.write(items)
            table = applied(table, items)
            assert {key: table.get(key) for key in seen} == {key: rows.get(key) for key in seen}
            for prefix in (b"", *prefixes, *seen):
                expected = ascending(table, prefix)
                assert expected == list(rows.scan(prefix))
                assert expected[::-1] == list(rows.scan_down(prefix))
            assert ascending(table, b"") == list(rows.snapshot())
        rows.close()


@pytest.mark.parametrize("count", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1])
def test_scan_across_chunk_boundaries_gives_every_row_once(rows: LmdbRows, count: int) -> None:
    """However many rows a prefix has, its neighbours in the order are never among them."""
    table = numbered(b"b", count)
    neighbours = numbered(b"a", 2) | numbered(b"c", 2)
    rows.write(list((table | neighbours).items()))
    assert ascending(table, b"b") == list(rows.scan(b"b"))
    assert ascending(table, b"b")[::-1] == list(rows.scan_down(b"b"))
    assert ascending(table | neighbours, b"") == list(rows.snapshot())


def test_scan_down_key_of_high_bytes_is_among_the_rows(rows: LmdbRows) -> None:
    """A row whose key goes on with sixteen of the highest bytes is found in both directions."""
    table = {b"a" + b"\xff" * 16: b"1", b"a" + b"\xff" * 17: b"2"}
    rows.write(list(table.items()))
    assert ascending(table, b"a") == list(rows.scan(b"a"))
    assert ascending(table, b"a")[::-1] == list(rows.scan_down(b"a"))


# -- writes


def test_write_same_key_twice_the_last_one_counts(rows: LmdbRows) -> None:
    """Within one transaction the order of the items is the order of their effect."""
    rows.write([(b"a", b"1"), (b"a", b"2"), (b"b", b"1"), (b"b", None), (b"c", None), (b"c", b"")])
    assert [(b"a", b"2"), (b"c", b"")] == list(rows.snapshot())


@pytest.mark.parametrize("key", [b"", bytes(512)])
def test_write_key_that_no_row_can_have_writes_nothing(rows: LmdbRows, key: bytes) -> None:
    """A transaction is whole or not at all: its good rows are not written beside a bad one."""
    rows.write([(b"a", b"1")])
    with pytest.raises(StorageError):
        rows.write([(b"a", b"2"), (b"b", b"2"), (key, b"2")])
    assert [(b"a", b"1")] == list(rows.snapshot())
    rows.write([(b"b", b"3")])
    assert [(b"a", b"1"), (b"b", b"3")] == list(rows.snapshot())


def test_write_map_full_writes_nothing_and_a_larger_map_goes_on(tmp_path: Path) -> None:
    """Where the map ends, rows stay as they were, and a larger map takes what did not fit."""
    large = [(b"b", bytes(300 << 10))]
    with closing(LmdbRows.open(tmp_path, map_bytes_max=128 << 10)) as rows:
        rows.write([(b"a", b"1")])
        with pytest.raises(StorageError, match="MDB_MAP_FULL"):
            rows.write([(b"a", None), *large])
        assert [(b"a", b"1")] == list(rows.snapshot())
    with closing(LmdbRows.open(tmp_path, map_bytes_max=MEBIBYTE)) as rows:
        rows.write([(b"a", None), *large])
        assert large == list(rows.snapshot())


# -- beside a writer


def test_scan_beside_a_writer_sees_the_rows_of_later_chunks(rows: LmdbRows) -> None:
    """Between chunks no transaction is held: rows that come or go further on are seen so."""
    table = numbered(b"a", 2 * CHUNK)
    rows.write(list(table.items()))
    up, down = rows.scan(b"a"), rows.scan_down(b"a")
    found = [next(up)]
    found_down = [next(down)]
    ends = [b"a%08d" % number for number in (CHUNK - 1, CHUNK)]
    rows.write([*((key, None) for key in ends), (b"a%08d-" % CHUNK, b"new")])
    expected = applied(table, [(ends[1], None), (b"a%08d-" % CHUNK, b"new")])
    assert ascending(expected, b"a") == [*found, *up]
    expected = applied(table, [(ends[0], None)])
    assert ascending(expected, b"a")[::-1] == [*found_down, *down]


def test_snapshot_beside_a_writer_stays_at_its_moment(rows: LmdbRows) -> None:
    """A snapshot gives all rows as they stood when it began, whatever is written meanwhile."""
    table = numbered(b"a", 2 * CHUNK)
    rows.write(list(table.items()))
    snapshot = rows.snapshot()
    found = [next(snapshot)]
    rows.write([(key, None) for key in table])
    rows.write([(b"b", b"new")])
    assert ascending(table, b"") == [*found, *snapshot]
    assert [(b"b", b"new")] == list(rows.snapshot())


READER = """
import sys
from pathlib import Path
from jackpotd.journal.row_store import LmdbRows

rows = LmdbRows.open_readonly(Path(sys.argv[1]), map_bytes_max=8 << 20)
print(rows.get(b"a"), list(rows.scan(b"b")), list(rows.snapshot()))
"""


def test_open_readonly_in_another_process_sees_what_is_committed(
    rows: LmdbRows, tmp_path: Path
) -> None:
    """A reader of its own process reads beside the writer, as often as it likes."""
    for value in (b"1", b"2"):
        rows.write([(b"a", value), (b"b", value)])
        expected = f"{value!r} {[(b'b', value)]} {[(b'a', value), (b'b', value)]}\n"
        reader = subprocess.run(
            [sys.executable, "-c", READER, str(tmp_path / "rows")],
            check=True,
            timeout=DEADLINE_S,
            capture_output=True,
            text=True,
        )
        assert expected == reader.stdout


def test_open_readonly_cannot_write(tmp_path: Path) -> None:
    """Who opened for reading changes nothing."""
    with closing(LmdbRows.open(tmp_path, map_bytes_max=MEBIBYTE)) as rows:
        rows.write([(b"a", b"1")])
    with closing(LmdbRows.open_readonly(tmp_path, map_bytes_max=MEBIBYTE)) as rows:
        with pytest.raises(StorageError):
            rows.write([(b"a", b"2")])
        assert [(b"a", b"1")] == list(rows.snapshot())


def test_open_readonly_without_rows_is_refused(tmp_path: Path) -> None:
    """A reader creates nothing."""
    with pytest.raises(LogError, match="holds no rows"):
        LmdbRows.open_readonly(tmp_path / "nothing", map_bytes_max=MEBIBYTE)
    assert [] == list(tmp_path.iterdir())
