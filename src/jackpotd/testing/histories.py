"""Random histories of a pair: contributions in nine currencies, time that passes, and all that operators may do."""

import copy
import random
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from jackpotd.core.commands import (
    Adjust,
    AskChange,
    Bet,
    Boost,
    ChangeStatus,
    DecideHeldWin,
    OptIn,
    SendTransfers,
    Trigger,
)
from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Rejection
from jackpotd.core.rules import WHOLE
from jackpotd.core.state import Contributor, PendingChange, Status, Transfer
from jackpotd.testing import reference_model as oracle_of
from jackpotd.testing.core_driver import RATES
from jackpotd.testing.oracle_pair import Pair, Patch
from jackpotd.testing.reference_model.pots import Seal
from jackpotd.testing.reference_model.template import HiddenTime
from jackpotd.testing.templates import (
    EVERYTHING,
    MULTIPLIERS,
    Feature,
    Json,
    random_template,
)

BRANDS = ("op:a", "op:b")
PLAYERS = ("anna", "bert", "caro", "dora", "emil", "fred", "gina")
BORN_MS = 1_700_000_000_000
UNLISTED = "CHF"
_STEPS_MS = (0, 0, 1, 40, 700, 9_000, 30_000, 65_000, 400_000, 3_700_000, 50_000_000)


def history(
    seed: int, features: Collection[Feature] = EVERYTHING, instance_id: str = "instance"
) -> "History":
    """A random template that may use these features, about to be played."""
    rng = random.Random(seed)
    template = random_template(rng, BRANDS, features)
    return History(Pair(template, at_ms=BORN_MS, instance_id=instance_id), rng)


class History:
    """Random steps of one pair; `number` counts them."""

    def __init__(self, pair: Pair, rng: random.Random) -> None:
        self.pair, self.rng = pair, rng
        self.at_ms = pair.at_ms
        self.number = 0

    @property
    def is_over(self) -> bool:
        return self.pair.core.state.status in (Status.ENDED, Status.TERMINATED)

    def play(self, steps: int) -> None:
        """So many steps, but only a few once the instance is over."""
        left_when_over = 6
        for _ in range(steps):
            left_when_over -= self.is_over
            if left_when_over > 0:
                self.step()

    def step(self) -> None:
        """Mostly a contribution, else something that an operator or a player does; time may pass before it."""
        rng = self.rng
        self.at_ms += rng.choice(self.steps_ms()) if rng.random() < 0.7 else 0
        if rng.random() < 0.3:
            self.at_ms = self._edge_ms()
        self.number += 1
        if rng.random() < self.contributes():
            self.contribute()
        else:
            rng.choice(self.others())()

    def contributes(self) -> float:
        """How often a step is a contribution."""
        return 0.8

    def steps_ms(self) -> Sequence[int]:
        """How much time may pass between two steps."""
        return _STEPS_MS

    def others(self) -> Sequence[Callable[[], None]]:
        """What may happen instead of a contribution."""
        return (
            self.opt_in,
            self.boost,
            self.adjust,
            self.trigger,
            self.decide_held,
            self.decide_held,
            self.pause_or_resume,
            self.ask_change,
        )

    def _edge_ms(self) -> int:
        """A moment at which something changes by itself, or the millisecond before; now, if there is none."""
        edges = self.edges_ms()
        later = [each - before for each in edges for before in (0, 1) if each - before > self.at_ms]
        return self.rng.choice(later) if later else self.at_ms

    def edges_ms(self) -> list[int]:
        """The moments of hidden instants and of windows' ends."""
        return [
            moment
            for pot in self.pair.oracle.jackpot.open_pots
            if pot.seal is not None
            for place, point in enumerate(pot.rules.hidden_times)
            for moment in edges_ms(pot.seal, place, point, self.at_ms)
        ]

    def contribute(self) -> None:
        rng, rules = self.rng, self.pair.core.rules
        currency = rng.choice((*MULTIPLIERS, rules.currency, rules.currency))
        wager = rng.choice((rng.randint(1, 10**8), rng.randint(1, 5 * 10**10), 10**8, 10**8))
        if rng.random() < 0.06:
            wager, currency = rng.choice(((0, currency), (-wager, currency), (wager, UNLISTED)))
        segments = rng.choice((None, ("vip",), ("new", "old"), ()))
        bet = Bet(
            brand=rng.choice(BRANDS),
            player_id=rng.choice(PLAYERS),
            country=None,
            segments=segments,
            vertical=None,
            currency=currency,
            wager=wager,
            source_id=None,
            reference_type="gameround",
            reference_id=None,
        )
        self.pair.contribute(bet, self.at_ms, f"round {self.number}")

    def opt_in(self) -> None:
        rng = self.rng
        self.pair.opt_in(
            OptIn(
                at_ms=self.at_ms,
                brand=rng.choice(BRANDS),
                player_id=rng.choice(PLAYERS),
                country=None,
                opt_in=rng.random() < 0.8,
                preferred=rng.choice((None, rng.randint(1, 700) * SCALE // 100)),
                preferred_currency=rng.choice((None, "EUR", "USD", "JPY", "KWD")),
                rates=RATES,
            )
        )

    def boost(self) -> None:
        pot_id, units = self.pot_id(), self.rng.randint(1, 20 * SCALE)
        self.pair.operate(
            Boost(self.at_ms, pot_id, units, "someone", "why"),
            lambda: self.pair.oracle.boost(pot_id, Fraction(units, SCALE)),
            "boost",
        )

    def adjust(self) -> None:
        pot_id = self.pot_id()
        units = self.rng.choice((1, -1)) * self.rng.randint(1, 3 * SCALE)
        self.pair.pass_time(self.at_ms)
        held = self.pair.core.state.pots[self.pair.pot_ids.index(pot_id)].value
        self.pair.operate(
            Adjust(self.at_ms, pot_id, units, "someone", "why"),
            lambda: self.pair.oracle.adjust(pot_id, Fraction(units, SCALE), held),
            "adjustment",
        )

    def trigger(self) -> None:
        rng = self.rng
        currency = rng.choice([*MULTIPLIERS])
        winner = Contributor(
            "op:a", rng.choice(PLAYERS), currency, RATES[currency], self.jackpot_rate()
        )
        self.pair.trigger(
            Trigger(
                at_ms=self.at_ms,
                round_id=f"round {self.number}",
                pot_id=self.pot_id(),
                winner=winner,
                reference_id=f"hand {self.number}",
                by="someone",
                reason="bad beat",
                streams=(),
            )
        )

    def decide_held(self) -> None:
        self.pair.pass_time(self.at_ms)
        held = self.pair.core.state.rare.held
        if not held:
            return
        win = self.rng.choice(held)
        pot_id, release = self.pair.pot_ids[win.pot], self.rng.random() < 0.5
        self.pair.operate(
            DecideHeldWin(self.at_ms, win.round_id, pot_id, release, "someone", "why"),
            lambda: self.pair.oracle.decide_held(win.round_id, pot_id, release=release),
            "release" if release else "rejection",
        )

    def pause_or_resume(self) -> None:
        is_active = self.pair.core.state.status is Status.ACTIVE
        self.status(Status.PAUSED if is_active else Status.ACTIVE)

    def status(self, status: Status) -> None:
        before = self.pair.oracle.status

        def ask() -> oracle_of.Rejection | None:
            legal = {"Pending": "Active", "Active": "Paused", "Paused": "Active"}
            ends = status is Status.TERMINATED and self.pair.oracle.status != status
            if not ends and legal.get(self.pair.oracle.status) != status:
                return oracle_of.Rejection("INVALID_STATE", "")
            self.pair.oracle.change_status(str(status))
            return None

        self.pair.operate(
            ChangeStatus(self.at_ms, status, "why", "someone"), ask, f"{before} to {status}"
        )

    def ask_change(self) -> None:
        rng, pair = self.rng, self.pair
        pot = rng.choice((None, rng.randrange(len(pair.pot_ids))))
        patch = self.general_patch() if pot is None else _pot_patch(rng, pot)
        change = PendingChange(
            f"change {self.number}", pot, b'{"any":1}', self.at_ms, "someone", "why"
        )
        pair.ask_change(AskChange(self.at_ms, (change,), b"{}"), patch)

    def general_patch(self) -> Patch:
        """Parameters that are no pot's."""
        return _general_patch(self.rng, len(self.pair.pot_ids))

    def pot_id(self) -> str:
        return self.rng.choice(self.pair.pot_ids)

    def jackpot_rate(self) -> int:
        return RATES[self.pair.core.rules.currency]


def edges_ms(seal: Seal, place: int, point: HiddenTime, at_ms: int) -> tuple[int, int]:
    """The hidden instant of the window in which this moment is, and the window's end."""
    window = point.window_at(at_ms)
    start, end = (point.start_of(each) for each in (window, window + 1))
    return seal.places.instant(place, window, max(start, seal.at_ms), end), end


def decommission(run: History, to: History) -> None:
    """One instance's money goes to pots of another, by weights; the other may be terminated meanwhile."""
    rng, weights, transfers = run.rng, [], []
    for pot in range(len(run.pair.pot_ids)):
        targets = rng.sample(to.pair.pot_ids, rng.randint(1, len(to.pair.pot_ids)))
        cuts = sorted(rng.sample(range(1, 100), len(targets) - 1))
        parts = [upper - lower for lower, upper in pairwise((0, *cuts, 100))]
        for target, part in zip(targets, parts, strict=True):
            weights.append(part * WHOLE // 100)
            transfers.append(Transfer(f"{run.number} {pot} {target}", pot, "b", target, 0, 0, 0))
    at_ms = max(run.at_ms, to.at_ms)
    run.at_ms = to.at_ms = at_ms
    sent = run.pair.send(SendTransfers(at_ms, tuple(transfers), tuple(weights), "someone", "why"))
    if isinstance(sent, Rejection):
        return
    for transfer in sent:
        if rng.random() < 0.2:
            to.status(Status.TERMINATED)
        to.pair.take("a", transfer, at_ms)


def _general_patch(rng: random.Random, pots: int) -> Patch:
    """Other shares, another selector, another limit for withholding."""
    cuts = sorted(rng.sample(range(1, 1000), pots))
    parts = [upper - lower for lower, upper in pairwise((0, *cuts, 1000))]
    selector = rng.choice(("Highest", "Lowest", "All"))
    above = rng.choice((None, "0.5", "8"))

    def patch(template: Json) -> Json:
        new = copy.deepcopy(template)
        new["win_selector_strategy"] = selector
        new["withhold_wins_above"] = above
        house, *shares = (f"{Decimal(part) / 1000:f}" for part in parts)
        new["house_hold_contribution"] = {"Percentage": house}
        for pot, share in zip(new["pots"], shares, strict=True):
            pot["contribution"] = {"Percentage": share}
        return new

    return patch


def _pot_patch(rng: random.Random, index: int) -> Patch:
    """Another seed, other odds, other hidden values, a higher ceiling for one pot."""
    seed_share, more = rng.choice(("0", "0.5", "0.87654321")), rng.choice(("0.5", "3", "20"))
    odds, whole = rng.choice((2, 7, 1000)), rng.choice(("Full", "WholeReserve"))
    is_lower = rng.random() < 0.5

    def patch(template: Json) -> Json:
        new = copy.deepcopy(template)
        pot = new["pots"][index]
        seeds = [pot["seed_strategy"][f"{each}_value"] for each in ("initial_seed", "min_reseed")]
        has_values = any("Value" in tagged for tagged in pot["pot_types"])
        if not has_values:
            pot["seed_contribution"] = {"Percentage": seed_share}
        pot["seed_strategy"]["reseed_strategy"] = whole
        if pot.get("max_pot_value") is not None:
            pot["max_pot_value"] = f"{Decimal(pot['max_pot_value']) + Decimal(more):f}"
        for tagged in pot["pot_types"]:
            if "HitRate" in tagged:
                tagged["HitRate"]["max_magic_number"] = odds
            elif "Value" in tagged:
                if pot.get("max_pot_value") is None:
                    tagged["Value"]["max"] = f"{Decimal(tagged['Value']['max']) + Decimal(more):f}"
                if is_lower and any(map(Decimal, seeds)):
                    tagged["Value"]["min"] = max(seeds, key=Decimal)
        return new

    return patch
