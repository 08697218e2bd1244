"""What the journal's facts make of a raffle, by rules of our own: its rounds, its tickets, its draws.

Rounds follow each other without a gap, each is resolved once or was missed by everybody, and what was issued in it is
what its contributions have paid for, to the unit. A draw is followed ticket by ticket.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from math import floor
from typing import TYPE_CHECKING

from .demo_jackpots import JACKPOT_CURRENCY, MINOR_STEP, RATES, RaffleRule, converted
from .facts import RoundOpened, RoundResolved, RoundsMissed, StatusChanged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .facts import Contribution, Prize, RoundEvent

PlayerKey = tuple[str, str]


@dataclass(slots=True)
class Entrant:
    """Somebody who takes part in a round, and the currency of their last contribution."""

    player: PlayerKey
    tickets: int = 0
    accumulated: int = 0
    currency: str = ""


@dataclass(slots=True)
class RoundAccount:
    """A round that runs, or lies ahead; entrants in the order in which they came."""

    number: int
    starts_ms: int
    ends_ms: int
    entrants: list[Entrant] = field(default_factory=list)
    numbers: dict[PlayerKey, int] = field(default_factory=dict)
    counted: int = 0

    @property
    def tickets(self) -> int:
        return sum(entrant.tickets for entrant in self.entrants)

    def of(self, player: PlayerKey) -> Entrant | None:
        number = self.numbers.get(player)
        return None if number is None else self.entrants[number]


@dataclass(slots=True)
class RaffleAccount:
    """One raffle since its birth; `over` rounds are over, the last of them until `over_ms`."""

    rule: RaffleRule
    over_ms: int
    ends_ms: int | None
    status: str
    running: RoundAccount | None = None
    over: int = 0
    missed: int = 0
    resolved: list[RoundResolved] = field(default_factory=list)

    def take(self, event: RoundEvent) -> None:
        """What happens to rounds; of a draw everything but the money."""
        match event:
            case StatusChanged():
                self._change_status(event)
                return
        assert self.status == "Active", f"a round begins or ends while it is {self.status}"
        match event:
            case RoundOpened():
                self._open(event)
            case RoundsMissed():
                self._miss(event)
            case RoundResolved():
                self._resolve(event)

    def _change_status(self, event: StatusChanged) -> None:
        """It begins and ends by its schedule; a person may have it stand still."""
        match self.status, event.status:
            case "Pending", "Active":
                assert event.by == "schedule"
                assert self.over_ms <= event.at_ms, "before its time"
            case "Active", "Paused":
                assert event.by != "schedule"
            case "Active", "Ended":
                assert event.by == "schedule"
                assert self.running is None
                assert not self.has_next(event.at_ms)
            case _:
                raise AssertionError(f"{event.status} after {self.status}")
        self.status = event.status

    def has_next(self, at_ms: int) -> bool:
        """Whether there is a round to come, or one that runs, at a time when the last one is resolved."""
        return self.ends_ms is None or at_ms < self.ends_ms

    def _open(self, event: RoundOpened) -> None:
        assert self.running is None, f"round {event.number} begins in another one"
        assert event.number == self.over + 1
        assert event.starts_ms == self.over_ms
        assert event.ends_ms == self._end_of(event.starts_ms)
        assert event.at_ms < event.ends_ms, "a round that is over is opened"
        self.running = RoundAccount(event.number, event.starts_ms, event.ends_ms)

    def _end_of(self, starts_ms: int) -> int:
        ends_ms = starts_ms + self.rule.duration_ms
        return ends_ms if self.ends_ms is None else min(ends_ms, self.ends_ms)

    def _miss(self, event: RoundsMissed) -> None:
        assert self.running is None, "missed in a round"
        assert event.count > 0
        for _ in range(event.count):
            self.over_ms = self._end_of(self.over_ms)
        assert event.until_ms == self.over_ms
        assert event.until_ms <= event.at_ms, "missed, and not yet over"
        self.over += event.count
        self.missed += event.count

    def issue(self, came_in: Contribution) -> None:
        """The tickets of a contribution: what it adds to the player's part pays for whole ones."""
        running, issued = self.running, came_in.issued
        assert self.status == "Active", f"contributed while it is {self.status}"
        assert running is not None, "contributed between two rounds"
        assert running.starts_ms <= came_in.at_ms < running.ends_ms, "contributed outside its round"
        assert issued is not None, "no wager of these tests is zero"
        player = (came_in.brand, came_in.player_id)
        entrant = running.of(player)
        if entrant is None:
            entrant = Entrant(player)
            running.numbers[player] = len(running.entrants)
            running.entrants.append(entrant)
        tickets, part = divmod(entrant.accumulated + issued.counted, self.rule.cost)
        assert issued.counted > 0
        assert (issued.round, issued.entrant) == (running.number, running.numbers[player])
        assert (issued.awarded, issued.accumulated) == (tickets, part)
        entrant.tickets += tickets
        entrant.accumulated, entrant.currency = part, came_in.currency
        running.counted += issued.counted

    def _resolve(self, event: RoundResolved) -> None:
        running = self.running
        assert running is not None, f"round {event.number} is resolved, and none runs"
        assert (event.number, event.starts_ms) == (running.number, running.starts_ms)
        assert event.ends_ms == running.ends_ms
        assert event.at_ms >= event.ends_ms, "resolved before its end"
        assert event.entrants == len(running.entrants)
        assert event.tickets == running.tickets
        assert event.counted == running.counted
        parts = sum(entrant.accumulated for entrant in running.entrants)
        assert event.tickets * self.rule.cost + parts == event.counted
        self._follow(event, running)
        self.running = None
        self.over, self.over_ms = event.number, event.ends_ms
        self.resolved.append(event)

    def _follow(self, event: RoundResolved, running: RoundAccount) -> None:
        """Each draw takes the ticket at its place among those that are left."""
        tickets = [entrant.tickets for entrant in running.entrants]
        prizes = iter(event.prizes)
        for tier, value in self._values(event.pot):
            left = sum(tickets)
            prize = next(prizes, None) if left else None
            assert (prize is None) == (not left), "a prize too few"
            if prize is None:
                break
            assert (prize.tier, prize.value, prize.among) == (tier, value, left)
            assert 0 <= prize.draw < left
            drawn = bisect_right(list(accumulate(tickets)), prize.draw)
            assert prize.entrant == drawn
            _check_paid(prize, running.entrants[drawn])
            tickets[drawn] -= tickets[drawn] if self.rule.one_prize_per_player else 1
        assert next(prizes, None) is None, "a prize too many"
        if not event.prizes:
            assert event.tickets == 0

    def _values(self, pot: int) -> Iterator[tuple[int, int]]:
        """Tier and value of each prize, in the order of the draw."""
        for tier, rule in enumerate(self.rule.tiers):
            value = rule.amount if rule.share is None else floor(pot * rule.share)
            for _ in range(rule.count):
                yield tier, value


def _check_paid(prize: Prize, entrant: Entrant) -> None:
    """As much of the prize as can be paid in the player's last currency."""
    winner, currency = prize.winner, entrant.currency
    assert (winner.brand, winner.player_id) == entrant.player
    assert winner.currency == currency
    assert (winner.player_rate, winner.jackpot_rate) == (RATES[currency], RATES[JACKPOT_CURRENCY])
    in_currency = floor(Fraction(prize.value * RATES[currency], RATES[JACKPOT_CURRENCY]))
    payable = in_currency // MINOR_STEP * MINOR_STEP
    assert prize.win == payable
    paid = min(converted(payable, currency, JACKPOT_CURRENCY), prize.value)
    assert prize.paid == (paid if payable else 0)
    assert not prize.is_withheld
