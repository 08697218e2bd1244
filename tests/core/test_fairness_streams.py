"""What a secret decides: the published format, unbiased scaling, and the statistics that a laboratory would take.

All on fixed secrets, so the statistics come out the same each time. The limits are those of 99 % confidence.
"""

import hashlib
import hmac
import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest

from jackpotd.core.fairness import (
    DRAWS_AT_ONCE,
    SECRET_BYTES,
    PotStream,
    commitment_to,
    scaled,
    secret_from,
    stream,
)

CHI_SQUARE_99 = {5: 15.08627, 9: 21.66599, 15: 30.57791, 63: 92.01002, 255: 310.45739}
Z_99 = 2.5758
DRAWS = 1 << 16


def secret(name: str) -> bytes:
    return hashlib.sha256(f"a fixed secret: {name}".encode()).digest()


def numbers(name: str, count: int = DRAWS, point: int = 0) -> list[int]:
    """The first draws of a tipping point."""
    found = PotStream(secret(name))
    return [found.draw(point, number) for number in range(count)]


def chi_square(counts: Sequence[int], expected: float) -> float:
    return sum((count - expected) ** 2 for count in counts) / expected


def spread(values: Sequence[int], outcomes: int) -> float:
    """Chi-square of values below `outcomes` against equal chances."""
    counts = Counter(values)
    return chi_square([counts[outcome] for outcome in range(outcomes)], len(values) / outcomes)


# The format that is published: a checker of anybody's finds the same with a hash of their library.


def test_commitment_is_the_hash_that_the_format_says() -> None:
    """SHA-256 over mark, instance, pot, number and secret, divided by zero bytes."""
    own = secret("commitment")
    text = b"jackpotd seal 1\0an instance\0a pot\x0017\0" + own
    assert hashlib.sha256(text).hexdigest() == commitment_to(own, "an instance", "a pot", 17)


def test_secret_needs_the_master_key_and_everything_that_it_is_for() -> None:
    """HMAC-SHA-256 under the master key; another instance, pot, number or nonce gives another secret."""
    master = bytes(range(32))
    own = secret_from(master, "i", "p", 1, "00ff")
    message = b"jackpotd secret 1\0i\0p\x001\x0000ff"
    assert hmac.new(master, message, "sha256").digest() == own
    assert len(own) == SECRET_BYTES
    others = [
        secret_from(bytes(32), "i", "p", 1, "00ff"),
        secret_from(master, "j", "p", 1, "00ff"),
        secret_from(master, "i", "q", 1, "00ff"),
        secret_from(master, "i", "p", 2, "00ff"),
        secret_from(master, "i", "p", 1, "00fe"),
    ]
    assert len({own, *others}) == 6


def test_draws_are_the_words_of_the_stream() -> None:
    """Draw n is word n mod 256 of block n // 256, big-endian, of SHAKE-256 over mark, secret, label and block."""
    own = secret("draws")
    for point, number in [(0, 0), (0, 255), (0, 256), (3, 1_000), (7, 10**12)]:
        block, word = divmod(number, DRAWS_AT_ONCE)
        start = b"jackpotd stream 1\0" + own + f"hit {point}".encode() + b"\0"
        data = hashlib.shake_256(start + block.to_bytes(8, "big")).digest(2_048)
        expected = int.from_bytes(data[8 * word : 8 * word + 8], "big")
        assert expected == PotStream(own).draw(point, number)


def test_draws_stay_where_they_are_whatever_was_asked_before() -> None:
    """Asked for in any order, again, or by a stream that has just been made: the same number at the same place."""
    own = secret("order")
    places = [(point, number) for point in (2, 0, 1) for number in (700, 0, 256, 255, 3, 700)]
    one = PotStream(own)
    forth = {place: one.draw(*place) for place in places}
    back = {place: one.draw(*place) for place in reversed(places)}
    fresh = {place: PotStream(own).draw(*place) for place in places}
    assert forth == back
    assert forth == fresh


def test_hidden_values_and_instants_are_kept_within_their_bounds() -> None:
    """A value is in [low, high], an instant in [low, end); a range of one has no choice; asking changes nothing."""
    found = PotStream(secret("hidden"))
    values = {found.hidden_value(point, 10, 12) for point in range(100)}
    assert values == {10, 11, 12}
    instants = {found.instant_ms(0, window, 1_000, 1_003) for window in range(100)}
    assert instants == {1_000, 1_001, 1_002}
    assert found.hidden_value(0, 7, 7) == 7
    assert found.instant_ms(1, 5, 99, 100) == 99
    again = [found.hidden_value(3, 0, 10**15) for _ in range(3)]
    assert len(set(again)) == 1


def test_hidden_values_differ_by_point_and_instants_by_window() -> None:
    """Each has a label of its own, so nothing of one tells another."""
    found = PotStream(secret("labels"))
    wide = 1 << 62
    seen = [found.hidden_value(point, 0, wide) for point in range(300)]
    seen += [found.instant_ms(0, window, 0, wide) for window in range(-300, 300)]
    seen += [found.uniform("lot 0", number, wide) for number in range(300)]
    seen += [found.uniform("lot 1", number, wide) for number in range(300)]
    seen += [found.uniform("active 0", number, wide) for number in range(300)]
    assert len(seen) == len(set(seen))
    assert seen[:300] == [found.hidden_value(point, 0, wide) for point in range(300)]


# Scaling (R-RNG-2).


@pytest.mark.parametrize(
    ("bits", "bound", "leftover"), [(52, 6, 4), (32, 10, 6), (64, 10**6, 551_616)]
)
def test_r_rng_2_leftover_words_are_discarded(bits: int, bound: int, leftover: int) -> None:
    """The words that would favour the small numbers are refused, all of them, and no other."""
    whole = 1 << bits
    assert leftover == whole % bound
    first_refused = whole - leftover
    assert bound - 1 == scaled(first_refused - 1, bound, bits)
    assert scaled(0, bound, bits) == 0
    refused = [scaled(word, bound, bits) for word in range(first_refused, first_refused + 4)]
    assert [None] * 4 == refused
    assert scaled(whole - 1, bound, bits) is None


@pytest.mark.parametrize("bound", [1, 2, 3, 6, 10, 100, 255, 256, 257, 1_000, 1_024])
def test_r_rng_2_every_outcome_has_equally_many_words(bound: int) -> None:
    """Counted over all words of 10 bits: equal for every outcome, and all can be reached."""
    counts = Counter(scaled(word, bound, 10) for word in range(1 << 10))
    leftover = counts.pop(None, 0)
    assert (1 << 10) % bound == leftover
    assert dict.fromkeys(range(bound), (1 << 10) // bound) == counts


def test_r_rng_2_uniform_takes_the_first_word_that_is_no_leftover() -> None:
    """With a bound that refuses nearly every second word, so that many need a second block."""
    own, bound, blocks = secret("rejection"), (1 << 127) + 1, []
    found = PotStream(own)
    for number in range(2_000):
        block = 0
        expected = None
        while expected is None:
            data = stream(own, f"lot 0 {number}", block, 128)
            words = [int.from_bytes(data[at : at + 16], "big") for at in range(0, 128, 16)]
            expected = next((word for word in words if word < bound), None)
            block += 1
        blocks.append(block)
        assert expected == found.uniform("lot 0", number, bound)
    assert {1, 2} <= set(blocks)


# Statistics of the final outcomes (R-RNG-1).


@pytest.mark.parametrize("df", sorted(CHI_SQUARE_99))
def test_r_rng_1_uniform_total_distribution(df: int) -> None:
    """Chi-square of integers below df + 1, on four secrets."""
    for name in ("north", "east", "south", "west"):
        found = PotStream(secret(f"uniform {name}"))
        values = [found.uniform("lot 0", number, df + 1) for number in range(20_000)]
        assert spread(values, df + 1) < CHI_SQUARE_99[df]


def test_r_rng_1_uniform_is_not_too_even_either() -> None:
    """Of many secrets as many lie beyond the two-sided limits of 99 % as should, for a die."""
    statistics = []
    for name in range(400):
        found = PotStream(secret(f"die {name}"))
        statistics.append(spread([found.uniform("lot 0", at, 6) for at in range(300)], 6))
    outside = sum(not 0.41174 <= value <= 16.74960 for value in statistics)
    above = sum(value > CHI_SQUARE_99[5] for value in statistics)
    assert outside <= 9  # 4 are expected; more than 9 come once in 120 such tests
    assert above <= 9
    mean, error = sum(statistics) / 400, math.sqrt(2 * 5 / 400)
    assert abs(mean - 5) < 3 * error


@pytest.mark.parametrize("shift", [0, 24, 56])
def test_r_rng_1_draws_total_distribution_of_each_byte(shift: int) -> None:
    """The lowest, a middle and the highest byte of the draws."""
    values = [number >> shift & 255 for number in numbers("bytes")]
    assert spread(values, 256) < CHI_SQUARE_99[255]


@pytest.mark.parametrize("share", [2, 50, 1_000])
def test_r_rng_1_share_of_draws_below_a_threshold(share: int) -> None:
    """One in N, within three standard errors."""
    count = sum(number < (1 << 64) // share for number in numbers("threshold"))
    expected = DRAWS / share
    assert abs(count - expected) < 3 * math.sqrt(expected * (1 - 1 / share))


def test_r_rng_1_overlaps() -> None:
    """Pairs of neighbours, overlapping, as a chi-square of 256 cells less that of 16."""
    values = [number >> 60 for number in numbers("overlaps")]
    pairs = [16 * one + other for one, other in zip(values, [*values[1:], values[0]], strict=True)]
    assert spread(pairs, 256) - spread(values, 16) < 293.89  # df 240


def test_r_rng_1_runs() -> None:
    """Runs above and below the middle (Wald and Wolfowitz)."""
    above = [number >> 63 for number in numbers("runs")]
    ones = sum(above)
    zeros = len(above) - ones
    runs = 1 + sum(one != other for one, other in pairwise(above))
    mean = 2 * ones * zeros / DRAWS + 1
    variance = (mean - 1) * (mean - 2) / (DRAWS - 1)
    assert abs(runs - mean) / math.sqrt(variance) < Z_99


@pytest.mark.parametrize("lag", [1, 2, 7, 255, 256, 257])
def test_r_rng_1_serial_correlation(lag: int) -> None:
    """Of draws that are so far apart, among them neighbours across a block's border."""
    values = [number / 2**64 - 0.5 for number in numbers("serial")]
    products = [one * other for one, other in zip(values, values[lag:], strict=False)]
    assert abs(sum(products)) / (math.sqrt(len(products)) / 12) < Z_99


@pytest.mark.parametrize(
    ("one", "other"), [(("interplay", 0), ("interplay", 1)), (("interplay", 0), ("other pot", 0))]
)
def test_r_rng_1_interplay_correlation(one: tuple[str, int], other: tuple[str, int]) -> None:
    """Between the tipping points of a pot, and between pots, at the same contribution."""
    left = [number / 2**64 - 0.5 for number in numbers(one[0], point=one[1])]
    right = [number / 2**64 - 0.5 for number in numbers(other[0], point=other[1])]
    product = sum(a * b for a, b in zip(left, right, strict=True))
    assert abs(product) / (math.sqrt(DRAWS) / 12) < Z_99


def test_r_rng_1_coupon_collector() -> None:
    """How many draws it takes to have seen ten outcomes: the mean is within the error of the mean."""
    found = PotStream(secret("coupons"))
    lengths, seen, start = [], set[int](), 0
    for at in range(30_000):
        seen.add(found.uniform("lot 0", at, 10))
        if len(seen) == 10:
            lengths.append(at + 1 - start)
            seen, start = set(), at + 1
    mean = 10 * sum(1 / k for k in range(1, 11))
    variance = 100 * sum(1 / k**2 for k in range(1, 11)) - mean
    assert abs(sum(lengths) / len(lengths) - mean) / math.sqrt(variance / len(lengths)) < Z_99


def test_r_rng_1_duplicates() -> None:
    """None among whole draws; among their upper 31 bits as many as chance says: one, give or take."""
    values = numbers("duplicates")
    assert DRAWS == len(set(values))
    expected = DRAWS * (DRAWS - 1) / 2 / 2**31
    duplicates = DRAWS - len({number >> 33 for number in values})
    assert abs(duplicates - expected) < Z_99 * math.sqrt(expected)


def test_r_rng_4_streams_do_not_cycle_and_are_not_synchronised() -> None:
    """Pots, cycles and tipping points share no draw, and no block comes again later."""
    values = [number for name in range(20) for number in numbers(f"pot {name}", 512)]
    values += [number for point in range(1, 9) for number in numbers("pot 0", 512, point)]
    far = PotStream(secret("pot 0"))
    values += [far.draw(0, (1 << 40) + number) for number in range(512)]
    assert len(values) == len(set(values))
