"""The demo data of contract §11: one operator, two brands, two accounts, seven jackpots. Filled in one change."""

from typing import Any

import msgspec
from msgspec import Raw

from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Status
from jackpotd.engine.catalog import DEFAULT_CURRENCIES, Catalog
from jackpotd.identity.passwords import hash_password
from jackpotd.wire.catalog_records import (
    Account,
    Assignment,
    Brand,
    CatalogEntity,
    Currencies,
    InstanceEntry,
    Links,
    Operator,
    Permission,
    Source,
    Template,
)

OPERATOR = "thrilltech"
BRANDS = ("brand1", "brand2")
SITEWIDE = "bdfa6295-d5a5-4c54-98bf-046355ce0252"
DAILY_DROP = "3c90cb1e-a594-437e-a695-e76acb0e6809"
SLOTS = "a49ff35f-6ecd-491f-b373-85e6caabacf1"
DAILY = "0a1cfeea-5b07-4f2b-b2f1-2e4cd2aa991d"
WEEKLY = "209cc142-ccb2-4e28-a763-0a031b560d74"
MONTHLY = "12231b6a-a774-4a93-8f16-f8af9aee2076"
DEPOSIT = "8dcc9f5a-f1c5-466f-83e9-928277d8bfb7"
BY = "demo"

_RATES = {
    "EUR": 100_000_000,
    "USD": 107_620_000,
    "GBP": 85_920_000,
    "CAD": 147_530_000,
    "PLN": 431_100_000,
    "NZD": 179_210_000,
    "AUD": 163_030_000,
    "RON": 497_530_000,
    "SGD": 145_670_000,
    "SEK": 1_167_610_000,
}
_PATHS = tuple(f"{OPERATOR}:{brand}" for brand in BRANDS)


def fill(catalog: Catalog, now_ms: int) -> list[CatalogEntity] | Rejection:
    """Everything that an empty directory needs to become the demo; nothing where anything is there already."""
    if catalog.operators or catalog.accounts:
        return []
    return [
        _operator(now_ms),
        *_accounts(now_ms),
        Currencies(
            brand_id=DEFAULT_CURRENCIES, base_currency="EUR", rates=_RATES, updated_ms=now_ms
        ),
        *_jackpots(now_ms),
        Links(instance_id=SITEWIDE, linked=(DAILY_DROP,)),
        Links(instance_id=DAILY, linked=(WEEKLY, MONTHLY)),
        _source("sitewide-casino", "Casino Sitewide Source", SITEWIDE),
        _source("casino-slots", "Casino Slots", SLOTS),
        _source("daily", "Daily", DAILY),
        _source("deposit", "Deposit", DEPOSIT),
    ]


def _operator(now_ms: int) -> Operator:
    brands = tuple(
        Brand(id=brand, name=brand.capitalize(), enabled=True, created_ms=now_ms)
        for brand in BRANDS
    )
    return Operator(id=OPERATOR, name="ThrillTech", enabled=True, created_ms=now_ms, brands=brands)


def _accounts(now_ms: int) -> list[CatalogEntity]:
    service = tuple(
        Permission(resource_id=resource, permission="Write")
        for resource in ("contributions", "optins", "jackpots")
    )
    everything = (Permission(resource_id="*", permission="Write"),)
    return [
        _account("event-processor", "Service", OPERATOR, service, now_ms),
        _account("admin", "User", None, everything, now_ms),
    ]


def _account(
    username: str,
    kind: str,
    org_id: str | None,
    permissions: tuple[Permission, ...],
    now_ms: int,
) -> Account:
    return Account(
        id=username,
        username=username,
        password_hash=hash_password(f"{username}-demo"),
        account_type=kind,
        org_id=org_id,
        unit_ids=(),
        permissions=permissions,
        enabled=True,
        created_ms=now_ms,
    )


def _source(source_id: str, name: str, instance_id: str) -> Source:
    return Source(
        owner_id=OPERATOR,
        source_id=source_id,
        name=name,
        jackpots=(Assignment(instance_id=instance_id, priority=0),),
    )


def _pot(
    pot_id: str, share: float, seed: float, outcomes: int, seed_share: float = 0.85
) -> dict[str, Any]:
    return {
        "id": pot_id,
        "contribution": {"Percentage": share},
        "seed_contribution": {"Percentage": seed_share},
        "seed_strategy": {"initial_seed_value": seed, "min_reseed_value": seed},
        "pot_types": [{"HitRate": {"max_magic_number": outcomes, "cost_per_attempt": 0.1}}],
    }


_THREE_POTS = [
    _pot("minor", 0.25, 10, 500),
    _pot("major", 0.25, 100, 5_000),
    _pot("mega", 0.2, 1_000, 50_000),
]
_FIXED = {"Fixed": 0.1}
_VARIABLE = {"Variable": {"min": 0.1, "max": 5, "default": 0.1}}


def _jackpots(now_ms: int) -> list[CatalogEntity]:
    main = [_pot("main", 0.7, 100, 1_000)]
    found: list[CatalogEntity] = []
    for template_id, name, instance_id, contribution, pots, needs_opt_in in (
        ("sitewide", "Sitewide", SITEWIDE, {"Percentage": 0.0775}, _THREE_POTS, False),
        ("daily-drop", "Daily drop", DAILY_DROP, _FIXED, [_pot("drop", 0.7, 5, 50)], False),
        ("slots", "Slots", SLOTS, _FIXED, _THREE_POTS, False),
        ("daily", "Daily", DAILY, _FIXED, main, False),
        ("weekly", "Weekly", WEEKLY, _FIXED, main, True),
        ("monthly", "Monthly", MONTHLY, _FIXED, main, False),
        ("deposit", "Deposit", DEPOSIT, _VARIABLE, [_pot("main", 0.7, 50, 1_000)], True),
    ):
        document = Raw(
            msgspec.json.encode(
                {
                    "id": template_id,
                    "name": name,
                    "owner_id": OPERATOR,
                    "currency": "EUR",
                    "jackpot_type": "Jackpot",
                    "allowed_brands": _PATHS,
                    "contribution_rules": {
                        "opt_in_required": needs_opt_in,
                        "contribution_type": contribution,
                    },
                    "house_hold_contribution": {"Percentage": 0.3},
                    "win_selector_strategy": "Highest",
                    "pots": pots,
                }
            )
        )
        found += [
            Template(
                owner_id=OPERATOR,
                id=template_id,
                document=document,
                published=True,
                created_ms=now_ms,
            ),
            InstanceEntry(
                instance_id=instance_id,
                name=name,
                owner_id=OPERATOR,
                template_id=template_id,
                template_owner_id=OPERATOR,
                document=document,
                brands=_PATHS,
                status=Status.ACTIVE,
                created_ms=now_ms,
                by=BY,
            ),
        ]
    return found
