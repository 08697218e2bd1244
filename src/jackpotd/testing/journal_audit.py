"""The oracle reads a journal: every instance in it is worked out again, entry by entry, and must come out the same.

It takes what came from outside from whoever asked (bets) and from the journal (times, commands), the secrets from the
vault, and compares everything that the engine made of them: so the crowd, the windows' ends, the changes that took
effect and the seals are the engine's own. What was refused left no trace, but for a webhook, and is not audited; what
was accepted for a webhook stands there once.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec

from jackpotd.core import evolve as transitions
from jackpotd.core.commands import Bet
from jackpotd.core.events import (
    Adjusted,
    Boosted,
    ChangeAsked,
    Contributed,
    HeldWinDecided,
    InstanceEvent,
    OptInChanged,
    PotWon,
    RoundResolved,
    RulesChanged,
    ScheduleChanged,
    Sealed,
    StatusChanged,
    TransfersSent,
    TransferTaken,
    Triggered,
)
from jackpotd.core.money import SCALE
from jackpotd.core.passing import BY
from jackpotd.core.rules import Variable
from jackpotd.core.schedule import Schedule
from jackpotd.core.state import UNKNOWN_PLAYER, Contributor, Player, Seal
from jackpotd.engine.cells import born
from jackpotd.engine.ports import Vault
from jackpotd.testing import reference_model as oracle_of
from jackpotd.testing.core_driver import Done
from jackpotd.testing.oracle_comparison import agree, compare_tickets
from jackpotd.testing.oracle_pair import preference_of
from jackpotd.testing.oracle_witness import Witness
from jackpotd.testing.templates import Json
from jackpotd.wire import codec, parts, records
from jackpotd.wire.schedule import schedule_answer

_DECODER = msgspec.json.Decoder(float_hook=Decimal)


class Audit:
    """All instances of one journal.

    Args:
        vault: knows the secrets.
        rates_of: a brand's multipliers in units; they are the same for the whole journal.
        bet_of: what was asked by a trace id.
    """

    def __init__(
        self,
        vault: Vault,
        rates_of: Callable[[str], Mapping[str, int]],
        bet_of: Callable[[str], Bet],
    ) -> None:
        self.instances: dict[str, AuditedInstance] = {}
        self._vault = vault
        self._rates_of = rates_of
        self._bet_of = bet_of
        self._bets: dict[int, Bet] = {}
        self._for_webhooks: set[str] = set()

    @property
    def seen(self) -> Counter[str]:
        return sum((each.witness.seen for each in self.instances.values()), Counter[str]())

    def read(self, seq: int, data: bytes) -> None:
        """The next record.

        Raises:
            OracleDisagreementError: it cannot follow from what was before.
        """
        record = records.decode(data)
        if isinstance(record, records.Created):
            self.instances[record.instance_id] = AuditedInstance(
                record, self._vault, self._rates_of
            )
        elif isinstance(record, records.Declined):
            self._accepted(record.request)
        elif isinstance(record, records.Entry):
            if record.request is not None:
                self._bets[seq] = self._bet_of(record.request.trace_id)
                self._accepted(record.request)
            cause = seq if record.cause is None else record.cause
            events = records.to_events(record.events)
            self.instances[record.instance_id].take(events, self._bets.get(cause))

    def _accepted(self, request: records.Request) -> None:
        """A request whose webhook is told what came of it."""
        if request.callback is not None:
            if request.trace_id in self._for_webhooks:
                raise oracle_of.OracleDisagreementError(f"{request.trace_id} was accepted twice")
            self._for_webhooks.add(request.trace_id)


class AuditedInstance:
    """One instance as the journal tells it, and the oracle beside it."""

    def __init__(
        self,
        created: records.Created,
        vault: Vault,
        rates_of: Callable[[str], Mapping[str, int]],
    ) -> None:
        self.state = born(created)
        self._rates_of = rates_of
        self._template: Json = _DECODER.decode(created.template)
        self._players: dict[tuple[str, str], Player] = {}
        self.witness = Witness(
            self._template,
            str(created.status),
            created.instance_id,
            lambda pot, seal: self._secret(vault, pot, seal),
            _document(None if created.schedule is None else parts.core_of(created.schedule)),
        )
        self._takers: dict[type[InstanceEvent], Callable[[Any, Done], None]] = {
            Triggered: self._triggered,
            HeldWinDecided: self._held_win_decided,
            Boosted: self._boosted,
            Adjusted: self._adjusted,
            ChangeAsked: self._change_asked,
            StatusChanged: self._status_changed,
            TransfersSent: self._sent,
            TransferTaken: self._taken,
            ScheduleChanged: self._schedule_changed,
            Sealed: self._begun,
            RoundResolved: self._round_resolved,
        }

    def take(self, events: Sequence[InstanceEvent], bet: Bet | None) -> None:
        """What happened at once, and the bet behind it, if there was one."""
        before, done = self.state, Done()
        first = events[0]
        preference = self._preference(first) if isinstance(first, Contributed) else None
        for event in events:
            old, self.state = self.state, transitions.evolve(self.state, event)
            done.meet(event, old, self.state)
            if isinstance(event, Contributed | OptInChanged):
                who = (event.brand, event.player_id)
                known = self._players.get(who, UNKNOWN_PLAYER)
                self._players[who] = transitions.evolve_player(known, event)
            if isinstance(event, RulesChanged) and event.document:
                self._template = _DECODER.decode(event.document)
        if isinstance(first, Contributed):
            if bet is None:
                raise ValueError("a contribution without a bet")
            play = self._play(first, bet, preference)
            self.witness.contributed(play, done, before.rules, self.state, self._template)
        elif type(first) in self._takers:
            self._takers[type(first)](first, done)
        elif not isinstance(first, OptInChanged):
            self._time_passed(done)
        self.witness.check(self.state)
        compare_tickets(self.witness.oracle, self._players)

    def _play(
        self,
        contributed: Contributed,
        bet: Bet,
        preference: oracle_of.Preference | None,
    ) -> oracle_of.Play:
        rates = self._rates_of(contributed.brand)
        return oracle_of.Play(
            base_wager=Fraction(bet.wager, SCALE),
            currency=contributed.currency,
            multipliers={code: Fraction(units, SCALE) for code, units in rates.items()},
            who=(contributed.brand, contributed.player_id),
            at_ms=contributed.at_ms,
            round_id=contributed.round_id,
            segments=frozenset(bet.segments or ()),
            preference=preference,
        )

    def _preference(self, contributed: Contributed) -> oracle_of.Preference | None:
        if not isinstance(self.state.rules.contribution, Variable):
            return None
        known = self._players.get((contributed.brand, contributed.player_id), UNKNOWN_PLAYER)
        return preference_of(known, contributed.currency)

    def _begun(self, event: Sealed, done: Done) -> None:
        """Its first secrets were made, and the first round of a raffle was set."""
        self.witness.begun(event.at_ms, done.events)

    def _time_passed(self, done: Done) -> None:
        at_ms = done.events[0].at_ms
        names = dict.fromkeys(self.witness.pot_ids, "")
        names |= {self.witness.pot_ids[won.pot]: won.round_id for won in done.of(PotWon)}
        self.witness.time_passed(at_ms, names, done, self.state, self._template)

    def _round_resolved(self, event: RoundResolved, done: Done) -> None:
        self.witness.round_resolved(event.at_ms, done, self.state, self._template)

    def _schedule_changed(self, event: ScheduleChanged, done: Done) -> None:
        new = _document(event.schedule)
        self._unrefused(self.witness.oracle.set_schedule(event.brand, new, event.at_ms), done)

    def _triggered(self, event: Triggered, done: Done) -> None:
        (won,) = done.of(PotWon)
        winner = Contributor(
            won.brand, won.player_id, won.currency, won.player_rate, won.jackpot_rate
        )
        pot_id = self.witness.pot_ids[event.pot]
        refused = self.witness.triggered(
            pot_id, winner, event.at_ms, won.round_id, done, self.state, self._template
        )
        agree(None, refused, "trigger")

    def _held_win_decided(self, event: HeldWinDecided, done: Done) -> None:
        pot_id = self.witness.pot_ids[event.pot]
        self._unrefused(
            self.witness.oracle.decide_held(event.round_id, pot_id, release=event.is_released), done
        )

    def _boosted(self, event: Boosted, done: Done) -> None:
        pot_id = self.witness.pot_ids[event.pot]
        self._unrefused(
            self.witness.oracle.boost(pot_id, Fraction(event.amount_units, SCALE)), done
        )

    def _adjusted(self, event: Adjusted, done: Done) -> None:
        pot_id, amount = self.witness.pot_ids[event.pot], Fraction(event.amount_units, SCALE)
        self._unrefused(self.witness.oracle.adjust(pot_id, amount, event.before), done)

    def _change_asked(self, _event: ChangeAsked, done: Done) -> None:
        for asked in done.of(ChangeAsked):
            pot_id = None if asked.pot is None else self.witness.pot_ids[asked.pot]
            self.witness.oracle.ask_change(asked.id, pot_id)

    def _status_changed(self, event: StatusChanged, done: Done) -> None:
        for sent in done.of(TransfersSent):  # it was terminated because its money leaves
            self._sent(sent, done)
            return
        if event.by == BY:
            self._time_passed(done)
            return
        self.witness.oracle.change_status(str(event.status))
        self.witness.operated(event.at_ms, done)

    def _sent(self, event: TransfersSent, done: Done) -> None:
        """By weight: what each transfer carries of its pot, since the journal does not say what was asked for."""
        ids = self.witness.pot_ids
        weights = [
            (ids[each.pot], Fraction(each.value + each.reserve + each.boost), each.id)
            for each in event.transfers
        ]
        self.witness.sent(weights, done)

    def _taken(self, event: TransferTaken, done: Done) -> None:
        pot_id = self.witness.pot_ids[event.pot]
        amounts = (Fraction(each, SCALE) for each in (event.value, event.reserve, event.boost))
        self.witness.oracle.take(pot_id, oracle_of.Shipment(pot_id, *amounts))
        self.witness.operated(event.at_ms, done)

    def _unrefused(self, refused: oracle_of.Rejection | None, done: Done) -> None:
        agree(None, refused, type(done.events[0]).__name__)
        self.witness.operated(done.events[0].at_ms, done)

    def _secret(self, vault: Vault, pot: int, seal: Seal) -> bytes:
        pot_id = self.witness.pot_ids[pot]
        instance_id = self.state.definition.instance_id
        return vault.secret(instance_id, pot_id, seal.number, seal.nonce)


def _document(schedule: Schedule | None) -> Json | None:
    """A schedule as its operator wrote it."""
    if schedule is None:
        return None
    document: Json = msgspec.json.decode(codec.encode(schedule_answer(schedule)))
    return document
