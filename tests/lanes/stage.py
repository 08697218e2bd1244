"""What every test here starts from: a server, its demo accounts, jackpots, and plain requests to it.

A contribution grows the pot of such a jackpot by `GROWTH`, so that its value counts them exactly.
"""

from __future__ import annotations

import json
import ssl
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import httpx

from .raw import address, chunked, connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from jackpotd.testing.server_process import ServerProcess

    from .raw import RawConnection

Json = dict[str, Any]

OPERATOR: Final = "thrilltech"
BRAND: Final = "thrilltech:brand1"
SEED: Final = Decimal(10)
GROWTH: Final = Decimal("0.035")
V2: Final = "/v2/jackpots/contribute"
BATCH: Final = "/v2/jackpots/contribute/batch"
HEALTH: Final = "/health"
NEVER: Final = 1_000_000_000
PLAIN_HTTP: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # spares each client the CA bundle
REQUEST_TIMEOUT_S: Final = 20.0


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:16]}"


def template(**changes: object) -> Json:
    """One pot that starts at 10 and takes 0.07 of a fixed 0.10, half of that for its seed, for ever."""
    seeds = {
        "initial_seed_value": 10,
        "min_reseed_value": 10,
        "fund_strategy": "CollectAlways",
        "reseed_strategy": "Full",
    }
    pot: Json = {
        "id": "main",
        "is_progressive": True,
        "contribution": {"Percentage": 0.7},
        "seed_contribution": {"Percentage": 0.5},
        "seed_strategy": seeds,
        "max_instantiation_count": None,
        "pot_types": [{"HitRate": {"max_magic_number": NEVER, "cost_per_attempt": 0.1}}],
    }
    body: Json = {
        "id": unique("template"),
        "name": "A test's jackpot",
        "owner_id": OPERATOR,
        "currency": "EUR",
        "jackpot_type": "Jackpot",
        "allowed_brands": [BRAND, f"{OPERATOR}:brand2"],
        "contribution_rules": {
            "opt_in_required": False,
            "contribution_type": {"Fixed": 0.1},
            "operator_contribution_percentage": 0,
        },
        "house_hold_contribution": {"Percentage": 0.3},
        "win_selector_strategy": "Highest",
        "pots": [pot],
    }
    return body | changes


def v2(jackpot: str, key: str | None = None, **changes: object) -> Json:
    """A v2 contribution to an instance."""
    body: Json = {
        "target": {"type": "instance", "id": jackpot},
        "operator_id": OPERATOR,
        "player": {"id": "p", "token": "token_00001", "country": "MT", "brand_id": "brand1"},
        "base_wager": {"currency": "EUR", "value": 1},
        "source": {"type": "gameround", "id": "1000"},
    }
    if key is not None:
        body["options"] = {"idempotency_key": key}
    return body | changes


def encoded(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Stage:
    """A running server, a client for what is set up and checked, and the demo's tokens."""

    server: ServerProcess
    client: httpx.AsyncClient
    service_token: str
    admin_token: str

    @property
    def url(self) -> str:
        return self.server.gateway_url

    @property
    def host(self) -> bytes:
        return b"%b:%d" % (address(self.url)[0].encode(), address(self.url)[1])

    def connect(self) -> AbstractAsyncContextManager[RawConnection]:
        return connected(self.url)

    # -- what the operator sets up

    async def admin(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {self.admin_token}"}
        url = self.server.admin_url + path
        response = await self.client.request(method, url, json=body, headers=headers)
        assert response.status_code in {200, 201}, response.text
        return json.loads(response.text, parse_float=Decimal)

    async def jackpot(
        self, *, status: str = "Active", opt_in_required: bool = False, **changes: object
    ) -> str:
        """The id of a new instance."""
        document = template(**changes)
        document["contribution_rules"]["opt_in_required"] = opt_in_required
        await self.admin("POST", "/templates", document)
        await self.admin("POST", f"/templates/{document['id']}/publish?owner_id={OPERATOR}")
        instantiation = {
            "template_owner_id": OPERATOR,
            "template_id": document["id"],
            "instance_owner_id": OPERATOR,
            "instance_name": document["id"],
            "status": status,
        }
        created = await self.admin("POST", "/templates/instantiate", instantiation)
        return str(created["id"])

    async def link(self, jackpot: str, *linked: str) -> None:
        await self.admin("PUT", f"/instances/{jackpot}/links", {"linked_instances": list(linked)})

    async def source(self, *jackpots: str) -> str:
        """The id of a new source, mapped to these instances."""
        name = unique("source")
        source = {"owner_id": BRAND, "source_name": name, "source_id": name}
        await self.admin("POST", "/config/sources", [source])
        for jackpot in jackpots:
            body = {"owner_id": BRAND, "source_id": [name], "instance_id": jackpot}
            await self.admin("POST", "/config/sources/assignjackpot", body)
        return name

    async def contributions(self, jackpot: str) -> Decimal:
        """How often the jackpot was contributed to, by what is in its pot: exact, or not whole."""
        (pot,) = (await self.admin("GET", f"/instances/{jackpot}"))["pots"]
        return (Decimal(str(pot["current_value"])) - SEED) / GROWTH

    # -- what an integrator sends

    async def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        """A plain request of a good client, on a connection that the client keeps."""
        return await self.client.post(
            self.url + path,
            content=encoded(body),
            headers={
                "Authorization": f"Bearer {self.service_token}",
                "Content-Type": "application/json",
                **headers,
            },
        )

    async def is_unused(self, body: Json) -> bool:
        """Whether this contribution, under its own key, has not happened yet; now it has."""
        assert body["options"]["idempotency_key"]
        answer = await self.post(V2, body)
        assert answer.status_code in {200, 204}, answer.text
        return answer.status_code == 200

    # -- the same, by hand

    def head(
        self,
        *lines: bytes,
        request_line: bytes = b"POST " + V2.encode() + b" HTTP/1.1",
        host: bytes | None = None,
        token: bool = True,
    ) -> bytes:
        """A header section up to and with the empty line."""
        standard = [request_line, b"Host: " + (self.host if host is None else host)]
        if token:
            standard.append(b"Authorization: Bearer " + self.service_token.encode())
        return b"".join(line + b"\r\n" for line in (*standard, *lines)) + b"\r\n"

    def request(
        self,
        body: bytes,
        *lines: bytes,
        path: str = V2,
        token: bool = True,
    ) -> bytes:
        """A whole POST with its length."""
        length = b"Content-Length: %d" % len(body)
        request_line = b"POST " + path.encode() + b" HTTP/1.1"
        head = self.head(
            b"Content-Type: application/json",
            length,
            *lines,
            request_line=request_line,
            token=token,
        )
        return head + body

    def chunked_request(self, *parts: bytes, path: str = V2) -> bytes:
        """A whole POST in chunks."""
        request_line = b"POST " + path.encode() + b" HTTP/1.1"
        lines = (b"Content-Type: application/json", b"Transfer-Encoding: chunked")
        return self.head(*lines, request_line=request_line) + chunked(*parts)

    def get(self, path: str, *lines: bytes, method: str = "GET") -> bytes:
        """A whole request without content."""
        return self.head(*lines, request_line=f"{method} {path} HTTP/1.1".encode())


def open_client(**options: Any) -> httpx.AsyncClient:
    """A client that keeps no idle connection unless asked to."""
    return httpx.AsyncClient(
        verify=PLAIN_HTTP,
        timeout=REQUEST_TIMEOUT_S,
        trust_env=False,
        **{"limits": httpx.Limits(max_keepalive_connections=0), **options},
    )


async def log_in(client: httpx.AsyncClient, server: ServerProcess) -> tuple[str, str]:
    """The tokens of the demo's service account and of its admin account."""

    async def token(url: str, username: str) -> str:
        body = {"username": username, "password": f"{username}-demo"}
        return str((await client.post(url, json=body)).raise_for_status().json()["token"])

    return (
        await token(f"{server.gateway_url}/authenticate/service", "event-processor"),
        await token(f"{server.admin_url}/accounts/auth", "admin"),
    )


@asynccontextmanager
async def opened(server: ServerProcess) -> AsyncIterator[Stage]:
    """The stage on a server that runs."""
    async with open_client() as client:
        yield Stage(server, client, *await log_in(client, server))
