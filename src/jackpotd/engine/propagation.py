"""Links: the target's actor sends to its peers, and the request is answered when all of them have (design decision 8).

The target's record names its links; that is the outbox. Each link's record names the target's as its cause. A `Settled`
record closes the request. After a crash, whatever has not answered is sent again, and a peer that has answered is not
asked twice: so a target's contribution never lacks its links, and no link is served twice.
"""

from collections.abc import Mapping

from jackpotd.core.commands import Bet
from jackpotd.engine.actor import Actor, accepted
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.fold import Fold, request_at
from jackpotd.engine.messages import (
    ContributeMessage,
    LinkMessage,
    Outcome,
    Pending,
    Taken,
)
from jackpotd.engine.ports import Journal
from jackpotd.wire import records


class LocalPropagation:
    """Links between instances of one shard."""

    def __init__(self, actors: Mapping[str, Actor], fold: Fold, journal: Journal) -> None:
        self._actors = actors
        self._fold = fold
        self._journal = journal
        self._waiting: dict[int, tuple[ContributeMessage, list[Outcome]]] = {}

    def begin(self, cause: int, message: ContributeMessage, taken: Taken) -> None:
        """Sends a target's contribution on; the request waits here for its links."""
        pending = [Pending(instance_id) for instance_id in message.links]
        self._waiting[cause] = (message, [taken, *pending])
        for place, instance_id in enumerate(message.links):
            link = LinkMessage(cause, place, message.request.bet, message.rates, message.can_debit)
            self._actors[instance_id].mailbox.post_due(link)

    def answered(self, cause: int, place: int, seq: int, outcome: Outcome) -> None:
        """A link's record is staged; the last one settles the request and answers it once that is durable."""
        waiting = self._waiting.get(cause)
        if waiting is not None:
            waiting[1][place + 1] = outcome
        if not self._fold.link_answered(cause, place, seq):
            return
        self._settle(cause)
        if waiting is not None:
            del self._waiting[cause]
            message, outcomes = waiting
            answer = accepted(message, tuple(outcomes))
            self._journal.when_durable(lambda: message.answer(answer))

    def _settle(self, cause: int) -> None:
        settled = self._fold.settlement(cause)
        self._fold.settle(self._journal.stage(records.encode(settled)), settled)

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
                    self._actors[row.links[place]].mailbox.post_due(link)


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
