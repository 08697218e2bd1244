"""Anything that the published schemas allow, and much that they do not: never a 5xx.

Each listener is fuzzed from its own `/openapi.json` on a server of its own, since a fuzzer that is
an administrator changes everything. Half of the cases carry ids that exist, so that they get past
the first check. The examples are derived from the schema alone and are the same in every run; each
operation has its share of the time. What was accepted is on disk then: the server must start again
with it.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import schemathesis
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Platform, StartServer

LISTENER_TIME_S = 20.0
EXAMPLES_PER_OPERATION = 40
REQUEST_TIMEOUT_S = 10.0
SETTINGS = settings(
    max_examples=EXAMPLES_PER_OPERATION,
    phases=[Phase.generate],
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def grounded(value: Any, known: Json) -> Any:
    """The value with what is under a known name replaced by something that exists."""
    if isinstance(value, dict):
        return {key: grounded_field(key, inner, known) for key, inner in value.items()}
    if isinstance(value, list):
        return [grounded(inner, known) for inner in value]
    return value


def grounded_field(key: str, inner: Any, known: Json) -> Any:
    if key == "target" and isinstance(inner, dict):
        return {"type": "instance", "id": known["instance_id"]}
    if key == "player" and isinstance(inner, dict):
        return grounded(inner, known | {"brand_id": known["brand_id"].partition(":")[2]})
    if key not in known or isinstance(inner, dict):
        return grounded(inner, known)
    return [known[key]] if isinstance(inner, list) else known[key]


class TimeOverError(Exception):
    """The other calls want their turn: making up further cases would take as long as sending them."""


class Fuzzer:
    """Runs the cases of one schema against one listener and keeps every answer of 500 and above."""

    def __init__(self, url: str, token: str, schema: Json, known: Json) -> None:
        self.failures: list[str] = []
        self.requests = 0
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._known = known
        self._operations = [
            result.ok()
            for result in schemathesis.openapi.from_dict(schema).get_all_operations()
            if isinstance(result, Ok)
        ]

    def run(self) -> None:
        share_s = LISTENER_TIME_S / (2 * len(self._operations))
        for operation in self._operations:
            for mode in (
                schemathesis.GenerationMode.POSITIVE,
                schemathesis.GenerationMode.NEGATIVE,
            ):
                self._fuzz(operation, mode, time.monotonic() + share_s)

    def _fuzz(self, operation: Any, mode: schemathesis.GenerationMode, end: float) -> None:
        @SETTINGS
        @given(case=operation.as_strategy(generation_mode=mode), ground=st.booleans())
        def examine(case: schemathesis.Case[Any], ground: bool) -> None:
            if time.monotonic() >= end:
                raise TimeOverError
            self._send(case, ground=ground)

        # A call without parameters cannot be called wrongly.
        with suppress(Unsatisfiable, TimeOverError):
            examine()

    def _send(self, case: schemathesis.Case[Any], *, ground: bool) -> None:
        if ground:
            for part in ("path_parameters", "query", "body"):
                setattr(case, part, grounded(getattr(case, part), self._known))
        response = case.call(base_url=self._url, headers=self._headers, timeout=REQUEST_TIMEOUT_S)
        self.requests += 1
        if response.status_code >= 500:
            request = case.as_curl_command(headers={"Authorization": "Bearer …"})
            self.failures.append(f"{response.status_code} {response.text[:200]}\n  {request}")


async def fuzz(platform: Platform, url: str, token: str, schema: Json) -> Fuzzer:
    jackpot = await platform.jackpot()
    source = await platform.source(jackpot)
    template = platform.template()
    await platform.publish(template)
    known: Json = {
        "instance_id": jackpot,
        "source_id": source,
        "brand_id": platform.brand,
        "operator_id": platform.operator,
        "owner_id": platform.brand,
        "template_id": template["id"],
        "template_owner_id": platform.operator,
        "instance_owner_id": platform.operator,
        "player_id": platform.player,
        "player_country": "MT",
        "currency": "EUR",
    }
    fuzzer = Fuzzer(url, token, schema, known)
    await trio.to_thread.run_sync(fuzzer.run)
    return fuzzer


async def test_gateway_answers_no_5xx(start_server: StartServer) -> None:
    """Whatever the gateway's schema lets a client send, it is never the server's fault."""
    async with start_server() as (server, platform):
        schema = json.loads((await platform.gateway.get("/openapi.json")).text)
        token = platform.tokens.service
        fuzzer = await fuzz(platform, server.gateway_url, token, schema)

        assert fuzzer.failures == []
        assert fuzzer.requests > 100
        await server.restart()
        assert (await platform.gateway.get("/health")).status == 200
        assert (await platform.contribute(await platform.jackpot())).status == 200


async def test_admin_answers_no_5xx(start_server: StartServer) -> None:
    """Whatever the admin's schema lets a client send, it is never the server's fault."""
    async with start_server() as (server, platform):
        schema = json.loads((await platform.admin.get("/openapi.json")).text)
        token = platform.tokens.admin
        fuzzer = await fuzz(platform, server.admin_url, token, schema)

        assert fuzzer.failures == []
        assert fuzzer.requests > 100
        await server.restart()
        assert (await platform.admin.get("/health")).status == 200
