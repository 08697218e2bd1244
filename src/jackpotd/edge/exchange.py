"""A request and its answer, apart from any web framework.

A handler takes an `Incoming` and returns an `Outgoing`; Quart routes are thin shells around it. The same handlers will
serve a connection that no framework sees.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from email.utils import formatdate
from functools import lru_cache
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.messages import Reply
from jackpotd.wire import codec
from jackpotd.wire.errors import (
    OVERLOADED_RETRY_AFTER_S,
    RequestRefused,
    encode_error,
    error_body,
)

T = TypeVar("T")

JSON = "application/json"
_INTEGER = re.compile(r"-?[0-9]{1,9}")


class Incoming(Struct, frozen=True, gc=False):
    """A request: lower-case header names, the whole body, path and query parameters."""

    headers: Mapping[str, str]
    body: bytes = b""
    path: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    trace_id: str = ""
    received_ms: int = 0


class Outgoing(Struct, frozen=True, gc=False):
    """An answer; headers that every answer has are added by the listener."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    code: str = ""


class Streamed(Struct, frozen=True):
    """An answer that is written as it comes about; it has no known length.

    `chunks` is entered once (`async with … as chunks: async for …`); leaving it ends the work behind it.
    """

    status: int
    chunks: AbstractAsyncContextManager[AsyncIterator[bytes]]
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[Incoming], Awaitable[Outgoing]]

Answer = Callable[[Outgoing], None]

DirectHandler = Callable[[Incoming, Answer], None]
"""Returns without waiting, and answers exactly once: before it returns, or later from the event loop.

The answer is complete but for what belongs to a connection (Content-Length, Connection); a refusal is an answer too.
"""

StreamHandler = Callable[[Incoming, AsyncIterator[bytes]], Awaitable[Streamed]]
"""Takes a body as it arrives (that of the `Incoming` is empty), and answers as it goes along.

A request that is refused as a whole raises RequestRefused before anything is written.
"""


def http_date(unix_ms: int) -> str:
    return _date_of_second(unix_ms // 1000)


@lru_cache(maxsize=16)
def _date_of_second(unix_s: int) -> str:
    return formatdate(unix_s, usegmt=True)


def answer(message: Any, status: int = 200) -> Outgoing:
    return Outgoing(status, codec.encode(message))


def refuse(refused: RequestRefused, accept: str) -> Outgoing:
    """An error as the client wants to read it."""
    content_type, body = encode_error(refused.body, accept)
    headers: tuple[tuple[str, str], ...] = ()
    if refused.body.status_code == 503:
        headers = (("Retry-After", str(OVERLOADED_RETRY_AFTER_S)),)
    if refused.body.status_code == 401:
        headers = (("WWW-Authenticate", "Bearer"),)
    return Outgoing(refused.body.status_code, body, content_type, headers, refused.body.code)


def refused_by(rejection: Rejection) -> RequestRefused:
    """A rule's refusal as an edge raises it."""
    body = error_body(rejection)
    return RequestRefused(body.code, body.message, status=body.status_code)


async def serve(handler: Handler, request: Incoming) -> Outgoing:
    """Runs a handler; the answer is complete, also where the handler refused."""
    try:
        outgoing = await handler(request)
    except RequestRefused as refused:
        return refusal(refused, request)
    return completed(outgoing, request)


def awaited(direct: DirectHandler) -> Handler:
    """The same handler for a task that waits for its answer."""

    async def handler(request: Incoming) -> Outgoing:
        reply: Reply[Outgoing] = Reply()
        direct(request, reply.resolve)
        return await reply.wait()

    handler.__doc__ = direct.__doc__
    return handler


def refusal(refused: RequestRefused, request: Incoming) -> Outgoing:
    """A complete answer that refuses."""
    return completed(refuse(refused, request.headers.get("accept", "")), request)


DEFECT = RequestRefused("SYSTEM_ERROR", "the request failed; it is safe to repeat with its key")
"""What a client is told where we failed; the log has the rest."""


def completed(outgoing: Outgoing, request: Incoming) -> Outgoing:
    """An answer with the headers that every one has: trace id, date and content type; a handler's own come first."""
    common = {"X-Trace-Id": request.trace_id, "Date": http_date(request.received_ms)}
    if outgoing.body:
        common["Content-Type"] = outgoing.content_type
    return replace(outgoing, headers=tuple({**common, **dict(outgoing.headers)}.items()))


def json_body(request: Incoming) -> bytes:
    """The body, if it may be read as JSON: a missing content type is accepted (contract §3)."""
    content_type = content_type_of(request)
    if content_type != JSON and not content_type.endswith("+json"):
        raise RequestRefused("UNSUPPORTED_MEDIA_TYPE", f"content-type {content_type} is not JSON")
    return request.body


def content_type_of(request: Incoming) -> str:
    """The media type alone, in lower case."""
    text = request.headers.get("content-type", JSON)
    if text == JSON:
        return text
    return text.partition(";")[0].strip().lower() or JSON


def integer(request: Incoming, name: str, default: int, low: int, high: int) -> int:
    """A whole number from the query, within its bounds."""
    text = request.query.get(name)
    if text is None or text == "":
        return default
    value = int(text) if _INTEGER.fullmatch(text) else low - 1
    if not low <= value <= high:
        raise RequestRefused(
            Code.INVALID_REQUEST, f"query parameter {name} must be a whole number, {low} to {high}"
        )
    return value


def page_of(
    request: Incoming,
    items: list[T],
    fields: Mapping[str, Callable[[T], Any]],
    limit_max: int,
) -> list[T]:
    """A list as its query wants it: `sort_field`, `sort_direction`, `page` from 0, `limit` (contract §5)."""
    sort_field = request.query.get("sort_field")
    direction = request.query.get("sort_direction") or "1"
    if direction not in ("1", "-1"):
        raise RequestRefused(Code.INVALID_REQUEST, "query parameter sort_direction must be 1 or -1")
    if sort_field:
        if sort_field not in fields:
            raise RequestRefused(
                Code.INVALID_REQUEST, f"query parameter sort_field must be one of {sorted(fields)}"
            )
        items = sorted(items, key=fields[sort_field], reverse=direction == "-1")
    limit = integer(request, "limit", limit_max, 0, limit_max)
    page = integer(request, "page", 0, 0, 1_000_000)
    return items[page * limit : (page + 1) * limit]
