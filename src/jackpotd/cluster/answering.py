"""What other nodes ask this worker about its instances; each answer waits until all that it tells is durable here."""

from collections.abc import Sequence
from functools import partial

import trio.lowlevel

from jackpotd.cluster.catalog import CatalogCopy
from jackpotd.cluster.sketches import Sketches
from jackpotd.core.commands import OptIn
from jackpotd.core.events import StatusChanged
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import UNKNOWN_PLAYER, Player
from jackpotd.engine import raffle_reads
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.cells import Cell, row_of
from jackpotd.engine.crowd import in_steps
from jackpotd.engine.messages import MOVED, Taken
from jackpotd.engine.overlay import PlayerCell, player_row
from jackpotd.engine.owners import LocalOwners, no_round
from jackpotd.engine.raffle_reads import EntrantsPage
from jackpotd.engine.shard import Shard
from jackpotd.mesh.mesh import Asked, Mesh
from jackpotd.wire import mesh_messages as wire
from jackpotd.wire import operator_commands, parts, records, rows
from jackpotd.wire import raffle_messages as raffle_wire


class Reading:
    """The worker's side of the reads of `RemoteOwners`."""

    def __init__(self, mesh: Mesh, shard: Shard) -> None:
        self._shard = shard
        self._owners = LocalOwners(shard)
        mesh.handle_slowly(wire.AskInstances, self._instances)
        mesh.handle_slowly(wire.AskStanding, self._standing)
        mesh.handle_slowly(wire.AskWinners, self._winners)
        mesh.handle_slowly(raffle_wire.AskEntrants, self._entrants)
        mesh.handle_slowly(raffle_wire.AskTickets, self._tickets)
        mesh.handle_slowly(raffle_wire.AskRounds, self._rounds)
        mesh.handle_slowly(raffle_wire.AskRound, self._round)

    def _row(self, instance_id: str) -> bytes:
        """An instance's row, or nothing if it is not here."""
        cell = self._shard.fold.cells.get(instance_id)
        return b"" if cell is None else row_data(cell)

    async def _instances(self, _peer: int, message: wire.AskInstances) -> wire.Message:
        found = tuple([self._row(instance_id) for instance_id in message.instance_ids])
        await self._shard.durable()
        return wire.Instances(found)

    async def _standing(self, _peer: int, message: wire.AskStanding) -> wire.Message:
        instance = self._row(message.instance_id)
        if not instance:
            return refused(MOVED)
        player = self._shard.player(message.instance_id, message.brand, message.player_id)
        await self._shard.durable()
        return wire.Standing(instance, player_data(player))

    async def _winners(self, _peer: int, message: wire.AskWinners) -> wire.Message:
        found = await self._owners.winners(
            message.instance_id, message.pot, message.brand, message.limit
        )
        if isinstance(found, Rejection):
            return refused(found)
        return wire.Winners(tuple([rows.encode(row) for row in found]))

    async def _entrants(self, _peer: int, message: raffle_wire.AskEntrants) -> wire.Message:
        page = EntrantsPage(
            message.brands, message.by, message.descending, message.skip, message.limit
        )
        found = await raffle_reads.entrants(self._shard, message.instance_id, page)
        if isinstance(found, Rejection):
            return refused(found)
        instance = self._row(message.instance_id)  # of the same moment
        if found is None or not instance:
            return refused(MOVED)
        await self._shard.durable()
        entrants = [(brand, name, parts.part_of(held)) for brand, name, held in found[1]]
        return raffle_wire.Entrants(instance, tuple(entrants))

    async def _tickets(self, _peer: int, message: raffle_wire.AskTickets) -> wire.Message:
        found, missing = await self._owners.held_tickets_of(
            message.instance_ids, message.brand, message.player_id
        )
        held = [
            (each.instance_id, each.starts_ms, each.ends_ms, parts.part_of(each.tickets))
            for each in found
        ]
        return raffle_wire.HeldTickets(tuple(held), tuple(missing))

    async def _rounds(self, _peer: int, message: raffle_wire.AskRounds) -> wire.Message:
        if not self._owners.has(message.instance_id):
            return refused(MOVED)
        found = await self._owners.rounds(message.instance_id, message.limit, message.before)
        if isinstance(found, Rejection):
            return refused(found)
        return raffle_wire.ResolvedRounds(tuple([rows.encode(row) for row in found]))

    async def _round(self, _peer: int, message: raffle_wire.AskRound) -> wire.Message:
        instance_id = message.instance_id
        found = await raffle_reads.resolved_round(self._shard, instance_id, message.number)
        instance = self._row(instance_id)
        await self._shard.durable()
        if not instance:
            return refused(MOVED)
        if found is None:
            return refused(no_round(instance_id, message.number))
        row, winners, unpaid = found
        return raffle_wire.ResolvedRound(
            instance, rows.encode(row), await _encoded(winners), await _encoded(unpaid)
        )


class Answering(Reading):
    """The worker's side of `RemoteOwners`: what changes something, too."""

    def __init__(
        self, mesh: Mesh, copy: CatalogCopy, catalog: Catalog, shard: Shard, sketches: Sketches
    ) -> None:
        super().__init__(mesh, shard)
        self._copy = copy
        self._catalog = catalog
        self._sketches = sketches
        mesh.handle_slowly(wire.AskOperate, self._operate)
        mesh.handle_slowly(wire.GiveBirth, self._birth)
        mesh.handle(wire.AskOptIn, self._opt_in)

    async def _operate(self, _peer: int, message: wire.AskOperate) -> wire.Message:
        """What a person's command did, once every worker has heard of the status that the instance has now."""
        command = operator_commands.decode(message.kind, message.command)
        outcome = await self._owners.operate(message.instance_id, command)
        if isinstance(outcome, Rejection):
            return refused(outcome)
        events = wire.encode_events(records.from_events(outcome.events))
        row = self._row(message.instance_id)
        if not row:
            return refused(MOVED)
        if any(isinstance(event, StatusChanged) for event in outcome.events):
            await self._sketches.told([message.instance_id])
        await self._shard.durable()
        return wire.Operated(row, events)

    async def _birth(self, _peer: int, message: wire.GiveBirth) -> wire.Message:
        await self._copy.seen(message.version)
        for instance_id in message.instance_ids:
            await self._shard.create(self._catalog.instances[instance_id])
        await self._sketches.told(message.instance_ids)
        return wire.Instances(tuple([self._row(name) for name in message.instance_ids]))

    def _opt_in(self, asked: Asked, message: wire.AskOptIn) -> None:
        command = OptIn(
            at_ms=0,
            brand=message.brand,
            player_id=message.player_id,
            country=message.country,
            opt_in=message.opt_in,
            preferred=message.preferred,
            preferred_currency=message.preferred_currency,
            rates=message.rates,
        )
        self._owners.opt_in(message.instance_id, command, partial(_tell, asked))


async def _encoded(found: Sequence[rows.Row]) -> tuple[bytes, ...]:
    """Rows for the mesh; a round may have thousands of them."""
    encoded: list[bytes] = []
    for step in in_steps(found):
        encoded += [rows.encode(row) for row in step]
        await trio.lowlevel.checkpoint()
    return tuple(encoded)


def _tell(asked: Asked, outcome: Taken | Rejection | None) -> None:
    asked.answer(refused(outcome) if isinstance(outcome, Rejection) else wire.DONE)


def row_data(cell: Cell) -> bytes:
    """An instance's row for the mesh."""
    return rows.encode(row_of(cell))


def player_data(player: Player) -> bytes | None:
    """A player's row for the mesh; None for the unknown player."""
    return None if player is UNKNOWN_PLAYER else rows.encode(player_row(PlayerCell(0, player)))


def refused(rejection: Rejection) -> wire.Refused:
    """A refusal for the mesh."""
    return wire.Refused(rejection.code, rejection.message)
