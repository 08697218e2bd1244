"""Who is let in, who is refused and how, and that a library that we did not write gets along with it."""

import json

import pytest
import trio
import trio.testing
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from jackpotd.edge.exchange import Outgoing
from jackpotd.feed.client_socket import Socket, SocketClosed
from tests.feed.socket_stage import (
    HANDSHAKE,
    SOON_S,
    TRACE_ID,
    House,
    connected,
    frame,
    http_answer,
    limited,
    serving,
)


async def answer_to(house: House, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """A connection of its own for one request; it is closed behind the answer."""
    stream = await trio.open_tcp_stream("127.0.0.1", house.port)
    async with stream:
        status, headers, body, _ = await http_answer(stream, request)
        if status != 101:
            assert await stream.receive_some() == b""
    return status, headers, body


async def test_a_client_library_talks_and_closes() -> None:
    """Text both ways, also long, and a close that both agree on; the library asks for compression and gets none."""
    house = House()
    said = ["echo é", "echo " + "x" * 60_000, "last"]

    def talk() -> tuple[list[str | bytes], int | None]:
        with connect(f"ws://127.0.0.1:{house.port}/p/%C3%A9?token=a%20b&a=1&a=2") as client:
            answers = []
            for each in said:
                client.send(each)
                if each.startswith("echo "):
                    answers.append(client.recv(timeout=SOON_S))
            client.ping().wait(SOON_S)
            client.close(1000, "done")
            return answers, client.close_code

    async with serving(house):
        with trio.fail_after(SOON_S):
            answers, code = await trio.to_thread.run_sync(talk)
        await house.until(lambda: house.gone == 1)

    assert [each.removeprefix("echo ") for each in said[:2]] == answers
    assert code == 1000
    assert said == house.heard
    (upgrade,) = house.upgrades
    assert upgrade.path == "/p/é"
    assert {"token": "a b", "a": "2"} == upgrade.query
    assert upgrade.peer == "127.0.0.1"
    assert upgrade.headers["host"] == f"127.0.0.1:{house.port}"


async def test_a_library_sees_our_close_with_its_reason() -> None:
    """4401 and the like reach the client's program."""
    house = House()

    async def session(socket: Socket) -> None:
        socket.send(b"first")
        await socket.close(4401, "the token is not valid")

    house.session = session

    def listen() -> tuple[object, int, str]:
        with connect(f"ws://127.0.0.1:{house.port}/") as client:
            first = client.recv(timeout=SOON_S)
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=SOON_S)
            assert closed.value.rcvd is not None
            return first, closed.value.rcvd.code, closed.value.rcvd.reason

    async with serving(house):
        with trio.fail_after(SOON_S):
            seen = await trio.to_thread.run_sync(listen)

    assert seen == ("first", 4401, "the token is not valid")


async def test_refusal_is_http_with_the_house_error() -> None:
    """Before the upgrade, with the headers that every answer has."""
    body = b'{"status_code":401,"code":"UNAUTHORIZED","message":"no"}'
    refusal = Outgoing(401, body, headers=(("WWW-Authenticate", "Bearer"),), code="UNAUTHORIZED")
    house = House(refusal=refusal)
    async with serving(house):
        status, headers, said = await answer_to(house, HANDSHAKE)

    assert status == 401
    assert said == body
    assert headers["www-authenticate"] == "Bearer"
    assert headers["x-trace-id"] == TRACE_ID
    assert headers["content-type"] == "application/json"
    assert headers["connection"] == "close"
    assert "date" in headers
    assert not house.sockets


def changed(old: bytes, new: bytes) -> bytes:
    assert old in HANDSHAKE
    return HANDSHAKE.replace(old, new)


BAD = {
    "post": (changed(b"GET ", b"POST "), 400),
    "1.0": (changed(b"HTTP/1.1", b"HTTP/1.0"), 400),
    "no upgrade": (changed(b"Upgrade: websocket\r\n", b""), 426),
    "other upgrade": (changed(b"Upgrade: websocket", b"Upgrade: h2c"), 426),
    "no connection": (changed(b"keep-alive, Upgrade", b"keep-alive"), 426),
    "old version": (changed(b"Version: 13", b"Version: 8"), 426),
    "no version": (changed(b"Sec-WebSocket-Version: 13\r\n", b""), 426),
    "no key": (changed(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""), 400),
    "short key": (changed(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhl"), 400),
    "odd key": (changed(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZSBub25jZ==="), 400),
    "no host": (changed(b"Host: localhost\r\n", b""), 400),
    "host is no name": (changed(b"Host: localhost", b"Host: xn--\x61\x0b-.x"), 400),
    "host beyond ascii": (changed(b"Host: localhost", b"Host: \xff\xfe"), 400),
    "header beyond ascii": (changed(b"keep-alive, Upgrade", b"Upgrade, \xff"), 400),
    "bad escape": (changed(b"a%20b", b"%ff%fe"), 400),
    "bad path": (changed(b"/v1/events", b"/%ff"), 400),
    "two lengths": (changed(b"Host:", b"Content-Length: 1\r\nContent-Length: 2\r\nHost:"), 400),
    "no http": (b"\x16\x03\x01\r\n\r\n", 400),
    "empty": (b"\r\n\r\n", 400),
    "no target": (b"GET  HTTP/1.1\r\n\r\n", 400),
    "absolute": (changed(b"GET /", b"GET http://a/"), 400),
    "long": (changed(b"Host:", b"X: " + b"x" * 17_000 + b"\r\nHost:"), 431),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_handshake_is_refused_with_words(name: str) -> None:
    """Each as JSON; nobody is asked to admit it, and nothing fails."""
    request, expected = BAD[name]
    house = House()
    async with serving(house):
        status, _, body = await answer_to(house, request)

    assert status == expected
    assert json.loads(body)["status_code"] == expected
    assert not house.upgrades


async def test_handshake_in_single_bytes_is_taken() -> None:
    """Heads may be cut anywhere; what follows at once belongs to the socket."""
    house = House()
    async with serving(house):
        stream = await trio.open_tcp_stream("127.0.0.1", house.port)
        async with stream:
            for place in range(len(HANDSHAKE) - 1):
                await stream.send_all(HANDSHAKE[place : place + 1])
            early = HANDSHAKE[-1:] + frame(0x1, b"early") + frame(0x1, b"cut")[:3]
            status, _, _, _ = await http_answer(stream, early)
            await stream.send_all(frame(0x1, b"cut")[3:])
            await house.until(lambda: house.heard == ["early", "cut"])

    assert status == 101


async def test_slow_handshake_is_cut_off() -> None:
    """A head that does not end, and an admission that does not."""
    house = House()
    async with serving(house, limited(handshake_timeout_s=0.2)):
        stream = await trio.open_tcp_stream("127.0.0.1", house.port)
        async with stream:
            await stream.send_all(HANDSHAKE[:-1])
            with trio.fail_after(SOON_S):
                assert await stream.receive_some() == b""

    assert not house.upgrades


async def test_a_failing_admission_is_our_fault_and_ends_alone() -> None:
    """500 in the house's words; the next one is served."""
    house = House()
    good = house.admit

    async def bad(_upgrade: object) -> Outgoing:
        raise KeyError("nothing")

    async with serving(house):
        assert house.server is not None
        house.server._admission = bad
        status, _, body = await answer_to(house, HANDSHAKE)
        house.server._admission = good
        async with connected(house) as client:
            await client.say("echo still here")
            assert await client.text() == "still here"

    assert status == 500
    assert json.loads(body)["code"] == "SYSTEM_ERROR"


async def test_sockets_are_bounded_in_all_by_address_and_by_account() -> None:
    """503, 429 and 429; who leaves makes room."""
    house = House(account="op")
    limits = limited(sockets_max=3, sockets_per_address_max=2, sockets_per_account_max=1)
    async with serving(house, limits):
        async with connected(house):
            await house.until(lambda: len(house.sockets) == 1)
            status, headers, body = await answer_to(house, HANDSHAKE)
            assert (429, "TOO_MANY_SOCKETS") == (status, json.loads(body)["code"])
            house.account = ""
            async with connected(house):
                await house.until(lambda: len(house.sockets) == 2)
                status, _, body = await answer_to(house, HANDSHAKE)
                assert (429, "TOO_MANY_SOCKETS") == (status, json.loads(body)["code"])
                async with connected(house, host="127.0.0.2"):
                    await house.until(lambda: len(house.sockets) == 3)
                    status, headers, body = await answer_to(house, HANDSHAKE)
                    assert (503, "OVERLOADED") == (status, json.loads(body)["code"])
                    assert headers["retry-after"] == "1"
        await house.until(lambda: not house.sockets)
        house.account = "op"
        async with connected(house):
            await house.until(lambda: len(house.sockets) == 1)
            assert house.server is not None
            assert house.server._places.statistics().accounts == 1
        await house.until(lambda: not house.sockets)
        await trio.testing.wait_all_tasks_blocked()
        counts = house.server._places.statistics()

    assert (0, 0, 0) == (counts.sockets, counts.addresses, counts.accounts)
    assert counts.refused == 3


async def test_account_that_is_known_later_is_bounded_too() -> None:
    """The socket that is too many is closed with 1008."""
    house, seen = House(), []

    async def session(socket: Socket) -> None:
        seen.append(await socket.receive())
        socket.belongs_to("op")
        socket.belongs_to("op")
        socket.send(b"welcome")
        await house.listen(socket)

    house.session = session
    async with (
        serving(house, limited(sockets_per_account_max=1)),
        connected(house) as first,
        connected(house) as second,
    ):
        await first.say("a")
        assert await first.text() == "welcome"
        await second.say("b")
        assert await second.close_code() == 1008

    assert seen == ["a", "b"]


async def test_drain_says_goodbye_and_lets_nobody_in() -> None:
    """1001 to all, 503 to the next; it returns when all are gone."""
    house = House()
    async with serving(house), connected(house) as client:
        await house.until(lambda: len(house.sockets) == 1)
        assert house.server is not None
        with trio.fail_after(SOON_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(house.server.drain)
                assert await client.close_code() == 1001
                await client.close()
        assert not house.sockets
        status, _, body = await answer_to(house, HANDSHAKE)

    assert (503, "OVERLOADED") == (status, json.loads(body)["code"])


async def test_drain_does_not_wait_for_who_does_not_close() -> None:
    """After a moment they are cut off."""
    house = House()
    async with (
        serving(house, limited(linger_s=0.2, close_timeout_s=60.0)),
        connected(house) as client,
    ):
        await house.until(lambda: len(house.sockets) == 1)
        assert house.server is not None
        with trio.fail_after(SOON_S):
            await house.server.drain()
        assert not house.sockets
        assert await client.close_code() == 1001
        assert await client.event() is None


async def test_what_was_said_before_a_close_is_still_heard() -> None:
    """A client that asks for something and goes away at once."""
    house = House()
    slow = trio.Event()

    async def session(socket: Socket) -> None:
        await slow.wait()
        with pytest.raises(SocketClosed):
            await house.listen(socket)
        house.heard.append("over")
        house.change()

    house.session = session
    async with serving(house), connected(house) as client:
        await client.send(frame(0x1, b"a") + frame(0x1, b"b") + frame(0x8, b"\x03\xe8"))
        assert await client.close_code() == 1000
        slow.set()
        await house.until(lambda: "over" in house.heard)

    assert house.heard == ["a", "b", "over"]


async def test_session_that_does_not_end_is_ended() -> None:
    """After the client's close it has a moment; then it is cancelled."""
    house, cancelled = House(), trio.Event()

    async def session(_socket: Socket) -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    house.session = session
    async with serving(house, limited(close_timeout_s=0.1)), connected(house) as client:
        await client.send(frame(0x8, b"\x03\xe8"))
        with trio.fail_after(SOON_S):
            await cancelled.wait()
        await house.until(lambda: house.gone == 1)


async def test_session_that_fails_closes_with_1011_alone() -> None:
    """Others go on."""
    house = House()

    async def session(socket: Socket) -> None:
        if await socket.receive() == "fail":
            raise RuntimeError("as the test wants it")
        await house.listen(socket)

    house.session = session
    async with serving(house), connected(house) as good, connected(house) as bad:
        await good.say("go on")
        await bad.say("fail")
        assert await bad.close_code() == 1011
        await good.say("echo here")
        assert await good.text() == "here"


async def test_session_that_returns_closes_with_1000() -> None:
    """It has nothing more to say."""
    house = House()

    async def session(socket: Socket) -> None:
        socket.send(b"that was all")

    house.session = session
    async with serving(house), connected(house) as client:
        assert await client.text() == "that was all"
        assert await client.close_code() == 1000
        await client.close()
        await house.until(lambda: house.gone == 1)
