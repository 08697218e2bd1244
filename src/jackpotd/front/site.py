"""What all connections of a listener share, and the port through which a protocol reaches its connection."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol

import structlog

from jackpotd.core.rejections import Code
from jackpotd.edge.exchange import DirectHandler, Incoming, Outgoing, StreamHandler, refusal
from jackpotd.front.entrance import Entrance, Room, unlimited
from jackpotd.front.exchanges import Exchange
from jackpotd.front.head import Head, RequestLine, check_host, parse_line
from jackpotd.front.limits import FrontLimits
from jackpotd.wire.errors import RequestRefused

_KNOWN_HOSTS_MAX = 256
_KNOWN_NAMES_MAX = 1024
_KNOWN_HEADS_MAX = 1024
_KNOWN_HEAD_BYTES_MAX = 2048

Observe = Callable[[str, str, int, str, float], None]

Admit = Callable[[str, Incoming], None]
"""Raises RequestRefused where a fast route's path and headers alone are reason enough."""

log = structlog.get_logger("jackpotd.front")


class Port(Protocol):
    """A connection, as its protocol sees it. No method waits."""

    unsent_bytes: int
    is_tls: bool

    def client(self) -> tuple[str, int] | None:
        """The address of the other end."""

    def server(self) -> tuple[str, int] | None:
        """The address of this end."""

    def write(self, data: bytes) -> None:
        """Sends, or keeps what the client does not take yet; tells `on_drained` once all of it is gone."""

    def close(self) -> None:
        """Ends the connection once everything is sent, and lets a client that still sends read the answer."""

    def abort(self) -> None:
        """Ends the connection at once."""

    def pause(self) -> None:
        """Reads no more."""

    def resume(self) -> None:
        """Reads again."""

    def soon(self) -> None:
        """Calls the protocol's `pump` once, in the next turn of the event loop."""

    def hand_over(self, data: bytes, socket_path: bytes = b"") -> None:
        """Gives the connection away, with bytes that were read and belong to whoever gets it.

        Where it becomes a WebSocket, the path of that.
        """


class Site:
    """A listener's routes, limits and clock."""

    def __init__(
        self,
        name: str,
        limits: FrontLimits,
        *,
        direct: Mapping[tuple[str, str], DirectHandler],
        streams: Mapping[tuple[str, str], StreamHandler],
        start: Callable[[Exchange], None],
        clock: Callable[[], int],
        new_trace_id: Callable[[], str],
        observe: Observe,
        admit: Admit | None = None,
        room: Room = unlimited,
    ) -> None:
        self.name = name
        self.limits = limits
        self.start = start
        self.clock = clock
        self.new_trace_id = new_trace_id
        self.observe = observe
        self.entrance = Entrance(room)
        self._admit = admit
        self.names: dict[bytes, str] = {}
        self.is_stopping = False
        self._hosts: set[str | None] = set()
        self._heads: dict[bytes, Head] = {}
        self._direct = dict(direct)
        self._streams = dict(streams)
        self.lines: dict[bytes, RequestLine] = {}
        for method, path in [*direct, *streams]:
            for version in ("1.0", "1.1"):
                text = f"{method} {path} HTTP/{version}".encode()
                self.lines[text] = self._routed(parse_line(text, limits))

    def line(self, text: bytes) -> RequestLine:
        """A request line that is none of the known ones."""
        return self._routed(parse_line(text, self.limits))

    def _routed(self, line: RequestLine) -> RequestLine:
        path = line.path.decode("ascii")
        key = (line.method, path)
        direct, stream = self._direct.get(key), self._streams.get(key)
        if direct is None and stream is None:
            return line
        return RequestLine(
            line.method, line.path, line.query, line.is_1_1, line.authority, path, direct, stream
        )

    def known_head(self, data: bytes) -> Head | None:
        """What these very bytes were understood as before: a client that stays sends nearly the same head each time."""
        return self._heads.get(data)

    def remember_head(self, data: bytes, head: Head) -> None:
        """Keeps a head of a fast route that was found good; what it means depends on its bytes alone."""
        if len(data) <= _KNOWN_HEAD_BYTES_MAX:
            if len(self._heads) >= _KNOWN_HEADS_MAX:
                self._heads.clear()
            self._heads[data] = head

    def admit(self, line: RequestLine, headers: Mapping[str, str]) -> None:
        """Looks at a request before its body is asked for.

        Raises:
            RequestRefused: its body is not wanted.
        """
        if self._admit is not None:
            self._admit(line.route, Incoming(headers))

    def check_host(self, line: RequestLine, host: str | None) -> None:
        if host in self._hosts:
            return
        check_host(line, host)
        if host is not None and len(self._hosts) < _KNOWN_HOSTS_MAX:
            self._hosts.add(host)

    def name_of(self, name: bytes) -> str:
        """A header's name in lower case."""
        text = name.decode("ascii").lower()
        if len(self.names) < _KNOWN_NAMES_MAX:
            self.names[name] = text
        return text

    def turned_away(self, route: str, accept: str, connection: str) -> bytes:
        """A request of a fast route for which there is no room: nothing of it is looked at, but it is counted."""
        self.observe(self.name, route, HTTPStatus.SERVICE_UNAVAILABLE, Code.OVERLOADED, 0.0)
        return self.entrance.refusal(accept, connection, self.new_trace_id(), self.clock())

    def refusal(self, refused: RequestRefused, accept: str = "", route: str = "-") -> Outgoing:
        """A refusal that no handler made: rendered as all others, and counted."""
        body = refused.body
        self.observe(self.name, route, body.status_code, body.code, 0.0)
        request = Incoming(
            {"accept": accept}, trace_id=self.new_trace_id(), received_ms=self.clock()
        )
        return refusal(refused, request)
