"""Paying pots: what the community gets, what the winner gets, the next seed, or the closing (contract §9, "Win")."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

from jackpotd.testing.reference_model.books import Held, Ledger
from jackpotd.testing.reference_model.crowd import Standings, picks
from jackpotd.testing.reference_model.numbers import (
    ZERO,
    down_to_scale,
    is_whole,
    minor_units_per_one,
    to_scale,
)
from jackpotd.testing.reference_model.pots import Pot, Readings
from jackpotd.testing.reference_model.records import (
    CommunityPart,
    Contributor,
    Tip,
    Win,
)
from jackpotd.testing.reference_model.rounds import Raffle
from jackpotd.testing.reference_model.schedules import Calendar
from jackpotd.testing.reference_model.template import Rules


@dataclass(slots=True)
class Jackpot:
    """Everything that one instance holds."""

    rules: Rules
    status: str
    carry: int
    ledger: Ledger = field(default_factory=Ledger)
    pots: dict[str, Pot] = field(default_factory=dict)
    standings: Standings = field(default_factory=Standings)
    contributions: int = 0
    divides_exactly: bool = True
    pending: list[tuple[str, str | None]] = field(default_factory=list)
    calendars: dict[str, Calendar] = field(default_factory=dict)  # "": the instance's own
    raffle: Raffle = field(default_factory=Raffle)

    @property
    def open_pots(self) -> list[Pot]:
        return [pot for pot in self.pots.values() if pot.is_open]

    def begin_remainders(self) -> None:
        """From the first share that is not whole units, the real accounts may lie beside ours."""
        if self.divides_exactly:
            self.divides_exactly = False
            self.widen(self.carry)

    def widen(self, units: int) -> None:
        """Every account that remainders are carried for may lie so much farther off."""
        self.ledger.house.slack += units
        for pot in self.open_pots:
            pot.widen(units, 2 * units)

    def share_out(self) -> None:
        """The shares of closed pots go to the open ones pro rata; open pots without any share count alike."""
        total = sum((pot.rules.share for pot in self.pots.values()), ZERO)
        weights = self.weights()
        for pot in self.pots.values():
            pot.share = total * weights.get(pot.rules.id, ZERO)

    def weights(self) -> dict[str, Fraction]:
        """How what is left of a closed pot goes to the open ones; together 1."""
        open_pots = self.open_pots
        total = sum((pot.rules.share for pot in open_pots), ZERO)
        if total == 0:
            return {pot.rules.id: Fraction(1, len(open_pots)) for pot in open_pots}
        return {pot.rules.id: pot.rules.share / total for pot in open_pots}


@dataclass(frozen=True)
class Due:
    """A pot that is to be paid to somebody, at what it holds now."""

    pot: Pot
    value: Fraction
    winner: Contributor
    tips: frozenset[Tip]

    def own_part(self) -> Fraction:
        """What the community leaves, whole units."""
        community = sum((rule.share for rule in self.pot.rules.community), ZERO)
        return self.value - down_to_scale(self.value * community)


def payable(part: Fraction, to: Contributor, jackpot_currency: str) -> tuple[Fraction, Fraction]:
    """A part of a pot in somebody's currency, down to its minor unit; and what of the pot that is."""
    per_one = minor_units_per_one(to.currency)
    here = to.rates.convert(max(part, ZERO), jackpot_currency, to.currency)
    amount = Fraction(floor(here * per_one), per_one)
    return amount, to_scale(to.rates.convert(amount, to.currency, jackpot_currency))


def can_pay(due: Due, jackpot: Jackpot) -> bool:
    """Whether the winner's own part is at least one minor unit."""
    return payable(due.own_part(), due.winner, jackpot.rules.currency)[0] > 0


def pay_all(
    jackpot: Jackpot, dues: Sequence[Due], readings: Readings, at_ms: int, round_id: str
) -> tuple[Win, ...]:
    """Each in its turn; amounts are those of the moment when all of them tipped."""
    return tuple(
        pay(jackpot, due, readings.before_win(index, due.pot), at_ms, round_id)
        for index, due in enumerate(dues)
    )


def pay(
    jackpot: Jackpot, due: Due, meters: tuple[Fraction, Fraction], at_ms: int, round_id: str
) -> Win:
    """Community, winner, then the next seed or the closing; the contributors' counters of the pot begin again."""
    pot, ledger = due.pot, jackpot.ledger
    parts = tuple(community_parts(jackpot, due, at_ms))
    amount, left_pot = payable(due.own_part(), due.winner, jackpot.rules.currency)
    above = jackpot.rules.withhold_above
    is_withheld = above is not None and left_pot > above
    community = sum((part.left_pot for part in parts), ZERO)
    pot.value.exact -= left_pot + community
    ledger.payouts += community
    if is_withheld:
        ledger.withheld += left_pot
        ledger.held[round_id, pot.rules.id] = Held(due.winner.who, left_pot)
    else:
        ledger.payouts += left_pot
    pot.is_due = False
    pot.needs_seal = True
    jackpot.standings.in_cycle.pop(pot.rules.id, None)
    closes = pot.in_last_cycle
    value, reserve = meters
    sources = (ZERO, ZERO, ZERO)
    if closes:
        close(jackpot, pot)
    else:
        sources = reseed(ledger, pot, value - left_pot - community, reserve)
    return Win(
        pot.rules.id,
        due.winner.who,
        amount,
        left_pot,
        *sources,
        pot_closed=closes,
        tips=due.tips,
        is_withheld=is_withheld,
        community=parts,
    )


def community_parts(jackpot: Jackpot, due: Due, at_ms: int) -> list[CommunityPart]:
    """Whom each strategy finds and what they get; who cannot be paid a minor unit is left out, the part stays."""
    pot, standings = due.pot, jackpot.standings
    places = None if pot.seal is None else pot.seal.places
    found = []
    for pick in picks(pot.rules.community, standings, pot.rules.id, due.winner.who, at_ms, places):
        rule = pot.rules.community[pick.strategy]
        part = down_to_scale(down_to_scale(due.value * rule.share) / rule.winners)
        to = standings.seen[pick.who].contributor
        amount, left_pot = payable(part, to, jackpot.rules.currency)
        if amount > 0:
            found.append(
                CommunityPart(
                    pick.strategy, pick.who, to.currency, amount, left_pot, pick.draw, pick.among
                )
            )
    return found


def reseed(
    ledger: Ledger, pot: Pot, value: Fraction, reserve: Fraction
) -> tuple[Fraction, Fraction, Fraction]:
    """Reserve, then boost, then the operator."""
    from_reserve, from_boost, deficit = pot.seed_sources(value, reserve)
    pot.reserve.exact -= from_reserve
    pot.boost -= from_boost
    ledger.deficit += deficit
    pot.value.exact += from_reserve + from_boost + deficit
    pot.instance_count += 1
    return from_reserve, from_boost, deficit


def close(jackpot: Jackpot, pot: Pot) -> None:
    """Its share and what is left of it go to the open pots by their shares; else Ended, and all stays in place."""
    pot.is_open = False
    weights = jackpot.weights() if jackpot.open_pots else {}
    if not weights:
        jackpot.status = "Ended"
        if (
            not jackpot.divides_exactly
        ):  # nobody is left to take the carried remainders but the house
            jackpot.ledger.house.slack += 2 * len(jackpot.pots) + 1
        return
    left = pot.value.exact + pot.reserve.exact + pot.boost
    off = pot.joint
    pot.value.exact = pot.reserve.exact = pot.boost = ZERO
    pot.value.slack = pot.reserve.slack = pot.joint = ZERO
    if off or not all(is_whole(left * weight) for weight in weights.values()):
        # The remainders carried so far are handed on as well, and this division has one of its own.
        jackpot.begin_remainders()
        jackpot.widen(jackpot.carry)
        off += 2 * len(jackpot.pots) + 2
    for name, weight in weights.items():
        jackpot.pots[name].widen(off, off)
        jackpot.pots[name].lift(left * weight)
    jackpot.share_out()
