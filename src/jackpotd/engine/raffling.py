"""A raffle in its owner's hands: who has how many tickets, and the draw when the round is over.

The draw is taken in steps, so that others on the event loop go on; it is committed whole, in one record. A crash before
that leaves the round as it was, and the same secret draws the same tickets again.
"""

import structlog
import trio
import trio.lowlevel

from jackpotd.core import raffle
from jackpotd.core.events import Contributed, InstanceEvent, Prize
from jackpotd.core.ledger import InvariantViolation
from jackpotd.core.state import Contributor, Player
from jackpotd.engine.cells import Cell
from jackpotd.engine.consequences import Seals
from jackpotd.engine.fold import Fold
from jackpotd.engine.ports import Entropy
from jackpotd.engine.ticket_book import TicketBook, gather

_DRAWS_AT_ONCE = 32  # a few milliseconds

_log = structlog.get_logger("jackpotd.raffling")


class Raffling:
    """The tickets of one instance's running round; nothing where it is no raffle."""

    __slots__ = ("_cell", "_entropy", "_fold", "_gathering", "_is_whole", "_seals", "book")

    def __init__(self, cell: Cell, *, fold: Fold, entropy: Entropy, seals: Seals) -> None:
        self._cell = cell
        self._fold = fold
        self._entropy = entropy
        self._seals = seals
        self.book: TicketBook | None = None
        # Made when a round runs: most instances are no raffles, and there are thousands of them.
        self._is_whole: trio.Event | None = None
        self._gathering: trio.CancelScope | None = None

    def refresh(self) -> None:
        """Another round may run than before: it begins with an empty book, but for one that is found under way."""
        round_ = raffle.current_round(self._cell.state)
        if round_ is None:
            self.book = None
        elif self.book is None or self.book.round != round_.number:
            self.book = TicketBook(round_.number)
            self._is_whole = trio.Event()
            if not round_.entrants:
                self._is_whole.set()

    def note(self, contributed: Contributed, player: Player) -> None:
        """A contribution has bought tickets, or a part of one."""
        if self.book is not None and player.tickets is not None:
            held = player.tickets
            self.book.note(held.entrant, held.count, contributed.brand, contributed.player_id)

    async def gathered(self) -> None:
        """Gathers the tickets of a round that was found under way, while the instance serves."""
        book, is_whole = self.book, self._is_whole
        if book is None or is_whole is None or is_whole.is_set():
            return
        try:
            with trio.CancelScope() as self._gathering:
                await gather(book, self._fold, self._cell.state.definition.instance_id)
        except InvariantViolation:
            # The draw will find it, and fence this one raffle; others of the worker are served.
            _log.exception("tickets do not add up")
        finally:
            is_whole.set()  # whoever waits for an instance that leaves looks where it is now

    def leave(self) -> None:
        """The instance goes elsewhere: nothing is gathered here any more."""
        if self._gathering is not None:
            self._gathering.cancel()

    async def whole_book(self) -> TicketBook | None:
        """The tickets of the running round, once they are all there; None where no round runs."""
        while self.book is not None and self._is_whole is not None and not self._is_whole.is_set():
            await self._is_whole.wait()
        return self.book

    async def resolved(self, now_ms: int) -> list[InstanceEvent]:
        """The end of the round, with its draws."""
        book = await self.whole_book()
        state = self._cell.state
        round_, prizes = state.rare.round, list[Prize]()
        if book is None or round_ is None:
            raise ValueError("there is no round to resolve")
        book.check(round_)
        if round_.tickets:
            stream = self._seals.streams(state)[0]
            if stream is None:
                raise ValueError("the raffle is not sealed")
            for count, drawn in enumerate(raffle.draws(state, book.urn(), stream), 1):
                winner = self._winner(*book.who(drawn.entrant))
                prizes.append(raffle.prize(state, drawn, winner, self._entropy.uuid()))
                if not count % _DRAWS_AT_ONCE:
                    await trio.lowlevel.checkpoint()
        _log.info(
            "a round is drawn",
            instance_id=state.definition.instance_id,
            round=round_.number,
            tickets=round_.tickets,
            prizes=len(prizes),
        )
        return [raffle.resolved(state, now_ms, prizes)]

    def _winner(self, brand: str, player_id: str) -> Contributor:
        """Somebody, paid in the currency of their last contribution."""
        last = self._fold.player(self._cell.state.definition.instance_id, brand, player_id).last
        if last is None:
            raise ValueError("a player has tickets, and has never contributed")
        return Contributor(brand, player_id, last.currency, last.player_rate, last.jackpot_rate)
