"""Players' sockets: who is let in, what they are sent field by field, what they may ask, and for whom."""

import pytest

from jackpotd.connect.players import NoWallet
from jackpotd.service.demo_data import DAILY, DEPOSIT, MONTHLY, SITEWIDE, WEEKLY
from jackpotd.wire.catalog_records import Origin, Origins

from .connect_clients import origin
from .connect_data import PRIVATE, RIVALS, SURE, Json
from .connect_house import connect_house
from .player_messages import BRANDS, ENVELOPE, opt_in

# -- who is let in


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/events/thrilltech/nobody?token=token_00001&currency=EUR", 404, "NOT_FOUND"),
        ("/v1/events/nobody/brand1?token=token_00001&currency=EUR", 404, "NOT_FOUND"),
        ("/v1/events/thrilltech?token=token_00001&currency=EUR", 404, "NOT_FOUND"),
        ("/v1/events/thrilltech/brand1/x?token=token_00001&currency=EUR", 404, "NOT_FOUND"),
        ("/v2/events/thrilltech/brand1?token=token_00001&currency=EUR", 404, "NOT_FOUND"),
        ("/v1/v1/events/thrilltech/brand1?token=token_00001&currency=EUR", 404, "NOT_FOUND"),
        ("/v1/events/service/brand1?token=token_00001&currency=EUR", 404, "NOT_FOUND"),
        ("/?token=token_00001&currency=EUR", 404, "NOT_FOUND"),
        ("/v1/events/thrilltech/brand1?currency=EUR", 401, "UNAUTHORIZED"),
        ("/v1/events/thrilltech/brand1?token=&currency=EUR", 401, "UNAUTHORIZED"),
        ("/v1/events/thrilltech/brand1?token=token_00001", 400, "INVALID_REQUEST"),
        ("/v1/events/thrilltech/brand1?token=token_00001&currency=eu", 400, "INVALID_REQUEST"),
        ("/v1/events/thrilltech/brand1?token=wrong&currency=EUR", 401, "PLAYER_AUTH_FAILED"),
    ],
)
async def test_a_bad_handshake_is_refused_before_the_upgrade(
    path: str, status: int, code: str
) -> None:
    async with connect_house() as house:
        refused = await house.refused(path)
        assert (status, code) == (refused[0], refused[1]["code"])
        assert status == refused[1]["status_code"]


async def test_without_a_wallet_no_player_is_let_in() -> None:
    async with connect_house(players=NoWallet()) as house:
        path = "/v1/events/thrilltech/brand1?token=token_00001&currency=EUR"
        assert 401 == (await house.refused(path))[0]


async def test_a_token_may_stand_in_a_header_and_the_path_without_its_version() -> None:
    async with connect_house() as house:
        path = "/events/thrilltech/brand1?currency=EUR"
        headers = {"Authorization": "Bearer token_00001"}
        async with house.client(house.connect_port, path, additional_headers=headers) as client:
            assert await client.is_alive()


async def test_only_pages_of_listed_origins_open_sockets() -> None:
    """This listener's own is one of them; who names none is no browser."""
    async with connect_house() as house:
        path = "/v1/events/thrilltech/brand1?token=token_00001&currency=EUR"
        evil, casino = origin("https://evil.example"), origin("https://casino.example")
        for stranger in (evil, casino, origin("null"), origin("https://127.0.0.1")):
            refused = await house.refused(path, origin=stranger)
            assert (403, "FORBIDDEN") == (refused[0], refused[1]["code"])
        async with house.player(origin=origin(f"http://127.0.0.1:{house.connect_port}")) as client:
            assert await client.is_alive()

        listed = Origin(pattern="casino.example", match_mode="Suffix")
        await house.street.change(Origins(origins=(listed,)))
        async with house.player(origin=casino) as client:
            assert await client.is_alive()
        assert 403 == (await house.refused(path, origin=evil))[0]

        await house.street.change(Origins(origins=()))
        assert 403 == (await house.refused(path, origin=casino))[0]


async def test_pages_of_another_operator_open_no_sockets_of_this_one() -> None:
    """They may open their own, and read what is public."""
    async with connect_house() as house:
        page = origin("https://rival.example")
        theirs = Origin(pattern=str(page), match_mode="Exact", operator_id="rival")
        await house.street.change(Origins(origins=(theirs,)))
        path = "/v1/events/thrilltech/brand1?token=token_00001&currency=EUR"
        assert 403 == (await house.refused(path, origin=page))[0]
        service = f"/v1/events/service?token={house.token('service')}"
        assert 403 == (await house.refused(service, origin=page))[0]
        async with (
            house.player("token_00001", "rival/one", origin=page) as player,
            house.service("rival", origin=page) as client,
        ):
            assert await player.is_alive()
            assert await client.is_alive()


# -- what they are sent


async def test_updates_come_of_all_jackpots_of_the_brand_and_no_others() -> None:
    async with connect_house() as house, house.player() as client:
        await client.subscribe("JackpotUpdate")
        seen: set[str] = set()
        wanted = {SITEWIDE, DAILY, WEEKLY, MONTHLY, DEPOSIT, SURE}
        for _ in range(40):
            message = await client.receive()
            assert "JackpotUpdate" == message["msg_name"]
            seen.add(message["data"]["id"])
        assert wanted <= seen
        assert not seen & {PRIVATE, RIVALS}


async def test_an_update_is_as_documented() -> None:
    async with connect_house() as house, house.player() as client:
        await client.subscribe("JackpotUpdateEvent")
        update = await client.until(lambda message: message["data"]["id"] == SITEWIDE)
        assert ENVELOPE | {"timestamp", "event_id"} == set(update)
        assert ("Event", "thrillpots") == (update["msg_type"], update["source"])
        assert ("thrilltech", "brand1", None) == (
            update["operator_id"],
            update["brand_id"],
            update["player_id"],
        )
        data = update["data"]
        assert isinstance(data.pop("last_updated"), int)
        assert {
            "id": SITEWIDE,
            "status": "Active",
            "jackpot_type": "Jackpot",
            "currency": "EUR",
            "allowed_brands": BRANDS,
            "allowed_sources": ["sitewide-casino"],
            "pots": [
                {"id": "minor", "is_progressive": True, "current_value": 10},
                {"id": "major", "is_progressive": True, "current_value": 100},
                {"id": "mega", "is_progressive": True, "current_value": 1000},
            ],
            "timestamp_start": None,
            "timestamp_end": None,
        } == data


async def test_a_win_is_told_to_every_player_of_every_brand_without_the_deficit() -> None:
    async with (
        connect_house() as house,
        house.player() as winner,
        house.player("token_00002", "thrilltech/brand2") as other,
    ):
        await winner.subscribe("WinEvent")
        await other.subscribe("JackpotWinEvent")
        assert await winner.is_alive()
        assert await other.is_alive()
        await house.contribute(SURE)
        first, second = await winner.receive(), await other.receive()
        assert ENVELOPE | {"timestamp", "event_id"} == set(first)
        assert ("Event", "WinEvent") == (first["msg_type"], first["msg_name"])
        assert ("brand1", "brand2") == (first["brand_id"], second["brand_id"])
        assert (None, None) == (first["player_id"], second["player_id"])
        assert first["event_id"] == second["event_id"]
        assert first["data"] == second["data"]
        assert {
            "brand_id",
            "player_id",
            "source_id",
            "instance_id",
            "jackpot_name",
            "jackpot_currency",
            "timestamp",
            "win_pot_id",
            "win_amount",
            "currency_multipliers",
            "win_withheld",
            "community_winners",
            "games_in_jackpot",
            "seed",
            "metadata",
        } == set(first["data"])
        won = first["data"]
        assert ("player_00001", "thrilltech:brand1") == (won["player_id"], won["brand_id"])
        assert (SURE, "main") == (won["instance_id"], won["win_pot_id"])
        assert (5.01, 5) == (won["win_amount"], won["seed"])


async def test_an_opt_in_is_told_to_the_player_alone() -> None:
    async with (
        connect_house() as house,
        house.player() as client,
        house.player("token_00002") as other,
        house.player("token_00001", "thrilltech/brand2") as namesake,
    ):
        for each in (client, other, namesake):
            await each.subscribe("OptInEvent")
            assert await each.is_alive()
        await client.send(opt_in(contribution_value=0.3))
        event = await client.receive()
        assert ENVELOPE | {"timestamp", "event_id"} == set(event)
        assert ("Event", "OptInEvent", "thrilltech", "brand1", "player_00001") == (
            event["msg_type"],
            event["msg_name"],
            event["operator_id"],
            event["brand_id"],
            event["player_id"],
        )
        assert isinstance(event["data"].pop("last_updated"), int)
        assert {
            "instance_id": DEPOSIT,
            "player_id": "player_00001",
            "ext_player_id": "player_00001",
            "player_brand_id": "thrilltech:brand1",
            "preferred_contribution_value": 0.3,
            "contribution_count": 0,
            "contribution_value": 0,
            "opted_in": True,
        } == event["data"]
        await client.send(opt_in(opt_in=False))
        assert (await client.receive())["data"]["opted_in"] is False
        for stranger in (other, namesake):
            await stranger.send({"Last": {}})
            assert "Last" == (await stranger.receive())["msg_name"]


async def test_a_player_is_known_by_both_names() -> None:
    """The samples of the guide call the player of token_00001 by two names."""
    async with connect_house() as house, house.player() as client:
        await client.subscribe("OptInEvent")
        await client.send(opt_in(player_id="player_id_token_00001"))
        event = await client.receive()
        assert ("OptInEvent", "player_id_token_00001") == (event["msg_name"], event["player_id"])


async def test_who_has_not_subscribed_is_told_of_their_own_requests_alone() -> None:
    """An opt-in is answered by its event: whoever asks for one hears of it, and of no more."""
    async with connect_house() as house, house.player() as client, house.player() as silent:
        await house.contribute(SURE)
        await client.send(opt_in())
        event = await client.receive()
        assert ("OptInEvent", DEPOSIT) == (event["msg_name"], event["data"]["instance_id"])
        await client.subscribe("JackpotUpdate")
        await client.send(opt_in(opt_in=False))
        event = await client.until(lambda message: message["msg_name"] != "JackpotUpdate")
        assert ("OptInEvent", False) == (event["msg_name"], event["data"]["opted_in"])
        await silent.send({"Last": {}})
        assert "Last" == (await silent.receive())["msg_name"]


async def test_a_subscription_takes_the_place_of_the_one_before_it() -> None:
    async with connect_house() as house, house.player() as client:
        await client.subscribe("*")
        await client.named("JackpotUpdate")
        await client.subscribe("OptInEvent")
        assert await client.is_alive()
        await client.send(opt_in())
        await house.contribute(SURE)
        assert "OptInEvent" == (await client.receive())["msg_name"]
        await client.send({"SubscribeRequest": {"events": []}})
        await house.contribute(SURE)
        assert await client.is_alive()


@pytest.mark.parametrize(
    "wish",
    [
        {"source": "thrillpots", "event_type": "Wins"},
        {"source": "elsewhere", "event_type": "*"},
        {"source": "thrillpots"},
        {"source": "thrillpots", "event_type": 1},
    ],
)
async def test_a_bad_subscription_is_answered_and_the_one_before_it_stands(wish: Json) -> None:
    async with connect_house() as house, house.player() as client:
        await client.subscribe("OptInEvent")
        await client.send({"SubscribeRequest": {"events": [wish]}})
        error = await client.receive()
        assert ("Error", "SubscribeRequest") == (error["msg_type"], error["msg_name"])
        assert 400 == error["data"]["status_code"]
        assert error["data"]["message"].startswith("$.SubscribeRequest.events")
        await client.send(opt_in())
        assert "OptInEvent" == (await client.receive())["msg_name"]


async def test_too_many_subscriptions_in_a_second_are_refused_and_the_last_one_stands() -> None:
    async with connect_house() as house, house.player() as client:
        await client.subscribe("OptInEvent")
        sent = 30
        for _ in range(sent):
            await client.subscribe("OptInEvent")
        await client.send({"Last": {}})
        said = await client.all_until(lambda message: message["msg_name"] == "Last")
        refused = [each for each in said[:-1] if each["msg_type"] == "Error"]
        assert sent / 2 < len(refused) < sent
        assert {("SubscribeRequest", 429, "TOO_MANY_REQUESTS")} == {
            (each["msg_name"], each["data"]["status_code"], each["data"]["code"])
            for each in refused
        }
        await client.send(opt_in())
        assert "OptInEvent" == (await client.receive())["msg_name"]


async def test_resumes_count_for_more_than_subscriptions() -> None:
    """Each may have the whole window looked through."""
    async with connect_house() as house, house.player() as client:
        for _ in range(4):
            await client.subscribe("OptInEvent", last_event_id="unknown")
        said = [await client.receive() for _ in range(4)]
        names = [each["msg_name"] for each in said]
        assert ["ResumeGap", "ResumeGap"] == names[:2]
        assert ["SubscribeRequest", "SubscribeRequest"] == names[2:]
        assert {429} == {each["data"]["status_code"] for each in said[2:]}


async def test_a_reader_that_comes_back_gets_what_it_missed() -> None:
    async with connect_house() as house:
        async with house.player() as client:
            await client.subscribe("WinEvent")
            assert await client.is_alive()
            await house.contribute(SURE)
            last_seen = (await client.receive())["event_id"]
        for number in range(2, 5):
            await house.contribute(SURE, f"player_0000{number}")
        async with house.player() as client:
            await client.subscribe("WinEvent", last_event_id=last_seen)
            winners = [(await client.receive())["data"]["player_id"] for _ in range(3)]
            assert ["player_00002", "player_00003", "player_00004"] == winners


async def test_a_reader_that_was_away_too_long_is_told_of_the_gap() -> None:
    async with connect_house() as house, house.player() as client:
        await client.subscribe("WinEvent", last_event_id="not one of ours")
        gap = await client.receive()
        assert ("Message", "ResumeGap") == (gap["msg_type"], gap["msg_name"])
        assert "not one of ours" == gap["data"]["last_event_id"]
        assert ("thrilltech", "brand1", None) == (
            gap["operator_id"],
            gap["brand_id"],
            gap["player_id"],
        )
        assert house.ids.position(gap["event_id"]) is not None


async def test_an_update_can_be_resumed_from() -> None:
    async with connect_house() as house:
        async with house.player() as client:
            await client.subscribe("JackpotUpdate")
            last_seen = (await client.receive())["event_id"]
        await house.contribute(SURE)
        async with house.player() as client:
            await client.subscribe("WinEvent", last_event_id=last_seen)
            assert "player_00001" == (await client.receive())["data"]["player_id"]
