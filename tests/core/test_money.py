"""Money: what comes in is rounded half-even to 1e-8 within bounds, what goes out is exact."""

import time
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackpotd.core import money
from jackpotd.core.money import (
    SCALE,
    UNITS_MAX,
    AmountError,
    convert,
    decimal_text,
    divide_half_even,
    minor_step,
    units_from_decimal,
)
from jackpotd.testing.reference_model import minor_units_per_one

ci = settings(derandomize=True, deadline=None, max_examples=300)
UNITS = st.integers(-UNITS_MAX, UNITS_MAX)


@ci
@given(UNITS)
def test_money_of_any_size_survives_being_written_and_read(units: int) -> None:
    """Every amount is written as an exact decimal with a fraction, and read back unchanged."""
    text = decimal_text(units)

    assert units == units_from_decimal(Decimal(text))
    assert Fraction(units, SCALE) == Fraction(text)
    assert "." in text
    assert "E" not in text.upper()
    assert text.endswith(".0") or not text.endswith("0")


@ci
@given(st.integers(-9 * 10**15, 9 * 10**15), st.integers(-20, -5))
def test_money_finer_than_the_scale_is_rounded_half_even(digits: int, exponent: int) -> None:
    """What comes in is rounded to 1e-8, ties to even, exactly as a fraction of it is."""
    value = Decimal(digits).scaleb(exponent)
    with localcontext(prec=60) as context:
        context.rounding = ROUND_HALF_EVEN
        expected = int((value * SCALE).to_integral_value())

    assert expected == units_from_decimal(value)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("0", 0),
        ("-0", 0),
        ("0.30000000000000004", 30_000_000),
        ("0.1000000000000000055511151231257827", 10_000_000),
        ("0.000000005", 0),
        ("0.000000015", 2),
        ("-0.000000015", -2),
        ("1e-20", 0),
        ("90000000000", UNITS_MAX),
        ("90000000000.000000004", UNITS_MAX),
        ("9e10", UNITS_MAX),
        ("-9e10", -UNITS_MAX),
        ("1.2345678901234567890123456789012345"[:35], 123_456_789),
    ],
)
def test_money_that_clients_send_has_the_nearest_units(text: str, units: int) -> None:
    """Doubles with noise, ties, the bounds and 34 digits are read as the contract says."""
    assert units == units_from_decimal(Decimal(text))


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "90000000000.00000001",
        "-90000000000.00000001",
        "1e11",
        "1e21",
        "1e-21",
        "1e1000000",
        "-1e-1000000",
        "0.12345678901234567890123456789012345",
    ],
)
def test_money_that_cannot_be_is_refused(text: str) -> None:
    """Not finite, beyond the bound, an exponent beyond ±20, or more than 34 digits: an error in words."""
    with pytest.raises(AmountError):
        units_from_decimal(Decimal(text))


def test_money_with_a_huge_exponent_costs_nothing() -> None:
    """A number of nine characters is refused before it is expanded to a million digits."""
    value = Decimal("1e1000000")
    started = time.perf_counter()
    for _ in range(1_000):
        with pytest.raises(AmountError):
            units_from_decimal(value)

    assert time.perf_counter() - started < 1.0


@ci
@given(st.integers(-(10**30), 10**30), st.integers(1, 10**12))
def test_money_divides_to_the_nearest_even_unit(numerator: int, denominator: int) -> None:
    """Division by a rate rounds as a fraction does."""
    assert round(Fraction(numerator, denominator)) == divide_half_even(numerator, denominator)


@ci
@given(UNITS, st.integers(1, 10**14), st.integers(1, 10**14))
def test_money_converted_is_the_nearest_unit_of_the_exact_amount(
    units: int, source: int, target: int
) -> None:
    """A conversion is exact but for one rounding, and none between equal rates."""
    assert round(Fraction(units * target, source)) == convert(units, source, target)
    assert units == convert(units, source, source)


def test_money_has_the_minor_units_of_iso_4217() -> None:
    """A cent of EUR, a yen, a fils and a ten-thousandth of an unidad de fomento; the same list as the oracle's."""
    listed = set(money._MINOR_DIGITS) | {"EUR", "USD", "SEK"}

    assert (1_000_000, SCALE, 100_000, 10_000) == tuple(
        minor_step(code) for code in ("EUR", "JPY", "KWD", "CLF")
    )
    for code in listed:
        assert SCALE == minor_step(code) * minor_units_per_one(code)
