"""Who plays: how many players in which groups, what they wager in which currencies, and how often.

A population is stated by a few flags, or whole in a TOML file:

    rate = 2.5                        # contributions per second, as a Poisson process
    [currencies]                      # multipliers; the template's currency must be among them
    EUR = 1
    SEK = 11.6761
    [[groups]]                        # without groups: players and stake stand at the top
    name = "regulars"
    weight = 0.9                      # their share of all contributions
    players = 950
    stake = "lognormal:0.5:0.9"
    currency = "SEK"
    activity = 1.1                    # exponent of Zipf's law; 0, the default: all alike
    country = "SE"
    segments = ["vip"]
    vertical = "casino"
    contribution = 0.5                # what they prefer where a contribution is variable
"""

import math
import tomllib
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from jackpotd.core.money import SCALE, AmountError, units_from_decimal
from jackpotd.core.rules import Rules, Variable
from jackpotd.simulation import stakes
from jackpotd.simulation.stakes import Stakes, StakesError
from jackpotd.wire.codec import located

PLAYERS_DEFAULT = 1000
PLAYERS_MAX = 10_000_000
GROUPS_MAX = 100
RATE_DEFAULT = 1.0
RATE_MAX = 1_000_000.0
ACTIVITY_MAX = 3.0


class PopulationError(ValueError):
    """A population that cannot be; the message says which part, and why."""


class Group(Struct, frozen=True, kw_only=True):
    """Players who are alike; `weight` is their share of all contributions, relative to the other groups'."""

    name: str
    currency: str
    stake: Stakes
    stake_text: str
    players: int = PLAYERS_DEFAULT
    weight: float = 1.0
    activity: float = 0.0
    country: str | None = None
    segments: tuple[str, ...] | None = None
    vertical: str | None = None
    contribution: int | None = None


class Population(Struct, frozen=True, kw_only=True):
    """All who play: their groups, multipliers in units by currency, and contributions per second."""

    groups: tuple[Group, ...]
    rates: dict[str, int]
    per_second: float

    @property
    def players(self) -> int:
        return sum(group.players for group in self.groups)


def from_flags(
    currency: str,
    *,
    stake: str = "1",
    players: int = PLAYERS_DEFAULT,
    per_second: float = RATE_DEFAULT,
    currencies: str | None = None,
) -> Population:
    """The population that flags say: equal groups, one for each currency.

    Raises:
        PopulationError: it cannot be.
    """
    rates = {currency: SCALE} if currencies is None else _rates_of(currencies)
    distribution = _stakes(stake, "--stake")
    if len(rates) > players:
        raise PopulationError(f"--players {players} are too few for {len(rates)} currencies")
    base, extra = divmod(players, len(rates))
    groups = tuple(
        Group(
            name=code,
            currency=code,
            stake=distribution,
            stake_text=stake,
            players=base + (at < extra),
        )
        for at, code in enumerate(rates)
    )
    return _checked(Population(groups=groups, rates=rates, per_second=per_second), currency)


def _stakes(text: str, where: str) -> Stakes:
    try:
        return stakes.parse(text)
    except StakesError as error:
        raise PopulationError(f"{where}: {error}") from None


def _rates_of(text: str) -> dict[str, int]:
    pairs = [pair.partition("=") for pair in text.split(",")]
    if any(not equals for _, equals, _ in pairs):
        raise PopulationError("--currency needs CODE=MULTIPLIER,CODE=MULTIPLIER,…")
    found: dict[str, int] = {}
    for text_of_code, _, multiplier in pairs:
        code = text_of_code.strip()
        if code in found:
            raise PopulationError(f"--currency: {code} stands there twice")
        try:
            found[code] = _multiplier(Decimal(multiplier), code)
        except ArithmeticError:
            raise PopulationError(f"--currency: {code}={multiplier} is not a number") from None
    return found


def _multiplier(value: Decimal, code: str) -> int:
    try:
        units = units_from_decimal(value)
    except AmountError as error:
        raise PopulationError(f"the multiplier of {code} {error}") from None
    if units <= 0:
        raise PopulationError(f"the multiplier of {code} must be above 0")
    return units


class _GroupDoc(Struct, forbid_unknown_fields=True):
    name: str | None = None
    weight: float = 1.0
    players: int = PLAYERS_DEFAULT
    stake: str | float = 1
    currency: str | None = None
    activity: float = 0.0
    country: str | None = None
    segments: tuple[str, ...] | None = None
    vertical: str | None = None
    contribution: float | None = None


class _PopulationDoc(Struct, forbid_unknown_fields=True):
    rate: float = RATE_DEFAULT
    currencies: dict[str, float] = {}
    groups: list[_GroupDoc] | None = None
    players: int | None = None
    stake: str | float | None = None


def from_toml(text: str, currency: str) -> Population:
    """The population that a file states, for a template in this currency.

    Raises:
        PopulationError: it is no TOML, a field is wrong (with its path), or the whole cannot be.
    """
    try:
        document = msgspec.convert(tomllib.loads(text), _PopulationDoc)
    except tomllib.TOMLDecodeError as error:
        raise PopulationError(f"is no TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise PopulationError(" ".join(located(error))) from None
    rates = {code: _multiplier(_exact(each), code) for code, each in document.currencies.items()}
    rates = rates or {currency: SCALE}
    docs = document.groups
    if docs is None:
        docs = [
            _GroupDoc(
                players=document.players or PLAYERS_DEFAULT,
                stake=1 if document.stake is None else document.stake,
            )
        ]
    elif document.players is not None or document.stake is not None:
        raise PopulationError("players and stake belong into the groups where there are groups")
    groups = tuple(_group(doc, at, currency) for at, doc in enumerate(docs))
    people = Population(groups=groups, rates=rates, per_second=document.rate)
    return _checked(people, currency)


def _exact(value: float) -> Decimal:
    """The number as it was written: the shortest that is this float."""
    return Decimal(str(value))


def _group(doc: _GroupDoc, at: int, currency: str) -> Group:
    where = f"$.groups[{at}]"
    stake = doc.stake if isinstance(doc.stake, str) else f"{_exact(doc.stake):f}"
    try:
        preferred = (
            None if doc.contribution is None else units_from_decimal(_exact(doc.contribution))
        )
    except AmountError as error:
        raise PopulationError(f"{where}.contribution {error}") from None
    return Group(
        name=doc.name or f"group {at + 1}",
        currency=doc.currency or currency,
        stake=_stakes(stake, f"{where}.stake"),
        stake_text=stake,
        players=doc.players,
        weight=doc.weight,
        activity=doc.activity,
        country=doc.country,
        segments=doc.segments,
        vertical=doc.vertical,
        contribution=preferred,
    )


def _checked(population: Population, currency: str) -> Population:
    if currency not in population.rates:
        raise PopulationError(f"the template's currency {currency} has no multiplier")
    if not 1 <= len(population.groups) <= GROUPS_MAX:
        raise PopulationError(f"needs 1 to {GROUPS_MAX} groups")
    if not 0 < population.per_second <= RATE_MAX:
        raise PopulationError(f"the rate must be above 0 and at most {RATE_MAX:g} per second")
    for group in population.groups:
        if group.currency not in population.rates:
            raise PopulationError(f"{group.name}: {group.currency} has no multiplier")
        if group.players < 1:
            raise PopulationError(f"{group.name}: needs at least 1 player")
        if not (math.isfinite(group.weight) and group.weight > 0):
            raise PopulationError(f"{group.name}: the weight must be above 0")
        if not 0 <= group.activity <= ACTIVITY_MAX:
            raise PopulationError(f"{group.name}: activity must be between 0 and {ACTIVITY_MAX:g}")
    if population.players > PLAYERS_MAX:
        raise PopulationError(f"has more than {PLAYERS_MAX} players")
    return population


def require_fit(population: Population, rules: Rules) -> None:
    """That the population can play this template at all.

    Raises:
        PopulationError: nobody may, or a preference is none that the template allows.
    """
    if not rules.allowed_brands:
        raise PopulationError("$.allowed_brands is empty: nobody may contribute")
    for group in population.groups:
        if group.contribution is None:
            continue
        if not isinstance(rules.contribution, Variable):
            raise PopulationError(f"{group.name}: only a Variable contribution can be preferred")
        allowed = rules.contribution.range
        if not allowed.minimum <= group.contribution <= allowed.maximum:
            raise PopulationError(f"{group.name}: the preferred contribution is out of range")


def described(population: Population) -> dict[str, Any]:
    """The population in words and numbers, as results repeat it."""
    total = sum(group.weight for group in population.groups)
    return {
        "players": population.players,
        "rate_per_second": population.per_second,
        "currencies": {code: units / SCALE for code, units in population.rates.items()},
        "groups": [
            {
                "name": group.name,
                "share": group.weight / total,
                "players": group.players,
                "stake": group.stake_text,
                "currency": group.currency,
                "activity": group.activity,
                "country": group.country,
                "segments": group.segments,
                "vertical": group.vertical,
            }
            for group in population.groups
        ],
    }
