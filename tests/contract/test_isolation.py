"""What an operator can see and touch, and what a brand can (contract §2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Lab, Platform

FORBIDDEN = (403, "FORBIDDEN")


@pytest.fixture
async def theirs(platform: Platform, lab: Lab) -> tuple[str, str]:
    """A jackpot of the lab and its source."""
    jackpot = await platform.jackpot(owner_id=lab.operator, allowed_brands=[lab.one, lab.two])
    return jackpot, await platform.source(jackpot, owner=lab.one)


async def test_contribution_for_a_foreign_brand_is_403(
    platform: Platform, lab: Lab, theirs: tuple[str, str]
) -> None:
    """My account cannot contribute in the name of another operator, on any of the paths."""
    jackpot, source = theirs
    operator: Json = {"operator_id": lab.operator}
    player = {"brand_id": "one"}
    v2 = "/v2/jackpots/contribute"
    answers = [
        await platform.contribute(jackpot, brand_id=lab.one),
        await platform.contribute_by_source(source, brand_id=lab.one),
        await platform.gateway.post(v2, platform.v2("instance", jackpot, player=player) | operator),
        await platform.gateway.post(v2, platform.v2("source", source, player=player) | operator),
    ]

    assert [answer.refusal[:2] for answer in answers] == [FORBIDDEN] * 4
    assert await platform.main_pot(jackpot) == 10


async def test_foreign_brand_is_403_even_where_nothing_exists(platform: Platform, lab: Lab) -> None:
    """The right is checked first: a foreign account learns nothing about sources or jackpots."""
    nowhere = platform.unique("nowhere")
    answers = [
        await platform.contribute(nowhere, brand_id=lab.one),
        await platform.contribute_by_source(nowhere, brand_id=lab.one),
    ]

    assert [answer.refusal[:2] for answer in answers] == [FORBIDDEN] * 2


async def test_opt_in_for_a_foreign_brand_is_403(
    platform: Platform, lab: Lab, theirs: tuple[str, str]
) -> None:
    """Neither version of the opt-in acts for another operator's player."""
    jackpot, _ = theirs
    player = {"id": platform.player, "country": "MT", "brand_id": "one"}
    v1 = await platform.opt_in(jackpot, brand_id=lab.one)
    v2 = await platform.opt_in_v2("instance", jackpot, operator_id=lab.operator, player=player)

    assert v1.refusal[:2] == FORBIDDEN
    assert v2.refusal[:2] == FORBIDDEN


async def test_reads_of_a_foreign_brand_are_403(
    platform: Platform, lab: Lab, theirs: tuple[str, str]
) -> None:
    """Sources, instances, winners and rates of another operator are not for my account."""
    jackpot, source = theirs
    paths = [
        f"/sources?owner_id={lab.one}",
        f"/sources?owner_id={lab.operator}",
        f"/currencies/{lab.one}",
        f"/jackpots/instances/source/{source}/brand/{lab.one}",
        f"/jackpots/instances/jackpot/{jackpot}/latest_winners",
        f"/jackpots/instances/jackpot/{jackpot}/pot_winners",
    ]
    answers = [await platform.gateway.get(path) for path in paths]

    assert [answer.refusal[:2] for answer in answers] == [FORBIDDEN] * len(paths)


async def test_own_brand_can_do_all_of_it(
    platform: Platform, lab: Lab, theirs: tuple[str, str]
) -> None:
    """The same calls succeed for the account of the operator itself."""
    jackpot, source = theirs
    caller = platform.gateway.with_token(lab.service)
    body = platform.v1(source_id=source, brand_id=lab.one)
    contributed = await caller.post("/jackpots/contribute/source", body)
    paths = [
        f"/sources?owner_id={lab.one}",
        f"/currencies/{lab.one}",
        f"/jackpots/instances/source/{source}/brand/{lab.one}",
        f"/jackpots/instances/jackpot/{jackpot}/latest_winners",
        f"/jackpots/instances/jackpot/{jackpot}/pot_winners",
    ]
    answers = [await caller.get(path) for path in paths]

    assert contributed.status == 200
    assert [answer.status for answer in answers] == [200] * len(paths)


async def test_account_of_one_brand_does_not_reach_the_other(
    platform: Platform, lab: Lab, theirs: tuple[str, str]
) -> None:
    """An account of brand one writes and reads for brand one, and is 403 for brand two."""
    jackpot, _ = theirs
    caller = platform.gateway.with_token(lab.service_one)
    path = "/jackpots/contribute/instance"
    own = await caller.post(path, platform.v1(instance_id=jackpot, brand_id=lab.one))
    other = await caller.post(path, platform.v1(instance_id=jackpot, brand_id=lab.two))
    reads = [
        await caller.get(f"/sources?owner_id={lab.two}"),
        await caller.get(f"/currencies/{lab.two}"),
    ]

    assert own.status == 200
    assert other.refusal[:2] == FORBIDDEN
    assert [read.refusal[:2] for read in reads] == [FORBIDDEN] * 2


async def test_equal_source_ids_of_two_operators_are_two_sources(
    platform: Platform, lab: Lab, theirs: tuple[str, str]
) -> None:
    """The same source id stands for another jackpot at another operator."""
    their_jackpot, source = theirs
    my_jackpot = await platform.jackpot()
    await platform.source(my_jackpot, source_id=source)
    caller = platform.gateway.with_token(lab.service)
    mine = await platform.contribute_by_source(source)
    body = platform.v1(source_id=source, brand_id=lab.one)
    their = await caller.post("/jackpots/contribute/source", body)

    assert mine.body["instance_id"] == my_jackpot
    assert their.body["instance_id"] == their_jackpot


async def test_brand_prefix_is_no_brand(platform: Platform, lab: Lab) -> None:
    """`op:bran` and `op:brand1x` are not `op:brand1`; nor is an operator's prefix an operator."""
    jackpot = await platform.jackpot()
    caller = platform.gateway.with_token(lab.service_one)
    for brand in (
        lab.one[:-1],
        f"{lab.one}x",
        f"{lab.operator}x:one",
        f"{lab.one}:",
        f"{lab.one} ",
    ):
        body = platform.v1(instance_id=jackpot, brand_id=brand)
        answer = await caller.post("/jackpots/contribute/instance", body)

        assert answer.status in {400, 403}, brand


async def test_admin_of_one_operator_cannot_touch_another(platform: Platform, lab: Lab) -> None:
    """An operator's own administrator reads and writes that operator's objects only."""
    jackpot = await platform.jackpot()
    template = platform.template()
    await platform.publish(template)
    user = platform.admin.with_token(lab.user)
    status = {"status": "Paused", "reason": "curiosity"}
    answers = [
        await user.get(f"/instances/{jackpot}"),
        await user.put(f"/instances/{jackpot}/status", status),
        await user.get(f"/instances/{jackpot}/links"),
        await user.put(f"/instances/{jackpot}/links", {"linked_instances": []}),
        await user.delete(f"/instances/{jackpot}/links"),
        await user.post("/templates", platform.template()),
        await user.post("/templates/instantiate", platform.instantiation(template)),
        await user.get(f"/config/operators/{platform.operator}"),
        await user.post(
            f"/config/operators/{platform.operator}/brands", [{"id": "x", "name": "X"}]
        ),
        await user.post("/config/operators", [{"id": platform.unique("op"), "name": "Mine"}]),
        await user.put("/config/currencies/default", {"base_currency": "EUR", "multipliers": {}}),
        await user.put(
            f"/config/currencies/{platform.brand}", {"base_currency": "EUR", "multipliers": {}}
        ),
    ]

    assert [answer.refusal[:2] for answer in answers] == [FORBIDDEN] * len(answers)
    assert (await platform.instance(jackpot))["status"] == "Active"


async def test_foreign_template_is_403(platform: Platform, lab: Lab) -> None:
    """A template of another operator is not for my account, named by its owner."""
    template = platform.template()
    await platform.publish(template)
    user = platform.admin.with_token(lab.user)
    answer = await user.get(f"/templates/{template['id']}?owner_id={platform.operator}")

    assert answer.refusal[:2] == FORBIDDEN


async def test_account_of_one_brand_is_not_shown_the_other(platform: Platform, lab: Lab) -> None:
    """On admin too, an account of brand one sees brand one of its operator and no other."""
    caller = platform.admin.with_token(lab.service_one)
    operators = (await caller.get("/config/operators")).successful().body

    assert [brand["id"] for operator in operators for brand in operator["brands"]] == ["one"]


async def test_admin_of_one_operator_lists_its_own(
    platform: Platform, lab: Lab, theirs: tuple[str, str]
) -> None:
    """Lists show an operator's administrator that operator's objects and no others."""
    mine = await platform.jackpot()
    user = platform.admin.with_token(lab.user)
    instances = (await user.get("/instances", {"limit": 1000})).successful().body
    operators = (await user.get("/config/operators")).successful().body
    templates = (await user.get("/templates", {"limit": 1000})).successful().body

    ids = {instance["id"] for instance in instances}
    assert theirs[0] in ids
    assert mine not in ids
    assert [operator["id"] for operator in operators] == [lab.operator]
    assert {template["owner_id"].partition(":")[0] for template in templates} == {lab.operator}


async def test_admin_of_one_operator_manages_its_own(platform: Platform, lab: Lab) -> None:
    """For its own operator the same account creates, links, pauses and reads."""
    user = platform.admin.with_token(lab.user)
    template = platform.template(owner_id=lab.operator, allowed_brands=[lab.one])
    publish = f"/templates/{template['id']}/publish?owner_id={lab.operator}"
    (await user.post("/templates", template)).successful()
    (await user.post(publish)).successful()
    created = await user.post("/templates/instantiate", platform.instantiation(template))
    jackpot = created.successful().body["id"]
    status = {"status": "Paused", "reason": "maintenance"}
    (await user.put(f"/instances/{jackpot}/status", status)).successful()

    assert (await user.get(f"/instances/{jackpot}")).body["status"] == "Paused"


async def test_foreign_source_cannot_be_assigned_to_my_instance(
    platform: Platform, lab: Lab
) -> None:
    """An operator's administrator binds neither foreign instances nor foreign sources."""
    mine = await platform.jackpot()
    my_source = await platform.source()
    their_source = await platform.source(owner=lab.one)
    user = platform.admin.with_token(lab.user)
    foreign_instance: Json = {
        "owner_id": lab.one,
        "source_id": [their_source],
        "instance_id": mine,
    }
    foreign_source: Json = {
        "owner_id": platform.brand,
        "source_id": [my_source],
        "instance_id": mine,
    }
    path = "/config/sources/assignjackpot"
    first = await user.post(path, foreign_instance)
    second = await user.post(path, foreign_source)

    assert first.status in {403, 404} or first.body["success"] == []
    assert second.refusal[:2] == FORBIDDEN
    assert (await platform.contribute_by_source(my_source)).status == 404


async def test_service_token_of_an_operator_does_not_administer_accounts(
    platform: Platform, lab: Lab
) -> None:
    """An operator's account cannot make itself an account of the platform."""
    account = {
        "username": platform.unique("intruder"),
        "password": "Correct-Horse-7-Battery",
        "account_type": "User",
        "org_id": None,
        "unit_ids": [],
        "permissions": [{"resource_id": "*", "permission": "Write"}],
    }
    for token in (lab.user, lab.service, platform.tokens.service):
        answer = await platform.admin.with_token(token).post("/admin/accounts", account)

        assert answer.refusal[:2] == FORBIDDEN
