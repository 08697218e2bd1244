"""One instance twice, the core's and the oracle's: whatever one is asked, the other is too, and all must be equal.

The oracle knows neither opt-ins nor eligibility, so this stands here.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction

from msgspec.structs import replace

from jackpotd.core import rejections
from jackpotd.core.commands import (
    AskChange,
    Bet,
    OperatorCommand,
    OptIn,
    SendTransfers,
    SetSchedule,
    TakeTransfer,
    Trigger,
)
from jackpotd.core.events import ChangeAsked, InstanceEvent, PotWon, RoundResolved, RulesChanged
from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Rejection
from jackpotd.core.rules import Variable
from jackpotd.core.state import Player, Status, Transfer
from jackpotd.testing import reference_model as oracle_of
from jackpotd.testing.core_driver import RATES, CoreInstance, Done
from jackpotd.testing.oracle_comparison import agree, compare_tickets, disagree, of_kind
from jackpotd.testing.oracle_witness import Witness, shipment
from jackpotd.testing.templates import Json, compiled, compiled_schedule, encoded

Patch = Callable[[Json], Json]
"""A whole template with some parameters changed."""

MULTIPLIERS = {code: Fraction(units, SCALE) for code, units in RATES.items()}


class Pair:
    """An instance of a template in both; a raffle needs a schedule, too.

    `seen` counts what has happened, so that a test can say that it met everything.
    """

    def __init__(
        self,
        template: Json,
        schedule: Json | None = None,
        *,
        status: Status = Status.ACTIVE,
        at_ms: int = 0,
        instance_id: str = "instance",
        secret_of: Callable[[int, int], bytes] | None = None,
    ) -> None:
        self.template = template
        self.at_ms = at_ms
        self.pending: list[tuple[str, int | None, Patch]] = []
        self.core = CoreInstance(
            compiled(template),
            status=status,
            schedule=compiled_schedule(schedule),
            at_ms=at_ms,
            instance_id=instance_id,
            secret_of=secret_of,
            follow=self._changes,
        )
        self._witness = Witness(
            template,
            str(status),
            instance_id,
            lambda pot, seal: self.core.secrets[pot, seal.number],
            schedule,
        )
        self._witness.begun(at_ms, self.core.log)
        self.check()

    @property
    def oracle(self) -> oracle_of.ReferenceInstance:
        return self._witness.oracle

    @property
    def seen(self) -> Counter[str]:
        return self._witness.seen

    @property
    def pot_ids(self) -> list[str]:
        return self._witness.pot_ids

    # What can be asked

    def contribute(self, bet: Bet, at_ms: int, round_id: str) -> Done | Rejection:
        """One contribution, after all that is due by then."""
        self.pass_time(at_ms)
        known = self.core.player((bet.brand, bet.player_id))
        preference = preference_of(known, bet.currency) if self._is_variable else None
        rules = self.core.rules
        found = self.core.contribute(bet, at_ms, round_id=round_id)
        is_out = self.core.rules.opt_in_required and not known.opted_in
        if self.oracle.is_closed(bet.brand, at_ms):
            is_out = False  # the schedule is asked first
        if is_out and self.core.state.status is Status.ACTIVE:
            wrong = rejections.NEGATIVE_WAGER, rejections.PLAYER_NOT_OPTED_IN
            agree(wrong[bet.wager >= 0], found, "refusal of who is not opted in")
            return found
        play = oracle_of.Play(
            base_wager=Fraction(bet.wager, SCALE),
            currency=bet.currency,
            multipliers=MULTIPLIERS,
            who=(bet.brand, bet.player_id),
            at_ms=at_ms,
            round_id=round_id,
            segments=frozenset(bet.segments or ()),
            preference=preference,
        )
        if isinstance(found, Rejection):
            self._compare_refusals(self.oracle.contribute(play, attempts=()), bet, found)
            self.check()
        else:
            self._witness.contributed(play, found, rules, self.core.state, self.template)
            self._check_tickets()
        return found

    def opt_in(self, command: OptIn) -> Done | Rejection:
        """An opt-in moves no money."""
        self.pass_time(command.at_ms)
        before = self.core.state
        found = self.core.opt_in(command)
        agree(before, self.core.state, "state after an opt-in")
        return found

    def pass_time(self, at_ms: int) -> None:
        """All that is due by now: the schedule's beginning and end, windows and rounds that are over."""
        if at_ms < self.at_ms:
            raise ValueError("time does not go back")
        self.at_ms = at_ms
        names = dict.fromkeys(self.pot_ids, f"window {at_ms}")
        for done in self.core.pass_time(at_ms):
            state = self.core.state
            if done.of(RoundResolved):
                self._witness.round_resolved(at_ms, done, state, self.template)
                self._check_tickets()
            else:
                self._witness.time_passed(at_ms, names, done, state, self.template)
        self._witness.time_passed(at_ms, names, Done(), self.core.state, self.template)
        agree(True, self._witness.is_settled(at_ms), "a round that is over is resolved")

    def trigger(self, command: Trigger) -> Done | Rejection:
        """An external trigger (`commands.Trigger` without streams and crowd)."""
        self.pass_time(command.at_ms)
        streams, before = tuple(self.core.streams), self.core.snapshot()
        found = self.core.operate(replace(command, streams=streams, crowd=self.core.crowd))
        refused = self._witness.triggered(
            command.pot_id,
            command.winner,
            command.at_ms,
            command.round_id,
            Done(snapshots=[before]) if isinstance(found, Rejection) else found,
            self.core.state,
            self.template,
        )
        self._both(refused, found, "trigger")
        return found

    def operate(
        self, command: OperatorCommand, ask: Callable[[], object], what: str
    ) -> Done | Rejection:
        """Another operator's command, and what the oracle is asked for it; both do it, or neither."""
        self.pass_time(command.at_ms)
        found = self.core.operate(command)
        self._both(ask(), found, what)
        if not isinstance(found, Rejection):
            self._witness.operated(command.at_ms, found)
        self.check()
        return found

    def set_schedule(self, brand: str, schedule: Json | None, at_ms: int) -> Done | Rejection:
        """A brand's schedule, or ("") the instance's own."""
        command = SetSchedule(at_ms, brand, compiled_schedule(schedule), "someone", "why")
        return self.operate(
            command, lambda: self.oracle.set_schedule(brand, schedule, at_ms), "schedule"
        )

    def send(self, command: SendTransfers) -> tuple[Transfer, ...] | Rejection:
        """All money leaves, by weights that add up for each pot; what is on its way, or why not."""
        self.pass_time(command.at_ms)
        found = self.core.operate(command)
        if isinstance(found, Rejection):
            self.seen["sending refused"] += 1
            self.check()
            return found
        self._witness.sent(
            [
                (self.pot_ids[transfer.pot], Fraction(weight), transfer.id)
                for transfer, weight in zip(command.transfers, command.weights, strict=True)
            ],
            found,
        )
        self.check()
        return self.core.state.rare.transfers

    def take(self, from_instance: str, transfer: Transfer, at_ms: int) -> None:
        """Money of another instance arrives; a second time it changes nothing."""
        self.pass_time(at_ms)
        command = TakeTransfer(at_ms, from_instance, transfer)
        found = self.core.operate(command)
        self.oracle.take(transfer.to_pot, shipment(transfer, transfer.to_pot))
        if isinstance(found, Rejection):
            disagree("money that is taken", found, "transfer")
        self._witness.take_seals(found.events)
        self.check()
        again = self.core.operate(command)
        agree([], again.events if isinstance(again, Done) else again, "transfer taken twice")
        self.seen["taken"] += 1

    def ask_change(self, command: AskChange, patch: Patch) -> None:
        """A change of parameters in one part, which the patch makes of the template when its win has come."""
        self.pass_time(command.at_ms)
        found = self.core.operate(command)
        if isinstance(found, Rejection):
            self.seen["changes refused"] += 1
            return
        (asked,) = found.of(ChangeAsked)
        self.pending.append((asked.id, asked.pot, patch))
        self.oracle.ask_change(asked.id, None if asked.pot is None else self.pot_ids[asked.pot])

    # Comparing

    def check(self) -> None:
        """Every account, every pot, boards, windows and rounds, and who has tickets."""
        self._witness.check(self.core.state)
        self._check_tickets()

    def _check_tickets(self) -> None:
        compare_tickets(self.oracle, self.core.players)

    def _compare_refusals(self, expected: object, bet: Bet, found: Rejection) -> None:
        self.seen[found.message] += 1
        closed = self.oracle.is_closed(bet.brand, self.at_ms)
        if bet.wager < 0 and (closed or self.core.state.status is not Status.ACTIVE):
            return  # both are true, and the contract does not say which is named
        refused = of_kind(expected, oracle_of.Rejection)
        agree((refused.code, refused.message), (found.code, found.message), "refusal")

    def _both(self, expected: object, found: Done | Rejection, what: str) -> bool:
        """Whether both have done it; they must not differ."""
        refused = isinstance(expected, oracle_of.Rejection)
        agree(refused, isinstance(found, Rejection), f"refusal of {what}: {found}")
        self.seen[f"{what} refused" if refused else what] += 1
        return not refused

    # What stands around

    @property
    def _is_variable(self) -> bool:
        return isinstance(self.core.rules.contribution, Variable)

    def _changes(self, events: Sequence[InstanceEvent]) -> list[InstanceEvent]:
        """Pending parameters whose win is among the events take effect together."""
        paid = {event.pot for event in events if isinstance(event, PotWon)}
        if any(isinstance(event, RoundResolved) for event in events):
            paid.add(0)
        due = [each for each in self.pending if paid and (each[1] is None or each[1] in paid)]
        self.pending = [each for each in self.pending if each not in due]
        together = self._patched(due)
        fitting = [
            each
            for each in due
            if not self._is_too_full(each[1], together) and not self._lacks_end(each[2])
        ]
        self.template = self._patched(fitting)
        taken = encoded(self.template), compiled(self.template)
        self.seen["changes dropped"] += len(due) - len(fitting)
        return [
            RulesChanged(self.at_ms, each[0], *(taken if each in fitting else (b"", None)))
            for each in due
        ]

    def _patched(self, changes: Sequence[tuple[str, int | None, Patch]]) -> Json:
        template = self.template
        for _, _, patch in changes:
            template = patch(template)
        return template

    def _lacks_end(self, patch: Patch) -> bool:
        """Whether rounds would last as long as a schedule that has no end."""
        own, raffle = self.oracle.jackpot.calendars.get(""), patch(self.template).get("raffle")
        return raffle is not None and raffle["duration"] is None and (not own or not own.ends_ms)

    def _is_too_full(self, pot: int | None, template: Json) -> bool:
        """Whether a pot that has just been won holds more than its new hidden values, or a ceiling with them, allow."""
        if pot is None:
            return False
        rules, held = template["pots"][pot], self.core.state.pots[pot].value
        ends = [tagged["Value"]["min"] for tagged in rules["pot_types"] if "Value" in tagged]
        ceilings = [rules["max_pot_value"]] if rules.get("max_pot_value") is not None else []
        return bool(ends) and held > min(Fraction(end) * SCALE for end in ends + ceilings)


def preference_of(player: Player, currency: str) -> oracle_of.Preference | None:
    """The player's choice in this currency, else their latest one; none once they are out."""
    if not (player.opted_in and player.preferences):
        return None
    chosen = dict(player.preferences).get(currency)
    latest, units = (currency, chosen) if chosen is not None else player.preferences[-1]
    return oracle_of.Preference(Fraction(units, SCALE), latest)
