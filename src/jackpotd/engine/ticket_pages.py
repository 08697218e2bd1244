"""Pages of the list of a round's entrants, in orders that nobody keeps: the best of all are picked out for each page.

A chunk of entrants is looked at in a step, and only those who may come on the page or before it are kept, in a heap:
among a million no step takes long, and nothing of that size is ever sorted. Others on the event loop go on in between,
and so does the raffle. Each entrant is looked at once, so nobody stands on a page twice.

What decides a place in the list is one number or one string of bytes, so that there is nothing to collect: first what
the list is ordered by, then the entrant, the earlier the better. The greater one comes first.
"""

import heapq
from typing import Generic, Literal, TypeVar

import trio.lowlevel

from jackpotd.core.urn import CHUNK
from jackpotd.engine.ticket_book import TicketBook

By = Literal["entrant", "ticket_count", "player_id"]
_Rank = TypeVar("_Rank", int, bytes)
_Marks = tuple[bytes, ...]
"""What the names of a brand's players begin with."""

_POPPED_AT_ONCE = 256
_ENTRANT_BITS = 64
_LAST = (1 << _ENTRANT_BITS) - 1

# Ids are UTF-8, of bytes up to 0xf4. They are turned round, or moved on by one, so that there is room for a mark of the
# end: an id that another one begins with comes before it, or after it.
_LAST_BYTE = 0xF4
_UP = bytes(max(0, _LAST_BYTE - byte) for byte in range(256))
_UP_END = b"\xff"
_DOWN = bytes(min(_LAST_BYTE, byte) + 1 for byte in range(256))
_DOWN_END = b"\x00"


async def page(
    book: TicketBook,
    *,
    brands: tuple[str, ...] | None,
    by: By,
    descending: bool,
    skip: int,
    limit: int,
) -> list[int]:
    """The entrants of one page: `limit` of those of these brands, or (None) of all, after `skip` others.

    Those with as many tickets, or with the same id at several brands, are in the order of their entry, whichever the
    direction. Ids are ordered by their code points. It takes memory for `skip + limit` entrants.
    """
    if limit <= 0:
        return []
    marks = None if brands is None else tuple(f"{brand}\0".encode() for brand in brands)
    if by == "entrant":
        return await _by_entrant(book, marks, skip, limit, is_down=descending)
    if by == "ticket_count":
        return await _by_count(book, marks, skip, limit, is_down=descending)
    return await _by_id(book, marks, skip, limit, is_down=descending)


class _Best(Generic[_Rank]):
    """The best of all that were offered, so many of them; the worst of these is on top of a heap."""

    __slots__ = ("_heap", "_size")

    def __init__(self, size: int) -> None:
        self._heap: list[_Rank] = []
        self._size = size

    @property
    def least(self) -> _Rank | None:
        """What another one must exceed; None while there is room."""
        return self._heap[0] if len(self._heap) == self._size else None

    def offer(self, rank: _Rank) -> None:
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, rank)
        elif self._heap[0] < rank:
            heapq.heapreplace(self._heap, rank)

    async def after(self, skip: int) -> list[_Rank]:
        """All but so many of them, the best first. They are taken out from the other end."""
        found: list[_Rank] = []
        while len(self._heap) > skip:
            found.append(heapq.heappop(self._heap))
            if not len(found) % _POPPED_AT_ONCE:
                await trio.lowlevel.checkpoint()
        found.reverse()
        return found


async def _by_entrant(
    book: TicketBook, marks: _Marks | None, skip: int, limit: int, *, is_down: bool
) -> list[int]:
    """Up to the end of the page, and no further."""
    found: list[int] = []
    chunks = range(0, book.numbers, CHUNK)
    for first in reversed(chunks) if is_down else chunks:
        entrants = _of_brand(book, first, marks)
        found += reversed(entrants) if is_down else entrants
        await trio.lowlevel.checkpoint()
        if len(found) >= skip + limit:
            break
    return found[skip : skip + limit]


async def _by_count(
    book: TicketBook, marks: _Marks | None, skip: int, limit: int, *, is_down: bool
) -> list[int]:
    best = _Best[int](skip + limit)
    for first in range(0, book.numbers, CHUNK):
        _offer_counts(best, book, first, marks, is_down=is_down)
        await trio.lowlevel.checkpoint()
    return [_LAST - (rank & _LAST) for rank in await best.after(skip)]


def _offer_counts(
    best: _Best[int], book: TicketBook, first: int, marks: _Marks | None, *, is_down: bool
) -> None:
    counts, least = book.counts(first, first + CHUNK), best.least
    if least is not None:
        most = max(counts) if is_down else -min(counts)
        if most <= least >> _ENTRANT_BITS:
            return  # so it is with most chunks of a long list: who comes later must have more
    for entrant in _of_brand(book, first, marks):
        count = counts[entrant - first]
        best.offer((count if is_down else -count) << _ENTRANT_BITS | (_LAST - entrant))


async def _by_id(
    book: TicketBook, marks: _Marks | None, skip: int, limit: int, *, is_down: bool
) -> list[int]:
    best = _Best[bytes](skip + limit)
    for first in range(0, book.numbers, CHUNK):
        _offer_ids(best, book, first, marks, is_down=is_down)
        await trio.lowlevel.checkpoint()
    size = _ENTRANT_BITS // 8
    return [_LAST - int.from_bytes(rank[-size:], "big") for rank in await best.after(skip)]


def _offer_ids(
    best: _Best[bytes], book: TicketBook, first: int, marks: _Marks | None, *, is_down: bool
) -> None:
    order, end = (_DOWN, _DOWN_END) if is_down else (_UP, _UP_END)
    size = _ENTRANT_BITS // 8
    least = best.least or b""
    names = book.names(first, first + CHUNK)
    for entrant, name in zip(book.entrants(first, first + CHUNK), names, strict=True):
        if marks is None or name.startswith(marks):
            rank = name[name.index(0) + 1 :].translate(order) + end
            if rank > least:  # without its entrant: who comes later must have a better id
                best.offer(rank + (_LAST - entrant).to_bytes(size, "big"))


def _of_brand(book: TicketBook, first: int, marks: _Marks | None) -> list[int]:
    entrants = book.entrants(first, first + CHUNK)
    if marks is None:
        return entrants
    names = book.names(first, first + CHUNK)
    return [
        entrant for entrant, name in zip(entrants, names, strict=True) if name.startswith(marks)
    ]
