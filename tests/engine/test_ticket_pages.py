"""Pages of a round's entrants against the whole list, sorted."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from jackpotd.core.urn import CHUNK
from jackpotd.engine import ticket_pages
from jackpotd.engine.ticket_book import TicketBook
from jackpotd.engine.ticket_pages import page

TEST_TIMEOUT_S = 60
ROUND = 7
BRANDS = ("op:a", "op:ab", "op:b")

ORDERS: dict[str, Callable[[TicketBook, int], Any]] = {
    "entrant": lambda _book, entrant: entrant,
    "ticket_count": lambda book, entrant: book.count(entrant),
    "player_id": lambda book, entrant: book.who(entrant)[1],
}


def listed(
    book: TicketBook,
    *,
    brands: tuple[str, ...] | None,
    by: str,
    descending: bool,
    skip: int,
    limit: int,
) -> list[int]:
    """The page, from a list of all that is sorted."""
    known = [
        entrant
        for entrant in book.entrants(0, book.numbers)
        if brands is None or book.who(entrant)[0] in brands
    ]
    known.sort(key=partial(ORDERS[by], book), reverse=descending)
    return known[skip : skip + limit]


PAGES = st.fixed_dictionaries(
    {
        "brands": st.none() | st.lists(st.sampled_from([*BRANDS, "op", ""]), max_size=3).map(tuple),
        "by": st.sampled_from(list(ORDERS)),
        "descending": st.booleans(),
        "skip": st.integers(0, 12),
        "limit": st.integers(0, 12),
    }
)
ENTRANTS = st.dictionaries(
    st.integers(0, 60),
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(BRANDS),
        st.text("a\0\x7f\xe9\uffff\U0010ffff", max_size=3),
    ),
    max_size=40,
)


@given(entrants=ENTRANTS, asked=st.lists(PAGES, max_size=5), chunk=st.integers(1, 20))
@settings(deadline=None, max_examples=300)
def test_page_is_that_of_the_whole_list_sorted(
    entrants: dict[int, tuple[int, str, str]], asked: list[dict[str, Any]], chunk: int
) -> None:
    """Whatever the ids, with numbers left out, by brands of which one's name begins like another's; ties by entry."""
    book = TicketBook(ROUND)
    for entrant, (tickets, *who) in entrants.items():
        book.note(entrant, tickets, *who)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ticket_pages, "CHUNK", chunk)
        for each in asked:
            assert listed(book, **each) == trio.run(partial(page, book, **each))


IDS = (
    "",
    "\0",
    "a",
    "a\0",
    "a\0b",
    "ab",
    "a\x7f",
    "a\xe9",
    "a\uffff",
    "a\U000fffff",
    "a\U00100000",
    "b",
)


@pytest.mark.parametrize("by", ORDERS)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("seed", range(5))
async def test_page_is_the_best_however_many_are_kept(
    by: ticket_pages.By, descending: bool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One entrant after the other is held against those before, who differ by one ticket or by the end of the id."""
    monkeypatch.setattr(ticket_pages, "CHUNK", 1)
    draw, book = random.Random(seed), TicketBook(ROUND)
    for entrant, player_id in enumerate(draw.sample(IDS, len(IDS))):
        book.note(entrant, draw.randrange(4), "op:a", player_id)
    for limit in range(1, len(IDS) + 1):
        found = await page(book, brands=None, by=by, descending=descending, skip=0, limit=limit)
        assert found == listed(book, brands=None, by=by, descending=descending, skip=0, limit=limit)


@pytest.mark.parametrize("by", ORDERS)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("tickets", ["any", "rising", "alike"])
async def test_pages_of_many_entrants_follow_each_other(
    by: ticket_pages.By, descending: bool, tickets: str
) -> None:
    """Over several chunks, up to the last page and the empty one behind it."""
    draw, book, count = random.Random(1), TicketBook(ROUND), 3 * CHUNK + 100
    for entrant in range(count):
        held = {"any": draw.randrange(50), "rising": entrant, "alike": 3}[tickets]
        book.note(entrant, held, BRANDS[entrant % 3], f"player {draw.randrange(10**6)}")
    found = list[int]()
    for skip in range(0, count + 500, 500):
        found += await page(book, brands=None, by=by, descending=descending, skip=skip, limit=500)

    whole = listed(book, brands=None, by=by, descending=descending, skip=0, limit=count)
    assert whole == found


@pytest.mark.parametrize("by", ORDERS)
async def test_page_is_picked_while_the_raffle_goes_on(by: ticket_pages.By) -> None:
    """Others have a turn for each chunk, contributions are noted in between, and nobody stands on it twice."""
    book, draw, count, turns = TicketBook(ROUND), random.Random(2), 8 * CHUNK, 0
    for entrant in range(count):
        book.note(entrant, draw.randrange(1000), BRANDS[entrant % 3], f"player {entrant // 2}")

    async def contributions() -> None:
        nonlocal turns
        while True:
            turns += 1
            for entrant in draw.sample(range(count + turns), 200):
                book.note(entrant, 1000 + turns, BRANDS[entrant % 3], f"player {entrant // 2}")
            await trio.lowlevel.checkpoint()

    with trio.fail_after(TEST_TIMEOUT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(contributions)
            found = await page(
                book, brands=("op:b", "op"), by=by, descending=True, skip=700, limit=1000
            )
            nursery.cancel_scope.cancel()

    assert 1000 == len(found) == len(set(found))
    assert {"op:b"} == {book.who(entrant)[0] for entrant in found}
    assert turns >= 3
