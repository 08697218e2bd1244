"""Raffles and schedules with one or two places made wild: never a 5xx, and never a jackpot out of service.

What is accepted all the same is used: instantiated, played, rescheduled, changed, and read.
"""

from __future__ import annotations

import json
import ssl
import time
from typing import TYPE_CHECKING, Any

import httpx
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.raffles import DAY_MS, daily, now_ms, raffle, raffle_template, weekly
from tests.contract.test_fuzz_mutations import SETTINGS, WILD, mutated, paths_of

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Platform, StartServer

TIME_S = 10.0
EXAMPLES = 500
PLAIN_HTTP = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
OF_TIME = st.sampled_from([1704067200000, 946684800000, 7258118399999, 4102444800000, 23, 59, 1000])


class Gamester:
    """Sends what is wild and uses what is accepted; keeps every answer of 500 and above."""

    def __init__(self, platform: Platform, instances: list[str]) -> None:
        self.failures: list[str] = []
        self.accepted = 0
        self._urls = {"gateway": platform.gateway.url, "admin": platform.admin.url}
        self._tokens = {"gateway": platform.tokens.service, "admin": platform.tokens.admin}
        self._platform = platform
        self._instances = instances
        self._client = httpx.Client(verify=PLAIN_HTTP, trust_env=False, timeout=10)

    def run(self) -> None:
        end = time.monotonic() + TIME_S

        @settings(SETTINGS, max_examples=EXAMPLES)
        @given(data=st.data())
        def examine(data: st.DataObject) -> None:
            what = data.draw(st.sampled_from(["schedule", "parameters", "template", "birth"]))
            body = self._good(what)
            for _ in range(data.draw(st.integers(1, 2))):
                place = data.draw(st.sampled_from(paths_of(body) or [()]))
                if place:
                    body = mutated(body, place, data.draw(OF_TIME | WILD))
            instance_id = data.draw(st.sampled_from(self._instances))
            if time.monotonic() < end:  # an example draws the same in every run
                self._send_one(what, body, instance_id)

        with self._client:
            examine()

    def _good(self, what: str) -> Json:
        schedule = {
            "timestamp_start": now_ms() - DAY_MS,
            "timestamp_end": now_ms() + 400 * DAY_MS,
            "recurrence_rules": [
                daily((0, 24), interval=2),
                daily((22, 3)),
                weekly(["Mon", None], ["Tue", {"Daily": {"hours": [[{"hour": 1}, {"hour": 0}]]}}]),
            ],
        }
        if what == "schedule":
            return schedule | {"brand_id": "brand1", "reason": "r"}
        if what == "parameters":
            return {"changes": {"raffle": raffle()}, "reason": "r"}
        template = raffle_template(self._platform, raffle=raffle(duration={"Seconds": 1}))
        return template if what == "template" else {"schedule": schedule}

    def _send_one(self, what: str, body: Json, instance_id: str) -> None:
        if what in ("schedule", "parameters"):
            self._accept("PUT", f"/instances/{instance_id}/{what}", body)
        else:
            template = body if what == "template" else self._good("template")
            created = self._accept("POST", "/templates", template)
            if created is None or not isinstance(created["id"], str) or "/" in created["id"]:
                return
            good = {"schedule": {"timestamp_start": now_ms() - 5000, "timestamp_end": None}}
            born = self._born(created, good if what == "template" else body)
            if born is None:
                return
            instance_id = born["id"]
        self._play(instance_id)

    def _born(self, template: Json, more: Json) -> Json | None:
        publish = httpx.URL(
            f"/templates/{template['id']}/publish", params={"owner_id": template["owner_id"]}
        )
        self._send("admin", "POST", str(publish), None)
        body = self._platform.instantiation(template, **more)
        return self._accept("POST", "/templates/instantiate", body)

    def _play(self, instance_id: str) -> None:
        path = f"/instances/{instance_id}"
        for query in ("", f"?from=1704067200000&to={1704067200000 + 300 * DAY_MS}"):
            self._send("admin", "GET", f"{path}/schedule{query}", None)
        for name in ("", "/rounds", "/rounds/1", "/parameters"):
            self._send("admin", "GET", path + name, None)
        body = self._platform.v1(instance_id=instance_id, base_wager=5)
        self._send("gateway", "POST", "/jackpots/contribute/instance", body)

    def _accept(self, method: str, path: str, body: Any) -> Json | None:
        answer = self._send("admin", method, path, body)
        if answer.status_code not in {200, 201}:
            return None
        self.accepted += 1
        return dict(answer.json())

    def _send(self, listener: str, method: str, path: str, body: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._tokens[listener]}"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        url = self._urls[listener] + path
        answer = self._client.request(method, url, headers=headers, content=content)
        if answer.status_code >= 500:
            told = f"{answer.status_code} {answer.text[:200]}\n  {method} {path} {content!r}"
            self.failures.append(told)
        return answer


async def test_wild_raffles_and_schedules_answer_no_5xx(start_server: StartServer) -> None:
    """Whatever is accepted can be played and read, and the server starts again with all of it."""
    async with start_server() as (server, platform):
        long, short = raffle(), raffle(duration={"Seconds": 1})
        instances = [await platform.jackpot()]
        for rules in (long, short):
            template = raffle_template(platform, raffle=rules)
            await platform.publish(template)
            body = platform.instantiation(template, schedule={"timestamp_start": now_ms()})
            created = await platform.admin.post("/templates/instantiate", body)
            instances.append(str(created.successful().body["id"]))
        gamester = Gamester(platform, instances)
        await trio.to_thread.run_sync(gamester.run)

        assert gamester.failures == []
        assert gamester.accepted > 20
        await server.kill()
        await server.start()
        for instance_id in instances:
            assert (await platform.admin.get(f"/instances/{instance_id}")).status == 200
            assert (await platform.contribute(instance_id)).status < 500
