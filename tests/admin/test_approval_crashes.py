"""What two people have approved happens once, wherever a crash cuts it off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from msgspec import Raw

from jackpotd.core import ledger
from jackpotd.core.commands import ChangeStatus, Trigger
from jackpotd.core.state import Contributor, Status
from jackpotd.engine.messages import Operated
from jackpotd.engine.owners import LocalOwners
from jackpotd.identity.principal import Principal
from jackpotd.testing.house import currencies, instance, operator
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import Account, Permission, Template
from tests.admin.test_switching_crashes import money, template
from tests.admin.ward import Fuse, Life, Ward, until

if TYPE_CHECKING:
    from jackpotd.wire.catalog_records import ApprovalKind, CatalogEntity

TEST_TIMEOUT_S = 30
STEPS_MAX = 20
EVERYTHING = (Permission(resource_id="*", permission="Write"),)


def account(username: str) -> Account:
    return Account(
        id=username,
        username=username,
        password_hash="",
        account_type="User",
        org_id=None,
        unit_ids=(),
        permissions=EVERYTHING,
        enabled=True,
        created_ms=1,
    )


def entities() -> list[CatalogEntity]:
    model = template({"a": 101, "b": 33}) | {"withhold_wins_above": 5}
    for pot in model["pots"]:
        pot["supports_external_trigger"] = True
    return [
        operator("op", ["a"]),
        currencies("default"),
        instance("old", model),
        instance("heir", model),
        Template(
            owner_id="op",
            id="draft",
            document=Raw(codec.encode(model)),
            published=False,
            created_ms=1,
        ),
        account("ann"),
        account("bob"),
    ]


async def withhold(life: Life) -> str:
    """A win of pot a that waits for a person; returns its round."""
    winner = Contributor("op:a", "player", "EUR", 10**8, 10**8)
    command = Trigger(0, "", "a", winner, "r", "ann", "why", ())
    outcome = await LocalOwners(life.house.shard).operate("old", command)
    assert isinstance(outcome, Operated), outcome
    return outcome.state.rare.held[0].round_id


def call(what: ApprovalKind, round_id: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The parts of the path, and the body."""
    win = {"instance_id": "old", "gameround_id": round_id, "pot_id": "a"}
    targets = [{"pot_id": pot, "instance_id": "heir", "target_pot_id": pot} for pot in ("a", "b")]
    calls: dict[ApprovalKind, tuple[dict[str, str], dict[str, Any]]] = {
        "publish": ({"template_id": "draft", "owner_id": "op"}, {}),
        "adjustment": ({"instance_id": "old"}, {"pot_id": "b", "amount": 7}),
        "release": (win, {}),
        "rejection": (win, {}),
        "termination": ({"instance_id": "old"}, {"status": "Terminated"}),
        "decommission": ({"instance_id": "old"}, {"destinations": targets}),
    }
    path, body = calls[what]
    return path, body | {"reason": "why"}


def seen(life: Life) -> tuple[object, ...]:
    """All that may differ between once and twice."""
    old, heir = life.state("old"), life.state("heir")
    for state in (old, heir):
        ledger.check_whole(state)
    pots = [(pot.value, pot.reserve, pot.paid) for pot in (*old.pots, *heir.pots)]
    kept = [(state.status, state.operator, state.payouts, money(state)) for state in (old, heir)]
    published = [each.published for each in life.catalog.templates.values()]
    return pots, kept, published, old.rare.withheld, old.rare.transfers


async def ask(life: Life, what: ApprovalKind, round_id: str, who: str) -> None:
    path, body = call(what, round_id)
    principal = Principal(who, None, (), EVERYTHING)
    approvals = life.administration.approvals
    await approvals.ask(principal, what, "op", path, codec.encode(body))


async def approved(life: Life, what: ApprovalKind, round_id: str) -> None:
    """Asked by one, approved by the other, executed by the desk."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.administration.run)
        await ask(life, what, round_id, "ann")
        await ask(life, what, round_id, "bob")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "what", ["publish", "adjustment", "release", "rejection", "termination", "decommission"]
)
async def test_an_approved_request_is_executed_once(*, what: ApprovalKind, is_after: bool) -> None:
    """For each step: cut off there, the next start finishes what was approved, and the outcome is that of no crash."""
    with trio.fail_after(TEST_TIMEOUT_S):
        expected = await outcome_of(what, Fuse())
        for step in range(STEPS_MAX):
            fuse = Fuse(step, is_after=is_after)
            assert expected == await outcome_of(what, fuse)
            if not fuse.has_blown:
                assert step >= 3
                return
    pytest.fail("the request makes more calls than that")


async def outcome_of(what: ApprovalKind, fuse: Fuse) -> tuple[object, ...]:
    """What there is to be seen at the end, when both people ask until it is done."""
    ward = Ward(entities(), four_eyes=True)
    async with ward.life() as life:
        round_id = await withhold(life) if what in ("release", "rejection") else ""
    async with ward.life(fuse) as life:
        await approved(life, what, round_id)
    found: tuple[object, ...] = ()
    async with ward.life() as life, trio.open_nursery() as nursery:
        nursery.start_soon(life.administration.run)
        known = life.catalog.approvals
        await until(lambda: all(each.state != "Approved" for each in known.values()))
        if not known:
            await ask(life, what, round_id, "ann")
        if [each for each in known.values() if each.state == "Waiting"]:
            await ask(life, what, round_id, "bob")
        (approval,) = known.values()
        assert "Executed" == approval.state, approval.note
        assert ("ann", "bob") == (approval.asked_by, approval.decided_by)
        await until(lambda: not life.state("old").rare.transfers)
        found = seen(life)
        nursery.cancel_scope.cancel()
    return found


async def test_a_request_that_has_become_impossible_fails_and_says_so() -> None:
    """Approved, but the jackpot has ended in between: nothing happens, and it is not tried for ever."""
    with trio.fail_after(TEST_TIMEOUT_S):
        ward = Ward(entities(), four_eyes=True)
        async with ward.life(Fuse(3)) as life:
            await approved(life, "adjustment", "")
        async with ward.life() as life, trio.open_nursery() as nursery:
            (approval,) = life.catalog.approvals.values()
            assert "Approved" == approval.state
            end = ChangeStatus(0, Status.TERMINATED, "why", "ann")
            await LocalOwners(life.house.shard).operate("old", end)
            nursery.start_soon(life.administration.run)
            known = life.catalog.approvals
            await until(lambda: known[approval.id].state != "Approved")
            assert "Failed" == known[approval.id].state
            assert "Terminated" in known[approval.id].note
            nursery.cancel_scope.cancel()
