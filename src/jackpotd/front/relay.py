"""WebSockets that another process of this server serves: their bytes go back and forth over a Unix socket.

The first line that goes over it says who the client is, as JSON; then come the client's bytes from its handshake on.
Nothing is read faster than the other side takes it, ends and resets are passed on, and no byte is looked at.
"""

import errno
import math
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import trio
from msgspec import Struct

from jackpotd.front.hand_over import ReplayStream
from jackpotd.front.site import log
from jackpotd.front.sockets import Handed, NotServed

PIECE_BYTES_MAX = 65_536
HELLO_BYTES_MAX = 1_024
HELLO_TIMEOUT_S = 5.0
LAST_WORDS_TIMEOUT_S = 2.0
"""How long a client may take for what is left when the other process has ended its side."""

_BACKLOG = 1_024
_AWAY = "events are not served just now"
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_RESOURCES_DELAY_S = 0.2
_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


class Hello(Struct, frozen=True):
    """The first line."""

    peer: str


_HELLO: msgspec.json.Decoder[Hello] = msgspec.json.Decoder(Hello)


class Relay:
    """The client's side.

    Args:
        paths: the sockets that are served elsewhere.
        there: where the other process listens.
    """

    def __init__(self, paths: frozenset[bytes], there: Path) -> None:
        self._paths = paths
        self._there = str(there)
        self._count = 0
        self._none = trio.Event()
        self._is_draining = False

    def takes(self, path: bytes) -> bool:
        return path in self._paths

    async def serve(self, stream: Handed, peer: str) -> None:
        """Carries one connection's bytes until both sides have ended."""
        if self._is_draining:
            raise NotServed("the server is stopping")
        away = await self._connected()
        self._count += 1
        try:
            async with away:
                await _say_hello(away, peer)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_carry_there, stream, away, nursery.cancel_scope)
                    await _carry_back(away, stream, nursery.cancel_scope)
        finally:
            self._count -= 1
            if not self._count:
                self._none.set()

    async def _connected(self) -> trio.SocketStream:
        there = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            await there.connect(self._there)
        except OSError:
            there.close()
            raise NotServed(_AWAY) from None
        except BaseException:
            there.close()
            raise
        return trio.SocketStream(there)

    async def drain(self) -> None:
        """Waits for the end of all of them, which the other process brings about."""
        self._is_draining = True
        while self._count:
            self._none = trio.Event()
            await self._none.wait()


async def _say_hello(away: trio.SocketStream, peer: str) -> None:
    try:
        await away.send_all(msgspec.json.encode(Hello(peer)) + b"\n")
    except _BROKEN:
        raise NotServed(_AWAY) from None


async def _carry_there(client: Handed, away: trio.SocketStream, both: trio.CancelScope) -> None:
    try:
        while piece := await client.receive_some(PIECE_BYTES_MAX):
            await away.send_all(piece)
        await away.send_eof()
    except _BROKEN:
        both.cancel()  # the client is gone, or nobody takes its bytes any more


async def _carry_back(away: trio.SocketStream, client: Handed, both: trio.CancelScope) -> None:
    try:
        while piece := await away.receive_some(PIECE_BYTES_MAX):
            await client.send_all(piece)
    except _BROKEN:
        both.cancel()
        return
    # The other process is done; a client that has taken all hears so, and may say its last.
    both.deadline = trio.current_time() + LAST_WORDS_TIMEOUT_S
    with suppress(*_BROKEN):
        if isinstance(client, ReplayStream):
            await client.send_eof()
        else:
            await client.transport_stream.send_eof()


async def serve_relayed(
    path: Path,
    serve: Callable[[trio.abc.Stream, str], Awaitable[None]],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The other process: takes what relays bring until cancelled.

    Args:
        path: where to listen; what a former life has left there is removed.
        serve: serves one connection to its end; given its stream and the client's address, it fails alone.
        task_status: told when relays are taken.
    """
    with suppress(FileNotFoundError):
        await trio.Path(path).unlink()
    listening = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with listening:
        await listening.bind(str(path))
        listening.listen(_BACKLOG)
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                try:
                    connection, _ = await listening.accept()
                except OSError as error:
                    if error.errno not in _OUT_OF_RESOURCES:
                        raise
                    log.error("no relay can be accepted", reason=error.strerror)
                    await trio.sleep(_RESOURCES_DELAY_S)
                    continue
                nursery.start_soon(_serve_one, trio.SocketStream(connection), serve)


async def _serve_one(
    stream: trio.SocketStream, serve: Callable[[trio.abc.Stream, str], Awaitable[None]]
) -> None:
    try:
        async with stream:
            with trio.fail_after(HELLO_TIMEOUT_S):
                line, rest = await _first_line(stream)
            hello = _HELLO.decode(line)
            await serve(ReplayStream(stream, rest, math.inf), hello.peer)
    except* (*_BROKEN, trio.TooSlowError, msgspec.DecodeError):
        pass
    except* Exception:  # noqa: BLE001 - a connection fails alone, in whatever group it comes
        log.exception("a relayed connection has failed")


async def _first_line(stream: trio.SocketStream) -> tuple[bytes, bytes]:
    data = bytearray()
    while b"\n" not in data and len(data) <= HELLO_BYTES_MAX:
        piece = await stream.receive_some(HELLO_BYTES_MAX)
        if not piece:
            break
        data += piece
    line, _, rest = bytes(data).partition(b"\n")
    return line, rest
