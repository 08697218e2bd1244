"""Random templates as an operator could write them (contract §9): every feature of this version, wins made frequent.

The generator asks a `random.Random` for each choice, so a seed is a case and hypothesis can drive it too
(`strategies.randoms`). Amounts are texts: exact for the oracle and accepted by the server. Without features a template
has plain HitRate pots, the same for a seed whatever features there are.
"""

import random
from collections.abc import Collection, Sequence
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Any

import msgspec

from jackpotd.core.money import units_from_decimal
from jackpotd.core.rules import Rules
from jackpotd.core.schedule import Schedule
from jackpotd.wire import codec
from jackpotd.wire.schedule import ScheduleDoc, compile_schedule
from jackpotd.wire.template import DECODER, compile_rules

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
_SCHEDULE = msgspec.json.Decoder(ScheduleDoc)
_TINY = "0.00000007"
_STEPS = (10, 100, 10_000, 10**8)  # how finely an operator divides


def rates(multipliers: dict[str, str] = MULTIPLIERS) -> dict[str, int]:
    """Multipliers in units, as a command carries them."""
    return {code: units_from_decimal(Decimal(text)) for code, text in multipliers.items()}


def encoded(template: Json) -> bytes:
    """The template as a client sends it."""
    return msgspec.json.encode(template)


def compiled(template: Json) -> Rules:
    """The core's rules of a template, checked as the server checks it."""
    return compile_rules(codec.decode(DECODER, encoded(template)), [])


def compiled_schedule(document: Json | None) -> Schedule | None:
    """The core's schedule of a document, checked as the server checks it."""
    if document is None:
        return None
    return compile_schedule(codec.decode(_SCHEDULE, encoded(document)))


class Feature(StrEnum):
    """What a random template may have beyond plain pots."""

    VALUE = "Value"
    TIME = "Time"
    DRAW = "DrawAmongContributors"
    CEILING = "max_pot_value"
    FUNDED = "open_when_funded"
    TRIGGER = "supports_external_trigger"
    CRITERIA = "criteria"
    COMMUNITY = "community_payout"
    WITHHOLD = "withhold_wins_above"
    ZERO = "contributions of 0, where the operator pays"


EVERYTHING = frozenset(Feature)


def random_template(
    rng: random.Random,
    brands: Sequence[str] = ("op:a",),
    features: Collection[Feature] = (),
) -> Json:
    """A template that can be published; it may use these features, not every one of them in every template."""
    template = _plain_template(rng, brands)
    if features:
        _add_features(rng, template, features)
    return template


def _plain_template(rng: random.Random, brands: Sequence[str]) -> Json:
    currency = rng.choice(_JACKPOT_CURRENCIES)
    count = rng.choice((1, 1, 2, 2, 3, 4))
    operator_share = rng.choice(("0", "0", "0", "1", "0.5", "0.33333333"))
    house, *shares = _shares(rng, count)
    pots = [
        _pot(rng, f"pot{index}", share, is_free=operator_share == "1")
        for index, share in enumerate(shares)
    ]
    template: Json = {
        "name": "random",
        "owner_id": "op",
        "currency": currency,
        "jackpot_type": "Jackpot",
        "allowed_brands": list(brands),
        "contribution_rules": {
            "opt_in_required": rng.random() < 0.3,
            "contribution_type": _contribution_type(rng),
            "currency_values": _currency_values(rng, currency, is_free=operator_share == "1"),
            "operator_contribution_percentage": operator_share,
        },
        "house_hold_contribution": {"Percentage": house},
        "win_selector_strategy": rng.choice(("Highest", "Lowest", "All")),
        "pots": pots,
    }
    _make_reachable(template)
    return template


def _make_reachable(template: Json) -> None:
    """One in a million of millions is out of reach of the smallest fixed contribution."""
    if template["contribution_rules"]["contribution_type"] != {"Fixed": _TINY}:
        return
    for pot in template["pots"]:
        for tagged in pot["pot_types"]:
            hit_rate = tagged["HitRate"]
            hit_rate["max_magic_number"] = min(hit_rate["max_magic_number"], 10_000)


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
            {"Fixed": rng.choice(("0.1", "0.33333333", "2", _TINY))},
            {"Percentage": rng.choice(("0.0775", "1", "0.01", "0.33333333"))},
            {"Variable": {"min": "0.1", "max": "5", "default": rng.choice(("0.1", "1.25"))}},
        )
    )


def _currency_values(rng: random.Random, own: str, *, is_free: bool) -> Json:
    listed = {
        "JPY": {"min": "10", "max": "500", "default": "10"},
        "USD": {"min": "0.15", "max": "7.77777777", "default": "0.2"},
        "KWD": {"min": "0" if is_free else "0.001", "max": "1", "default": "0.033"},
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


def _add_features(rng: random.Random, template: Json, features: Collection[Feature]) -> None:
    if Feature.WITHHOLD in features and rng.random() < 0.3:
        template["withhold_wins_above"] = rng.choice(("0", "0.5", "5", "12", "100"))
    for pot in template["pots"]:
        if Feature.FUNDED in features:
            pot["seed_strategy"]["open_when_funded"] = rng.random() < 0.2
        if Feature.CRITERIA in features and rng.random() < 0.3:
            pot["criteria"] = _criteria(rng)
        if Feature.COMMUNITY in features and rng.random() < 0.4:
            pot["community_payout"] = _community(rng)
        if Feature.TIME in features and rng.random() < 0.4:
            pot["pot_types"] += [_time(rng, features) for _ in range(rng.choice((1, 1, 2)))]
        if Feature.VALUE in features and rng.random() < 0.4:
            _add_values(rng, pot)
        if Feature.CEILING in features and rng.random() < 0.3:
            pot["max_pot_value"] = _ceiling(rng, pot)
        if Feature.TRIGGER in features:
            pot["supports_external_trigger"] = rng.random() < 0.3
            if pot["supports_external_trigger"] and rng.random() < 0.3:
                pot["pot_types"] = []
        rng.shuffle(pot["pot_types"])
    _settle_zeros(rng, template, features)


def _criteria(rng: random.Random) -> Json:
    return {
        "min_base_wager": rng.choice((None, None, "0", "0.5", "1", "25")),
        "segments": rng.choice((None, None, ["vip"], ["vip", "new"])),
        "currencies": rng.choice((None, None, ["EUR", "USD"], ["JPY", "KWD", "SEK"])),
    }


def _community(rng: random.Random) -> Json:
    shares = [rng.choice((100, 200, 333, 125)) for _ in range(rng.choice((1, 1, 2, 3, 4)))]
    # All together at most nine tenths, so that a winner's own part is left.
    scale = max(1, -(-sum(shares) // 900))
    strategies = [_strategy(rng, Decimal(share) / (1000 * scale)) for share in shares]
    total = sum(
        Decimal(content["share"]) for strategy in strategies for content in strategy.values()
    )
    return {"share": f"{total:f}", "strategies": strategies}


def _strategy(rng: random.Random, share: Decimal) -> Json:
    content: Json = {"share": f"{share:.8f}", "winners": rng.choice((1, 1, 2, 3, 10))}
    kind = rng.choice(
        ("ActivePlayers", "HighestContributionPerWin", "HighestLifetimeContributor"),
    )
    if kind == "ActivePlayers":
        content["within_hours"] = rng.choice((1, 24, 8760))
    return {kind: content}


def _time(rng: random.Random, features: Collection[Feature]) -> Json:
    fallbacks = ("RollOver", *(("DrawAmongContributors",) if Feature.DRAW in features else ()))
    every = rng.choice(({"Seconds": 60}, {"Minutes": 2}, {"Hours": 1}, {"Days": 1}, {"Weeks": 1}))
    return {
        "Time": {
            "every": every,
            "window_start": rng.choice((0, 17, 1_700_000_000_000)),
            "fallback": rng.choice(fallbacks),
        }
    }


def _add_values(rng: random.Random, pot: Json) -> None:
    """Hidden values that the pot's seeds do not reach, and its growth does."""
    pot["is_progressive"] = True
    if pot["seed_contribution"] == {"Percentage": "1"}:
        pot["seed_strategy"]["fund_strategy"] = "CollectToMinReseed"
    for _ in range(rng.choice((1, 1, 2))):
        low = max(_highest_seed(pot), Decimal("0.00000001")) + Decimal(rng.choice(("0", "0.3")))
        high = low + Decimal(rng.choice(("0.00000001", "0.5", "5", "60")))
        pot["pot_types"].append({"Value": {"min": f"{low:f}", "max": f"{high:f}"}})


def _highest_seed(pot: Json) -> Decimal:
    seeds = pot["seed_strategy"]
    return max(Decimal(seeds["initial_seed_value"]), Decimal(seeds["min_reseed_value"]))


def _ceiling(rng: random.Random, pot: Json) -> str:
    highest = [Decimal(tagged["Value"]["max"]) for tagged in pot["pot_types"] if "Value" in tagged]
    lowest = max(_highest_seed(pot), *highest, Decimal(0))
    return f"{lowest + Decimal(rng.choice(('0.00000001', '0.05', '1', '40'))):f}"


def _settle_zeros(rng: random.Random, template: Json, features: Collection[Feature]) -> None:
    """Contributions of 0 where they may be; none where a pot tips by Value."""
    rules = template["contribution_rules"]
    points = [tagged for pot in template["pots"] for tagged in pot["pot_types"]]
    if any("Value" in tagged for tagged in points):
        for values in rules["currency_values"].values():
            values["min"] = values["min"] if values["min"] != "0" else "0.001"
        for tagged in points:
            if "HitRate" in tagged and tagged["HitRate"]["cost_per_attempt"] == "0":
                tagged["HitRate"]["cost_per_attempt"] = "0.1"
        return
    is_free = rules["operator_contribution_percentage"] == "1"
    if not is_free or Feature.ZERO not in features or rng.random() < 0.5:
        return
    choice = {"min": "0", "max": rng.choice(("0", "5")), "default": "0"}
    rules["contribution_type"] = rng.choice(({"Fixed": "0"}, {"Variable": choice}))
    rules["currency_values"] = {}
    for tagged in points:
        if "HitRate" in tagged:
            tagged["HitRate"]["cost_per_attempt"] = "0"
        elif "Time" in tagged:
            tagged["Time"]["fallback"] = "RollOver"
