"""A scheduled jackpot that is switched keeps its schedules, wherever the switch is cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from msgspec import Raw, structs

from jackpotd.core.commands import ChangeStatus, SetSchedule
from jackpotd.core.passing import own_schedule, schedule_of
from jackpotd.core.schedule import DailyRule, Schedule
from jackpotd.core.state import Status
from jackpotd.testing.house import BORN_MS, operator
from jackpotd.testing.templates import encoded
from jackpotd.wire.catalog_records import InstanceEntry, Operator, Template
from jackpotd.wire.parts import part_of
from tests.admin.test_switching_crashes import (
    STEPS_MAX,
    TEST_TIMEOUT_S,
    entities,
    switch,
    template,
)
from tests.admin.ward import Fuse, Life, Ward

if TYPE_CHECKING:
    from jackpotd.wire.catalog_records import CatalogEntity

HOUR_MS = 3_600_000
OWN = Schedule(BORN_MS - HOUR_MS, BORN_MS + HOUR_MS, (DailyRule(((0, HOUR_MS),)),))
OF_BRAND = Schedule(None, None, (DailyRule(((HOUR_MS, 2 * HOUR_MS),)),))
LATER = structs.replace(OWN, start_ms=BORN_MS + HOUR_MS // 2)


def scheduled(own: Schedule | None, status: Status = Status.ACTIVE) -> list[CatalogEntity]:
    """The old jackpot with a schedule of its own."""
    return [
        structs.replace(each, schedule=part_of(own), status=status)
        if isinstance(each, InstanceEntry) and each.instance_id == "old"
        else each
        for each in entities()
    ]


async def begin(ward: Ward, status: Status) -> None:
    """The old jackpot as it stands before the switch."""
    async with ward.life() as life:
        owners = life.administration.context.owners
        await owners.operate("old", SetSchedule(0, "op:a", OF_BRAND, "ann", "why"))
        if status is Status.PAUSED:
            await owners.operate("old", ChangeStatus(0, Status.PAUSED, "why", "ann"))


def assert_switched(life: Life, own: Schedule | None, status: Status) -> None:
    (switching,) = life.catalog.switchings.values()
    assert "Done" == switching.stage
    old, new = life.state("old"), life.state(switching.target)
    assert (Status.TERMINATED, status) == (old.status, new.status)
    assert (own, OF_BRAND) == (own_schedule(new), schedule_of(new, "op:a"))
    assert old.rare.schedules == new.rare.schedules


CASES = [
    pytest.param(OWN, Status.ACTIVE, Status.ACTIVE, id="active"),
    pytest.param(OWN, Status.PAUSED, Status.PAUSED, id="paused"),
    pytest.param(LATER, Status.PENDING, Status.PENDING, id="waiting"),
    pytest.param(None, Status.ACTIVE, Status.ACTIVE, id="of the brand alone"),
    pytest.param(None, Status.PAUSED, Status.PENDING, id="of the brand alone, paused"),
]


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("own", "status", "expected"), CASES)
async def test_schedules_go_with_a_switch_wherever_it_was_cut_off(
    own: Schedule | None, status: Status, expected: Status, *, is_after: bool
) -> None:
    """For each call that it makes: cut off there, then finished by the next life; the state is kept, too."""
    for step in range(STEPS_MAX):
        ward = Ward(scheduled(own, Status.ACTIVE if status is Status.PAUSED else status))
        with trio.fail_after(TEST_TIMEOUT_S):
            await begin(ward, status)
            fuse = Fuse(step, is_after=is_after)
            async with ward.life(fuse) as life:
                await switch(life)
            async with ward.life() as life:
                for switching in list(life.catalog.switchings):
                    assert await life.administration.switcher.drive(switching) is None
                if life.catalog.switchings:
                    assert_switched(life, own, expected)
                else:
                    assert status is life.state("old").status
        if not fuse.has_blown:
            assert step > 6
            return
    pytest.fail("the switch makes more calls than that")


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.PAUSED])
async def test_schedule_that_ends_while_a_switch_is_cut_off_ends_the_new_jackpot(
    status: Status,
) -> None:
    """As it would have ended the old one; what its pots held is set aside, not lost."""
    ward = Ward(scheduled(OWN))
    with trio.fail_after(TEST_TIMEOUT_S):
        await begin(ward, status)
        async with ward.life(Fuse(4, is_after=True)) as life:
            await switch(life)
        async with ward.life() as life:
            life.house.clock.now_ms = BORN_MS + HOUR_MS
            (switching,) = life.catalog.switchings
            assert await life.administration.switcher.drive(switching) is None
            assert "Done" == life.catalog.switchings[switching].stage
            new = life.state(life.catalog.switchings[switching].target)
            assert Status.TERMINATED is new.status
            assert sum(pot.undistributed for pot in new.rare.pots) > 0


async def test_brand_that_the_new_jackpot_leaves_out_does_not_hold_up_the_switch() -> None:
    """Its schedule stays with the old one; all others go along."""
    known = [
        structs.replace(each, brands=("op:a", "op:b"))
        if isinstance(each, InstanceEntry) and each.instance_id == "old"
        else operator("op", ["a", "b"])
        if isinstance(each, Operator)
        else each
        for each in scheduled(OWN)
    ]
    model = template({"x": 0, "y": 0}) | {"allowed_brands": ["op:a"]}
    known = [
        structs.replace(each, document=Raw(encoded(model))) if isinstance(each, Template) else each
        for each in known
    ]
    ward = Ward(known)
    with trio.fail_after(TEST_TIMEOUT_S):
        async with ward.life() as life:
            owners = life.administration.context.owners
            for brand in ("op:a", "op:b"):
                await owners.operate("old", SetSchedule(0, brand, OF_BRAND, "ann", "why"))
            await switch(life)
            (switching,) = life.catalog.switchings.values()
            new = life.state(switching.target)

    assert "Done" == switching.stage
    assert {each.brand for each in new.rare.schedules} == {"", "op:a"}
