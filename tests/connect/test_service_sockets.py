"""Services' sockets: by a token of ours, with what their account reaches, and for as long as the token is good."""

import pytest
from msgspec.structs import replace

from jackpotd.identity.tokens import Use
from jackpotd.service.demo_data import DAILY, DEPOSIT, WEEKLY
from jackpotd.wire.catalog_records import Permission

from .connect_data import PRIVATE, RIVALS, SURE, Json
from .connect_house import ConnectHouse, connect_house

SERVICE = "/v1/events/service"


def opt_in(brand: str = "thrilltech:brand1", instance_id: str = DEPOSIT) -> Json:
    return {
        "PlayerOptInRequest": {
            "instance_id": instance_id,
            "player_id": "player_00007",
            "brand_id": brand,
            "player_country": "MT",
            "opt_in": True,
        }
    }


async def updated(house: ConnectHouse, username: str, count: int) -> set[str]:
    """The instances that an account is told of."""
    async with house.service(username) as client:
        await client.subscribe("JackpotUpdate")
        return {(await client.receive())["data"]["id"] for _ in range(count)}


# -- who is let in


async def test_a_bad_token_is_refused_before_the_upgrade() -> None:
    async with connect_house() as house:
        account = house.node.catalog.accounts["service"]
        refresh = house.tokens.issue(account, Use.REFRESH)
        for query in ("", "?token=", "?token=token_00001", f"?token={refresh}"):
            refused = await house.refused(SERVICE + query)
            assert (401, "UNAUTHORIZED") == (refused[0], refused[1]["code"])
        refused = await house.refused(f"{SERVICE}?token={house.token('contributor')}")
        assert (403, "FORBIDDEN") == (refused[0], refused[1]["code"])


@pytest.mark.parametrize("path", [SERVICE, "/events/service"])
async def test_a_good_token_is_let_in_by_query_and_by_header(path: str) -> None:
    async with connect_house() as house:
        token, port = house.token("reader"), house.connect_port
        async with house.client(port, f"{path}?token={token}") as client:
            assert await client.is_alive()
        headers = {"Authorization": f"Bearer {token}"}
        async with house.client(port, path, additional_headers=headers) as client:
            assert await client.is_alive()


# -- what they are told


async def test_an_account_sees_the_jackpots_that_it_reaches() -> None:
    async with connect_house() as house:
        operators = await updated(house, "service", 24)
        assert {SURE, PRIVATE, DAILY} <= operators
        assert RIVALS not in operators
        assert {RIVALS} == await updated(house, "rival", 3)
        of_brand = await updated(house, "brand-one", 24)
        assert SURE in of_brand
        assert not of_brand & {PRIVATE, RIVALS}
        assert {SURE, PRIVATE, RIVALS} <= await updated(house, "platform", 30)


async def test_a_win_has_the_deficit_and_stands_under_the_winners_brand() -> None:
    async with connect_house() as house, house.service("service") as client:
        await client.subscribe("WinEvent")
        assert await client.is_alive()
        await house.contribute(SURE)
        event = await client.receive()
        assert ("thrilltech", "brand1", None) == (
            event["operator_id"],
            event["brand_id"],
            event["player_id"],
        )
        assert "seed_deficit" in event["data"]


async def test_wins_of_a_shared_jackpot_reach_an_account_of_another_brand() -> None:
    async with connect_house() as house, house.service("brand-one") as client:
        await client.subscribe("WinEvent")
        assert await client.is_alive()
        await house.contribute(PRIVATE, "player_00002", brand="thrilltech:brand2")
        await house.contribute(SURE, "player_00002", brand="thrilltech:brand2")
        event = await client.receive()
        assert (SURE, "thrilltech:brand2") == (
            event["data"]["instance_id"],
            event["data"]["brand_id"],
        )
        assert ("thrilltech", None) == (event["operator_id"], event["brand_id"])


async def test_opt_ins_are_told_by_the_players_brand() -> None:
    async with (
        connect_house() as house,
        house.service("service") as service,
        house.service("brand-one") as of_brand,
        house.service("rival") as rival,
        house.player("token_00009", "thrilltech/brand2") as player,
    ):
        for client in (service, of_brand, rival):
            await client.subscribe("OptInEvent")
            assert await client.is_alive()
        other = opt_in("thrilltech:brand2")["PlayerOptInRequest"]
        await player.send({"PlayerOptInRequest": {**other, "player_id": "player_00009"}})
        event = await service.receive()
        assert ("brand2", "player_00009") == (event["brand_id"], event["player_id"])
        await service.send(opt_in())
        assert "player_00007" == (await service.receive())["player_id"]
        assert "player_00007" == (await of_brand.receive())["player_id"]
        assert await rival.is_alive()


# -- what they may ask


async def test_a_service_acts_for_the_players_that_it_reaches() -> None:
    async with connect_house() as house, house.service("service") as client:
        await client.subscribe("OptInEvent")
        await client.send(opt_in(instance_id=WEEKLY))
        event = await client.receive()
        assert ("brand1", "player_00007", WEEKLY) == (
            event["brand_id"],
            event["player_id"],
            event["data"]["instance_id"],
        )
        message = {"player_id": "player_00007", "brand_id": "thrilltech:brand1"}
        await client.send({"PlayerRaffleTicketsRequest": {**message, "instance_id": WEEKLY}})
        answer = await client.receive()
        assert ("PlayerRaffleTicketResponse", "player_00007", 0) == (
            answer["msg_name"],
            answer["player_id"],
            answer["data"]["ticket_count"],
        )


async def test_a_service_hears_of_the_opt_ins_that_it_asked_for() -> None:
    """Without a subscription, and of no others."""
    async with (
        connect_house() as house,
        house.service("service") as client,
        house.player() as player,
    ):
        await client.send(opt_in())
        assert "player_00007" == (await client.receive())["player_id"]
        other = {**opt_in()["PlayerOptInRequest"], "player_id": "player_00001"}
        await player.send({"PlayerOptInRequest": other})
        assert "OptInEvent" == (await player.receive())["msg_name"]
        await client.send(opt_in(instance_id=WEEKLY))
        event = await client.receive()
        assert ("player_00007", WEEKLY) == (event["player_id"], event["data"]["instance_id"])


@pytest.mark.parametrize(
    ("username", "message", "is_write"),
    [
        ("rival", opt_in(), True),
        ("brand-one", opt_in("thrilltech:brand2"), True),
        ("reader", opt_in(), True),
        (
            "rival",
            {
                "PlayerRaffleTicketsRequest": {
                    "player_id": "player_00001",
                    "brand_id": "thrilltech:brand1",
                }
            },
            False,
        ),
    ],
)
async def test_a_service_may_not_act_beyond_its_reach_and_rights(
    username: str, message: Json, is_write: bool
) -> None:
    async with (
        connect_house() as house,
        house.service(username) as client,
        house.service("platform") as witness,
    ):
        await witness.subscribe("OptInEvent")
        await client.send(message)
        error = await client.receive()
        assert ("Error", 403) == (error["msg_type"], error["data"]["status_code"])
        if is_write:
            await witness.send(opt_in(instance_id=WEEKLY))
            assert WEEKLY == (await witness.receive())["data"]["instance_id"]


async def test_a_service_of_the_platform_must_name_the_operator() -> None:
    async with connect_house() as house, house.service("platform") as client:
        player = {"id": "player_00007", "brand_id": "brand1", "country": "MT"}
        target = {"type": "instance", "id": DEPOSIT}
        message = {"target": target, "player": player, "opt_in": True}
        await client.send({"PlayerOptInRequestV2": message})
        error = await client.receive()
        assert (400, "$.PlayerOptInRequestV2.operator_id is missing") == (
            error["data"]["status_code"],
            error["data"]["message"],
        )
        differing = {**message, "operator_id": "thrilltech", "owner_id": "rival"}
        await client.send({"PlayerOptInRequestV2": differing})
        assert 400 == (await client.receive())["data"]["status_code"]
        await client.subscribe("OptInEvent")
        await client.send({"PlayerOptInRequestV2": {**message, "owner_id": "thrilltech"}})
        assert "OptInEvent" == (await client.receive())["msg_name"]


# -- for how long


async def test_a_socket_ends_with_its_token() -> None:
    """A disabled account, another password, rights that were taken: each within one interval."""
    async with connect_house() as house:
        account = house.node.catalog.accounts["service"]
        reader = (Permission(resource_id="jackpots", permission="Read"),)
        for changed in (
            replace(account, enabled=False),
            replace(account, generation=1),
            replace(account, permissions=reader),
            replace(account, unit_ids=("brand1",)),
        ):
            await house.change_account(account)
            async with house.service("service") as client, house.service("rival") as other:
                await client.subscribe("*")
                await house.change_account(changed)
                assert 4401 == (await client.closed())[0]
                assert await other.is_alive()


async def test_the_socket_of_a_user_ends_when_the_token_expires() -> None:
    async with connect_house() as house:
        user = replace(house.node.catalog.accounts["reader"], account_type="User")
        await house.change_account(user)
        async with house.service("reader") as client:
            assert await client.is_alive()
            house.now_ms += 1_800_000
            assert 4401 == (await client.closed())[0]
