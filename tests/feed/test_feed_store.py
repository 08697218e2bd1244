"""The feed's store: a commit writes all or nothing, for good, and under positions that are never given twice."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import lmdb
import pytest
from msgspec import Raw

from jackpotd.journal.feed_store import TRIM_STEP_EVENTS, Batch, FeedStore, FeedStoreError
from jackpotd.journal.log import StorageError
from jackpotd.wire.deliveries import Awaiting, Delivery
from jackpotd.wire.feed_events import Kind, LoggedEvent

MEBIBYTE = 1 << 20
EPOCH = 0xC0FFEE
CREATED_MS = 1_700_000_000_000


@contextmanager
def opened(directory: Path, *, map_bytes_max: int = 16 * MEBIBYTE) -> Iterator[FeedStore]:
    store = FeedStore.open(directory, map_bytes_max=map_bytes_max, new_epoch=lambda: EPOCH)
    try:
        yield store
    finally:
        store.close()


def event(number: int, at_ms: int = 0, size: int = 0) -> LoggedEvent:
    data = Raw(b'{"n":%d,"x":"%s"}' % (number, b"x" * size))
    return LoggedEvent(Kind.WIN, at_ms or number, "one", "op", ("op:a", "op:b"), "op:a", "p", data)


def events(first: int, count: int) -> list[LoggedEvent]:
    return [event(number) for number in range(first, first + count)]


def delivery(number: int) -> Delivery:
    return Delivery(
        f"msg_{number}", "op", "https://op.example/hook", Raw(b'{"type":"data"}'), number, number
    )


def awaiting(trace_id: str) -> Awaiting:
    return Awaiting("op", "https://op.example/hook", False, trace_id, Raw(b'{"a":1}'))


def followed(store: FeedStore, worker: int = 0) -> int:
    return store.follow(worker, CREATED_MS, 10_000)


def test_a_new_store_is_empty(tmp_path: Path) -> None:
    """It stands before the first position, and has looked at nothing."""
    with opened(tmp_path / "new" / "feed") as store:
        assert store.epoch == EPOCH
        assert (store.first_position, store.last_position) == (1, 0)
        assert store.positions() == {}
        assert store.events_after(0, 10) == []
        assert store.awaiting(0) == {}


def test_a_store_keeps_its_epoch(tmp_path: Path) -> None:
    """The random number is asked for once, when it is made, and no more than 24 bits of it count."""
    for number in ((1 << 24) + 77, 5):
        store = FeedStore.open(tmp_path, map_bytes_max=MEBIBYTE, new_epoch=lambda: number)  # noqa: B023
        assert store.epoch == 77
        store.close()


def test_a_commit_is_all_there_after_a_restart(tmp_path: Path) -> None:
    """Events, deliveries, what waits, and the position: all of them from one transaction."""
    with opened(tmp_path) as store:
        followed(store)
        batch = Batch(
            events=events(1, 3),
            deliveries=[delivery(1), delivery(2)],
            awaiting=[(7, awaiting("t7")), (9, awaiting("t9"))],
        )
        assert store.commit(0, 9, batch) == [1, 2, 3]
    with opened(tmp_path) as store:
        assert store.positions() == {0: 9}
        assert (store.first_position, store.last_position) == (1, 3)
        assert store.events_after(0, 10) == list(enumerate(events(1, 3), 1))
        assert store.awaiting(0) == {7: awaiting("t7"), 9: awaiting("t9")}
        assert store.deliveries.statistics().pending == 2


def test_what_is_settled_is_gone(tmp_path: Path) -> None:
    """A row goes with the commit that says so; one that came and went in one batch was never there."""
    with opened(tmp_path) as store:
        followed(store)
        store.commit(0, 9, Batch(awaiting=[(7, awaiting("a"))]))
        batch = Batch(
            events=events(1, 1),
            awaiting=[(10, awaiting("b"))],
            settled=[7, 10],
        )
        store.commit(0, 12, batch)
    with opened(tmp_path) as store:
        assert store.awaiting(0) == {}


def test_workers_have_rows_of_their_own(tmp_path: Path) -> None:
    """The same number in another journal is another record; events share one row of positions."""
    with opened(tmp_path) as store:
        for worker in (0, 1, 256):
            followed(store, worker)
            batch = Batch(
                events=events(worker, 1),
                awaiting=[(5, awaiting(f"t{worker}"))],
            )
            store.commit(worker, 5 + worker, batch)
        store.commit(1, 99, Batch(settled=[5]))

        assert store.positions() == {0: 5, 1: 99, 256: 261}
        assert [store.awaiting(worker) for worker in (0, 1, 256)] == [
            {5: awaiting("t0")},
            {},
            {5: awaiting("t256")},
        ]
        assert [position for position, _ in store.events_after(0, 10)] == [1, 2, 3]


def test_events_are_read_in_pieces(tmp_path: Path) -> None:
    """From behind any position, at most so many; beyond the end there is nothing."""
    with opened(tmp_path) as store:
        followed(store)
        store.commit(0, 1, Batch(events=events(1, 300)))
        store.commit(0, 2, Batch(events=events(301, 5), deliveries=[delivery(1)]))
        told = [position for position, _ in store.events_after(254, 4)]
        assert told == [255, 256, 257, 258]
        assert store.events_after(300, 100) == list(enumerate(events(301, 5), 301))
        assert store.events_after(305, 100) == []


def test_a_position_may_go_on_alone(tmp_path: Path) -> None:
    """A journal that tells nothing is read on."""
    with opened(tmp_path) as store:
        followed(store)
        assert store.commit(0, 50, Batch()) == []
        assert store.positions() == {0: 50}
    with opened(tmp_path) as store:
        assert followed(store) == 50


def test_a_position_never_goes_back(tmp_path: Path) -> None:
    """Whoever commits behind it, or for a journal that is not followed, has read what was told already."""
    with opened(tmp_path) as store:
        followed(store)
        store.commit(0, 50, Batch())
        with pytest.raises(FeedStoreError, match="not before 49"):
            store.commit(0, 49, Batch(events=events(1, 1)))
        with pytest.raises(FeedStoreError, match="worker 1"):
            store.commit(1, 1, Batch(events=events(1, 1)))
        assert store.events_after(0, 10) == []
        assert store.last_position == 0


def test_another_journal_is_not_followed(tmp_path: Path) -> None:
    """One that was created at another time, or ends before what was read of it."""
    with opened(tmp_path) as store:
        followed(store)
        store.commit(0, 50, Batch())
        with pytest.raises(FeedStoreError, match="created at 5"):
            store.follow(0, 5, 100)
        with pytest.raises(FeedStoreError, match=r"has 49\. Restore both"):
            store.follow(0, CREATED_MS, 49)
        assert store.follow(0, CREATED_MS, 50) == 50


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """The commit that does not fit is not there at all, neither on disk nor in memory; a smaller one is."""
    with opened(tmp_path, map_bytes_max=MEBIBYTE) as store:
        followed(store)
        store.commit(0, 1, Batch(events=events(1, 2)))
        large = [event(number, size=100_000) for number in range(20)]
        with pytest.raises(StorageError):
            store.commit(0, 2, Batch(events=large, awaiting=[(2, awaiting("t"))]))
        assert store.positions() == {0: 1}
        assert store.last_position == 2
        assert store.awaiting(0) == {}
        assert store.commit(0, 2, Batch(events=events(3, 1))) == [3]
        assert store.events_after(0, 100) == list(enumerate(events(1, 3), 1))


def test_writers_in_several_threads_take_turns(tmp_path: Path) -> None:
    """Positions are contiguous, and each event has the one that its commit was told."""
    told: dict[int, LoggedEvent] = {}

    def write(store: FeedStore, worker: int) -> None:
        for seq in range(1, 21):
            mine = events(worker * 1000 + seq * 10, seq % 3)
            positions = store.commit(worker, seq, Batch(events=mine, deliveries=[delivery(seq)]))
            told.update(zip(positions, mine, strict=True))

    with opened(tmp_path) as store:
        workers = range(4)
        for worker in workers:
            followed(store, worker)
        threads = [Thread(target=write, args=(store, worker)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        each = sum(seq % 3 for seq in range(1, 21))
        assert sorted(told) == list(range(1, 4 * each + 1))
        assert store.events_after(0, 1000) == sorted(told.items())


# -- the window


def test_the_window_keeps_the_latest(tmp_path: Path) -> None:
    """What is beyond the number goes, in small steps; positions go on as if nothing had gone."""
    count = 2 * TRIM_STEP_EVENTS + 10
    with opened(tmp_path) as store:
        followed(store)
        store.commit(0, 1, Batch(events=events(1, count)))
        steps = [store.trim(events_max=4, before_ms=0)]
        while steps[-1]:
            steps.append(store.trim(events_max=4, before_ms=0))
        assert steps == [True, True, False]
        assert (store.first_position, store.last_position) == (count - 3, count)
        assert [position for position, _ in store.events_after(0, 10)] == [
            count - 3,
            count - 2,
            count - 1,
            count,
        ]
        assert store.commit(0, 2, Batch(events=events(0, 1))) == [count + 1]


def test_the_window_forgets_what_is_too_old(tmp_path: Path) -> None:
    """Up to the first event that is not; the position of the last one is known for good."""
    with opened(tmp_path) as store:
        followed(store)
        told = [event(1, at_ms=10), event(2, at_ms=20), event(3, at_ms=15), event(4, at_ms=30)]
        store.commit(0, 1, Batch(events=told))
        store.trim(events_max=100, before_ms=20)
        assert (store.first_position, store.last_position) == (2, 4)
        assert [position for position, _ in store.events_after(0, 10)] == [2, 3, 4]
        store.trim(events_max=100, before_ms=1_000)
        assert (store.first_position, store.last_position) == (5, 4)
    with opened(tmp_path) as store:
        assert (store.first_position, store.last_position) == (5, 4)
        assert store.events_after(0, 10) == []
        assert store.commit(0, 2, Batch(events=events(5, 2))) == [5, 6]
        assert store.first_position == 5


def test_trimming_forgets_events_alone(tmp_path: Path) -> None:
    """What stands beside them in the same environment stays, with an empty window, too."""
    with opened(tmp_path) as store:
        followed(store)
        batch = Batch(
            events=events(1, 3),
            deliveries=[delivery(1)],
            awaiting=[(1, awaiting("t"))],
        )
        store.commit(0, 1, batch)
        for _ in range(2):
            store.trim(events_max=0, before_ms=0)
        assert store.awaiting(0) == {1: awaiting("t")}
        assert store.deliveries.statistics().pending == 1
        assert store.epoch == EPOCH
        assert followed(store) == 1


# -- files that cannot be used


def test_a_store_of_another_format_is_refused(tmp_path: Path) -> None:
    """It says which format it found; what is no store of ours says that."""
    for name, row, problem in (
        ("newer", b'["@",2,5]', "found 2"),
        ("broken", b"[", "unreadable"),
        ("other", b'["p",1,2]', "unreadable"),
    ):
        with (
            lmdb.open(str(tmp_path / name), map_size=MEBIBYTE) as env,
            env.begin(write=True) as txn,
        ):
            txn.put(b"@", row)
        with pytest.raises(FeedStoreError, match=problem), opened(tmp_path / name):
            pass


COMMITTING = """
import os, sys
from pathlib import Path
from jackpotd.journal.feed_store import Batch, FeedStore
from tests.feed.test_feed_store import awaiting, delivery, events, followed

store = FeedStore.open(Path(sys.argv[1]), map_bytes_max=1 << 24, new_epoch=lambda: 5)
at = followed(store)
print("ready", flush=True)
while True:
    at += 1
    store.commit(0, at, Batch(events(at * 3, 3), [delivery(at)], [(at, awaiting(str(at)))]))
    print(at, flush=True)
"""


def test_a_store_that_is_killed_has_whole_commits(tmp_path: Path) -> None:
    """Each that was told of is there with all of it, and of the last one all or nothing."""
    known = 0
    for lines in (3, 1, 17):
        with subprocess.Popen(
            [sys.executable, "-c", COMMITTING, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            for _ in range(lines):
                known = int(process.stdout.readline())
            process.kill()
        with opened(tmp_path) as store:
            at = store.positions()[0]
            assert at >= known
            assert store.events_after(0, 100_000) == [
                (position, event(position + 2)) for position in range(1, 3 * at + 1)
            ]
            assert store.awaiting(0) == {seq: awaiting(str(seq)) for seq in range(1, at + 1)}
            assert store.deliveries.statistics().pending == at
