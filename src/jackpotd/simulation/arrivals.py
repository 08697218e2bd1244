"""Contributions as they arrive: who, when, how much; in blocks, because one by one they would cost more than the core.

A player and a wager are one `Bet`, made once and used again. Where no community is paid, the core treats the players of
a group alike, so one of them stands for all: the figures are the same, and nothing has to be kept of anybody.
"""

import math
from bisect import bisect
from collections.abc import Iterator
from itertools import accumulate
from random import Random

from msgspec import Struct

from jackpotd.core.commands import Bet
from jackpotd.core.money import convert, divide_half_even, minor_step
from jackpotd.core.rules import Rules
from jackpotd.core.state import Player
from jackpotd.simulation import stakes
from jackpotd.simulation.population import Group, Population

BETS_KEPT_MAX = 200_000
_MS = 1000.0


class Arrival(Struct, frozen=True, gc=False):
    """A wager of a player; `staked` is what it is worth in the jackpot's currency."""

    bet: Bet
    staked: int
    number: int
    player: Player


class Arrivals:
    """An endless stream of contributions."""

    def __init__(self, population: Population, rules: Rules, rng: Random, start_ms: int) -> None:
        self._rng = rng
        self._mean_gap_ms = _MS / population.per_second
        self._clock_ms = float(start_ms)
        self._sources: list[_Source] = []
        first = 0
        for group in population.groups:
            players = group.players if rules.has_community else 1
            self._sources.append(
                _Source(group, population, rules, rng, range(first, first + players))
            )
            first += players
        self._weights = list(accumulate(group.weight for group in population.groups))

    def times(self, count: int) -> list[int]:
        """When the next contributions come: a Poisson process, in milliseconds."""
        log, uniform, mean = math.log, self._rng.random, self._mean_gap_ms
        gaps = [-mean * log(1.0 - uniform()) for _ in range(count)]
        clock = list(accumulate(gaps, initial=self._clock_ms))
        self._clock_ms = clock[-1]
        return list(map(int, clock[1:]))

    def block(self, count: int) -> list[Arrival]:
        """The next contributions."""
        if len(self._sources) == 1:
            return self._sources[0].draw(count)
        chosen = self._rng.choices(range(len(self._sources)), cum_weights=self._weights, k=count)
        drawn: list[Iterator[Arrival]] = [
            iter(source.draw(chosen.count(at))) for at, source in enumerate(self._sources)
        ]
        return [next(drawn[at]) for at in chosen]


class _Source:
    """One group's players and their wagers."""

    def __init__(
        self, group: Group, population: Population, rules: Rules, rng: Random, numbers: range
    ) -> None:
        self._group, self._rules, self._rng, self._numbers = group, rules, rng, numbers
        self._rate = population.rates[group.currency]
        self._jackpot_rate = population.rates[rules.currency]
        # What was given in the jackpot's own currency stays as it was given.
        self._is_exact = stakes.is_exact(group.stake) and group.currency == rules.currency
        self._step = minor_step(group.currency)
        self._known: dict[tuple[int, int], Arrival] = {}
        self._activity = _zipf(len(numbers), group.activity) if len(numbers) > 1 else []
        preferred = group.contribution
        self._player = Player(
            opted_in=True,
            preferences=() if preferred is None else ((rules.currency, preferred),),
            count=0,
            value=0,
            pots=(),
            updated_ms=0,
        )

    def draw(self, count: int) -> list[Arrival]:
        if isinstance(self._group.stake, stakes.Constant) and len(self._numbers) == 1:
            return [self._arrival(self._numbers[0], self._group.stake.units)] * count
        wagers = stakes.draw(self._group.stake, self._rng, count)
        if len(self._numbers) == 1:
            only = self._numbers[0]
            return [self._arrival(only, units) for units in wagers]
        return [self._arrival(*pair) for pair in zip(self._who(count), wagers, strict=True)]

    def _who(self, count: int) -> list[int]:
        first, players, uniform = self._numbers[0], len(self._numbers), self._rng.random
        if not self._activity:
            return [first + int(uniform() * players) for _ in range(count)]
        total, ranks = self._activity[-1], self._activity
        last = players - 1
        return [first + min(bisect(ranks, uniform() * total), last) for _ in range(count)]

    def _arrival(self, number: int, units: int) -> Arrival:
        if not self._is_exact:
            units = self._payable(units)
        known = self._known.get((number, units))
        if known is None:
            if len(self._known) >= BETS_KEPT_MAX:
                self._known.clear()
            known = self._known[number, units] = self._new(number, units)
        return known

    def _payable(self, units: int) -> int:
        """A wager in the player's currency, in whole minor units; 0 stays 0."""
        if not units:
            return 0
        wager = convert(units, self._jackpot_rate, self._rate)
        return max(divide_half_even(wager, self._step), 1) * self._step

    def _new(self, number: int, wager: int) -> Arrival:
        group, rules = self._group, self._rules
        bet = Bet(
            brand=min(rules.allowed_brands),
            player_id=str(number),
            country=_or_first(group.country, rules.allowed_countries),
            segments=_segments(group, rules),
            vertical=_or_first(group.vertical, rules.allowed_verticals),
            currency=group.currency,
            wager=wager,
            source_id=None,
            reference_type="simulation",
            reference_id=None,
        )
        staked = convert(wager, self._rate, self._jackpot_rate)
        return Arrival(bet, staked, number, self._player)


def _zipf(players: int, exponent: float) -> list[float]:
    if not exponent:
        return []
    return list(accumulate(rank**-exponent for rank in range(1, players + 1)))


def _or_first(stated: str | None, allowed: frozenset[str] | None) -> str | None:
    """What the population says, else something that the template allows."""
    return stated if stated is not None or not allowed else min(allowed)


def _segments(group: Group, rules: Rules) -> tuple[str, ...] | None:
    if group.segments is not None or not rules.allowed_segments:
        return group.segments
    return (min(rules.allowed_segments),)
