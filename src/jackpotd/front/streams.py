"""A request whose handler reads its body and writes its answer as they come about."""

from time import perf_counter
from urllib.parse import parse_qsl

import trio

from jackpotd.edge.exchange import DEFECT, Incoming, Streamed, StreamHandler, http_date
from jackpotd.front.exchanges import ClientGone, Exchange
from jackpotd.front.site import Site, log
from jackpotd.wire.errors import RequestRefused


async def answer_streaming(handler: StreamHandler, exchange: Exchange, site: Site) -> None:
    """Runs the handler until its answer has ended, or its client is gone."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_when_gone, exchange, nursery.cancel_scope)
        try:
            await _answer_or_refuse(handler, exchange, site)
        finally:
            exchange.cut_off()
        nursery.cancel_scope.cancel()


async def _answer_or_refuse(handler: StreamHandler, exchange: Exchange, site: Site) -> None:
    line = exchange.head.line
    refused: RequestRefused | None = None
    try:
        await _answer(handler, exchange, site)
    except* ClientGone:
        pass
    except* RequestRefused as group:
        refused = _first(group)
    except* Exception:  # noqa: BLE001 - a request fails alone
        log.exception("request failed", listener=site.name, route=line.route)
        refused = DEFECT
    # Where the answer has begun, the client sees that it does not end; and it may have gone since it was refused.
    if refused is not None and not exchange.has_begun and not exchange.gone.is_set():
        accept = exchange.head.headers.get("accept", "")
        await exchange.answer(site.refusal(refused, accept, line.route))


def _first(group: ExceptionGroup[RequestRefused]) -> RequestRefused:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, RequestRefused):
        raise TypeError("the group holds refusals only")
    return error


async def _cancel_when_gone(exchange: Exchange, scope: trio.CancelScope) -> None:
    await exchange.gone.wait()
    scope.cancel()


async def _answer(handler: StreamHandler, exchange: Exchange, site: Site) -> None:
    line, headers = exchange.head.line, exchange.head.headers
    started = perf_counter()
    incoming = Incoming(
        headers=headers,
        query=dict(parse_qsl(line.query.decode("latin-1"))),
        trace_id=site.new_trace_id(),
        received_ms=site.clock(),
    )
    streamed = await handler(incoming, exchange.body())
    await _send(streamed, incoming, exchange)
    site.observe(site.name, line.route, streamed.status, "", perf_counter() - started)


async def _send(streamed: Streamed, incoming: Incoming, exchange: Exchange) -> None:
    common = {"X-Trace-Id": incoming.trace_id, "Date": http_date(incoming.received_ms)}
    headers = list({**common, **dict(streamed.headers)}.items())
    async with streamed.chunks as chunks:
        async for chunk in chunks:
            if exchange.has_begun:
                await exchange.send(chunk)
            elif chunk:
                await exchange.begin(streamed.status, headers, chunk)
    if not exchange.has_begun:
        await exchange.begin(streamed.status, headers, b"")
    exchange.end()
