"""Connections that become WebSockets and are served by somebody else than Hypercorn: here, or in another process.

They come with the bytes of their handshake, which nobody has answered yet.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol

import trio

from jackpotd.core.rejections import Code
from jackpotd.front.hand_over import ReplayStream, ReplayTlsStream
from jackpotd.front.rendering import CLOSE, rendered
from jackpotd.front.site import Site
from jackpotd.wire.errors import RequestRefused

REFUSAL_TIMEOUT_S = 2.0

Handed = ReplayStream | ReplayTlsStream


class NotServed(Exception):
    """Nobody can serve this socket just now; nothing of it has been answered."""


class Sockets(Protocol):
    """Who serves the WebSockets of a listener."""

    def takes(self, path: bytes) -> bool:
        """Whether sockets of a path are served here; Hypercorn gets all others."""
        ...

    async def serve(self, stream: Handed, peer: str) -> None:
        """Serves one to its end; `peer` is the client's address.

        Raises:
            NotServed: it could not begin.
        """
        ...

    async def drain(self) -> None:
        """Lets all of them end, and takes no more."""
        ...


class SocketsHere:
    """All sockets of a listener, served in this process."""

    def __init__(
        self,
        serve: Callable[[trio.abc.Stream, str], Awaitable[None]],
        drain: Callable[[], Awaitable[None]],
    ) -> None:
        self._serve = serve
        self.drain = drain

    def takes(self, path: bytes) -> bool:  # noqa: ARG002 - the port's shape
        return True

    async def serve(self, stream: Handed, peer: str) -> None:
        await self._serve(stream, peer)


async def serve_socket(
    sockets: Sockets, stream: Handed, transport: trio.SocketStream, site: Site
) -> None:
    """Serves a socket to its end, or says that it is not served just now."""
    try:
        try:
            peer = transport.socket.getpeername()[0]
        except OSError:
            return  # it has gone already
        try:
            await sockets.serve(stream, peer)
        except NotServed as reason:
            refused = RequestRefused(
                Code.OVERLOADED, str(reason), status=HTTPStatus.SERVICE_UNAVAILABLE
            )
            with trio.move_on_after(REFUSAL_TIMEOUT_S):
                await stream.send_all(rendered(site.refusal(refused), CLOSE))
                await transport.send_eof()
                while await stream.receive_some():
                    pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        stream.cut()
