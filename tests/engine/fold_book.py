"""A book kept by hand: a fold that serves, its journal, and histories of an instance that follows another one."""

import random
from collections.abc import Sequence

from msgspec import Raw
from msgspec.structs import replace

from jackpotd.core import events as core
from jackpotd.core import fairness
from jackpotd.core.rules import CommunityKind
from jackpotd.core.state import Contributor, Seal, Status
from jackpotd.engine.fold import Fold
from jackpotd.engine.recovery import MemoryKeys, MemoryRows
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.wire import records
from jackpotd.wire.catalog_records import compile_document

from .format_values import BRANDS, DOCUMENTS

PLAYERS = ("ann", "bob", "cid", "dee")
SECRET = bytes(range(32))
RATE = 10**8


class Book:
    """A fold that serves, and the journal of what it was told; nothing is decided here."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.fold = Fold(MemoryRows(), MemoryKeys())
        self.at_ms = 1000

    def _stage(self, record: records.Record) -> tuple[int, bytes]:
        encoded = records.encode(record)
        self.log.append(len(self.log.records), [encoded])
        return self.log.last_seq, encoded

    def born(self, name: str) -> None:
        document = Raw(DOCUMENTS[0])
        created = records.Created(
            self.at_ms, name, name, "op", "two", "op", document, BRANDS, Status.ACTIVE, "root"
        )
        seq, encoded = self._stage(created)
        self.fold.create(seq, created, encoded)

    def happened(self, name: str, *events: core.InstanceEvent) -> None:
        """As an owner does it: what a player brings along is put in place first."""
        cell = self.fold.cells[name]
        prepared = self.fold.prepare(cell, events)
        if prepared.inherited is not None:
            self.copied(prepared.inherited)
        seq, _ = self._stage(records.Entry(name, records.from_events(events)))
        self.fold.apply(seq, cell, prepared, events)

    def copied(self, inherited: records.InheritedPlayers) -> None:
        self.fold.inherit(self._stage(inherited)[0], inherited)

    def contributed(self, player: str, worth: int = 10_000_003) -> core.Contributed:
        self.at_ms += 1
        return core.Contributed(
            at_ms=self.at_ms,
            round_id=f"round {self.at_ms}",
            brand="op:a",
            player_id=player,
            currency="EUR",
            amount=worth,
            worth=worth,
            operator_part=0,
            cycles=(1,),
            draws=(),
            source_id=None,
            reference_type="game",
            reference_id=None,
            player_rate=RATE,
            jackpot_rate=RATE,
            attendance=core.Attendance(self.at_ms, worth, (worth,)),
        )

    def opted(
        self, player: str, *, opted_in: bool = True, preferred: int | None = None
    ) -> core.OptInChanged:
        self.at_ms += 1
        currency = None if preferred is None else "EUR"
        return core.OptInChanged(self.at_ms, "op:a", player, opted_in, preferred, currency)

    def won(self, player: str, *, is_withheld: bool = False) -> list[core.InstanceEvent]:
        """A contribution, and what it won for two others and for itself."""
        contributed = self.contributed(player)
        payouts = [
            core.Payout(0, CommunityKind.ACTIVE_PLAYERS, self.somebody(other), 5 + at, 5 + at)
            for at, other in enumerate(PLAYERS[:2])
        ]
        paid = core.CommunityPaid(self.at_ms, contributed.round_id, 0, tuple(payouts))
        won = self.win(contributed, is_withheld=is_withheld)
        return [contributed, paid, won, core.Sealed(self.at_ms, 0, self.seal(), "")]

    def win(self, contributed: core.Contributed, *, is_withheld: bool = False) -> core.PotWon:
        return core.PotWon(
            at_ms=contributed.at_ms,
            round_id=contributed.round_id,
            brand=contributed.brand,
            player_id=contributed.player_id,
            currency="EUR",
            pot=0,
            win=70,
            paid=70,
            player_rate=RATE,
            jackpot_rate=RATE,
            from_reserve=0,
            deficit=70,
            seed=70,
            is_withheld=is_withheld,
        )

    def opened(self, name: str) -> core.RoundOpened:
        """The next round of a raffle."""
        number = self.fold.cells[name].state.rare.rounds + 1
        return core.RoundOpened(self.at_ms, number, self.at_ms, self.at_ms + 100)

    def bought(self, name: str, player: str) -> core.Contributed:
        """A contribution that buys tickets in the running round."""
        contributed, round_ = self.contributed(player), self.fold.cells[name].state.rare.round
        assert round_ is not None
        held = self.fold.player(name, "op:a", player).tickets
        is_known = held is not None and held.round == round_.number
        entrant = held.entrant if held is not None and is_known else round_.entrants
        issued = core.Issued(round_.number, entrant, contributed.worth, 3, 7)
        return replace(contributed, attendance=None, issued=issued)

    def resolved(self, name: str, winners: Sequence[str], *, withheld: int) -> core.RoundResolved:
        """The running round with these winners, the first so many of them withheld; the last is paid nothing."""
        self.at_ms += 1
        round_ = self.fold.cells[name].state.rare.round
        assert round_ is not None
        prizes = [
            core.Prize(
                tier=at,
                winner=self.somebody(player),
                round_id=f"prize {self.at_ms} {at}",
                entrant=at,
                draw=at,
                among=9,
                value=50,
                win=50 + at,
                paid=50 + at,
                is_withheld=at < withheld,
            )
            for at, player in enumerate(winners)
        ]
        if prizes:
            prizes[-1] = replace(prizes[-1], win=0, paid=0, is_withheld=False)
        return core.RoundResolved(
            at_ms=self.at_ms,
            number=round_.number,
            starts_ms=round_.starts_ms,
            ends_ms=round_.ends_ms,
            tickets=round_.tickets,
            entrants=round_.entrants,
            counted=round_.counted,
            pot=self.fold.cells[name].state.pots[0].value,
            prizes=tuple(prizes),
            shortfall=3,
            from_reserve=0,
            from_boost=0,
            deficit=7,
        )

    def decided(self, name: str, *, release: bool) -> core.HeldWinDecided | None:
        """The oldest win that is withheld is released or rejected, if there is one."""
        held = self.fold.cells[name].state.rare.held
        if not held:
            return None
        self.at_ms += 1
        win = held[0]
        returned = (0 if release else win.paid,)
        return core.HeldWinDecided(
            self.at_ms,
            held[0].round_id,
            0,
            release,
            returned,
            "me",
            "why",
            raffle_round=held[0].raffle_round,
        )

    def somebody(self, player: str) -> Contributor:
        return Contributor("op:a", player, "EUR", RATE, RATE)

    def seal(self) -> Seal:
        return Seal(1, "00", fairness.commitment_to(SECRET, "old", "small", 1), self.at_ms, 0, 0)

    def terminated(self, name: str) -> None:
        self.at_ms += 1
        self.happened(name, core.StatusChanged(self.at_ms, Status.TERMINATED, "", "me"))

    def inherits(self, name: str, from_instance: str) -> None:
        self.at_ms += 1
        self.happened(name, core.Inherited(self.at_ms, from_instance))


def rows_after(log: MemoryLog, last_seq: int, disk: MemoryRows | None = None) -> MemoryRows:
    """The rows on disk with what the journal says up to a record, all of it written."""
    items = MemoryRows(() if disk is None else disk.items.items())
    fold = Fold(items, MemoryKeys())
    first = fold.load() + 1
    for seq in range(first, last_seq + 1):
        fold.replay(seq, log.records[seq])
    items.absorb(fold)
    return items


def rows_of(book: Book) -> dict[bytes, bytes]:
    """What the book that has served would write."""
    found = MemoryRows()
    found.absorb(book.fold)
    return found.items


def some_lives(rng: random.Random) -> Book:
    """An instance that is followed by another one, with players of either, or of both."""
    book = Book()
    book.born("old")
    for _ in range(rng.randint(1, 12)):
        book.happened("old", *_something(rng, book, "old"))
    book.born("new")
    book.terminated("old")
    book.inherits("new", "old")
    for _ in range(rng.randint(1, 12)):
        book.happened("new", *_something(rng, book, "new"))
    for player in rng.sample(PLAYERS, 3):
        bringing = book.fold.player("old", "op:a", player)
        if bringing.opted_in:
            brought = (("op:a", player, bringing.preferences),)
            book.copied(records.InheritedPlayers("new", "old", brought, book.at_ms))
    book.inherits("new", "")
    for _ in range(rng.randint(0, 6)):
        book.happened("new", *_something(rng, book, "new"))
    return book


def _something(rng: random.Random, book: Book, name: str) -> Sequence[core.InstanceEvent]:
    player = rng.choice(PLAYERS)
    at_ms = book.at_ms
    match rng.randint(0, 9):
        case 0 | 1:
            return [book.contributed(player)]
        case 2:
            return book.won(player, is_withheld=rng.random() < 0.5)
        case 3:
            rules = compile_document(DOCUMENTS[1], list(BRANDS))
            asked = core.ChangeAsked(at_ms, "id", 0, b'{"a": 1}', b"", "me", "why")
            return [asked, core.RulesChanged(at_ms, "id", DOCUMENTS[1], rules)]
        case 4:
            return [core.Boosted(at_ms, 0, 5, "me", "why")]
        case 5 | 6:
            return _of_a_raffle(rng, book, name)
        case 7:
            decided = book.decided(name, release=rng.random() < 0.5)
            return [book.contributed(player)] if decided is None else [decided]
        case _:
            preferred = rng.choice((None, 5, 7))
            return [book.opted(player, opted_in=rng.random() < 0.7, preferred=preferred)]


def _of_a_raffle(rng: random.Random, book: Book, name: str) -> Sequence[core.InstanceEvent]:
    if book.fold.cells[name].state.rare.round is None:
        return [book.opened(name)]
    if rng.random() < 0.6:
        return [book.bought(name, rng.choice(PLAYERS))]
    winners = rng.sample(PLAYERS, rng.randint(0, 3))
    return [book.resolved(name, winners, withheld=rng.randint(0, 2))]
