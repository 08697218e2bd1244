"""The formulae of jackpots by exact fractions, with what the real core does in every case that they speak of.

No chance is sampled here. Where a formula is a mean over draws, every draw of a small range is played through the core,
or the core's own thresholds are taken as the exact chances that they are.
"""

from fractions import Fraction
from itertools import pairwise
from math import exp

import pytest

from jackpotd.core.commands import SendTransfers
from jackpotd.core.events import Contributed, PotWon
from jackpotd.core.hit_rate import CERTAIN
from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Transfer
from jackpotd.testing.cases import (
    WHOLE_WAGER,
    bet,
    pot,
    secret_where,
    template,
    time_point,
    trigger,
    units,
    value_point,
)
from jackpotd.testing.core_driver import CoreInstance, Done
from jackpotd.testing.oracle_pair import Pair
from jackpotd.testing.templates import Json, compiled


def played(template_: Json, secret: bytes = bytes(32)) -> Pair:
    """An instance of the template, in the core and in the oracle, decided by this secret."""
    return Pair(template_, secret_of=lambda _pot, number: secret if number == 1 else bytes(32))


def contribute(pair: Pair, wager: str | int = 1, at_ms: int = 0, who: str = "anna") -> Done:
    number = pair.core.state.contributions
    done = pair.contribute(bet(wager, who), max(at_ms, pair.at_ms), f"round {number}")
    assert isinstance(done, Done), done
    return done


def threshold(pair: Pair, wager: str | int) -> Fraction:
    """The exact chance that the core gives a contribution: its threshold of 2^64."""
    ((_, _, limit),) = contribute(pair, wager).of(Contributed)[0].draws
    return Fraction(limit, CERTAIN)


# --- F1, O1a: geometric progressive ---------------------------------------------------------------


def test_f1_award_and_chance_of_a_geometric_progressive() -> None:
    """The n-th bet without a hit finds s + r n in the pot, at one p: E[award] = s + r/p, RTP = r + s p."""
    rules = pot("a", "0.1", "30", seed_share="0", hits=[(10**6, "1")])
    pair = played(template(rules, kind=WHOLE_WAGER))
    chances, awards = set(), []
    for _ in range(60):
        contributed = contribute(pair).of(Contributed)[0]
        chances.add(contributed.draws[0][2])
        awards.append(Fraction(pair.core.state.pots[0].value, SCALE))

    p, r, s = Fraction(chances.pop(), CERTAIN), Fraction(1, 10), Fraction(30)
    assert not chances
    assert awards == [s + r * n for n in range(1, 61)]
    assert abs(p - Fraction(1, 10**6)) < Fraction(1, CERTAIN)
    # Sums over all n of p (1 - p)^(n - 1): of 1, and of n, whose values are 1 and 1/p.
    mean = s + r / p
    assert mean * p == r + s * p
    assert abs(float(mean) - 100_030) < 1e-6


def test_f1_chance_of_a_hit_before_a_value_is_reached() -> None:
    """P(hit before v) = 1 - (1 - p)^((v - s)/r), by the product of the core's own chances."""
    rules = pot("a", "0.1", "30", seed_share="0", hits=[(1000, "1")])
    pair = played(
        template(rules, kind=WHOLE_WAGER),
        secret_where(lambda stream: all(stream.draw(0, n) >= CERTAIN // 900 for n in range(50))),
    )
    survival = Fraction(1)
    for _ in range(50):
        survival *= 1 - threshold(pair, 1)

    assert pair.core.state.pots[0].value == units("35")
    assert abs(survival - (1 - Fraction(1, 1000)) ** 50) < Fraction(60, CERTAIN)


def test_o1a_odds_for_a_mean_award_of_a_million() -> None:
    """s = 30,000, r = 0.1: one in 9,700,000 a bet, 53,150.68 bets a day for two a year, 1,621,095.89 in 30.5 days."""
    rules = pot("a", "0.1", "30000", seed_share="0", hits=[(9_700_000, "1")])
    p = threshold(played(template(rules, kind=WHOLE_WAGER)), 1)

    assert f"{float(p):.7e}" == "1.0309278e-07"
    assert abs(30_000 + Fraction(1, 10) / p - 1_000_000) < Fraction(1, 1000)
    bets_a_day = 2 / (365 * p)
    assert round(float(bets_a_day), 2) == 53_150.68
    assert round(float(bets_a_day * Fraction(305, 10)), 2) == 1_621_095.89


# --- F2, F3, O2a, O3: hidden values ---------------------------------------------------------------


def stakes_until_hit(steps: int, hidden: int, share: str = "1") -> int:
    """How many contributions it takes where the hidden value is the pot's `hidden`-th step of one unit."""
    low, high = units("10") + 1, units("10") + steps
    rules = pot(
        "a",
        share,
        "10",
        seed_share="0",
        hits=[],
        points=[value_point(f"10.{1:08d}", f"10.{steps:08d}")],
    )
    secret = secret_where(lambda stream: stream.hidden_value(0, low, high) == low + hidden - 1)
    pair = played(template(rules, kind=WHOLE_WAGER), secret)
    for count in range(1, steps + 1):
        if contribute(pair, "0.00000001").of(PotWon):
            return count
    raise AssertionError("a must-hit pot was not hit")


@pytest.mark.parametrize("steps", [2, 3, 10, 17])
def test_f3_o3_threshold_form_and_hazard_form_of_value_agree(steps: int) -> None:
    """Every hidden value of the range through the core: survival (N-k)/N, so the next wins with 1/(N-k)."""
    hits = [stakes_until_hit(steps, hidden) for hidden in range(1, steps + 1)]

    survivors = [sum(1 for hit in hits if hit > k) for k in range(steps + 1)]
    assert [Fraction(left, steps) for left in survivors] == [
        Fraction(steps - k, steps) for k in range(steps + 1)
    ]
    for k in range(steps):
        hazard = 1 - Fraction(survivors[k + 1], survivors[k])
        assert hazard == min(Fraction(1), Fraction(1, steps - k))


def test_o3_survival_of_ten_equal_steps() -> None:
    """0.9, 0.8, … 0.1, 0, exactly."""
    hits = [stakes_until_hit(10, hidden) for hidden in range(1, 11)]

    survival = [Fraction(sum(hit > k for hit in hits), 10) for k in range(1, 11)]
    assert survival == [Fraction(10 - k, 10) for k in range(1, 11)]


@pytest.mark.parametrize(
    ("increment", "mean_stake", "rtp"),
    [("0.01", 50, "19"), ("0.005", 100, "9.5"), ("0.0025", 200, "4.75")],
)
def test_f2_o2a_must_hit_between_nine_and_ten(increment: str, mean_stake: int, rtp: str) -> None:
    """E[award] = (s + m)/2 = 9.50; mean stake and RTP by the increment, in the limit of small steps.

    Through the core every hidden step of the range: the mean award lies half a step above (s + m)/2, because the
    contribution that crosses the hidden value is part of the award.
    """
    steps = 10
    per_bet, width = Fraction(increment), Fraction(1)
    bets = [stakes_until_hit(steps, hidden) for hidden in range(1, steps + 1)]
    step = width / steps
    awards = [9 + step * count for count in bets]
    stakes = [step * count / per_bet for count in bets]

    mean_award = sum(awards) / steps - step / 2
    stake = sum(stakes) / steps - step / per_bet / 2
    assert (mean_award, stake) == (Fraction(19, 2), mean_stake)
    assert mean_award / stake == Fraction(rtp) / 100
    assert mean_award / stake == per_bet * (9 + 10) / (10 - 9)


def test_f4_break_even_is_where_the_marginal_return_is_the_edge() -> None:
    """t = m(h + r)/(h + 2r): there x r/(m - x), the core's hazard times the award, is h + r."""
    m, r, steps = Fraction(20), Fraction(1, 1000), 10
    hits = [stakes_until_hit(steps, hidden) for hidden in range(1, steps + 1)]
    step = Fraction(10, steps)
    for k in range(steps - 1):
        x = 10 + step * k
        survivors = [sum(hit > at for hit in hits) for at in (k, k + 1)]
        hazard_per_stake = (1 - Fraction(survivors[1], survivors[0])) / (step / r)
        marginal = hazard_per_stake * x
        assert marginal == x * r / (m - x)
        h = marginal - r
        assert x == m * (h + r) / (h + 2 * r)


# --- F6, F8: reserves -----------------------------------------------------------------------------


def test_f6_first_reset_is_short_by_what_the_reserve_lacks() -> None:
    """A hit at the n-th bet leaves s - b n to the operator; over all n E = s - b (1 - q^K)/p, with K = s/b."""
    s, b, k = 2, Fraction(1, 10), 20
    deficits = []
    for n in range(1, k + 4):
        rules = pot("a", "0.1", "2", seed_share="1", fund="CollectAlways", hits=[])
        rules |= {"supports_external_trigger": True}
        pair = played(template(rules, kind=WHOLE_WAGER))
        for _ in range(n):
            contribute(pair)
        done = pair.trigger(trigger("a", at_ms=1, round_id="hand"))
        assert not isinstance(done, Rejection)
        deficits.append(Fraction(done.of(PotWon)[0].deficit, SCALE))

    assert deficits == [max(s - b * n, 0) for n in range(1, k + 4)]
    p = Fraction(1, 50)
    q = 1 - p
    mean = sum((p * q**n * short for n, short in enumerate(deficits)), Fraction(0))
    assert mean == s - b * (1 - q**k) / p
    assert k * b == s  # break-even: b* = s / V at V = 1 / p = K
    # The formula with the exponential is its limit of many small bets.
    rho = s / (float(b) * 50)
    assert abs(float(mean) - (s - float(b) * 50 * (1 - exp(-rho)))) < 0.05 * s


def test_f8_pot_whose_share_feeds_the_next_restarts_at_q_of_its_cap() -> None:
    """q = 0.25, cap 20: from 5 on, every cycle takes 20 of contributions and starts at 5 again."""
    rules = pot(
        "a",
        "1",
        "5",
        seed_share="0.25",
        min_reseed="0",
        fund="CollectAlways",
        reseed="WholeReserve",
        hits=[],
    )
    rules |= {"supports_external_trigger": True}
    pair = played(template(rules, kind=WHOLE_WAGER))
    for cycle in range(4):
        contribute(pair, 20)
        assert pair.core.snapshot() == ((units(20), units(5)),)
        done = pair.trigger(trigger("a", at_ms=cycle, round_id=f"hand {cycle}"))
        assert not isinstance(done, Rejection)
        won = done.of(PotWon)[0]
        assert (won.paid, won.seed, won.deficit) == (units(20), units(5), 0)


# --- F7: time drops -------------------------------------------------------------------------------


def instant_in_tenth(tenth: int, tenth_ms: int) -> bytes:
    return secret_where(
        lambda stream: stream.instant_ms(0, 0, 0, 10 * tenth_ms) // tenth_ms == tenth
    )


def test_f7_contributions_win_a_time_drop_by_how_long_nobody_was_there() -> None:
    """T uniform in a window of L: contribution i wins with (t_i - t_(i-1))/L; nobody with what is left of L.

    An instant in every tenth of a minute through the core, and a contribution at the end of some of the tenths.
    """
    tenth_ms, arrivals = 6_000, (2, 4, 5, 9)
    wins: dict[int | None, int] = dict.fromkeys((*arrivals, None), 0)
    for tenth in range(10):
        rules = pot("a", "1", hits=[], points=[time_point({"Minutes": 1})])
        secret = instant_in_tenth(tenth, tenth_ms)
        pair = played(template(rules, kind=WHOLE_WAGER), secret)
        won = [at for at in arrivals if contribute(pair, at_ms=at * tenth_ms - 1).of(PotWon)]
        assert len(won) <= 1
        wins[won[0] if won else None] += 1

    found = [Fraction(wins[at], 10) for at in arrivals]
    assert found == [Fraction(after - before, 10) for before, after in pairwise((0, *arrivals))]
    assert Fraction(wins[None], 10) == 1 - sum(found) == Fraction(1, 10)


def test_f7_must_drop_promise_is_kept_by_the_fallback() -> None:
    """Nobody after the instant: drawn among those who came, the pot is paid; rolled over, it is not."""
    for fallback, paid in (("DrawAmongContributors", True), ("RollOver", False)):
        rules = pot("a", "1", hits=[], points=[time_point({"Minutes": 1}, fallback)])
        secret = secret_where(lambda stream: stream.instant_ms(0, 0, 0, 60_000) > 500)
        pair = played(template(rules, kind=WHOLE_WAGER), secret)
        contribute(pair, at_ms=1)
        pair.pass_time(60_000)

        assert bool(pair.seen["won by TimeFallback"]) is paid


# --- O5, O10 --------------------------------------------------------------------------------------


def test_o5_ten_bets_have_the_chance_of_one_ten_times_as_large() -> None:
    """V = 1e6: linear p would be 1e-6 against 9.9999955000012e-7; the core's are equal in the last digits."""
    rules = template(pot("a", hits=[(10**7, "0.1")]), kind=WHOLE_WAGER)
    tenth, whole = threshold(played(rules), "0.1"), threshold(played(rules), 1)

    assert abs(1 - (1 - tenth) ** 10 - whole) < Fraction(11, CERTAIN)
    assert abs(whole - Fraction("9.9999955000012e-7")) < Fraction(1, 10**18)


def test_o5_exponential_chance_of_the_smallest_attempts() -> None:
    """Attempts of 1e-8: 1 - exp(-1e-6) = 9.999995e-7 for ten bets of 0.10 and for one of 1.00."""
    rules = template(pot("a", hits=[(10**14, "0.00000001")]), kind=WHOLE_WAGER)
    tenth, whole = threshold(played(rules), "0.1"), threshold(played(rules), 1)

    assert abs(whole - Fraction("9.999995000001667e-7")) < Fraction(1, 10**17)
    assert abs(1 - (1 - tenth) ** 10 - whole) < Fraction(11, CERTAIN)


def test_o10_contribution_of_a_fifth_of_a_percent_is_split_to_the_cent() -> None:
    """50.00 at 0.20 % is 0.10, and 20/30/50 of it 0.02, 0.03 and 0.05."""
    pots = [pot(f"{share}", share, "0", seed_share="0") for share in ("0.2", "0.3", "0.5")]
    core = CoreInstance(compiled(template(*pots, kind={"Percentage": "0.002"})))

    done = core.contribute(bet("50"), 1)

    assert not isinstance(done, Rejection)
    assert done.of(Contributed)[0].worth == units("0.1")
    assert [held.value for held in core.state.pots] == [
        units(part) for part in ("0.02", "0.03", "0.05")
    ]


# --- O12c: switching the model --------------------------------------------------------------------


def test_o12c_switching_the_model_moves_by_the_published_weights() -> None:
    """100, 1,000 and 10,000 become 2,150, 1,950 and 7,000: all 11,100, by transfers of the core that are taken once."""
    seeds = {"minor": "100", "major": "1000", "mega": "10000"}
    weights = {
        "minor": {"minor": "1"},
        "major": {"minor": "0.05", "major": "0.95"},
        "mega": {"minor": "0.2", "major": "0.1", "mega": "0.7"},
    }
    names = [*seeds]
    source = played(template(*(pot(name, "0.2", seeds[name]) for name in names)))
    target = played(template(*(pot(name, "0.2", "0") for name in names)))
    moved = [
        (Transfer(f"{name} {to}", names.index(name), "new", to, 0, 0, 0), units(weight))
        for name, targets in weights.items()
        for to, weight in targets.items()
    ]

    sent = source.send(
        SendTransfers(
            0,
            tuple(transfer for transfer, _ in moved),
            tuple(weight for _, weight in moved),
            "dora",
            "a new model",
        )
    )
    assert not isinstance(sent, Rejection)
    for transfer in sent:
        target.take("instance", transfer, 0)

    assert [held.value for held in target.core.state.pots] == [units(n) for n in (2150, 1950, 7000)]
    assert sum(transfer.value for transfer in sent) == units(11_100)
    assert [held.value for held in source.core.state.pots] == [0, 0, 0]
