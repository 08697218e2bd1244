"""Raffles that a real shard plays, for the script of the docs: chosen templates, random ones, and what operators do."""

import random
from collections.abc import Sequence
from typing import Any

import trio

from jackpotd.core.commands import (
    Adjust,
    AskChange,
    Boost,
    ChangeStatus,
    DecideHeldWin,
    SetSchedule,
)
from jackpotd.core.schedule import DAY_MS, DailyRule, Schedule, WeeklyRule
from jackpotd.core.state import PendingChange, Status
from jackpotd.engine.messages import ContributionRequest
from jackpotd.service.fairness_lines import Line
from jackpotd.testing.house import BORN_MS, request
from jackpotd.testing.templates import MULTIPLIERS, Json, encoded

from .rehearsal import MINUTE_MS, PAUSES_MS, Rehearsal

HOUR_MS = 60 * MINUTE_MS
BRANDS = ("op:a", "op:b")
OPEN = Schedule(BORN_MS, None)
AMOUNTS = [{"count": 1, "amount": 50}, {"count": 2, "amount": 25.5}, {"count": 3, "amount": 10}]
SHARES = [{"count": 1, "share": 0.5}, {"count": 4, "share": 0.1}]


def raffle(**changes: Any) -> Json:
    """A raffle of an hour: a ticket for 2.00 of base wager; each part of the template may be changed."""
    ticket = {"cost": 2, "metric": "BaseWager", "accumulate": True, **changes.pop("ticket", {})}
    seeds = {"initial_seed_value": 100, "min_reseed_value": 40, **changes.pop("seeds", {})}
    pot = {
        "id": "main",
        "contribution": {"Percentage": 0.8},
        "seed_contribution": {"Percentage": 0.25},
        "seed_strategy": seeds,
        "pot_types": [],
    }
    rules = {"duration": {"Hours": 1}, "ticket": ticket, "prizes": AMOUNTS}
    return {
        "name": "raffle",
        "owner_id": "op",
        "currency": "EUR",
        "jackpot_type": "Raffle",
        "allowed_brands": list(BRANDS),
        "contribution_rules": {
            "opt_in_required": False,
            "contribution_type": {"Percentage": 0.1},
            **changes.pop("contribution", {}),
        },
        "house_hold_contribution": {"Percentage": 0.2},
        "pots": [{**pot, **changes.pop("pot", {})}],
        "raffle": {**rules, **changes.pop("raffle", {})},
        **changes,
    }


CHOSEN: dict[str, Json] = {
    "amounts": raffle(),
    "shares": raffle(raffle={"prizes": SHARES}),
    "both, several for a player": raffle(
        raffle={"prizes": [*SHARES, *AMOUNTS], "one_prize_per_player": False}
    ),
    "more prizes than players": raffle(raffle={"prizes": [{"count": 60, "amount": 1}]}),
    "more prizes than tickets": raffle(
        raffle={"prizes": [{"count": 500, "amount": 0.5}], "one_prize_per_player": False},
        ticket={"cost": 50},
    ),
    "withheld": raffle(raffle={"prizes": [*SHARES, *AMOUNTS]}, withhold_wins_above=12),
    "by contribution": raffle(ticket={"cost": 0.3, "metric": "Contribution"}),
    "no parts kept": raffle(ticket={"cost": 7, "accumulate": False}),
    "the operator pays": raffle(
        contribution={
            "contribution_type": {"Fixed": 0.25},
            "operator_contribution_percentage": 1,
        },
        ticket={"cost": 0.5, "metric": "Contribution"},
    ),
    "in yen": raffle(currency="JPY", ticket={"cost": 300}, raffle={"prizes": SHARES}),
    "prizes too small to pay": raffle(
        currency="JPY", ticket={"cost": 300}, raffle={"prizes": [{"count": 9, "amount": 0.7}]}
    ),
    "tiny tickets": raffle(ticket={"cost": 0.0001}, raffle={"one_prize_per_player": False}),
    "a whole reserve": raffle(
        seeds={"reseed_strategy": "WholeReserve", "fund_strategy": "CollectAlways"},
        raffle={"prizes": [{"count": 1, "share": 1}]},
    ),
    "a ceiling": raffle(pot={"max_pot_value": 105}),
}


def random_raffle(rng: random.Random) -> Json:
    """A raffle as an operator may write it."""
    count = rng.randint(1, 4)
    prizes: list[Json] = []
    for _ in range(count):
        winners = rng.choice((1, 1, 2, 7, 40))
        if rng.random() < 0.5:
            prizes.append({"count": winners, "amount": rng.choice((0.01, 0.7, 3, 250))})
        else:
            most = 10**8 // (count * winners)
            share = rng.choice((1, most, rng.randint(1, most)))
            prizes.append({"count": winners, "share": f"{share / 10**8:.8f}"})
    kinds: tuple[Json, ...] = (
        {"Fixed": "0.33333333"},
        {"Percentage": rng.choice(("0.0775", "1", "0.33333333"))},
        {"Variable": {"min": "0.1", "max": "5", "default": "1.25"}},
    )
    seeds = {
        "initial_seed_value": rng.choice((0, 5, 1_000)),
        "min_reseed_value": rng.choice((0, 5, 100)),
        "fund_strategy": rng.choice(("CollectToMinReseed", "CollectAlways")),
        "reseed_strategy": rng.choice(("Full", "WholeReserve")),
    }
    metric, contribution = rng.choice(("BaseWager", "Contribution")), rng.choice(kinds)
    is_within = (
        metric == "BaseWager" or "Percentage" in contribution
    )  # else one may never buy a ticket
    durations: tuple[Json, ...] = ({"Seconds": 90}, {"Minutes": 20}, {"Hours": 2}, {"Days": 1})
    return raffle(
        currency=rng.choice(("EUR", "USD", "JPY", "KWD")),
        contribution={
            "contribution_type": contribution,
            "operator_contribution_percentage": rng.choice((0, 0, 0.5, 1)),
        },
        seeds=seeds,
        pot={"is_progressive": rng.random() < 0.9},
        withhold_wins_above=rng.choice((None, None, 0, 5, 100)),
        ticket={
            "cost": rng.choice(("0.0001", "0.1", "2", "2.33333333", "75")),
            "metric": metric,
            "accumulate": rng.random() < 0.6 or not is_within,
        },
        raffle={
            "prizes": prizes,
            "one_prize_per_player": rng.random() < 0.5,
            "duration": rng.choice(durations),
        },
    )


def random_schedule(rng: random.Random, at_ms: int, *, has_end: bool = False) -> Schedule:
    """One that a raffle may have, from some minutes before this time, or after it."""
    start_ms = at_ms + rng.choice((-20, 0, 3)) * MINUTE_MS
    end_ms = start_ms + rng.randint(1, 60) * HOUR_MS if has_end or rng.random() < 0.4 else None
    nights = ((8 * HOUR_MS, 11 * HOUR_MS), (20 * HOUR_MS, 27 * HOUR_MS + 17_000))
    days = ((0, 12 * HOUR_MS), (12 * HOUR_MS, 23 * HOUR_MS))
    daily = rng.choice(((), (), (DailyRule(nights),), (DailyRule(days), DailyRule(nights, 2))))
    weekend = WeeklyRule(((4, None), (5, ((0, DAY_MS),)), (6, nights), (0, None), (1, None)))
    return Schedule(start_ms, end_ms, daily, rng.choice(((), (), (), (weekend,))))


class RaffleRehearsal(Rehearsal):
    """A raffle that is played by the players of two brands; now and then nobody serves it for some rounds."""

    def pause_ms(self) -> int:
        is_long = self.rng.random() < 0.01
        return self.rng.choice((1, 5, 26)) * HOUR_MS if is_long else self.rng.choice(PAUSES_MS)

    def _asked(self) -> ContributionRequest:
        rng = self.rng
        return request(
            "i",
            brand=rng.choice(BRANDS),
            wager=rng.choice((0, 1, 10**7, 10**8, 10**9, rng.randint(1, 10**10))),
            player_id=rng.choice(self.players),
            currency=rng.choice(list(MULTIPLIERS)),
        )

    async def _operate(self) -> None:
        """One thing of those that operators do; some of it is refused, as the state will have it."""
        rng, shard = self.rng, self.house.shard
        state = shard.state("i")
        assert state is not None
        what = rng.randrange(7)
        if what == 0:
            await shard.operate("i", Boost(0, "main", 10**8, "eve", "test"))
        elif what == 1:
            units = rng.choice((10**9, 10**8, -(10**7)))
            await shard.operate("i", Adjust(0, "main", units, "eve", "test"))
        elif what == 2:
            for held in state.rare.held[:2]:
                release = rng.random() < 0.5
                decide = DecideHeldWin(0, held.round_id, "main", release, "eve", "test")
                await shard.operate("i", decide)
        elif what == 3:
            change = rng.choice(
                (
                    {"withhold_wins_above": rng.choice((None, 1, 30))},
                    {"contribution_rules": {"contribution_type": {"Percentage": 0.2}}},
                )
            )
            change_of = PendingChange(f"{rng.random()}", None, encoded(change), 0, "eve", "test")
            await shard.operate("i", AskChange(0, (change_of,), b""))
        elif what == 4:
            has_end = self.template["raffle"]["duration"] is None
            schedule = random_schedule(rng, self.clock.now_ms, has_end=has_end)
            await shard.operate("i", SetSchedule(0, "", schedule, "eve", "test"))
        elif what == 5:
            now_ms = self.clock.now_ms
            brief = Schedule(now_ms - MINUTE_MS, now_ms + HOUR_MS)
            for each in (brief, None) if rng.random() < 0.5 else (brief,):
                await shard.operate("i", SetSchedule(0, "op:b", each, "eve", "test"))
        else:
            for status in (Status.PAUSED, Status.ACTIVE):
                await shard.operate("i", ChangeStatus(0, status, "test", "eve"))
                self.clock.now_ms += rng.choice((MINUTE_MS, HOUR_MS))


def played(template: Json, seed: int, count: int, schedule: Schedule = OPEN) -> RaffleRehearsal:
    """A rehearsal that is over: after its first third the server was down for a while."""
    first = RaffleRehearsal(template, seed, schedule=schedule)
    trio.run(first.play, count // 3)
    found = first.again()
    found.clock.now_ms += first.rng.choice((0, MINUTE_MS, 3 * HOUR_MS))
    trio.run(found.play, count - count // 3)
    return found


def draws_in(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line["type"] == "draw"]


def prizes_in(lines: Sequence[Line]) -> list[Line]:
    return [prize for line in draws_in(lines) for prize in line["prizes"]]
