"""Tails of several workers: links between them, instances that move, workers that crash; everything is told once."""

import random
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from msgspec import Raw

from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Rejection
from jackpotd.engine.messages import Accepted, ContributeMessage
from jackpotd.journal.log import LmdbLog
from jackpotd.testing.house import currencies, links, operator, request
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.templates import MULTIPLIERS, rates
from jackpotd.wire import records
from jackpotd.wire.catalog_records import CatalogEntity
from jackpotd.wire.parts import Callback
from tests.moving.load import NAMES, PLAYERS, Load, hood_of
from tests.moving.neighbourhood import Neighbourhood
from tests.moving.test_moving_lives import one_life

from .ground import (
    TEST_TIMEOUT_S,
    Following,
    assert_told,
    delivered,
    journal_on_disk,
    logged,
    open_store,
    oracle_of,
)


class WebhookLoad(Load):
    """Half of the contributions have a webhook, and all of them metadata."""

    def _contribute(self) -> None:
        rng, key = self.rng, f"k{len(self.asked)}"
        metadata = Raw(msgspec.json.encode({"key": key}))
        callback = Callback(f"https://operator.example/{key}", rng.random() < 0.3)
        asked = self.asked[key] = request(
            rng.choice(NAMES),
            wager=rng.choice((SCALE, rng.randint(1, 10**10))),
            key=key,
            player_id=rng.choice(PLAYERS),
            currency=rng.choice(list(MULTIPLIERS)),
            with_links=rng.random() < 0.8,
            metadata=metadata,
            event_metadata=metadata,
            callback=callback if rng.random() < 0.6 else None,
        )
        linked = self.hood.linked[asked.target.id] if asked.with_links else ()

        def answer(outcome: Accepted | Rejection) -> None:
            if isinstance(outcome, Accepted):  # one with a webhook is told again when its links are
                self.hood.answers[key] = outcome

        self.hood.post(asked.target.id, ContributeMessage(asked, rates(), True, linked, answer))


class Disks:
    """The journals of a neighbourhood on disk, and the store of the feed beside them."""

    def __init__(self, directory: Path, hood: Neighbourhood, closing: ExitStack) -> None:
        self.directory = directory
        self.hood = hood
        self.logs: dict[int, LmdbLog] = {}
        for worker in range(len(hood.grounds)):
            self.logs[worker] = journal_on_disk(directory, worker)
            closing.callback(self.logs[worker].close)
        self.entities: list[CatalogEntity] = [
            operator("op", ["a"]),
            currencies("default"),
            *hood.entries.values(),
            *(links(name, *linked) for name, linked in hood.linked.items()),
        ]

    def catch_up(self) -> None:
        """What the workers have committed since is on disk."""
        for worker, log in self.logs.items():
            own: MemoryLog = self.hood.grounds[worker].log
            new = own.records[log.last_seq + 1 :]
            if new:
                log.append(log.last_seq + 1, new)

    async def follow(self) -> None:
        """One life of the feed, to the end of all journals as they stand."""
        self.catch_up()
        with open_store(self.directory) as store:
            await Following(self.logs, self.entities, store).caught_up()

    def check(self) -> Counter[str]:
        """The store has what the journals tell; returns what kinds of records mattered."""
        oracle = oracle_of(self.entities, self.logs)
        expected = [oracle.expected(worker) for worker in self.logs]
        with open_store(self.directory) as store:
            assert_told(store, expected)
            for worker, own in enumerate(expected):
                assert store.awaiting(worker).keys() == own.open_requests.keys()
        return Counter(
            type(records.decode(data)).__name__
            for log in self.logs.values()
            for _, data in log.scan(1)
        )


@pytest.mark.parametrize("seed", range(12))
async def test_workers_that_move_and_crash_are_told_once(seed: int, tmp_path: Path) -> None:
    """Links in the same worker and in others, refused and taken, around moves and crashes of the workers.

    The feed follows between the lives, each time anew, so that a request and its links come in different lives of it.
    """
    rng = random.Random(seed)
    with trio.fail_after(2 * TEST_TIMEOUT_S), ExitStack() as closing:
        hood = hood_of(rng, rng.choice((2, 3)))
        disks = Disks(tmp_path, hood, closing)
        load = WebhookLoad(hood, rng)
        async with hood.running():
            for _ in range(rng.randint(2, 5)):
                await one_life(load, rng)
                if rng.random() < 0.7:
                    await disks.follow()
                for index in range(len(hood.grounds)):
                    if index not in hood.workers:
                        await hood.restart(index)
                if rng.random() < 0.5:
                    await disks.follow()
                await hood.quiet()
        await disks.follow()
        disks.check()


async def test_a_win_of_a_link_has_the_metadata_of_its_request(tmp_path: Path) -> None:
    """That stands in the journal of the worker that was asked, which may be another one, and may be retired."""
    rng = random.Random(3)
    with trio.fail_after(2 * TEST_TIMEOUT_S), ExitStack() as closing:
        hood = hood_of(rng, 3)
        disks = Disks(tmp_path, hood, closing)
        load = WebhookLoad(hood, rng)
        async with hood.running():
            for _ in range(8):
                load.requests(12)
                await hood.quiet()
        await disks.follow()
        kinds = disks.check()
        assert kinds["RemoteAnswered"] > 20
        with open_store(tmp_path) as store:
            won = [event["data"] for event in logged(store) if event["kind"] == "JackpotWinEvent"]
            assert all(data["metadata"]["key"].startswith("k") for data in won)
            results = [body for _, body in delivered(store).values()]
        by_key = Counter(body["metadata"]["key"] for body in results)
        assert max(by_key.values()) == 3
        assert len(won) > 5
    events: list[Any] = [data["instance_id"] for data in won]
    assert len(set(events)) > 1


async def test_a_journal_without_its_neighbours_still_tells_its_wins(tmp_path: Path) -> None:
    """Where the journal of a cause was taken away, the win is told without metadata rather than not at all."""
    rng = random.Random(3)
    with trio.fail_after(2 * TEST_TIMEOUT_S), ExitStack() as closing:
        hood = hood_of(rng, 2)
        disks = Disks(tmp_path, hood, closing)
        load = WebhookLoad(hood, rng)
        async with hood.running():
            for _ in range(8):
                load.requests(12)
                await hood.quiet()
        disks.catch_up()
        with open_store(tmp_path) as store:
            await Following({1: disks.logs[1]}, disks.entities, store).caught_up()
            told = [event["data"] for event in logged(store) if event["kind"] == "JackpotWinEvent"]
        wins = oracle_of(disks.entities, disks.logs).expected(1).events
        wanted = [event for event in wins if event["kind"] == "JackpotWinEvent"]
        assert [data | {"metadata": None} for data in told] == [
            event["data"] | {"metadata": None} for event in wanted
        ]
        missing = [data for data in told if data["metadata"] is None]
        assert 0 < len(missing) < len(told)


async def test_what_an_instance_did_before_it_moved_is_told_first(tmp_path: Path) -> None:
    """Also where the journal that it moved to is read first: wins and opt-ins come in the order of the instance."""
    rng = random.Random(3)
    with trio.fail_after(2 * TEST_TIMEOUT_S), ExitStack() as closing:
        hood = hood_of(rng, 2)
        disks = Disks(tmp_path, hood, closing)
        load = WebhookLoad(hood, rng)
        async with hood.running():
            for to_worker in (1, 0, 1):
                load.requests(40)
                await hood.quiet()
                assert await hood.move("one", to_worker) is None
            load.requests(40)
            await hood.quiet()
        disks.catch_up()
        arrival = next(
            seq
            for seq, data in disks.logs[1].scan(1)
            if isinstance(records.decode(data), records.Adopted)
        )
        with open_store(tmp_path) as store:
            following = Following(disks.logs, disks.entities, store)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(following.tails[1].run)
                while following.tails[1].statistics().position < arrival - 1:
                    await trio.lowlevel.checkpoint()
                for _ in range(1_000):
                    await trio.lowlevel.checkpoint()
                assert following.tails[1].statistics().position == arrival - 1
                nursery.start_soon(following.tails[0].run)
                while not following.is_caught_up():
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            told = [event for event in logged(store) if event["data"]["instance_id"] == "one"]
        times = [event["at_ms"] for event in told]
        assert times == sorted(times)
        assert {"JackpotWinEvent", "OptInEvent"} == {event["kind"] for event in told}
        disks.check()
