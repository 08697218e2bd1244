"""Sockets as the tests of the contract open them, with a client library that is not ours."""

from __future__ import annotations

import itertools
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import pytest
import trio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from contextlib import AbstractAsyncContextManager
    from socket import socket

    from websockets.sync.client import ClientConnection
    from websockets.typing import Origin

    from jackpotd.testing.server_process import ServerProcess
    from tests.contract.conftest import Caller, Json, Platform

RECEIVE_S: Final = 10.0
CLOSE_S: Final = 2.0
ABNORMAL: Final = 1006  # the code of a connection that ended without a close frame
THRILLPOTS: Final = {"source": "thrillpots", "event_type": "*"}

_numbers: Final = itertools.count(20_000)


@dataclass(frozen=True)
class Someone:
    """A player of the demo's wallet whom no other test knows."""

    token: str
    id: str


def someone() -> Someone:
    number = f"{next(_numbers):05}"
    return Someone(f"token_{number}", f"player_{number}")


def decoded(text: str | bytes) -> Json:
    loaded: Json = json.loads(text, parse_float=Decimal)
    assert isinstance(loaded, dict), text
    return loaded


class Socket:
    """An open socket; `seen` holds every message that was received, in order."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection: Final = connection
        self.seen: Final[list[Json]] = []

    async def send(self, message: object) -> None:
        """Send text and bytes as they are, all else as JSON."""
        raw = message if isinstance(message, str | bytes) else json.dumps(message)
        await trio.to_thread.run_sync(self._connection.send, raw)

    async def receive(self, *, timeout_s: float = RECEIVE_S) -> Json:
        text = await trio.to_thread.run_sync(self._connection.recv, timeout_s)
        assert isinstance(text, str), "a binary message"
        message = decoded(text)
        self.seen.append(message)
        return message

    async def until(self, wanted: Callable[[Json], bool], *, timeout_s: float = RECEIVE_S) -> Json:
        """The first message from now on that is wanted."""
        last = len(self.seen)
        with trio.move_on_after(timeout_s) as scope:
            while not scope.cancel_called:
                message = await self.receive(timeout_s=timeout_s)
                if wanted(message):
                    return message
        kinds = sorted({name_of(message) for message in self.seen[last:]})
        return pytest.fail(f"nothing of it in {timeout_s} s, but {kinds}")

    async def closed(self, *, timeout_s: float = RECEIVE_S) -> int:
        """Read on until the other end closes; the code of it."""
        with trio.fail_after(timeout_s + RECEIVE_S):
            while True:
                try:
                    await self.receive(timeout_s=timeout_s)
                except ConnectionClosed as closed:
                    return closed.rcvd.code if closed.rcvd is not None else ABNORMAL

    def of(self, name: str, **fields: object) -> list[Json]:
        """The messages of a name that were received, whose data have these fields."""
        return [message for message in self.seen if is_a(name, **fields)(message)]


def name_of(message: Json) -> str:
    return str(message.get("event_type") or message.get("msg_name") or sorted(message))


def is_a(name: str, **fields: object) -> Callable[[Json], bool]:
    """Whether a message is an event or an answer of this name, with these fields in its data."""

    def wanted(message: Json) -> bool:
        if name_of(message) != name:
            return False
        data: Any = message["data"]
        return all(data.get(field) == value for field, value in fields.items())

    return wanted


@asynccontextmanager
async def connected(
    url: str, *, origin: str | None = None, sock: socket | None = None
) -> AsyncIterator[Socket]:
    """An open socket; what has come and is not read waits in it without bound, but for one with a `sock` of its own."""
    origin_header: Any = origin
    opened = partial(
        _open, url, origin=origin_header, sock=sock, max_queue=None if sock is None else 16
    )
    connection = await trio.to_thread.run_sync(opened)
    try:
        yield Socket(connection)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(connection.close)


def _open(
    url: str, *, origin: Origin | None, sock: socket | None, max_queue: int | None
) -> ClientConnection:
    return connect(
        url,
        origin=origin,
        sock=sock,
        max_queue=max_queue,
        max_size=None,
        proxy=None,
        close_timeout=CLOSE_S,
        legacy=True,
    )


async def refused(url: str, *, origin: str | None = None) -> int:
    """The HTTP status that an upgrade is refused with."""
    try:
        async with connected(url, origin=origin):
            return pytest.fail("the upgrade was not refused")
    except InvalidStatus as error:
        return error.response.status_code


class Live:
    """A server with its events: the calls of `platform`, Connect's, and sockets of both kinds."""

    def __init__(self, server: ServerProcess, platform: Platform, connect: Caller) -> None:
        self.server: Final = server
        self.platform: Final = platform
        self.connect: Final = connect  # without an account

    def gateway_socket(self) -> AbstractAsyncContextManager[Socket]:
        """The gateway's `/events`, not authenticated."""
        return connected(socket_url(self.server.gateway_url, "/events"))

    @asynccontextmanager
    async def events(
        self, token: str | None = None, *, last_event_id: str | None = None
    ) -> AsyncIterator[Socket]:
        """The gateway's `/events` of an account, by default that of `platform`; it has begun."""
        authenticate: Json = {"auth_token": token or self.platform.tokens.service}
        if last_event_id is not None:
            authenticate["last_event_id"] = last_event_id
        async with self.gateway_socket() as socket:
            await socket.send({"action": {"Authenticate": authenticate}})
            if last_event_id is None:
                await socket.until(is_a("JackpotUpdateEvent"))
            yield socket

    def player_url(
        self,
        token: str,
        *,
        operator: str = "thrilltech",
        brand: str = "brand1",
        path: str = "/v1/events",
        currency: str = "EUR",
    ) -> str:
        query = urlencode({"token": token, "currency": currency})
        return socket_url(self.server.connect_url, f"{path}/{operator}/{brand}?{query}")

    def service_url(self, token: str | None = None, *, path: str = "/v1/events/service") -> str:
        query = urlencode({"token": token or self.platform.tokens.service})
        return socket_url(self.server.connect_url, f"{path}?{query}")

    @asynccontextmanager
    async def player(
        self,
        token: str,
        *,
        brand: str = "brand1",
        events: Iterable[Json] = (),
        last_event_id: str | None = None,
    ) -> AsyncIterator[Socket]:
        """A player's socket of the demo's operator; the subscription stands, where there is one."""
        async with connected(self.player_url(token, brand=brand)) as socket:
            if events:
                await socket.send(subscription(*events, last_event_id=last_event_id))
                await socket.send(tickets_request(token.replace("token", "player"), brand))
                await socket.until(is_a("PlayerRaffleTicketListResponse"))
            yield socket

    @asynccontextmanager
    async def service(self, token: str | None = None) -> AsyncIterator[Socket]:
        """A service's socket, subscribed to everything; it has begun."""
        async with connected(self.service_url(token)) as socket:
            await socket.send(subscription(THRILLPOTS))
            await socket.until(is_a("JackpotUpdate"))
            yield socket


def socket_url(url: str, path: str) -> str:
    return url.replace("http", "ws", 1) + path


def subscription(*events: Json, last_event_id: str | None = None) -> Json:
    request: Json = {"events": list(events)}
    if last_event_id is not None:
        request["last_event_id"] = last_event_id
    return {"SubscribeRequest": request}


def tickets_request(player_id: str, brand: str = "brand1", **more: str) -> Json:
    """A request that is answered by a message, and so shows that all before it was read."""
    body = {"player_id": player_id, "brand_id": f"thrilltech:{brand}", **more}
    return {"PlayerRaffleTicketsRequest": body}
