"""What goes wrong with one request stays with it: nothing of it reaches the tasks of the others."""

import socket
import struct
from collections.abc import AsyncIterator, Callable

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from jackpotd.edge.exchange import Incoming, Streamed
from jackpotd.front.asgi import answer_with
from jackpotd.front.exchanges import ClientGone, Exchange
from jackpotd.front.streams import answer_streaming
from jackpotd.wire.errors import RequestRefused

from .staging import Bench, Client, bench, chunked, post, staged

Defect = Callable[[], BaseException]
DEFECTS: list[Defect] = [
    lambda: RequestRefused("INVALID_REQUEST", "no"),
    lambda: RuntimeError("a defect"),
    ClientGone,
    lambda: ExceptionGroup("", [ClientGone(), RuntimeError("a defect")]),
    lambda: ExceptionGroup("", [ExceptionGroup("", [RequestRefused("INVALID_REQUEST", "no")])]),
]


def begun(path: str) -> tuple[Bench, Exchange]:
    """A request that has its exchange, and nobody who answers it yet."""
    stage = bench()
    stage.feed(post(path, b"abc"))
    (exchange,) = stage.exchanges
    return stage, exchange


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("is_gone", [True, False])
async def test_stream_handler_that_fails_ends_its_exchange_alone(
    defect: Defect, is_gone: bool
) -> None:
    """Also where its client goes in the same moment: then there is nobody to be told."""
    stage, exchange = begun("/stream")

    async def handler(_incoming: Incoming, _body: AsyncIterator[bytes]) -> Streamed:
        if is_gone:
            stage.protocol.lost()
        raise defect()

    with trio.fail_after(5):
        await answer_streaming(handler, exchange, stage.site)
    assert exchange.is_over
    assert is_gone or isinstance(defect(), ClientGone) or stage.port.written or stage.port.is_closed
    assert not (is_gone and stage.port.written)


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("is_gone", [True, False])
async def test_application_that_fails_ends_its_exchange_alone(
    defect: Defect, is_gone: bool
) -> None:
    """The same for what an application raises."""
    stage, exchange = begun("/upload")

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        if is_gone:
            stage.protocol.lost()
        raise defect()

    with trio.fail_after(5):
        await answer_with(app, exchange, stage.site)
    assert exchange.is_over
    assert not (is_gone and stage.port.written)
    if not is_gone:
        assert stage.port.written.startswith(b"HTTP/1.1 500 ")


def reset(client: Client) -> None:
    assert isinstance(client.stream, trio.SocketStream)
    client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.stream.socket.close()


@pytest.mark.parametrize("path", ["/stream", "/upload", "/echo", "/wait", "/endless"])
async def test_reset_in_any_moment_harms_nobody(path: str) -> None:
    """Whole, cut, and malformed bodies, with an RST right behind them."""
    raw = chunked(path, b"x" * 50, b"y" * 50)
    malformed = raw[:-5] + b"xyz\r\n"
    async with staged() as stage:
        other = await stage.connect()
        for cut in range(0, len(raw), 3):
            for sent in (raw[:cut], malformed[:cut], raw[:cut] + b"zz\r\n", malformed):
                client = await stage.connect()
                await client.send(sent)
                reset(client)
            await other.send(post("/echo", b"a"))
            assert 200 == (await other.answer()).status
