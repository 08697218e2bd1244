"""Good requests with one or two places made wild: never a 5xx, and never a server that stays down.

Where the schema's fuzzer is stopped by the first check, these come from the inside: a template, a
contribution or an account that would be accepted, but for one value of another type, size or meaning.
A template that is accepted all the same is published, instantiated and contributed to.
"""

from __future__ import annotations

import copy
import json
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Platform, StartServer

TIME_S = 15.0
EXAMPLES = 1500
PLAIN_HTTP = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
SETTINGS = settings(
    max_examples=EXAMPLES,
    phases=[Phase.generate],
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
DELETED = object()

Path = tuple[str | int, ...]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["NaN", "1e999", "-0", "", ":", "EUR", "Active", "thrilltech:brand1", "\0"])
    | st.sampled_from([0, -1, 1e-9, 0.1, 1e308, 10**40, 2**63, 90_000_000_000])
)
WILD = st.just(DELETED) | st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=4,
)


def paths_of(value: Any, path: Path = ()) -> list[Path]:
    """Every place in a document below its root."""
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    below = [place for key, inner in items for place in paths_of(inner, (*path, key))]
    return [*([path] if path else []), *below]


def mutated(document: Any, path: Path, wild: object) -> Any:
    """The document with something else at the path, or nothing; as it is if the path is gone."""
    result = copy.deepcopy(document)
    with suppress(KeyError, IndexError, TypeError):
        inner = result
        for key in path[:-1]:
            inner = inner[key]
        if wild is DELETED:
            del inner[path[-1]]
        else:
            inner[path[-1]] = wild
    return result


class Mutator:
    """Sends mutated requests and keeps every answer of 500 and above."""

    def __init__(self, platform: Platform, requests: list[tuple[str, str, str, Any]]) -> None:
        self.failures: list[str] = []
        self.statuses: list[int] = []
        self._requests = requests
        self._urls = {"gateway": platform.gateway.url, "admin": platform.admin.url}
        self._tokens = {"gateway": platform.tokens.service, "admin": platform.tokens.admin}
        self._contribution = platform.v1()
        self._client = httpx.Client(verify=PLAIN_HTTP, trust_env=False, timeout=10)

    def run(self) -> None:
        end = time.monotonic() + TIME_S

        @SETTINGS
        @given(data=st.data())
        def examine(data: st.DataObject) -> None:
            listener, method, path, body = data.draw(st.sampled_from(self._requests))
            for _ in range(data.draw(st.integers(1, 2))):
                place = data.draw(st.sampled_from(paths_of(body) or [()]))
                if place:
                    body = mutated(body, place, data.draw(WILD))
            if time.monotonic() > end:  # only now: an example draws the same in every run
                return
            answer = self._send(listener, method, path, body)
            if path == "/templates" and answer.status_code in {200, 201}:
                self._use(answer.json())

        with self._client:
            examine()

    def _send(self, listener: str, method: str, path: str, body: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._tokens[listener]}"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        url = self._urls[listener] + path
        answer = self._client.request(method, url, headers=headers, content=content)
        self.statuses.append(answer.status_code)
        if answer.status_code >= 500:
            self.failures.append(
                f"{answer.status_code} {answer.text[:200]}\n  {method} {path} {content!r}"
            )
        return answer

    def _use(self, created: Json) -> None:
        owner, template = created["owner_id"], created["id"]
        if not isinstance(template, str) or not template.isascii() or "/" in template:
            return
        publish = httpx.URL(f"/templates/{template}/publish", params={"owner_id": owner})
        self._send("admin", "POST", str(publish), None)
        instantiation = {
            "template_owner_id": owner,
            "template_id": template,
            "instance_owner_id": owner,
            "instance_name": "wild",
        }
        answer = self._send("admin", "POST", "/templates/instantiate", instantiation)
        if answer.status_code in {200, 201}:
            for wager in (0, 1, "0.00000001", 10_000):
                body = self._contribution | {"base_wager": wager}
                body["instance_id"] = answer.json()["id"]
                self._send("gateway", "POST", "/jackpots/contribute/instance", body)


async def good_requests(platform: Platform) -> list[tuple[str, str, str, Any]]:
    """(listener, method, path, body) of requests that are accepted as they are."""
    linked = await platform.jackpot()
    variable = {"Variable": {"min": 0.1, "max": 5, "default": 0.1}}
    jackpot = await platform.jackpot(rules={"contribution_type": variable}, linked=linked)
    source = await platform.source(jackpot)
    template = platform.template()
    await platform.publish(template)
    plain = platform.template()
    richer = platform.template(
        pots=[
            platform.pot("a", contribution={"Percentage": 0.35}),
            platform.pot("b", odds=1, contribution={"Percentage": 0.35}),
        ],
        rules={
            "contribution_type": variable,
            "currency_values": {"USD": {"min": 1, "max": 5, "default": 1}},
        },
        allowed_countries=["MT"],
        blocked_countries=["XX"],
    )
    del plain["id"], richer["id"]  # each that is accepted gets one of its own
    options: Json = {"vertical_id": "slots", "allow_linked_contributions": True}
    preference = {"value": "0.2", "currency": "EUR"}
    player = {"id": platform.player, "country": "MT", "brand_id": "brand1"}
    opt_in: Json = {"player_id": platform.player, "player_country": "MT", "opt_in": True}
    v2_opt_in: Json = {"operator_id": "thrilltech", "player": player, "opt_in": True}
    target = {"type": "instance", "id": jackpot}
    account = {
        "username": platform.unique("account"),
        "password": "Correct-Horse-7-Battery",
        "account_type": "User",
        "org_id": "thrilltech",
        "unit_ids": ["brand1"],
        "permissions": [{"resource_id": "*", "permission": "Write"}],
    }
    sources = [{"owner_id": platform.brand, "source_name": "x", "source_id": "wild"}]
    assignment = {"owner_id": platform.brand, "source_id": [source], "instance_id": jackpot}
    return [
        ("admin", "POST", "/templates", plain),
        ("admin", "POST", "/templates", richer),
        ("admin", "POST", "/templates", platform.template()),
        ("admin", "POST", "/templates/instantiate", platform.instantiation(template)),
        ("admin", "POST", "/config/operators", [{"id": "wild", "name": "Wild"}]),
        ("admin", "POST", "/config/sources", sources),
        ("admin", "POST", "/config/sources/assignjackpot", assignment | {"priority": 1}),
        ("admin", "PUT", f"/instances/{jackpot}/links", {"linked_instances": [linked]}),
        ("admin", "PUT", f"/instances/{linked}/status", {"status": "Paused", "reason": "r"}),
        ("admin", "POST", "/admin/accounts", account),
        (
            "admin",
            "PUT",
            f"/config/currencies/{platform.other_brand}",
            {"base_currency": "EUR", "multipliers": {"USD": 1.1, "JPY": 160}},
        ),
        ("gateway", "POST", "/jackpots/contribute/instance", platform.v1(instance_id=jackpot)),
        (
            "gateway",
            "POST",
            "/jackpots/contribute/source",
            platform.v1(source_id=source, segments=["a"], idempotency_key="wild", metadata={}),
        ),
        (
            "gateway",
            "POST",
            "/v2/jackpots/contribute",
            platform.v2("instance", jackpot, options=options | {"idempotency_key": "wilder"}),
        ),
        (
            "gateway",
            "POST",
            "/v2/jackpots/contribute",
            platform.v2("source", source, options=options, metadata={}, event_metadata={}),
        ),
        (
            "gateway",
            "POST",
            "/jackpots/optin",
            opt_in
            | {"instance_id": jackpot, "brand_id": platform.brand}
            | {"contribution_value": "0.2", "contribution_currency": "EUR"},
        ),
        (
            "gateway",
            "POST",
            "/v2/jackpots/optin",
            v2_opt_in
            | {"target": target, "opt_linked": True}
            | {"contribution_preference": preference},
        ),
    ]


async def operators_requests(platform: Platform) -> list[tuple[str, str, str, Any]]:
    """The same, of what operators do to a live jackpot."""
    pot = platform.pot(supports_external_trigger=True)
    jackpot = await platform.jackpot(pots=[pot], withhold_wins_above=1000)
    heir = await platform.jackpot()
    seeds = {"initial_seed_value": 0, "min_reseed_value": 1}
    template = platform.template(pots=[platform.pot(seed_strategy=seeds)])
    await platform.publish(template)
    money = {"pot_id": "main", "amount": 1.5, "reason": "r"}
    player = {"id": platform.player, "brand_id": "brand1", "currency": "USD"}
    pot_changes = {
        "max_pot_value": 1_000_000,
        "pot_types": [{"HitRate": {"max_magic_number": 7, "cost_per_attempt": 0.1}}],
        "seed_strategy": {"min_reseed_value": 5},
    }
    changes = {"pots": {"main": pot_changes}, "win_selector_strategy": "All"}
    target = {"pot_id": "main", "instance_id": heir, "target_pot_id": "main"}
    switch = {
        "source_instance_id": jackpot,
        "template_id": template["id"],
        "template_owner_id": template["owner_id"],
        "target_instance_owner_id": platform.operator,
        "target_instance_name": "wild",
        "pot_rules": [{"source_pot": "main", "target_pot": {"main": 1}}],
        "transfer_optins": True,
        "reason": "r",
        "dry_run": True,
    }
    path = f"/instances/{jackpot}"
    trigger = {"player": player, "gameround_id": "wild", "reason": "r"}
    parameters = {"changes": changes, "reason": "r"}
    decommission = {"destinations": [target], "reason": "r", "dry_run": True}
    return [
        ("admin", "POST", f"{path}/seedboosts", money),
        ("admin", "POST", f"{path}/adjustments", money),
        ("admin", "POST", f"{path}/pots/main/trigger", trigger),
        ("admin", "PUT", f"{path}/parameters", parameters),
        ("admin", "POST", f"{path}/decommission", decommission),
        ("admin", "POST", "/instances/switchmodel", switch),
        ("admin", "POST", f"{path}/withheld/wild/main/release", {"reason": "r"}),
    ]


async def test_mutated_requests_answer_no_5xx(start_server: StartServer) -> None:
    """One wild value in a good request is a 4xx or is taken; afterwards the server starts again."""
    async with start_server() as (server, platform):
        requests = [*await good_requests(platform), *await operators_requests(platform)]
        mutator = Mutator(platform, requests)
        await trio.to_thread.run_sync(mutator.run)

        assert mutator.failures == []
        assert len(mutator.statuses) > 200
        await server.restart()
        assert (await platform.contribute(await platform.jackpot())).status == 200
