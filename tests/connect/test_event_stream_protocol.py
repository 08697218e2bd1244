"""The gateway's stream: the first message, and bad ones, the envelope, resuming, and the end of a token."""

from contextlib import suppress

import pytest
import websockets
from msgspec.structs import replace

from jackpotd.service.demo_data import DEPOSIT
from jackpotd.wire.catalog_records import Origin, Origins

from .connect_clients import origin
from .connect_data import PRIVATE, RIVALS, SURE, Json
from .connect_house import connect_house

DEPOSITED: Json = {
    "PlayerOptInRequest": {
        "instance_id": DEPOSIT,
        "player_id": "player_00001",
        "brand_id": "thrilltech:brand1",
        "player_country": "MT",
        "opt_in": True,
    }
}


async def test_events_come_in_their_envelope() -> None:
    async with connect_house() as house, house.reader(house.token("reader")) as client:
        update = await client.named("JackpotUpdateEvent")
        assert {"event_type", "event_id", "data"} == set(update)
        await house.contribute(SURE)
        win = await client.named("JackpotWinEvent")
        assert {"event_type", "event_id", "data"} == set(win)
        assert (SURE, 5.01) == (win["data"]["instance_id"], win["data"]["win_amount"])
        assert {"seed_deficit", "metadata", "jackpot_currency"} <= set(win["data"])
        async with house.player() as player:
            await player.send(DEPOSITED)
            opted = await client.named("OptInEvent")
        assert (DEPOSIT, True) == (opted["data"]["instance_id"], opted["data"]["opted_in"])
        assert 3 == len({update["event_id"], win["event_id"], opted["event_id"]})


async def test_an_account_sees_its_own_alone() -> None:
    async with connect_house() as house:
        async with house.reader(house.token("rival")) as client:
            await house.contribute(SURE)
            await house.contribute(RIVALS, operator="rival", brand="rival:one")
            win = await client.named("JackpotWinEvent")
            assert RIVALS == win["data"]["instance_id"]
        async with house.reader(house.token("brand-one")) as client:
            seen = {(await client.named("JackpotUpdateEvent"))["data"]["id"] for _ in range(24)}
            assert SURE in seen
            assert not seen & {PRIVATE, RIVALS}


async def test_who_says_nothing_is_closed_in_time() -> None:
    async with connect_house() as house, house.reader(None) as client:
        assert 4408 == (await client.closed())[0]


@pytest.mark.parametrize(
    "first",
    [
        "",
        "hello",
        "{}",
        "[]",
        '{"action": "Authenticate"}',
        '{"action": {"Subscribe": {}}}',
        '{"action": {"Authenticate": {}}}',
        '{"action": {"Authenticate": {"auth_token": 1}}}',
        '{"action": {"Authenticate": {"auth_token": "wrong"}}}',
        '{"action": {"Authenticate": {"auth_token": ""}}}',
        '{"SubscribeRequest": {"events": []}}',
    ],
)
async def test_a_wrong_first_message_is_closed_with_4401(first: str) -> None:
    async with connect_house() as house, house.reader(None) as client:
        await client.send(first)
        assert 4401 == (await client.closed())[0]


async def test_an_account_without_the_right_is_closed_with_4403() -> None:
    async with connect_house() as house, house.reader(house.token("contributor")) as client:
        assert 4403 == (await client.closed())[0]


async def test_unknown_fields_are_passed_over() -> None:
    async with connect_house() as house, house.reader(None) as client:
        said = {"auth_token": house.token("reader"), "version": 2, "last_event_id": None}
        await client.send({"action": {"Authenticate": said}, "id": 1})
        assert "JackpotUpdateEvent" == (await client.receive())["event_type"]


async def test_later_messages_are_passed_over_until_there_are_too_many() -> None:
    async with connect_house() as house, house.reader(house.token("reader")) as client:
        for number in range(60):
            await client.send(f"message {number}")
        await house.contribute(SURE)
        assert "JackpotWinEvent" == (await client.named("JackpotWinEvent"))["event_type"]
        with suppress(websockets.ConnectionClosed):
            for number in range(60):
                await client.send(f"message {number}")
        assert 1008 == (await client.closed())[0]


async def test_a_reader_goes_on_where_it_was() -> None:
    async with connect_house() as house:
        token = house.token("reader")
        async with house.reader(token) as client:
            await client.named("JackpotUpdateEvent")
            await house.contribute(SURE)
            last_seen = (await client.named("JackpotWinEvent"))["event_id"]
        for number in range(2, 6):
            await house.contribute(SURE, f"player_0000{number}")
        async with house.reader(token, last_seen) as client:
            missed = [await client.named("JackpotWinEvent") for _ in range(4)]
            players = [event["data"]["player_id"] for event in missed]
            assert [f"player_0000{number}" for number in range(2, 6)] == players
            assert 4 == len({event["event_id"] for event in missed})


async def test_an_id_that_is_unknown_is_a_gap_and_then_all_that_is_kept_follows() -> None:
    async with connect_house() as house:
        await house.contribute(SURE)
        async with house.reader(house.token("reader"), "gone") as client:
            gap = await client.receive()
            assert {"event_type", "event_id", "data"} == set(gap)
            assert ("ResumeGap", {"last_event_id": "gone"}) == (gap["event_type"], gap["data"])
            await client.named("JackpotWinEvent")
        async with house.reader(house.token("reader"), gap["event_id"]) as client:
            assert "JackpotWinEvent" == (await client.receive())["event_type"]


async def test_the_stream_ends_with_the_token() -> None:
    async with connect_house() as house:
        account = house.node.catalog.accounts["reader"]
        for changed in (replace(account, enabled=False), replace(account, generation=1)):
            await house.change_account(account)
            async with house.reader(house.token("reader")) as client:
                await client.named("JackpotUpdateEvent")
                await house.change_account(changed)
                assert 4401 == (await client.closed())[0]


async def test_only_its_path_and_pages_of_listed_origins_are_let_in() -> None:
    async with connect_house() as house:
        port = house.gateway_port
        for path in ("/", "/event", "/v1/events", "/events/"):
            assert 404 == (await house.refused(path, port=port))[0]
        page = origin("https://office.example")
        assert 403 == (await house.refused("/events", port=port, origin=page))[0]
        listed = Origin(pattern=str(page), match_mode="Exact", operator_id="thrilltech")
        await house.street.change(Origins(origins=(listed,)))
        async with house.reader(house.token("reader"), origin=page) as client:
            assert "JackpotUpdateEvent" == (await client.receive())["event_type"]
        async with house.reader(house.token("rival"), origin=page) as client:
            assert 4403 == (await client.closed())[0]
