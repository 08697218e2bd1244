"""What a front end reads on Connect without an account: rates, sources, a source's jackpot, tickers (contract §7)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.raffles import a_raffle, now_ms

if TYPE_CHECKING:
    from tests.contract.conftest import Answer, Json, Lab, Params
    from tests.contract.streams import Live

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
INSTANCE_FIELDS = {
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
OPTIN_FIELDS = {
    "doc_version",
    "instance_id",
    "player_id",
    "ext_player_id",
    "player_brand_id",
    "preferred_contribution_value",
    "preferred_contribution_currency",
    "contribution_preferences",
    "contribution_count",
    "contribution_value",
    "pot_contributions",
    "opted_in",
    "last_updated",
}
TICKER_FIELDS = {
    "id",
    "jackpot_type",
    "currency",
    "pots",
    "allowed_brands",
    "allowed_sources",
    "status",
    "timestamp_start",
    "timestamp_end",
    "last_updated",
}
VARIABLE: Any = {
    "contribution_type": {"Variable": {"min": 0.1, "max": 5, "default": 0.1}},
    "opt_in_required": True,
}
SITEWIDE = "bdfa6295-d5a5-4c54-98bf-046355ce0252"
NOWHERE = "00000000-0000-4000-8000-000000000000"
Version = pytest.mark.parametrize("version", ["/v1", ""], ids=["v1", "bare"])


async def behind(live: Live, source: str, params: Params = None, version: str = "/v1") -> Answer:
    path = f"{version}/thrillpots/instances/source/{source}/brand/{live.platform.brand}"
    return await live.connect.get(path, params)


async def ticker(live: Live, instance_id: str, version: str = "/v1") -> Answer:
    return await live.connect.get(f"{version}/thrillpots/instances/{instance_id}/ticker")


@Version
async def test_rates_are_as_documented(live: Live, version: str) -> None:
    """The rates from the base currency, that one among them with 1, and when they were set."""
    answer = await live.connect.get(f"{version}/currencies")

    assert answer.status == 200
    assert set(answer.body) == {"last_updated", "base_currency", "multipliers"}
    assert answer.body["base_currency"] == "EUR"
    assert isinstance(answer.body["last_updated"], int)
    assert 0 <= answer.body["last_updated"] <= now_ms()
    rates = {code: Decimal(rate) for code, rate in RATES.items()}
    assert answer.body["multipliers"] == rates | {"EUR": 1}


@Version
async def test_sources_are_those_of_the_gateway(live: Live, version: str) -> None:
    """The same list as on the gateway, by owner and by name."""
    platform = live.platform
    jackpot = await platform.jackpot()
    source = await platform.source()
    await platform.assign(source, jackpot, priority=0)
    path = f"{version}/thrillpots/sources"
    named = {"owner_id": platform.brand, "name": f"The {source}"}
    (found,) = (await live.connect.get(path, named)).successful().body
    owned: Params = {"owner_id": platform.operator}
    all_of_it = (await live.connect.get(path, owned)).successful().body

    (mapped,) = found.pop("jackpots")
    assert found == {
        "owner_id": platform.brand,
        "source_name": f"The {source}",
        "source_id": source,
    }
    assert mapped == {"priority": 0, "owner_id": mapped["owner_id"], "instance_id": jackpot}
    assert all_of_it == (await platform.gateway.get("/sources", owned)).successful().body
    assert "sitewide-casino" in {each["source_id"] for each in all_of_it}


async def test_sources_need_an_owner(live: Live) -> None:
    """`owner_id` is required and named when it is missing; who owns nothing has an empty list."""
    missing = await live.connect.get("/v1/thrillpots/sources")
    nobody = await live.connect.get("/v1/thrillpots/sources", {"owner_id": "nobody:nowhere"})

    assert missing.refusal[:2] == (400, "INVALID_REQUEST")
    assert "owner_id" in missing.refusal[2]
    assert nobody.status in {200, 404}
    assert nobody.status == 404 or nobody.body == []


@Version
async def test_jackpot_of_a_source_has_the_documented_shape(live: Live, version: str) -> None:
    """The instance with its pots and rules; without a player there is no opt-in to show."""
    platform = live.platform
    source = await platform.source(jackpot := await platform.jackpot())
    (await platform.contribute(jackpot)).successful()
    answer = (await behind(live, source, version=version)).successful()

    assert set(answer.body) >= INSTANCE_FIELDS
    assert answer.body["id"] == jackpot
    assert answer.body["currency"] == "EUR"
    assert answer.body["opt_in_required"] is False
    assert answer.body["contribution_type"] == {"Fixed": Decimal("0.1")}
    assert answer.body["optin_status"] is None
    assert answer.body["timestamp_end"] is None
    assert answer.body["status"] == "Active"
    (pot,) = answer.body["pots"]
    assert set(pot) == {
        "id",
        "instance_count",
        "is_progressive",
        "current_value",
        "community_split",
    }
    assert (pot["id"], pot["instance_count"], pot["is_progressive"]) == ("main", 1, True)
    assert pot["current_value"] == Decimal("10.035")


async def test_jackpot_of_the_demos_source(live: Live) -> None:
    """The guide's call, as it stands there."""
    path = "/v1/thrillpots/instances/source/sitewide-casino/brand/thrilltech:brand1"
    answer = await live.connect.get(path, {"player_id": "player_00001", "country_code": "UK"})

    assert answer.successful().body["id"] == SITEWIDE
    assert [pot["id"] for pot in answer.body["pots"]] == ["minor", "major", "mega"]
    assert answer.body["contribution_type"] == {"Percentage": Decimal("0.0775")}


async def test_opt_in_of_a_player_is_shown(live: Live) -> None:
    """With `player_id` the documented record of that player, field by field; another player has none."""
    platform = live.platform
    jackpot = await platform.jackpot(rules=VARIABLE)
    source = await platform.source(jackpot)
    (await platform.opt_in(jackpot, contribution_value="0.5")).successful()
    for _ in range(2):
        (await platform.contribute(jackpot)).successful()
    answer = await behind(live, source, {"player_id": platform.player})
    other = await behind(live, source, {"player_id": platform.unique("player")})
    on_gateway = await platform.gateway.get(
        f"/jackpots/instances/source/{source}/brand/{platform.brand}",
        {"player_id": platform.player},
    )

    status = answer.successful().body["optin_status"]
    assert set(status) == OPTIN_FIELDS
    assert status["doc_version"] == "V1"
    assert status["instance_id"] == jackpot
    assert status["player_id"] == status["ext_player_id"] == platform.player
    assert status["player_brand_id"] == platform.brand
    assert status["preferred_contribution_value"] == Decimal("0.5")
    assert status["preferred_contribution_currency"] == "EUR"
    assert {k: Decimal(v) for k, v in status["contribution_preferences"].items()} == {
        "EUR": Decimal("0.5")
    }
    assert (status["contribution_count"], status["contribution_value"]) == (2, 1)
    assert status["pot_contributions"]["main"]["contribution_count"] == 2
    assert status["opted_in"] is True
    assert isinstance(status["last_updated"], int)
    assert on_gateway.successful().body == answer.body
    nobody = other.successful().body["optin_status"]
    assert nobody is None or nobody["opted_in"] is False


async def test_eligibility_parameters_choose_the_jackpot(live: Live) -> None:
    """Country and segments pass over what does not allow them; missing ones skip their check."""
    platform = live.platform
    vip = await platform.jackpot(allowed_segments=["vip-1", "vip-2"])
    uk = await platform.jackpot(allowed_countries=["UK"])
    everyone = await platform.jackpot()
    source = await platform.source(vip, uk, everyone)

    async def chosen(**params: str) -> str:
        return str((await behind(live, source, params)).successful().body["id"])

    assert await chosen() == vip
    assert await chosen(segments="regular,vip-2", country_code="MT") == vip
    assert await chosen(segments="regular", country_code="UK") == uk
    assert await chosen(segments="regular", country_code="MT") == everyone


async def test_jackpot_of_a_source_is_refused_as_on_the_gateway(live: Live) -> None:
    """Unknown, unmapped, not allowed: the documented errors."""
    platform = live.platform
    unknown = platform.unique("no-such-source")
    unmapped = await platform.source()
    closed = await platform.source(await platform.jackpot(allowed_countries=["UK"]))

    assert (await behind(live, unknown)).refusal == (404, "GAME_NOT_FOUND", unknown)
    assert (await behind(live, unmapped)).refusal[:2] == (404, "SOURCE_JACKPOT_NOT_FOUND")
    refused = await behind(live, closed, {"country_code": "MT"})
    assert refused.refusal[:2] == (403, "SOURCE_JACKPOTS_NOT_ALLOWED")


@Version
async def test_ticker_has_the_documented_shape(live: Live, version: str) -> None:
    """What a widget shows, amounts as text with all of their digits, from the first moment on."""
    platform = live.platform
    pots = [
        platform.pot("low", contribution={"Percentage": 0.35}),
        platform.pot("fixed", contribution={"Percentage": 0.35}, is_progressive=False),
    ]
    jackpot = await platform.jackpot(pots=pots)
    source = await platform.source(jackpot)
    (await platform.contribute(jackpot)).successful()
    state = await platform.instance(jackpot)
    body: Json = {}
    while body.get("allowed_sources") != [source] or body["pots"][0]["current_value"] == "10":
        body = (await ticker(live, jackpot, version)).successful().body
        assert set(body) == TICKER_FIELDS

    shown = []
    for pot in body.pop("pots"):
        assert set(pot) == {"id", "is_progressive", "current_value", "community_split"}
        assert isinstance(pot["current_value"], str)
        assert pot["community_split"] is None or isinstance(pot["community_split"], str)
        shown.append((pot["id"], pot["is_progressive"], Decimal(pot["current_value"])))
    assert shown == [("low", True, Decimal("10.0175")), ("fixed", False, Decimal(10))]
    assert abs(body.pop("last_updated") - now_ms()) < 60_000
    assert sorted(body.pop("allowed_brands")) == [platform.brand, platform.other_brand]
    assert body == {
        "id": jackpot,
        "jackpot_type": "Jackpot",
        "currency": "EUR",
        "allowed_sources": [source],
        "status": "Active",
        "timestamp_start": state["timestamp_start"],
        "timestamp_end": state["timestamp_end"],
    }


async def test_ticker_tells_raffles_and_community_parts(live: Live) -> None:
    """A raffle says that it is one; a pot that pays others as well has its split as text."""
    platform = live.platform
    strategies = [{"HighestLifetimeContributor": {"share": 0.5, "winners": 2}}]
    pot = platform.pot(community_payout={"share": 0.5, "strategies": strategies})
    jackpot = await platform.jackpot(pots=[pot])
    ticketed = await a_raffle(platform)
    source = await platform.source(ticketed)
    split = (await ticker(live, jackpot)).successful().body["pots"][0]["community_split"]
    body = (await ticker(live, ticketed)).successful().body
    shown = (await behind(live, source)).successful().body

    assert Decimal(split) > 0
    assert body["jackpot_type"] == "Raffle"
    assert body["timestamp_start"] is not None
    for name in ("timestamp_start", "timestamp_end"):
        assert body[name] == shown[name]


async def test_ticker_follows_the_status(live: Live) -> None:
    """Paused and Active again, as soon as it was said; the value is that of the pot."""
    platform = live.platform
    jackpot = await platform.jackpot()
    for status in ("Paused", "Active"):
        (await platform.set_status(jackpot, status)).successful()
        body: Json = {}
        while body.get("status") != status:
            body = (await ticker(live, jackpot)).successful().body
    (await platform.contribute(jackpot)).successful()
    while Decimal(body["pots"][0]["current_value"]) != Decimal("10.035"):
        body = (await ticker(live, jackpot)).successful().body


async def test_what_is_not_there_is_404(live: Live) -> None:
    """No such instance, no such path."""
    for name in (NOWHERE, "none", "²", "a" * 300):
        assert (await ticker(live, name)).refusal[:2] == (404, "JACKPOT_NOT_FOUND")
    for path in ("/v1/nothing", "/v2/currencies", "/v1/thrillpots", "/v1/v1/currencies"):
        assert (await live.connect.get(path)).status == 404
    assert (await live.connect.post("/v1/currencies", {})).status in {404, 405}


async def test_admin_and_gateway_are_not_on_connect(live: Live) -> None:
    """The listener of the public serves nothing that changes money or rules, whatever the token."""
    platform = live.platform
    jackpot = await platform.jackpot()
    caller = live.connect.with_token(platform.tokens.admin)
    for prefix in ("", "/v1"):
        answers = [
            await caller.get(f"{prefix}/instances"),
            await caller.post(f"{prefix}/jackpots/contribute", platform.v1(instance_id=jackpot)),
            await caller.get(f"{prefix}/jackpots/instances/jackpot/{jackpot}/latest_winners"),
        ]
        assert {answer.status for answer in answers} <= {404, 405}
    assert await platform.main_pot(jackpot) == 10


async def test_player_is_told_apart_by_brand(live: Live, live_lab: Lab) -> None:
    """The opt-in shown is that of the brand in the path."""
    platform = live.platform
    jackpot = await platform.jackpot(rules=VARIABLE)
    source = await platform.source(jackpot, owner=platform.operator)
    (await platform.opt_in(jackpot, brand_id=platform.other_brand)).successful()

    async def opted_in(brand: str) -> bool:
        path = f"/v1/thrillpots/instances/source/{source}/brand/{brand}"
        answer = await live.connect.get(path, {"player_id": platform.player})
        status = answer.successful().body["optin_status"]
        return status is not None and status["opted_in"] is True

    assert await opted_in(platform.other_brand)
    assert not await opted_in(platform.brand)
    path = f"/v1/thrillpots/instances/source/{source}/brand/{live_lab.one}"
    assert (await live.connect.get(path)).refusal[:2] == (404, "GAME_NOT_FOUND")


async def test_health_metrics_and_description(live: Live) -> None:
    """Each listener says its version, counts, and describes its paths."""
    health = await live.connect.get("/health")
    metrics = await live.connect.get("/metrics")
    described = await live.connect.get("/openapi.json")
    page = await live.connect.get("/docs")

    assert health.status == 200
    assert set(health.body) == {"version"}
    assert health.body == (await live.platform.gateway.get("/health")).body
    assert metrics.status == 200
    assert metrics.headers["Content-Type"].startswith("text/plain")
    assert "# TYPE" in metrics.text
    assert described.successful().body["openapi"].startswith("3.1")
    assert {
        "/v1/currencies",
        "/v1/thrillpots/sources",
        "/v1/thrillpots/instances/source/{source_id}/brand/{brand_id}",
        "/v1/thrillpots/instances/{instance_id}/ticker",
        "/v1/admin/cors/origins",
    } <= set(described.body["paths"])
    assert page.status == 200
    assert page.headers["Content-Type"].startswith("text/html")
