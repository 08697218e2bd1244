"""What can be read of a raffle where it lives: who takes part in the running round, and what came of earlier ones.

Of a million entrants or of thousands of winners only a few are looked at in a step, so that others on the event loop go
on. Nothing here waits for the disk: whoever reports awaits `durable()` first.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import trio.lowlevel
from msgspec import Struct

from jackpotd.core.raffle import current_round
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Instance, Player, Status, Tickets
from jackpotd.engine import ticket_pages
from jackpotd.engine.crowd import STEP_ROWS, in_steps
from jackpotd.engine.shard import Shard
from jackpotd.engine.ticket_book import TicketBook
from jackpotd.wire.rows import CreditRow, RoundRow, WinnerRow

LOOKS_MAX = 5
PLAYERS_AT_ONCE = 32  # each may be a look at the disk
TOO_SHORT = Rejection(Code.OVERLOADED, "the rounds of this raffle end before they are listed")

_T = TypeVar("_T")

Entrant = tuple[str, str, Tickets]
"""Brand and id of a player, and what they have in the running round."""

ResolvedRound = tuple[RoundRow, list[WinnerRow], list[CreditRow]]
"""A round that is over, who won in it in the order of the draws, and what wallets have still to be told of it."""


class EntrantsPage(Struct, frozen=True):
    """Which of a round's entrants are asked for: `limit` of those of these brands, or (None) of all, after `skip`.

    By their number they are in the order in which they came.
    """

    brands: tuple[str, ...] | None
    by: ticket_pages.By
    descending: bool
    skip: int
    limit: int


class HeldTickets(Struct, frozen=True):
    """What a player has in the running round of one raffle."""

    instance_id: str
    starts_ms: int
    ends_ms: int
    tickets: Tickets


def running_tickets(state: Instance, player: Player) -> Tickets | None:
    """What a player has in the running round; who took part in an earlier one only has nothing."""
    round_, held = current_round(state), player.tickets
    return held if round_ and held and held.round == round_.number else None


async def entrants(
    shard: Shard, instance_id: str, page: EntrantsPage
) -> tuple[Instance, list[Entrant]] | Rejection | None:
    """A page of the entrants of the round that runs, and the instance then; None where it does not live here."""
    for _ in range(LOOKS_MAX):
        book = await shard.tickets(instance_id)
        found = [] if book is None else await _page(shard, instance_id, book, page)
        state = shard.state(instance_id)
        if state is None or instance_id not in shard.actors:
            return None
        round_ = current_round(state)
        if (None if book is None else book.round) == (None if round_ is None else round_.number):
            return state, found
    return TOO_SHORT


async def _page(
    shard: Shard, instance_id: str, book: TicketBook, page: EntrantsPage
) -> list[Entrant]:
    numbers = await ticket_pages.page(
        book,
        brands=page.brands,
        by=page.by,
        descending=page.descending,
        skip=page.skip,
        limit=page.limit,
    )
    found: list[Entrant] = []
    for at, number in enumerate(numbers, 1):
        brand, player_id = book.who(number)
        held = shard.player(instance_id, brand, player_id).tickets
        if held is not None:
            found.append((brand, player_id, held))
        if at % PLAYERS_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
    if page.by == "ticket_count":  # they may have got more since they were put in order
        found.sort(key=lambda entrant: entrant[2].count, reverse=page.descending)
    return found


async def held_tickets(
    shard: Shard, instance_ids: Iterable[str], brand: str, player_id: str
) -> tuple[list[HeldTickets], list[str]]:
    """What a player has in those of these raffles that are Active and allow the brand; and which are not here."""
    found: list[HeldTickets] = []
    missing: list[str] = []
    for step in in_steps(instance_ids):
        for instance_id in step:
            state = shard.state(instance_id)
            if state is None:
                missing.append(instance_id)
                continue
            round_ = current_round(state)
            if round_ is None or state.status is not Status.ACTIVE:
                continue
            if brand in state.rules.allowed_brands:
                held = running_tickets(state, shard.player(instance_id, brand, player_id))
                if held is not None:
                    found.append(HeldTickets(instance_id, round_.starts_ms, round_.ends_ms, held))
        await trio.lowlevel.checkpoint()
    return found, missing


async def rounds(shard: Shard, instance_id: str, limit: int, before: int | None) -> list[RoundRow]:
    """The rounds of a raffle that were resolved, the latest first; those with numbers below `before`."""
    found: list[RoundRow] = []
    if limit <= 0:
        return found
    for seen, row in enumerate(shard.fold.overlay.rounds_down(instance_id), 1):
        if before is None or row.number < before:
            found.append(row)
            if len(found) == limit:
                break
        if seen % STEP_ROWS == 0:
            await trio.lowlevel.checkpoint()
    return found


async def resolved_round(shard: Shard, instance_id: str, number: int) -> ResolvedRound | None:
    """One round of a raffle, if it was resolved."""
    overlay = shard.fold.overlay
    row = overlay.round(instance_id, number)
    if row is None:
        return None
    winners = await _all(overlay.round_winners(instance_id, row.order))
    return row, winners, await _all(overlay.round_credits(instance_id, number))


async def _all(items: Iterator[_T]) -> list[_T]:
    found: list[_T] = []
    for step in in_steps(items):
        found += step
        await trio.lowlevel.checkpoint()
    return found
