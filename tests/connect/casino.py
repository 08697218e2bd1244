"""What stands behind the ticker page in its tests: a live server with the demo data, and those who work with it."""

from __future__ import annotations

import ssl
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

OPERATOR: Final = "thrilltech"
BRAND: Final = "thrilltech:brand1"
NEVER: Final = 1_000_000_000  # one in so many: a pot that no test will see won
_PLAIN_HTTP: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # spares each client the CA bundle
_TIMEOUT_S: Final = 20.0


@dataclass(frozen=True)
class Casino:
    """An operator's systems: its games contribute, its people set jackpots up."""

    client: httpx.AsyncClient
    gateway: str
    admin: str
    service: Mapping[str, str]  # headers
    person: Mapping[str, str]

    async def _admin(self, path: str, body: object = None) -> Any:
        response = await self.client.post(self.admin + path, json=body, headers=self.person)
        return response.raise_for_status().json()

    async def contribute(self, source_id: str, wager: float, player: str = "player_00042") -> Any:
        """One bet of a player, and its answer."""
        bet = {
            "token": "token_00042",
            "brand_id": BRAND,
            "player_id": player,
            "player_country": "MT",
            "source_id": source_id,
            "gameround_id": str(uuid.uuid4()),
            "currency": "EUR",
            "base_wager": wager,
        }
        path = f"{self.gateway}/jackpots/contribute/source"
        answer = await self.client.post(path, json=bet, headers=self.service)
        return answer.raise_for_status().json()

    async def instance(self, source_id: str, player: str = "") -> Any:
        """The jackpot behind a source, with a player's standing."""
        path = f"{self.gateway}/jackpots/instances/source/{source_id}/brand/{BRAND}"
        answer = await self.client.get(path, params={"player_id": player}, headers=self.service)
        return answer.raise_for_status().json()

    async def pot(self, source_id: str, pot_id: str) -> float:
        pots = (await self.instance(source_id))["pots"]
        (value,) = (pot["current_value"] for pot in pots if pot["id"] == pot_id)
        return float(value)

    async def source(self, name: str, *, one_in: int) -> str:
        """The id of a new source, with a jackpot that one bet in so many wins; both are called so."""
        template_id, source_id = f"template-{uuid.uuid4()}", f"source-{uuid.uuid4()}"
        template = {"id": template_id, "name": name, "owner_id": OPERATOR, **_rules(one_in)}
        await self._admin("/templates", template)
        await self._admin(f"/templates/{template_id}/publish?owner_id={OPERATOR}")
        created = await self._admin(
            "/templates/instantiate",
            {
                "template_owner_id": OPERATOR,
                "template_id": template_id,
                "instance_owner_id": OPERATOR,
                "instance_name": name,
            },
        )
        source = {"owner_id": BRAND, "source_name": name, "source_id": source_id}
        await self._admin("/config/sources", [source])
        assigned = {"owner_id": BRAND, "source_id": [source_id], "instance_id": created["id"]}
        await self._admin("/config/sources/assignjackpot", assigned)
        return source_id


def _rules(one_in: int) -> dict[str, Any]:
    """A pot that begins at 100, and gets 0.35 of the 1 that each bet contributes."""
    return {
        "currency": "EUR",
        "jackpot_type": "Jackpot",
        "allowed_brands": [BRAND],
        "contribution_rules": {
            "opt_in_required": False,
            "contribution_type": {"Fixed": 1},
            "operator_contribution_percentage": 0,
        },
        "house_hold_contribution": {"Percentage": 0.3},
        "win_selector_strategy": "Highest",
        "pots": [
            {
                "id": "main",
                "is_progressive": True,
                "contribution": {"Percentage": 0.7},
                "seed_contribution": {"Percentage": 0.5},
                "seed_strategy": {"initial_seed_value": 100, "min_reseed_value": 100},
                "pot_types": [{"HitRate": {"max_magic_number": one_in, "cost_per_attempt": 1}}],
            }
        ],
    }


@asynccontextmanager
async def casino(gateway: str, admin: str) -> AsyncIterator[Casino]:
    """The demo's operator at a server's listeners."""
    async with httpx.AsyncClient(verify=_PLAIN_HTTP, timeout=_TIMEOUT_S, trust_env=False) as client:

        async def log_in(url: str, username: str) -> dict[str, str]:
            body = {"username": username, "password": f"{username}-demo"}
            token = (await client.post(url, json=body)).raise_for_status().json()["token"]
            return {"Authorization": f"Bearer {token}"}

        yield Casino(
            client=client,
            gateway=gateway,
            admin=admin,
            service=await log_in(f"{gateway}/authenticate/service", "event-processor"),
            person=await log_in(f"{admin}/accounts/auth", "admin"),
        )
