"""What a tipped pot pays, how it is seeded again, and what becomes of a pot that is used up (contract §9, "Win")."""

from msgspec import Struct

from jackpotd.core import money, split
from jackpotd.core.events import InstanceEvent, PotClosed, PotWon, StatusChanged
from jackpotd.core.evolve import evolve, is_last_cycle
from jackpotd.core.ledger import residual
from jackpotd.core.rules import PotRules, ReseedStrategy, WinSelector
from jackpotd.core.state import Instance, Pot, Status


class Winner(Struct, frozen=True):
    """Who wins, in which round, and at which rates the jackpot's currency becomes theirs."""

    at_ms: int
    round_id: str
    brand: str
    player_id: str
    currency: str
    player_rate: int
    jackpot_rate: int


def payable(value: int, winner: Winner) -> tuple[int, int]:
    """What a pot can pay: the win in the player's currency, floored to its minor unit, and what then leaves the pot."""
    step = money.minor_step(winner.currency)
    in_player_currency = value * winner.player_rate // winner.jackpot_rate
    win = in_player_currency // step * step
    paid = money.convert(win, winner.player_rate, winner.jackpot_rate)
    return win, min(paid, value)


def pay(state: Instance, tipped: list[int], winner: Winner) -> list[InstanceEvent]:
    """The events of all pots that this contribution wins, in the order in which they are paid.

    What each pot pays is fixed before any of them is paid, so the order changes no amount. A pot that cannot pay one
    minor unit of the player's currency is not won; its tip is gone.
    """
    amounts = {index: payable(state.pots[index].value, winner) for index in tipped}
    able = [index for index in tipped if amounts[index][0] > 0]
    events: list[InstanceEvent] = []
    for index in _selected(state, able):
        for event in _won(state, index, winner, *amounts[index]):
            events.append(event)
            state = evolve(state, event)
    return events


def _selected(state: Instance, able: list[int]) -> list[int]:
    if len(able) < 2:
        return able
    match state.rules.win_selector:
        case WinSelector.ALL:
            return able
        case WinSelector.HIGHEST:
            return [max(able, key=lambda index: state.pots[index].value)]
        case WinSelector.LOWEST:
            return [min(able, key=lambda index: state.pots[index].value)]


def _won(state: Instance, index: int, winner: Winner, win: int, paid: int) -> list[InstanceEvent]:
    rules, pot = state.rules.pots[index], state.pots[index]
    is_last = is_last_cycle(rules, pot)
    from_reserve, deficit = (0, 0) if is_last else _reseed(rules, pot)
    won = PotWon(
        at_ms=winner.at_ms,
        round_id=winner.round_id,
        brand=winner.brand,
        player_id=winner.player_id,
        currency=winner.currency,
        pot=index,
        win=win,
        paid=paid,
        player_rate=winner.player_rate,
        jackpot_rate=winner.jackpot_rate,
        from_reserve=from_reserve,
        deficit=deficit,
        seed=from_reserve + deficit,
    )
    return [won, *_closed(evolve(state, won), index)] if is_last else [won]


def _reseed(rules: PotRules, pot: Pot) -> tuple[int, int]:
    """What the reserve gives to the new cycle, and what the operator has to add."""
    wanted = rules.min_reseed
    if rules.reseed_strategy is ReseedStrategy.WHOLE_RESERVE:
        wanted = max(wanted, pot.reserve)
    from_reserve = min(pot.reserve, wanted)
    return from_reserve, max(0, rules.min_reseed - from_reserve)


def _closed(state: Instance, index: int) -> list[InstanceEvent]:
    """A used-up pot hands what it holds to the open ones; without an open pot the instance ends and keeps it."""
    at_ms = state.updated_ms
    still_open = tuple(pot.is_open and at != index for at, pot in enumerate(state.pots))
    count = len(state.pots)
    to_values, to_reserves, to_house = [0] * count, [0] * count, 0
    carried = residual(state)
    if any(still_open):
        left = state.pots[index]
        weights = split.pro_rata_weights(state.rules, still_open)
        shares = split.share_out(left.value + left.reserve + carried, weights)
        for at, share in enumerate(shares):
            target = to_values if state.rules.pots[at].is_progressive else to_reserves
            target[at] += share
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
