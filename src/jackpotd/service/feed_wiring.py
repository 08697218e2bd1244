"""Wiring of the feed's process: its node, its tails, its fan-out, its listeners and its webhooks, put together."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import trio
from msgspec import Struct
from msgspec.structs import replace
from quart_trio import QuartTrio

from jackpotd.cluster.feed_node import FeedNode
from jackpotd.connect.app import ConnectParts, build_connect
from jackpotd.connect.players import MemoryWallet, NoWallet
from jackpotd.connect.sockets import ConnectSockets, SocketParts
from jackpotd.edge.guard import Guard
from jackpotd.edge.origins import AllowedOrigins
from jackpotd.edge.shell import Shell
from jackpotd.edge.standing_tokens import StandingTokens
from jackpotd.feed.board import Board
from jackpotd.feed.event_building import EventBuilder
from jackpotd.feed.event_ids import EventIds
from jackpotd.feed.hub import Hub
from jackpotd.feed.journals import Journals
from jackpotd.feed.publishing import Publisher
from jackpotd.feed.socket_limits import Places, SocketLimits
from jackpotd.feed.sockets import Admission, SocketServer
from jackpotd.feed.tail import Tail
from jackpotd.feed.window import keep_window
from jackpotd.front.relay import serve_relayed
from jackpotd.front.serving import serve_front
from jackpotd.front.sockets import SocketsHere
from jackpotd.gateway.event_stream import EventStream
from jackpotd.journal.feed_store import FeedStore
from jackpotd.mesh import EDGE, FEED
from jackpotd.mesh.mesh import Mesh
from jackpotd.outbound.dispatcher import Dispatcher
from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.entropy import SystemEntropy
from jackpotd.service.feed_gauges import FeedGauges
from jackpotd.service.fronts import parts_of
from jackpotd.service.leash import BeginFeed
from jackpotd.service.listeners import Listener, tls_files
from jackpotd.service.private_directory import EVENTS_SOCKET
from jackpotd.service.settings import ListenerSettings, Settings
from jackpotd.service.shared_port import listen
from jackpotd.service.storage import clock_ms
from jackpotd.service.telemetry import Telemetry
from jackpotd.service.trust import build_tokens, secrets_for, targets_of
from jackpotd.wire.deliveries import DeadLetter

HOUR_MS = 3_600_000

Metrics = Callable[[], Awaitable[bytes]]


class FeedSystem(Struct, frozen=True):
    """The parts of the feed, not yet running."""

    begin: BeginFeed
    node: FeedNode
    store: FeedStore
    journals: Journals
    tails: dict[int, Tail]
    hub: Hub
    dispatcher: Dispatcher
    tokens: StandingTokens
    gateway_sockets: SocketServer
    connect_admission: ConnectSockets
    connect_sockets: SocketServer
    connect_app: QuartTrio
    entropy: SystemEntropy
    telemetry: Telemetry

    async def start(self, nursery: trio.Nursery) -> None:
        """Starts what runs in the background, once the catalog is there."""
        events = self.begin.settings.events
        window = partial(
            keep_window,
            self.store,
            events_max=events.window_events_max,
            retention_ms=events.window_hours * HOUR_MS,
            clock=clock_ms,
        )
        nursery.start_soon(self.hub.run, name="hub")
        nursery.start_soon(self.dispatcher.run, name="webhooks")
        nursery.start_soon(self.tokens.run, name="tokens")
        nursery.start_soon(window, name="window")
        for worker, tail in self.tails.items():
            nursery.start_soon(tail.run, name=f"tail {worker}")
        await nursery.start(self.connect_admission.run, name="connect requests")

    async def serve(self, nursery: trio.Nursery, stopping: trio.Event) -> None:
        """Opens Connect's listener and the way in from the gateway; both end when it is stopping."""
        await nursery.start(self._serve_relays, stopping, name="events")
        address = self.begin.connect
        if address is None:
            return
        settings = self.begin.settings
        listener = listen("connect", address, tls_files("connect", settings.connect))
        await nursery.start(self._serve_connect, listener, stopping, name="connect")

    async def _serve_connect(
        self, listener: Listener, stopping: trio.Event, *, task_status: trio.TaskStatus[None]
    ) -> None:
        settings, sockets = self.begin.settings, self.connect_sockets
        parts = replace(
            parts_of(settings, self.telemetry, self.entropy, listener, self.connect_app),
            sockets=SocketsHere(sockets.serve, sockets.drain),
        )
        await serve_front(
            parts,
            listener.socket,
            stopping=stopping,
            graceful_timeout_s=settings.service.drain_deadline_s,
            task_status=task_status,
        )

    async def _serve_relays(
        self, stopping: trio.Event, *, task_status: trio.TaskStatus[None]
    ) -> None:
        path = Path(self.begin.sockets) / EVENTS_SOCKET
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_relayed, path, self.gateway_sockets.serve)
            task_status.started()
            await stopping.wait()
            with trio.move_on_after(self.begin.settings.service.drain_deadline_s):
                await self.gateway_sockets.drain()
            nursery.cancel_scope.cancel()

    def has_caught_up(self) -> bool:
        """Whether everything that the journals hold is kept, but for what cannot be told at all."""
        return all(self._has_caught_up(worker, tail) for worker, tail in self.tails.items())

    def _has_caught_up(self, worker: int, tail: Tail) -> bool:
        statistics = tail.statistics()
        return statistics.is_stuck or self.journals.read(worker, statistics.position + 1) is None


class Letters:
    """The dead letters, read and written in threads: there may be many of them."""

    def __init__(self, store: FeedStore, wake: Callable[[], None]) -> None:
        self._deliveries = store.deliveries
        self._wake = wake

    async def dead_letters(self, operator: str, skip: int, limit: int) -> Sequence[DeadLetter]:
        return await trio.to_thread.run_sync(
            self._deliveries.dead_letters, operator, skip, limit, abandon_on_cancel=False
        )

    async def replay(self, operator: str, ids: Sequence[str]) -> Sequence[str]:
        found = await trio.to_thread.run_sync(
            self._deliveries.replay, operator, ids, clock_ms(), abandon_on_cancel=False
        )
        self._wake()
        return found


def build_feed(
    begin: BeginFeed,
    data: DataDirectory,
    store: FeedStore,
    journals: Journals,
    metrics: Metrics,
    telemetry: Telemetry,
) -> FeedSystem:
    """The feed; the catalog comes over the mesh."""
    settings, entropy = begin.settings, SystemEntropy()
    mesh = Mesh(FEED, Path(begin.sockets), connects_to=(EDGE, *begin.nodes))
    node = FeedNode(mesh, workers=begin.workers, nodes=begin.nodes)
    board = Board(node.catalog, node.definitions, node.tickers, node.workers, clock=clock_ms)
    hub = _hub(settings, store, board)
    dispatcher = _dispatcher(settings, data, store, node)
    node.answer_for(Letters(store, dispatcher.wake))
    tokens = StandingTokens(build_tokens(settings, data, node.catalog))
    origins = AllowedOrigins(node.catalog)
    connect = ConnectSockets(
        SocketParts(
            node=node,
            hub=hub,
            players=MemoryWallet() if begin.is_demo or settings.wallet.embedded else NoWallet(),
            tokens=tokens,
            origins=origins,
            clock=clock_ms,
            scheme=_scheme(settings.connect),
        )
    )
    places = Places(socket_limits(settings))
    gateway = EventStream(hub, tokens, origins, scheme=_scheme(settings.gateway))
    server = _socket_server(settings, hub, places, entropy)
    tails = _tails(data, node, store, journals, hub, dispatcher)
    telemetry.read_from(FeedGauges(hub, board, places, store, dispatcher, tails))
    return FeedSystem(
        begin=begin,
        node=node,
        store=store,
        journals=journals,
        tails=tails,
        hub=hub,
        dispatcher=dispatcher,
        tokens=tokens,
        gateway_sockets=server(gateway.admit),
        connect_admission=connect,
        connect_sockets=server(connect.admit),
        connect_app=_connect_app(begin, data, node, board, origins, metrics, telemetry),
        entropy=entropy,
        telemetry=telemetry,
    )


def _hub(settings: Settings, store: FeedStore, board: Board) -> Hub:
    events = settings.events
    return Hub(
        store,
        EventIds(store.epoch),
        board,
        update_interval_s=events.update_interval_s,
        heartbeat_interval_s=events.heartbeat_interval_s,
    )


def _dispatcher(
    settings: Settings, data: DataDirectory, store: FeedStore, node: FeedNode
) -> Dispatcher:
    webhooks = settings.webhooks
    return Dispatcher(
        store.deliveries,
        targets_of(settings, node.catalog),
        secrets_for(data, node.catalog),
        clock_ms,
        timeout_s=webhooks.timeout_s,
        concurrency_max=webhooks.concurrency_max,
        target_concurrency_max=webhooks.target_concurrency_max,
    )


def _tails(
    data: DataDirectory,
    node: FeedNode,
    store: FeedStore,
    journals: Journals,
    hub: Hub,
    dispatcher: Dispatcher,
) -> dict[int, Tail]:
    """One for each worker that ever wrote a journal here, or will."""
    builder = EventBuilder(node.catalog, node.definitions, journals.read)
    publisher = Publisher(store, hub.happened, dispatcher.wake)
    workers = sorted({*node.workers, *(folder.index for folder in data.workers())})
    return {worker: Tail(worker, journals, publisher, builder, clock_ms) for worker in workers}


def socket_limits(settings: Settings) -> SocketLimits:
    """What sockets may take, as the operator has set it."""
    events = settings.events
    return SocketLimits(
        sockets_max=events.sockets_max,
        sockets_per_address_max=events.sockets_per_address_max,
        sockets_per_account_max=events.sockets_per_account_max,
        backlog_bytes_max=events.backlog_bytes_max,
        heartbeat_interval_s=events.heartbeat_interval_s,
    )


def _socket_server(
    settings: Settings, hub: Hub, places: Places, entropy: SystemEntropy
) -> Callable[[Admission], SocketServer]:
    """Servers that count their sockets together."""
    return partial(
        SocketServer,
        keeper=hub,
        limits=socket_limits(settings),
        places=places,
        clock=clock_ms,
        new_trace_id=entropy.uuid,
    )


def _connect_app(
    begin: BeginFeed,
    data: DataDirectory,
    node: FeedNode,
    board: Board,
    origins: AllowedOrigins,
    metrics: Metrics,
    telemetry: Telemetry,
) -> QuartTrio:
    settings = begin.settings
    parts = ConnectParts(
        node=node,
        tickers=board,
        guard=Guard(build_tokens(settings, data, node.catalog)),
        origins=origins,
        is_healthy=lambda: all(node.is_up(worker) for worker in range(begin.workers)),
        metrics=metrics,
        list_limit_max=settings.limits.list_limit_max,
    )
    shell = Shell(
        name="connect",
        title="jackpotd connect",
        body_bytes_max=settings.limits.body_bytes_max,
        clock=clock_ms,
        observe=telemetry.observe_request,
    )
    return build_connect(parts, shell)


def _scheme(listener: ListenerSettings) -> str:
    return "http" if listener.tls_certificate == "off" else "https"
