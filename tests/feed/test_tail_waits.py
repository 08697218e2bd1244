"""What a tail waits for, what ends it, and how it shares the feed's one thread with everybody else."""

import random
from pathlib import Path

import pytest
import trio

from jackpotd.feed import tail
from jackpotd.feed.journals import Journals
from jackpotd.feed.publishing import Publisher
from jackpotd.feed.window import keep_window
from jackpotd.journal.feed_store import Batch, FeedStoreError
from jackpotd.journal.log import LmdbLog, LogError
from jackpotd.testing.cases import pot, template
from jackpotd.testing.house import BORN_MS
from jackpotd.wire.feed_events import LoggedEvent

from .ground import (
    TEST_TIMEOUT_S,
    Following,
    assert_told,
    journal_on_disk,
    logged,
    open_store,
    oracle_of,
)
from .play import house_on, play, seeded_catalog
from .stage import Stage, brands, jackpot
from .test_feed_store import CREATED_MS, event, events

SEED = 21


async def played(directory: Path, rounds: int = 3) -> LmdbLog:
    rng = random.Random(SEED)
    log = journal_on_disk(directory, 0)
    house = house_on(log, seeded_catalog(SEED), rng, SEED)
    async with house.running():
        await play(house, rng, rounds)
    return log


async def test_a_win_waits_for_the_catalog(tmp_path: Path) -> None:
    """An instance that this copy of the catalog does not name yet: its win is told once it does, and none is lost."""
    quick = template(pot("mini", share="0.5", seed="10", hits=[(1, "0.1")]))
    entities = [*brands("a"), jackpot("one", quick), jackpot("two", quick)]
    async with Stage(tmp_path, entities).open() as stage:
        for name in ("one", "two", "one"):
            await stage.contribute(name)
        known = [each for each in entities if getattr(each, "instance_id", "") != "two"]
        with open_store(tmp_path) as store:
            following = Following({0: stage.log}, known, store)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(following.tails[0].run)
                while following.tails[0].statistics().decoded < 2:
                    await trio.lowlevel.checkpoint()
                for _ in range(100):
                    await trio.lowlevel.checkpoint()
                assert store.last_position == 0
                following.catalog.apply(entities[-1])
                while not following.is_caught_up():
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            told = [each["data"]["instance_id"] for each in logged(store)]
    assert told == ["one", "two", "one"]


async def test_a_journal_is_waited_for(tmp_path: Path) -> None:
    """A worker that never ran has none; it is followed from its first record on when it is there."""
    entities = seeded_catalog(SEED)
    with trio.fail_after(TEST_TIMEOUT_S), open_store(tmp_path) as store:
        log = await played(tmp_path)
        logs: dict[int, LmdbLog] = {}
        following = Following({0: log}, entities, store)
        following.logs = logs
        asked = trio.Event()
        following.missed = asked.set
        async with trio.open_nursery() as nursery:
            nursery.start_soon(following.tails[0].run)
            await asked.wait()
            assert store.positions() == {}
            logs[0] = log
            while not (store.positions() and following.is_caught_up()):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert_told(store, [oracle_of(entities, {0: log}).expected(0)])
        log.close()


async def test_journals_are_opened_once(tmp_path: Path) -> None:
    """One that is not there is asked for again; all are closed in the end."""
    asked: list[int] = []

    def opened(worker: int) -> LmdbLog:
        asked.append(worker)
        if len(asked) == 1:
            raise LogError("there is none yet")
        return journal_on_disk(tmp_path, worker)

    journals = Journals(opened)
    assert journals.find(3) is None
    assert journals.read(3, 0) is not None
    assert journals.read(3, 1) is None
    assert journals.find(3) is journals.find(3)
    assert asked == [3, 3]
    journals.close()
    journal_on_disk(tmp_path, 3).close()


async def test_a_store_that_does_not_fit_ends_the_tail(tmp_path: Path) -> None:
    """It has read another journal, or more of this one than there is: nothing is told twice or left out by guessing."""
    with trio.fail_after(TEST_TIMEOUT_S):
        log = await played(tmp_path)
        for created_ms, read in ((BORN_MS + 1, 0), (BORN_MS, log.last_seq + 1)):
            directory = tmp_path / f"{created_ms} {read}"
            with open_store(directory) as store:
                store.follow(0, created_ms, 10**9)
                store.commit(0, read, Batch())
                with pytest.RaisesGroup(FeedStoreError):
                    await Following({0: log}, seeded_catalog(SEED), store).caught_up()
                assert store.last_position == 0
        log.close()


async def test_a_store_that_is_full_ends_the_tail(tmp_path: Path) -> None:
    """What was told before it stays; nothing that it does not hold is told."""
    with trio.fail_after(TEST_TIMEOUT_S):
        log = await played(tmp_path)
        with open_store(tmp_path) as store:
            following = Following({0: log}, seeded_catalog(SEED), store)

            def commit(worker: int, seq: int, batch: Batch) -> list[int]:
                raise OSError(f"the disk is full: {worker}, {seq}, {batch}")

            store.commit = commit  # type: ignore[method-assign]
            with pytest.RaisesGroup(OSError, flatten_subgroups=True):
                await following.caught_up()
            assert following.told == []
        log.close()


@pytest.mark.parametrize(
    "defect", [b'["E","one",[["w",', b'["E","one",[["w",1]]]', b'["?",["o",1]]']
)
async def test_a_record_that_nobody_understands_stops_its_journal_alone(
    tmp_path: Path, defect: bytes
) -> None:
    """What comes before it is told, nothing after it, and nothing is left out; the other journals go on."""
    entities = seeded_catalog(SEED)
    with trio.fail_after(TEST_TIMEOUT_S):
        log = await played(tmp_path)
        other = journal_on_disk(tmp_path, 1)
        told = oracle_of(entities, {0: log}).expected(0)
        stands_at = log.last_seq
        good = b'["E","one",[["o",9,"op:a","p",true,null,null,0,0]]]'
        log.append(stands_at + 1, [defect, good])
        with open_store(tmp_path) as store:
            following = Following({0: log, 1: other}, entities, store)
            async with trio.open_nursery() as nursery:
                for worker in (0, 1):
                    nursery.start_soon(following.tails[worker].run)
                while not following.tails[0].statistics().is_stuck:
                    await trio.lowlevel.checkpoint()
                assert_told(store, [told])
                other.append(1, [good])
                while following.tails[1].statistics().position < 1:
                    await trio.lowlevel.checkpoint()
                assert logged(store)[-1]["kind"] == "OptInEvent"
                nursery.cancel_scope.cancel()
            assert store.positions() == {0: stands_at, 1: 1}
        log.close()
        other.close()


async def test_a_long_journal_is_read_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is committed before the next one is read, and others run in between."""
    monkeypatch.setattr(tail, "LOOK_RECORDS_MAX", 8)
    monkeypatch.setattr(tail, "TURN_RECORDS", 2)
    entities, turns = seeded_catalog(SEED), 0
    with trio.fail_after(TEST_TIMEOUT_S):
        log = await played(tmp_path)
        with open_store(tmp_path) as store:
            steps: list[int] = []
            whole = store.commit

            def commit(worker: int, seq: int, batch: Batch) -> list[int]:
                steps.append(seq)
                return whole(worker, seq, batch)

            store.commit = commit  # type: ignore[method-assign]
            async with trio.open_nursery() as nursery:

                async def turn() -> None:
                    nonlocal turns
                    while True:
                        await trio.lowlevel.checkpoint()
                        turns += 1

                nursery.start_soon(turn)
                await Following({0: log}, entities, store).caught_up()
                nursery.cancel_scope.cancel()
            del store.commit
            assert_told(store, [oracle_of(entities, {0: log}).expected(0)])
        assert steps == sorted(steps)
        assert max(b - a for a, b in zip([0, *steps], steps, strict=False)) <= 8
        assert turns > log.last_seq / 2
        log.close()


async def test_a_position_alone_is_written_now_and_then(tmp_path: Path) -> None:
    """Not at each look; what comes of a record is written at once."""
    with trio.fail_after(TEST_TIMEOUT_S):
        log = await played(tmp_path)
        commits: list[Batch] = []
        with open_store(tmp_path) as store:
            whole = store.commit

            def commit(worker: int, seq: int, batch: Batch) -> list[int]:
                commits.append(batch)
                return whole(worker, seq, batch)

            store.commit = commit  # type: ignore[method-assign]
            following = Following(
                {0: log}, seeded_catalog(SEED), store, idle_commit_s=TEST_TIMEOUT_S
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(following.tails[0].run)
                while not following.is_caught_up():
                    await trio.lowlevel.checkpoint()
                count = len(commits)
                for _ in range(20):
                    log.append(log.last_seq + 1, [b'["Z","nobody"]'] * 3)
                    while following.tails[0].statistics().position < log.last_seq:
                        await trio.lowlevel.checkpoint()
                assert len(commits) == count
                nursery.cancel_scope.cancel()
        log.close()


async def test_events_of_several_tails_are_told_in_their_order(tmp_path: Path) -> None:
    """Positions and tellings go the same way, whoever commits, and nobody is told before it is on disk."""
    told: list[tuple[int, LoggedEvent]] = []
    with trio.fail_after(TEST_TIMEOUT_S), open_store(tmp_path) as store:

        def on_events(new: list[tuple[int, LoggedEvent]]) -> None:
            assert store.last_position == new[-1][0]
            told.extend(new)

        publisher = Publisher(store, on_events, lambda: None)

        async def commit(worker: int) -> None:
            for seq in range(1, 11):
                await publisher.commit(worker, seq, Batch(events=events(worker * 100 + seq, 2)))

        for worker in range(5):
            store.follow(worker, CREATED_MS, 10**9)
        async with trio.open_nursery() as nursery:
            for worker in range(5):
                nursery.start_soon(commit, worker)
        assert [position for position, _ in told] == list(range(1, 101))
        assert told == store.events_after(0, 1_000)


async def test_the_window_is_kept_small(tmp_path: Path) -> None:
    """What is beyond it goes soon after it has come."""
    with trio.fail_after(TEST_TIMEOUT_S), open_store(tmp_path) as store:
        store.follow(0, CREATED_MS, 10**9)
        store.commit(0, 1, Batch(events=[event(number, at_ms=number) for number in range(1, 1001)]))
        async with trio.open_nursery() as nursery:

            async def keep() -> None:
                await keep_window(
                    store, events_max=50, retention_ms=100, clock=lambda: 1_080, interval_s=0.001
                )

            nursery.start_soon(keep)
            while store.first_position < 980:
                await trio.lowlevel.checkpoint()
            store.commit(0, 2, Batch(events=[event(2_000)]))
            store.commit(0, 3, Batch(events=[event(2_000)] * 60))
            while store.first_position < 1_012:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert len(store.events_after(0, 1_000)) == 50
