"""A server of WebSockets that tells all its readers the same, as one of several stacks would do it.

`python -m bench.telling.server STACK` prints where its readers and its control connect. Each line on the control is an
`Order`, each line back an `Account` of what the order took of this process.
"""

import os
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import hypercorn.trio
import msgspec
import trio
import trio_websocket
from hypercorn.config import Config
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from msgspec import Struct

from jackpotd.edge.exchange import Outgoing
from jackpotd.feed import frames
from jackpotd.feed.client_socket import Socket, SocketClosed
from jackpotd.feed.socket_limits import Places, SocketLimits
from jackpotd.feed.sockets import Admitted, SocketServer, Upgrade

HYPERCORN, TRIO_WEBSOCKET, OURS = "hypercorn", "trio-websocket", "feed"
_SOCKETS_MAX = 100_000


class Order(Struct, frozen=True):
    """Tells everybody so many messages of a size in each tick, as often as the time allows; 0 s: nothing."""

    seconds: float = 0.0
    messages: int = 10
    message_bytes: int = 400
    in_block: bool = False


class Account(Struct, frozen=True):
    """Readers, ticks, and the processor time that these took; the memory of the process."""

    readers: int
    ticks: int
    cpu_s: float
    memory_bytes: int


class Stack(Protocol):
    """Some server of WebSockets, and its readers."""

    async def serve(self, listener: socket.socket) -> None:
        """Serves until it is cancelled."""

    @property
    def readers(self) -> int:
        """How many there are."""
        ...

    async def tell(self, messages: list[bytes]) -> None:
        """All of them to everybody, one by one."""


class OnHypercorn:
    """A bare ASGI application: no framework on top."""

    def __init__(self) -> None:
        self._sends: dict[int, ASGISendCallable] = {}

    async def serve(self, listener: socket.socket) -> None:
        config = Config()
        config.bind = [f"fd://{listener.fileno()}"]
        config.loglevel = "WARNING"
        await hypercorn.trio.serve(self._app, config)

    @property
    def readers(self) -> int:
        return len(self._sends)

    async def _app(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "lifespan":
            for word in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{word}.complete"})  # type: ignore[misc,arg-type]
            return
        await receive()
        await send({"type": "websocket.accept", "headers": [], "subprotocol": None})
        self._sends[id(send)] = send
        while (await receive())["type"] != "websocket.disconnect":
            pass
        del self._sends[id(send)]

    async def tell(self, messages: list[bytes]) -> None:
        texts = [message.decode() for message in messages]
        for send in list(self._sends.values()):
            for text in texts:
                await send({"type": "websocket.send", "bytes": None, "text": text})


class OnTrioWebsocket:
    """The library as it comes."""

    def __init__(self) -> None:
        self._connections: set[trio_websocket.WebSocketConnection] = set()

    async def serve(self, listener: socket.socket) -> None:
        server = trio_websocket.WebSocketServer(
            self._session, [trio.SocketListener(trio.socket.from_stdlib_socket(listener))]
        )
        await server.run()

    @property
    def readers(self) -> int:
        return len(self._connections)

    async def _session(self, request: trio_websocket.WebSocketRequest) -> None:
        connection = await request.accept()
        self._connections.add(connection)
        try:
            while True:
                await connection.get_message()
        except trio_websocket.ConnectionClosed:
            self._connections.discard(connection)

    async def tell(self, messages: list[bytes]) -> None:
        texts = [message.decode() for message in messages]
        for connection in list(self._connections):
            for text in texts:
                await connection.send_message(text)


class Ours:
    """The feed's sockets."""

    def __init__(self) -> None:
        limits = SocketLimits(
            sockets_max=_SOCKETS_MAX,
            sockets_per_address_max=_SOCKETS_MAX,
            backlog_bytes_max=1 << 30,
        )
        self._sockets: dict[Socket, None] = {}
        self._server = SocketServer(
            self._admit,
            self,
            limits=limits,
            places=Places(limits),
            clock=lambda: time.time_ns() // 1_000_000,
            new_trace_id=lambda: str(uuid4()),
        )

    async def serve(self, listener: socket.socket) -> None:
        trio_listener = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        await trio.serve_listeners(self._serve_one, [trio_listener])

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        await self._server.serve(stream, "127.0.0.1")

    async def _admit(self, _upgrade: Upgrade) -> Admitted | Outgoing:
        return Admitted(self._session)

    async def _session(self, socket_: Socket) -> None:
        try:
            while True:
                await socket_.receive()
        except SocketClosed:
            return

    def joined(self, socket: Socket) -> None:
        self._sockets[socket] = None

    def left(self, socket: Socket) -> None:
        del self._sockets[socket]

    @property
    def readers(self) -> int:
        return len(self._sockets)

    async def tell(self, messages: list[bytes]) -> None:
        for each in self._sockets:
            for message in messages:
                each.send(message)
        await self._taken()

    async def tell_in_block(self, messages: list[bytes]) -> None:
        block = b"".join([frames.text(message) for message in messages])
        for each in self._sockets:
            each.push(block)
        await self._taken()

    async def _taken(self) -> None:
        for each in list(self._sockets):
            if each.is_behind:
                await each.caught_up()


STACKS: dict[str, Callable[[], Stack]] = {
    HYPERCORN: OnHypercorn,
    TRIO_WEBSOCKET: OnTrioWebsocket,
    OURS: Ours,
}


def main(name: str) -> None:
    stack = STACKS[name]()
    listener, control = _listening(), _listening()
    print(
        "ready", *(f"{key}=http://127.0.0.1:{opened.getsockname()[1]}" for key, opened in (
            ("gateway", listener), ("control", control)
        ))
    )  # fmt: skip
    trio.run(_run, stack, listener, control)


def _listening() -> socket.socket:
    opened = socket.socket()
    opened.bind(("127.0.0.1", 0))
    opened.listen(1024)
    return opened


async def _run(stack: Stack, listener: socket.socket, control: socket.socket) -> None:
    control_listener = trio.SocketListener(trio.socket.from_stdlib_socket(control))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stack.serve, listener)
        await trio.serve_listeners(partial(_obey, stack), [control_listener])


async def _obey(stack: Stack, stream: trio.SocketStream) -> None:
    said = b""
    async for data in stream:
        said += data
        while b"\n" in said:
            line, _, said = said.partition(b"\n")
            account = await _done(msgspec.json.decode(line, type=Order), stack)
            await stream.send_all(msgspec.json.encode(account) + b"\n")


async def _done(order: Order, stack: Stack) -> Account:
    messages = [
        f'{{"n":{number},"x":"'.encode().ljust(order.message_bytes - 2, b"x") + b'"}'
        for number in range(order.messages)
    ]
    tell = stack.tell
    if order.in_block:
        if not isinstance(stack, Ours):
            raise TypeError(f"{type(stack).__name__} takes no blocks that were framed before")
        tell = stack.tell_in_block
    until, ticks, before = time.monotonic() + order.seconds, 0, time.process_time()
    while time.monotonic() < until:
        await tell(messages)
        ticks += 1
        await trio.lowlevel.checkpoint()
    return Account(stack.readers, ticks, time.process_time() - before, _memory_bytes())


def _memory_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(sys.argv[1])
