"""A front with handlers of the tests' own, and clients that frame nothing for the test."""

import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from typing import Any, Final, cast

import h11
import trio
from hypercorn.typing import ASGIFramework
from msgspec.structs import replace
from quart import Response, request, websocket
from quart_trio import QuartTrio

from jackpotd.edge.exchange import Answer, Incoming, Outgoing, Streamed, completed
from jackpotd.front.entrance import Room, unlimited
from jackpotd.front.exchanges import Exchange
from jackpotd.front.hand_over import TlsFiles, hypercorn_config
from jackpotd.front.http1 import Http1
from jackpotd.front.limits import FrontLimits
from jackpotd.front.serving import FrontParts, serve_front
from jackpotd.front.site import Site
from jackpotd.front.sockets import Sockets

NOW_MS: Final = 1_700_000_000_000
TRACE_ID: Final = "00000000-0000-4000-8000-000000000001"
USUAL: Final = FrontLimits()
QUICK: Final = FrontLimits(
    header_timeout_s=0.2,
    idle_timeout_s=0.3,
    body_timeout_s=0.2,
    write_timeout_s=0.3,
    linger_s=0.2,
    disconnect_delay_s=0.1,
    sweep_interval_s=0.05,
)


@dataclass
class Handlers:
    """What the routes of the tests do, and what they have seen."""

    seen: list[Incoming] = field(default_factory=list)
    held: list[tuple[Incoming, Answer]] = field(default_factory=list)
    observed: list[tuple[str, str, int, str]] = field(default_factory=list)
    has_held: trio.Event = field(default_factory=trio.Event)
    has_begun: trio.Event = field(default_factory=trio.Event)
    may_go_on: trio.Event = field(default_factory=trio.Event)
    was_cancelled: trio.Event = field(default_factory=trio.Event)

    def echo(self, incoming: Incoming, answer: Answer) -> None:
        """Answers at once, with what it was asked."""
        self.seen.append(incoming)
        answer(answer_to(incoming))

    def hold(self, incoming: Incoming, answer: Answer) -> None:
        """Answers when the test says so."""
        self.held.append((incoming, answer))
        self.has_held.set()

    def release(self, index: int = 0) -> None:
        incoming, answer = self.held.pop(index)
        answer(answer_to(incoming))

    def boom(self, _incoming: Incoming, _answer: Answer) -> None:
        raise RuntimeError("a defect")

    def injection(self, _incoming: Incoming, answer: Answer) -> None:
        answer(Outgoing(200, b"{}", headers=(("X-A", "b\r\nX-C: d"),)))

    def empty(self, incoming: Incoming, answer: Answer) -> None:
        answer(completed(Outgoing(204), incoming))

    async def stream(self, _incoming: Incoming, body: AsyncIterator[bytes]) -> Streamed:
        """Answers each piece of the body as it comes."""

        @trio.as_safe_channel
        async def chunks() -> AsyncGenerator[bytes, None]:
            mark = b"<"
            async for piece in body:
                yield mark + piece.upper()
                mark = b""
            yield mark + b">"

        return Streamed(200, chunks(), (("Content-Type", "text/plain"),))

    def observe(self, name: str, route: str, status: int, code: str, seconds: float) -> None:
        assert seconds >= 0
        self.observed.append((name, route, status, code))

    def direct(self) -> dict[tuple[str, str], Callable[[Incoming, Answer], None]]:
        return {
            ("POST", "/echo"): self.echo,
            ("POST", "/hold"): self.hold,
            ("POST", "/boom"): self.boom,
            ("POST", "/injection"): self.injection,
            ("POST", "/empty"): self.empty,
        }


def answer_to(incoming: Incoming) -> Outgoing:
    """An answer that says what was asked."""
    body = json.dumps({"body": incoming.body.decode("latin-1"), "query": dict(incoming.query)})
    return replace(completed(Outgoing(200, body.encode()), incoming))


def app_of(handlers: Handlers) -> QuartTrio:  # noqa: C901 - a list of routes
    """The application behind the fast routes."""
    app = QuartTrio("front")
    app.config["MAX_CONTENT_LENGTH"] = None

    @app.get("/hello")
    async def hello() -> str:
        return "hello " + request.args.get("name", "")

    @app.post("/upload")
    async def upload() -> str:
        size = 0
        async for piece in request.body:
            size += len(piece)
        return str(size)

    @app.post("/ignore")
    async def ignore() -> str:
        return "ignored"

    @app.get("/wait")
    async def wait() -> str:
        handlers.has_begun.set()
        try:
            await handlers.may_go_on.wait()
        except trio.Cancelled:
            handlers.was_cancelled.set()
            raise
        return "waited"

    @app.get("/endless")
    async def endless() -> Response:
        async def pieces() -> AsyncGenerator[bytes, None]:
            for _ in range(100_000):
                yield b"x" * 10_000

        return Response(pieces())

    @app.get("/pieces")
    async def pieces() -> Response:
        async def three() -> AsyncGenerator[bytes, None]:
            for piece in (b"a", b"bb", b"ccc"):
                yield piece

        return Response(three())

    @app.get("/broken")
    async def broken() -> Response:
        async def pieces() -> AsyncGenerator[bytes, None]:
            yield b"begun"
            raise RuntimeError("a defect in the middle")

        return Response(pieces())

    @app.websocket("/ws")
    async def ws() -> None:
        while True:
            await websocket.send(await websocket.receive())

    return app


@dataclass
class Stage:
    """A front that serves, and the means to talk to it."""

    port: int
    handlers: Handlers
    stopping: trio.Event
    ended: trio.Event
    clients: list["Client"] = field(default_factory=list)

    async def connect(self) -> "Client":
        """A new connection, closed with the stage."""
        client = Client(await trio.open_tcp_stream("127.0.0.1", self.port))
        self.clients.append(client)
        return client


class Client:
    """A connection that sends what the test says; answers are read by h11."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.unread = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def answer(self, method: str = "POST") -> "Got":
        """The next answer, strictly read."""
        oracle = h11.Connection(h11.CLIENT)
        oracle.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        oracle.send(h11.EndOfMessage())
        if self.unread:
            oracle.receive_data(self.unread)
        interim: list[int] = []
        got: h11.Response | None = None
        body = b""
        while True:
            event = oracle.next_event()
            if event is h11.NEED_DATA:
                oracle.receive_data(bytes(await self.stream.receive_some(65536)))
            elif isinstance(event, h11.InformationalResponse):
                interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                got = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and got is not None:
                self.unread = oracle.trailing_data[0]
                headers = {name.decode(): value.decode() for name, value in got.headers}
                return Got(got.status_code, headers, body, tuple(interim))
            else:
                raise ConnectionError(repr(event))

    async def ended(self) -> bytes:
        """What came until the server closed."""
        rest, self.unread = self.unread, b""
        try:
            while data := await self.stream.receive_some(65536):
                rest += bytes(data)
        except trio.BrokenResourceError:
            pass
        return rest


@dataclass(frozen=True)
class Got:
    """An answer as h11 has read it."""

    status: int
    headers: dict[str, str]
    body: bytes
    interim: tuple[int, ...] = ()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def listening() -> socket.socket:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen(128)
    return bound


@asynccontextmanager
async def staged(
    limits: FrontLimits = USUAL,
    tls: TlsFiles | None = None,
    grace_s: float = 2.0,
    handlers: Handlers | None = None,
    room: Room = unlimited,
    sockets: Sockets | None = None,
) -> AsyncIterator[Stage]:
    """A front that serves while this is entered."""
    handlers = handlers or Handlers()
    config = hypercorn_config(
        body_bytes_max=limits.body_bytes_max,
        header_bytes_max=limits.header_bytes_max,
        idle_timeout_s=limits.idle_timeout_s,
        graceful_timeout_s=grace_s,
        tls=tls,
    )
    parts = FrontParts(
        name="gateway",
        app=cast("ASGIFramework", app_of(handlers)),
        direct=handlers.direct(),
        streams={("POST", "/stream"): handlers.stream},
        limits=limits,
        config=config,
        tls=tls,
        clock=lambda: NOW_MS,
        new_trace_id=lambda: TRACE_ID,
        observe=handlers.observe,
        room=room,
        sockets=sockets,
    )
    listener = listening()
    stage = Stage(listener.getsockname()[1], handlers, trio.Event(), trio.Event())

    async def serve(*, task_status: trio.TaskStatus[None]) -> None:
        await serve_front(
            parts,
            listener,
            stopping=stage.stopping,
            graceful_timeout_s=grace_s,
            task_status=task_status,
        )
        stage.ended.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve)
            try:
                yield stage
                stage.stopping.set()
                await stage.ended.wait()
            finally:
                for client in stage.clients:
                    await trio.aclose_forcefully(client.stream)


class MemoryPort:
    """A connection that keeps what is written to it."""

    is_tls = False

    def __init__(self) -> None:
        self.unsent_bytes = 0
        self.written = b""
        self.is_closed = False
        self.is_paused = False
        self.wants_pump = False
        self.handed: bytes | None = None
        self.socket_path = b""

    def client(self) -> None:
        return None

    def server(self) -> None:
        return None

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def soon(self) -> None:
        self.wants_pump = True

    def hand_over(self, data: bytes, socket_path: bytes = b"") -> None:
        self.handed, self.socket_path = data, socket_path


@dataclass
class Bench:
    """A protocol on a port in memory."""

    handlers: Handlers
    port: MemoryPort
    protocol: Http1
    exchanges: list[Exchange]
    site: Site

    def connect(self) -> "Bench":
        """Another connection to the same listener."""
        port = MemoryPort()
        return replaced(self, port=port, protocol=Http1(self.site, port))

    def feed(self, *pieces: bytes) -> bytes:
        """Feeds pieces as a socket would, and gives back all that was answered."""
        for piece in pieces:
            self.protocol.feed(piece)
            self.pump()
        return self.port.written

    def pump(self) -> None:
        while self.port.wants_pump:
            self.port.wants_pump = False
            self.protocol.pump()


def bench(limits: FrontLimits = USUAL, room: Room = unlimited) -> Bench:
    """A protocol with the tests' handlers; exchanges are kept, and no task answers them."""
    handlers, port = Handlers(), MemoryPort()
    exchanges: list[Exchange] = []
    site = Site(
        "gateway",
        limits,
        direct=handlers.direct(),
        streams={("POST", "/stream"): handlers.stream},
        start=exchanges.append,
        clock=lambda: NOW_MS,
        new_trace_id=lambda: TRACE_ID,
        observe=handlers.observe,
        room=room,
    )
    return Bench(handlers, port, Http1(site, port), exchanges, site)


def post(path: str, body: bytes = b"", *lines: bytes, version: bytes = b"1.1") -> bytes:
    """A request whose length is right."""
    head = b"POST %b HTTP/%b\r\nHost: a\r\nContent-Length: %d\r\n" % (
        path.encode(),
        version,
        len(body),
    )
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def chunked(path: str, *pieces: bytes) -> bytes:
    """A request in chunks."""
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % path.encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
