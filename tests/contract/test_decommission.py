"""Decommissioning: an instance ends, and all that it held is somewhere named (R-MON-5, contract §8)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import trio

if TYPE_CHECKING:
    from tests.contract.conftest import Answer, Lab, Platform, StartServer

WHY = "a test asks for it"


def total(state: dict[str, Any], account: str) -> Decimal:
    """What all pots have in accounts of this kind."""
    book = state["ledger"]
    return sum((Decimal(str(book[name])) for name in book if name.startswith(account)), Decimal(0))


def held(state: dict[str, Any]) -> Decimal:
    """All the money that the pots of an instance have in any form."""
    return sum((total(state, kind) for kind in ("pot:", "seed_reserve:", "boost:")), Decimal(0))


def assert_balanced(state: dict[str, Any]) -> None:
    assert sum(map(Decimal, map(str, state["ledger"].values()))) == 0, state["ledger"]


async def two_pots(platform: Platform, **changes: Any) -> str:
    pots = [
        platform.pot("minor", contribution={"Percentage": 0.3}),
        platform.pot("major", contribution={"Percentage": 0.4}),
    ]
    return await platform.jackpot(pots=pots, **changes)


async def decommission(
    platform: Platform, instance_id: str, *destinations: tuple[str, str, str], **changes: object
) -> Answer:
    names = ("pot_id", "instance_id", "target_pot_id")
    body = {
        "destinations": [dict(zip(names, each, strict=True)) for each in destinations],
        "reason": WHY,
    }
    return await platform.admin.post(f"/instances/{instance_id}/decommission", body | changes)


async def arrived(platform: Platform, instance_id: str, amount: Decimal) -> dict[str, Any]:
    """The instance once its pots hold this much: transfers to a worker that was down come later."""
    while True:
        state = await platform.instance(instance_id)
        if held(state) == amount:
            return state
        await trio.lowlevel.checkpoint()


async def grown(platform: Platform, instance_id: str) -> dict[str, Any]:
    """With money in every kind of account."""
    for _ in range(3):
        (await platform.contribute(instance_id)).successful()
    body = {"pot_id": "major", "amount": 7, "reason": WHY}
    (await platform.admin.post(f"/instances/{instance_id}/seedboosts", body)).successful()
    return await platform.instance(instance_id)


async def test_r_mon_5_everything_that_pots_held_goes_to_their_destinations(
    platform: Platform,
) -> None:
    """Value to value, reserve to reserve, boost to boost; the old instance is over and holds nothing."""
    old, heir, other = [await two_pots(platform) for _ in range(3)]
    before = await grown(platform, old)

    answer = await decommission(platform, old, ("minor", heir, "minor"), ("major", other, "minor"))

    done = answer.successful().body
    assert done["dry_run"] is False
    assert done["instance"]["status"] == "Terminated"
    moved = [
        (each["pot_id"], each["instance_id"], each["target_pot_id"]) for each in done["transfers"]
    ]
    assert moved == [("minor", heir, "minor"), ("major", other, "minor")]
    after = await platform.instance(old)
    assert held(after) == total(after, "undistributed:") == 0
    assert total(after, "transferred") == held(before)
    assert_balanced(after)
    first, second = await platform.instance(heir), await platform.instance(other)
    assert total(first, "received") + total(second, "received") == -held(before)
    assert first["ledger"]["pot:minor"] == 10 + before["ledger"]["pot:minor"]
    assert first["ledger"]["seed_reserve:minor"] == before["ledger"]["seed_reserve:minor"]
    assert second["ledger"]["boost:minor"] == 7
    assert_balanced(first)
    assert_balanced(second)


async def test_dry_run_shows_the_amounts_and_moves_nothing(platform: Platform) -> None:
    """What it shows is what would move."""
    old, heir = await two_pots(platform), await two_pots(platform)
    before = await grown(platform, old)
    targets = (("minor", heir, "major"), ("major", heir, "major"))

    shown = (await decommission(platform, old, *targets, dry_run=True)).successful().body

    assert shown["dry_run"] is True
    assert await platform.instance(old) == before
    done = (await decommission(platform, old, *targets)).successful().body
    amounts = ("amount", "seed_reserve", "boost")
    assert [[each[name] for name in amounts] for each in shown["transfers"]] == [
        [each[name] for name in amounts] for each in done["transfers"]
    ]


async def test_money_set_aside_at_a_termination_can_be_moved_later(platform: Platform) -> None:
    """A terminated instance names what it holds; decommissioning it moves that; a second time there is nothing."""
    old, heir = await two_pots(platform), await two_pots(platform)
    before = await grown(platform, old)
    ended = (await platform.set_status(old, "Terminated")).successful().body
    assert total(ended, "undistributed:") == held(before) + Decimal(
        str(before["ledger"]["residual"])
    )
    targets = (("minor", heir, "minor"), ("major", heir, "major"))

    (await decommission(platform, old, *targets)).successful()

    assert held(await platform.instance(heir)) == 20 + total(ended, "undistributed:")
    again = await decommission(platform, old, *targets)
    assert again.refusal[:2] == (409, "INVALID_STATE")


async def test_destinations_are_looked_at_before_anything_moves(
    platform: Platform, lab: Lab
) -> None:
    """Every pot needs one, of the same currency, that can still be won, and that the caller owns."""
    old, heir = await two_pots(platform), await two_pots(platform)
    foreign = await two_pots(platform, currency="USD")
    over = await two_pots(platform)
    (await platform.set_status(over, "Terminated")).successful()
    both = (("minor", heir, "minor"), ("major", heir, "major"))
    first, base = both[0], "$.destinations"
    cases: list[tuple[tuple[tuple[str, str, str], ...], int, str]] = [
        ((), 400, f"{base} leaves out pot major"),
        (both[:1], 400, f"{base} leaves out pot major"),
        ((*both, first), 400, f"{base}[2].pot_id stands there twice"),
        ((first, ("none", heir, "major")), 400, f"{base}[1].pot_id"),
        ((first, ("major", heir, "none")), 400, f"{base}[1].target_pot_id"),
        ((first, ("major", old, "major")), 400, f"{base}[1].instance_id"),
        ((first, ("major", foreign, "major")), 400, f"{base}[1].instance_id"),
        ((first, ("major", "none", "major")), 404, f"{base}[1].instance_id"),
        ((first, ("major", over, "major")), 409, f"{base}[1].instance_id"),
    ]
    for destinations, status, where in cases:
        refused = (await decommission(platform, old, *destinations)).refusal
        assert refused[0] == status, refused
        assert refused[2].startswith(where), refused
    assert (await decommission(platform, old, *both, reason="")).refusal[0] == 400
    assert (await decommission(platform, old, *both, force=True)).refusal[0] == 400
    stranger = platform.admin.with_token(lab.user)
    destination = {"pot_id": "minor", "instance_id": heir, "target_pot_id": "minor"}
    body = {"destinations": [destination], "reason": WHY}
    assert (await stranger.post(f"/instances/{old}/decommission", body)).refusal[0] == 403
    assert (await platform.instance(old))["status"] == "Active"


async def test_nothing_is_moved_while_a_win_is_withheld(platform: Platform) -> None:
    """A person decides on the win first (R-MON-4: an unpaid jackpot is not cancelled)."""
    old = await platform.jackpot(pots=[platform.pot(odds=1)], withhold_wins_above=5)
    heir = await platform.jackpot()
    won = (await platform.contribute(old)).successful().body
    target = ("main", heir, "main")
    assert (await decommission(platform, old, target)).refusal[:2] == (409, "INVALID_STATE")
    release = f"/instances/{old}/withheld/{won['gameround_id']}/main/release"
    (await platform.admin.post(release, {"reason": WHY})).successful()
    (await decommission(platform, old, target)).successful()


@pytest.mark.parametrize("workers", [1, 2])
async def test_money_arrives_once_whatever_crashes(start_server: StartServer, workers: int) -> None:
    """Killed as soon as it is asked, and again: the money is with the heir, all of it, once."""
    environment = {"JACKPOTD_SERVICE_WORKERS": str(workers)}
    async with start_server(environment=environment) as (server, platform):
        heir = await two_pots(platform)
        whole = Decimal(20)
        for wait_s in (0.001, 0.005):
            old = await two_pots(platform)
            before = await grown(platform, old)
            targets = (("minor", heir, "minor"), ("major", heir, "major"))
            with trio.move_on_after(wait_s):
                await decommission(platform, old, *targets)
            await server.kill()
            await server.start()
            if (await platform.instance(old))["status"] != "Terminated":
                (await decommission(platform, old, *targets)).successful()
            whole += held(before)
            assert_balanced(await arrived(platform, heir, whole))
