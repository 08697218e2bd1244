"""The format of the checkpoint: rows have all of the core's state, survive a round trip, and older ones are read."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from jackpotd.core import state
from jackpotd.core.evolve import create
from jackpotd.core.schedule import Schedule
from jackpotd.core.split import allocation
from jackpotd.core.state import (
    BoundSchedule,
    Contributor,
    HeldWin,
    LastSeen,
    Player,
    PotCount,
    Rare,
    RarePot,
    Round,
    Seal,
    Status,
    Tickets,
    Window,
)
from jackpotd.engine.cells import Cell, cell_of, definition_of, instance_of, row_of
from jackpotd.engine.overlay import PlayerCell, player_cell, player_row
from jackpotd.wire import parts, records, rows
from jackpotd.wire.catalog_records import compile_document

from .format_values import BRANDS, DOCUMENTS, shape, strategy, structs

ci = settings(derandomize=True, deadline=None, max_examples=150)
CREATED = records.Created(
    1000, "one", "One", "op", "two", "op", Raw(DOCUMENTS[0]), BRANDS, Status.ACTIVE, "root"
)
BORN = records.encode(CREATED)
# As version 0.1 wrote them: without their last fields.
OLDER_INSTANCE = (
    b'["i",7,["I",1000,"one","One","op","two","op",' + DOCUMENTS[0] + b',["op:a","op:b"],"Active",'
    b'"root"],"Active",1,2000,[[1002500000,2500000,1,true,0,0]],[0,0,0],1,10000000,1000000000,0,'
    b"5000000,0]"
)
OLDER_PLAYER = b'["p",7,false,[["EUR",5000000]],1,10000000,[[1,1,10000000]],2000]'
OLDER_WINNER = b'["w",2000,0,"op:a","p1",1002000000,"r1"]'
# As they were written before there were raffles and schedules.
SEEN_PLAYER = b'["p",7,true,[],1,5,[],9,[3,9,"EUR",100000000,100000000]]'
COMMUNITY_WINNER = b'["w",2000,0,"op:a","p1",1002000000,"r1",true,true]'
RARE_BEFORE_RAFFLES = (
    b'[[[1,"ab","cd",9,0,4]],[[5,true,[],[],6]],[],'
    b'[["r",0,9,["op:b","p2","USD",100000000,110000000],7,8]],8,0,0,19,[],[],[],null,"zero"]'
)
TIMED = (
    DOCUMENTS[0][:-4]
    + b',{"Time":{"every":{"Hours":1},"window_start":0,"fallback":"RollOver"}}]}]}'
)


def test_rows_format_has_the_core_s_state() -> None:
    """A row holds every field of the state that it stands for, under the same names and in the same order."""
    assert shape(state.Pot) == shape(rows.PotRow)
    assert shape(state.PotCount) == shape(rows.PotCountRow)
    derived = {"definition", "plan"}
    expected = [name for name, _ in shape(state.Instance) if name not in derived]
    assert ["as_of", "created", *expected] == [name for name, _ in shape(rows.InstanceRow)]
    player = [name for name, _ in shape(state.Player)]
    assert ["as_of", *player] == [name for name, _ in shape(rows.PlayerRow)]


@ci
@given(strategy(rows.Row))
def test_rows_format_survives_a_round_trip(row: rows.Row) -> None:
    """Every kind of row is read back equal, and written again to the same bytes."""
    data = rows.encode(row)

    assert data == rows.encode(rows.decode(data))
    assert type(row) is type(rows.decode(data))


def cells() -> st.SearchStrategy[Cell]:
    """Instances with anything at all that is rare about them, their rules changed or not."""
    one_pot = st.lists(strategy(RarePot), min_size=1, max_size=1).map(tuple)
    one_seal = st.lists(strategy(state.Seal | None), min_size=1, max_size=1).map(tuple)
    rare = structs(
        Rare,
        seals=one_seal,
        pots=one_pot,
        document=st.sampled_from((b"", *DOCUMENTS)),
    )
    return st.builds(_cell, rare, st.sampled_from(Status), st.integers(0, 2**40))


def _cell(rare: Rare, status: Status, as_of: int) -> Cell:
    born = create(definition_of(CREATED), status)
    if not rare.document:
        return Cell(msgspec.structs.replace(born, rare=rare), as_of, BORN)
    rules = compile_document(rare.document, list(BRANDS))
    definition = msgspec.structs.replace(born.definition, rules=rules)
    plan = allocation(rules, (True,))
    changed = msgspec.structs.replace(born, definition=definition, plan=plan, rare=rare)
    return Cell(changed, as_of, BORN)


@ci
@given(cells())
def test_rows_format_of_an_instance_holds_all_of_it(cell: Cell) -> None:
    """Seals, windows, boards, held wins, pending changes, changed rules: all come back, and again as the same bytes."""
    data = rows.encode(row_of(cell))
    read = cell_of(rows.decode(data), moves=1)

    assert cell.state == read.state
    assert (cell.as_of, cell.created) == (read.as_of, read.created)
    assert rows.order_after_moves(1) == read.order
    assert data == rows.encode(row_of(read))
    assert cell.state == instance_of(rows.decode(data), definition_of(CREATED))


@ci
@given(strategy(Player), st.integers(0, 2**40))
def test_rows_format_of_a_player_holds_all_of_it(player: Player, as_of: int) -> None:
    """A player comes back with the last contribution, where it is known, and again as the same bytes."""
    cell = PlayerCell(as_of, player)
    data = rows.encode(player_row(cell))

    assert cell == player_cell(rows.decode(data))
    assert data == rows.encode(player_row(player_cell(rows.decode(data))))


def test_rows_format_reads_an_instance_of_version_0_1() -> None:
    """An instance of the first version has no seals yet, and nothing rare has ever come to it."""
    cell = cell_of(rows.decode(OLDER_INSTANCE), 0)

    assert Rare(seals=(None,), pots=(RarePot(),)) == cell.state.rare
    assert (1_002_500_000, 2_500_000) == (cell.state.pots[0].value, cell.state.pots[0].reserve)
    assert cell.state == cell_of(rows.decode(rows.encode(row_of(cell))), 0).state
    assert rows.encode(row_of(cell)).startswith(OLDER_INSTANCE[:-1] + b",[[null],")


def test_rows_format_gives_an_older_instance_its_first_windows() -> None:
    """Where the rules have hidden times, an instance without windows is in those of its birth, as its replay is."""
    created = msgspec.structs.replace(CREATED, at_ms=3 * 3_600_000 + 1, template=Raw(TIMED))
    older: rows.InstanceRow = rows.decode(OLDER_INSTANCE)
    row = msgspec.structs.replace(older, created=Raw(records.encode(created)))

    assert (Window(3),) == cell_of(row, 0).state.rare.pots[0].windows
    assert create(definition_of(created), Status.ACTIVE).rare == cell_of(row, 0).state.rare


def test_rows_format_reads_players_and_winners_of_version_0_1() -> None:
    """A player of the first version has not been seen lately; a winner won by a contribution, and was paid."""
    player = player_cell(rows.decode(OLDER_PLAYER))
    winner: rows.WinnerRow = rows.decode(OLDER_WINNER)

    counted = (PotCount(1, 1, 10_000_000),)
    expected = Player(False, (("EUR", 5_000_000),), 1, 10_000_000, counted, 2000)
    assert PlayerCell(7, expected) == player
    assert player.player.last is None
    assert (False, False) == (winner.community, winner.win_withheld)
    assert rows.WinnerRow(2000, 0, "op:a", "p1", 1_002_000_000, "r1") == winner


def test_rows_format_reads_rows_from_before_raffles() -> None:
    """Nobody had tickets, no winner was a raffle's, no instance had a schedule or a round, no win was a raffle's."""
    player = player_cell(rows.decode(SEEN_PLAYER)).player
    winner: rows.WinnerRow = rows.decode(COMMUNITY_WINNER)
    cell = cell_of(rows.decode(OLDER_INSTANCE[:-1] + b"," + RARE_BEFORE_RAFFLES + b"]"), 0)

    assert (LastSeen(3, 9, "EUR", 10**8, 10**8), None) == (player.last, player.tickets)
    assert rows.WinnerRow(2000, 0, "op:a", "p1", 1_002_000_000, "r1", True, True) == winner
    assert (0, 0, "", 0) == (winner.raffle_round, winner.tier, winner.currency, winner.win)
    rare, somebody = cell.state.rare, Contributor("op:b", "p2", "USD", 10**8, 11 * 10**7)
    expected = Rare(
        seals=(Seal(1, "ab", "cd", 9, 0, 4),),
        pots=(RarePot(5, True, (), (), 6),),
        held=(HeldWin("r", 0, 9, somebody, 7, 8, raffle_round=0),),
        withheld=8,
        net=19,
        inherits="zero",
    )
    assert expected == rare
    assert ((), None, 0, 0, 0) == (
        rare.schedules,
        rare.round,
        rare.rounds,
        rare.missed,
        rare.round_end_ms,
    )
    written = rows.encode(row_of(cell))
    assert written.endswith(
        RARE_BEFORE_RAFFLES.replace(b"7,8]]", b"7,8,0]]")[:-1] + b",[],null,0,0,0]]"
    )


def test_rows_format_of_what_is_rare_is_this() -> None:
    """A row of a player who was seen, and what is rare about a new instance, stand on disk as they stand here."""
    seen = Player(True, (), 1, 5, (), 9, LastSeen(3, 9, "EUR", 10**8, 10**8), Tickets(4, 3, 2, 1))
    fresh = Rare(seals=(None,), pots=(RarePot(windows=(Window(3),)),))
    scheduled = msgspec.structs.replace(
        fresh,
        schedules=(BoundSchedule("op:a", Schedule(5, None)),),
        round=Round(3, 10, 20, 7, 2, 8),
        rounds=2,
        missed=1,
        round_end_ms=9,
    )
    start = b'[[null],[[0,false,[[3,false,0,null]],[],0]],[],[],0,0,0,0,[],[],[],null,"",'

    assert b'["p",7,true,[],1,5,[],9,[3,9,"EUR",100000000,100000000],[4,3,2,1]]' == rows.encode(
        player_row(PlayerCell(7, seen))
    )
    assert start + b"[],null,0,0,0]" == msgspec.json.encode(parts.part_of(fresh))
    assert start + b'[["op:a",[5,null,[],[]]]],[3,10,20,7,2,8],2,1,9]' == msgspec.json.encode(
        parts.part_of(scheduled)
    )


def test_rows_format_of_what_a_raffle_leaves_is_this() -> None:
    """A round that is over, a prize that was won and its credit stand on disk as they stand here."""
    over = rows.RoundRow(3, 10, 20, 21, 7, 2, 8, 100, 2, 90, 4, 77)
    won = rows.WinnerRow(21, 0, "op:a", "p1", 90, "r", False, True, 3, 1, "USD", 97)
    credit = rows.CreditRow(21, 3, "op:a", "p1", "USD", 97, "r", is_withheld=True)

    assert b'["n",3,10,20,21,7,2,8,100,2,90,4,77]' == rows.encode(over)
    assert b'["w",21,0,"op:a","p1",90,"r",false,true,3,1,"USD",97]' == rows.encode(won)
    assert b'["c",21,3,"op:a","p1","USD",97,"r",true]' == rows.encode(credit)
    for row in (over, won, credit):
        assert row == rows.decode(rows.encode(row))


@pytest.mark.parametrize(
    "data",
    [
        b'["E","id",[]]',
        b'["?",1]',
        b'["@"]',
        b'["@","1"]',
        b'["w",1]',
        OLDER_INSTANCE[:-1] + b",[]]",
        OLDER_PLAYER[:-1] + b",[1]]",
    ],
)
def test_rows_format_refuses_what_it_does_not_know(data: bytes) -> None:
    """A row of an unknown kind or shape is an error."""
    with pytest.raises(msgspec.DecodeError):
        rows.decode(data)


def test_rows_format_of_keys_keeps_rows_apart_and_in_order() -> None:
    """Keys of one kind share a prefix, a pot's winners sort by record and place, players may have any id."""
    rng = random.Random(1)
    places = [(rng.randint(0, 2**40), rng.randint(0, 40)) for _ in range(200)]
    keys = [rows.winner_key("id", 1, seq, place) for seq, place in places]

    assert sorted(places) == [place for _, place in sorted(zip(keys, places, strict=True))]
    assert all(key.startswith(rows.winner_prefix("id", 1)) for key in keys)
    assert not keys[0].startswith(rows.winner_prefix("id", 0))
    assert not keys[0].startswith(rows.winner_prefix("i", 1))
    assert {rows.WINNER_ORDER_BYTES} == {len(rows.winner_order(*place)) for place in places}
    names = [("id", "op:a", "\0b"), ("id", "op:a", "b"), ("id", "op:a", ""), ("i", "op:a", "\0b")]
    assert len(names) == len({rows.player_key(*name) for name in names})
    assert rows.propagation_key(1) < rows.propagation_key(256) < rows.propagation_key(1 << 40)
    assert rows.round_key("id", 255) < rows.round_key("id", 256) < rows.round_key("id", 1 << 40)
    assert rows.round_key("id", 1).startswith(rows.rounds_prefix("id"))
    assert not rows.round_key("id", 1).startswith(rows.rounds_prefix("i"))
    owed = [rows.credit_key("id", number, name) for number in (1, 2, 256) for name in ("", "r")]
    assert sorted(owed) == owed
    assert owed[2].startswith(rows.round_credits_prefix("id", 2))
    assert not owed[4].startswith(rows.round_credits_prefix("id", 2))
    assert all(key.startswith(rows.credits_prefix("id")) for key in owed)
