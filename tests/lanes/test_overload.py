"""More than the gateway takes at once: the rest is told so, at once, and nothing of it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from .stage import V2, encoded, unique, v2

if TYPE_CHECKING:
    from .raw import RawConnection, Response
    from .stage import Json, Stage

CLIENTS: Final = 64
ROUNDS: Final = 5
ENVIRONMENT: Final = {"JACKPOTD_LIMITS_REQUESTS_IN_FLIGHT_MAX": "1"}


def assert_overloaded(response: Response) -> None:
    assert response.status == 503
    assert response.json["code"] == "OVERLOADED"
    assert response.json["status_code"] == 503
    assert int(response.headers["retry-after"]) >= 0


async def burst(stage: Stage, bodies: list[Json]) -> list[Response]:
    """All of them in one instant, each on a connection of its own that is open already."""
    answers: list[Response | None] = [None] * len(bodies)
    go = trio.Event()

    async def contribute(number: int, task_status: trio.TaskStatus[None]) -> None:
        async with stage.connect() as connection:
            raw = stage.request(encoded(bodies[number]))
            await connection.send(raw[:-1])
            task_status.started()
            await go.wait()
            await connection.send(raw[-1:])
            answers[number] = await connection.response()

    async with trio.open_nursery() as nursery:
        for number in range(len(bodies)):
            await nursery.start(contribute, number)
        go.set()
    return [answer for answer in answers if answer is not None]


async def test_burst_is_served_in_part_and_the_rest_is_503(stage: Stage) -> None:
    """Every request is answered 200 or 503; those with 503, and only they, have not happened."""
    jackpot = await stage.jackpot()
    served = turned_away = 0
    for _ in range(ROUNDS):
        bodies = [v2(jackpot, unique("key")) for _ in range(CLIENTS)]
        answers = await burst(stage, bodies)
        assert len(answers) == CLIENTS
        for answer in answers:
            if answer.status != 200:
                assert_overloaded(answer)
        served += sum(answer.status == 200 for answer in answers)
        turned_away += sum(answer.status == 503 for answer in answers)
        assert await stage.contributions(jackpot) == served
        for body, answer in zip(bodies, answers, strict=True):
            assert await stage.is_unused(body) == (answer.status == 503)
        served += sum(answer.status == 503 for answer in answers)

    assert turned_away > 0
    assert await stage.contributions(jackpot) == ROUNDS * CLIENTS


async def test_connection_of_a_503_is_good_for_the_next_try(stage: Stage) -> None:
    """The client that was turned away tries again on its connection, with its key, and gets in."""
    jackpot = await stage.jackpot()

    async def insist(connection: RawConnection) -> None:
        raw = stage.request(encoded(v2(jackpot, unique("key"))))
        while True:
            await connection.send(raw)
            response = await connection.response()
            if response.status == 200:
                return
            assert_overloaded(response)
            assert not response.closes

    async def client() -> None:
        async with stage.connect() as connection:
            await insist(connection)

    async with trio.open_nursery() as nursery:
        for _ in range(CLIENTS):
            nursery.start_soon(client)

    assert await stage.contributions(jackpot) == CLIENTS


async def test_pipeline_beyond_the_number_is_answered_in_order(stage: Stage) -> None:
    """In a pipeline, too, each request is answered in its place, 200 or 503, and counted exactly."""
    jackpot = await stage.jackpot()
    bodies = [v2(jackpot, unique("key")) for _ in range(50)]
    async with stage.connect() as connection:
        await connection.send(b"".join(stage.request(encoded(body)) for body in bodies))
        answers = [await connection.response() for _ in bodies]
    for body, answer in zip(bodies, answers, strict=True):
        if answer.status != 200:
            assert_overloaded(answer)
        assert await stage.is_unused(body) == (answer.status == 503)

    assert answers[0].status == 200
    assert await stage.contributions(jackpot) == len(bodies)


async def test_calm_after_the_burst(stage: Stage) -> None:
    """One after the other all are served, and nothing is left in flight."""
    jackpot = await stage.jackpot()
    await burst(stage, [v2(jackpot) for _ in range(CLIENTS)])
    before = await stage.contributions(jackpot)
    async with stage.connect() as connection:
        for _ in range(50):
            await connection.send(stage.request(encoded(v2(jackpot))))
            assert (await connection.response()).status == 200

    assert await stage.contributions(jackpot) == before + 50


async def test_clients_that_leave_give_their_place_back(stage: Stage) -> None:
    """A request whose sender is gone is not in flight for ever."""
    jackpot = await stage.jackpot()
    raw = stage.request(encoded(v2(jackpot)))
    for number in range(50):
        async with stage.connect() as connection:
            await connection.send(raw[: -number or None])
            connection.reset()
    async with stage.connect() as connection:
        await connection.send(raw)
        assert (await connection.response()).status in {200, 503}
        await connection.send(raw)
        assert (await connection.response()).status == 200


async def test_half_sent_requests_take_no_place(stage: Stage) -> None:
    """What has not come yet is not in flight: a slow sender turns nobody away."""
    jackpot = await stage.jackpot()
    raw = stage.request(encoded(v2(jackpot)))
    async with stage.connect() as slow:
        await slow.send(raw[:-1])
        assert (await stage.post(V2, v2(jackpot))).status_code == 200
        await slow.send(raw[-1:])
        assert (await slow.response()).status == 200
