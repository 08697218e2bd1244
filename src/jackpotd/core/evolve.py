"""Transitions of an instance and of a player: state and event give the next state.

Rules of this file: an event is a fact, so nothing here refuses, draws or reads a clock; a handler for each event type,
in a table; an instance and a player are folded apart from each other, because their rows are written apart. What
contributions and wins do stands here, the rest in `evolve_rare`.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from jackpotd.core import evolve_raffle, evolve_rare, split
from jackpotd.core.boards import placed
from jackpotd.core.events import (
    Attendance,
    CommunityPaid,
    Contributed,
    InstanceEvent,
    OptInChanged,
    PotClosed,
    PotWon,
)
from jackpotd.core.rules import FundStrategy, PotRules
from jackpotd.core.schedule import Schedule
from jackpotd.core.state import (
    BoundSchedule,
    Contributor,
    Definition,
    HeldWin,
    Instance,
    LastSeen,
    Leader,
    Player,
    Pot,
    PotCount,
    Rare,
    RarePot,
    Status,
    Window,
)
from jackpotd.core.window_calendar import first_windows


def create(definition: Definition, status: Status, schedule: Schedule | None = None) -> Instance:
    """A new instance: every pot at its initial seed, which the operator put in; not sealed yet."""
    rules = definition.rules
    pots = tuple(
        Pot(value=pot.initial_seed, reserve=0, cycle=1, is_open=True, hits=0, paid=0)
        for pot in rules.pots
    )
    plan = split.allocation(rules, tuple(True for _ in pots))
    return Instance(
        definition=definition,
        plan=plan,
        status=status,
        version=1,
        updated_ms=definition.created_ms,
        pots=pots,
        carried=tuple(0 for _ in plan.weights),
        contributions=0,
        contributed=0,
        operator=sum(pot.initial_seed for pot in rules.pots),
        deficit=0,
        house=0,
        payouts=0,
        rare=first_rare(rules.pots, definition.created_ms, schedule),
    )


def first_rare(pots: tuple[PotRules, ...], at_ms: int, schedule: Schedule | None = None) -> Rare:
    """What is rare about an instance of which nothing is known yet."""
    return Rare(
        seals=tuple(None for _ in pots),
        pots=tuple(RarePot(windows=first_windows(pot, at_ms)) for pot in pots),
        schedules=() if schedule is None else (BoundSchedule("", schedule),),
    )


def evolve(state: Instance, event: InstanceEvent) -> Instance:
    """The instance after the event."""
    return _INSTANCE[type(event)](state, event)


def is_last_cycle(rules: PotRules, pot: Pot) -> bool:
    """Whether the pot will not be seeded again after its next win."""
    return rules.cycles_max is not None and pot.cycle >= rules.cycles_max


def _contributed(state: Instance, event: Contributed) -> Instance:
    worth, by_operator = event.worth, event.operator_part
    parts, carried = split.split(state.plan, state.carried, worth)
    rare = state.rare
    if event.attendance is not None:
        rare = _attended(state, event, event.attendance)
    if event.issued is not None:
        rare = evolve_raffle.with_tickets(rare, event.issued)
    # Positional: this runs for every contribution, and names cost.
    return Instance(
        state.definition,
        state.plan,
        state.status,
        state.version,
        event.at_ms,
        grown(state, parts),
        carried,
        state.contributions + 1,
        state.contributed + worth - by_operator,
        state.operator + by_operator,
        state.deficit,
        state.house + parts[0],
        state.payouts,
        rare,
    )


def grown(state: Instance, parts: tuple[int, ...]) -> tuple[Pot, ...]:
    """The pots with their parts of a contribution, as `split` made them."""
    return tuple(
        [
            _grown(rules, pot, growth, seeding)
            for rules, pot, growth, seeding in zip(
                state.definition.rules.pots, state.pots, parts[1::2], parts[2::2], strict=True
            )
        ]
    )


def _grown(rules: PotRules, pot: Pot, growth: int, seeding: int) -> Pot:
    """The pot with its two parts of a contribution, each where fund strategy and ceiling send it."""
    if not growth and not seeding:
        return pot
    if seeding and rules.is_progressive:
        kept = seeding
        if rules.cycles_max is not None and is_last_cycle(rules, pot):
            kept = 0
        elif rules.fund_strategy is FundStrategy.COLLECT_TO_MIN_RESEED:
            kept = min(seeding, max(rules.min_reseed - pot.reserve, 0))
        growth, seeding = growth + seeding - kept, kept
    if rules.value_max is not None:
        excess = beyond_ceiling(rules, pot, growth)
        growth, seeding = growth - excess, seeding + excess
    return Pot(
        pot.value + growth, pot.reserve + seeding, pot.cycle, pot.is_open, pot.hits, pot.paid
    )


def beyond_ceiling(rules: PotRules, pot: Pot, growth: int) -> int:
    """How much of what would come into a pot its ceiling does not admit."""
    if rules.value_max is None:
        return 0
    return max(0, growth - max(0, rules.value_max - pot.value))


def _attended(state: Instance, event: Contributed, attendance: Attendance) -> Rare:
    """Boards and windows with a contribution in them; one that is worth nothing changes neither."""
    rules, rare = state.definition.rules, state.rare
    if not event.worth:
        return rare
    who = (event.brand, event.player_id)
    pots = rare.pots
    if any(rules.leaders_kept):
        pots = tuple(
            replace(pot, leaders=placed(pot.leaders, Leader(*who, total, attendance.number), kept))
            if kept
            else pot
            for pot, kept, total in zip(pots, rules.leaders_kept, attendance.in_cycles, strict=True)
        )
    for pot, point, draw in attendance.lots:
        windows = pots[pot].windows
        window = windows[point]
        candidate = window.candidate
        if draw < event.worth:
            candidate = Contributor(*who, event.currency, event.player_rate, event.jackpot_rate)
        drawn = Window(window.index, window.is_done, window.total + event.worth, candidate)
        changed = replace(pots[pot], windows=(*windows[:point], drawn, *windows[point + 1 :]))
        pots = (*pots[:pot], changed, *pots[pot + 1 :])
    lifetime = rare.lifetime
    if rules.lifetime_leaders_kept:
        leader = Leader(*who, attendance.lifetime, attendance.number)
        lifetime = placed(lifetime, leader, rules.lifetime_leaders_kept)
    return replace(rare, pots=pots, lifetime=lifetime)


def _pot_won(state: Instance, event: PotWon) -> Instance:
    pot = state.pots[event.pot]
    is_last = is_last_cycle(state.rules.pots[event.pot], pot)
    won = Pot(
        value=pot.value - event.paid + event.seed,
        reserve=pot.reserve - event.from_reserve,
        cycle=pot.cycle if is_last else pot.cycle + 1,
        is_open=pot.is_open,
        hits=pot.hits + 1,
        paid=pot.paid + event.paid,
    )
    return replace(
        state,
        pots=(*state.pots[: event.pot], won, *state.pots[event.pot + 1 :]),
        version=state.version + 1,
        updated_ms=event.at_ms,
        deficit=state.deficit + event.deficit,
        payouts=state.payouts + (0 if event.is_withheld else event.paid),
        rare=_rare_won(state.rare, event),
    )


def _rare_won(rare: Rare, event: PotWon) -> Rare:
    pot = rare.pots[event.pot]
    windows = tuple(
        replace(window, is_done=True) if at in event.times else window
        for at, window in enumerate(pot.windows)
    )
    won = RarePot(boost=pot.boost - event.from_boost, windows=windows)
    rare = evolve_rare.with_pots(rare, {event.pot: won})
    if not event.is_withheld:
        return rare
    winner = Contributor(
        event.brand, event.player_id, event.currency, event.player_rate, event.jackpot_rate
    )
    held = HeldWin(event.round_id, event.pot, event.at_ms, winner, event.win, event.paid)
    return evolve_rare.balanced(
        replace(rare, held=(*rare.held, held), withheld=rare.withheld + event.paid)
    )


def _community_paid(state: Instance, event: CommunityPaid) -> Instance:
    pot = state.pots[event.pot]
    paid = sum(payout.paid for payout in event.payouts)
    poorer = replace(pot, value=pot.value - paid, paid=pot.paid + paid)
    return replace(
        state,
        pots=(*state.pots[: event.pot], poorer, *state.pots[event.pot + 1 :]),
        updated_ms=event.at_ms,
        payouts=state.payouts + paid,
    )


def _pot_closed(state: Instance, event: PotClosed) -> Instance:
    pots = tuple(
        replace(
            pot,
            value=pot.value + event.to_values[index],
            reserve=pot.reserve + event.to_reserves[index],
            is_open=pot.is_open and index != event.pot,
        )
        for index, pot in enumerate(state.pots)
    )
    plan = split.allocation(state.rules, tuple(pot.is_open for pot in pots))
    rare = state.rare
    boost = rare.pots[event.pot].boost
    if boost and (sum(event.to_values) or sum(event.to_reserves)):
        # What a boost held went with the rest.
        rare = evolve_rare.with_pots(rare, {event.pot: replace(rare.pots[event.pot], boost=0)})
    return replace(
        state,
        pots=pots,
        plan=plan,
        carried=tuple(0 for _ in plan.weights),
        house=state.house + event.to_house,
        updated_ms=event.at_ms,
        rare=rare,
    )


def _unmoved(state: Instance, _event: OptInChanged) -> Instance:
    return state


def evolve_player(player: Player, event: InstanceEvent) -> Player:
    """The player whom the event names, after it."""
    handler = _PLAYER.get(type(event))
    return handler(player, event) if handler else player


def _player_contributed(player: Player, event: Contributed) -> Player:
    last = player.last
    if event.attendance is not None:
        last = LastSeen(
            event.attendance.number,
            event.at_ms,
            event.currency,
            event.player_rate,
            event.jackpot_rate,
        )
    tickets = player.tickets
    if event.issued is not None:
        last = LastSeen(0, event.at_ms, event.currency, event.player_rate, event.jackpot_rate)
        tickets = evolve_raffle.tickets_after(tickets, event.issued)
    return Player(
        player.opted_in,
        player.preferences,
        player.count + 1,
        player.value + event.worth,
        _counted(player, event.cycles, event.worth),
        event.at_ms,
        last,
        tickets,
    )


def _counted(player: Player, cycles: tuple[int, ...], worth: int) -> tuple[PotCount, ...]:
    """What the player put into the running cycle of each pot, with this contribution."""
    if len(player.pots) == len(cycles):
        return tuple(
            [
                PotCount(cycle, before.count + 1, before.value + worth)
                if before.cycle == cycle
                else PotCount(cycle, 1, worth)
                for before, cycle in zip(player.pots, cycles, strict=True)
            ]
        )
    return tuple([PotCount(cycle, 1, worth) for cycle in cycles])


def totals(player: Player, cycles: tuple[int, ...], worth: int) -> tuple[int, tuple[int, ...]]:
    """What a contribution makes of a player's totals: of all times, and in the running cycle of each pot."""
    in_cycles = tuple([count.value for count in _counted(player, cycles, worth)])
    return player.value + worth, in_cycles


def _player_opted(player: Player, event: OptInChanged) -> Player:
    preferences = player.preferences
    if event.preferred is not None and event.preferred_currency is not None:
        currency = event.preferred_currency
        others = tuple(pair for pair in preferences if pair[0] != currency)
        preferences = (*others, (currency, event.preferred))
    elif event.opted_in:
        preferences = ()
    return replace(player, opted_in=event.opted_in, preferences=preferences, updated_ms=event.at_ms)


_INSTANCE: dict[type, Callable[[Instance, Any], Instance]] = {
    Contributed: _contributed,
    PotWon: _pot_won,
    CommunityPaid: _community_paid,
    PotClosed: _pot_closed,
    OptInChanged: _unmoved,
    **evolve_rare.HANDLERS,
    **evolve_raffle.HANDLERS,
}
_PLAYER: dict[type, Callable[[Player, Any], Player]] = {
    Contributed: _player_contributed,
    OptInChanged: _player_opted,
}
