"""One worker is killed while others go on: in the middle of a move, as giver or taker, with messages parked."""

import random

import pytest
import trio

from .books import check
from .load import Load, hood_of

TEST_TIMEOUT_S = 30


@pytest.mark.parametrize("seed", range(25))
async def test_moving_goes_on_when_a_worker_is_killed_and_comes_back(seed: int) -> None:
    """After each life everything is where it belongs, each contribution is in once, and repeats are told the same."""
    rng = random.Random(seed)
    with trio.fail_after(TEST_TIMEOUT_S):
        hood = hood_of(rng, rng.choice((2, 3)))
        load = Load(hood, rng)
        async with hood.running():
            for _ in range(rng.randint(2, 5)):
                await one_life(load, rng)
                for index in range(len(hood.grounds)):
                    if index not in hood.workers:
                        await hood.restart(index)
                await hood.quiet()
                await check(hood)
                load.ask_again()
                await hood.quiet()
                await check(hood)


async def one_life(load: Load, rng: random.Random) -> None:
    """Load and a move at once; at some moment one of the workers is gone."""
    async with trio.open_nursery() as nursery:
        load.requests(rng.randint(1, 8))
        nursery.start_soon(load.move_somewhere)
        if rng.random() < 0.3:
            nursery.start_soon(load.checkpoint_somewhere)
        for _ in range(int(2 ** rng.uniform(0, 8))):
            await trio.lowlevel.checkpoint()
        if rng.random() < 0.8:
            load.hood.crash(rng.choice(list(load.hood.workers)))
        load.requests(rng.randint(0, 4))
