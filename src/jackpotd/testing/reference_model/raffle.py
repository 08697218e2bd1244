"""Rounds of a raffle: tickets bought exactly, and prizes drawn from a plain row of tickets (contract §9, "Raffle").

A player's money in a round is one sum, and the tickets follow from it, so nothing is carried from one contribution to
the next. A draw walks along the entrants and counts their tickets: slow, and right however many somebody has.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from jackpotd.testing.reference_model.books import Held
from jackpotd.testing.reference_model.numbers import ZERO, down_to_scale
from jackpotd.testing.reference_model.paying import Jackpot, payable
from jackpotd.testing.reference_model.pots import Pot, Readings
from jackpotd.testing.reference_model.records import (
    Ahead,
    Bought,
    Bounds,
    Contributor,
    Prize,
    RoundEnd,
    Who,
)
from jackpotd.testing.reference_model.rounds import Holding, Raffle, Round
from jackpotd.testing.reference_model.schedules import Calendar
from jackpotd.testing.reference_model.template import RaffleRules


def is_running(jackpot: Jackpot, at_ms: int) -> bool:
    """Whether a round takes tickets now: a brand's own schedule may be open between two rounds."""
    round_ = jackpot.raffle.round
    return round_ is not None and round_.bounds.starts_ms <= at_ms < round_.bounds.ends_ms


def buy(raffle: Raffle, rules: RaffleRules, buyer: Contributor, counted: Fraction) -> Bought | None:
    """What a contribution that counts so much buys in the running round; None where it counts nothing."""
    round_ = raffle.round
    if round_ is None or counted == 0:
        return None
    holding = round_.holdings.setdefault(buyer.who, Holding(buyer))
    before = holding.tickets
    holding.contributor = buyer
    holding.counted += counted
    if rules.accumulates:
        holding.tickets = holding.counted // rules.cost
        holding.part = holding.counted - holding.tickets * rules.cost
    else:
        holding.tickets += counted // rules.cost
    return Bought(
        round_.bounds.number,
        [*round_.holdings].index(buyer.who),
        counted,
        holding.tickets - before,
        holding.part,
    )


def is_due(jackpot: Jackpot, at_ms: int) -> bool:
    """Whether the round is over, and the raffle in service: one that is paused resolves nothing (R-FLT-1)."""
    round_ = jackpot.raffle.round
    return jackpot.status == "Active" and round_ is not None and at_ms >= round_.bounds.ends_ms


def resolve(jackpot: Jackpot, at_ms: int, round_ids: Sequence[str], readings: Readings) -> RoundEnd:
    """Draws the prizes of the round that is over, and pays them; the pot that paid any is filled up for the next round.

    Args:
        jackpot: whose round it is.
        at_ms: now; rounds that are over by then will not follow.
        round_ids: names of the prizes in the order of their draws.
        readings: the real pot at the end of the round.
    """
    raffle, (pot,) = jackpot.raffle, jackpot.pots.values()
    round_, rules = raffle.round, jackpot.rules.raffle
    if round_ is None or rules is None:
        raise ValueError("no round to resolve")
    value, reserve = readings.before_win(0, pot)
    prizes = tuple(_prizes(jackpot, rules, round_, pot, value))
    paid = sum((prize.left_pot for prize in prizes), ZERO)
    shortfall = max(paid - value, ZERO)
    pot.value.exact += shortfall - paid
    jackpot.ledger.deficit += shortfall
    for prize, name in zip(prizes, round_ids, strict=False):
        if prize.is_withheld:
            jackpot.ledger.withheld += prize.left_pot
            jackpot.ledger.held[name, pot.rules.id] = Held(prize.who, prize.left_pot)
        else:
            jackpot.ledger.payouts += prize.left_pot
    raffle.over, raffle.ended_ms, raffle.round = round_.bounds.number, round_.bounds.ends_ms, None
    follows = not ahead(jackpot, at_ms).is_over
    sources = (ZERO, ZERO, ZERO)
    if follows and paid:
        sources = _top_up(jackpot, pot, value + shortfall - paid, reserve)
    pot.instance_count += 1
    pot.needs_seal = True
    due = [each for each, pot_id in jackpot.pending if pot_id in (None, pot.rules.id)]
    jackpot.pending = [each for each in jackpot.pending if each[0] not in due]
    return RoundEnd(
        round_.bounds,
        round_.tickets,
        len(round_.holdings),
        round_.counted,
        value,
        prizes,
        shortfall,
        *sources,
        changes=tuple(due),
    )


def _prizes(
    jackpot: Jackpot, rules: RaffleRules, round_: Round, pot: Pot, value: Fraction
) -> Iterator[Prize]:
    """One draw for each prize, while there are tickets; a winner loses the ticket, or all of them."""
    left = {who: holding.tickets for who, holding in round_.holdings.items()}
    entrants = [*round_.holdings]
    promised = [
        (at, tier.amount if tier.amount is not None else down_to_scale((tier.share or 0) * value))
        for at, tier in enumerate(rules.prizes)
        for _ in range(tier.count)
    ]
    above = jackpot.rules.withhold_above
    for number, (tier, promise) in enumerate(promised):
        among = sum(left.values())
        if among == 0:
            return
        if pot.seal is None:
            raise ValueError("a raffle that is not sealed")
        label = f"raffle {round_.bounds.number}"
        draw = pot.seal.places.below(among, label, number)
        who = _holder(left, draw)
        left[who] -= left[who] if rules.one_prize_per_player else 1
        winner = round_.holdings[who].contributor
        amount, left_pot = payable(promise, winner, jackpot.rules.currency)
        is_withheld = amount > 0 and above is not None and left_pot > above
        yield Prize(
            tier,
            who,
            winner.currency,
            entrants.index(who),
            draw,
            among,
            promise,
            amount,
            left_pot,
            is_withheld,
        )


def _holder(left: dict[Who, int], place: int) -> Who:
    """Whose ticket stands at this place of the row, from 0."""
    for who, tickets in left.items():
        if place < tickets:
            return who
        place -= tickets
    raise IndexError("a place beyond the last ticket")


def _top_up(
    jackpot: Jackpot, pot: Pot, kept: Fraction, reserve: Fraction
) -> tuple[Fraction, Fraction, Fraction]:
    """Reserve, then boost, then the operator fill the pot up to its least seed; a whole reserve goes even beyond."""
    lacking = max(pot.rules.min_reseed - kept, ZERO)
    taken = min(reserve, lacking)
    if pot.rules.reseeds_whole_reserve:
        end = pot.rules.lift_end
        taken = max(taken, reserve if end is None else min(reserve, end - kept))
    boost = min(pot.boost, max(lacking - taken, ZERO))
    deficit = max(lacking - taken - boost, ZERO)
    pot.reserve.exact -= taken
    pot.boost -= boost
    jackpot.ledger.deficit += deficit
    pot.value.exact += taken + boost + deficit
    return taken, boost, deficit


def ahead(jackpot: Jackpot, at_ms: int) -> Ahead:
    """What a raffle that has no round goes on with now: rounds that went by, then the next one, or the end."""
    raffle, rules, own = jackpot.raffle, jackpot.rules.raffle, jackpot.calendars.get("")
    if rules is None or raffle.round is not None or jackpot.status != "Active":
        return Ahead()
    if own is None or own.starts_ms is None:
        raise ValueError("a raffle without a schedule that begins")
    after_ms = raffle.ended_ms if raffle.over else own.starts_ms
    missed, until_ms = 0, 0
    while (bounds := _following(own, rules, after_ms)) is not None:
        starts_ms, ends_ms = bounds
        if ends_ms > at_ms:
            return Ahead(missed, until_ms, Bounds(raffle.over + missed + 1, starts_ms, ends_ms))
        missed, after_ms, until_ms = missed + 1, ends_ms, ends_ms
    return Ahead(missed, until_ms, is_over=True)


def _following(own: Calendar, rules: RaffleRules, after_ms: int) -> tuple[int, int] | None:
    """The round that begins at the first open moment: a duration, or as long as the schedule goes."""
    starts_ms = own.next_open_ms(after_ms)
    if starts_ms is None:
        return None
    ends = [own.ends_ms] if own.ends_ms is not None else []
    if rules.duration_ms is not None:
        ends.append(starts_ms + rules.duration_ms)
    return starts_ms, min(ends)


def go_on(jackpot: Jackpot, at_ms: int) -> Ahead:
    """Sets the next round, where there is none; without any the raffle has ended, and its pot keeps what it holds."""
    found, raffle = ahead(jackpot, at_ms), jackpot.raffle
    if found.missed:
        raffle.over += found.missed
        raffle.missed += found.missed
        raffle.ended_ms = found.until_ms
    if found.opened is not None:
        raffle.round, raffle.opened = Round(found.opened), found.opened.number
    if found.is_over:
        jackpot.status = "Ended"
    return found


def reschedule(jackpot: Jackpot, at_ms: int) -> None:
    """The instance's own schedule is another one: a round that runs goes on to its new end, one ahead is set anew.

    One that is over, and waits until the raffle goes on, stays as it was. Where none runs, the new schedule begins to
    count now: what it has open before was nobody's to miss.
    """
    raffle, rules, own = jackpot.raffle, jackpot.rules.raffle, jackpot.calendars.get("")
    if rules is None or own is None:
        return
    round_ = raffle.round
    if round_ is None or at_ms < round_.bounds.starts_ms:
        raffle.round = None
        raffle.ended_ms = at_ms if raffle.over else 0
    elif at_ms < round_.bounds.ends_ms:
        starts_ms = round_.bounds.starts_ms
        ends = [own.ends_ms] if own.ends_ms is not None else []
        if rules.duration_ms is not None:
            ends.append(starts_ms + rules.duration_ms)
        round_.bounds = Bounds(round_.bounds.number, starts_ms, min(ends))
