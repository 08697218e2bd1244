"""What the fast lane hands over: HTTP/2 with prior knowledge, h2c, WebSocket; and its bad forms.

Whatever one connection does there, the server goes on: each test ends with a contribution of
somebody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import h2.events
import h2.exceptions
import httpx
import pytest
import trio

from .http2 import Http2
from .stage import HEALTH, V2, encoded, open_client, unique, v2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .raw import RawConnection
    from .stage import Stage

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WEB_SOCKET: Final = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
H2C: Final = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c")
CLOSE_TIMEOUT_S: Final = 20.0


@pytest.fixture(autouse=True)
async def server_goes_on(stage: Stage, shared_jackpot: str) -> AsyncIterator[None]:
    """The server serves before and after, and it is the same process."""
    process_id = stage.server.process_group_id
    yield
    assert stage.server.process_group_id == process_id
    assert (await stage.post(V2, v2(shared_jackpot))).status_code == 200


# -- WebSocket


@pytest.mark.parametrize("path", ["/no/such/path", "/", V2, HEALTH])
async def test_web_socket_where_there_is_none_is_refused(stage: Stage, path: str) -> None:
    """The refusal is an HTTP answer, never 101, on a fresh connection and behind another request."""
    for before in (b"", stage.get(HEALTH)):
        async with stage.connect() as connection:
            await connection.send(before + stage.get(path, *WEB_SOCKET))
            if before:
                assert (await connection.response("GET")).status == 200
            response = await connection.response("GET")
            assert response.status in {200, 400, 403, 404, 405, 426}
            assert response.interim == ()


async def test_bytes_behind_a_web_socket_upgrade_hurt_nobody(stage: Stage) -> None:
    """Frames that come before the answer to the upgrade are an early client's, or an attacker's."""
    for rest in (
        b"x",
        b"\x81\x85\x00\x00\x00\x00hello",
        b"\r\n",
        stage.get(HEALTH),
        b"\xff" * 5000,
    ):
        async with stage.connect() as connection:
            await connection.send(stage.get("/no/such/path", *WEB_SOCKET) + rest)
            response = await connection.response("GET")
            assert response.status != 101


@pytest.mark.parametrize(
    "lines",
    [
        (b"Connection: Upgrade", b"Upgrade: foo/2"),
        (b"Upgrade: websocket", *WEB_SOCKET[2:]),
        (b"Connection: close", b"Upgrade: h2c"),
        (b"Connection: Upgrade", b"Upgrade: h2"),
        (b"Connection: Upgrade",),
        (b"Connection: Upgrade", b"Upgrade: TLS/1.2, HTTP/1.1"),
    ],
)
async def test_upgrade_that_is_none_is_ignored(
    stage: Stage, shared_jackpot: str, lines: tuple[bytes, ...]
) -> None:
    """RFC 9110 §7.8: a server may ignore an upgrade, and then answers the request itself."""
    body = v2(shared_jackpot, unique("key"))
    for raw, method in (
        (stage.get(HEALTH, *lines), "GET"),
        (stage.request(encoded(body), *lines), "POST"),
    ):
        async with stage.connect() as connection:
            await connection.send(raw)
            assert (await connection.response(method)).status == 200
    assert not await stage.is_unused(body)


async def test_web_socket_upgrade_with_content_contributes_nothing(
    stage: Stage, shared_jackpot: str
) -> None:
    """A POST that asks for a WebSocket is a POST, or is refused; its content is no request."""
    smuggled = v2(shared_jackpot, unique("key"))
    content = stage.request(encoded(smuggled))
    async with stage.connect() as connection:
        await connection.send(stage.request(content, *WEB_SOCKET))
        response = await connection.response()
    assert 400 <= response.status < 500
    assert await stage.is_unused(smuggled)


# -- HTTP/2


@pytest.mark.parametrize("first", [1, 3, 16, 23, 24, 30])
async def test_preface_may_come_in_pieces(stage: Stage, shared_jackpot: str, first: int) -> None:
    """HTTP/2 is recognised however its first bytes are cut."""
    body = v2(shared_jackpot, unique("key"))
    async with stage.connect() as connection:
        client = Http2(connection, stage)
        client.h2.initiate_connection()
        number = client.post(encoded(body))
        data = client.h2.data_to_send()
        await connection.send(data[:first])
        await trio.sleep(0.05)  # so that it is a read of its own, most likely
        await connection.send(data[first:])
        answer = await client.answer(number)
    assert answer.status == 200
    assert not await stage.is_unused(body)


async def test_streams_are_answered_together(stage: Stage) -> None:
    """A hundred contributions on one HTTP/2 connection are each answered and counted."""
    jackpot = await stage.jackpot()
    async with stage.connect() as connection:
        client = Http2(connection, stage)
        await client.begin()
        numbers = [client.post(encoded(v2(jackpot))) for _ in range(90)]
        await client.flush()
        for number in numbers:
            assert (await client.answer(number)).status == 200
    assert await stage.contributions(jackpot) == 90


@pytest.mark.parametrize(
    "raw",
    [
        PREFACE[:-1] + b"X",
        PREFACE[:18] + b"XX\r\n\r\n",
        b"PRI * HTTP/2.0\r\nHost: a\r\n\r\n",
        b"PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/1.1\r\nHost: a\r\n\r\n",
        PREFACE + b"\x00" * 100,
        PREFACE + b"\x00\x00\x05\xff\xff\xff\xff\xff\xffhello",
    ],
)
async def test_broken_preface_is_the_end(stage: Stage, shared_jackpot: str, raw: bytes) -> None:
    """Neither HTTP/2 nor HTTP/1.1: the connection is closed and nothing behind it is read."""
    smuggled = v2(shared_jackpot, unique("key"))
    async with stage.connect() as connection:
        await connection.send(raw + stage.request(encoded(smuggled)))
        with trio.fail_after(CLOSE_TIMEOUT_S):
            rest = await connection.until_closed()
    assert b"HTTP/1.1 200" not in rest
    assert await stage.is_unused(smuggled)


@pytest.mark.parametrize("path", [V2, "/no/such/path", "/authenticate/service"])
async def test_content_behind_an_early_answer_hurts_nobody(stage: Stage, path: str) -> None:
    """An answer that needs no content ends the stream; what the client still sends is dropped."""
    async with stage.connect() as connection:
        client = Http2(connection, stage)
        await client.begin()
        number = client.post(b"{", path, end=False, token=False)
        await client.flush()
        with trio.move_on_after(1):
            await client.answer(number)
        try:
            for _ in range(5):
                client.h2.send_data(number, b" " * 100)
            client.h2.end_stream(number)
            await client.flush()
        except h2.exceptions.ProtocolError:
            return  # the stream was reset, which says the same
        with trio.fail_after(CLOSE_TIMEOUT_S):
            await drop_until_quiet(client, connection)


async def drop_until_quiet(client: Http2, connection: RawConnection) -> None:
    """Read until the server answers a ping, or closes."""
    client.h2.ping(b"12345678")
    await client.flush()
    while True:
        try:
            data = await connection.stream.receive_some(65536)
        except trio.BrokenResourceError:
            return
        if not data:
            return
        events = client.h2.receive_data(bytes(data))
        if any(isinstance(event, h2.events.PingAckReceived) for event in events):
            return


async def test_too_long_content_over_http_2_hurts_nobody(stage: Stage) -> None:
    """413, or a reset, or the end of this one connection: the others go on."""
    async with open_client(http1=False, http2=True, limits=httpx.Limits()) as client:
        for _ in range(5):
            try:
                response = await client.post(
                    stage.url + V2,
                    content=b" " * 3_000_000,
                    headers={"Authorization": f"Bearer {stage.service_token}"},
                )
            except httpx.TransportError:
                continue
            assert response.status_code == 413


async def test_refusal_over_http_2_leaves_the_connection_to_the_others(stage: Stage) -> None:
    """A 401 or 404 with content unread ends one stream, not the streams beside it."""
    jackpot = await stage.jackpot()
    async with stage.connect() as connection:
        client = Http2(connection, stage)
        await client.begin()
        for path, token, status in ((V2, False, 401), ("/no/such/path", True, 404)) * 5:
            slow = client.post(encoded(v2(jackpot))[:-1], end=False)
            refused = client.post(b"{", path, end=False, token=token)
            await client.flush()
            client.h2.send_data(refused, b"}", end_stream=True)
            client.h2.send_data(slow, b"}", end_stream=True)
            await client.flush()
            assert (await client.answer(refused)).status == status
            assert (await client.answer(slow)).status == 200
    assert await stage.contributions(jackpot) == 10


async def test_streams_that_are_reset_at_once_hurt_nobody(stage: Stage) -> None:
    """Rapid reset: streams opened and given up by the hundred count for nothing, or once each."""
    jackpot = await stage.jackpot()
    async with stage.connect() as connection:
        client = Http2(connection, stage)
        await client.begin()
        for _ in range(200):  # what fits into the window of a connection that nobody reads
            number = client.post(encoded(v2(jackpot)))
            client.h2.reset_stream(number)
            await client.flush()
    contributed = await stage.contributions(jackpot)
    assert contributed == contributed.to_integral_value()


async def test_http_2_connection_cut_within_a_request_contributes_nothing(
    stage: Stage, shared_jackpot: str
) -> None:
    """As over HTTP/1.1: what did not arrive whole does not happen."""
    bodies = [v2(shared_jackpot, unique("key")) for _ in range(20)]
    for count, body in enumerate(bodies):
        async with stage.connect() as connection:
            client = Http2(connection, stage)
            await client.begin()
            client.post(encoded(body)[: count * 10], end=False)
            await client.flush()
            if count % 2:
                connection.reset()
    for body in bodies:
        assert await stage.is_unused(body)


# -- h2c


@pytest.mark.parametrize("before", [0, 1])
async def test_h2c_upgrade_is_answered_over_http_2(
    stage: Stage, shared_jackpot: str, before: int
) -> None:
    """101, then the answer to the request on stream 1, then contributions on the next ones."""
    body = v2(shared_jackpot, unique("key"))
    async with stage.connect() as connection:
        for _ in range(before):
            await connection.send(stage.get(HEALTH))
            assert (await connection.response("GET")).status == 200
        client = Http2(connection, stage)
        settings = client.h2.initiate_upgrade_connection()
        assert settings is not None
        await connection.send(stage.get(HEALTH, *H2C, b"HTTP2-Settings: " + settings))
        assert await connection.interim() == 101
        client._received(await connection.bytes_so_far(0))
        await client.flush()
        assert (await client.answer(1)).status == 200
        number = client.post(encoded(body))
        await client.flush()
        assert (await client.answer(number)).status == 200
    assert not await stage.is_unused(body)


@pytest.mark.parametrize(
    "lines", [(b"HTTP2-Settings: !!!",), (), (b"HTTP2-Settings: AAMAAABk", b"HTTP2-Settings: AAMA")]
)
async def test_h2c_upgrade_with_bad_settings_hurts_nobody(
    stage: Stage, lines: tuple[bytes, ...]
) -> None:
    """RFC 7540 §3.2.1: not exactly one such field is no upgrade; whatever it is, only it ends."""
    async with stage.connect() as connection:
        await connection.send(stage.get(HEALTH, *H2C, *lines, b"Connection: close"))
        with trio.move_on_after(2):
            await connection.until_closed()


async def test_h2c_upgrade_of_a_contribution_counts_it_once(
    stage: Stage, shared_jackpot: str
) -> None:
    """With content the upgrade is ignored or done; the contribution is one either way."""
    body = v2(shared_jackpot, unique("key"))
    async with stage.connect() as connection:
        lines = (*H2C, b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
        await connection.send(stage.request(encoded(body), *lines))
        first = await connection.bytes_so_far(12)
    assert first.startswith((b"HTTP/1.1 200", b"HTTP/1.1 101", b"HTTP/1.1 400"))
    if first.startswith(b"HTTP/1.1 200"):
        assert not await stage.is_unused(body)
    elif first.startswith(b"HTTP/1.1 400"):
        assert await stage.is_unused(body)
