"""Webhooks of operators on the admin listener: where results may be sent, and the secrets that sign them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import structlog

from jackpotd.wire.catalog_records import Change, Webhooks, decode
from tests.admin.ward import Ward
from tests.admin.webhook_desk import ENTITIES, LETTERS, TARGET, WEBHOOKS, desk


def secret_of(byte: int, length: int = 32) -> str:
    return "whsec_" + base64.b64encode(bytes([byte]) * length).decode()


async def test_targets_and_secrets_are_set_and_shown() -> None:
    """All at once, as sent; they are there in the next life, too."""
    ward, body = Ward(ENTITIES), {"allow": [TARGET], "secrets": [secret_of(1), secret_of(2)]}
    async with desk(ward) as admin:
        before = await admin.get()
        changed = await admin.put(body)
        shown = await admin.get()
    async with desk(ward) as admin:
        later = await admin.get()

    assert {"operator_id": "op", "allow": [], "secrets": []} == before.body
    assert (200, {"operator_id": "op", **body}) == (changed.status, changed.body)
    assert changed.body == shown.body == later.body


@pytest.mark.parametrize("sent", [{}, {"secrets": []}, {"secrets": None}])
async def test_secret_is_made_where_none_was_sent_and_none_is_set(sent: dict[str, object]) -> None:
    """One that nobody could guess, of a size that the standard allows; each operator has another one."""
    async with desk() as admin:
        (made,) = (await admin.put({"allow": [TARGET], **sent})).body["secrets"]
        elsewhere = "/config/operators/other/webhooks"
        others = await admin.call("platform", "PUT", elsewhere, {"allow": []})

    assert made.startswith("whsec_")
    assert 24 <= len(base64.b64decode(made.removeprefix("whsec_"), validate=True)) <= 64
    assert [made] != others.body["secrets"]


async def test_secrets_that_are_left_out_stay_and_an_empty_list_makes_a_fresh_one() -> None:
    """A change of targets must not change what receivers verify with; a secret that leaked is replaced at once."""
    async with desk() as admin:
        await admin.put({"allow": [TARGET], "secrets": [secret_of(1)]})
        kept = await admin.put({"allow": []})
        fresh = await admin.put({"allow": [], "secrets": []})

    assert [secret_of(1)] == kept.body["secrets"]
    assert 1 == len(fresh.body["secrets"])
    assert secret_of(1) not in fresh.text


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$.allow"),
        ({"allow": TARGET}, "$.allow"),
        ({"allow": [TARGET, "ftp://hooks.example/"]}, "$.allow[1]"),
        ({"allow": ["https://user:word@hooks.example/"]}, "$.allow[0]"),
        ({"allow": ["https://"]}, "$.allow[0]"),
        ({"allow": ["hooks.example/results"]}, "$.allow[0]"),
        ({"allow": ["https://hooks.example/a/../b"]}, "$.allow[0]"),
        ({"allow": [f"https://hooks.example/{'a' * 2048}"]}, "$.allow[0]"),
        ({"allow": [f"https://hooks.example/{number}" for number in range(65)]}, "$.allow"),
        ({"allow": [7]}, "$.allow[0]"),
        ({"allow": [], "secrets": [secret_of(1, 23)]}, "$.secrets[0]"),
        ({"allow": [], "secrets": [secret_of(1), secret_of(2, 65)]}, "$.secrets[1]"),
        ({"allow": [], "secrets": [secret_of(1), secret_of(1)]}, "$.secrets[1]"),
        ({"allow": [], "secrets": [secret_of(1)[len("whsec_") :]]}, "$.secrets[0]"),
        ({"allow": [], "secrets": ["whsec_not base64 at all, but long enough"]}, "$.secrets[0]"),
        ({"allow": [], "secrets": ["whsec_ÄÖÜ"]}, "$.secrets[0]"),
        ({"allow": [], "secrets": [secret_of(number) for number in range(5)]}, "$.secrets"),
        ({"allow": [], "allowed": []}, "$.allowed"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_path_and_changes_nothing(
    body: dict[str, Any], path: str
) -> None:
    """And no refusal repeats a secret."""
    async with desk() as admin:
        before = (await admin.put({"allow": [TARGET], "secrets": [secret_of(9)]})).body
        refused = await admin.put(body)
        after = (await admin.get()).body

    status, code, message = refused.refusal
    assert (400, "INVALID_REQUEST") == (status, code)
    assert message.startswith(f"{path} "), message
    assert before == after
    secrets = body.get("secrets") or []
    assert not any(secret.removeprefix("whsec_") in refused.text for secret in secrets)


@pytest.mark.parametrize(
    "inside",
    [
        "http://127.0.0.1:9000/",
        "http://localhost/",
        "https://10.1.2.3/",
        "http://169.254.169.254/",
        "http://[::1]/",
        "http://[::ffff:192.168.0.1]/",
    ],
)
async def test_only_the_platform_opens_addresses_that_are_not_public(inside: str) -> None:
    """An operator who could list them might have results sent to our own network; what is listed stays."""
    async with desk() as admin:
        refused = await admin.put({"allow": [TARGET, inside]})
        listed = await admin.put({"allow": [inside]}, "platform")
        kept = await admin.put({"allow": [TARGET, inside]})

    assert refused.refusal[:2] == (403, "FORBIDDEN")
    assert "$.allow[1]" in refused.refusal[2]
    assert [200, 200] == [listed.status, kept.status]
    assert [TARGET, inside] == kept.body["allow"]


async def test_same_target_twice_is_kept_once() -> None:
    """In the order in which they were sent."""
    async with desk() as admin:
        changed = await admin.put({"allow": [TARGET, "https://b.example/", TARGET]})

    assert [TARGET, "https://b.example/"] == changed.body["allow"]


# Who may


@pytest.mark.parametrize(
    ("who", "method", "path", "expected"),
    [
        ("platform", "GET", WEBHOOKS, 200),
        ("reader", "GET", WEBHOOKS, 200),
        ("branch", "GET", WEBHOOKS, 403),
        ("stranger", "GET", WEBHOOKS, 403),
        ("platform", "PUT", WEBHOOKS, 200),
        ("owner", "PUT", WEBHOOKS, 200),
        ("reader", "PUT", WEBHOOKS, 403),
        ("branch", "PUT", WEBHOOKS, 403),
        ("stranger", "PUT", WEBHOOKS, 403),
        ("platform", "GET", "/config/operators/nobody/webhooks", 404),
        ("platform", "PUT", "/config/operators/nobody/webhooks", 404),
        ("owner", "GET", "/config/operators/nobody/webhooks", 403),
        ("stranger", "GET", LETTERS, 403),
        ("branch", "GET", LETTERS, 403),
        ("platform", "GET", "/config/operators/nobody/webhooks/dead-letters", 404),
        ("reader", "POST", f"{LETTERS}/replay", 403),
        ("stranger", "POST", f"{LETTERS}/replay", 403),
        ("platform", "POST", "/config/operators/nobody/webhooks/dead-letters/replay", 404),
    ],
)
async def test_rights_and_reach_are_those_of_the_operator(
    who: str, method: str, path: str, expected: int
) -> None:
    """All brands' results go through them, so whoever has only some of the brands has none of this."""
    bodies: dict[str, object] = {"PUT": {"allow": []}, "POST": {"ids": []}}
    async with desk() as admin:
        answer = await admin.call(who, method, path, bodies.get(method))

    assert expected == answer.status, answer.text


async def test_nobody_without_a_token_is_answered() -> None:
    """401 on each of the four calls."""
    calls = [("GET", WEBHOOKS), ("PUT", WEBHOOKS), ("GET", LETTERS), ("POST", f"{LETTERS}/replay")]
    async with desk() as admin:
        found = [(await admin.send(method, path, None, {})).status for method, path in calls]

    assert [401] * 4 == found


async def test_secrets_are_shown_to_those_who_may_change_them_and_told_to_no_log() -> None:
    """Neither a reader nor another operator finds them in anything that they can read, nor does a log."""
    secret = secret_of(3)
    paths = [WEBHOOKS, "/config/operators", "/config/operators/op", "/config/operators/other"]
    with structlog.testing.capture_logs() as logs:
        async with desk() as admin:
            await admin.put({"allow": [TARGET], "secrets": [secret]})
            await admin.put({"allow": [TARGET], "secrets": [secret, secret]})
            seen = [await admin.get(who, path) for who in ("reader", "stranger") for path in paths]
            reader = seen[0].body

    assert secret not in "".join(answer.text for answer in seen)
    assert secret not in repr(logs)
    assert (None, [TARGET]) == (reader["secrets"], reader["allow"])


async def test_each_change_is_journalled_with_who_made_it() -> None:
    """The record names the account, and holds all that is set."""
    ward = Ward(ENTITIES)
    async with desk(ward) as admin:
        await admin.put({"allow": [TARGET], "secrets": [secret_of(1)]})
        await admin.put({"allow": [], "secrets": [secret_of(2)]}, "platform")

    records = [decode(data) for seq, data in ward._catalog_log.scan(0) if seq]
    changes = [record for record in records if isinstance(record, Change)]
    assert ["owner", "platform"] == [change.by for change in changes[-2:]]
    first, last = (change.entities[0] for change in changes[-2:])
    assert isinstance(first, Webhooks)
    assert isinstance(last, Webhooks)
    assert ((TARGET,), (secret_of(1),)) == (first.allow, first.secrets)
    assert ((), (secret_of(2),)) == (last.allow, last.secrets)


async def test_what_an_operator_has_not_set_is_shown_as_the_feed_signs_with_it() -> None:
    """Also where results go to a target of the global list."""
    async with desk(secrets_of=lambda name: [f"whsec_{name}"]) as admin:
        shown = await admin.get()

    assert ["whsec_op"] == shown.body["secrets"]


async def test_what_results_are_signed_with_stays_when_targets_are_set() -> None:
    """A receiver that was set up with what it was shown goes on to verify."""
    async with desk(secrets_of=lambda name: [f"whsec_{name}"]) as admin:
        shown = await admin.get()
        answer = await admin.put({"allow": [TARGET]})

    assert ["whsec_op"] == shown.body["secrets"] == answer.body["secrets"]
