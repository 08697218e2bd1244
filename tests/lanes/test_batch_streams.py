"""Batches that are long: answered while they come, held by nobody, and exact to the last unit."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
import trio

from .raw import RawConnection, chunk
from .stage import BATCH, HEALTH, V2, encoded, unique, v2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .stage import Stage

NDJSON: Final = b"application/x-ndjson"
ARRAY: Final = b"application/json"
TYPES: Final = (ARRAY, NDJSON)
LINE: Final = b"POST " + BATCH.encode() + b" HTTP/1.1"
ELEMENTS: Final = 50_000
PIECE: Final = 500  # elements in one chunk of a long batch
GROWTH_MAX_BYTES: Final = 64 * 1024 * 1024  # the batch is 17 MB, its answer 19 MB
UNREAD_ELEMENTS: Final = 200_000
STATUS: Final = re.compile(rb'"status_code":\s*(\d+)')
WRITE_S: Final = 5.0
ENVIRONMENT: Final = {"JACKPOTD_LIMITS_WRITE_TIMEOUT_S": str(WRITE_S)}
LONG_S: Final = 55.0


def head(stage: Stage, content_type: bytes) -> bytes:
    lines = (b"Content-Type: " + content_type, b"Transfer-Encoding: chunked")
    return stage.head(*lines, request_line=LINE)


def joined(content_type: bytes, elements: list[bytes], *, first: bool) -> bytes:
    """A piece of a batch, as it stands at its beginning or in its middle."""
    if content_type == NDJSON:
        return b"".join(element + b"\n" for element in elements)
    return (b"[" if first else b",") + b",".join(elements)


def resident_bytes(stage: Stage) -> int:
    """Memory of the server's process."""
    text = Path(f"/proc/{stage.server.process_group_id}/status").read_text(encoding="ascii")
    (kibibytes,) = re.findall(r"^VmRSS:\s+(\d+) kB$", text, re.MULTILINE)
    return int(kibibytes) * 1024


async def statuses_so_far(connection: RawConnection, count: int) -> int:
    """Wait until so many results have come; answer how many there are."""
    have = 0
    while True:
        unread = await connection.bytes_so_far(have + 1)
        found = len(STATUS.findall(unread))
        if found >= count or len(unread) == have:
            return found
        have = len(unread)


@pytest.mark.parametrize("content_type", TYPES)
async def test_first_answers_come_before_the_last_elements(
    stage: Stage, content_type: bytes
) -> None:
    """A client may wait for the results of what it has sent before it sends more."""
    jackpot = await stage.jackpot()
    element = encoded(v2(jackpot))
    async with stage.connect() as connection:
        await connection.send(head(stage, content_type))
        for number in range(5):
            piece = joined(content_type, [element] * 10, first=number == 0)
            if content_type == ARRAY:
                piece += b" "
            await connection.send(chunk(piece))
            with trio.fail_after(10):
                assert await statuses_so_far(connection, number * 10 + 9) >= number * 10 + 9
        await connection.send(chunk(b"]" if content_type == ARRAY else b"\n") + b"0\r\n\r\n")
        response = await connection.response()

    assert response.status == 200
    assert len(STATUS.findall(response.body)) == 50
    assert await stage.contributions(jackpot) == 50


@pytest.mark.parametrize("content_type", TYPES)
async def test_elements_may_be_cut_anywhere(stage: Stage, content_type: bytes) -> None:
    """A chunk for every byte, and a chunk that ends within a number or an escape, are all one."""
    jackpot = await stage.jackpot()
    element = encoded(v2(jackpot, metadata={"n": 12345, "s": 'ż"\\]},{[\u2028'}))
    body = joined(content_type, [element, element], first=True)
    body += b"]" if content_type == ARRAY else b""
    async with stage.connect() as connection:
        await connection.send(
            head(stage, content_type)
            + b"".join(chunk(body[i : i + 1]) for i in range(len(body)))
            + b"0\r\n\r\n"
        )
        response = await connection.response()
    whole = json.loads(response.body) if content_type == ARRAY else []
    results = whole or [json.loads(line) for line in response.body.splitlines()]

    assert [result["status_code"] for result in results] == [200, 200]
    assert [r["result"][0]["metadata"]["s"] for r in results] == ['ż"\\]},{[\u2028'] * 2
    assert await stage.contributions(jackpot) == 2


@pytest.mark.parametrize("content_type", TYPES)
async def test_long_batch_is_answered_whole_in_little_memory(
    stage: Stage, content_type: bytes
) -> None:
    """50,000 elements: each answered in its place, each counted, and memory stays where it was."""
    jackpot = await stage.jackpot()
    peak = before = resident_bytes(stage)

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal peak
        for start in range(0, ELEMENTS, PIECE):
            elements = [encoded(v2(jackpot, metadata=n)) for n in range(start, start + PIECE)]
            yield joined(content_type, elements, first=start == 0)
            peak = max(peak, resident_bytes(stage))
        yield b"]" if content_type == ARRAY else b""

    seen: list[Any] = []
    with trio.fail_after(LONG_S):
        async with stage.connect() as connection, trio.open_nursery() as nursery:

            async def send() -> None:
                await connection.send(head(stage, content_type))
                async for piece in pieces():
                    if piece:
                        await connection.send(chunk(piece))
                await connection.send(b"0\r\n\r\n")

            nursery.start_soon(send)
            response = await connection.response()
    text = response.body
    seen = json.loads(text) if content_type == ARRAY else [*map(json.loads, text.splitlines())]

    assert [result["status_code"] for result in seen] == [200] * ELEMENTS
    assert [result["result"][0]["metadata"] for result in seen] == list(range(ELEMENTS))
    assert await stage.contributions(jackpot) == ELEMENTS
    # Keys and state of 50,000 contributions by one player without keys take next to nothing.
    assert peak - before < GROWTH_MAX_BYTES


@pytest.mark.parametrize("content_type", TYPES)
async def test_client_that_stops_reading_stops_being_served(
    stage: Stage, content_type: bytes
) -> None:
    """It is read from no further, costs no memory, hurts nobody, and is let go in the end."""
    jackpot = await stage.jackpot()
    before = resident_bytes(stage)
    elements = [encoded(v2(jackpot))] * PIECE
    sent = 0
    async with stage.connect() as connection:
        await connection.send(head(stage, content_type))
        with trio.fail_after(LONG_S):
            try:
                while sent < UNREAD_ELEMENTS:
                    piece = joined(content_type, elements, first=sent == 0)
                    await connection.stream.send_all(chunk(piece))
                    sent += PIECE
            except trio.BrokenResourceError:
                pass
    assert sent < UNREAD_ELEMENTS
    assert resident_bytes(stage) - before < GROWTH_MAX_BYTES
    assert (await stage.post(V2, v2(jackpot))).status_code == 200
    contributed = await stage.contributions(jackpot)
    assert contributed == contributed.to_integral_value()
    assert contributed <= sent + PIECE + 1


@pytest.mark.parametrize("content_type", TYPES)
async def test_batch_that_breaks_off_has_done_what_was_whole(
    stage: Stage, content_type: bytes
) -> None:
    """Elements that had come are contributed or not, each once; the keys tell, the sum is exact."""
    jackpot = await stage.jackpot()
    elements = [v2(jackpot, unique("key")) for _ in range(100)]
    raw = joined(content_type, [encoded(element) for element in elements], first=True)
    for share in (0.1, 0.5, 0.99):
        async with stage.connect() as connection:
            await connection.send(head(stage, content_type))
            await connection.send(chunk(raw)[: int(len(raw) * share)])
            connection.reset()
    async with stage.connect() as connection:
        body = raw + (b"]" if content_type == ARRAY else b"")
        await connection.send(head(stage, content_type) + chunk(body) + b"0\r\n\r\n")
        response = await connection.response()

    found = [int(status) for status in STATUS.findall(response.body)]
    assert len(found) == len(elements)
    assert set(found) <= {200, 204}
    assert await stage.contributions(jackpot) == len(elements)


async def test_others_are_served_beside_a_long_batch(stage: Stage) -> None:
    """A batch in progress, even one that nobody continues, does not hold up single requests."""
    jackpot = await stage.jackpot()
    elements = [encoded(v2(jackpot))] * 2000
    async with stage.connect() as connection:
        await connection.send(head(stage, NDJSON) + chunk(joined(NDJSON, elements, first=True)))
        for _ in range(20):
            with trio.fail_after(5):
                assert (await stage.post(V2, v2(jackpot))).status_code == 200
                assert (await stage.client.get(stage.url + HEALTH)).status_code == 200
        await connection.send(b"0\r\n\r\n")
        response = await connection.response()

    assert len(STATUS.findall(response.body)) == 2000
    assert await stage.contributions(jackpot) == 2020


async def test_good_client_streams_a_batch(stage: Stage) -> None:
    """httpx sends an iterator and gets lines."""
    jackpot = await stage.jackpot()

    async def lines() -> AsyncIterator[bytes]:
        for number in range(100):
            yield encoded(v2(jackpot, metadata=number)) + b"\n"

    headers = {
        "Authorization": f"Bearer {stage.service_token}",
        "Content-Type": NDJSON.decode(),
    }
    request = httpx.Request("POST", stage.url + BATCH, content=lines(), headers=headers)
    response = await stage.client.send(request, stream=True)
    numbers = [
        json.loads(line)["result"][0]["metadata"] async for line in response.aiter_lines() if line
    ]
    await response.aclose()

    assert numbers == list(range(100))
