"""One connection between two nodes: a task reads, a task writes.

Everything that was posted in one turn of the event loop goes out as one frame.

Nothing waits for a peer. Whoever asks is called back, with the answer or with the reason why there is none.
"""

import enum
import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog
import trio
import trio.lowlevel

from jackpotd.mesh import limits
from jackpotd.mesh.frames import FrameReader
from jackpotd.wire.mesh_messages import Message

_log = structlog.get_logger("jackpotd.mesh")


class Unreached(enum.Enum):
    """Why a question has no answer."""

    ABSENT = "the node is not connected: it was not asked"
    CROWDED = "too many questions to this node are open: it was not asked"
    LOST = "the connection broke: the node may have done what it was asked, or not"


Callback = Callable[[Message | Unreached], None]


class Owner(Protocol):
    """Told what arrives, and that the connection is over."""

    def received(self, link: "Link", number: int, message: Message) -> None: ...

    def gone(self, link: "Link") -> None: ...


class Link:
    """An open connection; `peer` is known once it has said hello."""

    def __init__(self, connection: socket.socket, owner: Owner) -> None:
        self.peer: int | None = None
        self.is_cut = False
        self._connection = connection
        self._owner = owner
        self._outgoing: list[tuple[int, Message]] = []
        self._posted = trio.Event()
        self._open: dict[int, Callback] = {}
        self._last_number = 0
        self._life = trio.CancelScope()

    def post(self, message: Message) -> None:
        """Sends what needs no answer; a peer that is too far behind is cut off instead."""
        if len(self._outgoing) >= limits.QUEUED_MESSAGES_MAX:
            self.cut()
        else:
            self._put(0, message)

    def ask(self, message: Message, callback: Callback) -> None:
        """Calls back with the answer, on the event loop."""
        if len(self._open) >= limits.QUESTIONS_OPEN_MAX:
            callback(Unreached.CROWDED)
            return
        self._last_number = number = self._last_number + 1
        self._open[number] = callback
        self._put(number, message)

    def answer(self, number: int, message: Message) -> None:
        """Answers a question of the peer's; it has not more of them open than it may."""
        self._put(-number, message)

    def _put(self, number: int, message: Message) -> None:
        if not self._outgoing:
            self._posted.set()
        self._outgoing.append((number, message))

    def cut(self) -> None:
        """Ends the connection, and every question that is open; nothing more is received."""
        if self.is_cut:
            return
        self.is_cut = True
        self._life.cancel()
        self._owner.gone(self)
        opened, self._open = self._open, {}
        for callback in opened.values():
            callback(Unreached.LOST)

    async def run(self) -> None:
        """Reads and writes until the connection is over."""
        try:
            with self._life:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._until_over, self._read)
                    nursery.start_soon(self._until_over, self._write)
        finally:
            self.cut()
            self._connection.close()

    async def _until_over(self, part: Callable[[], Awaitable[None]]) -> None:
        try:
            await part()
        except OSError as error:
            _log.info("connection broken", peer=self.peer, reason=str(error))
        except limits.FrameError as error:
            _log.error("connection cut", peer=self.peer, reason=str(error))
        self.cut()

    async def _read(self) -> None:
        connection, reader = self._connection, FrameReader()
        buffer = memoryview(bytearray(limits.RECEIVE_BYTES))
        while True:
            await trio.lowlevel.wait_readable(connection)
            try:
                count = connection.recv_into(buffer)
            except BlockingIOError:
                continue
            if not count:
                return
            for messages in reader.feed(buffer[:count]):
                for number, message in messages:
                    if self.is_cut:
                        return
                    if number < 0:
                        self._answered(-number, message)
                    else:
                        self._owner.received(self, number, message)

    def _answered(self, number: int, message: Message) -> None:
        callback = self._open.pop(number, None)
        if callback is None:
            raise limits.FrameError(f"an answer to question {number}, which is not open")
        callback(message)

    async def _write(self) -> None:
        while True:
            await self._posted.wait()
            self._posted = trio.Event()
            # Whatever can run now may still join this frame.
            await trio.lowlevel.checkpoint()
            messages, self._outgoing = self._outgoing, []
            for at in range(0, len(messages), limits.FRAME_MESSAGES_MAX):
                await self._send(limits.frame(messages[at : at + limits.FRAME_MESSAGES_MAX]))

    async def _send(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[self._connection.send(left) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._connection)
