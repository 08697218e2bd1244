"""The tail of one worker's journal: what it tells of events and of results for webhooks goes into the feed's store.

It reads on where it stood, a bounded batch at a time, and commits what came of each batch together with the new
position. So it may be cut anywhere: what was committed is not told again, what was not is found again. A journal stays
readable while its worker is down, and after it was retired.
"""

from itertools import islice

import structlog
import trio
import trio.lowlevel
from msgspec import Struct

from jackpotd.engine.ports import Clock
from jackpotd.feed import needles
from jackpotd.feed.event_building import EventBuilder, UnknownInstance
from jackpotd.feed.journals import Journals
from jackpotd.feed.publishing import Publisher
from jackpotd.feed.results import ResultFinder, Results
from jackpotd.journal.feed_store import Batch
from jackpotd.journal.log import LmdbLog
from jackpotd.wire import records
from jackpotd.wire.feed_events import LoggedEvent

_log = structlog.get_logger("jackpotd.feed")

POLL_S = 0.01
MISSING_POLL_S = 0.25
IDLE_COMMIT_S = 1.0
LOOK_RECORDS_MAX = 1_024
TURN_RECORDS = 128


class TailStatistics(Struct, frozen=True):
    """Totals since the start; `position` is the record up to which everything was told.

    One that is stuck has met a record that it cannot understand, and tells nothing more.
    """

    position: int
    is_stuck: bool
    skipped: int
    decoded: int
    events: int
    deliveries: int


class _Found:
    """What came of some records."""

    def __init__(self) -> None:
        self.events: list[LoggedEvent] = []
        self.results = Results()

    def batch(self) -> Batch:
        results = self.results
        return Batch(
            events=self.events,
            deliveries=results.deliveries,
            awaiting=results.awaiting,
            settled=results.settled,
        )


class Tail:
    """Follows one worker's journal.

    Args:
        worker: its number.
        journals: where its journal is found, once it is there.
        publisher: takes what is found.
        builder: makes the events.
        clock: Unix time in milliseconds.
        poll_s: how often it looks for new records.
        idle_commit_s: how often its position alone is written: after a crash so much is looked at again.
    """

    def __init__(
        self,
        worker: int,
        journals: Journals,
        publisher: Publisher,
        builder: EventBuilder,
        clock: Clock,
        *,
        poll_s: float = POLL_S,
        idle_commit_s: float = IDLE_COMMIT_S,
    ) -> None:
        self._worker = worker
        self._journals = journals
        self._publisher = publisher
        self._builder = builder
        self._clock = clock
        self._poll_s = poll_s
        self._idle_commit_s = idle_commit_s
        self._at = self._committed = 0
        self._committed_at = -idle_commit_s
        self._is_stuck = False
        self._skipped = self._decoded = self._events = self._deliveries = 0

    def statistics(self) -> TailStatistics:
        position = self._publisher.reached.get(self._worker, 0)
        return TailStatistics(
            position=position,
            is_stuck=self._is_stuck,
            skipped=self._skipped,
            decoded=self._decoded,
            events=self._events,
            deliveries=self._deliveries,
        )

    async def run(self) -> None:
        """Follows the journal until cancelled.

        Raises:
            FeedStoreError: the store has read another journal than the one that is there.
            StorageError: the store or the journal cannot be used; nothing is lost by beginning again.
        """
        log = await self._journal()
        genesis, store = log.genesis, self._publisher.store
        self._at = self._committed = store.follow(self._worker, genesis.created_ms, log.last_seq)
        results = ResultFinder(genesis, self._builder, store.awaiting(self._worker), self._clock)
        while True:
            if not await self._look(log, results):
                await trio.sleep(self._poll_s)

    async def _journal(self) -> LmdbLog:
        """The worker's journal; one that never ran has none yet."""
        while True:
            found = self._journals.find(self._worker)
            if found is not None:
                return found
            await trio.sleep(MISSING_POLL_S)

    async def _look(self, log: LmdbLog, results: ResultFinder) -> bool:
        """Looks at some more records, and commits what came of them; whether there may be more already."""
        found, count = _Found(), 0
        for count, (seq, data) in enumerate(islice(log.scan(self._at + 1), LOOK_RECORDS_MAX), 1):
            if needles.is_arrival(data):
                await self._commit(found.batch())
                found = _Found()
                await self._after_giver(records.decode(data))
            if needles.has_needle(data) or (results.awaits_links and needles.is_of_link(data)):
                self._decoded += 1
                await self._take(seq, data, results, found)
            else:
                self._skipped += 1
            self._at = seq
            if not count % TURN_RECORDS:
                await trio.lowlevel.checkpoint()
        await self._commit(found.batch())
        return count == LOOK_RECORDS_MAX

    async def _after_giver(self, arrived: records.Record) -> None:
        """An instance has come from another worker: what it did there is told before what it does here."""
        if not isinstance(arrived, records.Adopted):
            return
        giver, departing_seq = arrived.from_worker, arrived.departing_seq
        if self._journals.find(giver) is None:
            return
        # Moves are rare, and waits short: nobody need tell of it when another tail gets on.
        while self._publisher.reached.get(giver, 0) < departing_seq:  # noqa: ASYNC110
            await trio.sleep(self._poll_s)

    async def _commit(self, batch: Batch) -> None:
        """At once where there is anything to keep; a position alone only now and then."""
        now = trio.current_time()
        is_due = self._at > self._committed and now >= self._committed_at + self._idle_commit_s
        if is_due or not batch.is_empty:
            await self._publisher.commit(self._worker, self._at, batch)
            self._committed, self._committed_at = self._at, now
        self._publisher.reached[self._worker] = self._at
        self._events += len(batch.events)
        self._deliveries += len(batch.deliveries)

    async def _take(self, seq: int, data: bytes, results: ResultFinder, found: _Found) -> None:
        """Adds what a record tells; waits for the catalog where that does not know the instance yet."""
        while True:
            try:
                self._tell(seq, records.decode(data), results, found)
            except UnknownInstance as unknown:
                _log.info("waits for the catalog", instance_id=unknown.instance_id, seq=seq)
                await self._builder.known(unknown.instance_id)
            except Exception:  # noqa: BLE001 - contained: a defect must not end what others are told
                await self._get_stuck(seq, found)
            else:
                return

    async def _get_stuck(self, seq: int, found: _Found) -> None:
        """A record that we cannot understand, by a defect of ours: nothing of this journal is told from here on.

        Neither is it left out: whoever mends it, and starts the feed again, is told everything.
        """
        _log.exception("a journal is read no further", worker=self._worker, seq=seq)
        await self._commit(found.batch())
        self._is_stuck = True
        await trio.sleep_forever()

    def _tell(self, seq: int, record: records.Record, results: ResultFinder, found: _Found) -> None:
        if not isinstance(record, records.Entry):
            results.find(seq, record, found.results)
            return
        events = self._builder.events_of(self._worker, record)
        results.find(seq, record, found.results)
        found.events += events
