"""What may be asked of an instance's owner, wherever it lives: reads, what people do to it, births.

Whatever is told is durable with the owner. A worker that is not there is a Rejection, OVERLOADED.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import trio
import trio.lowlevel

from jackpotd.core.commands import Inherit, OperatorCommand, OptIn
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Instance, Player
from jackpotd.engine import raffle_reads
from jackpotd.engine.messages import Operated, OptInAnswer
from jackpotd.engine.raffle_reads import Entrant, EntrantsPage, HeldTickets
from jackpotd.engine.shard import Shard
from jackpotd.wire.catalog_records import InstanceEntry
from jackpotd.wire.rows import CreditRow, RoundRow, WinnerRow

ROWS_AT_ONCE_MAX = 256


class Owners(Protocol):
    """The owners of all instances."""

    async def instance(self, instance_id: str) -> Instance | Rejection:
        """An instance as it stands."""
        ...

    async def instances(self) -> list[Instance] | Rejection:
        """All instances as they stand."""
        ...

    async def standing(
        self, instance_id: str, brand: str, player_id: str
    ) -> tuple[Instance, Player] | Rejection:
        """An instance and a player's standing with it, both of one moment."""
        ...

    async def winners(
        self, instance_id: str, pot: int | None, brand: str, limit: int
    ) -> list[WinnerRow] | Rejection:
        """The latest winners, the latest first: of one pot or over all, of a brand or of all where it is empty."""
        ...

    async def entrants(
        self, instance_id: str, page: EntrantsPage
    ) -> tuple[Instance, list[Entrant]] | Rejection:
        """A page of those who take part in the running round of a raffle, and the instance at that moment.

        Nobody where no round runs, or where it is no raffle.
        """
        ...

    async def held_tickets(self, brand: str, player_id: str) -> list[HeldTickets] | Rejection:
        """What a player has in the running rounds of all Active raffles that allow the brand."""
        ...

    async def rounds(
        self, instance_id: str, limit: int, before: int | None
    ) -> list[RoundRow] | Rejection:
        """The rounds of a raffle that were resolved, the latest first; those with numbers below `before`."""
        ...

    async def round(
        self, instance_id: str, number: int
    ) -> tuple[Instance, RoundRow, list[WinnerRow], list[CreditRow]] | Rejection:
        """A round that was resolved, its winners as they were drawn, and what wallets have still to be told of it.

        JACKPOT_NOT_FOUND where there is no such round yet.
        """
        ...

    async def operate(self, instance_id: str, command: OperatorCommand) -> Operated | Rejection:
        """Does what a person wants of an instance beside play; its owner stamps the time."""
        ...

    async def create(self, entry: InstanceEntry) -> Instance | Rejection:
        """Gives birth to an instance that the catalog has taken in."""
        ...

    def opt_in(self, instance_id: str, command: OptIn, answer: OptInAnswer) -> None:
        """Opts a player in or out; the answer calls back."""
        ...


def not_found(instance_id: str) -> Rejection:
    return Rejection(Code.JACKPOT_NOT_FOUND, instance_id)


def no_round(instance_id: str, number: int) -> Rejection:
    return Rejection(Code.JACKPOT_NOT_FOUND, f"round {number} of {instance_id}")


class LocalOwners:
    """All instances live here."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    def has(self, instance_id: str) -> bool:
        """Whether an instance lives here."""
        return instance_id in self._shard.actors

    async def instance(self, instance_id: str) -> Instance | Rejection:
        state = self._shard.state(instance_id)
        await self._shard.durable()
        return state or not_found(instance_id)

    async def instances(self) -> list[Instance] | Rejection:
        states = self._shard.states()
        await self._shard.durable()
        return states

    async def standing(
        self, instance_id: str, brand: str, player_id: str
    ) -> tuple[Instance, Player] | Rejection:
        state = self._shard.state(instance_id)
        if state is None:
            return not_found(instance_id)
        player = self._shard.player(instance_id, brand, player_id)
        await self._shard.durable()
        return state, player

    async def winners(
        self, instance_id: str, pot: int | None, brand: str, limit: int
    ) -> list[WinnerRow] | Rejection:
        if self._shard.state(instance_id) is None:
            return not_found(instance_id)
        rows_down = (
            self._shard.winners_down(instance_id)
            if pot is None
            else self._shard.pot_winners_down(instance_id, pot)
        )
        found = await _first(rows_down, brand, limit)
        await self._shard.durable()
        return found

    async def entrants(
        self, instance_id: str, page: EntrantsPage
    ) -> tuple[Instance, list[Entrant]] | Rejection:
        found = await raffle_reads.entrants(self._shard, instance_id, page)
        await self._shard.durable()
        return found or not_found(instance_id)

    async def held_tickets(self, brand: str, player_id: str) -> list[HeldTickets] | Rejection:
        raffles = [
            state.definition.instance_id
            for state in self._shard.states()
            if state.rules.raffle is not None
        ]
        return (await self.held_tickets_of(raffles, brand, player_id))[0]

    async def held_tickets_of(
        self, raffles: Iterable[str], brand: str, player_id: str
    ) -> tuple[list[HeldTickets], list[str]]:
        """The same of these raffles, and which of them do not live here."""
        found = await raffle_reads.held_tickets(self._shard, raffles, brand, player_id)
        await self._shard.durable()
        return found

    async def rounds(
        self, instance_id: str, limit: int, before: int | None
    ) -> list[RoundRow] | Rejection:
        if self._shard.state(instance_id) is None:
            return not_found(instance_id)
        found = await raffle_reads.rounds(self._shard, instance_id, limit, before)
        await self._shard.durable()
        return found

    async def round(
        self, instance_id: str, number: int
    ) -> tuple[Instance, RoundRow, list[WinnerRow], list[CreditRow]] | Rejection:
        found = await raffle_reads.resolved_round(self._shard, instance_id, number)
        state = self._shard.state(instance_id)
        await self._shard.durable()
        if state is None:
            return not_found(instance_id)
        return no_round(instance_id, number) if found is None else (state, *found)

    async def operate(self, instance_id: str, command: OperatorCommand) -> Operated | Rejection:
        if instance_id not in self._shard.actors:
            return not_found(instance_id)
        if isinstance(command, Inherit) and not self._has_players_of(command.from_instance):
            message = f"{command.from_instance} lives with another worker than {instance_id}"
            return Rejection(Code.INVALID_STATE, message)
        return await self._shard.operate(instance_id, command)

    def _has_players_of(self, instance_id: str) -> bool:
        """Whether the players of an instance are here, and stay; the empty name has none."""
        is_leaving = instance_id in self._shard.fold.moves.departing()
        return not instance_id or (self.has(instance_id) and not is_leaving)

    async def create(self, entry: InstanceEntry) -> Instance | Rejection:
        return await self._shard.create(entry)

    def opt_in(self, instance_id: str, command: OptIn, answer: OptInAnswer) -> None:
        if instance_id in self._shard.actors:
            self._shard.opt_in(instance_id, command, answer)
        else:
            answer(not_found(instance_id))


async def _first(rows_down: Iterator[WinnerRow], brand: str, limit: int) -> list[WinnerRow]:
    """The first winners of a brand, or of all; a brand that wins rarely must not hold up the contributions."""
    found: list[WinnerRow] = []
    if not limit:
        return found
    for seen, row in enumerate(rows_down, 1):
        if not brand or row.brand == brand:
            found.append(row)
            if len(found) == limit:
                break
        if seen % ROWS_AT_ONCE_MAX == 0:
            await trio.lowlevel.checkpoint()
    return found
