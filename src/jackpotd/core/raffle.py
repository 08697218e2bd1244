"""Raffles: tickets for what is played, and rounds that end with a draw among them (contract §9, "Raffle").

A round's tickets are numbered in the order of those who hold them, entrants by their first contribution to it. A prize
goes to the ticket at a place that the pot's secret decides, each ticket equally likely; whoever has won loses that
ticket, or all of theirs where one prize per player is the rule.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from jackpotd.core import money, rejections, rounds
from jackpotd.core import schedule as schedules
from jackpotd.core.commands import Contribute
from jackpotd.core.events import (
    InstanceEvent,
    Issued,
    Prize,
    RoundOpened,
    RoundResolved,
    RoundsMissed,
    StatusChanged,
)
from jackpotd.core.fairness import PotStream
from jackpotd.core.passing import own_schedule
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.rules import WHOLE, RaffleRules, Rules, TicketMetric
from jackpotd.core.schedule import Schedule
from jackpotd.core.state import OVER, Contributor, Instance, Player, Round, Status
from jackpotd.core.urn import Urn
from jackpotd.core.winners import payable
from jackpotd.core.winning import topping_up

TICKETS_MAX = 1 << 62
WINDOWS_PASSED_MAX = 20_000  # a tenth of a second
TOO_LONG_AGO = "lies too far back for a raffle with so many windows"


class Drawn(Struct, frozen=True):
    """A prize of a tier, and the entrant whose ticket was at the place `draw` among `among`."""

    tier: int
    value: int
    entrant: int
    draw: int
    among: int


def current_round(state: Instance) -> Round | None:
    """The round that runs or lies ahead; none where the raffle is over, though one was cut off."""
    return None if state.status in OVER else state.rare.round


def running(state: Instance, at_ms: int) -> Round | None:
    """The round that takes tickets now, if there is one."""
    known = state.rare.round
    return known if known is not None and known.starts_ms <= at_ms < known.ends_ms else None


def due_ms(state: Instance) -> int | None:
    """When the running round has to be resolved; a raffle that stands still resolves nothing (R-FLT-1)."""
    if state.status is not Status.ACTIVE or state.rare.round is None:
        return None
    return state.rare.round.ends_ms


def issue(
    state: Instance, player: Player, command: Contribute, worth: int
) -> Issued | Rejection | None:
    """What a contribution buys in the running round; None where it counts nothing."""
    rules, round_ = state.rules.raffle, running(state, command.at_ms)
    if rules is None:
        return None
    if round_ is None:
        return rejections.OUTSIDE_SCHEDULE
    counted = worth if rules.metric is TicketMetric.CONTRIBUTION else _wager(state.rules, command)
    if not counted:
        return None
    held = player.tickets
    if held is None or held.round != round_.number:
        entrant, before = round_.entrants, 0
    else:
        entrant, before = held.entrant, held.accumulated
    awarded, left = divmod(counted + before, rules.cost)
    if round_.tickets + awarded > TICKETS_MAX:
        return rejections.CONTRIBUTION_OUT_OF_RANGE
    return Issued(round_.number, entrant, counted, awarded, left if rules.accumulates else 0)


def _wager(rules: Rules, command: Contribute) -> int:
    """The base wager in the jackpot's currency."""
    bet, rates = command.bet, command.rates
    return money.convert(bet.wager, rates[bet.currency], rates[rules.currency])


def draws(state: Instance, urn: Urn, stream: PotStream) -> Iterator[Drawn]:
    """The draws of the round that is over, one for each prize while there are tickets, in the order of the prizes.

    The urn loses what is drawn. To take one more is a step of a few dozen microseconds.
    """
    rules, round_ = _of(state)
    number = 0
    for tier, prize in enumerate(rules.prizes):
        share = 0 if prize.share is None else state.pots[0].value * prize.share // WHOLE
        value = share if prize.amount is None else prize.amount
        for _ in range(prize.count):
            among = urn.left
            if not among:
                return
            draw = stream.uniform(f"raffle {round_.number}", number, among)
            entrant = urn.find(draw)
            urn.take(entrant, urn.weight(entrant) if rules.one_prize_per_player else 1)
            number += 1
            yield Drawn(tier, value, entrant, draw, among)


def prize(state: Instance, drawn: Drawn, winner: Contributor, round_id: str) -> Prize:
    """What a winner gets: as much of the prize as can be paid in their currency's minor unit."""
    win, paid = payable(drawn.value, winner)
    above = state.rules.withhold_above
    return Prize(
        drawn.tier,
        winner,
        round_id,
        drawn.entrant,
        drawn.draw,
        drawn.among,
        drawn.value,
        win,
        paid if win else 0,
        above is not None and paid > above,
    )


def resolved(state: Instance, at_ms: int, prizes: Sequence[Prize]) -> RoundResolved:
    """The round that is over, with its prizes paid from the pot.

    What the pot lacks for them is the operator's. If another round follows, the pot is topped up for it.
    """
    rules, round_ = _of(state)
    paid = sum(prize.paid for prize in prizes)
    pot = state.pots[0]
    shortfall = max(0, paid - pot.value)
    added = (0, 0, 0)
    following = rounds.advance(_schedule(state), rules.duration_ms, round_.ends_ms, at_ms)
    if paid and following[1] is not None:
        kept = pot.value + shortfall - paid
        added = topping_up(state.rules.pots[0], pot, kept, state.rare.pots[0].boost)
    return RoundResolved(
        at_ms,
        round_.number,
        round_.starts_ms,
        round_.ends_ms,
        round_.tickets,
        round_.entrants,
        round_.counted,
        pot.value,
        tuple(prizes),
        shortfall,
        *added,
    )


def next_round(state: Instance, at_ms: int) -> list[InstanceEvent]:
    """The round that a raffle in service has next where it has none; those that went by unserved are counted.

    Without a next one the raffle has ended.
    """
    rules = state.rules.raffle
    if rules is None or state.status is not Status.ACTIVE or state.rare.round is not None:
        return []
    own = _schedule(state)
    after_ms = state.rare.round_end_ms if state.rare.rounds else own.start_ms or 0
    missed, bounds, until_ms = rounds.advance(own, rules.duration_ms, after_ms, at_ms)
    events: list[InstanceEvent] = []
    if missed:
        events.append(RoundsMissed(at_ms, missed, until_ms))
    number = state.rare.rounds + missed + 1
    if bounds is None:
        return [*events, StatusChanged(at_ms, Status.ENDED, "the last round is over", "schedule")]
    return [*events, RoundOpened(at_ms, number, *bounds)]


def schedule_problem(rules: Rules, schedule: Schedule | None) -> Rejection | None:
    """What a raffle's own schedule lacks; the message begins with the field, as it stands in a schedule."""
    if rules.raffle is None:
        return None
    if schedule is None:
        return Rejection(
            Code.INVALID_REQUEST, "$.schedule is needed: a raffle has its rounds by it"
        )
    if schedule.start_ms is None:
        return Rejection(
            Code.INVALID_REQUEST, "$.schedule.timestamp_start is needed: a raffle begins by it"
        )
    if rules.raffle.duration_ms is None and schedule.end_ms is None:
        message = "$.schedule.timestamp_end is needed: the raffle has no duration of its own"
        return Rejection(Code.INVALID_REQUEST, message)
    return None


def begins_too_long_ago(rules: Rules, schedule: Schedule, at_ms: int) -> bool:
    """Whether so many windows have gone by that to count their rounds would hold up others."""
    if rules.raffle is None or schedule.start_ms is None:
        return False
    days = max(0, at_ms - schedule.start_ms) // schedules.DAY_MS
    return days * schedules.windows_written(schedule) > WINDOWS_PASSED_MAX


def _of(state: Instance) -> tuple[RaffleRules, Round]:
    if state.rules.raffle is None or state.rare.round is None:
        raise ValueError(f"{state.definition.instance_id} has no round")
    return state.rules.raffle, state.rare.round


def _schedule(state: Instance) -> Schedule:
    found = own_schedule(state)
    if found is None:
        raise ValueError(f"{state.definition.instance_id} is a raffle without a schedule")
    return found
