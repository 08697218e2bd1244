"""Machines stop at any moment of a move: every journal cut after any record, rows and keys after any transaction."""

import random

import pytest
import trio

from .books import check
from .load import Load, hood_of
from .neighbourhood import Neighbourhood

TEST_TIMEOUT_S = 60


async def history(seed: int, count: int) -> tuple[Neighbourhood, Load]:
    """A neighbourhood that has moved its instances about under load, with every moment of its disks."""
    rng = random.Random(seed)
    hood = hood_of(rng, count)
    load = Load(hood, rng)
    hood.is_noting = True
    async with hood.running():
        for _ in range(4):
            async with trio.open_nursery() as nursery:
                load.requests(rng.randint(2, 8))
                nursery.start_soon(load.move_somewhere)
                if rng.random() < 0.4:
                    nursery.start_soon(load.checkpoint_somewhere)
                await trio.lowlevel.checkpoint()
                load.requests(rng.randint(1, 5))
            await hood.quiet()
            await check(hood)
    return hood, load


@pytest.mark.parametrize("seed", range(4))
async def test_moving_survives_a_power_cut_at_any_moment(seed: int) -> None:
    """All machines stop at once: what was answered is there, what was begun goes on, nothing counts twice."""
    with trio.fail_after(TEST_TIMEOUT_S):
        hood, load = await history(seed, 2 + seed % 2)
        moments = hood.moments
        for moment in moments[seed % 3 :: 3]:
            again = hood.again_at(moment)
            async with again.running():
                await check(again)
                load.hood = again
                load.ask_again()
                await again.quiet()
                await check(again)
