"""Which instance a source stands for: priority, status and eligibility (contract §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Platform


async def chosen(platform: Platform, source: str, **changes: object) -> str:
    """The instance that a v1 contribution to the source reaches."""
    body = platform.v1(source_id=source, **changes)
    answer = await platform.gateway.post("/jackpots/contribute/source", body)
    instance_id: str = answer.successful().body["instance_id"]
    return instance_id


async def test_lowest_priority_number_is_first(platform: Platform) -> None:
    """Priorities ascend: 0 comes before 5, whatever was assigned first."""
    later, first = await platform.jackpot(), await platform.jackpot()
    source = await platform.source()
    await platform.assign(source, later, priority=5)
    await platform.assign(source, first, priority=0)

    assert await chosen(platform, source) == first


async def test_equal_priorities_keep_the_order_of_assignment(platform: Platform) -> None:
    """Of two with the same priority the one assigned first receives."""
    first, second = await platform.jackpot(), await platform.jackpot()
    source = await platform.source()
    await platform.assign(source, first, priority=3)
    await platform.assign(source, second, priority=3)

    assert await chosen(platform, source) == first


async def test_assignment_without_priority_goes_last(platform: Platform) -> None:
    """Without a priority an instance is placed behind all that are there."""
    first, last = await platform.jackpot(), await platform.jackpot()
    source = await platform.source()
    await platform.assign(source, first, priority=7)
    await platform.assign(source, last)

    assert await chosen(platform, source) == first
    await platform.unassign(source, first)
    assert await chosen(platform, source) == last


async def test_unassigned_instance_no_longer_receives(platform: Platform) -> None:
    """A source whose only instance is unassigned is mapped to nothing."""
    jackpot = await platform.jackpot()
    source = await platform.source(jackpot)
    await platform.unassign(source, jackpot)
    answer = await platform.contribute_by_source(source)

    assert answer.refusal[:2] == (404, "SOURCE_JACKPOT_NOT_FOUND")


@pytest.mark.parametrize("status", ["Pending", "Paused", "Terminated"])
async def test_instance_that_is_not_active_is_passed_over(platform: Platform, status: str) -> None:
    """The first Active instance receives; one that is not Active lets the next one have it."""
    idle = await platform.jackpot(status="Pending" if status == "Pending" else "Active")
    if status != "Pending":
        (await platform.set_status(idle, status)).successful()
    active = await platform.jackpot()
    source = await platform.source(idle, active)

    assert await chosen(platform, source) == active


async def test_paused_instance_receives_again_once_active(platform: Platform) -> None:
    """A change of status takes effect at the next contribution."""
    preferred, other = await platform.jackpot(), await platform.jackpot()
    source = await platform.source(preferred, other)
    (await platform.set_status(preferred, "Paused")).successful()
    assert await chosen(platform, source) == other
    (await platform.set_status(preferred, "Active")).successful()

    assert await chosen(platform, source) == preferred


@pytest.mark.parametrize(
    "rule",
    [
        {"allowed_brands": ["thrilltech:brand2"]},
        {"allowed_countries": ["UK"]},
        {"blocked_countries": ["MT"]},
        {"allowed_segments": ["vip-1"]},
    ],
)
async def test_instance_that_does_not_allow_the_player_is_passed_over(
    platform: Platform, rule: Json
) -> None:
    """The first instance that allows brand, country and segments receives."""
    closed = await platform.jackpot(**rule)
    opened = await platform.jackpot()
    source = await platform.source(closed, opened)

    assert await chosen(platform, source) == opened


async def test_player_who_is_allowed_reaches_the_first_instance(platform: Platform) -> None:
    """The same source serves a VIP another jackpot than a regular player."""
    vip = await platform.jackpot(allowed_segments=["vip-1"])
    everyone = await platform.jackpot()
    source = await platform.source(vip, everyone)

    assert await chosen(platform, source, segments=["regular", "vip-1"]) == vip
    assert await chosen(platform, source, segments=["regular"]) == everyone
    assert await chosen(platform, source) == everyone


async def test_country_chooses_the_instance(platform: Platform) -> None:
    """Countries are opaque strings, compared as they are."""
    uk = await platform.jackpot(allowed_countries=["UK"])
    usa = await platform.jackpot(allowed_countries=["USA", "Ruritania"])
    source = await platform.source(uk, usa)

    assert await chosen(platform, source, player_country="UK") == uk
    assert await chosen(platform, source, player_country="USA") == usa
    assert await chosen(platform, source, player_country="Ruritania") == usa


async def test_vertical_chooses_the_instance(platform: Platform) -> None:
    """`options.vertical_id` passes over a jackpot of another vertical."""
    slots = await platform.jackpot(allowed_verticals=["slots"])
    sports = await platform.jackpot(allowed_verticals=["sportsbook"])
    source = await platform.source(slots, sports)
    options = {"vertical_id": "sportsbook"}
    answer = await platform.contribute_v2("source", source, options=options)

    assert [result["instance_id"] for result in answer.successful().body] == [sports]


async def test_active_but_forbidden_and_idle_together_are_not_allowed(platform: Platform) -> None:
    """One Active that does not allow the player and one paused: `SOURCE_JACKPOTS_NOT_ALLOWED`."""
    abroad = await platform.jackpot(allowed_countries=["UK"])
    paused = await platform.jackpot()
    (await platform.set_status(paused, "Paused")).successful()
    source = await platform.source(abroad, paused)
    answer = await platform.contribute_by_source(source)

    assert answer.refusal[:2] == (403, "SOURCE_JACKPOTS_NOT_ALLOWED")


async def test_opt_in_does_not_change_the_choice(platform: Platform) -> None:
    """Opt-in is no part of the resolution: the first jackpot rejects, the second gets nothing."""
    first = await platform.jackpot(rules={"opt_in_required": True})
    second = await platform.jackpot()
    source = await platform.source(first, second)
    answer = await platform.contribute_by_source(source)

    assert answer.refusal == (400, "CONTRIBUTION_REJECTED", "PlayerNotOptedIn")
    assert await platform.main_pot(second) == 10


async def test_brands_own_source_comes_before_the_operators(platform: Platform) -> None:
    """Of two sources with one id, the brand's own serves that brand, the operator's the others."""
    source = platform.unique("source")
    brands, operators = await platform.jackpot(), await platform.jackpot()
    await platform.source(operators, source_id=source, owner=platform.operator)
    assert await chosen(platform, source) == operators
    await platform.source(brands, source_id=source, owner=platform.brand)

    assert await chosen(platform, source) == brands
    assert await chosen(platform, source, brand_id=platform.other_brand) == operators


async def test_source_of_another_brand_does_not_exist(platform: Platform) -> None:
    """A source of brand 1 is none of brand 2."""
    source = await platform.source(await platform.jackpot())
    answer = await platform.contribute_by_source(source, brand_id=platform.other_brand)

    assert answer.refusal == (404, "GAME_NOT_FOUND", source)


async def test_v1_and_v2_resolve_alike(platform: Platform) -> None:
    """Both versions of the call reach the same instance of the same source."""
    closed = await platform.jackpot(blocked_countries=["MT"])
    opened = await platform.jackpot()
    source = await platform.source(closed, opened)
    v2 = await platform.contribute_v2("source", source)

    assert await chosen(platform, source) == opened
    assert [result["instance_id"] for result in v2.successful().body] == [opened]


async def test_one_assignment_binds_several_sources(platform: Platform) -> None:
    """`source_id` of the assignment is a list: one call binds an instance to each of them."""
    jackpot = await platform.jackpot()
    sources = [await platform.source(), await platform.source()]
    body = {"owner_id": platform.brand, "source_id": sources, "instance_id": jackpot}
    answer = (await platform.admin.post("/config/sources/assignjackpot", body)).successful()

    assert set(answer.body) == {"success", "failed"}
    assert answer.body["failed"] == []
    assert [await chosen(platform, source) for source in sources] == [jackpot, jackpot]
