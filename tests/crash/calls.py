"""Calls over HTTP, and the three ways in which they end: answered, cut off, never answered."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_S: Final = 20.0
CONNECTIONS_MAX: Final = 64
_BROKEN: Final = (httpx.NetworkError, httpx.ProtocolError)  # a timeout is a failure of its own
_PLAIN_HTTP: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # spares each client the CA bundle


class UnansweredError(Exception):
    """The connection broke before the head of an answer was there."""


class CutOffError(Exception):
    """The connection broke within an answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"an answer with status {status} was cut off")
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; `body` is the JSON with exact decimals, or None."""

    status: int
    trace_id: str
    date: str
    is_replay: bool
    text: str
    body: Any

    @property
    def results(self) -> list[dict[str, Any]]:
        """What each instance made of a contribution: v1 answers one object, v2 an array."""
        if self.status != 200:
            return []
        return list(self.body) if isinstance(self.body, list) else [self.body]

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


def open_client() -> httpx.AsyncClient:
    """One pool of connections; every request under way has one to itself."""
    limits = httpx.Limits(
        max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX
    )
    return httpx.AsyncClient(verify=_PLAIN_HTTP, timeout=TIMEOUT_S, limits=limits, trust_env=False)


class Caller:
    """One account on one listener."""

    def __init__(self, client: httpx.AsyncClient, url: str, token: str | None) -> None:
        self._client = client
        self._url = url
        self._head = {} if token is None else {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """The body of an answer that has to be a success."""
        request = self._client.build_request(
            "GET", self._url + path, params=params, headers=self._head
        )
        return (await self._send(request)).successful()

    async def post(
        self, path: str, body: object, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Any answer.

        Raises:
            UnansweredError: the server took the request or not, nobody knows.
            CutOffError: it began to answer.
        """
        head = {"Content-Type": "application/json", **self._head, **(headers or {})}
        request = self._client.build_request(
            "POST", self._url + path, content=json.dumps(body), headers=head
        )
        return await self._send(request)

    async def _send(self, request: httpx.Request) -> Answer:
        try:
            response = await self._client.send(request, stream=True)
        except _BROKEN as error:
            raise UnansweredError(str(error)) from error
        try:
            await response.aread()
        except _BROKEN as error:
            raise CutOffError(response.status_code) from error
        finally:
            await response.aclose()
        return _answer(response)


def _answer(response: httpx.Response) -> Answer:
    return Answer(
        status=response.status_code,
        trace_id=response.headers.get("X-Trace-Id", ""),
        date=response.headers.get("Date", ""),
        is_replay=response.headers.get("Idempotency-Replayed") == "true",
        text=response.text,
        body=json.loads(response.text, parse_float=Decimal) if response.content else None,
    )
