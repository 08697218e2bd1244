"""Calls over HTTP/1.1, and the three ways in which they end: answered, cut off, never answered.

A client of our own on h11, because a crash test has to know how far an answer came, and must never
send anything twice by itself. One connection for each caller, one request at a time.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import h11
import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

TIMEOUT_S: Final = 20.0


class UnansweredError(Exception):
    """The connection broke, or could not be made, before anything of an answer was there."""


class CutOffError(Exception):
    """The connection broke within an answer; `status` is 0 where not even its head was whole."""

    def __init__(self, status: int) -> None:
        super().__init__(f"an answer with status {status} was cut off")
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; `body` is the JSON with exact decimals, or None."""

    status: int
    headers: Mapping[str, str]
    text: str
    body: Any

    @property
    def trace_id(self) -> str:
        return self.headers["x-trace-id"]

    @property
    def date(self) -> str:
        return self.headers["date"]

    @property
    def is_replay(self) -> bool:
        return self.headers.get("idempotency-replayed") == "true"

    @property
    def results(self) -> list[dict[str, Any]]:
        """What each instance made of a contribution: v1 answers one object, v2 an array."""
        if self.status != 200:
            return []
        return list(self.body) if isinstance(self.body, list) else [self.body]

    @property
    def has_pending_links(self) -> bool:
        """Whether a link's worker was not there in time: its part comes later."""
        return any(result.get("code") == "LINK_PENDING" for result in self.results)

    @property
    def refusal(self) -> tuple[str, str] | None:
        """(code, message) of a contribution that was refused as a whole."""
        if self.status < 400:
            return None
        assert self.body["status_code"] == self.status, self.text
        return self.body["code"], self.body["message"]

    def successful(self) -> Any:
        assert self.status in {200, 201}, f"{self.status} {self.text}"
        return self.body


class Caller:
    """One account on one listener, over a connection that is made when it is needed."""

    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url)
        self._address: Final = (parts.hostname or "", parts.port or 0)
        self._headers: Final = [("Host", parts.netloc)]
        if token is not None:
            self._headers.append(("Authorization", f"Bearer {token}"))
        self._stream: trio.SocketStream | None = None
        self._state = h11.Connection(h11.CLIENT)

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """The body of an answer that has to be a success."""
        target = f"{path}?{urlencode(params)}" if params else path
        return (await self._call("GET", target, [], b"")).successful()

    async def post(
        self, path: str, body: object, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Any answer.

        Raises:
            UnansweredError: the server took the request or not, nobody knows.
            CutOffError: it began to answer.
        """
        return await self._sent("POST", path, body, headers or {})

    async def _sent(
        self, method: str, path: str, body: object, headers: Mapping[str, str]
    ) -> Answer:
        more = [("Content-Type", "application/json"), *headers.items()]
        return await self._call(method, path, more, json.dumps(body).encode())

    async def put(self, path: str, body: object) -> Answer:
        """Any answer; raises as `post` does."""
        return await self._sent("PUT", path, body, {})

    async def aclose(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.aclose()

    async def _call(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes
    ) -> Answer:
        with trio.fail_after(TIMEOUT_S):
            stream = await self._connected()
            length = ("Content-Length", str(len(body)))
            head = h11.Request(
                method=method, target=target, headers=[*self._headers, length, *headers]
            )
            state = self._state
            parts = (state.send(head), state.send(h11.Data(body)), state.send(h11.EndOfMessage()))
            answer = None
            try:
                answer = await self._exchange(stream, b"".join(part or b"" for part in parts))
            finally:
                if answer is None or state.their_state is not h11.DONE:
                    await self.aclose()
            if self._stream is not None:
                state.start_next_cycle()
            return answer

    async def _connected(self) -> trio.SocketStream:
        if self._stream is None:
            try:
                self._stream = await trio.open_tcp_stream(*self._address)
            except OSError as error:
                raise UnansweredError(str(error)) from error
            self._state = h11.Connection(h11.CLIENT)
        return self._stream

    async def _exchange(self, stream: trio.SocketStream, request: bytes) -> Answer:
        status, has_begun = 0, False
        headers: dict[str, str] = {}
        body = bytearray()
        try:
            await stream.send_all(request)
            while True:
                event = self._state.next_event()
                if event is h11.NEED_DATA:
                    data = await stream.receive_some()
                    has_begun |= bool(data)
                    self._state.receive_data(data)
                elif isinstance(event, h11.Response):
                    status = event.status_code
                    headers = {name.decode(): value.decode() for name, value in event.headers}
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    return _answer(status, headers, bytes(body))
        except (trio.BrokenResourceError, h11.RemoteProtocolError) as error:
            raise (CutOffError(status) if has_begun else UnansweredError(str(error))) from error


@asynccontextmanager
async def open_caller(url: str, token: str | None) -> AsyncIterator[Caller]:
    """A caller whose connection is closed in the end."""
    caller = Caller(url, token)
    try:
        yield caller
    finally:
        with trio.CancelScope(shield=True):
            await caller.aclose()


def _answer(status: int, headers: dict[str, str], content: bytes) -> Answer:
    text = content.decode()
    body = json.loads(text, parse_float=Decimal) if text else None
    return Answer(status, headers, text, body)
