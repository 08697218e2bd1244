"""Moves over the mesh: a worker's handlers, the giver as the taker sees it, and the workers as the edge sees them."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.fold import Fold
from jackpotd.engine.giving import Giver
from jackpotd.engine.moving import MoveRefused, holdings
from jackpotd.engine.taking import Taker
from jackpotd.mesh.link import Unreached
from jackpotd.mesh.mesh import Mesh
from jackpotd.wire import mesh_messages as messages
from jackpotd.wire.mesh_messages import Message
from jackpotd.wire.moving_messages import Departure, Holding, RowsChunk

M = TypeVar("M")


class WorkerUnreached(Exception):
    """A worker that a step needs is not there, or was gone before it answered; the step may be asked for again."""


class RemoteGiver:
    """The other side of a move."""

    def __init__(self, mesh: Mesh, worker: int) -> None:
        self._mesh = mesh
        self._worker = worker

    async def rows(self, instance_id: str, departing_seq: int, after: bytes) -> RowsChunk:
        """Rows behind a key.

        Raises:
            MoveRefused: this departure is not, or not any more.
            WorkerUnreached: the giver is down.
        """
        question = messages.AskRows(instance_id, departing_seq, after)
        answer = await _asked(self._mesh, self._worker, question, messages.Rows)
        return answer.chunk


class RemoteWorker:
    """A worker, as the edge sees it; every call may raise WorkerUnreached, and MoveRefused where it does not fit."""

    def __init__(self, mesh: Mesh, worker: int) -> None:
        self._mesh = mesh
        self._worker = worker

    async def holdings(self) -> tuple[Holding, ...] | None:
        """What the worker's journal has; None where it is not reached."""
        answer = await self._mesh.question(self._worker, messages.AskHoldings())
        return answer.instances if isinstance(answer, messages.Holdings) else None

    async def depart(self, instance_id: str, to_worker: int) -> Departure | Rejection:
        answer = await self._mesh.question(self._worker, messages.Depart(instance_id, to_worker))
        if isinstance(answer, messages.Refused):
            return Rejection(Code(answer.code), answer.message)
        return _expected(self._worker, answer, messages.Departs).departure

    async def take(self, departure: Departure) -> None:
        await _asked(self._mesh, self._worker, messages.Take(departure), messages.Done)

    async def finish(self, instance_id: str, departing_seq: int) -> None:
        question = messages.Finish(instance_id, departing_seq)
        await _asked(self._mesh, self._worker, question, messages.Done)

    async def abandon(self, instance_id: str, from_worker: int, departing_seq: int) -> bool:
        question = messages.Abandon(instance_id, from_worker, departing_seq)
        return (await _asked(self._mesh, self._worker, question, messages.Abandoned)).is_given_up

    async def resume(self, instance_id: str, departing_seq: int) -> None:
        question = messages.Resume(instance_id, departing_seq)
        await _asked(self._mesh, self._worker, question, messages.Done)


async def _asked(mesh: Mesh, worker: int, question: Message, kind: type[M]) -> M:
    return _expected(worker, await mesh.question(worker, question), kind)


def _expected(worker: int, answer: Message | Unreached, kind: type[M]) -> M:
    if isinstance(answer, Unreached):
        raise WorkerUnreached(f"worker {worker} is not there")
    if isinstance(answer, messages.Refused):
        raise MoveRefused(answer.message)
    if not isinstance(answer, kind):
        raise TypeError(f"worker {worker} answered with {type(answer).__name__}")
    return answer


class _Sides:
    """The handlers of a worker."""

    def __init__(self, mesh: Mesh, giver: Giver, taker: Taker, fold: Fold) -> None:
        self._mesh = mesh
        self._giver = giver
        self._taker = taker
        self._fold = fold

    async def holdings(self, _peer: int, _asked: messages.AskHoldings) -> Message:
        return messages.Holdings(holdings(self._fold))

    async def depart(self, _peer: int, asked: messages.Depart) -> Message:
        departure = await self._giver.depart(asked.instance_id, asked.to_worker)
        if isinstance(departure, Rejection):
            return messages.Refused(departure.code, departure.message)
        return messages.Departs(departure)

    async def rows(self, _peer: int, asked: messages.AskRows) -> Message:
        return messages.Rows(
            await self._giver.rows(asked.instance_id, asked.departing_seq, asked.after)
        )

    async def take(self, _peer: int, asked: messages.Take) -> Message:
        departure = asked.departure
        await self._taker.take(departure, RemoteGiver(self._mesh, departure.from_worker))
        return messages.DONE

    async def finish(self, _peer: int, asked: messages.Finish) -> Message:
        await self._giver.finish(asked.instance_id, asked.departing_seq)
        return messages.DONE

    async def abandon(self, _peer: int, asked: messages.Abandon) -> Message:
        return messages.Abandoned(
            await self._taker.abandon(asked.instance_id, asked.from_worker, asked.departing_seq)
        )

    async def resume(self, _peer: int, asked: messages.Resume) -> Message:
        await self._giver.resume(asked.instance_id, asked.departing_seq)
        return messages.DONE


Q = TypeVar("Q")


def _refusing(
    handler: Callable[[int, Q], Awaitable[Message]],
) -> Callable[[int, Q], Awaitable[Message]]:
    async def handle(peer: int, asked: Q) -> Message:
        try:
            return await handler(peer, asked)
        except MoveRefused as refused:
            return messages.Refused(Code.INVALID_STATE, str(refused))
        except WorkerUnreached as unreached:
            return messages.Refused(Code.OVERLOADED, str(unreached))

    return handle


def serve_moving(mesh: Mesh, giver: Giver, taker: Taker, fold: Fold) -> None:
    """Lets a worker answer what the edge and its peers ask about moves."""
    sides = _Sides(mesh, giver, taker, fold)
    mesh.handle_slowly(messages.AskHoldings, _refusing(sides.holdings))
    mesh.handle_slowly(messages.Depart, _refusing(sides.depart))
    mesh.handle_slowly(messages.AskRows, _refusing(sides.rows))
    mesh.handle_slowly(messages.Take, _refusing(sides.take))
    mesh.handle_slowly(messages.Finish, _refusing(sides.finish))
    mesh.handle_slowly(messages.Abandon, _refusing(sides.abandon))
    mesh.handle_slowly(messages.Resume, _refusing(sides.resume))
