"""Who gets a socket on Connect, whom a player may act for, and what the socket survives (contract §7)."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed

from tests.contract.front_ends import (
    DAILY,
    NOWHERE,
    SUBSCRIBE_TO_ALL,
    VARIABLE,
    assert_error,
    certain,
    opt_in_request,
    opt_in_v2_request,
    still_answers,
)
from tests.contract.raffles import a_raffle
from tests.contract.streams import (
    THRILLPOTS,
    connected,
    is_a,
    name_of,
    refused,
    someone,
    subscription,
    tickets_request,
)

if TYPE_CHECKING:
    from tests.contract.conftest import Lab
    from tests.contract.streams import Live


# Who gets in


@pytest.mark.parametrize("path", ["/v1/events", "/events"])
async def test_sockets_are_served_with_and_without_v1(live: Live, path: str) -> None:
    """Both paths of both sockets open."""
    player = someone()
    async with connected(live.player_url(player.token, path=path)) as socket:
        await still_answers(socket, player.id)
    async with connected(live.service_url(path=f"{path}/service")) as socket:
        await socket.send(SUBSCRIBE_TO_ALL)
        await socket.until(is_a("JackpotUpdate"))


async def test_bad_tokens_are_refused_before_the_upgrade(live: Live, live_lab: Lab) -> None:
    """401 as the answer to the upgrade, for players and for services; one kind is not the other."""
    service = live.platform.tokens.service
    urls = [
        live.player_url(""),
        live.player_url("nobody"),
        live.player_url("token_"),
        live.player_url("player_00001"),
        live.player_url(service),
        live.player_url("token_00001").split("?")[0],
        live.service_url("nobody"),
        live.service_url("token_00001"),
        live.service_url(f"{service[:-4]}AAAA"),
        live.service_url().split("?")[0],
    ]
    assert [await refused(url) for url in urls] == [401] * len(urls)
    assert await refused(
        live.player_url("token_00001", operator=live_lab.operator, brand="no")
    ) in {
        401,
        404,
    }


async def test_sockets_elsewhere_are_refused(live: Live) -> None:
    """A path that is none, and a brand that nobody has."""
    assert await refused(live.player_url("token_00001", brand="nowhere")) in {401, 403, 404}
    assert await refused(live.player_url("token_00001", operator="nobody")) in {401, 403, 404}
    path = live.player_url("token_00001", path="/v1/nothing")
    assert await refused(path) == 404


async def test_socket_paths_are_no_pages(live: Live) -> None:
    """Asked for without an upgrade they are a client's error, on both listeners."""
    asked = [
        await live.connect.get("/v1/events/thrilltech/brand1?token=token_00001&currency=EUR"),
        await live.connect.get("/v1/events/service"),
        await live.platform.gateway.get("/events"),
        await live.connect.post("/v1/events/service", {}),
    ]
    assert {answer.status // 100 for answer in asked} == {4}


# Whom a player may act for


@pytest.mark.parametrize(
    ("player_id", "brand_id"),
    [
        ("somebody-else", "thrilltech:brand1"),
        ("player_00001", "thrilltech:brand1"),
        ("", "thrilltech:brand1"),
        ("own", "thrilltech:brand2"),
        ("own", "thrilltech"),
        ("own", "lab:one"),
        ("own", "brand1"),
    ],
)
async def test_player_acts_for_nobody_else(
    live: Live, live_lab: Lab, player_id: str, brand_id: str
) -> None:
    """Another player, brand or operator in a request: an error that names it, and nothing happened."""
    platform, player = live.platform, someone()
    player_id = player.id if player_id == "own" else player_id
    brand_id = live_lab.one if brand_id == "lab:one" else brand_id
    jackpot = await platform.jackpot(rules=VARIABLE)
    named = {"player_id": player_id, "brand_id": brand_id}
    async with live.events() as stream, live.player(player.token) as socket:
        await socket.send(opt_in_request(player_id, jackpot, brand_id=brand_id))
        errors = [await socket.receive()]
        for more in ({}, {"instance_id": DAILY}):
            await socket.send({"PlayerRaffleTicketsRequest": named | more})
            errors.append(await socket.receive())
        operator, _, brand = brand_id.rpartition(":")
        await socket.send(
            opt_in_v2_request(
                player_id,
                "instance",
                jackpot,
                operator_id=operator or "thrilltech",
                player={"id": player_id, "country": "MT", "brand_id": brand},
            )
            if brand_id != "brand1"
            else opt_in_v2_request("somebody-else", "instance", jackpot)
        )
        errors.append(await socket.receive())
        (await platform.opt_in(jackpot)).successful()
        await stream.until(is_a("OptInEvent", instance_id=jackpot))
        (changed,) = stream.of("OptInEvent", instance_id=jackpot)
        assert changed["data"]["player_id"] == platform.player
    assert [(error["msg_type"], error["msg_name"]) for error in errors] == [
        ("Error", "PlayerOptInRequest"),
        ("Error", "PlayerRaffleTicketRequest"),
        ("Error", "PlayerRaffleTicketRequest"),
        ("Error", "PlayerOptInRequestV2"),
    ]
    malformed = player_id == "" or ":" not in brand_id
    allowed = {400, 401, 403} if malformed else {401, 403}
    assert {error["data"]["status_code"] for error in errors} <= allowed


async def test_player_reaches_no_other_operators_jackpot(live: Live, live_lab: Lab) -> None:
    """Neither by opt-in nor by tickets, although its id is known; updates and wins of it do not come."""
    platform, player = live.platform, someone()
    theirs = await certain(platform, owner_id=live_lab.operator, allowed_brands=[live_lab.one])
    lottery = await a_raffle(platform, owner_id=live_lab.operator, allowed_brands=[live_lab.one])
    caller = platform.gateway.with_token(live_lab.service)
    async with live.player(player.token, events=[THRILLPOTS]) as socket:
        for instance_id in (theirs, lottery):
            body = platform.v1(instance_id=instance_id, brand_id=live_lab.one, player_id=player.id)
            (
                await caller.post("/jackpots/contribute/instance", body | {"base_wager": 4})
            ).successful()
        await socket.send(opt_in_request(player.id, theirs))
        error = await socket.until(is_a("PlayerOptInRequest"))
        assert error["msg_type"] == "Error"
        assert error["data"]["status_code"] in {403, 404}
        await socket.send(tickets_request(player.id, instance_id=lottery))
        answer = await socket.until(
            lambda message: name_of(message).startswith("PlayerRaffleTicket")
        )
        assert answer["msg_type"] == "Error" or answer["data"]["ticket_count"] == 0
        await socket.send(tickets_request(player.id))
        answer = await socket.until(is_a("PlayerRaffleTicketListResponse"))
        assert answer["data"] == {"instance_tickets": []}
        mine = await certain(platform)
        (await platform.contribute(mine)).successful()
        await socket.until(is_a("WinEvent", instance_id=mine))
        await socket.until(is_a("JackpotUpdate", id=mine))
    known = {m["data"].get("instance_id") or m["data"].get("id") for m in socket.seen}
    assert not known & {theirs, lottery}


async def test_player_of_one_brand_is_not_told_of_the_others_jackpots(live: Live) -> None:
    """A jackpot of brand 2 alone is nothing to a player of brand 1."""
    platform, player = live.platform, someone()
    other = await certain(platform, allowed_brands=[platform.other_brand])
    mine = await certain(platform)
    async with live.player(player.token, events=[THRILLPOTS]) as socket:
        (await platform.contribute(other, brand_id=platform.other_brand)).successful()
        (await platform.contribute(mine)).successful()
        await socket.until(is_a("WinEvent", instance_id=mine))
        for _ in range(2):
            await socket.until(is_a("JackpotUpdate", id=mine))
    assert socket.of("WinEvent", instance_id=other) == []
    assert socket.of("JackpotUpdate", id=other) == []


# Requests that are refused, and what is no request


async def test_refused_requests_name_themselves(live: Live) -> None:
    """Opt-ins that cannot be: an unknown jackpot, a bad value, an unknown source, a jackpot that is over."""
    platform, player = live.platform, someone()
    over = await platform.jackpot()
    (await platform.set_status(over, "Terminated")).successful()
    jackpot = await platform.jackpot(rules=VARIABLE)
    unknown = platform.unique("no-such-source")
    v1, v2 = "PlayerOptInRequest", "PlayerOptInRequestV2"
    async with live.player(player.token) as socket:
        for request, name, status, code in (
            (opt_in_request(player.id, NOWHERE), v1, 404, "JACKPOT_NOT_FOUND"),
            (opt_in_request(player.id, over), v1, 400, "OPTIN_ERROR"),
            (
                opt_in_request(player.id, jackpot, contribution_value=5.01),
                v1,
                400,
                "OPTIN_ERROR",
            ),
            (
                opt_in_request(player.id, jackpot, contribution_value="much"),
                v1,
                400,
                "INVALID_REQUEST",
            ),
            (opt_in_request(player.id, jackpot, opt_in="yes"), v1, 400, "INVALID_REQUEST"),
            (opt_in_v2_request(player.id, "source", unknown), v2, 404, "GAME_NOT_FOUND"),
            (opt_in_v2_request(player.id, "instance", NOWHERE), v2, 404, "JACKPOT_NOT_FOUND"),
            (opt_in_v2_request(player.id, "instance", over), v2, 400, "OPTIN_ERROR"),
            (opt_in_v2_request(player.id, "game", "x"), v2, 400, "INVALID_REQUEST"),
        ):
            await socket.send(request)
            assert_error(await socket.receive(), name, status, code, player.id)
        await still_answers(socket, player.id)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Hello",
        "null",
        "17",
        "[]",
        "{}",
        '{"NoSuchRequest": {}}',
        '{"SubscribeRequest": null}',
        '{"SubscribeRequest": {"events": "*"}}',
        '{"SubscribeRequest": {"events": [{"source": 5}]}}',
        '{"PlayerOptInRequest": []}',
        '{"PlayerOptInRequest": {}}',
        '{"PlayerOptInRequestV2": {"target": 5}}',
        '{"PlayerRaffleTicketsRequest": {}}',
        '{"PlayerRaffleTicketsRequest": {"player_id": 1e1000000, "brand_id": "x"}}',
        '{"PlayerOptInRequest": {"contribution_value": 1e1000000, "opt_in": true}}',
        '{"SubscribeRequest": {"events": [], "last_event_id": 5}}',
        "[" * 5_000,
        '{"a":' * 5_000,
        '{"PlayerOptInRequest": {"player_id": "\\ud800"}}',
        "\x00",
    ],
    ids=range(21),
)
async def test_socket_survives_what_is_no_request(live: Live, message: str) -> None:
    """Whatever it is, it is answered by an error or by nothing, and the next request is answered as ever."""
    player = someone()
    async with live.player(player.token) as socket:
        await socket.send(message)
        await still_answers(socket, player.id)
        assert {each["msg_type"] for each in socket.seen[:-1]} <= {"Error"}


async def test_huge_message_hurts_nobody(live: Live) -> None:
    """Eight megabytes: an error, or the end of that socket alone."""
    player, other = someone(), someone()
    huge = json.dumps(subscription({"source": "x" * 2**23, "event_type": "*"}))
    async with live.player(player.token) as socket, live.player(other.token) as another:
        with suppress(ConnectionClosed):
            await socket.send(huge)
            await still_answers(socket, player.id)
        await still_answers(another, other.id)


async def test_binary_message_hurts_nobody(live: Live) -> None:
    """A message that is no text: an error, or the end of that socket alone."""
    player, other = someone(), someone()
    async with live.player(player.token) as socket, live.player(other.token) as another:
        await socket.send(b"\xff\x00" * 100)
        with suppress(ConnectionClosed):
            await still_answers(socket, player.id)
        await still_answers(another, other.id)
