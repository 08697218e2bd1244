"""A connection whose every byte is the test's own; answers are read by h11, which forgives nothing.

Nothing here frames, repeats or mends what is sent. Reading is strict: an answer that is not whole,
or bytes behind the last one, are visible to the test.
"""

from __future__ import annotations

import json
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import h11
import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

READ_BYTES: Final = 65536
CRLF: Final = b"\r\n"


class ConnectionEnded(Exception):
    """The server closed where an answer, or the rest of one, was expected."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer: header names in lower case, the statuses of interim answers before it."""

    status: int
    headers: dict[str, str]
    body: bytes
    interim: tuple[int, ...]
    version: str

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_float=Decimal)

    @property
    def closes(self) -> bool:
        return "close" in self.headers.get("connection", "").lower()


class RawConnection:
    """One TCP connection to the gateway."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream: Final = stream
        self._unread = b""
        self._ended = False

    async def send(self, data: bytes) -> None:
        """Send as much as the server takes: one that has closed already is a matter of reading."""
        try:
            await self.stream.send_all(data)
        except trio.BrokenResourceError:
            return

    async def response(self, method: str = "POST") -> Response:
        """The next whole answer to a request with this method."""
        parser = _waiting_for_answer(method)
        self._hand_over(parser)
        interim: list[int] = []
        head: h11.Response | None = None
        body = bytearray()
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                await self._feed(parser)
            elif isinstance(event, h11.InformationalResponse):
                interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                message = f"the server closed: {event!r}"
                raise ConnectionEnded(message)
        self._unread = parser.trailing_data[0]
        return _whole(head, bytes(body), tuple(interim))

    async def interim(self) -> int:
        """The status of an interim answer, alone on the wire: nothing may have come behind it."""
        while CRLF * 2 not in self._unread:
            await self._read()
        head, _, self._unread = self._unread.partition(CRLF * 2)
        return int(head.split(b" ")[1])

    async def until_closed(self) -> bytes:
        """What still came before the server closed, or reset, the connection."""
        while not self._ended:
            await self._read()
        rest, self._unread = self._unread, b""
        return rest

    async def responses_until_closed(self, method: str = "POST") -> list[Response]:
        """Every answer until the server closed; bytes that are no answer are an error of h11's."""
        rest = await self.until_closed()
        responses = []
        self._unread = rest
        while self._unread:
            responses.append(await self.response(method))
        return responses

    async def bytes_so_far(self, count: int) -> bytes:
        """The first bytes of what comes, at least this many; they stay to be read."""
        while len(self._unread) < count and not self._ended:
            await self._read()
        return self._unread

    def reset(self) -> None:
        """Break the connection with an RST instead of a FIN."""
        on_close = struct.pack("ii", 1, 0)
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, on_close)
        self.stream.socket.close()

    async def _feed(self, parser: h11.Connection) -> None:
        if not self._ended:
            await self._read()
        self._hand_over(parser)

    def _hand_over(self, parser: h11.Connection) -> None:
        """Give the parser what is there; to it, nothing at all is the end of the connection."""
        if self._unread:
            parser.receive_data(self._unread)
        if self._ended:
            parser.receive_data(b"")
        self._unread = b""

    async def _read(self) -> None:
        try:
            data = await self.stream.receive_some(READ_BYTES)
        except trio.BrokenResourceError:
            data = b""
        self._ended = not data
        self._unread += bytes(data)


def _waiting_for_answer(method: str) -> h11.Connection:
    """A parser that believes to have sent a request."""
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    parser.send(h11.Request(method=method, target="/", headers=[("Host", "test")]))
    parser.send(h11.EndOfMessage())
    return parser


def _whole(head: h11.Response | None, body: bytes, interim: tuple[int, ...]) -> Response:
    assert head is not None
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in head.headers}
    assert len(headers) == len(list(head.headers)), head.headers
    return Response(head.status_code, headers, body, interim, head.http_version.decode())


def address(url: str) -> tuple[str, int]:
    """Host and port of a listener's URL."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[RawConnection]:
    """A new connection, closed at the end whatever state it is in."""
    stream = await trio.open_tcp_stream(*address(url))
    try:
        yield RawConnection(stream)
    finally:
        with trio.CancelScope(shield=True):
            await stream.aclose()


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunked(*parts: bytes) -> bytes:
    """A whole chunked body."""
    return b"".join(map(chunk, parts)) + b"0\r\n\r\n"
