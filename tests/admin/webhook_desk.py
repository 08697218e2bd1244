"""The admin listener's real application over the catalog's real owner, and accounts of all kinds that call it."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpx
import trio
from msgspec.structs import replace

from jackpotd.admin.administration import Administration
from jackpotd.admin.app import build_admin
from jackpotd.edge.sessions import Sessions
from jackpotd.edge.shell import Shell
from jackpotd.identity.passwords import PasswordDesk
from jackpotd.identity.tokens import TokenDesk
from jackpotd.testing.house import BORN_MS, operator
from jackpotd.wire.catalog_records import Account, Permission
from tests.admin.ward import Ward

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from quart_trio import QuartTrio

    from jackpotd.admin.webhooks import DeadLetterDesk, SecretsOf
    from jackpotd.wire.catalog_records import CatalogEntity

TEST_TIMEOUT_S = 30
WEBHOOKS = "/config/operators/op/webhooks"
LETTERS = f"{WEBHOOKS}/dead-letters"
TARGET = "https://hooks.example/results/"


def account(
    name: str, org_id: str | None, *, right: str = "Write", units: tuple[str, ...] = ()
) -> Account:
    return Account(
        id=name,
        username=name,
        password_hash="no password opens this",
        account_type="User",
        org_id=org_id,
        unit_ids=units,
        permissions=(Permission(resource_id="operators", permission=right),),
        enabled=True,
        created_ms=BORN_MS,
    )


ENTITIES: list[CatalogEntity] = [
    operator("op", ["a", "b"]),
    operator("other", ["a"]),
    account("platform", None),
    account("owner", "op"),
    account("reader", "op", right="Read"),
    account("branch", "op", units=("a",)),
    account("stranger", "other"),
]


@dataclass(frozen=True)
class Answer:
    status: int
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def refusal(self) -> tuple[int, str, str]:
        assert self.status == self.body["status_code"]
        return self.status, self.body["code"], self.body["message"]


@dataclass(frozen=True)
class Desk:
    """The accounts of the catalog, each at the listener."""

    app: QuartTrio
    tokens: TokenDesk
    administration: Administration

    async def call(self, who: str, method: str, path: str, body: object = None) -> Answer:
        token = self.tokens.issue(self.administration.context.catalog.accounts[who])
        return await self.send(method, path, body, {"Authorization": f"Bearer {token}"})

    async def send(self, method: str, path: str, body: object, headers: dict[str, str]) -> Answer:
        content = None if body is None else json.dumps(body).encode()
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),  # type: ignore[arg-type]  # its scopes are typed dicts
            base_url="http://admin",
        ) as client:
            response = await client.request(method, path, content=content, headers=headers)
        return Answer(response.status_code, response.text)

    async def put(self, body: object, who: str = "owner") -> Answer:
        return await self.call(who, "PUT", WEBHOOKS, body)

    async def get(self, who: str = "owner", path: str = WEBHOOKS) -> Answer:
        return await self.call(who, "GET", path)


def observe(_listener: str, _route: str, _status: int, _code: str, _seconds: float) -> None:
    """These tests are not about metrics."""


async def metrics() -> bytes:
    return b""


@lru_cache
def passwords() -> PasswordDesk:
    """Nobody logs in here: one is enough, for it takes its time to make."""
    return PasswordDesk(lambda _: None, failures_max=3, lock_s=1)


@asynccontextmanager
async def desk(
    ward: Ward | None = None,
    letters: DeadLetterDesk | None = None,
    secrets_of: SecretsOf | None = None,
    limit_max: int = 100,
) -> AsyncIterator[Desk]:
    with trio.fail_after(TEST_TIMEOUT_S):
        async with (ward or Ward(ENTITIES)).life() as life:
            context = replace(life.administration.context, list_limit_max=limit_max)
            tokens = TokenDesk(
                b"0" * 64, context.catalog.accounts.get, user_lifetime_s=60, clock=context.clock
            )
            administration = Administration(context, lambda _: None, letters, secrets_of)
            app = build_admin(
                administration,
                Sessions(passwords(), tokens),
                Shell("admin", "Admin", 1 << 20, context.clock, observe),
                is_healthy=lambda: True,
                metrics=metrics,
                is_loopback=True,
            )
            # The ward's guard knows the same secret, so tokens of this desk open it.
            yield Desk(app, tokens, administration)
