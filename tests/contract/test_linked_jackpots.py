"""Links: what one v2 request reaches, and what it does not (linked-jackpots, contract §3)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.contract.raffles import a_raffle, raffle

if TYPE_CHECKING:
    from tests.contract.conftest import Answer, Platform

DAILY = "0a1cfeea-5b07-4f2b-b2f1-2e4cd2aa991d"
WEEKLY = "209cc142-ccb2-4e28-a763-0a031b560d74"
MONTHLY = "12231b6a-a774-4a93-8f16-f8af9aee2076"
NOT_OPTED_IN = {
    "status_code": 400,
    "code": "CONTRIBUTION_REJECTED",
    "message": "PlayerNotOptedIn",
}


def reached(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.text
    return [result["instance_id"] for result in answer.body]


async def spins(platform: Platform, kind: str, target: str, count: int) -> list[list[int | None]]:
    """What each of so many spins of 0.10 EUR is awarded, in the order of the answer; None where there is no receipt."""
    awarded = []
    for _ in range(count):
        wager = {"currency": "EUR", "value": 0.1}
        answer = await platform.contribute_v2(kind, target, base_wager=wager)
        assert answer.status == 200, answer.text
        awarded.append([result.get("tickets_awarded") for result in answer.body])
    return awarded


async def tickets(platform: Platform) -> dict[str, tuple[int, Decimal]]:
    """What the player has in the running rounds of all raffles: tickets, and the part of the next one."""
    path = f"/jackpots/instances/raffle/tickets/brand/{platform.brand}/{platform.player}"
    records = (await platform.gateway.get(path)).successful().body
    return {
        each["instance_id"]: (each["ticket_count"], Decimal(each["accumulated_cost"]))
        for each in records
    }


async def test_scenario_1_daily_issues_tickets_in_weekly_and_monthly(platform: Platform) -> None:
    """Weekly and Monthly are linked to Daily: the 20th spin of 0.10 brings the first ticket in all three raffles."""
    (await platform.opt_in(WEEKLY)).successful()
    awarded = await spins(platform, "source", "daily", 20)

    assert awarded == [[0, 0, 0]] * 19 + [[1, 1, 1]]
    assert await tickets(platform) == dict.fromkeys((DAILY, WEEKLY, MONTHLY), (1, Decimal(0)))
    answer = await platform.contribute_v2("source", "daily")
    assert reached(answer) == [DAILY, WEEKLY, MONTHLY]
    assert await tickets(platform) == dict.fromkeys((DAILY, WEEKLY, MONTHLY), (1, Decimal(1)))


async def test_scenario_2_links_of_links_are_not_followed(platform: Platform) -> None:
    """Weekly is linked to Daily, Monthly to Weekly: Daily reaches Weekly and stops there."""
    ticket = {"cost": 2, "metric": "BaseWager"}
    daily, weekly, monthly = [
        await a_raffle(platform, raffle=raffle(duration={"Days": days}, ticket=ticket))
        for days in (1, 7, 30)
    ]
    await platform.link(daily, weekly)
    await platform.link(weekly, monthly)
    awarded = await spins(platform, "instance", daily, 21)

    assert awarded == [[0, 0]] * 19 + [[1, 1], [0, 0]]
    assert await tickets(platform) == dict.fromkeys((daily, weekly), (1, Decimal("0.1")))
    assert await platform.main_pot(monthly) == 10


async def test_scenario_3_the_missing_opt_in_stops_weekly_alone(platform: Platform) -> None:
    """Weekly asks for an opt-in that is missing: its place holds the error, Monthly's a ticket."""
    wager = {"currency": "EUR", "value": 2}
    answer = await platform.contribute_v2("source", "daily", base_wager=wager)

    assert answer.status == 200
    daily, weekly, monthly = answer.body
    assert (daily["instance_id"], daily["tickets_awarded"]) == (DAILY, 1)
    assert weekly == NOT_OPTED_IN
    assert (monthly["instance_id"], monthly["tickets_awarded"]) == (MONTHLY, 1)
    assert await tickets(platform) == dict.fromkeys((DAILY, MONTHLY), (1, Decimal(0)))


async def test_linked_raffles_take_up_a_late_opt_in(platform: Platform) -> None:
    """Each raffle counts for itself: who opts in to Weekly later has fewer tickets there, and keeps those elsewhere."""
    wager = {"currency": "SEK", "value": 58.3805}  # 5.00 EUR
    early = await platform.contribute_v2("source", "daily", base_wager=wager)
    (await platform.opt_in(WEEKLY)).successful()
    late = await platform.contribute_v2("source", "daily", base_wager=wager)

    assert [result.get("tickets_awarded") for result in early.body] == [2, None, 2]
    assert [result.get("tickets_awarded") for result in late.body] == [3, 2, 3]
    assert await tickets(platform) == {
        DAILY: (5, Decimal(0)),
        WEEKLY: (2, Decimal(1)),
        MONTHLY: (5, Decimal(0)),
    }


async def test_raffle_linked_to_a_jackpot_issues_its_tickets(platform: Platform) -> None:
    """A jackpot has no tickets, and a raffle that is linked to it counts the same wager."""
    linked = await a_raffle(platform)
    jackpot = await platform.jackpot(linked=linked)
    wager = {"currency": "EUR", "value": 7}
    answer = await platform.contribute_v2("instance", jackpot, base_wager=wager)

    assert [result["tickets_awarded"] for result in answer.body] == [None, 3]
    assert await tickets(platform) == {linked: (3, Decimal(1))}


async def test_results_come_in_the_order_of_the_links(platform: Platform) -> None:
    """The target is first, then the links as they were set, not as they were made."""
    target, a, b, c = [await platform.jackpot() for _ in range(4)]
    await platform.link(target, c, a, b)

    assert reached(await platform.contribute_v2("instance", target)) == [target, c, a, b]


async def test_every_linked_pot_grows_by_its_own_rules(platform: Platform) -> None:
    """A linked jackpot takes its own contribution, not the target's."""
    linked = await platform.jackpot(rules={"contribution_type": {"Fixed": 0.2}})
    target = await platform.jackpot()
    await platform.link(target, linked)
    answer = await platform.contribute_v2("instance", target)

    amounts = [str(result["contribution_amount"]) for result in answer.body]
    assert amounts == ["0.1", "0.2"]
    assert str(await platform.main_pot(target)) == "10.035"
    assert str((await platform.main_pot(linked)).normalize()) == "10.07"


async def test_switched_off_links_are_not_reached(platform: Platform) -> None:
    """`allow_linked_contributions: false` contributes to the target alone."""
    linked = await platform.jackpot()
    target = await platform.jackpot(linked=linked)
    options = {"allow_linked_contributions": False}
    answer = await platform.contribute_v2("instance", target, options=options)

    assert reached(answer) == [target]
    assert await platform.main_pot(linked) == 10


@pytest.mark.parametrize("options", [None, {}, {"allow_linked_contributions": True}])
async def test_links_are_followed_by_default(
    platform: Platform, options: dict[str, object] | None
) -> None:
    """Without the option, and with it true, links are honoured."""
    linked = await platform.jackpot()
    target = await platform.jackpot(linked=linked)
    answer = await platform.contribute_v2("instance", target, options=options)

    assert reached(answer) == [target, linked]


async def test_v1_reaches_the_target_alone(platform: Platform) -> None:
    """Links are a v2 feature: v1 answers one object and leaves the linked jackpot alone."""
    linked = await platform.jackpot()
    target = await platform.jackpot(linked=linked)
    source = await platform.source(target)

    assert (await platform.contribute(target)).body["instance_id"] == target
    assert (await platform.contribute_by_source(source)).body["instance_id"] == target
    assert await platform.main_pot(linked) == 10


async def test_refused_target_leaves_its_links_alone(platform: Platform) -> None:
    """When the target refuses, the answer is that one error and no link is attempted."""
    linked = await platform.jackpot()
    target = await platform.jackpot(rules={"opt_in_required": True}, linked=linked)
    answer = await platform.contribute_v2("instance", target)

    assert answer.refusal == (400, "CONTRIBUTION_REJECTED", "PlayerNotOptedIn")
    assert await platform.main_pot(target) == 10
    assert await platform.main_pot(linked) == 10


async def test_each_linked_refusal_keeps_its_place(platform: Platform) -> None:
    """A paused, a forbidden and an open link: each place holds its own outcome."""
    paused = await platform.jackpot()
    (await platform.set_status(paused, "Paused")).successful()
    abroad = await platform.jackpot(allowed_countries=["UK"])
    elsewhere = await platform.jackpot(allowed_brands=[platform.other_brand])
    opened = await platform.jackpot()
    target = await platform.jackpot()
    await platform.link(target, paused, abroad, elsewhere, opened)
    answer = await platform.contribute_v2("instance", target)

    assert answer.status == 200
    first, *errors, last = answer.body
    assert first["instance_id"] == target
    assert last["instance_id"] == opened
    rejected = "CONTRIBUTION_REJECTED"
    assert [(e["status_code"], e["code"]) for e in errors] == [
        (400, rejected),
        (400, rejected),
        (403, "UNSUPPORTED_BRAND"),
    ]
    assert [e["message"] for e in errors[:2]] == ["JackpotNotActive", "CountryNotAllowed"]


async def test_an_instance_receives_once_from_one_request(platform: Platform) -> None:
    """A link named twice, where it can be set at all, contributes once."""
    target = await platform.jackpot()
    linked = await platform.jackpot()
    body = {"linked_instances": [linked, linked]}
    put = await platform.admin.put(f"/instances/{target}/links", body)
    if put.status < 400:
        await platform.contribute_v2("instance", target)

        assert str(await platform.main_pot(linked)) == "10.035"
    else:
        assert put.refusal[:2] == (400, "INVALID_REQUEST")


async def test_an_instance_linked_to_itself_receives_once(platform: Platform) -> None:
    """A link to oneself, where it can be set at all, contributes once."""
    target = await platform.jackpot()
    body = {"linked_instances": [target]}
    put = await platform.admin.put(f"/instances/{target}/links", body)
    if put.status < 400:
        await platform.contribute_v2("instance", target)

        assert str(await platform.main_pot(target)) == "10.035"
    else:
        assert put.refusal[:2] == (400, "INVALID_REQUEST")


async def test_links_can_be_read_replaced_and_deleted(platform: Platform) -> None:
    """`PUT` replaces the links of an instance, `GET` shows them, `DELETE` removes all."""
    target, a, b = [await platform.jackpot() for _ in range(3)]
    path = f"/instances/{target}/links"
    assert (await platform.admin.get(path)).successful().body == {"linked_instances": []}
    await platform.link(target, a)
    await platform.link(target, b, a)
    assert (await platform.admin.get(path)).body == {"linked_instances": [b, a]}
    deleted = await platform.admin.delete(path)

    assert deleted.status in {200, 204}
    assert (await platform.admin.get(path)).body == {"linked_instances": []}
    assert reached(await platform.contribute_v2("instance", target)) == [target]


async def test_instantiate_takes_one_linked_instance(platform: Platform) -> None:
    """`linked_instance` of the instantiation is a link like any other."""
    linked = await platform.jackpot()
    target = await platform.jackpot(linked=linked)

    links = await platform.admin.get(f"/instances/{target}/links")
    assert links.body == {"linked_instances": [linked]}


async def test_link_to_an_unknown_instance_is_refused(platform: Platform) -> None:
    """A link to nothing is `JACKPOT_NOT_FOUND`, and the old links stay."""
    target = await platform.jackpot()
    linked = await platform.jackpot()
    await platform.link(target, linked)
    path = f"/instances/{target}/links"
    body = {"linked_instances": ["00000000-0000-4000-8000-000000000000"]}
    refused = await platform.admin.put(path, body)

    assert refused.refusal[:2] == (404, "JACKPOT_NOT_FOUND")
    assert (await platform.admin.get(path)).body == {"linked_instances": [linked]}
