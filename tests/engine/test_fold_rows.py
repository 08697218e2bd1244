"""What records make of rows: replays from any remains, players who bring their opt-in along, winners, older rows."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jackpotd.core import events as core
from jackpotd.core.state import UNKNOWN_PLAYER, Player
from jackpotd.engine.fold import Fold
from jackpotd.engine.overlay import PlayerCell
from jackpotd.engine.recovery import Difference, MemoryKeys, MemoryRows, compare
from jackpotd.engine.taking import packed
from jackpotd.engine.whereabouts import total
from jackpotd.wire import records, rows
from jackpotd.wire.moving_messages import Departure

from .fold_book import SECRET, Book, rows_after, rows_of, some_lives


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(0, 2**48))
def test_rows_after_a_replay_are_those_of_who_served(seed: int) -> None:
    """Whatever part of a checkpoint was written: each row is folded by its own `as_of`, to the same bytes."""
    rng = random.Random(seed)
    book = some_lives(rng)
    last = book.log.last_seq
    served = rows_of(book)

    assert served == rows_after(book.log, last).items
    for _ in range(4):
        position = rng.randint(0, last)
        newer = rows_after(book.log, rng.randint(position, last)).items
        disk = rows_after(book.log, position)
        written = rng.sample(sorted(newer), rng.randint(0, len(newer)))
        disk.items.update({key: newer[key] for key in written})
        disk.items[rows.POSITION_KEY] = rows.encode(rows.PositionRow(position))
        replayed = rows_after(book.log, last, disk).items
        replayed.pop(rows.POSITION_KEY)
        assert served == replayed


def test_player_without_a_row_brings_the_opt_in_of_another_instance() -> None:
    """The opt-in and its preferences count; contributions made there do not, and whoever was out stays out."""
    book = Book()
    for name in ("old", "new"):
        book.born(name)
    book.happened("old", book.opted("ann", preferred=5))
    book.happened("old", book.contributed("ann"))
    book.happened("old", book.opted("bob", opted_in=False))
    book.inherits("new", "old")
    fold = book.fold

    key, ann, source = fold.known_player("new", "op:a", "ann")
    before = fold.player("old", "op:a", "ann")
    assert (rows.player_key("new", "op:a", "ann"), "old") == (key, source)
    assert Player(True, (("EUR", 5),), 0, 0, (), before.updated_ms) == ann
    assert UNKNOWN_PLAYER is fold.player("new", "op:a", "bob")
    assert UNKNOWN_PLAYER is fold.player("new", "op:a", "somebody else")
    assert UNKNOWN_PLAYER is fold.player("new", "op:b", "ann")
    book.inherits("new", "")
    assert UNKNOWN_PLAYER is fold.player("new", "op:a", "ann")


def test_player_who_brings_an_opt_in_has_a_row_before_what_they_do() -> None:
    """The journal says that the opt-in was brought, once; from then on the player's own row counts."""
    book = Book()
    for name in ("old", "new"):
        book.born(name)
    book.happened("old", book.opted("ann", preferred=5))
    book.inherits("new", "old")
    book.happened("new", book.contributed("ann"))
    book.happened("new", book.opted("ann", opted_in=False))
    _, *written = [records.decode(data) for data in book.log.records[4:]]

    brought = (("op:a", "ann", (("EUR", 5),)),)
    at_ms = book.fold.player("new", "op:a", "ann").updated_ms - 1
    assert records.InheritedPlayers("new", "old", brought, at_ms) == written[0]
    assert [records.Entry, records.Entry] == [type(record) for record in written[1:]]
    assert not book.fold.player("new", "op:a", "ann").opted_in
    assert book.fold.player("new", "op:a", "ann").count == 1
    assert rows_of(book) == rows_after(book.log, book.log.last_seq).items


def test_player_brings_an_opt_in_over_several_instances_that_follow_each_other() -> None:
    """An instance that inherits from one that inherits has the opt-ins of both; a circle ends the search."""
    book = Book()
    for name in ("oldest", "old", "new"):
        book.born(name)
    book.happened("oldest", book.opted("ann"))
    book.happened("oldest", book.opted("bob"))
    book.happened("old", book.opted("bob", opted_in=False))
    book.inherits("old", "oldest")
    book.inherits("new", "old")
    book.inherits("oldest", "new")

    assert "oldest" == book.fold.known_player("new", "op:a", "ann")[2]
    assert UNKNOWN_PLAYER is book.fold.player("new", "op:a", "bob")
    assert UNKNOWN_PLAYER is book.fold.player("new", "op:a", "cid")
    book.inherits("new", "somewhere else")
    assert UNKNOWN_PLAYER is book.fold.player("new", "op:a", "ann")


def test_players_who_are_copied_keep_the_rows_that_they_have() -> None:
    """A copy opts in whom the instance does not know, and nobody else."""
    book = Book()
    book.born("new")
    book.happened("new", book.opted("ann", opted_in=False))
    everybody = tuple(("op:a", player, (("EUR", 5),)) for player in ("ann", "bob"))
    book.copied(records.InheritedPlayers("new", "old", everybody, 77))

    assert not book.fold.player("new", "op:a", "ann").opted_in
    assert Player(True, (("EUR", 5),), 0, 0, (), 77) == book.fold.player("new", "op:a", "bob")
    assert rows_of(book) == rows_after(book.log, book.log.last_seq).items


def test_winners_of_one_entry_have_a_row_each() -> None:
    """The community and the winner stand apart, in the order in which they were paid."""
    book = Book()
    book.born("old")
    events = book.won("dee", is_withheld=True)
    book.happened("old", *events)
    book.happened("old", *events[2:])  # a draw without a contribution

    down = list(book.fold.overlay.winners_down("old", 1))
    assert [
        ("dee", 70, False, True),
        ("dee", 70, False, True),
        ("bob", 6, True, False),
        ("ann", 5, True, False),
    ] == [(row.player_id, row.paid, row.community, row.win_withheld) for row in down]
    assert rows_of(book) == rows_after(book.log, book.log.last_seq).items


def test_winners_of_older_journals_keep_their_keys() -> None:
    """Without a community each win has the place of its event, as it always had."""
    book = Book()
    book.born("old")
    contributed, _, won, _ = book.won("dee")
    book.happened("old", contributed, won, won)

    keys = [key for key in rows_of(book) if key.startswith(rows.WINNERS)]
    assert [rows.winner_key("old", 0, 2, 1), rows.winner_key("old", 0, 2, 2)] == sorted(keys)


def served() -> Book:
    """An instance that was sealed, with a player; its books are right."""
    book = Book()
    book.born("old")
    book.happened("old", core.Sealed(book.at_ms, 0, book.seal(), ""))
    book.happened("old", replace(book.contributed("ann"), attendance=None))
    return book


def revealed(book: Book, secret: str) -> None:
    book.happened("old", core.Sealed(book.at_ms, 0, None, secret))


def test_verify_accepts_rows_that_an_older_version_has_written() -> None:
    """Their last fields are missing, because there was nothing to say."""
    book = Book()
    book.born("old")
    event = replace(book.contributed("ann"), attendance=None)
    book.happened("old", event, replace(book.win(event), win=10**9, paid=10**9, deficit=70))
    items = rows_of(book)
    older = {key: _without_last_fields(key, data) for key, data in items.items()}
    older[rows.POSITION_KEY] = rows.encode(rows.PositionRow(book.log.last_seq))

    assert older.keys() - {rows.POSITION_KEY} == items.keys()
    assert not set(older.values()) & set(items.values())
    compare(book.log, older.items(), MemoryKeys(), alive_since_ms=0)
    wrong = dict(older)
    name = rows.player_key("old", "op:a", "ann")
    wrong[name] = wrong[name].replace(b"false", b"true")
    with pytest.raises(Difference, match="the journal says"):
        compare(book.log, wrong.items(), MemoryKeys(), alive_since_ms=0)


def _without_last_fields(key: bytes, data: bytes) -> bytes:
    endings = {
        rows.INSTANCES: b',[[null],[[0,false,[],[],0]],[],[],0,0,0,0,[],[],[],null,"",[],null,0,0,0]]',
        rows.PLAYERS: b",null,null]",
        rows.WINNERS: b',false,false,0,0,"",0]',
    }
    ending = endings[key[:1]]
    assert data.endswith(ending)
    return data.removesuffix(ending) + b"]"


def test_verify_accepts_a_secret_that_was_committed_to() -> None:
    """What a seal's end reveals has the hash that was published at its beginning."""
    book = served()
    revealed(book, SECRET.hex())

    compare(book.log, [], MemoryKeys(), alive_since_ms=0)


@pytest.mark.parametrize("secret", ["", "no hex", bytes(32).hex()])
def test_verify_finds_a_secret_that_was_not_committed_to(secret: str) -> None:
    """Another secret than the sealed one is a forgery, and none at all hides one."""
    book = served()
    revealed(book, secret)

    with pytest.raises(Difference, match="what it reveals of pot 0 was not sealed"):
        compare(book.log, [], MemoryKeys(), alive_since_ms=0)


def test_verify_finds_a_secret_of_no_seal() -> None:
    """Nothing can be revealed that was never sealed."""
    book = Book()
    book.born("old")
    revealed(book, SECRET.hex())

    with pytest.raises(Difference, match="was not sealed"):
        compare(book.log, [], MemoryKeys(), alive_since_ms=0)


def test_verify_finds_players_of_an_instance_that_does_not_live_here() -> None:
    """Rows of players are put for instances that live with this journal only."""
    book = Book()
    book.copied(records.InheritedPlayers("nowhere", "old", (("op:a", "ann", ()),)))

    with pytest.raises(Difference, match="does not live here"):
        compare(book.log, [], MemoryKeys(), alive_since_ms=0)


def moved(giver: Book) -> Fold:
    """The instance "new" as another worker takes it over, row by row."""
    departure = Departure("new", 0, 1, giver.log.last_seq, 0, (), b"")
    items = sorted(rows_of(giver).items())
    prefixes = rows.prefixes_of("new")
    row: rows.InstanceRow = rows.decode(dict(items)[rows.instance_key("new")])
    imported = packed(departure, [item for item in items if item[0].startswith(prefixes)])
    adopted = records.Adopted(0, "new", 0, departure.departing_seq, 1, row, ())
    taker = Fold(MemoryRows(), MemoryKeys())
    arriving: list[records.Imported | records.Adopted] = [*imported, adopted]
    for seq, record in enumerate(arriving, 1):
        read = records.decode(records.encode(record))
        assert isinstance(read, records.Imported | records.Adopted)
        taker.move(seq, read)
    return taker


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.integers(0, 2**48))
def test_rows_of_an_instance_that_moves_are_the_same_there(seed: int) -> None:
    """Both workers sum up the same rows: seals, boards, last contributions, winners of a community."""
    giver = some_lives(random.Random(seed))
    expected = total(giver.fold, "new")
    taker = moved(giver)

    assert giver.fold.cells["new"].state == taker.cells["new"].state
    assert expected == total(taker, "new")


@pytest.mark.parametrize("changed", ["rare", "last", "community", "win_withheld"])
def test_rows_that_differ_in_one_of_their_last_fields_have_another_sum(changed: str) -> None:
    """What a worker forgets or makes up of an instance that it took over is found."""
    giver = Book()
    giver.born("new")
    giver.happened("new", *giver.won("dee"))
    expected = total(giver.fold, "new")
    taker = moved(giver)
    assert expected == total(taker, "new")
    cell = taker.cells["new"]
    key = rows.player_key("new", "op:a", "dee")
    match changed:
        case "rare":
            cell.state = replace(cell.state, rare=replace(cell.state.rare, received=1))
        case "last":
            dee = taker.player("new", "op:a", "dee")
            taker.overlay.put_player(key, PlayerCell(1, replace(dee, last=None)))
        case field:
            ((name, row), *_) = taker.overlay.fresh_rows(rows.winners_prefix("new"))
            assert isinstance(row, rows.WinnerRow)
            other = {field: not getattr(row, field)}
            taker.overlay.put(name, replace(row, **other))

    assert expected != total(taker, "new")
