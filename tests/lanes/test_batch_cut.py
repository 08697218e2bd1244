"""Batches that break off in every way at every place: what was whole counts once, and the server goes on.

Each way ends within an answer that streams, so that reader, writer and the elements under way all hear of it.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Final

import pytest
import trio

from .raw import chunk
from .stage import BATCH, HEALTH, V2, encoded, unique, v2

if TYPE_CHECKING:
    from .raw import RawConnection
    from .stage import Stage

NDJSON: Final = b"application/x-ndjson"
ARRAY: Final = b"application/json"
LINE: Final = b"POST " + BATCH.encode() + b" HTTP/1.1"
BATCHES: Final = 240
PARALLEL: Final = 24
ELEMENTS: Final = 40
DEFECTS: Final = (b"Traceback", b"has failed", b"request failed")


async def reset(connection: RawConnection) -> None:
    connection.reset()


async def close(connection: RawConnection) -> None:
    await connection.stream.aclose()


async def half_close(connection: RawConnection) -> None:
    await connection.stream.send_eof()
    await connection.until_closed()


async def reset_within_the_answer(connection: RawConnection) -> None:
    with trio.move_on_after(1):
        await connection.bytes_so_far(300)
    connection.reset()


async def reset_behind_nonsense(connection: RawConnection) -> None:
    """The body is refused in the same moment in which the client goes."""
    await connection.send(b"zz\r\n")
    connection.reset()


ENDINGS: Final = (reset, close, half_close, reset_within_the_answer, reset_behind_nonsense)


def batch(stage: Stage, elements: list[bytes], content_type: bytes, pieces: int) -> bytes:
    """A whole batch in a few chunks."""
    lines = (b"Content-Type: " + content_type, b"Transfer-Encoding: chunked")
    body = b"\n".join(elements) if content_type == NDJSON else b"[" + b",".join(elements) + b"]"
    size = len(body) // pieces + 1
    chunks = (chunk(body[at : at + size]) for at in range(0, len(body), size))
    return stage.head(*lines, request_line=LINE) + b"".join(chunks) + b"0\r\n\r\n"


@pytest.mark.parametrize("content_type", [ARRAY, NDJSON])
async def test_hundreds_of_batches_break_off_and_nobody_else_notices(
    stage: Stage, content_type: bytes
) -> None:
    """At random bytes, by RST, close and nonsense; afterwards each key tells what has happened."""
    dice = random.Random(1)
    jackpot = await stage.jackpot()
    process_id = stage.server.process_group_id
    bodies = [[v2(jackpot, unique("key")) for _ in range(ELEMENTS)] for _ in range(BATCHES)]
    places = trio.CapacityLimiter(PARALLEL)

    async def cut(number: int) -> None:
        raw = batch(stage, [*map(encoded, bodies[number])], content_type, dice.randint(1, 30))
        async with places, stage.connect() as connection:
            await connection.send(raw[: dice.randrange(len(raw))])
            await ENDINGS[number % len(ENDINGS)](connection)

    async with trio.open_nursery() as nursery:
        for number in range(BATCHES):
            nursery.start_soon(cut, number)
    for elements in bodies:
        async with stage.connect() as connection:
            await connection.send(batch(stage, [*map(encoded, elements)], content_type, 1))
            assert (await connection.response()).status == 200

    assert await stage.contributions(jackpot) == BATCHES * ELEMENTS
    assert stage.server.process_group_id == process_id
    log = await trio.Path(stage.server.log_path).read_bytes()
    assert [each for each in DEFECTS if each in log] == []


@pytest.mark.parametrize("content_type", [ARRAY, NDJSON])
async def test_client_that_stops_reading_and_then_resets(stage: Stage, content_type: bytes) -> None:
    """The writer waits for the client, the reader for the writer: the RST ends all of it."""
    jackpot = await stage.jackpot()
    element = encoded(v2(jackpot))
    opening = b"[" if content_type == ARRAY else b""
    between = b"," if content_type == ARRAY else b"\n"
    lines = (b"Content-Type: " + content_type, b"Transfer-Encoding: chunked")

    async def pour() -> None:
        async with stage.connect() as connection:
            await connection.send(stage.head(*lines, request_line=LINE) + chunk(opening + element))
            piece = chunk((between + element) * 500)
            with trio.move_on_after(1.5):
                while True:
                    await connection.stream.send_all(piece)
            connection.reset()

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(pour)
    assert (await stage.client.get(stage.url + HEALTH)).status_code == 200
    assert (await stage.post(V2, v2(jackpot))).status_code == 200
    contributed = await stage.contributions(jackpot)
    assert contributed == contributed.to_integral_value()


async def test_batches_side_by_side_leave_room_for_others(stage: Stage) -> None:
    """Together they could fill the server; they wait instead, and so no element and no single request is refused."""
    jackpot = await stage.jackpot()
    element = encoded(v2(jackpot))
    raw = batch(stage, [element] * 1500, NDJSON, 10)
    found: list[bytes] = []
    single: list[int] = []

    async def send() -> None:
        async with stage.connect() as connection, trio.open_nursery() as nursery:
            nursery.start_soon(connection.send, raw)
            found.append((await connection.response()).body)

    async def look() -> None:
        while True:
            single.append((await stage.post(V2, v2(jackpot))).status_code)

    async with trio.open_nursery() as looking:
        looking.start_soon(look)
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(send)
        looking.cancel_scope.cancel()
    statuses = [json.loads(line)["status_code"] for body in found for line in body.splitlines()]
    assert statuses == [200] * 12_000
    assert set(single) == {200}
