"""Connect's routes (contract §7): public reads, administration of origins, the ticker page; each API path also without
`/v1`.
"""

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace
from quart_trio import QuartTrio

from jackpotd.connect.cors import add_cors
from jackpotd.connect.node import ConnectNode
from jackpotd.connect.origin_desk import OriginDesk
from jackpotd.connect.page_files import page_routes
from jackpotd.connect.reads import InstanceQuery, Reads, SourcesQuery, Tickers
from jackpotd.edge.exchange import Handler, Incoming, Outgoing
from jackpotd.edge.guard import Guard
from jackpotd.edge.origins import AllowedOrigins
from jackpotd.edge.public import public_routes
from jackpotd.edge.shell import Route, Shell, build_app
from jackpotd.wire import connect_messages as wire
from jackpotd.wire.errors import RequestRefused
from jackpotd.wire.gateway_messages import InstanceAnswer, SourceAnswer

PREFIX = "/v1"


class PlayerSocketQuery(Struct, frozen=True):
    token: str
    currency: str


class ServiceSocketQuery(Struct, frozen=True):
    token: str


class ConnectParts(Struct, frozen=True):
    """What Connect's REST stands on."""

    node: ConnectNode
    tickers: Tickers
    guard: Guard
    origins: AllowedOrigins
    is_healthy: Callable[[], bool]
    metrics: Callable[[], Awaitable[bytes]]
    list_limit_max: int


def build_connect(parts: ConnectParts, shell: Shell) -> QuartTrio:
    """Connect's application: everything but its sockets."""
    reads = Reads(parts.node, parts.tickers, list_limit_max=parts.list_limit_max)
    desk = OriginDesk(parts.node, parts.guard)
    routes = [*_read_routes(reads), *_origin_routes(desk), *_socket_routes()]
    app = build_app(
        shell,
        [
            *(replace(route, path=PREFIX + route.path) for route in routes),
            *routes,
            *public_routes(parts.is_healthy, parts.metrics),
            *page_routes(),
        ],
    )
    add_cors(app, parts.origins)
    return app


def _read_routes(reads: Reads) -> list[Route]:
    def route(
        path: str, handler: Handler, section: str, response: object, query: object = None
    ) -> Route:
        return Route(
            "GET",
            path,
            handler,
            section,
            None,
            response,
            query=query,
            errors=(400, 403, 404, 503),
            is_public=True,
        )

    pots = "/thrillpots"
    by_source = f"{pots}/instances/source/<source_id>/brand/<brand_id>"
    return [
        route("/currencies", reads.currencies, "Currencies", wire.DefaultCurrencies),
        route(f"{pots}/sources", reads.sources, "Sources", list[SourceAnswer], SourcesQuery),
        route(by_source, reads.instance_by_source, "Instances", InstanceAnswer, InstanceQuery),
        route(
            f"{pots}/instances/<instance_id>/ticker", reads.ticker, "Instances", wire.TickerAnswer
        ),
    ]


def _origin_routes(desk: OriginDesk) -> list[Route]:
    def route(
        method: str, handler: Handler, request: object, response: object, errors: Sequence[int]
    ) -> Route:
        path, section = "/admin/cors/origins", "Origins"
        return Route(method, path, handler, section, request, response, errors=tuple(errors))

    read, write = (401, 403), (400, 401, 403, 413, 415, 503)
    shown = wire.CorsOrigins
    return [
        route("GET", desk.listed, None, shown, read),
        route("POST", desk.add, shown, shown, write),
        route("PUT", desk.replace, shown, shown, write),
        route("DELETE", desk.remove, wire.CorsRemoval, wire.CorsRemoved, write),
    ]


def _socket_routes() -> list[Route]:
    """Where the sockets are, for the document, and for who asks there without an upgrade."""

    async def player_events(_request: Incoming) -> Outgoing:
        """Open a WebSocket as a player: events of the brand's jackpots, opt-ins and raffle tickets of one's own."""
        raise _UPGRADE_REQUIRED

    async def service_events(_request: Incoming) -> Outgoing:
        """Open a WebSocket as a service: events of all jackpots that its account reaches, requests for its players."""
        raise _UPGRADE_REQUIRED

    section, errors = "Sockets", (400, 401, 403, 404, 426)
    players = "/events/<operator_id>/<brand_id>"
    return [
        Route(
            "GET",
            path,
            handler,
            section,
            query=query,
            errors=errors,
            is_public=True,
        )
        for path, handler, query in (
            (players, player_events, PlayerSocketQuery),
            ("/events/service", service_events, ServiceSocketQuery),
        )
    ]


_UPGRADE_REQUIRED = RequestRefused("UPGRADE_REQUIRED", "this is for WebSockets", status=426)
