"""Connect's sockets: the documents' messages sent as they stand there, and the answers that stand below them (§7)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.contract.front_ends import (
    DAILY,
    DEPOSIT,
    MORE_OPT_IN_FIELDS,
    OPT_IN_FIELDS,
    SITEWIDE,
    SUBSCRIBE_TO_ALL,
    SUBSCRIBE_TO_UPDATES,
    VARIABLE,
    WEEKLY,
    assert_envelope,
    assert_error,
    certain,
    opt_in_request,
    opt_in_v2_request,
    still_answers,
)
from tests.contract.raffles import a_raffle, now_ms
from tests.contract.streams import (
    THRILLPOTS,
    connected,
    is_a,
    name_of,
    someone,
    tickets_request,
)

if TYPE_CHECKING:
    from tests.contract.streams import Live

OPT_IN = """
{
"PlayerOptInRequest": {
"instance_id": "8dcc9f5a-f1c5-466f-83e9-928277d8bfb7",
"player_id": "player_00001",
"brand_id": "thrilltech:brand1",
"player_country": "MT",
"opt_in": true
}
}
"""
OPT_IN_WITH_20_CENTS = OPT_IN.replace(
    '"opt_in": true', '"opt_in": true,\n"contribution_value": 0.2'
)
OPT_OUT = OPT_IN.replace('"opt_in": true', '"opt_in": false')
OPT_IN_WEEKLY = OPT_IN.replace(DEPOSIT, WEEKLY).replace("player_00001", "player_id_token_00001")
OPT_IN_WEEKLY_WITH_30_CENTS = OPT_IN_WEEKLY.replace(
    '"opt_in": true', '"opt_in": true,\n"contribution_value": 0.3'
)
OPT_OUT_OF_WEEKLY = OPT_IN_WEEKLY.replace('"opt_in": true', '"opt_in": false')
OPT_IN_V2 = """
{ "PlayerOptInRequestV2": {
    "target": { "type": "source", "id": "sitewide-casino" },
    "operator_id": "thrilltech",
    "player": { "id": "player_id_token_00001", "country": "MT", "brand_id": "brand1" },
    "opt_in": true } }
"""
TICKETS_OF_AN_UNKNOWN_RAFFLE = """
{
"PlayerRaffleTicketsRequest": {
"player_id": "player_00001",
"instance_id": "f0dee1ae-6231-458a-ad6d-4dc0c941e5c3",
"brand_id": "thrilltech:brand1"
}
}
"""
ALL_TICKETS = """
{
"PlayerRaffleTicketsRequest": {
"player_id": "player_00001",
"brand_id": "thrilltech:brand1"
}
}
"""


async def test_subscription_to_everything(live: Live) -> None:
    """The sample brings updates, wins, raffle wins and opt-ins; there is no acknowledgement."""
    platform, player = live.platform, someone()
    jackpot = await certain(platform)
    async with connected(live.player_url(player.token)) as socket:
        await socket.send(SUBSCRIBE_TO_ALL)
        first = await socket.receive()
        assert first["msg_name"] == "JackpotUpdate"
        (await platform.contribute(jackpot, player_id=player.id)).successful()
        await socket.until(is_a("WinEvent", instance_id=jackpot))
        (await platform.opt_in(jackpot, player_id=player.id)).successful()
        await socket.until(is_a("OptInEvent", instance_id=jackpot))
        assert {message["msg_type"] for message in socket.seen} == {"Event"}


async def test_subscription_to_updates(live: Live) -> None:
    """The guide's second sample brings updates and nothing else."""
    platform, player = live.platform, someone()
    jackpot = await certain(platform)
    async with connected(live.player_url(player.token)) as socket:
        await socket.send(SUBSCRIBE_TO_UPDATES)
        await socket.until(is_a("JackpotUpdate", id=jackpot))
        (await platform.contribute(jackpot)).successful()
        for _ in range(3):
            await socket.until(is_a("JackpotUpdate", id=jackpot))
        assert {name_of(message) for message in socket.seen} == {"JackpotUpdate"}


async def test_opt_in_samples(live: Live) -> None:
    """In, in with 0.20, out: each is answered by an OptInEvent of the player who asked."""
    async with connected(live.player_url("token_00001")) as socket:
        await socket.send(SUBSCRIBE_TO_ALL)
        for sample, is_in, value in (
            (OPT_IN, True, None),
            (OPT_IN_WITH_20_CENTS, True, Decimal("0.2")),
            (OPT_OUT, False, None),
        ):
            await socket.send(sample)
            event = await socket.until(is_a("OptInEvent"))
            data = assert_envelope(event, "Event", "OptInEvent", "player_00001")
            assert OPT_IN_FIELDS <= set(data) <= OPT_IN_FIELDS | MORE_OPT_IN_FIELDS
            assert data["instance_id"] == DEPOSIT
            assert data["player_id"] == "player_00001"
            assert data["player_brand_id"] == "thrilltech:brand1"
            assert data["opted_in"] is is_in
            if is_in:
                assert data["preferred_contribution_value"] == value
            assert abs(data["last_updated"] - now_ms()) < 60_000
        assert not [message for message in socket.seen if message["msg_type"] == "Error"]


async def test_opt_in_samples_of_the_guides_end(live: Live) -> None:
    """Weekly takes the default; 0.30 is refused, since its contribution is fixed (contract §4, §11)."""
    player_id = "player_id_token_00001"
    async with connected(live.player_url("token_00001")) as socket:
        await socket.send(SUBSCRIBE_TO_ALL)
        await socket.send(OPT_IN_WEEKLY)
        event = await socket.until(is_a("OptInEvent", instance_id=WEEKLY))
        assert event["data"]["opted_in"] is True
        assert event["data"]["player_id"] == player_id
        await socket.send(OPT_IN_WEEKLY_WITH_30_CENTS)
        error = await socket.until(is_a("PlayerOptInRequest"))
        assert_error(error, "PlayerOptInRequest", 400, "OPTIN_ERROR", player_id)
        await socket.send(OPT_OUT_OF_WEEKLY)
        event = await socket.until(is_a("OptInEvent", instance_id=WEEKLY))
        assert event["data"]["opted_in"] is False


async def test_opt_in_with_a_value_of_30_cents(live: Live) -> None:
    """On a jackpot that is Variable 0.30 is taken, and is what is contributed from then on."""
    platform, player = live.platform, someone()
    jackpot = await platform.jackpot(rules=VARIABLE)
    async with live.player(player.token, events=[THRILLPOTS]) as socket:
        await socket.send(opt_in_request(player.id, jackpot, contribution_value=0.3))
        event = await socket.until(is_a("OptInEvent", instance_id=jackpot))
    answer = await platform.contribute(jackpot, player_id=player.id)

    assert event["data"]["preferred_contribution_value"] == Decimal("0.3")
    assert answer.successful().body["contribution_amount"] == Decimal("0.3")


async def test_opt_in_is_answered_without_a_subscription(live: Live) -> None:
    """ "If the request was successful, you will receive an OptInEvent": it does not take a subscription."""
    platform, player = live.platform, someone()
    jackpot = await platform.jackpot(rules=VARIABLE)
    async with live.player(player.token) as socket:
        for is_in in (True, False):
            await socket.send(opt_in_request(player.id, jackpot, opt_in=is_in))
            event = await socket.until(is_a("OptInEvent", instance_id=jackpot))
            assert event["data"]["opted_in"] is is_in


async def test_opt_in_v2_sample(live: Live) -> None:
    """By source: the jackpot behind it, for the player who asked."""
    async with connected(live.player_url("token_00001")) as socket:
        await socket.send(SUBSCRIBE_TO_ALL)
        await socket.send(OPT_IN_V2)
        event = await socket.until(is_a("OptInEvent", instance_id=SITEWIDE))
        data = assert_envelope(event, "Event", "OptInEvent", "player_id_token_00001")
        assert data["opted_in"] is True


async def test_opt_in_v2_of_instances_and_links(live: Live) -> None:
    """By instance, with a preference; `opt_linked` opts in and out of the links, there with the default."""
    platform, player = live.platform, someone()
    linked = await platform.jackpot(rules=VARIABLE)
    jackpot = await platform.jackpot(rules=VARIABLE, linked=linked)
    async with live.player(player.token, events=[THRILLPOTS]) as socket:
        for is_in in (True, False):
            preference = {"contribution_preference": {"value": 0.3}} if is_in else {}
            await socket.send(
                opt_in_v2_request(
                    player.id, "instance", jackpot, opt_in=is_in, opt_linked=True, **preference
                )
            )
            told: dict[str, Any] = {}
            while set(told) != {jackpot, linked}:
                data = (await socket.until(is_a("OptInEvent", opted_in=is_in)))["data"]
                told[data["instance_id"]] = data["preferred_contribution_value"]
            if is_in:
                assert told == {jackpot: Decimal("0.3"), linked: None}
        await socket.send(opt_in_v2_request(player.id, "instance", jackpot))
        await socket.until(is_a("OptInEvent", instance_id=jackpot, opted_in=True))
        await still_answers(socket, player.id)
        assert len(socket.of("OptInEvent", instance_id=linked)) == 2


async def test_ticket_samples_of_a_player_without_tickets(live: Live) -> None:
    """An unknown raffle is 404; of all raffles there is an empty list."""
    player = someone()
    async with connected(live.player_url(player.token)) as socket:
        await socket.send(TICKETS_OF_AN_UNKNOWN_RAFFLE.replace("player_00001", player.id))
        error = await socket.receive()
        assert_error(error, "PlayerRaffleTicketRequest", 404, None, player.id)
        await socket.send(ALL_TICKETS.replace("player_00001", player.id))
        answer = await socket.receive()
        data = assert_envelope(answer, "Message", "PlayerRaffleTicketListResponse", player.id)
        assert data == {"instance_tickets": []}


async def test_ticket_samples_of_a_player_with_tickets(live: Live) -> None:
    """The count and the round's times, of one raffle and of all that the player has tickets of."""
    platform, player = live.platform, someone()
    wager = {"currency": "EUR", "value": 8}
    target = await platform.contribute_v2(
        "source", "daily", player={"id": player.id}, base_wager=wager
    )
    target.successful()
    other = await a_raffle(platform)
    (await platform.contribute(other, player_id=player.id, base_wager=3)).successful()
    records = (
        await platform.gateway.get(
            f"/jackpots/instances/raffle/tickets/brand/{platform.brand}/{player.id}"
        )
    ).successful()
    expected = {
        record["instance_id"]: {
            name: record[name]
            for name in ("instance_id", "ticket_count", "timestamp_start", "timestamp_end")
        }
        for record in records.body
    }
    assert expected[DAILY]["ticket_count"] == 4
    async with connected(live.player_url(player.token)) as socket:
        await socket.send(tickets_request(player.id, instance_id=DAILY))
        answer = await socket.receive()
        data = assert_envelope(answer, "Message", "PlayerRaffleTicketResponse", player.id)
        assert data == expected[DAILY]
        await socket.send(ALL_TICKETS.replace("player_00001", player.id))
        answer = await socket.receive()
        data = assert_envelope(answer, "Message", "PlayerRaffleTicketListResponse", player.id)
        assert set(data) == {"instance_tickets"}
        assert {each["instance_id"]: each for each in data["instance_tickets"]} == expected
        assert len(data["instance_tickets"]) == len(expected)


async def test_three_workers_serve_a_player(fleet: Live) -> None:
    """Jackpots and raffles of several workers: linked opt-ins, tickets of all of them, and wins in one stream."""
    platform, player = fleet.platform, someone()
    linked = [await platform.jackpot(rules=VARIABLE) for _ in range(4)]
    jackpot = await platform.jackpot(rules=VARIABLE)
    await platform.link(jackpot, *linked)
    raffles = [await a_raffle(platform) for _ in range(4)]
    winning = [await certain(platform) for _ in range(4)]
    async with fleet.player(player.token, events=[THRILLPOTS]) as socket:
        await socket.send(opt_in_v2_request(player.id, "instance", jackpot, opt_linked=True))
        told = {
            (await socket.until(is_a("OptInEvent", opted_in=True)))["data"]["instance_id"]
            for _ in range(5)
        }
        assert told == {jackpot, *linked}
        for number, instance_id in enumerate(raffles, start=1):
            answer = await platform.contribute(
                instance_id, player_id=player.id, base_wager=2 * number
            )
            answer.successful()
        await socket.send(tickets_request(player.id))
        listed = await socket.until(is_a("PlayerRaffleTicketListResponse"))
        tickets = {
            each["instance_id"]: each["ticket_count"] for each in listed["data"]["instance_tickets"]
        }
        assert tickets == {instance_id: n for n, instance_id in enumerate(raffles, start=1)}
        for instance_id in winning:
            (await platform.contribute(instance_id)).successful()
            await socket.until(is_a("WinEvent", instance_id=instance_id))
