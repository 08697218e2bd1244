"""The gateway's routes (contract §2-5): which path is served by which handler, and how it is documented."""

from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct
from quart_trio import QuartTrio

from jackpotd.edge.exchange import (
    DirectHandler,
    Handler,
    Incoming,
    Outgoing,
    StreamHandler,
    answer,
    awaited,
    json_body,
)
from jackpotd.edge.guard import Guard
from jackpotd.edge.public import public_routes
from jackpotd.edge.sessions import Sessions
from jackpotd.edge.shell import Route, Shell, StreamRoute, build_app
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.owners import Owners
from jackpotd.engine.router import Router
from jackpotd.gateway.batches import Batches
from jackpotd.gateway.contributions import Contributions
from jackpotd.gateway.opt_ins import OptIns
from jackpotd.gateway.raffles import EntrantsQuery, Raffles, TicketsQuery
from jackpotd.gateway.reads import InstanceQuery, Reads, SourcesQuery, WinnersQuery
from jackpotd.outbound.targets import Targets
from jackpotd.wire import codec
from jackpotd.wire import gateway_messages as wire
from jackpotd.wire.contribution_answers import AcceptedAnswer


class GatewayParts(Struct, frozen=True):
    """What the gateway stands on."""

    catalog: Catalog
    router: Router
    owners: Owners
    guard: Guard
    sessions: Sessions
    is_healthy: Callable[[], bool]
    metrics: Callable[[], Awaitable[bytes]]
    clock: Callable[[], int]
    new_id: Callable[[], str]
    body_bytes_max: int
    list_limit_max: int
    is_loopback: bool
    targets: Targets | None = None
    """Where results may be sent; None where no process delivers them."""


def direct_routes(parts: GatewayParts) -> dict[tuple[str, str], DirectHandler]:
    """The calls that need no framework, by method and path: contributions and opt-ins."""
    contributions = Contributions(parts.router, parts.guard, parts.targets)
    opt_ins = OptIns(parts.router, parts.guard)
    return {
        ("POST", "/jackpots/contribute/source"): contributions.by_source,
        ("POST", "/jackpots/contribute/instance"): contributions.direct,
        ("POST", "/jackpots/contribute"): contributions.direct,
        ("POST", "/v2/jackpots/contribute"): contributions.v2,
        ("POST", "/jackpots/optin"): opt_ins.v1,
        ("POST", "/v2/jackpots/optin"): opt_ins.v2,
    }


def stream_routes(parts: GatewayParts) -> dict[tuple[str, str], StreamHandler]:
    """The calls that are read and answered as they arrive: batches."""
    batches = Batches(
        Contributions(parts.router, parts.guard, parts.targets),
        clock=parts.clock,
        new_id=parts.new_id,
        element_bytes_max=parts.body_bytes_max,
    )
    return {("POST", "/v2/jackpots/contribute/batch"): batches.serve}


def build_gateway(parts: GatewayParts, shell: Shell) -> QuartTrio:
    """The gateway's application, with all routes: HTTP/2 clients reach the direct ones through it."""
    direct = {path: awaited(handler) for (_, path), handler in direct_routes(parts).items()}
    reads = Reads(
        parts.catalog,
        parts.router,
        parts.owners,
        parts.guard,
        list_limit_max=parts.list_limit_max,
    )
    raffles = Raffles(parts.catalog, parts.owners, parts.guard, list_limit_max=parts.list_limit_max)
    return build_app(
        shell,
        [
            *_contribution_routes(direct),
            *_opt_in_routes(direct),
            *_read_routes(reads),
            *_ticket_routes(raffles),
            *_public_routes(parts),
        ],
        [
            StreamRoute(
                method,
                path,
                handler,
                "Contribution",
                list[wire.ContributionV2],
                list[wire.BatchAnswer],
                errors=(400, 401, 403, 415),
            )
            for (method, path), handler in stream_routes(parts).items()
        ],
    )


_REFUSALS = (400, 401, 403, 404, 409, 413, 415, 422, 500, 503)


def _contribution_routes(direct: Mapping[str, Handler]) -> list[Route]:
    def route(path: str, request: type, response: object) -> Route:
        return Route(
            "POST", path, direct[path], "Contribution", request, response, errors=_REFUSALS
        )

    one = wire.ContributionAnswer | AcceptedAnswer
    many = list[wire.ContributionAnswer] | AcceptedAnswer
    return [
        route("/jackpots/contribute/source", wire.SourceContributionV1, one),
        route("/jackpots/contribute/instance", wire.InstanceContributionV1, one),
        route("/jackpots/contribute", wire.InstanceContributionV1, one),
        route("/v2/jackpots/contribute", wire.ContributionV2, many),
    ]


def _opt_in_routes(direct: Mapping[str, Handler]) -> list[Route]:
    def route(path: str, request: type, response: object) -> Route:
        return Route("POST", path, direct[path], "Opt-in", request, response, errors=_REFUSALS)

    return [
        route("/jackpots/optin", wire.OptInV1, None),
        route("/v2/jackpots/optin", wire.OptInV2, wire.OptInAnswerV2),
    ]


def _read_routes(reads: Reads) -> list[Route]:
    instances = "/jackpots/instances"
    of_jackpot = f"{instances}/jackpot/<instance_id>"

    def route(
        path: str, handler: Handler, section: str, response: object, query: object = None
    ) -> Route:
        return Route("GET", path, handler, section, None, response, query=query)

    winners = list[wire.WinnerAnswer]
    by_source = f"{instances}/source/<source_id>/brand/<brand_id>"
    return [
        route("/sources", reads.sources, "Sources", list[wire.SourceAnswer], SourcesQuery),
        route(by_source, reads.instance_by_source, "Instances", wire.InstanceAnswer, InstanceQuery),
        route(
            f"{of_jackpot}/latest_winners", reads.latest_winners, "Instances", winners, WinnersQuery
        ),
        route(
            f"{of_jackpot}/pot_winners",
            reads.pot_winners,
            "Instances",
            dict[str, list[wire.WinnerAnswer]],
            WinnersQuery,
        ),
        route(f"{of_jackpot}/fairness", reads.fairness, "Instances", wire.FairnessAnswer),
        route("/currencies/<brand_id>", reads.currencies, "Currencies", wire.CurrenciesAnswer),
    ]


def _ticket_routes(raffles: Raffles) -> list[Route]:
    """A player's id may hold slashes; quart-schema reads such a path only where every part of it says what it is."""
    raffle = "/jackpots/instances/raffle"
    of_one, brand, player = (
        f"{raffle}/<string:instance_id>/tickets",
        "brand/<string:brand_id>",
        "<path:player_id>",
    )

    def route(path: str, handler: Handler, query: object = None) -> Route:
        response = list[wire.TicketsAnswer]
        return Route("GET", path, handler, "Raffle tickets", None, response, query=query)

    return [
        route(of_one, raffles.entrants, EntrantsQuery),
        route(f"{of_one}/{player}/{brand}", raffles.player),
        route(f"{raffle}/tickets/{brand}/{player}", raffles.player_everywhere, TicketsQuery),
    ]


def _public_routes(parts: GatewayParts) -> list[Route]:
    async def authenticate(request: Incoming) -> Outgoing:
        """Get a bearer token for a service account."""
        credentials = codec.decode(_CREDENTIALS, json_body(request))
        session = await parts.sessions.open(
            credentials.username, credentials.password, is_loopback=parts.is_loopback
        )
        return answer(wire.ServiceToken(session.token))

    return [
        Route(
            "POST",
            "/authenticate/service",
            authenticate,
            "Authentication",
            wire.Credentials,
            wire.ServiceToken,
            errors=(400, 401, 413, 415),
            is_public=True,
        ),
        *public_routes(parts.is_healthy, parts.metrics),
    ]


_CREDENTIALS = codec.decoder(wire.Credentials)
