"""What a win pays, what stays, and what comes after it (contract §3, §9)."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Answer, Json, Lab, Platform

CENT = Decimal("0.01")
WINNER_FIELDS = {
    "instance_id",
    "pot_id",
    "player_id",
    "brand_id",
    "timestamp",
    "win_amount",
    "currency",
    "gameround_id",
    "win_withheld",
    "community",
}
ALSO_ALLOWED = {"ext_player_id"}  # the contract's paragraph names it, its list does not


def seeds(minimum: float, *, fund: str = "CollectAlways", reseed: str = "Full") -> Json:
    return {
        "initial_seed_value": 10,
        "min_reseed_value": minimum,
        "fund_strategy": fund,
        "reseed_strategy": reseed,
    }


def win(answer: Answer) -> tuple[Decimal | int, str | None]:
    body = answer.successful().body
    assert body["win_withheld"] is False
    assert body["tickets_awarded"] is None
    return body["win_amount"], body["win_pot_id"]


async def test_odds_of_one_win_each_time(platform: Platform) -> None:
    """With N = 1 every contribution wins the pot that it has just grown, to the cent."""
    jackpot = await platform.jackpot(pots=[platform.pot(odds=1)])
    amounts = [win(await platform.contribute(jackpot)) for _ in range(3)]

    # 10.035 pays 10.03 and keeps 0.005; then 10.005 + 0.035 = 10.04; then 10 + 0.035 again.
    assert amounts == [
        (Decimal("10.03"), "main"),
        (Decimal("10.04"), "main"),
        (Decimal("10.03"), "main"),
    ]


async def test_pot_reseeds_after_a_win(platform: Platform) -> None:
    """After the win the pot holds its seed and the part of a cent that could not be paid."""
    jackpot = await platform.jackpot(pots=[platform.pot(odds=1)])
    (before,) = (await platform.instance(jackpot))["pots"]
    (await platform.contribute(jackpot)).successful()
    (after,) = (await platform.instance(jackpot))["pots"]

    assert Decimal(str(after["current_value"])) == Decimal("10.005")
    assert (before["instance_count"], after["instance_count"]) == (1, 2)


async def test_win_is_paid_in_v2_too(platform: Platform) -> None:
    """A v2 result of the target and of its link hold their own wins."""
    linked = await platform.jackpot(pots=[platform.pot("linked-pot", odds=1)])
    jackpot = await platform.jackpot(pots=[platform.pot(odds=1)], linked=linked)
    answer = (await platform.contribute_v2("instance", jackpot)).successful()

    assert [(r["win_amount"], r["win_pot_id"]) for r in answer.body] == [
        (Decimal("10.03"), "main"),
        (Decimal("10.03"), "linked-pot"),
    ]


async def test_more_money_has_more_attempts(platform: Platform) -> None:
    """10 EUR at 0.01 an attempt are a thousand attempts: one in two is certain then."""
    pot = platform.pot(pot_types=[{"HitRate": {"max_magic_number": 2, "cost_per_attempt": 0.01}}])
    jackpot = await platform.jackpot(pots=[pot], rules={"contribution_type": {"Percentage": 1}})
    answer = await platform.contribute(jackpot, base_wager=10)

    assert win(answer) == (Decimal("13.5"), "main")


@pytest.mark.parametrize(
    ("currency", "paid", "left"),
    [
        ("EUR", "10.03", "10.005"),
        ("JPY", "1605", "10.00375"),  # 10.035 EUR are 1605.6 JPY; 1605 JPY are 10.03125 EUR
        ("KWD", "5.017", "10.001"),  # three decimals: 5.0175 KWD
        ("USD", "20.07", "10"),
        ("GBP", "5.01", "10.015"),
    ],
)
async def test_win_is_rounded_down_to_the_players_minor_unit(
    platform: Platform, lab: Lab, currency: str, paid: str, left: str
) -> None:
    """The win is converted and rounded down; exactly what was paid leaves the pot."""
    jackpot = await platform.jackpot(
        owner_id=lab.operator, allowed_brands=[lab.one], pots=[platform.pot(odds=1)]
    )
    caller = platform.gateway.with_token(lab.service)
    body = platform.v1(instance_id=jackpot, brand_id=lab.one, currency=currency)
    answer = await caller.post("/jackpots/contribute/instance", body)

    assert win(answer) == (Decimal(paid), "main")
    assert answer.body["contribution_currency"] == currency
    assert await platform.main_pot(jackpot) == Decimal(left)


async def test_pot_that_is_not_progressive_pays_its_seed(platform: Platform) -> None:
    """Each win of such a pot is the seed, no more and no less."""
    jackpot = await platform.jackpot(pots=[platform.pot(odds=1, is_progressive=False)])

    assert win(await platform.contribute(jackpot)) == (10, "main")
    assert win(await platform.contribute(jackpot)) == (10, "main")


@pytest.mark.parametrize("strategy", ["Full", "WholeReserve"])
async def test_reserve_reseeds_the_pot(platform: Platform, strategy: str) -> None:
    """`Full` takes the minimum of the reserve, `WholeReserve` all that it collected."""
    pot = platform.pot(odds=20, seed_strategy=seeds(0.01, reseed=strategy))
    jackpot = await platform.jackpot(pots=[pot])
    count = 1
    answer = (await platform.contribute(jackpot)).successful()
    while answer.body["win_pot_id"] is None:
        answer = (await platform.contribute(jackpot)).successful()
        count += 1

    value = 10 + count * Decimal("0.035")
    paid = value - value % CENT
    reserve = count * Decimal("0.035")
    assert win(answer) == (paid, "main")
    reseeded = reserve if strategy == "WholeReserve" else CENT
    assert await platform.main_pot(jackpot) == value - paid + reseeded


def two_pots(platform: Platform, **changes: object) -> list[Json]:
    """A low pot of 10 and a high one of 100, both won each time."""
    part = {"contribution": {"Percentage": 0.35}, "seed_contribution": {"Percentage": 0}}
    low = platform.pot("low", odds=1, **part, **changes)
    high = platform.pot("high", odds=1, **part, **changes)
    high["seed_strategy"] = low["seed_strategy"] | {
        "initial_seed_value": 100,
        "min_reseed_value": 100,
    }
    return [low, high]


@pytest.mark.parametrize(
    ("strategy", "paid", "pot_id", "low", "high"),
    [
        # Both pots grow by 0.035 first.
        ("Highest", "100.03", "high", "10.035", "100.005"),
        ("Lowest", "10.03", "low", "10.005", "100.035"),
        ("All", "110.06", "high", "10.005", "100.005"),
    ],
)
async def test_several_tips_are_settled_by_the_strategy(
    platform: Platform, strategy: str, paid: str, pot_id: str, low: str, high: str
) -> None:
    """`Highest` and `Lowest` pay one pot; `All` pays each and names the highest."""
    jackpot = await platform.jackpot(pots=two_pots(platform), win_selector_strategy=strategy)
    answer = await platform.contribute(jackpot)

    assert win(answer) == (Decimal(paid), pot_id)
    assert await platform.pots(jackpot) == {"low": Decimal(low), "high": Decimal(high)}
    winners = await platform.winners(jackpot)
    expected = {"low", "high"} if strategy == "All" else {pot_id}
    assert {winner["pot_id"] for winner in winners} == expected
    assert len(winners) == len(expected)


async def test_zero_contribution_wins_where_the_operator_pays_for_the_attempt(
    platform: Platform,
) -> None:
    """With k = 0 each contribution is one attempt, a contribution of zero as well."""
    pot = platform.pot(pot_types=[{"HitRate": {"max_magic_number": 1, "cost_per_attempt": 0}}])
    rules: Json = {
        "contribution_type": {"Percentage": 0.1},
        "operator_contribution_percentage": 1,
    }
    jackpot = await platform.jackpot(pots=[pot], rules=rules)
    answer = await platform.contribute(jackpot, base_wager=0)

    assert win(answer) == (10, "main")


async def test_last_drop_ends_the_jackpot(platform: Platform) -> None:
    """With one drop allowed the win is the last: the jackpot is Ended and rejects."""
    jackpot = await platform.jackpot(pots=[platform.pot(odds=1, max_instantiation_count=1)])
    answer = await platform.contribute(jackpot)

    # In its last cycle the seed's part goes to the pot too: 10 + 0.07.
    assert win(answer) == (Decimal("10.07"), "main")
    assert (await platform.instance(jackpot))["status"] == "Ended"
    refused = await platform.contribute(jackpot)
    assert refused.refusal == (400, "CONTRIBUTION_REJECTED", "JackpotNotActive")


async def test_limited_pot_drops_as_often_as_allowed(platform: Platform) -> None:
    """With two drops the jackpot reseeds once and ends at the second."""
    jackpot = await platform.jackpot(pots=[platform.pot(odds=1, max_instantiation_count=2)])
    first = win(await platform.contribute(jackpot))
    status = (await platform.instance(jackpot))["status"]
    second = win(await platform.contribute(jackpot))

    assert first == (Decimal("10.03"), "main")
    assert status == "Active"
    assert second[1] == "main"
    assert (await platform.instance(jackpot))["status"] == "Ended"
    assert (await platform.contribute(jackpot)).status == 400


async def test_used_up_pot_leaves_the_others_open(platform: Platform) -> None:
    """While another pot is open the jackpot stays Active, and the used-up pot is not won again."""
    limited, opened = two_pots(platform)
    limited["max_instantiation_count"] = 1
    opened["pot_types"][0]["HitRate"]["max_magic_number"] = 1_000_000_000
    jackpot = await platform.jackpot(pots=[limited, opened])
    first = win(await platform.contribute(jackpot))
    second = win(await platform.contribute(jackpot))

    assert first[1] == "low"
    assert second == (0, None)
    assert (await platform.instance(jackpot))["status"] == "Active"


async def test_source_passes_over_an_ended_jackpot(platform: Platform) -> None:
    """The win that ends a jackpot hands its source to the next one."""
    limited = await platform.jackpot(pots=[platform.pot(odds=1, max_instantiation_count=1)])
    following = await platform.jackpot()
    source = await platform.source(limited, following)
    reached = [
        (await platform.contribute_by_source(source)).successful().body["instance_id"]
        for _ in range(2)
    ]

    assert reached == [limited, following]


async def test_winner_is_listed_with_the_documented_fields(platform: Platform) -> None:
    """`latest_winners` shows who won what, when, in which round."""
    jackpot = await platform.jackpot(pots=[platform.pot(odds=1)])
    answer = (await platform.contribute(jackpot)).successful()
    (winner,) = await platform.winners(jackpot)

    assert set(winner) - ALSO_ALLOWED == WINNER_FIELDS
    assert winner["instance_id"] == jackpot
    assert winner["pot_id"] == "main"
    assert winner["player_id"] == platform.player
    assert winner["brand_id"] == platform.brand
    assert winner["win_amount"] == Decimal("10.03")
    assert winner["currency"] == "EUR"
    assert winner["gameround_id"] == answer.body["gameround_id"]
    assert winner["win_withheld"] is False
    assert winner["community"] is False
    assert abs(winner["timestamp"] - time.time() * 1000) < 60_000


async def test_winner_in_another_currency_is_listed_in_the_jackpots(
    platform: Platform, lab: Lab
) -> None:
    """Winners are in the jackpot's currency: 1605 JPY are 10.03125 EUR."""
    jackpot = await platform.jackpot(
        owner_id=lab.operator, allowed_brands=[lab.one], pots=[platform.pot(odds=1)]
    )
    caller = platform.gateway.with_token(lab.service)
    body = platform.v1(instance_id=jackpot, brand_id=lab.one, currency="JPY")
    (await caller.post("/jackpots/contribute/instance", body)).successful()
    path = f"/jackpots/instances/jackpot/{jackpot}/latest_winners"
    (winner,) = (await caller.get(path)).successful().body

    assert (winner["win_amount"], winner["currency"]) == (Decimal("10.03125"), "EUR")


async def test_latest_winners_are_newest_first_and_limited(platform: Platform) -> None:
    """The newest winner is first, ten by default, and `limit` and `brand_id` narrow the list."""
    jackpot = await platform.jackpot(pots=[platform.pot(odds=1)])
    players = [platform.unique("player") for _ in range(11)]
    for player in players:
        (await platform.contribute(jackpot, player_id=player)).successful()
    newest = list(reversed(players))

    assert [w["player_id"] for w in await platform.winners(jackpot)] == newest[:10]
    assert [w["player_id"] for w in await platform.winners(jackpot, limit=2)] == newest[:2]
    assert len(await platform.winners(jackpot, limit=100)) == 11
    assert len(await platform.winners(jackpot, limit=100, brand_id=platform.brand)) == 11
    assert await platform.winners(jackpot, brand_id=platform.other_brand) == []


async def test_pot_winners_are_grouped_by_pot(platform: Platform) -> None:
    """`pot_winners` maps each pot to its winners."""
    jackpot = await platform.jackpot(pots=two_pots(platform), win_selector_strategy="All")
    for _ in range(2):
        (await platform.contribute(jackpot)).successful()
    path = f"/jackpots/instances/jackpot/{jackpot}/pot_winners"
    winners = (await platform.gateway.get(path)).successful().body
    limited = (await platform.gateway.get(path, {"limit": 1})).successful().body

    assert set(winners) == {"low", "high"}
    assert [len(winners["low"]), len(winners["high"])] == [2, 2]
    for pot_id, rows in winners.items():
        assert {row["pot_id"] for row in rows} == {pot_id}
        assert all(set(row) - ALSO_ALLOWED == WINNER_FIELDS for row in rows)
    assert [len(limited["low"]), len(limited["high"])] == [1, 1]
