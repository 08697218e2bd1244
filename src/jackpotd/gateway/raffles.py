"""Raffle tickets on the gateway (contract §5): who takes part in a running round, and what one player has.

Only the running round counts: it is emptied by its draw. An account is told of entrants of brands that it reaches.
"""

from typing import Literal

from msgspec import Struct

from jackpotd.core import money
from jackpotd.core.raffle import current_round
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Tickets
from jackpotd.edge.exchange import Incoming, Outgoing, answer, integer, page_of, refused_by
from jackpotd.edge.guard import Guard, forbidden, require_reach
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.owners import Owners
from jackpotd.engine.raffle_reads import EntrantsPage, running_tickets
from jackpotd.engine.ticket_pages import By
from jackpotd.identity.principal import Principal, Resource
from jackpotd.wire import gateway_messages as wire
from jackpotd.wire.catalog_records import InstanceEntry
from jackpotd.wire.errors import RequestRefused

PAGE_MAX = 1_000_000
_ORDERS: dict[str, By] = {
    "": "entrant",
    "player_id": "player_id",
    "ticket_count": "ticket_count",
}


class EntrantsQuery(Struct, frozen=True):
    brand_id: str | None = None
    sort_field: Literal["player_id", "ticket_count"] | None = None
    sort_direction: Literal[1, -1] | None = None
    page: int | None = None
    limit: int | None = None


class TicketsQuery(Struct, frozen=True):
    sort_field: (
        Literal["instance_id", "ticket_count", "timestamp_end", "timestamp_start"] | None
    ) = None
    sort_direction: Literal[1, -1] | None = None
    page: int | None = None
    limit: int | None = None


class Raffles:
    """The handlers of the ticket reads."""

    def __init__(
        self, catalog: Catalog, owners: Owners, guard: Guard, *, list_limit_max: int
    ) -> None:
        self._catalog = catalog
        self._owners = owners
        self._guard = guard
        self._list_limit_max = list_limit_max

    def _reader(self, request: Incoming) -> Principal:
        return self._guard.principal(request, Resource.JACKPOTS)

    async def entrants(self, request: Incoming) -> Outgoing:
        """List who takes part in a raffle's running round, in the order in which they came.

        An account sees the entrants of all brands that it reaches, or of the one that it names.
        """
        principal = self._reader(request)
        entry = self._entry(principal, request)
        found = await self._owners.entrants(
            entry.instance_id, self._page(request, _brands(principal, entry, request))
        )
        if isinstance(found, Rejection):
            raise refused_by(found)
        state, entrants = found
        if state.rules.raffle is None:
            raise _no_raffle(entry.instance_id)
        round_ = current_round(state)
        if round_ is None:
            return answer([])
        times = (round_.starts_ms, round_.ends_ms)
        return answer(
            [
                _tickets(entry.instance_id, brand, name, held, times)
                for brand, name, held in entrants
            ]
        )

    def _page(self, request: Incoming, brands: tuple[str, ...] | None) -> EntrantsPage:
        field = request.query.get("sort_field") or ""
        if field not in _ORDERS:
            fields = sorted(filter(None, _ORDERS))
            raise _bad_query(f"sort_field must be one of {fields}")
        direction = request.query.get("sort_direction") or "1"
        if direction not in ("1", "-1"):
            raise _bad_query("sort_direction must be 1 or -1")
        limit = integer(request, "limit", self._list_limit_max, 0, self._list_limit_max)
        page = integer(request, "page", 0, 0, PAGE_MAX)
        return EntrantsPage(
            brands=brands,
            by=_ORDERS[field],
            descending=direction == "-1",
            skip=page * limit,
            limit=limit,
        )

    async def player(self, request: Incoming) -> Outgoing:
        """Get what a player has in a raffle's running round: one record, or none who does not take part."""
        principal = self._reader(request)
        brand = brand_in_path(self._catalog, principal, request)
        entry = self._entry(principal, request)
        player_id = request.path["player_id"]
        found = await self._owners.standing(entry.instance_id, brand, player_id)
        if isinstance(found, Rejection):
            raise refused_by(found)
        state, player = found
        if state.rules.raffle is None:
            raise _no_raffle(entry.instance_id)
        round_, held = current_round(state), running_tickets(state, player)
        if round_ is None or held is None:
            return answer([])
        times = (round_.starts_ms, round_.ends_ms)
        return answer([_tickets(entry.instance_id, brand, player_id, held, times)])

    async def player_everywhere(self, request: Incoming) -> Outgoing:
        """List what a player has in the running rounds of all active raffles."""
        principal = self._reader(request)
        brand = brand_in_path(self._catalog, principal, request)
        player_id = request.path["player_id"]
        found = await self._owners.held_tickets(brand, player_id)
        if isinstance(found, Rejection):
            raise refused_by(found)
        records = [
            _tickets(
                each.instance_id, brand, player_id, each.tickets, (each.starts_ms, each.ends_ms)
            )
            for each in found
        ]
        fields = {
            "instance_id": lambda record: record.instance_id,
            "ticket_count": lambda record: record.ticket_count,
            "timestamp_start": lambda record: record.timestamp_start,
            "timestamp_end": lambda record: record.timestamp_end,
        }
        return answer(page_of(request, records, fields, self._list_limit_max))

    def _entry(self, principal: Principal, request: Incoming) -> InstanceEntry:
        """The instance of the path, if the caller owns it or one of its brands takes part."""
        instance_id = request.path["instance_id"]
        entry = self._catalog.instances.get(instance_id)
        if entry is None:
            raise RequestRefused(Code.JACKPOT_NOT_FOUND, instance_id)
        if not any(principal.reaches(path) for path in (entry.owner_id, *entry.brands)):
            raise forbidden(f"reach {instance_id}")
        return entry


def brand_in_path(catalog: Catalog, principal: Principal, request: Incoming) -> str:
    """The brand of the path, `operator:brand`, if the caller reaches it."""
    brand = request.path["brand_id"]
    if brand.count(":") != 1:
        raise RequestRefused(Code.INVALID_REQUEST, "brand_id must be operator:brand")
    require_reach(principal, brand)
    if not catalog.brand_exists(brand):
        raise RequestRefused(Code.UNSUPPORTED_BRAND, brand)
    return brand


def _brands(
    principal: Principal, entry: InstanceEntry, request: Incoming
) -> tuple[str, ...] | None:
    """The brands whose entrants are listed; None for all."""
    asked = request.query.get("brand_id")
    if asked:
        if asked.count(":") != 1:
            raise _bad_query("brand_id must be operator:brand")
        require_reach(principal, asked)
        return (asked,)
    reached = tuple(brand for brand in entry.brands if principal.reaches(brand))
    return None if reached == entry.brands else reached


def _no_raffle(instance_id: str) -> RequestRefused:
    return RequestRefused(Code.JACKPOT_NOT_FOUND, f"{instance_id} is no raffle")


def _bad_query(message: str) -> RequestRefused:
    return RequestRefused(Code.INVALID_REQUEST, f"query parameter {message}")


def _tickets(
    instance_id: str, brand: str, player_id: str, held: Tickets, times: tuple[int, int]
) -> wire.TicketsAnswer:
    return wire.TicketsAnswer(
        instance_id=instance_id,
        brand_id=brand,
        player_id=player_id,
        ext_player_id=player_id,
        ticket_count=held.count,
        accumulated_cost=money.decimal_text(held.accumulated),
        timestamp_start=times[0],
        timestamp_end=times[1],
    )
