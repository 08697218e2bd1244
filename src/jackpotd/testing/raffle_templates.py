"""Random schedules and random raffles, as an operator could write them (contract §9)."""

import random
from collections.abc import Sequence
from decimal import Decimal

from jackpotd.testing.templates import (
    Feature,
    Json,
    compiled,
    compiled_schedule,
    random_template,
)
from jackpotd.wire.errors import RequestRefused

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000


def random_schedule(rng: random.Random, at_ms: int, *, is_raffle: bool = False) -> Json:
    """A schedule that has not passed at this moment; one for a raffle begins, and often ends."""
    while True:
        document = _schedule(rng, at_ms, is_raffle=is_raffle)
        try:
            compiled_schedule(document)
        except RequestRefused:  # it is never open
            continue
        return document


def _schedule(rng: random.Random, at_ms: int, *, is_raffle: bool) -> Json:
    start: int | None = at_ms + rng.choice((-40, -3, 0, 0, 0, 0, 1, 5)) * rng.choice(
        (1, _MINUTE_MS, _HOUR_MS, _DAY_MS)
    )
    length = rng.randint(1, 60) * rng.choice((1_000, _MINUTE_MS, _HOUR_MS, _DAY_MS))
    end = max(at_ms, start or 0) + length if rng.random() < 0.4 else None
    if not is_raffle and rng.random() < 0.3:
        start = None
    return {
        "timestamp_start": start,
        "timestamp_end": end,
        "recurrence_rules": _rules(rng, has_start=start is not None),
    }


def _rules(rng: random.Random, *, has_start: bool) -> list[Json]:
    """Mostly none; else such that it is open for a good part of the time."""
    if rng.random() < 0.5:
        return []
    rules = []
    for _ in range(rng.choice((0, 1, 1, 2))):
        interval = rng.choice((1, 1, 1, 2, 3)) if has_start else 1
        rules.append({"frequency": {"Daily": {"hours": _hours(rng)}}, "interval": interval})
    if not rules or rng.random() < 0.3:
        interval = rng.choice((1, 1, 2)) if has_start else 1
        days = [
            [day, rng.choice((None, None, {"Daily": {"hours": _hours(rng)}}))]
            for day in rng.sample(_DAYS, rng.randint(3, 7))
        ]
        rules.append({"frequency": {"Weekly": {"days": days}}, "interval": interval})
    return rules


def _hours(rng: random.Random) -> list[list[Json]]:
    """One or two windows, over midnight or to it, or with a break between them."""
    kind = rng.randrange(5)
    if kind == 0:
        return [[_time(0), _time(22)]]
    if kind == 1:
        return [[_time(rng.randint(0, 12)), {"hour": 23, "minute": 59, "sec": 59}]]
    if kind == 2:
        return [[_time(rng.randint(6, 23), 30), _time(rng.randint(0, 5), 15)]]
    first, second, third, fourth = sorted(rng.sample(range(24), 4))
    return [[_time(first), _time(second)], [_time(third), _time(fourth, rng.randint(0, 59))]]


def _time(hour: int, minute: int = 0) -> Json:
    return {"hour": hour, "minute": minute, "sec": 0}


def random_raffle(rng: random.Random, brands: Sequence[str], *, must_last: bool = False) -> Json:
    """A raffle that can be published; its rounds last for a duration, or where they need not, for the schedule."""
    while True:
        template = _raffle(rng, brands, must_last=must_last)
        if can_be_published(template):
            return template


def can_be_published(template: Json) -> bool:
    """A raffle is refused where no contribution would ever buy a ticket."""
    try:
        compiled(template)
    except RequestRefused:
        return False
    return True


def _raffle(rng: random.Random, brands: Sequence[str], *, must_last: bool) -> Json:
    template = random_template(rng, brands, (Feature.CEILING, Feature.WITHHOLD))
    pot = template["pots"][0]
    pot |= {"pot_types": [], "max_instantiation_count": None}
    share = Decimal(pot["contribution"]["Percentage"])
    template |= {
        "jackpot_type": "Raffle",
        "pots": [pot],
        "house_hold_contribution": {"Percentage": f"{1 - share:f}"},
        "raffle": random_rules(rng, must_last=must_last),
    }
    return template


def random_rules(rng: random.Random, *, must_last: bool = True) -> Json:
    """The rules of a raffle."""
    duration = random_duration(rng) if must_last or rng.random() < 0.85 else None
    return {
        "duration": duration,
        "ticket": {
            "cost": rng.choice(("2", "2", "0.1", "0.0001", "33.33333333", "1.00000007", "0.7")),
            "metric": rng.choice(("BaseWager", "Contribution")),
            "accumulate": rng.random() < 0.7,
        },
        "prizes": _prizes(rng),
        "one_prize_per_player": rng.random() < 0.6,
    }


def random_duration(rng: random.Random) -> Json:
    """From a second to two weeks."""
    return rng.choice(
        (
            {"Seconds": rng.choice((1, 7, 30, 86_399))},
            {"Minutes": rng.choice((1, 5, 90))},
            {"Hours": rng.choice((1, 22, 24))},
            {"Days": rng.choice((1, 3))},
            {"Weeks": rng.choice((1, 2))},
        )
    )


def _prizes(rng: random.Random) -> list[Json]:
    tiers: list[Json] = []
    left = 1000  # thousandths of the pot that are not promised yet
    for _ in range(rng.choice((1, 1, 2, 3, 4))):
        count = rng.choice((1, 1, 2, 5))
        if rng.random() < 0.5 and left >= count:
            share = rng.choice((1, left // count, rng.randint(1, left // count)))
            left -= count * share
            tiers.append({"count": count, "share": f"{Decimal(share) / 1000:f}"})
        else:
            amount = rng.choice(("50", "5", "0.37", "0.004", "500.00000001", "0.00000001"))
            tiers.append({"count": count, "amount": amount})
    return tiers
