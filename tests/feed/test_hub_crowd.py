"""Many readers over loopback, some of whom stop, crawl or vanish: nobody else notices, and memory stays bounded."""

from pathlib import Path

import trio
import trio.testing

from jackpotd.core.state import Status
from jackpotd.feed.client_socket import Socket
from jackpotd.feed.hub import Wanted
from tests.feed.hub_stage import ALL, Eyes, Stage, win
from tests.feed.socket_stage import SOON_S, Client, limited

BACKLOG = 60_000
INSTANCES = 20
HEARTBEAT_S = 1.5


class Fast:
    """A reader that reads everything, and answers pings."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.wins: list[str] = []
        self.updates = 0
        self.slowest_s = 0.0

    async def read(self, sent_at: dict[str, float]) -> None:
        while True:
            message = await self.client.json()
            if message["kind"] == "JackpotWinEvent":
                self.wins.append(message["id"])
                late = trio.current_time() - sent_at[message["id"]]
                self.slowest_s = max(self.slowest_s, late)
            else:
                self.updates += 1


async def crawl(client: Client) -> None:
    """A byte now and then, and no pong."""
    while await client.stream.receive_some(1):  # noqa: ASYNC110 - that is what it does
        await trio.sleep(HEARTBEAT_S / 5)


async def test_nobody_notices_those_who_do_not_read(tmp_path: Path) -> None:
    """Ten read; ten stopped, ten crawl and ten have vanished. The ten get every win soon, and the others are let go."""
    stage = Stage(
        tmp_path,
        limits=limited(backlog_bytes_max=BACKLOG, close_timeout_s=1.0),
        update_interval_s=0.5,
        heartbeat_interval_s=HEARTBEAT_S,
    )
    for number in range(INSTANCES):
        stage.show(f"i{number}")
    sent_at: dict[str, float] = {}
    async with stage.running() as nursery:
        fast, useless = [], []
        for number in range(40):
            narrow = None if number % 4 == 0 else 4096
            socket, client = await stage.connect_tcp(nursery, receive_buffer_bytes=narrow)
            await stage.hub.subscribe(socket, Eyes(), Wanted(ALL), None)
            if number % 4 == 0:
                fast.append(Fast(client))
                nursery.start_soon(fast[-1].read, sent_at)
            else:
                useless.append(socket)
                if number % 4 == 1:
                    nursery.start_soon(crawl, client)
        ids, most = await _let_happen(stage, useless, sent_at)
        with trio.fail_after(SOON_S):
            while any(reader.wins != ids for reader in fast):  # noqa: ASYNC110 - they read by themselves
                await trio.sleep(0.05)
            while stage.hub.statistics().sockets > 10:  # noqa: ASYNC110 - the kernel tells nobody
                await trio.sleep(0.05)
        slowest_s = max(reader.slowest_s for reader in fast)

    assert slowest_s < 2.0
    assert BACKLOG // 2 < most <= BACKLOG + INSTANCES * 1_000
    assert all(socket.unsent_bytes == 0 for socket in useless)
    assert all(reader.updates >= INSTANCES for reader in fast)


async def _let_happen(
    stage: Stage, useless: list[Socket], sent_at: dict[str, float]
) -> tuple[list[str], int]:
    """Wins for a while; their ids, and the most that ever waited for one reader who does not read."""
    ids: list[str] = []
    most = 0
    for _ in range(40):
        (event_id,) = stage.happen(win("i0", filler="x" * 8_000))
        sent_at[event_id] = trio.current_time()
        ids.append(event_id)
        await trio.sleep(0.02)
        most = max(most, *(socket.unsent_bytes for socket in useless))
    return ids, most


async def test_reader_that_reads_steadily_but_too_slowly_stays(tmp_path: Path) -> None:
    """It is behind at every heartbeat and is never pinged; one that takes nothing is let go."""
    stage = Stage(tmp_path, update_interval_s=0.05, heartbeat_interval_s=0.5)
    for number in range(100):
        stage.show(f"i{number}")
    async with stage.running() as nursery:
        steady, client = await stage.connect_tcp(nursery, receive_buffer_bytes=4096)
        stopped, _ = await stage.connect_tcp(nursery, receive_buffer_bytes=4096)
        for socket in (steady, stopped):
            await stage.hub.subscribe(socket, Eyes(), Wanted(ALL), None)
        behind = read = 0
        for _ in range(200):
            read += len(await client.stream.receive_some(4096))
            behind += steady.is_behind
            await trio.sleep(0.02)

        assert behind > 150
        assert read > 200 * 1024
        assert not steady.is_closing
        assert stopped.is_closing


async def test_last_words_do_not_cost_a_copy_of_the_board(tmp_path: Path) -> None:
    """What was owed comes first, by itself; the block behind it is in memory once for all readers."""
    stage = Stage(tmp_path, update_interval_s=0.5)
    for number in range(400):
        stage.show(f"i{number}")
    async with stage.running() as nursery:
        readers = [await stage.connect_tcp(nursery, receive_buffer_bytes=4096) for _ in range(2)]
        for socket, _ in readers:
            await stage.hub.subscribe(socket, Eyes(), Wanted(ALL), None)
        subscribers = [stage.hub._subscriptions.of(socket) for socket, _ in readers]
        with trio.fail_after(SOON_S):
            while not all(socket.is_behind for socket, _ in readers):  # noqa: ASYNC110
                await trio.sleep(0.01)
            stage.show("i7", status=Status.ENDED)
            while not all(each and each.owed for each in subscribers):  # noqa: ASYNC110
                await trio.sleep(0.01)
            while any(socket.is_behind for socket, _ in readers):
                for socket, client in readers:
                    if socket.is_behind:
                        await client.stream.receive_some(65_536)
            while any(each and each.owed for each in subscribers):  # noqa: ASYNC110
                await trio.sleep(0.01)
        first, second = (socket._stream._queue[-1][0] for socket, _ in readers)

    assert len(first) > 50_000
    assert first is second
