"""The samples of the documents, sent as they stand there, and the answers that stand below them."""

from __future__ import annotations

import json
import re
import time
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Platform

SITEWIDE = "bdfa6295-d5a5-4c54-98bf-046355ce0252"
DAILY_DROP = "3c90cb1e-a594-437e-a695-e76acb0e6809"
DAILY = "0a1cfeea-5b07-4f2b-b2f1-2e4cd2aa991d"
DEPOSIT = "8dcc9f5a-f1c5-466f-83e9-928277d8bfb7"
RESULT_FIELDS = {
    "instance_id",
    "timestamp",
    "gameround_id",
    "win_amount",
    "win_pot_id",
    "tickets_awarded",
    "win_withheld",
    "contribution_currency",
    "contribution_amount",
    "metadata",
}

V2_REQUEST = """
{
    // Contribution target
    "target": {
        // Contribution target type, can be either "source" or "instance"
        "type": "source",
        // Contribution target identifier
        // eg. "sitewide-casino" in case of source contribution
        "id": "sitewide-casino"
    },
    // Jackpot instance owner identifier (operator id)
    "owner_id": "thrilltech",
    // Details of the contributing player
    "player": {
        // Player identifier
        "id": "player_00001",
        // Player authentication token
        "token": "token_00001",
        // Player country
        "country": "UK",
        // Player brand identifier
        "brand_id": "brand1",
        // Any segments that the player might be part of
        "segments": ["vip-1", "regular"],
    },
    // Base game wager
    "base_wager": {
        // Base wager currency
        "currency": "EUR",
        // Base wager value
        "value": 1
    },
    // The contribution source that caused the contribution to happen.
    "source": {
        // Type of the contribution source. Defaults to `gameround`
        "type": "gameround",
        // Identifier of the contribution source
        "id": "gameround_id_1"
    },
    // Opaque data object that contains pass-through data for the caller.
    "metadata": {},
    // Attached to any resulting events. ( win events at that stage )
    "event_metadata": {},
    // Optional contribution request parameters. Each field in this field is optional as well.
    "options": {
        // Optional identifier of the vertical from which the contribution request originated
        "vertical_id": "slots",
        // Optional boolean specifying whether linked jackpots should be honored
        "allow_linked_contributions": true,
        // If you would like ThrillPots to not process duplicate contributions
        "idempotency_key": "random_uuid_value",
        // Specify the webhook to call and which results you are interested in receiving
        "callback": {
            "web_hook": "https://your.host/webhook",
            "win_result_only": false
        }
    },
}
"""

V1_SITEWIDE = """
{
"token": "token_00001",
"brand_id": "thrilltech:brand1",
"player_id": "player_00001",
"player_country": "UK",
"source_id": "sitewide-casino",
"gameround_id": "1",
"currency": "EUR",
"base_wager": 1
}
"""

V1_DEPOSIT = """
{
"token": "token_00001",
"brand_id": "thrilltech:brand1",
"player_id": "player_00001",
"player_country": "UK",
"source_id": "deposit",
"gameround_id": "DEPOSIT_TX_ID",
"currency": "EUR",
"base_wager": 1
}
"""

V1_DIRECT = """
{
"instance_id": "0a1cfeea-5b07-4f2b-b2f1-2e4cd2aa991d",
"token": "token_00001",
"brand_id": "thrilltech:brand1",
"player_id": "player_00001",
"player_country": "MT",
"gameround_id": "1000",
"base_wager": 2,
"currency": "EUR"
}
"""


def sample(text: str) -> Json:
    """The JSON of a documented sample: comments and trailing commas taken out."""
    bare = re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)
    loaded: Json = json.loads(re.sub(r",(\s*[}\]])", r"\1", bare))
    return loaded


def synchronous_sample() -> Json:
    """The v2 sample without its callback, under a key of its own."""
    body = sample(V2_REQUEST)
    del body["options"]["callback"]
    body["options"]["idempotency_key"] = str(uuid.uuid4())
    return body


def assert_documented_result(
    result: Any, instance_id: str, amount: str, tickets: int | None = None
) -> None:
    """A result has the documented fields and types; the demo's pots may be won by chance."""
    assert set(result) == RESULT_FIELDS
    assert result["instance_id"] == instance_id
    assert result["contribution_currency"] == "EUR"
    assert result["contribution_amount"] == Decimal(amount)
    assert abs(result["timestamp"] - time.time() * 1000) < 60_000
    assert isinstance(result["timestamp"], int)
    assert str(uuid.UUID(result["gameround_id"])) == result["gameround_id"]
    assert result["win_withheld"] is False
    assert result["tickets_awarded"] == tickets
    assert (result["win_amount"] == 0) == (result["win_pot_id"] is None)


async def test_v2_sample_contributes_to_the_target_and_its_link(platform: Platform) -> None:
    """The v2 sample, sent synchronously, answers Sitewide with 0.0775, then Daily drop with 0.1."""
    answer = await platform.gateway.post("/v2/jackpots/contribute", synchronous_sample())

    assert answer.status == 200
    target, linked = answer.body
    assert_documented_result(target, SITEWIDE, "0.0775")
    assert_documented_result(linked, DAILY_DROP, "0.1")
    assert target["gameround_id"] != linked["gameround_id"]
    assert target["metadata"] == {}
    assert linked["metadata"] == {}


async def test_v2_sample_with_operator_id_is_the_same_call(platform: Platform) -> None:
    """`operator_id` is the field's name and `owner_id` its alias."""
    body = synchronous_sample()
    body["operator_id"] = body.pop("owner_id")
    answer = await platform.gateway.post("/v2/jackpots/contribute", body)

    assert answer.status == 200
    assert [r["instance_id"] for r in answer.body] == [SITEWIDE, DAILY_DROP]


async def test_v2_sample_on_the_instance_is_the_same_contribution(platform: Platform) -> None:
    """`"type": "instance"` with the id of the comment reaches the same jackpots."""
    body = synchronous_sample()
    body["target"] = {"type": "instance", "id": SITEWIDE}
    answer = await platform.gateway.post("/v2/jackpots/contribute", body)

    assert answer.status == 200
    target, linked = answer.body
    assert_documented_result(target, SITEWIDE, "0.0775")
    assert_documented_result(linked, DAILY_DROP, "0.1")


async def test_v2_sample_without_optional_fields_is_accepted(platform: Platform) -> None:
    """Options and metadata may be left out; metadata is null then, as in the documented answer."""
    body = synchronous_sample()
    for optional in ("options", "metadata", "event_metadata"):
        del body[optional]
    answer = await platform.gateway.post("/v2/jackpots/contribute", body)

    assert answer.status == 200
    assert [r["metadata"] for r in answer.body] == [None, None]


@pytest.mark.parametrize(
    "option", ["vertical_id", "allow_linked_contributions", "idempotency_key", "callback"]
)
async def test_v2_option_may_be_null(platform: Platform, option: str) -> None:
    """Each option is optional, and null is the same as leaving it out."""
    body = synchronous_sample()
    body["options"][option] = None
    answer = await platform.gateway.post("/v2/jackpots/contribute", body)

    assert answer.status == 200
    assert len(answer.body) == 2


async def test_v2_sample_shows_money_as_the_document_prints_it(platform: Platform) -> None:
    """The raw JSON carries `0.0775` and `0.1`, with no binary noise behind them."""
    answer = await platform.gateway.post("/v2/jackpots/contribute", synchronous_sample())

    amounts = re.findall(r'"contribution_amount"\s*:\s*([^,}\s]+)', answer.text)
    assert amounts == ["0.0775", "0.1"]


async def test_v2_sample_with_its_callback_is_refused_for_now(platform: Platform) -> None:
    """No webhook target is on the allow-list yet: the sample as it stands names the callback."""
    body = sample(V2_REQUEST)
    body["options"]["idempotency_key"] = str(uuid.uuid4())
    status, code, message = (await platform.gateway.post("/v2/jackpots/contribute", body)).refusal

    assert (status, code) == (400, "INVALID_REQUEST")
    assert "callback" in message


async def test_v2_callback_that_is_refused_contributes_nothing(platform: Platform) -> None:
    """The refused callback leaves the pot alone and takes no key."""
    jackpot = await platform.jackpot()
    callback = {"web_hook": "https://your.host/webhook", "win_result_only": False}
    options: Json = {"idempotency_key": platform.unique("key"), "callback": callback}
    refused = await platform.contribute_v2("instance", jackpot, options=options)
    assert refused.status == 400
    assert await platform.main_pot(jackpot) == 10
    del options["callback"]
    answer = await platform.contribute_v2("instance", jackpot, options=options)

    assert answer.status == 200


async def test_v2_linked_refusal_stands_in_the_array(platform: Platform) -> None:
    """The second documented answer: the target's result, then the linked jackpot's error."""
    linked = await platform.jackpot(rules={"opt_in_required": True})
    jackpot = await platform.jackpot(rules={"contribution_type": {"Percentage": 0.0775}})
    await platform.link(jackpot, linked)
    answer = await platform.contribute_v2("instance", jackpot)

    assert answer.status == 200
    result, error = answer.body
    assert_documented_result(result, jackpot, "0.0775")
    assert error == {
        "status_code": 400,
        "code": "CONTRIBUTION_REJECTED",
        "message": "PlayerNotOptedIn",
    }


async def test_v1_source_sample_answers_one_object(platform: Platform) -> None:
    """v1 by source answers the one result, without the links of the target."""
    answer = await platform.gateway.post("/jackpots/contribute/source", sample(V1_SITEWIDE))

    assert answer.status == 200
    assert_documented_result(answer.body, SITEWIDE, "0.0775")
    assert answer.body["metadata"] is None


async def test_v1_deposit_sample_needs_the_opt_in(platform: Platform) -> None:
    """The deposit sample is refused until its player has opted in, then contributes 0.10."""
    body = sample(V1_DEPOSIT)
    opt_in = {"player_id": body["player_id"], "player_country": "UK"}
    (await platform.opt_in(DEPOSIT, opt_in=False, **opt_in)).successful()
    refused = await platform.gateway.post("/jackpots/contribute/source", body)
    assert refused.refusal == (400, "CONTRIBUTION_REJECTED", "PlayerNotOptedIn")
    (await platform.opt_in(DEPOSIT, **opt_in)).successful()
    answer = await platform.gateway.post("/jackpots/contribute/source", body)

    assert answer.status == 200
    assert_documented_result(answer.body, DEPOSIT, "0.1")


@pytest.mark.parametrize("path", ["/jackpots/contribute/instance", "/jackpots/contribute"])
async def test_v1_direct_sample_answers_one_object(platform: Platform, path: str) -> None:
    """v1 direct, on its path and on the alias, contributes to the one instance: a raffle, and a ticket for the 2.00."""
    answer = await platform.gateway.post(path, sample(V1_DIRECT))

    assert answer.status == 200
    assert_documented_result(answer.body, DAILY, "0.1", tickets=1)


@pytest.mark.parametrize(
    "source_id", ["casino-sitewide", "egyptian-games", "provider-game-code", "sitewide-casino2"]
)
async def test_v1_sample_of_a_source_that_the_demo_lacks(
    platform: Platform, source_id: str
) -> None:
    """The guide's other sources do not exist here: `GAME_NOT_FOUND` with the source's id."""
    body = sample(V1_SITEWIDE) | {"source_id": source_id}
    answer = await platform.gateway.post("/jackpots/contribute/source", body)

    assert answer.refusal == (404, "GAME_NOT_FOUND", source_id)


@pytest.mark.parametrize(
    "metadata",
    [
        {"value1": "some value", "value2": 1234},
        "This is an arbitrary string value",
        None,
        [],
        [1, "two", None, {"three": [True]}],
        0,
        1.25,
        False,
        {"nested": {"unicode": "ż 🎰", "null": None}},
    ],
)
async def test_metadata_of_any_json_comes_back(platform: Platform, metadata: object) -> None:
    """`metadata` is any JSON value and comes back unchanged, in v1 and in v2."""
    body = sample(V1_SITEWIDE) | {"metadata": metadata}
    v1 = await platform.gateway.post("/jackpots/contribute/source", body)
    v2 = await platform.gateway.post(
        "/v2/jackpots/contribute", synchronous_sample() | {"metadata": metadata}
    )

    assert json.loads(v1.text)["metadata"] == metadata
    assert [result["metadata"] for result in json.loads(v2.text)] == [metadata, metadata]


@pytest.mark.parametrize("target", ["source_id", "instance_id"])
async def test_v1_sample_with_a_callback_is_refused_for_now(
    platform: Platform, target: str
) -> None:
    """The guide's asynchronous sample names a webhook that is not on the allow-list."""
    text, path = {
        "source_id": (V1_SITEWIDE, "/jackpots/contribute/source"),
        "instance_id": (V1_DIRECT, "/jackpots/contribute/instance"),
    }[target]
    callback = {"web_hook": "https://your.host/webhook", "win_result_only": False}
    answer = await platform.gateway.post(path, sample(text) | {"callback": callback})

    status, code, message = answer.refusal
    assert (status, code) == (400, "INVALID_REQUEST")
    assert "callback" in message


async def test_gameround_is_the_platforms_own(platform: Platform) -> None:
    """Two contributions of one caller's round get two rounds of the platform's own."""
    first = await platform.gateway.post("/jackpots/contribute/source", sample(V1_SITEWIDE))
    second = await platform.gateway.post("/jackpots/contribute/source", sample(V1_SITEWIDE))

    assert first.body["gameround_id"] != "1"
    assert first.body["gameround_id"] != second.body["gameround_id"]


async def test_optional_v1_fields_may_be_missing(platform: Platform) -> None:
    """`gameround_id` is optional, and the other optional fields may be null."""
    body = sample(V1_SITEWIDE)
    del body["gameround_id"]
    nulls = dict.fromkeys(
        ["segments", "callback", "idempotency_key", "metadata", "event_metadata", "gameround_id"]
    )
    missing = await platform.gateway.post("/jackpots/contribute/source", body)
    null = await platform.gateway.post("/jackpots/contribute/source", body | nulls)

    assert missing.status == 200
    assert null.status == 200
