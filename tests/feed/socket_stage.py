"""Sockets of the feed on real TCP, and a client that frames nothing for the test."""

import json
import os
import socket as plain_socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import trio
import trustme
from msgspec.structs import replace
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Event, Message, Ping, Pong, TextMessage

from jackpotd.edge.exchange import Outgoing
from jackpotd.feed.client_socket import Socket
from jackpotd.feed.socket_limits import Places, SocketLimits
from jackpotd.feed.sockets import Admitted, SocketServer, Upgrade

NOW_MS: Final = 1_700_000_000_000
TRACE_ID: Final = "00000000-0000-4000-8000-000000000001"
USUAL: Final = SocketLimits()
SOON_S: Final = 10.0
HANDSHAKE: Final = (
    b"GET /v1/events?token=a%20b HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


@dataclass
class House:
    """A keeper of sockets, an admission and a session that the test sees into."""

    sockets: dict[Socket, None] = field(default_factory=dict)
    gone: int = 0
    upgrades: list[Upgrade] = field(default_factory=list)
    refusal: Outgoing | None = None
    account: str = ""
    session: Callable[[Socket], Awaitable[None]] | None = None
    heard: list[str] = field(default_factory=list)
    port: int = 0
    unix_path: str = ""
    tls: ssl.SSLContext | None = None
    server: SocketServer | None = None
    changed: trio.Event = field(default_factory=trio.Event)

    def joined(self, socket: Socket) -> None:
        self.sockets[socket] = None
        self.change()

    def left(self, socket: Socket) -> None:
        del self.sockets[socket]
        self.gone += 1
        self.change()

    def change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns when a condition holds that changes as sockets come, go and are heard."""
        with trio.fail_after(SOON_S):
            while not condition():
                await self.changed.wait()

    async def admit(self, upgrade: Upgrade) -> Admitted | Outgoing:
        self.upgrades.append(upgrade)
        return self.refusal or Admitted(self.session or self.listen, self.account)

    async def listen(self, socket: Socket) -> None:
        """Hears until the socket closes; `echo …` is answered."""
        while True:
            said = await socket.receive()
            self.heard.append(said)
            self.change()
            if said.startswith("echo "):
                socket.send(said.removeprefix("echo ").encode())

    @property
    def only_socket(self) -> Socket:
        (socket,) = self.sockets
        return socket


@asynccontextmanager
async def serving(house: House, limits: SocketLimits = USUAL) -> AsyncGenerator[House, None]:
    """A house that is open on loopback, or at its Unix path; behind TLS where it has a certificate."""
    server = SocketServer(
        house.admit,
        house,
        limits=limits,
        places=Places(limits),
        clock=lambda: NOW_MS,
        new_trace_id=lambda: TRACE_ID,
    )
    house.server = server
    certificate = None if house.tls is None else self_signed(house.tls)

    async def serve(stream: trio.SocketStream) -> None:
        if certificate is not None:
            await server.serve(trio.SSLStream(stream, certificate, server_side=True), "over-tls")
        elif house.unix_path:
            await server.serve(stream, "over-unix")
        else:
            await server.serve(stream, stream.socket.getpeername()[0])

    async with trio.open_nursery() as nursery:
        if house.unix_path:
            sock = trio.socket.socket(plain_socket.AF_UNIX)
            await sock.bind(house.unix_path)
            sock.listen()
            listener = trio.SocketListener(sock)
        else:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            house.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield house
        nursery.cancel_scope.cancel()


def self_signed(client: ssl.SSLContext) -> ssl.SSLContext:
    """A server's context that a client's trusts from now on."""
    authority = trustme.CA()
    authority.configure_trust(client)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


class Client:
    """A client after its handshake; frames are written as bytes, and read by wsproto."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._reader = Connection(ConnectionType.CLIENT)
        self._events: list[Event] = []
        self._parts: list[str] = []
        self.read_bytes = 0

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def say(self, text: str) -> None:
        await self.send(frame(0x1, text.encode()))

    async def event(self) -> Event | None:
        """The next whole message, ping, pong or close; None at the end."""
        with trio.fail_after(SOON_S):
            while True:
                while self._events:
                    event = self._whole(self._events.pop(0))
                    if event is not None:
                        return event
                try:
                    data = await self.stream.receive_some(65_536)
                except trio.BrokenResourceError:
                    return None
                if not data:
                    return None
                self.read_bytes += len(data)
                self._reader.receive_data(bytes(data))
                self._events += self._reader.events()

    def _whole(self, event: Event) -> Event | None:
        if isinstance(event, TextMessage):
            self._parts.append(event.data)
            if not event.message_finished:
                return None
            whole, self._parts = "".join(self._parts), []
            return TextMessage(data=whole)
        return event

    async def text(self) -> str:
        """The next message; a ping in front of it is answered."""
        while True:
            event = await self.event()
            if isinstance(event, Ping):
                await self.send(frame(0xA, bytes(event.payload)))
                continue
            assert isinstance(event, TextMessage), event
            return event.data

    async def json(self) -> Any:
        return json.loads(await self.text())

    async def close_code(self) -> int | None:
        """The code that the server closes with, whatever it says before; None where it is just gone."""
        while True:
            event = await self.event()
            if event is None:
                return None
            if isinstance(event, CloseConnection):
                return event.code
            assert isinstance(event, Message | Ping | Pong)

    async def close(self, code: int = 1000) -> None:
        """The client's own close, and then nothing more is heard."""
        await self.send(frame(0x8, code.to_bytes(2, "big")))
        with trio.fail_after(SOON_S):
            while await self.event() is not None:
                pass
        await self.stream.aclose()


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bytes | None = b"\x01\x02\x03\x04"
) -> bytes:
    """A frame of a client."""
    head = bytes([(0x80 if fin else 0) | opcode])
    masked = 0x80 if mask is not None else 0
    if len(payload) < 126:
        head += bytes([masked | len(payload)])
    elif len(payload) < 65_536:
        head += bytes([masked | 126]) + len(payload).to_bytes(2, "big")
    else:
        head += bytes([masked | 127]) + len(payload).to_bytes(8, "big")
    if mask is None:
        return head + payload
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    whole = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + mask + whole.to_bytes(len(payload), "big")


async def http_answer(
    stream: trio.abc.Stream, request: bytes
) -> tuple[int, dict[str, str], bytes, bytes]:
    """Status, headers, body and whatever follows the head of an answer to a request."""
    if request:
        await stream.send_all(request)
    data = b""
    with trio.fail_after(SOON_S):
        while b"\r\n\r\n" not in data:
            received = await stream.receive_some()
            if not received:
                break
            data += received
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1]) if lines[0] else 0
        pairs = (line.partition(": ") for line in lines[1:])
        headers = {name.lower(): value for name, _, value in pairs}
        length = int(headers.get("content-length", "0"))
        while len(rest) < length:
            rest += await stream.receive_some()
    return status, headers, rest[:length], rest[length:]


@asynccontextmanager
async def connected(
    house: House,
    *,
    receive_buffer_bytes: int | None = None,
    host: str = "127.0.0.1",
) -> AsyncGenerator[Client, None]:
    """A client that has shaken hands; its kernel takes little for it where that is said."""
    family = plain_socket.AF_UNIX if house.unix_path else plain_socket.AF_INET
    sock = trio.socket.socket(family, plain_socket.SOCK_STREAM)
    if receive_buffer_bytes is not None:
        sock.setsockopt(plain_socket.SOL_SOCKET, plain_socket.SO_RCVBUF, receive_buffer_bytes)
    if house.unix_path:
        await sock.connect(house.unix_path)
    else:
        await sock.bind((host, 0))
        await sock.connect(("127.0.0.1", house.port))
    stream: trio.abc.Stream = trio.SocketStream(sock)
    if house.tls is not None:
        stream = trio.SSLStream(stream, house.tls, server_hostname="localhost")
    try:
        status, _, _, rest = await http_answer(stream, HANDSHAKE)
        assert status == 101
        client = Client(stream)
        if rest:
            client._reader.receive_data(rest)
            client._events += client._reader.events()
        yield client
    finally:
        await trio.aclose_forcefully(stream)


def limited(**changes: Any) -> SocketLimits:
    """The usual limits but for these."""
    return replace(USUAL, **changes)


def random_payload(size: int) -> bytes:
    """Text that nothing compresses."""
    return os.urandom(size // 2).hex().encode()
