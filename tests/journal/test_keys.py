"""The key index against a dict, through crashes, damage and time.

`Journal` stands for the truth outside: it remembers every put, and after a crash gives back those
that the files do not cover. `Disk` counts the calls that change the disk, stops at the one asked
for, and on a power cut takes away what was never synced. Nothing sleeps and nothing waits.
"""

import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jackpotd.journal.key_runs import KeyIndexDamaged, ManifestFile, Pace
from jackpotd.journal.keys import Compaction, Flush, KeyIndex, KeyIndexInUse

RETENTION_MS = 6_000  # buckets of 1,000 ms
BUCKET_MS = 1_000


def open_index(directory: Path, *, writable: bool = True) -> KeyIndex:
    return KeyIndex.open(
        directory, retention_ms=RETENTION_MS, writable=writable, background_share=1
    )


def flush(index: KeyIndex, seq: int) -> None:
    job = index.begin_flush(seq)
    assert job is not None
    job.write()
    index.end_flush(job)
    job.release()


def merge(index: KeyIndex, now_ms: int) -> None:
    job = index.begin_merge(now_ms)
    assert job is not None
    job.write()
    index.end_merge(job)
    job.release()


def expire(index: KeyIndex, now_ms: int) -> None:
    job = index.begin_expire(now_ms)
    assert job is not None
    job.write()
    index.end_expire(job)
    job.release()


def digests(count: int, seed: int = 1) -> list[bytes]:
    draw = random.Random(seed)
    return [draw.randbytes(16) for _ in range(count)]


def run_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("run-*.keys"))


class Journal:
    """Every put in order, and what a dict says of them."""

    def __init__(self) -> None:
        self.puts: list[tuple[bytes, int, int]] = []
        self.latest: dict[bytes, tuple[int, int]] = {}

    @property
    def seq(self) -> int:
        return len(self.puts)

    def put(self, index: KeyIndex, digest: bytes, at_ms: int) -> None:
        # The contract of put: of one digest, time does not go back.
        at_ms = max(at_ms, self.latest.get(digest, (0, 0))[1])
        self.puts.append((digest, self.seq + 1, at_ms))
        self.latest[digest] = (self.seq, at_ms)
        index.put(*self.puts[-1])

    def replay(self, index: KeyIndex) -> None:
        for digest, seq, at_ms in self.puts[index.covered_seq :]:
            index.put(digest, seq, at_ms)

    def expected(self, digest: bytes, now_ms: int) -> int | None:
        seq, at_ms = self.latest.get(digest, (None, 0))
        return seq if now_ms - at_ms <= RETENTION_MS else None

    def covered(self, index: KeyIndex) -> dict[bytes, int]:
        return {digest: seq for digest, seq, _ in self.puts[: index.covered_seq]}


# Few digests, so that they meet again; many share their slice and one or both of their marks.
POOL = [
    head + bytes(11) + tail
    for head in (b"\x00\x00\x00", b"\x00\x00\x01", b"\x7f\xff\xff", b"\xff\xff\xff")
    for tail in (b"\x00\x00", b"\x00\x01", b"\x01\x00", b"\xff\xff")
]


class KeyIndexMachine(RuleBasedStateMachine):
    """Any order of puts, jobs in all their stages, time and crashes gives what a dict gives."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="keys-"))
        self.journal = Journal()
        self.now_ms = 100 * BUCKET_MS
        self.index = open_index(self.directory)
        self.flush: Flush | None = None
        self.compaction: Compaction | None = None

    def teardown(self) -> None:
        self.index.close()
        shutil.rmtree(self.directory)

    @rule(chosen=st.lists(st.sampled_from(POOL), min_size=1, max_size=5), late=st.booleans())
    def put(self, chosen: list[bytes], late: bool) -> None:
        for digest in chosen:
            self.journal.put(self.index, digest, self.now_ms - (BUCKET_MS if late else 0))

    @rule(step_ms=st.sampled_from((1, BUCKET_MS // 2, BUCKET_MS, 3 * BUCKET_MS, RETENTION_MS)))
    def pass_time(self, step_ms: int) -> None:
        self.now_ms += step_ms

    @precondition(lambda self: self.flush is None)
    @rule(staged=st.integers(0, 3))
    def begin_flush(self, staged: int) -> None:
        seq = max(self.journal.seq - staged, self.index.covered_seq)
        self.flush = self.index.begin_flush(seq)

    @precondition(lambda self: self.flush is not None and not self.flush.written)
    @rule()
    def write_flush(self) -> None:
        assert self.flush is not None
        self.flush.write()

    @precondition(lambda self: self.flush is not None and self.flush.written)
    @rule()
    def end_flush(self) -> None:
        assert self.flush is not None
        self.index.end_flush(self.flush)
        self.flush.release()
        self.flush = None

    @rule(put_between=st.booleans())
    def flush_in_one_go(self, put_between: bool) -> None:
        if self.flush is None:
            self.begin_flush(staged=0)
        if self.flush is not None:
            if put_between:
                self.journal.put(self.index, POOL[0], self.now_ms)
            if not self.flush.written:
                self.flush.write()
            self.end_flush()

    @precondition(lambda self: self.compaction is None)
    @rule()
    def begin_merge(self) -> None:
        self.compaction = self.index.begin_merge(self.now_ms)

    @precondition(lambda self: self.compaction is None)
    @rule()
    def begin_expire(self) -> None:
        self.compaction = self.index.begin_expire(self.now_ms)

    @precondition(lambda self: self.compaction is not None and not self.compaction.written)
    @rule()
    def write_compaction(self) -> None:
        assert self.compaction is not None
        self.compaction.write()

    @precondition(lambda self: self.compaction is not None and self.compaction.written)
    @rule(released=st.booleans())
    def end_compaction(self, released: bool) -> None:
        assert self.compaction is not None
        self.index.end_merge(self.compaction)
        if released:
            self.compaction.release()
        self.compaction = None

    @rule()
    def crash(self) -> None:
        self.index.close()
        self.flush = self.compaction = None
        self.index = open_index(self.directory)
        self.journal.replay(self.index)

    @invariant()
    def answers_as_a_dict_does(self) -> None:
        expected = {digest: self.journal.expected(digest, self.now_ms) for digest in POOL}
        assert expected == {digest: self.index.get(digest, self.now_ms) for digest in POOL}


KeyIndexMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestKeyIndexMachine = KeyIndexMachine.TestCase


def test_index_many_keys_merged_twice_all_found_with_their_latest_put(tmp_path: Path) -> None:
    """Thousands of keys over many blocks, slices and parts are all found after two merges."""
    index, journal, now_ms = open_index(tmp_path), Journal(), 50 * BUCKET_MS
    keys = digests(12_000)
    for start in range(0, 12_000, 1_500):
        for digest in keys[start : start + 1_500] + keys[::40]:
            journal.put(index, digest, now_ms)
        flush(index, journal.seq)
        if start == 4_500:
            merge(index, now_ms)
    merge(index, now_ms + 2 * BUCKET_MS)
    assert index.statistics().runs == 1
    assert index.statistics().file_keys == 12_000
    assert [journal.latest[key][0] for key in keys] == [index.get(key, now_ms) for key in keys]
    assert all(index.get(key, now_ms) is None for key in digests(12_000, seed=2))
    index.close()


# -- crashes


# A killed process loses nothing that it wrote. A power cut loses what was not synced: the names of
# new files only, while renames and removals stay, or every change of a name since the last sync.
LOSSES = ("nothing", "new names", "all names")


class PowerCut(BaseException):
    """The machine stops here."""


class Disk:
    """Lets `calls_left` changes of the disk happen, then stops; knows what a power cut undoes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path, calls_left: int) -> None:
        self.calls_left = calls_left
        self._directory = directory
        self._synced_bytes = {path: path.stat().st_size for path in directory.iterdir()}
        self._undo_names: list[tuple[str, Callable[[], object]]] = []
        for name in ("open", "write", "fsync", "fdatasync", "replace", "unlink"):
            monkeypatch.setattr(os, name, self._counted(getattr(os, name), name))

    def _counted(self, call: Callable[..., object], name: str) -> Callable[..., object]:
        def counted(*args: object) -> object:
            if name == "open" and args[1] & os.O_ACCMODE == os.O_RDONLY:  # type: ignore[operator]
                return call(*args)
            if not self.calls_left:
                if name == "write":
                    half = bytes(args[1])[: len(bytes(args[1])) // 2]  # type: ignore[call-overload]
                    call(args[0], half)
                raise PowerCut
            self.calls_left -= 1
            self._note(name, args)
            return call(*args)

        return counted

    def _note(self, name: str, args: tuple[object, ...]) -> None:
        if name in ("fsync", "fdatasync"):
            path = Path(f"/proc/self/fd/{args[0]}").resolve()
            if path.is_dir():
                self._undo_names.clear()
            else:
                self._synced_bytes[path] = path.stat().st_size
        elif name == "open" and not Path(str(args[0])).exists():
            created = Path(str(args[0]))
            self._undo_names.append((name, lambda: created.unlink(missing_ok=True)))
        elif name == "replace":
            new, old = Path(str(args[1])), Path(str(args[1])).read_bytes()
            self._synced_bytes[new] = self._synced_bytes[Path(str(args[0]))]
            self._undo_names.append((name, lambda: new.write_bytes(old)))
        elif name == "unlink":
            gone, data = Path(str(args[0])), Path(str(args[0])).read_bytes()
            self._undo_names.append((name, lambda: gone.write_bytes(data)))

    def lose(self, loss: str) -> None:
        """Cut unsynced files short and undo unsynced changes of names, as file systems may."""
        if loss == "nothing":
            return
        for path in self._directory.iterdir():
            os.truncate(path, self._synced_bytes.get(path, 0))
        for kind, undo in reversed(self._undo_names):
            if loss == "all names" or kind == "open":
                undo()


def two_flushed_buckets(index: KeyIndex, journal: Journal) -> int:
    """Two runs in each of two buckets; gives back a time when both are closed."""
    for bucket in (50, 50, 51, 51):
        for digest in digests(40, seed=journal.seq) + digests(4):
            journal.put(index, digest, bucket * BUCKET_MS)
        flush(index, journal.seq)
    return 53 * BUCKET_MS


def crash_at_each_step(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    job: Callable[[KeyIndex, Journal], None],
    *,
    loss: str,
) -> Iterator[tuple[Path, Journal]]:
    """One directory for each point at which the machine may stop during a job, just after it did.

    The last one is of a job that came to its end.
    """
    for cut in range(200):
        directory, journal = tmp_path / str(cut), Journal()
        index = open_index(directory)
        two_flushed_buckets(index, journal)
        with monkeypatch.context() as patch:
            disk = Disk(patch, directory, cut)
            try:
                job(index, journal)
                finished = True
            except PowerCut:
                finished = False
        index.close()
        disk.lose(loss)
        yield directory, journal
        if finished:
            return
    pytest.fail("the job has more steps than the test allows for")


def check_after_crash(directory: Path, journal: Journal, now_ms: int) -> int:
    """Open, compare before and after the journal's tail, and give back what the files cover."""
    index = open_index(directory)
    for digest, seq in journal.covered(index).items():
        if journal.latest[digest][0] == seq:
            assert journal.expected(digest, now_ms) == index.get(digest, now_ms)
    covered_seq, runs = index.covered_seq, index.statistics().runs
    assert len(run_files(directory)) == runs
    assert not (directory / "manifest.draft").exists()
    journal.replay(index)
    for digest in journal.latest:
        assert journal.expected(digest, now_ms) == index.get(digest, now_ms)
    index.close()
    return covered_seq


@pytest.mark.parametrize("loss", LOSSES)
def test_flush_stopped_at_each_step_covers_all_or_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, loss: str
) -> None:
    """A flush that is cut off anywhere leaves the old coverage or the new one, and lost no key."""

    def add_and_flush(index: KeyIndex, journal: Journal) -> None:
        for bucket in (51, 52):
            for digest in digests(60, seed=bucket):
                journal.put(index, digest, bucket * BUCKET_MS)
        flush(index, journal.seq)

    advanced = []
    crashes = crash_at_each_step(monkeypatch, tmp_path, add_and_flush, loss=loss)
    for directory, journal in crashes:
        covered_seq = check_after_crash(directory, journal, 53 * BUCKET_MS)
        assert covered_seq in (journal.seq - 120, journal.seq)
        advanced.append(covered_seq == journal.seq)
    assert sorted(advanced) == advanced
    assert set(advanced) == {False, True}


@pytest.mark.parametrize("loss", LOSSES)
def test_merge_stopped_at_each_step_loses_no_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, loss: str
) -> None:
    """A merge that is cut off anywhere leaves either its inputs or its result, complete."""
    now_ms, runs = 53 * BUCKET_MS, []
    crashes = crash_at_each_step(
        monkeypatch, tmp_path, lambda index, _: merge(index, now_ms), loss=loss
    )
    for directory, journal in crashes:
        assert check_after_crash(directory, journal, now_ms) == journal.seq
        runs.append(len(run_files(directory)))
    assert sorted(runs, reverse=True) == runs
    assert set(runs) == {4, 3}


@pytest.mark.parametrize("loss", LOSSES)
def test_expiry_stopped_at_each_step_loses_no_live_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, loss: str
) -> None:
    """An expiry that is cut off anywhere leaves every live key, and no expired one answers."""
    now_ms, runs = 51 * BUCKET_MS + RETENTION_MS, []
    crashes = crash_at_each_step(
        monkeypatch, tmp_path, lambda index, _: expire(index, now_ms), loss=loss
    )
    for directory, journal in crashes:
        assert check_after_crash(directory, journal, now_ms) == journal.seq
        runs.append(len(run_files(directory)))
    assert set(runs) == {4, 2}


def test_open_unnamed_and_torn_files_are_removed(tmp_path: Path) -> None:
    """What the manifest does not name is removed when a writer opens."""
    index = open_index(tmp_path)
    index.put(POOL[0], 1, 0)
    flush(index, 1)
    index.close()
    (tmp_path / "run-0000000077.keys").write_bytes(b"torn")
    (tmp_path / "manifest.draft").write_bytes(b"torn")
    index = open_index(tmp_path)
    assert len(run_files(tmp_path)) == 1
    assert {path.name for path in tmp_path.iterdir()} - {run_files(tmp_path)[0].name} == {
        "manifest"
    }
    assert index.get(POOL[0], 0) == 1
    index.close()


def test_flush_write_failed_once_succeeds_when_called_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A full disk fails the write, not the index: reads go on and the same flush can be written."""
    index = open_index(tmp_path)
    index.put(POOL[0], 1, 0)
    job = index.begin_flush(1)
    assert job is not None
    with monkeypatch.context() as patch:

        def fail(_descriptor: int, _data: bytes) -> int:
            raise OSError(28, "No space left on device")

        patch.setattr(os, "write", fail)
        with pytest.raises(OSError, match="No space"):
            job.write()
    with pytest.raises(ValueError, match="succeeded"):
        index.end_flush(job)
    assert (index.get(POOL[0], 0), index.covered_seq) == (1, 0)
    job.write()
    index.end_flush(job)
    assert (index.get(POOL[0], 0), index.covered_seq) == (1, 1)
    index.close()


def test_flush_record_staged_after_seq_stays_out_of_the_files(tmp_path: Path) -> None:
    """A key whose record is not committed is answered from memory, and forgotten by a crash."""
    index = open_index(tmp_path)
    index.put(POOL[0], 7, 0)
    index.put(POOL[1], 8, 0)
    flush(index, 7)
    assert [index.get(key, 0) for key in POOL[:2]] == [7, 8]
    index.close()
    index = open_index(tmp_path)
    assert [index.get(key, 0) for key in POOL[:2]] == [7, None]
    assert index.covered_seq == 7
    index.close()


# -- damage


def flushed(directory: Path, keys: list[bytes]) -> Path:
    index = open_index(directory)
    for seq, digest in enumerate(keys, 1):
        index.put(digest, seq, 0)
    flush(index, len(keys))
    index.close()
    return run_files(directory)[-1]


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x40
    path.write_bytes(data)


@pytest.mark.parametrize("offset", [0, 15, 16, 29])
def test_get_damaged_row_raises_rather_than_misses(tmp_path: Path, offset: int) -> None:
    """A changed bit in a row stops the lookup of any key of its block."""
    keys = sorted(digests(300))
    flip(flushed(tmp_path, keys), 30 * 100 + offset)
    index = open_index(tmp_path)
    with pytest.raises(KeyIndexDamaged, match="block 0"):
        index.get(keys[100], 0)
    assert index.get(keys[299], 0) == 300
    index.close()


def test_merge_damaged_input_raises_and_publishes_nothing(tmp_path: Path) -> None:
    """A merge does not launder damage: it stops before its result is named."""
    flushed(tmp_path, digests(300))
    index = open_index(tmp_path)
    index.put(POOL[0], 301, 0)
    flush(index, 301)
    index.close()
    flip(run_files(tmp_path)[0], 4_000)
    before = (tmp_path / "manifest").read_bytes()
    index = open_index(tmp_path)
    job = index.begin_merge(5 * BUCKET_MS)
    assert job is not None
    with pytest.raises(KeyIndexDamaged, match="rows"):
        job.write()
    assert before == (tmp_path / "manifest").read_bytes()
    index.close()


@pytest.mark.parametrize("offset", [30 * 300, 30 * 300 + 500, -1])
def test_open_damaged_index_section_raises(tmp_path: Path, offset: int) -> None:
    """A changed bit in the marks, the starts or the block checksums is found when opening."""
    flip(flushed(tmp_path, digests(300)), offset)
    with pytest.raises(KeyIndexDamaged, match="checksum"):
        open_index(tmp_path)


def test_open_short_or_missing_run_raises(tmp_path: Path) -> None:
    """A named file must be there in its whole length."""
    path = flushed(tmp_path, digests(300))
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(KeyIndexDamaged, match="bytes long"):
        open_index(tmp_path)
    path.unlink()
    with pytest.raises(KeyIndexDamaged, match="missing"):
        open_index(tmp_path)


def test_open_damaged_or_missing_manifest_raises_and_keeps_the_runs(tmp_path: Path) -> None:
    """Without a sound manifest nothing is guessed and nothing is removed."""
    path = flushed(tmp_path, digests(3))
    flip(tmp_path / "manifest", 30)
    with pytest.raises(KeyIndexDamaged, match="checksum"):
        open_index(tmp_path)
    (tmp_path / "manifest").unlink()
    with pytest.raises(KeyIndexDamaged, match="no manifest"):
        open_index(tmp_path)
    assert path.exists()


def test_open_manifest_of_another_format_raises(tmp_path: Path) -> None:
    """A sound manifest that this version does not understand is refused in clear words."""
    index = open_index(tmp_path)
    body = b'{"format":2}'
    (tmp_path / "manifest").write_bytes(b"%08x\n" % crc32(body) + body)
    index.close()
    with pytest.raises(KeyIndexDamaged, match="not understood"):
        open_index(tmp_path)


# -- retention


@pytest.mark.parametrize("in_files", [False, True])
def test_get_at_the_end_of_retention_answers_to_the_millisecond(
    tmp_path: Path, *, in_files: bool
) -> None:
    """A key lives for exactly the retention, wherever it is kept, deleted or not yet."""
    index = open_index(tmp_path)
    index.put(POOL[0], 1, 500)
    if in_files:
        flush(index, 1)
    assert index.get(POOL[0], 500 + RETENTION_MS) == 1
    assert index.get(POOL[0], 501 + RETENTION_MS) is None
    index.close()


def test_expire_deletes_whole_buckets_and_only_those(tmp_path: Path) -> None:
    """Expiry deletes the files of a bucket once its newest key is too old, not earlier."""
    index = open_index(tmp_path)
    for seq, at_ms in enumerate((100, 900, 1_100), 1):
        index.put(POOL[seq], seq, at_ms)
    flush(index, 3)
    assert index.begin_expire(900 + RETENTION_MS) is None
    expire(index, 901 + RETENTION_MS)
    assert (index.statistics().runs, len(run_files(tmp_path))) == (1, 1)
    assert index.get(POOL[3], 901 + RETENTION_MS) == 3
    index.close()


def test_put_again_after_expiry_hides_the_older_put(tmp_path: Path) -> None:
    """A key that is used again after its time answers with the later record, file or not."""
    index = open_index(tmp_path)
    later_ms = RETENTION_MS + 1
    index.put(POOL[0], 1, 0)
    flush(index, 1)
    assert index.get(POOL[0], later_ms) is None
    index.put(POOL[0], 2, later_ms)
    assert index.get(POOL[0], later_ms) == 2
    flush(index, 2)
    assert index.get(POOL[0], later_ms) == 2
    index.close()


# -- manners


def test_flush_in_a_thread_reads_and_puts_go_on(tmp_path: Path) -> None:
    """While a thread writes, frozen keys are found and new ones are taken."""
    index, keys = open_index(tmp_path), digests(5_000)
    for seq, digest in enumerate(keys[:4_000], 1):
        index.put(digest, seq, 0)
    job = index.begin_flush(4_000)
    assert job is not None
    assert index.begin_flush(4_000) is None
    thread = threading.Thread(target=job.write)
    thread.start()
    for seq, digest in enumerate(keys[4_000:], 4_001):
        index.put(digest, seq, 0)
        assert index.get(keys[seq - 4_001], 0) == seq - 4_000
    thread.join()
    index.end_flush(job)
    job.release()
    assert list(range(1, 5_001)) == [index.get(digest, 0) for digest in keys]
    assert index.statistics().memory_keys == 1_000
    index.close()


def test_flush_during_a_merge_both_are_published(tmp_path: Path) -> None:
    """A flush that is written while a merge is under way survives the merge's manifest."""
    index, journal = open_index(tmp_path), Journal()
    now_ms = two_flushed_buckets(index, journal)
    compaction = index.begin_merge(now_ms)
    assert compaction is not None
    assert index.begin_expire(now_ms + RETENTION_MS) is None
    journal.put(index, POOL[0], now_ms)
    flush(index, journal.seq)
    compaction.write()
    index.end_merge(compaction)
    index.close()
    index = open_index(tmp_path)
    assert index.covered_seq == journal.seq
    for digest in journal.latest:
        assert journal.expected(digest, now_ms) == index.get(digest, now_ms)
    index.close()


def test_begin_flush_without_keys_moves_the_covered_seq_only(tmp_path: Path) -> None:
    """Records without keys are covered too, by a manifest without a new run."""
    index = open_index(tmp_path)
    assert index.begin_flush(0) is None
    flush(index, 9)
    index.close()
    index = open_index(tmp_path)
    assert (index.covered_seq, index.statistics().runs) == (9, 0)
    with pytest.raises(ValueError, match="covered already"):
        index.begin_flush(8)
    index.close()


def test_open_for_reading_sees_what_is_published_and_changes_nothing(tmp_path: Path) -> None:
    """A reader beside the writer answers from the files and can start no job."""
    index = open_index(tmp_path)
    index.put(POOL[0], 1, 0)
    flush(index, 1)
    index.put(POOL[1], 2, 0)
    reader = open_index(tmp_path, writable=False)
    assert [reader.get(key, 0) for key in POOL[:2]] == [1, None]
    with pytest.raises(RuntimeError, match="reading only"):
        reader.begin_flush(2)
    with pytest.raises(RuntimeError, match="reading only"):
        reader.begin_merge(0)
    reader.close()
    index.close()
    assert open_index(tmp_path / "nothing", writable=False).covered_seq == 0
    assert not (tmp_path / "nothing").exists()


def test_open_for_reading_while_runs_are_replaced_tries_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A reader whose manifest was replaced before it opened the runs reads the new one."""
    index, journal = open_index(tmp_path), Journal()
    now_ms = two_flushed_buckets(index, journal)
    stale, read = [ManifestFile.read(tmp_path)], ManifestFile.read
    merge(index, now_ms)
    monkeypatch.setattr(
        ManifestFile, "read", staticmethod(lambda path: stale.pop() if stale else read(path))
    )
    reader = open_index(tmp_path, writable=False)
    assert reader.statistics().runs == index.statistics().runs == 3
    reader.close()
    index.close()


def test_open_second_writer_is_refused(tmp_path: Path) -> None:
    """Two writers would delete each other's files."""
    index = open_index(tmp_path)
    with pytest.raises(KeyIndexInUse):
        open_index(tmp_path)
    index.close()
    open_index(tmp_path).close()


@pytest.mark.parametrize(
    ("digest", "seq", "at_ms"),
    [(b"short", 1, 0), (bytes(16), -1, 0), (bytes(16), 1 << 63, 0), (bytes(16), 1, -1)],
)
def test_put_what_a_row_cannot_hold_is_refused(
    tmp_path: Path, digest: bytes, seq: int, at_ms: int
) -> None:
    """A value that a row cannot hold is refused at the door, not in the background."""
    index = open_index(tmp_path)
    with pytest.raises(ValueError, match="not a digest"):
        index.put(digest, seq, at_ms)
    assert index.statistics().memory_keys == 0
    index.close()


def test_pace_rests_in_proportion_to_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a quarter of a core, 2 ms of work are followed by 6 ms of rest."""
    clock = iter((0.0, 0.002, 0.002))
    slept: list[float] = []
    monkeypatch.setattr(time, "thread_time", lambda: next(clock))
    monkeypatch.setattr(time, "sleep", slept.append)
    Pace(0.25).rest()
    assert slept == [pytest.approx(0.006)]
    with pytest.raises(ValueError, match="share"):
        Pace(0)
