"""A switch of model that is cut off at any step is finished by the next life, and no money is lost or doubled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from msgspec import Raw

from jackpotd.admin.approvals import Asked
from jackpotd.core import ledger
from jackpotd.core.state import Status
from jackpotd.testing.house import currencies, instance, links, operator
from jackpotd.testing.templates import encoded
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import (
    Account,
    Assignment,
    CatalogEntity,
    Permission,
    Source,
    Template,
)
from tests.admin.ward import Fuse, Life, Ward

if TYPE_CHECKING:
    from jackpotd.core.state import Instance

TEST_TIMEOUT_S = 30
STEPS_MAX = 40
RULES = [
    {"source_pot": "a", "target_pot": {"x": 0.25, "y": 0.75}},
    {"source_pot": "b", "target_pot": {"y": 1}},
]
BODY = {
    "source_instance_id": "old",
    "template_id": "next",
    "template_owner_id": "op",
    "target_instance_owner_id": "op",
    "target_instance_name": "new",
    "pot_rules": RULES,
    "reason": "why",
}


def template(pots: dict[str, int]) -> dict[str, Any]:
    share = f"{0.7 / len(pots)}"
    return {
        "name": "a model",
        "owner_id": "op",
        "currency": "EUR",
        "allowed_brands": ["op:a"],
        "contribution_rules": {"opt_in_required": False, "contribution_type": {"Fixed": "0.1"}},
        "house_hold_contribution": {"Percentage": "0.3"},
        "pots": [
            {
                "id": pot_id,
                "contribution": {"Percentage": share},
                "seed_contribution": {"Percentage": "0.5"},
                "seed_strategy": {"initial_seed_value": seed, "min_reseed_value": 1},
                "pot_types": [{"HitRate": {"max_magic_number": 50, "cost_per_attempt": "0.1"}}],
            }
            for pot_id, seed in pots.items()
        ],
    }


def entities() -> list[CatalogEntity]:
    """An old jackpot with a source and links both ways, and the template that it is to be switched to."""
    model = template({"a": 101, "b": 33})
    return [
        operator("op", ["a"]),
        currencies("default"),
        instance("old", model),
        instance("other", model),
        links("old", "other"),
        links("other", "old"),
        Source(
            owner_id="op",
            source_id="s",
            name="s",
            jackpots=(
                Assignment(instance_id="old", priority=0),
                Assignment(instance_id="other", priority=1),
            ),
        ),
        Template(
            owner_id="op",
            id="next",
            document=Raw(encoded(template({"x": 0, "y": 0}))),
            published=True,
            created_ms=1,
        ),
        Account(
            id="1",
            username="ann",
            password_hash="",
            account_type="User",
            org_id=None,
            unit_ids=(),
            permissions=(Permission(resource_id="*", permission="Write"),),
            enabled=True,
            created_ms=1,
        ),
    ]


def money(state: Instance) -> int:
    kept = sum(pot.boost + pot.undistributed for pot in state.rare.pots)
    return kept + sum(pot.value + pot.reserve for pot in state.pots) + ledger.residual(state)


async def switch(life: Life) -> None:
    """The call, as its handler makes it once everything has been looked at."""
    await life.administration.switch_model._switched(Asked({}, codec.encode(BODY), "ann"))


def assert_switched(life: Life, whole: int) -> None:
    (switching,) = life.catalog.switchings.values()
    assert "Done" == switching.stage
    old, new = life.state("old"), life.state(switching.target)
    assert (Status.TERMINATED, Status.ACTIVE) == (old.status, new.status)
    assert (0, whole) == (money(old), money(new))
    assert () == old.rare.transfers
    assert "old" == new.rare.inherits
    for state in (old, new):
        ledger.check_whole(state)
    assert {"old", "other", switching.target} == life.catalog.instances.keys()
    (source,) = life.catalog.sources.values()
    assert [switching.target, "other"] == [each.instance_id for each in source.jackpots]
    assert ["old"] == [each.instance_id for each in source.former]
    assert {"old": (), switching.target: ("other",), "other": (switching.target,)} == dict(
        life.catalog.links
    )


@pytest.mark.parametrize("repeats", [False, True], ids=["restart", "repeat"])
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
async def test_a_switch_is_finished_wherever_it_was_cut_off(
    *, is_after: bool, repeats: bool
) -> None:
    """For each call that it makes: cut off there, then finished by the next start alone, or by the same call again."""
    for step in range(STEPS_MAX):
        ward = Ward(entities())
        with trio.fail_after(TEST_TIMEOUT_S):
            async with ward.life() as life:
                whole = money(life.state("old"))
            fuse = Fuse(step, is_after=is_after)
            async with ward.life(fuse) as life:
                await switch(life)
            async with ward.life() as life:
                if repeats:
                    await switch(life)
                elif life.catalog.switchings:
                    for switching in list(life.catalog.switchings):
                        assert await life.administration.switcher.drive(switching) is None
                if life.catalog.switchings:
                    assert_switched(life, whole)
                else:
                    assert whole == money(life.state("old"))
                    assert step <= 1
        if not fuse.has_blown:
            assert step > 6
            return
    pytest.fail("the switch makes more calls than that")


async def test_a_switch_is_finished_by_itself_after_a_start() -> None:
    """Nobody has to ask again."""
    ward = Ward(entities())
    with trio.fail_after(TEST_TIMEOUT_S):
        async with ward.life(Fuse(3)) as life:
            await switch(life)
        async with ward.life() as life, trio.open_nursery() as nursery:
            nursery.start_soon(life.administration.run)
            (switching,) = life.catalog.switchings
            while life.catalog.switchings[switching].stage != "Done":
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
