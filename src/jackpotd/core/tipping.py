"""Which pots tip on a contribution, once it has grown them (contract §3, §9)."""

from jackpotd.core import hit_rate, money, split, windows
from jackpotd.core.commands import Contribute, Streams
from jackpotd.core.events import Attendance, Tip, TipHeld
from jackpotd.core.evolve import grown, totals
from jackpotd.core.fairness import PotStream
from jackpotd.core.rules import WHOLE, Criteria, Fallback, PotRules, Rules
from jackpotd.core.state import Instance, Player, Seal
from jackpotd.core.winners import Tipped
from jackpotd.core.winning import is_funded

Attempts = tuple[tuple[int, int, int], ...]
"""(pot, draw, threshold) of every attempt."""
Tested = tuple[Attempts, list[Tipped], list[TipHeld]]
"""Every attempt, the pots that tipped, and the hidden times that came, some of them for who cannot be paid."""


def test(state: Instance, command: Contribute, worth: int) -> Tested:
    """What a contribution tips, once it has grown the pots: by draws, hidden values and hidden instants."""
    rules = state.definition.rules
    if not worth and rules.operator_share != WHOLE:
        return (), [], []  # nothing was contributed, so nothing can be won (R-CHG-1)
    if rules.is_plain:
        return *_test_draws(state, worth, command.streams), []
    return _test_all(state, command, worth)


def _test_draws(state: Instance, worth: int, streams: Streams) -> tuple[Attempts, list[Tipped]]:
    """For templates of which every pot is plain: this runs for nearly every contribution."""
    attempts: list[tuple[int, int, int]] = []
    tipped: list[Tipped] = []
    taken = state.contributions
    index = -1
    for rules, pot, seal in zip(
        state.definition.rules.pots, state.pots, state.rare.seals, strict=True
    ):
        index += 1
        if not pot.is_open or seal is None:
            continue
        stream = streams[index]
        if stream is None:
            continue
        hits = False
        at = -1
        for point in rules.hit_rates:
            at += 1
            limit = hit_rate.threshold(point.outcomes, point.cost_units, worth)
            if limit:
                draw = stream.draw(at, taken - seal.first)
                attempts.append((index, draw, limit))
                hits = hits or draw < limit
        if hits:
            tipped.append(Tipped(index, Tip.HIT_RATE))
    return tuple(attempts), tipped


def _test_all(state: Instance, command: Contribute, worth: int) -> Tested:
    rules = state.rules
    parts, _ = split.split(state.plan, state.carried, worth)
    attempts: list[tuple[int, int, int]] = []
    tipped: list[Tipped] = []
    came: list[TipHeld] = []
    for index, pot in enumerate(grown(state, parts)):
        stream, seal = command.streams[index], state.rare.seals[index]
        pot_rules, rare = rules.pots[index], state.rare.pots[index]
        if stream is None or seal is None or not pot.is_open or not fits(rules, pot_rules, command):
            continue
        times = tuple(
            at
            for at, point in enumerate(pot_rules.hidden_times)
            if windows.has_come(state, index, at, point, stream, command.at_ms)
        )
        came += [TipHeld(command.at_ms, index, at) for at in times]
        if not is_funded(pot_rules, pot, rare.boost):
            continue
        draws = _draws(pot_rules, stream, state.contributions - seal.first, worth)
        attempts += [(index, draw, limit) for draw, limit in draws]
        if any(draw < limit for draw, limit in draws):
            tipped.append(Tipped(index, Tip.HIT_RATE, times))
        elif worth and is_reached(pot_rules, pot.value, stream, seal):
            tipped.append(Tipped(index, Tip.VALUE, times))
        elif times or rare.is_due:
            tipped.append(Tipped(index, Tip.TIME, times))
    return tuple(attempts), tipped, came


def _draws(rules: PotRules, stream: PotStream, number: int, worth: int) -> list[tuple[int, int]]:
    limits = [hit_rate.threshold(each.outcomes, each.cost_units, worth) for each in rules.hit_rates]
    return [(stream.draw(at, number), limit) for at, limit in enumerate(limits) if limit]


def is_reached(rules: PotRules, value: int, stream: PotStream, seal: Seal) -> bool:
    """Whether a pot that holds so much has reached a hidden value, or all that its ceiling admits.

    A value that would lie below what the pot was sealed with is drawn above it (R-CHG-1).
    """
    if rules.value_max is not None and rules.hidden_values and value >= rules.value_max:
        return True
    for at, point in enumerate(rules.hidden_values):
        low = max(point.low, seal.floor + 1)
        if value >= stream.hidden_value(at, low, max(point.high, low)):
            return True
    return False


def fits(rules: Rules, pot: PotRules, command: Contribute) -> bool:
    """Whether this contribution may win a pot."""
    return pot.criteria is None or _meets(pot.criteria, rules, command)


def _meets(criteria: Criteria, rules: Rules, command: Contribute) -> bool:
    bet = command.bet
    if criteria.currencies is not None and bet.currency not in criteria.currencies:
        return False
    if criteria.segments is not None and not criteria.segments.intersection(bet.segments or ()):
        return False
    if criteria.wager_min is None:
        return True
    rates = command.rates
    wager = money.convert(bet.wager, rates[bet.currency], rates[rules.currency])
    return wager >= criteria.wager_min


def attendance(
    state: Instance, player: Player, command: Contribute, worth: int, cycles: tuple[int, ...]
) -> Attendance:
    """What boards and draws among contributors need to know of a contribution."""
    lifetime, in_cycles = totals(player, cycles, worth)
    lots: list[tuple[int, int, int]] = []
    for index, rules in enumerate(state.rules.pots if worth else ()):
        stream, seal = command.streams[index], state.rare.seals[index]
        if stream is None or seal is None or not rules.has_lots:
            continue
        if fits(state.rules, rules, command):
            for at, point in enumerate(rules.hidden_times):
                window = state.rare.pots[index].windows[at]
                if point.fallback is Fallback.DRAW_AMONG_CONTRIBUTORS and not window.is_done:
                    number = state.contributions - seal.first
                    draw = stream.uniform(f"lot {at}", number, window.total + worth)
                    lots.append((index, at, draw))
    return Attendance(state.contributions + 1, lifetime, in_cycles, tuple(lots))
