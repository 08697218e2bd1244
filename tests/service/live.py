"""A live server as a reader of its events sees it, and a steady load on it."""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx
import trio
import trio_websocket

from jackpotd.service.demo_data import DAILY_DROP
from jackpotd.testing.server_process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REQUEST_TIMEOUT_S: Final = 20.0
RECONNECT_S: Final = 0.05
BET: Final = {
    "token": "token_00001",
    "brand_id": "thrilltech:brand1",
    "player_id": "player_00001",
    "player_country": "MT",
    "instance_id": DAILY_DROP,
    "base_wager": 1,
    "currency": "EUR",
}
_FEED_PID: Final = re.compile(r'"pid": (\d+), "event": "feed serves"')


async def token_of(server: ServerProcess) -> str:
    body = {"username": "event-processor", "password": "event-processor-demo"}
    async with httpx.AsyncClient(timeout=REQUEST_TIMEOUT_S) as client:
        answer = await client.post(f"{server.gateway_url}/authenticate/service", json=body)
    text: str = answer.raise_for_status().json()["token"]
    return text


async def feed_pids(server: ServerProcess) -> list[int]:
    """The process of each life of the feed that has served; the server says so in its log."""
    return [int(found) for found in _FEED_PID.findall(await server.stderr_tail())]


async def next_feed(server: ServerProcess, lives: int) -> int:
    """Returns when the feed has begun to serve so many times: the process of its last life."""
    while len(found := await feed_pids(server)) < lives:  # noqa: ASYNC110
        await trio.sleep(RECONNECT_S)  # the log is a file: nothing tells of a new line
    return found[-1]


class Load:
    """Contributions to the daily drop, one after another, each with a number that its win events carry."""

    def __init__(self, server: ServerProcess, token: str) -> None:
        self._server = server
        self._headers = {"Authorization": f"Bearer {token}"}
        self.statuses: list[int] = []
        self.won: set[int] = set()
        self._changed = trio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(timeout=REQUEST_TIMEOUT_S) as client:
            while True:
                number = len(self.statuses)
                body = BET | {"event_metadata": {"number": number}}
                url = f"{self._server.gateway_url}/jackpots/contribute"
                # A request that has been sent is answered, so that what it won is known.
                with trio.CancelScope(shield=True):
                    answer = await client.post(url, json=body, headers=self._headers)
                self.statuses.append(answer.status_code)
                if answer.is_success and answer.json()["win_amount"]:
                    self.won.add(number)
                self._changed.set()
                self._changed = trio.Event()
                await trio.lowlevel.checkpoint()

    async def wins(self, count: int) -> None:
        """Returns when so many more were won."""
        wanted = len(self.won) + count
        while len(self.won) < wanted:
            await self._changed.wait()


class Reader:
    """Reads the gateway's stream, and comes back with the id of the last event that it has seen."""

    def __init__(self, server: ServerProcess, token: str) -> None:
        self._server = server
        self._token = token
        self.wins: list[int] = []
        self.gaps = 0
        self.lives = 0
        self.close_codes: list[int | None] = []
        self.last_event_id: str | None = None
        self.is_reading = trio.Event()
        self._changed = trio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._read()
            except* trio_websocket.ConnectionClosed as closed:
                self.close_codes += [code_of(error) for error in closed.exceptions]
            except* (trio_websocket.HandshakeError, OSError):
                pass
            await trio.sleep(RECONNECT_S)  # as any client would

    async def _read(self) -> None:
        async with socket_to(self._server.gateway_url, "/events") as connection:
            asked: dict[str, Any] = {"auth_token": self._token}
            if self.last_event_id is not None:
                asked["last_event_id"] = self.last_event_id
            await connection.send_message(json.dumps({"action": {"Authenticate": asked}}))
            self.lives += 1
            while True:
                self._take(json.loads(await connection.get_message()))

    def _take(self, event: dict[str, Any]) -> None:
        self.is_reading.set()
        self.last_event_id = event["event_id"]
        if event["event_type"] == "JackpotWinEvent":
            self.wins.append(event["data"]["metadata"]["number"])
        self.gaps += event["event_type"] == "ResumeGap"
        self._changed.set()
        self._changed = trio.Event()

    async def sees(self, wins: set[int]) -> None:
        """Returns when these have come."""
        while not wins <= set(self.wins):
            await self._changed.wait()


def code_of(error: BaseException) -> int | None:
    """The code that a connection was closed with; None where it broke."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, trio_websocket.ConnectionClosed)
    return None if error.reason is None else error.reason.code


@asynccontextmanager
async def socket_to(url: str, target: str) -> AsyncIterator[trio_websocket.WebSocketConnection]:
    """A WebSocket, whose connection is closed in any case: the client library leaves one open that was refused."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    async with (
        await trio.open_tcp_stream(host, int(port)) as stream,
        trio.open_nursery() as nursery,
    ):
        connection = await trio_websocket.wrap_client_stream(nursery, stream, host, target)
        yield connection
        nursery.cancel_scope.cancel()


def live_environment(workers: int, **changes: str) -> dict[str, str]:
    return {"JACKPOTD_SERVICE_WORKERS": str(workers), **changes}


HANDSHAKE: Final = (
    b"GET /events HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def text_frame(text: str) -> bytes:
    """A message as a client sends it, masked with zeros."""
    data = text.encode()
    return b"\x81\xfe" + len(data).to_bytes(2, "big") + bytes(4) + data
