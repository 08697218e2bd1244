"""Resolved rounds of raffles: what they came to, who won, and what the world is told of it."""

from collections.abc import Collection

from msgspec import structs

from jackpotd.admin.context import AdminContext
from jackpotd.admin.queries import whole
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Instance
from jackpotd.edge.exchange import Incoming, Outgoing, answer, refused_by
from jackpotd.engine.catalog import Catalog
from jackpotd.identity.principal import Resource
from jackpotd.wire import admin_schedules as wire
from jackpotd.wire import codec
from jackpotd.wire.errors import RequestRefused
from jackpotd.wire.gateway_messages import CurrenciesAnswer
from jackpotd.wire.raffle_events import credit_batches, raffle_win_events
from jackpotd.wire.rows import RoundRow, WinnerRow

LIMIT_DEFAULT = 10
NUMBER_DIGITS_MAX = 15
_NUMBER_MAX = 10**NUMBER_DIGITS_MAX - 1


class Rounds:
    """The handlers of `/instances/{id}/rounds`."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context

    async def listing(self, request: Incoming) -> Outgoing:
        """List the resolved rounds of a raffle, the newest first; `before` is the number to go on below."""
        principal = self._context.reader(request, Resource.INSTANCES)
        entry = self._context.entry(principal, request.path["instance_id"])
        limit = whole(request, "limit", 0, self._context.list_limit_max)
        before = whole(request, "before", 1, _NUMBER_MAX)
        limit = LIMIT_DEFAULT if limit is None else limit
        found = await self._context.owners.rounds(entry.instance_id, limit, before)
        if isinstance(found, Rejection):
            raise refused_by(found)
        return answer([_state(row) for row in found])

    async def get(self, request: Incoming) -> Outgoing:
        """Get a resolved round with its winners, its win events, and the credits that wait for the wallet."""
        principal = self._context.reader(request, Resource.INSTANCES)
        entry = self._context.entry(principal, request.path["instance_id"])
        text = request.path["number"]
        if not (text.isascii() and text.isdecimal() and len(text) <= NUMBER_DIGITS_MAX):
            raise RequestRefused(Code.JACKPOT_NOT_FOUND, f"round {text} of {entry.instance_id}")
        found = await self._context.owners.round(entry.instance_id, int(text))
        if isinstance(found, Rejection):
            raise refused_by(found)
        state, row, winners, credits_due = found
        catalog = self._context.catalog
        at_first = {winner.round_id for winner in winners if winner.win_withheld}
        held = {win.round_id for win in state.rare.held}
        return answer(
            wire.RoundAnswer(
                **structs.asdict(_state(row)),
                instance_id=entry.instance_id,
                currency=state.rules.currency,
                winners=[_winner(state, winner, held) for winner in winners],
                events=raffle_win_events(
                    state, row, winners, lambda brand: rates_of(catalog, brand)
                ),
                credits=credit_batches(entry.instance_id, row.number, credits_due, at_first),
            )
        )


def rates_of(catalog: Catalog, brand: str) -> CurrenciesAnswer | None:
    """The multipliers that apply to a brand."""
    found = catalog.multipliers_for(brand)
    if found is None:
        return None
    rates = {code: codec.amount(rate) for code, rate in found.rates.items()}
    return CurrenciesAnswer(brand, found.base_currency, rates)


def _state(row: RoundRow) -> wire.RoundState:
    return wire.RoundState(
        number=row.number,
        start=row.starts_ms,
        end=row.ends_ms,
        resolved_at=row.resolved_ms,
        tickets=row.tickets,
        entrants=row.entrants,
        counted=codec.amount(row.counted),
        pot_value=codec.amount(row.pot),
        prizes=row.prizes,
        paid=codec.amount(row.paid),
        seed_deficit=codec.amount(row.seed_deficit),
    )


def _winner(state: Instance, row: WinnerRow, held: Collection[str]) -> wire.RoundWinner:
    return wire.RoundWinner(
        player_id=row.player_id,
        brand_id=row.brand,
        tier=row.tier,
        gameround_id=row.round_id,
        amount=codec.amount(row.paid),
        currency=state.rules.currency,
        win_amount=codec.amount(row.win),
        win_currency=row.currency,
        win_withheld=row.round_id in held,
    )
