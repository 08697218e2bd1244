"""What a tipped pot pays: to its community, to its winner, into its next cycle; and what becomes of a pot used up."""

from jackpotd.core import community, split
from jackpotd.core.events import CommunityPaid, InstanceEvent, PotClosed, PotWon, StatusChanged
from jackpotd.core.evolve import evolve, is_last_cycle
from jackpotd.core.inflow import inflow, lift_max
from jackpotd.core.ledger import residual
from jackpotd.core.rules import WHOLE, PotRules, ReseedStrategy, WinSelector
from jackpotd.core.state import Instance, Pot, Status
from jackpotd.core.winners import Tipped, Winner, payable


def own_part(rules: PotRules, value: int) -> int:
    """What of a pot is for the winner alone."""
    return value - value * sum([each.share for each in rules.community]) // WHOLE


def is_funded(rules: PotRules, pot: Pot, boost: int) -> bool:
    """Whether a pot that opens when its next seed is covered may be won."""
    if not rules.opens_when_funded or is_last_cycle(rules, pot):
        return True
    return pot.reserve + boost >= rules.min_reseed


def pay(state: Instance, tipped: list[Tipped], winner: Winner) -> list[InstanceEvent]:
    """The events of all pots that are won, in the order in which they are paid (R-WIN-1).

    What each pot pays is fixed before any of them is paid, so the order changes no amount. A pot that cannot pay one
    minor unit of the player's currency is not won.
    """
    values = [pot.value for pot in state.pots]
    amounts = {
        each.pot: payable(own_part(state.rules.pots[each.pot], values[each.pot]), winner.who)
        for each in tipped
    }
    able = [each for each in tipped if amounts[each.pot][0] > 0]
    events: list[InstanceEvent] = []
    for each in _selected(state, able):
        for event in _won(state, each, values[each.pot], winner, *amounts[each.pot]):
            events.append(event)
            state = evolve(state, event)
    return events


def _selected(state: Instance, able: list[Tipped]) -> list[Tipped]:
    if len(able) < 2:
        return able
    match state.rules.win_selector:
        case WinSelector.ALL:
            return able
        case WinSelector.HIGHEST:
            return [max(able, key=lambda each: state.pots[each.pot].value)]
        case WinSelector.LOWEST:
            return [min(able, key=lambda each: state.pots[each.pot].value)]


def _won(
    state: Instance, tipped: Tipped, value: int, winner: Winner, win: int, paid: int
) -> list[InstanceEvent]:
    """One pot's win: `value` is what it held when it tipped, `win` and `paid` the winner's own part."""
    index, who = tipped.pot, winner.who
    rules = state.rules.pots[index]
    events: list[InstanceEvent] = []
    payouts = community.payouts(state, index, value, winner)
    if payouts:
        events.append(CommunityPaid(winner.at_ms, winner.round_id, index, payouts))
        state = evolve(state, events[0])
    pot = state.pots[index]
    is_last = is_last_cycle(rules, pot)
    from_reserve, from_boost, deficit = (0, 0, 0)
    if not is_last:
        boost = state.rare.pots[index].boost
        from_reserve, from_boost, deficit = _reseed(rules, pot, pot.value - paid, boost)
    above = state.rules.withhold_above
    won = PotWon(
        at_ms=winner.at_ms,
        round_id=winner.round_id,
        brand=who.brand,
        player_id=who.player_id,
        currency=who.currency,
        pot=index,
        win=win,
        paid=paid,
        player_rate=who.player_rate,
        jackpot_rate=who.jackpot_rate,
        from_reserve=from_reserve,
        deficit=deficit,
        seed=from_reserve + from_boost + deficit,
        from_boost=from_boost,
        tip=tipped.tip,
        is_withheld=above is not None and paid > above,
        times=tipped.times,
    )
    events.append(won)
    return [*events, *_closed(evolve(state, won), index)] if is_last else events


def _reseed(rules: PotRules, pot: Pot, kept: int, boost: int) -> tuple[int, int, int]:
    """What reserve and boost give to the new cycle, and what the operator has to add, beside what the pot has kept."""
    wanted = rules.min_reseed
    if rules.reseed_strategy is ReseedStrategy.WHOLE_RESERVE:
        whole = pot.reserve
        end = lift_max(rules)
        if end is not None:
            whole = min(whole, end - kept)
        wanted = max(wanted, whole)
    from_reserve = min(pot.reserve, wanted)
    missing = max(0, rules.min_reseed - from_reserve)
    from_boost = min(boost, missing)
    return from_reserve, from_boost, missing - from_boost


def topping_up(rules: PotRules, pot: Pot, kept: int, boost: int) -> tuple[int, int, int]:
    """What reserve, boost and operator add to a raffle's pot that has kept so much, for its next round.

    It is filled up to the reset value; a whole reserve goes in even beyond.
    """
    lacking = max(0, rules.min_reseed - kept)
    wanted = lacking
    if rules.reseed_strategy is ReseedStrategy.WHOLE_RESERVE:
        end = lift_max(rules)
        wanted = max(wanted, pot.reserve if end is None else min(pot.reserve, end - kept))
    from_reserve = min(pot.reserve, wanted)
    missing = max(0, lacking - from_reserve)
    from_boost = min(boost, missing)
    return from_reserve, from_boost, missing - from_boost


def _closed(state: Instance, index: int) -> list[InstanceEvent]:
    """A used-up pot hands what it holds to the open ones; without an open pot the instance ends and keeps it."""
    at_ms = state.updated_ms
    still_open = tuple(pot.is_open and at != index for at, pot in enumerate(state.pots))
    count = len(state.pots)
    to_values, to_reserves, to_house = [0] * count, [0] * count, 0
    carried = residual(state)
    if any(still_open):
        left = state.pots[index]
        boost = state.rare.pots[index].boost
        weights = split.pro_rata_weights(state.rules, still_open)
        shares = split.share_out(left.value + left.reserve + boost + carried, weights)
        for at, share in enumerate(shares):
            value, reserve = inflow(state.rules.pots[at], state.pots[at], share)
            to_values[at] += value
            to_reserves[at] += reserve
        to_values[index] -= left.value
        to_reserves[index] -= left.reserve
    else:
        to_house = carried
    closed = PotClosed(at_ms, index, tuple(to_values), tuple(to_reserves), to_house)
    if any(still_open):
        return [closed]
    return [
        closed,
        StatusChanged(at_ms, Status.ENDED, "the last limited pot is used up", "jackpotd"),
    ]
