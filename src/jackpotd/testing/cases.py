"""Small cases by hand, for the core and the oracle alike: templates, bets and secrets, everything at its plainest."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from jackpotd.core.commands import Bet, Trigger
from jackpotd.core.fairness import PotStream
from jackpotd.core.money import units_from_decimal
from jackpotd.core.state import Contributor
from jackpotd.testing.core_driver import RATES
from jackpotd.testing.templates import Json

WHOLE_WAGER: Json = {"Percentage": "1"}
ROUND: Json = {"Seconds": 100}


def pot(name: str = "a", share: str = "0.25", seed: str = "10", **changes: Any) -> Json:
    """A pot of a template.

    `min_reseed`, `fund`, `reseed`, `seed_share` and `open_when_funded` are short for their places; `hits` are pairs of
    `max_magic_number` and `cost_per_attempt`, `points` are further tipping points as a template has them.
    """
    hits = changes.pop("hits", [(1000, "0.1")])
    points = [{"HitRate": {"max_magic_number": n, "cost_per_attempt": k}} for n, k in hits]
    return {
        "id": name,
        "is_progressive": changes.pop("is_progressive", True),
        "contribution": {"Percentage": share},
        "seed_contribution": {"Percentage": changes.pop("seed_share", "0.85")},
        "seed_strategy": {
            "initial_seed_value": seed,
            "min_reseed_value": changes.pop("min_reseed", seed),
            "fund_strategy": changes.pop("fund", "CollectToMinReseed"),
            "reseed_strategy": changes.pop("reseed", "Full"),
            "open_when_funded": changes.pop("open_when_funded", False),
        },
        "pot_types": [*points, *changes.pop("points", [])],
        **changes,
    }


def template(*pots: Json, kind: Json | None = None, **changes: Any) -> Json:
    """A template of these pots in EUR; the house has what they leave. By default 0.1 are contributed."""
    shares = sum(Decimal(item["contribution"]["Percentage"]) for item in pots)
    return {
        "name": "case",
        "owner_id": "op",
        "allowed_brands": ["op:a"],
        "currency": "EUR",
        "jackpot_type": "Jackpot",
        "contribution_rules": {
            "opt_in_required": False,
            "contribution_type": kind or {"Fixed": "0.1"},
            "currency_values": changes.pop("currency_values", None),
            "operator_contribution_percentage": changes.pop("operator_share", "0"),
        },
        "house_hold_contribution": {"Percentage": f"{1 - shares:f}"},
        "win_selector_strategy": changes.pop("strategy", "Highest"),
        "pots": list(pots),
        **changes,
    }


def raffle(
    *prizes: Json,
    duration: Json | None = ROUND,
    **changes: Any,
) -> Json:
    """A raffle in EUR: rounds of 100 seconds, a ticket for 2.00 of base wager, everything for its only pot `main`.

    `cost`, `metric`, `accumulate` and `one_prize_per_player` are short for their places; `pot` holds what is changed of
    the pot (see `pot`).
    """
    ticket = {"cost": "2.00", "metric": "BaseWager", "accumulate": True}
    ticket |= {name: changes.pop(name) for name in [*ticket] if name in changes}
    main = {"share": "1", "seed_share": "0", "hits": [], **changes.pop("pot", {})}
    rules = {
        "duration": duration,
        "ticket": ticket,
        "prizes": list(prizes),
        "one_prize_per_player": changes.pop("one_prize_per_player", True),
    }
    return template(pot("main", **main), jackpot_type="Raffle", raffle=rules, **changes)


def schedule(start: int | None = 0, end: int | None = None, *rules: Json) -> Json:
    """A schedule; without rules it is open all the time."""
    return {"timestamp_start": start, "timestamp_end": end, "recurrence_rules": list(rules)}


def daily(first: int, last: int, interval: int = 1) -> Json:
    """A rule that is open from one hour of each day to another."""
    hours = [{"hour": hour, "minute": 0, "sec": 0} for hour in (first, last)]
    return {"frequency": {"Daily": {"hours": [hours]}}, "interval": interval}


def value_point(low: str, high: str) -> Json:
    return {"Value": {"min": low, "max": high}}


def time_point(every: Json, fallback: str = "RollOver", start_ms: int = 0) -> Json:
    return {"Time": {"every": every, "window_start": start_ms, "fallback": fallback}}


def community(*strategies: Json) -> Json:
    """A community payout of these strategies."""
    shares = [Decimal(each["share"]) for tagged in strategies for each in tagged.values()]
    return {"share": f"{sum(shares):f}", "strategies": list(strategies)}


def to_active(share: str, winners: int, hours: int = 24) -> Json:
    return {"ActivePlayers": {"share": share, "winners": winners, "within_hours": hours}}


def to_contributors(share: str, winners: int) -> Json:
    return {"HighestContributionPerWin": {"share": share, "winners": winners}}


def to_lifetime(share: str, winners: int) -> Json:
    return {"HighestLifetimeContributor": {"share": share, "winners": winners}}


def units(number: str | int) -> int:
    return units_from_decimal(Decimal(number))


def bet(wager: str | int = 1, who: str = "anna", currency: str = "EUR", **changes: Any) -> Bet:
    """A player of `op:a` wagers."""
    segments = changes.pop("segments", None)
    reference = ("gameround", None)
    return Bet("op:a", who, None, segments, None, currency, units(wager), None, *reference)


def trigger(
    pot_id: str, who: str = "anna", *, at_ms: int, round_id: str, currency: str = "EUR"
) -> Trigger:
    """An external trigger of a jackpot in EUR; its round is its reference, too."""
    winner = Contributor("op:a", who, currency, RATES[currency], RATES["EUR"])
    return Trigger(at_ms, round_id, pot_id, winner, round_id, "someone", "why", ())


def secret_where(fits: Callable[[PotStream], bool]) -> bytes:
    """The first secret that decides so; there must be one among many."""
    for number in range(200_000):
        secret = number.to_bytes(32, "big")
        if fits(PotStream(secret)):
            return secret
    raise ValueError("no secret decides so")
