"""A worker's links and views among neighbours that are joined by plain calls."""

from functools import partial
from typing import TYPE_CHECKING

from jackpotd.core.commands import Bet
from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.acceptance import accepted
from jackpotd.engine.fold import request_at
from jackpotd.engine.messages import ContributeMessage, LinkMessage, Outcome, Pending, Taken
from jackpotd.testing.templates import rates
from jackpotd.wire import records

if TYPE_CHECKING:
    from .neighbourhood import Neighbourhood
    from .neighbours import Worker


class Links:
    """The propagation of one worker."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self._waiting: dict[int, tuple[ContributeMessage, list[Outcome]]] = {}

    def begin(self, cause: int, message: ContributeMessage, taken: Taken) -> None:
        pending = [Pending(instance_id) for instance_id in message.links]
        self._waiting[cause] = (message, [taken, *pending])
        for place, instance_id in enumerate(message.links):
            is_here = instance_id in self._worker.actors
            link = LinkMessage(
                cause,
                place,
                message.request.bet,
                message.rates,
                message.can_debit,
                None if is_here else self._worker.index,
            )
            if is_here:
                self.send(instance_id, link)
            else:  # another worker must not have answered what a crash here undoes
                self._worker.journal.when_durable(partial(self.send, instance_id, link))

    def send(self, instance_id: str, link: LinkMessage) -> None:
        worker = self._worker if link.worker is None else self._worker.hood.home(instance_id)
        actor = None if worker is None else worker.actors.get(instance_id)
        if actor is not None:
            actor.mailbox.post_due(link)

    def answered(self, cause: int, place: int, seq: int, outcome: Outcome) -> None:
        waiting = self._waiting.get(cause)
        if waiting is not None:
            waiting[1][place + 1] = outcome
        if self._worker.fold.link_answered(cause, place, seq):
            self._settle(cause)
            if waiting is not None:
                message, outcomes = self._waiting.pop(cause)
                answer = accepted(message.request, tuple(outcomes))
                self._worker.journal.when_durable(lambda: message.answer(answer))

    def _settle(self, cause: int) -> None:
        fold, journal = self._worker.fold, self._worker.journal
        settled = fold.settlement(cause)
        fold.settle(journal.stage(records.encode(settled)), settled)
        index, hood = self._worker.index, self._worker.hood
        journal.when_durable(lambda: hood.forget(index, cause))

    def received(self, message: LinkMessage, record: bytes) -> None:
        worker, hood = self._worker, self._worker.hood
        assert message.worker is not None
        sender = message.worker
        worker.journal.when_durable(
            lambda: hood.answer_link(sender, message.cause, message.place, worker.index, record)
        )

    def answered_elsewhere(self, cause: int, place: int, where: int, record: bytes) -> None:
        if not self._worker.fold.awaits(cause, place):
            return
        answer = records.decode(record)
        assert isinstance(answer, records.Entry | records.LinkRefused)
        copy = records.remote_answer(cause, place, where, answer)
        seq = self._worker.journal.stage(records.encode(copy))
        self.answered(cause, place, seq, outcome_of(copy, self._worker.hood))

    def resume(self) -> None:
        """Sends again whatever has not answered."""
        fold = self._worker.fold
        for cause, row in list(fold.propagations.items()):
            if cause > self._worker.journal.committed_seq:
                continue
            if all(row.results):
                self._settle(cause)
                continue
            entry, request = request_at(self._worker.journal.read, cause)
            first = entry.events[0]
            assert isinstance(first, records.Contributed)
            bet = Bet(
                first.brand,
                first.player_id,
                request.country,
                request.segments,
                request.vertical,
                first.currency,
                request.wager,
                first.source_id,
                first.reference_type,
                first.reference_id,
            )
            for place, result in enumerate(row.results):
                if not result:
                    link = LinkMessage(cause, place, bet, rates(), True, self._worker.index)
                    self.send(row.links[place], link)


def outcome_of(record: records.Record, hood: "Neighbourhood") -> Outcome:
    """What a link's record says was made of it."""
    match record:
        case records.LinkRefused(code=code, message=message):
            return Rejection(Code(code), message)
        case records.RemoteAnswered(events=None, code=code, message=message):
            return Rejection(Code(code), message)
        case records.Entry(instance_id=name, events=events):
            return Taken(name, tuple(records.to_events(events)), hood.rules[name])
        case records.RemoteAnswered(instance_id=name, events=events) if events is not None:
            return Taken(name, tuple(records.to_events(events)), hood.rules[name])
        case _:
            raise TypeError(record)
