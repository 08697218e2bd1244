"""Links: the target's actor sends to its peers, and the request is answered when all of them have (design decision 8).

The target's record names its links; that is the outbox. Each link's record names the target's as its cause. A `Settled`
record closes the request. After a crash, whatever has not answered is sent again, and a peer that has answered is not
asked twice: so a target's contribution never lacks its links, and no link is served twice.

Links of other workers go through `Away`. A request that waits for one of them longer than a deadline is answered
without it: the link will be delivered, and a repeat of the key tells what came of it.
"""

from collections import deque
from collections.abc import Mapping
from typing import Protocol

import trio

from jackpotd.core.commands import Bet
from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.acceptance import accepted
from jackpotd.engine.actor import Actor
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.fold import Fold, request_at
from jackpotd.engine.messages import (
    ContributeMessage,
    LinkMessage,
    Outcome,
    Pending,
    Taken,
)
from jackpotd.engine.places import Definitions
from jackpotd.engine.ports import Journal
from jackpotd.wire import records

ONLY_WORKER = 0
"""The number of a worker that has no others."""


class Away(Protocol):
    """Links between workers."""

    @property
    def deadline_s(self) -> float:
        """How long a request waits for them."""
        ...

    def send(self, instance_id: str, message: LinkMessage) -> None:
        """Sends a link again and again until it is answered; not before its cause is durable."""
        ...

    def received(self, message: LinkMessage, record: bytes) -> None:
        """A link that came from a worker, this one included, is answered by this record, staged by now."""
        ...

    def settled(self, cause: int, links: tuple[str, ...]) -> None:
        """All links of a request have answered; the record that says so is staged."""
        ...


class Propagation:
    """The links of requests whose targets live here."""

    def __init__(self, actors: Mapping[str, Actor], fold: Fold, journal: Journal) -> None:
        self._actors = actors
        self._fold = fold
        self._journal = journal
        self._waiting: dict[int, tuple[ContributeMessage, list[Outcome]]] = {}
        self._deadlines: deque[tuple[float, int]] = deque()
        self._deadline_set = trio.Event()
        self.away: Away | None = None
        self.definitions: Definitions | None = None

    def begin(self, cause: int, message: ContributeMessage, taken: Taken) -> None:
        """Sends a target's contribution on; the request waits here for its links, unless a webhook is told of them."""
        if message.request.callback is None:
            pending = [Pending(instance_id) for instance_id in message.links]
            self._waiting[cause] = (message, [taken, *pending])
        for place, instance_id in enumerate(message.links):
            link = LinkMessage(cause, place, message.request.bet, message.rates, message.can_debit)
            actor = self._actors.get(instance_id)
            if actor is not None:
                actor.mailbox.post_due(link)
            else:
                self._send_away(instance_id, link)

    def _send_away(self, instance_id: str, link: LinkMessage) -> None:
        if self.away is None:
            raise LookupError(f"{instance_id} is nowhere")
        self.away.send(instance_id, link)
        due = trio.current_time() + self.away.deadline_s
        if not self._deadlines or self._deadlines[-1][1] != link.cause:
            self._deadlines.append((due, link.cause))
            self._deadline_set.set()

    async def run(self) -> None:
        """Answers requests whose links of other workers take too long, until cancelled."""
        while True:
            if not self._deadlines:
                self._deadline_set = trio.Event()
                await self._deadline_set.wait()
            due, cause = self._deadlines.popleft()
            if cause in self._waiting:
                await trio.sleep_until(due)
                self._answer(cause)

    def answered(self, cause: int, place: int, seq: int, outcome: Outcome) -> None:
        """A link's record is staged; the last one settles the request and answers it once that is durable."""
        waiting = self._waiting.get(cause)
        if waiting is not None:
            waiting[1][place + 1] = outcome
        if self._fold.link_answered(cause, place, seq):
            self._settle(cause)
            self._answer(cause)

    def _answer(self, cause: int) -> None:
        waiting = self._waiting.pop(cause, None)
        if waiting is not None:
            message, outcomes = waiting
            answer = accepted(message.request, tuple(outcomes))
            self._journal.when_durable(lambda: message.answer(answer))

    def _settle(self, cause: int) -> None:
        settled = self._fold.settlement(cause)
        if self.away is not None:
            self.away.settled(cause, self._fold.propagations[cause].links)
        self._fold.settle(self._journal.stage(records.encode(settled)), settled)

    def received(self, message: LinkMessage, record: bytes) -> None:
        """A link that was sent with its worker's number is answered, perhaps not for the first time."""
        if self.away is None:
            raise LookupError(f"worker {message.worker} is nowhere")
        self.away.received(message, record)

    def take_copy(self, worker: int, cause: int, place: int, record: bytes) -> None:
        """A link's answer that is durable with its worker, or staged here: this journal takes a copy, once."""
        if not self._fold.awaits(cause, place):
            return
        answer = records.decode(record)
        if not isinstance(answer, records.Entry | records.LinkRefused):
            raise TypeError(f"{type(answer).__name__} is no link's answer")
        copied = records.remote_answer(cause, place, worker, answer)
        seq = self._journal.stage(records.encode(copied))
        self.answered(cause, place, seq, self._outcome(copied))

    def _outcome(self, answer: records.RemoteAnswered) -> Outcome:
        if answer.events is None:
            return Rejection(Code(answer.code), answer.message)
        assert self.definitions is not None  # noqa: S101 - narrows the type; they are there once the shard runs
        events = tuple(records.to_events(answer.events))
        return Taken(answer.instance_id, events, self.definitions.of(answer.instance_id).rules)

    def resume(self, catalog: Catalog, *, can_debit: bool) -> None:
        """After a start: sends again what no link has answered, and settles what all have."""
        for cause, row in list(self._fold.propagations.items()):
            if all(row.results):
                self._settle(cause)
                continue
            entry, request = request_at(self._journal.read, cause)
            for place, result in enumerate(row.results):
                if not result:
                    link = _resumed_link(cause, place, entry, request, catalog, can_debit)
                    self._resend(row.links[place], link)

    def _resend(self, instance_id: str, link: LinkMessage) -> None:
        if self.away is not None:
            self.away.send(instance_id, link)
            return
        # An instance that has come here from another worker may have answered there.
        known = self._fold.received.get(ONLY_WORKER, link.cause, link.place)
        if known is None:
            self._actors[instance_id].mailbox.post_due(link)
        else:
            self.take_copy(ONLY_WORKER, link.cause, link.place, bytes(known.record))


def _resumed_link(
    cause: int,
    place: int,
    entry: records.Entry,
    request: records.Request,
    catalog: Catalog,
    can_debit: bool,
) -> LinkMessage:
    contributed = entry.events[0]
    if not isinstance(contributed, records.Contributed):
        raise TypeError(f"record {cause} does not begin with a contribution")
    multipliers = catalog.multipliers_for(contributed.brand)
    bet = Bet(
        brand=contributed.brand,
        player_id=contributed.player_id,
        country=request.country,
        segments=request.segments,
        vertical=request.vertical,
        currency=contributed.currency,
        wager=request.wager,
        source_id=contributed.source_id,
        reference_type=contributed.reference_type,
        reference_id=contributed.reference_id,
    )
    rates = {} if multipliers is None else multipliers.rates
    return LinkMessage(cause, place, bet, rates, can_debit)
