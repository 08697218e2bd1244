"""The feed among the others: a copy of the catalog, and its questions to the edge and to the workers.

It owns nothing that they need: they do not notice whether it is there.
"""

from collections.abc import Sequence
from typing import Protocol

import trio

from jackpotd.cluster.answering import refused
from jackpotd.cluster.answers import NOT_THERE, refusal_of
from jackpotd.cluster.catalog import CatalogCopy
from jackpotd.cluster.owners import RemoteOwners, standing_of
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Instance, Player
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.messages import OptInRequest
from jackpotd.engine.opt_ins import OptInResult
from jackpotd.engine.places import Definitions, Places
from jackpotd.mesh import EDGE
from jackpotd.mesh.link import Unreached
from jackpotd.mesh.mesh import Mesh
from jackpotd.wire import deliveries
from jackpotd.wire import feed_messages as wire
from jackpotd.wire.mesh_messages import Message


class Letters(Protocol):
    """Results for webhooks that were given up, as the feed keeps them."""

    async def dead_letters(
        self, operator: str, skip: int, limit: int
    ) -> Sequence[deliveries.DeadLetter]: ...

    async def replay(self, operator: str, ids: Sequence[str]) -> Sequence[str]: ...


class FeedNode:
    """Joins the feed to the mesh.

    Args:
        mesh: not yet running.
        workers: how many workers share the instances.
        nodes: the numbers of all workers, also of those that are retired and may still have instances.
    """

    def __init__(self, mesh: Mesh, *, workers: int, nodes: Sequence[int]) -> None:
        self._mesh = mesh
        self.workers = tuple(nodes)
        self.catalog = Catalog()
        self.copy = CatalogCopy(mesh, self.catalog)
        self.definitions = Definitions(self.catalog)
        self._places = Places(self.catalog, workers)
        self.owners = RemoteOwners(
            mesh, self.catalog, self.definitions, self._places.owner_of, here=None
        )
        self._letters: Letters | None = None
        mesh.handle_slowly(wire.AskDeadLetters, self._dead_letters)
        mesh.handle_slowly(wire.ReplayDeadLetters, self._replay)

    def answer_for(self, letters: Letters) -> None:
        """Who keeps the dead letters that the edge asks for; before this node runs."""
        self._letters = letters

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled; started when the whole catalog is there."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._mesh.run, name="mesh")
            await self.copy.ready()
            task_status.started()

    def is_up(self, worker: int) -> bool:
        """Whether a worker can be asked."""
        return self._mesh.is_up(worker)

    async def meet(self, wait_s: float) -> None:
        """Returns when every worker is connected, or the wait is over: who is down must not keep others waiting."""
        missing, all_there = set(self.workers) - set(self._mesh.up()), trio.Event()

        def up(node: int) -> None:
            missing.discard(node)
            if not missing:
                all_there.set()

        self._mesh.on_up(up)
        if missing:
            with trio.move_on_after(wait_s):
                await all_there.wait()

    async def tickers(self, worker: int, since_seq: int) -> wire.Tickers | Rejection:
        """The instances of a worker that have changed behind a position in its journal, and how far that goes now."""
        answer = await self._mesh.question(worker, wire.AskTickers(since_seq))
        return answer if isinstance(answer, wire.Tickers) else refusal_of(answer)

    async def shown(
        self,
        source_id: str,
        brand: str,
        country: str | None,
        segments: tuple[str, ...] | None,
        player_id: str,
    ) -> tuple[Instance, Player] | Rejection:
        """The instance that a source gives to a reader, and the player's standing with it."""
        source = self.catalog.source_for(brand, source_id)
        if source is None:
            return Rejection(Code.GAME_NOT_FOUND, source_id)
        preferred = [self._places.owner_of(jackpot.instance_id) for jackpot in source.jackpots]
        message = wire.AskShown(source_id, brand, country, segments, player_id)
        return standing_of(await self._some_worker(preferred, message), self.definitions)

    async def opt_in(self, request: OptInRequest) -> OptInResult | Rejection:
        """Opts a player in or out, as the gateway does."""
        target = request.target
        if target.kind == "instance":
            if target.id not in self.catalog.instances:
                return Rejection(Code.JACKPOT_NOT_FOUND, target.id)
            preferred = [self._places.owner_of(target.id)]
        else:
            source = self.catalog.source_for(request.brand, target.id)
            if source is None:
                return Rejection(Code.GAME_NOT_FOUND, target.id)
            preferred = [self._places.owner_of(jackpot.instance_id) for jackpot in source.jackpots]
        message = wire.AskOptIns(
            target_kind=target.kind,
            target_id=target.id,
            brand=request.brand,
            player_id=request.player_id,
            country=request.country,
            opt_in=request.opt_in,
            preferred=request.preferred,
            preferred_currency=request.preferred_currency,
            with_links=request.with_links,
        )
        answer = await self._some_worker(preferred, message)
        if not isinstance(answer, wire.OptInsDone):
            return refusal_of(answer)
        return OptInResult(
            tuple(
                (name, Rejection(Code(code), text) if code else None)
                for name, code, text in answer.outcomes
            )
        )

    async def _some_worker(self, preferred: Sequence[int], message: Message) -> Message | Unreached:
        """The answer of the first preferred worker that is there, else of any other: each of them knows the way."""
        up = [node for node in dict.fromkeys((*preferred, *self.workers)) if self._mesh.is_up(node)]
        return await self._mesh.question(up[0], message) if up else Unreached.ABSENT

    async def change_origins(
        self, by: str, add: Sequence[tuple[str, str]], remove: Sequence[str], operator: str = ""
    ) -> wire.Origins | Rejection:
        """Forgets origins of browsers, and allows others; returns when every node that is there has heard of it.

        All in an operator's list, or in the platform's where no operator is named.
        """
        message = wire.ChangeOrigins(by, tuple(add), tuple(remove), operator)
        answer = await self._mesh.question(EDGE, message)
        if answer is Unreached.ABSENT:
            return NO_EDGE
        return answer if isinstance(answer, wire.Origins) else refusal_of(answer)

    async def _dead_letters(self, _peer: int, message: wire.AskDeadLetters) -> Message:
        if self._letters is None:
            return refused(NOT_THERE)
        found = await self._letters.dead_letters(message.operator, message.skip, message.limit)
        return wire.DeadLetters(tuple([deliveries.encode(letter) for letter in found]))

    async def _replay(self, _peer: int, message: wire.ReplayDeadLetters) -> Message:
        if self._letters is None:
            return refused(NOT_THERE)
        return wire.DeadLettersReplayed(
            tuple(await self._letters.replay(message.operator, message.ids))
        )


NO_EDGE = Rejection(Code.OVERLOADED, "the server is not there")
