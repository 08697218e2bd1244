"""Where the gateway's port draws the line: sizes, times and numbers, each with small settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
import trio

from .raw import ConnectionEnded, RawConnection, chunk
from .stage import BATCH, HEALTH, V2, encoded, unique, v2

if TYPE_CHECKING:
    from .stage import Stage

HEADER_BYTES: Final = 4096
BODY_BYTES: Final = 65_536
CONNECTIONS: Final = 100
HEADER_S: Final = 1.0
BODY_S: Final = 1.0
IDLE_S: Final = 2.0
WRITE_S: Final = 2.0
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
EMPTY_SETTINGS: Final = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
PATIENCE_S: Final = 8.0  # far above every limit here, below all of their defaults
ENVIRONMENT: Final = {
    "JACKPOTD_LIMITS_HEADER_BYTES_MAX": str(HEADER_BYTES),
    "JACKPOTD_LIMITS_BODY_BYTES_MAX": str(BODY_BYTES),
    "JACKPOTD_LIMITS_CONNECTIONS_MAX": str(CONNECTIONS),
    "JACKPOTD_LIMITS_HEADER_TIMEOUT_S": str(HEADER_S),
    "JACKPOTD_LIMITS_BODY_TIMEOUT_S": str(BODY_S),
    "JACKPOTD_LIMITS_IDLE_TIMEOUT_S": str(IDLE_S),
    "JACKPOTD_LIMITS_WRITE_TIMEOUT_S": str(WRITE_S),
}


async def assert_refused(connection: RawConnection, *statuses: int) -> None:
    """One refusal with one of these statuses, then the end."""
    with trio.fail_after(PATIENCE_S):
        (response,) = await connection.responses_until_closed()
    assert response.status in statuses
    assert response.closes


async def test_long_header_section_is_431(stage: Stage) -> None:
    """One long line, many short ones, or one that does not end: 431, and the connection is closed."""
    line = b"X: " + b"a" * HEADER_BYTES
    lines = [b"X-%d: y" % number for number in range(HEADER_BYTES // 8)]
    body = encoded(v2(await stage.jackpot()))
    whole = stage.request(body, line), stage.request(body, *lines)
    for raw in (*whole, stage.head()[:-2] + line, stage.get(HEALTH, line)):
        async with stage.connect() as connection:
            await connection.send(raw)
            await assert_refused(connection, 431)


async def test_header_section_below_the_limit_is_served(stage: Stage) -> None:
    """What fits is read, and the limit is one of each request, not of the connection."""
    body = encoded(v2(await stage.jackpot()))
    line = b"X: " + b"a" * (HEADER_BYTES - 1000)
    async with stage.connect() as connection:
        for _ in range(5):
            await connection.send(stage.request(body, line))
            assert (await connection.response()).status == 200


@pytest.mark.parametrize("ended", [True, False])
async def test_long_target_is_414(stage: Stage, ended: bool) -> None:
    """A target that alone is above the limit is 414."""
    target = V2.encode() + b"?" + b"a" * HEADER_BYTES
    raw = b"POST " + target
    if ended:
        raw += b" HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    async with stage.connect() as connection:
        await connection.send(raw)
        await assert_refused(connection, 414)


@pytest.mark.parametrize("path", [V2, "/authenticate/service"])
@pytest.mark.parametrize("in_chunks", [True, False])
async def test_long_body_is_413_and_the_end(stage: Stage, path: str, in_chunks: bool) -> None:
    """A body above the limit is 413; the connection ends, and what follows is not read."""
    smuggled = v2(await stage.jackpot(), unique("key"))
    body = b" " * (BODY_BYTES + 1)
    raw = stage.chunked_request(body, path=path) if in_chunks else stage.request(body, path=path)
    async with stage.connect() as connection, trio.open_nursery() as nursery:
        nursery.start_soon(connection.send, raw + stage.request(encoded(smuggled)))
        await assert_refused(connection, 413)

    assert await stage.is_unused(smuggled)


async def test_declared_length_is_refused_before_it_is_sent(stage: Stage) -> None:
    """Nobody has to send 100 MB to learn that they are too many."""
    async with stage.connect() as connection:
        await connection.send(stage.head(b"Content-Length: 100000000"))
        await assert_refused(connection, 413)


async def test_chunks_are_counted_as_they_come(stage: Stage) -> None:
    """An endless chunked body is refused at the limit, not at its end, which never comes."""
    async with stage.connect() as connection:
        await connection.send(stage.head(b"Transfer-Encoding: chunked"))
        await connection.send(chunk(b" " * 1000) * (BODY_BYTES // 1000 + 2))
        await assert_refused(connection, 413)


async def test_body_of_the_limit_is_read(stage: Stage) -> None:
    """The limit itself is allowed."""
    body = encoded(v2(await stage.jackpot()))
    async with stage.connect() as connection:
        for raw in (body.ljust(BODY_BYTES), body.ljust(BODY_BYTES - 1)):
            await connection.send(stage.request(raw) + stage.chunked_request(raw[:9], raw[9:]))
            for _ in range(2):
                assert (await connection.response()).status == 200


@pytest.mark.parametrize("sent", [1, 20, -1])
async def test_head_that_does_not_end_is_given_up(stage: Stage, sent: int) -> None:
    """A header section that stops coming is 408 or just the end."""
    async with stage.connect() as connection:
        await connection.send(stage.head()[:sent])
        with trio.fail_after(PATIENCE_S):
            responses = await connection.responses_until_closed()
    assert [response.status for response in responses] in ([], [408])


async def test_drops_of_a_head_do_not_buy_time(stage: Stage) -> None:
    """A byte now and then does not keep a header section open for ever."""
    async with stage.connect() as connection, trio.open_nursery() as nursery:

        async def drip() -> None:
            for byte in stage.head(b"X: " + b"a" * 2000)[:-2]:
                await connection.send(bytes([byte]))
                await trio.sleep(HEADER_S / 10)

        nursery.start_soon(drip)
        with trio.fail_after(PATIENCE_S):
            responses = await connection.responses_until_closed()
        nursery.cancel_scope.cancel()
    assert [response.status for response in responses] in ([], [408])


async def all_given_up(stage: Stage, *raws: bytes) -> dict[bytes, bytes]:
    """Send each on a connection of its own, wait until all are closed, and answer what came."""
    came: dict[bytes, bytes] = {}

    async def wait(raw: bytes) -> None:
        async with stage.connect() as connection:
            await connection.send(raw)
            with trio.move_on_after(PATIENCE_S):
                came[raw] = await connection.until_closed()

    async with trio.open_nursery() as nursery:
        for raw in raws:
            nursery.start_soon(wait, raw)
    assert [raw for raw in raws if raw not in came] == []
    return came


async def test_body_that_does_not_come_is_given_up(stage: Stage) -> None:
    """A connection in the middle of a body is not held for ever either: 408, or just the end."""
    raws = [
        stage.head(framing, request_line=f"POST {path} HTTP/1.1".encode()) + b"5\r\n"
        for framing in (b"Content-Length: 100", b"Transfer-Encoding: chunked")
        for path in (V2, "/authenticate/service", BATCH)
    ]
    started = trio.current_time()
    came = await all_given_up(stage, *raws)

    assert trio.current_time() - started >= BODY_S * 0.9
    for raw in raws[:2] + raws[3:5]:
        assert not came[raw] or came[raw].startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("requests", [0, 1, 3])
async def test_idle_connection_is_closed_without_a_word(stage: Stage, requests: int) -> None:
    """Before the first request, and between requests, silence ends the connection, cleanly."""
    async with stage.connect() as connection:
        for _ in range(requests):
            await connection.send(stage.get(HEALTH))
            assert (await connection.response("GET")).status == 200
        started = trio.current_time()
        with trio.fail_after(PATIENCE_S):
            assert await connection.until_closed() == b""

    assert trio.current_time() - started >= HEADER_S * 0.9


async def test_silent_http_2_connection_is_closed(stage: Stage) -> None:
    """What was handed over has no more time than the others, in a frame or between frames."""
    await all_given_up(
        stage,
        b"PRI * HT",
        PREFACE,
        PREFACE + EMPTY_SETTINGS,
        PREFACE + EMPTY_SETTINGS + b"\x00\x40\x00\x00\x00",
        PREFACE + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        PREFACE + b"\xff" * 100,
    )


async def test_busy_connection_is_not_idle(stage: Stage) -> None:
    """Requests at intervals below the idle time keep a connection as long as they come."""
    async with stage.connect() as connection:
        for _ in range(6):
            await connection.send(stage.get(HEALTH))
            assert (await connection.response("GET")).status == 200
            await trio.sleep(IDLE_S / 4)


async def pour(connection: RawConnection, raw: bytes) -> None:
    """Send without end, and without reading."""
    while True:
        await connection.stream.send_all(raw)


async def test_client_that_does_not_read_is_let_go(stage: Stage) -> None:
    """Requests without end whose answers nobody takes: the server stops reading, then closes."""
    raw = stage.get("/openapi.json") * 50
    async with stage.connect() as connection:
        with trio.fail_after(3 * PATIENCE_S), pytest.raises(trio.BrokenResourceError):
            await pour(connection, raw)
    assert (await stage.client.get(stage.url + HEALTH)).status_code == 200


async def test_connections_beyond_the_number_are_turned_away(stage: Stage) -> None:
    """One connection too many is 503 or closed; those that are there are served; then there is room."""
    async with trio.open_nursery() as nursery:
        opened: list[RawConnection] = []

        async def hold(task_status: trio.TaskStatus[RawConnection]) -> None:
            async with stage.connect() as connection:
                task_status.started(connection)
                await trio.sleep_forever()

        for _ in range(CONNECTIONS):
            opened.append(await nursery.start(hold))
            await opened[-1].send(stage.get(HEALTH))
            assert (await opened[-1].response("GET")).status == 200
        async with stage.connect() as one_too_many:
            await one_too_many.send(stage.get(HEALTH))
            with trio.fail_after(PATIENCE_S):
                responses = await one_too_many.responses_until_closed("GET")
        assert [response.status for response in responses] in ([], [503])
        await opened[0].send(stage.get(HEALTH))
        assert (await opened[0].response("GET")).status == 200
        nursery.cancel_scope.cancel()

    with trio.fail_after(PATIENCE_S):
        while not await is_served(stage):
            pass


async def is_served(stage: Stage) -> bool:
    """Whether a new connection is answered 200."""
    async with stage.connect() as connection:
        await connection.send(stage.get(HEALTH, b"Connection: close"))
        try:
            return (await connection.response("GET")).status == 200
        except ConnectionEnded:
            return False
