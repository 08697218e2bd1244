"""Resolved rounds of raffles over HTTP: winners, win events (§6), batches of credits (§10), and what operators do."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from tests.contract.raffles import (
    HOUR_MS,
    SECOND_MS,
    WHY,
    a_raffle,
    now_ms,
    raffle,
    resolved,
    status_of,
)

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Lab, Platform, StartServer

TICKET = {"cost": 1, "metric": "BaseWager"}


def assert_balanced(state: Json) -> None:
    assert sum(map(Decimal, map(str, state["ledger"].values()))) == 0, state["ledger"]


async def short_raffle(platform: Platform, **changes: object) -> str:
    """The id of a raffle whose rounds last two seconds, of which the first has just begun."""
    rules = {"duration": {"Seconds": 2}, "ticket": TICKET}
    template = {name: value for name, value in changes.items() if name not in raffle()}
    rules |= {name: value for name, value in changes.items() if name in raffle()}
    return await a_raffle(
        platform, {"timestamp_start": now_ms()}, raffle=raffle(**rules), **template
    )


async def played(platform: Platform, instance_id: str, *players: Json) -> int:
    """Each player contributes once in a round, which is answered; where it ended in between, in the next."""
    while True:
        bodies = [
            (await platform.contribute(instance_id, **player)).successful().body
            for player in players
        ]
        state = await platform.instance(instance_id)
        number = int(state["raffle"]["round"])
        if state["raffle"]["entrants"] == len(players):
            assert all(body["tickets_awarded"] for body in bodies)
            return number
        await resolved(platform, instance_id, number)


async def test_round_shows_what_it_came_to(platform: Platform) -> None:
    """Figures, winners in the order of the prizes, and the books of the instance after it."""
    jackpot = await short_raffle(
        platform, prizes=[{"count": 1, "amount": 5}, {"count": 2, "amount": 1}]
    )
    players = [platform.unique("player") for _ in range(2)]
    number = await played(
        platform, jackpot, *({"player_id": each, "base_wager": 3} for each in players)
    )
    round_ = await resolved(platform, jackpot, number)
    listed = (await platform.admin.get(f"/instances/{jackpot}/rounds")).successful().body
    state = await platform.instance(jackpot)

    figures = {name: round_[name] for name in listed[0]}
    assert figures in listed
    assert (round_["instance_id"], round_["currency"], round_["number"]) == (jackpot, "EUR", number)
    assert (round_["tickets"], round_["entrants"], round_["counted"]) == (6, 2, 6)
    assert round_["end"] - round_["start"] == 2 * SECOND_MS
    assert round_["resolved_at"] >= round_["end"]
    # Two players, one prize each: the third prize stays in the pot.
    assert (round_["prizes"], round_["paid"]) == (2, 6)
    assert [(each["tier"], each["amount"]) for each in round_["winners"]] == [(0, 5), (1, 1)]
    assert {each["player_id"] for each in round_["winners"]} == set(players)
    assert state["instance_version"] > number
    assert (state["pots"][0]["hits"], state["pots"][0]["wins"]) == (2, 6)
    assert state["pots"][0]["current_value"] >= 10
    assert_balanced(state)


async def test_win_event_is_as_documented(platform: Platform) -> None:
    """The guide's fields, with metadata, one for each brand that won; `event_id` is the same at every look."""
    jackpot = await short_raffle(platform, prizes=[{"count": 3, "amount": 2}])
    winners = {
        platform.brand: [platform.unique("player") for _ in range(2)],
        platform.other_brand: [platform.unique("player")],
    }
    bodies = [
        {"player_id": player, "brand_id": brand} for brand, own in winners.items() for player in own
    ]
    number = await played(platform, jackpot, *bodies)
    round_ = await resolved(platform, jackpot, number)
    state = await platform.instance(jackpot)
    rates = await platform.gateway.get(f"/currencies/{platform.brand}")

    events = {event["data"]["brand_id"]: event for event in round_["events"]}
    assert len(round_["events"]) == 2
    for brand, players in winners.items():
        event = events[brand]
        assert set(event) == {"event_type", "event_id", "data"}
        assert (event["event_type"], UUID(event["event_id"]).version) == ("RaffleWinEvent", 5)
        data = event["data"]
        told = sorted(data.pop("winners"), key=lambda each: str(each["player_id"]))
        multipliers = data.pop("currency_multipliers")
        assert data == {
            "brand_id": brand,
            "instance_id": jackpot,
            "jackpot_name": state["name"],
            "jackpot_currency": "EUR",
            "timestamp": round_["resolved_at"],
            "win_withheld": False,
            "metadata": None,
        }
        assert told == [
            {"player_id": player, "brand_id": brand, "currency": "EUR", "win_amount": 2}
            for player in sorted(players)
        ]
        assert multipliers == rates.body | {"brand_id": brand}
    assert len({event["event_id"] for event in round_["events"]}) == 2
    again = await resolved(platform, jackpot, number)
    assert [each["event_id"] for each in again["events"]] == [
        each["event_id"] for each in round_["events"]
    ]


async def test_credits_wait_for_the_wallet_of_each_brand(platform: Platform) -> None:
    """A batch of §10 for each brand, in the players' currencies, amounts as text with all of their digits."""
    jackpot = await short_raffle(platform, prizes=[{"count": 3, "amount": 2}])
    first, second, third = (platform.unique("player") for _ in range(3))
    number = await played(
        platform,
        jackpot,
        {"player_id": first},
        {"player_id": second, "currency": "SEK", "base_wager": 100},
        {"player_id": third, "brand_id": platform.other_brand},
    )
    round_ = await resolved(platform, jackpot, number)
    by_player = {winner["player_id"]: winner for winner in round_["winners"]}
    batches = {batch["brand_id"]: batch for batch in round_["credits"]}

    assert set(batches) == {"brand1", "brand2"}
    for batch in batches.values():
        assert set(batch) == {"batch_id", "operator_id", "brand_id", "instance_id", "transactions"}
        assert (batch["operator_id"], batch["instance_id"]) == (platform.operator, jackpot)
        for told in batch["transactions"]:
            assert told == {
                "transaction_id": told["transaction_id"],
                "player_id": told["player_id"],
                "brand_id": batch["brand_id"],
                "currency": by_player[told["player_id"]]["win_currency"],
                "amount": told["amount"],
                "gameround_id": by_player[told["player_id"]]["gameround_id"],
            }
            assert Decimal(told["amount"]) == by_player[told["player_id"]]["win_amount"]
    amounts = {
        told["player_id"]: (told["currency"], told["amount"])
        for batch in batches.values()
        for told in batch["transactions"]
    }
    # 2 EUR are 23.3522 SEK, of which whole öre are paid; what they are worth left the pot.
    assert amounts == {first: ("EUR", "2.00"), second: ("SEK", "23.35"), third: ("EUR", "2.00")}
    assert by_player[second]["currency"] == "EUR"
    assert Decimal("1.9998") < by_player[second]["amount"] < 2
    ids = [told["transaction_id"] for batch in batches.values() for told in batch["transactions"]]
    assert (
        len({UUID(each) for each in [*ids, *(each["batch_id"] for each in batches.values())]}) == 5
    )


async def test_withheld_prize_is_told_apart(platform: Platform) -> None:
    """An event of its own; no credit until a person releases it, and then a batch of its own; the rest is as it was."""
    prizes = [{"count": 1, "amount": 5}, {"count": 1, "amount": 4}, {"count": 1, "amount": 1}]
    jackpot = await short_raffle(platform, prizes=prizes, withhold_wins_above=2)
    players = [{"player_id": platform.unique("player")} for _ in range(3)]
    number = await played(platform, jackpot, *players)
    held = await resolved(platform, jackpot, number)
    big, middle, small = held["winners"]
    waiting = (await platform.admin.get(f"/instances/{jackpot}/withheld")).successful().body

    assert [each["win_withheld"] for each in held["winners"]] == [True, True, False]
    assert {
        event["data"]["win_withheld"]: [each["win_amount"] for each in event["data"]["winners"]]
        for event in held["events"]
    } == {True: [5, 4], False: [1]}
    assert [
        [told["gameround_id"] for told in batch["transactions"]] for batch in held["credits"]
    ] == [[small["gameround_id"]]]
    mine = [each for each in waiting if each["raffle_round"] == number]
    assert {each["gameround_id"] for each in mine} == {big["gameround_id"], middle["gameround_id"]}

    for winner, what in ((big, "release"), (middle, "reject")):
        path = f"/instances/{jackpot}/withheld/{winner['gameround_id']}/main/{what}"
        (await platform.admin.post(path, {"reason": WHY})).successful()
    after = await resolved(platform, jackpot, number)

    assert [each["gameround_id"] for each in after["winners"]] == [
        big["gameround_id"],
        small["gameround_id"],
    ]
    assert [each["win_withheld"] for each in after["winners"]] == [False, False]
    assert after["credits"][0] == held["credits"][0]
    (released,) = after["credits"][1:]
    assert [(each["gameround_id"], each["amount"]) for each in released["transactions"]] == [
        (big["gameround_id"], "5.00")
    ]
    assert [event["event_id"] for event in after["events"]] == [
        event["event_id"] for event in held["events"]
    ]
    assert_balanced(await platform.instance(jackpot))


async def test_rounds_are_listed_from_the_newest_down(platform: Platform) -> None:
    """So many at once; `before` goes on below a number; rounds without tickets are rounds, too."""
    jackpot = await a_raffle(platform, raffle=raffle(duration={"Seconds": 1}))
    await resolved(platform, jackpot, 3)
    path = f"/instances/{jackpot}/rounds"
    newest = (await platform.admin.get(path, {"limit": 2})).successful().body
    below = (await platform.admin.get(path, {"limit": 2, "before": 3})).successful().body

    assert newest[0]["number"] == newest[1]["number"] + 1 >= 3
    assert [each["number"] for each in below][:1] == [2]
    assert all(each["tickets"] == each["paid"] == each["seed_deficit"] == 0 for each in newest)
    assert newest[1]["end"] == newest[0]["start"]
    assert (await platform.admin.get(path, {"limit": 0})).body == []
    empty = (await platform.admin.get(f"{path}/2")).successful().body
    assert (empty["winners"], empty["events"], empty["credits"]) == ([], [], [])


async def test_rounds_that_are_not_there_are_not_found(platform: Platform, lab: Lab) -> None:
    """Not resolved yet, of a plain jackpot, no number, or none of the caller's."""
    jackpot, plain = await a_raffle(platform), await platform.jackpot()
    for instance_id, number in (
        (jackpot, "1"),
        (jackpot, "0"),
        (jackpot, "99999999999999999999"),
        (jackpot, "first"),
        (jackpot, "-1"),
        (jackpot, "²"),
        (plain, "1"),
        ("none", "1"),
    ):
        answer = await platform.admin.get(f"/instances/{instance_id}/rounds/{number}")
        assert answer.refusal[:2] == (404, "JACKPOT_NOT_FOUND"), number
    for instance_id in (jackpot, plain):
        assert (await platform.admin.get(f"/instances/{instance_id}/rounds")).body == []
    for name, value in (("limit", "-1"), ("limit", "many"), ("before", "0"), ("before", "9" * 30)):
        answer = await platform.admin.get(f"/instances/{jackpot}/rounds", {name: value})
        assert answer.refusal[0] == 400
        assert name in answer.refusal[2]
    stranger = platform.admin.with_token(lab.user)
    for path in (f"/instances/{jackpot}/rounds", f"/instances/{jackpot}/rounds/1"):
        assert (await stranger.get(path)).refusal[:2] == (403, "FORBIDDEN")


async def test_raffle_is_shown_in_every_state(platform: Platform) -> None:
    """Waiting, running, paused, over by its schedule, terminated by a person."""
    start = now_ms() + HOUR_MS
    pending = await a_raffle(platform, {"timestamp_start": start})
    paused, terminated = await a_raffle(platform), await a_raffle(platform)
    (await platform.contribute(terminated, base_wager=2)).successful()
    (await platform.set_status(paused, "Paused")).successful()
    (await platform.set_status(terminated, "Terminated")).successful()
    start = now_ms()
    once = {"timestamp_start": start, "timestamp_end": start + SECOND_MS}
    ended = await a_raffle(platform, once, raffle=raffle(duration=None))
    over = await status_of(platform, ended, once="Ended")

    none = {"round": None, "starts": None, "ends": None, "tickets": 0, "entrants": 0}
    assert over["raffle"] == none | {"missed_rounds": 0}
    assert (over["timestamp_start"], over["timestamp_end"]) == tuple(once.values())
    states = {name: await platform.instance(name) for name in (pending, paused, terminated, ended)}
    assert [state["status"] for state in states.values()] == [
        "Pending",
        "Paused",
        "Terminated",
        "Ended",
    ]
    assert states[pending]["raffle"] == none | {"missed_rounds": 0}
    assert states[paused]["raffle"]["round"] == 1
    for state in states.values():
        assert state["jackpot_type"] == "Raffle"
        assert_balanced(state)
        found = await platform.admin.get("/instances", {"name": state["name"]})
        assert found.successful().body == [state]
        assert (await platform.admin.get(f"/instances/{state['id']}/schedule")).status == 200
    coming = (await platform.admin.get(f"/instances/{terminated}/schedule")).body
    assert coming["rounds"] == []
    waiting = (await platform.admin.get(f"/instances/{pending}/schedule")).body
    assert waiting["rounds"][0]["number"] == 1


async def test_r_mon_5_a_raffle_is_decommissioned(platform: Platform) -> None:
    """Its pot goes to another jackpot, a raffle's or a plain one's; its running round is void."""
    old, new = await a_raffle(platform), await a_raffle(platform)
    (await platform.contribute(old, base_wager=2)).successful()
    to = [{"pot_id": "main", "instance_id": new, "target_pot_id": "main"}]
    body = {"destinations": to, "reason": WHY}
    path = f"/instances/{old}/decommission"
    dry = (await platform.admin.post(path, body | {"dry_run": True})).successful().body
    before = await platform.main_pot(new)
    done = (await platform.admin.post(path, body)).successful().body
    state = await platform.instance(old)

    (sent,) = done["transfers"]
    assert (sent["amount"], sent["seed_reserve"]) == (Decimal("10.035"), Decimal("0.035"))
    assert [each["amount"] for each in dry["transfers"]] == [sent["amount"]]
    assert await platform.main_pot(new) == before + sent["amount"]
    assert state["status"] == "Terminated"
    assert await platform.main_pot(old) == 0
    assert (await platform.contribute(old)).refusal[2] == "JackpotNotActive"
    for each in (old, new):
        assert_balanced(await platform.instance(each))


@pytest.mark.parametrize("workers", [1, 2])
async def test_rounds_are_the_same_after_a_crash(start_server: StartServer, workers: int) -> None:
    """Winners, events and credits with their ids; a round that was over meanwhile is resolved once."""
    environment = {"JACKPOTD_SERVICE_WORKERS": str(workers)}
    async with start_server(environment=environment) as (server, platform):
        prizes = [{"count": 2, "amount": 3}]
        rules = raffle(duration={"Seconds": 2}, ticket=TICKET, prizes=prizes)
        jackpots = []
        for _ in range(3):
            start = now_ms()
            schedule = {"timestamp_start": start, "timestamp_end": start + 4 * SECOND_MS}
            jackpots.append(await a_raffle(platform, schedule, raffle=rules))
        for jackpot in jackpots:
            await resolved(platform, jackpot, 1)
            (await platform.contribute(jackpot)).successful()
        await server.kill()
        await server.start()
        for jackpot in jackpots:
            round_ = await resolved(platform, jackpot, 2)
            assert (round_["tickets"], len(round_["winners"]), round_["paid"]) == (1, 1, 3)
            state = await status_of(platform, jackpot, once="Ended")
            assert_balanced(state)
        found = [await resolved(platform, each, number) for each in jackpots for number in (1, 2)]
        await server.kill()
        await server.start()
        again = [await resolved(platform, each, number) for each in jackpots for number in (1, 2)]

        assert again == found
