"""Links between workers: each is taken exactly once, whatever is cut, and told in its place."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from jackpotd.cluster import links as remote_links
from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.messages import Accepted, Outcome, Pending, Taken
from jackpotd.testing.house import request
from jackpotd.testing.street import Street, sockets

from .streets import (
    assert_every_link_was_taken_once,
    assert_no_key_was_used_twice,
    cut,
    forgotten,
    linked,
)

TEST_TIMEOUT_S = 60
NOT_OPTED_IN = Rejection(Code.CONTRIBUTION_REJECTED, "PlayerNotOptedIn")


@pytest.fixture
def directory() -> Iterator[Path]:
    with sockets() as made:
        yield made


@pytest.fixture(autouse=True)
def _soon_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_links, "FORGET_INTERVAL_S", 0.005)


def shape(outcome: Outcome) -> str:
    return (
        f"pending {outcome.instance_id}"
        if isinstance(outcome, Pending)
        else outcome.instance_id
        if isinstance(outcome, Taken)
        else outcome.message
    )


def shapes(answer: Accepted | Rejection) -> list[str]:
    assert isinstance(answer, Accepted), answer
    return [shape(outcome) for outcome in answer.outcomes]


async def test_links_of_three_workers_are_answered_in_their_order(directory: Path) -> None:
    """The target first, then each link with its outcome or refusal; a repeat at any worker tells the same."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, linked(), 3)
        async with street.running():
            first = {}
            for number in range(20):
                asked = request("abd"[number % 3], wager=SCALE, key=f"k{number}")
                first[number] = await street.workers[number % 2].router.contribute(asked)
            assert ["a", "b", "PlayerNotOptedIn", "d"] == shapes(first[0])
            assert ["b", "a", "d"] == shapes(first[1])
            assert ["d", "b"] == shapes(first[2])
            for number in range(20):
                asked = request("abd"[number % 3], wager=SCALE, key=f"k{number}")
                for worker in street.workers.values():
                    again = await worker.router.contribute(asked)
                    assert isinstance(again, Accepted)
                    assert again.is_replay
                    assert isinstance(found := first[number], Accepted)
                    assert found.outcomes == again.outcomes
            await forgotten(street)
    assert 41 == assert_every_link_was_taken_once(street)


async def test_a_link_whose_worker_is_down_is_pending_and_delivered_later(directory: Path) -> None:
    """After the deadline its place says so, as do repeats; when the worker is back, repeats have the final result."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, linked(), 3, link_deadline_s=0.05)
        async with street.running() as nursery:
            await street.stop(1)
            asked = request("a", wager=SCALE, key="k")
            pending = await street.workers[0].router.contribute(asked)
            assert ["a", "pending b", "PlayerNotOptedIn", "d"] == shapes(pending)
            again = await street.workers[2].router.contribute(asked)
            assert shapes(pending) == shapes(again)
            await street.start(nursery, 1)
            await street.settled()
            for worker in street.workers.values():
                final = await worker.router.contribute(asked)
                assert ["a", "b", "PlayerNotOptedIn", "d"] == shapes(final)
            await forgotten(street)
    assert 3 == assert_every_link_was_taken_once(street)


async def test_a_sender_that_dies_sends_again_and_no_link_is_taken_twice(directory: Path) -> None:
    """The target's worker is stopped at each turn of the event loop after a request, and starts again."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, linked(), 3)
        async with street.running() as nursery:
            for turns in range(60):
                asked = request("a", wager=SCALE, key=f"k{turns}")
                street.workers[0].router.submit(asked, lambda _: None)
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                await street.stop(0)
                await street.start(nursery, 0)
            await street.acquainted()
            await street.settled()
            await forgotten(street)
    assert 30 < assert_every_link_was_taken_once(street)


async def test_a_receiver_that_dies_takes_each_link_once(directory: Path) -> None:
    """A link's worker is stopped at each turn of the event loop after a request, and starts again."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, linked(), 3)
        async with street.running() as nursery:
            for turns in range(60):
                asked = request("a", wager=SCALE, key=f"k{turns}")
                street.workers[0].router.submit(asked, lambda _: None)
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                await street.stop(1)
                await street.start(nursery, 1)
            await street.acquainted()
            await street.settled()
            await forgotten(street)
    assert 180 == assert_every_link_was_taken_once(street)


async def test_connections_that_are_cut_at_any_time_lose_and_double_nothing(
    directory: Path,
) -> None:
    """Requests at all workers while their connections are cut at random; each is answered, and each link once."""
    rng = random.Random(5)
    answers: list[Accepted | Rejection] = []
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, linked(), 3)
        async with street.running():
            for number in range(150):
                asked = request(rng.choice("abd"), wager=SCALE, key=f"k{number}")
                street.workers[rng.randrange(3)].router.submit(asked, answers.append)
                for _ in range(rng.randrange(6)):
                    await trio.lowlevel.checkpoint()
                if rng.random() < 0.3:
                    cut(street, *rng.sample(range(3), 2))
            await street.acquainted()
            while len(answers) < 150:
                await trio.lowlevel.checkpoint()
            await street.settled()
            await forgotten(street)
            lost = sum(isinstance(answer, Rejection) for answer in answers)
            assert lost < 150
    assert 100 < assert_every_link_was_taken_once(street)


async def test_everything_dies_at_random_and_every_link_is_taken_once(directory: Path) -> None:
    """Workers stop and start and connections break while requests come in at all workers."""
    rng = random.Random(11)
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, linked(), 3)
        async with street.running() as nursery:
            for number in range(300):
                asked = request("abd"[number % 200 % 3], wager=SCALE, key=f"k{number % 200}")
                worker = rng.choice(list(street.workers.values()))
                worker.router.submit(asked, lambda _: None)
                for _ in range(rng.randrange(8)):
                    await trio.lowlevel.checkpoint()
                if rng.random() < 0.1:
                    cut(street, *rng.sample(sorted(street.workers), 2))
                if rng.random() < 0.1:
                    index = rng.choice(sorted(street.workers))
                    await street.stop(index)
                    for _ in range(rng.randrange(20)):
                        await trio.lowlevel.checkpoint()
                    await street.start(nursery, index)
            await street.acquainted()
            await street.settled()
            await forgotten(street)
    assert 100 < assert_every_link_was_taken_once(street)
    assert_no_key_was_used_twice(street)
