"""Contributions with a `callback`: what is answered at once, and what goes to the webhook (guide; contract §3)."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import trio

from tests.contract.raffles import a_raffle
from tests.contract.webhook_receivers import ELSEWHERE

if TYPE_CHECKING:
    from tests.contract.conftest import Answer, Json, Lab, Platform
    from tests.contract.streams import Live
    from tests.contract.webhook_receivers import Hook, Receivers

RESULT_FIELDS = {
    "type",
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
ERROR_FIELDS = {
    "type",
    "status_code",
    "code",
    "message",
    "metadata",
    "instance_id",
    "trace_id",
}
REPRESENTATION = {"Prefer": "return=representation"}
REQUIRED: Any = {"opt_in_required": True}
GROWN = Decimal("10.035")


def trace_of(answer: Answer) -> str:
    """The trace id of a contribution that was accepted."""
    assert answer.status == 200, answer.text
    assert set(answer.body) == {"trace_id"}
    assert answer.body["trace_id"] == answer.headers["X-Trace-Id"]
    return str(answer.body["trace_id"])


def assert_result(body: Json, instance_id: str, **fields: object) -> None:
    """A `data` webhook, field by field; what `fields` does not say is that of a plain contribution of 0.10 EUR."""
    assert set(body) == RESULT_FIELDS
    assert abs(body["timestamp"] - time.time() * 1000) < 60_000
    assert str(UUID(body["gameround_id"])) == body["gameround_id"]
    expected: Json = {
        "type": "data",
        "instance_id": instance_id,
        "win_amount": 0,
        "win_pot_id": None,
        "tickets_awarded": None,
        "win_withheld": False,
        "contribution_currency": "EUR",
        "contribution_amount": Decimal("0.1"),
        "metadata": None,
    }
    found = {name: body[name] for name in expected}
    assert found == expected | fields


def assert_error(
    body: Json, status: int, code: str, message: str | None, *, trace_id: str, **fields: object
) -> None:
    """An `error` webhook, field by field."""
    assert {name for name in body if body[name] is not None} <= ERROR_FIELDS
    assert ERROR_FIELDS - {"instance_id", "metadata"} <= set(body)
    assert (body["type"], body["status_code"], body["code"]) == ("error", status, code)
    if message is not None:
        assert body["message"] == message
    assert body["trace_id"] == trace_id
    for name, value in fields.items():
        assert body[name] == value


async def one(hook: Hook) -> Json:
    """The body of the only attempt so far."""
    (delivered,) = await hook.wait()
    return delivered.body


# What is accepted, and what comes to the webhook


@pytest.mark.parametrize(
    "path", ["/jackpots/contribute/instance", "/jackpots/contribute", "/jackpots/contribute/source"]
)
async def test_v1_is_accepted_and_its_result_is_sent(
    live: Live, receivers: Receivers, path: str
) -> None:
    """v1 with a callback: 200 with a trace id, and the documented result at the webhook."""
    platform, hook = live.platform, receivers.main.hook()
    jackpot = await platform.jackpot()
    source = await platform.source(jackpot)
    target = {"source_id": source} if path.endswith("source") else {"instance_id": jackpot}
    metadata: Json = {"ticket": [1, "two", None]}
    body = platform.v1(callback=hook.callback(win_result_only=False), metadata=metadata, **target)
    UUID(trace_of(await platform.gateway.post(path, body)))

    assert_result(await one(hook), jackpot, metadata=metadata)
    assert hook.received[0].headers["content-type"].startswith("application/json")
    assert await platform.main_pot(jackpot) == GROWN


async def test_v2_sends_one_webhook_for_each_contribution(live: Live, receivers: Receivers) -> None:
    """v2 by source with links, one of which refuses: three webhooks, each its own result."""
    platform, hook = live.platform, receivers.main.hook()
    linked, private = await platform.jackpot(), await platform.jackpot(rules=REQUIRED)
    jackpot = await platform.jackpot()
    await platform.link(jackpot, linked, private)
    source = await platform.source(jackpot)
    trace_id = trace_of(
        await platform.contribute_v2(
            "source", source, options={"callback": hook.callback()}, metadata={"a": 1}
        )
    )
    delivered = await hook.wait(3)

    bodies = {each.body["instance_id"]: each.body for each in delivered}
    assert set(bodies) == {jackpot, linked, private}
    for instance_id in (jackpot, linked):
        assert_result(bodies[instance_id], instance_id, metadata={"a": 1})
        assert await platform.main_pot(instance_id) == GROWN
    rejected = (400, "CONTRIBUTION_REJECTED", "PlayerNotOptedIn")
    assert_error(bodies[private], *rejected, trace_id=trace_id, metadata={"a": 1})
    assert len({each.id for each in delivered}) == 3
    assert len({bodies[each]["gameround_id"] for each in (jackpot, linked)}) == 2


async def test_v2_without_links_sends_one(live: Live, receivers: Receivers) -> None:
    """`allow_linked_contributions: false` holds for callbacks, too."""
    platform, hook, later = live.platform, receivers.main.hook(), receivers.main.hook()
    linked = await platform.jackpot()
    jackpot = await platform.jackpot(linked=linked)
    options = {"callback": hook.callback(), "allow_linked_contributions": False}
    trace_of(await platform.contribute_v2("instance", jackpot, options=options))
    assert_result(await one(hook), jackpot)
    trace_of(await platform.contribute(jackpot, callback=later.callback()))
    await later.wait()

    assert len(hook.received) == 1
    assert await platform.main_pot(linked) == 10


async def test_win_is_sent_in_the_players_currency(live: Live, receivers: Receivers) -> None:
    """A win of 10.035 EUR is 10.79 USD for a player in USD, at 1.0762."""
    platform, hook = live.platform, receivers.main.hook()
    jackpot = await platform.jackpot(pots=[platform.pot(odds=1)])
    trace_of(await platform.contribute(jackpot, currency="USD", callback=hook.callback()))

    assert_result(
        await one(hook),
        jackpot,
        win_amount=Decimal("10.79"),
        win_pot_id="main",
        contribution_currency="USD",
        contribution_amount=Decimal("0.10762"),
    )


async def test_tickets_and_withheld_wins_are_sent(live: Live, receivers: Receivers) -> None:
    """`tickets_awarded` of a raffle, `win_withheld` of a win that waits."""
    platform = live.platform
    tickets, withheld = receivers.main.hook(), receivers.main.hook()
    lottery = await a_raffle(platform)
    held = await platform.jackpot(pots=[platform.pot(odds=1)], withhold_wins_above=5)
    trace_of(await platform.contribute(lottery, base_wager=5, callback=tickets.callback()))
    trace_of(await platform.contribute(held, callback=withheld.callback()))

    assert_result(await one(tickets), lottery, tickets_awarded=2)
    body = await one(withheld)
    assert (body["win_withheld"], body["win_pot_id"]) == (True, "main")


async def test_only_wins_are_sent_where_only_wins_are_asked_for(
    live: Live, receivers: Receivers
) -> None:
    """`win_result_only`: no plain result and no error, but every win; of two contributions the one that wins."""
    platform, hook, later = live.platform, receivers.main.hook(), receivers.main.hook()
    plain, private = await platform.jackpot(), await platform.jackpot(rules=REQUIRED)
    winning = await platform.jackpot(pots=[platform.pot(odds=1)], linked=plain)
    only = hook.callback(win_result_only=True)
    trace_of(await platform.contribute(plain, callback=only))
    trace_of(await platform.contribute(private, callback=only))
    trace_of(await platform.contribute_by_source("no-such-source", callback=only))
    trace_of(await platform.contribute_v2("instance", winning, options={"callback": only}))
    trace_of(await platform.contribute(plain, callback=later.callback()))
    await later.wait()
    (won,) = await hook.wait()

    assert_result(won.body, winning, win_amount=Decimal("10.03"), win_pot_id="main")
    assert await platform.main_pot(plain) == 10 + 3 * Decimal("0.035")


# Errors go to the webhook


async def test_guides_error_is_sent(live: Live, receivers: Receivers) -> None:
    """The guide's sample: an unknown source is accepted, and GAME_NOT_FOUND comes to the webhook."""
    platform, hook = live.platform, receivers.main.hook()
    answer = await platform.contribute_by_source(
        "sitewide-casino2", callback=hook.callback(), metadata={"a": [1]}
    )
    trace_id = trace_of(answer)
    body = await one(hook)

    message = "sitewide-casino2"
    assert_error(body, 404, "GAME_NOT_FOUND", message, trace_id=trace_id, metadata={"a": [1]})
    assert body.get("instance_id") is None


async def test_refusals_of_all_kinds_are_sent(live: Live, receivers: Receivers) -> None:
    """What a rule, a source, a currency or a status refuses, each with the instance where it is known."""
    platform = live.platform
    unmapped = await platform.source()
    private = await platform.jackpot(rules=REQUIRED)
    closed = await platform.jackpot(allowed_countries=["UK"])
    plain, paused = await platform.jackpot(), await platform.jackpot()
    (await platform.set_status(paused, "Paused")).successful()
    nowhere = "00000000-0000-4000-8000-000000000000"
    cases: list[tuple[Json, int, str, str | None, str | None]] = [
        ({"source_id": unmapped}, 404, "SOURCE_JACKPOT_NOT_FOUND", None, None),
        ({"instance_id": nowhere}, 404, "JACKPOT_NOT_FOUND", None, None),
        ({"instance_id": private}, 400, "CONTRIBUTION_REJECTED", "PlayerNotOptedIn", private),
        ({"instance_id": closed}, 400, "CONTRIBUTION_REJECTED", "CountryNotAllowed", closed),
        ({"instance_id": paused}, 400, "CONTRIBUTION_REJECTED", "JackpotNotActive", paused),
        (
            {"instance_id": paused, "base_wager": -1},
            400,
            "CONTRIBUTION_REJECTED",
            None,
            paused,
        ),
        (
            {"instance_id": plain, "currency": "XTS"},
            404,
            "CURRENCY_MULTIPLIERS_NOT_FOUND",
            None,
            plain,
        ),
    ]
    for changes, status, code, message, instance_id in cases:
        hook = receivers.main.hook()
        path = f"/jackpots/contribute/{'source' if 'source_id' in changes else 'instance'}"
        body = platform.v1(callback=hook.callback(), metadata=7) | changes
        trace_id = trace_of(await platform.gateway.post(path, body))
        sent = await one(hook)
        assert_error(sent, status, code, message, trace_id=trace_id, metadata=7)
        if instance_id is not None:
            assert sent["instance_id"] == instance_id


async def test_refused_target_is_the_only_error(live: Live, receivers: Receivers) -> None:
    """When the target refuses, no link is attempted, and one webhook tells of it."""
    platform, hook, later = live.platform, receivers.main.hook(), receivers.main.hook()
    linked = await platform.jackpot()
    jackpot = await platform.jackpot(rules=REQUIRED, linked=linked)
    answer = await platform.contribute_v2(
        "instance", jackpot, options={"callback": hook.callback()}
    )
    body = await one(hook)
    trace_of(await platform.contribute(linked, callback=later.callback()))
    await later.wait()

    rejected = (400, "CONTRIBUTION_REJECTED", "PlayerNotOptedIn")
    assert_error(body, *rejected, trace_id=trace_of(answer), instance_id=jackpot)
    assert body.get("metadata") is None
    assert len(hook.received) == 1
    assert await platform.main_pot(linked) == GROWN


# What is refused at once


def not_listed(receivers: Receivers) -> list[object]:
    """Targets that look as if they were listed, and are not."""
    port, listed = receivers.main.port, receivers.main.prefix
    return [
        receivers.unlisted.prefix,
        f"http://user@127.0.0.1:{port}/hooks/x",
        f"http://user:secret@127.0.0.1:{port}/hooks/x",
        f"http://@127.0.0.1:{port}/hooks/x",
        f"http://127.0.0.1:{port}@hooks.evil.example/hooks/x",
        f"http://127.0.0.1:{port}\\@evil.example/hooks/x",
        f"http://127.0.0.1:{port}.evil.example/hooks/x",
        f"http://127.0.0.1.evil.example:{port}/hooks/x",
        f"https://127.0.0.1:{port}/hooks/x",
        f"ftp://127.0.0.1:{port}/hooks/x",
        "http://127.0.0.1/hooks/x",
        f"http://127.0.0.1:{port}0/hooks/x",
        f"http://127.0.0.1:{port}/hooksx/",
        f"http://127.0.0.1:{port}/",
        f"http://127.0.0.1:{port}/other/hooks/x",
        f"{listed}../admin",
        f"{listed}x/../../admin",
        f"{listed}%2e%2e/admin",
        f"{listed}%2E./admin",
        f"http://localhost:{port}/hooks/x",
        f"http://LOCALHOST:{port}/hooks/x",
        f"http://[::1]:{port}/hooks/x",
        f"http://[::ffff:127.0.0.1]:{port}/hooks/x",
        f"http://127.1:{port}/hooks/x",
        f"http://2130706433:{port}/hooks/x",
        f"http://0x7f000001:{port}/hooks/x",
        f"http://0.0.0.0:{port}/hooks/x",
        f"http://127.0.0.2:{port}/hooks/x",
        "http://169.254.169.254/latest/meta-data/",
        "https://hooks.example.evil.example/in/x",
        "https://evil.hooks.example/in/x",
        "https://hooks.example:444/in/x",
        "http://hooks.example/in/x",
        "https://hooks.example/inside/x",
        "https://hooks.example/in%2fx",
        "https://hooks.example\\.evil.example/in/x",
        "https://hooks.example#.evil.example/in/x",
        "https://evil.example/?https://hooks.example/in/x",
        "https://hooks.example?/in/x",
        "//hooks.example/in/x",
        "/in/x",
        "hooks.example/in/x",
        "file:///etc/passwd",
        f"{listed}x\r\nHost: evil.example",
        f"{listed}a b",
        " ",
        "",
    ]


async def test_targets_that_are_not_listed_are_refused(live: Live, receivers: Receivers) -> None:
    """Compared as parsed: scheme, host, port and path; user info, dots and other names of loopback do not pass."""
    platform = live.platform
    jackpot = await platform.jackpot()
    key = platform.unique("key")
    for url in not_listed(receivers):
        callback = {"web_hook": url, "win_result_only": False}
        v1 = await platform.contribute(jackpot, callback=callback, idempotency_key=key)
        options = {"callback": callback, "idempotency_key": key}
        v2 = await platform.contribute_v2("instance", jackpot, options=options)
        for answer in (v1, v2):
            assert answer.status == 400, f"{url!r}: {answer.status} {answer.text}"
            assert answer.refusal[1] == "INVALID_REQUEST"
            assert "web_hook" in answer.refusal[2] or "callback" in answer.refusal[2]
    assert await platform.main_pot(jackpot) == 10
    hook = receivers.main.hook()
    trace_of(await platform.contribute(jackpot, callback=hook.callback(), idempotency_key=key))
    await hook.wait()
    assert await platform.main_pot(jackpot) == GROWN


async def test_targets_that_are_listed_are_accepted(live: Live, receivers: Receivers) -> None:
    """Upper case of scheme and host, the default port, a query: the same target, as parsed."""
    platform = live.platform
    jackpot = await platform.jackpot()
    for url in (
        ELSEWHERE,
        f"{ELSEWHERE}x?y=z&u=http://evil.example/",
        "https://hooks.example:443/in/x",
        "HTTPS://HOOKS.example/in/x",
        receivers.other.prefix + "a/b/c",
    ):
        callback = {"web_hook": url, "win_result_only": True}
        trace_of(await platform.contribute(jackpot, callback=callback))


@pytest.mark.parametrize(
    ("callback", "name"),
    [
        ("https://hooks.example/in/x", "callback"),
        ({}, "web_hook"),
        ({"win_result_only": True}, "web_hook"),
        ({"web_hook": None}, "web_hook"),
        ({"web_hook": 5}, "web_hook"),
        ({"web_hook": f"{ELSEWHERE}x", "win_result_only": "yes"}, "win_result_only"),
    ],
    ids=range(6),
)
async def test_malformed_callback_is_named(live: Live, callback: object, name: str) -> None:
    """A callback that is none is refused at once, in both versions, with the field's name."""
    platform = live.platform
    jackpot = await platform.jackpot()
    answers = [
        await platform.contribute(jackpot, callback=callback),
        await platform.contribute_v2("instance", jackpot, options={"callback": callback}),
    ]
    for answer in answers:
        assert answer.refusal[:2] == (400, "INVALID_REQUEST")
        assert name in answer.refusal[2]
    assert await platform.main_pot(jackpot) == 10


async def test_malformed_and_forbidden_requests_are_refused_at_once(
    live: Live, live_lab: Lab, receivers: Receivers
) -> None:
    """400 of a field, 401, 403 of all kinds: the caller is told, the webhook is not."""
    platform, hook, later = live.platform, receivers.main.hook(), receivers.main.hook()
    jackpot = await platform.jackpot()
    other = await platform.jackpot(allowed_brands=[platform.other_brand])
    closed = await platform.source(await platform.jackpot(allowed_countries=["UK"]))
    path, callback = "/jackpots/contribute/instance", hook.callback()
    good = platform.v1(instance_id=jackpot, callback=callback)
    missing = {name: value for name, value in good.items() if name != "player_id"}
    anonymous = platform.gateway.with_token(None)
    answers = [
        await platform.gateway.post(path, missing),
        await platform.gateway.post(path, good | {"base_wager": "much"}),
        await anonymous.post(path, good),
        await platform.gateway.post(path, good | {"brand_id": live_lab.one}),
        await platform.gateway.post(path, good | {"instance_id": other}),
        await platform.contribute_by_source(closed, callback=callback),
    ]
    assert [answer.refusal[0] for answer in answers] == [400, 400, 401, 403, 403, 403]
    assert [answer.refusal[1] for answer in answers[-2:]] == [
        "UNSUPPORTED_BRAND",
        "SOURCE_JACKPOTS_NOT_ALLOWED",
    ]
    trace_of(await platform.contribute(jackpot, callback=later.callback()))
    await later.wait()
    assert hook.received == []
    assert await platform.main_pot(jackpot) == GROWN


# Repeats


def assert_replayed(original: Answer, repeat: Answer) -> None:
    assert repeat.status == 204, repeat.text
    assert repeat.text == ""
    assert_same_request(original, repeat)


def assert_same_request(original: Answer, repeat: Answer) -> None:
    for name in ("X-Trace-Id", "Date"):
        assert repeat.headers[name] == original.headers[name]
    assert repeat.headers["Idempotency-Replayed"] == "true"


async def barrier(platform: Platform, receivers: Receivers, instance_id: str) -> None:
    """Two results later: what was to be sent before was sent."""
    for _ in range(2):
        hook = receivers.main.hook()
        trace_of(await platform.contribute(instance_id, callback=hook.callback()))
        await hook.wait()


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_repeat_is_answered_and_not_sent_again(
    live: Live, receivers: Receivers, version: str
) -> None:
    """204 with the original's headers, with Prefer the original's body; another callback is the same request."""
    platform, hook, other = live.platform, receivers.main.hook(), receivers.main.hook()
    jackpot, idle = await platform.jackpot(), await platform.jackpot()
    key = platform.unique("key")

    async def contribute(
        headers: dict[str, str] | None = None, hook: Hook | None = hook, **changes: Any
    ) -> Answer:
        callback = {} if hook is None else {"callback": hook.callback()}
        if version == "v1":
            return await platform.contribute(
                jackpot, headers=headers, idempotency_key=key, **callback, **changes
            )
        options = {"idempotency_key": key, **callback}
        return await platform.contribute_v2(
            "instance", jackpot, headers=headers, options=options, **changes
        )

    original = await contribute()
    trace_id = trace_of(original)
    await hook.wait()
    assert_replayed(original, await contribute())
    assert_replayed(original, await contribute(hook=other))
    assert_replayed(original, await contribute(hook=None))
    for repeat in (
        await contribute(REPRESENTATION),
        await contribute(REPRESENTATION, hook=other),
        await contribute(REPRESENTATION, hook=None),
    ):
        assert trace_of(repeat) == trace_id
        assert_same_request(original, repeat)
    wager: Any = {"currency": "EUR", "value": 2} if version == "v2" else 2
    changed = await contribute(base_wager=wager)
    assert changed.refusal[:2] == (422, "IDEMPOTENCY_KEY_REUSED")
    await barrier(platform, receivers, idle)

    assert len(hook.received) == 1
    assert other.received == []
    assert await platform.main_pot(jackpot) == GROWN


async def test_same_key_many_times_at_once_is_one_result(live: Live, receivers: Receivers) -> None:
    """Twenty equal requests in the same moment: one is accepted, the others are its repeats, one webhook."""
    platform, hook = live.platform, receivers.main.hook()
    jackpot, idle = await platform.jackpot(), await platform.jackpot()
    key = platform.unique("key")
    answers: list[Answer] = []

    async def contribute() -> None:
        callback = hook.callback()
        answers.append(await platform.contribute(jackpot, idempotency_key=key, callback=callback))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(contribute)
    await hook.wait()
    await barrier(platform, receivers, idle)

    assert sorted(answer.status for answer in answers) == [200] + [204] * 19
    assert len({answer.headers["X-Trace-Id"] for answer in answers}) == 1
    assert len(hook.received) == 1
    assert await platform.main_pot(jackpot) == GROWN


async def test_repeat_of_what_was_answered_sends_nothing(live: Live, receivers: Receivers) -> None:
    """A request that was answered stays answered, though its repeat has a callback."""
    platform, hook = live.platform, receivers.main.hook()
    jackpot, idle = await platform.jackpot(), await platform.jackpot()
    key = platform.unique("key")
    original = await platform.contribute(jackpot, idempotency_key=key)
    repeat = await platform.contribute(jackpot, idempotency_key=key, callback=hook.callback())
    shown = await platform.contribute(
        jackpot, idempotency_key=key, callback=hook.callback(), headers=REPRESENTATION
    )
    await barrier(platform, receivers, idle)

    assert_replayed(original, repeat)
    assert shown.body == original.successful().body
    assert hook.received == []


async def test_accepted_request_uses_its_key_though_it_was_refused_later(
    live: Live, receivers: Receivers
) -> None:
    """What was accepted has used its key, whatever its webhook told: a repeat is 204 and contributes nothing."""
    platform, hook = live.platform, receivers.main.hook()
    jackpot, idle = await platform.jackpot(rules=REQUIRED), await platform.jackpot()
    key, unknown = platform.unique("key"), platform.unique("no-such-source")

    async def contribute() -> list[Answer]:
        callback = hook.callback()
        return [
            await platform.contribute(jackpot, callback=callback, idempotency_key=key),
            await platform.contribute_by_source(
                unknown, callback=callback, idempotency_key=f"{key}-source"
            ),
        ]

    originals = await contribute()
    for original in originals:
        trace_of(original)
    await hook.wait(2)
    (await platform.opt_in(jackpot)).successful()
    for original, repeat in zip(originals, await contribute(), strict=True):
        assert_replayed(original, repeat)
    wager = await platform.contribute(jackpot, idempotency_key=key, base_wager=3)
    assert wager.refusal[:2] == (422, "IDEMPOTENCY_KEY_REUSED")
    await barrier(platform, receivers, idle)

    assert len(hook.received) == 2
    assert await platform.main_pot(jackpot) == 10


async def test_each_of_a_batch_is_accepted_for_itself(live: Live, receivers: Receivers) -> None:
    """With and without a callback, allowed or not, in one batch."""
    platform, hook = live.platform, receivers.main.hook()
    jackpot = await platform.jackpot()
    callback = {"callback": hook.callback()}
    bad = {"callback": receivers.unlisted.hook().callback()}
    batch = [
        platform.v2("instance", jackpot, options=callback),
        platform.v2("instance", jackpot),
        platform.v2("instance", jackpot, options=bad),
        platform.v2("source", "no-such-source", options=callback),
    ]
    answer = await platform.gateway.post("/v2/jackpots/contribute/batch", batch)
    results = answer.successful().body
    delivered = await hook.wait(2)

    assert [each["status_code"] for each in results] == [200, 200, 400, 200]
    for accepted in (results[0], results[3]):
        assert set(accepted["result"]) == {"trace_id"}
    assert results[1]["result"][0]["instance_id"] == jackpot
    assert {each.body["type"] for each in delivered} == {"data", "error"}
    assert await platform.main_pot(jackpot) == 10 + 2 * Decimal("0.035")
