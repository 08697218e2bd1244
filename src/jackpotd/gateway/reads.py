"""Reads of the gateway: sources, the instance behind a source, winners, currencies (contract §5).

What is reported is durable: a read asks the instance's owner, which waits for the commit that covers what it tells.
"""

from msgspec import Struct

from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Instance, Seal
from jackpotd.edge.exchange import (
    Incoming,
    Outgoing,
    answer,
    integer,
    page_of,
    refused_by,
)
from jackpotd.edge.guard import Guard, forbidden, require_reach
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.owners import Owners
from jackpotd.engine.router import Router
from jackpotd.engine.shown import Shown
from jackpotd.gateway.raffles import brand_in_path
from jackpotd.identity.principal import Principal, Resource
from jackpotd.wire import codec, rows
from jackpotd.wire import gateway_messages as wire
from jackpotd.wire.errors import RequestRefused
from jackpotd.wire.instance_answers import instance_answer, opt_in_status
from jackpotd.wire.rendering import source_answer

WINNERS_DEFAULT = 10


class SourcesQuery(Struct, frozen=True):
    owner_id: str
    name: str | None = None
    sort_field: str | None = None
    sort_direction: int | None = None
    page: int | None = None
    limit: int | None = None


class InstanceQuery(Struct, frozen=True):
    player_id: str | None = None
    country_code: str | None = None
    segments: str | None = None


class WinnersQuery(Struct, frozen=True):
    limit: int | None = None
    brand_id: str | None = None


def segments_of(request: Incoming) -> tuple[str, ...]:
    """The segments in a query, which stand there as `a,b`."""
    return tuple(part for part in request.query.get("segments", "").split(",") if part)


class Reads:
    """The handlers of the gateway's reads."""

    def __init__(
        self,
        catalog: Catalog,
        router: Router,
        owners: Owners,
        guard: Guard,
        *,
        list_limit_max: int,
    ) -> None:
        self._catalog = catalog
        self._shown = Shown(router, owners)
        self._owners = owners
        self._guard = guard
        self._list_limit_max = list_limit_max

    def _reader(self, request: Incoming) -> Principal:
        return self._guard.principal(request, Resource.JACKPOTS)

    async def sources(self, request: Incoming) -> Outgoing:
        """List the sources that an owner can contribute through.

        For a brand: its own, and those of its operator that it does not override. For an operator: all below it.
        """
        principal = self._reader(request)
        owner = request.query.get("owner_id", "")
        if not owner:
            raise RequestRefused(Code.INVALID_REQUEST, "query parameter owner_id is missing")
        require_reach(principal, owner)
        name = request.query.get("name")
        found = [
            source_answer(source, self._catalog.instances)
            for source in self._catalog.sources_for(owner)
            if not name or name == source.name
        ]
        fields = {
            "source_id": lambda source: source.source_id,
            "source_name": lambda source: source.source_name,
            "owner_id": lambda source: source.owner_id,
        }
        return answer(page_of(request, found, fields, self._list_limit_max))

    async def instance_by_source(self, request: Incoming) -> Outgoing:
        """Get the instance that a source gives to a player, with the player's opt-in status if one is named."""
        principal = self._reader(request)
        brand = brand_in_path(self._catalog, principal, request)
        player_id = request.query.get("player_id") or ""
        found = await self._shown.of(
            request.path["source_id"],
            brand,
            country=request.query.get("country_code") or None,
            segments=segments_of(request) or None,
            player_id=player_id,
        )
        if isinstance(found, Rejection):
            raise refused_by(found)
        state, player = found
        status = opt_in_status(state, brand, player_id, player) if player_id else None
        return answer(instance_answer(state, status))

    async def _seen_instance(self, request: Incoming) -> Instance:
        """The instance of the path, if the caller owns it or one of its brands takes part."""
        principal = self._reader(request)
        instance_id = request.path["instance_id"]
        state = await self._owners.instance(instance_id)
        if isinstance(state, Rejection):
            raise refused_by(state)
        owner = state.definition.owner_id
        if not any(principal.reaches(path) for path in (owner, *state.rules.allowed_brands)):
            raise forbidden(f"reach {instance_id}")
        brand = request.query.get("brand_id")
        if brand:
            require_reach(principal, brand)
        return state

    async def latest_winners(self, request: Incoming) -> Outgoing:
        """List the latest winners of an instance, over all pots."""
        state = await self._seen_instance(request)
        return answer(await self._some_winners(request, state, None))

    async def pot_winners(self, request: Incoming) -> Outgoing:
        """List the latest winners of each pot of an instance; the limit is for each pot."""
        state = await self._seen_instance(request)
        found = {}
        for index, pot in enumerate(state.rules.pots):
            found[pot.id] = await self._some_winners(request, state, index)
        return answer(found)

    async def fairness(self, request: Incoming) -> Outgoing:
        """Get the commitment to the secret of each pot, to be noted before playing; null for a pot that is over.

        The secret is revealed when the pot has been won, and everybody can then check every draw.
        """
        state = await self._seen_instance(request)
        pots = zip(state.rules.pots, state.rare.seals, strict=True)
        return answer(
            wire.FairnessAnswer(
                instance_id=state.definition.instance_id,
                contributions=state.contributions,
                pots=[_sealed_pot(rules.id, seal) for rules, seal in pots],
            )
        )

    async def _some_winners(
        self, request: Incoming, state: Instance, pot: int | None
    ) -> list[wire.WinnerAnswer]:
        limit = integer(request, "limit", WINNERS_DEFAULT, 0, self._list_limit_max)
        brand = request.query.get("brand_id") or ""
        found = await self._owners.winners(state.definition.instance_id, pot, brand, limit)
        if isinstance(found, Rejection):
            raise refused_by(found)
        return [_winner_answer(state, row) for row in found]

    async def currencies(self, request: Incoming) -> Outgoing:
        """Get the multipliers of a brand; the default ones where it has none of its own."""
        principal = self._reader(request)
        brand = brand_in_path(self._catalog, principal, request)
        found = self._catalog.multipliers_for(brand)
        if found is None:
            raise RequestRefused(Code.CURRENCY_MULTIPLIERS_NOT_FOUND, brand)
        rates = {code: codec.amount(rate) for code, rate in found.rates.items()}
        return answer(wire.CurrenciesAnswer(brand, found.base_currency, rates))


def _sealed_pot(pot_id: str, seal: Seal | None) -> wire.SealedPot:
    if seal is None:
        return wire.SealedPot(pot_id, None, None, None, None)
    return wire.SealedPot(pot_id, seal.number, seal.commitment, seal.at_ms, seal.first)


def _winner_answer(state: Instance, row: rows.WinnerRow) -> wire.WinnerAnswer:
    return wire.WinnerAnswer(
        instance_id=state.definition.instance_id,
        pot_id=state.rules.pots[row.pot].id,
        player_id=row.player_id,
        brand_id=row.brand,
        timestamp=row.at_ms,
        win_amount=codec.amount(row.paid),
        currency=state.rules.currency,
        gameround_id=row.round_id,
        win_withheld=row.win_withheld and _is_held(state, row),
        community=row.community,
    )


def _is_held(state: Instance, row: rows.WinnerRow) -> bool:
    """Whether the money of a win still waits for a person."""
    held = state.rare.held
    return any((win.round_id, win.pot) == (row.round_id, row.pot) for win in held)
