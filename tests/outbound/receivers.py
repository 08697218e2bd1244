"""Receivers of webhooks: HTTP/1.1 servers on real sockets of this machine that do what a test tells them to."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import trio
from msgspec import Struct

BODY_PART = b"x" * 16_384


class Received(Struct, frozen=True):
    """A request as it came; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Behaviour = Callable[[Received, trio.abc.Stream], Awaitable[None]]


class Receiver:
    """A server that is there; `requests` are those that came whole, in the order of their ends."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.requests: list[Received] = []
        self.origin = ""
        self.port = 0
        self.connections = 0
        self.under_way = 0
        self.most_under_way = 0
        self._arrived = trio.Event()

    async def until(self, count: int) -> None:
        """Waits for a number of requests in all."""
        while len(self.requests) < count:
            self._arrived = trio.Event()
            await self._arrived.wait()

    def ids(self) -> list[str]:
        return [request.id for request in self.requests]

    async def serve(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        data = bytearray()
        try:
            while (request := await _next(stream, data)) is not None:
                self.under_way += 1
                self.most_under_way = max(self.most_under_way, self.under_way)
                self.requests.append(request)
                self._arrived.set()
                try:
                    await self.behaviour(request, stream)
                finally:
                    self.under_way -= 1
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        finally:
            with trio.move_on_after(1) as scope:
                scope.shield = True
                await trio.aclose_forcefully(stream)


async def _next(stream: trio.abc.Stream, data: bytearray) -> Received | None:
    """The next request of a connection; None at its end."""
    while b"\r\n\r\n" not in data:
        part = await stream.receive_some()
        if not part:
            return None
        data += part
    head, _, rest = bytes(data).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = int(headers.get("content-length", "0"))
    data[:] = rest
    while len(data) < length:
        part = await stream.receive_some()
        if not part:
            return None
        data += part
    body = bytes(data[:length])
    del data[:length]
    method, target, _ = first.split(" ")
    return Received(method, target, headers, body)


@asynccontextmanager
async def receiving(
    behaviour: Behaviour,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Receiver]:
    """A receiver on a port of this machine, until the block ends; its connections are cut then."""
    receiver = Receiver(behaviour)
    async with trio.open_nursery() as nursery:
        (plain,) = await trio.open_tcp_listeners(port, host=host)
        receiver.port = plain.socket.getsockname()[1]
        listener = plain if tls is None else trio.SSLListener(plain, tls)
        nursery.start_soon(trio.serve_listeners, receiver.serve, [listener])
        name = f"[{host}]" if ":" in host else host
        receiver.origin = f"{'http' if tls is None else 'https'}://{name}:{receiver.port}"
        yield receiver
        nursery.cancel_scope.cancel()


def answering(status: int, headers: Mapping[str, str] | None = None) -> Behaviour:
    """Answers every request with a status."""
    lines = [f"HTTP/1.1 {status} Said", "Content-Length: 2"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    answer = ("\r\n".join(lines) + "\r\n\r\nok").encode()

    async def behave(_request: Received, stream: trio.abc.Stream) -> None:
        await stream.send_all(answer)

    return behave


async def hanging(_request: Received, _stream: trio.abc.Stream) -> None:
    """Never answers."""
    await trio.sleep_forever()


async def closing(_request: Received, stream: trio.abc.Stream) -> None:
    """Closes the connection without an answer."""
    await stream.aclose()


def saying(answer: bytes) -> Behaviour:
    """Sends some bytes, whatever they are, and closes the connection."""

    async def behave(_request: Received, stream: trio.abc.Stream) -> None:
        await stream.send_all(answer)
        await stream.aclose()

    return behave


async def endless(_request: Received, stream: trio.abc.Stream) -> None:
    """Takes the request, and sends a body that has no end."""
    await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await stream.send_all(b"%x\r\n%b\r\n" % (len(BODY_PART), BODY_PART))


async def dribbling(_request: Received, stream: trio.abc.Stream) -> None:
    """Takes the request, and sends a body a byte at a time, without an end."""
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
    while True:
        await stream.send_all(b"x")
        await trio.sleep(0.01)
