"""What the hash chain of the log finds: any one thing that was changed, removed or moved.

A sound log is taken apart into its keys and values, one thing is changed, and a new log is made of
them. What the chain cannot find is that whole last commits are gone: `verify` sees that by the
position of the rows.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import lmdb
import pytest

from jackpotd.journal.log import LmdbLog, LogError

NAME = "worker-0"
Items = dict[bytes, bytes]


def key(seq: int) -> bytes:
    return seq.to_bytes(8, "big")


def seal_key(seq: int) -> bytes:
    return key(seq) + b"\x01"


class Workbench:
    """One environment, which holds whatever log a test puts together; nothing of it is synced."""

    def __init__(self, directory: Path) -> None:
        with closing(
            LmdbLog.open(directory / "sound", name=NAME, map_bytes_max=1 << 20, now_ms=7)
        ) as log:
            for first, size in ((1, 3), (4, 1), (5, 2), (7, 3)):
                log.append(first, [b"record %d" % seq for seq in range(first, first + size)])
        with lmdb.open(str(directory / "sound")) as sound, sound.begin() as txn:
            self.sound: Items = dict(txn.cursor())
        self._env = lmdb.open(str(directory / "changed"), map_size=1 << 20, sync=False)

    def scanned(self, items: Items) -> list[tuple[int, bytes]]:
        """What a log of these items gives to who opens it and reads it all."""
        with self._env.begin(write=True) as txn:
            txn.drop(self._env.open_db(txn=txn), delete=False)
            for name, value in items.items():
                txn.put(name, value)
        return list(LmdbLog(self._env, NAME).scan_verified())

    def close(self) -> None:
        self._env.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with closing(Workbench(tmp_path)) as workbench:
        yield workbench


def test_scan_verified_sound_log_gives_every_record(bench: Workbench) -> None:
    """The log that the tests below change is itself sound, with five seals for ten records."""
    assert [key(seq) for seq in range(10)] == [name for name in bench.sound if len(name) == 8]
    assert [seal_key(seq) for seq in (0, 3, 4, 6, 9)] == [k for k in bench.sound if len(k) > 8]
    assert [(seq, bench.sound[key(seq)]) for seq in range(10)] == bench.scanned(bench.sound)


def test_scan_verified_any_changed_byte_is_found(bench: Workbench) -> None:
    """Each byte of each record and of each seal, changed alone, breaks the chain."""
    for name, value in bench.sound.items():
        for at in range(len(value)):
            changed = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
            with pytest.raises(LogError):
                bench.scanned(bench.sound | {name: changed})


def test_scan_verified_any_removed_record_or_seal_is_found(bench: Workbench) -> None:
    """Each record and each seal, removed alone, is missed."""
    for name in bench.sound:
        with pytest.raises(LogError):
            bench.scanned({k: value for k, value in bench.sound.items() if k != name})


def test_scan_verified_any_swapped_pair_is_found(bench: Workbench) -> None:
    """Any two values that change places, records or seals, break the chain."""
    for one in bench.sound:
        for other in bench.sound:
            if one < other:
                swapped = {one: bench.sound[other], other: bench.sound[one]}
                with pytest.raises(LogError):
                    bench.scanned(bench.sound | swapped)


@pytest.mark.parametrize("moved", [0, 3, 4, 6, 9])
@pytest.mark.parametrize("to", [1, 5, 8, 11])
def test_scan_verified_seal_at_another_number_is_found(
    bench: Workbench, moved: int, to: int
) -> None:
    """A seal belongs to its number, also where its value would fit."""
    items = dict(bench.sound)
    items[seal_key(to)] = items.pop(seal_key(moved))
    with pytest.raises(LogError):
        bench.scanned(items)


def test_scan_verified_any_added_record_is_found(bench: Workbench) -> None:
    """A record that is put behind the last seal, or far away, is not taken for one of the log's."""
    for seq in (10, 11, 1 << 40):
        with pytest.raises(LogError):
            bench.scanned(bench.sound | {key(seq): b"forged"})
        with pytest.raises(LogError):
            bench.scanned(bench.sound | {key(seq): b"forged", seal_key(seq): bytes(32)})


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ([key(2)], "record 2 is missing"),
        ([key(3)], "the seal after record 3 does not fit"),
        ([seal_key(3)], "the seal after record 4 does not fit"),
        ([key(4), seal_key(4)], "record 4 is missing"),
    ],
)
def test_scan_verified_gap_in_the_middle_is_named(
    bench: Workbench, gone: list[bytes], message: str
) -> None:
    """The error says where the log stops being what was written."""
    with pytest.raises(LogError, match=message):
        bench.scanned({k: value for k, value in bench.sound.items() if k not in gone})


@pytest.mark.parametrize("last_seq", [7, 8, 9])
def test_open_tail_truncated_inside_a_commit_is_refused(bench: Workbench, last_seq: int) -> None:
    """A log that ends with a record, not with a seal, is not opened."""
    with pytest.raises(LogError, match="does not end with a seal"):
        bench.scanned({k: value for k, value in bench.sound.items() if k <= key(last_seq)})


def test_scan_verified_tail_truncated_while_open_is_found(bench: Workbench) -> None:
    """A reader that was open already finds the cut tail when it reads to the end."""
    bench.scanned(bench.sound)
    log = LmdbLog(bench._env, NAME)
    with bench._env.begin(write=True) as txn:
        for gone in (key(9), seal_key(9)):
            assert txn.delete(gone)
    with pytest.raises(LogError, match="does not end with a seal"):
        list(log.scan_verified())


def test_scan_verified_whole_last_commit_gone_is_a_sound_shorter_log(bench: Workbench) -> None:
    """The limit of the chain: without its last commit, a log is what it was before that commit."""
    shorter = {k: value for k, value in bench.sound.items() if k <= seal_key(6)}
    assert list(range(7)) == [seq for seq, _ in bench.scanned(shorter)]
