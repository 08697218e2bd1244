"""The oracle beside a stand-in of the real system that it must not accuse.

The stand-in keeps whole units and carries remainders, as the real system does, so these tests show that the oracle's
slack is wide enough for a faithful system, and too narrow for one lost unit more.
"""

import random
from collections.abc import Sequence
from fractions import Fraction
from math import floor

import pytest

from jackpotd.testing.cases import WHOLE_WAGER, pot, template
from jackpotd.testing.reference_model import SCALE, Draw, Meters, ReferenceInstance, to_scale
from jackpotd.testing.templates import Json

from .oracle_cases import NEVER, RATES, contribute, exactly, units


class StandIn:
    """A faithful system in miniature: whole units, each share's remainder carried to the next."""

    def __init__(self, start: ReferenceInstance) -> None:
        self.rules = {name: held.rules for name, held in start.pots.items()}
        self.shares = {name: held.share for name, held in start.pots.items()}
        self.house_share = 1 - sum(self.shares.values(), Fraction(0))
        self.pots = {name: int(rule.initial_seed * SCALE) for name, rule in self.rules.items()}
        self.reserves = dict.fromkeys(self.rules, 0)
        self.cycle = dict.fromkeys(self.rules, 1)
        self.open = list(self.rules)
        self.carried: dict[str, Fraction] = {}
        self.seeds = sum(self.pots.values())
        self.house = self.received = self.paid = self.deficits = 0

    def whole(self, account: str, part: Fraction) -> int:
        part += self.carried.get(account, Fraction(0))
        self.carried[account] = part - floor(part)
        return floor(part)

    def receive(self, units: int) -> None:
        self.received += units
        self.house += self.whole("house", units * self.house_share)
        for name in self.open:
            rule, part = self.rules[name], units * self.shares[name]
            seed_share = rule.seed_share if rule.is_progressive else Fraction(1)
            growth = self.whole(f"{name} growth", part * (1 - seed_share))
            seed = self.whole(f"{name} seed", part * seed_share)
            kept = seed
            if rule.is_progressive and not rule.collects_always:
                kept = min(seed, max(int(rule.min_reseed * SCALE) - self.reserves[name], 0))
            if rule.is_progressive and self.cycle[name] == rule.cycles_max:
                kept = 0
            self.pots[name] += growth + seed - kept
            self.reserves[name] += kept

    def winners(self, tipped: Sequence[str], strategy: str, rate: Fraction) -> list[str]:
        won = [name for name in self.open if name in tipped and self.payable(name, rate) > 0]
        if strategy == "All" or not won:
            return won
        return [(min if strategy == "Lowest" else max)(won, key=lambda name: self.pots[name])]

    def payable(self, name: str, rate: Fraction) -> Fraction:
        """In a currency of two decimals, `rate` of them for one of the jackpot's."""
        return Fraction(floor(Fraction(self.pots[name], SCALE) * rate * 100), 100)

    def settle(self, name: str, left: int) -> None:
        self.pots[name] -= left
        self.paid += left
        rule, least = self.rules[name], int(self.rules[name].min_reseed * SCALE)
        if self.cycle[name] == rule.cycles_max:
            self.close(name)
            return
        held = self.reserves[name]
        taken = held if rule.reseeds_whole_reserve else min(held, least)
        self.reserves[name] -= taken
        self.pots[name] += max(taken, least)
        self.deficits += max(least - taken, 0)
        self.cycle[name] += 1

    def close(self, name: str) -> None:
        self.open.remove(name)
        if not self.open:
            return
        total = sum((self.shares[heir] for heir in self.open), Fraction(0))
        leftover = self.pots[name] + self.reserves[name]
        self.pots[name] = self.reserves[name] = 0
        for heir in self.open:
            weight = self.shares[heir] / total
            grows = self.rules[heir].is_progressive
            account, accounts = ("growth", self.pots) if grows else ("seed", self.reserves)
            accounts[heir] += self.whole(f"{heir} {account}", leftover * weight)
            self.shares[heir] += self.shares[name] * weight
        self.shares[name] = Fraction(0)

    def meters(self) -> Meters:
        return {name: (self.pots[name], self.reserves[name]) for name in self.rules}

    def books(self) -> dict[str, int]:
        residual = sum(self.carried.values())
        assert residual == int(residual)
        return {
            "operator": -self.received - self.seeds,
            "deficit": -self.deficits,
            "house": self.house,
            "payouts": self.paid,
            "residual": int(residual),
            **{f"pot:{name}": held for name, held in self.pots.items()},
            **{f"seed_reserve:{name}": held for name, held in self.reserves.items()},
        }


def play(rules: Json, seed: int, contributions: int = 160) -> tuple[ReferenceInstance, StandIn]:
    """Stand-in and oracle side by side, payments and books compared after every contribution."""
    rng = random.Random(seed)
    oracle = ReferenceInstance(rules)
    system = StandIn(oracle)
    for _ in range(contributions):
        if oracle.status != "Active":
            break
        currency = rng.choice(["EUR", "USD", "SEK"])
        rate = exactly(str(RATES[currency]))
        wager = Fraction(rng.randint(1, 5 * 10 ** rng.randint(1, 8)), SCALE)
        tipped = [name for name in oracle.pots if rng.random() < 0.1]
        system.receive(int(to_scale(wager / rate) * SCALE))
        meters, paid = [system.meters()], []
        names = system.winners(tipped, rules["win_selector_strategy"], rate)
        amounts = {name: system.payable(name, rate) for name in names}
        for name in names:
            paid.append((name, amounts[name]))
            left = int(to_scale(amounts[name] / rate) * SCALE)
            system.settle(name, min(left, system.pots[name]))
            meters.append(system.meters())
        draws = [
            Draw(name, 0, 0 if name in tipped else NEVER)
            for name, held in oracle.pots.items()
            if held.is_open
        ]
        outcome = contribute(
            oracle, base_wager=wager, currency=currency, draws=draws, meters=meters
        )
        assert [(win.pot_id, win.amount) for win in outcome.wins] == paid
        assert oracle.differences(system.books()) == []
    return oracle, system


def played_template(strategy: str, fund: str, reseed: str) -> Json:
    shared = {"fund": fund, "reseed": reseed, "hits": [(2, 0)], "min_reseed": "0.4"}
    return template(
        pot("a", "0.07", "0.3", **shared, max_instantiation_count=5),
        pot("b", "0.111", "0.3", **shared, seed_share="0.333"),
        pot("c", "0.23", "2", **shared, is_progressive=False),
        pot("d", "0.31", "0.5", **shared, max_instantiation_count=9),
        kind={"Percentage": 1},
        operator_share=1,
        strategy=strategy,
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("reseed", ["Full", "WholeReserve"])
@pytest.mark.parametrize("fund", ["CollectToMinReseed", "CollectAlways"])
@pytest.mark.parametrize("strategy", ["Highest", "Lowest", "All"])
def test_faithful_system_of_whole_units_is_never_accused(
    strategy: str, fund: str, reseed: str, seed: int
) -> None:
    """Random money in three currencies, wins, deficits, closings: no difference at any step."""
    oracle, system = play(played_template(strategy, fund, reseed), seed)

    assert system.paid > 0
    assert system.deficits > 0
    assert max(held.value.slack for held in oracle.pots.values()) < 120


def test_played_instances_do_close_pots_and_end() -> None:
    """The random play reaches closings and, where all pots are limited, Ended."""
    rules = played_template("All", "CollectAlways", "Full")
    for item in rules["pots"]:
        item["max_instantiation_count"] = 4

    oracle, system = play(rules, seed=7)

    assert oracle.status == "Ended"
    assert system.open == []


@pytest.mark.parametrize(
    "account", ["house", "residual", "payouts", "deficit", "operator", "pot:a", "seed_reserve:b"]
)
def test_lost_unit_is_found(account: str) -> None:
    """One unit out of the sum is always found, whichever account it is missing from."""
    oracle, system = play(played_template("Highest", "CollectAlways", "Full"), seed=1)
    books = system.books()

    books[account] -= 1

    assert any("sum" in line for line in oracle.differences(books))


@pytest.mark.parametrize("account", ["payouts", "deficit"])
def test_unit_of_a_payment_is_found_wherever_it_went(account: str) -> None:
    """What was paid and what the operator added is known to the unit: no remainder excuses it."""
    oracle, system = play(played_template("Highest", "CollectAlways", "Full"), seed=1)
    books = system.books()

    books[account] += 1
    books["pot:b"] -= 1

    assert [account] == [line.split(":")[0] for line in oracle.differences(books)]


def test_unit_moved_between_accounts_is_found_beyond_the_slack() -> None:
    """The sum is right, and still no account may lie farther off than remainders allow."""
    oracle = ReferenceInstance(template(pot("a", "0.3"), kind=WHOLE_WAGER))
    contribute(oracle, base_wager="0.00000001")
    real = {"players": -1, "operator": -10 * SCALE, "pot:a": 10 * SCALE, "residual": 1}

    assert oracle.differences(real) == []
    assert oracle.differences(real | {"house": 1, "residual": 0}) == []
    moved = oracle.differences(real | {"house": 2, "pot:a": 10 * SCALE - 1, "residual": 0})
    assert [line.split(",")[0] for line in moved] == ["house: 2 units", "pot:a: 999999999 units"]
    assert "residual: -1 units" in oracle.differences(real | {"house": 2, "residual": -1})


def test_not_a_unit_may_be_off_while_every_share_divides() -> None:
    """Without remainders there is nothing to excuse: exact means exact."""
    oracle = ReferenceInstance(template(pot("a", "0.3", seed_share="0.5")))
    contribute(oracle)
    real = {
        "players": -units("0.1"),
        "operator": -units("10"),
        "house": units("0.07"),
        "pot:a": units("10.015"),
        "seed_reserve:a": units("0.015"),
    }

    assert oracle.differences(real) == []
    moved = real | {"house": real["house"] + 1, "pot:a": real["pot:a"] - 1}
    assert len(oracle.differences(moved)) == 2


def test_books_must_name_the_same_accounts() -> None:
    """An account that nobody knows cannot be compared; one that is left out holds nothing."""
    oracle = ReferenceInstance(template(pot("a", seed="0")))

    assert oracle.differences({}) == []
    assert "accounts ['pot:b']" in oracle.differences({"pot:b": 0})


def test_spill_before_and_after_the_first_remainder_is_counted_after_it() -> None:
    """A reserve that was full while all was exact still passes on the remainders that come later."""
    rules = template(pot("a", "0.5", min_reseed="0", seed_share="0.5"), kind=WHOLE_WAGER)
    oracle = ReferenceInstance(rules)

    contribute(oracle, base_wager=1)
    before = oracle.pots["a"].value.slack
    contribute(oracle, base_wager="0.00000001")

    assert [before, oracle.pots["a"].value.slack] == [0, 4]
