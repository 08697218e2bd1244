"""What players may ask over their sockets, what comes of it, and for whom they may ask."""

import pytest
from msgspec.structs import replace

from jackpotd.service.demo_data import DAILY, DEPOSIT, MONTHLY, SITEWIDE, WEEKLY

from .connect_data import PRIVATE, RIVALS, SURE, Json
from .connect_house import ConnectHouse, connect_house
from .player_messages import ENVELOPE, opt_in, opt_in_v2, tickets

# -- what they may ask


async def test_an_opt_in_that_is_taken_is_answered_by_its_event_alone() -> None:
    async with connect_house() as house, house.player() as client:
        await client.subscribe("OptInEvent")
        await client.send(opt_in_v2({"type": "source", "id": "deposit"}))
        event = await client.receive()
        assert ("OptInEvent", DEPOSIT) == (event["msg_name"], event["data"]["instance_id"])
        preference = {"value": "0.5", "currency": "EUR"}
        await client.send(opt_in_v2(contribution_preference=preference))
        assert 0.5 == (await client.receive())["data"]["preferred_contribution_value"]
        assert await client.is_alive()


async def test_an_opt_in_with_links_is_told_of_each_instance() -> None:
    async with connect_house() as house, house.player() as client:
        await client.subscribe("OptInEvent")
        await client.send(opt_in_v2({"type": "instance", "id": DAILY}, opt_linked=True))
        told = {(await client.receive())["data"]["instance_id"] for _ in range(3)}
        assert {DAILY, WEEKLY, MONTHLY} == told


@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        (opt_in("nowhere"), 404, "JACKPOT_NOT_FOUND"),
        (opt_in(contribution_value=99), 400, "OPTIN_ERROR"),
        (opt_in(SITEWIDE, contribution_value=1), 400, "OPTIN_ERROR"),
        (opt_in_v2({"type": "source", "id": "nowhere"}), 404, "GAME_NOT_FOUND"),
        (opt_in_v2({"type": "instance", "id": "nowhere"}), 404, "JACKPOT_NOT_FOUND"),
    ],
)
async def test_an_opt_in_that_fails_is_an_error_named_after_it(
    message: Json, status: int, code: str
) -> None:
    async with connect_house() as house, house.player() as client:
        await client.subscribe("OptInEvent")
        await client.send(message)
        error = await client.receive()
        assert ENVELOPE | {"timestamp"} == set(error)
        assert ("Error", *message) == (error["msg_type"], error["msg_name"])
        assert ("thrilltech", "brand1", "player_00001") == (
            error["operator_id"],
            error["brand_id"],
            error["player_id"],
        )
        assert {"status_code", "code", "message"} <= set(error["data"])
        assert (status, code) == (error["data"]["status_code"], error["data"]["code"])


async def test_each_instance_that_refuses_an_opt_in_is_an_error_of_its_own() -> None:
    """The preference is out of the target's range; its links take their defaults."""
    async with connect_house() as house, house.player() as client:
        await client.subscribe("OptInEvent")
        preference = {"value": 99}
        await client.send(
            opt_in_v2(
                {"type": "instance", "id": DAILY},
                contribution_preference=preference,
                opt_linked=True,
            )
        )
        messages = [await client.receive() for _ in range(3)]
        errors = [each for each in messages if each["msg_type"] == "Error"]
        taken = {each["data"]["instance_id"] for each in messages if each["msg_type"] == "Event"}
        assert [(DAILY, "PlayerOptInRequestV2", 400)] == [
            (each["data"]["instance_id"], each["msg_name"], each["data"]["status_code"])
            for each in errors
        ]
        assert {WEEKLY, MONTHLY} == taken


async def test_tickets_of_a_raffle_and_of_all_are_as_documented() -> None:
    async with connect_house() as house, house.player() as client:
        await house.contribute(DAILY, with_links=False)
        await house.contribute(DAILY, with_links=False)
        await client.send(tickets(instance_id=DAILY))
        one = await client.receive()
        assert ENVELOPE | {"timestamp"} == set(one)
        assert (
            "Message",
            "PlayerRaffleTicketResponse",
            "thrilltech",
            "brand1",
            "player_00001",
        ) == (
            one["msg_type"],
            one["msg_name"],
            one["operator_id"],
            one["brand_id"],
            one["player_id"],
        )
        assert {"instance_id", "ticket_count", "timestamp_start", "timestamp_end"} == set(
            one["data"]
        )
        assert (DAILY, 1) == (one["data"]["instance_id"], one["data"]["ticket_count"])

        await client.send(tickets())
        every = await client.receive()
        assert "PlayerRaffleTicketListResponse" == every["msg_name"]
        assert {"instance_tickets": [one["data"]]} == every["data"]

        await client.send(tickets(instance_id=MONTHLY))
        none = await client.receive()
        assert (MONTHLY, 0) == (none["data"]["instance_id"], none["data"]["ticket_count"])


async def test_who_has_no_tickets_gets_an_empty_list() -> None:
    async with connect_house() as house, house.player() as client:
        await client.send(tickets(instance_id=None))
        answer = await client.receive()
        assert "PlayerRaffleTicketListResponse" == answer["msg_name"]
        assert {"instance_tickets": []} == answer["data"]


@pytest.mark.parametrize("instance_id", ["nowhere", DEPOSIT, PRIVATE, RIVALS])
async def test_tickets_of_what_is_no_raffle_of_the_brand_are_an_error(instance_id: str) -> None:
    async with connect_house() as house, house.player() as client:
        await client.send(tickets(instance_id=instance_id))
        error = await client.receive()
        assert ("Error", "PlayerRaffleTicketRequest") == (error["msg_type"], error["msg_name"])
        assert (404, "JACKPOT_NOT_FOUND") == (
            error["data"]["status_code"],
            error["data"]["code"],
        )


# -- for whom they may ask


@pytest.mark.parametrize(
    "message",
    [
        opt_in(player_id="player_00002"),
        opt_in(player_id="player_id_token_00002"),
        opt_in(brand_id="thrilltech:brand2"),
        opt_in(brand_id="rival:one"),
        opt_in_v2(player={"id": "player_00002"}),
        opt_in_v2(player={"brand_id": "brand2"}),
        opt_in_v2(operator_id="rival"),
        tickets(player_id="player_00002"),
        tickets(player_id="player_00002", instance_id=DAILY),
        tickets(brand_id="thrilltech:brand2"),
    ],
)
async def test_a_player_may_act_for_nobody_else(message: Json) -> None:
    """Nothing is done, and nothing is said about the other one."""
    async with (
        connect_house() as house,
        house.player() as client,
        house.service("platform") as witness,
    ):
        await witness.subscribe("OptInEvent")
        await client.send(message)
        error = await client.receive()
        assert ("Error", 403, "FORBIDDEN") == (
            error["msg_type"],
            error["data"]["status_code"],
            error["data"]["code"],
        )
        (name,) = message
        wanted = "PlayerRaffleTicketRequest" if name.startswith("PlayerRaffle") else name
        assert (wanted, "player_00001") == (error["msg_name"], error["player_id"])
        await client.send(opt_in(WEEKLY))
        event = await witness.receive()
        assert (WEEKLY, "player_00001") == (event["data"]["instance_id"], event["player_id"])


async def test_a_player_cannot_opt_into_another_operators_jackpot() -> None:
    async with connect_house() as house, house.player() as client:
        for instance_id in (RIVALS, PRIVATE):
            await client.send(opt_in(instance_id))
            error = await client.receive()
            assert ("Error", 403, "UNSUPPORTED_BRAND") == (
                error["msg_type"],
                error["data"]["status_code"],
                error["data"]["code"],
            )


async def test_players_of_a_brand_out_of_service_are_told_nothing_more() -> None:
    async with connect_house() as house, house.player() as client:
        await client.subscribe("WinEvent")
        assert await client.is_alive()
        operator = house.node.catalog.operators["thrilltech"]
        off = tuple(replace(brand, enabled=brand.id != "brand1") for brand in operator.brands)
        await house.street.change(replace(operator, brands=off))
        await _contribute_at_brand2(house)
        await client.send(opt_in())
        error = await client.receive()
        assert ("Error", "UNSUPPORTED_BRAND") == (error["msg_type"], error["data"]["code"])
        path = "/v1/events/thrilltech/brand1?token=token_00001&currency=EUR"
        assert 404 == (await house.refused(path))[0]


async def _contribute_at_brand2(house: ConnectHouse) -> None:
    async with house.player("token_00002", "thrilltech/brand2") as other:
        await other.subscribe("WinEvent")
        assert await other.is_alive()
        await house.contribute(SURE, "player_00002", brand="thrilltech:brand2")
        assert "WinEvent" == (await other.receive())["msg_name"]
