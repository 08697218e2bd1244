"""Random templates as an operator could write them (contract §9): every feature of this version, wins made frequent.

The generator asks a `random.Random` for each choice, so a seed is a case and hypothesis can drive it too
(`strategies.randoms`). Amounts are texts: exact for the oracle and accepted by the server.
"""

import random
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec

from jackpotd.core.money import units_from_decimal
from jackpotd.core.rules import Rules
from jackpotd.wire.catalog_records import compile_document

Json = dict[str, Any]

# Units of each currency for one of the brand's base currency; minor units of 0, 2, 3 and 4 digits.
MULTIPLIERS = {
    "EUR": "1",
    "USD": "1.0762",
    "GBP": "0.8592",
    "SEK": "11.6761",
    "JPY": "162.35",
    "KWD": "0.33",
    "VND": "27891.33333333",
    "CLF": "0.02671",
    "XAU": "0.00043217",
}
_JACKPOT_CURRENCIES = ("EUR", "EUR", "USD", "JPY", "KWD")
_STEPS = (10, 100, 10_000, 10**8)  # how finely an operator divides


def rates(multipliers: dict[str, str] = MULTIPLIERS) -> dict[str, int]:
    """Multipliers in units, as a command carries them."""
    return {code: units_from_decimal(Decimal(text)) for code, text in multipliers.items()}


def encoded(template: Json) -> bytes:
    """The template as a client sends it."""
    return msgspec.json.encode(template)


def compiled(template: Json) -> Rules:
    """The core's rules of a template."""
    return compile_document(encoded(template), [])


def random_template(rng: random.Random, brands: Sequence[str] = ("op:a",)) -> Json:
    """A template that can be published."""
    currency = rng.choice(_JACKPOT_CURRENCIES)
    count = rng.choice((1, 1, 2, 2, 3, 4))
    operator_share = rng.choice(("0", "0", "0", "1", "0.5", "0.33333333"))
    house, *shares = _shares(rng, count)
    pots = [
        _pot(rng, f"pot{index}", share, is_free=operator_share == "1")
        for index, share in enumerate(shares)
    ]
    return {
        "name": "random",
        "owner_id": "op",
        "currency": currency,
        "jackpot_type": "Jackpot",
        "allowed_brands": list(brands),
        "contribution_rules": {
            "opt_in_required": rng.random() < 0.3,
            "contribution_type": _contribution_type(rng),
            "currency_values": _currency_values(rng, currency),
            "operator_contribution_percentage": operator_share,
        },
        "house_hold_contribution": {"Percentage": house},
        "win_selector_strategy": rng.choice(("Highest", "Lowest", "All")),
        "pots": pots,
    }


def _shares(rng: random.Random, pots: int) -> list[str]:
    """House and pots, exactly 1 together; every pot has something, the house may have nothing."""
    step = rng.choice(_STEPS)
    cuts = sorted(rng.sample(range(1, step), pots))
    edges = [0, *cuts, step]
    parts = [upper - lower for lower, upper in pairwise(edges)]
    if rng.random() < 0.2:
        parts[1], parts[0] = parts[1] + parts[0], 0
    return [f"{Decimal(part) / step:f}" for part in parts]


def _fraction(rng: random.Random) -> str:
    step = rng.choice(_STEPS)
    return f"{Decimal(rng.randint(0, step)) / step:f}"


def _contribution_type(rng: random.Random) -> Json:
    return rng.choice(
        (
            {"Fixed": rng.choice(("0.1", "0.33333333", "2", "0.00000007"))},
            {"Percentage": rng.choice(("0.0775", "1", "0.01", "0.33333333"))},
            {"Variable": {"min": "0.1", "max": "5", "default": rng.choice(("0.1", "1.25"))}},
        )
    )


def _currency_values(rng: random.Random, own: str) -> Json:
    listed = {
        "JPY": {"min": "10", "max": "500", "default": "10"},
        "USD": {"min": "0.15", "max": "7.77777777", "default": "0.2"},
        "KWD": {"min": "0", "max": "1", "default": "0.033"},
    }
    chosen = {code: values for code, values in listed.items() if rng.random() < 0.4}
    chosen.pop(own, None)
    return chosen


def _pot(rng: random.Random, pot_id: str, share: str, *, is_free: bool) -> Json:
    return {
        "id": pot_id,
        "is_progressive": rng.random() < 0.85,
        "contribution": {"Percentage": share},
        "seed_contribution": {"Percentage": rng.choice(("0", "0.85", "1", _fraction(rng)))},
        "seed_strategy": {
            "initial_seed_value": rng.choice(("0", "10", "0.01", "3.33333333")),
            "min_reseed_value": rng.choice(("0", "0.05", "1", "10", "0.33333333")),
            "fund_strategy": rng.choice(("CollectToMinReseed", "CollectAlways")),
            "reseed_strategy": rng.choice(("Full", "WholeReserve")),
        },
        "max_instantiation_count": rng.choice((None, None, 1, 2, 3)),
        "pot_types": [_hit_rate(rng, is_free=is_free) for _ in range(rng.choice((1, 1, 2, 3)))],
    }


def _hit_rate(rng: random.Random, *, is_free: bool) -> Json:
    costs = ("0.1", "0.1", "0.01", "2.5", "0.03333333") + (("0",) if is_free else ())
    return {
        "HitRate": {
            "max_magic_number": rng.choice((1, 2, 5, 50, 10_000, 10**15)),
            "cost_per_attempt": rng.choice(costs),
        }
    }
