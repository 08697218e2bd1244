"""One worker's share of the house: its instances' actors over one journal, and the checkpoint in the background.

It is born from its rows and the tail of its journal, gives birth to instances that the catalog asks for, and runs until
cancelled. Requests reach it through the router.
"""

from collections.abc import Callable, Iterator

import trio
from msgspec import Struct

from jackpotd.core.commands import OperatorCommand, OptIn
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Instance, Player
from jackpotd.engine.actor import Actor, ActorStatistics
from jackpotd.engine.alarms import Alarms
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.cells import Cell, birth_of
from jackpotd.engine.fold import Fold
from jackpotd.engine.idempotency import KeyDesk
from jackpotd.engine.mailbox import MailboxFull
from jackpotd.engine.messages import (
    AlarmMessage,
    ContributeMessage,
    Operated,
    OperateMessage,
    OptInAnswer,
    OptInMessage,
    Reply,
)
from jackpotd.engine.places import Definitions
from jackpotd.engine.ports import Clock, Entropy, Journal, Vault, Views
from jackpotd.engine.propagation import Propagation
from jackpotd.engine.ticket_book import TicketBook
from jackpotd.wire import records
from jackpotd.wire.catalog_records import InstanceEntry
from jackpotd.wire.rows import WinnerRow

OVERLOADED = Rejection(Code.OVERLOADED, "too many contributions are waiting for this jackpot")


class ShardStatistics(Struct, frozen=True):
    """Totals of a shard; details stand with its actors and its journal."""

    instances: int
    changed_rows: int
    propagations: int


class Shard:
    """The owner of a set of instances.

    Args:
        fold: their state, recovered.
        journal: where their records go.
        clock: stamps what happens.
        entropy: names rounds.
        vault: keeps the secrets behind seals.
        mailbox_length_max: the most messages that wait for one instance.
        has_embedded_wallet: whether players' parts can be taken.
        index: the worker's number; None is the only worker, which gives birth by itself to all that the catalog names.
        views: the keys of workers that instances here came from.
    """

    def __init__(
        self,
        fold: Fold,
        journal: Journal,
        clock: Clock,
        entropy: Entropy,
        *,
        vault: Vault,
        mailbox_length_max: int,
        has_embedded_wallet: bool,
        index: int | None = None,
        views: Views | None = None,
    ) -> None:
        self.fold = fold
        self.index = index
        self.has_embedded_wallet = has_embedded_wallet
        self.journal = journal
        self.actors: dict[str, Actor] = {}
        self.key_desk = KeyDesk(fold, journal, clock, views)
        self._clock = clock
        self._entropy = entropy
        self._vault = vault
        self._alarms = Alarms(clock, self._ring)
        # Rounds of many raffles end together, at midnight: between two of them others have their turn.
        self._one_draw_at_a_time = trio.Lock()
        self._mailbox_length_max = mailbox_length_max
        self.propagation = Propagation(self.actors, fold, journal)
        self.told_of_start: Callable[[str], None] = lambda _instance_id: None
        self.told_of_removal: Callable[[str], None] = lambda _instance_id: None
        self.told_of_status: Callable[[str], None] = lambda _instance_id: None
        self._told_of_unfinished: list[Callable[[Instance], None]] = []
        self._nursery: trio.Nursery | None = None

    async def run(
        self, catalog: Catalog, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Runs every actor; resumes links that a crash cut off. Expects a fold that was recovered.

        With several workers, neither births nor links: the edge and the node know when.
        """
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._alarms.run, name="alarms")
            definitions = Definitions(catalog)
            self.key_desk.definitions = self.propagation.definitions = definitions
            for cell in list(self.fold.cells.values()):
                self.start(cell)
            if self.index is None:
                for entry in catalog.instances.values():
                    self._give_birth(entry)
                self.propagation.resume(catalog, can_debit=self.has_embedded_wallet)
            task_status.started()
            await trio.sleep_forever()

    def start(self, cell: Cell) -> None:
        """Runs an actor for an instance."""
        if self._nursery is None:
            raise RuntimeError("the shard does not run")
        actor = Actor(
            cell,
            fold=self.fold,
            journal=self.journal,
            clock=self._clock,
            entropy=self._entropy,
            vault=self._vault,
            alarms=self._alarms,
            propagation=self.propagation,
            mailbox_length_max=self._mailbox_length_max,
            one_draw_at_a_time=self._one_draw_at_a_time,
            told_of_status=lambda name: self.told_of_status(name),  # noqa: PLW0108 - set later
        )
        self.actors[actor.instance_id] = actor
        self._nursery.start_soon(actor.run, name=f"actor {actor.instance_id}")
        if cell.state.rules.raffle is not None:
            self._nursery.start_soon(actor.gather_tickets, name=f"tickets {actor.instance_id}")
        self.told_of_start(actor.instance_id)
        self._tell_of_unfinished(cell.state)

    def on_unfinished(self, callback: Callable[[Instance], None]) -> None:
        """Told of instances that have money on its way to others, or whose opt-ins are still to be copied."""
        self._told_of_unfinished.append(callback)

    def _tell_of_unfinished(self, state: Instance) -> None:
        if state.rare.transfers or state.rare.inherits:
            for callback in self._told_of_unfinished:
                callback(state)

    def catching_up(self) -> frozenset[str]:
        """Instances that stand still until what is due has happened: they serve nothing of their mail meanwhile."""
        return frozenset(name for name, actor in self.actors.items() if actor.is_catching_up)

    def _ring(self, instance_id: str) -> None:
        actor = self.actors.get(instance_id)
        if actor is not None:
            actor.mailbox.post_due(AlarmMessage())

    def remove(self, instance_id: str) -> None:
        """Knows an actor no more."""
        self._alarms.set(instance_id, None)
        if self.actors.pop(instance_id, None) is not None:
            self.told_of_removal(instance_id)

    def _give_birth(self, entry: InstanceEntry) -> None:
        if entry.instance_id in self.actors:
            return
        created = birth_of(entry)
        encoded = records.encode(created)
        self.fold.create(self.journal.stage(encoded), created, encoded)
        self.start(self.fold.cells[entry.instance_id])

    async def create(self, entry: InstanceEntry) -> Instance:
        """An instance that the catalog has just taken in; returns when its birth is durable."""
        self._give_birth(entry)
        await self.journal.durable()
        return self.fold.cells[entry.instance_id].state

    # Reads see what is in memory, durable or not: await `durable()` before reporting any of it.

    async def durable(self) -> None:
        """Waits until everything that a read has seen is on stable storage."""
        await self.journal.durable()

    def state(self, instance_id: str) -> Instance | None:
        """An instance as it stands."""
        cell = self.fold.cells.get(instance_id)
        return None if cell is None else cell.state

    def states(self) -> list[Instance]:
        """All instances as they stand."""
        return [cell.state for cell in self.fold.cells.values()]

    def player(self, instance_id: str, brand: str, player_id: str) -> Player:
        """A player's standing with an instance; the unknown player if there is none yet."""
        return self.fold.player(instance_id, brand, player_id)

    def winners_down(self, instance_id: str) -> Iterator[WinnerRow]:
        """An instance's winners over all pots, the latest first."""
        pots = len(self.fold.cells[instance_id].state.pots)
        return self.fold.overlay.winners_down(instance_id, pots)

    def pot_winners_down(self, instance_id: str, pot: int) -> Iterator[WinnerRow]:
        """A pot's winners, the latest first."""
        return (row for _, row in self.fold.overlay.pot_winners_down(instance_id, pot))

    async def tickets(self, instance_id: str) -> TicketBook | None:
        """The tickets of a raffle's running round, once they are all known; None where no round runs here."""
        actor = self.actors.get(instance_id)
        book = None if actor is None else await actor.whole_book()
        is_here = actor is self.actors.get(instance_id)  # else some may be missing
        return book if is_here else None

    def contribute(self, instance_id: str, message: ContributeMessage) -> None:
        """To the owner of an instance; its answer calls back."""
        self._post(instance_id, message)

    def opt_in(self, instance_id: str, command: OptIn, answer: OptInAnswer) -> None:
        """To the owner of an instance; its answer calls back."""
        self._post(instance_id, OptInMessage(command, answer))

    async def operate(self, instance_id: str, command: OperatorCommand) -> Operated | Rejection:
        """Asks the owner of an instance; returns when its answer is durable."""
        reply: Reply[Operated | Rejection] = Reply()

        def answer(outcome: Operated | Rejection) -> None:
            if isinstance(outcome, Operated):
                self._tell_of_unfinished(outcome.state)
            reply.resolve(outcome)

        self._post(instance_id, OperateMessage(command, answer))
        return await reply.wait()

    def _post(
        self, instance_id: str, message: ContributeMessage | OptInMessage | OperateMessage
    ) -> None:
        try:
            self.actors[instance_id].mailbox.post(message)
        except MailboxFull:
            message.answer(OVERLOADED)

    def statistics(self) -> ShardStatistics:
        return ShardStatistics(
            instances=len(self.actors),
            changed_rows=self.fold.changed_rows,
            propagations=len(self.fold.propagations),
        )

    def actor_statistics(self) -> dict[str, ActorStatistics]:
        return {instance_id: actor.statistics() for instance_id, actor in self.actors.items()}
