"""The Quart-Trio shell of a listener: routes to handlers, and what every answer has.

The only place that turns Quart's requests into ours and our answers into Quart's. It keeps errors that no handler sees
in the documented shape, and tells the metrics.
"""

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import structlog
import trio
from msgspec import Struct
from msgspec.structs import replace
from quart import Quart, Request, Response, Websocket, has_websocket_context, request, websocket
from quart.wrappers.response import ResponseBody
from quart_schema import (
    Info,
    QuartSchema,
    document_querystring,
    document_request,
    document_response,
    security_scheme,
    tag,
)
from quart_schema.openapi import HttpSecurityScheme
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from jackpotd import __version__
from jackpotd.edge.exchange import (
    DEFECT,
    Handler,
    Incoming,
    Outgoing,
    Streamed,
    StreamHandler,
    refusal,
    serve,
)
from jackpotd.edge.openapi import MsgspecProvider
from jackpotd.journal.group_commit import JournalFailed
from jackpotd.wire.errors import ErrorBody, RequestRefused

_log = structlog.get_logger("jackpotd.edge")

Observe = Callable[[str, str, int, str, float], None]
"""Told the listener, the route, the status, the error code and the seconds of each answer."""

_HTTP_CODES = {
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}


class Route(Struct, frozen=True):
    """One call: how it is reached, who handles it, and how it is documented."""

    method: str
    path: str
    handler: Handler
    section: str
    request: Any = None
    response: Any = None
    status: int = 200
    query: Any = None
    errors: tuple[int, ...] = (400, 401, 403, 404)
    is_public: bool = False
    accepted: Any = None
    """What a 202 answers, where there is one."""


class StreamRoute(Struct, frozen=True):
    """One call whose body is read, and answered, as it arrives; documented like the others."""

    method: str
    path: str
    handler: StreamHandler
    section: str
    request: Any
    response: Any
    status: int = 200
    query: Any = None
    errors: tuple[int, ...] = (400, 401, 403)
    is_public: bool = False


class Shell(Struct, frozen=True):
    """What the routes of a listener run on."""

    name: str
    title: str
    body_bytes_max: int
    clock: Callable[[], int]
    observe: Observe


def build_app(shell: Shell, routes: list[Route], streams: Sequence[StreamRoute] = ()) -> QuartTrio:
    """The application of a listener."""
    app = QuartTrio(f"jackpotd.{shell.name}", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = shell.body_bytes_max
    QuartSchema(
        app,
        info=Info(title=shell.title, version=__version__),
        openapi_path="/openapi.json",
        swagger_ui_path="/docs",
        redoc_ui_path=None,
        scalar_ui_path=None,
        conversion_preference="msgspec",
        openapi_provider_class=MsgspecProvider,
        security_schemes={"bearer": HttpSecurityScheme(scheme="bearer", bearer_format="JWT")},
        security=[{"bearer": []}],
    )
    for route in routes:
        _add(app, shell, route)
    for stream in streams:
        _add_stream(app, shell, stream)
    _answer_errors(app, shell)
    return app


def _add(app: Quart, shell: Shell, route: Route) -> None:
    async def view(**path: str) -> Response:
        incoming = await _incoming(shell, path)
        started = time.perf_counter()
        outgoing = await serve(route.handler, incoming)
        seconds = time.perf_counter() - started
        shell.observe(shell.name, route.path, outgoing.status, outgoing.code, seconds)
        return _response(outgoing)

    _publish(app, view, route)


def _add_stream(app: Quart, shell: Shell, route: StreamRoute) -> None:
    async def view(**_path: str) -> Response:
        incoming = _bare(shell)
        try:
            streamed = await route.handler(incoming, aiter(request.body))
        except RequestRefused as refused:
            return _response(refusal(refused, incoming))
        response = Response(_StreamedBody(streamed), streamed.status)
        response.timeout = None  # its length is the client's business
        response.headers.pop("Content-Type", None)
        response.headers.update(dict(streamed.headers))
        return response

    _publish(app, view, route)


class _StreamedBody(ResponseBody):
    """The chunks of an answer as Quart takes them."""

    def __init__(self, streamed: Streamed) -> None:
        self._chunks = streamed.chunks

    async def __aenter__(self) -> AsyncIterator[bytes]:
        return await self._chunks.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._chunks.__aexit__(kind, error, trace)


def _publish(
    app: Quart, view: Callable[..., Awaitable[Response]], route: Route | StreamRoute
) -> None:
    view.__doc__ = route.handler.__doc__
    view.__name__ = f"{route.method.lower()}_{route.path}"
    app.add_url_rule(
        route.path,
        endpoint=f"{route.method} {route.path}".replace(".", "_"),
        view_func=_documented(view, route),
        methods=[route.method],
    )


def _documented(
    view: Callable[..., Awaitable[Response]], route: Route | StreamRoute
) -> Callable[..., Awaitable[Response]]:
    view = tag([route.section])(view)
    if route.request is not None:
        view = document_request(route.request)(view)
    if route.query is not None:
        view = document_querystring(route.query)(view)
    for status in route.errors:
        view = document_response(ErrorBody, status)(view)
    if isinstance(route, Route) and route.accepted is not None:
        view = document_response(route.accepted, 202)(view)
    if route.is_public:
        view = security_scheme([])(view)
    if route.response is not None:
        view = document_response(route.response, route.status)(view)
    return view


async def _incoming(shell: Shell, path: Mapping[str, str]) -> Incoming:
    body = b""
    if request.method not in ("GET", "HEAD"):
        body = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    return replace(_bare(shell), body=body, path=path, query=request.args.to_dict())


def _current() -> Request | Websocket:
    """What is being answered: errors are rendered alike where a WebSocket was asked for."""
    return websocket if has_websocket_context() else request


def _bare(shell: Shell) -> Incoming:
    """A request without its body, as far as an error needs it."""
    return Incoming(
        headers={name.lower(): value for name, value in _current().headers.items()},
        trace_id=str(uuid.uuid4()),
        received_ms=shell.clock(),
    )


def _response(outgoing: Outgoing) -> Response:
    response = Response(outgoing.body, outgoing.status)
    response.headers.pop("Content-Type", None)
    if outgoing.status == 204:
        response.headers.pop("Content-Length", None)
    for name, value in outgoing.headers:
        response.headers[name] = value
    return response


def _answer_errors(app: Quart, shell: Shell) -> None:
    """Errors that no handler sees: unknown paths, oversized bodies, and our own defects."""

    def respond(incoming: Incoming, code: str, message: str, status: int) -> Response:
        refused = RequestRefused(code, message, status=status)
        shell.observe(shell.name, "-", status, code, 0.0)
        return _response(refusal(refused, incoming))

    @app.errorhandler(HTTPException)
    async def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        code = _HTTP_CODES.get(status, "INVALID_REQUEST" if status < 500 else "SYSTEM_ERROR")
        current = _current()
        message = f"{current.method} {current.path}: {error.name}"
        if status == 413:
            message = f"the body is larger than {shell.body_bytes_max} bytes"
        response = respond(_bare(shell), code, message, status)
        if status == 413:
            response.headers["Connection"] = "close"  # the rest of the body is not read
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return response

    @app.errorhandler(Exception)
    async def defect(error: Exception) -> Response:
        if isinstance(error, JournalFailed):
            await trio.sleep_forever()  # the process is about to stop, and answers nobody
        incoming = _bare(shell)
        _log.exception(
            "request failed", listener=shell.name, path=_current().path, trace_id=incoming.trace_id
        )
        return respond(incoming, DEFECT.body.code, DEFECT.body.message, DEFECT.body.status_code)
