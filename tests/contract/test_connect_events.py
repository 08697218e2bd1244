"""What Connect's sockets tell, field by field, and to whom: players and services (contract §7)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.contract.front_ends import (
    ENVELOPE,
    SUBSCRIBE_TO_ALL,
    UPDATE_FIELDS,
    WIN_FIELDS,
    assert_envelope,
    certain,
    opt_in_request,
    still_answers,
)
from tests.contract.raffles import a_raffle, now_ms, raffle
from tests.contract.streams import (
    THRILLPOTS,
    connected,
    is_a,
    name_of,
    someone,
)

if TYPE_CHECKING:
    from tests.contract.conftest import Lab
    from tests.contract.streams import Live


# Events, field by field


async def test_update_has_the_documented_fields(live: Live) -> None:
    """The envelope of the guide's sample, the data of the gateway's event."""
    platform, player = live.platform, someone()
    jackpot = await platform.jackpot()
    source = await platform.source(jackpot)
    (await platform.contribute(jackpot)).successful()
    async with live.player(player.token, events=[THRILLPOTS]) as socket:
        pots = [{"id": "main", "is_progressive": True, "current_value": Decimal("10.035")}]
        shown = {"id": jackpot, "allowed_sources": [source], "pots": pots}
        event = await socket.until(is_a("JackpotUpdate", **shown))
    state = await platform.instance(jackpot)

    data = assert_envelope(event, "Event", "JackpotUpdate", None)
    assert set(data) == UPDATE_FIELDS
    assert abs(data.pop("last_updated") - now_ms()) < 60_000
    assert sorted(data.pop("allowed_brands")) == [platform.brand, platform.other_brand]
    assert data == {
        "id": jackpot,
        "status": "Active",
        "jackpot_type": "Jackpot",
        "currency": "EUR",
        "allowed_sources": [source],
        "pots": pots,
        "timestamp_start": state["timestamp_start"],
        "timestamp_end": state["timestamp_end"],
    }


@pytest.mark.parametrize("brand", ["brand1", "brand2"])
async def test_win_has_the_documented_fields(live: Live, brand: str) -> None:
    """Both brands are told of another player's win; what the operator had to add for the seed is not for players."""
    platform, player = live.platform, someone()
    jackpot = await certain(platform)
    source = await platform.source(jackpot)
    async with live.player(player.token, brand=brand, events=[THRILLPOTS]) as socket:
        (await platform.contribute_by_source(source, event_metadata={"a": [1]})).successful()
        event = await socket.until(is_a("WinEvent", instance_id=jackpot))
    rates = (await platform.gateway.get(f"/currencies/{platform.brand}")).body
    state = await platform.instance(jackpot)

    data = assert_envelope(event, "Event", "WinEvent", None, brand)
    assert set(data) == WIN_FIELDS
    assert abs(data.pop("timestamp") - now_ms()) < 60_000
    assert data == {
        "brand_id": platform.brand,
        "player_id": platform.player,
        "source_id": source,
        "instance_id": jackpot,
        "jackpot_name": state["name"],
        "jackpot_currency": "EUR",
        "win_pot_id": "main",
        "win_amount": Decimal("10.07"),
        "currency_multipliers": rates,
        "win_withheld": False,
        "community_winners": None,
        "games_in_jackpot": [source],
        "seed": 10,
        "metadata": {"a": [1]},
    }


async def test_raffle_win_has_the_documented_fields(live: Live) -> None:
    """A round of two seconds: its winner, and what was won."""
    platform, player = live.platform, someone()
    rules = raffle(
        duration={"Seconds": 2},
        ticket={"cost": 1, "metric": "BaseWager"},
        prizes=[{"count": 1, "amount": 2}],
    )
    async with live.player(player.token, events=[THRILLPOTS]) as socket:
        jackpot = await a_raffle(platform, {"timestamp_start": now_ms()}, raffle=rules)
        (await platform.contribute(jackpot)).successful()
        event = await socket.until(is_a("RaffleWinEvent", instance_id=jackpot))
    rates = (await platform.gateway.get(f"/currencies/{platform.brand}")).body
    state = await platform.instance(jackpot)

    data = assert_envelope(event, "Event", "RaffleWinEvent", None)
    assert abs(data.pop("timestamp") - now_ms()) < 60_000
    assert data == {
        "brand_id": platform.brand,
        "instance_id": jackpot,
        "jackpot_name": state["name"],
        "jackpot_currency": "EUR",
        "currency_multipliers": rates,
        "winners": [
            {
                "player_id": platform.player,
                "brand_id": platform.brand,
                "currency": "EUR",
                "win_amount": 2,
            }
        ],
        "win_withheld": False,
        "metadata": None,
    }


# What is subscribed to


@pytest.mark.parametrize(
    ("event_type", "msg_name"),
    [
        ("JackpotUpdate", "JackpotUpdate"),
        ("JackpotUpdateEvent", "JackpotUpdate"),
        ("WinEvent", "WinEvent"),
        ("JackpotWinEvent", "WinEvent"),
        ("OptInEvent", "OptInEvent"),
    ],
)
async def test_single_events_in_both_spellings(live: Live, event_type: str, msg_name: str) -> None:
    """One kind of event, by either of its names: that kind comes, and no other."""
    platform, player = live.platform, someone()
    jackpot = await certain(platform)
    events = [{"source": "thrillpots", "event_type": event_type}]
    async with live.player(player.token, events=events) as socket:
        for _ in range(2):
            (await platform.contribute(jackpot)).successful()
            (await platform.opt_in(jackpot, player_id=player.id)).successful()
            await socket.until(is_a(msg_name))
        await still_answers(socket, player.id)
        assert {name_of(message) for message in socket.seen} == {
            msg_name,
            "PlayerRaffleTicketListResponse",
        }


async def test_raffle_wins_alone(live: Live) -> None:
    """A subscription to raffle wins brings those only."""
    platform, player = live.platform, someone()
    rules = raffle(duration={"Seconds": 1}, ticket={"cost": 1, "metric": "BaseWager"})
    events = [{"source": "thrillpots", "event_type": "RaffleWinEvent"}]
    plain = await certain(platform)
    async with live.player(player.token, events=events) as socket:
        jackpot = await a_raffle(platform, {"timestamp_start": now_ms()}, raffle=rules)
        (await platform.contribute(plain)).successful()
        (await platform.contribute(jackpot)).successful()
        await socket.until(is_a("RaffleWinEvent", instance_id=jackpot))
        assert {name_of(message) for message in socket.seen} == {
            "RaffleWinEvent",
            "PlayerRaffleTicketListResponse",
        }


async def test_several_events_one_by_one(live: Live) -> None:
    """Two entries of one request count both."""
    platform, player = live.platform, someone()
    jackpot = await certain(platform)
    events = [
        {"source": "thrillpots", "event_type": name} for name in ("JackpotUpdateEvent", "WinEvent")
    ]
    async with live.player(player.token, events=events) as socket:
        (await platform.opt_in(jackpot, player_id=player.id)).successful()
        (await platform.contribute(jackpot)).successful()
        await socket.until(is_a("WinEvent", instance_id=jackpot))
        await socket.until(is_a("JackpotUpdate", id=jackpot))
        assert socket.of("OptInEvent") == []


async def test_events_of_another_source_are_not_ours(live: Live) -> None:
    """A subscription to another system's events brings none of the jackpots'."""
    platform, player = live.platform, someone()
    jackpot = await certain(platform)
    events = [{"source": "thrillgate", "event_type": "*"}]
    async with (
        live.player(player.token, events=events) as socket,
        live.player(someone().token, events=[THRILLPOTS]) as witness,
    ):
        (await platform.contribute(jackpot)).successful()
        await witness.until(is_a("WinEvent", instance_id=jackpot))
        await witness.until(is_a("JackpotUpdate", id=jackpot))
        await still_answers(socket, player.id)
        assert {name_of(message) for message in socket.seen} == {"PlayerRaffleTicketListResponse"}


async def test_before_a_subscription_nothing_comes(live: Live) -> None:
    """An open socket alone is told of nothing."""
    platform, player = live.platform, someone()
    jackpot = await certain(platform)
    async with (
        live.player(player.token) as socket,
        live.player(someone().token, events=[THRILLPOTS]) as witness,
    ):
        (await platform.contribute(jackpot)).successful()
        await witness.until(is_a("WinEvent", instance_id=jackpot))
        await still_answers(socket, player.id)
        assert len(socket.seen) == 1


async def test_opt_in_events_are_the_players_own(live: Live) -> None:
    """Another player's opt-in, and that of the same id at another brand, is not told."""
    platform, player, other = live.platform, someone(), someone()
    jackpot = await certain(platform)
    async with (
        live.player(player.token, events=[THRILLPOTS]) as socket,
        live.player(other.token, events=[THRILLPOTS]) as others,
    ):
        (await platform.opt_in(jackpot, player_id=other.id)).successful()
        (
            await platform.opt_in(jackpot, player_id=player.id, brand_id=platform.other_brand)
        ).successful()
        (await platform.contribute(jackpot)).successful()
        (await platform.opt_in(jackpot, player_id=player.id)).successful()
        await socket.until(is_a("OptInEvent", instance_id=jackpot))
        await others.until(is_a("OptInEvent", instance_id=jackpot))
        await others.until(is_a("WinEvent", instance_id=jackpot))
        (mine,) = socket.of("OptInEvent")
        (theirs,) = others.of("OptInEvent")
    assert (mine["data"]["player_id"], mine["data"]["player_brand_id"]) == (
        player.id,
        platform.brand,
    )
    assert (mine["player_id"], theirs["player_id"]) == (player.id, other.id)


async def test_resume_sends_what_was_missed(live: Live) -> None:
    """`last_event_id` in the subscription: the wins and own opt-ins since then, each once, and no other player's."""
    platform, player = live.platform, someone()
    jackpot = await certain(platform)

    async def win(label: str) -> None:
        (await platform.contribute(jackpot, event_metadata=label)).successful()

    async with live.player(player.token, events=[THRILLPOTS]) as socket:
        await win("seen")
        seen = await socket.until(is_a("WinEvent", instance_id=jackpot))
    await win("missed")
    (await platform.opt_in(jackpot, player_id=player.id)).successful()
    (await platform.opt_in(jackpot)).successful()
    await win("missed too")
    async with live.player(
        player.token, events=[THRILLPOTS], last_event_id=seen["event_id"]
    ) as socket:
        if not socket.of("WinEvent", metadata="missed too"):
            await socket.until(is_a("WinEvent", metadata="missed too"))
        await win("new")
        await socket.until(is_a("WinEvent", metadata="new"))
    wins = socket.of("WinEvent", instance_id=jackpot)
    assert [event["data"]["metadata"] for event in wins] == ["missed", "missed too", "new"]
    (opt_in,) = socket.of("OptInEvent")
    assert opt_in["data"]["player_id"] == player.id


# Services


async def test_service_socket_tells_everything_of_its_account(live: Live) -> None:
    """The documents' sample on a service's socket: all players' opt-ins, and wins with the seed deficit."""
    platform = live.platform
    jackpot = await certain(platform)
    async with connected(live.service_url()) as socket:
        await socket.send(SUBSCRIBE_TO_ALL)
        await socket.until(is_a("JackpotUpdate", id=jackpot))
        (await platform.opt_in(jackpot)).successful()
        opt_in = await socket.until(is_a("OptInEvent", instance_id=jackpot))
        (await platform.contribute(jackpot)).successful()
        win = await socket.until(is_a("WinEvent", instance_id=jackpot))

    assert opt_in["data"]["player_id"] == platform.player
    assert win["data"]["seed_deficit"] == Decimal("9.93")
    for event in (opt_in, win):
        assert set(event) == ENVELOPE | {"event_id"}
        assert (event["msg_type"], event["source"]) == ("Event", "thrillpots")
        assert (event["operator_id"], event["brand_id"]) == ("thrilltech", "brand1")


async def test_service_and_gateway_tell_the_same_ids(live: Live) -> None:
    """An event has one id, wherever it is told."""
    platform = live.platform
    jackpot = await certain(platform)
    async with live.events() as gateway, live.service() as service:
        (await platform.contribute(jackpot)).successful()
        one = await gateway.until(is_a("JackpotWinEvent", instance_id=jackpot))
        other = await service.until(is_a("WinEvent", instance_id=jackpot))
    assert one["event_id"] == other["event_id"]


async def test_service_socket_of_another_operator(live: Live, live_lab: Lab) -> None:
    """It is told of its own jackpots, and of nobody else's."""
    platform = live.platform
    mine = await certain(platform)
    theirs = await certain(platform, owner_id=live_lab.operator, allowed_brands=[live_lab.one])
    async with live.service(live_lab.service) as socket:
        (await platform.contribute(mine)).successful()
        (await platform.opt_in(mine)).successful()
        caller = platform.gateway.with_token(live_lab.service)
        body = platform.v1(instance_id=theirs, brand_id=live_lab.one)
        (await caller.post("/jackpots/contribute/instance", body)).successful()
        await socket.until(is_a("WinEvent", instance_id=theirs))
        await socket.until(is_a("JackpotUpdate", id=theirs))
    assert {message["operator_id"] for message in socket.seen} == {live_lab.operator}
    assert mine not in {m["data"].get("instance_id") or m["data"].get("id") for m in socket.seen}


async def test_service_socket_of_one_brand(live: Live, live_lab: Lab) -> None:
    """An account of brand one: the jackpots of that brand, wins of others on them, and its own players' opt-ins."""
    platform = live.platform
    owned = {"owner_id": live_lab.operator}
    shared = await certain(platform, allowed_brands=[live_lab.one, live_lab.two], **owned)
    foreign = await certain(platform, allowed_brands=[live_lab.two], **owned)
    caller = platform.gateway.with_token(live_lab.service)
    path = "/jackpots/contribute/instance"
    async with live.service(live_lab.service_one) as socket:
        for instance_id in (foreign, shared):
            opt_in = opt_in_request(platform.player, instance_id, brand_id=live_lab.two)
            (await caller.post("/jackpots/optin", opt_in["PlayerOptInRequest"])).successful()
            body = platform.v1(instance_id=instance_id, brand_id=live_lab.two)
            (await caller.post(path, body)).successful()
        won = await socket.until(is_a("WinEvent", instance_id=shared))
        await socket.until(is_a("JackpotUpdate", id=shared))
    assert won["data"]["brand_id"] == live_lab.two
    assert socket.of("OptInEvent", player_id=platform.player) == []
    assert foreign not in {m["data"].get("instance_id") or m["data"].get("id") for m in socket.seen}
