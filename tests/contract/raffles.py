"""Raffles and schedules as the tests of the contract set them up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from tests.contract.conftest import Answer, Json, Platform

SECOND_MS: Final = 1_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
WEEK_MS: Final = 7 * DAY_MS
POLITE_S: Final = 0.02  # between two looks: the server has other things to do
NEW_YEAR_2024: Final = 1704067200000  # a Monday
WHY: Final = "a test asks for it"


def now_ms() -> int:
    return int(time.time() * 1000)


def raffle(**changes: object) -> Json:
    """22 hours, a ticket for 2.00 of base wager, three prizes, each player one of them."""
    rules: Json = {
        "duration": {"Hours": 22},
        "ticket": {"cost": 2.0, "metric": "BaseWager", "accumulate": True},
        "prizes": [{"count": 1, "amount": 5}, {"count": 2, "amount": 1}],
        "one_prize_per_player": True,
    }
    return rules | changes


def raffle_template(platform: Platform, **changes: object) -> Json:
    """A raffle's template with one pot; an argument `raffle` is the whole of it."""
    pots = [platform.pot(pot_types=[])]
    found: Json = {"jackpot_type": "Raffle", "raffle": raffle(), "pots": pots, **changes}
    return platform.template(**found)


async def instantiated(
    platform: Platform, template: Json, schedule: Json | None = None, **changes: object
) -> Answer:
    """The answer to an instantiation of a published template."""
    body = platform.instantiation(template, **changes)
    if schedule is not None:
        body["schedule"] = schedule
    return await platform.admin.post("/templates/instantiate", body)


async def scheduled(platform: Platform, schedule: Json | None, **changes: Any) -> str:
    """The id of a new jackpot with a schedule."""
    template = platform.template(**changes)
    await platform.publish(template)
    return str((await instantiated(platform, template, schedule)).successful().body["id"])


async def a_raffle(platform: Platform, schedule: Json | None = None, **changes: object) -> str:
    """The id of a new raffle; without a schedule it has begun a second ago."""
    template = raffle_template(platform, **changes)
    await platform.publish(template)
    schedule = schedule or {"timestamp_start": now_ms() - SECOND_MS}
    return str((await instantiated(platform, template, schedule)).successful().body["id"])


async def resolved(platform: Platform, instance_id: str, number: int) -> Json:
    """A round, as soon as it is resolved."""
    path = f"/instances/{instance_id}/rounds/{number}"
    while True:
        answer = await platform.admin.get(path)
        if answer.status == 200:
            return dict(answer.body)
        assert answer.refusal[:2] == (404, "JACKPOT_NOT_FOUND")
        await trio.sleep(POLITE_S)


async def status_of(platform: Platform, instance_id: str, *, once: str) -> Json:
    """The instance, as soon as it has a status."""
    while True:
        state = await platform.instance(instance_id)
        if state["status"] == once:
            return state
        await trio.sleep(POLITE_S)


def hours(*windows: tuple[int, int]) -> Json:
    """The content of a Daily rule: windows between whole hours; 24 is 23:59:59."""
    return {"hours": [[time_of_day(first), time_of_day(last)] for first, last in windows]}


def time_of_day(hour: int) -> Json:
    if hour == 24:
        return {"hour": 23, "minute": 59, "sec": 59}
    return {"hour": hour, "minute": 0, "sec": 0}


def daily(*windows: tuple[int, int], interval: int = 1) -> Json:
    return {"frequency": {"Daily": hours(*windows)}, "interval": interval}


def weekly(*days: object, interval: int = 1) -> Json:
    return {"frequency": {"Weekly": {"days": list(days)}}, "interval": interval}


async def shown(platform: Platform, instance_id: str, **params: Any) -> Json:
    params = {name.rstrip("_"): value for name, value in params.items()}
    answer = await platform.admin.get(f"/instances/{instance_id}/schedule", params)
    return dict(answer.successful().body)


async def put(platform: Platform, instance_id: str, schedule: Json, **changes: object) -> Answer:
    return await platform.admin.put(f"/instances/{instance_id}/schedule", schedule | changes)


def closed_now() -> Json:
    """A schedule that has begun, and opens in twelve hours or so."""
    hour = now_ms() // HOUR_MS % 24
    return {
        "timestamp_start": NEW_YEAR_2024,
        "recurrence_rules": [daily(((hour + 11) % 24, (hour + 13) % 24))],
    }
