"""An instance moves between workers: what it held is there to the byte, and what came meanwhile is served."""

import random

import trio

from jackpotd.cluster.relocation import Finish, take_step
from jackpotd.core.money import SCALE
from jackpotd.engine.actor import OVERLOADED
from jackpotd.testing.house import request
from jackpotd.wire import records
from jackpotd.wire.moving_messages import Departure

from .books import check
from .load import NAMES, PLAYERS, hood_of
from .neighbourhood import Neighbourhood
from .neighbours import Port

TEST_TIMEOUT_S = 30


def ask(hood: Neighbourhood, key: str, count: int, *names: str) -> None:
    """So many contributions at once."""
    for number in range(count):
        hood.submit(
            request(
                names[number % len(names)],
                wager=SCALE,
                key=f"{key} {number}",
                player_id=PLAYERS[number % 5],
            )
        )


async def test_moving_an_instance_takes_everything_along() -> None:
    """To every worker and back, with contributions in between: players, winners, totals and keys are all there."""
    with trio.fail_after(TEST_TIMEOUT_S):
        hood = hood_of(random.Random(1), 3)
        async with hood.running():
            ask(hood, "first", 20, *NAMES)
            await hood.quiet()
            await check(hood)
            for at, to_worker in enumerate((1, 2, 0, 1)):
                assert None is await hood.move("one", to_worker)
                ask(hood, f"after {at}", 5, *NAMES)
                await hood.quiet()
                await check(hood)
            assert len(hood.answers) > 25


async def test_moving_serves_what_came_meanwhile_where_the_instance_then_lives() -> None:
    """Requests that arrive while it stands still wait, and are answered after it has moved; none is lost."""
    with trio.fail_after(TEST_TIMEOUT_S):
        hood = hood_of(random.Random(1), 2)
        async with hood.running():
            giver, taker = Port(hood, 0), Port(hood, 1)
            departure = await giver.depart("one", 1)
            assert isinstance(departure, Departure)
            ask(hood, "meanwhile", 10, "one")
            await hood.quiet()
            assert {} == hood.answers
            assert [] == hood.refusals
            await taker.take(departure)
            step = Finish("one", 0, departure.departing_seq, 1)
            assert None is await take_step(step, {0: giver, 1: taker}, hood.place)
            await hood.quiet()
            assert 10 == len(hood.answers) + len(hood.refusals)
            assert hood.answers
            await check(hood)


async def test_moving_parks_no_more_than_a_mailbox_holds() -> None:
    """An instance that stands still sheds load when too many wait for it, as one that is slow does."""
    with trio.fail_after(TEST_TIMEOUT_S):
        hood = hood_of(random.Random(1), 2)
        async with hood.running():
            departure = await Port(hood, 0).depart("one", 1)
            assert isinstance(departure, Departure)
            for at in range(2):
                ask(hood, f"many {at}", 600, "one")
                await hood.quiet()
            assert [OVERLOADED] * 200 == hood.refusals
            await Port(hood, 0).resume("one", departure.departing_seq)
            await hood.quiet()
            assert 1200 == len(hood.answers) + len(hood.refusals)


async def test_moving_keeps_what_was_answered_to_links_until_the_move_is_over() -> None:
    """What another worker has settled meanwhile is forgotten later: the rows of an instance on the move stand still."""
    with trio.fail_after(TEST_TIMEOUT_S):
        hood = hood_of(random.Random(1), 2)
        async with hood.running():
            ask(hood, "linked", 12, "two")
            await hood.quiet()
            home = hood.workers[0]
            answered = home.fold.received.of_instance("one")
            assert answered
            departure = await Port(hood, 0).depart("one", 1)
            assert isinstance(departure, Departure)
            forgotten = home.fold.forgotten(1, (), below=1 << 40)
            home.journal.stage(records.encode(forgotten))
            home.fold.forget(forgotten)
            assert answered == home.fold.received.of_instance("one")
            assert [] == home.fold.received.of_instance("three")
            await Port(hood, 1).take(departure)
            assert answered == hood.workers[1].fold.received.of_instance("one")
            await hood.settle()
            assert [] == home.fold.received.of_instance("one")
            await hood.quiet()
            await check(hood)
