"""More requests than there is room for: the rest is told so at once, and nothing of it is looked at."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import trio

from jackpotd.edge.exchange import Incoming, refusal, refused_by
from jackpotd.engine.router import TOO_MANY_REQUESTS
from jackpotd.front.entrance import Entrance, unlimited
from jackpotd.front.rendering import CLOSE, KEEP_ALIVE_1_0, rendered

from .staging import NOW_MS, TRACE_ID, Client, Handlers, Stage, bench, post, staged
from .test_http1 import answers

CROWD = 400  # more than the reactor serves in one turn
PLACES = 300
SOON_S = 0.3


@contextmanager
def connected(stage: Stage) -> Iterator[list[socket.socket]]:
    """A crowd of plain sockets, which can send without giving the server its turn."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", stage.port)))
            for _ in range(CROWD)
        ]


async def clients_of(socks: list[socket.socket]) -> list[Client]:
    """The same sockets, read; each has been served once, so the server has them all."""
    clients = []
    for sock in socks:
        sock.setblocking(False)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock.dup()))
        clients.append(Client(stream))
        await stream.send_all(post("/echo", b"a"))
        assert 200 == (await clients[-1].answer()).status
    return clients


async def test_last_ones_of_a_crowd_are_refused_at_once() -> None:
    """While everybody before them still waits for an answer; nobody is lost, and nobody is looked at twice."""
    handlers = Handlers()
    async with staged(handlers=handlers, room=lambda: PLACES - len(handlers.held)) as stage:
        with connected(stage) as socks:
            clients = await clients_of(socks)
            for number, sock in enumerate(socks):
                sock.send(post("/hold", b"%d" % number))
            with trio.fail_after(SOON_S):
                refused = [await client.answer() for client in clients[PLACES:]]
            late = await stage.connect()
            await late.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            assert 200 == (await late.answer("GET")).status
            assert PLACES == len(handlers.held)
            while handlers.held:
                handlers.release()
            served = [await client.answer() for client in clients[:PLACES]]
            await clients[-1].send(post("/echo", b"again"))
            assert 200 == (await clients[-1].answer()).status
            for client in clients:
                await client.stream.aclose()

    assert {503} == {got.status for got in refused}
    assert {200} == {got.status for got in served}
    assert [str(number) for number in range(PLACES)] == [got.json["body"] for got in served]
    assert CROWD - PLACES == handlers.observed.count(("gateway", "/hold", 503, "OVERLOADED"))


async def test_crowd_that_fits_is_served_whole() -> None:
    """A crowd alone is no reason to refuse anybody."""
    async with staged(room=lambda: CROWD) as stage:
        with connected(stage) as socks:
            clients = await clients_of(socks)
            for sock in socks:
                sock.send(post("/echo", b"b"))
            assert {200} == {(await client.answer()).status for client in clients}
            for client in clients:
                await client.stream.aclose()


async def test_request_without_room_is_refused_and_its_connection_goes_on() -> None:
    """Also where nobody waits in the sockets: what is served already fills the house."""
    handlers = Handlers()
    async with staged(handlers=handlers, room=lambda: 1 - len(handlers.held)) as stage:
        first, second = await stage.connect(), await stage.connect()
        await first.send(post("/hold", b"a"))
        await handlers.has_held.wait()
        for _ in range(2):
            await second.send(post("/echo", b"b"))
            got = await second.answer()
            assert (503, "1", TRACE_ID) == (
                got.status,
                got.headers["retry-after"],
                got.headers["x-trace-id"],
            )
            assert (503, "OVERLOADED", "too many requests are in flight") == tuple(
                got.json.values()
            )
        assert [] == handlers.seen
        handlers.release()
        await second.send(post("/echo", b"b"))
        assert 200 == (await second.answer()).status


def test_pipeline_is_refused_in_its_order() -> None:
    """A refusal waits for the answers before it, and a body is passed over, whole or in pieces."""
    stage = bench(room=lambda: 1 - len(stage.handlers.held))
    whole = post("/echo", b"x" * 100)
    assert b"" == stage.feed(post("/hold", b"a") + whole[:-7], whole[-7:] + whole)
    stage.handlers.release()
    stage.pump()
    one, two, three = answers(stage.port.written, 3)
    assert [200, 503, 503] == [one.status, two.status, three.status]
    assert [] == stage.handlers.seen
    stage.port.written = b""
    (four,) = answers(stage.feed(post("/echo", b"b")), 1)
    assert 200 == four.status


@pytest.mark.parametrize("accept", ["", "*/*", "application/problem+json"])
@pytest.mark.parametrize("connection", ["", CLOSE, KEEP_ALIVE_1_0])
def test_refusal_is_what_any_other_refusal_is(accept: str, connection: str) -> None:
    """Rendered once, yet with the trace id and the date of its own request."""
    entrance = Entrance(unlimited)
    for trace_id, now_ms in ((TRACE_ID, NOW_MS), ("another", NOW_MS + 5_000)):
        incoming = Incoming({"accept": accept}, trace_id=trace_id, received_ms=now_ms)
        expected = rendered(refusal(refused_by(TOO_MANY_REQUESTS), incoming), connection)
        assert expected == entrance.refusal(accept, connection, trace_id, now_ms)


def test_refusals_that_are_kept_are_bounded() -> None:
    """A header that differs each time does not fill the memory."""
    entrance = Entrance(unlimited)
    for number in range(1000):
        entrance.refusal(f"text/{number}", "", TRACE_ID, NOW_MS)
    assert len(entrance._known) <= 64
