"""The oracle by itself: the chance of a HitRate, the places of a secret, what a draw says."""

from decimal import Decimal
from fractions import Fraction
from hashlib import sha256, shake_256
from math import floor

import pytest

from jackpotd.testing.cases import WHOLE_WAGER, pot, template
from jackpotd.testing.reference_model import (
    DRAWS,
    Attempt,
    Draw,
    OracleDisagreementError,
    Places,
    ReferenceInstance,
    commitment,
    hit_threshold,
)

from .oracle_cases import NEVER, contribute, exactly

# --- the chance -----------------------------------------------------------------------------------


def threshold(magic_number: int, cost: str, worth: str) -> int:
    return hit_threshold(Fraction(magic_number), exactly(cost), exactly(worth))


@pytest.mark.parametrize(
    ("magic_number", "cost", "worth", "expected"),
    [
        (5, "0.1", "0.1", DRAWS // 5),
        (2, "0.1", "0.3", DRAWS - DRAWS // 8),
        (4, "1", "1", DRAWS // 4),
        (8, "1", "3", DRAWS - DRAWS // 8**3 * 7**3),
        (2, "1", "64", DRAWS - 1),
        (2, "1", "65", DRAWS - 1),
        (4, "1", "0.5", floor((1 - Decimal("0.75").sqrt()) * 10**20) * DRAWS // 10**20),
        (2, "0.00000001", "90000000000", DRAWS - 1),
        (1, "0.1", "0.00000001", DRAWS),
        (1, "0.1", "0", 0),
        (7, "0.1", "0", 0),
        (7, "0", "0", DRAWS // 7),
        (7, "0", "5", DRAWS // 7),
        (1, "0", "0", DRAWS),
    ],
)
def test_threshold_of_known_chances(
    magic_number: int, cost: str, worth: str, expected: int
) -> None:
    """Exact where the chance is rational; certainty, no attempt and one free attempt."""
    assert abs(expected - threshold(magic_number, cost, worth)) <= (cost == "1" and worth == "0.5")


def test_o5_splitting_a_bet_never_changes_the_chance() -> None:
    """O5: ten bets of 0.10 at V = 1e6 are one of 1.00, 9.9999955000012e-7 and not 1e-6."""
    ten = threshold(10**7, "0.1", "1")
    one = Fraction(threshold(10**7, "0.1", "0.1"), DRAWS)

    assert abs(Fraction(ten, DRAWS) - exactly("9.9999955000012e-7")) < exactly("1e-18")
    assert abs(1 - (1 - one) ** 10 - Fraction(ten, DRAWS)) < Fraction(11, DRAWS)
    exponential = Fraction(threshold(10**14, "0.00000001", "1"), DRAWS)
    assert abs(exponential - exactly("9.999995000001667e-7")) < exactly("1e-18")


@pytest.mark.parametrize(
    "parts", [("0.05", "0.05"), ("0.03", "0.07"), ("0.00000001", "0.09999999")]
)
def test_o5_survival_of_the_parts_is_survival_of_the_whole(parts: tuple[str, str]) -> None:
    """Any split of a bet survives as often as the whole, to the last draws of 2^64."""
    survival = Fraction(1)
    for part in parts:
        survival *= 1 - Fraction(threshold(50, "0.1", part), DRAWS)

    assert abs(survival - (1 - Fraction(threshold(50, "0.1", "0.1"), DRAWS))) < Fraction(3, DRAWS)


@pytest.mark.parametrize("currency", ["EUR", "USD", "GBP", "SEK"])
def test_equal_money_has_equal_chance_in_every_currency(currency: str) -> None:
    """A default converted to the player's currency and back buys the same attempt."""
    outcome = contribute(
        ReferenceInstance(template(pot("a", hits=[(5, "0.1")]))), currency=currency
    )

    assert outcome.thresholds["a", 0] == threshold(5, "0.1", "0.1")


# --- tips -----------------------------------------------------------------------------------------


def attempt(draw: int, limit: int) -> list[Attempt]:
    return [Attempt("a", draw, limit)]


@pytest.mark.parametrize(("distance", "wins"), [(-1, True), (0, False), (1, False)])
def test_draw_below_the_threshold_wins(distance: int, wins: bool) -> None:
    """`threshold` of the 2^64 draws tip the pot: 0 to `threshold` - 1."""
    draws = [Draw("a", 0, threshold(1000, "0.1", "0.1") + distance)]

    assert bool(contribute(ReferenceInstance(template(pot("a"))), draws=draws).wins) is wins


def test_systems_threshold_settles_a_near_draw_and_must_itself_be_near() -> None:
    """A journalled threshold within 2 of the oracle's decides; a farther one is a disagreement."""
    own = threshold(1000, "0.1", "0.1")
    draws = [Draw("a", 0, own)]

    for limit, wins in ((own, False), (own + 1, True), (own - 2, False)):
        oracle = ReferenceInstance(template(pot("a")))
        outcome = contribute(oracle, draws=draws, attempts=attempt(own, limit))
        assert bool(outcome.wins) is wins
    for wrong in (attempt(own, own + 3), attempt(own + 1, own), [], 2 * attempt(own, own)):
        with pytest.raises(OracleDisagreementError):
            contribute(ReferenceInstance(template(pot("a"))), draws=draws, attempts=wrong)


def test_certainty_leaves_nothing_to_the_last_digits() -> None:
    """N = 1: a threshold one below 2^64 is wrong, however near."""
    sure = template(pot("a", hits=[(1, "0.1")]))
    draws = [Draw("a", 0, 5)]

    with pytest.raises(OracleDisagreementError):
        contribute(ReferenceInstance(sure), draws=draws, attempts=attempt(5, DRAWS - 1))


def test_any_of_several_tipping_points_tips_the_pot() -> None:
    """The second point tips; then no draw of the first is needed."""
    rules = template(pot("a", hits=[(1000, "0.1"), (500, "0.1")]))

    for draws in ([Draw("a", 0, NEVER), Draw("a", 1, 0)], [Draw("a", 1, 0)]):
        assert contribute(ReferenceInstance(rules), draws=draws).win_pot_id == "a"


@pytest.mark.parametrize(
    ("draws", "error"),
    [
        ([], ValueError),
        ([Draw("b", 0, 0)], ValueError),
        ([Draw("a", 0, 0), Draw("b", 0, 0)], OracleDisagreementError),
        ([Draw("a", 0, 0), Draw("a", 0, 1)], ValueError),
        ([Draw("a", 0, DRAWS)], ValueError),
    ],
)
def test_draws_must_be_complete_and_known(draws: list[Draw], error: type[Exception]) -> None:
    """A missing, foreign, doubled or oversized draw is a mistake of the test."""
    with pytest.raises(error):
        contribute(ReferenceInstance(template(pot("a"))), draws=draws)


def test_no_draw_is_needed_where_nothing_is_left_to_chance() -> None:
    """A contribution of 0 makes no attempt; N = 1 is certainty."""
    zero = ReferenceInstance(template(pot("a", hits=[(1, "0.1")]), kind=WHOLE_WAGER))
    sure = ReferenceInstance(template(pot("a", hits=[(1, "0.1")])))

    assert contribute(zero, base_wager=0, draws=[]).win_pot_id is None
    assert contribute(sure, draws=[]).win_pot_id == "a"


# --- the places of a secret -----------------------------------------------------------------------

SECRET = bytes(range(32))


def stream(label: str, block: int, length: int) -> bytes:
    text = b"jackpotd stream 1\0" + SECRET + label.encode() + b"\0" + bytes(7) + bytes([block])
    return shake_256(text).digest(length)


def test_commitment_is_the_published_hash() -> None:
    """SHA-256 over the names and the secret, each name closed by a zero byte."""
    text = b"jackpotd seal 1\0one\0minor\x007\0" + SECRET

    assert commitment(SECRET, "one", "minor", 7) == sha256(text).hexdigest()
    assert commitment(SECRET, "one", "minor", 70) != commitment(SECRET, "one", "minor", 7)


def test_draws_are_the_words_of_their_blocks() -> None:
    """256 words of 64 bits to a block, a stream for each tipping point."""
    places = Places(SECRET)

    for point, number in ((0, 0), (0, 255), (0, 256), (3, 700), (0, 1)):
        words = stream(f"hit {point}", number // 256, 2048)
        at = 8 * (number % 256)
        assert places.draw(point, number) == int.from_bytes(words[at : at + 8], "big")


@pytest.mark.parametrize("bound", [1, 2, 6, 10**6, 2**127 + 1, 2**128])
def test_choices_pass_over_the_incomplete_last_round(bound: int) -> None:
    """The first 128-bit word below the largest multiple of the bound, modulo it."""
    words = [
        int.from_bytes(block[at : at + 16], "big")
        for block in (stream("lot 0 5", number, 128) for number in range(9))
        for at in range(0, 128, 16)
    ]
    expected = next(word % bound for word in words if word < 2**128 - 2**128 % bound)

    assert Places(SECRET).below(bound, "lot 0", 5) == expected


@pytest.mark.parametrize(
    ("low", "high", "floor_units", "least", "most"),
    [(900, 1000, 10, 900, 1000), (900, 1000, 950, 951, 1000), (900, 1000, 1000, 1001, 1001)],
)
def test_hidden_value_lies_above_what_the_pot_held(
    low: int, high: int, floor_units: int, least: int, most: int
) -> None:
    """Uniform in what is left of the range above the pot as it was sealed; never reached already (R-CHG-1)."""
    found = {
        Places(bytes([secret]) * 32).hidden_value(0, low, high, floor_units)
        for secret in range(256)
    }

    assert least <= min(found)
    assert max(found) <= most
    assert len(found) > (most - least) / 2


def test_hidden_instant_lies_in_its_window() -> None:
    """From the start, or the seal, to before the end."""
    found = {Places(bytes([secret]) * 32).instant(1, 9, 100, 110) for secret in range(200)}

    assert found == set(range(100, 110))
