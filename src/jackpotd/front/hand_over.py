"""Connections that leave HTTP/1.1: Hypercorn serves WebSockets and HTTP/2, from the first byte that was not ours.

The only module that knows Hypercorn's inner parts (of 0.18; the version is pinned): its server of one connection, which
takes any stream that looks like Trio's, its context, and its driver of an application's lifespan.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState, LifespanState
from msgspec import Struct

from jackpotd.front.finishing import RunningRequests, counted, finishing
from jackpotd.front.limits import FrontLimits

_KEEP_ALIVE_REQUESTS_MAX = 1_000_000
_HTTP2_FRAME_BYTES_MIN = 2**14
_HTTP2_FRAME_BYTES_MAX = 2**24 - 1
LINGER_S = 0.1
_HYPERCORN_S = 1.0  # where it closes an idle connection itself, it says so to the client


class TlsFiles(Struct, frozen=True):
    """Paths of a certificate chain and its key, in PEM."""

    certificate: str
    key: str


def hypercorn_config(
    *,
    body_bytes_max: int,
    header_bytes_max: int,
    idle_timeout_s: float,
    graceful_timeout_s: float,
    tls: TlsFiles | None,
) -> Config:
    """How Hypercorn serves, on whatever listener."""
    config = Config()
    config.include_date_header = False  # the applications set the date: a repeat has its original's
    config.include_server_header = False
    config.graceful_timeout = graceful_timeout_s
    config.keep_alive_timeout = idle_timeout_s
    config.keep_alive_max_requests = _KEEP_ALIVE_REQUESTS_MAX
    config.h11_max_incomplete_size = header_bytes_max
    config.h2_max_inbound_frame_size = max(
        _HTTP2_FRAME_BYTES_MIN, min(body_bytes_max, _HTTP2_FRAME_BYTES_MAX)
    )
    config.accesslog = None
    config.errorlog = None
    if tls is not None:
        config.certfile, config.keyfile = tls.certificate, tls.key
    return config


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """The context that Hypercorn makes of them: HTTP/2 and HTTP/1.1 are offered."""
    config = Config()
    config.certfile, config.keyfile = files.certificate, files.key
    context = config.create_ssl_context()
    if context is None:
        raise ValueError("TLS needs a certificate and a key")
    return context


class _Replaying(trio.abc.Stream):
    """A connection from which bytes were read already: they come first once more."""

    def __init__(
        self,
        stream: trio.SocketStream | trio.SSLStream[trio.SocketStream],
        transport: trio.SocketStream,
        data: bytes,
        write_timeout_s: float,
    ) -> None:
        self._stream = stream
        self._transport = transport
        self._data = data
        self._write_timeout_s = write_timeout_s

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if not self._data:
            return await self._stream.receive_some(max_bytes)
        await trio.lowlevel.checkpoint()
        size = len(self._data) if max_bytes is None else max_bytes
        data, self._data = self._data[:size], self._data[size:]
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with trio.move_on_after(self._write_timeout_s) as scope:
            await self._stream.send_all(data)
        if scope.cancelled_caught:
            self.cut()
            raise trio.BrokenResourceError("the client takes nothing")

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def cut(self) -> None:
        """Ends the connection at once; whoever waits for it is told, also where that wait is shielded."""
        self._transport.socket.close()


class ReplayStream(_Replaying, trio.abc.HalfCloseableStream):
    """A plain connection, handed over."""

    def __init__(self, stream: trio.SocketStream, data: bytes, write_timeout_s: float) -> None:
        super().__init__(stream, stream, data, write_timeout_s)
        self.socket = stream.socket

    async def send_eof(self) -> None:
        await self._transport.send_eof()


class ReplayTlsStream(_Replaying):
    """A connection with TLS, handed over after its handshake."""

    def __init__(
        self, stream: trio.SSLStream[trio.SocketStream], data: bytes, write_timeout_s: float
    ) -> None:
        super().__init__(stream, stream.transport_stream, data, write_timeout_s)
        self.transport_stream = stream.transport_stream
        self.do_handshake = stream.do_handshake
        self._tls = stream

    def selected_alpn_protocol(self) -> str | None:
        protocol: str | None = self._tls.selected_alpn_protocol()
        return protocol


class HandOver:
    """Hypercorn, without its listener."""

    def __init__(
        self, app: ASGIFramework, config: Config, limits: FrontLimits, stopping: trio.Event
    ) -> None:
        self._idle_s = limits.idle_timeout_s + _HYPERCORN_S
        self.running = RunningRequests()
        self.count = 0
        self._none = trio.Event()
        self._config = config
        self._context = WorkerContext(None)
        self._state: LifespanState = {}
        self._app = finishing(app, self.running, stopping)
        self._lifespan = Lifespan(ASGIWrapper(self._app), config, self._state)

    async def start(self, nursery: trio.Nursery) -> None:
        """Starts the application."""
        await nursery.start(self._lifespan.handle_lifespan)
        await self._lifespan.wait_for_startup()

    async def end(self) -> None:
        """Has the application end what it started."""
        await self._lifespan.wait_for_shutdown()

    async def serve(self, stream: ReplayStream | ReplayTlsStream) -> None:
        """Serves one connection to its end."""
        requests = RunningRequests()
        server = TCPServer(
            ASGIWrapper(counted(self._app, requests)),
            self._config,
            self._context,
            cast("LifespanState", ConnectionState(self._state.copy())),
            cast("trio.SSLStream[trio.SocketStream]", stream),
        )
        with self._one_more():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cut_when_idle, stream, requests)
                try:
                    await server.run()
                finally:
                    await trio.aclose_forcefully(stream)  # a cancelled server does not get so far
                nursery.cancel_scope.cancel()

    async def _cut_when_idle(
        self, stream: ReplayStream | ReplayTlsStream, requests: RunningRequests
    ) -> None:
        """Ends a connection on which no request has run for too long, whatever else has come on it.

        Hypercorn looks for idleness only after a first request. It also shields what it sends: a client that does not
        read would hold the stop of the server.
        """
        try:
            while True:
                await requests.none()
                with trio.move_on_after(self._idle_s):
                    await requests.one()
                    continue
                return
        finally:
            stream.cut()

    @contextmanager
    def _one_more(self) -> Iterator[None]:
        if not self.count:
            self._none = trio.Event()
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
            if not self.count:
                self._none.set()

    async def drain(self) -> None:
        """Closes what is idle and waits for what runs; a little longer for connections that do not end."""
        await self._context.terminated.set()
        await self.running.none()
        if self.count:
            with trio.move_on_after(LINGER_S):
                await self._none.wait()
