"""Transitions that few contributions cause, or none: seals, windows, and what operators do to an instance."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from jackpotd.core import split
from jackpotd.core.events import (
    Adjusted,
    Boosted,
    ChangeAsked,
    HeldWinDecided,
    Inherited,
    RulesChanged,
    Sealed,
    StatusChanged,
    TipHeld,
    TransferDone,
    TransfersSent,
    TransferTaken,
    Triggered,
    WindowEnded,
)
from jackpotd.core.inflow import inflow
from jackpotd.core.ledger import residual
from jackpotd.core.rules import Rules
from jackpotd.core.state import OVER, Instance, PendingChange, Pot, Rare, RarePot, Status, Window
from jackpotd.core.window_calendar import first_windows


def balanced(rare: Rare) -> Rare:
    """The same with its `net`, after one of its accounts has changed."""
    in_pots = sum(pot.boost + pot.undistributed for pot in rare.pots)
    return replace(rare, net=rare.withheld + rare.sent + in_pots - rare.received)


def with_pots(rare: Rare, changed: Mapping[int, RarePot]) -> Rare:
    """The same with these pots in place of those they were."""
    pots = tuple(changed.get(at, pot) for at, pot in enumerate(rare.pots))
    return balanced(replace(rare, pots=pots))


def _with_values(state: Instance, added: Mapping[int, tuple[int, int]]) -> tuple[Pot, ...]:
    """The pots with money added to value and reserve."""
    return tuple(
        replace(pot, value=pot.value + added[at][0], reserve=pot.reserve + added[at][1])
        if at in added
        else pot
        for at, pot in enumerate(state.pots)
    )


def _sealed(state: Instance, event: Sealed) -> Instance:
    seals = state.rare.seals
    changed = (*seals[: event.pot], event.seal, *seals[event.pot + 1 :])
    return replace(state, rare=replace(state.rare, seals=changed), updated_ms=event.at_ms)


def _with_window(rare: Rare, pot: int, point: int, window: Window, *, is_due: bool) -> Rare:
    known = rare.pots[pot]
    windows = (*known.windows[:point], window, *known.windows[point + 1 :])
    return with_pots(rare, {pot: replace(known, windows=windows, is_due=is_due)})


def _tip_held(state: Instance, event: TipHeld) -> Instance:
    window = replace(state.rare.pots[event.pot].windows[event.point], is_done=True)
    rare = _with_window(state.rare, event.pot, event.point, window, is_due=True)
    return replace(state, rare=rare, updated_ms=event.at_ms)


def _window_ended(state: Instance, event: WindowEnded) -> Instance:
    is_due = state.rare.pots[event.pot].is_due
    rare = _with_window(state.rare, event.pot, event.point, Window(event.index), is_due=is_due)
    return replace(state, rare=rare, updated_ms=event.at_ms)


def trigger_id(pot_id: str, reference_id: str) -> str:
    """What a trigger is remembered by: the same event of a game triggers a pot once."""
    return f"trigger {pot_id}\0{reference_id}"


def _triggered(state: Instance, event: Triggered) -> Instance:
    known = trigger_id(state.rules.pots[event.pot].id, event.reference_id)
    rare = replace(state.rare, taken=(*state.rare.taken, known))
    return replace(state, rare=rare, updated_ms=event.at_ms)


def _held_win_decided(state: Instance, event: HeldWinDecided) -> Instance:
    rare = state.rare
    held = next(win for win in rare.held if win.round_id == event.round_id and win.pot == event.pot)
    rare = replace(
        rare,
        held=tuple(win for win in rare.held if win is not held),
        withheld=rare.withheld - held.paid,
        taken=(*rare.taken, event.id) if event.id else rare.taken,
    )
    if event.is_released:
        return replace(
            state,
            rare=balanced(rare),
            payouts=state.payouts + held.paid,
            updated_ms=event.at_ms,
        )
    if state.status in OVER:
        back = {
            at: replace(pot, undistributed=pot.undistributed + added)
            for at, (pot, added) in enumerate(zip(rare.pots, event.to_values, strict=True))
        }
        pots, rare = state.pots, with_pots(rare, back)
    else:
        rules = state.rules.pots
        pots = _with_values(
            state,
            {
                at: inflow(rules[at], state.pots[at], each)
                for at, each in enumerate(event.to_values)
            },
        )
        rare = balanced(rare)
    unpaid = replace(pots[event.pot], paid=pots[event.pot].paid - held.paid)
    pots = (*pots[: event.pot], unpaid, *pots[event.pot + 1 :])
    return replace(state, pots=pots, rare=rare, updated_ms=event.at_ms)


def _boosted(state: Instance, event: Boosted) -> Instance:
    pot = state.rare.pots[event.pot]
    boosted = replace(pot, boost=pot.boost + event.amount_units)
    return replace(
        state,
        rare=with_pots(state.rare, {event.pot: boosted}),
        operator=state.operator + event.amount_units,
        updated_ms=event.at_ms,
    )


def _adjusted(state: Instance, event: Adjusted) -> Instance:
    rare = state.rare
    return replace(
        state,
        pots=_with_values(state, {event.pot: (event.amount_units, 0)}),
        operator=state.operator + event.amount_units,
        rare=replace(rare, taken=(*rare.taken, event.id)) if event.id else rare,
        updated_ms=event.at_ms,
    )


def _change_asked(state: Instance, event: ChangeAsked) -> Instance:
    pending = PendingChange(event.id, event.pot, event.changes, event.at_ms, event.by, event.reason)
    rare = replace(state.rare, pending=(*state.rare.pending, pending))
    return replace(state, rare=rare, updated_ms=event.at_ms)


def _rules_changed(state: Instance, event: RulesChanged) -> Instance:
    pending = tuple(change for change in state.rare.pending if change.id != event.id)
    rare = replace(state.rare, pending=pending)
    if event.rules is None:
        return replace(state, rare=rare, updated_ms=event.at_ms)
    rules = event.rules
    plan = split.allocation(rules, tuple(pot.is_open for pot in state.pots))
    # The whole units that divisions carried go on, as numerators of the new denominator.
    carried = (residual(state) * plan.denominator, *(0 for _ in plan.weights[1:]))
    return replace(
        state,
        definition=replace(state.definition, rules=rules),
        plan=plan,
        carried=carried,
        rare=_refitted(replace(rare, document=event.document), state.rules, rules, event.at_ms),
        updated_ms=event.at_ms,
    )


def _refitted(rare: Rare, before: Rules, after: Rules, at_ms: int) -> Rare:
    """New windows where a pot's hidden times are others now."""
    return with_pots(
        rare,
        {
            at: replace(rare.pots[at], windows=first_windows(new, at_ms))
            for at, (old, new) in enumerate(zip(before.pots, after.pots, strict=True))
            if old.hidden_times != new.hidden_times
        },
    )


def _transfers_sent(state: Instance, event: TransfersSent) -> Instance:
    rare, sent = state.rare, dict[int, int]()
    for transfer in event.transfers:
        whole = transfer.value + transfer.reserve + transfer.boost
        sent[transfer.pot] = sent.get(transfer.pot, 0) + whole
    left = {
        at: replace(rare.pots[at], undistributed=rare.pots[at].undistributed - units)
        for at, units in sent.items()
    }
    rare = replace(
        rare,
        transfers=(*rare.transfers, *event.transfers),
        taken=(*rare.taken, *(each.id for each in event.transfers)),
        sent=rare.sent + sum(sent.values()),
    )
    return replace(state, rare=with_pots(rare, left), updated_ms=event.at_ms)


def _transfer_done(state: Instance, event: TransferDone) -> Instance:
    left = tuple(each for each in state.rare.transfers if each.id != event.id)
    return replace(state, rare=replace(state.rare, transfers=left), updated_ms=event.at_ms)


def _transfer_taken(state: Instance, event: TransferTaken) -> Instance:
    rare = state.rare
    pot = rare.pots[event.pot]
    rare = replace(
        rare,
        received=rare.received + event.value + event.reserve + event.boost,
        taken=(*rare.taken, event.id),
    )
    is_over = state.status in OVER or not state.pots[event.pot].is_open
    if is_over:
        whole = event.value + event.reserve + event.boost
        aside = replace(pot, undistributed=pot.undistributed + whole)
        return replace(state, rare=with_pots(rare, {event.pot: aside}), updated_ms=event.at_ms)
    rare = with_pots(rare, {event.pot: replace(pot, boost=pot.boost + event.boost)})
    pots = _with_values(state, {event.pot: (event.value, event.reserve)})
    return replace(state, pots=pots, rare=rare, updated_ms=event.at_ms)


def _inherited(state: Instance, event: Inherited) -> Instance:
    rare = replace(state.rare, inherits=event.from_instance)
    return replace(state, rare=rare, updated_ms=event.at_ms)


def _status_changed(state: Instance, event: StatusChanged) -> Instance:
    if event.status is Status.TERMINATED and state.status is not Status.TERMINATED:
        state = _emptied(state)
    return replace(state, status=event.status, updated_ms=event.at_ms)


def _emptied(state: Instance) -> Instance:
    """Everything that pots, reserves and boosts held is set aside, and what divisions carried goes to the first."""
    carried = [residual(state), *(0 for _ in state.pots[1:])]
    aside = {
        at: replace(
            rare,
            boost=0,
            undistributed=rare.undistributed + pot.value + pot.reserve + rare.boost + extra,
        )
        for at, (pot, rare, extra) in enumerate(
            zip(state.pots, state.rare.pots, carried, strict=True)
        )
    }
    return replace(
        state,
        pots=tuple(replace(pot, value=0, reserve=0) for pot in state.pots),
        carried=tuple(0 for _ in state.carried),
        rare=with_pots(state.rare, aside),
    )


HANDLERS: dict[type, Callable[[Instance, Any], Instance]] = {
    Sealed: _sealed,
    TipHeld: _tip_held,
    WindowEnded: _window_ended,
    Triggered: _triggered,
    HeldWinDecided: _held_win_decided,
    Boosted: _boosted,
    Adjusted: _adjusted,
    ChangeAsked: _change_asked,
    RulesChanged: _rules_changed,
    TransfersSent: _transfers_sent,
    TransferDone: _transfer_done,
    TransferTaken: _transfer_taken,
    Inherited: _inherited,
    StatusChanged: _status_changed,
}
