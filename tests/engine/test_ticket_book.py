"""The book of a round against dictionaries: noted, filled and gathered in any order."""

import gc
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jackpotd.core import evolve
from jackpotd.core.ledger import InvariantViolation
from jackpotd.core.state import Definition, LastSeen, Player, Round, Status, Tickets
from jackpotd.core.urn import CHUNK
from jackpotd.engine.cells import Cell
from jackpotd.engine.crowd import STEP_ROWS
from jackpotd.engine.crowd_chunks import name_of
from jackpotd.engine.fold import Fold
from jackpotd.engine.overlay import PlayerCell
from jackpotd.engine.recovery import MemoryKeys, MemoryRows
from jackpotd.engine.ticket_book import TicketBook, gather
from jackpotd.journal.row_store import LmdbRows
from jackpotd.testing.templates import compiled, random_template
from jackpotd.wire import rows

Who = tuple[str, str]

_OVER = object()

TEST_TIMEOUT_S = 60
INSTANCE = "instance"
ROUND = 7
BRANDS = ("op:a", "op:ab", "op:b")
SCANNED_AT_ONCE = 50  # rows that a disk which is read while it is written gives at a time

NUMBERS = st.one_of(
    st.integers(0, 20), st.integers(CHUNK - 2, CHUNK + 2), st.integers(0, 5 * CHUNK)
)
CHANGES = st.lists(st.tuples(st.booleans(), NUMBERS, st.integers(0, 9)), max_size=60)


def who_is(entrant: int) -> Who:
    return BRANDS[entrant % 3], f"player {entrant // 2}"


def check_book(book: TicketBook, expected: dict[int, int]) -> None:
    """The book holds these tickets by entrant, and nobody else."""
    numbers = max(expected, default=-1) + 1
    assert (len(expected), numbers) == (len(book), book.numbers)
    assert sum(expected.values()) == book.tickets
    assert expected == {entrant: book.count(entrant) for entrant in book.entrants(0, numbers)}
    assert [who_is(entrant) for entrant in sorted(expected)] == [
        book.who(entrant) for entrant in book.entrants(0, numbers)
    ]
    assert [name_of(*who_is(entrant)) for entrant in sorted(expected)] == book.names(0, numbers)
    urn = book.urn()
    assert sum(expected.values()) == urn.left
    assert [expected.get(entrant, 0) for entrant in range(numbers)] == [
        urn.weight(entrant) for entrant in range(numbers)
    ]
    row = [entrant for entrant in sorted(expected) for _ in range(expected[entrant])]
    assert row == [urn.find(place) for place in range(urn.left)]


@given(CHANGES)
@settings(deadline=None, max_examples=200)
def test_book_is_that_of_a_naive_count(changes: list[tuple[bool, int, int]]) -> None:
    """A note counts whatever was there; a row counts only where nothing was."""
    book, expected = TicketBook(ROUND), dict[int, int]()
    for is_note, entrant, tickets in changes:
        if is_note:
            book.note(entrant, tickets, *who_is(entrant))
            expected[entrant] = tickets
        else:
            book.fill(entrant, tickets, name_of(*who_is(entrant)))
            expected.setdefault(entrant, tickets)

    check_book(book, expected)


@pytest.mark.parametrize("seed", range(3))
def test_rows_in_any_order_between_notes_make_the_book_that_was_noted_from_the_start(
    seed: int,
) -> None:
    """Some rows are older than a note, and some entrants have none; the notes alone would have made the same book."""
    draw, expected, old = random.Random(seed), dict[int, int](), dict[int, int]()
    for entrant in range(3 * CHUNK + 5):
        old[entrant] = draw.randrange(9)
    late = draw.sample(range(3 * CHUNK + 300), 800)
    book, steps = TicketBook(ROUND), [*late, *(-1 - entrant for entrant in old)]
    expected |= old
    draw.shuffle(steps)
    for step in steps:
        if step < 0:
            book.fill(-1 - step, old[-1 - step], name_of(*who_is(-1 - step)))
        else:
            expected[step] = old.get(step, 0) + draw.randrange(9)
            book.note(step, expected[step], *who_is(step))

    check_book(book, expected)


@given(st.lists(st.tuples(st.sampled_from(BRANDS), st.text(max_size=9)), max_size=30))
def test_entrants_keep_their_names(names: list[Who]) -> None:
    """Any text is a player's id, the same id at two brands is two players, and a row says the same as a note."""
    noted, filled = TicketBook(ROUND), TicketBook(ROUND)
    for entrant, who in enumerate(names):
        noted.note(entrant, 1, *who)
    for entrant, who in reversed(list(enumerate(names))):
        filled.fill(entrant, 1, name_of(*who))

    for book in (noted, filled):
        assert names == [book.who(entrant) for entrant in range(len(names))]


@pytest.mark.parametrize("entrant", [-1, 0, 4, 6, 5 * CHUNK])
def test_nobody_by_a_number_that_was_not_noted(entrant: int) -> None:
    """Neither before nor between nor after those who are known."""
    book = TicketBook(ROUND)
    book.note(5, 3, "op:a", "player")

    with pytest.raises(IndexError, match=f"entrant {entrant} among 1"):
        book.count(entrant)
    with pytest.raises(IndexError, match=f"entrant {entrant} among 1"):
        book.who(entrant)


@pytest.mark.parametrize(
    ("entrant", "tickets", "error"), [(-1, 1, ValueError), (0, 1 << 63, OverflowError)]
)
def test_what_does_not_fit_is_refused(entrant: int, tickets: int, error: type[Exception]) -> None:
    """By a note and of a row; nothing has changed."""
    book = TicketBook(ROUND)
    book.note(0, 3, *who_is(0))
    with pytest.raises(error):
        book.note(entrant, tickets, "op:a", "player")
    book_of_rows = TicketBook(ROUND)
    with pytest.raises(error):
        book_of_rows.fill(entrant, tickets, b"op:a\0player")

    check_book(book, {0: 3})
    assert (0, 0) == (len(book_of_rows), book_of_rows.tickets)


def test_urn_is_a_copy() -> None:
    """What is drawn stays in the book, and what comes later is not in the urn."""
    book = TicketBook(ROUND)
    for entrant in range(5):
        book.note(entrant, 2, *who_is(entrant))
    urn = book.urn()
    urn.take(3, 2)
    book.note(1, 9, *who_is(1))

    assert (8, 17) == (urn.left, book.tickets)
    assert (2, 2, 9) == (urn.weight(1), book.count(3), book.count(1))


def test_memory_is_columns_and_nothing_for_the_collector_to_walk() -> None:
    """However many entrants there are."""
    book, count = TicketBook(ROUND), 20_000
    gc.collect()
    before = len(gc.get_objects())
    for entrant in range(count):
        book.note(entrant, entrant, "op:a", f"player_{entrant:09d}")

    assert abs(len(gc.get_objects()) - before) < 100
    assert 41 * count <= book.memory_bytes <= 50 * count


@pytest.mark.parametrize(
    ("tickets", "entrants", "number"), [(7, 2, ROUND), (6, 3, ROUND), (6, 2, ROUND + 1)]
)
def test_a_book_that_is_not_that_of_the_round_is_a_broken_invariant(
    tickets: int, entrants: int, number: int
) -> None:
    """Other tickets, other entrants, another round; where all agrees, nothing happens."""
    book = TicketBook(ROUND)
    for entrant in range(2):
        book.note(entrant, 3, *who_is(entrant))
    book.check(Round(ROUND, 0, 10, 6, 2, 12345))
    with pytest.raises(InvariantViolation, match="6 tickets of 2 entrants"):
        book.check(Round(number, 0, 10, tickets, entrants, 12345))


def test_a_book_with_a_number_left_out_is_a_broken_invariant() -> None:
    """As many entrants and tickets as the round has, but one by a number that it did not give."""
    book = TicketBook(ROUND)
    for entrant in (0, 2):
        book.note(entrant, 3, *who_is(entrant))
    with pytest.raises(InvariantViolation):
        book.check(Round(ROUND, 0, 10, 6, 2, 0))


class ReadAsWritten(MemoryRows):
    """A disk that is read in pieces, each as it is by then."""

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        while found := list(super().scan(prefix, after))[:SCANNED_AT_ONCE]:
            yield from found
            after = found[-1][0]


class Raffle:
    """A fold with one raffle and its players, on disk, frozen and changed since; `tickets` are those of the round.

    `book` hears of every contribution from when it is there.
    """

    def __init__(self, disk: MemoryRows | LmdbRows | None = None) -> None:
        self.disk = ReadAsWritten() if disk is None else disk
        self.fold = Fold(self.disk, MemoryKeys())
        rules = compiled(random_template(random.Random(1)))
        definition = Definition(INSTANCE, INSTANCE, "op", "t", "op", 0, rules)
        state = evolve.create(definition, Status.ACTIVE)
        self.cell = self.fold.cells[INSTANCE] = Cell(state, 0, b"")
        self.entrants: dict[Who, int] = {}
        self.tickets: dict[int, int] = {}
        self.book: TicketBook | None = None

    def contribute(self, who: Who, awarded: int) -> None:
        entrant = self.entrants.setdefault(who, len(self.entrants))
        self.tickets[entrant] = self.tickets.get(entrant, 0) + awarded
        tickets = Tickets(ROUND, entrant, self.tickets[entrant], 55)
        self.put(who, tickets)
        running = Round(ROUND, 0, 10, sum(self.tickets.values()), len(self.tickets))
        state = self.cell.state
        self.cell.state = replace(state, rare=replace(state.rare, round=running))
        if self.book is not None:
            self.book.note(entrant, tickets.count, *who)

    def opt_in_again(self, who: Who) -> None:
        """The row changes, but not its tickets."""
        key = rows.player_key(INSTANCE, *who)
        found = self.fold.overlay.player(key)
        if found is not None:
            player = replace(found.player, preferences=(("EUR", 10**7),))
            self.fold.overlay.put_player(key, PlayerCell(found.as_of + 1, player))

    def put(self, who: Who, tickets: Tickets | None, instance_id: str = INSTANCE) -> None:
        last = LastSeen(0, 1, "EUR", 10**8, 10**8) if tickets is not None else None
        player = Player(
            opted_in=True,
            preferences=(),
            count=1,
            value=1,
            pots=(),
            updated_ms=1,
            last=last,
            tickets=tickets,
        )
        key = rows.player_key(instance_id, *who)
        self.fold.overlay.put_player(key, PlayerCell(1, player))

    def write_frozen(self, pieces: int = 1) -> Iterator[None]:
        """The rows of a checkpoint, so many transactions; then they are forgotten."""
        frozen = list(self.fold.overlay.frozen())
        for piece in range(pieces):
            self.disk.write(frozen[piece::pieces])
            yield
        for table in self.fold.overlay.forget_frozen():
            table.clear()

    def to_disk(self) -> None:
        self.fold.overlay.freeze()
        list(self.write_frozen())

    def check(self, book: TicketBook) -> None:
        names = {entrant: who for who, entrant in self.entrants.items()}
        known = book.entrants(0, book.numbers)
        assert sorted(names) == known
        assert self.tickets == {entrant: book.count(entrant) for entrant in known}
        assert names == {entrant: book.who(entrant) for entrant in known}
        assert sum(self.tickets.values()) == book.tickets == book.urn().left


def player(number: int) -> Who:
    return BRANDS[number % 3], f"player {number}"


def filled_raffle(draw: random.Random, count: int, disk: MemoryRows | LmdbRows | None) -> Raffle:
    """Rows at all three places, some of them in more than one, with the tickets of each time."""
    raffle = Raffle(disk)
    for place in ("disk", "frozen", "live"):
        for number in draw.sample(range(count), count // 2):
            raffle.contribute(player(number), draw.randrange(4))
        raffle.put(("op:a", f"{place}: only opted in"), None)
        raffle.put(("op:a", f"{place}: the round before"), Tickets(ROUND - 1, 0, 99, 0))
        raffle.put(("op:a", f"{place}: elsewhere"), Tickets(ROUND, 1, 99, 0), "instance 2")
        if place == "disk":
            raffle.to_disk()
        elif place == "frozen":
            raffle.fold.overlay.freeze()
    return raffle


async def test_book_of_rows_takes_the_newest_of_each_player() -> None:
    """Of the disk, of a checkpoint under way, and of what has changed since; nobody of another round or instance."""
    raffle = filled_raffle(random.Random(1), 3_000, None)
    book = TicketBook(ROUND)
    await gather(book, raffle.fold, INSTANCE)

    raffle.check(book)


async def test_book_of_a_round_that_nobody_has_entered_is_empty() -> None:
    """Rows of the round before are as many as ever."""
    raffle = Raffle()
    for number in range(2 * STEP_ROWS):
        raffle.put(player(number), Tickets(ROUND - 1, number, 5, 0))
        if number == STEP_ROWS:
            raffle.to_disk()
    book = TicketBook(ROUND)
    await gather(book, raffle.fold, INSTANCE)

    assert (0, 0, 0) == (len(book), book.tickets, book.urn().left)


class Meanwhile:
    """What goes on while a book is gathered: contributions, opt-ins, and one checkpoint after the other.

    The first checkpoint is under way when it begins.
    """

    def __init__(self, raffle: Raffle, draw: random.Random, players: int) -> None:
        self._raffle = raffle
        self._draw = draw
        self._players = players
        self._pieces: Iterator[None] | None = raffle.write_frozen(3)
        self.contributions = 0
        self.checkpoints = 0

    async def run(self, *, slowness: int) -> None:
        """A few things at a time; a new checkpoint begins once in so many turns."""
        while True:
            for _ in range(self._draw.randrange(6)):
                self._raffle.contribute(player(self._draw.randrange(self._players)), 1)
                self.contributions += 1
                self._raffle.opt_in_again(player(self._draw.randrange(self._players)))
            self._checkpoint(slowness)
            await trio.lowlevel.checkpoint()

    def _checkpoint(self, slowness: int) -> None:
        if self._pieces is None:
            if not self._draw.randrange(slowness):
                self._raffle.fold.overlay.freeze()
                self._pieces = self._raffle.write_frozen(3)
        elif next(self._pieces, _OVER) is _OVER:
            self._pieces = None
            self.checkpoints += 1


DISKS: dict[str, Callable[[Path], MemoryRows | LmdbRows]] = {
    "a snapshot": lambda _path: MemoryRows(),
    "read as it is written": lambda _path: ReadAsWritten(),
    "LMDB": lambda path: LmdbRows.open(path, map_bytes_max=1 << 26),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("disk", DISKS)
async def test_gathered_book_is_whole_though_the_raffle_and_its_checkpoints_go_on(
    seed: int, disk: str, tmp_path: Path
) -> None:
    """Old players come again and new ones enter, rows are frozen, written and forgotten between any two steps."""
    draw = random.Random(seed)
    raffle = filled_raffle(draw, 3_000, DISKS[disk](tmp_path))
    meanwhile = Meanwhile(raffle, draw, 4_000)
    book = raffle.book = TicketBook(ROUND)
    with trio.fail_after(TEST_TIMEOUT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(meanwhile.run, slowness=seed + 1))
            await gather(book, raffle.fold, INSTANCE)
            nursery.cancel_scope.cancel()

    raffle.check(book)
    assert meanwhile.contributions > 10
    assert meanwhile.checkpoints >= 1


async def test_gathered_book_is_whole_though_all_changed_rows_are_written_and_forgotten_meanwhile() -> (
    None
):
    """The rows that were not on disk when it began are there before the first of them is looked up."""
    raffle, count = Raffle(), 3 * STEP_ROWS
    for number in range(count):
        raffle.contribute(player(number), 1)
    raffle.to_disk()
    for number in range(count // 2, 2 * count):
        raffle.contribute(player(number), 1)
        if number == count:
            raffle.fold.overlay.freeze()
    book = TicketBook(ROUND)

    async def checkpoints() -> None:
        list(raffle.write_frozen())
        raffle.to_disk()

    with trio.fail_after(TEST_TIMEOUT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(checkpoints)
            await gather(book, raffle.fold, INSTANCE)

    raffle.check(book)


async def test_rows_that_do_not_tell_of_everybody_are_a_broken_invariant() -> None:
    """The round counted a ticket that nobody has."""
    raffle = filled_raffle(random.Random(3), 100, None)
    raffle.contribute(("op:a", "somebody"), 1)
    raffle.put(("op:a", "somebody"), None)
    with pytest.raises(InvariantViolation, match="in the book"):
        await gather(TicketBook(ROUND), raffle.fold, INSTANCE)


async def test_book_of_a_round_that_is_over_is_not_held_against_the_one_that_runs() -> None:
    """Whoever asked for it has no use for it, but nothing is wrong."""
    raffle = filled_raffle(random.Random(4), 100, None)
    book = TicketBook(ROUND - 1)
    await gather(book, raffle.fold, INSTANCE)

    assert [0] == book.entrants(0, 1)
