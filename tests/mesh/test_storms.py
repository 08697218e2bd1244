"""Everything at once: requests at all workers while workers die, connections break, states change, sources are mapped.

Whatever comes in between, no key is used twice, no link is taken twice or lost, nothing stays claimed, and what was
accepted for a webhook is kept.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from jackpotd.cluster import links as remote_links
from jackpotd.core.commands import ChangeStatus
from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Status
from jackpotd.engine.messages import Accepted, ContributionRequest
from jackpotd.testing.house import links
from jackpotd.testing.street import Street, sockets
from jackpotd.wire import records
from jackpotd.wire.parts import Callback

from .streets import (
    assert_every_link_was_taken_once,
    assert_no_key_was_used_twice,
    by_source,
    cut,
    forgotten,
    jackpots,
    requests_kept,
    source,
)

TEST_TIMEOUT_S = 60
NAMES = ("j0", "j1", "j2")
SETTLING_TURNS = 2_000
CALLBACK = Callback("https://operator.example/results", False)


@pytest.fixture
def directory() -> Iterator[Path]:
    with sockets() as made:
        yield made


class Storm:
    """Chance events on a street of three workers whose jackpots share one source, which has none in the beginning.

    `accepted` are the trace ids that callers were told were accepted for their webhooks.
    """

    def __init__(self, directory: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        entities = [*jackpots(0, 1, 2), links("j0", "j1"), links("j1", "j2"), source()]
        self.street = Street(directory, entities, 3, link_deadline_s=0.05)
        self.accepted: set[str] = set()

    async def blow(self, requests: int) -> None:
        """So many requests, and what happens between them."""
        async with self.street.running() as nursery:
            for number in range(requests):
                key = f"k{self.rng.randrange(max(0, number - 20), number + 1)}"
                front = self.rng.choice(list(self.street.workers.values()))
                front.router.submit(self._request(key, number), self._told)
                await self._turns(6)
                await self._something(nursery)
                if self.rng.random() < 0.3:
                    await self.street.acquainted()  # else most requests find nobody there
            await self.street.acquainted()
            await self.street.settled()
            await forgotten(self.street)
            for _ in range(SETTLING_TURNS):
                await trio.lowlevel.checkpoint()
            for worker in self.street.workers.values():
                assert 0 == worker.router.in_flight
                assert {} == worker.shard.key_desk._claims

    def _request(self, key: str, number: int) -> ContributionRequest:
        """Some are for webhooks, and every fifth key is of one that is refused."""
        return by_source(
            key,
            wager=-SCALE if key.endswith(("0", "5")) else SCALE,
            trace_id=f"{number}",
            callback=CALLBACK if self.rng.random() < 0.5 else None,
        )

    def _told(self, outcome: Accepted | Rejection) -> None:
        if isinstance(outcome, Accepted) and outcome.is_asynchronous:
            self.accepted.add(outcome.trace_id)

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
    """Each key is used at most once in all journals, each link has one answer, and what was accepted is there."""
    monkeypatch.setattr(remote_links, "FORGET_INTERVAL_S", 0.005)
    with trio.fail_after(TEST_TIMEOUT_S):
        storm = Storm(directory, seed)
        await storm.blow(300)
    assert 0 < assert_every_link_was_taken_once(storm.street)
    assert_no_key_was_used_twice(storm.street)
    kept = [record for _, record in requests_kept(storm.street)]
    for_webhooks = {
        each.request.trace_id
        for each in kept
        if each.request is not None and each.request.callback == CALLBACK
    }
    assert storm.accepted <= for_webhooks
    assert {True, False} == {isinstance(each, records.Declined) for each in kept}
    assert len(storm.accepted) > 10
