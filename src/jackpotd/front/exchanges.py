"""A request that a task answers: its body as it arrives, its answer as it comes about, both through bounded buffers."""

from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

import trio

from jackpotd.edge.exchange import Outgoing
from jackpotd.front.head import Head
from jackpotd.front.rendering import CLOSE, CONTINUE, KEEP_ALIVE_1_0, STATUS_LINES
from jackpotd.wire.errors import RequestRefused

_BODILESS = frozenset({204, 304})
_OF_THE_CONNECTION = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection"}
)


class ClientGone(Exception):
    """The client does not wait for this answer any more."""


class Line(Protocol):
    """The protocol that an exchange belongs to, as the exchange sees it."""

    def send(self, data: bytes) -> None: ...

    @property
    def unsent_bytes(self) -> int: ...

    def body_taken(self) -> None: ...

    def finish(self, *, keep_alive: bool) -> None: ...

    def fail(self) -> None: ...


class Ends(Protocol):
    """Where the connection comes from and goes to."""

    is_tls: bool

    def client(self) -> tuple[str, int] | None: ...

    def server(self) -> tuple[str, int] | None: ...


class _Body(AsyncIterator[bytes]):
    """The pieces of a body; no generator, which somebody would have to close where not all of it is taken."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange

    async def __anext__(self) -> bytes:
        piece = await self._exchange.receive()
        if not piece:
            raise StopAsyncIteration
        return piece


class Exchange:
    """One request and its answer; the protocol fills it, a task empties it."""

    def __init__(self, head: Head, line: Line, ends: Ends, *, buffer_bytes_max: int) -> None:
        self.head = head
        self.ends = ends
        self.has_begun = False
        self.is_over = False
        self.buffered_bytes = 0
        self._line = line
        self._buffer_bytes_max = buffer_bytes_max
        self._pieces: deque[bytes] = deque()
        self._is_body_whole = False
        self._refused: RequestRefused | None = None
        self._is_gone = False
        self._is_chunked = False
        self._keep_alive = head.keep_alive
        self._wants_body = not head.expects_continue
        self._changed = trio.Event()
        self.gone = trio.Event()

    # -- for the protocol

    def put(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.buffered_bytes += len(piece)
        self._wake()

    @property
    def is_full(self) -> bool:
        return self.buffered_bytes > self._buffer_bytes_max

    @property
    def is_body_whole(self) -> bool:
        return self._is_body_whole

    @property
    def is_body_taken(self) -> bool:
        """Whether nothing of the body is left to be received."""
        return self._is_body_whole and not self._pieces

    def body_is_whole(self) -> None:
        self._is_body_whole = True
        self._wake()

    def body_refused(self, refused: RequestRefused) -> None:
        """The rest of the body cannot be read: whoever takes it is told so."""
        self._refused = refused
        self._wake()

    def drained(self) -> None:
        self._wake()

    def disconnected(self) -> None:
        self._is_gone = True
        self.gone.set()
        self._wake()

    def no_keep_alive(self) -> None:
        self._keep_alive = False

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # -- for the task

    async def receive(self) -> bytes:
        """The next piece of the body; b"" at its end.

        Raises:
            ClientGone: the client went before it had sent the whole body.
            RequestRefused: the body is malformed or too long.
        """
        if not self._wants_body:
            self._wants_body = True
            if not self._pieces and not self._is_body_whole and not self.has_begun:
                self._line.send(CONTINUE)
        while not self._pieces:
            if self._refused is not None:
                raise self._refused
            if self._is_body_whole:
                return b""
            if self._is_gone:
                raise ClientGone
            await self._changed.wait()
        piece = self._pieces.popleft()
        was_full = self.is_full
        self.buffered_bytes -= len(piece)
        if was_full and not self.is_full:
            self._line.body_taken()
        return piece

    def body(self) -> AsyncIterator[bytes]:
        return _Body(self)

    async def begin(self, status: int, headers: list[tuple[str, str]], first: bytes) -> None:
        """Sends the head of the answer, with the first bytes of its body in the same segment."""
        self.has_begun = True
        kept = []
        has_length = False
        for name, value in headers:
            lower = name.lower()
            if lower in _OF_THE_CONNECTION:
                if lower == "connection" and "close" in value.lower():
                    self._keep_alive = False
                continue
            has_length = has_length or lower == "content-length"
            kept.append(f"{name}: {value}\r\n")
        if not self._is_body_whole:
            self._keep_alive = False  # what is left of the body is never read as a request
        is_bodiless = status in _BODILESS or self.head.line.method == "HEAD"
        if not has_length and not is_bodiless:
            if self.head.line.is_1_1:
                self._is_chunked = True
                kept.append("Transfer-Encoding: chunked\r\n")
            else:
                self._keep_alive = False
        if any(line.count("\n") != 1 or line.count("\r") != 1 for line in kept):
            raise ValueError("a header has a line break in it")
        kept.append(self._connection_header())
        text = f"{STATUS_LINES[status]}{''.join(kept)}\r\n"
        await self._send(text.encode("latin-1") + self._framed(first))

    def _connection_header(self) -> str:
        if not self._keep_alive:
            return CLOSE
        return "" if self.head.line.is_1_1 else KEEP_ALIVE_1_0

    def _framed(self, data: bytes) -> bytes:
        if not data or self.head.line.method == "HEAD":
            return b""
        return b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data

    async def send(self, data: bytes) -> None:
        """Sends a piece of the answer's body, once the client has taken enough of what was sent before."""
        if framed := self._framed(data):
            await self._send(framed)

    async def _send(self, data: bytes) -> None:
        if self._is_gone:
            raise ClientGone
        self._line.send(data)
        while self._line.unsent_bytes > self._buffer_bytes_max and not self._is_gone:
            await self._changed.wait()

    async def answer(self, outgoing: Outgoing) -> None:
        """A whole answer at once."""
        await self.answer_raw(outgoing.status, list(outgoing.headers), outgoing.body)

    async def answer_raw(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """A whole answer from its parts."""
        if status in _BODILESS:
            body = b""
        else:
            headers = [*headers, ("Content-Length", str(len(body)))]
        await self.begin(status, headers, body)
        self.end()

    def end(self) -> None:
        """The answer is complete."""
        if self.is_over:
            return
        self.is_over = True
        if self._is_chunked and self.head.line.method != "HEAD":
            self._line.send(b"0\r\n\r\n")
        self._line.finish(keep_alive=self._keep_alive and self._is_body_whole)

    def cut_off(self) -> None:
        """The answer cannot be completed: the client sees that by the connection's end."""
        if not self.is_over:
            self.is_over = True
            self._line.fail()
