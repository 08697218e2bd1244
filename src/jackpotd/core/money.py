"""Money as integers at one fixed scale: 1e-8 of a currency unit, bound ±9e10 (contract §3).

Every amount inside the program is an `int` of such units. Decimals exist only at the edges: `units_from_decimal` reads
them, `decimal_text` writes them. Floats never touch an amount.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal

SCALE = 100_000_000
UNITS_MAX = 9 * 10**10 * SCALE
DIGITS_MAX = 34
EXPONENT_MAX = 20

_SCALE_DIGITS = 8
_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN, Emax=10_000, Emin=-10_000)
_QUANTUM = Decimal(1).scaleb(-_SCALE_DIGITS)

# ISO 4217 minor units that are not 2.
_MINOR_DIGITS = {
    **dict.fromkeys(
        (
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


class AmountError(ValueError):
    """A number that cannot be an amount of money; the message completes "base_wager …"."""


def units_from_decimal(value: Decimal) -> int:
    """The amount in units, rounded half-even to the scale.

    Clients send doubles, so `0.30000000000000004` is 0.3. The size is checked before any conversion: a number of two
    characters such as `1e1000000` costs nothing.

    Raises:
        AmountError: not finite, too many digits, an exponent beyond ±20, or beyond the bound.
    """
    if not value.is_finite():
        raise AmountError("must be a finite number")
    if abs(value.adjusted()) > EXPONENT_MAX:
        raise AmountError(f"has an exponent beyond ±{EXPONENT_MAX}")
    if len(value.as_tuple().digits) > DIGITS_MAX:
        raise AmountError(f"has more than {DIGITS_MAX} digits")
    units = int(value.quantize(_QUANTUM, context=_EXACT).scaleb(_SCALE_DIGITS, context=_EXACT))
    if abs(units) > UNITS_MAX:
        raise AmountError(f"is beyond the bound of ±{UNITS_MAX // SCALE}")
    return units


def decimal_text(units: int) -> str:
    """The exact decimal, always with a fraction: `0.0`, `100.2175`, `-3.00000001`."""
    sign = "-" if units < 0 else ""
    whole, fraction = divmod(abs(units), SCALE)
    if not fraction:
        return f"{sign}{whole}.0"
    return f"{sign}{whole}.{fraction:08d}".rstrip("0")


def divide_half_even(numerator: int, denominator: int) -> int:
    """The quotient rounded to the nearest integer, ties to even; `denominator` is positive."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient


def convert(units: int, from_rate: int, to_rate: int) -> int:
    """An amount in another currency; rates are the multipliers of both to one base currency."""
    if from_rate == to_rate:
        return units
    return divide_half_even(units * to_rate, from_rate)


def minor_step(currency: str) -> int:
    """Units in the smallest payable amount of a currency: 1_000_000 for EUR (a cent)."""
    return int(10 ** (_SCALE_DIGITS - _MINOR_DIGITS.get(currency, 2)))
