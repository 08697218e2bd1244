"""Contributions for webhooks at the real program: what was answered is kept once, whatever is killed or moved.

Nobody listens at the webhook: that results arrive there is another test's matter.
"""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, closing
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
import trio

from jackpotd.journal.log import LmdbLog
from jackpotd.service.control import Move, Moved
from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.demo_data import SITEWIDE, SLOTS
from jackpotd.testing.server_process import ServerProcess
from jackpotd.wire import records

from .fleet import CONTRIBUTE, PLACED, TIMEOUT_S, Count, bet, fleet_on, verified

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .fleet import Fleet

HOOK: Final = "http://127.0.0.1:9/results"
LIVE: Final = {
    "JACKPOTD_EVENTS_ENABLED": "true",
    "JACKPOTD_WEBHOOKS_ALLOW": "http://127.0.0.1:9/",
}
V1: Final = "/jackpots/contribute/source"
V1_DIRECT: Final = "/jackpots/contribute/instance"
BATCH: Final = "/v2/jackpots/contribute/batch"
CONNECTIONS: Final = 12
MAP_BYTES: Final = 1 << 34
REPRESENTATION: Final = {"Prefer": "return=representation"}
CLIENTS: Final = 8
ANSWERS_PER_LIFE: Final = 150
LIVES: Final = 3


def callback(url: str = HOOK) -> dict[str, Any]:
    return {"web_hook": url, "win_result_only": True}


def body_v1(key: str, wager: float = 1, **target: str) -> dict[str, Any]:
    return {
        "token": "token_00001",
        "brand_id": "thrilltech:brand1",
        "player_id": "player_1",
        "player_country": "MT",
        "gameround_id": "1",
        "currency": "EUR",
        "base_wager": wager,
        "idempotency_key": key,
        "callback": callback(),
        **target,
    }


def body_v2(target: str, key: str, wager: float = 1, url: str = HOOK) -> dict[str, Any]:
    body = bet(target, key=key)
    body["base_wager"]["value"] = wager
    body["options"]["callback"] = callback(url)
    return body


Shape = tuple[str, dict[str, Any]]


def shapes(name: str, wager: float) -> dict[str, Shape]:
    """Every call that takes a callback, by the key that it uses."""
    calls: list[Shape] = [
        (V1, body_v1(f"{name} source", wager, source_id="casino-slots")),
        (V1_DIRECT, body_v1(f"{name} instance", wager, instance_id=SLOTS)),
        ("/jackpots/contribute", body_v1(f"{name} alias", wager, instance_id=SLOTS)),
        (CONTRIBUTE, body_v2("sitewide-casino", f"{name} v2", wager)),
        (CONTRIBUTE, body_v2(SITEWIDE, f"{name} v2 direct", wager)),
    ]
    return {key_of(body): (path, body) for path, body in calls}


def key_of(body: Mapping[str, Any]) -> str:
    key: str = body.get("idempotency_key") or body["options"]["idempotency_key"]
    return key


def without_callback(body: Mapping[str, Any]) -> dict[str, Any]:
    changed = json.loads(json.dumps(body))
    (changed.get("options") or changed).pop("callback")
    return dict(changed)


def without_key(body: Mapping[str, Any]) -> dict[str, Any]:
    changed = json.loads(json.dumps(body))
    options = changed.get("options") or changed
    options.pop("idempotency_key")
    return dict(changed)


def with_wager(body: Mapping[str, Any], wager: float) -> dict[str, Any]:
    is_v1 = "idempotency_key" in body
    return {**body, "base_wager": wager if is_v1 else {"currency": "EUR", "value": wager}}


class Kept:
    """What the journals of a data directory hold for webhooks, by trace id: records of targets, and refusals."""

    def __init__(self, data: Path) -> None:
        self.found: dict[str, list[records.Entry | records.Declined]] = {}
        self.keys: dict[str, list[str]] = {}
        directory = DataDirectory(data)
        for worker in range(4):
            folder = directory.worker(worker)
            if folder.journal.exists():
                log = LmdbLog.open_readonly(
                    folder.journal, name=folder.log_name, map_bytes_max=MAP_BYTES
                )
                with closing(log):
                    for seq, record in log.scan(1):
                        self._read(seq, record)

    def _read(self, seq: int, data: bytes) -> None:
        record = records.decode(data) if seq else None
        if not isinstance(record, records.Entry | records.Declined) or record.request is None:
            return
        request = record.request
        if request.callback is not None:
            assert (HOOK, True) == (request.callback.url, request.callback.win_result_only)
            self.found.setdefault(request.trace_id, []).append(record)
            if request.key is not None:
                self.keys.setdefault(request.key, []).append(request.trace_id)

    def only(self, trace_id: str) -> records.Entry | records.Declined:
        (record,) = self.found[trace_id]
        return record


async def connections(stack: AsyncExitStack, fleet: Fleet) -> list[httpx.AsyncClient]:
    return [await stack.enter_async_context(fleet.connection()) for _ in range(CONNECTIONS)]


async def accepted(gateway: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> str:
    """Contributes for a webhook; the trace id that it was accepted under."""
    answer = await gateway.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert {"trace_id": answer.headers["x-trace-id"]} == answer.json()
    assert "idempotency-replayed" not in answer.headers
    trace_id: str = answer.json()["trace_id"]
    return trace_id


async def assert_repeated(
    gateway: httpx.AsyncClient, path: str, body: Mapping[str, Any], trace_id: str
) -> None:
    """A repeat says so, with the trace id of the first; shown again it is what the first was answered."""
    again = await gateway.post(path, json=body)
    assert (204, b"", trace_id, "true") == (
        again.status_code,
        again.content,
        again.headers["x-trace-id"],
        again.headers["idempotency-replayed"],
    )
    shown = await gateway.post(path, json=body, headers=REPRESENTATION)
    assert (200, {"trace_id": trace_id}, again.headers["date"]) == (
        shown.status_code,
        shown.json(),
        shown.headers["date"],
    )
    assert "true" == shown.headers["idempotency-replayed"]
    assert "return=representation" == shown.headers["preference-applied"]


@pytest.mark.parametrize("workers", [1, 3])
async def test_acceptance_over_every_call(tmp_path: Path, workers: int) -> None:
    """Taken or refused, the caller gets the trace id; a repeat on any connection is known as one."""
    data, traces = tmp_path / "data", dict[str, str]()
    calls = {
        **shapes("taken", 1),
        **shapes("refused", -1),
        "unknown": (CONTRIBUTE, body_v2("no-such-source", "unknown")),
        "nowhere": (V1_DIRECT, body_v1("nowhere", instance_id="no-such-instance")),
    }
    placed = PLACED if workers > 1 else None
    with trio.fail_after(TIMEOUT_S):
        async with (
            fleet_on(data, workers=workers, placed=placed, environment=LIVE) as fleet,
            AsyncExitStack() as stack,
        ):
            gateways = await connections(stack, fleet)
            for number, (key, (path, body)) in enumerate(calls.items()):
                traces[key] = await accepted(gateways[number % CONNECTIONS], path, body)
            for key, (path, body) in calls.items():
                for gateway in gateways[:: 1 if key == "unknown" else 4]:
                    await assert_repeated(gateway, path, body, traces[key])
                    await assert_repeated(gateway, path, without_callback(body), traces[key])
                    other = await gateway.post(path, json=with_wager(body, 2))
                    assert 422 == other.status_code
            await stack.aclose()
            assert await fleet.server.stop() == 0
        assert "" != await verified(data)
    kept = Kept(data)
    assert traces == {key: found[0] for key, found in kept.keys.items()}
    assert {1} == {len(found) for found in kept.found.values()}
    for key, trace_id in traces.items():
        record = kept.only(trace_id)
        assert isinstance(record, records.Entry) == key.startswith("taken")
        if isinstance(record, records.Declined):
            instance_id = SITEWIDE if " v2" in key else SLOTS
            assert {
                "unknown": ("GAME_NOT_FOUND", "no-such-source", ""),
                "nowhere": ("JACKPOT_NOT_FOUND", "no-such-instance", ""),
            }.get(key, ("CONTRIBUTION_REJECTED", "NegativeWager", instance_id)) == (
                record.code,
                record.message,
                record.instance_id,
            )


@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
async def test_acceptance_in_a_batch(tmp_path: Path, content_type: str) -> None:
    """Elements with a callback are answered with their trace ids beside others that are answered at once."""
    elements = [
        body_v2(SITEWIDE, "taken"),
        bet(SLOTS, key="at once"),
        body_v2(SLOTS, "refused", -1),
        body_v2(SLOTS, "not allowed", url="http://127.0.0.1:10/results"),
        with_wager(bet(SLOTS, key="refused at once"), -1),
    ]
    async with AsyncExitStack() as stack:
        stack.enter_context(trio.fail_after(TIMEOUT_S))
        fleet = await stack.enter_async_context(fleet_on(tmp_path / "data", environment=LIVE))
        gateway = await stack.enter_async_context(fleet.connection())

        async def send() -> list[dict[str, Any]]:
            is_lines = content_type.endswith("ndjson")
            text = "\n".join(map(json.dumps, elements)) if is_lines else json.dumps(elements)
            answer = await gateway.post(BATCH, content=text, headers={"Content-Type": content_type})
            assert answer.status_code == 200, answer.text
            found: list[dict[str, Any]] = (
                [json.loads(line) for line in answer.text.splitlines()]
                if is_lines
                else answer.json()
            )
            return found

        first, again = await send(), await send()
        assert [200, 200, 200, 400, 400] == [each["status_code"] for each in first]
        assert {"trace_id"} == first[0]["result"].keys() == first[2]["result"].keys()
        assert [SLOTS] == [each["instance_id"] for each in first[1]["result"]]
        assert "INVALID_REQUEST" == first[3]["result"]["code"]
        assert "NegativeWager" == first[4]["result"]["message"]
        assert [204, 204, 204, 400, 400] == [each["status_code"] for each in again]
        assert [None] * 3 == [each["result"] for each in again[:3]]
        assert await fleet.server.stop() == 0
    kept = Kept(tmp_path / "data")
    for key, number in (("taken", 0), ("refused", 2)):
        assert [first[number]["result"]["trace_id"]] == kept.keys[key]


async def test_acceptance_needs_a_good_request(tmp_path: Path) -> None:
    """Who may not, what is malformed and a webhook that is not allowed are refused at once, and use no key."""
    elsewhere = "https://webhooks.example/"
    with trio.fail_after(TIMEOUT_S):
        async with (
            fleet_on(tmp_path / "data", environment=LIVE) as fleet,
            fleet.connection() as gateway,
        ):
            good = body_v2(SLOTS, "k")
            stranger = {**good, "operator_id": "stranger"}
            stranger_elsewhere = json.loads(json.dumps(stranger))
            stranger_elsewhere["options"]["callback"]["web_hook"] = elsewhere
            malformed = {**good, "base_wager": {"currency": "EUR"}}
            for body, headers, status, code, message in (
                (good, {"Authorization": "Bearer none"}, 401, "UNAUTHORIZED", ""),
                (stranger, {}, 403, "FORBIDDEN", ""),
                (stranger_elsewhere, {}, 403, "FORBIDDEN", ""),
                (malformed, {}, 400, "INVALID_REQUEST", "$.base_wager.value"),
                (body_v2(SLOTS, "k", url=elsewhere), {}, 400, "INVALID_REQUEST", "web_hook"),
                (body_v2(SLOTS, "k", url="results"), {}, 400, "INVALID_REQUEST", "web_hook"),
                (body_v2(SLOTS, "k", url=""), {}, 400, "INVALID_REQUEST", "web_hook"),
                (
                    {**good, "options": {"callback": {"win_result_only": True}}},
                    {},
                    400,
                    "INVALID_REQUEST",
                    "web_hook",
                ),
            ):
                answer = await gateway.post(CONTRIBUTE, json=body, headers=headers)
                assert (status, code) == (answer.status_code, answer.json()["code"])
                assert message in answer.json()["message"]
            v1 = body_v1("k1", source_id="casino-slots", brand_id="thrilltech:nobody")
            refused = await gateway.post(V1, json=v1)
            assert (403, "UNSUPPORTED_BRAND") == (refused.status_code, refused.json()["code"])
            await accepted(gateway, V1, {**v1, "brand_id": "thrilltech:brand1"})
            await accepted(gateway, CONTRIBUTE, good)
            assert await fleet.server.stop() == 0
    assert {"k", "k1"} == Kept(tmp_path / "data").keys.keys()


@pytest.mark.parametrize("workers", [1, 3])
async def test_acceptance_needs_events(tmp_path: Path, workers: int) -> None:
    """Where nobody delivers results, none is promised; but what was accepted before is known."""
    data, calls = tmp_path / "data", {**shapes("taken", 1), **shapes("refused", -1)}
    off = {**LIVE, "JACKPOTD_EVENTS_ENABLED": "false"}
    with trio.fail_after(TIMEOUT_S):
        async with (
            fleet_on(data, workers=workers, placed=None, environment=LIVE) as fleet,
            fleet.connection() as gateway,
        ):
            traces = {key: await accepted(gateway, *call) for key, call in calls.items()}
            assert await fleet.server.stop() == 0
        async with (
            fleet_on(data, workers=workers, placed=None, environment=off) as fleet,
            fleet.connection() as gateway,
        ):
            for key, (path, body) in calls.items():
                await assert_repeated(gateway, path, body, traces[key])
            for path, body in shapes("fresh", 1).values():
                for keyed in (body, without_key(body)):
                    refused = (await gateway.post(path, json=keyed)).json()
                    assert "INVALID_REQUEST" == refused["code"]
                    assert "events are switched off" in refused["message"]


async def test_acceptance_is_known_wherever_its_jackpot_goes(tmp_path: Path) -> None:
    """After every instance has moved twice, and with one worker and with three again, each key is a repeat."""
    data, traces = tmp_path / "data", dict[str, str]()
    calls = {
        **shapes("taken", 1),
        **shapes("refused", -1),
        "unknown": (CONTRIBUTE, body_v2("new-source", "unknown")),
        "nowhere": (V1_DIRECT, body_v1("nowhere", instance_id="no-such-instance")),
    }

    async def repeat_all(fleet: Fleet, stack: AsyncExitStack) -> None:
        for number, gateway in enumerate(await connections(stack, fleet)):
            for key, (path, body) in calls.items():
                asked = body if number % 2 else without_callback(body)
                await assert_repeated(gateway, path, asked, traces[key])

    with trio.fail_after(2 * TIMEOUT_S):
        async with fleet_on(data, environment=LIVE) as fleet, AsyncExitStack() as stack:
            async with fleet.connection() as gateway:
                for key, (path, body) in calls.items():
                    traces[key] = await accepted(gateway, path, body)
            for turn in (1, 2):
                for instance_id, worker in PLACED.items():
                    move = Move(instance_id, (worker + turn) % 3)
                    assert await fleet.asked(move) == Moved(was_there=False)
                await repeat_all(fleet, stack)
            await map_source(fleet, "new-source", SLOTS)
            await repeat_all(fleet, stack)
            await stack.aclose()
            assert await fleet.server.stop() == 0
        for workers in (1, 3):
            async with (
                fleet_on(data, workers=workers, placed=None, environment=LIVE) as fleet,
                AsyncExitStack() as stack,
            ):
                await repeat_all(fleet, stack)
                await stack.aclose()
                assert await fleet.server.stop() == 0
            await verified(data)
    kept = Kept(data)
    assert {key: [trace_id] for key, trace_id in traces.items()} == kept.keys


async def map_source(fleet: Fleet, source_id: str, instance_id: str) -> None:
    """A source comes to be, and gets a jackpot."""
    source = {"source_id": source_id, "source_name": source_id, "owner_id": "thrilltech"}
    (await fleet.admin.post("/config/sources", json=[source])).raise_for_status()
    assigned = {"owner_id": "thrilltech", "source_id": [source_id], "instance_id": instance_id}
    answer = await fleet.admin.post("/config/sources/assignjackpot", json=assigned)
    assert {"success": [source_id], "failed": []} == answer.raise_for_status().json()


class Callers:
    """Clients with keys of their own, who send again what was cut off; `told` are the trace ids, by key."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}
        self.bodies: dict[str, dict[str, Any]] = {}
        self.cut_off: list[str] = []
        self.repeats = 0
        self._next = 0

    async def life(self, server: ServerProcess, token: str, answers: int) -> None:
        """Callers until so many were answered; then everything of the server is killed under them."""
        count = Count()
        async with trio.open_nursery() as nursery:
            for _ in range(CLIENTS):
                nursery.start_soon(self._one, server.gateway_url, token, count)
            await count.reaches(answers)
            await server.kill()
            nursery.cancel_scope.cancel()

    async def ask_all(self, server: ServerProcess, token: str) -> None:
        """Everything that was ever asked, once more."""
        async with open_client(server.gateway_url, token) as gateway:
            for key in self.bodies:
                await self._ask(gateway, key)

    async def _one(self, url: str, token: str, count: Count) -> None:
        async with open_client(url, token) as gateway:
            while True:
                key = self.cut_off.pop() if self.cut_off else self._new_key()
                try:
                    await self._ask(gateway, key)
                except httpx.TransportError:
                    self.cut_off.append(key)
                    await trio.sleep_forever()
                except trio.Cancelled:
                    self.cut_off.append(key)
                    raise
                count.one_more()

    def _new_key(self) -> str:
        self._next += 1
        key, kind = f"key {self._next}", self._next % 4
        target = {0: "no-such-source", 1: SITEWIDE}.get(kind, "casino-slots")
        self.bodies[key] = body_v2(target, key, -1 if kind == 2 else 1)
        return key

    async def _ask(self, gateway: httpx.AsyncClient, key: str) -> None:
        answer = await gateway.post(CONTRIBUTE, json=self.bodies[key])
        trace_id = answer.headers["x-trace-id"]
        if answer.status_code == 204:
            self.repeats += 1
        else:
            assert answer.status_code == 200, answer.text
            assert key not in self.told
            assert {"trace_id": trace_id} == answer.json()
        assert trace_id == self.told.setdefault(key, trace_id)


def open_client(url: str, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url,
        headers={"Authorization": f"Bearer {token}"},
        limits=httpx.Limits(max_connections=1),
        timeout=TIMEOUT_S,
    )


@pytest.mark.parametrize("workers", [1, 3])
async def test_acceptance_survives_kills(tmp_path: Path, workers: int) -> None:
    """Killed under load again and again: what was answered is in the journals once, and its key knows its trace id."""
    data, callers = tmp_path / "data", Callers()
    server = ServerProcess(
        data, arguments=["--demo", "--workers", str(workers)], environment=LIVE, live=True
    )
    try:
        with trio.fail_after(2 * TIMEOUT_S):
            for life in range(LIVES + 1):
                await server.start()
                token = await token_of(server)
                if life < LIVES:
                    await callers.life(server, token, ANSWERS_PER_LIFE)
                    kept = Kept(data)
                    for key, trace_id in callers.told.items():
                        assert [trace_id] == kept.keys[key]
                        assert kept.only(trace_id)
                else:
                    await callers.ask_all(server, token)
            assert await server.stop() == 0
            await verified(data)
    except BaseException as error:
        with trio.CancelScope(shield=True):
            error.add_note((await server.stderr_tail())[-6000:])
        raise
    finally:
        with trio.CancelScope(shield=True):
            await server.close()
    kept = Kept(data)
    assert LIVES * ANSWERS_PER_LIFE <= len(callers.told) == len(callers.bodies)
    assert {key: [trace_id] for key, trace_id in callers.told.items()} == kept.keys
    assert callers.repeats >= LIVES * ANSWERS_PER_LIFE
    outcomes = {type(record) for found in kept.found.values() for record in found}
    assert {records.Entry, records.Declined} == outcomes


async def token_of(server: ServerProcess) -> str:
    body = {"username": "event-processor", "password": "event-processor-demo"}
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
        answer = await client.post(f"{server.gateway_url}/authenticate/service", json=body)
    token: str = answer.raise_for_status().json()["token"]
    return token
