"""The gateway's `/events`: who gets in, and every event field by field (guide, later facts §2, contract §6)."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import trio

from tests.contract.raffles import a_raffle, now_ms, raffle
from tests.contract.streams import is_a

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Lab, Platform
    from tests.contract.streams import Live, Socket

UPDATE_FIELDS = {
    "id",
    "status",
    "jackpot_type",
    "currency",
    "allowed_brands",
    "allowed_sources",
    "pots",
    "timestamp_start",
    "timestamp_end",
    "last_updated",
}
WIN_FIELDS = {
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
    "games_in_jackpot",
    "seed",
    "win_withheld",
    "seed_deficit",
    "community_winners",
    "metadata",
}
TWENTY_CENTS: Any = {
    "contribution_type": {"Fixed": 0.2}
}  # a pot of 10 pays 10.07, and nothing is left of it
VARIABLE: Any = {
    "contribution_type": {"Variable": {"min": 0.1, "max": 5, "default": 0.1}},
    "opt_in_required": True,
}
RECENTLY_MS = 60_000


def just_now(timestamp: object) -> bool:
    return isinstance(timestamp, int) and abs(timestamp - now_ms()) < RECENTLY_MS


async def certain(platform: Platform, **changes: Any) -> str:
    """The id of a jackpot that every contribution wins."""
    changes = {"pots": [platform.pot(odds=1)], "rules": TWENTY_CENTS} | changes
    return await platform.jackpot(**changes)


async def theirs(live: Live, lab: Lab, *brands: str, **changes: Any) -> str:
    """The same of the second operator."""
    return await certain(
        live.platform, owner_id=lab.operator, allowed_brands=list(brands), **changes
    )


async def win_at(live: Live, token: str, instance_id: str, **changes: Any) -> Json:
    """A contribution by an account; its answer, which tells of a win."""
    caller = live.platform.gateway.with_token(token)
    body = live.platform.v1(instance_id=instance_id, **changes)
    won = (await caller.post("/jackpots/contribute/instance", body)).successful().body
    assert won["win_pot_id"] is not None
    return dict(won)


def assert_envelope(event: Json, event_type: str) -> Json:
    """The data of an event whose envelope is as documented."""
    assert set(event) == {"event_type", "event_id", "data"}
    assert event["event_type"] == event_type
    assert str(UUID(event["event_id"])) == event["event_id"]
    return dict(event["data"])


# Who gets in


@pytest.mark.parametrize("token", ["", "nobody", "a.b.c", "forged"])
async def test_bad_token_closes_with_4401(live: Live, token: str) -> None:
    """A token that is none, or whose signature is not ours, closes the socket with 4401."""
    if token == "forged":
        token = live.platform.tokens.service[:-4] + "AAAA"
    async with live.gateway_socket() as socket:
        await socket.send({"action": {"Authenticate": {"auth_token": token}}})

        assert await socket.closed() == 4401
        assert socket.seen == []


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Authenticate",
        "null",
        "[]",
        '{"action": {}}',
        '{"action": {"Subscribe": {}}}',
        '{"action": {"Authenticate": {}}}',
        '{"action": {"Authenticate": {"auth_token": null}}}',
        b"\x00\xff",
        "[" * 10_000,
    ],
    ids=range(10),
)
async def test_first_message_must_authenticate(live: Live, message: str | bytes) -> None:
    """Whatever else comes first gets no event and is closed."""
    async with live.gateway_socket() as socket:
        await socket.send(message)

        assert await socket.closed() >= 1000
        assert not [event for event in socket.seen if "event_id" in event]


async def test_silence_is_closed(live: Live) -> None:
    """Ten seconds are there to authenticate; no event comes before it, and silence is closed."""
    begun = time.monotonic()
    async with live.gateway_socket() as socket:
        code = await socket.closed(timeout_s=15)

    assert code >= 1000
    assert 8 < time.monotonic() - begun < 14
    assert socket.seen == []


async def test_every_event_has_an_id_of_its_own(live: Live) -> None:
    """Updates, wins and opt-ins: no id comes twice on a stream, and another stream tells the same ids of wins."""
    platform = live.platform
    jackpot = await certain(platform)
    async with live.events() as first, live.events() as second:
        for number in range(5):
            await platform.contribute(jackpot, event_metadata={"number": number})
            await platform.opt_in(jackpot)
        last = is_a("OptInEvent", instance_id=jackpot)
        for stream in (first, second):
            for _ in range(5):
                await stream.until(last)

    for stream in (first, second):
        ids = [event["event_id"] for event in stream.seen]
        assert len(set(ids)) == len(ids)
        wins = stream.of("JackpotWinEvent", instance_id=jackpot)
        assert [win["data"]["metadata"] for win in wins] == [{"number": n} for n in range(5)]
    for name in ("JackpotWinEvent", "OptInEvent"):
        told = [
            [event["event_id"] for event in stream.of(name, instance_id=jackpot)]
            if name != "OptInEvent"
            else [event["event_id"] for event in stream.of(name, player_id=platform.player)]
            for stream in (first, second)
        ]
        assert told[0] == told[1]
        assert len(told[0]) == 5


# JackpotUpdateEvent


async def test_update_has_the_documented_fields(live: Live) -> None:
    """The ticker of a jackpot: pots as numbers, brands, the sources mapped to it, times."""
    platform = live.platform
    low = platform.pot("low", contribution={"Percentage": 0.35})
    fixed = platform.pot("fixed", contribution={"Percentage": 0.35}, is_progressive=False)
    jackpot = await platform.jackpot(pots=[low, fixed])
    sources = [await platform.source(jackpot) for _ in range(2)]
    (await platform.contribute(jackpot)).successful()
    async with live.events() as stream:
        event = await stream.until(
            lambda event: (
                is_a("JackpotUpdateEvent", id=jackpot)(event)
                and len(event["data"]["allowed_sources"]) == 2
                and event["data"]["pots"][0]["current_value"] != 10
            )
        )
    state = await platform.instance(jackpot)

    data = assert_envelope(event, "JackpotUpdateEvent")
    assert set(data) == UPDATE_FIELDS
    assert just_now(data.pop("last_updated"))
    assert sorted(data.pop("allowed_brands")) == [platform.brand, platform.other_brand]
    assert sorted(data.pop("allowed_sources")) == sorted(sources)
    pots = [{name: pot[name] for name in sorted(pot)} for pot in data.pop("pots")]
    assert pots == [
        {"current_value": Decimal("10.0175"), "id": "low", "is_progressive": True},
        {"current_value": 10, "id": "fixed", "is_progressive": False},
    ]
    assert data == {
        "id": jackpot,
        "status": "Active",
        "jackpot_type": "Jackpot",
        "currency": "EUR",
        "timestamp_start": state["timestamp_start"],
        "timestamp_end": state["timestamp_end"],
    }


async def test_every_jackpot_that_runs_is_told_of_again_and_again(live: Live) -> None:
    """Raffles and jackpots of the operator, also those that come while a stream is open; a Pending one is not."""
    platform = live.platform
    first = await platform.jackpot()
    pending = await platform.jackpot(status="Pending")
    async with live.events() as stream:
        later = await platform.jackpot()
        ticketed = await a_raffle(platform)
        for jackpot in (first, later, ticketed) * 2:
            await stream.until(is_a("JackpotUpdateEvent", id=jackpot))

        update = stream.of("JackpotUpdateEvent", id=ticketed)[-1]["data"]
        assert update["jackpot_type"] == "Raffle"
        assert update["timestamp_start"] is not None
        assert stream.of("JackpotUpdateEvent", id=pending) == []


async def test_value_of_an_update_is_what_the_pot_holds(live: Live) -> None:
    """Once a contribution is answered, a later update shows it, exactly."""
    platform = live.platform
    jackpot = await platform.jackpot(rules={"contribution_type": {"Percentage": 0.0775}})
    async with live.events() as stream:
        for wager in ("1.23", "0.07"):
            (await platform.contribute(jackpot, base_wager=wager)).successful()
            pots = [{"id": "main", "is_progressive": True}]
            pots[0]["current_value"] = value = await platform.main_pot(jackpot)
            await stream.until(
                lambda event, value=value: (  # type: ignore[misc]
                    is_a("JackpotUpdateEvent", id=jackpot)(event)
                    and event["data"]["pots"][0]["current_value"] == value
                )
            )
    shown = [
        event["data"]["pots"][0]["current_value"]
        for event in stream.of("JackpotUpdateEvent", id=jackpot)
    ]
    assert shown == sorted(shown)
    times = [event["data"]["last_updated"] for event in stream.of("JackpotUpdateEvent", id=jackpot)]
    assert times == sorted(times)


async def test_paused_jackpots_are_told_of_and_ended_ones_once_more(live: Live) -> None:
    """Paused still publishes; Terminated and Ended publish one last update, with that status."""
    platform = live.platform
    paused, terminated, other = [await platform.jackpot() for _ in range(3)]
    limited = platform.pot(odds=1, max_instantiation_count=1)
    ended = await platform.jackpot(pots=[limited])
    (await platform.set_status(paused, "Paused")).successful()
    async with live.events() as stream:
        for jackpot in (terminated, ended):
            await stream.until(is_a("JackpotUpdateEvent", id=jackpot, status="Active"))
        for _ in range(2):
            await stream.until(is_a("JackpotUpdateEvent", id=paused, status="Paused"))
        (await platform.set_status(terminated, "Terminated")).successful()
        (await platform.contribute(ended)).successful()
        both = {"Terminated": terminated, "Ended": ended}
        for status, jackpot in both.items():
            if not stream.of("JackpotUpdateEvent", id=jackpot, status=status):
                await stream.until(is_a("JackpotUpdateEvent", id=jackpot, status=status))
        for _ in range(3):
            await stream.until(is_a("JackpotUpdateEvent", id=other))

        for status, jackpot in both.items():
            assert len(stream.of("JackpotUpdateEvent", id=jackpot, status=status)) == 1
            assert stream.of("JackpotUpdateEvent", id=jackpot)[-1]["data"]["status"] == status


# JackpotWinEvent


async def test_win_has_the_documented_fields(live: Live) -> None:
    """A win by source, with what the contribution gave for its events."""
    platform = live.platform
    jackpot = await certain(platform)
    source = await platform.source(jackpot)
    metadata: Json = {"promo": "spring", "nested": {"list": [1, Decimal("0.5"), None]}}
    sent = json.loads(json.dumps(metadata, default=float))
    async with live.events() as stream:
        answer = await platform.contribute_by_source(
            source, event_metadata=sent, metadata={"is": "not for events"}
        )
        event = await stream.until(is_a("JackpotWinEvent", instance_id=jackpot))
    rates = (await platform.gateway.get(f"/currencies/{platform.brand}")).body
    state = await platform.instance(jackpot)

    assert answer.successful().body["win_amount"] == Decimal("10.07")
    data = assert_envelope(event, "JackpotWinEvent")
    assert set(data) == WIN_FIELDS
    assert just_now(data.pop("timestamp"))
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
        "games_in_jackpot": [source],
        "seed": 10,
        "win_withheld": False,
        "seed_deficit": Decimal("9.93"),
        "community_winners": None,
        "metadata": metadata,
    }


async def test_win_without_a_source_and_metadata(live: Live) -> None:
    """Directly addressed there is no source; without `event_metadata` it is null."""
    platform = live.platform
    jackpot = await certain(platform)
    async with live.events() as stream:
        (await platform.contribute_v2("instance", jackpot)).successful()
        event = await stream.until(is_a("JackpotWinEvent", instance_id=jackpot))

    assert event["data"]["source_id"] is None
    assert event["data"]["metadata"] is None
    assert event["data"]["games_in_jackpot"] == []


async def test_update_follows_a_win(fleet: Live) -> None:
    """Where updates come each five seconds, five wins are each followed by the new value at once."""
    platform = fleet.platform
    jackpot = await certain(platform)
    async with fleet.events() as stream:
        begun = time.monotonic()
        for number in range(1, 6):
            (await platform.contribute(jackpot, event_metadata=number)).successful()
            await stream.until(is_a("JackpotWinEvent", instance_id=jackpot, metadata=number))
            update = await stream.until(is_a("JackpotUpdateEvent", id=jackpot))
            assert [pot["current_value"] for pot in update["data"]["pots"]] == [10]

        assert time.monotonic() - begun < 12


async def test_win_in_another_currency_is_told_in_the_jackpots(live: Live, live_lab: Lab) -> None:
    """1605 JPY are 10.03125 EUR; the multipliers are those of the player's brand."""
    jackpot = await theirs(live, live_lab, live_lab.one, rules={})
    async with live.events(live_lab.service) as stream:
        player = {"brand_id": live_lab.one, "currency": "JPY"}
        won = await win_at(live, live_lab.service, jackpot, **player)
        event = await stream.until(is_a("JackpotWinEvent", instance_id=jackpot))
    caller = live.platform.gateway.with_token(live_lab.service)
    rates = (await caller.get(f"/currencies/{live_lab.one}")).successful().body

    assert won["win_amount"] == 1605
    assert event["data"]["win_amount"] == Decimal("10.03125")
    assert event["data"]["jackpot_currency"] == "EUR"
    assert event["data"]["currency_multipliers"] == rates
    assert rates["multipliers"]["JPY"] == 160


async def test_each_pot_won_is_an_event(live: Live) -> None:
    """With `All` two pots tip at once: two events, each with its pot, its amount and its id."""
    platform = live.platform
    share = {"contribution": {"Percentage": 0.35}, "seed_contribution": {"Percentage": 0}}
    pots = [platform.pot("low", odds=1, **share), platform.pot("high", odds=1, **share)]
    jackpot = await certain(platform, pots=pots, win_selector_strategy="All")
    async with live.events() as stream:
        (await platform.contribute(jackpot)).successful()
        for _ in range(2):
            await stream.until(is_a("JackpotWinEvent", instance_id=jackpot))
        (await platform.contribute(jackpot)).successful()
        await stream.until(is_a("JackpotWinEvent", instance_id=jackpot))

    wins = stream.of("JackpotWinEvent", instance_id=jackpot)[:2]
    assert {win["data"]["win_pot_id"] for win in wins} == {"low", "high"}
    assert [win["data"]["win_amount"] for win in wins] == [Decimal("10.07")] * 2
    assert len({win["event_id"] for win in wins}) == 2


async def test_withheld_win_says_so(live: Live) -> None:
    """Above the limit the event tells that the money waits."""
    platform = live.platform
    jackpot = await certain(platform, withhold_wins_above=5)
    async with live.events() as stream:
        (await platform.contribute(jackpot)).successful()
        event = await stream.until(is_a("JackpotWinEvent", instance_id=jackpot))

    assert event["data"]["win_withheld"] is True
    assert event["data"]["win_amount"] == Decimal("10.07")


async def test_community_winners_are_listed(live: Live) -> None:
    """Half of the pot is the winner's; the others' parts stand in a list, with their brands and currency."""
    platform = live.platform
    payout = {
        "share": 0.5,
        "strategies": [{"HighestLifetimeContributor": {"share": 0.5, "winners": 2}}],
    }
    pot = platform.pot(community_payout=payout, supports_external_trigger=True)
    jackpot = await platform.jackpot(pots=[pot])
    others = [platform.unique("player") for _ in range(2)]
    brands = [platform.brand, platform.other_brand]
    for player, brand in zip(others, brands, strict=True):
        (await platform.contribute(jackpot, player_id=player, brand_id=brand)).successful()
    (await platform.contribute(jackpot)).successful()
    async with live.events() as stream:
        trigger = {
            "player": {"id": platform.player, "brand_id": platform.brand},
            "gameround_id": "bad-beat",
            "reason": "a test asks for it",
        }
        path = f"/instances/{jackpot}/pots/main/trigger"
        (await platform.admin.post(path, trigger)).successful()
        event = await stream.until(is_a("JackpotWinEvent", instance_id=jackpot))
    rows = await platform.winners(jackpot)

    data = event["data"]
    paid = {row["player_id"]: row["win_amount"] for row in rows}
    assert set(paid) == {platform.player, *others}
    assert data["player_id"] == platform.player
    assert data["win_amount"] == paid[platform.player]
    assert sorted(data["community_winners"], key=lambda each: str(each["player_id"])) == sorted(
        [
            {
                "player_id": player,
                "brand_id": brand,
                "currency": "EUR",
                "win_amount": paid[player],
            }
            for player, brand in zip(others, brands, strict=True)
        ],
        key=lambda each: str(each["player_id"]),
    )


async def test_win_of_a_link_is_told_as_well(live: Live) -> None:
    """One v2 request that wins the target and its link: an event for each instance."""
    platform = live.platform
    linked = await certain(platform)
    jackpot = await certain(platform, linked=linked)
    async with live.events() as stream:
        answer = await platform.contribute_v2("instance", jackpot, event_metadata={"of": "both"})
        assert len(answer.successful().body) == 2
        wanted = {jackpot, linked}
        while wanted:
            event = await stream.until(is_a("JackpotWinEvent", metadata={"of": "both"}))
            wanted.remove(event["data"]["instance_id"])


async def test_wins_of_two_brands_are_told_once_each(live: Live) -> None:
    """Each win names its player's brand, and comes once to an account of both brands."""
    platform = live.platform
    jackpot = await certain(platform)
    brands = [platform.brand, platform.other_brand]
    async with live.events() as stream:
        for brand in brands * 2:
            (await platform.contribute(jackpot, brand_id=brand)).successful()
        for _ in range(4):
            await stream.until(is_a("JackpotWinEvent", instance_id=jackpot))
        for _ in range(3):
            await stream.until(is_a("JackpotUpdateEvent", id=jackpot))

    wins = stream.of("JackpotWinEvent", instance_id=jackpot)
    assert [win["data"]["brand_id"] for win in wins] == brands * 2
    assert [win["data"]["currency_multipliers"]["brand_id"] for win in wins] == brands * 2


# RaffleWinEvent


async def test_raffle_win_has_the_documented_fields(live: Live) -> None:
    """The winners of a round of two seconds, and what they won, in the jackpot's currency."""
    platform = live.platform
    rules = raffle(
        duration={"Seconds": 2},
        ticket={"cost": 1, "metric": "BaseWager"},
        prizes=[{"count": 3, "amount": 2}],
    )
    players = sorted(platform.unique("player") for _ in range(2))
    async with live.events() as stream:
        jackpot = await a_raffle(platform, {"timestamp_start": now_ms()}, raffle=rules)
        for player in players:
            (await platform.contribute(jackpot, player_id=player)).successful()
        winners: list[Json] = []
        while len(winners) < 2:
            event = await stream.until(is_a("RaffleWinEvent", instance_id=jackpot))
            winners += event["data"]["winners"]
            data = assert_envelope(event, "RaffleWinEvent")
            assert just_now(data.pop("timestamp"))
            del data["winners"]
            state = await platform.instance(jackpot)
            rates = (await platform.gateway.get(f"/currencies/{platform.brand}")).body
            assert data == {
                "brand_id": platform.brand,
                "instance_id": jackpot,
                "jackpot_name": state["name"],
                "jackpot_currency": "EUR",
                "currency_multipliers": rates,
                "win_withheld": False,
                "metadata": None,
            }
    winners.sort(key=lambda each: str(each["player_id"]))
    assert winners == [
        {"player_id": player, "brand_id": platform.brand, "currency": "EUR", "win_amount": 2}
        for player in players
    ]


# OptInEvent


async def test_opt_in_and_opt_out_have_the_documented_fields(live: Live) -> None:
    """Each change is told, with the preferred value and what was contributed so far."""
    platform = live.platform
    jackpot = await platform.jackpot(rules=VARIABLE)
    async with live.events() as stream:
        (await platform.opt_in(jackpot, contribution_value="0.30")).successful()
        opted_in = await stream.until(is_a("OptInEvent", instance_id=jackpot))
        for _ in range(2):
            (await platform.contribute(jackpot)).successful()
        (await platform.opt_in_v2("instance", jackpot, opt_in=False)).successful()
        opted_out = await stream.until(is_a("OptInEvent", instance_id=jackpot))

    for event, is_in, count, value in (
        (opted_in, True, 0, 0),
        (opted_out, False, 2, Decimal("0.6")),
    ):
        data = assert_envelope(event, "OptInEvent")
        assert just_now(data.pop("last_updated"))
        preferred = data.pop("preferred_contribution_value")
        if is_in:
            assert preferred == Decimal("0.3")
        assert data == {
            "instance_id": jackpot,
            "player_id": platform.player,
            "ext_player_id": platform.player,
            "player_brand_id": platform.brand,
            "contribution_count": count,
            "contribution_value": value,
            "opted_in": is_in,
        }


async def test_opt_ins_and_wins_are_told_in_their_order(live: Live) -> None:
    """What was answered before is told before: in, a win, out, a win, and so on."""
    platform = live.platform
    jackpot = await certain(platform)
    async with live.events() as stream:
        for is_in in (True, False) * 5:
            (await platform.opt_in(jackpot, opt_in=is_in)).successful()
            (await platform.contribute(jackpot, event_metadata=is_in)).successful()
        for _ in range(10):
            await stream.until(is_a("OptInEvent", instance_id=jackpot))
        told = [
            (event["event_type"], event["data"].get("opted_in", event["data"].get("metadata")))
            for event in stream.seen
            if event["data"].get("instance_id") == jackpot
        ]
        counts = [
            event["data"]["contribution_count"]
            for event in stream.of("OptInEvent", instance_id=jackpot)
        ]
    assert [is_in for kind, is_in in told if kind == "OptInEvent"] == [True, False] * 5
    assert counts == list(range(10))
    assert (
        told
        == [
            (kind, is_in)
            for is_in in (True, False) * 5
            for kind in ("OptInEvent", "JackpotWinEvent")
        ][: len(told)]
    )


async def test_opt_in_without_a_preference_has_none(live: Live) -> None:
    """`preferred_contribution_value` is null then."""
    platform = live.platform
    jackpot = await platform.jackpot(rules=VARIABLE)
    async with live.events() as stream:
        (await platform.opt_in(jackpot)).successful()
        event = await stream.until(is_a("OptInEvent", instance_id=jackpot))

    assert event["data"]["preferred_contribution_value"] is None


async def test_linked_opt_ins_are_told_one_by_one(live: Live) -> None:
    """`opt_linked` changes the target and its links: an event for each of them."""
    platform = live.platform
    linked = await platform.jackpot(rules=VARIABLE)
    jackpot = await platform.jackpot(rules=VARIABLE, linked=linked)
    async with live.events() as stream:
        answer = await platform.opt_in_v2("instance", jackpot, opt_linked=True)
        assert answer.successful().body["failed"] == []
        told = {
            (await stream.until(is_a("OptInEvent", player_id=platform.player)))["data"][
                "instance_id"
            ]
            for _ in range(2)
        }
    assert told == {jackpot, linked}


# Who sees what


async def seen_of(stream: Socket, *instances: str) -> list[Json]:
    """Every message of these instances."""
    ids = set(instances)
    return [
        event
        for event in stream.seen
        if "data" in event and ids & {event["data"].get("instance_id"), event["data"].get("id")}
    ]


async def test_another_operator_sees_nothing_of_it(live: Live, live_lab: Lab) -> None:
    """Neither account is told of the other's jackpots: no update, no win, no opt-in."""
    platform = live.platform
    mine = await certain(platform)
    other = await theirs(live, live_lab, live_lab.one)
    async with live.events() as my_stream, live.events(live_lab.service) as their_stream:
        for _ in range(2):
            (await platform.opt_in(mine)).successful()
            (await platform.contribute(mine)).successful()
            await win_at(live, live_lab.service, other, brand_id=live_lab.one)
            await my_stream.until(is_a("JackpotWinEvent", instance_id=mine))
            await their_stream.until(is_a("JackpotWinEvent", instance_id=other))
        await my_stream.until(is_a("JackpotUpdateEvent", id=mine))
        await their_stream.until(is_a("JackpotUpdateEvent", id=other))

        assert await seen_of(my_stream, other) == []
        assert await seen_of(their_stream, mine) == []
        brands = {
            brand
            for event in their_stream.of("JackpotUpdateEvent")
            for brand in event["data"]["allowed_brands"]
        }
        assert {brand.partition(":")[0] for brand in brands} <= {live_lab.operator}


async def test_account_of_one_brand_sees_its_brand(live: Live, live_lab: Lab) -> None:
    """Of jackpots of its brand all wins, whoever won; of others, and of other brands' players, nothing."""
    shared = await theirs(live, live_lab, live_lab.one, live_lab.two)
    foreign = await theirs(live, live_lab, live_lab.two)
    caller = live.platform.gateway.with_token(live_lab.service)
    async with live.events(live_lab.service_one) as stream:
        for instance_id in (foreign, shared):
            opt_in = {
                "instance_id": instance_id,
                "player_id": live.platform.player,
                "brand_id": live_lab.two,
                "player_country": "MT",
                "opt_in": True,
            }
            (await caller.post("/jackpots/optin", opt_in)).successful()
            await win_at(live, live_lab.service, instance_id, brand_id=live_lab.two)
        event = await stream.until(is_a("JackpotWinEvent", instance_id=shared))
        await stream.until(is_a("JackpotUpdateEvent", id=shared))

    assert event["data"]["brand_id"] == live_lab.two
    assert await seen_of(stream, foreign) == []
    assert stream.of("OptInEvent", player_id=live.platform.player) == []


async def test_streams_of_many_readers_tell_the_same(live: Live) -> None:
    """Ten readers at once: the same wins in the same order, with the same ids."""
    platform = live.platform
    jackpot = await certain(platform)

    async def read(task_status: trio.TaskStatus[None]) -> None:
        async with live.events() as stream:
            task_status.started()
            await stream.until(is_a("JackpotWinEvent", instance_id=jackpot, metadata="last"))
            wins = stream.of("JackpotWinEvent", instance_id=jackpot)
            told.append([win["event_id"] for win in wins])

    told: list[list[str]] = []
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            await nursery.start(read)
        for _ in range(10):
            (await platform.contribute(jackpot)).successful()
        (await platform.contribute(jackpot, event_metadata="last")).successful()

    assert len(told) == 10
    assert len(told[0]) == 11
    assert all(each == told[0] for each in told)
