"""A request answered by an ASGI application in this process."""

from typing import Any, cast
from urllib.parse import unquote

import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveEvent, ASGISendEvent, HTTPScope

from jackpotd.edge.exchange import DEFECT
from jackpotd.front.exchanges import ClientGone, Exchange
from jackpotd.front.site import Site, log
from jackpotd.wire.errors import RequestRefused

_EXPECTATION_DELAY_S = 0.02
_DISCONNECT: ASGIReceiveEvent = {"type": "http.disconnect"}


class AsgiCall:
    """One call of the application: its two callables, and what they remember of each other."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._is_body_taken = False
        self._has_waited = False
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self.refused: RequestRefused | None = None

    async def receive(self) -> ASGIReceiveEvent:
        if self._is_body_taken:
            await self._exchange.gone.wait()
            return _DISCONNECT
        if self._exchange.head.expects_continue and not self._has_waited:
            # Quart asks for a body that its handler may refuse unseen; the first to answer is heard.
            self._has_waited = True
            await trio.sleep(_EXPECTATION_DELAY_S)
        try:
            piece = await self._exchange.receive()
        except ClientGone:
            return _DISCONNECT
        except RequestRefused as refused:
            self.refused = refused
            return _DISCONNECT
        self._is_body_taken = not piece or self._exchange.is_body_taken
        return {"type": "http.request", "body": piece, "more_body": not self._is_body_taken}

    async def send(self, message: ASGISendEvent) -> None:
        exchange = self._exchange
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [
                (bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
                for name, value in message["headers"]
            ]
        elif message["type"] == "http.response.body":
            body, is_last = bytes(message.get("body", b"")), not message.get("more_body", False)
            if self._status and not exchange.has_begun:
                if is_last and not any(
                    name.lower() == "content-length" for name, _ in self._headers
                ):
                    await exchange.answer_raw(self._status, self._headers, body)
                    return
                await exchange.begin(self._status, self._headers, body)
            else:
                await exchange.send(body)
            if is_last:
                exchange.end()


async def answer_with(app: ASGIFramework, exchange: Exchange, site: Site) -> None:
    """Has the application answer; whatever it does, the exchange is over then."""
    call = AsgiCall(exchange)
    try:
        try:
            await app(_scope(exchange), call.receive, call.send)
        except* ClientGone:
            pass
        except* Exception:  # noqa: BLE001 - a request fails alone
            log.exception("request failed", listener=site.name, path=exchange.head.line.path)
        # What the application did not answer; the client may have gone since, and is told nothing then.
        if not exchange.is_over and not exchange.has_begun and not exchange.gone.is_set():
            accept = exchange.head.headers.get("accept", "")
            await exchange.answer(site.refusal(call.refused or DEFECT, accept))
    finally:
        exchange.cut_off()


def _scope(exchange: Exchange) -> HTTPScope:
    head, ends = exchange.head, exchange.ends
    line = head.line
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1" if line.is_1_1 else "1.0",
        "method": line.method,
        "scheme": "https" if ends.is_tls else "http",
        "path": unquote(line.path.decode("ascii")),
        "raw_path": line.path,
        "query_string": line.query,
        "root_path": "",
        "headers": [
            (name.encode("ascii"), value.encode("latin-1")) for name, value in head.headers.items()
        ],
        "client": ends.client(),
        "server": ends.server(),
        "state": {},
        "extensions": {},
    }
    return cast("HTTPScope", scope)
