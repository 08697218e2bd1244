"""Results of asynchronous contributions, found in a worker's journal, as deliveries to their webhooks (contract §3).

One for the target, which stands in its own entry; one for each link, which answers in a later record of the same
journal: its own entry or refusal where it lives with that worker, a copy of its answer where it lives with another.
What these need of the request is remembered from the target's entry on until the request is settled.
"""

import uuid

from msgspec import Raw, Struct, field

from jackpotd.core.rules import Rules
from jackpotd.engine.ports import Clock
from jackpotd.feed.event_building import EventBuilder
from jackpotd.journal.log import Genesis
from jackpotd.wire import records
from jackpotd.wire.contribution_answers import (
    contribution_answer,
    error_result_body,
    is_win,
    result_body,
)
from jackpotd.wire.deliveries import Awaiting, Delivery
from jackpotd.wire.event_records import EventRecord
from jackpotd.wire.parts import Callback
from jackpotd.wire.records import Declined, Entry, LinkRefused, RemoteAnswered, Request, Settled

_NAMES = uuid.UUID("2b1d5c0e-7a43-4c55-9d3b-4e1f8a6f0c27")
TARGET = 0
"""The place of a target's own result; a link's is one more than its place among the links."""


class Results(Struct):
    """What was found in some records: deliveries, and which requests wait for links from now on, or no more."""

    deliveries: list[Delivery] = field(default_factory=list)
    awaiting: list[tuple[int, Awaiting]] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)


class ResultFinder:
    """Finds the results in one worker's journal, whose records must come in their order.

    Args:
        genesis: the first record of the journal: ids of deliveries are derived from it.
        builder: knows the instances.
        awaiting: the requests that wait for links, by the sequence numbers of their records.
        clock: Unix time in milliseconds.
    """

    def __init__(
        self, genesis: Genesis, builder: EventBuilder, awaiting: dict[int, Awaiting], clock: Clock
    ) -> None:
        self._origin = f"{genesis.created_ms}\0{genesis.name}"
        self._builder = builder
        self._awaiting = awaiting
        self._clock = clock

    @property
    def awaits_links(self) -> bool:
        """Whether answers of links matter."""
        return bool(self._awaiting)

    def find(self, seq: int, record: records.Record, found: Results) -> None:
        """Adds what a record tells of results.

        Raises:
            UnknownInstance: the catalog does not know the instance yet; nothing was added.
        """
        match record:
            case Entry():
                self._entry(seq, record, found)
            case Declined():
                self._declined(seq, record, found)
            case LinkRefused(worker=None):
                self._link_refused(record, found)
            case RemoteAnswered():
                self._remote(record, found)
            case Settled(cause=cause) if cause in self._awaiting:
                del self._awaiting[cause]
                found.settled.append(cause)

    def _entry(self, seq: int, entry: Entry, found: Results) -> None:
        request = entry.request
        if request is not None and request.callback is not None:
            told = _awaiting(request, request.callback)
            self._taken(told, seq, TARGET, entry.instance_id, entry.events, found)
            if entry.links:
                self._awaiting[seq] = told
                found.awaiting.append((seq, told))
        elif entry.cause is not None and entry.worker is None:
            waiting = self._awaiting.get(entry.cause)
            if waiting is not None:
                at = entry.place + 1
                self._taken(waiting, entry.cause, at, entry.instance_id, entry.events, found)

    def _declined(self, seq: int, declined: Declined, found: Results) -> None:
        request = declined.request
        if request.callback is not None:
            told = _awaiting(request, request.callback)
            self._refused(told, seq, TARGET, declined, found)

    def _link_refused(self, refused: LinkRefused, found: Results) -> None:
        waiting = self._awaiting.get(refused.cause)
        if waiting is not None:
            self._refused(waiting, refused.cause, refused.place + 1, refused, found)

    def _remote(self, answer: RemoteAnswered, found: Results) -> None:
        waiting = self._awaiting.get(answer.cause)
        if waiting is None:
            return
        at = answer.place + 1
        if answer.events is None:
            self._refused(waiting, answer.cause, at, answer, found)
        else:
            self._taken(waiting, answer.cause, at, answer.instance_id, answer.events, found)

    def _taken(
        self,
        told: Awaiting,
        cause: int,
        place: int,
        instance_id: str,
        events: tuple[EventRecord, ...],
        found: Results,
    ) -> None:
        """A contribution was taken: the webhook is told, unless it wants wins alone and this is none."""
        rules: Rules = self._builder.definition(instance_id).rules
        answer = contribution_answer(instance_id, records.to_events(events), rules, told.metadata)
        if is_win(answer) or not told.win_result_only:
            found.deliveries.append(self._delivery(told, cause, place, result_body(answer)))

    def _refused(
        self,
        told: Awaiting,
        cause: int,
        place: int,
        refusal: Declined | LinkRefused | RemoteAnswered,
        found: Results,
    ) -> None:
        if told.win_result_only:
            return
        body = error_result_body(
            refusal.code,
            refusal.message,
            instance_id=refusal.instance_id,
            trace_id=told.trace_id,
            metadata=told.metadata,
        )
        found.deliveries.append(self._delivery(told, cause, place, body))

    def _delivery(self, told: Awaiting, cause: int, place: int, body: Raw) -> Delivery:
        """Its id is derived from where the request stands: the same if it is found again."""
        name = f"{self._origin}\0{cause}\0{place}\0{told.trace_id}"
        now_ms = self._clock()
        return Delivery(
            id=f"msg_{uuid.uuid5(_NAMES, name)}",
            operator=told.operator,
            url=told.url,
            body=body,
            created_ms=now_ms,
            next_ms=now_ms,
        )


def _awaiting(request: Request, callback: Callback) -> Awaiting:
    """What results need of a request."""
    return Awaiting(
        operator=request.operator,
        url=callback.url,
        win_result_only=callback.win_result_only,
        trace_id=request.trace_id,
        metadata=request.metadata,
    )
