"""The core against the oracle: the same template, the same contributions, every account after every step.

The oracle (`jackpotd.testing.reference_model`) knows money and nothing else, so this module keeps what stands around:
who has opted in, which preference counts, and one point that the contract settles (§3, "0 is always allowed: nothing is
debited"): a base wager of 0 is a contribution of 0 unless the operator pays everything, also where the type is Fixed or
Variable. The oracle contributes the full value there, so it is not asked.
"""

import random
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jackpotd.core import decide, hit_rate, ledger, rejections
from jackpotd.core import evolve as transitions
from jackpotd.core.commands import Bet, Contribute, OptIn
from jackpotd.core.events import Contributed, InstanceEvent, PotWon
from jackpotd.core.money import SCALE, decimal_text
from jackpotd.core.rejections import Rejection
from jackpotd.core.rules import WHOLE, Percentage, Variable
from jackpotd.core.state import UNKNOWN_PLAYER, Definition, Instance, Player, Status
from jackpotd.testing import reference_model as oracle_of
from jackpotd.testing.templates import MULTIPLIERS, Json, compiled, random_template, rates

PLAYERS = ("anna", "bert", "caro")
RATES = rates()
UNLISTED = "CHF"


class Pair:
    """One instance twice: the core's, and the oracle's."""

    def __init__(self, template: Json, rng: random.Random) -> None:
        self.rng = rng
        self.rules = compiled(template)
        definition = Definition("id", "", "op", "t", "op", 0, self.rules)
        self.state: Instance = transitions.create(definition, Status.ACTIVE)
        self.players: dict[str, Player] = {}
        self.seen: Counter[str] = Counter()
        # Both parts of a pot may end in one account, so two remainders are carried for it. A closed pot hands on every
        # carried numerator, so each closing may move 2n + 1 units more.
        closings = sum(pot.cycles_max is not None for pot in self.rules.pots)
        carry = 2 + (2 * len(self.rules.pots) + 2) * closings
        self.oracle = oracle_of.ReferenceInstance(template, carry=carry)

    def play(self) -> None:
        """One random step: mostly a contribution, sometimes an opt-in or opt-out."""
        player = self.rng.choice(PLAYERS)
        if self.rng.random() < 0.1:
            self.opt_in(player)
        else:
            self.contribute(player)

    def opt_in(self, player: str) -> None:
        preferred = self.rng.choice((None, self.rng.randint(1, 700) * SCALE // 100))
        command = OptIn(
            at_ms=self.state.updated_ms,
            brand="op:a",
            player_id=player,
            country=None,
            opt_in=self.rng.random() < 0.8,
            preferred=preferred,
            preferred_currency=self.rng.choice((None, "EUR", "USD", "JPY", "KWD")),
            rates=RATES,
        )
        outcome = decide.opt_in(self.state, command)
        if isinstance(outcome, Rejection):
            assert outcome.code == "OPTIN_ERROR"
            self.seen[outcome.message] += 1
            return
        before = self.state
        self.fold(player, outcome)
        assert before == self.state

    def contribute(self, player: str) -> None:
        command = self.command(player)
        known = self.players.get(player, UNKNOWN_PLAYER)
        outcome = decide.contribute(self.state, known, command)
        if self.rules.opt_in_required and not known.opted_in and self.state.status == "Active":
            expected = (
                rejections.NEGATIVE_WAGER
                if command.bet.wager < 0
                else rejections.PLAYER_NOT_OPTED_IN
            )
            assert expected == outcome
            return
        is_free = self.rules.operator_share == WHOLE
        if (
            command.bet.wager == 0
            and not is_free
            and not isinstance(self.rules.contribution, Percentage)
        ):
            self.contribute_nothing(player, command, outcome)
            return
        if isinstance(outcome, Rejection):
            self.compare_rejection(known, command, outcome)
        else:
            self.compare_contribution(player, known, command, outcome)
        assert [] == self.oracle.differences(self.books())

    def command(self, player: str) -> Contribute:
        rng = self.rng
        currency = rng.choice((*MULTIPLIERS, self.rules.currency, self.rules.currency))
        wager = rng.choice((rng.randint(1, 10**8), rng.randint(1, 5 * 10**10), 10**8, 10**8))
        if rng.random() < 0.06:
            wager, currency = rng.choice(((0, currency), (-wager, currency), (wager, UNLISTED)))
        return Contribute(
            at_ms=self.state.updated_ms + 1,
            round_id="round",
            draws=tuple(self.draw() for _ in range(self.rules.draws_needed)),
            bet=Bet("op:a", player, None, None, None, currency, wager, None, "gameround", None),
            rates=RATES,
        )

    def draw(self) -> int:
        """Mostly anything; often enough so small that it tips whatever can tip."""
        rng = self.rng
        return rng.getrandbits(rng.choice((64, 64, 64, 60, 40, 1)))

    def contribute_nothing(
        self, player: str, command: Contribute, outcome: list[InstanceEvent] | Rejection
    ) -> None:
        """A base wager of 0 debits nothing, attempts nothing and moves no money."""
        if isinstance(outcome, Rejection):
            assert self.state.status is Status.ENDED or command.bet.currency == UNLISTED
            return
        (contributed,) = outcome
        assert isinstance(contributed, Contributed)
        assert (0, 0, ()) == (contributed.amount, contributed.worth, contributed.draws)
        before = self.books()
        self.fold(player, outcome)
        assert before == self.books()
        self.seen["zero wager"] += 1

    def compare_rejection(self, known: Player, command: Contribute, outcome: Rejection) -> None:
        refused = self.ask_oracle(known, command, draws=(), observed=())
        self.seen[outcome.message] += 1
        if command.bet.wager < 0 and self.state.status is Status.ENDED:
            return  # both are true, and the contract does not say which is named
        assert isinstance(refused, oracle_of.Rejection)
        assert (refused.code, refused.message) == (outcome.code, outcome.message)

    def compare_contribution(
        self, player: str, known: Player, command: Contribute, events: list[InstanceEvent]
    ) -> None:
        contributed, wins = events[0], [item for item in events if isinstance(item, PotWon)]
        assert isinstance(contributed, Contributed)
        draws = self.attempts(command, contributed)
        observed = [
            oracle_of.PaidWin(self.rules.pots[won.pot].id, Decimal(decimal_text(won.win)))
            for won in wins
        ]
        expected = self.ask_oracle(known, command, draws=draws, observed=observed)
        assert isinstance(expected, oracle_of.Outcome), expected
        assert expected.amount * SCALE == contributed.amount
        assert expected.worth * SCALE == contributed.worth
        players_part = expected.worth * SCALE * (WHOLE - self.rules.operator_share) / WHOLE
        assert abs(contributed.worth - contributed.operator_part - players_part) <= Fraction(1, 2)
        assert tuple(pot.cycle for pot in self.state.pots) == contributed.cycles
        self.fold(player, events)
        self.compare_wins(expected, wins)

    def attempts(self, command: Contribute, contributed: Contributed) -> list[oracle_of.Draw]:
        """The draws as the oracle wants them, once the event holds each of them with its threshold."""
        numbers, recorded, draws = iter(command.draws), [], []
        for index, (rules, pot) in enumerate(zip(self.rules.pots, self.state.pots, strict=True)):
            for place, point in enumerate(rules.hit_rates):
                number = next(numbers)
                limit = hit_rate.threshold(point.outcomes, point.cost_units, contributed.worth)
                if pot.is_open:
                    draws.append(oracle_of.Draw(rules.id, place, number, limit))
                    recorded += [(index, number, limit)] if limit else []
        assert tuple(recorded) == contributed.draws
        return draws

    def compare_wins(self, expected: oracle_of.Outcome, wins: list[PotWon]) -> None:
        for theirs, ours in zip(expected.wins, wins, strict=True):
            rules, pot = self.rules.pots[ours.pot], self.state.pots[ours.pot]
            assert theirs.pot_id == rules.id
            assert theirs.pot_closed is not pot.is_open
            assert ours.seed == ours.from_reserve + ours.deficit
            if not theirs.pot_closed:
                assert ours.seed >= rules.min_reseed
                assert self.oracle.pots[rules.id].instance_count == pot.cycle
            self.seen["pots won"] += 1
            self.seen["pots closed"] += theirs.pot_closed
            self.seen["deficits"] += ours.deficit > 0
        self.seen["several pots won"] += len(wins) > 1

    def ask_oracle(self, known: Player, command: Contribute, **draws: Any) -> Any:
        return self.oracle.contribute(
            base_wager=Decimal(decimal_text(command.bet.wager)),
            currency=command.bet.currency,
            multipliers={code: Decimal(text) for code, text in MULTIPLIERS.items()},
            preference=self.preference(known, command.bet.currency),
            **draws,
        )

    def preference(self, known: Player, currency: str) -> oracle_of.Preference | None:
        """The player's choice in this currency, else their latest one; none once they are out."""
        if (
            not known.opted_in
            or not known.preferences
            or not isinstance(self.rules.contribution, Variable)
        ):
            return None
        chosen = dict(known.preferences).get(currency)
        latest, value = (currency, chosen) if chosen is not None else known.preferences[-1]
        return oracle_of.Preference(Decimal(decimal_text(value)), latest)

    def fold(self, player: str, events: list[InstanceEvent]) -> None:
        known = self.players.get(player, UNKNOWN_PLAYER)
        for item in events:
            self.state = transitions.evolve(self.state, item)
            known = transitions.evolve_player(known, item)
        self.players[player] = known
        ledger.check(self.state)

    def books(self) -> oracle_of.RealBooks:
        state, rules = self.state, self.rules
        seeds = sum(pot.initial_seed for pot in rules.pots)
        ids = [pot.id for pot in rules.pots]
        return oracle_of.RealBooks(
            house=state.house,
            pots=dict(zip(ids, (pot.value for pot in state.pots), strict=True)),
            reserves=dict(zip(ids, (pot.reserve for pot in state.pots), strict=True)),
            residual=ledger.residual(state),
            received=state.contributed + state.operator - seeds,
            paid=state.payouts,
            deficits=state.deficit,
            initial_seeds=seeds,
        )


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.integers(0, 2**48), st.sampled_from((25, 100, 200)))
def test_core_agrees_with_the_oracle_over_long_sequences(seed: int, steps: int) -> None:
    """Random templates, currencies, players and draws: equal answers, and every account where the oracle has it."""
    rng = random.Random(seed)
    pair = Pair(random_template(rng), rng)
    for _ in range(steps):
        pair.play()

    assert pair.oracle.status == pair.state.status
    assert 0 == pair.oracle.imbalance()
    for what in pair.seen:
        event(what)


def test_core_and_oracle_have_met_every_branch() -> None:
    """The property above is worth something: wins, several at once, closings, deficits and refusals all occur."""
    total: Counter[str] = Counter()
    for seed in range(60):
        rng = random.Random(seed)
        pair = Pair(random_template(rng), rng)
        for _ in range(100):
            pair.play()
        total += pair.seen
        total[str(pair.state.status)] += 1

    for what in (
        "pots won",
        "several pots won",
        "pots closed",
        "deficits",
        "zero wager",
        "NegativeWager",
        "ContributionOutOfRange",
        "ContributionNotVariable",
        "JackpotNotActive",
        UNLISTED,
        "Ended",
        "Active",
    ):
        assert total[what] >= 3, total


@pytest.mark.parametrize("jackpot", ["EUR", "USD", "JPY", "KWD"])
def test_core_gives_equal_money_an_equal_chance_in_every_currency(jackpot: str) -> None:
    """The same percentage of wagers that are worth the same has the same thresholds, but for the last unit of money."""
    rng = random.Random(5)
    template = random_template(rng)
    template["currency"] = jackpot
    template["contribution_rules"] |= {
        "contribution_type": {"Percentage": "0.5"},
        "currency_values": {},
        "opt_in_required": False,
    }
    pair = Pair(template, rng)
    found = set()
    for currency in MULTIPLIERS:
        command = pair.command("anna")
        wager = 7 * SCALE * RATES[currency]
        bet = replace(command.bet, currency=currency, wager=wager // SCALE)
        events = decide.contribute(pair.state, UNKNOWN_PLAYER, replace(command, bet=bet))
        assert not isinstance(events, Rejection)
        assert isinstance(events[0], Contributed)
        found.add(events[0].worth)

    exact = Fraction(7 * RATES[jackpot], 2)
    assert all(abs(worth - exact) <= Fraction(RATES[jackpot], 43_217) + 1 for worth in found)
