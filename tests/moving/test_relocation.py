"""The order of moves: what the edge plans from what workers hold, and moves that are called off."""

import random

import pytest
import trio

from jackpotd.cluster.relocation import CallOff, Finish, Relocate, TwoHomes, plan, take_step
from jackpotd.core.money import SCALE
from jackpotd.engine.moving import MoveRefused, holdings
from jackpotd.testing.house import request
from jackpotd.wire.moving_messages import Departure, Holding, RowsChunk

from .books import check
from .load import NAMES, PLAYERS, hood_of
from .neighbourhood import Neighbourhood
from .neighbours import Port

TEST_TIMEOUT_S = 30


def serving(name: str, moves: int = 0) -> Holding:
    return Holding(name, "serving", moves)


def departing(name: str, to: int, seq: int, moves: int = 0) -> Holding:
    return Holding(name, "departing", moves, to, seq)


def importing(name: str, giver: int, seq: int) -> Holding:
    return Holding(name, "importing", 0, giver, seq)


@pytest.mark.parametrize(
    ("holdings", "expected"),
    [
        ({0: (serving("a"),), 1: ()}, []),
        ({0: (), 1: (serving("a"),)}, [Relocate("a", 1, 0)]),
        ({0: (departing("a", 1, 7),), 1: ()}, [Relocate("a", 0, 1)]),
        ({0: (departing("a", 1, 7),), 1: (importing("a", 0, 7),)}, [Relocate("a", 0, 1)]),
        ({0: (departing("a", 1, 7),), 1: (serving("a", 1),)}, [Finish("a", 0, 7, 1)]),
        (
            {0: (departing("a", 1, 7),), 1: (departing("a", 2, 9, 1),), 2: ()},
            [Finish("a", 0, 7, 1), Relocate("a", 1, 2)],
        ),
        (
            {0: (departing("a", 1, 7),), 1: (), 2: (serving("a", 2),)},
            [Finish("a", 0, 7, 2)],
        ),
        ({0: (departing("a", 3, 7),), 1: ()}, [CallOff("a", 0, 3, 7)]),
        ({0: (serving("a"),), 1: (importing("a", 0, 7),)}, [CallOff("a", 0, 1, 7)]),
        (
            {0: (departing("a", 1, 8),), 1: (), 2: (importing("a", 0, 7),)},
            [CallOff("a", 0, 2, 7), Relocate("a", 0, 1)],
        ),
        ({0: (serving("b"),), 4: (serving("a", 3),)}, [Relocate("a", 4, 0)]),
    ],
)
def test_relocation_finishes_what_was_begun_before_anything_else(
    holdings: dict[int, tuple[Holding, ...]], expected: list[object]
) -> None:
    """Where the instance moved to last is its home; a move that was begun goes on, or back if it leads nowhere."""
    assert expected == plan(holdings, lambda _: 0, 3)


def test_relocation_stops_where_two_workers_serve_one_instance() -> None:
    """Nobody guesses which of them is right."""
    with pytest.raises(TwoHomes):
        plan({0: (serving("a"),), 1: (serving("a", 1),)}, lambda _: 0, 2)


class Stopping:
    """A giver that has no more than some chunks."""

    def __init__(self, giver: Port, chunks: int) -> None:
        self._giver = giver
        self._chunks = chunks

    async def rows(self, instance_id: str, departing_seq: int, after: bytes) -> RowsChunk:
        self._chunks -= 1
        if self._chunks < 0:
            raise MoveRefused("no more")
        return await self._giver.rows(instance_id, departing_seq, after)


async def played(hood: Neighbourhood, prefix: str) -> None:
    for number in range(12):
        hood.submit(
            request(
                NAMES[number % 3],
                wager=SCALE,
                key=f"{prefix}{number}",
                player_id=PLAYERS[number % 5],
            )
        )
    await hood.quiet()


@pytest.mark.parametrize("chunks", [0, 1, 3])
async def test_relocation_that_is_called_off_leaves_the_instance_where_it_was(chunks: int) -> None:
    """What was parked is served at home, the half import goes, and a later move to the same worker is complete."""
    with trio.fail_after(TEST_TIMEOUT_S):
        hood = hood_of(random.Random(chunks), 2)
        async with hood.running():
            await played(hood, "before")
            home = hood.places["one"]
            away = 1 - home
            giver, taker = Port(hood, home), Port(hood, away)
            departure = await giver.depart("one", away)
            assert isinstance(departure, Departure)
            answered = len(hood.answers)
            await played(hood, "parked")
            with pytest.raises(MoveRefused):
                await hood.workers[away].taker.take(departure, Stopping(giver, chunks))
            states = {held.state for held in holdings(hood.workers[away].fold)}
            assert (chunks > 0) == ("importing" in states)
            step = CallOff("one", home, away, departure.departing_seq)
            assert None is await take_step(step, {home: giver, away: taker}, hood.place)
            await hood.quiet()
            await taker.checkpoint()
            await check(hood)
            assert len(hood.answers) > answered
            with pytest.raises(MoveRefused):
                await taker.take(departure)

            assert None is await hood.move("one", away)
            await played(hood, "after")
            await check(hood)
            assert "one" in hood.workers[away].fold.cells


async def test_relocation_cannot_be_called_off_after_the_adoption() -> None:
    """Once the taker has the instance, only the end of the move is left."""
    with trio.fail_after(TEST_TIMEOUT_S):
        hood = hood_of(random.Random(3), 2)
        async with hood.running():
            await played(hood, "before")
            giver, taker = Port(hood, 0), Port(hood, 1)
            departure = await giver.depart("one", 1)
            assert isinstance(departure, Departure)
            await taker.take(departure)
            await taker.take(departure)
            assert not await taker.abandon("one", 0, departure.departing_seq)
            held = {index: holdings(worker.fold) for index, worker in hood.workers.items()}
            [step] = plan(held, lambda _: 0, 2)
            assert Finish("one", 0, departure.departing_seq, 1) == step
            for _ in range(2):
                assert None is await take_step(step, {0: giver, 1: taker}, hood.place)
            await hood.quiet()
            await check(hood)
