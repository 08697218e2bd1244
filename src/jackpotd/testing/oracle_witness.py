"""The oracle of one instance, told what the real one has done: it works all of it out again and compares.

Who won what, by which tip and in which order, whom the community payout found, every draw with its threshold, boards
and windows, and each account of the ledger. It raises OracleDisagreementError at the first difference.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from jackpotd.core.events import (
    CommunityPaid,
    Contributed,
    InstanceEvent,
    PotClosed,
    PotWon,
    RoundOpened,
    RoundResolved,
    RoundsMissed,
    RulesChanged,
    Sealed,
    StatusChanged,
    TransfersSent,
    WindowEnded,
)
from jackpotd.core.money import SCALE
from jackpotd.core.passing import BY
from jackpotd.core.rules import Rules
from jackpotd.core.state import Contributor, Instance, Seal, Transfer
from jackpotd.testing import reference_model as oracle_of
from jackpotd.testing.core_driver import Done
from jackpotd.testing.oracle_comparison import (
    agree,
    compare_contribution,
    compare_resolved,
    compare_settled,
    compare_state,
    disagree,
    of_kind,
)
from jackpotd.testing.templates import Json


class Witness:
    """The oracle beside one instance; `seen` counts what has happened.

    Args:
        template: what the instance was born with.
        status: the instance's first one.
        secret_of: the secret behind a pot's seal, which must be the one that was committed to.
        schedule: the instance's own, as a document.
    """

    def __init__(
        self,
        template: Json,
        status: str,
        instance_id: str,
        secret_of: Callable[[int, Seal], bytes],
        schedule: Json | None = None,
    ) -> None:
        self.oracle = oracle_of.ReferenceInstance(template, status, schedule)
        self.seen: Counter[str] = Counter()
        self.pot_ids = [*self.oracle.pots]
        self._instance_id = instance_id
        self._secret_of = secret_of

    def contributed(
        self, play: oracle_of.Play, done: Done, rules: Rules, state: Instance, after: Json
    ) -> None:
        """A contribution by these rules, which led to this state; `after` is the template once all has taken effect."""
        contributed = of_kind(done.events[0], Contributed)
        attempts = [
            oracle_of.Attempt(self.pot_ids[pot], draw, threshold)
            for pot, draw, threshold in contributed.draws
        ]
        expected = of_kind(
            self.oracle.contribute(play, attempts=attempts, meters=self._meters(done, state)),
            oracle_of.Outcome,
        )
        compare_contribution(expected, contributed, rules)
        self.seen["several pots won"] += len(expected.wins) > 1
        self.seen["contributions"] += 1
        self.seen["lots"] += bool(expected.lots)
        self._settled(
            oracle_of.Settled(expected.wins, expected.held, expected.changes),
            done,
            state,
            after,
            play.at_ms,
        )

    def begun(self, at_ms: int, events: Sequence[InstanceEvent]) -> None:
        """The instance is born, and these are its first events: it is sealed before anything else happens."""
        self.take_seals(events)
        self._went_on(at_ms, events)

    def time_passed(
        self, at_ms: int, round_ids: Mapping[str, str], done: Done, state: Instance, after: Json
    ) -> None:
        """Time has passed; nothing may have come of it."""
        expected = self.oracle.pass_time(at_ms, round_ids, self._meters(done, state))
        self.seen["windows ended"] += any(isinstance(each, WindowEnded) for each in done.events)
        self._settled(expected, done, state, after, at_ms)

    def round_resolved(self, at_ms: int, done: Done, state: Instance, after: Json) -> None:
        """A round of a raffle is over."""
        (resolved,) = done.of(RoundResolved)
        if not self.oracle.is_round_over(at_ms):
            disagree(None, resolved, "round that is resolved")
        names = [prize.round_id for prize in resolved.prizes]
        expected = self.oracle.resolve(at_ms, names, self._meters(done, state))
        compare_resolved(expected, resolved)
        self._count_round(resolved)
        self._settled(oracle_of.Settled(changes=expected.changes), done, state, after, at_ms)

    def is_settled(self, at_ms: int) -> bool:
        """Whether nothing of the instance's rounds is due by now."""
        return not self.oracle.is_round_over(at_ms)

    def triggered(
        self,
        pot_id: str,
        winner: Contributor,
        at_ms: int,
        round_id: str,
        done: Done,
        state: Instance,
        after: Json,
    ) -> oracle_of.Rejection | None:
        """An external trigger that was asked for; a refusal where the oracle refuses it, too."""
        rates = {
            winner.currency: Fraction(winner.player_rate, SCALE),
            state.rules.currency: Fraction(winner.jackpot_rate, SCALE),
        }
        who = (winner.brand, winner.player_id)
        expected = self.oracle.trigger(
            pot_id,
            oracle_of.Contributor(who, winner.currency, oracle_of.Rates(rates)),
            at_ms=at_ms,
            round_id=round_id,
            meters=self._meters(done, state),
        )
        if isinstance(expected, oracle_of.Rejection):
            return expected
        self._settled(expected, done, state, after, at_ms)
        return None

    def operated(self, at_ms: int, done: Done) -> None:
        """A command of an operator, of which the oracle has been told: what follows from it."""
        self._went_on(at_ms, done.events)
        self.take_seals(done.events)

    def sent(self, weights: Sequence[tuple[str, Fraction, str]], done: Done) -> None:
        """All money has left by these weights: pot, weight and id of each transfer that was asked for."""
        (sent,) = done.of(TransfersSent)
        by_id = {each.id: shipment(each, self.pot_ids[each.pot]) for each in sent.transfers}
        self.oracle.send(
            [(pot_id, weight) for pot_id, weight, _ in weights],
            [by_id.get(transfer_id) for _, _, transfer_id in weights],
        )
        self.seen["sent"] += 1
        self.take_seals(done.events)

    def check(self, state: Instance) -> None:
        """Every account, every pot, boards and windows."""
        compare_state(self.oracle, state)

    def take_seals(self, events: Sequence[InstanceEvent]) -> None:
        """New secrets decide; each must be what was published of it."""
        for event in events:
            if isinstance(event, Sealed) and event.seal is not None:
                seal, pot_id = event.seal, self.pot_ids[event.pot]
                secret = self._secret_of(event.pot, seal)
                published = oracle_of.commitment(secret, self._instance_id, pot_id, seal.number)
                agree(published, seal.commitment, "commitment")
                self.oracle.seal(
                    pot_id, secret, first=seal.first, at_ms=seal.at_ms, floor_units=seal.floor
                )

    def _settled(
        self, expected: oracle_of.Settled, done: Done, state: Instance, after: Json, at_ms: int
    ) -> None:
        """What happened, the changes that take effect by it, the next round, and the seals that follow."""
        compare_settled(expected, done, state.rules)
        changed = [event.id for event in done.of(RulesChanged)]
        agree(list(expected.changes), changed, "changes that take effect")
        if changed:
            self.oracle.change_rules(after)
        self._went_on(at_ms, done.events, expected.statuses)
        self.take_seals(done.events)
        self._count(expected, done)
        self.check(state)

    def _went_on(
        self, at_ms: int, events: Sequence[InstanceEvent], statuses: Sequence[str] = ()
    ) -> None:
        """What the schedule has made of the status, and what a raffle goes on with."""
        ahead = self.oracle.go_on(at_ms)
        ended = ["Ended"] if ahead.is_over else []
        by_schedule = [each for each in events if isinstance(each, StatusChanged) and each.by == BY]
        agree([*statuses, *ended], [str(each.status) for each in by_schedule], "by the schedule")
        opened = [
            oracle_of.Bounds(each.number, each.starts_ms, each.ends_ms)
            for each in events
            if isinstance(each, RoundOpened)
        ]
        agree([] if ahead.opened is None else [ahead.opened], opened, "next round")
        missed = [(each.count, each.until_ms) for each in events if isinstance(each, RoundsMissed)]
        agree([(ahead.missed, ahead.until_ms)] if ahead.missed else [], missed, "missed rounds")
        for status in statuses:
            self.seen[f"{status} by schedule"] += 1
        self.seen["rounds opened"] += len(opened)
        self.seen["rounds missed"] += ahead.missed
        self.seen["raffles over"] += ahead.is_over

    def _count_round(self, resolved: RoundResolved) -> None:
        seen, prizes = self.seen, resolved.prizes
        seen["rounds resolved"] += 1
        seen["rounds without tickets"] += resolved.tickets == 0
        seen["rounds resolved late"] += resolved.at_ms > resolved.ends_ms
        seen["prizes"] += len(prizes)
        seen["prizes too small to pay"] += sum(prize.win == 0 for prize in prizes)
        seen["prizes withheld"] += sum(prize.is_withheld for prize in prizes)
        seen["second prizes"] += len({prize.entrant for prize in prizes}) < len(prizes)
        seen["shortfalls"] += resolved.shortfall > 0
        seen["filled up by the reserve"] += resolved.from_reserve > 0
        seen["filled up by a boost"] += resolved.from_boost > 0
        seen["filled up by the operator"] += resolved.deficit > 0

    def _count(self, expected: oracle_of.Settled, done: Done) -> None:
        seen = self.seen
        seen["tips held"] += len(expected.held)
        seen["changes"] += len(done.of(RulesChanged))
        seen["pots closed"] += len(done.of(PotClosed))
        for won in done.of(PotWon):
            seen["pots won"] += 1
            seen[f"won by {won.tip}"] += 1
            seen["withheld"] += won.is_withheld
            seen["deficits"] += won.deficit > 0
            seen["boosts used"] += won.from_boost > 0
        for paid in done.of(CommunityPaid):
            for payout in paid.payouts:
                seen[f"community {payout.kind}"] += 1

    def _meters(self, done: Done, state: Instance) -> list[oracle_of.Meters]:
        last = tuple((pot.value, pot.reserve) for pot in state.pots)
        return [dict(zip(self.pot_ids, each, strict=True)) for each in (*done.snapshots, last)]


def shipment(transfer: Transfer, pot_id: str) -> oracle_of.Shipment:
    """What a transfer carries, as the oracle wants it."""
    units = transfer.value, transfer.reserve, transfer.boost
    return oracle_of.Shipment(pot_id, *(Fraction(each, SCALE) for each in units))
