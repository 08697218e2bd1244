"""What a key stands for: which requests are repeats and which are others (contract §3)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Answer, Json, Platform

GROWN_ONCE = "10.035"


def assert_replayed(original: Answer, repeat: Answer) -> None:
    """The repeat is an empty 204 with the original's trace and date."""
    assert repeat.status == 204, repeat.text
    assert repeat.text == ""
    assert repeat.headers["X-Trace-Id"] == original.headers["X-Trace-Id"]
    assert repeat.headers["Date"] == original.headers["Date"]
    assert repeat.headers["Idempotency-Replayed"] == "true"


V1_DIFFERENCES: list[Json] = [
    {"player_id": "somebody-else"},
    {"brand_id": "thrilltech:brand2"},
    {"base_wager": 2},
    {"currency": "USD"},
    {"gameround_id": "1001"},
    {"gameround_id": None},
]


@pytest.mark.parametrize("difference", V1_DIFFERENCES, ids=str)
async def test_v1_key_with_another_request_is_422(platform: Platform, difference: Json) -> None:
    """Another player, brand, wager or round under a used key is refused and contributes nothing."""
    jackpot = await platform.jackpot()
    body = platform.v1(instance_id=jackpot, idempotency_key=platform.unique("key"))
    path = "/jackpots/contribute/instance"
    (await platform.gateway.post(path, body)).successful()
    answer = await platform.gateway.post(path, body | difference)

    assert answer.refusal[:2] == (422, "IDEMPOTENCY_KEY_REUSED")
    assert str(await platform.main_pot(jackpot)) == GROWN_ONCE


V2_DIFFERENCES: list[Json] = [
    {"base_wager": {"currency": "EUR", "value": 2}},
    {"base_wager": {"currency": "USD", "value": 1}},
    {"source": {"type": "gameround", "id": "1001"}},
    {"source": {"type": "deposit", "id": "1000"}},
]


@pytest.mark.parametrize("difference", V2_DIFFERENCES, ids=str)
async def test_v2_key_with_another_request_is_422(platform: Platform, difference: Json) -> None:
    """Another wager or source under a used key is refused and contributes nothing."""
    jackpot = await platform.jackpot()
    body = platform.v2("instance", jackpot, options={"idempotency_key": platform.unique("key")})
    (await platform.gateway.post("/v2/jackpots/contribute", body)).successful()
    answer = await platform.gateway.post("/v2/jackpots/contribute", body | difference)

    assert answer.refusal[:2] == (422, "IDEMPOTENCY_KEY_REUSED")
    assert str(await platform.main_pot(jackpot)) == GROWN_ONCE


@pytest.mark.parametrize("player", [{"id": "somebody-else"}, {"brand_id": "brand2"}], ids=str)
async def test_v2_key_with_another_player_is_422(platform: Platform, player: Json) -> None:
    """Another player or brand under a used key is refused."""
    jackpot = await platform.jackpot()
    options = {"idempotency_key": platform.unique("key")}
    (await platform.contribute_v2("instance", jackpot, options=options)).successful()
    answer = await platform.contribute_v2("instance", jackpot, options=options, player=player)

    assert answer.refusal[:2] == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_key_with_the_other_link_option_is_422(platform: Platform) -> None:
    """The link option belongs to what a key stands for."""
    jackpot = await platform.jackpot(linked=await platform.jackpot())
    options: Json = {"idempotency_key": platform.unique("key")}
    (await platform.contribute_v2("instance", jackpot, options=options)).successful()
    options |= {"allow_linked_contributions": False}
    answer = await platform.contribute_v2("instance", jackpot, options=options)

    assert answer.refusal[:2] == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_key_with_another_target_is_422(platform: Platform) -> None:
    """Another instance, and the source of the same instance, are other targets."""
    jackpot, other = await platform.jackpot(), await platform.jackpot()
    source = await platform.source(jackpot)
    key = platform.unique("key")
    (await platform.contribute(jackpot, idempotency_key=key)).successful()
    answers = [
        await platform.contribute(other, idempotency_key=key),
        await platform.contribute_by_source(source, idempotency_key=key),
    ]

    for answer in answers:
        assert answer.refusal[:2] == (422, "IDEMPOTENCY_KEY_REUSED")
    assert await platform.main_pot(other) == 10
    assert str(await platform.main_pot(jackpot)) == GROWN_ONCE


V1_TOLERATED: list[Json] = [
    {"token": "token_00002"},
    {"metadata": {"attempt": 2}},
    {"event_metadata": {"attempt": 2}},
    {"segments": ["vip-1"]},
    {"base_wager": 1.0},
    {"base_wager": "1"},
    {"base_wager": "1.000"},
    {"an_extra_field": 2},
]


@pytest.mark.parametrize("difference", V1_TOLERATED, ids=str)
async def test_repeat_may_differ_in_what_does_not_matter(
    platform: Platform, difference: Json
) -> None:
    """Tokens, segments, metadata and the way a number is written may differ in a repeat."""
    jackpot = await platform.jackpot()
    source = await platform.source(jackpot)
    body = platform.v1(source_id=source, idempotency_key=platform.unique("key"))
    path = "/jackpots/contribute/source"
    original = await platform.gateway.post(path, body)
    repeat = await platform.gateway.post(path, body | difference)

    assert original.status == 200
    assert_replayed(original, repeat)
    assert str(await platform.main_pot(jackpot)) == GROWN_ONCE


async def test_repeat_may_differ_in_white_space_and_order(platform: Platform) -> None:
    """The same JSON in another order and spacing is the same request."""
    jackpot = await platform.jackpot()
    body = platform.v1(instance_id=jackpot, idempotency_key=platform.unique("key"))
    path = "/jackpots/contribute/instance"
    original = await platform.gateway.post(path, body)
    shuffled = json.dumps(dict(reversed(body.items())), indent=4).encode()
    repeat = await platform.gateway.send(
        "POST", path, raw=shuffled, headers={"Content-Type": "application/json"}
    )

    assert_replayed(original, repeat)


async def test_v1_alias_shares_the_key(platform: Platform) -> None:
    """Both paths of the direct v1 call are the same call."""
    jackpot = await platform.jackpot()
    body = platform.v1(instance_id=jackpot, idempotency_key=platform.unique("key"))
    original = await platform.gateway.post("/jackpots/contribute", body)
    repeat = await platform.gateway.post("/jackpots/contribute/instance", body)

    assert original.status == 200
    assert_replayed(original, repeat)


@pytest.mark.parametrize("key", ["k", "k" * 255, "é" * 127 + "k", " ", "../\\\"'\u0000", "🎰" * 63])
async def test_key_of_1_to_255_bytes_is_kept(platform: Platform, key: str) -> None:
    """Any text of up to 255 bytes of UTF-8 is a key."""
    jackpot = await platform.jackpot()
    body = platform.v1(instance_id=jackpot, idempotency_key=key)
    path = "/jackpots/contribute/instance"
    original = await platform.gateway.post(path, body)
    repeat = await platform.gateway.post(path, body)

    assert original.status == 200
    assert_replayed(original, repeat)


@pytest.mark.parametrize("key", ["", "k" * 256, "é" * 128, 5, True, [], {}], ids=repr)
async def test_key_of_other_length_or_type_is_refused(platform: Platform, key: object) -> None:
    """No bytes, more than 255, or no text at all: the message names the key."""
    jackpot = await platform.jackpot()
    v1 = await platform.contribute(jackpot, idempotency_key=key)
    v2 = await platform.contribute_v2("instance", jackpot, options={"idempotency_key": key})

    for answer in (v1, v2):
        status, code, message = answer.refusal
        assert (status, code) == (400, "INVALID_REQUEST")
        assert "idempotency_key" in message
    assert await platform.main_pot(jackpot) == 10
