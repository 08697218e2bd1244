"""The keys of an instance that moves: the taker knows each of them from the first moment on."""

import random
import threading
from collections.abc import Sequence

import trio

from jackpotd.core.money import SCALE
from jackpotd.engine.fold import key_digest
from jackpotd.engine.messages import Accepted
from jackpotd.testing.house import request
from jackpotd.wire import rows
from jackpotd.wire.moving_messages import Departure

from .books import check
from .grounds import NotedRows
from .load import hood_of
from .neighbours import Port

TEST_TIMEOUT_S = 20


class GatedRows(NotedRows):
    """Rows whose position waits for a gate: the checkpoint is in the middle of a round until it opens."""

    def __init__(self) -> None:
        super().__init__({}, lambda: None)
        self.is_gated = False
        self.reached = threading.Event()
        self.gate = threading.Event()

    def write(self, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        if self.is_gated and items[0][0] == rows.POSITION_KEY:
            self.is_gated = False
            self.reached.set()
            self.gate.wait(TEST_TIMEOUT_S)
        super().write(items)


async def test_moving_a_key_that_settles_while_keys_are_flushed_is_known_to_the_taker() -> None:
    """Its key leads to a record behind what the flush covers, so the files have it only after another round."""
    hood = hood_of(random.Random(2), 3)
    disk = hood.grounds[0].rows = GatedRows()
    assert {"one": 0, "two": 1, "three": 2} == hood.places
    with trio.fail_after(TEST_TIMEOUT_S):
        async with hood.running():
            hood.crash(1)
            hood.submit(request("one", wager=SCALE, key="k"))
            await hood.quiet()
            assert {} == hood.answers
            departures: list[Departure] = []

            async def depart() -> None:
                departure = await Port(hood, 0).depart("one", 2)
                assert isinstance(departure, Departure)
                departures.append(departure)

            async with trio.open_nursery() as nursery:
                disk.is_gated = True
                nursery.start_soon(depart)
                await trio.to_thread.run_sync(disk.reached.wait, TEST_TIMEOUT_S)
                await hood.start(1)
                hood.workers[0].links.resume()
                await hood.quiet()
                assert isinstance(hood.answers["k"], Accepted)
                disk.gate.set()
            assert key_digest("op", "k") in hood.grounds[0].keys.durable
            await Port(hood, 2).take(departures[0])
            assert hood.workers[2].used(key_digest("op", "k")) is not None
            await hood.settle()
            await hood.quiet()
            await check(hood)


async def test_moving_over_several_workers_keeps_all_views() -> None:
    """Where an instance has been two moves ago, its keys are still looked for, also after a restart."""
    hood = hood_of(random.Random(5), 3)
    with trio.fail_after(TEST_TIMEOUT_S):
        async with hood.running():
            for at, to_worker in enumerate((1, 2, 0, 1)):
                hood.submit(request("one", wager=SCALE, key=f"k{at}", with_links=False))
                await hood.quiet()
                assert None is await hood.move("one", to_worker)
            assert {0, 2} == hood.workers[1].fold.moves.views.keys()
            hood.crash(1)
            await hood.restart(1)
            digests = [key_digest("op", f"k{at}") for at in range(4)]
            assert all(hood.workers[1].used(digest) is not None for digest in digests)
            await hood.quiet()
            await check(hood)
            assert len(hood.answers) >= 3
