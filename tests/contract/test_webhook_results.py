"""How results reach a webhook: signed, retried, kept, and never where they must not go (contract §3)."""

from __future__ import annotations

import base64
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from standardwebhooks import Webhook, WebhookVerificationError

from tests.contract.raffles import POLITE_S
from tests.contract.webhook_receivers import DELIVERY_S, SECRET, Delivered, Receiver, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Answer, Caller, Json, Lab, Platform, StartLive
    from tests.contract.streams import Live
    from tests.contract.webhook_receivers import Hook, Receivers

RETRY_S: Final = 5
LATE_S: Final = 16  # the second attempt has certainly come
OTHER_SECRET: Final = "whsec_" + base64.b64encode(bytes(range(100, 140))).decode()
REQUIRED: Any = {"opt_in_required": True}
REQUESTS: Final = 60
CLIENTS: Final = 6


def verified(delivered: Delivered, secret: str = SECRET) -> Json:
    """The body, once a library that is not ours has checked its signature and its time."""
    body: Json = Webhook(secret).verify(delivered.raw, delivered.headers)
    return body


def label_of(delivered: Delivered) -> Any:
    return delivered.body["metadata"]


async def send(platform: Platform, instance_id: str, hook: Hook, label: object = None) -> None:
    answer = await platform.contribute(instance_id, callback=hook.callback(), metadata=label)
    assert set(answer.successful().body) == {"trace_id"}


async def put_webhooks(caller: Caller, operator: str, **changes: object) -> Answer:
    body = {"allow": [], "secrets": []} | changes
    return await caller.put(f"/config/operators/{operator}/webhooks", body)


class Another:
    """An operator of the test's own, with webhooks as it sets them, and a jackpot."""

    def __init__(self, live: Live, operator: str, jackpot: str) -> None:
        self.live = live
        self.operator = operator
        self.jackpot = jackpot
        self.gateway = live.platform.gateway.with_token(live.platform.tokens.admin)

    async def put(self, **changes: object) -> Answer:
        return await put_webhooks(self.live.platform.admin, self.operator, **changes)

    async def send(self, url: str) -> Answer:
        body = self.live.platform.v1(
            instance_id=self.jackpot,
            brand_id=f"{self.operator}:one",
            callback={"web_hook": url, "win_result_only": False},
        )
        return await self.gateway.post("/jackpots/contribute/instance", body)


@pytest.fixture
async def another(live: Live) -> Another:
    platform = live.platform
    operator = platform.unique("op")
    (await platform.admin.post("/config/operators", [{"id": operator, "name": "O"}])).successful()
    brands = [{"id": "one", "name": "One"}]
    (await platform.admin.post(f"/config/operators/{operator}/brands", brands)).successful()
    jackpot = await platform.jackpot(owner_id=operator, allowed_brands=[f"{operator}:one"])
    return Another(live, operator, jackpot)


# Signatures


async def test_every_result_is_signed(live: Live, receivers: Receivers) -> None:
    """Results and errors, with an id of their own each; a changed byte, id or secret does not pass."""
    platform, hook = live.platform, receivers.main.hook()
    private = await platform.jackpot(rules=REQUIRED)
    jackpot = await platform.jackpot(linked=private)
    options = {"callback": hook.callback()}
    (
        await platform.contribute_v2("instance", jackpot, options=options, metadata="Zürich €")
    ).successful()
    delivered = await hook.wait(2)

    assert {verified(each)["type"] for each in delivered} == {"data", "error"}
    assert {verified(each)["metadata"] for each in delivered} == {"Zürich €"}
    assert len({each.id for each in delivered}) == 2
    for each in delivered:
        assert abs(int(each.headers["webhook-timestamp"]) - time.time()) < 60
        assert "authorization" not in each.headers
        for headers, raw, secret in (
            (each.headers, each.raw + b" ", SECRET),
            (each.headers | {"webhook-id": "msg_0"}, each.raw, SECRET),
            (each.headers, each.raw, OTHER_SECRET),
        ):
            with pytest.raises(WebhookVerificationError):
                Webhook(secret).verify(raw, headers)


async def test_secrets_can_be_changed_without_a_gap(another: Another, receivers: Receivers) -> None:
    """With two secrets a receiver of either one can verify; a change takes effect with the next result."""
    for secrets in ([SECRET, OTHER_SECRET], [OTHER_SECRET]):
        (await another.put(secrets=secrets)).successful()
        hook = receivers.main.hook()
        (await another.send(hook.url)).successful()
        (delivered,) = await hook.wait()
        for secret in secrets:
            verified(delivered, secret)
        signatures = delivered.headers["webhook-signature"].split(" ")
        assert len(signatures) == len(secrets)
        assert all(each.startswith("v1,") for each in signatures)


async def test_result_is_signed_with_the_operators_own_secret(
    live: Live, another: Another, receivers: Receivers
) -> None:
    """One operator's secret is no use for another's results; without a secret of its own it is signed all the same."""
    hook = receivers.main.hook()
    (await another.send(hook.url)).successful()
    await hook.wait()
    await send(live.platform, await live.platform.jackpot(), hook)
    own, theirs = (await hook.wait(2))[:2]

    assert own.headers["webhook-signature"].startswith("v1,")
    with pytest.raises(WebhookVerificationError):
        verified(own)
    verified(theirs)


# Whom an operator may name


async def test_operator_has_an_allow_list_of_its_own(
    live: Live, another: Another, receivers: Receivers
) -> None:
    """What it lists is reached at once, beside what everybody may reach; another operator gains nothing by it."""
    unlisted = receivers.unlisted
    hook = unlisted.hook()
    assert (await another.send(hook.url)).refusal[:2] == (400, "INVALID_REQUEST")
    (await another.put(allow=[unlisted.prefix], secrets=[SECRET])).successful()
    shown = await live.platform.admin.get(f"/config/operators/{another.operator}/webhooks")
    assert shown.successful().body["allow"] == [unlisted.prefix]
    (await another.send(hook.url)).successful()
    everybodys = receivers.main.hook()
    (await another.send(everybodys.url)).successful()
    for each in (hook, everybodys):
        verified((await each.wait())[0])
    jackpot = await live.platform.jackpot()
    foreign = await live.platform.contribute(jackpot, callback=hook.callback())
    assert foreign.refusal[:2] == (400, "INVALID_REQUEST")
    (await another.put(allow=[])).successful()
    assert (await another.send(hook.url)).refusal[:2] == (400, "INVALID_REQUEST")
    assert len(hook.received) == 1


async def test_loopback_by_another_name_is_not_reached(
    another: Another, receivers: Receivers
) -> None:
    """`localhost` listed does not list 127.0.0.1, nor the reverse."""
    port, unlisted = receivers.unlisted.port, receivers.unlisted
    by_name, by_address = unlisted.hook(host="localhost"), unlisted.hook()
    (await another.put(allow=[f"http://localhost:{port}/"])).successful()
    assert (await another.send(by_address.url)).status == 400
    (await another.put(allow=[f"http://127.0.0.1:{port}/"])).successful()
    assert (await another.send(by_name.url)).status == 400
    (await another.send(by_address.url)).successful()
    await by_address.wait()
    assert by_name.received == []
    assert len(by_address.received) == 1


async def test_name_that_stands_for_loopback_is_not_reached(
    another: Another, receivers: Receivers
) -> None:
    """A listed name that resolves to an address of this machine, which is not listed, gets nothing."""
    name = socket.gethostname()
    try:
        addresses = {each[4][0] for each in socket.getaddrinfo(name, 80, socket.AF_INET)}
    except OSError:
        addresses = set()
    if not addresses or not all(str(each).startswith("127.") for each in addresses):
        pytest.skip(f"the name of this machine, {name}, stands for no loopback address")
    unlisted = receivers.unlisted
    hook = unlisted.hook(host=name)
    (await another.put(allow=[f"http://{name}:{unlisted.port}/"])).successful()
    answer = await another.send(hook.url)
    assert answer.status in {200, 400}
    for _ in range(3):
        later = receivers.main.hook()
        (await another.send(later.url)).successful()
        await later.wait()
    assert hook.received == []


@pytest.mark.parametrize(
    "body",
    [
        {"allow": ["http://user@a.example/"], "secrets": []},
        {"allow": ["a.example"], "secrets": []},
        {"allow": ["ftp://a.example/"], "secrets": []},
        {"allow": [5], "secrets": []},
        {"allow": "http://a.example/", "secrets": []},
        {"allow": [], "secrets": ["short"]},
        {"allow": [], "secrets": ["whsec_not base64!"]},
        {"allow": [], "secrets": ["whsec_" + base64.b64encode(b"short").decode()]},
        {"allow": [], "secrets": [], "more": 1},
        [],
    ],
    ids=range(10),
)
async def test_bad_webhook_settings_are_refused(another: Another, body: object) -> None:
    """What cannot be a prefix or a secret, and unknown fields: 400, and what was set stays."""
    (await another.put(allow=["https://a.example/"], secrets=[SECRET])).successful()
    admin, path = another.live.platform.admin, f"/config/operators/{another.operator}/webhooks"
    before = (await admin.get(path)).successful().body
    assert (await admin.put(path, body)).refusal[0] == 400
    assert (await admin.get(path)).successful().body == before


async def test_webhook_settings_are_the_operators_own(live: Live, live_lab: Lab) -> None:
    """An operator's administrator sets its own, and neither reads nor sets another's; no service account sets any."""
    user = live.platform.admin.with_token(live_lab.user)
    mine, theirs = live_lab.operator, live.platform.operator
    (await put_webhooks(user, mine, allow=["https://hooks.example/lab/"])).successful()
    (await user.get(f"/config/operators/{mine}/webhooks")).successful()
    answers = [
        await put_webhooks(user, theirs),
        await user.get(f"/config/operators/{theirs}/webhooks"),
        await user.get(f"/config/operators/{theirs}/webhooks/dead-letters"),
        await user.post(f"/config/operators/{theirs}/webhooks/dead-letters/replay", {"ids": []}),
    ]
    assert [answer.refusal[:2] for answer in answers] == [(403, "FORBIDDEN")] * 4
    anonymous = live.platform.admin.with_token(None)
    assert (await put_webhooks(anonymous, mine)).refusal[0] == 401


# Retries


async def dead_letters(platform: Platform) -> list[Json]:
    path = f"/config/operators/{platform.operator}/webhooks/dead-letters"
    return list((await platform.admin.get(path, {"limit": 200})).successful().body)


async def letters_until(platform: Platform, wanted: Callable[[list[Json]], bool]) -> list[Json]:
    """The dead letters, as soon as they are as wanted."""
    with trio.fail_after(DELIVERY_S):
        while True:
            letters = await dead_letters(platform)
            if wanted(letters):
                return letters
            await trio.sleep(POLITE_S)


async def test_failures_are_retried_and_gone_is_not(live: Live, receivers: Receivers) -> None:
    """500, hanging up, redirects, 429: again after five seconds or as asked, with the same id; 410: never again."""
    platform, receiver = live.platform, receivers.main
    jackpot = await platform.jackpot()
    elsewhere = receiver.hook()
    moved = {"Location": elsewhere.url}
    hooks = {
        "error": receiver.hook(Reply(500), Reply(204)),
        "hung up": receiver.hook(Reply(0), Reply(201)),
        "moved": receiver.hook(Reply(302, moved), Reply()),
        "moved for good": receiver.hook(Reply(308, moved), Reply()),
        "not found": receiver.hook(Reply(404), Reply()),
        "not modified": receiver.hook(Reply(304), Reply()),
        "asked to wait": receiver.hook(Reply(429, {"Retry-After": "8"}), Reply()),
        "asked to wait longer": receiver.hook(Reply(503, {"Retry-After": "9"}), Reply()),
    }
    gone, good = receiver.hook(Reply(410), Reply()), receiver.hook()
    for label, hook in hooks.items():
        await send(platform, jackpot, hook, label)
    await send(platform, jackpot, gone, "gone")
    await send(platform, jackpot, good, "good")
    for label, hook in hooks.items():
        first, second = await hook.wait(2, timeout_s=LATE_S)
        least = {"asked to wait": 8, "asked to wait longer": 9}.get(label, RETRY_S - 2)
        assert least - 0.1 <= second.at - first.at < LATE_S, label
        assert first.id == second.id
        assert first.raw == second.raw
        assert verified(first) == verified(second)
        assert verified(first)["metadata"] == label
        assert int(second.headers["webhook-timestamp"]) > int(first.headers["webhook-timestamp"])
    for hook in (*hooks.values(), gone, good):
        ids = {each.id for each in hook.received}
        assert len(ids) == 1
    assert [len(hook.received) for hook in hooks.values()] == [2] * len(hooks)
    assert [len(hook.received) for hook in (gone, good, elsewhere)] == [1, 1, 0]
    assert await platform.main_pot(jackpot) == 10 + (len(hooks) + 2) * (await grown(platform))

    letters = await letters_until(platform, lambda letters: gone.url in str(letters))
    (letter,) = [each for each in letters if gone.url in str(each)]
    assert gone.received[0].id in letter.values()
    path = f"/config/operators/{platform.operator}/webhooks/dead-letters/replay"
    (await platform.admin.post(path, {"ids": [gone.received[0].id]})).successful()
    first, replayed = await gone.wait(2)
    assert (replayed.id, replayed.raw) == (first.id, first.raw)
    verified(replayed)
    await letters_until(platform, lambda letters: gone.url not in str(letters))


async def grown(platform: Platform) -> Any:
    """What a contribution of 0.10 adds to a pot."""
    jackpot = await platform.jackpot()
    (await platform.contribute(jackpot)).successful()
    return await platform.main_pot(jackpot) - 10


async def test_receiver_that_restarts_gets_what_it_missed(another: Another) -> None:
    """It hangs up, and is gone for a while; once it is there again, the result comes."""
    path = "/hooks/late"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        url = f"http://127.0.0.1:{port}{path}"
        (await another.put(allow=[url], secrets=[SECRET])).successful()
        listener.settimeout(DELIVERY_S)
        (await another.send(url)).successful()
        connection, _ = await trio.to_thread.run_sync(listener.accept)
        connection.close()
    receiver = Receiver(port)
    try:
        (delivered,) = await receiver.hook(path=path).wait(timeout_s=LATE_S)
        assert verified(delivered)["instance_id"] == another.jackpot
    finally:
        await trio.to_thread.run_sync(receiver.close)


async def test_target_that_hangs_delays_no_other(live: Live, receivers: Receivers) -> None:
    """Two hundred results wait for a receiver that does not answer; another one's come as ever."""
    platform, ended = live.platform, threading.Event()
    jackpot = await platform.jackpot()
    hanging = receivers.other.hook(Reply(hold=ended))
    try:
        options = {"callback": hanging.callback()}
        batch = [platform.v2("instance", jackpot, options=options) for _ in range(100)]
        for _ in range(2):
            path = "/v2/jackpots/contribute/batch"
            results = (await platform.gateway.post(path, batch)).successful().body
            assert {each["status_code"] for each in results} == {200}
        await hanging.wait()
        begun = time.monotonic()
        for _ in range(5):
            hook = receivers.main.hook()
            await send(platform, jackpot, hook)
            await hook.wait(timeout_s=5)
        assert time.monotonic() - begun < 8
        assert len(hanging.received) < 100
    finally:
        ended.set()
    await hanging.until(lambda received: len({each.id for each in received}) == 200, timeout_s=20)


# Crashes


class Callbacks:
    """Keyed contributions with a callback from several clients at once; who was accepted, and who has to ask again."""

    def __init__(self, platform: Platform, jackpots: list[str], hook: Hook) -> None:
        self.platform = platform
        self.hook = hook
        self.jackpots = jackpots
        self.accepted: set[int] = set()
        self.enough = trio.Event()
        self._keys = [platform.unique("key") for _ in range(REQUESTS)]

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for client in range(CLIENTS):
                nursery.start_soon(self._client, range(client, REQUESTS, CLIENTS))

    async def _client(self, numbers: range) -> None:
        for number in numbers:
            if number in self.accepted:
                continue
            options = {"callback": self.hook.callback(), "idempotency_key": self._keys[number]}
            try:
                answer = await self.platform.contribute_v2(
                    "instance",
                    self.jackpots[number % len(self.jackpots)],
                    options=options,
                    metadata=number,
                )
            except self.platform.connection_errors:
                return
            assert answer.status in {200, 204}, answer.text
            self.accepted.add(number)
            if len(self.accepted) >= REQUESTS // 3:
                self.enough.set()


def results(received: list[Delivered]) -> set[tuple[int, str]]:
    """Which contribution was told of which instance, by the answers that the receiver took."""
    return {(each.body["metadata"], each.body["instance_id"]) for each in received}


@pytest.mark.parametrize(("workers", "at_first"), [("1", 503), ("3", 200)])
async def test_no_result_is_lost_by_a_crash(
    start_live: StartLive,
    receivers: Receivers,
    workers: str,
    at_first: int,
) -> None:
    """Killed between acceptance and delivery, twice: each result of target and link arrives, always with one id."""
    async with start_live(JACKPOTD_SERVICE_WORKERS=workers) as live:
        platform = live.platform
        linked = await platform.jackpot()
        jackpots = [await platform.jackpot(linked=linked) for _ in range(3)]
        hook = receivers.main.hook(Reply(at_first))
        load = Callbacks(platform, jackpots, hook)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load.run)
            await load.enough.wait()
            await live.server.kill()
        assert len(load.accepted) < REQUESTS
        await live.server.start()
        await load.run()
        await live.server.kill()
        hook.recover()
        await live.server.start()
        assert len(load.accepted) == REQUESTS
        expected = {
            (number, instance_id)
            for number in range(REQUESTS)
            for instance_id in (jackpots[number % 3], linked)
        }
        received = await hook.until(lambda got: results(got) == expected, timeout_s=40)

        ids: dict[str, tuple[int, str]] = {}
        for each in received:
            body = verified(each)
            assert body["type"] == "data"
            told = (body["metadata"], body["instance_id"])
            assert ids.setdefault(each.id, told) == told
        assert len(ids) == len(expected)
        rounds = {(label_of(each), each.body["gameround_id"]) for each in received}
        assert len(rounds) == len(expected)
        count = await platform.main_pot(linked) - 10
        assert count == REQUESTS * await grown(platform)


async def test_retry_survives_a_crash(start_live: StartLive, receivers: Receivers) -> None:
    """A result that failed once, a dead letter, used keys are there after a SIGKILL: retried, replayed, repeated."""
    async with start_live() as live:
        platform, receiver = live.platform, receivers.main
        jackpot = await platform.jackpot()
        declined, unknown = receiver.hook(), platform.unique("no-such-source")

        async def decline(**changes: Any) -> Answer:
            callback = declined.callback()
            return await platform.contribute_by_source(
                unknown, callback=callback, idempotency_key=platform.player, **changes
            )

        original = (await decline()).successful()
        failing, gone = receiver.hook(Reply(500), Reply()), receiver.hook(Reply(410), Reply())
        for hook in (failing, gone):
            await send(platform, jackpot, hook)
            await hook.wait()
        await letters_until(platform, bool)
        await live.server.kill()
        await live.server.start()
        repeat = await decline()
        assert (repeat.status, repeat.headers["X-Trace-Id"]) == (204, original.body["trace_id"])
        assert (await decline(base_wager=3)).refusal[0] == 422
        (letter,) = await dead_letters(platform)
        assert gone.received[0].id in letter.values()
        first, second = await failing.wait(2, timeout_s=LATE_S)
        assert (first.id, first.raw) == (second.id, second.raw)
        path = f"/config/operators/{platform.operator}/webhooks/dead-letters/replay"
        (await platform.admin.post(path, {"ids": [gone.received[0].id]})).successful()
        first, second = await gone.wait(2)
        assert (first.id, first.raw) == (second.id, second.raw)
        await declined.wait()
        assert {(each.id, each.body["code"]) for each in declined.received} == {
            (declined.received[0].id, "GAME_NOT_FOUND")
        }


# Three workers


async def test_receiver_that_takes_too_long_is_asked_again(
    fleet: Live, receivers: Receivers
) -> None:
    """Two seconds are there for an answer (a setting); then it counts as failed, and comes again with its id."""
    ended = threading.Event()
    hook = receivers.main.hook(Reply(hold=ended), Reply())
    try:
        await send(fleet.platform, await fleet.platform.jackpot(), hook)
        first, second = await hook.wait(2, timeout_s=LATE_S)
        assert (first.id, first.raw) == (second.id, second.raw)
        assert second.at - first.at > RETRY_S - 2
    finally:
        ended.set()


async def test_three_workers_send_each_result_once(fleet: Live, receivers: Receivers) -> None:
    """Targets and links on several workers: one webhook for each contribution, with an id of its own, signed."""
    platform, hook = fleet.platform, receivers.main.hook()
    linked = [await platform.jackpot() for _ in range(2)]
    private = await platform.jackpot(rules=REQUIRED)
    jackpots = [await platform.jackpot() for _ in range(4)]
    for jackpot in jackpots:
        await platform.link(jackpot, *linked, private)
    for number, jackpot in enumerate(jackpots * 3):
        answer = await platform.contribute_v2(
            "instance", jackpot, options={"callback": hook.callback()}, metadata=number
        )
        answer.successful()
    received = await hook.wait(48)

    told = {(label_of(each), each.body["instance_id"], each.body["type"]) for each in received}
    assert told == {
        (number, instance_id, "error" if instance_id == private else "data")
        for number, jackpot in enumerate(jackpots * 3)
        for instance_id in (jackpot, *linked, private)
    }
    assert len({each.id for each in received}) == 48
    for each in received:
        verified(each)
