"""A connection that ends anywhere within a request: nothing, or exactly one contribution.

Every prefix of a request is sent and then closed, reset or half-closed. Then each key is sent once
more on a whole connection, which tells what had happened and makes it exactly one.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import h11
import pytest
import trio

from .raw import RawConnection
from .stage import HEALTH, encoded, unique, v2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .stage import Stage

PARALLEL: Final = 16
READ_TIMEOUT_S: Final = 10.0


async def close(connection: RawConnection) -> None:
    """FIN, with nobody left to read the answer."""
    await connection.stream.aclose()


async def reset(connection: RawConnection) -> None:
    """RST: the server's next read or write fails."""
    connection.reset()


async def half_close(connection: RawConnection) -> None:
    """FIN, but the client still reads: the server answers once or not at all, and closes."""
    await connection.stream.send_eof()
    with trio.fail_after(READ_TIMEOUT_S):
        responses = await connection.responses_until_closed()
    assert len(responses) <= 1


def sized(stage: Stage, body: bytes) -> bytes:
    return stage.request(body)


def in_two_chunks(stage: Stage, body: bytes) -> bytes:
    half = len(body) // 2
    return stage.chunked_request(body[:half], body[half:])


async def in_parallel(work: Callable[[int], Awaitable[None]], count: int) -> None:
    """Do it for every number below the count, a few at a time."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    async with trio.open_nursery() as nursery:
        for _ in range(PARALLEL):
            nursery.start_soon(worker)


@pytest.mark.parametrize("ends", [close, reset, half_close])
@pytest.mark.parametrize("framed", [sized, in_two_chunks])
async def test_request_cut_anywhere_contributes_once_or_not_at_all(
    stage: Stage,
    framed: Callable[[Stage, bytes], bytes],
    ends: Callable[[RawConnection], Awaitable[None]],
) -> None:
    """Cut before its last byte, a request does nothing; whole, its key tells; the sum is exact."""
    jackpot = await stage.jackpot()
    bodies = [encoded(v2(jackpot, unique("key")))]
    whole = len(framed(stage, bodies[0]))
    bodies += [encoded(v2(jackpot, unique("key"))) for _ in range(whole)]
    requests = [framed(stage, body) for body in bodies]
    assert {len(request) for request in requests} == {whole}

    async def cut(count: int) -> None:
        async with stage.connect() as connection:
            await connection.send(requests[count][:count])
            await ends(connection)

    await in_parallel(cut, whole + 1)
    before = await stage.contributions(jackpot)
    statuses = await repeat_all(stage, bodies)

    assert set(statuses[:-1]) == {200}
    assert statuses[-1] in {200, 204}
    assert before in {Decimal(0), Decimal(1)}
    assert await stage.contributions(jackpot) == whole + 1


async def repeat_all(stage: Stage, bodies: list[bytes]) -> list[int]:
    """Send each body whole, in order, over a few connections; answer the statuses."""
    statuses = [0] * len(bodies)
    numbers = iter(range(len(bodies)))

    async def worker() -> None:
        async with stage.connect() as connection:
            for number in numbers:
                await connection.send(stage.request(bodies[number]))
                statuses[number] = (await connection.response()).status

    async with trio.open_nursery() as nursery:
        for _ in range(PARALLEL):
            nursery.start_soon(worker)
    return statuses


async def test_half_closed_client_still_gets_its_answer(stage: Stage) -> None:
    """A client that has said all it has to say may close its side, and is answered."""
    jackpot = await stage.jackpot()
    async with stage.connect() as connection:
        await connection.send(stage.request(encoded(v2(jackpot))))
        await connection.stream.send_eof()
        (response,) = await connection.responses_until_closed()

    assert response.status == 200
    assert await stage.contributions(jackpot) == 1


async def test_pipeline_cut_in_the_middle_keeps_what_was_whole(stage: Stage) -> None:
    """Of a pipeline that breaks off, whole requests may count, each once, and no broken one."""
    jackpot = await stage.jackpot()
    bodies = [v2(jackpot, unique("key")) for _ in range(5)]
    raw = b"".join(stage.request(encoded(body)) for body in bodies)
    async with stage.connect() as connection:
        await connection.send(raw[:-1])
        await connection.stream.send_eof()
        responses = await connection.responses_until_closed()

    assert [response.status for response in responses[:4]] == [200] * 4
    assert all(response.status == 400 for response in responses[4:])
    assert [await stage.is_unused(body) for body in bodies] == [False] * 4 + [True]
    assert await stage.contributions(jackpot) == 5


async def test_client_that_does_not_wait_for_answers_leaves_nothing_behind(stage: Stage) -> None:
    """Pipelines whose sender is gone before the answers count each request at most once."""
    jackpot = await stage.jackpot()
    bodies = [v2(jackpot, unique("key")) for _ in range(200)]
    for first in range(0, len(bodies), 20):
        async with stage.connect() as connection:
            await connection.send(
                b"".join(stage.request(encoded(body)) for body in bodies[first : first + 20])
            )
            connection.reset()
    await repeat_all(stage, [encoded(body) for body in bodies])

    assert await stage.contributions(jackpot) == len(bodies)


def open_sockets(process_id: int) -> int:
    """How many sockets a process holds."""
    folder = Path(f"/proc/{process_id}/fd")
    count = 0
    for entry in folder.iterdir():
        try:
            count += entry.readlink().name.startswith("socket:")
        except FileNotFoundError:  # the folder's own descriptor, or one that was just closed
            continue
    return count


async def test_sockets_are_given_back(stage: Stage) -> None:
    """After hundreds of broken connections of every kind the process holds no socket more."""
    jackpot = await stage.jackpot()
    raw = stage.request(encoded(v2(jackpot)))
    process_id = stage.server.process_group_id
    before = open_sockets(process_id)
    endings = (close, reset, half_close)

    async def cut(count: int) -> None:
        async with stage.connect() as connection:
            await connection.send(raw[: count * 7 % len(raw)])
            await endings[count % len(endings)](connection)

    await in_parallel(cut, 600)
    while open_sockets(process_id) > before:  # each turn is a request: the server has had time
        assert (await stage.client.get(stage.url + HEALTH)).status_code == 200

    assert await stage.contributions(jackpot) == 0


async def test_answer_is_never_torn(stage: Stage) -> None:
    """What a client that half-closes gets is whole answers, byte for byte by the standard."""
    jackpot = await stage.jackpot()
    raw = stage.request(encoded(v2(jackpot)))
    for count in range(0, len(raw), 23):
        async with stage.connect() as connection:
            await connection.send(raw + raw[:count])
            await connection.stream.send_eof()
            try:
                responses = await connection.responses_until_closed()
            except h11.RemoteProtocolError as error:
                pytest.fail(f"after {count} bytes of a second request: {error}")
        assert responses[0].status == 200
        assert len(responses) <= 2
