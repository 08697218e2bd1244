"""The append-only log: what it takes, what it refuses, and what it gives back, to others too."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import lmdb
import msgspec
import pytest
import trio

from jackpotd.journal.log import FORMAT, Genesis, LmdbLog, LogError, StorageError, chain

NAME = "worker-0"
CREATED_MS = 1_700_000_000_000
MEBIBYTE = 1 << 20
DEADLINE_S = 20


def open_log(directory: Path, *, map_bytes_max: int = 8 * MEBIBYTE) -> LmdbLog:
    return LmdbLog.open(directory, name=NAME, map_bytes_max=map_bytes_max, now_ms=CREATED_MS)


def open_readonly(directory: Path) -> LmdbLog:
    return LmdbLog.open_readonly(directory, name=NAME, map_bytes_max=8 * MEBIBYTE)


def records(count: int, first: int = 1) -> list[bytes]:
    return [b"record %d" % seq for seq in range(first, first + count)]


def everything(log: LmdbLog) -> list[tuple[int, bytes]]:
    """All records but the genesis, from a scan that checks the chain."""
    return list(log.scan_verified())[1:]


@contextmanager
def raw(directory: Path) -> Iterator[lmdb.Transaction]:
    """A write transaction on the environment itself; no log of this process may be open on it."""
    directory.mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(directory), map_size=MEBIBYTE) as env, env.begin(write=True) as txn:
        yield txn


# -- appending


def test_open_new_directory_holds_the_genesis_alone(tmp_path: Path) -> None:
    """A new log says what it was created with, and its first record will be number 1."""
    with closing(open_log(tmp_path / "new" / "log")) as log:
        genesis = Genesis(FORMAT, NAME, CREATED_MS)
        assert (0, genesis) == (log.last_seq, log.genesis)
        assert genesis == msgspec.json.decode(log.read(0) or b"", type=Genesis)
        assert [] == everything(log)


def test_append_batches_numbers_are_contiguous(tmp_path: Path) -> None:
    """Batches of any size get one number after the other, and each record is read by its own."""
    with closing(open_log(tmp_path)) as log:
        for size in (1, 3, 2):
            log.append(log.last_seq + 1, records(size, log.last_seq + 1))
        assert list(enumerate(records(6), 1)) == everything(log)
        assert [*records(6), None] == [log.read(seq) for seq in range(1, 8)]
        assert log.last_seq == 6


def test_append_seals_are_one_chain_over_the_records(tmp_path: Path) -> None:
    """The seal of a commit stands right after its last record and covers the seal before it."""
    with closing(open_log(tmp_path)) as log:
        genesis = log.read(0) or b""
        log.append(1, [b"a", b"b"])
        log.append(3, [b"c"])
    first = chain(b"", [genesis])
    second = chain(first, [b"a", b"b"])
    expected = [
        (b"\0" * 8, genesis),
        (b"\0" * 8 + b"\1", first),
        (b"\0" * 7 + b"\1", b"a"),
        (b"\0" * 7 + b"\2", b"b"),
        (b"\0" * 7 + b"\2\1", second),
        (b"\0" * 7 + b"\3", b"c"),
        (b"\0" * 7 + b"\3\1", chain(second, [b"c"])),
    ]
    with raw(tmp_path) as txn:
        assert expected == list(txn.cursor())


def test_chain_same_bytes_cut_elsewhere_is_another_seal() -> None:
    """A seal covers where each record ends, not only the bytes of all of them."""
    assert chain(b"", [b"ab", b"c"]) != chain(b"", [b"a", b"bc"])
    assert chain(b"", [b"a"]) != chain(b"", [b"a", b""])


@pytest.mark.parametrize("expected_seq", [0, 1, 2, 4])
def test_append_at_another_number_is_refused_and_nothing_written(
    tmp_path: Path, expected_seq: int
) -> None:
    """A writer that is not right behind the last record writes nothing, and the log goes on."""
    with closing(open_log(tmp_path)) as log:
        log.append(1, records(2))
        with pytest.raises(LogError, match=f"append at {expected_seq}, but the log stands at 2"):
            log.append(expected_seq, [b"stray"])
        assert list(enumerate(records(2), 1)) == everything(log)
        log.append(3, records(1, 3))
        assert list(enumerate(records(3), 1)) == everything(log)


def test_append_nothing_is_refused(tmp_path: Path) -> None:
    """A batch without records has no number of its own and would seal a commit twice."""
    with closing(open_log(tmp_path)) as log:
        log.append(1, records(1))
        with pytest.raises(LogError, match="sequence number 1 is taken"):
            log.append(2, [])
        log.append(2, records(1, 2))
        assert list(enumerate(records(2), 1)) == everything(log)


def test_reopen_goes_on_where_the_log_ended(tmp_path: Path) -> None:
    """Records, numbers and the chain outlive the process; the first genesis stays."""
    for opened in range(3):
        log = LmdbLog.open(tmp_path, name=NAME, map_bytes_max=MEBIBYTE, now_ms=CREATED_MS + opened)
        with closing(log):
            assert (2 * opened, CREATED_MS) == (log.last_seq, log.genesis.created_ms)
            log.append(2 * opened + 1, records(2, 2 * opened + 1))
    with closing(open_log(tmp_path)) as log:
        assert list(enumerate(records(6), 1)) == everything(log)


# -- logs that are not ours


def test_open_under_another_name_is_refused(tmp_path: Path) -> None:
    """The journal of one worker is never taken for that of another."""
    open_log(tmp_path).close()
    with pytest.raises(LogError, match=r"expected format 1 of 'worker-1', found .*'worker-0'"):
        LmdbLog.open(tmp_path, name="worker-1", map_bytes_max=MEBIBYTE, now_ms=0)


@pytest.mark.parametrize("opened", [open_log, open_readonly])
@pytest.mark.parametrize(
    ("genesis", "message"),
    [
        (b'{"format":2,"name":"worker-0","created_ms":0}', "expected format 1 .*format=2"),
        (b'{"format":1}', "first record is unreadable"),
        (b"\xff", "first record is unreadable"),
    ],
)
def test_open_genesis_of_another_format_is_refused(
    tmp_path: Path, genesis: bytes, message: str, opened: Callable[[Path], LmdbLog]
) -> None:
    """A log that a later version wrote, or nobody, is refused in words and left as it is."""
    with raw(tmp_path) as txn:
        txn.put(b"\0" * 8, genesis)
    with pytest.raises(LogError, match=message):
        opened(tmp_path)


def test_open_readonly_without_a_log_is_refused(tmp_path: Path) -> None:
    """A reader creates nothing: no directory, no file, no genesis."""
    with pytest.raises(LogError, match="holds no journal"):
        open_readonly(tmp_path / "nothing")
    assert [] == list(tmp_path.iterdir())
    with raw(tmp_path):
        pass
    with pytest.raises(LogError, match="no first record"):
        open_readonly(tmp_path)


# -- reading


@pytest.mark.parametrize("first_batch", [1_020, 1_021, 1_022, 1_023])
def test_scan_across_chunk_boundaries_gives_every_record_once(
    tmp_path: Path, first_batch: int
) -> None:
    """Wherever a chunk of 1,024 keys ends, in a commit or around its seal, nothing is lost or doubled."""
    with closing(open_log(tmp_path)) as log:
        for size in (first_batch, 1, 1_023, 3):
            log.append(log.last_seq + 1, records(size, log.last_seq + 1))
        expected = list(enumerate(records(log.last_seq), 1))
        assert len(expected) > 2 * 1_000
        assert expected == everything(log)
        for first in (1, 2, first_batch, first_batch + 1, 1_024, log.last_seq, log.last_seq + 1):
            assert expected[first - 1 :] == list(log.scan(first)), first


def test_scan_beside_appends_sees_the_records_of_later_chunks(tmp_path: Path) -> None:
    """A scan holds no transaction between chunks, so it ends with what is there by then."""
    with closing(open_log(tmp_path)) as log:
        log.append(1, records(2_000))
        scan, verified = log.scan(1), log.scan_verified()
        assert (1, b"record 1") == next(scan)
        assert 0 == next(verified)[0]
        log.append(2_001, records(500, 2_001))
        assert list(enumerate(records(2_500), 1))[1:] == list(scan)
        assert list(enumerate(records(2_500), 1)) == list(verified)


READER = """
import sys
from pathlib import Path
from jackpotd.journal.log import LmdbLog

log = LmdbLog.open_readonly(Path(sys.argv[1]), name="worker-0", map_bytes_max=8 << 20)
for line in sys.stdin:
    found = list(log.scan_verified())
    print(len(found) - 1, log.read(int(line)), flush=True)
"""


async def asked(reader: trio.Process, question: bytes) -> bytes:
    """The line that another process answers to a line."""
    assert reader.stdin is not None
    assert reader.stdout is not None
    await reader.stdin.send_all(question + b"\n")
    answer = b""
    while not answer.endswith(b"\n"):
        part = await reader.stdout.receive_some()
        assert part, "the reader ended early"
        answer += part
    return answer[:-1]


async def test_open_readonly_in_another_process_sees_each_commit(tmp_path: Path) -> None:
    """A reader of its own process follows the writer, commit by commit, with the chain checked."""
    with closing(open_log(tmp_path)) as log, trio.fail_after(DEADLINE_S):
        log.append(1, records(2))
        command = [sys.executable, "-c", READER, str(tmp_path)]
        reader = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            for size in (1, 2_000, 1):
                expected = f"{log.last_seq} {log.read(log.last_seq)!r}".encode()
                assert expected == await asked(reader, b"%d" % log.last_seq)
                log.append(log.last_seq + 1, records(size, log.last_seq + 1))
        finally:
            reader.kill()
            await reader.wait()
            if reader.stdio is not None:
                await reader.stdio.aclose()


OTHER_WRITER = """
import sys
from pathlib import Path
from jackpotd.journal.log import LmdbLog

log = LmdbLog.open(Path(sys.argv[1]), name="worker-0", map_bytes_max=1 << 20, now_ms=0)
log.append(log.last_seq + 1, [b"other"] * int(sys.argv[2]))
"""


@pytest.mark.parametrize("written", [1, 2, 3])
def test_append_after_another_writer_is_refused_and_nothing_written(
    tmp_path: Path, written: int
) -> None:
    """The log itself, not the writer's memory of it, keeps out a writer that is not the last."""
    with closing(open_log(tmp_path)) as log:
        log.append(1, records(1))
        subprocess.run(
            [sys.executable, "-c", OTHER_WRITER, str(tmp_path), str(written)],
            check=True,
            timeout=DEADLINE_S,
        )
        with pytest.raises(LogError, match="sequence number 2 is taken"):
            log.append(2, [b"stale", b"stale"])
        assert [b"record 1", *[b"other"] * written] == [data for _, data in everything(log)]


# -- a map that is full


def append_without_end(log: LmdbLog, batch: list[bytes]) -> None:
    for _ in range(100):
        log.append(log.last_seq + 1, batch)


def test_append_map_full_raises_and_a_larger_map_goes_on(tmp_path: Path) -> None:
    """Where the map ends the batch is refused whole; reopened with a larger one, the log takes it."""
    batch = [bytes(1_000)] * 20
    with closing(open_log(tmp_path, map_bytes_max=256 << 10)) as log:
        with pytest.raises(StorageError, match="MDB_MAP_FULL"):
            append_without_end(log, batch)
        full_at = log.last_seq
        assert full_at > 0
        assert list(enumerate([bytes(1_000)] * full_at, 1)) == everything(log)
    with closing(open_log(tmp_path)) as log:
        assert full_at == log.last_seq
        log.append(full_at + 1, batch)
        assert [bytes(1_000)] * (full_at + 20) == [data for _, data in everything(log)]


def test_append_larger_than_the_map_leaves_the_open_log_usable(tmp_path: Path) -> None:
    """A batch that never fits takes nothing with it: the next one that fits is number 1."""
    with closing(open_log(tmp_path, map_bytes_max=256 << 10)) as log:
        with pytest.raises(StorageError, match="MDB_MAP_FULL"):
            log.append(1, [bytes(300 << 10)])
        log.append(1, records(2))
        assert list(enumerate(records(2), 1)) == everything(log)
