"""The taker's side of a move: rows are fetched and journalled, and at last the instance lives here."""

from collections.abc import Iterable, Iterator

import trio

from jackpotd.engine.checkpoint import Checkpointer
from jackpotd.engine.dropping import Dropper
from jackpotd.engine.fold import Fold
from jackpotd.engine.moving import GiverPort, Host, MoveRefused
from jackpotd.engine.ports import Clock, Journal, Views
from jackpotd.wire import records, rows
from jackpotd.wire.moving_messages import Departure

# Records above 2 kB become overflow pages that need contiguous space.
RECORD_BYTES_MAX = 1800
ROW_OVERHEAD_BYTES = 16
# How many rows an import keeps in memory before it asks for a checkpoint.
ROWS_IN_MEMORY_MAX = 10_000


class Taker:
    """Takes instances over; one at a time."""

    def __init__(
        self,
        index: int,
        fold: Fold,
        journal: Journal,
        checkpointer: Checkpointer,
        dropper: Dropper,
        host: Host,
        views: Views,
        clock: Clock,
    ) -> None:
        self._index = index
        self._fold = fold
        self._journal = journal
        self._checkpointer = checkpointer
        self._dropper = dropper
        self._host = host
        self._views = views
        self._clock = clock
        self._one_at_a_time = trio.Lock()

    async def take(self, departure: Departure, giver: GiverPort) -> None:
        """Fetches an instance; it lives here, durably, when this returns. May be asked for again.

        Raises:
            MoveRefused: it lives here already, from another move, or the giver does not give it.
        """
        async with self._one_at_a_time:
            if not self._has_adopted(departure):
                await self._make_room(departure)
                await self._import(departure, giver)
                await self._adopt(departure)
            await self._journal.durable()

    def _has_adopted(self, departure: Departure) -> bool:
        if departure.instance_id not in self._fold.cells:
            return False
        arrival = self._fold.moves.arrivals.get(departure.instance_id)
        asked = (departure.from_worker, departure.departing_seq)
        if arrival is None or (arrival.from_worker, arrival.departing_seq) != asked:
            raise MoveRefused(f"{departure.instance_id} lives here already")
        return True

    async def _make_room(self, departure: Departure) -> None:
        """Rows of an earlier stay or of another import go first; the same import begins anew over its own rows."""
        begun = self._fold.moves.imports.get(departure.instance_id)
        asked = (departure.from_worker, departure.departing_seq)
        if begun is not None and (begun.from_worker, begun.departing_seq) != asked:
            self._abandon(begun)
        await self._dropper.dropped(departure.instance_id)

    async def _import(self, departure: Departure, giver: GiverPort) -> None:
        after, in_memory = b"", 0
        while True:
            chunk = await giver.rows(departure.instance_id, departure.departing_seq, after)
            for imported in packed(departure, chunk.rows):
                self._fold.move(self._journal.stage(records.encode(imported)), imported)
            await self._journal.durable()
            in_memory += len(chunk.rows)
            if in_memory >= ROWS_IN_MEMORY_MAX:
                await self._checkpointer.checkpoint()
                in_memory = 0
            if chunk.is_end:
                return
            after = chunk.last

    async def _adopt(self, departure: Departure) -> None:
        now_ms = self._clock()
        views = {**dict(departure.views), departure.from_worker: now_ms}
        views.pop(self._index, None)
        for worker, since_ms in views.items():
            await self._views.open(worker, since_ms)
        adopted = records.Adopted(
            at_ms=now_ms,
            instance_id=departure.instance_id,
            from_worker=departure.from_worker,
            departing_seq=departure.departing_seq,
            moves=departure.moves + 1,
            instance=rows.decode(departure.instance),
            views=tuple(sorted(views.items())),
        )
        self._fold.move(self._journal.stage(records.encode(adopted)), adopted)
        self._host.start(self._fold.cells[departure.instance_id])

    async def abandon(self, instance_id: str, from_worker: int, departing_seq: int) -> bool:
        """Gives an import up, so that the giver may go on; False where the instance lives here already."""
        async with self._one_at_a_time:
            asked = (from_worker, departing_seq)
            arrival = self._fold.moves.arrivals.get(instance_id)
            if arrival is not None and (arrival.from_worker, arrival.departing_seq) == asked:
                await self._journal.durable()
                return False
            begun = self._fold.moves.imports.get(instance_id)
            if begun is not None and (begun.from_worker, begun.departing_seq) == asked:
                self._abandon(begun)
                await self._journal.durable()
            return True

    def _abandon(self, begun: rows.ImportRow) -> None:
        abandoned = records.Abandoned(begun.instance_id, begun.from_worker, begun.departing_seq)
        self._fold.move(self._journal.stage(records.encode(abandoned)), abandoned)
        self._dropper.wake()


def packed(
    departure: Departure, items: Iterable[tuple[bytes, bytes]]
) -> Iterator[records.Imported]:
    """Rows in as few records as their size allows."""
    batch: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in items:
        more = len(key) + len(value) + ROW_OVERHEAD_BYTES
        if batch and size + more > RECORD_BYTES_MAX:
            yield _imported(departure, batch)
            batch, size = [], 0
        batch.append((key, value))
        size += more
    if batch:
        yield _imported(departure, batch)


def _imported(departure: Departure, batch: list[tuple[bytes, bytes]]) -> records.Imported:
    decoded = [(key, rows.decode(value)) for key, value in batch]
    return records.Imported(
        instance_id=departure.instance_id,
        from_worker=departure.from_worker,
        departing_seq=departure.departing_seq,
        players=tuple(
            (*rows.player_of(key), row) for key, row in decoded if isinstance(row, rows.PlayerRow)
        ),
        winners=tuple(
            (*rows.winner_of(key), row) for key, row in decoded if isinstance(row, rows.WinnerRow)
        ),
        received=tuple(row for _, row in decoded if isinstance(row, rows.ReceivedRow)),
        rounds=tuple(row for _, row in decoded if isinstance(row, rows.RoundRow)),
        credits=tuple(row for _, row in decoded if isinstance(row, rows.CreditRow)),
    )
