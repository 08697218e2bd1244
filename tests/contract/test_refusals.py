"""Every refusal that a contribution can meet, its status, code and word (contract §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Lab, Platform

NOWHERE = "00000000-0000-4000-8000-000000000000"
REJECTED = "CONTRIBUTION_REJECTED"


async def test_player_who_has_not_opted_in_is_rejected(platform: Platform) -> None:
    """A jackpot that asks for an opt-in rejects a player without one, in v1 and in v2."""
    jackpot = await platform.jackpot(rules={"opt_in_required": True})
    source = await platform.source(jackpot)
    expected = (400, REJECTED, "PlayerNotOptedIn")

    assert (await platform.contribute(jackpot)).refusal == expected
    assert (await platform.contribute_by_source(source)).refusal == expected
    assert (await platform.contribute_v2("instance", jackpot)).refusal == expected
    assert (await platform.contribute_v2("source", source)).refusal == expected
    assert await platform.main_pot(jackpot) == 10


@pytest.mark.parametrize("status", ["Pending", "Paused", "Terminated"])
async def test_jackpot_that_is_not_active_rejects(platform: Platform, status: str) -> None:
    """Directly or by its source, an instance that is not Active rejects."""
    jackpot = await platform.jackpot(status="Pending" if status == "Pending" else "Active")
    if status != "Pending":
        (await platform.set_status(jackpot, status)).successful()
    source = await platform.source(jackpot)
    expected = (400, REJECTED, "JackpotNotActive")

    assert (await platform.contribute(jackpot)).refusal == expected
    assert (await platform.contribute_by_source(source)).refusal == expected
    assert (await platform.contribute_v2("source", source)).refusal == expected
    assert (await platform.instance(jackpot))["contribution_count"] == 0


@pytest.mark.parametrize(
    "rule", [{"allowed_countries": ["UK", "USA"]}, {"blocked_countries": ["XX", "MT"]}]
)
async def test_country_outside_the_rules_is_rejected(platform: Platform, rule: Json) -> None:
    """Addressed directly, a country that is blocked or not allowed is rejected."""
    jackpot = await platform.jackpot(**rule)
    expected = (400, REJECTED, "CountryNotAllowed")

    assert (await platform.contribute(jackpot, player_country="MT")).refusal == expected
    v2 = await platform.contribute_v2("instance", jackpot, player={"country": "MT"})
    assert v2.refusal == expected
    assert (await platform.contribute(jackpot, player_country="UK")).status == 200


@pytest.mark.parametrize("segments", [[], ["regular"], None])
async def test_segment_outside_the_rules_is_rejected(
    platform: Platform, segments: list[str] | None
) -> None:
    """A jackpot for a segment rejects a player who is in none of its segments."""
    jackpot = await platform.jackpot(allowed_segments=["vip-1", "vip-2"])
    player = {"segments": segments}
    refused = await platform.contribute_v2("instance", jackpot, player=player)
    assert refused.refusal == (400, REJECTED, "SegmentNotAllowed")
    player = {"segments": ["regular", "vip-2"]}
    allowed = await platform.contribute_v2("instance", jackpot, player=player)

    assert allowed.status == 200


async def test_vertical_outside_the_rules_is_rejected(platform: Platform) -> None:
    """A jackpot for a vertical rejects a request from another one."""
    jackpot = await platform.jackpot(allowed_verticals=["slots"])
    options = {"vertical_id": "sportsbook"}
    refused = await platform.contribute_v2("instance", jackpot, options=options)
    assert refused.refusal == (400, REJECTED, "VerticalNotAllowed")
    options = {"vertical_id": "slots"}
    allowed = await platform.contribute_v2("instance", jackpot, options=options)

    assert allowed.status == 200


@pytest.mark.parametrize("wager", [-1, -0.01, "-1", -1e-8])
async def test_negative_wager_is_rejected(platform: Platform, wager: float | str) -> None:
    """A base wager below 0 is rejected, whatever the kind of contribution."""
    jackpot = await platform.jackpot()
    expected = (400, REJECTED, "NegativeWager")

    assert (await platform.contribute(jackpot, base_wager=wager)).refusal == expected
    base_wager = {"currency": "EUR", "value": wager}
    v2 = await platform.contribute_v2("instance", jackpot, base_wager=base_wager)
    assert v2.refusal == expected
    assert await platform.main_pot(jackpot) == 10


async def test_unknown_source_is_game_not_found(platform: Platform) -> None:
    """A source that does not exist is 404, with its id as the message."""
    source = platform.unique("no-such-source")
    expected = (404, "GAME_NOT_FOUND", source)

    assert (await platform.contribute_by_source(source)).refusal == expected
    assert (await platform.contribute_v2("source", source)).refusal == expected


async def test_source_without_a_jackpot_is_not_found(platform: Platform) -> None:
    """A source that exists but is mapped to nothing is `SOURCE_JACKPOT_NOT_FOUND`."""
    source = await platform.source()
    expected = (404, "SOURCE_JACKPOT_NOT_FOUND")

    assert (await platform.contribute_by_source(source)).refusal[:2] == expected
    assert (await platform.contribute_v2("source", source)).refusal[:2] == expected


@pytest.mark.parametrize(
    "rule",
    [
        {"allowed_countries": ["UK"]},
        {"blocked_countries": ["MT"]},
        {"allowed_segments": ["vip-1"]},
        {"allowed_brands": ["thrilltech:brand2"]},
    ],
)
async def test_source_whose_jackpots_do_not_allow_the_player(
    platform: Platform, rule: Json
) -> None:
    """By source, a rule of the player's brand, country or segment is 403."""
    source = await platform.source(await platform.jackpot(**rule))
    expected = (403, "SOURCE_JACKPOTS_NOT_ALLOWED")

    assert (await platform.contribute_by_source(source)).refusal[:2] == expected
    assert (await platform.contribute_v2("source", source)).refusal[:2] == expected


async def test_source_whose_jackpots_do_not_allow_the_vertical(platform: Platform) -> None:
    """By source, a rule of the vertical is 403 too."""
    source = await platform.source(await platform.jackpot(allowed_verticals=["slots"]))
    options = {"vertical_id": "sportsbook"}
    answer = await platform.contribute_v2("source", source, options=options)

    assert answer.refusal[:2] == (403, "SOURCE_JACKPOTS_NOT_ALLOWED")


async def test_brand_that_the_jackpot_does_not_allow_is_unsupported(platform: Platform) -> None:
    """Addressed directly, another brand of the operator is `UNSUPPORTED_BRAND`."""
    jackpot = await platform.jackpot(allowed_brands=[platform.other_brand])
    expected = (403, "UNSUPPORTED_BRAND")

    assert (await platform.contribute(jackpot)).refusal[:2] == expected
    assert (await platform.contribute_v2("instance", jackpot)).refusal[:2] == expected
    assert await platform.main_pot(jackpot) == 10


async def test_brand_that_does_not_exist_is_403(platform: Platform) -> None:
    """A brand that nobody configured reaches nothing."""
    jackpot = await platform.jackpot()
    answer = await platform.contribute(jackpot, brand_id="thrilltech:no-such-brand")

    status, code, _ = answer.refusal
    assert status == 403
    assert code in {"UNSUPPORTED_BRAND", "FORBIDDEN"}


async def test_currency_without_a_multiplier_is_not_found(platform: Platform) -> None:
    """A wager in a currency that the brand has no rate for is 404."""
    jackpot = await platform.jackpot()
    expected = (404, "CURRENCY_MULTIPLIERS_NOT_FOUND")

    assert (await platform.contribute(jackpot, currency="XTS")).refusal[:2] == expected
    base_wager = {"currency": "XTS", "value": 1}
    v2 = await platform.contribute_v2("instance", jackpot, base_wager=base_wager)
    assert v2.refusal[:2] == expected
    assert await platform.main_pot(jackpot) == 10


@pytest.mark.parametrize("instance_id", [NOWHERE, "not-a-uuid", "é/../x"])
async def test_unknown_instance_is_jackpot_not_found(platform: Platform, instance_id: str) -> None:
    """An instance that does not exist is 404 in v1 and in v2."""
    expected = (404, "JACKPOT_NOT_FOUND")

    assert (await platform.contribute(instance_id)).refusal[:2] == expected
    assert (await platform.contribute_v2("instance", instance_id)).refusal[:2] == expected


async def test_foreign_jackpot_is_an_unsupported_brand(platform: Platform, lab: Lab) -> None:
    """Another operator's jackpot does not allow my brand."""
    jackpot = await platform.jackpot(owner_id=lab.operator, allowed_brands=[lab.one])

    assert (await platform.contribute(jackpot)).refusal[:2] == (403, "UNSUPPORTED_BRAND")
    assert await platform.main_pot(jackpot) == 10


@pytest.mark.parametrize(
    "accept",
    [
        "application/problem+json",
        "application/problem+json, application/json;q=0.5",
        "application/problem+json;q=1.0",
    ],
)
async def test_problem_details_where_accept_asks_for_them(platform: Platform, accept: str) -> None:
    """`Accept: application/problem+json` gets RFC 9457 with the same status."""
    jackpot = await platform.jackpot(rules={"opt_in_required": True})
    headers = {"Accept": accept}
    for answer in (
        await platform.contribute(jackpot, headers=headers),
        await platform.contribute_v2("instance", jackpot, headers=headers),
    ):
        assert answer.status == 400
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert answer.body["status"] == 400
        assert "PlayerNotOptedIn" in answer.text
        assert isinstance(answer.body.get("title", ""), str)
        assert isinstance(answer.body.get("type", ""), str)


async def test_problem_details_on_reads_and_on_admin(platform: Platform) -> None:
    """The negotiation holds on every listener, for 401 and 404 alike."""
    headers = {"Accept": "application/problem+json"}
    answers = [
        await platform.gateway.with_token(None).get("/sources?owner_id=x", headers=headers),
        await platform.admin.get(f"/instances/{NOWHERE}", headers=headers),
        await platform.admin.with_token(None).get("/instances", headers=headers),
    ]

    assert [answer.status for answer in answers] == [401, 404, 401]
    for answer in answers:
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert answer.body["status"] == answer.status


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html"])
async def test_documented_error_is_the_default(platform: Platform, accept: str) -> None:
    """Any other `Accept` gets `{status_code, code, message}` as JSON."""
    answer = await platform.contribute(NOWHERE, headers={"Accept": accept})

    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.refusal[:2] == (404, "JACKPOT_NOT_FOUND")


async def test_errors_carry_a_trace(platform: Platform) -> None:
    """Refusals, like results, carry `X-Trace-Id` and `Date`."""
    jackpot = await platform.jackpot()
    refused = await platform.contribute(NOWHERE)
    accepted = await platform.contribute(jackpot)

    for answer in (refused, accepted):
        assert answer.headers["X-Trace-Id"]
        assert answer.headers["Date"]
    assert refused.headers["X-Trace-Id"] != accepted.headers["X-Trace-Id"]
