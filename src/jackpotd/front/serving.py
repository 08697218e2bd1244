"""A listener with a fast lane: its parts put together, served, and drained."""

import math
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVarTuple

import trio
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework
from msgspec import Struct

from jackpotd.edge.exchange import DirectHandler, StreamHandler
from jackpotd.front.asgi import answer_with
from jackpotd.front.connections import Connections
from jackpotd.front.entrance import Room, unlimited
from jackpotd.front.exchanges import ClientGone, Exchange
from jackpotd.front.hand_over import (
    LINGER_S,
    HandOver,
    ReplayStream,
    ReplayTlsStream,
    TlsFiles,
    tls_context,
)
from jackpotd.front.limits import FrontLimits
from jackpotd.front.reactor import Reactor
from jackpotd.front.site import Admit, Observe, Site, log
from jackpotd.front.sockets import Sockets, serve_socket
from jackpotd.front.streams import answer_streaming
from jackpotd.front.tls import TlsStream, serve_tls

Args = TypeVarTuple("Args")


class FrontParts(Struct, frozen=True):
    """What a listener serves; the configuration is that of the connections that are handed to Hypercorn."""

    name: str
    app: ASGIFramework
    direct: Mapping[tuple[str, str], DirectHandler]
    streams: Mapping[tuple[str, str], StreamHandler]
    limits: FrontLimits
    config: Config
    tls: TlsFiles | None
    clock: Callable[[], int]
    new_trace_id: Callable[[], str]
    observe: Observe
    admit: Admit | None = None
    room: Room = unlimited
    sockets: Sockets | None = None


async def serve_front(
    parts: FrontParts,
    listener: socket.socket,
    *,
    stopping: trio.Event,
    graceful_timeout_s: float,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until it is stopping, then lets running requests finish and takes no more.

    Args:
        parts: what is served.
        listener: a bound socket that listens; closed at the end.
        stopping: set to end.
        graceful_timeout_s: how long running requests may take to finish.
        task_status: told when requests are taken.
    """
    async with trio.open_nursery() as lifespan:
        hand_over = HandOver(parts.app, parts.config, parts.limits, stopping)
        await hand_over.start(lifespan)
        async with trio.open_nursery() as nursery:
            front = _Front(parts, listener, hand_over, nursery)
            front.start()
            task_status.started()
            await stopping.wait()
            front.site.is_stopping = True
            front.reactor.stop_accepting()
            listener.close()
            with trio.move_on_after(graceful_timeout_s):
                async with trio.open_nursery() as draining:
                    draining.start_soon(hand_over.drain)
                    draining.start_soon(front.connections.drain, LINGER_S)
                    if parts.sockets is not None:
                        draining.start_soon(parts.sockets.drain)
            nursery.cancel_scope.cancel()
        await hand_over.end()
        lifespan.cancel_scope.cancel()


class _Front:
    """The parts of a listener, and the tasks of its requests."""

    def __init__(
        self,
        parts: FrontParts,
        listener: socket.socket,
        hand_over: HandOver,
        nursery: trio.Nursery,
    ) -> None:
        self.site = Site(
            parts.name,
            parts.limits,
            direct=parts.direct,
            streams=parts.streams,
            start=self._start_exchange,
            clock=parts.clock,
            new_trace_id=parts.new_trace_id,
            observe=parts.observe,
            admit=parts.admit,
            room=parts.room,
        )
        self._app = parts.app
        self._hand_over = hand_over
        self._sockets = parts.sockets
        self._nursery = nursery
        self.connections = Connections(parts.limits)
        self.reactor = Reactor(self.site, listener, self.connections, self._give)
        if parts.tls is not None:
            self.reactor.give_new_to(partial(self._give_tls, tls_context(parts.tls)))

    def start(self) -> None:
        start = self._nursery.start_soon
        start(self.reactor.run, name="reactor")
        start(self.connections.run_pump, name="pump")
        start(self.connections.run_sweep, self.site.limits.sweep_interval_s, name="sweep")
        start(self._accept_again, name="accept again")

    async def _accept_again(self) -> None:
        """A listener that was out of descriptors tries again."""
        while True:
            await trio.sleep(self.site.limits.sweep_interval_s)
            self.reactor.start_accepting()

    async def _alone(self, serve: Callable[[*Args], Awaitable[None]], *args: *Args) -> None:
        """Serves one request or connection: whatever becomes of it must not end the others."""
        try:
            await serve(*args)
        except* ClientGone:
            pass
        except* Exception:  # noqa: BLE001 - in whatever group it comes
            log.exception("a connection has failed", listener=self.site.name)

    def _start_exchange(self, exchange: Exchange) -> None:
        start, stream = self._nursery.start_soon, exchange.head.line.stream
        if stream is None:
            start(self._alone, answer_with, self._app, exchange, self.site)
        else:
            start(self._alone, answer_streaming, stream, exchange, self.site)

    def _give(self, sock: socket.socket, data: bytes, socket_path: bytes) -> None:
        plain = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        timeout_s = math.inf if self._is_taken(socket_path) else self.site.limits.write_timeout_s
        stream = ReplayStream(plain, data, timeout_s)
        self._nursery.start_soon(self._alone, self._serve_handed, stream, plain, socket_path)

    async def _given(self, stream: TlsStream, data: bytes, socket_path: bytes) -> None:
        timeout_s = math.inf if self._is_taken(socket_path) else self.site.limits.write_timeout_s
        handed = ReplayTlsStream(stream, data, timeout_s)
        await self._serve_handed(handed, stream.transport_stream, socket_path)

    def _is_taken(self, socket_path: bytes) -> bool:
        return bool(socket_path) and self._sockets is not None and self._sockets.takes(socket_path)

    async def _serve_handed(
        self,
        stream: ReplayStream | ReplayTlsStream,
        transport: trio.SocketStream,
        socket_path: bytes,
    ) -> None:
        if self._sockets is not None and self._is_taken(socket_path):
            # Those who take sockets count them, too: they are no connections that wait for a request.
            await serve_socket(self._sockets, stream, transport, self.site)
            return
        with self.connections.one_elsewhere():
            await self._hand_over.serve(stream)

    def _give_tls(
        self, context: ssl.SSLContext, sock: socket.socket, _data: bytes, _path: bytes
    ) -> None:
        self._nursery.start_soon(
            self._alone, serve_tls, sock, context, self.site, self.connections, self._given
        )
