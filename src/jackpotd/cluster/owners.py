"""Owners on several nodes: what lives here is asked directly, all else over the mesh."""

from collections.abc import Callable

import trio

from jackpotd.cluster.answers import LOST, NOT_THERE, refusal_of
from jackpotd.cluster.contributions import ask_opt_in
from jackpotd.core.commands import OperatorCommand, OptIn
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import UNKNOWN_PLAYER, Instance, Player, Status
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.cells import instance_id_of, instance_of
from jackpotd.engine.messages import Operated, OptInAnswer
from jackpotd.engine.overlay import player_cell
from jackpotd.engine.owners import LocalOwners, not_found
from jackpotd.engine.places import Definitions
from jackpotd.engine.raffle_reads import Entrant, EntrantsPage, HeldTickets
from jackpotd.mesh.link import Unreached
from jackpotd.mesh.mesh import Mesh
from jackpotd.wire import mesh_messages as wire
from jackpotd.wire import operator_commands, parts, records, rows
from jackpotd.wire import raffle_messages as raffle_wire
from jackpotd.wire.catalog_records import InstanceEntry
from jackpotd.wire.rows import CreditRow, RoundRow, WinnerRow

INSTANCES_PER_QUESTION_MAX = 256
LOOKS_MAX = 2
Held = tuple[list[HeldTickets], list[str]]
"""What a player has in some raffles, and which of these are not where they were asked for."""
UNCERTAIN = Rejection(
    Code.OVERLOADED,
    "the connection to the worker of this jackpot broke: look at the jackpot before asking again",
)


class RemoteOwners:
    """The owners of all instances, asked from one node; the edge has none of its own."""

    def __init__(
        self,
        mesh: Mesh,
        catalog: Catalog,
        definitions: Definitions,
        where: Callable[[str], int],
        *,
        here: LocalOwners | None,
        note: Callable[[str, Status], None] = lambda _instance_id, _status: None,
    ) -> None:
        self._mesh = mesh
        self._catalog = catalog
        self._definitions = definitions
        self._where = where
        self._here = here
        self._note = note

    def _local(self, instance_id: str) -> LocalOwners | None:
        here = self._here
        return here if here is not None and here.has(instance_id) else None

    async def _ask(self, instance_id: str, message: wire.Message) -> wire.Message | Rejection:
        """The answer of an instance's owner; its refusal, or why it cannot be asked."""
        if instance_id not in self._catalog.instances:
            return not_found(instance_id)
        node = self._where(instance_id)
        if node == self._mesh.node:
            return NOT_THERE
        answer = await self._mesh.question(node, message)
        return refusal_of(answer) if isinstance(answer, Unreached | wire.Refused) else answer

    async def instance(self, instance_id: str) -> Instance | Rejection:
        local = self._local(instance_id)
        if local is not None:
            return await local.instance(instance_id)
        answer = await self._ask(instance_id, wire.AskInstances((instance_id,)))
        return self._only(answer, instance_id)

    def _only(self, answer: wire.Message | Rejection, instance_id: str) -> Instance | Rejection:
        if isinstance(answer, Rejection):
            return answer
        if not isinstance(answer, wire.Instances):
            raise TypeError(f"{type(answer).__name__} is no instance")
        return self._instance(instance_id, answer.rows[0]) if answer.rows[0] else NOT_THERE

    def _instance(self, instance_id: str, data: bytes) -> Instance:
        state = instance_of(rows.decode(data), self._definitions.of(instance_id))
        self._note(instance_id, state.status)
        return state

    async def instances(self) -> list[Instance] | Rejection:
        found: list[Instance] = []
        if self._here is not None:
            local = await self._here.instances()
            if isinstance(local, Rejection):
                return local
            found += local
        by_node: dict[int, list[str]] = {}
        for instance_id in self._catalog.instances:
            by_node.setdefault(self._where(instance_id), []).append(instance_id)
        by_node.pop(self._mesh.node, None)
        for node, names in by_node.items():
            for at in range(0, len(names), INSTANCES_PER_QUESTION_MAX):
                some = tuple(names[at : at + INSTANCES_PER_QUESTION_MAX])
                answer = await self._mesh.question(node, wire.AskInstances(some))
                if not isinstance(answer, wire.Instances):
                    return refusal_of(answer)
                rows_of = zip(some, answer.rows, strict=True)
                found += [self._instance(name, data) for name, data in rows_of if data]
        return found

    async def standing(
        self, instance_id: str, brand: str, player_id: str
    ) -> tuple[Instance, Player] | Rejection:
        local = self._local(instance_id)
        if local is not None:
            return await local.standing(instance_id, brand, player_id)
        answer = await self._ask(instance_id, wire.AskStanding(instance_id, brand, player_id))
        if isinstance(answer, Rejection):
            return answer
        found = standing_of(answer, self._definitions)
        if not isinstance(found, Rejection):
            self._note(instance_id, found[0].status)
        return found

    async def winners(
        self, instance_id: str, pot: int | None, brand: str, limit: int
    ) -> list[WinnerRow] | Rejection:
        local = self._local(instance_id)
        if local is not None:
            return await local.winners(instance_id, pot, brand, limit)
        answer = await self._ask(instance_id, wire.AskWinners(instance_id, pot, brand, limit))
        if isinstance(answer, Rejection):
            return answer
        if not isinstance(answer, wire.Winners):
            raise TypeError(f"{type(answer).__name__} are no winners")
        return [rows.decode(data) for data in answer.rows]

    async def entrants(
        self, instance_id: str, page: EntrantsPage
    ) -> tuple[Instance, list[Entrant]] | Rejection:
        local = self._local(instance_id)
        if local is not None:
            return await local.entrants(instance_id, page)
        answer = await self._ask(
            instance_id,
            raffle_wire.AskEntrants(
                instance_id, page.brands, page.by, page.descending, page.skip, page.limit
            ),
        )
        if isinstance(answer, Rejection):
            return answer
        if not isinstance(answer, raffle_wire.Entrants):
            raise TypeError(f"{type(answer).__name__} are no entrants")
        found = [(brand, name, parts.core_of(held)) for brand, name, held in answer.entrants]
        return self._instance(instance_id, answer.instance), found

    async def held_tickets(self, brand: str, player_id: str) -> list[HeldTickets] | Rejection:
        """One question to each worker that has raffles of the brand, all at once."""
        raffles = [
            entry.instance_id
            for entry in self._catalog.instances.values()
            if entry.schedule is not None and brand in entry.brands
            if self._definitions.of(entry.instance_id).rules.raffle is not None
        ]
        found: dict[str, HeldTickets] = {}
        missing = raffles
        for _ in range(LOOKS_MAX):  # one that moves meanwhile is asked for again
            answers = await self._held_tickets(missing, brand, player_id)
            missing = []
            for answer in answers:
                if isinstance(answer, Rejection):
                    return answer
                found |= {held.instance_id: held for held in answer[0]}
                missing += answer[1]
            if not missing:
                break
        # Whatever is nowhere has not been born yet.
        return [found[name] for name in raffles if name in found]

    async def _held_tickets(
        self, raffles: list[str], brand: str, player_id: str
    ) -> list[Held | Rejection]:
        by_node: dict[int, list[str]] = {}
        for instance_id in raffles:
            by_node.setdefault(self._where(instance_id), []).append(instance_id)
        answers: list[Held | Rejection] = []

        async def ask(node: int, names: list[str]) -> None:
            answers.append(await self._held_at(node, names, brand, player_id))

        async with trio.open_nursery() as nursery:
            for node, names in by_node.items():
                nursery.start_soon(ask, node, names)
        return answers

    async def _held_at(
        self, node: int, raffles: list[str], brand: str, player_id: str
    ) -> Held | Rejection:
        if node == self._mesh.node and self._here is not None:
            return await self._here.held_tickets_of(raffles, brand, player_id)
        message = raffle_wire.AskTickets(tuple(raffles), brand, player_id)
        answer = await self._mesh.question(node, message)
        if not isinstance(answer, raffle_wire.HeldTickets):
            return refusal_of(answer)
        held = [
            HeldTickets(name, starts_ms, ends_ms, parts.core_of(tickets))
            for name, starts_ms, ends_ms, tickets in answer.held
        ]
        return held, list(answer.missing)

    async def rounds(
        self, instance_id: str, limit: int, before: int | None
    ) -> list[RoundRow] | Rejection:
        local = self._local(instance_id)
        if local is not None:
            return await local.rounds(instance_id, limit, before)
        message = raffle_wire.AskRounds(instance_id, limit, before)
        answer = await self._ask(instance_id, message)
        if isinstance(answer, Rejection):
            return answer
        if not isinstance(answer, raffle_wire.ResolvedRounds):
            raise TypeError(f"{type(answer).__name__} are no rounds")
        return [rows.decode(data) for data in answer.rows]

    async def round(
        self, instance_id: str, number: int
    ) -> tuple[Instance, RoundRow, list[WinnerRow], list[CreditRow]] | Rejection:
        local = self._local(instance_id)
        if local is not None:
            return await local.round(instance_id, number)
        answer = await self._ask(instance_id, raffle_wire.AskRound(instance_id, number))
        if isinstance(answer, Rejection):
            return answer
        if not isinstance(answer, raffle_wire.ResolvedRound):
            raise TypeError(f"{type(answer).__name__} is no round")
        return (
            self._instance(instance_id, answer.instance),
            rows.decode(answer.row),
            [rows.decode(data) for data in answer.winners],
            [rows.decode(data) for data in answer.credits],
        )

    async def operate(self, instance_id: str, command: OperatorCommand) -> Operated | Rejection:
        local = self._local(instance_id)
        if local is not None:
            return await local.operate(instance_id, command)
        message = wire.AskOperate(instance_id, *operator_commands.encode(command))
        answer = await self._ask(instance_id, message)
        if isinstance(answer, Rejection):
            return UNCERTAIN if answer is LOST else answer
        if not isinstance(answer, wire.Operated):
            raise TypeError(f"{type(answer).__name__} is no outcome of a command")
        events = tuple(records.to_events(wire.decode_events(answer.events)))
        return Operated(self._instance(instance_id, answer.row), events)

    async def create(self, entry: InstanceEntry) -> Instance | Rejection:
        local = self._local(entry.instance_id)
        if local is not None:
            return await local.create(entry)
        message = wire.GiveBirth(self._catalog.version, (entry.instance_id,))
        return self._only(await self._ask(entry.instance_id, message), entry.instance_id)

    def opt_in(self, instance_id: str, command: OptIn, answer: OptInAnswer) -> None:
        local = self._local(instance_id)
        if local is not None:
            local.opt_in(instance_id, command, answer)
        else:
            ask_opt_in(self._mesh, self._where(instance_id), instance_id, command, answer)


def standing_of(
    answer: wire.Message | Unreached, definitions: Definitions
) -> tuple[Instance, Player] | Rejection:
    """An instance and a player's standing with it, as a worker has told it; or why it has not."""
    if not isinstance(answer, wire.Standing):
        return refusal_of(answer)
    row = rows.decode(answer.instance)
    try:
        state = instance_of(row, definitions.of(instance_id_of(row)))
    except KeyError:  # it was born just now, and this node's catalog does not name it yet
        return NOT_THERE
    if answer.player is None:
        return state, UNKNOWN_PLAYER
    return state, player_cell(rows.decode(answer.player)).player
