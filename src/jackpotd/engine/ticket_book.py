"""Who has how many tickets in a round of a raffle: in memory, for millions, without an object for each of them.

Entrants are numbered in the order in which they came, so what is known of them stands in columns by that number. A name
is put at the end of all names when its entrant becomes known, whatever the order, and stays there. The sums that a draw
needs are kept with every change, so that an urn is a copy and nothing is added up.

A book is filled from the players' rows while the raffle goes on: what is noted of an entrant is never older than a row.
"""

import sys
from array import array
from collections.abc import Sequence

import msgspec
import trio.lowlevel
from msgspec import Raw, Struct

from jackpotd.core.ledger import InvariantViolation
from jackpotd.core.state import Round
from jackpotd.core.urn import CHUNK, Urn
from jackpotd.engine.crowd import STEP_ROWS, in_steps
from jackpotd.engine.crowd_chunks import name_of
from jackpotd.engine.fold import Fold
from jackpotd.wire import rows
from jackpotd.wire.codec import NULL

_RESERVED_AT_ONCE = 1 << 16  # numbers: about a millisecond where the memory is new


class TicketBook:
    """The entrants of one round, numbered from 0, of whom some may not be known yet.

    An entrant takes 20 bytes and the length of brand and id, and up to an eighth more for what is to come.

    Args:
        number: that of the round.
    """

    __slots__ = ("_counts", "_ends", "_names", "_sums", "_where", "round", "tickets")

    def __init__(self, number: int) -> None:
        self.round = number
        self.tickets = 0
        # By entrant: tickets, and which name is theirs, counted from 1; 0 is nobody who is known.
        self._counts = array("q")
        self._where = array("I")
        self._sums: list[int] = []
        self._names = bytearray()
        self._ends = array("q", (0,))

    def __len__(self) -> int:
        """How many are known."""
        return len(self._ends) - 1

    @property
    def numbers(self) -> int:
        """All who are known have numbers below this one."""
        return len(self._counts)

    @property
    def memory_bytes(self) -> int:
        columns = (self._counts, self._where, self._sums, self._names, self._ends)
        return sum(map(sys.getsizeof, (self, *columns)))

    def note(self, entrant: int, tickets: int, brand: str, player_id: str) -> None:
        """An entrant has so many tickets in all from now on, be it one who has just come.

        Raises:
            ValueError: the number is negative.
            OverflowError: there are 2^63 tickets or more. In both cases nothing is noted.
        """
        if not 0 <= entrant < len(self._counts):
            self.reserve(entrant)
        before = self._counts[entrant]
        if tickets != before:
            self._counts[entrant] = tickets
            self._sums[entrant // CHUNK] += tickets - before
            self.tickets += tickets - before
        if not self._where[entrant]:
            self._enter(entrant, name_of(brand, player_id))

    def fill(self, entrant: int, tickets: int, name: bytes) -> None:
        """What a row says of an entrant, and who it is, as `name_of` says it; who is known already is better known."""
        if not 0 <= entrant < len(self._counts):
            self.reserve(entrant)
        if self._where[entrant]:
            return
        self._counts[entrant] = tickets
        self._sums[entrant // CHUNK] += tickets
        self.tickets += tickets
        self._enter(entrant, name)

    def reserve(self, entrant: int) -> None:
        """Makes room up to an entrant, who is not known by that."""
        if entrant < 0:
            raise ValueError(f"there is no entrant {entrant}")
        more = entrant + 1 - len(self._counts)
        if more == 1:
            self._counts.append(0)
            self._where.append(0)
        elif more > 1:
            self._counts.frombytes(bytes(more * self._counts.itemsize))
            self._where.frombytes(bytes(more * self._where.itemsize))
        lacking = -(-len(self._counts) // CHUNK) - len(self._sums)
        if lacking:
            self._sums += [0] * lacking

    def _enter(self, entrant: int, name: bytes) -> None:
        self._names += name
        self._where[entrant] = len(self._ends)
        self._ends.append(len(self._names))

    def count(self, entrant: int) -> int:
        """The tickets of an entrant.

        Raises:
            IndexError: nobody is known by this number.
        """
        self._place(entrant)
        return self._counts[entrant]

    def who(self, entrant: int) -> tuple[str, str]:
        """Brand and id of an entrant.

        Raises:
            IndexError: nobody is known by this number.
        """
        brand, _, player_id = self.name(entrant).decode().partition("\0")
        return brand, player_id

    def name(self, entrant: int) -> bytes:
        """The same as `name_of` says it."""
        place = self._place(entrant)
        return bytes(self._names[self._ends[place - 1] : self._ends[place]])

    def _place(self, entrant: int) -> int:
        place = self._where[entrant] if 0 <= entrant < len(self._where) else 0
        if not place:
            raise IndexError(f"entrant {entrant} among {len(self)}")
        return place

    def counts(self, first: int, end: int) -> Sequence[int]:
        """The tickets of the entrants from `first` to before `end`; 0 for those who are not known."""
        return self._counts[first:end]

    def entrants(self, first: int, end: int) -> list[int]:
        """Those of them who are known, in order."""
        return [entrant for entrant, place in enumerate(self._where[first:end], first) if place]

    def names(self, first: int, end: int) -> list[bytes]:
        """Their names, in the same order."""
        names, ends = self._names, self._ends
        return [
            bytes(names[ends[place - 1] : ends[place]]) for place in self._where[first:end] if place
        ]

    def urn(self) -> Urn:
        """The tickets to draw from, as they are now; of no use before everybody is known."""
        return Urn(self._counts, self._sums)

    def check(self, expected: Round) -> None:
        """The book holds all that a round counted.

        Raises:
            InvariantViolation: it does not, or is of another round.
        """
        entrants = expected.entrants
        found = (self.round, self.tickets, len(self), self.numbers)
        if found != (expected.number, expected.tickets, entrants, entrants):
            raise InvariantViolation(
                f"round {self.round}: {self.tickets} tickets of {len(self)} entrants in the book; "
                f"round {expected.number} has {expected.tickets} of {entrants}"
            )


class _TicketsRow(Struct, frozen=True, gc=False, array_like=True):
    """As much of a player's `Tickets` as the book holds."""

    round: int
    entrant: int
    count: int


class _PlayerRow(Struct, frozen=True, gc=False, array_like=True, tag="p"):
    """As much of a player's row as the book needs; the rest is passed over unread."""

    as_of: int
    opted_in: bool
    preferences: Raw
    count: int
    value: int
    pots: Raw
    updated_ms: int
    last: Raw = NULL
    tickets: _TicketsRow | None = None


_DECODER = msgspec.json.Decoder(_PlayerRow)


async def gather(book: TicketBook, fold: Fold, instance_id: str) -> None:
    """Fills the book of the running round from the players' rows, a few at a time, while the raffle is served.

    From the call on, whatever changes an entrant's tickets must be noted in the same breath as it is put in place in
    the fold, and nobody may enter a later round before this is done: their row would no longer tell of this one.

    A row at rest moves one way: from the changed ones through the frozen ones to the disk. So the keys of those that
    are not on disk yet are taken down first, all at once, and each is looked up wherever it is by then; after that all
    of the disk is read. Whichever version a look finds, its tickets are those from when this began, or somebody has
    noted better ones; only the disk may hold older ones, of players whom the first look has made known.

    Raises:
        InvariantViolation: the round still runs, and this is not all that it counted.
    """
    cell, prefix = fold.cells[instance_id], rows.player_prefix(instance_id)
    overlay = fold.overlay
    keys = overlay.changed_players(prefix)
    running = cell.state.rare.round
    entrants = running.entrants if running is not None and running.number == book.round else 0
    for entrant in range(0, entrants, _RESERVED_AT_ONCE):
        book.reserve(entrant)
        await trio.lowlevel.checkpoint()
    while keys:  # whose last holder this may be: not all of them are let go of at once
        for key in keys[-STEP_ROWS:]:
            found = overlay.player(key)
            tickets = None if found is None else found.player.tickets
            if tickets is not None and tickets.round == book.round:
                book.fill(tickets.entrant, tickets.count, key[len(prefix) :])
        del keys[-STEP_ROWS:]
        await trio.lowlevel.checkpoint()
    for step in in_steps(overlay.scan(prefix)):
        for key, data in step:
            on_disk = _DECODER.decode(data).tickets
            if on_disk is not None and on_disk.round == book.round:
                book.fill(on_disk.entrant, on_disk.count, key[len(prefix) :])
        await trio.lowlevel.checkpoint()
    running = cell.state.rare.round
    if running is not None and running.number == book.round:
        book.check(running)
