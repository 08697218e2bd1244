"""What the feed asks of a worker on behalf of those who listen: tickers, what a source shows, opt-ins."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import trio.lowlevel

from jackpotd.cluster.answering import player_data, refused, row_data
from jackpotd.cluster.contributions import DEFECT
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Instance
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.cells import Cell, birth_of
from jackpotd.engine.crowd import in_steps
from jackpotd.engine.messages import OptInRequest, Reply, Target
from jackpotd.engine.opt_ins import OptInResult
from jackpotd.engine.owners import Owners
from jackpotd.engine.router import Router
from jackpotd.engine.shard import Shard
from jackpotd.engine.shown import Shown
from jackpotd.mesh.mesh import Mesh
from jackpotd.wire import feed_messages as wire
from jackpotd.wire import records
from jackpotd.wire.instance_answers import round_times
from jackpotd.wire.mesh_messages import Message, Standing

Q = TypeVar("Q", wire.AskTickers, wire.AskShown, wire.AskOptIns)

_log = structlog.get_logger("jackpotd.mesh")


class FeedAnswering:
    """The worker's side of `FeedNode`."""

    def __init__(
        self, mesh: Mesh, catalog: Catalog, shard: Shard, router: Router, owners: Owners
    ) -> None:
        self._catalog = catalog
        self._shard = shard
        self._router = router
        self._shown_to = Shown(router, owners)
        mesh.handle_slowly(wire.AskTickers, _contained(self._tickers))
        mesh.handle_slowly(wire.AskShown, _contained(self._shown))
        mesh.handle_slowly(wire.AskOptIns, _contained(self._opt_ins))

    async def _tickers(self, _peer: int, message: wire.AskTickers) -> Message:
        """In steps: between two of them contributions are served, and what these change may be told twice.

        By the journal's numbers, which only grow: clocks are set back and forth.
        """
        position = self._shard.journal.staged_seq
        changed: list[wire.Ticker] = []
        for step in in_steps(list(self._shard.fold.cells.values())):
            changed += [ticker_of(cell.state) for cell in step if cell.as_of > message.since_seq]
            await trio.lowlevel.checkpoint()
        await self._shard.durable()
        return wire.Tickers(tuple(changed), position)

    async def _shown(self, _peer: int, message: wire.AskShown) -> Message:
        found = await self._shown_to.of(
            message.source_id,
            message.brand,
            country=message.country,
            segments=message.segments,
            player_id=message.player_id,
        )
        if isinstance(found, Rejection):
            return refused(found)
        state, player = found
        return Standing(self._row(state), player_data(player))

    def _row(self, state: Instance) -> bytes:
        """The row of an instance, which may live elsewhere: its birth is in the catalog, too."""
        entry = self._catalog.instances[state.definition.instance_id]
        return row_data(Cell(state, 0, records.encode(birth_of(entry))))

    async def _opt_ins(self, _peer: int, message: wire.AskOptIns) -> Message:
        reply: Reply[OptInResult | Rejection] = Reply()
        request = OptInRequest(
            target=Target(message.target_kind, message.target_id),
            brand=message.brand,
            player_id=message.player_id,
            country=message.country,
            opt_in=message.opt_in,
            preferred=message.preferred,
            preferred_currency=message.preferred_currency,
            with_links=message.with_links,
        )
        self._router.opt_in(request, reply.resolve)
        result = await reply.wait()
        await self._shard.durable()
        if isinstance(result, Rejection):
            return refused(result)
        return wire.OptInsDone(
            tuple(
                [
                    (name, "", "") if refusal is None else (name, refusal.code, refusal.message)
                    for name, refusal in result.instances
                ]
            )
        )


def _contained(
    answer: Callable[[int, Q], Awaitable[Message]],
) -> Callable[[int, Q], Awaitable[Message]]:
    """The same, but a defect fails one question: anybody may have it asked, and the worker has other work."""

    async def contained(peer: int, question: Q) -> Message:
        try:
            return await answer(peer, question)
        except Exception:  # noqa: BLE001 - whatever it is
            _log.exception("a question of the feed has failed", question=type(question).__name__)
            return refused(DEFECT)

    return contained


def ticker_of(state: Instance) -> wire.Ticker:
    """An instance as a ticker shows it."""
    starts_ms, ends_ms = round_times(state)
    return wire.Ticker(
        instance_id=state.definition.instance_id,
        status=state.status,
        starts_ms=starts_ms,
        ends_ms=ends_ms,
        updated_ms=state.updated_ms,
        values=tuple([pot.value for pot in state.pots]),
    )
