"""Receivers of webhooks: real HTTP servers, each in a thread, that answer as a test tells them to."""

from __future__ import annotations

import base64
import json
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.contract.conftest import Json

DELIVERY_S: Final = 10.0
SECRET: Final = "whsec_" + base64.b64encode(bytes(range(32))).decode()  # of the demo's operator
ELSEWHERE: Final = "https://hooks.example/in/"  # listed, too; nobody is there


@dataclass(frozen=True)
class Reply:
    """How one attempt is answered; `hold` is waited for first, status 0 hangs up instead."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None


@dataclass(frozen=True)
class Delivered:
    """One attempt as it came; `at` is monotonic, in seconds."""

    headers: dict[str, str]
    raw: bytes
    at: float

    @property
    def body(self) -> Json:
        loaded: Json = json.loads(self.raw, parse_float=Decimal)
        return loaded

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class Hook:
    """One URL of a receiver and what came to it; the last of its replies stands for all further attempts."""

    def __init__(self, url: str, replies: tuple[Reply, ...], changed: threading.Condition) -> None:
        self.url: Final = url
        self._replies = replies or (Reply(),)
        self._changed: Final = changed
        self._received: Final[list[Delivered]] = []

    @property
    def received(self) -> list[Delivered]:
        with self._changed:
            return list(self._received)

    @property
    def bodies(self) -> list[Json]:
        return [delivered.body for delivered in self.received]

    def callback(self, **more: bool) -> Json:
        return {"web_hook": self.url, **more}

    def came(self, delivered: Delivered) -> Reply:
        """Note an attempt; how to answer it."""
        with self._changed:
            self._received.append(delivered)
            self._changed.notify_all()
            return self._replies[min(len(self._received), len(self._replies)) - 1]

    def recover(self) -> None:
        """From now on every attempt is answered with 200."""
        with self._changed:
            self._replies = (Reply(),)

    async def wait(self, count: int = 1, *, timeout_s: float = DELIVERY_S) -> list[Delivered]:
        """All attempts, as soon as there are so many."""
        return await self.until(lambda received: len(received) >= count, timeout_s=timeout_s)

    async def until(
        self, wanted: Callable[[list[Delivered]], bool], *, timeout_s: float = DELIVERY_S
    ) -> list[Delivered]:
        """All attempts, as soon as they are as wanted."""

        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(lambda: wanted(self._received), timeout_s)

        if not await trio.to_thread.run_sync(wait):
            pytest.fail(f"after {timeout_s} s there are {self.bodies}")
        return self.received


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that is killed hangs up; anything else is a defect of these tests."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Receiver:
    """An HTTP server; a hook of a name of its own for each `hook()`."""

    def __init__(self, port: int = 0) -> None:
        self._changed = threading.Condition()
        self._hooks: dict[str, Hook] = {}
        self._server = _Server(("127.0.0.1", port), _handler(self._reply))
        self._thread = threading.Thread(target=self._server.serve_forever, name="receiver")
        self._thread.start()
        self.port: Final = int(self._server.server_address[1])

    @property
    def prefix(self) -> str:
        """What is listed, as a URL prefix."""
        return f"http://127.0.0.1:{self.port}/hooks/"

    def hook(self, *replies: Reply, path: str = "", host: str = "127.0.0.1") -> Hook:
        path = path or f"/hooks/{uuid.uuid4().hex}"
        hook = Hook(f"http://{host}:{self.port}{path}", replies, self._changed)
        with self._changed:
            self._hooks[path] = hook
        return hook

    def _reply(self, path: str, delivered: Delivered) -> Reply:
        with self._changed:
            hook = self._hooks.get(path)
        return Reply(404) if hook is None else hook.came(delivered)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(reply_to: Callable[[str, Delivered], Reply]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            raw = self.rfile.read(length)
            if len(raw) < length:  # its sender was killed
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = reply_to(self.path, Delivered(headers, raw, time.monotonic()))
            if reply.hold is not None:
                reply.hold.wait()
            if reply.status == 0:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """A test says what it misses."""

    return Handler


@dataclass(frozen=True)
class Receivers:
    """Two servers that are listed for everybody, so that one may hang, and one that is not."""

    main: Receiver
    other: Receiver
    unlisted: Receiver


@contextmanager
def open_receivers() -> Iterator[Receivers]:
    opened = Receivers(Receiver(), Receiver(), Receiver())
    try:
        yield opened
    finally:
        for receiver in (opened.main, opened.other, opened.unlisted):
            receiver.close()
