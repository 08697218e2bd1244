"""One owner for each instance: a task that decides and evolves in memory and hands records to the journal.

Between two waits it drains its mailbox without yielding. It never waits for network or disk: whoever asked is
answered by the journal's call-back, after the commit that covers the record. Links are messages to peer actors.

An exception before anything was staged fences this one instance (R-FLT-2): it refuses everything until a person
looks and restarts; so does an event that would put its ledger off. A ledger that is off stops the worker.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec
import structlog
import trio

from jackpotd.core import decide, ledger
from jackpotd.core.commands import Bet, Contribute
from jackpotd.core.events import InstanceEvent
from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.cells import Cell
from jackpotd.engine.fold import Fold, KnownPlayer, Prepared
from jackpotd.engine.mailbox import Mailbox
from jackpotd.engine.messages import (
    Accepted,
    ContributeMessage,
    DepartMessage,
    LinkMessage,
    Message,
    OptInMessage,
    Outcome,
    StatusMessage,
    Taken,
)
from jackpotd.engine.ports import Clock, Entropy, Journal
from jackpotd.wire import records

OVERLOADED = Rejection(Code.OVERLOADED, "too many contributions are waiting for this jackpot")
FENCED = Rejection(Code.SYSTEM_ERROR, "this jackpot is out of service")

_log = structlog.get_logger("jackpotd.actor")

Decision = tuple[list[InstanceEvent], Prepared] | Rejection


class Propagation(Protocol):
    """Where an actor sends what concerns the links of a request."""

    def begin(self, cause: int, message: ContributeMessage, taken: Taken) -> None: ...

    def answered(self, cause: int, place: int, seq: int, outcome: Outcome) -> None: ...

    def received(self, message: LinkMessage, record: bytes) -> None:
        """A link that another worker may have sent has been answered by this record, staged now or earlier."""
        ...


class ActorStatistics(msgspec.Struct, frozen=True):
    """One instance's queue and totals."""

    queued: int
    contributions: int
    hits: int
    refusals: int
    is_fenced: bool


class Actor:
    """The single owner of one instance's state."""

    def __init__(
        self,
        cell: Cell,
        *,
        fold: Fold,
        journal: Journal,
        clock: Clock,
        entropy: Entropy,
        propagation: Propagation,
        mailbox_length_max: int,
    ) -> None:
        self.cell = cell
        self.mailbox: Mailbox[Message] = Mailbox(mailbox_length_max)
        self._fold = fold
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self._propagation = propagation
        self._fenced = False
        self._refusals = 0
        self._handlers = self._serving_handlers()
        self._parked: deque[Message] = deque()
        self._parked_max = mailbox_length_max
        self._life = trio.CancelScope()
        if self.instance_id in fold.moves.departing():
            self._stand_still()

    def _serving_handlers(self) -> dict[type, Callable[..., None]]:
        return {
            ContributeMessage: self._contribute,
            LinkMessage: self._link,
            OptInMessage: self._opt_in,
            StatusMessage: self._status,
            DepartMessage: self._depart,
        }

    @property
    def instance_id(self) -> str:
        return self.cell.state.definition.instance_id

    def statistics(self) -> ActorStatistics:
        state = self.cell.state
        return ActorStatistics(
            queued=len(self.mailbox) + len(self._parked),
            contributions=state.contributions,
            hits=sum(pot.hits for pot in state.pots),
            refusals=self._refusals,
            is_fenced=self._fenced,
        )

    async def run(self) -> None:
        """Serves the mailbox until cancelled, or until the instance has left.

        Raises:
            InvariantViolation: the books are wrong; nothing of this batch was staged or answered.
        """
        with self._life:
            while True:
                messages = await self.mailbox.drain()
                ledger.check(self.cell.state)
                for message in messages:  # a departure changes the handlers of those behind it
                    self._handlers[type(message)](message)

    def _decide(self, decision: Callable[[], list[InstanceEvent] | Rejection]) -> Decision:
        """Events with the states that follow, or a refusal. Nothing has changed yet, so any failure is contained."""
        if self._fenced:
            return FENCED
        try:
            return self._prepared(decision(), None)
        except Exception:  # noqa: BLE001 - contained: nothing has changed yet
            return self._fence()

    def _prepared(
        self, events: list[InstanceEvent] | Rejection, known: KnownPlayer | None
    ) -> Decision:
        if isinstance(events, Rejection):
            self._refusals += 1
            return events
        prepared = self._fold.prepare(self.cell, events, known)
        ledger.check(prepared.state)
        return events, prepared

    def _fence(self) -> Rejection:
        self._fenced = True
        _log.exception("instance fenced", instance_id=self.instance_id)
        return FENCED

    def _stage(self, entry: records.Entry, events: list[InstanceEvent], prepared: Prepared) -> int:
        seq = self._journal.stage(records.encode(entry))
        self._fold.apply(seq, self.cell, prepared, events)
        return seq

    def _now(self) -> int:
        """The clock, never before the instance's last event."""
        return max(self._clock(), self.cell.state.updated_ms)

    def _decide_contribution(self, bet: Bet, message: LinkMessage | ContributeMessage) -> Decision:
        if self._fenced:
            return FENCED
        try:
            state = self.cell.state
            definition = state.definition
            known = self._fold.known_player(definition.instance_id, bet.brand, bet.player_id)
            command = Contribute(
                max(self._clock(), state.updated_ms),
                self._entropy.uuid(),
                self._entropy.draws(definition.rules.draws_needed),
                bet,
                message.rates,
                message.can_debit,
            )
            return self._prepared(decide.contribute(state, known[1], command), known)
        except Exception:  # noqa: BLE001 - contained: nothing has changed yet
            return self._fence()

    def _contribute(self, message: ContributeMessage) -> None:
        decision = self._decide_contribution(message.request.bet, message)
        answer = message.answer
        if isinstance(decision, Rejection):
            self._journal.when_durable(lambda: answer(decision))
            return
        events, prepared = decision
        request = _request_record(message)
        definition = prepared.state.definition
        entry = records.Entry(
            definition.instance_id, records.from_events(events), request, message.links
        )
        seq = self._stage(entry, events, prepared)
        self._fold.use_key(seq, request)
        taken = Taken(definition.instance_id, tuple(events), definition.rules)
        if message.links:
            self._fold.open_propagation(seq, message.links, request)
            self._propagation.begin(seq, message, taken)
        else:
            outcome = accepted(message, (taken,))
            self._journal.when_durable(lambda: answer(outcome))

    def _link(self, message: LinkMessage) -> None:
        if message.worker is not None:
            known = self._fold.received.get(message.worker, message.cause, message.place)
            if known is not None:
                self._propagation.received(message, bytes(known.record))
                return
        decision = self._decide_contribution(message.bet, message)
        outcome: Outcome
        answer: records.Entry | records.LinkRefused
        if isinstance(decision, Rejection):
            answer = records.LinkRefused(
                cause=message.cause,
                place=message.place,
                instance_id=self.instance_id,
                code=decision.code,
                message=decision.message,
                worker=message.worker,
            )
            outcome = decision
            seq = self._journal.stage(encoded := records.encode(answer))
        else:
            events, prepared = decision
            answer = records.Entry(
                instance_id=self.instance_id,
                events=records.from_events(events),
                cause=message.cause,
                place=message.place,
                worker=message.worker,
            )
            seq = self._journal.stage(encoded := records.encode(answer))
            self._fold.apply(seq, self.cell, prepared, events)
            outcome = Taken(self.instance_id, tuple(events), prepared.state.rules)
        if message.worker is None:
            self._propagation.answered(message.cause, message.place, seq, outcome)
        else:
            self._fold.received.answered(answer, encoded)
            self._propagation.received(message, encoded)

    def _depart(self, message: DepartMessage) -> None:
        if self._fenced:
            self._journal.when_durable(lambda: message.answer(FENCED))
            return
        departing = records.Departing(self._now(), self.instance_id, message.to_worker)
        seq = self._journal.stage(records.encode(departing))
        self._fold.move(seq, departing)
        self._stand_still()
        self._journal.when_durable(lambda: message.answer(seq))

    def _stand_still(self) -> None:
        self._handlers = dict.fromkeys(self._handlers, self._park)

    def _park(self, message: Message) -> None:
        """What comes while the instance stands still waits for where it goes; links are bounded by their senders."""
        if isinstance(message, DepartMessage):
            seq = self._fold.moves.departures[self.instance_id].departing_seq
            self._journal.when_durable(lambda: message.answer(seq))
        elif isinstance(message, LinkMessage) or len(self._parked) < self._parked_max:
            self._parked.append(message)
        else:
            message.answer(OVERLOADED)

    def leave(self) -> list[Message]:
        """The instance has left: the actor ends; returns what it has not served."""
        self._life.cancel()
        return [*self._parked, *self.mailbox.take()]

    def go_on(self) -> None:
        """The instance stays: what was parked is served before anything newer."""
        self._handlers = self._serving_handlers()
        for message in [*self._parked, *self.mailbox.take()]:
            self.mailbox.post_due(message)
        self._parked.clear()

    def _opt_in(self, message: OptInMessage) -> None:
        command = msgspec.structs.replace(message.command, at_ms=self._now())
        decision = self._decide(lambda: decide.opt_in(self.cell.state, command))
        outcome = decision if isinstance(decision, Rejection) else self._record(*decision)
        self._journal.when_durable(lambda: message.answer(outcome))

    def _status(self, message: StatusMessage) -> None:
        command = msgspec.structs.replace(message.command, at_ms=self._now())
        decision = self._decide(lambda: decide.change_status(self.cell.state, command))
        if isinstance(decision, Rejection):
            self._journal.when_durable(lambda: message.answer(decision))
            return
        self._record(*decision)
        state = self.cell.state
        self._journal.when_durable(lambda: message.answer(state))

    def _record(self, events: list[InstanceEvent], prepared: Prepared) -> Taken:
        entry = records.Entry(self.instance_id, records.from_events(events))
        self._stage(entry, events, prepared)
        return Taken(self.instance_id, tuple(events), prepared.state.rules)


def accepted(message: ContributeMessage, outcomes: tuple[Outcome, ...]) -> Accepted:
    """The answer to a request, with what its instances made of it."""
    request = message.request
    return Accepted(
        trace_id=request.trace_id,
        accepted_ms=request.accepted_ms,
        api_version=request.api_version,
        metadata=request.metadata,
        outcomes=outcomes,
    )


def _request_record(message: ContributeMessage) -> records.Request:
    """What the journal keeps of a request: enough to answer a repeat, and to serve the links after a crash."""
    request = message.request
    common = records.Request(
        request.operator,
        request.key,
        request.fingerprint,
        request.trace_id,
        request.accepted_ms,
        request.api_version,
        request.metadata,
        request.event_metadata,
    )
    if not message.links:
        return common
    return msgspec.structs.replace(
        common,
        wager=request.bet.wager,
        country=request.bet.country,
        segments=request.bet.segments,
        vertical=request.bet.vertical,
    )
