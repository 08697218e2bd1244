"""What holds a process to the server that started it, a worker or the feed: a socket that is its standard input.

JSON lines both ways: the server's commands, the child's progress, and questions about figures. Its end is news, too: a
child whose server is gone ends at once. Nothing of a contribution goes this way; that is the mesh's work.
"""

import socket
from collections.abc import AsyncGenerator

import msgspec
import trio
from msgspec import Struct

from jackpotd.service.settings import Bind, Settings

_READ_BYTES = 65_536


class Begin(Struct, frozen=True, tag="begin"):
    """The first line to a worker: who it is.

    Args:
        index: its number; its folder has the same.
        workers: how many there are; a retired worker has a number beyond.
        nodes: the numbers of all workers, also of retired ones.
        settings: the server's.
        sockets: the private directory of the nodes' sockets.
        gateway: where it listens; None where the gateway is off or the worker is retired.
        is_demo: whether brands without a wallet have one.
    """

    index: int
    workers: int
    nodes: tuple[int, ...]
    settings: Settings
    sockets: str
    gateway: Bind | None
    is_demo: bool


class BeginFeed(Struct, frozen=True, tag="begin feed"):
    """The first line to the feed.

    Args:
        workers: how many workers there are.
        nodes: the numbers of all of them that run, also of retired ones.
        settings: the server's.
        sockets: the private directory of the nodes' sockets.
        connect: where Connect listens; None where it is off.
        is_demo: whether brands without a wallet have one.
    """

    workers: int
    nodes: tuple[int, ...]
    settings: Settings
    sockets: str
    connect: Bind | None
    is_demo: bool


class Serve(Struct, frozen=True, tag="serve"):
    """Open the listener."""


class Drain(Struct, frozen=True, tag="drain"):
    """Close the listener; end what is in flight, while the other workers still answer."""


class Stop(Struct, frozen=True, tag="stop"):
    """Write the last checkpoint and end."""


class Ask(Struct, frozen=True, tag="ask"):
    """A question, answered with `Told` of the same number."""

    number: int
    subject: str  # "report" or "metrics"


class Recovered(Struct, frozen=True, tag="recovered"):
    """The worker stands on its journal and is in the mesh."""

    instances: int
    replayed_records: int


class Serving(Struct, frozen=True, tag="serving"):
    """The listener answers."""


class Drained(Struct, frozen=True, tag="drained"):
    """The listener is closed, and nothing is in flight."""


class Told(Struct, frozen=True, tag="told"):
    """The answer to a question; None where there was none in time."""

    number: int
    text: str | None


Message = Begin | BeginFeed | Serve | Drain | Stop | Ask | Recovered | Serving | Drained | Told

_DECODER: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


class LeashBroken(Exception):
    """The other end is gone."""


class Leash:
    """One end. Lines may be sent from any task."""

    def __init__(self, end: socket.socket) -> None:
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(end))
        self._sending = trio.Lock()
        self._questions = 0
        self._open: dict[int, trio.MemorySendChannel[str | None]] = {}

    async def send(self, message: Message) -> None:
        """Sends a line.

        Raises:
            LeashBroken: the other end is gone.
        """
        data = msgspec.json.encode(message) + b"\n"
        async with self._sending:
            try:
                with trio.CancelScope(shield=True):  # half a line would garble all that follow
                    await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise LeashBroken from error

    async def lines(self) -> AsyncGenerator[Message, None]:
        """What arrives, until the other end is gone; answers to questions go to those who asked."""
        buffer = bytearray()
        try:
            while chunk := await self._receive():
                buffer += chunk
                if b"\n" not in chunk:
                    continue
                *whole, rest = buffer.split(b"\n")
                buffer = bytearray(rest)
                for line in whole:
                    message = _DECODER.decode(line)
                    if isinstance(message, Told):
                        self._take(message)
                    else:
                        yield message
        finally:
            for waiting in self._open.values():
                waiting.close()
            self._open.clear()

    async def _receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(_READ_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def ask(self, subject: str, *, timeout_s: float) -> str | None:
        """Asks the other end; None where it is gone or too slow."""
        self._questions += 1
        number = self._questions
        send, receive = trio.open_memory_channel[str | None](1)
        self._open[number] = send
        try:
            with trio.move_on_after(timeout_s):
                await self.send(Ask(number, subject))
                return await receive.receive()
        except (LeashBroken, trio.EndOfChannel):
            pass
        finally:
            self._open.pop(number, None)
        return None

    def _take(self, told: Told) -> None:
        waiting = self._open.pop(told.number, None)
        if waiting is not None:
            waiting.send_nowait(told.text)

    def close(self) -> None:
        """Drops this end; the other one hears of it."""
        self._stream.socket.close()


def leashes() -> tuple[socket.socket, socket.socket]:
    """Both ends, the server's and the worker's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
