"""What the journal's facts make of each jackpot, by rules of our own in exact fractions.

Pots move by contributions and wins and by nothing else; every amount, share and win is computed
again here from contract §9 and §11, so a record that does not follow from those before it fails.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import TYPE_CHECKING

from .demo_jackpots import (
    HOUSE_SHARE,
    JACKPOT_CURRENCY,
    MINOR_STEP,
    RATES,
    SEED_SHARE,
    Jackpot,
    PotRule,
    converted,
)
from .facts import RoundResolved
from .raffle_oracle import RaffleAccount
from .seal_oracle import SealedPot

if TYPE_CHECKING:
    from .facts import Contribution, OptIn, RoundEvent, Sealed, Win
    from .journal_reader import Birth, Entry

REFUSAL = ("CONTRIBUTION_REJECTED", "PlayerNotOptedIn")
NOT_ACTIVE = ("CONTRIBUTION_REJECTED", "JackpotNotActive")


@dataclass(slots=True)
class PotAccount:
    """One pot; what it grows by is the whole part of its share of all that ever came in."""

    rule: PotRule
    value: int
    reserve: int = 0
    cycle: int = 1
    hits: int = 0
    paid: int = 0

    def grow(self, before: int, after: int) -> None:
        growth = _whole_part(self.rule.share * (1 - SEED_SHARE), before, after)
        seeding = _whole_part(self.rule.share * SEED_SHARE, before, after)
        kept = min(seeding, self.rule.seed - self.reserve)  # CollectToMinReseed
        self.value += growth + seeding - kept
        self.reserve += kept

    def pay(self, win: Win) -> None:
        rate, own_rate = RATES[win.currency], RATES[JACKPOT_CURRENCY]
        in_currency = floor(Fraction(self.value * rate, own_rate))
        payable = in_currency // MINOR_STEP * MINOR_STEP
        assert win.win == payable
        assert win.paid == min(converted(payable, win.currency, JACKPOT_CURRENCY), self.value)
        assert win.from_reserve == min(self.reserve, self.rule.seed)
        assert win.deficit == self.rule.seed - win.from_reserve
        assert win.seed == self.rule.seed
        assert (win.from_boost, win.tip, win.is_withheld, list(win.times)) == (
            0,
            "HitRate",
            False,
            [],
        )
        self.value += win.seed - win.paid
        self.reserve -= win.from_reserve
        self.cycle += 1
        self.hits += 1
        self.paid += win.paid

    def pay_round(self, event: RoundResolved, *, has_next: bool) -> None:
        """The prizes of a raffle; what they left is topped up for the next round, if anything was paid."""
        paid = sum(prize.paid for prize in event.prizes)
        assert event.pot == self.value
        assert event.shortfall == max(0, paid - self.value)
        self.value += event.shortfall - paid
        lacking = max(0, self.rule.seed - self.value) if paid and has_next else 0
        from_reserve = min(self.reserve, lacking)
        assert event.from_reserve == from_reserve
        assert (event.from_boost, event.deficit) == (0, lacking - from_reserve)
        self.value += lacking
        self.reserve -= from_reserve
        self.cycle += 1
        self.hits += sum(prize.win > 0 for prize in event.prizes)
        self.paid += paid


@dataclass(frozen=True, slots=True)
class Won:
    """A line of the latest winners."""

    round_id: str
    player_id: str
    brand: str
    at_ms: int
    paid: int


@dataclass(slots=True)
class Standing:
    """A player with one jackpot."""

    opted_in: bool = False
    preferred: int | None = None
    count: int = 0
    value: int = 0


@dataclass(slots=True)
class JackpotAccount:
    """One jackpot: its pots, its ledger, its players, its winners, and its rounds where it is a raffle."""

    jackpot: Jackpot
    birth: Birth
    raffle: RaffleAccount | None = field(init=False)
    pots: list[PotAccount] = field(init=False)
    secrets: list[SealedPot] = field(init=False)
    players: dict[tuple[str, str], Standing] = field(default_factory=dict)
    winners: list[Won] = field(default_factory=list)
    contributions: int = 0
    worth: int = 0
    house: int = 0
    deficit: int = 0
    payouts: int = 0
    last_ms: int = 0

    def __post_init__(self) -> None:
        self.pots = [PotAccount(rule, rule.seed) for rule in self.jackpot.pots]
        self.secrets = [SealedPot(self.jackpot.id, rule.id) for rule in self.jackpot.pots]
        rule, begins_ms = self.jackpot.raffle, self.birth.begins_ms
        assert (rule is None) == (begins_ms is None)
        self.raffle = None
        if rule is not None and begins_ms is not None:
            self.raffle = RaffleAccount(rule, begins_ms, self.birth.ends_ms, self.birth.status)

    def take(self, entry: Entry) -> None:
        """One entry of the journal, which must follow from all that came before."""
        if entry.opt_in is not None:
            self._opt_in(entry.opt_in)
        if entry.contribution is not None:
            self._contribute(entry.contribution)
            self._pay(entry.contribution, entry.wins)
            assert [each.pot for each in entry.seals] == sorted(win.pot for win in entry.wins)
        if entry.rounds:
            is_first = self.secrets[0].seal is None
            is_resolved = any(isinstance(each, RoundResolved) for each in entry.rounds)
            self._end_rounds(entry.rounds)
            reveals = is_first or is_resolved or self.is_ended
            assert [each.pot for each in entry.seals] == ([0] if reveals else [])
        for sealed in entry.seals:
            self._seal(sealed)

    def standing(self, brand: str, player_id: str) -> Standing:
        return self.players.get((brand, player_id), Standing())

    @property
    def is_ended(self) -> bool:
        return self.raffle is not None and self.raffle.status == "Ended"

    def refusal(self, brand: str, player_id: str) -> tuple[str, str] | None:
        """How it must refuse a contribution now, if it must."""
        if self.raffle is not None and self.raffle.status != "Active":
            return NOT_ACTIVE
        if self.jackpot.opt_in_required and not self.standing(brand, player_id).opted_in:
            return REFUSAL
        return None

    def _opt_in(self, opt_in: OptIn) -> None:
        self._advance(opt_in.at_ms)
        player = self.players.setdefault((opt_in.brand, opt_in.player_id), Standing())
        player.opted_in = opt_in.opted_in
        assert opt_in.preferred_currency in {None, JACKPOT_CURRENCY}
        if opt_in.preferred is not None or opt_in.opted_in:
            player.preferred = opt_in.preferred

    def _contribute(self, came_in: Contribution) -> None:
        self._advance(came_in.at_ms)
        assert self.refusal(came_in.brand, came_in.player_id) is None
        self._check_amount(came_in)
        assert came_in.cycles == [pot.cycle for pot in self.pots]
        assert came_in.attendance is None
        by_chance = [] if self.raffle is not None else list(range(len(self.pots)))
        assert [draw[0] for draw in came_in.draws] == by_chance
        for at, draw, _ in came_in.draws:
            self.secrets[at].draw(self.contributions, draw)
        before, self.worth = self.worth, self.worth + came_in.worth
        self.contributions += 1
        self.house += _whole_part(HOUSE_SHARE, before, self.worth)
        for pot in self.pots:
            pot.grow(before, self.worth)
        player = self.players.setdefault((came_in.brand, came_in.player_id), Standing())
        player.count += 1
        player.value += came_in.worth
        if self.raffle is not None:
            self.raffle.issue(came_in)
        else:
            assert came_in.issued is None

    def _end_rounds(self, events: tuple[RoundEvent, ...]) -> None:
        """A round's end with its prizes, and the next round."""
        raffle, (pot,), (secret,) = self.raffle, self.pots, self.secrets
        assert raffle is not None, "no raffle has rounds"
        for event in events:
            self._advance(event.at_ms)
            raffle.take(event)
            if isinstance(event, RoundResolved):
                secret.draw_round(event.number, event.prizes)
                pot.pay_round(event, has_next=raffle.has_next(event.at_ms))
                self.deficit += event.shortfall + event.deficit
                self._pay_prizes(event)

    def _pay_prizes(self, event: RoundResolved) -> None:
        for prize in event.prizes:
            self.payouts += prize.paid
            if prize.win:
                who = prize.winner
                won = Won(prize.round_id, who.player_id, who.brand, event.at_ms, prize.paid)
                self.winners.append(won)

    def _check_amount(self, came_in: Contribution) -> None:
        """What was taken; a percentage is checked by who knows the wager."""
        taken, currency = came_in.amount, came_in.currency
        if not isinstance(self.jackpot.takes, Fraction):
            preferred = self.standing(came_in.brand, came_in.player_id).preferred
            units = preferred if self.jackpot.is_variable and preferred else self.jackpot.takes
            assert taken == converted(units, JACKPOT_CURRENCY, currency)
        assert came_in.worth == converted(taken, currency, JACKPOT_CURRENCY)
        assert came_in.operator_part == 0

    def _pay(self, came_in: Contribution, wins: tuple[Win, ...]) -> None:
        """Exactly the tipped pot of the highest value is won, and only a draw tips a pot."""
        tipped = [pot for pot, draw, limit in came_in.draws if draw < limit]
        expected = [max(tipped, key=lambda pot: self.pots[pot].value)] if tipped else []
        assert [win.pot for win in wins] == expected
        for win in wins:
            assert win.round_id == came_in.round_id
            assert (win.brand, win.player_id) == (came_in.brand, came_in.player_id)
            assert (win.at_ms, win.currency) == (came_in.at_ms, came_in.currency)
            self.pots[win.pot].pay(win)
            self.deficit += win.deficit
            self.payouts += win.paid
            won = Won(win.round_id, win.player_id, win.brand, win.at_ms, win.paid)
            self.winners.append(won)

    def _seal(self, sealed: Sealed) -> None:
        self._advance(sealed.at_ms)
        value = self.pots[sealed.pot].value
        self.secrets[sealed.pot].take(sealed, self.contributions, value, goes_on=not self.is_ended)

    def _advance(self, at_ms: int) -> None:
        assert at_ms >= self.last_ms, "time went backwards"
        self.last_ms = at_ms

    def ledger(self) -> dict[str, int]:
        """Every account that is not empty, by its name; together they are 0."""
        book = {
            "players": -self.worth,
            "operator": -sum(rule.seed for rule in self.jackpot.pots),
            "deficit": -self.deficit,
            "house": self.house,
            "payouts": self.payouts,
        }
        for pot in self.pots:
            book[f"pot:{pot.rule.id}"] = pot.value
            book[f"seed_reserve:{pot.rule.id}"] = pot.reserve
        book["residual"] = -sum(book.values())
        assert 0 <= book["residual"] <= 2 * len(self.pots), "less carried than one unit a share"
        return {name: units for name, units in book.items() if units}


def _whole_part(share: Fraction, before: int, after: int) -> int:
    """What a share of a growing sum gains in whole units, when remainders are carried forward."""
    return floor(share * after) - floor(share * before)
