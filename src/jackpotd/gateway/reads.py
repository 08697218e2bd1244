"""Reads of the gateway: sources, the instance behind a source, winners, currencies (contract §5).

What is reported is durable: a read asks the instance's owner, which waits for the commit that covers what it tells.
"""

from msgspec import Struct

from jackpotd.core import money
from jackpotd.core.passing import own_schedule
from jackpotd.core.raffle import current_round
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import UNKNOWN_PLAYER, Instance, Player, Seal
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
from jackpotd.gateway.raffles import brand_in_path
from jackpotd.identity.principal import Principal, Resource
from jackpotd.wire import codec, rows
from jackpotd.wire import gateway_messages as wire
from jackpotd.wire.errors import RequestRefused
from jackpotd.wire.rendering import contribution_type, source_answer

WINNERS_DEFAULT = 10
LOOKS_MAX = 3


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
        self._router = router
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
        state, player = await self._visible(request, brand, player_id)
        status = _opt_in_status(state, brand, player_id, player) if player_id else None
        return answer(_instance_answer(state, status))

    async def _visible(
        self, request: Incoming, brand: str, player_id: str
    ) -> tuple[Instance, Player]:
        """The instance that a source gives, and the player's standing with it."""
        segments = tuple(part for part in request.query.get("segments", "").split(",") if part)
        looks = 0
        while True:
            looks += 1
            seen = self._router.visible_instance(
                request.path["source_id"],
                brand,
                request.query.get("country_code") or None,
                segments or None,
            )
            if isinstance(seen, Rejection):
                raise refused_by(seen)
            found = await self._owners.standing(seen.definition.instance_id, brand, player_id)
            if isinstance(found, Rejection):
                raise refused_by(found)
            # With another status than was known here, the source may give another instance.
            if found[0].status is seen.status or looks == LOOKS_MAX:
                return found

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


def _instance_answer(state: Instance, status: wire.OptInStatus | None) -> wire.InstanceAnswer:
    starts_ms, ends_ms = _times(state)
    return wire.InstanceAnswer(
        id=state.definition.instance_id,
        currency=state.rules.currency,
        opt_in_required=state.rules.opt_in_required,
        contribution_type=contribution_type(state.rules.contribution),
        optin_status=status,
        pots=[
            wire.PotAnswer(
                id=rules.id,
                instance_count=pot.cycle,
                is_progressive=rules.is_progressive,
                current_value=codec.amount(pot.value),
                community_split=codec.amount(sum(each.share for each in rules.community)),
            )
            for rules, pot in zip(state.rules.pots, state.pots, strict=True)
        ],
        timestamp_start=starts_ms,
        timestamp_end=ends_ms,
        status=state.status,
    )


def _times(state: Instance) -> tuple[int | None, int | None]:
    """Start and end of a raffle's round, the next one if none runs; of anything else as the schedule says."""
    round_, own = current_round(state), own_schedule(state)
    if round_ is not None:
        return round_.starts_ms, round_.ends_ms
    return (None, None) if own is None else (own.start_ms, own.end_ms)


def _sealed_pot(pot_id: str, seal: Seal | None) -> wire.SealedPot:
    if seal is None:
        return wire.SealedPot(pot_id, None, None, None, None)
    return wire.SealedPot(pot_id, seal.number, seal.commitment, seal.at_ms, seal.first)


def _opt_in_status(
    state: Instance, brand: str, player_id: str, player: Player
) -> wire.OptInStatus | None:
    """The player's standing; None where the instance has never seen them."""
    if player is UNKNOWN_PLAYER:
        return None
    preferred = player.preferences[-1] if player.preferences else None
    return wire.OptInStatus(
        doc_version="V1",
        instance_id=state.definition.instance_id,
        player_id=player_id,
        ext_player_id=player_id,
        player_brand_id=brand,
        preferred_contribution_value=codec.NULL
        if preferred is None
        else codec.amount(preferred[1]),
        preferred_contribution_currency=None if preferred is None else preferred[0],
        contribution_preferences={
            currency: money.decimal_text(value) for currency, value in player.preferences
        },
        contribution_count=player.count,
        contribution_value=codec.amount(player.value),
        pot_contributions=_pot_contributions(state, player),
        opted_in=player.opted_in,
        last_updated=player.updated_ms,
    )


def _pot_contributions(state: Instance, player: Player) -> dict[str, wire.PotContribution]:
    """Since each pot's last win: counts of an earlier cycle are past."""
    found = {}
    for rules, pot, count in zip(state.rules.pots, state.pots, player.pots, strict=False):
        is_current = count.cycle == pot.cycle and pot.is_open
        value = codec.amount(count.value if is_current else 0)
        found[rules.id] = wire.PotContribution(count.count if is_current else 0, value)
    return found


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
