"""Operators, templates, instances and accounts on the admin listener (contract §8, §9)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Answer, Json, Platform

NOWHERE = "00000000-0000-4000-8000-000000000000"


def assert_refused_at(answer: Answer, path: str) -> None:
    """The body is refused with the JSON path of what is wrong in it."""
    status, code, message = answer.refusal
    assert (status, code) == (400, "INVALID_REQUEST")
    assert path in message, message


async def test_operators_and_brands_are_created_and_shown(platform: Platform) -> None:
    """Batches answer `{success, failed}`, and the operator is shown with its brands."""
    operator = platform.unique("op")
    created = await platform.admin.post("/config/operators", [{"id": operator, "name": "Op"}])
    brands = [{"id": "a", "name": "A"}, {"id": "b", "name": "B"}]
    added = await platform.admin.post(f"/config/operators/{operator}/brands", brands)
    shown = (await platform.admin.get(f"/config/operators/{operator}")).successful().body

    assert created.successful().body == {"success": [operator], "failed": []}
    assert set(added.successful().body) == {"success", "failed"}
    assert len(added.body["success"]) == 2
    assert added.body["failed"] == []
    assert {"id", "path", "name", "enabled", "created_timestamp", "brands"} <= set(shown)
    assert (shown["id"], shown["name"], shown["enabled"]) == (operator, "Op", True)
    assert shown["path"] == operator
    assert isinstance(shown["created_timestamp"], int)
    assert [brand["id"] for brand in shown["brands"]] == ["a", "b"]
    assert [brand["path"] for brand in shown["brands"]] == [f"{operator}:a", f"{operator}:b"]


async def test_operators_are_listed(platform: Platform) -> None:
    """The platform's administrator sees the demo operator and the new ones."""
    operator = platform.unique("op")
    body = [{"id": operator, "name": "Op"}]
    (await platform.admin.post("/config/operators", body)).successful()
    listed = (await platform.admin.get("/config/operators?limit=1000")).successful().body

    assert {"thrilltech", operator} <= {entry["id"] for entry in listed}


async def test_operator_is_updated_by_the_same_call(platform: Platform) -> None:
    """The batch adds or updates: the second name stays, the brands are kept."""
    operator = platform.unique("op")
    path = f"/config/operators/{operator}"
    for name in ("First", "Second"):
        body = [{"id": operator, "name": name}]
        (await platform.admin.post("/config/operators", body)).successful()
    (await platform.admin.post(f"{path}/brands", [{"id": "a", "name": "A"}])).successful()

    shown = (await platform.admin.get(path)).body
    assert shown["name"] == "Second"
    assert [brand["id"] for brand in shown["brands"]] == ["a"]


@pytest.mark.parametrize("path", ["/config/operators/no-such-operator", f"/instances/{NOWHERE}"])
async def test_unknown_object_is_404(platform: Platform, path: str) -> None:
    """What does not exist is 404 in the documented error shape."""
    assert (await platform.admin.get(path)).refusal[0] == 404


async def test_brands_of_an_unknown_operator_are_404(platform: Platform) -> None:
    """A brand needs its operator first."""
    path = "/config/operators/no-such-operator/brands"
    answer = await platform.admin.post(path, [{"id": "a", "name": "A"}])

    assert answer.refusal[0] == 404


async def test_template_is_created_as_a_draft(platform: Platform) -> None:
    """A created template is answered with its id as a Draft, and can be read."""
    template = platform.template()
    created = (await platform.admin.post("/templates", template)).successful()
    path = f"/templates/{template['id']}"
    read = await platform.admin.get(path, {"owner_id": platform.operator})
    listed = (await platform.admin.get("/templates?limit=1000")).successful().body

    assert created.body["id"] == template["id"]
    assert created.body["status"] == "Draft"
    assert read.successful().body["id"] == template["id"]
    assert read.body["status"] == "Draft"
    assert template["id"] in {entry["id"] for entry in listed}


async def test_published_template_is_no_draft_any_more(platform: Platform) -> None:
    """Publishing changes the status."""
    template = platform.template()
    await platform.publish(template)
    read = await platform.admin.get(f"/templates/{template['id']}?owner_id={platform.operator}")

    assert read.successful().body["status"] != "Draft"


async def test_documented_template_is_accepted(platform: Platform) -> None:
    """The published "quick hit" example can be created, published and instantiated."""
    seeds = {
        "initial_seed_value": 10,
        "min_reseed_value": 10,
        "fund_strategy": "CollectToMinReseed",
        "reseed_strategy": "Full",
    }
    pot: Json = {
        "id": "minor",
        "contribution": {"Percentage": 0.25},
        "seed_contribution": {"Percentage": 0.85},
        "seed_strategy": seeds,
        "max_instantiation_count": None,
        "is_progressive": True,
        "supports_external_trigger": False,
        "pot_types": [{"HitRate": {"max_magic_number": 5, "cost_per_attempt": 0.1}}],
        "criteria": None,
        "max_pot_value": None,
    }
    template: Json = {
        "name": "quick hit",
        "owner_id": platform.brand,
        "currency": "EUR",
        "contribution_rules": {
            "opt_in_required": True,
            "contribution_type": {"Fixed": 0.1},
            "operator_contribution_percentage": 0,
        },
        "house_hold_contribution": {"Percentage": 0.3},
        "win_selector_strategy": "Highest",
        "pots": [
            pot,
            pot | {"id": "major"},
            pot | {"id": "mega", "contribution": {"Percentage": 0.2}},
        ],
    }
    created = (await platform.admin.post("/templates", template)).successful().body
    template["id"] = created["id"]
    publish = f"/templates/{created['id']}/publish?owner_id={platform.brand}"
    (await platform.admin.post(publish)).successful()
    body = platform.instantiation(template)
    instance = (await platform.admin.post("/templates/instantiate", body)).successful().body

    assert set(await platform.pots(instance["id"])) == {"minor", "major", "mega"}


async def test_instance_is_shown_with_its_status_and_pots(platform: Platform) -> None:
    """A new instance has an id, is Active, and its pot stands at the initial seed."""
    template = platform.template()
    await platform.publish(template)
    body = platform.instantiation(template)
    created = (await platform.admin.post("/templates/instantiate", body)).successful().body
    shown = await platform.instance(created["id"])
    listed = (await platform.admin.get("/instances?limit=1000")).successful().body

    assert shown["id"] == created["id"]
    assert shown["status"] == "Active"
    (pot,) = shown["pots"]
    assert {"id", "current_value", "instance_count"} <= set(pot)
    assert pot["id"] == "main"
    assert Decimal(str(pot["current_value"])) == 10
    assert created["id"] in {instance["id"] for instance in listed}


async def test_unpublished_template_cannot_be_instantiated(platform: Platform) -> None:
    """A Draft is 409 `INVALID_STATE`."""
    template = platform.template()
    (await platform.admin.post("/templates", template)).successful()
    body = platform.instantiation(template)
    answer = await platform.admin.post("/templates/instantiate", body)

    assert answer.refusal[:2] == (409, "INVALID_STATE")


async def test_unknown_template_cannot_be_instantiated(platform: Platform) -> None:
    """A template that does not exist is 404."""
    body = platform.instantiation(platform.template())
    answer = await platform.admin.post("/templates/instantiate", body)

    assert answer.refusal[0] == 404


async def test_one_template_has_many_instances(platform: Platform) -> None:
    """Each instantiation is a jackpot of its own."""
    template = platform.template()
    await platform.publish(template)
    body = platform.instantiation(template)
    ids = [
        (await platform.admin.post("/templates/instantiate", body)).successful().body["id"]
        for _ in range(2)
    ]
    (await platform.contribute(ids[0])).successful()

    assert ids[0] != ids[1]
    assert await platform.main_pot(ids[1]) == 10


UNKNOWN_FIELDS: list[tuple[str, str, object]] = [
    ("/config/operators", "$[0].foo", [{"id": "x", "name": "X", "foo": 1}]),
    ("/config/operators/thrilltech/brands", "$[0].foo", [{"id": "x", "name": "X", "foo": 1}]),
    (
        "/config/sources",
        "$[0].foo",
        [{"owner_id": "thrilltech", "source_name": "x", "source_id": "x", "foo": 1}],
    ),
    (
        "/config/sources/assignjackpot",
        "$.foo",
        {"owner_id": "thrilltech", "source_id": ["x"], "instance_id": NOWHERE, "foo": 1},
    ),
]


@pytest.mark.parametrize(("path", "where", "body"), UNKNOWN_FIELDS, ids=lambda v: str(v)[:32])
async def test_unknown_field_is_refused_with_its_path(
    platform: Platform, path: str, where: str, body: object
) -> None:
    """On admin a field that nobody knows is refused, where it stands."""
    assert_refused_at(await platform.admin.post(path, body), where)


async def test_unknown_field_of_a_status_is_refused(platform: Platform) -> None:
    """The status body takes `status` and `reason` only, and nothing changes."""
    jackpot = await platform.jackpot()
    body = {"status": "Paused", "reason": "x", "foo": 1}
    answer = await platform.admin.put(f"/instances/{jackpot}/status", body)

    assert_refused_at(answer, "$.foo")
    assert (await platform.instance(jackpot))["status"] == "Active"


async def test_unknown_field_of_an_instantiation_is_refused(platform: Platform) -> None:
    """So is one of the instantiation."""
    template = platform.template()
    await platform.publish(template)
    body = platform.instantiation(template, foo=1)

    assert_refused_at(await platform.admin.post("/templates/instantiate", body), "$.foo")


def contribution_type(template: Json, value: Json) -> None:
    template["contribution_rules"]["contribution_type"] = value


def pot_types(template: Json, *values: Json) -> None:
    template["pots"][0]["pot_types"] = list(values)


TEMPLATE_FIELDS = [
    ("$.foo", lambda t: t.update(foo=1)),
    ("$.contribution_rules.foo", lambda t: t["contribution_rules"].update(foo=1)),
    ("$.pots[0].foo", lambda t: t["pots"][0].update(foo=1)),
    ("$.pots[0].seed_strategy.foo", lambda t: t["pots"][0]["seed_strategy"].update(foo=1)),
    (
        "$.pots[0].pot_types[0]",
        lambda t: t["pots"][0]["pot_types"][0]["HitRate"].update(foo=1),
    ),
    ("currency", lambda t: t.pop("currency")),
    ("$.currency", lambda t: t.update(currency=1)),
    ("owner_id", lambda t: t.pop("owner_id")),
    ("pots", lambda t: t.pop("pots")),
    ("$.pots", lambda t: t.update(pots={})),
    ("$.pots[0].id", lambda t: t["pots"][0].update(id=7)),
    ("$.win_selector_strategy", lambda t: t.update(win_selector_strategy="Random")),
    (
        "$.pots[0].seed_strategy.fund_strategy",
        lambda t: t["pots"][0]["seed_strategy"].update(fund_strategy="Never"),
    ),
    ("$.contribution_rules.contribution_type", lambda t: contribution_type(t, {"Gift": 1})),
    ("$.contribution_rules.contribution_type", lambda t: contribution_type(t, {})),
    (
        "$.contribution_rules.contribution_type",
        lambda t: contribution_type(t, {"Fixed": 0.1, "Percentage": 0.1}),
    ),
]


@pytest.mark.parametrize(
    ("where", "change"), TEMPLATE_FIELDS, ids=[f"{i}-{f[0]}" for i, f in enumerate(TEMPLATE_FIELDS)]
)
async def test_bad_template_is_refused_with_the_path(
    platform: Platform, where: str, change: object
) -> None:
    """An unknown, missing or ill-typed field of a template is refused, where it stands."""
    assert callable(change)
    template = platform.template()
    change(template)

    assert_refused_at(await platform.admin.post("/templates", template), where)


async def test_null_of_a_feature_is_no_use_of_it(platform: Platform) -> None:
    """Fields with null, as in the documented template, may as well be left out."""
    pot = platform.pot(
        max_pot_value=None, community_payout=None, criteria=None, supports_external_trigger=False
    )
    jackpot = await platform.jackpot(
        pots=[pot],
        raffle=None,
        withhold_wins_above=None,
        allowed_countries=None,
        allowed_segments=None,
        allowed_verticals=None,
        blocked_countries=[],
    )

    assert (await platform.contribute(jackpot)).status == 200


@pytest.mark.parametrize("share", [0.69, 0.71, 0, 1])
async def test_shares_must_add_up_to_one(platform: Platform, share: float) -> None:
    """House and pots are exactly 1, or the template is refused before it can be used."""
    pot = platform.pot(contribution={"Percentage": share})
    template = platform.template(pots=[pot])
    created = await platform.admin.post("/templates", template)
    refused = created
    if created.status < 400:
        publish = f"/templates/{template['id']}/publish?owner_id={platform.operator}"
        refused = await platform.admin.post(publish)

    assert refused.refusal[:2] == (400, "INVALID_REQUEST")


async def test_shares_are_added_exactly(platform: Platform) -> None:
    """0.1 + 0.2 + 0.7 is 1, whatever binary floating point says."""
    pots = [
        platform.pot("a", contribution={"Percentage": 0.1}),
        platform.pot("b", contribution={"Percentage": 0.2}),
    ]
    house = {"Percentage": 0.7}
    jackpot = await platform.jackpot(pots=pots, house_hold_contribution=house)

    assert set(await platform.pots(jackpot)) == {"a", "b"}


@pytest.mark.parametrize(
    "rules",
    [
        {"operator_contribution_percentage": 0},
        {"operator_contribution_percentage": 0.99},
    ],
)
async def test_free_attempts_need_the_operator_to_pay(platform: Platform, rules: Json) -> None:
    """k = 0 is refused by the time of publication unless the operator pays everything."""
    hit_rate = {"max_magic_number": 100, "cost_per_attempt": 0}
    pot = platform.pot(pot_types=[{"HitRate": hit_rate}])
    template = platform.template(pots=[pot], rules=rules)
    answer = await platform.admin.post("/templates", template)
    if answer.status < 400:
        publish = f"/templates/{template['id']}/publish?owner_id={platform.operator}"
        answer = await platform.admin.post(publish)

    assert answer.refusal[:2] == (400, "INVALID_REQUEST")


async def test_rates_of_an_unknown_shape_are_refused(platform: Platform) -> None:
    """A rate is a number above zero."""
    operator = platform.unique("op")
    body: object = [{"id": operator, "name": "Op"}]
    (await platform.admin.post("/config/operators", body)).successful()
    body = [{"id": "a", "name": "A"}]
    (await platform.admin.post(f"/config/operators/{operator}/brands", body)).successful()
    for rate in (0, -1, "much", None):
        body = {"base_currency": "EUR", "multipliers": {"USD": rate}}
        answer = await platform.admin.put(f"/config/currencies/{operator}:a", body)

        assert answer.refusal[:2] == (400, "INVALID_REQUEST")


async def test_account_can_log_in_once_created(platform: Platform) -> None:
    """`POST /admin/accounts` makes an account that reaches its operator's brands only."""
    operator = platform.unique("op")
    body = [{"id": operator, "name": "Op"}]
    (await platform.admin.post("/config/operators", body)).successful()
    brands = [{"id": "a", "name": "A"}]
    (await platform.admin.post(f"/config/operators/{operator}/brands", brands)).successful()
    account = {
        "username": platform.unique("account"),
        "password": "Correct-Horse-7-Battery",
        "account_type": "User",
        "org_id": operator,
        "unit_ids": ["a"],
        "permissions": [{"resource_id": "*", "permission": "Write"}],
    }
    created = await platform.admin.post("/admin/accounts", account)
    login = {"username": account["username"], "password": account["password"]}
    answer = await platform.admin.with_token(None).post("/accounts/auth", login)

    assert "password" not in str(created.successful().body).lower()
    access = answer.successful().body["access_to"]
    assert access["org_id"] == operator
    assert access["unit_ids"] == ["a"]
    assert access["brandpath_list"] == [f"{operator}:a"]


async def test_no_answer_shows_a_password(platform: Platform) -> None:
    """Neither the password nor its hash is in any answer about accounts."""
    created = await platform.admin.post("/admin/accounts", {"username": "x", "password": "s3cr3t!"})

    assert created.status == 400
    assert "s3cr3t!" not in created.text
    assert "argon2" not in created.text
