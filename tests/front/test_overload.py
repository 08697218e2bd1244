"""More requests than there is room for: the rest is told so at once, and nothing of it is looked at."""

import os
import select
import socket
import struct

import pytest
import trio

from jackpotd.edge.exchange import Incoming, refusal, refused_by
from jackpotd.engine.router import TOO_MANY_REQUESTS
from jackpotd.front.connections import Connections
from jackpotd.front.entrance import Entrance, unlimited
from jackpotd.front.reactor import Reactor
from jackpotd.front.rendering import CLOSE, KEEP_ALIVE_1_0, rendered

from .staging import (
    NOW_MS,
    TRACE_ID,
    USUAL,
    Client,
    Handlers,
    Stage,
    bench,
    listening,
    post,
    staged,
)
from .test_http1 import answers

CROWD = 400  # more than the reactor serves in one turn
PLACES = 300


async def crowd_of(stage: Stage) -> list[Client]:
    """So many clients; each has been served once, so the server has them all."""
    clients = [await stage.connect() for _ in range(CROWD)]
    for client in clients:
        await client.send(post("/echo", b"a"))
        assert 200 == (await client.answer()).status
    return clients


def send_at_once(clients: list[Client], *requests: bytes) -> None:
    """Everybody sends before the server has its turn."""
    for client, request in zip(clients, requests, strict=True):
        assert isinstance(client.stream, trio.SocketStream)
        assert len(request) == os.write(client.stream.socket.fileno(), request)


async def test_too_many_of_a_crowd_are_refused_at_once() -> None:
    """While everybody else still waits for an answer; nobody is lost, and a new client gets in beside them."""
    handlers = Handlers()
    async with staged(handlers=handlers, room=lambda: PLACES - len(handlers.held)) as stage:
        clients = await crowd_of(stage)
        send_at_once(clients, *(post("/hold", b"%d" % number) for number in range(CROWD)))
        refused: set[Client] = set()
        enough = trio.Event()
        async with trio.open_nursery() as nursery:

            async def listen(client: Client) -> None:
                await trio.lowlevel.wait_readable(client.stream.socket)  # type: ignore[attr-defined]
                refused.add(client)
                if len(refused) == CROWD - PLACES:
                    enough.set()

            for client in clients:
                nursery.start_soon(listen, client)
            await enough.wait()
            nursery.cancel_scope.cancel()
        late = await stage.connect()
        await late.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        assert 200 == (await late.answer("GET")).status
        assert PLACES == len(handlers.held)
        while handlers.held:
            handlers.release()
        for number, client in enumerate(clients):
            got = await client.answer()
            assert (503 if client in refused else 200) == got.status
            assert client in refused or str(number) == got.json["body"]
            await client.send(post("/echo", b"again"))
            assert 200 == (await client.answer()).status

    assert CROWD - PLACES == handlers.observed.count(("gateway", "/hold", 503, "OVERLOADED"))


async def test_last_ones_of_a_crowd_are_the_ones_refused() -> None:
    """Who has waited longest is served first; who came last has lost least by coming again."""
    stage = bench(room=lambda: 7 - len(stage.handlers.held))
    pairs = [socket.socketpair() for _ in range(10)]
    with listening() as listener, trio.fail_after(5):
        reactor = Reactor(stage.site, listener, Connections(USUAL), lambda *_: None)
        for number, (ours, theirs) in enumerate(pairs):
            ours.setblocking(False)
            theirs.setblocking(False)
            reactor._take(ours)
            theirs.send(post("/hold", b"%d" % number))
        await reactor._serve_crowd([(ours.fileno(), select.EPOLLIN) for ours, _ in pairs])
        assert [b"%d" % number for number in range(7)] == [
            incoming.body for incoming, _ in stage.handlers.held
        ]
        for _, theirs in pairs[7:]:
            assert theirs.recv(1000).startswith(b"HTTP/1.1 503 ")
        for connection in list(reactor._by_fd.values()):
            reactor.lose(connection)
        reactor.epoll.close()
    for _, theirs in pairs:
        theirs.close()


async def test_crowd_that_fits_is_served_whole() -> None:
    """A crowd alone is no reason to refuse anybody."""
    async with staged(room=lambda: CROWD) as stage:
        clients = await crowd_of(stage)
        send_at_once(clients, *[post("/echo", b"b")] * CROWD)
        assert {200} == {(await client.answer()).status for client in clients}


async def test_crowd_that_breaks_off_is_forgotten() -> None:
    """Connections that go while they wait leave no event behind for those that get their numbers."""
    async with staged(room=lambda: CROWD) as stage:
        clients = await crowd_of(stage)
        send_at_once(clients, *[post("/echo", b"b")] * CROWD)
        for client in clients[::2]:
            assert isinstance(client.stream, trio.SocketStream)
            client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await client.stream.aclose()
        others = [await stage.connect() for _ in range(CROWD // 2)]
        for client in (*clients[1::2], *others):
            if client in others:
                await client.send(post("/echo", b"c"))
            assert 200 == (await client.answer()).status


def test_connection_that_is_given_away_is_read_no_more() -> None:
    """One that waits in a crowd may be given away meanwhile: its bytes are another's then."""
    given: list[tuple[socket.socket, bytes, bytes]] = []
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with listening() as listener, ours, theirs:
        reactor = Reactor(
            bench().site, listener, Connections(USUAL), lambda *what: given.append(what)
        )
        reactor._take(ours)
        (connection,) = reactor._by_fd.values()
        reactor._crowd[connection] = select.EPOLLIN
        theirs.send(b"not for us")
        connection.hand_over(b"read")
        reactor._serve_some(1, are_last=False)
        assert [(ours, b"read", b"")] == given
        assert b"not for us" == ours.recv(100)
        reactor.epoll.close()


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
