"""All transitions of an instance and of a player: state and event give the next state.

Rules of this file: an event is a fact, so nothing here refuses, draws or reads a clock; a handler for each event type,
in a table; an instance and a player are folded apart from each other, because their rows are written apart.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from jackpotd.core import split
from jackpotd.core.events import (
    Contributed,
    InstanceEvent,
    OptInChanged,
    PotClosed,
    PotWon,
    StatusChanged,
)
from jackpotd.core.rules import FundStrategy, PotRules
from jackpotd.core.state import Definition, Instance, Player, Pot, PotCount, Status


def create(definition: Definition, status: Status) -> Instance:
    """A new instance: every pot at its initial seed, which the operator put in."""
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
    pots = [
        _grown(rules, pot, growth, seeding)
        for rules, pot, growth, seeding in zip(
            state.definition.rules.pots, state.pots, parts[1::2], parts[2::2], strict=True
        )
    ]
    # Positional: this runs for every contribution, and names cost.
    return Instance(
        state.definition,
        state.plan,
        state.status,
        state.version,
        event.at_ms,
        tuple(pots),
        carried,
        state.contributions + 1,
        state.contributed + worth - by_operator,
        state.operator + by_operator,
        state.deficit,
        state.house + parts[0],
        state.payouts,
    )


def _grown(rules: PotRules, pot: Pot, growth: int, seeding: int) -> Pot:
    """The pot with its two parts of a contribution, each where the fund strategy sends it."""
    if not growth and not seeding:
        return pot
    if seeding and rules.is_progressive:
        kept = seeding
        if rules.cycles_max is not None and is_last_cycle(rules, pot):
            kept = 0
        elif rules.fund_strategy is FundStrategy.COLLECT_TO_MIN_RESEED:
            kept = min(seeding, max(rules.min_reseed - pot.reserve, 0))
        growth, seeding = growth + seeding - kept, kept
    return Pot(
        pot.value + growth, pot.reserve + seeding, pot.cycle, pot.is_open, pot.hits, pot.paid
    )


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
        payouts=state.payouts + event.paid,
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
    return replace(
        state,
        pots=pots,
        plan=plan,
        carried=tuple(0 for _ in plan.weights),
        house=state.house + event.to_house,
        updated_ms=event.at_ms,
    )


def _status_changed(state: Instance, event: StatusChanged) -> Instance:
    return replace(state, status=event.status, updated_ms=event.at_ms)


def _unmoved(state: Instance, _event: OptInChanged) -> Instance:
    return state


def evolve_player(player: Player, event: InstanceEvent) -> Player:
    """The player whom the event names, after it."""
    handler = _PLAYER.get(type(event))
    return handler(player, event) if handler else player


def _player_contributed(player: Player, event: Contributed) -> Player:
    worth = event.worth
    if len(player.pots) == len(event.cycles):
        pots = [
            PotCount(cycle, before.count + 1, before.value + worth)
            if before.cycle == cycle
            else PotCount(cycle, 1, worth)
            for before, cycle in zip(player.pots, event.cycles, strict=True)
        ]
    else:
        pots = [PotCount(cycle, 1, worth) for cycle in event.cycles]
    return Player(
        player.opted_in,
        player.preferences,
        player.count + 1,
        player.value + worth,
        tuple(pots),
        event.at_ms,
    )


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
    PotClosed: _pot_closed,
    StatusChanged: _status_changed,
    OptInChanged: _unmoved,
}
_PLAYER: dict[type, Callable[[Player, Any], Player]] = {
    Contributed: _player_contributed,
    OptInChanged: _player_opted,
}
