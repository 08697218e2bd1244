"""A socket's stream as trio-websocket sees it, into which others push frames without waiting.

What the kernel takes at once is written at once; the rest waits in a bounded queue, and a task writes it that lives
only as long as something waits. trio-websocket's own frames go through the same queue, so that frames never mix. The
stream counts what a client sends, and ends the conversation itself where a limit is broken: from then on everything
that still comes is thrown away until the client closes, too, or its time is over.
"""

import os
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import trio

from jackpotd.feed import frames
from jackpotd.feed.frames import IncomingFrames
from jackpotd.feed.socket_limits import Rate, SocketLimits

_KERNEL_BYTES_MAX = 65_536
_DISCARDED_BYTES_MAX = 1_048_576
_WAITED_S = 0.05  # what TLS takes after that long found no room in the kernel before


class PushedStream(trio.abc.Stream):
    """One client's bytes, in both directions.

    `heard_at` is when the client gave its last sign of life, in Trio's time: it sent something, or took something that
    had waited. It is closing from the first close on, whoever
    said it; dismissed where that was us. It has ended when the client will not be heard any more.

    Args:
        stream: a connection, of which this reads and writes everything.
        nursery: where its writer runs, while there is something to be written.
        limits: what a client may send, and what may wait for it.
    """

    __slots__ = (
        "_backlog_bytes",
        "_descriptor",
        "_discarded_bytes",
        "_drained",
        "_first_sent",
        "_frames",
        "_head",
        "_is_cut",
        "_is_writing",
        "_limits",
        "_nursery",
        "_opened",
        "_queue",
        "_rate",
        "_scope",
        "_stream",
        "closed",
        "ended",
        "heard_at",
        "is_closing",
        "is_dismissed",
    )

    def __init__(
        self, stream: trio.abc.Stream, nursery: trio.Nursery, limits: SocketLimits
    ) -> None:
        now = trio.current_time()
        self._stream = stream
        self._nursery = nursery
        self._limits = limits
        self._scope: trio.CancelScope | None = None
        self._descriptor = _descriptor_of(stream)
        self._queue: deque[tuple[bytes, bool]] = deque()
        self._first_sent = 0
        self._backlog_bytes = 0
        self._drained: trio.Event | None = None
        self._is_writing = False
        self._is_cut = False
        self._head = b""
        self.closed: Callable[[], tuple[int, str]] = lambda: (frames.NORMAL, "")
        self._opened = trio.Event()
        self._frames = IncomingFrames()
        self._rate = Rate(limits.messages_per_s_max, now)
        self._discarded_bytes = 0
        self.heard_at = now
        self.is_closing = False
        self.is_dismissed = False
        self.ended = trio.Event()

    # -- what others push

    @property
    def has_unsent(self) -> bool:
        """Whether the client has not taken everything yet."""
        return bool(self._queue)

    @property
    def unsent_bytes(self) -> int:
        """What waits for the client in this process."""
        return sum(len(data) for data, _ in self._queue) - self._first_sent

    def push(self, data: bytes, *, is_counted: bool = True) -> bool:
        """Writes whole frames, or has them written when the client takes more.

        What counts as backlog is bounded; what finds nothing waiting is always taken.

        Returns:
            False where the backlog would grow too large: nothing of it was taken.
        """
        if self.is_closing or self._is_cut:
            return True
        if not self._queue:
            sent = self._write_now(data)
            if sent < len(data):
                self._first_sent = sent
                self._enqueue(data, is_counted=is_counted)
            return True
        if is_counted:
            begun = self._first_sent if self._queue[0][1] else 0
            if self._backlog_bytes - begun + len(data) > self._limits.backlog_bytes_max:
                return False
        self._enqueue(data, is_counted=is_counted)
        return True

    def _enqueue(self, data: bytes, *, is_counted: bool) -> None:
        self._queue.append((data, is_counted))
        if is_counted:
            self._backlog_bytes += len(data)
        if not self._is_writing:
            self._is_writing = True
            self._nursery.start_soon(self._write)

    def _write_now(self, data: bytes | memoryview) -> int:
        """How much of it the kernel takes; all is taken of what nobody will read any more."""
        if self._descriptor is None:
            return 0
        try:
            return os.write(self._descriptor.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError:
            self.cut()
            return len(data)

    async def drained(self) -> None:
        """Returns when nothing waits for the client any more, or never will be read."""
        while self._queue:
            if self._drained is None:
                self._drained = trio.Event()
            await self._drained.wait()

    async def _write(self) -> None:
        """Writes what waits; ends with it."""
        try:
            while self._queue:
                data, _ = self._queue[0]
                if self._descriptor is not None:
                    await trio.lowlevel.wait_writable(self._descriptor)
                    self._write_some()
                else:
                    self._first_sent = len(
                        data
                    )  # all of it is on its way, and cannot be called back
                    await self._stream.send_all(data)
                    self._sent(len(data))
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            self.cut()
        finally:
            self._is_writing = False

    def _write_some(self) -> None:
        while self._queue:
            data, _ = self._queue[0]
            rest = memoryview(data)[self._first_sent :]
            sent = self._write_now(rest)
            if sent:  # its kernel had taken enough: there is room because somebody there reads
                self.heard_at = trio.current_time()
            if sent < len(rest):
                self._first_sent += sent
                return
            self._sent(len(data))

    def _sent(self, size: int) -> None:
        """The first of those that wait is gone, if it has not been thrown away meanwhile."""
        if not self._queue:
            return
        _, is_counted = self._queue.popleft()
        self._first_sent = 0
        if is_counted:
            self._backlog_bytes -= size
        if not self._queue:
            self._tell_drained()

    def _tell_drained(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    # -- the end of a conversation

    def bind(self, scope: trio.CancelScope) -> None:
        """What is cancelled when the client has had its time to close, or is cut off."""
        self._scope = scope

    def say_goodbye(self, code: int, reason: str = "") -> None:
        """Tells the client why we close; all that it has not begun to take is thrown away, for it could come too late.

        From here on the client has `close_timeout_s` to close, too.
        """
        if self.is_closing or self._is_cut:
            return
        self.is_dismissed = True
        self._keep_begun_frame()
        self.push(frames.close(code, reason), is_counted=False)
        self._begin_closing()

    def _begin_closing(self) -> None:
        self.is_closing = True
        if self._scope is not None:
            until = trio.current_time() + self._limits.close_timeout_s
            self._scope.deadline = min(self._scope.deadline, until)

    def _keep_begun_frame(self) -> None:
        begun = self._queue[0] if self._queue and self._first_sent else None
        self._queue.clear()
        self._backlog_bytes = 0
        if begun is None:
            self._first_sent = 0
            self._tell_drained()
            return
        data, is_counted = begun
        kept = data[: frames.end_of_frame(data, self._first_sent)]
        if self._first_sent == len(kept) and self._descriptor is not None:
            self._first_sent = 0
            self._tell_drained()
            return
        self._queue.append((kept, is_counted))
        self._backlog_bytes = len(kept) if is_counted else 0

    def cut(self) -> None:
        """Ends everything at once: nothing more is sent, and whoever serves this client is cancelled."""
        if self._is_cut:
            return
        self._is_cut = self.is_closing = self.is_dismissed = True
        self._queue.clear()
        self._first_sent = self._backlog_bytes = 0
        self._tell_drained()
        self.ended.set()
        if self._scope is not None:
            self._scope.cancel()

    # -- what trio-websocket does with it

    def begin(self, head: bytes) -> None:
        """The head of the handshake, which was read already."""
        self._head = head

    def open(self, rest: bytes, closed: Callable[[], tuple[int, str]]) -> None:
        """The handshake is over: from here on everything is frames.

        Args:
            rest: what was read behind the handshake already.
            closed: with which code trio-websocket has closed by itself, and why; 1000 where it has not.
        """
        self.closed = closed
        if rest:
            self._count(rest)
        if not self.is_closing:
            self._head = rest
        self._opened.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if not self._head:
            await self._opened.wait()
        if self._head:
            await trio.lowlevel.checkpoint()
            data, self._head = self._head, b""
            return data
        if not self.is_closing:
            received = await self._stream.receive_some(max_bytes)
            if received:
                self._count(received)
                if not self.is_closing:
                    return received
            else:
                self._end()
        await self._discard(max_bytes)
        return b""

    def _count(self, data: bytes | bytearray) -> None:
        now = trio.current_time()
        self.heard_at = now
        known = self._frames.count
        if not self._frames.feed(data, self._limits.message_bytes_max):
            reason = f"a message is longer than {self._limits.message_bytes_max} bytes"
            self.say_goodbye(frames.MESSAGE_TOO_BIG, reason)
        elif not self._rate.allows(self._frames.count - known, now):
            self.say_goodbye(frames.POLICY_VIOLATION, "too many messages in a second")

    async def _discard(self, max_bytes: int | None) -> None:
        """Reads on until the client has closed: closing with unread bytes would take our last words back from it."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while not (self._frames.has_closed or self.ended.is_set()):
                data = await self._stream.receive_some(max_bytes)
                self._discarded_bytes += len(data)
                if not data or self._discarded_bytes > _DISCARDED_BYTES_MAX:
                    break
                self._frames.feed(data, self._limits.message_bytes_max)
        self._end()

    def _end(self) -> None:
        """The client has closed: whoever serves it may still finish what it does, for a while."""
        self._begin_closing()
        self.ended.set()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Takes what trio-websocket answers by itself: the end of the handshake, pongs, and closes.

        A client that has too much waiting is kept waiting, too: it is not read before it has taken everything.
        """
        await trio.lowlevel.checkpoint()
        has_room = self.push(bytes(data))
        while not has_room:
            await self.drained()
            has_room = self.push(bytes(data))
        if frames.is_close(data):
            self._begin_closing()

    async def wait_send_all_might_not_block(self) -> None:
        await self.drained()

    async def aclose(self) -> None:
        """trio-websocket has heard and answered the client's close, or something that is no WebSocket.

        In that case it would go without a word.
        """
        if not self.is_closing:
            self.say_goodbye(*self.closed())
        if not self.ended.is_set():
            await self._discard(None)


def _descriptor_of(stream: trio.abc.Stream) -> trio.socket.SocketType | None:
    """The socket to write to at once; None where bytes have to go through TLS first."""
    found = getattr(stream, "socket", None)
    if not isinstance(found, trio.socket.SocketType):
        return None
    # A reader that is behind shall have little of the past in the kernel as well, and its reading be noticed.
    with suppress(OSError):
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES_MAX)
    return found
