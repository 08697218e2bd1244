"""What operators, and other instances, ask of an instance: events or a rejection (contract §8).

Amounts and relations between instances are checked by the caller; what the state of this instance forbids is refused
here, because only its owner knows.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from jackpotd.core import raffle, rejections, split, winning
from jackpotd.core.commands import (
    Adjust,
    AskChange,
    Boost,
    ChangeStatus,
    DecideHeldWin,
    FinishTransfer,
    Inherit,
    OperatorCommand,
    SendTransfers,
    SetSchedule,
    TakeTransfer,
    Trigger,
)
from jackpotd.core.events import (
    Adjusted,
    Boosted,
    ChangeAsked,
    HeldWinDecided,
    Inherited,
    InstanceEvent,
    ScheduleChanged,
    StatusChanged,
    Tip,
    TransferDone,
    TransfersSent,
    TransferTaken,
    Triggered,
)
from jackpotd.core.evolve import evolve
from jackpotd.core.evolve_rare import trigger_id
from jackpotd.core.inflow import inflow, lift_max
from jackpotd.core.money import UNITS_MAX
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import OVER, STATUS_CHANGES, Instance, Status, Transfer
from jackpotd.core.winners import Tipped, Winner

Events = list[InstanceEvent]
PENDING_CHANGES_MAX = 64


def decide(state: Instance, command: OperatorCommand) -> Events | Rejection:
    """The events that a command causes, or why not."""
    return _HANDLERS[type(command)](state, command)


def _conflict(message: str) -> Rejection:
    return Rejection(Code.INVALID_STATE, message)


def _pot(state: Instance, pot_id: str) -> int | Rejection:
    for index, rules in enumerate(state.rules.pots):
        if rules.id == pot_id:
            return index
    return Rejection(Code.JACKPOT_NOT_FOUND, f"pot {pot_id}")


def _open_pot(state: Instance, pot_id: str) -> int | Rejection:
    """A pot that can still be won, of an instance that is not over."""
    index = _pot(state, pot_id)
    if isinstance(index, Rejection):
        return index
    if state.status in OVER:
        return _conflict(f"the jackpot is {state.status}")
    return index if state.pots[index].is_open else _conflict(f"pot {pot_id} is used up")


def _change_status(state: Instance, command: ChangeStatus) -> Events | Rejection:
    """A person's change of state, along the allowed transitions only."""
    if command.status not in STATUS_CHANGES[state.status]:
        return rejections.invalid_state(state.status, command.status)
    return [StatusChanged(command.at_ms, command.status, command.reason, command.by)]


def _boost(state: Instance, command: Boost) -> Events | Rejection:
    index = _open_pot(state, command.pot_id)
    if isinstance(index, Rejection):
        return index
    boost = state.rare.pots[index].boost + command.amount_units
    if command.amount_units <= 0 or boost > UNITS_MAX:
        return Rejection(Code.INVALID_REQUEST, "amount must be above 0 and within the bound")
    return [Boosted(command.at_ms, index, command.amount_units, command.by, command.reason)]


def _adjust(state: Instance, command: Adjust) -> Events | Rejection:
    """A correction never takes a pot below its reset value, nor above its ceiling or a hidden value (R-CHG-2)."""
    if command.id and command.id in state.rare.taken:
        return []
    index = _open_pot(state, command.pot_id)
    if isinstance(index, Rejection):
        return index
    rules, before = state.rules.pots[index], state.pots[index].value
    after = before + command.amount_units
    if not rules.is_progressive:
        return _conflict(f"pot {command.pot_id} is not progressive: its value is its seed")
    if command.amount_units < 0 and after < rules.min_reseed:
        return _conflict(f"pot {command.pot_id} would fall below its reset value")
    end = lift_max(rules)
    if command.amount_units > 0 and after > (UNITS_MAX if end is None else end):
        what = "the least of its hidden value" if rules.hidden_values else "its ceiling"
        return _conflict(f"pot {command.pot_id} would rise above {what}")
    return [
        Adjusted(
            command.at_ms,
            index,
            command.amount_units,
            before,
            command.by,
            command.reason,
            command.id,
        )
    ]


def _trigger(state: Instance, command: Trigger) -> Events | Rejection:
    index = _open_pot(state, command.pot_id)
    if isinstance(index, Rejection):
        return index
    rules = state.rules.pots[index]
    if not rules.has_trigger:
        return _conflict(f"pot {command.pot_id} has no external trigger")
    if trigger_id(command.pot_id, command.reference_id) in state.rare.taken:
        return _conflict("AlreadyTriggered")
    if state.status is not Status.ACTIVE:
        return rejections.JACKPOT_NOT_ACTIVE
    if command.winner.brand not in state.rules.allowed_brands:
        return rejections.unsupported_brand(command.winner.brand)
    if not winning.is_funded(rules, state.pots[index], state.rare.pots[index].boost):
        return _conflict(f"the next seed of pot {command.pot_id} is not covered yet")
    triggered = Triggered(command.at_ms, index, command.reference_id, command.by, command.reason)
    winner = Winner(command.at_ms, command.round_id, command.winner, command.streams, command.crowd)
    won = winning.pay(evolve(state, triggered), [Tipped(index, Tip.TRIGGER)], winner)
    if not won:
        return _conflict(f"pot {command.pot_id} cannot pay one minor unit")
    return [triggered, *won]


def _decide_held_win(state: Instance, command: DecideHeldWin) -> Events | Rejection:
    """Releases a withheld win, or gives its money back: to its pot, or to the open ones where that is used up."""
    if command.id and command.id in state.rare.taken:
        return []
    index = _pot(state, command.pot_id)
    if isinstance(index, Rejection):
        return index
    held = [win for win in state.rare.held if win.pot == index and win.round_id == command.round_id]
    if not held:
        return Rejection(
            Code.JACKPOT_NOT_FOUND, f"no withheld win of {command.round_id} in {command.pot_id}"
        )
    back = [0] * len(state.pots)
    if not command.release:
        is_open = tuple(pot.is_open for pot in state.pots)
        is_over = state.status in OVER
        if is_over or is_open[index]:
            back[index] = held[0].paid
        else:
            weights = split.pro_rata_weights(state.rules, is_open)
            back = list(split.share_out(held[0].paid, weights))
    return [
        HeldWinDecided(
            command.at_ms,
            command.round_id,
            index,
            command.release,
            tuple(back),
            command.by,
            command.reason,
            command.id,
            held[0].raffle_round,
        )
    ]


def _ask_change(state: Instance, command: AskChange) -> Events | Rejection:
    if state.status in OVER:
        return _conflict(f"the jackpot is {state.status}")
    if len(state.rare.pending) + len(command.parts) > PENDING_CHANGES_MAX:
        return _conflict(f"{len(state.rare.pending)} changes wait already")
    return [
        ChangeAsked(
            command.at_ms,
            part.id,
            part.pot,
            part.changes,
            command.before,
            part.by,
            part.reason,
        )
        for part in command.parts
    ]


def _send_transfers(state: Instance, command: SendTransfers) -> Events | Rejection:
    """Terminates the instance, and sends what each of its pots held, with reserve and boost, where it was told to."""
    if any(each.id in state.rare.taken for each in command.transfers):
        return []  # they were sent already
    if state.rare.held:
        return _conflict("a win is withheld: release or reject it first")
    ended: Events = []
    parts = _contents(state)
    if state.status is not Status.TERMINATED:
        ended = [StatusChanged(command.at_ms, Status.TERMINATED, command.reason, command.by)]
        after = evolve(state, ended[0])
    else:
        after = state
    transfers: list[Transfer] = []
    for index, rules in enumerate(state.rules.pots):
        chosen = [at for at, each in enumerate(command.transfers) if each.pot == index]
        held = after.rare.pots[index].undistributed
        if held and not chosen:
            return Rejection(Code.INVALID_REQUEST, f"pot {rules.id} has no destination")
        if not held:
            continue
        _, reserve, boost = parts[index]
        weights = tuple(command.weights[at] for at in chosen)
        values = split.share_out(held - reserve - boost, weights)
        reserves, boosts = split.share_out(reserve, weights), split.share_out(boost, weights)
        for place, at in enumerate(chosen):
            sent = replace(
                command.transfers[at],
                value=values[place],
                reserve=reserves[place],
                boost=boosts[place],
            )
            if sent.value + sent.reserve + sent.boost:
                transfers.append(sent)
    return [
        *ended,
        TransfersSent(command.at_ms, tuple(transfers), command.by, command.reason),
    ]


def _contents(state: Instance) -> list[tuple[int, int, int]]:
    """Value, reserve and boost of each pot; an instance that is terminated has set all of it aside as value."""
    return [
        (pot.value, pot.reserve, rare.boost)
        for pot, rare in zip(state.pots, state.rare.pots, strict=True)
    ]


def _take_transfer(state: Instance, command: TakeTransfer) -> Events | Rejection:
    """Taken whatever the state, so that no money stays on its way: what cannot be won any more sets it aside."""
    transfer = command.transfer
    if transfer.id in state.rare.taken:
        return []
    index = _pot(state, transfer.to_pot)
    if isinstance(index, Rejection):
        return index
    value, to_reserve = inflow(state.rules.pots[index], state.pots[index], transfer.value)
    return [
        TransferTaken(
            command.at_ms,
            transfer.id,
            command.from_instance,
            index,
            value,
            transfer.reserve + to_reserve,
            transfer.boost,
        )
    ]


def _finish_transfer(state: Instance, command: FinishTransfer) -> Events | Rejection:
    if all(transfer.id != command.id for transfer in state.rare.transfers):
        return []
    return [TransferDone(command.at_ms, command.id)]


def _inherit(state: Instance, command: Inherit) -> Events | Rejection:
    if state.rare.inherits == command.from_instance:
        return []
    return [Inherited(command.at_ms, command.from_instance)]


def _set_schedule(state: Instance, command: SetSchedule) -> Events | Rejection:
    """A raffle's running round ends when the new schedule says so; what is over already is no schedule to set."""
    if state.status in OVER:
        return _conflict(f"the jackpot is {state.status}")
    if command.brand and command.brand not in state.rules.allowed_brands:
        return rejections.unsupported_brand(command.brand)
    new = command.schedule
    lacking = None if command.brand else raffle.schedule_problem(state.rules, new)
    if lacking is not None:
        return lacking
    if new is not None and new.end_ms is not None and new.end_ms <= command.at_ms:
        return Rejection(Code.INVALID_REQUEST, "$.schedule.timestamp_end has passed already")
    is_first = not command.brand and not state.rare.rounds
    if new is not None and is_first and raffle.begins_too_long_ago(state.rules, new, command.at_ms):
        return Rejection(Code.INVALID_REQUEST, f"$.schedule.timestamp_start {raffle.TOO_LONG_AGO}")
    changed = ScheduleChanged(command.at_ms, command.brand, new, command.by, command.reason)
    return [changed]


_HANDLERS: dict[type, Callable[[Instance, Any], Events | Rejection]] = {
    ChangeStatus: _change_status,
    Boost: _boost,
    Adjust: _adjust,
    Trigger: _trigger,
    DecideHeldWin: _decide_held_win,
    AskChange: _ask_change,
    SendTransfers: _send_transfers,
    TakeTransfer: _take_transfer,
    FinishTransfer: _finish_transfer,
    Inherit: _inherit,
    SetSchedule: _set_schedule,
}
