"""A connection with TLS: a task each, the same protocol inside."""

import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from jackpotd.front.connections import Connections
from jackpotd.front.http1 import Http1
from jackpotd.front.site import Site

_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError, OSError)

TlsStream = trio.SSLStream[trio.SocketStream]


class TlsConnection:
    """The port of a protocol whose bytes go through TLS."""

    is_tls = True

    def __init__(self, site: Site, stream: TlsStream, connections: Connections) -> None:
        self._site = site
        self._stream = stream
        self._connections = connections
        self._out: list[bytes] = []
        self._changed = trio.Event()
        self._is_reading = True
        self._is_closing = False
        self._has_ended = False
        self._scope = trio.CancelScope()
        self._handed: tuple[bytes, bytes] | None = None
        self.unsent_bytes = 0
        self.sent_bytes = 0
        self.protocol = Http1(site, self)

    # -- the port

    def client(self) -> tuple[str, int] | None:
        return self._name(is_peer=True)

    def server(self) -> tuple[str, int] | None:
        return self._name(is_peer=False)

    def _name(self, *, is_peer: bool) -> tuple[str, int] | None:
        sock = self._stream.transport_stream.socket
        try:
            name = sock.getpeername() if is_peer else sock.getsockname()
        except OSError:
            return None
        return name[0], name[1]

    def write(self, data: bytes) -> None:
        self._out.append(data)
        self.unsent_bytes += len(data)
        self._wake()

    def close(self) -> None:
        self._is_closing = True
        self._connections.closing()
        self._wake()

    @property
    def is_lingering(self) -> bool:
        return self._is_closing

    def abort(self) -> None:
        self._scope.cancel()

    def pause(self) -> None:
        self._is_reading = False

    def resume(self) -> None:
        self._is_reading = True
        self._wake()

    def soon(self) -> None:
        self._connections.soon(self)

    def hand_over(self, data: bytes, socket_path: bytes = b"") -> None:
        self._handed = data, socket_path
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # -- the task

    async def run(self) -> tuple[bytes, bytes] | None:
        """Serves until the end; if the connection goes to somebody else, gives back what that needs (`hand_over`)."""
        self._connections.add(self)
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read)
                    await self._write()
                    self._scope.cancel()
        except* _BROKEN:
            pass
        finally:
            self._connections.remove(self)
            if self._handed is None:
                self.protocol.lost()
        return self._handed

    async def _read(self) -> None:
        size = self._site.limits.receive_bytes_max
        while not self._has_ended and self._handed is None:
            while not self._is_reading and not self._is_closing:
                await self._changed.wait()
            data = bytes(await self._stream.receive_some(size))
            if self._is_closing:
                self._has_ended = not data
            elif data:
                self.protocol.feed(data)
            else:
                self._has_ended = True
                if self.protocol.eof():
                    self._connections.ended(self)
        self._wake()

    async def _write(self) -> None:
        while self._handed is None:
            while self._out:
                data = b"".join(self._out)
                self._out = []
                await self._stream.send_all(data)
                self.sent_bytes += len(data)
                self.unsent_bytes -= len(data)
            if self._is_closing:
                break
            self.protocol.on_drained()
            if not self._out and not self._is_closing and self._handed is None:
                await self._changed.wait()
        if self._handed is None:
            # A close with unread bytes would take the answer back from the client.
            await self._stream.transport_stream.send_eof()
            while not self._has_ended:
                await self._changed.wait()


async def serve_tls(
    sock: socket.socket,
    context: ssl.SSLContext,
    site: Site,
    connections: Connections,
    give: Callable[[TlsStream, bytes, bytes], Awaitable[None]],
) -> None:
    """Serves a connection from its handshake to its end; `give` takes those that leave HTTP/1.1."""
    transport = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
    stream = trio.SSLStream(transport, context, server_side=True, https_compatible=True)
    try:
        with connections.one_elsewhere():
            if not await _has_shaken_hands(stream, site.limits.header_timeout_s):
                return
        handed: tuple[bytes, bytes] | None = b"", b""
        if stream.selected_alpn_protocol() != "h2":
            handed = await TlsConnection(site, stream, connections).run()
        if handed is not None:
            await give(stream, *handed)
    finally:
        with suppress(*_BROKEN):
            await trio.aclose_forcefully(stream)


async def _has_shaken_hands(stream: TlsStream, timeout_s: float) -> bool:
    try:
        with trio.fail_after(timeout_s):
            await stream.do_handshake()
    except (trio.TooSlowError, *_BROKEN):
        return False
    return True
