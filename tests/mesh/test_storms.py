"""Everything at once: requests at all workers while workers die, connections break, states change, sources are mapped.

Whatever comes in between, no key contributes twice, no link is taken twice or lost, and nothing stays claimed.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from jackpotd.cluster import links as remote_links
from jackpotd.core.commands import ChangeStatus
from jackpotd.core.state import Status
from jackpotd.testing.house import links
from jackpotd.testing.street import Street, sockets

from .streets import (
    assert_every_link_was_taken_once,
    assert_no_key_was_used_twice,
    by_source,
    cut,
    forgotten,
    jackpots,
    source,
)

TEST_TIMEOUT_S = 60
NAMES = ("j0", "j1", "j2")
SETTLING_TURNS = 2_000


@pytest.fixture
def directory() -> Iterator[Path]:
    with sockets() as made:
        yield made


class Storm:
    """Chance events on a street of three workers whose jackpots share one source."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        entities = [*jackpots(0, 1, 2), links("j0", "j1"), links("j1", "j2"), source("j0")]
        self.street = Street(directory, entities, 3, link_deadline_s=0.05)

    async def blow(self, requests: int) -> None:
        """So many requests, and what happens between them."""
        async with self.street.running() as nursery:
            for number in range(requests):
                key = f"k{self.rng.randrange(max(0, number - 20), number + 1)}"
                front = self.rng.choice(list(self.street.workers.values()))
                front.router.submit(by_source(key), lambda _: None)
                await self._turns(6)
                await self._something(nursery)
            await self.street.acquainted()
            await self.street.settled()
            await forgotten(self.street)
            for _ in range(SETTLING_TURNS):
                await trio.lowlevel.checkpoint()
            for worker in self.street.workers.values():
                assert 0 == worker.router.in_flight
                assert {} == worker.shard.key_desk._claims

    async def _turns(self, most: int) -> None:
        for _ in range(self.rng.randrange(most)):
            await trio.lowlevel.checkpoint()

    async def _something(self, nursery: trio.Nursery) -> None:
        chance, workers = self.rng.random(), sorted(self.street.workers)
        if chance < 0.1:
            cut(self.street, *self.rng.sample(workers, 2))
        elif chance < 0.15:
            index = self.rng.choice(workers)
            await self.street.stop(index)
            await self._turns(20)
            await self.street.start(nursery, index)
        elif chance < 0.3:
            nursery.start_soon(self._switch)
        elif chance < 0.45:
            mapped = self.rng.sample(NAMES, self.rng.randrange(len(NAMES) + 1))
            others = tuple(sorted({*NAMES} - {*mapped}))
            nursery.start_soon(self.street.change, source(*mapped, former=others))

    async def _switch(self) -> None:
        status = self.rng.choice([Status.PAUSED, Status.ACTIVE])
        command = ChangeStatus(0, status, "", "test")
        await self.street.edge.owners.operate(self.rng.choice(NAMES), command)


@pytest.mark.parametrize("seed", range(4))
async def test_keys_and_links_survive_a_storm(
    directory: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Each key has at most one contribution in all journals, each link exactly one answer."""
    monkeypatch.setattr(remote_links, "FORGET_INTERVAL_S", 0.005)
    with trio.fail_after(TEST_TIMEOUT_S):
        storm = Storm(directory, seed)
        await storm.blow(300)
    assert 0 < assert_every_link_was_taken_once(storm.street)
    assert_no_key_was_used_twice(storm.street)
