"""One owner for each instance: a task that decides and evolves in memory and hands records to the journal.

Between two waits it drains its mailbox, without yielding but for what is due first: the draw of a raffle's round, and
the players of a community, are looked up in steps, while others go on. It never waits for the network or for a commit:
whoever asked is answered by the journal's call-back, after the commit that covers the record. Links are messages to
peer actors.

An exception before anything was staged fences this one instance (R-FLT-2): it refuses everything until a person
looks and restarts; so does an event that would put its ledger off. A ledger that is off stops the worker.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec
import trio

from jackpotd.core import ledger
from jackpotd.core.events import InstanceEvent
from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.acceptance import accepted, request_record
from jackpotd.engine.cells import Cell
from jackpotd.engine.decider import FENCED, Decider
from jackpotd.engine.fold import Fold, Prepared
from jackpotd.engine.mailbox import Mailbox
from jackpotd.engine.messages import (
    AlarmMessage,
    ContributeMessage,
    DepartMessage,
    LinkMessage,
    Message,
    Operated,
    OperateMessage,
    OptInMessage,
    Outcome,
    Taken,
)
from jackpotd.engine.ports import Clock, Entropy, Journal, Vault
from jackpotd.engine.ticket_book import TicketBook
from jackpotd.wire import records

INHERITS = Rejection(Code.INVALID_STATE, "opt-ins of another jackpot are still being copied here")
OVERLOADED = Rejection(Code.OVERLOADED, "too many contributions are waiting for this jackpot")


class Propagation(Protocol):
    """Where an actor sends what concerns the links of a request."""

    def begin(self, cause: int, message: ContributeMessage, taken: Taken) -> None: ...

    def answered(self, cause: int, place: int, seq: int, outcome: Outcome) -> None: ...

    def received(self, message: LinkMessage, record: bytes) -> None:
        """A link that another worker may have sent has been answered by this record, staged now or earlier."""
        ...


class Alarm(Protocol):
    """Wakes an instance with an `AlarmMessage` at a time, or (None) not any more."""

    def set(self, instance_id: str, when_ms: int | None) -> None: ...


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
        vault: Vault,
        alarms: Alarm,
        propagation: Propagation,
        mailbox_length_max: int,
        one_draw_at_a_time: trio.Lock,
        told_of_status: Callable[[str], None] = lambda _instance_id: None,
    ) -> None:
        self.cell = cell
        self.mailbox: Mailbox[Message] = Mailbox(mailbox_length_max)
        self._fold = fold
        self._journal = journal
        self._decider = Decider(cell, fold=fold, clock=clock, entropy=entropy, vault=vault)
        self._alarms = alarms
        self._propagation = propagation
        self._told_of_status = told_of_status
        self._one_draw_at_a_time = one_draw_at_a_time
        self.is_catching_up = False
        self._handlers = self._serving_handlers()
        self._parked: list[Message] = []
        self._parked_max = mailbox_length_max
        self._life = trio.CancelScope()
        if self.instance_id in fold.moves.departing():
            self._decider.raffling.refresh()  # should it stay, its tickets are there
            self._stand_still()
        else:
            self._begin()

    def _serving_handlers(self) -> dict[type, Callable[..., None]]:
        return {
            ContributeMessage: self._contribute,
            LinkMessage: self._link,
            OptInMessage: self._opt_in,
            OperateMessage: self._operate,
            AlarmMessage: self._alarm,
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
            refusals=self._decider.refusals,
            is_fenced=self._decider.is_fenced,
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
                    now_ms = self._decider.now_ms()
                    if self._decider.is_due(now_ms):
                        now_ms = await self._catch_up()
                    self._handlers[type(message)](message, now_ms)

    def _begin(self) -> None:
        """Seals what has no secret yet, before anything is served, and takes up what is derived."""
        self._record(self._decider.begin())
        self._decider.refresh()
        self._set_alarm()

    def _set_alarm(self) -> None:
        self._alarms.set(self.instance_id, self._decider.alarm_ms())

    def _record(self, decision: tuple[list[InstanceEvent], Prepared] | Rejection) -> None:
        """Stages a decision that nobody's request is behind; one without events leaves no trace."""
        if not isinstance(decision, Rejection) and decision[0]:
            events, prepared = decision
            before = self.cell.state.status
            entry = records.Entry(self.instance_id, records.from_events(events))
            self._stage(records.encode(entry), events, prepared)
            if self.cell.state.status is not before:
                self._journal.when_durable(lambda: self._told_of_status(self.instance_id))

    def _stage(self, encoded: bytes, events: list[InstanceEvent], prepared: Prepared) -> int:
        if prepared.inherited is not None:
            before = self._journal.stage(records.encode(prepared.inherited))
            self._fold.inherit(before, prepared.inherited)
        seq = self._journal.stage(encoded)
        self._fold.apply(seq, self.cell, prepared, events)
        if self._decider.taken(events, prepared.player):
            self._set_alarm()
        return seq

    async def _catch_up(self) -> int:
        """The time of what is decided now, after all that is due by then: what time does, and the end of a round."""
        self.is_catching_up = True
        decider = self._decider
        while True:
            if decider.lacks_crowd:  # what ends now may pay a community
                await decider.gather()
            now_ms = decider.now_ms()
            if now_ms >= decider.due_ms:
                self._record(decider.passed_time(now_ms))
            if now_ms >= decider.round_ends_ms:
                async with self._one_draw_at_a_time:
                    self._record(await decider.resolved_round(now_ms))
            elif not decider.lacks_crowd:
                self.is_catching_up = False
                return now_ms

    async def gather_tickets(self) -> None:
        """Beside `run`: gathers the tickets of a raffle's round that was found under way."""
        await self._decider.raffling.gathered()

    async def whole_book(self) -> TicketBook | None:
        """A raffle's tickets in its running round, once all are known; None between rounds."""
        return await self._decider.raffling.whole_book()

    def _alarm(self, _message: AlarmMessage, _now_ms: int) -> None:
        self._set_alarm()

    def _contribute(self, message: ContributeMessage, now_ms: int) -> None:
        decision = self._decider.contribution(message.request.bet, message, now_ms)
        answer = message.answer
        if isinstance(decision, Rejection):
            self._journal.when_durable(lambda: answer(decision))
            return
        events, prepared = decision
        asked = message.request
        request = request_record(asked, has_links=bool(message.links))
        definition = prepared.state.definition
        entry = records.Entry(
            definition.instance_id, records.from_events(events), request, message.links
        )
        seq = self._stage(records.encode(entry), events, prepared)
        self._fold.use_key(seq, request)
        taken = Taken(definition.instance_id, tuple(events), definition.rules)
        if message.links:
            self._fold.open_propagation(seq, message.links, request)
            self._propagation.begin(seq, message, taken)
        if not message.links or asked.callback is not None:  # its webhook is told of the links
            outcome = accepted(asked, (taken,))
            self._journal.when_durable(lambda: answer(outcome))

    def _link(self, message: LinkMessage, now_ms: int) -> None:
        if message.worker is not None:
            known = self._fold.received.get(message.worker, message.cause, message.place)
            if known is not None:
                self._propagation.received(message, bytes(known.record))
                return
        decision = self._decider.contribution(message.bet, message, now_ms)
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
            seq = self._stage(encoded := records.encode(answer), events, prepared)
            outcome = Taken(self.instance_id, tuple(events), prepared.state.rules)
        if message.worker is None:
            self._propagation.answered(message.cause, message.place, seq, outcome)
        else:
            self._fold.received.answered(answer, encoded)
            self._propagation.received(message, encoded)

    def _depart(self, message: DepartMessage, now_ms: int) -> None:
        if self._decider.is_fenced:
            self._journal.when_durable(lambda: message.answer(FENCED))
            return
        if self.cell.state.rare.inherits:
            message.answer(INHERITS)
            return
        departing = records.Departing(now_ms, self.instance_id, message.to_worker)
        seq = self._journal.stage(records.encode(departing))
        self._fold.move(seq, departing)
        self._stand_still()
        self._journal.when_durable(lambda: message.answer(seq))

    def _stand_still(self) -> None:
        self._handlers = dict.fromkeys(self._handlers, self._park)
        self._decider.rest()

    def _park(self, message: Message, _now_ms: int) -> None:
        """What comes while the instance stands still waits for where it goes; links are bounded by their senders."""
        if isinstance(message, AlarmMessage):
            return
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
        self._decider.raffling.leave()
        return [*self._parked, *self.mailbox.take()]

    def go_on(self) -> None:
        """The instance stays: what was parked is served before anything newer."""
        self._handlers = self._serving_handlers()
        self._begin()
        for message in [*self._parked, *self.mailbox.take()]:
            self.mailbox.post_due(message)
        self._parked.clear()

    def _opt_in(self, message: OptInMessage, now_ms: int) -> None:
        decision = self._decider.opt_in(message.command, now_ms)
        outcome: Taken | Rejection
        if isinstance(decision, Rejection):
            outcome = decision
        else:
            self._record(decision)
            events, prepared = decision
            outcome = Taken(self.instance_id, tuple(events), prepared.state.rules)
        self._journal.when_durable(lambda: message.answer(outcome))

    def _operate(self, message: OperateMessage, now_ms: int) -> None:
        decision = self._decider.operation(message.command, now_ms)
        outcome: Operated | Rejection
        if isinstance(decision, Rejection):
            outcome = decision
        else:
            self._record(decision)
            self._set_alarm()
            outcome = Operated(self.cell.state, tuple(decision[0]))
        self._journal.when_durable(lambda: message.answer(outcome))
