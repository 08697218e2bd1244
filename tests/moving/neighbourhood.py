"""Several workers in one process, joined by plain calls: real folds, actors, givers, takers and checkpoints.

It stands for the mesh and the router: a request goes to where its instance is placed, links to where theirs are, and
what a worker that is down was told is lost. Nothing here decides about money.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio
import trio.lowlevel

from jackpotd.cluster.relocation import Relocate, plan, relocate, take_step
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.rules import Rules
from jackpotd.engine.fold import key_digest
from jackpotd.engine.messages import (
    Accepted,
    ContributeMessage,
    ContributionRequest,
    OperateMessage,
    OptInMessage,
)
from jackpotd.engine.moving import holdings
from jackpotd.testing.house import SeededEntropy, StepClock
from jackpotd.testing.templates import rates
from jackpotd.testing.vault import SeededVault
from jackpotd.wire import records
from jackpotd.wire.catalog_records import InstanceEntry, compile_document

from .grounds import Ground, Moment
from .neighbours import Port, Worker


class Neighbourhood:
    """The workers, where instances are placed, and every answer so far.

    Args:
        count: of the workers.
        entries: the instances of the catalog.
        linked: their links.
        begun: how a former neighbourhood stood at one moment.
    """

    def __init__(
        self,
        count: int,
        entries: Sequence[InstanceEntry],
        linked: dict[str, tuple[str, ...]],
        *,
        seed: int = 0,
        transaction_rows_max: int = 3,
        grounds: Sequence[Ground] = (),
    ) -> None:
        self.moments: list[Moment] = []
        self.is_noting = False
        self.grounds = list(grounds) or [Ground(self.note) for _ in range(count)]
        self.entries = {entry.instance_id: entry for entry in entries}
        self.linked = linked
        self.places = {name: at % count for at, name in enumerate(self.entries)}
        self.clock = StepClock()
        self.seed = seed
        self.entropy = SeededEntropy(seed)
        self.vault = SeededVault(seed)
        self.transaction_rows_max = transaction_rows_max
        self.workers: dict[int, Worker] = {}
        self.answers: dict[str, Accepted] = {}
        self.refusals: list[Rejection] = []
        self.rules: dict[str, Rules] = {
            entry.instance_id: compile_document(entry.document, list(entry.brands))
            for entry in entries
        }
        self._nursery: trio.Nursery | None = None

    def note(self) -> None:
        """Takes down how all disks are now."""
        if self.is_noting:
            remains = tuple(ground.remains() for ground in self.grounds)
            self.moments.append(Moment(remains, dict(self.places), len(self.answers)))

    def again_at(self, moment: Moment) -> "Neighbourhood":
        """The same neighbourhood after all machines had stopped at that moment."""
        hood = Neighbourhood(
            len(self.grounds),
            list(self.entries.values()),
            self.linked,
            seed=self.seed + len(self.moments),
            transaction_rows_max=self.transaction_rows_max,
        )
        hood.grounds = [
            ground.restored(remains, hood.note)
            for ground, remains in zip(self.grounds, moment.remains, strict=True)
        ]
        hood.places = dict(moment.places)
        hood.answers = dict(list(self.answers.items())[: moment.answers])
        hood.clock.now_ms = self.clock.now_ms
        return hood

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Starts all workers and finishes what was begun; leaving it stops them like a power cut."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for index in range(len(self.grounds)):
                await self.start(index)
            self._resume_links()
            await self.settle()
            self._give_birth()
            self._resume_links()
            await self.quiet()
            yield
            nursery.cancel_scope.cancel()

    async def start(self, index: int) -> None:
        assert self._nursery is not None
        worker = Worker(self, index)
        await self._nursery.start(worker.run)
        self.workers[index] = worker

    def crash(self, index: int) -> None:
        """One worker stops; what was not durable is lost, and so is what it was asked."""
        self.workers.pop(index).stop()
        self.grounds[index] = self.grounds[index].crashed()

    async def restart(self, index: int) -> None:
        """A worker comes back: what it was in the middle of goes on."""
        await self.start(index)
        self._resume_links()
        await self.settle()
        self._give_birth()
        self._resume_links()

    def _give_birth(self) -> None:
        held = {
            holding.instance_id
            for worker in self.workers.values()
            for holding in holdings(worker.fold)
        }
        for name in self.entries.keys() - held:
            home = self.workers.get(self.places[name])
            if home is not None and len(self.workers) == len(self.grounds):
                home.give_birth(self.entries[name])

    def _resume_links(self) -> None:
        for worker in self.workers.values():
            worker.links.resume()

    async def settle(self) -> None:
        """What was begun goes on, until every instance lives where it is placed, as far as workers are there."""
        while len(self.workers) == len(self.grounds):
            held = {index: holdings(worker.fold) for index, worker in self.workers.items()}
            steps = plan(held, self.places.__getitem__, len(self.grounds))
            if not steps:
                return
            ports = {index: Port(self, index) for index in self.workers}
            refused = await take_step(steps[0], ports, self.place)
            assert refused is None

    async def place(self, instance_id: str, worker: int) -> None:
        """What the edge's catalog does: from now on everybody sends there."""
        await trio.lowlevel.checkpoint()
        self.places[instance_id] = worker
        self.note()

    async def move(self, instance_id: str, to_worker: int) -> Rejection | None:
        """Moves an instance that is served."""
        step = Relocate(instance_id, self.places[instance_id], to_worker)
        if step.from_worker == to_worker:
            return None
        ports = Port(self, step.from_worker), Port(self, to_worker)
        refused = await relocate(step, *ports, self.place)
        self._resume_links()
        return refused

    def home(self, instance_id: str) -> Worker | None:
        """The worker that an instance is placed in, if it is there."""
        return self.workers.get(self.places[instance_id])

    def post(
        self, instance_id: str, message: ContributeMessage | OptInMessage | OperateMessage
    ) -> None:
        """To the owner of an instance, if it is there."""
        worker = self.home(instance_id)
        actor = None if worker is None else worker.actors.get(instance_id)
        if actor is None:
            message.answer(Rejection(Code.OVERLOADED, instance_id))
        else:
            actor.mailbox.post(message)

    def submit(self, request: ContributionRequest) -> None:
        """A contribution with a key that nobody serves at the moment."""
        links = self.linked.get(request.target.id, ()) if request.with_links else ()

        def answer(outcome: Accepted | Rejection) -> None:
            assert request.key is not None
            if isinstance(outcome, Rejection):
                self.refusals.append(outcome)
            else:
                assert request.key not in self.answers
                self.answers[request.key] = outcome

        self.post(request.target.id, ContributeMessage(request, rates(), True, links, answer))

    def ask_again(self, request: ContributionRequest) -> None:
        """A repeat: it is served only if its key was not used, as far as the owner of its target knows."""
        worker = self.home(request.target.id)
        assert request.key is not None
        digest = key_digest(request.operator, request.key)
        if worker is not None and worker.used(digest) is None:
            self.submit(request)

    def answer_link(self, sender: int, cause: int, place: int, where: int, record: bytes) -> None:
        worker = self.workers.get(sender)
        if worker is not None:
            worker.links.answered_elsewhere(cause, place, where, record)

    def forget(self, sender: int, cause: int) -> None:
        """A cause is settled: whoever answered it elsewhere need not know any more, and is told so now and then."""
        if cause % 2:
            return
        for worker in self.workers.values():
            if len(worker.fold.received):
                forgotten = worker.fold.forgotten(sender, (cause,), 0)
                worker.journal.stage(records.encode(forgotten))
                worker.fold.forget(forgotten)

    async def quiet(self) -> None:
        """Waits until nobody has anything to do but to wait for a worker that is down."""
        still = 0
        while still < 20:
            await trio.lowlevel.checkpoint()
            still += 1
            for worker in self.workers.values():
                queued = any(len(actor.mailbox) for actor in worker.actors.values())
                if queued or worker.journal.staged_seq != worker.journal.committed_seq:
                    still = 0
