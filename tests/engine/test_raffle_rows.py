"""What a raffle's round leaves behind: a row of its own, one for each winner, and a credit for each of them."""

import pytest
from msgspec.structs import replace

from jackpotd.core import events as core
from jackpotd.core.state import Tickets
from jackpotd.engine.overlay import PlayerCell
from jackpotd.engine.whereabouts import total
from jackpotd.wire import rows

from .fold_book import Book, rows_after, rows_of
from .test_fold_rows import moved


def played(name: str = "new", *, withheld: int = 0) -> tuple[Book, core.RoundResolved]:
    """A round in which four players bought tickets, and three of them won; the last prize is too small to be paid."""
    book = Book()
    book.born(name)
    book.happened(name, book.opened(name))
    for player in ("ann", "bob", "cid", "dee"):
        book.happened(name, book.bought(name, player))
    resolved = book.resolved(name, ("ann", "bob", "cid"), withheld=withheld)
    book.happened(name, resolved)
    return book, resolved


def credits_of(book: Book, number: int = 1) -> dict[str, rows.CreditRow]:
    found = book.fold.overlay.round_credits("new", number)
    return {row.player_id: row for row in found}


def test_raffle_rows_of_a_round_and_its_winners_lead_to_each_other() -> None:
    """The round's row has the order by which its winners are found; prizes that were not paid have no winner."""
    book, resolved = played()
    (round_,) = book.fold.overlay.rounds_down("new")
    winners = [*book.fold.overlay.round_winners("new", round_.order)]

    assert (1, resolved.at_ms, 12, 4, 3, 101, 10) == (
        round_.number,
        round_.resolved_ms,
        round_.tickets,
        round_.entrants,
        round_.prizes,
        round_.paid,
        round_.seed_deficit,
    )
    assert [("ann", 0, 50), ("bob", 1, 51)] == [
        (row.player_id, row.tier, row.win) for row in winners
    ]
    assert {1} == {row.raffle_round for row in winners}
    assert round_ == book.fold.overlay.round("new", 1)
    assert book.fold.overlay.round("new", 2) is None
    assert rows_of(book) == rows_after(book.log, book.log.last_seq).items


def test_raffle_rows_of_two_rounds_stand_apart() -> None:
    """The latest round is first; each has its own winners and credits."""
    book, _ = played()
    book.happened("new", book.opened("new"))
    book.happened("new", book.bought("new", "dee"))
    book.happened("new", book.resolved("new", ("dee", "ann"), withheld=0))

    second, first = book.fold.overlay.rounds_down("new")
    assert (2, 1) == (second.number, first.number)
    names = [
        [row.player_id for row in book.fold.overlay.round_winners("new", each.order)]
        for each in (first, second)
    ]
    assert [["ann", "bob"], ["dee"]] == names
    assert [{"ann", "bob"}, {"dee"}] == [{*credits_of(book, number)} for number in (1, 2)]
    player = book.fold.player("new", "op:a", "dee").tickets
    assert player is not None
    assert (2, 0, 3) == (player.round, player.entrant, player.count)


def test_raffle_rows_hold_a_credit_for_each_prize_that_was_paid() -> None:
    """In the player's currency, with the name of the prize; one that is withheld waits."""
    book, resolved = played(withheld=1)
    ann, bob, _ = resolved.prizes

    assert {
        "ann": rows.CreditRow(
            resolved.at_ms, 1, "op:a", "ann", "EUR", 50, ann.round_id, is_withheld=True
        ),
        "bob": rows.CreditRow(
            resolved.at_ms, 1, "op:a", "bob", "EUR", 51, bob.round_id, is_withheld=False
        ),
    } == credits_of(book)


def test_raffle_rows_of_a_prize_that_is_released_have_its_credit() -> None:
    """The winner stays, and the wallet may be told now."""
    book, resolved = played(withheld=2)
    released = book.decided("new", release=True)
    assert released is not None
    book.happened("new", released)

    assert {"ann": False, "bob": True} == {
        name: row.is_withheld for name, row in credits_of(book).items()
    }
    assert resolved.at_ms == credits_of(book)["ann"].at_ms
    assert ["bob", "ann"] == [row.player_id for row in book.fold.overlay.winners_down("new", 1)]
    assert rows_of(book) == rows_after(book.log, book.log.last_seq).items


def test_raffle_rows_of_a_prize_that_is_rejected_are_gone() -> None:
    """Nobody won it, and no wallet is told."""
    book, _ = played(withheld=2)
    rejected = book.decided("new", release=False)
    assert rejected is not None
    book.happened("new", rejected)

    assert {"bob"} == {*credits_of(book)}
    assert ["bob"] == [row.player_id for row in book.fold.overlay.winners_down("new", 1)]
    assert rows_of(book) == rows_after(book.log, book.log.last_seq).items


def test_raffle_rows_move_with_their_instance() -> None:
    """Rounds, winners, credits and tickets are there at the taker; one that is lost or changed is found."""
    book, resolved = played(withheld=1)
    book.happened("new", book.opened("new"))
    book.happened("new", book.bought("new", "bob"))
    expected, rounds = total(book.fold, "new"), [*book.fold.overlay.rounds_down("new")]
    taker = moved(book)

    assert expected == total(taker, "new")
    assert book.fold.cells["new"].state == taker.cells["new"].state
    assert rounds == [*taker.overlay.rounds_down("new")]
    assert {resolved.prizes[0].round_id, resolved.prizes[1].round_id} == {
        row.round_id for row in taker.overlay.round_credits("new", 1)
    }
    bob = taker.player("new", "op:a", "bob")
    assert Tickets(2, 0, 3, 7) == bob.tickets


@pytest.mark.parametrize("lost", ["credit", "round", "tickets"])
def test_raffle_rows_that_are_lost_on_the_way_are_found(lost: str) -> None:
    """The taker's sum is another one."""
    book, resolved = played()
    expected, taker = total(book.fold, "new"), moved(book)
    assert expected == total(taker, "new")
    match lost:
        case "credit":
            taker.overlay.remove(rows.credit_key("new", 1, resolved.prizes[1].round_id))
        case "round":
            taker.overlay.remove(rows.round_key("new", 1))
        case _:
            key, bob = rows.player_key("new", "op:a", "bob"), taker.player("new", "op:a", "bob")
            taker.overlay.put_player(key, PlayerCell(1, replace(bob, tickets=None)))

    assert expected != total(taker, "new")
