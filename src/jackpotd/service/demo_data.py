"""The demo data of contract §11: one operator, two brands, two accounts, seven jackpots, of which three are raffles.

Filled in one change.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

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
from jackpotd.wire.parts import Schedule

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
        *(entity for jackpot in _JACKPOTS for entity in _entities(jackpot, now_ms)),
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


def _pot(pot_id: str, share: float, seed: float, outcomes: int | None) -> dict[str, Any]:
    """A pot that one contribution in so many wins; None leaves it to a raffle's draw."""
    chance = {"max_magic_number": outcomes, "cost_per_attempt": 0.1}
    return {
        "id": pot_id,
        "contribution": {"Percentage": share},
        "seed_contribution": {"Percentage": 0.85},
        "seed_strategy": {"initial_seed_value": seed, "min_reseed_value": seed},
        "pot_types": [] if outcomes is None else [{"HitRate": chance}],
    }


def _raffle(unit: str, number: int) -> dict[str, Any]:
    """Rounds of so many hours or days, with a ticket for each 2.00 of base wager and three prizes."""
    return {
        "duration": {unit: number},
        "ticket": {"cost": 2, "metric": "BaseWager", "accumulate": True},
        "prizes": [{"count": 1, "amount": amount} for amount in (50, 25, 10)],
        "one_prize_per_player": True,
    }


class _Jackpot(Struct, frozen=True, kw_only=True):
    """What sets one jackpot of the demo apart."""

    name: str
    instance_id: str
    contribution: dict[str, Any]
    pots: list[dict[str, Any]]
    needs_opt_in: bool = False
    raffle: dict[str, Any] | None = None

    @property
    def template_id(self) -> str:
        return self.name.lower().replace(" ", "-")


_FIXED = {"Fixed": 0.1}
_VARIABLE = {"Variable": {"min": 0.1, "max": 5, "default": 0.1}}
_THREE_POTS = [
    _pot("minor", 0.25, 10, 500),
    _pot("major", 0.25, 100, 5_000),
    _pot("mega", 0.2, 1_000, 50_000),
]
_RAFFLE_POT = [_pot("main", 0.7, 100, None)]
_JACKPOTS = (
    _Jackpot(
        name="Sitewide",
        instance_id=SITEWIDE,
        contribution={"Percentage": 0.0775},
        pots=_THREE_POTS,
    ),
    _Jackpot(
        name="Daily drop",
        instance_id=DAILY_DROP,
        contribution=_FIXED,
        pots=[_pot("drop", 0.7, 5, 50)],
    ),
    _Jackpot(name="Slots", instance_id=SLOTS, contribution=_FIXED, pots=_THREE_POTS),
    _Jackpot(
        name="Daily",
        instance_id=DAILY,
        contribution=_FIXED,
        pots=_RAFFLE_POT,
        raffle=_raffle("Hours", 22),
    ),
    _Jackpot(
        name="Weekly",
        instance_id=WEEKLY,
        contribution=_FIXED,
        pots=_RAFFLE_POT,
        needs_opt_in=True,
        raffle=_raffle("Days", 7),
    ),
    _Jackpot(
        name="Monthly",
        instance_id=MONTHLY,
        contribution=_FIXED,
        pots=_RAFFLE_POT,
        raffle=_raffle("Days", 30),
    ),
    _Jackpot(
        name="Deposit",
        instance_id=DEPOSIT,
        contribution=_VARIABLE,
        pots=[_pot("main", 0.7, 50, 1_000)],
        needs_opt_in=True,
    ),
)


def _entities(jackpot: _Jackpot, now_ms: int) -> tuple[Template, InstanceEntry]:
    """The template and its instance; a raffle's first round begins now, and each one when the last is over."""
    document = _document(jackpot)
    template = Template(
        owner_id=OPERATOR,
        id=jackpot.template_id,
        document=document,
        published=True,
        created_ms=now_ms,
    )
    instance = InstanceEntry(
        instance_id=jackpot.instance_id,
        name=jackpot.name,
        owner_id=OPERATOR,
        template_id=jackpot.template_id,
        template_owner_id=OPERATOR,
        document=document,
        brands=_PATHS,
        status=Status.ACTIVE,
        created_ms=now_ms,
        by=BY,
        schedule=None if jackpot.raffle is None else Schedule(start_ms=now_ms, end_ms=None),
    )
    return template, instance


def _document(jackpot: _Jackpot) -> Raw:
    document = {
        "id": jackpot.template_id,
        "name": jackpot.name,
        "owner_id": OPERATOR,
        "currency": "EUR",
        "jackpot_type": "Jackpot" if jackpot.raffle is None else "Raffle",
        "allowed_brands": _PATHS,
        "contribution_rules": {
            "opt_in_required": jackpot.needs_opt_in,
            "contribution_type": jackpot.contribution,
        },
        "house_hold_contribution": {"Percentage": 0.3},
        "win_selector_strategy": "Highest",
        "pots": jackpot.pots,
    }
    if jackpot.raffle is not None:
        document["raffle"] = jackpot.raffle
    return Raw(msgspec.json.encode(document))
