"""The giver's side of a move: an instance stands still, is fetched, and leaves."""

from collections.abc import Iterator

import trio

from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.cells import row_of
from jackpotd.engine.checkpoint import Checkpointer
from jackpotd.engine.dropping import Dropper
from jackpotd.engine.fold import Fold, request_at
from jackpotd.engine.messages import (
    ContributeMessage,
    DepartMessage,
    LinkMessage,
    Message,
    OperateMessage,
    OptInMessage,
    Reply,
)
from jackpotd.engine.moving import Host, MoveRefused, Redispatch
from jackpotd.engine.ports import Clock, Journal, Rows
from jackpotd.wire import records, rows
from jackpotd.wire.moving_messages import Departure, RowsChunk
from jackpotd.wire.rows import DepartureRow

CHUNK_BYTES_MAX = 32 << 10
MESSAGES_AT_ONCE = 100
LINKS_POLL_S = 0.005


class Giver:
    """Lets instances of this worker go.

    Args:
        index: this worker's number.
        settle_wait_s: how long a departure waits for links of the instance's own requests to answer, so that the
            taker sees their final answers in the keys.
    """

    def __init__(
        self,
        index: int,
        fold: Fold,
        journal: Journal,
        disk: Rows,
        checkpointer: Checkpointer,
        dropper: Dropper,
        host: Host,
        redispatch: Redispatch,
        clock: Clock,
        *,
        settle_wait_s: float = 2.0,
    ) -> None:
        self._index = index
        self._fold = fold
        self._journal = journal
        self._disk = disk
        self._checkpointer = checkpointer
        self._dropper = dropper
        self._host = host
        self._redispatch = redispatch
        self._clock = clock
        self._settle_wait_s = settle_wait_s

    async def depart(self, instance_id: str, to_worker: int) -> Departure | Rejection:
        """Lets an instance stand still, with its rows and keys on disk; may be asked for again."""
        refused = await self._stand_still(instance_id, to_worker)
        if refused is not None:
            return refused
        await self._journal.durable()
        await self._to_disk(await self._links_answered(instance_id))
        moves = self._fold.moves
        return Departure(
            instance_id=instance_id,
            from_worker=self._index,
            to_worker=to_worker,
            departing_seq=moves.departures[instance_id].departing_seq,
            moves=moves.moves_of(instance_id),
            views=tuple(sorted(moves.views.items())),
            instance=rows.encode(row_of(self._fold.cells[instance_id])),
        )

    async def _stand_still(self, instance_id: str, to_worker: int) -> Rejection | None:
        moves = self._fold.moves
        actor = self._host.actors.get(instance_id)
        if actor is None:
            return Rejection(Code.JACKPOT_NOT_FOUND, instance_id)
        if moves.moves_of(instance_id) >= rows.MOVES_MAX:
            return Rejection(Code.INVALID_STATE, f"{instance_id} has moved too often")
        if instance_id not in moves.departing():
            if self._is_inheriting(instance_id):
                message = f"{instance_id} stays until opt-ins have been copied between instances"
                return Rejection(Code.INVALID_STATE, message)
            reply: Reply[int | Rejection] = Reply()
            actor.mailbox.post_due(DepartMessage(to_worker, reply.resolve))
            answer = await reply.wait()
            if isinstance(answer, Rejection):
                return answer
        other = moves.departures[instance_id].to_worker
        if other != to_worker:
            return Rejection(
                Code.INVALID_STATE, f"{instance_id} is on its way to worker {other} already"
            )
        return None

    def _is_inheriting(self, instance_id: str) -> bool:
        """Whether opt-ins are being copied to an instance, or from it: both have to be with one worker."""
        inherited = {cell.state.rare.inherits for cell in self._fold.cells.values()}
        return bool(self._fold.cells[instance_id].state.rare.inherits) or instance_id in inherited

    async def _links_answered(self, instance_id: str) -> list[int]:
        """Waits for links of the instance's own requests, not for a worker that is down; returns their causes."""
        departing_seq = self._fold.moves.departures[instance_id].departing_seq
        causes = []
        for cause in [each for each in self._fold.propagations if each < departing_seq]:
            entry, _ = request_at(self._journal.read, cause)
            if entry.instance_id == instance_id:
                causes.append(cause)
            await trio.lowlevel.checkpoint()
        with trio.move_on_after(self._settle_wait_s):
            # Rare and short, and nobody tells when a request settles.
            while self._open(causes):  # noqa: ASYNC110
                await trio.sleep(LINKS_POLL_S)
        return causes

    def _open(self, causes: list[int]) -> list[int]:
        return [cause for cause in causes if cause in self._fold.propagations]

    async def _to_disk(self, causes: list[int]) -> None:
        """Writes rows and keys, so that the taker finds every key that the instance has used.

        A request that settles during a round takes its key on to the record behind what the round covers: again then.
        """
        while True:
            before = self._open(causes)
            await self._checkpointer.checkpoint()
            if before == self._open(causes):
                return

    async def rows(self, instance_id: str, departing_seq: int, after: bytes) -> RowsChunk:
        """Some rows of an instance that stands still, from disk."""
        departure = self._departure(instance_id, departing_seq)
        if departure is None or departure.departed_seq:
            raise MoveRefused(f"{instance_id} does not depart since record {departing_seq}")
        while self._checkpointer.position < departing_seq:
            await self._checkpointer.checkpoint()
        return await trio.to_thread.run_sync(self._chunk, instance_id, after)

    def _chunk(self, instance_id: str, after: bytes) -> RowsChunk:
        found: list[tuple[bytes, bytes]] = []
        size = 0
        for key, value in self._rows_after(instance_id, after):
            found.append((key, value))
            size += len(key) + len(value)
            if size >= CHUNK_BYTES_MAX:
                return RowsChunk(tuple(found), key, is_end=False)
        return RowsChunk(tuple(found), b"", is_end=True)

    def _rows_after(self, instance_id: str, after: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows of the instance's own and received links, in the order of their keys."""
        for prefix in sorted([*rows.prefixes_of(instance_id), rows.RECEIVED]):
            if after > prefix and not after.startswith(prefix):
                continue
            for key, value in self._disk.scan(prefix, after if after > prefix else b""):
                if prefix != rows.RECEIVED or rows.decode(value).instance_id == instance_id:
                    yield key, value

    def _departure(self, instance_id: str, departing_seq: int) -> DepartureRow | None:
        found = self._fold.moves.departures.get(instance_id)
        return None if found is None or found.departing_seq != departing_seq else found

    async def finish(self, instance_id: str, departing_seq: int) -> None:
        """The taker has the instance durably, and requests find it there: lets it go, and sends on what is parked."""
        departure = self._departure(instance_id, departing_seq)
        if departure is not None and not departure.departed_seq:
            departed = records.Departed(
                self._clock(), instance_id, departure.to_worker, departing_seq
            )
            self._fold.move(self._journal.stage(records.encode(departed)), departed)
            actor = self._host.actors[instance_id]
            self._host.remove(instance_id)
            self._dropper.wake()
            for count, message in enumerate(actor.leave(), 1):
                self._send_on(instance_id, message)
                if not count % MESSAGES_AT_ONCE:
                    await trio.lowlevel.checkpoint()
        await self._journal.durable()

    def _send_on(self, instance_id: str, message: Message) -> None:
        match message:
            case ContributeMessage():
                self._redispatch.contribute(message)
            case LinkMessage():
                self._redispatch.link(instance_id, message)
            case OptInMessage():
                self._redispatch.opt_in(instance_id, message)
            case OperateMessage():
                self._redispatch.operate(instance_id, message)
            case DepartMessage():
                message.answer(Rejection(Code.JACKPOT_NOT_FOUND, instance_id))

    async def resume(self, instance_id: str, departing_seq: int) -> None:
        """The move is called off, and the taker will not adopt: the instance goes on here."""
        departure = self._departure(instance_id, departing_seq)
        if departure is not None and not departure.departed_seq:
            returned = records.Returned(self._clock(), instance_id, departing_seq)
            self._fold.move(self._journal.stage(records.encode(returned)), returned)
            self._host.actors[instance_id].go_on()
        await self._journal.durable()
