"""The black-box suite of the contract: the program over HTTP, and nothing else.

`platform` is what a test asks for: one server for the session, with its demo data, and the calls
that an operator and an integrator make. Tests share that server, so each brings its own jackpots,
sources, players and keys. A test about restarts or crashes takes `start_server` and has a server
to itself. Modules import the types of this file for their annotations only; values come as
fixtures.
"""

from __future__ import annotations

import json
import ssl
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import trio

from jackpotd.testing.server_process import ServerProcess, running_server, server_in_thread
from tests.contract.streams import Live
from tests.contract.webhook_receivers import ELSEWHERE, SECRET, Receivers, open_receivers

Json = dict[str, Any]
Headers = Mapping[str, str] | None
Params = Mapping[str, str | int] | None

TEST_TIMEOUT_S: Final = 30.0
REQUEST_TIMEOUT_S: Final = 20.0
NEVER: Final = 1_000_000_000  # one in so many: a pot that no test will see won
PASSWORD: Final = "Correct-Horse-7-Battery"
LAB_RATES: Final = {"JPY": 160, "KWD": 0.5, "USD": 2, "GBP": 0.5}
_PLAIN_HTTP: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # spares each client the CA bundle


@dataclass(frozen=True)
class Answer:
    """What came back; `body` is the JSON with exact decimals, or None."""

    status: int
    headers: httpx.Headers
    text: str
    body: Any

    @property
    def refusal(self) -> tuple[int, str, str]:
        """(status, code, message) of a documented error, once it agrees with its HTTP status."""
        assert self.status >= 400, self.text
        assert {"status_code", "code", "message"} == set(self.body), self.text
        assert self.status == self.body["status_code"]
        assert isinstance(self.body["message"], str)
        return self.status, self.body["code"], self.body["message"]

    def successful(self) -> Answer:
        assert self.status in {200, 201}, f"{self.status} {self.text}"
        return self


class Caller:
    """One account on one listener; the URL is asked for at each call, so a restart is no matter."""

    def __init__(
        self, client: httpx.AsyncClient, url: Callable[[], str], token: str | None
    ) -> None:
        self._client = client
        self._url = url
        self._token = token

    @property
    def url(self) -> str:
        return self._url()

    def with_token(self, token: str | None) -> Caller:
        return Caller(self._client, self._url, token)

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | AsyncIterator[bytes] | None = None,
        headers: Headers = None,
        params: Params = None,
    ) -> Answer:
        head: dict[str, str] = {}
        if self._token is not None:
            head["Authorization"] = f"Bearer {self._token}"
        content = raw
        if body is not None:
            content = json.dumps(body).encode()
            head["Content-Type"] = "application/json"
        head.update(headers or {})
        response = await self._client.request(
            method, self._url() + path, content=content, headers=head, params=params
        )
        return _answer(response)

    async def get(self, path: str, params: Params = None, *, headers: Headers = None) -> Answer:
        return await self.send("GET", path, params=params, headers=headers)

    async def post(self, path: str, body: object = None, *, headers: Headers = None) -> Answer:
        return await self.send("POST", path, body, headers=headers)

    async def put(self, path: str, body: object) -> Answer:
        return await self.send("PUT", path, body)

    async def delete(self, path: str) -> Answer:
        return await self.send("DELETE", path)


def _answer(response: httpx.Response) -> Answer:
    body: Any = None
    if response.content and "json" in response.headers.get("Content-Type", ""):
        body = json.loads(response.text, parse_float=Decimal)
    return Answer(response.status_code, response.headers, response.text, body)


@dataclass(frozen=True)
class Tokens:
    """The two demo accounts, logged in."""

    service: str
    admin: str


@dataclass(frozen=True)
class Lab:
    """An operator of the session's own: brand `one` with its own rates, brand `two` without."""

    operator: str
    one: str
    two: str
    service: str  # of the whole operator, as an account without units is
    service_one: str  # brand one only
    user: str  # a person who administers this operator


class Platform:
    """A running server with its demo accounts, and short ways to set up what a test needs."""

    operator: Final = "thrilltech"
    brand: Final = "thrilltech:brand1"
    other_brand: Final = "thrilltech:brand2"
    connection_errors: Final = httpx.TransportError

    def __init__(self, client: httpx.AsyncClient, server: ServerProcess, tokens: Tokens) -> None:
        self.client: Final = client
        self.gateway: Final = Caller(client, lambda: server.gateway_url, tokens.service)
        self.admin: Final = Caller(client, lambda: server.admin_url, tokens.admin)
        self.tokens: Final = tokens
        self.player: Final = self.unique("player")

    @staticmethod
    def unique(prefix: str) -> str:
        return f"{prefix}-{uuid.uuid4().hex[:16]}"

    # What the operator sets up

    def pot(self, pot_id: str = "main", *, odds: int = NEVER, **changes: object) -> Json:
        """A pot that takes 0.7 of a contribution, keeps half of that as seed, and starts at 10."""
        seeds = {
            "initial_seed_value": 10,
            "min_reseed_value": 10,
            "fund_strategy": "CollectToMinReseed",
            "reseed_strategy": "Full",
        }
        pot: Json = {
            "id": pot_id,
            "is_progressive": True,
            "contribution": {"Percentage": 0.7},
            "seed_contribution": {"Percentage": 0.5},
            "seed_strategy": seeds,
            "max_instantiation_count": None,
            "pot_types": [{"HitRate": {"max_magic_number": odds, "cost_per_attempt": 0.1}}],
        }
        return pot | changes

    def template(self, *, rules: Json | None = None, **changes: object) -> Json:
        """A one-pot template of the demo operator, fixed 0.10, open to all; `rules` are merged."""
        contribution_rules: Json = {
            "opt_in_required": False,
            "contribution_type": {"Fixed": 0.1},
            "operator_contribution_percentage": 0,
        }
        template: Json = {
            "id": self.unique("template"),
            "name": "A test's jackpot",
            "owner_id": self.operator,
            "currency": "EUR",
            "jackpot_type": "Jackpot",
            "allowed_brands": [self.brand, self.other_brand],
            "contribution_rules": contribution_rules | (rules or {}),
            "house_hold_contribution": {"Percentage": 0.3},
            "win_selector_strategy": "Highest",
            "pots": [self.pot()],
        }
        return template | changes

    def instantiation(self, template: Json, **changes: object) -> Json:
        instantiation: Json = {
            "template_owner_id": template["owner_id"],
            "template_id": template["id"],
            "instance_owner_id": template["owner_id"],
            "instance_name": template["id"],
        }
        return instantiation | changes

    async def publish(self, template: Json) -> None:
        (await self.admin.post("/templates", template)).successful()
        owner = {"owner_id": template["owner_id"]}
        path = f"/templates/{template['id']}/publish"
        (await self.admin.send("POST", path, params=owner)).successful()

    async def jackpot(
        self,
        *,
        rules: Json | None = None,
        status: str = "Active",
        linked: str | None = None,
        **changes: object,
    ) -> str:
        """The id of a new instance of a template of its own."""
        template = self.template(rules=rules, **changes)
        await self.publish(template)
        body = self.instantiation(template, status=status)
        if linked is not None:
            body["linked_instance"] = linked
        created = await self.admin.post("/templates/instantiate", body)
        return str(created.successful().body["id"])

    async def source(
        self, *instances: str, source_id: str | None = None, owner: str = brand
    ) -> str:
        """The id of a source, a new one by default, mapped to the instances in this order."""
        source_id = source_id or self.unique("source")
        source = {"owner_id": owner, "source_name": f"The {source_id}", "source_id": source_id}
        created = (await self.admin.post("/config/sources", [source])).successful()
        assert created.body["failed"] == []
        for instance_id in instances:
            await self.assign(source_id, instance_id, owner=owner)
        return source_id

    async def assign(
        self, source_id: str, instance_id: str, *, owner: str = brand, **more: int
    ) -> None:
        body = {"owner_id": owner, "source_id": [source_id], "instance_id": instance_id, **more}
        assigned = (await self.admin.post("/config/sources/assignjackpot", body)).successful()
        assert assigned.body["failed"] == []

    async def unassign(self, source_id: str, instance_id: str, *, owner: str = brand) -> None:
        body = {"owner_id": owner, "source_id": [source_id], "instance_id": instance_id}
        (await self.admin.post("/config/sources/unassignjackpot", body)).successful()

    async def link(self, instance_id: str, *linked: str) -> None:
        body = {"linked_instances": list(linked)}
        (await self.admin.put(f"/instances/{instance_id}/links", body)).successful()

    async def set_status(self, instance_id: str, status: str) -> Answer:
        body = {"status": status, "reason": "a test asks for it"}
        return await self.admin.put(f"/instances/{instance_id}/status", body)

    # What an integrator sends

    def v1(self, **changes: object) -> Json:
        """A v1 body without its target; an argument `None` stays in the body as null."""
        body: Json = {
            "token": "token_00001",
            "brand_id": self.brand,
            "player_id": self.player,
            "player_country": "MT",
            "gameround_id": "1000",
            "base_wager": 1,
            "currency": "EUR",
        }
        return body | changes

    def v2(
        self,
        kind: str,
        target: str,
        *,
        player: Json | None = None,
        options: Json | None = None,
        **changes: object,
    ) -> Json:
        operator, _, brand = self.brand.partition(":")
        body: Json = {
            "target": {"type": kind, "id": target},
            "operator_id": operator,
            "player": {
                "id": self.player,
                "token": "token_00001",
                "country": "MT",
                "brand_id": brand,
                "segments": [],
                **(player or {}),
            },
            "base_wager": {"currency": "EUR", "value": 1},
            "source": {"type": "gameround", "id": "1000"},
        }
        if options is not None:
            body["options"] = options
        return body | changes

    async def contribute(
        self, instance_id: str, *, headers: Mapping[str, str] | None = None, **changes: object
    ) -> Answer:
        """v1, direct to the instance."""
        body = self.v1(instance_id=instance_id, **changes)
        return await self.gateway.post("/jackpots/contribute/instance", body, headers=headers)

    async def contribute_by_source(
        self, source_id: str, *, headers: Mapping[str, str] | None = None, **changes: object
    ) -> Answer:
        """v1, by source."""
        body = self.v1(source_id=source_id, **changes)
        return await self.gateway.post("/jackpots/contribute/source", body, headers=headers)

    async def contribute_v2(
        self,
        kind: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        player: Json | None = None,
        options: Json | None = None,
        **changes: object,
    ) -> Answer:
        body = self.v2(kind, target, player=player, options=options, **changes)
        return await self.gateway.post("/v2/jackpots/contribute", body, headers=headers)

    async def opt_in(self, instance_id: str, opt_in: bool = True, **changes: object) -> Answer:
        """v1."""
        body: Json = {
            "instance_id": instance_id,
            "player_id": self.player,
            "brand_id": self.brand,
            "player_country": "MT",
            "opt_in": opt_in,
        }
        return await self.gateway.post("/jackpots/optin", body | changes)

    async def opt_in_v2(self, kind: str, target: str, **changes: object) -> Answer:
        body: Json = {
            "target": {"type": kind, "id": target},
            "operator_id": self.operator,
            "player": {"id": self.player, "country": "MT", "brand_id": "brand1"},
            "opt_in": True,
        }
        return await self.gateway.post("/v2/jackpots/optin", body | changes)

    # What anybody can see

    async def instance(self, instance_id: str) -> Json:
        return dict((await self.admin.get(f"/instances/{instance_id}")).successful().body)

    async def pots(self, instance_id: str) -> dict[str, Decimal]:
        """pot id → its current value."""
        instance = await self.instance(instance_id)
        return {pot["id"]: Decimal(str(pot["current_value"])) for pot in instance["pots"]}

    async def main_pot(self, instance_id: str) -> Decimal:
        return (await self.pots(instance_id))["main"]

    async def winners(self, instance_id: str, **params: str | int) -> list[Json]:
        path = f"/jackpots/instances/jackpot/{instance_id}/latest_winners"
        return list((await self.gateway.get(path, params)).successful().body)


# Starts a server on a directory of the test's own, for `async with`.
StartServer = Callable[..., AbstractAsyncContextManager[tuple[ServerProcess, Platform]]]
StartLive = Callable[..., AbstractAsyncContextManager[Live]]


def _client(*, idle_connections: int = 20) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        verify=_PLAIN_HTTP,
        timeout=REQUEST_TIMEOUT_S,
        trust_env=False,
        limits=httpx.Limits(max_keepalive_connections=idle_connections),
    )


async def _log_in(client: httpx.AsyncClient, server: ServerProcess) -> Tokens:
    async def token(url: str, username: str) -> str:
        body = {"username": username, "password": f"{username}-demo"}
        return str((await client.post(url, json=body)).raise_for_status().json()["token"])

    return Tokens(
        service=await token(f"{server.gateway_url}/authenticate/service", "event-processor"),
        admin=await token(f"{server.admin_url}/accounts/auth", "admin"),
    )


async def _new_account(
    platform: Platform, kind: str, operator: str | None, units: list[str]
) -> str:
    """The token of a new account that may do everything within what it reaches."""
    username = platform.unique("account")
    account = {
        "username": username,
        "password": PASSWORD,
        "account_type": kind,
        "org_id": operator,
        "unit_ids": units,
        "permissions": [{"resource_id": "*", "permission": "Write"}],
    }
    (await platform.admin.post("/admin/accounts", account)).successful()
    login = {"username": username, "password": PASSWORD}
    if kind == "Service":
        answer = await platform.gateway.post("/authenticate/service", login)
    else:
        answer = await platform.admin.post("/accounts/auth", login)
    return str(answer.successful().body["token"])


async def _build_lab(platform: Platform) -> Lab:
    operator, admin = platform.unique("lab"), platform.admin
    (await admin.post("/config/operators", [{"id": operator, "name": "Lab"}])).successful()
    brands = [{"id": "one", "name": "One"}, {"id": "two", "name": "Two"}]
    (await admin.post(f"/config/operators/{operator}/brands", brands)).successful()
    rates = {"base_currency": "EUR", "multipliers": LAB_RATES}
    (await admin.put(f"/config/currencies/{operator}:one", rates)).successful()

    async def account(kind: str, units: list[str]) -> str:
        return await _new_account(platform, kind, operator, units)

    return Lab(
        operator=operator,
        one=f"{operator}:one",
        two=f"{operator}:two",
        service=await account("Service", []),
        service_one=await account("Service", ["one"]),
        user=await account("User", []),
    )


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The session's server."""
    with server_in_thread(tmp_path_factory.mktemp("session") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def tokens(server: ServerProcess) -> Tokens:
    """The demo accounts of the session's server."""

    async def log_in() -> Tokens:
        with trio.fail_after(TEST_TIMEOUT_S):
            async with _client() as client:
                return await _log_in(client, server)

    return trio.run(log_in)


@pytest.fixture(scope="session")
def lab(server: ServerProcess, tokens: Tokens) -> Lab:
    """A second operator on the session's server."""

    async def build() -> Lab:
        with trio.fail_after(TEST_TIMEOUT_S):
            async with _client() as client:
                return await _build_lab(Platform(client, server, tokens))

    return trio.run(build)


@pytest.fixture
async def deadline() -> AsyncIterator[None]:
    """No test of this suite hangs."""
    with trio.fail_after(TEST_TIMEOUT_S):
        yield


@pytest.fixture
async def platform(
    deadline: None,  # noqa: ARG001
    server: ServerProcess,
    tokens: Tokens,
) -> AsyncIterator[Platform]:
    """The session's server, and a player whom no other test knows."""
    async with _client() as client:
        yield Platform(client, server, tokens)


@pytest.fixture
def start_server(tmp_path: Path) -> StartServer:
    """A server of the test's own; every use in one test serves the same directory."""

    @asynccontextmanager
    async def start(
        *, environment: Mapping[str, str] | None = None
    ) -> AsyncIterator[tuple[ServerProcess, Platform]]:
        with trio.fail_after(2 * TEST_TIMEOUT_S):
            async with (
                running_server(tmp_path / "data", environment=environment) as server,
                _client(idle_connections=0) as client,
            ):
                yield server, Platform(client, server, await _log_in(client, server))

    return start


# The same with its events, Connect and webhooks


def _live_environment(receivers: Receivers, **more: str) -> dict[str, str]:
    allow = (receivers.main.prefix, receivers.other.prefix, ELSEWHERE)
    return {
        "JACKPOTD_WEBHOOKS_ALLOW": ",".join(allow),
        "JACKPOTD_EVENTS_UPDATE_INTERVAL_S": "0.2",
        **more,
    }


def _live(client: httpx.AsyncClient, server: ServerProcess, tokens: Tokens) -> Live:
    connect = Caller(client, lambda: server.connect_url, None)
    return Live(server, Platform(client, server, tokens), connect)


async def _log_in_live(client: httpx.AsyncClient, server: ServerProcess) -> Tokens:
    """The demo accounts; what is sent to webhooks of the demo's operator is signed with a known secret."""
    tokens = await _log_in(client, server)
    webhooks = {"allow": [], "secrets": [SECRET]}
    path = f"/config/operators/{Platform.operator}/webhooks"
    (await Platform(client, server, tokens).admin.put(path, webhooks)).successful()
    return tokens


def _log_in_once(server: ServerProcess) -> Tokens:
    async def log_in() -> Tokens:
        with trio.fail_after(TEST_TIMEOUT_S):
            async with _client() as client:
                return await _log_in_live(client, server)

    return trio.run(log_in)


@pytest.fixture(scope="session")
def receivers() -> Iterator[Receivers]:
    """The session's receivers of webhooks."""
    with open_receivers() as opened:
        yield opened


@pytest.fixture(scope="session")
def live_server(
    tmp_path_factory: pytest.TempPathFactory, receivers: Receivers
) -> Iterator[ServerProcess]:
    """The session's server with its events; updates come five times a second."""
    data_dir = tmp_path_factory.mktemp("live") / "data"
    environment = _live_environment(receivers)
    with server_in_thread(data_dir, environment=environment, live=True) as server:
        yield server


@pytest.fixture(scope="session")
def live_tokens(live_server: ServerProcess) -> Tokens:
    """The demo accounts of the live server."""
    return _log_in_once(live_server)


@pytest.fixture(scope="session")
def live_lab(live_server: ServerProcess, live_tokens: Tokens) -> Lab:
    """A second operator on the live server."""

    async def build() -> Lab:
        with trio.fail_after(TEST_TIMEOUT_S):
            async with _client() as client:
                return await _build_lab(Platform(client, live_server, live_tokens))

    return trio.run(build)


@pytest.fixture(scope="session")
def live_service(live_server: ServerProcess, live_tokens: Tokens) -> str:
    """The token of a service of the platform itself, which is no operator's."""

    async def build() -> str:
        with trio.fail_after(TEST_TIMEOUT_S):
            async with _client() as client:
                platform = Platform(client, live_server, live_tokens)
                return await _new_account(platform, "Service", None, [])

    return trio.run(build)


@pytest.fixture
async def live(
    deadline: None,  # noqa: ARG001
    live_server: ServerProcess,
    live_tokens: Tokens,
) -> AsyncIterator[Live]:
    """The session's live server."""
    async with _client() as client:
        yield _live(client, live_server, live_tokens)


@pytest.fixture(scope="session")
def fleet_server(
    tmp_path_factory: pytest.TempPathFactory, receivers: Receivers
) -> Iterator[ServerProcess]:
    """The session's live server of three workers; updates come each five seconds, receivers have two."""
    data_dir = tmp_path_factory.mktemp("fleet") / "data"
    more = {
        "JACKPOTD_SERVICE_WORKERS": "3",
        "JACKPOTD_EVENTS_UPDATE_INTERVAL_S": "5",
        "JACKPOTD_WEBHOOKS_TIMEOUT_S": "2",
    }
    environment = _live_environment(receivers, **more)
    with server_in_thread(data_dir, environment=environment, live=True) as server:
        yield server


@pytest.fixture(scope="session")
def fleet_tokens(fleet_server: ServerProcess) -> Tokens:
    """The demo accounts of the live server of three workers."""
    return _log_in_once(fleet_server)


@pytest.fixture
async def fleet(
    deadline: None,  # noqa: ARG001
    fleet_server: ServerProcess,
    fleet_tokens: Tokens,
) -> AsyncIterator[Live]:
    """The session's live server of three workers."""
    async with _client() as client:
        yield _live(client, fleet_server, fleet_tokens)


@pytest.fixture
def start_live(tmp_path: Path, receivers: Receivers) -> StartLive:
    """A live server of the test's own; every use in one test serves the same directory."""

    @asynccontextmanager
    async def start(**environment: str) -> AsyncIterator[Live]:
        variables = _live_environment(receivers, **environment)
        with trio.fail_after(4 * TEST_TIMEOUT_S):
            async with (
                running_server(
                    tmp_path / "data",
                    environment=variables,
                    live=True,
                    ready_timeout_s=2 * TEST_TIMEOUT_S,
                ) as server,
                _client(idle_connections=0) as client,
            ):
                yield _live(client, server, await _log_in_live(client, server))

    return start
