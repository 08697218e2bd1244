"""A raffle's rounds in a journal, against what its rules, its tickets and the secret that it reveals make of them.

What a ticket by base wager was counted for is taken on trust: the journal does not hold the wager.
"""

from collections.abc import Sequence

from jackpotd.core import raffle
from jackpotd.core.events import Contributed, InstanceEvent, RoundResolved, Sealed
from jackpotd.core.fairness import PotStream
from jackpotd.core.rules import TicketMetric
from jackpotd.core.state import Contributor, Instance
from jackpotd.engine.fold import Fold
from jackpotd.engine.ticket_book import TicketBook
from jackpotd.wire import rows


class RoundAudit:
    """The tickets of all raffles of a journal, counted while it is replayed.

    Args:
        fold: the replay from nothing; it stands before the record that is looked at.
    """

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self._books: dict[str, TicketBook] = {}

    def problem(self, state: Instance, events: Sequence[InstanceEvent]) -> str | None:
        """What is wrong with the events of a record, in words; `state` is the instance before it."""
        for event in events:
            found = None
            if isinstance(event, Contributed) and event.issued is not None:
                found = self._bought(state, event)
            elif isinstance(event, RoundResolved):
                secrets = [each.revealed for each in events if isinstance(each, Sealed)]
                found = self._drawn(state, event, secrets)
            if found is not None:
                return found
        return None

    def _bought(self, state: Instance, event: Contributed) -> str | None:
        rules, issued, now = state.rules.raffle, event.issued, raffle.running(state, event.at_ms)
        if rules is None or issued is None or now is None or now.number != issued.round:
            return "tickets for a round that does not run"
        name = state.definition.instance_id
        held = self._fold.player(name, event.brand, event.player_id).tickets
        entrant, count, before = now.entrants, 0, 0
        if held is not None and held.round == now.number:
            entrant, count, before = held.entrant, held.count, held.accumulated
        awarded, left = divmod(issued.counted + before, rules.cost)
        expected = (entrant, awarded, left if rules.accumulates else 0)
        is_worth = rules.metric is not TicketMetric.CONTRIBUTION or issued.counted == event.worth
        if expected != (issued.entrant, issued.awarded, issued.accumulated) or not is_worth:
            return "tickets that were not paid for"
        book = self._books.get(name)
        if book is None or (book.round, len(book), book.tickets) != (
            now.number,
            now.entrants,
            now.tickets,
        ):  # a round begins, or went on at another worker: then the rows have what is missing
            book = self._books[name] = TicketBook(now.number)
        book.note(entrant, count + awarded, event.brand, event.player_id)
        return None

    def _drawn(self, state: Instance, event: RoundResolved, secrets: Sequence[str]) -> str | None:
        now = state.rare.round
        if now is None or now.number != event.number or event.at_ms < now.ends_ms:
            return f"round {event.number} is drawn, and is not over"
        if len(secrets) != 1 or not secrets[0]:
            return f"round {event.number} is drawn, and its secret is not revealed"
        book, stream = self._book(state), PotStream(bytes.fromhex(secrets[0]))
        ids = [prize.round_id for prize in event.prizes]
        prizes = [
            raffle.prize(state, drawn, self._winner(state, *book.who(drawn.entrant)), round_id)
            for drawn, round_id in zip(
                raffle.draws(state, book.urn(), stream), [*ids, ""], strict=False
            )
        ]
        self._books.pop(state.definition.instance_id, None)
        if raffle.resolved(state, event.at_ms, prizes) != event:
            return f"the draw of round {event.number} is not its secret's"
        return None

    def _book(self, state: Instance) -> TicketBook:
        """The tickets of the round that is over; of one that began on another worker, from the players' rows."""
        name, now = state.definition.instance_id, state.rare.round
        if now is None:
            raise ValueError("there is no round")
        book = self._books.get(name)
        if book is None or (book.round, book.tickets) != (now.number, now.tickets):
            book = TicketBook(now.number)
        if len(book) < now.entrants:
            prefix = rows.player_prefix(name)
            for key in self._fold.overlay.changed_players(prefix):
                found = self._fold.overlay.player(key)
                tickets = None if found is None else found.player.tickets
                if tickets is not None and tickets.round == now.number:
                    book.fill(tickets.entrant, tickets.count, key[len(prefix) :])
        book.check(now)
        return book

    def _winner(self, state: Instance, brand: str, player_id: str) -> Contributor:
        last = self._fold.player(state.definition.instance_id, brand, player_id).last
        if last is None:
            raise ValueError("a player has tickets, and has never contributed")
        return Contributor(brand, player_id, last.currency, last.player_rate, last.jackpot_rate)
