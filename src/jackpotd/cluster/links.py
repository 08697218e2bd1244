"""Links between instances of different workers: sent until they are answered, taken once, forgotten when settled.

The sender's open links are those of its journal; what is under way to a worker is bounded, the rest waits here. The
receiver's record of an answer is durable before it is told, and stays until the sender's journal has settled the cause
durably. A receiver that does not have the instance says so; whoever has it announces it, and the link is sent there.
"""

from collections import deque
from collections.abc import Callable

import msgspec
import trio
import trio.lowlevel

from jackpotd.cluster.catalog import CatalogCopy
from jackpotd.engine.fold import Fold
from jackpotd.engine.messages import LinkMessage
from jackpotd.engine.propagation import Propagation
from jackpotd.engine.shard import Shard
from jackpotd.mesh import is_worker
from jackpotd.mesh.mesh import Asked, Mesh
from jackpotd.wire import mesh_messages as wire
from jackpotd.wire import records

UNDER_WAY_MAX = 1_000
FORGET_INTERVAL_S = 0.5

At = tuple[int, int]
"""A cause, and the link's place."""


class _Open(msgspec.Struct):
    """A link that has not answered: whom it goes to, once its cause is durable; lost, if that one does not have it."""

    instance_id: str
    message: LinkMessage
    to: int | None = None
    is_lost: bool = False


class RemoteLinks:
    """Both sides of one worker: what it sends, and what it answers."""

    def __init__(
        self,
        mesh: Mesh,
        copy: CatalogCopy,
        shard: Shard,
        where: Callable[[str], int],
        *,
        deadline_s: float,
    ) -> None:
        self.deadline_s = deadline_s
        self._mesh = mesh
        self._copy = copy
        self._shard = shard
        self._fold: Fold = shard.fold
        self._journal = shard.journal
        self._propagation: Propagation = shard.propagation
        self._where = where
        self._open: dict[At, _Open] = {}
        self._waiting: dict[int, deque[At]] = {}
        self._under_way: dict[int, set[At]] = {}
        self._sent_causes: set[int] = set()
        self._settled: dict[int, list[int]] = {}
        self._to_forget: deque[tuple[int, wire.LinksSettled]] = deque()
        self._forget_asked = trio.Event()
        mesh.handle(wire.Link, self._link)
        mesh.handle(wire.LinkAnswered, self._answered)
        mesh.handle(wire.LinkNotHere, self._not_here)
        mesh.handle(wire.LinksSettled, self._links_settled)
        mesh.on_up(self._came_up)
        mesh.on_down(self._went_down)
        copy.on_change(self._find_lost)

    # As sender.

    def send(self, instance_id: str, message: LinkMessage) -> None:
        """Sends a link once its cause is durable, until it is answered."""
        at = (message.cause, message.place)
        numbered = msgspec.structs.replace(message, worker=self._mesh.node)
        self._open[at] = _Open(instance_id, numbered)
        self._sent_causes.add(message.cause)
        self._journal.when_durable(lambda: self._route(at))

    def _route(self, at: At) -> None:
        found = self._open.get(at)
        if found is not None:
            node = self._where(found.instance_id)
            found.to, found.is_lost = node, False
            self._waiting.setdefault(node, deque()).append(at)
            self._pump(node)

    def _pump(self, node: int) -> None:
        """Sends what waits for a node, as far as it may be under way."""
        waiting = self._waiting.get(node)
        if not waiting or not (node == self._mesh.node or self._mesh.is_up(node)):
            return
        under_way = self._under_way.setdefault(node, set())
        while waiting and len(under_way) < UNDER_WAY_MAX:
            at = waiting.popleft()
            found = self._open.get(at)
            if found is None or found.to != node:
                continue
            if self._where(found.instance_id) != node:
                self._route(at)
                continue
            under_way.add(at)
            self._deliver(node, found)

    def _deliver(self, node: int, found: _Open) -> None:
        message = found.message
        if node == self._mesh.node:
            actor = self._shard.actors.get(found.instance_id)
            if actor is not None:  # else it is on its way here, and started then
                actor.mailbox.post_due(message)
            return
        self._mesh.post(
            node,
            wire.Link(
                cause=message.cause,
                place=message.place,
                instance_id=found.instance_id,
                bet=message.bet,
                rates=dict(message.rates),
                can_debit=message.can_debit,
            ),
        )

    def _done(self, at: At) -> None:
        found = self._open.pop(at, None)
        if found is not None and found.to is not None:
            self._under_way.get(found.to, set()).discard(at)
            self._pump(found.to)

    def _answered(self, asked: Asked, answer: wire.LinkAnswered) -> None:
        self._propagation.take_copy(asked.peer, answer.cause, answer.place, answer.record)
        self._done((answer.cause, answer.place))

    def _not_here(self, asked: Asked, answer: wire.LinkNotHere) -> None:
        """The instance has moved, or moves: whoever has it announces it, or has."""
        at = (answer.cause, answer.place)
        self._copy.when_seen(answer.version, lambda: self._elsewhere(asked.peer, at))

    def _elsewhere(self, node: int, at: At) -> None:
        found = self._open.get(at)
        if found is not None and found.to == node:
            self._under_way.get(node, set()).discard(at)
            found.is_lost = True
            self._find_lost()
            self._pump(node)

    def _find_lost(self) -> None:
        """Sends what was lost to whom the catalog names now."""
        for at, found in list(self._open.items()):
            if found.is_lost and self._where(found.instance_id) != found.to:
                self._route(at)

    def announced(self, node: int, instance_ids: set[str]) -> None:
        """A worker has these instances: what is open for them goes there, unless it did already."""
        for at, found in list(self._open.items()):
            if found.instance_id in instance_ids and found.to is not None:
                if found.to != node:
                    self._under_way.get(found.to, set()).discard(at)
                elif not found.is_lost and node != self._mesh.node:
                    continue
                self._under_way.get(node, set()).discard(at)
                self._route(at)
        self._tell_watermark(node)

    def _came_up(self, node: int) -> None:
        if is_worker(node):
            self._tell_watermark(node)
            self._pump(node)

    def _tell_watermark(self, node: int) -> None:
        """What is settled is forgotten there, also what has come there with an instance that moved."""
        if node != self._mesh.node:
            below = self._lowest_open()
            self._journal.when_durable(lambda: self._tell_settled(node, (), below))

    def _tell_settled(self, node: int, causes: tuple[int, ...], below: int) -> None:
        self._mesh.post(node, wire.LinksSettled(causes, below))

    def _went_down(self, node: int) -> None:
        under_way = self._under_way.pop(node, set())
        if under_way:
            waiting = self._waiting.setdefault(node, deque())
            waiting.extendleft(sorted(under_way, reverse=True))

    def settled(self, cause: int, links: tuple[str, ...]) -> None:
        """All links of a request have answered: those who keep their answers may forget them, a little later."""
        if cause in self._sent_causes:
            self._sent_causes.remove(cause)
        elif all(instance_id in self._shard.actors for instance_id in links):
            return
        for node in {self._where(instance_id) for instance_id in links}:
            self._settled.setdefault(node, []).append(cause)

    # As receiver.

    def received(self, message: LinkMessage, record: bytes) -> None:
        """A link that came from a worker, this one included, is answered by this record, staged by now."""
        worker = message.worker
        assert worker is not None  # noqa: S101 - narrows the type; those without one are answered at once
        cause, place = message.cause, message.place
        if worker == self._mesh.node:
            self._propagation.take_copy(worker, cause, place, record)
            self._done((cause, place))
        else:
            answer = wire.LinkAnswered(cause, place, record)
            self._journal.when_durable(lambda: self._tell(worker, answer))

    def _tell(self, node: int, answer: wire.LinkAnswered) -> None:
        self._mesh.post(node, answer)  # a node that is down asks again

    def _link(self, asked: Asked, link: wire.Link) -> None:
        message = LinkMessage(
            link.cause, link.place, link.bet, link.rates, link.can_debit, asked.peer
        )
        actor = self._shard.actors.get(link.instance_id)
        if actor is None:
            self.not_here(message)
        else:
            actor.mailbox.post_due(message)

    def not_here(self, message: LinkMessage) -> None:
        """A link for an instance that is not here, or not any more: its sender finds the way."""
        assert message.worker is not None  # noqa: S101 - narrows the type; others are sent on by their worker's number
        version = self._copy.version
        if message.worker == self._mesh.node:
            self._elsewhere(message.worker, (message.cause, message.place))
        else:
            not_here = wire.LinkNotHere(message.cause, message.place, version)
            self._mesh.post(message.worker, not_here)

    def redispatch(self, instance_id: str, message: LinkMessage) -> None:
        """A link whose instance has moved away before it was taken."""
        if message.worker is None:
            self.send(instance_id, message)
        else:
            self.not_here(message)

    def _links_settled(self, asked: Asked, settled: wire.LinksSettled) -> None:
        self._to_forget.append((asked.peer, settled))
        self._forget_asked.set()

    async def forget(self) -> None:
        """Forgets what others have settled, until cancelled.

        A link that was sent twice may still be in a mailbox, in front of the message that says it is settled: actors
        with mail run in the next turn of the event loop, so two turns later each copy has met the answer of the first.
        But for those that stand still meanwhile, which forget with what is settled later.
        """
        while True:
            await self._forget_asked.wait()
            self._forget_asked = trio.Event()
            due, self._to_forget = self._to_forget, deque()
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            for worker, settled in due:
                self._forget(worker, settled.causes, settled.below)

    def _forget(self, worker: int, causes: tuple[int, ...], below: int) -> None:
        if len(self._fold.received):
            busy = self._shard.catching_up()
            forgotten = self._fold.forgotten(worker, causes, below, busy)
            self._journal.stage(records.encode(forgotten))
            self._fold.forget(forgotten)

    async def tell_settled(self) -> None:
        """Tells what is settled durably, now and then, until cancelled.

        Each time all workers learn below which cause everything is settled: one of them may have lost what it was told.
        """
        while True:
            await trio.sleep(FORGET_INTERVAL_S)
            settled, self._settled = self._settled, {}
            if not settled:
                continue
            below = self._lowest_open()
            await self._journal.durable()
            for node in filter(is_worker, {*self._mesh.up(), self._mesh.node}):
                causes = tuple(settled.get(node, ()))
                if node == self._mesh.node:
                    self._forget(node, causes, below)
                else:
                    self._tell_settled(node, causes, below)

    def _lowest_open(self) -> int:
        return next(iter(self._fold.propagations), self._journal.staged_seq + 1)
