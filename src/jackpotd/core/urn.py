"""An urn of tickets, drawn from without replacement.

Tickets have no objects: what an entrant has is a number, and the tickets that are left stand in a row, entrants in
order. Entrants are cut into chunks with a sum each, chunks into groups. A draw adds up groups, then the chunks of one,
then the entrants of one: as fast wherever the ticket lies. Who owns the numbers may keep the sums of chunks and give
them, so that millions of entrants are copied but not added up.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from jackpotd.core.ledger import InvariantViolation

CHUNK = 1024
"""Entrants that one sum is for; the last chunk may be shorter."""
_STEP = 32  # chunks of a group, and parts of a chunk


class Urn:
    """The tickets of entrants who are numbered from 0. It works on copies.

    `left` is how many tickets there are. Each entrant takes 8 bytes. With a million of them, a draw takes some
    30 microseconds, and building 1 to 5 ms where the sums are given, 15 ms more where they are not.

    Args:
        weights: tickets of each entrant, none negative, each below 2^63; an `array("q")` is copied as memory.
        sums: those of `weights`, for `CHUNK` entrants each; of any size. They are added up where they are not given.

    Raises:
        ValueError: there are not as many sums as chunks.
        OverflowError: an entrant has 2^63 tickets or more.
    """

    __slots__ = ("_groups", "_sums", "_weights", "left")

    def __init__(self, weights: Sequence[int], sums: Sequence[int] | None = None) -> None:
        self._weights = array("q", weights)
        self._sums = chunk_sums(self._weights) if sums is None else list(sums)
        if len(self._sums) != -(-len(self._weights) // CHUNK):
            raise ValueError(f"{len(self._sums)} sums for {len(self._weights)} entrants")
        self._groups = _added(self._sums, _STEP)
        self.left = sum(self._groups)

    def weight(self, entrant: int) -> int:
        """How many tickets an entrant has left.

        Raises:
            IndexError: there is no such entrant.
        """
        if not 0 <= entrant < len(self._weights):
            raise IndexError(f"entrant {entrant} among {len(self._weights)}")
        return self._weights[entrant]

    def find(self, place: int) -> int:
        """The entrant whose ticket stands at a place, from 0, in the row of those left.

        Raises:
            IndexError: there are not so many tickets left.
            InvariantViolation: the sums that were given are not those of the weights.
        """
        if not 0 <= place < self.left:
            raise IndexError(f"ticket {place} among {self.left}")
        group, place = _located(self._groups, place)
        first = group * _STEP
        chunk, place = _located(self._sums[first : first + _STEP], place)
        chunk += first
        first = chunk * CHUNK
        # Adding up parts makes no object for each entrant, as running sums would: twice as fast.
        parts = _added(self._weights[first : first + CHUNK], _STEP)
        if sum(parts) != self._sums[chunk]:
            raise InvariantViolation(f"chunk {chunk} has {sum(parts)}, not {self._sums[chunk]}")
        part, place = _located(parts, place)
        first += part * _STEP
        return first + _located(self._weights[first : first + _STEP], place)[0]

    def take(self, entrant: int, count: int) -> None:
        """Removes tickets of an entrant.

        Raises:
            IndexError: there is no such entrant.
            ValueError: they have not so many, or the count is negative; nothing has changed.
        """
        held = self.weight(entrant)
        if not 0 <= count <= held:
            raise ValueError(f"{count} tickets of entrant {entrant}, who has {held}")
        self._weights[entrant] = held - count
        self._sums[entrant // CHUNK] -= count
        self._groups[entrant // (CHUNK * _STEP)] -= count
        self.left -= count


def chunk_sums(weights: Sequence[int]) -> list[int]:
    """The tickets of each chunk."""
    return _added(weights, CHUNK)


def _added(numbers: Sequence[int], length: int) -> list[int]:
    """The sums of so many at a time."""
    return [sum(numbers[first : first + length]) for first in range(0, len(numbers), length)]


def _located(numbers: Sequence[int], place: int) -> tuple[int, int]:
    """Which of these numbers of tickets in a row holds a place, and its place among those."""
    ends = list(accumulate(numbers))
    at = bisect_right(ends, place)
    return at, place - ends[at - 1] if at else place
