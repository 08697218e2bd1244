"""Readers that read slowly, or not at all: what is written whole, what waits, and when they are let go."""

import random
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.lowlevel
from wsproto.events import CloseConnection, Pong, TextMessage

from jackpotd.feed import frames
from tests.feed.socket_stage import SOON_S, Client, House, connected, frame, limited, serving

BACKLOG = 100_000
SLOW = limited(backlog_bytes_max=BACKLOG, close_timeout_s=SOON_S)
NARROW = 4096


@pytest.fixture(params=["tcp", "unix", "tls"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """Over each kind of stream that the server may be given."""
    match request.param:
        case "unix":
            yield House(unix_path=str(tmp_path / "s"))
        case "tls":
            yield House(tls=ssl.create_default_context())
        case _:
            yield House()


def message(number: int, size: int) -> bytes:
    return f"{number}:".encode().ljust(size, b"x")


async def fill(house: House, size: int) -> int:
    """Pushes messages until the kernel takes no more; how many it were."""
    socket, number = house.only_socket, 0
    with trio.fail_after(SOON_S):
        while True:
            socket.push(frames.text(message(number, size)))
            number += 1
            # Behind TLS a task writes, which needs its turns.
            for _ in range(20):
                await trio.lowlevel.checkpoint()
                if not socket.is_behind:
                    break
            else:
                return number


async def numbers(client: Client, count: int) -> list[int]:
    return [int((await client.text()).partition(":")[0]) for _ in range(count)]


async def test_reader_that_stops_keeps_a_bounded_backlog_and_then_is_closed(house: House) -> None:
    """With 1013; what it finds when it reads on are whole messages in their order, and the close."""
    async with (
        serving(house, SLOW),
        connected(house, receive_buffer_bytes=NARROW) as stopped,
        connected(house) as other,
    ):
        await house.until(lambda: len(house.sockets) == 2)
        slow, fast = house.sockets
        pushed = 0
        while not slow.is_closing:
            slow.push(frames.text(message(pushed, 10_000)))
            fast.push(frames.text(message(pushed, 10_000)))
            assert slow.unsent_bytes <= BACKLOG + 10_004
            assert pushed == int((await other.text()).partition(":")[0])
            pushed += 1
            assert pushed < 2_000
        assert slow.unsent_bytes <= 10_004 + 125 + 4
        seen: list[int] = []
        while isinstance(event := await stopped.event(), TextMessage):
            assert len(event.data) == 10_000
            seen.append(int(event.data.partition(":")[0]))
        assert isinstance(event, CloseConnection)
        assert event.code == 1013
        assert seen == list(range(len(seen)))
        assert pushed - len(seen) >= BACKLOG // 10_004
        await stopped.close()
        await house.until(lambda: house.gone == 1)


async def test_reader_that_never_reads_on_is_cut_off_after_its_close(house: House) -> None:
    """It takes neither the messages nor the close: its time for that is over soon."""
    limits = limited(backlog_bytes_max=BACKLOG, close_timeout_s=0.2)
    async with serving(house, limits), connected(house, receive_buffer_bytes=NARROW):
        await house.until(lambda: len(house.sockets) == 1)
        await fill(house, 50_000)
        socket = house.only_socket
        for number in range(3):
            socket.push(frames.text(message(number, 50_000)))
        assert socket.is_closing
        await house.until(lambda: house.gone == 1)
        assert socket.unsent_bytes == 0


async def test_slow_reader_gets_everything_in_order(house: House) -> None:
    """It reads a little at a time, and never falls behind by more than it may."""
    chosen = random.Random(6)
    async with serving(house, SLOW), connected(house, receive_buffer_bytes=NARROW) as client:
        await house.until(lambda: len(house.sockets) == 1)
        socket, pushed, seen = house.only_socket, 0, 0
        while pushed < 300:
            while pushed < 300 and socket.unsent_bytes < BACKLOG // 2:
                socket.push(frames.text(message(pushed, chosen.choice([20, 200, 5_000, 40_000]))))
                pushed += 1
                await trio.lowlevel.checkpoint()
            count = chosen.randint(1, 5)
            expected = list(range(seen, min(seen + count, pushed)))
            assert await numbers(client, len(expected)) == expected
            seen += len(expected)
        assert await numbers(client, pushed - seen) == list(range(seen, pushed))
        with trio.fail_after(SOON_S):
            await socket.caught_up()
        assert not socket.is_behind


async def test_pongs_stand_between_frames_never_inside(house: House) -> None:
    """A reader that is behind pings; it sees whole messages and its pongs, in the order of its pings."""
    async with serving(house, SLOW), connected(house, receive_buffer_bytes=NARROW) as client:
        await house.until(lambda: len(house.sockets) == 1)
        pushed = await fill(house, 20_000)
        for number in range(10):
            await client.send(frame(0x9, bytes([number])))
            house.only_socket.push(frames.text(message(pushed + number, 5_000)))
            await trio.lowlevel.checkpoint()
        texts: list[int] = []
        pongs: list[int] = []
        while len(texts) < pushed + 10 or len(pongs) < 10:
            event = await client.event()
            if isinstance(event, Pong):
                pongs.append(event.payload[0])
            else:
                assert isinstance(event, TextMessage)
                texts.append(int(event.data.partition(":")[0]))
        assert texts == list(range(pushed + 10))
        assert pongs == list(range(10))


async def test_reader_that_pings_and_does_not_read_takes_no_memory(house: House) -> None:
    """Its pongs are its backlog: when that is full, it is not heard either."""
    limits = limited(backlog_bytes_max=10_000, messages_per_s_max=1e9)
    async with serving(house, limits), connected(house, receive_buffer_bytes=NARROW) as client:
        await house.until(lambda: len(house.sockets) == 1)
        await fill(house, 9_000)
        socket = house.only_socket
        with trio.move_on_after(0.5):
            while True:
                await client.send(frame(0x9, b"x" * 125) * 100)
                assert socket.unsent_bytes <= 9_000 + 4 + 10_000 + 127
        assert not socket.is_closing


async def test_updates_are_no_backlog(house: House) -> None:
    """A block of any size is taken by a reader that is not behind."""
    async with serving(house, SLOW), connected(house, receive_buffer_bytes=NARROW) as client:
        await house.until(lambda: len(house.sockets) == 1)
        socket = house.only_socket
        block = frames.text(message(0, 20 * BACKLOG))
        socket.push_updates(block)
        await trio.lowlevel.checkpoint()
        assert socket.is_behind
        socket.push(frames.text(message(1, BACKLOG - 100)))
        assert not socket.is_closing
        assert await numbers(client, 2) == [0, 1]


async def test_a_block_that_waits_for_many_is_in_memory_once() -> None:
    """What waits is the very block that was pushed, not a copy for each."""
    house = House()
    async with (
        serving(house, limited(backlog_bytes_max=10_000_000)),
        connected(house, receive_buffer_bytes=NARROW),
    ):
        await house.until(lambda: len(house.sockets) == 1)
        block = frames.text(message(0, 8_000_000))
        house.only_socket.push(block)
        assert house.only_socket.is_behind
        ((queued, _),) = house.only_socket._stream._queue
        assert queued is block
