"""What can be read on the gateway: sources, the instance behind one, rates (contract §5)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.contract.raffles import DAY_MS, HOUR_MS, SECOND_MS, WHY, now_ms, scheduled

if TYPE_CHECKING:
    from tests.contract.conftest import Answer, Json, Lab, Platform

RATES = {
    "USD": "1.0762",
    "GBP": "0.8592",
    "CAD": "1.4753",
    "PLN": "4.311",
    "NZD": "1.7921",
    "AUD": "1.6303",
    "RON": "4.9753",
    "SGD": "1.4567",
    "SEK": "11.6761",
}


async def behind(platform: Platform, source: str, **params: str) -> Answer:
    path = f"/jackpots/instances/source/{source}/brand/{platform.brand}"
    return await platform.gateway.get(path, params)


async def test_source_is_listed_with_its_jackpots(platform: Platform) -> None:
    """A source is shown as documented, its jackpots with priority, owner and id."""
    jackpot = await platform.jackpot()
    source = await platform.source()
    await platform.assign(source, jackpot, priority=0)
    params = {"owner_id": platform.brand, "name": f"The {source}"}
    answer = await platform.gateway.get("/sources", params)

    assert answer.status == 200
    (listed,) = answer.body
    (mapped,) = listed.pop("jackpots")
    assert listed == {
        "owner_id": platform.brand,
        "source_name": f"The {source}",
        "source_id": source,
    }
    assert set(mapped) == {"priority", "owner_id", "instance_id"}
    assert mapped["priority"] == 0
    assert mapped["instance_id"] == jackpot


async def test_sources_of_a_brand_are_listed(platform: Platform) -> None:
    """Without a name all sources of the owner are there, and none of another brand's own."""
    mine = await platform.source()
    other = await platform.source(owner=platform.other_brand)
    answer = await platform.gateway.get(f"/sources?owner_id={platform.brand}&limit=1000")

    ids = {source["source_id"] for source in answer.successful().body}
    assert mine in ids
    assert other not in ids


async def test_sources_are_sorted_and_paged(platform: Platform) -> None:
    """`sort_field`, `sort_direction`, `page` from 0 and `limit` work on the list."""
    operator = platform.unique("op")
    created = await platform.admin.post("/config/operators", [{"id": operator, "name": "Op"}])
    created.successful()
    brand = [{"id": "b", "name": "B"}]
    (await platform.admin.post(f"/config/operators/{operator}/brands", brand)).successful()
    sources = [
        {"owner_id": f"{operator}:b", "source_name": name, "source_id": name} for name in "cabd"
    ]
    (await platform.admin.post("/config/sources", sources)).successful()
    caller = platform.gateway.with_token(platform.tokens.admin)

    async def listed(**params: str | int) -> list[str]:
        answer = await caller.get("/sources", {"owner_id": f"{operator}:b", **params})
        return [source["source_id"] for source in answer.successful().body]

    assert await listed(sort_field="source_id", sort_direction=1) == ["a", "b", "c", "d"]
    assert await listed(sort_field="source_id", sort_direction=-1) == ["d", "c", "b", "a"]
    pages = [await listed(sort_field="source_id", limit=3, page=page) for page in range(3)]
    assert pages == [["a", "b", "c"], ["d"], []]


async def test_sources_need_an_owner(platform: Platform) -> None:
    """`owner_id` is required and named when it is missing."""
    status, code, message = (await platform.gateway.get("/sources")).refusal

    assert (status, code) == (400, "INVALID_REQUEST")
    assert "owner_id" in message


@pytest.mark.parametrize(
    "params",
    [{"limit": "many"}, {"limit": -1}, {"page": -1}, {"page": "x"}],
    ids=str,
)
async def test_bad_list_parameter_is_named(platform: Platform, params: Json) -> None:
    """A list parameter that makes no sense is named."""
    answer = await platform.gateway.get("/sources", {"owner_id": platform.brand, **params})

    status, code, message = answer.refusal
    assert (status, code) == (400, "INVALID_REQUEST")
    assert next(iter(params)) in message


async def test_instance_behind_a_source_has_the_documented_shape(platform: Platform) -> None:
    """The instance is shown with its pots, its rules and, without a player, no opt-in."""
    jackpot = await platform.jackpot(rules={"contribution_type": {"Fixed": 0.1}})
    source = await platform.source(jackpot)
    answer = await behind(platform, source)

    assert answer.status == 200
    documented = {
        "id",
        "currency",
        "opt_in_required",
        "contribution_type",
        "optin_status",
        "pots",
        "timestamp_start",
        "timestamp_end",
        "status",
    }
    assert documented <= set(answer.body)
    assert answer.body["id"] == jackpot
    assert answer.body["currency"] == "EUR"
    assert answer.body["opt_in_required"] is False
    assert answer.body["contribution_type"] == {"Fixed": Decimal("0.1")}
    assert answer.body["optin_status"] is None
    assert answer.body["timestamp_end"] is None
    assert answer.body["status"] == "Active"
    (pot,) = answer.body["pots"]
    assert {"id", "instance_count", "is_progressive", "current_value"} <= set(pot)
    assert (pot["id"], pot["instance_count"], pot["is_progressive"]) == ("main", 1, True)
    assert pot["current_value"] == 10


async def test_instance_shows_the_current_pot(platform: Platform) -> None:
    """What a contribution added is in the next read."""
    source = await platform.source(await platform.jackpot())
    (await platform.contribute_by_source(source)).successful()
    (pot,) = (await behind(platform, source)).body["pots"]

    assert pot["current_value"] == Decimal("10.035")


async def test_demo_instance_is_behind_its_source(platform: Platform) -> None:
    """The demo's sitewide source stands for the documented instance with its three pots."""
    answer = await behind(platform, "sitewide-casino", player_id="player_00001", country_code="UK")

    assert answer.status == 200
    assert answer.body["id"] == "bdfa6295-d5a5-4c54-98bf-046355ce0252"
    assert [pot["id"] for pot in answer.body["pots"]] == ["minor", "major", "mega"]
    assert answer.body["contribution_type"] == {"Percentage": Decimal("0.0775")}


@pytest.mark.parametrize(
    ("source", "instance", "kind", "required"),
    [
        ("casino-slots", "a49ff35f-6ecd-491f-b373-85e6caabacf1", {"Fixed": "0.1"}, False),
        ("daily", "0a1cfeea-5b07-4f2b-b2f1-2e4cd2aa991d", {"Fixed": "0.1"}, False),
        (
            "deposit",
            "8dcc9f5a-f1c5-466f-83e9-928277d8bfb7",
            {"Variable": {"min": "0.1", "max": "5", "default": "0.1"}},
            True,
        ),
    ],
)
async def test_demo_sources_are_as_listed(
    platform: Platform, source: str, instance: str, kind: Json, required: bool
) -> None:
    """The demo's sources stand for the instances of the contract's table, for both brands."""

    def decimals(value: Json | str) -> object:
        if isinstance(value, dict):
            return {key: decimals(inner) for key, inner in value.items()}
        return Decimal(value)

    for brand in (platform.brand, platform.other_brand):
        path = f"/jackpots/instances/source/{source}/brand/{brand}"
        body = (await platform.gateway.get(path)).successful().body

        assert body["id"] == instance
        assert body["contribution_type"] == decimals(kind)
        assert body["opt_in_required"] is required


async def test_eligibility_parameters_choose_the_instance(platform: Platform) -> None:
    """Country and segments pass over what does not allow them; missing ones skip their check."""
    vip = await platform.jackpot(allowed_segments=["vip-1", "vip-2"])
    uk = await platform.jackpot(allowed_countries=["UK"])
    everyone = await platform.jackpot()
    source = await platform.source(vip, uk, everyone)

    async def chosen(**params: str) -> str:
        instance_id: str = (await behind(platform, source, **params)).successful().body["id"]
        return instance_id

    assert await chosen() == vip
    assert await chosen(segments="regular,vip-2", country_code="MT") == vip
    assert await chosen(segments="regular", country_code="UK") == uk
    assert await chosen(segments="regular") == uk
    assert await chosen(segments="regular", country_code="MT") == everyone


async def test_instance_of_an_unknown_source_is_game_not_found(platform: Platform) -> None:
    """The read refuses like the contribution: unknown, unmapped, not allowed."""
    unknown = platform.unique("no-such-source")
    unmapped = await platform.source()
    closed = await platform.source(await platform.jackpot(allowed_countries=["UK"]))

    assert (await behind(platform, unknown)).refusal == (404, "GAME_NOT_FOUND", unknown)
    assert (await behind(platform, unmapped)).refusal[:2] == (404, "SOURCE_JACKPOT_NOT_FOUND")
    refused = await behind(platform, closed, country_code="MT")
    assert refused.refusal[:2] == (403, "SOURCE_JACKPOTS_NOT_ALLOWED")


async def test_pending_instance_is_shown_as_such(platform: Platform) -> None:
    """A front end can tell a jackpot that has not started by its status."""
    source = await platform.source(await platform.jackpot(status="Pending"))
    answer = await behind(platform, source)

    assert answer.successful().body["status"] == "Pending"


async def test_instance_shows_when_it_starts_and_ends(platform: Platform) -> None:
    """The times are those of its schedule, be it Pending or Active; what has no schedule has none."""
    now = now_ms()
    coming = {"timestamp_start": now + HOUR_MS, "timestamp_end": now + DAY_MS}
    running = {"timestamp_start": now - HOUR_MS, "timestamp_end": now + HOUR_MS}
    open_ended = {"timestamp_start": now - HOUR_MS}
    for schedule, status in ((coming, "Pending"), (running, "Active"), (open_ended, "Active")):
        source = await platform.source(await scheduled(platform, schedule))
        body = (await behind(platform, source)).successful().body

        assert body["status"] == status
        assert body["timestamp_start"] == schedule["timestamp_start"]
        assert body["timestamp_end"] == schedule.get("timestamp_end")


async def test_source_shows_the_next_jackpot_when_one_is_over(platform: Platform) -> None:
    """What its schedule has ended is passed over; what has begun by its own comes before others again."""
    ending = await scheduled(platform, {"timestamp_end": now_ms() + HOUR_MS})
    beginning = await scheduled(platform, {"timestamp_start": now_ms() + HOUR_MS})
    always = await platform.jackpot()
    source = await platform.source(ending, beginning, always)
    assert (await behind(platform, source)).successful().body["id"] == ending

    for jackpot, change, following in (
        (ending, {"timestamp_end": now_ms() + SECOND_MS}, always),
        (beginning, {"timestamp_start": now_ms() + SECOND_MS}, beginning),
    ):
        schedule = {**change, "reason": WHY}
        (await platform.admin.put(f"/instances/{jackpot}/schedule", schedule)).successful()
        found: Json = {"id": ""}
        while found["id"] != following:
            found = (await behind(platform, source)).successful().body
            assert found["status"] == "Active"
    assert (await platform.instance(ending))["status"] == "Terminated"


async def test_player_who_never_opted_in_has_not_opted_in(platform: Platform) -> None:
    """For a player without a record the status is null or says not opted in."""
    source = await platform.source(await platform.jackpot(rules={"opt_in_required": True}))
    status = (await behind(platform, source, player_id=platform.player)).body["optin_status"]

    assert status is None or status["opted_in"] is False


async def test_brand_in_the_path_is_operator_and_brand(platform: Platform) -> None:
    """A bare brand in the path is no brand: malformed, or none that the account reaches."""
    source = await platform.source(await platform.jackpot())
    answer = await platform.gateway.get(f"/jackpots/instances/source/{source}/brand/brand1")

    assert answer.refusal[:2] in {(400, "INVALID_REQUEST"), (403, "FORBIDDEN")}


async def test_default_rates_are_the_demos(platform: Platform) -> None:
    """A brand without rates of its own reads the default ones, base EUR."""
    answer = await platform.gateway.get(f"/currencies/{platform.brand}")

    assert answer.status == 200
    assert set(answer.body) == {"brand_id", "base_currency", "multipliers"}
    assert answer.body["brand_id"] == platform.brand
    assert answer.body["base_currency"] == "EUR"
    rates = {code: Decimal(rate) for code, rate in RATES.items()}
    assert {k: v for k, v in answer.body["multipliers"].items() if k != "EUR"} == rates


async def test_own_rates_of_a_brand_replace_the_default(platform: Platform, lab: Lab) -> None:
    """Brand one reads its own rates, brand two the default ones."""
    caller = platform.gateway.with_token(lab.service)
    one = (await caller.get(f"/currencies/{lab.one}")).successful().body["multipliers"]
    two = (await caller.get(f"/currencies/{lab.two}")).successful().body["multipliers"]

    assert one["JPY"] == 160
    assert "JPY" not in two
    assert two["USD"] == Decimal("1.0762")


@pytest.mark.parametrize("list_name", ["latest_winners", "pot_winners"])
async def test_winners_of_an_unknown_instance_are_404(platform: Platform, list_name: str) -> None:
    """There are no winners of a jackpot that does not exist."""
    nowhere = "00000000-0000-4000-8000-000000000000"
    answer = await platform.gateway.get(f"/jackpots/instances/jackpot/{nowhere}/{list_name}")

    assert answer.refusal[:2] == (404, "JACKPOT_NOT_FOUND")


async def test_winners_of_a_new_instance_are_none(platform: Platform) -> None:
    """Nobody has won yet."""
    jackpot = await platform.jackpot()

    assert await platform.winners(jackpot) == []


@pytest.mark.parametrize("limit", [-1, "many"])
async def test_bad_limit_of_winners_is_named(platform: Platform, limit: str | int) -> None:
    """`limit` is a number of 0 or more."""
    jackpot = await platform.jackpot()
    path = f"/jackpots/instances/jackpot/{jackpot}/latest_winners"
    status, code, message = (await platform.gateway.get(path, {"limit": limit})).refusal

    assert (status, code) == (400, "INVALID_REQUEST")
    assert "limit" in message
