"""The administration's port is as hard to break as the gateway's: the same front, no fast routes.

Whatever one connection does, the process goes on: each test ends with a call of somebody else on both ports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import h2.exceptions
import pytest
import trio

from .http2 import Http2
from .raw import connected
from .stage import HEALTH, V2, encoded, unique, v2
from .test_handed_over import WEB_SOCKET, drop_until_quiet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .stage import Stage

LISTENERS: Final = ("gateway", "admin")
CLOSE_TIMEOUT_S: Final = 20.0
BODY_BYTES: Final = 30_000
PATHS: Final = {"gateway": V2, "admin": "/templates"}
ENVIRONMENT: Final = {"JACKPOTD_LIMITS_BODY_BYTES_MAX": str(BODY_BYTES)}


@pytest.fixture(autouse=True)
async def server_goes_on(stage: Stage) -> AsyncIterator[None]:
    """The same process serves before and after, on both ports."""
    process_id = stage.server.process_group_id
    yield
    assert stage.server.process_group_id == process_id
    for listener in LISTENERS:
        assert (
            await stage.client.get(stage.server.endpoints[listener] + HEALTH)
        ).status_code == 200


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize(
    ("path", "sent", "status"), [("/no/such/path", 1, 404), ("", BODY_BYTES + 1, 413)]
)
async def test_body_that_goes_on_behind_an_early_answer(
    stage: Stage, listener: str, path: str, sent: int, status: int
) -> None:
    """Over HTTP/2 the server forgets a stream with its answer; what still comes on it ends nothing else."""
    async with connected(stage.server.endpoints[listener]) as connection:
        client = Http2(connection, stage)
        await client.begin()
        number = client.post(b" ", path or PATHS[listener], end=False, token=False)
        for _ in range(sent // 10_000):
            client.h2.send_data(number, b" " * 10_000)
        await client.flush()
        assert (await client.answer(number)).status == status
        try:
            for _ in range(5):
                client.h2.send_data(number, b" " * 100)
            client.h2.end_stream(number)
            await client.flush()
        except h2.exceptions.ProtocolError:
            return  # the stream was reset, which says the same
        with trio.fail_after(CLOSE_TIMEOUT_S):
            await drop_until_quiet(client, connection)


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("path", ["/no/such/path", HEALTH, "/"])
async def test_bytes_behind_a_refused_web_socket(stage: Stage, listener: str, path: str) -> None:
    """They are no request, no frame, and no reason to end anything but this connection."""
    smuggled = v2(await stage.jackpot(), unique("key"))
    behind = (b"\x82\x05hello", b"\x00" * 1000, stage.request(encoded(smuggled)), b"GET / HTTP/1.1")
    for raw in behind:
        async with connected(stage.server.endpoints[listener]) as connection:
            await connection.send(stage.get(path, *WEB_SOCKET) + raw)
            await connection.stream.send_eof()
            with trio.fail_after(CLOSE_TIMEOUT_S):
                first = await connection.until_closed()
        assert not first.startswith((b"HTTP/1.1 101", b"HTTP/1.1 2"))
    assert await stage.is_unused(smuggled)
