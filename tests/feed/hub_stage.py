"""A hub with a real log and a real board, workers that the test plays, and readers over memory or TCP."""

import json
import random
from collections import Counter
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trio
import trio.testing
from msgspec import Raw

from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Status
from jackpotd.edge.exchange import Outgoing
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.places import Definitions
from jackpotd.feed.board import Board
from jackpotd.feed.client_socket import Socket, SocketClosed
from jackpotd.feed.event_ids import EventIds
from jackpotd.feed.hub import Hub, Wanted
from jackpotd.feed.socket_limits import Places, SocketLimits
from jackpotd.feed.sockets import Admitted, SocketServer, Upgrade
from jackpotd.journal.feed_store import Batch, FeedStore
from jackpotd.testing.templates import encoded, random_template
from jackpotd.wire.catalog_records import Assignment, InstanceEntry, Source
from jackpotd.wire.feed_events import Kind, LoggedEvent
from jackpotd.wire.feed_messages import Ticker, Tickers

from .socket_stage import HANDSHAKE, NOW_MS, TRACE_ID, USUAL, Client, http_answer

EPOCH: Final = 0x5EED5
MAP_BYTES: Final = 64 << 20
ALL: Final = frozenset(Kind)
EVENTS: Final = ALL - {Kind.UPDATE}
BRANDS: Final = ("op:a", "op:b")


@dataclass(frozen=True)
class Eyes:
    """An audience of one brand, or of all; how often each thing was rendered is counted."""

    brand: str | None = None
    rendered: Counter[str] = field(default_factory=Counter, compare=False)

    @property
    def key(self) -> Hashable:
        return self.brand

    def sees(self, event: LoggedEvent) -> bool:
        if self.brand is None:
            return True
        return self.brand == event.brand if event.brand else self.brand in event.brands

    def render(self, event_id: str, event: LoggedEvent) -> bytes:
        self.rendered[event_id] += 1
        message = {
            "id": event_id,
            "kind": event.kind,
            "instance": event.instance_id,
            "at": event.at_ms,
            "data": event.data,
        }
        return json.dumps(message, default=lambda raw: json.loads(bytes(raw))).encode()

    def gap(self, event_id: str, last_event_id: str) -> bytes:
        return json.dumps({"id": event_id, "kind": "gap", "since": last_event_id}).encode()


class Workers:
    """What the workers would tell."""

    def __init__(self) -> None:
        self.tickers: dict[int, dict[str, Ticker]] = {}
        self.down: set[int] = set()
        self.hanging: set[int] = set()
        self.asked: list[tuple[int, int]] = []
        self.last_seq = 0
        self._changed_at: dict[str, int] = {}

    def show(self, worker: int, ticker: Ticker) -> None:
        self.last_seq += 1
        self._changed_at[ticker.instance_id] = self.last_seq
        self.tickers.setdefault(worker, {})[ticker.instance_id] = ticker

    async def ask(self, worker: int, since_seq: int) -> Tickers | Rejection:
        self.asked.append((worker, since_seq))
        await trio.lowlevel.checkpoint()
        if worker in self.hanging:
            await trio.sleep_forever()
        if worker in self.down:
            return Rejection(Code.OVERLOADED, "the worker is not there")
        found = self.tickers.get(worker, {}).values()
        changed = [each for each in found if self._changed_at[each.instance_id] > since_seq]
        return Tickers(tuple(changed), self.last_seq)


class Stage:
    """Everything, with one worker 0 and no instances to begin with; the clock is that of a test in virtual time."""

    def __init__(
        self,
        directory: Path,
        clock: trio.testing.MockClock | None = None,
        *,
        workers: int = 1,
        limits: SocketLimits = USUAL,
        update_interval_s: float = 2.0,
        heartbeat_interval_s: float = 20.0,
    ) -> None:
        self.clock = clock
        self.store = FeedStore.open(directory, map_bytes_max=MAP_BYTES, new_epoch=lambda: EPOCH)
        self.store.follow(0, NOW_MS, 0)
        self.ids = EventIds(EPOCH)
        self.catalog = Catalog()
        self.workers = Workers()
        self.now_ms = NOW_MS
        self.board = Board(
            self.catalog,
            Definitions(self.catalog),
            self.workers.ask,
            range(workers),
            clock=lambda: self.now_ms,
        )
        self.hub = Hub(
            self.store,
            self.ids,
            self.board,
            update_interval_s=update_interval_s,
            heartbeat_interval_s=heartbeat_interval_s,
        )
        self.server = SocketServer(
            self._admit,
            self.hub,
            limits=limits,
            places=Places(limits),
            clock=lambda: self.now_ms,
            new_trace_id=lambda: TRACE_ID,
        )
        self._streams: list[trio.abc.Stream] = []
        self.last_socket: Socket | None = None
        self.closed: list[Socket] = []

    async def _admit(self, _upgrade: Upgrade) -> Admitted | Outgoing:
        return Admitted(self._session)

    async def _session(self, socket: Socket) -> None:
        self.last_socket = socket
        try:
            while True:
                await socket.receive()
        except SocketClosed:
            self.closed.append(socket)

    # -- what happens

    def commit(self, *events: LoggedEvent) -> list[tuple[int, LoggedEvent]]:
        """Puts events into the log; nobody is told yet."""
        seq = self.store.positions()[0] + 1
        positions = self.store.commit(0, seq, Batch(events=events))
        return list(zip(positions, events, strict=True))

    def happen(self, *events: LoggedEvent) -> list[str]:
        """Puts events into the log and tells the hub; their ids."""
        told = self.commit(*events)
        self.hub.happened(told)
        return [self.ids.of(position) for position, _ in told]

    def show(
        self,
        instance_id: str,
        *,
        value: int = 0,
        status: Status = Status.ACTIVE,
        worker: int = 0,
        updated_ms: int | None = None,
    ) -> Ticker:
        """An instance as its worker tells it from now on; each call is a change."""
        self.now_ms += 1
        if instance_id not in self.catalog.instances:
            self.create(instance_id)
        pots = len(Definitions(self.catalog).of(instance_id).rules.pots)
        ticker = Ticker(
            instance_id,
            status,
            None,
            None,
            self.now_ms if updated_ms is None else updated_ms,
            (value,) * pots,
        )
        self.workers.show(worker, ticker)
        return ticker

    def create(self, instance_id: str, brands: tuple[str, ...] = BRANDS) -> None:
        template = random_template(random.Random(instance_id), brands)
        self.catalog.apply(
            InstanceEntry(
                instance_id=instance_id,
                name=instance_id,
                owner_id="op",
                template_id="t",
                template_owner_id="op",
                document=Raw(encoded(template)),
                brands=brands,
                status=Status.PENDING,
                created_ms=NOW_MS,
                by="test",
            )
        )
        source = Source(
            owner_id="op",
            source_id=f"source-{instance_id}",
            name="",
            jackpots=(Assignment(instance_id=instance_id, priority=1),),
        )
        self.catalog.apply(source)
        self.catalog.version += 1

    # -- who listens

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[trio.Nursery, None]:
        """The hub at work."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.hub.run)
                yield nursery
                nursery.cancel_scope.cancel()
        finally:
            for stream in self._streams:
                await trio.aclose_forcefully(stream)
            self.store.close()

    async def connect(self, nursery: trio.Nursery) -> tuple[Socket, Client]:
        """A reader over memory that takes everything at once."""
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(self.server.serve, ours, "memory")
        return await self._shaken(theirs)

    async def connect_tcp(
        self, nursery: trio.Nursery, *, receive_buffer_bytes: int | None = None
    ) -> tuple[Socket, Client]:
        """A reader over loopback."""
        listener = trio.socket.socket()
        await listener.bind(("127.0.0.1", 0))
        listener.listen()
        sock = trio.socket.socket()
        if receive_buffer_bytes is not None:
            sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, receive_buffer_bytes)
        await sock.connect(listener.getsockname())
        accepted, _ = await listener.accept()
        listener.close()
        nursery.start_soon(self.server.serve, trio.SocketStream(accepted), "127.0.0.1")
        return await self._shaken(trio.SocketStream(sock))

    async def _shaken(self, stream: trio.abc.Stream) -> tuple[Socket, Client]:
        self._streams.append(stream)
        status, _, _, rest = await http_answer(stream, HANDSHAKE)
        assert (status, rest) == (101, b"")
        await trio.testing.wait_all_tasks_blocked()
        assert self.last_socket is not None
        return self.last_socket, Client(stream)

    async def reader(
        self,
        nursery: trio.Nursery,
        kinds: frozenset[Kind] = EVENTS,
        *,
        eyes: Eyes | None = None,
        players: frozenset[str] | None = None,
        last_event_id: str | None = None,
    ) -> tuple[Socket, Client]:
        """A reader over memory that has subscribed."""
        socket, client = await self.connect(nursery)
        wanted = Wanted(kinds, players)
        await self.hub.subscribe(socket, eyes or Eyes(), wanted, last_event_id)
        return socket, client


def win(instance_id: str = "i", **data: Any) -> LoggedEvent:
    return _event(Kind.WIN, instance_id, "", "", data)


def opt_in(player_id: str, brand: str = "op:a", **data: Any) -> LoggedEvent:
    return _event(Kind.OPT_IN, "i", brand, player_id, {"player": player_id, **data})


def error(instance_id: str = "i", **data: Any) -> LoggedEvent:
    return _event(Kind.COMMUNITY_ERROR, instance_id, "", "", data)


def _event(
    kind: Kind, instance_id: str, brand: str, player_id: str, data: dict[str, Any]
) -> LoggedEvent:
    said = Raw(json.dumps(data).encode())
    return LoggedEvent(kind, NOW_MS, instance_id, "op", BRANDS, brand, player_id, said)


async def ids_of(client: Client, count: int) -> list[str]:
    """The ids of the next messages."""
    return [(await client.json())["id"] for _ in range(count)]


async def nothing(client: Client, seconds: float) -> None:
    """Fails where something is said within this time."""
    with trio.move_on_after(seconds):
        said = await client.event()
        raise AssertionError(f"unexpected: {said}")
