"""The leash between a server and a worker, over a real socket pair."""

from collections.abc import Iterator
from contextlib import aclosing, closing, contextmanager

import pytest
import trio

from jackpotd.service.leash import (
    Ask,
    Begin,
    Leash,
    LeashBroken,
    Recovered,
    Serve,
    Told,
    leashes,
)
from jackpotd.service.settings import Bind, Settings

TIMEOUT_S = 10


@contextmanager
def both_ends() -> Iterator[tuple[Leash, Leash]]:
    ours, its = map(Leash, leashes())
    with closing(ours), closing(its):
        yield ours, its


async def test_messages_arrive_whole_and_in_order() -> None:
    """The settings go with the first one and come out as they were, however large the line."""
    begin = Begin(
        index=2,
        workers=3,
        nodes=(0, 1, 2, 7),
        settings=Settings(),
        sockets="/s" * 100_000,
        gateway=Bind("::1", 80),
        is_demo=True,
    )
    with trio.fail_after(TIMEOUT_S), both_ends() as (ours, its):
        async with trio.open_nursery() as nursery, aclosing(its.lines()) as lines:
            for message in (begin, Serve(), Recovered(7, 8)):
                nursery.start_soon(ours.send, message)
                assert message == await anext(lines)


async def test_question_is_answered_by_its_number() -> None:
    """Answers may come in any order, also long after another question was asked."""
    with trio.fail_after(TIMEOUT_S), both_ends() as (ours, its):
        told: dict[str, str | None] = {}

        async def ask(subject: str) -> None:
            told[subject] = await ours.ask(subject, timeout_s=TIMEOUT_S)

        async def listen() -> None:
            async with aclosing(ours.lines()) as lines:
                async for _ in lines:
                    pytest.fail("answers are for those who asked")

        async with trio.open_nursery() as nursery, aclosing(its.lines()) as lines:
            nursery.start_soon(listen)
            for subject in ("first", "second"):
                nursery.start_soon(ask, subject)
            asked = [await anext(lines) for _ in range(2)]
            for question in reversed(asked):
                assert isinstance(question, Ask)
                await its.send(Told(question.number, f"about {question.subject}"))
            its.close()
    assert {"first": "about first", "second": "about second"} == told


async def test_question_to_nobody_is_answered_with_none() -> None:
    """Who asks is neither held up by a peer that is silent, nor by one that goes away."""
    with trio.fail_after(TIMEOUT_S), both_ends() as (ours, its):
        assert await ours.ask("report", timeout_s=0.01) is None

        async def go() -> None:
            async with aclosing(its.lines()) as lines:
                await anext(lines)
                its.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(go)

            async def listen() -> None:
                assert [message async for message in ours.lines()] == []

            nursery.start_soon(listen)
            assert await ours.ask("report", timeout_s=TIMEOUT_S) is None
        assert await ours.ask("report", timeout_s=TIMEOUT_S) is None


async def test_end_of_the_other_side_ends_the_lines_and_breaks_what_is_sent() -> None:
    """That is how a worker learns that its server is gone, and the other way round."""
    with trio.fail_after(TIMEOUT_S), both_ends() as (ours, its):
        its.close()
        assert [message async for message in ours.lines()] == []
        with pytest.raises(LeashBroken):
            await ours.send(Serve())
