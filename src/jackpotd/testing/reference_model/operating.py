"""What operators do to an instance, and how windows end (contract §8, §9)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from jackpotd.testing.reference_model.numbers import SCALE, ZERO, Number, incoming
from jackpotd.testing.reference_model.paying import Due, Jackpot, can_pay, pay
from jackpotd.testing.reference_model.pots import Account, Pot, Readings
from jackpotd.testing.reference_model.records import (
    Contributor,
    OracleDisagreementError,
    Rejection,
    Settled,
    Shipment,
    Tip,
    Win,
)
from jackpotd.testing.reference_model.template import HiddenTime, read_rules

REFUSED = Rejection("INVALID_STATE", "")
OVER = ("Ended", "Terminated")


def changes_due(jackpot: Jackpot, wins: Sequence[Win]) -> tuple[str, ...]:
    """The pending changes whose win has come, in the order in which they were asked for."""
    paid = {win.pot_id for win in wins}
    due = [each for each, pot_id in jackpot.pending if paid and (pot_id is None or pot_id in paid)]
    jackpot.pending = [each for each in jackpot.pending if each[0] not in due]
    return tuple(due)


def trigger(
    jackpot: Jackpot,
    pot_id: str,
    winner: Contributor,
    at_ms: int,
    round_id: str,
    readings: Readings,
) -> Settled | Rejection:
    pot = jackpot.pots[pot_id]
    if jackpot.status != "Active" or not pot.is_open or not pot.rules.has_trigger:
        return REFUSED
    value, reserve = readings.before_win(0, pot)
    due = Due(pot, value, winner, frozenset({"Trigger"}))
    if not pot.is_funded(reserve) or not can_pay(due, jackpot):
        return REFUSED
    wins = (pay(jackpot, due, (value, reserve), at_ms, round_id),)
    return Settled(wins, (), changes_due(jackpot, wins))


def end_windows(
    jackpot: Jackpot,
    at_ms: int,
    round_ids: Mapping[str, str],
    readings: Readings,
    until_ms: int | None = None,
) -> Settled:
    """Every window that is over, or was at another moment; where its drop has not come, its candidate wins, if any."""
    wins: list[Win] = []
    held: list[tuple[str, int]] = []
    if jackpot.status != "Active":
        return Settled()
    for pot in jackpot.pots.values():
        won = False
        for place, point in enumerate(pot.rules.hidden_times if pot.is_open else ()):
            candidate = _end_window(pot, place, point, at_ms if until_ms is None else until_ms)
            if candidate is None or won:
                continue
            value, reserve = readings.before_win(len(wins), pot)
            tips: frozenset[Tip] = frozenset({"TimeFallback"})
            due = Due(pot, value, candidate, tips)
            if pot.is_funded(reserve) and can_pay(due, jackpot):
                round_id = round_ids[pot.rules.id]
                wins.append(pay(jackpot, due, (value, reserve), at_ms, round_id))
                won = True
            else:
                pot.is_due = True
                held.append((pot.rules.id, place))
    return Settled(tuple(wins), tuple(held), changes_due(jackpot, wins))


def _end_window(pot: Pot, place: int, point: HiddenTime, at_ms: int) -> Contributor | None:
    """Leaves a window that is over; who wins by its fallback, if anybody."""
    window = pot.window(place, point, at_ms)
    if window.index >= point.window_at(at_ms):
        return None
    del pot.windows[place]
    pot.window(place, point, at_ms)
    return None if window.is_done else window.candidate


def decide_held(jackpot: Jackpot, round_id: str, pot_id: str, *, release: bool) -> Rejection | None:
    """A released win is paid; a rejected one's money returns to its pot, or to those that inherited from it."""
    ledger, pot = jackpot.ledger, jackpot.pots[pot_id]
    held = ledger.held.pop((round_id, pot_id), None)
    if held is None:
        return REFUSED
    ledger.withheld -= held.paid
    if release:
        ledger.payouts += held.paid
    elif pot.is_open and jackpot.status not in OVER:
        pot.lift(held.paid)
    elif jackpot.open_pots and jackpot.status not in OVER:
        for name, weight in jackpot.weights().items():
            jackpot.pots[name].widen(len(jackpot.pots), len(jackpot.pots))
            jackpot.pots[name].lift(held.paid * weight)
    else:
        pot.undistributed.exact += held.paid
    return None


def boost(jackpot: Jackpot, pot_id: str, amount: Number) -> Rejection | None:
    """The operator's buffer for the pot's next seeds."""
    pot, added = jackpot.pots[pot_id], incoming(amount)
    if not pot.is_open or jackpot.status in OVER or added <= 0:
        return REFUSED
    pot.boost += added
    jackpot.ledger.operator.exact += added
    return None


def adjust(jackpot: Jackpot, pot_id: str, amount: Number, value_units: int) -> Rejection | None:
    """A correction of a growing pot: not below its least seed (R-CHG-2), nor where no other money lifts it."""
    pot, added = jackpot.pots[pot_id], incoming(amount)
    held, end = Fraction(value_units, SCALE), pot.rules.lift_end
    after = held + added
    over = end is not None and added > 0 and after > end
    under = added < 0 and after < pot.rules.min_reseed
    closed = not pot.is_open or jackpot.status in OVER
    if closed or not pot.rules.is_progressive or under or over:
        return REFUSED
    pot.correct(added, held)
    jackpot.ledger.operator.exact += added
    return None


def change_rules(jackpot: Jackpot, template: Mapping[str, Any]) -> None:
    """Pending parameters take effect; pots keep what they hold.

    Raises:
        OracleDisagreementError: a pot's own parameters let a value be hidden below what it holds already.
    """
    before, after = jackpot.rules, read_rules(template)
    if [pot.id for pot in before.pots] != [pot.id for pot in after.pots]:
        raise ValueError("the pots of an instance are for life")
    for old, new in zip(before.pots, after.pots, strict=True):
        held, end = jackpot.pots[new.id].value, new.lift_end
        is_own = replace(new, share=old.share) != old
        is_full = end is not None and held.exact - held.slack / SCALE > end
        if is_own and new.hidden_values and is_full:
            raise OracleDisagreementError(f"pot {new.id} holds {held}, more than {end}")
    jackpot.rules = after
    for rules in after.pots:
        jackpot.pots[rules.id].rules = rules
    jackpot.share_out()
    if not jackpot.divides_exactly:
        # The remainders carried so far go somewhere, and new ones begin.
        jackpot.widen(2 * len(jackpot.pots) + 1 + jackpot.carry)


def terminate(jackpot: Jackpot) -> None:
    """All that pots hold waits for somebody to move it; the carried remainders do so with the first pot."""
    jackpot.status = "Terminated"
    for pot in jackpot.pots.values():
        pot.undistributed.exact += pot.value.exact + pot.reserve.exact + pot.boost
        pot.undistributed.slack += pot.joint
        _empty(pot)
    if not jackpot.divides_exactly:
        next(iter(jackpot.pots.values())).undistributed.slack += 2 * len(jackpot.pots) + 1


def _empty(pot: Pot) -> None:
    pot.value, pot.reserve, pot.boost, pot.joint = Account(), Account(), ZERO, ZERO


def send(
    jackpot: Jackpot, weights: Sequence[tuple[str, Fraction]], sent: Sequence[Shipment | None]
) -> None:
    """Every pot's whole content leaves by these weights, then the instance is terminated; None where nothing left.

    The carried remainders leave with it, by any pot.

    Raises:
        OracleDisagreementError: a part is not what its weight says, to the last unit, or something stayed.
    """
    totals: dict[str, Fraction] = {}
    for pot_id, weight in weights:
        totals[pot_id] = totals.get(pot_id, ZERO) + weight
    carried = 0 if jackpot.divides_exactly else 2 * len(jackpot.pots) + 1
    for (pot_id, weight), shipment in zip(weights, sent, strict=True):
        pot, part = jackpot.pots[pot_id], weight / totals[pot_id]
        found = shipment or Shipment(pot_id, ZERO, ZERO, ZERO)
        parts = (
            (_all_of(pot.value, pot.undistributed), found.value, pot.value.slack),
            (pot.reserve.exact, found.reserve, pot.reserve.slack),
            (pot.boost, found.boost, ZERO),
        )
        for exact, units, slack in parts:
            off = slack + carried + (len(weights) if part != 1 else 0)
            if abs(exact * part - units) * SCALE > off:
                raise OracleDisagreementError(f"{found}: {float(exact * part)} ± {off}")
    terminate(jackpot)
    for shipment in filter(None, sent):
        total = shipment.value + shipment.reserve + shipment.boost
        jackpot.pots[shipment.pot_id].undistributed.exact -= total
        jackpot.ledger.transferred += total
    for pot in jackpot.pots.values():
        if pot.rules.id in totals and not pot.undistributed.admits(0):
            raise OracleDisagreementError(f"{pot.rules.id} did not send all: {pot}")


def _all_of(value: Account, undistributed: Account) -> Fraction:
    return value.exact + undistributed.exact


def take(jackpot: Jackpot, pot_id: str, shipment: Shipment) -> None:
    """Money of another instance comes into a pot; where the pot is no more, it waits for somebody to move it."""
    pot = jackpot.pots[pot_id]
    total = shipment.value + shipment.reserve + shipment.boost
    jackpot.ledger.received += total
    if not pot.is_open or jackpot.status in OVER:
        pot.undistributed.exact += total
        return
    pot.lift(shipment.value)
    pot.reserve.exact += shipment.reserve
    pot.boost += shipment.boost
