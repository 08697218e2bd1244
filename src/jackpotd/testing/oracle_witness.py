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
    RulesChanged,
    Sealed,
    TransfersSent,
)
from jackpotd.core.money import SCALE
from jackpotd.core.rules import Rules
from jackpotd.core.state import Contributor, Instance, Seal, Transfer
from jackpotd.testing import reference_model as oracle_of
from jackpotd.testing.core_driver import Done
from jackpotd.testing.oracle_comparison import (
    agree,
    compare_contribution,
    compare_settled,
    compare_state,
    of_kind,
)
from jackpotd.testing.templates import Json


class Witness:
    """The oracle beside one instance; `seen` counts what has happened.

    Args:
        template: what the instance was born with.
        status: the instance's first one.
        secret_of: the secret behind a pot's seal, which must be the one that was committed to.
    """

    def __init__(
        self,
        template: Json,
        status: str,
        instance_id: str,
        secret_of: Callable[[int, Seal], bytes],
    ) -> None:
        self.oracle = oracle_of.ReferenceInstance(template, status)
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
            oracle_of.Settled(expected.wins, expected.held, expected.changes), done, state, after
        )

    def windows_ended(
        self, at_ms: int, round_ids: Mapping[str, str], done: Done, state: Instance, after: Json
    ) -> None:
        """Time has passed; nothing may have come of it."""
        expected = self.oracle.end_windows(at_ms, round_ids, self._meters(done, state))
        self.seen["windows ended"] += bool(done.events)
        self._settled(expected, done, state, after)

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
        self._settled(expected, done, state, after)
        return None

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
        self, expected: oracle_of.Settled, done: Done, state: Instance, after: Json
    ) -> None:
        """What happened, the changes that take effect by it, and the seals that follow."""
        compare_settled(expected, done, state.rules)
        changed = [event.id for event in done.of(RulesChanged)]
        agree(list(expected.changes), changed, "changes that take effect")
        if changed:
            self.oracle.change_rules(after)
        self.take_seals(done.events)
        self._count(expected, done)
        self.check(state)

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
