"""The life of an instance: which changes of its status are legal (contract §8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Platform

STEPS = {
    "Pending": [],
    "Active": ["Active"],
    "Paused": ["Active", "Paused"],
    "Terminated": ["Active", "Terminated"],
}


async def in_status(platform: Platform, status: str) -> str:
    if status == "Ended":
        jackpot = await platform.jackpot(pots=[platform.pot(odds=1, max_instantiation_count=1)])
        (await platform.contribute(jackpot)).successful()
        return jackpot
    jackpot = await platform.jackpot(status="Pending")
    for step in STEPS[status]:
        (await platform.set_status(jackpot, step)).successful()
    return jackpot


async def status_of(platform: Platform, jackpot: str) -> str:
    status: str = (await platform.instance(jackpot))["status"]
    return status


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Pending", "Active"),
        ("Pending", "Terminated"),
        ("Active", "Paused"),
        ("Active", "Terminated"),
        ("Paused", "Active"),
        ("Paused", "Terminated"),
        ("Ended", "Terminated"),
    ],
)
async def test_legal_change_takes_effect(platform: Platform, before: str, after: str) -> None:
    """Pending → Active, Active ⇄ Paused, and anything → Terminated."""
    jackpot = await in_status(platform, before)
    (await platform.set_status(jackpot, after)).successful()

    assert await status_of(platform, jackpot) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Pending", "Paused"),
        ("Active", "Pending"),
        ("Paused", "Pending"),
        ("Terminated", "Active"),
        ("Terminated", "Paused"),
        ("Terminated", "Pending"),
        ("Ended", "Active"),
        ("Ended", "Paused"),
        ("Ended", "Pending"),
    ],
)
async def test_illegal_change_is_409(platform: Platform, before: str, after: str) -> None:
    """Anything else is `INVALID_STATE` and leaves the status as it was."""
    jackpot = await in_status(platform, before)

    assert (await platform.set_status(jackpot, after)).refusal[:2] == (409, "INVALID_STATE")
    assert await status_of(platform, jackpot) == before


@pytest.mark.parametrize("before", ["Pending", "Active", "Paused", "Terminated"])
async def test_ended_cannot_be_set_by_hand(platform: Platform, before: str) -> None:
    """Ended is where a jackpot arrives by itself."""
    jackpot = await in_status(platform, before)
    answer = await platform.set_status(jackpot, "Ended")

    assert answer.refusal[:2] in {(409, "INVALID_STATE"), (400, "INVALID_REQUEST")}
    assert await status_of(platform, jackpot) == before


@pytest.mark.parametrize("status", ["active", "Running", "", None, 1])
async def test_unknown_status_is_refused(platform: Platform, status: object) -> None:
    """A status that does not exist is `INVALID_REQUEST` with its path."""
    jackpot = await platform.jackpot()
    body = {"status": status, "reason": "a test asks for it"}
    answer = await platform.admin.put(f"/instances/{jackpot}/status", body)

    code, message = answer.refusal[1:]
    assert answer.status == 400
    assert code == "INVALID_REQUEST"
    assert "status" in message
    assert await status_of(platform, jackpot) == "Active"


async def test_pause_keeps_the_pot_and_the_terms(platform: Platform) -> None:
    """A paused jackpot neither grows nor is won, and resumes with the same amount."""
    jackpot = await platform.jackpot()
    (await platform.contribute(jackpot)).successful()
    before = await platform.pots(jackpot)
    (await platform.set_status(jackpot, "Paused")).successful()
    assert (await platform.contribute(jackpot)).status == 400
    (await platform.set_status(jackpot, "Active")).successful()

    assert await platform.pots(jackpot) == before
    assert (await platform.contribute(jackpot)).status == 200


@pytest.mark.parametrize("status", ["Active", "Pending"])
async def test_instance_starts_in_the_status_asked_for(platform: Platform, status: str) -> None:
    """`instantiate` takes Active or Pending."""
    jackpot = await platform.jackpot(status=status)

    assert await status_of(platform, jackpot) == status


async def test_instance_is_active_by_default(platform: Platform) -> None:
    """Without a status the instance is Active at once."""
    template = platform.template()
    await platform.publish(template)
    body = platform.instantiation(template)
    created = (await platform.admin.post("/templates/instantiate", body)).successful()

    assert await status_of(platform, created.body["id"]) == "Active"


@pytest.mark.parametrize("status", ["Paused", "Terminated", "Ended", "Running"])
async def test_instance_cannot_start_in_another_status(platform: Platform, status: str) -> None:
    """An instance is not born paused, terminated or ended."""
    template = platform.template()
    await platform.publish(template)
    body = platform.instantiation(template, status=status)
    answer = await platform.admin.post("/templates/instantiate", body)

    assert answer.refusal[:2] == (400, "INVALID_REQUEST")
    assert "status" in answer.refusal[2]


async def test_status_of_an_unknown_instance_is_404(platform: Platform) -> None:
    """There is nothing to change on an instance that does not exist."""
    answer = await platform.set_status("00000000-0000-4000-8000-000000000000", "Paused")

    assert answer.refusal[:2] == (404, "JACKPOT_NOT_FOUND")
