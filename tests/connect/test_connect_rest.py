"""Connect's public reads: currencies, sources, the instance of a source, tickers; each without `/v1`, too."""

from typing import Any

import pytest
import trio

from jackpotd.service.demo_data import DAILY, DEPOSIT, SITEWIDE
from jackpotd.wire.catalog_records import Assignment, Source

from .connect_data import RIVALS, SURE
from .connect_house import ConnectHouse, connect_house

PREFIXES = ("/v1", "")


async def read(house: ConnectHouse, path: str, status: int = 200) -> Any:
    response = await house.app.test_client().get(path)
    assert status == response.status_code, await response.get_data(as_text=True)
    return await response.get_json()


async def test_currencies_are_the_defaults() -> None:
    async with connect_house() as house:
        for prefix in PREFIXES:
            found = await read(house, f"{prefix}/currencies")
            assert {"last_updated", "base_currency", "multipliers"} == set(found)
            assert "EUR" == found["base_currency"]
            assert (1, 1.0762) == (found["multipliers"]["EUR"], found["multipliers"]["USD"])


async def test_sources_are_those_of_a_brand() -> None:
    async with connect_house() as house:
        for prefix in PREFIXES:
            found = await read(house, f"{prefix}/thrillpots/sources?owner_id=thrilltech:brand1")
            assert [
                {
                    "owner_id": "thrilltech",
                    "source_name": "Casino Sitewide Source",
                    "source_id": "sitewide-casino",
                    "jackpots": [
                        {"priority": 0, "owner_id": "thrilltech", "instance_id": SITEWIDE}
                    ],
                }
            ] == [source for source in found if source["source_id"] == "sitewide-casino"]
        one = await read(house, "/v1/thrillpots/sources?owner_id=thrilltech:brand1&name=Deposit")
        assert ["deposit"] == [source["source_id"] for source in one]
        assert [] == await read(house, "/v1/thrillpots/sources?owner_id=nobody")
        refused = await read(house, "/v1/thrillpots/sources", 400)
        assert "INVALID_REQUEST" == refused["code"]


async def test_the_instance_of_a_source_has_the_players_standing() -> None:
    async with connect_house() as house:
        await house.contribute(SITEWIDE)
        path = "/thrillpots/instances/source/sitewide-casino/brand/thrilltech:brand1"
        for prefix in PREFIXES:
            bare = await read(house, prefix + path)
            assert (SITEWIDE, None) == (bare["id"], bare["optin_status"])
            assert ["minor", "major", "mega"] == [pot["id"] for pot in bare["pots"]]
            known = await read(house, f"{prefix}{path}?player_id=player_00001&country_code=MT")
            assert 1 == known["optin_status"]["contribution_count"]
            assert "thrilltech:brand1" == known["optin_status"]["player_brand_id"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/source/nowhere/brand/thrilltech:brand1", 404, "GAME_NOT_FOUND"),
        ("/source/sitewide-casino/brand/thrilltech:nobody", 403, "UNSUPPORTED_BRAND"),
        ("/source/sitewide-casino/brand/brand1", 400, "INVALID_REQUEST"),
        ("/source/rival-slots/brand/thrilltech:brand1", 404, "GAME_NOT_FOUND"),
        ("/nothing/ticker", 404, "JACKPOT_NOT_FOUND"),
    ],
)
async def test_what_cannot_be_shown_is_refused(path: str, status: int, code: str) -> None:
    async with connect_house() as house:
        refused = await read(house, f"/v1/thrillpots/instances{path}", status)
        assert (status, code) == (refused["status_code"], refused["code"])


async def test_a_source_with_another_operators_jackpot_shows_nothing_of_it() -> None:
    async with connect_house() as house:
        mapped = Source(
            owner_id="thrilltech",
            source_id="borrowed",
            name="Borrowed",
            jackpots=(Assignment(instance_id=RIVALS, priority=0),),
        )
        await house.street.change(mapped)
        path = "/v1/thrillpots/instances/source/borrowed/brand/thrilltech:brand1"
        assert "SOURCE_JACKPOTS_NOT_ALLOWED" == (await read(house, path, 403))["code"]


async def test_a_ticker_has_its_amounts_as_strings() -> None:
    async with connect_house() as house:
        for prefix in PREFIXES:
            found = await read(house, f"{prefix}/thrillpots/instances/{SURE}/ticker")
            last_updated = found.pop("last_updated")
            assert isinstance(last_updated, int)
            assert {
                "id": SURE,
                "jackpot_type": "Jackpot",
                "currency": "EUR",
                "pots": [
                    {
                        "id": "main",
                        "is_progressive": True,
                        "current_value": "5.0",
                        "community_split": "0.0",
                    }
                ],
                "allowed_brands": ["thrilltech:brand1", "thrilltech:brand2"],
                "allowed_sources": [],
                "status": "Active",
                "timestamp_start": None,
                "timestamp_end": None,
            } == found


async def test_the_ticker_of_a_raffle_has_the_times_of_its_round() -> None:
    async with connect_house() as house:
        found = await read(house, f"/v1/thrillpots/instances/{DAILY}/ticker")
        assert "Raffle" == found["jackpot_type"]
        assert 22 * 3_600_000 == found["timestamp_end"] - found["timestamp_start"]
        assert ["daily"] == found["allowed_sources"]
        plain = await read(house, f"/v1/thrillpots/instances/{DEPOSIT}/ticker")
        assert (None, None) == (plain["timestamp_start"], plain["timestamp_end"])


async def test_the_document_names_every_call() -> None:
    async with connect_house() as house:
        paths = (await read(house, "/openapi.json"))["paths"]
        for path in (
            "/currencies",
            "/thrillpots/sources",
            "/thrillpots/instances/source/{source_id}/brand/{brand_id}",
            "/thrillpots/instances/{instance_id}/ticker",
            "/admin/cors/origins",
        ):
            assert path in paths
            assert f"/v1{path}" in paths
        assert {"get", "post", "put", "delete"} <= set(paths["/v1/admin/cors/origins"])
        for path in ("/events/{operator_id}/{brand_id}", "/events/service"):
            assert "426" in paths[path]["get"]["responses"]
            assert f"/v1{path}" in paths
        docs = await house.app.test_client().get("/docs")
        assert 200 == docs.status_code
        health = await read(house, "/health")
        assert {"version"} == set(health)


async def test_a_ticker_is_of_the_moment_and_outlives_its_worker() -> None:
    """While nobody can be asked it shows what was last heard."""
    async with connect_house() as house:
        path = f"/v1/thrillpots/instances/{SITEWIDE}/ticker"
        before = await read(house, path)
        await house.contribute(SITEWIDE)
        after = await read(house, path)
        assert before["pots"] != after["pots"]
        await house.board.refresh_of([SITEWIDE])
        await house.street.stop(0)
        while house.node.is_up(0):
            await trio.lowlevel.checkpoint()
        assert after == await read(house, path)
        by_source = "/v1/thrillpots/instances/source/sitewide-casino/brand/thrilltech:brand1"
        assert "OVERLOADED" == (await read(house, by_source, 503))["code"]


async def test_who_asks_for_a_socket_without_an_upgrade_is_told_so() -> None:
    async with connect_house() as house:
        for prefix in PREFIXES:
            for path in ("/events/thrilltech/brand1", "/events/service"):
                assert "UPGRADE_REQUIRED" == (await read(house, prefix + path, 426))["code"]
