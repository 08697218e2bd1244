"""Jackpots for readers, made by the administration: one is hardly ever won, and one by every contribution."""

from typing import Any

import httpx

from bench.generator.workload import BRANDS, OPERATOR
from bench.servers.subjects import LOGIN_TIMEOUT_S

NEVER, ALWAYS = 10**12, 1
_USER = {"username": "admin", "password": "admin-demo"}


def made(admin_url: str, odds: dict[str, int]) -> dict[str, str]:
    """The ids of new instances, by the names of their templates; each has one pot that is won once in so many."""
    with httpx.Client(base_url=admin_url, timeout=LOGIN_TIMEOUT_S) as client:
        login = client.post("/accounts/auth", json=_USER).raise_for_status()
        client.headers["Authorization"] = f"Bearer {login.json()['token']}"
        return {name: _made(client, name, outcomes) for name, outcomes in odds.items()}


def _made(client: httpx.Client, name: str, outcomes: int) -> str:
    client.post("/templates", json=_template(name, outcomes)).raise_for_status()
    published = f"/templates/{name}/publish?owner_id={OPERATOR}"
    client.post(published).raise_for_status()
    instantiation = {
        "template_owner_id": OPERATOR,
        "template_id": name,
        "instance_owner_id": OPERATOR,
        "instance_name": name,
        "status": "Active",
    }
    created = client.post("/templates/instantiate", json=instantiation).raise_for_status()
    return str(created.json()["id"])


def _template(name: str, outcomes: int) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "owner_id": OPERATOR,
        "currency": "EUR",
        "jackpot_type": "Jackpot",
        "allowed_brands": [f"{OPERATOR}:{brand}" for brand in BRANDS],
        "contribution_rules": {
            "opt_in_required": False,
            "contribution_type": {"Fixed": 0.1},
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
                "seed_strategy": {
                    "initial_seed_value": 10,
                    "min_reseed_value": 10,
                    "fund_strategy": "CollectToMinReseed",
                    "reseed_strategy": "Full",
                },
                "pot_types": [{"HitRate": {"max_magic_number": outcomes, "cost_per_attempt": 0.1}}],
            }
        ],
    }
