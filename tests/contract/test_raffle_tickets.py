"""Raffle tickets on the gateway: who has how many in the running round, who may know, and who won (contract §5)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.contract.raffles import HOUR_MS, SECOND_MS, WHY, a_raffle, now_ms, raffle, status_of

if TYPE_CHECKING:
    from tests.contract.conftest import Answer, Caller, Json, Lab, Params, Platform, StartServer

RAFFLES = "/jackpots/instances/raffle"
NOWHERE = "00000000-0000-4000-8000-000000000000"
LIST = ("sort_field", "sort_direction", "page", "limit")
RECORD = {
    "instance_id",
    "brand_id",
    "player_id",
    "ext_player_id",
    "ticket_count",
    "accumulated_cost",
    "timestamp_start",
    "timestamp_end",
}


async def play(platform: Platform, instance_id: str, **changes: Any) -> int:
    """A contribution; returns the tickets that it was awarded."""
    tickets = (await platform.contribute(instance_id, **changes)).successful().body
    return int(tickets["tickets_awarded"])


async def entrants(
    platform: Platform, instance_id: str, params: Params = None, caller: Caller | None = None
) -> list[Json]:
    caller = caller or platform.gateway
    return list((await caller.get(f"{RAFFLES}/{instance_id}/tickets", params)).successful().body)


async def of_player(
    platform: Platform, instance_id: str, player: str = "", brand: str = ""
) -> list[Json]:
    path = f"{RAFFLES}/{instance_id}/tickets/{player or platform.player}/brand/{brand or platform.brand}"
    return list((await platform.gateway.get(path)).successful().body)


async def everywhere(platform: Platform, player: str = "", **params: str | int) -> list[Json]:
    path = f"{RAFFLES}/tickets/brand/{platform.brand}/{player or platform.player}"
    return list((await platform.gateway.get(path, params)).successful().body)


async def winners(platform: Platform, instance_id: str, count: int) -> list[Json]:
    """So many winners, as soon as they are there."""
    while True:
        found = await platform.winners(instance_id)
        if len(found) >= count:
            return found
        await trio.lowlevel.checkpoint()


def held(record: Json) -> tuple[int, Decimal]:
    """The tickets, and what is paid towards the next one."""
    assert isinstance(record["accumulated_cost"], str)
    return record["ticket_count"], Decimal(record["accumulated_cost"])


def players(records: list[Json]) -> list[str]:
    return [record["player_id"] for record in records]


async def crowd(platform: Platform, instance_id: str) -> None:
    """Four entrants, in the order in which they come: c 1, a 3, d 0, b 3 tickets."""
    for player, wager in (("c", 2), ("a", 6), ("d", 1), ("b", 7)):
        tickets = await play(platform, instance_id, player_id=player, base_wager=wager)
        assert tickets == wager // 2


async def test_record_has_the_documented_shape(platform: Platform) -> None:
    """All three reads tell the same: tickets, what is paid towards the next one, and the round's times."""
    starts = now_ms() - SECOND_MS
    instance_id = await a_raffle(platform, {"timestamp_start": starts})
    assert await play(platform, instance_id, base_wager=3.25) == 1

    (record,) = await of_player(platform, instance_id)
    assert record == {
        "instance_id": instance_id,
        "brand_id": platform.brand,
        "player_id": platform.player,
        "ext_player_id": platform.player,
        "ticket_count": 1,
        "accumulated_cost": "1.25",
        "timestamp_start": starts,
        "timestamp_end": starts + 22 * HOUR_MS,
    }
    assert await entrants(platform, instance_id) == [record]
    assert await everywhere(platform) == [record]


async def test_tickets_and_parts_add_up(platform: Platform) -> None:
    """Twenty spins of 0.10 are a ticket of 2.00; what is left over counts towards the next one (release notes)."""
    instance_id = await a_raffle(platform)
    awarded = [await play(platform, instance_id, base_wager=0.1) for _ in range(21)]

    assert awarded == [0] * 19 + [1, 0]
    (record,) = await of_player(platform, instance_id)
    assert held(record) == (1, Decimal("0.1"))


async def test_a_part_of_a_ticket_is_shown(platform: Platform) -> None:
    """Who has not bought a whole ticket yet takes part with none."""
    instance_id = await a_raffle(platform)
    assert await play(platform, instance_id, base_wager=0.5) == 0

    (record,) = await of_player(platform, instance_id)
    assert held(record) == (0, Decimal("0.5"))


async def test_other_currencies_count_by_their_rate(platform: Platform) -> None:
    """The cost is in the jackpot's currency, and so is the part."""
    instance_id = await a_raffle(platform)
    assert await play(platform, instance_id, base_wager=2.1524, currency="USD") == 1

    (record,) = await of_player(platform, instance_id)
    assert held(record) == (1, Decimal(0))


async def test_without_accumulation_no_part_is_kept(platform: Platform) -> None:
    """Each contribution counts alone."""
    ticket = {"cost": 2.0, "metric": "BaseWager", "accumulate": False}
    instance_id = await a_raffle(platform, raffle=raffle(ticket=ticket))
    assert [await play(platform, instance_id, base_wager=3) for _ in range(2)] == [1, 1]

    (record,) = await of_player(platform, instance_id)
    assert held(record) == (2, Decimal(0))


async def test_who_takes_no_part_has_no_record(platform: Platform) -> None:
    """Nobody yet, another player, a wager of nothing: an empty list, and no error."""
    instance_id = await a_raffle(platform)
    assert await entrants(platform, instance_id) == []
    assert await play(platform, instance_id, base_wager=0) == 0

    assert await entrants(platform, instance_id) == []
    assert await of_player(platform, instance_id) == []
    assert await everywhere(platform) == []
    await play(platform, instance_id)
    assert await of_player(platform, instance_id, platform.unique("player")) == []


async def test_the_same_id_at_two_brands_is_two_players(platform: Platform) -> None:
    """Each has tickets of their own; a brand's list has its own only."""
    instance_id = await a_raffle(platform)
    await play(platform, instance_id, base_wager=2)
    await play(platform, instance_id, base_wager=6, brand_id=platform.other_brand)

    assert [each["ticket_count"] for each in await of_player(platform, instance_id)] == [1]
    (other,) = await of_player(platform, instance_id, brand=platform.other_brand)
    assert other["ticket_count"] == 3
    listed = await entrants(platform, instance_id)
    assert [each["brand_id"] for each in listed] == [platform.brand, platform.other_brand]
    assert await entrants(platform, instance_id, {"brand_id": platform.other_brand}) == [other]


async def test_entrants_are_sorted_and_paged(platform: Platform) -> None:
    """By entry, tickets or id, up and down; who has as many as another one comes in the order of entry."""
    instance_id = await a_raffle(platform)
    await crowd(platform, instance_id)

    async def listed(**params: str | int) -> str:
        return "".join(players(await entrants(platform, instance_id, params)))

    assert await listed() == "cadb"
    assert await listed(sort_direction=-1) == "bdac"
    assert await listed(sort_field="ticket_count") == "dcab"
    assert await listed(sort_field="ticket_count", sort_direction=-1) == "abcd"
    assert await listed(sort_field="player_id") == "abcd"
    assert await listed(sort_field="player_id", sort_direction=-1) == "dcba"
    assert [await listed(limit=3, page=page) for page in range(3)] == ["cad", "b", ""]
    assert await listed(sort_field="player_id", limit=1, page=2) == "c"
    assert await listed(limit=0) == ""


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "many"},
        {"limit": -1},
        {"limit": 1_000_000},
        {"page": -1},
        {"sort_field": "accumulated_cost"},
        {"sort_direction": 2},
    ],
    ids=str,
)
async def test_bad_list_parameter_is_named(platform: Platform, params: Json) -> None:
    """A list parameter that makes no sense is named."""
    instance_id = await a_raffle(platform)
    answer = await platform.gateway.get(f"{RAFFLES}/{instance_id}/tickets", params)

    status, code, message = answer.refusal
    assert (status, code) == (400, "INVALID_REQUEST")
    assert next(iter(params)) in message


async def test_what_is_no_raffle_is_not_found(platform: Platform) -> None:
    """Neither an unknown instance nor a plain jackpot has tickets."""
    jackpot = await platform.jackpot()
    for instance_id in (NOWHERE, jackpot):
        for end in ("", f"/{platform.player}/brand/{platform.brand}"):
            answer = await platform.gateway.get(f"{RAFFLES}/{instance_id}/tickets{end}")
            status, code, message = answer.refusal
            assert (status, code) == (404, "JACKPOT_NOT_FOUND")
            assert instance_id in message
    await platform.contribute(jackpot)
    assert await everywhere(platform) == []


async def test_tickets_of_all_active_raffles_are_listed(platform: Platform) -> None:
    """One record for each that runs, in the order in which the raffles were made; a paused one keeps its own."""
    three = [await a_raffle(platform) for _ in range(3)]
    for wager, instance_id in enumerate(three, 2):
        await play(platform, instance_id, base_wager=2 * wager)
    assert [each["instance_id"] for each in await everywhere(platform)] == three
    down = await everywhere(platform, sort_field="ticket_count", sort_direction=-1, limit=2)
    assert [each["ticket_count"] for each in down] == [4, 3]

    (await platform.set_status(three[1], "Paused")).successful()
    assert [each["instance_id"] for each in await everywhere(platform)] == [three[0], three[2]]
    (paused,) = await of_player(platform, three[1])
    assert paused["ticket_count"] == 3


async def test_any_player_id_can_be_asked_for(platform: Platform) -> None:
    """Ids are the operator's own: with slashes, blanks, and words that stand in the path, too."""
    instance_id = await a_raffle(platform)
    for player in ("a/b", "tickets/brand/x", "ä ö%"):
        await play(platform, instance_id, player_id=player, base_wager=2)
        quoted = player.replace("%", "%25")
        (record,) = await of_player(platform, instance_id, quoted)
        assert record["player_id"] == player
        assert record in await everywhere(platform, quoted)


@pytest.mark.parametrize("brand", ["brand1", "a:b:c", "thrilltech:"])
async def test_brand_in_the_path_is_operator_and_brand(platform: Platform, brand: str) -> None:
    """Anything else is no brand: malformed, or none that there is."""
    instance_id = await a_raffle(platform)
    for path in (f"{instance_id}/tickets/p/brand/{brand}", f"tickets/brand/{brand}/p"):
        answer = await platform.gateway.get(f"{RAFFLES}/{path}")
        assert answer.refusal[:2] in {(400, "INVALID_REQUEST"), (403, "UNSUPPORTED_BRAND")}


async def shared(platform: Platform, lab: Lab) -> str:
    """A raffle of the platform's operator and the lab's two brands, with one entrant of each."""
    brands = [platform.brand, lab.one, lab.two]
    instance_id = await a_raffle(platform, allowed_brands=brands)
    by_platform = platform.gateway.with_token(platform.tokens.admin)
    for brand in brands:
        body = platform.v1(instance_id=instance_id, brand_id=brand, base_wager=2)
        (await by_platform.post("/jackpots/contribute/instance", body)).successful()
    return instance_id


async def test_an_account_sees_entrants_of_brands_that_it_reaches(
    platform: Platform, lab: Lab
) -> None:
    """Of a shared raffle: all for the platform, its brands for an operator, its own for a brand."""
    instance_id = await shared(platform, lab)

    async def brands(token: str, **params: str) -> list[str]:
        caller = platform.gateway.with_token(token)
        return [each["brand_id"] for each in await entrants(platform, instance_id, params, caller)]

    assert await brands(platform.tokens.admin) == [platform.brand, lab.one, lab.two]
    assert await brands(platform.tokens.service) == [platform.brand]
    assert await brands(lab.service) == [lab.one, lab.two]
    assert await brands(lab.service, brand_id=lab.two) == [lab.two]
    assert await brands(lab.service_one) == [lab.one]


async def test_what_an_account_does_not_reach_is_forbidden(platform: Platform, lab: Lab) -> None:
    """Other brands of a shared raffle, raffles of others; and without a token nothing at all."""
    instance_id, other = await shared(platform, lab), await a_raffle(platform)
    forbidden = [
        f"{instance_id}/tickets?brand_id={lab.two}",
        f"{instance_id}/tickets/{platform.player}/brand/{lab.two}",
        f"tickets/brand/{lab.two}/{platform.player}",
        f"{other}/tickets",
        f"{other}/tickets/{platform.player}/brand/{lab.one}",
    ]
    for path in forbidden:
        caller = platform.gateway.with_token(lab.service_one)
        answer = await caller.get(f"{RAFFLES}/{path}")
        assert answer.refusal[:2] == (403, "FORBIDDEN"), path
        answer = await platform.gateway.with_token(None).get(f"{RAFFLES}/{path}")
        assert answer.refusal[:2] == (401, "UNAUTHORIZED"), path


async def test_a_draw_ends_the_tickets_of_its_round(platform: Platform) -> None:
    """The winner stands in the lists of winners; the next round begins without anybody."""
    rules = raffle(duration={"Seconds": 2}, prizes=[{"count": 2, "amount": 3}])
    instance_id = await a_raffle(platform, {"timestamp_start": now_ms()}, raffle=rules)
    assert await play(platform, instance_id, base_wager=4) == 2
    (won,) = await winners(platform, instance_id, 1)

    assert (won["player_id"], won["brand_id"]) == (platform.player, platform.brand)
    assert (won["instance_id"], won["pot_id"]) == (instance_id, "main")
    assert (won["win_amount"], won["currency"]) == (3, "EUR")
    assert (won["win_withheld"], won["community"]) == (False, False)
    assert len(won["gameround_id"]) == 36
    assert await platform.main_pot(instance_id) >= 10  # seeded again
    path = f"/jackpots/instances/jackpot/{instance_id}/pot_winners"
    assert (await platform.gateway.get(path)).successful().body == {"main": [won]}

    assert await of_player(platform, instance_id) == []
    assert await entrants(platform, instance_id) == []
    assert await everywhere(platform) == []


async def test_rounds_follow_each_other(platform: Platform) -> None:
    """Who comes again takes part in the new round, with its times; parts of tickets begin anew."""
    rules = raffle(duration={"Seconds": 2}, prizes=[{"count": 1, "amount": 3}])
    instance_id = await a_raffle(platform, {"timestamp_start": now_ms()}, raffle=rules)
    seen: dict[int, Json] = {}
    while len(seen) < 2:
        if not await of_player(platform, instance_id):
            assert await play(platform, instance_id, base_wager=3) == 1
        for record in await of_player(platform, instance_id):
            assert held(record) == (1, Decimal(1))
            seen[record["timestamp_start"]] = record
    first, second = (seen[start] for start in sorted(seen))

    assert [each["timestamp_end"] - each["timestamp_start"] for each in (first, second)] == [
        2 * SECOND_MS,
        2 * SECOND_MS,
    ]
    assert first["timestamp_end"] <= second["timestamp_start"]
    assert (second["timestamp_start"] - first["timestamp_start"]) % (2 * SECOND_MS) == 0


async def test_a_prize_above_the_limit_is_withheld(platform: Platform) -> None:
    """It is shown as withheld under its round's id, until a person has released it."""
    prizes = [{"count": 1, "amount": 5}, {"count": 1, "amount": 1}]
    instance_id = await a_raffle(
        platform,
        {"timestamp_start": now_ms()},
        raffle=raffle(duration={"Seconds": 2}, prizes=prizes, one_prize_per_player=False),
        withhold_wins_above=3,
    )
    await play(platform, instance_id, base_wager=20)
    found = {each["win_amount"]: each for each in await winners(platform, instance_id, 2)}
    assert {amount: each["win_withheld"] for amount, each in found.items()} == {5: True, 1: False}

    release = f"/instances/{instance_id}/withheld/{found[5]['gameround_id']}/main/release"
    (await platform.admin.post(release, {"reason": WHY})).successful()
    after = await platform.winners(instance_id)
    assert [each["win_withheld"] for each in after] == [False, False]
    assert {each["gameround_id"] for each in after} == {
        each["gameround_id"] for each in found.values()
    }


async def test_a_raffle_that_has_not_begun_has_no_tickets(platform: Platform) -> None:
    """It is Pending and shows its start; when it has begun, tickets are sold, and its list shows them."""
    starts = now_ms() + 2 * SECOND_MS
    instance_id = await a_raffle(platform, {"timestamp_start": starts})
    assert await entrants(platform, instance_id) == []
    assert await of_player(platform, instance_id) == []

    await status_of(platform, instance_id, once="Active")
    assert now_ms() >= starts
    assert await play(platform, instance_id, base_wager=2) == 1
    (record,) = await entrants(platform, instance_id)
    assert record["timestamp_start"] == starts
    assert await everywhere(platform) == [record]


async def test_a_raffle_that_has_ended_keeps_its_winners(platform: Platform) -> None:
    """After the last round there are no tickets any more, and still the winners."""
    starts = now_ms() - SECOND_MS
    instance_id = await a_raffle(platform, {"timestamp_start": starts})
    await play(platform, instance_id, base_wager=2)
    ends = now_ms() + SECOND_MS // 2
    schedule = {"timestamp_start": starts, "timestamp_end": ends, "reason": WHY}
    (await platform.admin.put(f"/instances/{instance_id}/schedule", schedule)).successful()
    await status_of(platform, instance_id, once="Ended")

    (won,) = await platform.winners(instance_id)
    assert won["win_amount"] == 5
    assert won["timestamp"] >= ends
    assert await entrants(platform, instance_id) == []
    assert await everywhere(platform) == []


@pytest.mark.parametrize("workers", [1, 3])
async def test_tickets_survive_a_crash(start_server: StartServer, workers: int) -> None:
    """What was answered is there again, in the same order, and goes on; with several workers, too."""
    environment = {"JACKPOTD_SERVICE_WORKERS": str(workers)}
    async with start_server(environment=environment) as (server, platform):
        raffles = [await a_raffle(platform) for _ in range(3)]
        for instance_id in raffles:
            await crowd(platform, instance_id)
            await play(platform, instance_id, base_wager=3)
        before = [await entrants(platform, instance_id) for instance_id in raffles]
        assert [len(listed) for listed in before] == [5] * 3
        everything = await everywhere(platform)
        await server.kill()
        await server.start()

        assert [await entrants(platform, instance_id) for instance_id in raffles] == before
        assert await everywhere(platform) == everything
        assert [each["instance_id"] for each in everything] == raffles
        assert [await play(platform, name, base_wager=3) for name in raffles] == [2] * 3
        by_count: Params = {"sort_field": "ticket_count", "sort_direction": -1, "limit": 2}
        for name in raffles:
            assert players(await entrants(platform, name, by_count)) == ["a", "b"]


async def test_ticket_reads_are_documented(platform: Platform) -> None:
    """OpenAPI has the three calls with their parameters, and the record with its fields."""
    document = (await platform.gateway.get("/openapi.json")).successful().body
    paths = {
        f"{RAFFLES}/{{instance_id}}/tickets": {"instance_id", *LIST, "brand_id"},
        f"{RAFFLES}/{{instance_id}}/tickets/{{player_id}}/brand/{{brand_id}}": {
            "instance_id",
            "player_id",
            "brand_id",
        },
        f"{RAFFLES}/tickets/brand/{{brand_id}}/{{player_id}}": {"brand_id", "player_id", *LIST},
    }
    for path, parameters in paths.items():
        described = document["paths"][path]["get"]
        assert {each["name"] for each in described["parameters"]} == parameters
        assert {"200", "400", "401", "403", "404"} <= set(described["responses"])
        schema = described["responses"]["200"]["content"]["application/json"]["schema"]
        name = schema["items"]["$ref"].rpartition("/")[2]
        assert set(document["components"]["schemas"][name]["properties"]) == RECORD


async def behind(platform: Platform, source: str) -> Answer:
    path = f"/jackpots/instances/source/{source}/brand/{platform.brand}"
    return await platform.gateway.get(path)


async def test_instance_behind_a_source_shows_the_running_round(platform: Platform) -> None:
    """Of a raffle the times are those of the round that runs, not those of the whole schedule."""
    starts = now_ms() - SECOND_MS
    schedule = {"timestamp_start": starts, "timestamp_end": starts + 100 * HOUR_MS}
    source = await platform.source(await a_raffle(platform, schedule))
    body = (await behind(platform, source)).successful().body

    assert (body["timestamp_start"], body["timestamp_end"]) == (starts, starts + 22 * HOUR_MS)
    assert (body["status"], body["pots"][0]["current_value"]) == ("Active", Decimal(10))
