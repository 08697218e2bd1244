"""Opting in and out, and what it changes (contract §4)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Lab, Platform

NOWHERE = "00000000-0000-4000-8000-000000000000"
VARIABLE = {"Variable": {"min": 0.1, "max": 5, "default": 0.1}}
REQUIRED: Json = {"opt_in_required": True}


async def variable_jackpot(platform: Platform, **changes: object) -> str:
    rules: Json = {"contribution_type": VARIABLE, "opt_in_required": True}
    return await platform.jackpot(rules=rules | changes)


async def amount(platform: Platform, instance_id: str) -> Decimal:
    """What a contribution of the test's player takes now."""
    answer = await platform.contribute(instance_id)
    value: Decimal = answer.successful().body["contribution_amount"]
    return value


async def test_v1_opt_in_answers_null(platform: Platform) -> None:
    """The v1 call answers 200 with JSON null, as documented."""
    jackpot = await platform.jackpot(rules=REQUIRED)
    answer = await platform.opt_in(jackpot)

    assert answer.status == 200
    assert answer.text.strip() == "null"


async def test_v1_opt_in_lets_contributions_in_and_opt_out_stops_them(platform: Platform) -> None:
    """Opted in the player contributes, opted out again it does not."""
    jackpot = await platform.jackpot(rules=REQUIRED)
    (await platform.opt_in(jackpot)).successful()
    assert (await platform.contribute(jackpot)).status == 200
    (await platform.opt_in(jackpot, opt_in=False)).successful()
    refused = await platform.contribute(jackpot)

    assert refused.refusal == (400, "CONTRIBUTION_REJECTED", "PlayerNotOptedIn")


async def test_opt_in_belongs_to_player_brand_and_instance(platform: Platform) -> None:
    """Neither another player, nor the same id of another brand, nor another jackpot is opted in."""
    jackpot = await platform.jackpot(rules=REQUIRED)
    other = await platform.jackpot(rules=REQUIRED)
    (await platform.opt_in(jackpot)).successful()

    answers = [
        await platform.contribute(jackpot, player_id=platform.unique("player")),
        await platform.contribute(jackpot, brand_id=platform.other_brand),
        await platform.contribute(other),
    ]
    assert {answer.refusal[2] for answer in answers} == {"PlayerNotOptedIn"}


async def test_repeated_opt_in_is_no_error(platform: Platform) -> None:
    """Opting in twice, or out without ever having been in, is accepted."""
    jackpot = await platform.jackpot(rules=REQUIRED)

    assert (await platform.opt_in(jackpot, opt_in=False)).status == 200
    assert (await platform.opt_in(jackpot)).status == 200
    assert (await platform.opt_in(jackpot)).status == 200


async def test_opt_out_never_blocks_where_no_opt_in_is_required(platform: Platform) -> None:
    """On an open jackpot a player who opted out contributes like any other."""
    jackpot = await platform.jackpot()
    (await platform.opt_in(jackpot)).successful()
    (await platform.opt_in(jackpot, opt_in=False)).successful()

    assert (await platform.contribute(jackpot)).status == 200


async def test_v2_opt_in_by_instance_and_by_source(platform: Platform) -> None:
    """v2 answers the ids that succeeded, for both kinds of target."""
    by_instance = await platform.jackpot(rules=REQUIRED)
    by_source = await platform.jackpot(rules=REQUIRED)
    source = await platform.source(by_source)
    first = await platform.opt_in_v2("instance", by_instance)
    second = await platform.opt_in_v2("source", source)

    assert (first.status, first.body) == (200, {"success": [by_instance], "failed": []})
    assert (second.status, second.body) == (200, {"success": [by_source], "failed": []})
    assert (await platform.contribute(by_instance)).status == 200
    assert (await platform.contribute(by_source)).status == 200


async def test_v2_opt_out(platform: Platform) -> None:
    """`opt_in: false` takes the opt-in back."""
    jackpot = await platform.jackpot(rules=REQUIRED)
    (await platform.opt_in_v2("instance", jackpot)).successful()
    answer = await platform.opt_in_v2("instance", jackpot, opt_in=False)

    assert answer.body == {"success": [jackpot], "failed": []}
    assert (await platform.contribute(jackpot)).refusal[2] == "PlayerNotOptedIn"


async def test_v2_opt_in_accepts_owner_id_as_the_alias(platform: Platform) -> None:
    """`owner_id` is accepted for `operator_id`, as in contributions."""
    jackpot = await platform.jackpot(rules=REQUIRED)
    body = {
        "target": {"type": "instance", "id": jackpot},
        "owner_id": platform.operator,
        "player": {"id": platform.player, "country": "MT", "brand_id": "brand1"},
        "opt_in": True,
    }
    answer = await platform.gateway.post("/v2/jackpots/optin", body)

    assert answer.body == {"success": [jackpot], "failed": []}


@pytest.mark.parametrize("opt_linked", [None, False])
async def test_v2_opt_in_leaves_links_alone_by_default(
    platform: Platform, opt_linked: bool | None
) -> None:
    """Without `opt_linked` the linked jackpots stay as they were."""
    linked = await platform.jackpot(rules=REQUIRED)
    jackpot = await platform.jackpot(rules=REQUIRED, linked=linked)
    answer = await platform.opt_in_v2("instance", jackpot, opt_linked=opt_linked)

    assert answer.body == {"success": [jackpot], "failed": []}
    assert (await platform.contribute(linked)).refusal[2] == "PlayerNotOptedIn"


async def test_v2_opt_linked_covers_the_links_in_and_out(platform: Platform) -> None:
    """`opt_linked` opts into, and out of, the target and all its links."""
    first, second = [await platform.jackpot(rules=REQUIRED) for _ in range(2)]
    jackpot = await platform.jackpot(rules=REQUIRED)
    await platform.link(jackpot, first, second)
    opted_in = await platform.opt_in_v2("instance", jackpot, opt_linked=True)
    contributed = await platform.contribute_v2("instance", jackpot)
    opted_out = await platform.opt_in_v2("instance", jackpot, opt_linked=True, opt_in=False)

    assert opted_in.body["failed"] == []
    assert sorted(opted_in.body["success"]) == sorted([jackpot, first, second])
    assert [r.get("instance_id") for r in contributed.body] == [jackpot, first, second]
    assert sorted(opted_out.body["success"]) == sorted([jackpot, first, second])
    for instance_id in (jackpot, first, second):
        assert (await platform.contribute(instance_id)).refusal[2] == "PlayerNotOptedIn"


async def test_v2_linked_refusal_stands_in_failed(platform: Platform) -> None:
    """A link that refuses stands in `failed` and does not stop the others."""
    ended = await platform.jackpot(rules=REQUIRED)
    (await platform.set_status(ended, "Terminated")).successful()
    opened = await platform.jackpot(rules=REQUIRED)
    jackpot = await platform.jackpot(rules=REQUIRED)
    await platform.link(jackpot, ended, opened)
    answer = await platform.opt_in_v2("instance", jackpot, opt_linked=True)

    assert answer.status == 200
    assert sorted(answer.body["success"]) == sorted([jackpot, opened])
    (failed,) = answer.body["failed"]
    assert set(failed) == {"instance_id", "status_code", "code", "message"}
    assert (failed["instance_id"], failed["status_code"]) == (ended, 400)
    assert failed["code"] == "OPTIN_ERROR"


async def test_v2_refusal_of_the_target_stands_in_failed(platform: Platform) -> None:
    """The target's own refusal is 200 with the reason in `failed`."""
    jackpot = await platform.jackpot(rules=REQUIRED, status="Pending")
    answer = await platform.opt_in_v2("instance", jackpot)

    assert answer.status == 200
    assert answer.body["success"] == []
    (failed,) = answer.body["failed"]
    assert (failed["instance_id"], failed["status_code"]) == (jackpot, 400)
    assert failed["code"] == "OPTIN_ERROR"


async def test_v2_target_that_does_not_exist_is_an_http_error(platform: Platform) -> None:
    """An unknown instance or source is 404, as for contributions."""
    source = platform.unique("no-such-source")
    by_instance = await platform.opt_in_v2("instance", NOWHERE)
    by_source = await platform.opt_in_v2("source", source)
    unmapped = await platform.opt_in_v2("source", await platform.source())

    assert by_instance.refusal[:2] == (404, "JACKPOT_NOT_FOUND")
    assert by_source.refusal == (404, "GAME_NOT_FOUND", source)
    assert unmapped.refusal[:2] == (404, "SOURCE_JACKPOT_NOT_FOUND")


async def test_v1_unknown_instance_is_404(platform: Platform) -> None:
    """The v1 call answers the error itself."""
    assert (await platform.opt_in(NOWHERE)).refusal[:2] == (404, "JACKPOT_NOT_FOUND")


async def test_v1_brand_that_is_not_allowed_is_403(platform: Platform) -> None:
    """A jackpot of another brand cannot be opted into."""
    jackpot = await platform.jackpot(rules=REQUIRED, allowed_brands=[platform.other_brand])

    assert (await platform.opt_in(jackpot)).refusal[:2] == (403, "UNSUPPORTED_BRAND")


@pytest.mark.parametrize("status", ["Pending", "Terminated"])
async def test_opt_in_needs_a_running_jackpot(platform: Platform, status: str) -> None:
    """Pending and Terminated refuse opt-ins and opt-outs."""
    jackpot = await platform.jackpot(
        rules=REQUIRED, status="Pending" if status == "Pending" else "Active"
    )
    if status == "Terminated":
        (await platform.set_status(jackpot, "Terminated")).successful()

    assert (await platform.opt_in(jackpot)).refusal[:2] == (400, "OPTIN_ERROR")
    assert (await platform.opt_in(jackpot, opt_in=False)).refusal[:2] == (400, "OPTIN_ERROR")


async def test_opt_in_needs_a_jackpot_that_has_not_ended(platform: Platform) -> None:
    """Ended refuses opt-ins too."""
    jackpot = await platform.jackpot(pots=[platform.pot(odds=1, max_instantiation_count=1)])
    (await platform.contribute(jackpot)).successful()
    assert (await platform.instance(jackpot))["status"] == "Ended"

    assert (await platform.opt_in(jackpot)).refusal[:2] == (400, "OPTIN_ERROR")


async def test_opt_in_is_allowed_while_paused(platform: Platform) -> None:
    """A paused jackpot takes opt-ins, and they count once it is Active again."""
    jackpot = await platform.jackpot(rules=REQUIRED)
    (await platform.set_status(jackpot, "Paused")).successful()
    (await platform.opt_in(jackpot)).successful()
    (await platform.set_status(jackpot, "Active")).successful()

    assert (await platform.contribute(jackpot)).status == 200


@pytest.mark.parametrize("value", ["0.3", 0.3, "0.30", 0.30000000000000004])
async def test_v1_preference_is_what_the_player_contributes(
    platform: Platform, value: str | float
) -> None:
    """`contribution_value`, a string or a number, replaces the default of a Variable jackpot."""
    jackpot = await variable_jackpot(platform)
    (await platform.opt_in(jackpot, contribution_value=value)).successful()

    assert await amount(platform, jackpot) == Decimal("0.3")


async def test_default_is_contributed_without_a_preference(platform: Platform) -> None:
    """A player without a preference contributes the default."""
    jackpot = await variable_jackpot(platform)
    (await platform.opt_in(jackpot)).successful()

    assert await amount(platform, jackpot) == Decimal("0.1")


async def test_later_preference_replaces_the_earlier_one(platform: Platform) -> None:
    """Opting in again with another value changes what is contributed."""
    jackpot = await variable_jackpot(platform)
    (await platform.opt_in(jackpot, contribution_value="0.3")).successful()
    (await platform.opt_in(jackpot, contribution_value="4")).successful()

    assert await amount(platform, jackpot) == 4


async def test_v2_preference_is_not_applied_to_links(platform: Platform) -> None:
    """The target takes the preferred value, a linked jackpot its default."""
    linked = await variable_jackpot(platform)
    jackpot = await variable_jackpot(platform)
    await platform.link(jackpot, linked)
    answer = await platform.opt_in_v2(
        "instance", jackpot, opt_linked=True, contribution_preference={"value": 0.5}
    )
    contributed = await platform.contribute_v2("instance", jackpot)

    assert answer.body["failed"] == []
    amounts = [result["contribution_amount"] for result in contributed.body]
    assert amounts == [Decimal("0.5"), Decimal("0.1")]


async def test_preference_is_in_the_jackpots_currency_by_default(
    platform: Platform, lab: Lab
) -> None:
    """Without a currency 0.5 is 0.5 EUR: a player in USD at 2 contributes 1 USD."""
    jackpot = await platform.jackpot(
        owner_id=lab.operator, allowed_brands=[lab.one], rules={"contribution_type": VARIABLE}
    )
    caller = platform.gateway.with_token(lab.service)
    opt_in = {
        "instance_id": jackpot,
        "player_id": platform.player,
        "brand_id": lab.one,
        "player_country": "MT",
        "opt_in": True,
        "contribution_value": "0.5",
    }
    (await caller.post("/jackpots/optin", opt_in)).successful()
    body = platform.v1(instance_id=jackpot, brand_id=lab.one, currency="USD")
    answer = (await caller.post("/jackpots/contribute/instance", body)).successful()

    assert answer.body["contribution_currency"] == "USD"
    assert answer.body["contribution_amount"] == 1


@pytest.mark.parametrize("value", ["0.09", 5.01, "-1", 0])
async def test_preference_outside_the_range_is_refused(
    platform: Platform, value: str | float
) -> None:
    """A value below the minimum or above the maximum is `OPTIN_ERROR`, and nothing changes."""
    jackpot = await variable_jackpot(platform)
    v1 = await platform.opt_in(jackpot, contribution_value=value)
    v2 = await platform.opt_in_v2("instance", jackpot, contribution_preference={"value": value})

    assert v1.refusal[:2] == (400, "OPTIN_ERROR")
    assert v2.status == 200
    assert [f["code"] for f in v2.body["failed"]] == ["OPTIN_ERROR"]
    assert (await platform.contribute(jackpot)).refusal[2] == "PlayerNotOptedIn"


@pytest.mark.parametrize("value", ["0.1", 5])
async def test_preference_at_the_edge_of_the_range_is_accepted(
    platform: Platform, value: str | float
) -> None:
    """Minimum and maximum themselves are in the range."""
    jackpot = await variable_jackpot(platform)
    (await platform.opt_in(jackpot, contribution_value=value)).successful()

    assert await amount(platform, jackpot) == Decimal(str(value))


@pytest.mark.parametrize("kind", [{"Fixed": 0.1}, {"Percentage": 0.0775}], ids=str)
async def test_preference_on_a_jackpot_that_is_not_variable_is_refused(
    platform: Platform, kind: Json
) -> None:
    """A preferred value makes sense on a Variable jackpot only."""
    jackpot = await platform.jackpot(rules={"contribution_type": kind, "opt_in_required": True})
    answer = await platform.opt_in(jackpot, contribution_value="0.1")

    assert answer.refusal[:2] == (400, "OPTIN_ERROR")
    assert (await platform.contribute(jackpot)).refusal[2] == "PlayerNotOptedIn"


@pytest.mark.parametrize("field", ["instance_id", "player_id", "brand_id", "opt_in"])
async def test_v1_missing_field_is_named(platform: Platform, field: str) -> None:
    """A required field that is missing is named in the message."""
    body: Json = {
        "instance_id": await platform.jackpot(),
        "player_id": platform.player,
        "brand_id": platform.brand,
        "player_country": "MT",
        "opt_in": True,
    }
    del body[field]
    status, code, message = (await platform.gateway.post("/jackpots/optin", body)).refusal

    assert (status, code) == (400, "INVALID_REQUEST")
    assert field in message


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"opt_in": "yes"}, "opt_in"),
        ({"opt_in": None}, "opt_in"),
        ({"opt_linked": "yes"}, "opt_linked"),
        ({"target": {"type": "game", "id": "x"}}, "type"),
        ({"target": None}, "target"),
        ({"player": {"id": "p", "country": "MT"}}, "brand_id"),
        ({"contribution_preference": {"value": "much"}}, "value"),
        ({"contribution_preference": 5}, "contribution_preference"),
    ],
)
async def test_v2_malformed_field_is_named(platform: Platform, change: Json, name: str) -> None:
    """A field of the wrong kind is named in the message."""
    jackpot = await platform.jackpot(rules=REQUIRED)
    body: Json = {
        "target": {"type": "instance", "id": jackpot},
        "operator_id": platform.operator,
        "player": {"id": platform.player, "country": "MT", "brand_id": "brand1"},
        "opt_in": True,
    }
    answer = await platform.gateway.post("/v2/jackpots/optin", body | change)

    status, code, message = answer.refusal
    assert (status, code) == (400, "INVALID_REQUEST")
    assert name in message


async def test_status_of_an_opt_in_can_be_read(platform: Platform) -> None:
    """The instance behind a source shows the player's opt-in, with the documented fields."""
    jackpot = await variable_jackpot(platform)
    source = await platform.source(jackpot)
    (await platform.opt_in(jackpot, contribution_value="0.5")).successful()
    for _ in range(2):
        (await platform.contribute(jackpot)).successful()
    path = f"/jackpots/instances/source/{source}/brand/{platform.brand}"
    status = (await platform.gateway.get(path, {"player_id": platform.player})).body["optin_status"]

    documented = {
        "doc_version",
        "instance_id",
        "player_id",
        "ext_player_id",
        "player_brand_id",
        "preferred_contribution_value",
        "preferred_contribution_currency",
        "contribution_preferences",
        "contribution_count",
        "contribution_value",
        "pot_contributions",
        "opted_in",
        "last_updated",
    }
    assert documented <= set(status)
    assert status["doc_version"] == "V1"
    assert status["instance_id"] == jackpot
    assert status["player_id"] == platform.player
    assert status["ext_player_id"] == platform.player
    assert status["player_brand_id"] == platform.brand
    assert status["opted_in"] is True
    assert status["preferred_contribution_value"] == Decimal("0.5")
    assert status["preferred_contribution_currency"] == "EUR"
    assert {k: Decimal(v) for k, v in status["contribution_preferences"].items()} == {
        "EUR": Decimal("0.5")
    }
    assert all(isinstance(v, str) for v in status["contribution_preferences"].values())
    assert status["contribution_count"] == 2
    assert status["contribution_value"] == 1
    assert set(status["pot_contributions"]) == {"main"}
    assert status["pot_contributions"]["main"]["contribution_count"] == 2
    assert isinstance(status["last_updated"], int)


async def test_status_of_an_opt_out_can_be_read(platform: Platform) -> None:
    """After an opt-out the record stays, with `opted_in` false."""
    jackpot = await platform.jackpot(rules=REQUIRED)
    source = await platform.source(jackpot)
    (await platform.opt_in(jackpot)).successful()
    (await platform.opt_in(jackpot, opt_in=False)).successful()
    path = f"/jackpots/instances/source/{source}/brand/{platform.brand}"
    instance = (await platform.gateway.get(path, {"player_id": platform.player})).body

    assert instance["opt_in_required"] is True
    assert instance["optin_status"]["opted_in"] is False
