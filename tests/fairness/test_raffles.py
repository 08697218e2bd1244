"""The script of the docs accepts raffles: of every kind, in the engine and in the core alone, whatever operators do."""

import random
from collections import Counter
from decimal import Decimal
from itertools import pairwise

import pytest
import trio

from jackpotd.core.commands import Bet, ChangeStatus
from jackpotd.core.schedule import DailyRule, Schedule
from jackpotd.core.state import Status
from jackpotd.service.fairness_lines import Line
from jackpotd.testing.house import BORN_MS
from jackpotd.testing.templates import MULTIPLIERS, compiled

from .core_raffle import CoreRaffle
from .raffles import (
    AMOUNTS,
    BRANDS,
    CHOSEN,
    HOUR_MS,
    OPEN,
    SHARES,
    RaffleRehearsal,
    draws_in,
    played,
    prizes_in,
    raffle,
    random_raffle,
    random_schedule,
)
from .rehearsal import MINUTE_MS, rehearsed, showcase, verdict

ONE = 10**8


@pytest.mark.parametrize("name", CHOSEN)
def test_check_fairness_accepts_raffles(name: str) -> None:
    """Some twenty rounds of each chosen template, over a time without a server; each has its line."""
    lines = played(CHOSEN[name], 7, 600).lines()
    found, printed = verdict(lines)
    assert "" == found
    draws = draws_in(lines)
    assert len(draws) > 15
    assert len(draws) == sum(" fair:" in line for line in printed.splitlines())
    assert {"opened", "missed"} == {line["is"] for line in lines if line["type"] == "round"}
    most = sum(prize["count"] for prize in CHOSEN[name]["raffle"]["prizes"])
    assert 0 < max(len(line["prizes"]) for line in draws) <= most
    for before, after in pairwise(draws):
        assert before["ends_ms"] <= after["starts_ms"]
        assert before["number"] < after["number"]


def test_check_fairness_meets_every_kind_of_prize() -> None:
    """The chosen templates have what they are there for, so that the script was asked about it."""
    told = {name: prizes_in(played(CHOSEN[name], 7, 600).lines()) for name in CHOSEN}
    assert {True, False} == {prize["withheld"] for prize in told["withheld"]}
    unpaid = [prize for prize in told["prizes too small to pay"] if not prize["win"]]
    assert {True} == {prize["value"] > 0 for prize in unpaid}
    assert 6 <= len({prize["currency"] for prize in told["amounts"]})
    assert set(BRANDS) == {prize["brand"] for prize in told["amounts"]}
    lines = played(CHOSEN["both, several for a player"], 7, 600).lines()
    most = [Counter(prize["player"] for prize in line["prizes"]) for line in draws_in(lines)]
    assert any(count > 1 for names in most for count in names.values())
    lines = played(CHOSEN["more prizes than tickets"], 7, 600).lines()
    assert {line["tickets"] for line in draws_in(lines)} & {
        len(line["prizes"]) for line in draws_in(lines) if 0 < len(line["prizes"]) < 500
    }


@pytest.mark.parametrize("seed", range(30))
def test_check_fairness_accepts_random_raffles(seed: int) -> None:
    """Whatever an operator may write and do, by any schedule."""
    lines = random_life(seed, 300)
    assert "" == verdict(lines)[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1_000, 1_300))
def test_check_fairness_accepts_many_random_raffles(seed: int) -> None:
    """The same for longer."""
    assert "" == verdict(random_life(seed, 1_200))[0]


def random_life(seed: int, count: int) -> list[Line]:
    rng = random.Random(seed)
    template, is_once_off = random_raffle(rng), rng.random() < 0.2
    if is_once_off:
        template["raffle"]["duration"] = None
    compiled(template)
    return played(template, seed, count, random_schedule(rng, BORN_MS, has_end=is_once_off)).lines()


def test_check_fairness_accepts_a_raffle_of_one_round() -> None:
    """As long as its schedule: it ends with its only draw, and its last secret is revealed."""
    schedule = Schedule(BORN_MS, BORN_MS + 3 * HOUR_MS)
    template = raffle(raffle={"duration": None, "prizes": SHARES})
    found = RaffleRehearsal(template, 5, schedule=schedule)
    trio.run(found.play, 150)
    again = found.again()
    again.clock.now_ms = BORN_MS + 4 * HOUR_MS
    trio.run(again.play, 1)
    lines = again.lines()
    said, printed = verdict(lines)
    assert "" == said
    (draw,) = draws_in(lines)
    assert (schedule.start_ms, schedule.end_ms) == (draw["starts_ms"], draw["ends_ms"])
    assert "Ended" == [line for line in lines if line["type"] == "state"][-1]["status"]
    assert "not checked" not in printed


def test_check_fairness_says_that_a_round_was_terminated() -> None:
    """Its tickets were never drawn: that is said, and its secret is revealed all the same."""
    found = RaffleRehearsal(raffle(), 5, schedule=Schedule(BORN_MS, None))

    async def play() -> None:
        async with found.house.running():
            for _ in range(20):
                found.clock.now_ms += 1_000
                await found._contribute().wait()
            await found.house.shard.operate("i", ChangeStatus(0, Status.TERMINATED, "", "eve"))

    trio.run(play)
    said, printed = verdict(found.lines())
    assert "" == said
    state = found.house.shard.state("i")
    assert state is not None
    assert state.rare.round is not None
    tickets = state.rare.round.tickets
    assert tickets > 0
    text = f"20 contributions, {tickets} tickets not drawn, because it was terminated"
    assert f"i main 1 fair: {text}" in printed


@pytest.mark.parametrize("seed", range(4))
def test_check_fairness_accepts_a_jackpot_by_schedule(seed: int) -> None:
    """Of any kind, with hours of its own: it begins late, and is terminated when the schedule is over."""
    hours = DailyRule(((0, 22 * HOUR_MS), (23 * HOUR_MS, 24 * HOUR_MS)))
    schedule = Schedule(BORN_MS + 20 * MINUTE_MS, BORN_MS + 20 * HOUR_MS, (hours,))
    lines = rehearsed(showcase(), seed, 900, schedule).lines()
    found, printed = verdict(lines)
    assert "" == found
    times = [line["at_ms"] for line in lines if line["type"] == "contribution"]
    assert schedule.start_ms is not None
    assert schedule.end_ms is not None
    assert schedule.start_ms <= min(times) < max(times) < schedule.end_ms
    assert "Terminated" == [line for line in lines if line["type"] == "state"][-1]["status"]
    assert "not checked" not in printed


def test_check_fairness_of_a_release_notes_raffle() -> None:
    """A ticket for 2.00 at 0.10 a spin: after 20 spins, and not before; the parts of others do not count."""
    template = raffle(contribution={"contribution_type": {"Fixed": 0.1}})
    found = CoreRaffle(template, OPEN)
    for spin in range(40):
        for player in ("p1", "p2")[: 1 + spin % 2]:
            assert found.contribute(bet(player, ONE // 10), BORN_MS + spin)
    bought = [
        (line["player"], line["bought"]["awarded"])
        for line in found.lines
        if line["type"] == "contribution"
    ]
    spins = [awarded for player, awarded in bought if player == "p1"]
    assert [20, 40] == [at for at, awarded in enumerate(spins, 1) if awarded]
    assert 1 == sum(awarded for player, awarded in bought if player == "p2")
    found.pass_time(BORN_MS + HOUR_MS)
    assert "" == verdict(found.lines)[0]
    assert [3] == [line["tickets"] for line in draws_in(found.lines)]


def bet(player: str, wager: int, currency: str = "EUR", brand: str = "op:a") -> Bet:
    return Bet(brand, player, None, None, None, currency, wager, None, "gameround", None)


@pytest.mark.parametrize("is_one", [True, False])
def test_check_fairness_accepts_a_round_of_thousands(is_one: bool) -> None:
    """Some thousand prizes among more players, some of whom have no ticket yet, and 40 tiers."""
    prizes = [{"count": 20, "amount": amount} for amount in range(40, 0, -1)]
    rng = random.Random(3)
    template = raffle(raffle={"prizes": prizes, "one_prize_per_player": is_one})
    found = CoreRaffle(template, OPEN)
    for number in range(2_500):
        wager, currency = rng.choice((10**7, 3 * ONE, 500 * ONE)), rng.choice(list(MULTIPLIERS))
        player = f"p{rng.randrange(1_800)}"
        assert found.contribute(bet(player, wager, currency, rng.choice(BRANDS)), BORN_MS + number)
    found.pass_time(BORN_MS + HOUR_MS)
    assert "" == verdict(found.lines)[0]
    (draw,) = draws_in(found.lines)
    assert (800, True) == (len(draw["prizes"]), draw["entrants"] > 1_500)
    assert is_one == (800 == len({(prize["brand"], prize["player"]) for prize in draw["prizes"]}))


@pytest.mark.parametrize("seed", range(10))
def test_check_fairness_accepts_raffles_of_the_core(seed: int) -> None:
    """Random templates and schedules again, without an engine between the core and the export."""
    rng = random.Random(seed)
    template, schedule = random_raffle(rng), random_schedule(rng, BORN_MS)
    found, at_ms = CoreRaffle(template, schedule, seed), BORN_MS
    for _ in range(300):
        at_ms += rng.choice((0, 1, MINUTE_MS, 9 * MINUTE_MS, HOUR_MS))
        wager, currency = (
            rng.choice((0, 1, ONE, rng.randint(1, 10**10))),
            rng.choice(list(MULTIPLIERS)),
        )
        found.contribute(bet(f"p{rng.randrange(12)}", wager, currency, rng.choice(BRANDS)), at_ms)
    assert "" == verdict(found.lines)[0]
    assert draws_in(found.lines)


def test_export_of_a_raffle_adds_up() -> None:
    """The cost of all tickets, with what each entrant keeps at the end of a round is all that was counted in it."""
    template = raffle(raffle={"prizes": AMOUNTS}, ticket={"cost": "2.33333333"})
    lines = played(template, 3, 600).lines()
    cost = int(Decimal("2.33333333") * ONE)
    for draw in draws_in(lines):
        bought = [
            line["bought"]
            for line in lines
            if line.get("bought") and line["bought"]["round"] == draw["number"]
        ]
        kept = {each["entrant"]: each["accumulated"] for each in bought}
        assert draw["counted"] == draw["tickets"] * cost + sum(kept.values())
        assert list(range(draw["entrants"])) == sorted(kept)
