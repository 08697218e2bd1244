"""Connect in one process: the demo's jackpots with a real worker and edge, the feed's node on their mesh, and the real
hub, board, store and sockets on loopback TCP. A client library that we did not write speaks to them.

Only the journal's tail is the test's own: the journal is in memory, and what it says goes through the real event
building into the real store.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import trio
import websockets
from websockets.sync.client import ClientConnection, connect

from jackpotd.cluster.feed_node import FeedNode
from jackpotd.connect.app import ConnectParts, build_connect
from jackpotd.connect.players import MemoryWallet, PlayerAuthority
from jackpotd.connect.sockets import ConnectSockets, SocketParts
from jackpotd.edge.guard import Guard
from jackpotd.edge.origins import AllowedOrigins
from jackpotd.edge.shell import Shell
from jackpotd.edge.standing_tokens import StandingTokens
from jackpotd.engine.messages import Accepted
from jackpotd.feed.board import Board
from jackpotd.feed.event_building import EventBuilder
from jackpotd.feed.event_ids import EventIds
from jackpotd.feed.hub import Hub
from jackpotd.feed.publishing import Publisher
from jackpotd.feed.socket_limits import Places, SocketLimits
from jackpotd.feed.sockets import Admission, SocketServer
from jackpotd.gateway.event_stream import EventStream
from jackpotd.identity.tokens import TokenDesk
from jackpotd.journal.feed_store import Batch, FeedStore
from jackpotd.testing.house import BORN_MS, request
from jackpotd.testing.street import Street, sockets
from jackpotd.wire import records
from jackpotd.wire.catalog_records import (
    Account,
)
from jackpotd.wire.feed_events import LoggedEvent

from .connect_clients import Client
from .connect_data import SURE, Json, entities

TEST_TIMEOUT_S = 60
MAP_BYTES = 16 << 20
TICK_S = 0.2


class ConnectHouse:
    """Everything that runs; ports are those of the listeners."""

    def __init__(
        self,
        street: Street,
        node: FeedNode,
        store: FeedStore,
        *,
        players: PlayerAuthority,
        limits: SocketLimits,
    ) -> None:
        self.street = street
        self.node = node
        self.store = store
        self.limits = limits
        self.now_ms = BORN_MS
        self.ids = EventIds(store.epoch)
        self.tokens = TokenDesk(
            bytes(64), node.catalog.accounts.get, user_lifetime_s=1_800, clock=self.clock
        )
        self.board = Board(
            node.catalog, node.definitions, node.tickers, node.workers, clock=self.clock
        )
        self.hub = Hub(store, self.ids, self.board, update_interval_s=TICK_S)
        self.standing = StandingTokens(self.tokens, interval_s=0.05)
        self.origins = AllowedOrigins(node.catalog)
        self.sockets = ConnectSockets(
            SocketParts(
                node, self.hub, players, self.standing, self.origins, self.clock, scheme="http"
            )
        )
        self.stream = EventStream(
            self.hub, self.standing, self.origins, scheme="http", timeout_s=0.5
        )
        self.builder = EventBuilder(node.catalog, node.definitions, _no_cause)
        self.publisher = Publisher(store, self.hub.happened, lambda: None)
        self.connect_port = self.gateway_port = 0
        self.app = build_connect(
            ConnectParts(
                node=node,
                tickers=self.board,
                guard=Guard(self.tokens),
                origins=self.origins,
                is_healthy=lambda: True,
                metrics=_no_metrics,
                list_limit_max=100,
            ),
            Shell(
                name="connect",
                title="Connect",
                body_bytes_max=65_536,
                clock=self.clock,
                observe=lambda *_: None,
            ),
        )

    def clock(self) -> int:
        self.now_ms += 1
        return self.now_ms

    def token(self, username: str) -> str:
        return self.tokens.issue(self.node.catalog.accounts[username])

    async def run(self, nursery: trio.Nursery) -> None:
        """Starts everything; returns when both listeners answer and the board is filled."""
        nursery.start_soon(self.hub.run)
        while self.board.ticker(SURE) is None:
            await trio.lowlevel.checkpoint()
        nursery.start_soon(self.standing.run)
        nursery.start_soon(self._follow)
        await nursery.start(self.sockets.run)
        places = Places(self.limits)
        self.connect_port = await self._listen(nursery, self.sockets.admit, places)
        self.gateway_port = await self._listen(nursery, self.stream.admit, places)

    async def _listen(self, nursery: trio.Nursery, admission: Admission, places: Places) -> int:
        server = SocketServer(
            admission,
            self.hub,
            limits=self.limits,
            places=places,
            clock=self.clock,
            new_trace_id=lambda: "trace",
        )

        async def serve(stream: trio.SocketStream) -> None:
            await server.serve(stream, "127.0.0.1")

        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        port: int = listener.socket.getsockname()[1]
        return port

    async def _follow(self) -> None:
        """What the journal's tail does, for a journal in memory."""
        log = self.street.logs[0]
        read_to = self.store.follow(0, BORN_MS, log.last_seq)
        while True:
            events: list[LoggedEvent] = []
            for seq, data in log.scan(read_to + 1):
                record = records.decode(data)
                if isinstance(record, records.Entry):
                    events += self.builder.events_of(0, record)
                read_to = seq
            if events:
                await self.publisher.commit(0, read_to, Batch(events=events))
            await trio.sleep(0.005)

    async def contribute(
        self, instance_id: str, player_id: str = "player_00001", **changes: Any
    ) -> Accepted:
        """A contribution of 1.00 to an instance, by a player of brand1 if not said otherwise."""
        asked = request(
            instance_id,
            wager=100_000_000,
            **{
                "operator": "thrilltech",
                "brand": "thrilltech:brand1",
                "player_id": player_id,
                **changes,
            },
        )
        answer = await self.street.workers[0].router.contribute(asked)
        assert isinstance(answer, Accepted), answer
        return answer

    async def change_account(self, changed: Account) -> None:
        await self.street.change(changed)

    # -- clients

    @asynccontextmanager
    async def player(
        self,
        token: str = "token_00001",  # noqa: S107 - the demo's
        brand: str = "thrilltech/brand1",
        path: str = "/v1/events",
        **options: Any,
    ) -> AsyncIterator[Client]:
        url = f"{path}/{brand}?token={token}&currency=EUR"
        async with self.client(self.connect_port, url, **options) as client:
            yield client

    @asynccontextmanager
    async def service(self, username: str, **options: Any) -> AsyncIterator[Client]:
        url = f"/v1/events/service?token={self.token(username)}"
        async with self.client(self.connect_port, url, **options) as client:
            yield client

    @asynccontextmanager
    async def reader(
        self, token: str | None, last_event_id: str | None = None, **options: Any
    ) -> AsyncIterator[Client]:
        """A reader of the gateway's stream; without a token it has said nothing yet."""
        async with self.client(self.gateway_port, "/events", **options) as client:
            if token is not None:
                said: Json = {"auth_token": token}
                if last_event_id is not None:
                    said["last_event_id"] = last_event_id
                await client.send({"action": {"Authenticate": said}})
            yield client

    @asynccontextmanager
    async def client(self, port: int, path: str, **options: Any) -> AsyncIterator[Client]:
        url = f"ws://127.0.0.1:{port}{path}"
        opened = ExitStack()

        def enter() -> ClientConnection:
            asked = connect(url, ping_interval=None, close_timeout=2, proxy=None, **options)
            connection: ClientConnection = opened.enter_context(asked)
            return connection

        connection = await trio.to_thread.run_sync(enter)
        try:
            yield Client(connection)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(opened.close)

    async def refused(
        self, path: str, *, port: int | None = None, **options: Any
    ) -> tuple[int, Json]:
        """The status and the body that a handshake is refused with."""
        try:
            async with self.client(self.connect_port if port is None else port, path, **options):
                pass
        except websockets.InvalidStatus as error:
            response = error.response
            return response.status_code, json.loads(response.body or b"null")
        raise AssertionError("the handshake was not refused")


async def _no_metrics() -> bytes:
    return b""


def _no_cause(worker: int, seq: int) -> None:
    """Links' causes are not asked for here: nobody looks at metadata of links."""
    raise AssertionError(f"record {seq} of worker {worker}")


@contextmanager
def _store(directory: Path) -> Iterator[FeedStore]:
    store = FeedStore.open(directory / "feed", map_bytes_max=MAP_BYTES, new_epoch=lambda: 7)
    try:
        yield store
    finally:
        store.close()


@asynccontextmanager
async def connect_house(
    *,
    players: PlayerAuthority | None = None,
    limits: SocketLimits | None = None,
) -> AsyncIterator[ConnectHouse]:
    """A house that runs; its tests take a minute at most."""
    with trio.fail_after(TEST_TIMEOUT_S), sockets() as directory, _store(directory) as store:
        street = Street(directory, entities(), workers=1)
        async with street.running() as nursery:
            node = await street.feed(nursery)
            house = ConnectHouse(
                street,
                node,
                store,
                players=players or MemoryWallet(),
                limits=limits or SocketLimits(),
            )
            await house.run(nursery)
            yield house
            nursery.cancel_scope.cancel()
