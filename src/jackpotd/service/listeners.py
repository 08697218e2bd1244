"""Listeners: bound before anything is served, so a port that is taken stops the start, then given to Hypercorn."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)
from msgspec import Struct
from quart_trio import QuartTrio

from jackpotd.service.settings import Bind

_BACKLOG = 1024
_KEEP_ALIVE_S = 75.0
_DISCONNECT_DELAY_S = 1.0
_LINGER_S = 0.1
_KEEP_ALIVE_REQUESTS_MAX = 1_000_000
_HEADERS_BYTES_MAX = 64 * 1024


class ListenerError(Exception):
    """An address that cannot be bound; the message names the listener."""


class Listener(Struct, frozen=True):
    """One bound address."""

    name: str
    socket: socket.socket

    @property
    def url(self) -> str:
        host, port = self.socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def bind(name: str, address: Bind) -> Listener:
    """Binds a listener's address.

    Raises:
        ListenerError: the address is taken, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((address.host, address.port))
    except OSError as error:
        bound.close()
        variable = f"JACKPOTD_{name.upper()}_BIND"
        raise ListenerError(
            f"[{name}] bind = {address}: {error.strerror}; choose another with {variable}"
        ) from None
    bound.listen(_BACKLOG)
    return Listener(name, bound)


class RunningRequests:
    """Counts the requests that an application is serving."""

    def __init__(self) -> None:
        self.count = 0
        self._none = trio.Event()

    @contextmanager
    def one_more(self) -> Iterator[None]:
        if not self.count:
            self._none = trio.Event()
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
            if not self.count:
                self._none.set()

    async def none(self) -> None:
        """Waits until nothing is being served."""
        if self.count:
            await self._none.wait()


def _finishing(app: ASGIFramework, running: RunningRequests, stopping: trio.Event) -> ASGIFramework:
    """The same application, which takes nothing in once it stops, and hears late of a disconnect.

    Hypercorn closes idle connections at a stop, also where a request has just come in. Such a request is not served,
    because its answer would be lost, and gets no answer, because that would be cut off.

    Hypercorn announces a disconnect while it still handles that last message. Quart-Trio would cancel the sender, and
    the connection would never be watched for idleness again: no keep-alive limit, no close at a stop. A client that
    does not read still loses its request after the delay.
    """

    async def finishing(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        is_finishing = False

        async def send_noting_the_last(message: ASGISendEvent) -> None:
            nonlocal is_finishing
            is_finishing = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        async def receive_late() -> ASGIReceiveEvent:
            message = await receive()
            if is_finishing and message["type"] == "http.disconnect":
                await trio.sleep(_DISCONNECT_DELAY_S)
            return message

        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        if stopping.is_set():
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        with running.one_more():
            await app(scope, receive_late, send_noting_the_last)

    return finishing


async def serve_app(
    app: QuartTrio,
    listener: Listener,
    *,
    stopping: trio.Event,
    graceful_timeout_s: float,
    body_bytes_max: int,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves an application until it is stopping, then lets running requests finish and takes no more."""
    config = Config()
    config.bind = [f"fd://{listener.socket.fileno()}"]
    config.include_date_header = False  # the applications set the date: a repeat has its original's
    config.include_server_header = False
    config.graceful_timeout = graceful_timeout_s
    config.keep_alive_timeout = _KEEP_ALIVE_S
    config.h11_max_incomplete_size = _HEADERS_BYTES_MAX
    config.h2_max_inbound_frame_size = (
        min(body_bytes_max, 2**24 - 1) if body_bytes_max > 2**14 else 2**14
    )
    config.accesslog = None
    config.errorlog = None
    # Quart has its own, equal, types for ASGI scopes and events.
    config.keep_alive_max_requests = _KEEP_ALIVE_REQUESTS_MAX
    running = RunningRequests()
    framework = _finishing(cast("ASGIFramework", app), running, stopping)
    async with trio.open_nursery() as nursery:

        async def stop_when_idle() -> None:
            # Hypercorn keeps a connection for the whole deadline where a request had come in behind the last answer.
            await stopping.wait()
            await running.none()
            await trio.sleep(_LINGER_S)
            nursery.cancel_scope.cancel()

        nursery.start_soon(stop_when_idle)
        await serve(framework, config, shutdown_trigger=stopping.wait, task_status=task_status)
        nursery.cancel_scope.cancel()
