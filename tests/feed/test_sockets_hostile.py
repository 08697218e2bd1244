"""Clients that flood, that break frames, that send too much, and the ones beside them that notice nothing."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from wsproto.events import CloseConnection, Pong

from jackpotd.feed.client_socket import Socket
from jackpotd.feed.socket_limits import Rate, SocketLimits
from tests.feed.socket_stage import SOON_S, Client, House, connected, frame, limited, serving

SMALL = limited(message_bytes_max=1000, messages_per_s_max=20.0, close_timeout_s=0.3)


@asynccontextmanager
async def beside_another(
    limits: SocketLimits = SMALL,
) -> AsyncGenerator[tuple[House, Client]]:
    """A client, and another one that has to get its answer whatever the first one did."""
    house = House()
    async with serving(house, limits), connected(house) as other:
        async with connected(house) as client:
            yield house, client
        await other.say("echo unharmed")
        assert await other.text() == "unharmed"
        await house.until(lambda: house.gone == 1)


BROKEN = {
    "not masked": (frame(0x1, b"x", mask=None), 1002),
    "reserved bit": (bytes([0xC1]) + frame(0x1, b"x")[1:], 1002),
    "reserved opcode": (frame(0x3, b"x"), 1002),
    "reserved control opcode": (frame(0xB, b"x"), 1002),
    "fragmented ping": (frame(0x9, b"x", fin=False), 1002),
    "long ping": (frame(0x9, b"x" * 126), 1002),
    "continuation of nothing": (frame(0x0, b"x"), 1002),
    "text inside of a text": (frame(0x1, b"a", fin=False) + frame(0x1, b"b"), 1002),
    "padded length": (b"\x81\xfe\x00\x01\x00\x00\x00\x00x", 1002),
    "close of one byte": (frame(0x8, b"x"), 1002),
    "close with a reserved code": (frame(0x8, (1005).to_bytes(2, "big")), 1002),
    "not utf-8": (frame(0x1, b"\xff\xfe"), 1007),
    "not utf-8 in the second fragment": (
        frame(0x1, b"\xc3", fin=False) + frame(0x0, b"\x28"),
        1007,
    ),
    "binary": (frame(0x2, b"bytes"), 1003),
    "too long": (frame(0x1, b"x" * 1001), 1009),
    "endless": (b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00xxxx", 1009),
    "too long in fragments": (
        frame(0x1, b"x" * 600, fin=False) + frame(0x0, b"x" * 401, fin=False),
        1009,
    ),
    "fragments of nothing": (frame(0x1, b"", fin=False) + frame(0x0, b"", fin=False) * 60, 1008),
    "flood of texts": (frame(0x1, b"x") * 60, 1008),
    "flood of pings": (frame(0x9, b"x") * 60, 1008),
    "flood of pongs": (frame(0xA, b"x") * 60, 1008),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_client_is_closed_with_the_code_of_its_fault(name: str) -> None:
    """The code arrives, the socket goes, and nobody else notices."""
    data, code = BROKEN[name]
    async with beside_another() as (_, client):
        await client.send(data)
        assert await client.close_code() == code


async def test_message_in_fragments_with_a_ping_in_between_is_heard() -> None:
    """Up to the longest that is allowed."""
    async with beside_another() as (house, client):
        await client.send(frame(0x1, "é".encode()[:1], fin=False))
        await client.send(frame(0x9, b"are you there"))
        await client.send(frame(0x0, "é".encode()[1:] + b"x" * 998))
        event = await client.event()
        assert event == Pong(payload=b"are you there")
        await house.until(lambda: house.heard == ["é" + "x" * 998])
        await client.close()


async def test_flooding_client_that_goes_on_is_cut_off() -> None:
    """It takes no notice of our close: its time, or the bytes that it may still throw away, run out."""
    async with beside_another() as (house, client):
        async with trio.open_nursery() as nursery:

            async def flood() -> None:
                try:
                    while True:
                        await client.send(frame(0x1, b"x" * 900) * 50)
                except trio.BrokenResourceError:
                    nursery.cancel_scope.cancel()

            nursery.start_soon(flood)
            await house.until(lambda: house.gone == 1)

        assert len(house.heard) <= 45


async def test_flooding_client_that_is_not_heard_is_bounded_by_its_own_kernel() -> None:
    """A session that is busy hears nothing: so much is queued, and the rest waits outside."""
    house, go_on = House(), trio.Event()

    async def session(socket: Socket) -> None:
        await go_on.wait()
        await house.listen(socket)

    house.session = session
    limits = limited(messages_per_s_max=1e9, message_bytes_max=100_000)
    async with serving(house, limits), connected(house) as client:
        sent = 0
        with trio.move_on_after(0.5):
            while True:
                await client.send(frame(0x1, b"x" * 60_000))
                sent += 1
        assert sent < 300
        go_on.set()
        await house.until(lambda: len(house.heard) >= sent)


async def test_pings_are_answered_by_payload() -> None:
    """In their order."""
    async with beside_another() as (_, client):
        await client.send(frame(0x9, b"1") + frame(0x9) + frame(0x9, b"x" * 125))
        for payload in (b"1", b"", b"x" * 125):
            assert await client.event() == Pong(payload=payload)
        await client.close()


async def test_client_that_closes_gets_its_code_back() -> None:
    """The closing handshake, and then the end of the connection, at once."""
    async with beside_another(limited(close_timeout_s=60.0)) as (_, client):
        await client.send(frame(0x8, (4000).to_bytes(2, "big") + b"bye"))
        event = await client.event()
        assert isinstance(event, CloseConnection)
        assert event.code == 4000
        assert await client.event() is None


async def test_client_that_ends_without_a_close_is_let_go() -> None:
    """Only its direction is closed, or it resets the connection."""
    async with beside_another(limited(close_timeout_s=60.0)) as (house, client):
        assert isinstance(client.stream, trio.SocketStream)
        await client.stream.send_eof()
        assert await client.event() is None
        await house.until(lambda: house.gone == 1)


async def test_we_close_and_a_client_that_does_not_is_cut_off() -> None:
    """It has close_timeout_s."""
    house = House()

    async def session(socket: Socket) -> None:
        await socket.close(4000, "enough")

    house.session = session
    async with serving(house, SMALL), connected(house) as client:
        assert await client.close_code() == 4000
        with trio.fail_after(SOON_S):
            await house.until(lambda: house.gone == 1)
        assert await client.event() is None


def test_rate_has_room_for_a_burst_and_regains_it() -> None:
    """Ten in a second in the long run, twenty at once."""
    rate = Rate(10.0, 100.0)

    assert rate.allows(20, 100.0)
    assert not rate.allows(1, 100.0)
    assert rate.allows(1, 100.3)
    assert not rate.allows(5, 100.4)
    assert rate.allows(20, 200.0)
    assert not rate.allows(1, 200.0)
