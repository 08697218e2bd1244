"""What follows from what has happened to an instance: parameters that waited take effect, a raffle's next round is set,
secrets are revealed.

The keeper of an instance's secrets belongs to its actor. A secret that does not fit its published commitment is no
secret of ours: nothing is drawn from it (R-RNG-4), and the actor fences its instance.
"""

from collections.abc import Sequence

from jackpotd.core import fairness, passing, raffle, sealing, tipping
from jackpotd.core.commands import Streams
from jackpotd.core.events import InstanceEvent, PotWon, RoundResolved, RulesChanged, Sealed
from jackpotd.core.evolve import evolve
from jackpotd.core.fairness import PotStream
from jackpotd.core.inflow import lift_max
from jackpotd.core.rules import Rules
from jackpotd.core.state import Instance, PendingChange, Seal
from jackpotd.engine.cells import Cell
from jackpotd.engine.ports import Vault
from jackpotd.wire import parameter_changes, records


class SealBroken(Exception):
    """A secret does not fit what was published of it."""


class Seals:
    """The secrets of one instance's pots, as its seals name them."""

    def __init__(self, vault: Vault, instance_id: str) -> None:
        self._vault = vault
        self._instance_id = instance_id
        self._seals: tuple[Seal | None, ...] | None = None
        self._streams: Streams = ()
        self._known: dict[str, PotStream] = {}

    def streams(self, state: Instance) -> Streams:
        """What decides each pot; None for one that is not sealed.

        Raises:
            SealBroken: a secret of the vault is not the one that was committed to.
        """
        seals = state.rare.seals
        if seals is not self._seals:
            self._known = {
                seal.commitment: self._known.get(seal.commitment)
                or PotStream(self._secret(state, pot, seal))
                for pot, seal in enumerate(seals)
                if seal is not None
            }
            self._streams = tuple(
                None if seal is None else self._known[seal.commitment] for seal in seals
            )
            self._seals = seals
        return self._streams

    def _secret(self, state: Instance, pot: int, seal: Seal) -> bytes:
        pot_id = state.rules.pots[pot].id
        secret = self._vault.secret(self._instance_id, pot_id, seal.number, seal.nonce)
        published = fairness.commitment_to(secret, self._instance_id, pot_id, seal.number)
        if published != seal.commitment:
            raise SealBroken(f"{self._instance_id}: the secret of {pot_id} is not its seal's")
        return secret

    def stays_due(self, before: Instance, pot: int, events: Sequence[InstanceEvent]) -> bool:
        """Whether a pot had reached its hidden value, and was not paid, before other money than contributions came."""
        state = before
        for event in events:
            if sealing.moves(event, pot):
                stream, seal = self.streams(before)[pot], before.rare.seals[pot]
                was_won = any(isinstance(other, PotWon) and other.pot == pot for other in events)
                if was_won or stream is None or seal is None:
                    return False
                value = state.pots[pot].value
                return tipping.is_reached(state.rules.pots[pot], value, stream, seal)
            state = evolve(state, event)
        return False

    def sealed(self, state: Instance, pot: int, at_ms: int) -> Sealed:
        """Reveals a pot's secret, and makes the next one if the pot goes on."""
        before = state.rare.seals[pot]
        revealed = "" if before is None else self._secret(state, pot, before).hex()
        seal = None
        if sealing.goes_on(state, pot):
            number = 1 if before is None else before.number + 1
            pot_id = state.rules.pots[pot].id
            nonce, secret = self._vault.fresh(self._instance_id, pot_id, number)
            commitment = fairness.commitment_to(secret, self._instance_id, pot_id, number)
            seal = Seal(
                number, nonce, commitment, at_ms, state.contributions, state.pots[pot].value
            )
        return Sealed(at_ms, pot, seal, revealed)

    def missing(self, state: Instance, at_ms: int) -> list[InstanceEvent]:
        """The first seals of an instance that has just been born, or was before there were seals."""
        return [
            self.sealed(state, pot, at_ms)
            for pot, seal in enumerate(state.rare.seals)
            if seal is None and sealing.goes_on(state, pot)
        ]


def following(
    cell: Cell, seals: Seals, state: Instance, events: Sequence[InstanceEvent]
) -> list[InstanceEvent]:
    """The events that follow from these, of which `state` is the outcome."""
    found: list[InstanceEvent] = []
    changes = _changes_due(cell, state, events) if state.rare.pending else []
    for changed in changes:
        found.append(changed)
        state = evolve(state, changed)
    at_ms = state.updated_ms
    for event in raffle.next_round(state, at_ms):
        found.append(event)
        state = evolve(state, event)
    for pot in sealing.unsealed(state, [*events, *found]):
        if sealing.goes_on(state, pot) and seals.stays_due(cell.state, pot, events):
            continue  # its tip was not paid and stays due: what is drawn anew must not take it away
        found.append(seals.sealed(state, pot, at_ms))
        state = evolve(state, found[-1])
    return found


def _changes_due(
    cell: Cell, state: Instance, events: Sequence[InstanceEvent]
) -> list[RulesChanged]:
    """Parameters that waited for a win of these pots, or of any; one that fits no more is dropped (R-CHG-1)."""
    won = {event.pot for event in events if isinstance(event, PotWon)}
    if any(isinstance(event, RoundResolved) for event in events):
        won.add(0)
    if not won:
        return []
    born = records.decode(cell.created)
    if not isinstance(born, records.Created):
        raise TypeError("an instance does not carry its birth record")
    document = state.rare.document or bytes(born.template)
    due = [change for change in state.rare.pending if change.pot is None or change.pot in won]
    fitting = _taken(state, document, due, list(born.brands))
    if len(fitting) < len(due):
        fitting = _taken(
            state, document, [change for change in due if change.id in fitting], list(born.brands)
        )
    return [
        RulesChanged(state.updated_ms, change.id, *fitting.get(change.id, (b"", None)))
        for change in due
    ]


def _taken(
    state: Instance, document: bytes, due: Sequence[PendingChange], brands: list[str]
) -> dict[str, tuple[bytes, Rules | None]]:
    """What these changes make of the template together; without those that would all but give a pot away.

    And without a raffle's that its schedule, set since, has no end for.
    """
    taken = parameter_changes.take_effect(document, [each.changes for each in due], brands)
    return {
        change.id: (b"" if rules is None else changed, rules)
        for change, (changed, rules) in zip(due, taken, strict=True)
        if rules is None
        or not (_is_too_full(state, change, rules) or _lacks_an_end(state, change, rules))
    }


def _lacks_an_end(state: Instance, change: PendingChange, rules: Rules) -> bool:
    """Whether a raffle's rounds would last as long as a schedule that has no end, by this very change."""
    if raffle.schedule_problem(rules, passing.own_schedule(state)) is None:
        return False
    return any(True for _ in parameter_changes.raffles_in([change.changes]))


def _is_too_full(state: Instance, change: PendingChange, rules: Rules) -> bool:
    """Whether a pot, seeded by the rules so far, holds more than the least of new hidden values (R-CHG-1)."""
    if change.pot is None or not rules.pots[change.pot].hidden_values:
        return False
    end = lift_max(rules.pots[change.pot])
    return end is not None and state.pots[change.pot].value > end
