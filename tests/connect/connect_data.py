"""What the house of Connect's tests holds: the demo's jackpots and some more, two operators, accounts of many kinds."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import Raw

from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Status
from jackpotd.engine.catalog import Catalog
from jackpotd.service import demo_data
from jackpotd.testing.house import BORN_MS
from jackpotd.wire.catalog_records import (
    Account,
    Assignment,
    Brand,
    CatalogEntity,
    InstanceEntry,
    Operator,
    Permission,
    Source,
)

Json = dict[str, Any]

SURE = "f3b0a0f2-5d43-4c1e-8a4e-b4a1f6d2c001"
"""Every contribution wins its pot."""
PRIVATE = "f3b0a0f2-5d43-4c1e-8a4e-b4a1f6d2c002"
"""A jackpot of brand2 alone."""
RIVALS = "f3b0a0f2-5d43-4c1e-8a4e-b4a1f6d2c003"
"""A jackpot of another operator."""

_POT = {
    "id": "main",
    "contribution": {"Percentage": 0.7},
    "seed_contribution": {"Percentage": 0.85},
    "seed_strategy": {"initial_seed_value": 5, "min_reseed_value": 5},
    "pot_types": [{"HitRate": {"max_magic_number": 1, "cost_per_attempt": 0.1}}],
}


def jackpot(instance_id: str, owner: str, brands: Sequence[str], *, odds: int = 1) -> InstanceEntry:
    """A jackpot with one pot, Active, and no opt-in needed."""
    hit_rate = {"HitRate": {"max_magic_number": odds, "cost_per_attempt": 0.1}}
    document = {
        "id": "one-pot",
        "name": "One pot",
        "owner_id": owner,
        "currency": "EUR",
        "jackpot_type": "Jackpot",
        "allowed_brands": list(brands),
        "contribution_rules": {
            "opt_in_required": False,
            "contribution_type": {"Fixed": 0.1},
        },
        "house_hold_contribution": {"Percentage": 0.3},
        "win_selector_strategy": "Highest",
        "pots": [{**_POT, "pot_types": [hit_rate]}],
    }
    return InstanceEntry(
        instance_id=instance_id,
        name="One pot",
        owner_id=owner,
        template_id="one-pot",
        template_owner_id=owner,
        document=Raw(msgspec.json.encode(document)),
        brands=tuple(brands),
        status=Status.ACTIVE,
        created_ms=BORN_MS,
        by="test",
    )


def account(username: str, org_id: str | None, *rights: str, **changes: Any) -> Account:
    """A service with these rights, each `resource` (Read) or `resource!` (Write)."""
    permissions = tuple(
        Permission(
            resource_id=right.removesuffix("!"),
            permission="Write" if right.endswith("!") else "Read",
        )
        for right in rights
    )
    fields: Json = {
        "id": username,
        "username": username,
        "password_hash": "",
        "account_type": "Service",
        "org_id": org_id,
        "unit_ids": (),
        "permissions": permissions,
        "enabled": True,
        "created_ms": BORN_MS,
        **changes,
    }
    return Account(**fields)


ACCOUNTS = (
    account("service", "thrilltech", "contributions!", "optins!", "jackpots!"),
    account("reader", "thrilltech", "jackpots"),
    account("brand-one", "thrilltech", "optins!", "jackpots!", unit_ids=("brand1",)),
    account("rival", "rival", "contributions!", "optins!", "jackpots!"),
    account("platform", None, "*!"),
    account("contributor", "thrilltech", "contributions!"),
)


@cache
def entities() -> tuple[CatalogEntity, ...]:
    """The demo's data with other accounts; more jackpots; another operator."""
    filled = demo_data.fill(Catalog(), BORN_MS)
    assert not isinstance(filled, Rejection)
    demo = [each for each in filled if not isinstance(each, Account)]
    brand = Brand(id="one", name="One", enabled=True, created_ms=BORN_MS)
    return (
        *demo,
        *ACCOUNTS,
        jackpot(SURE, "thrilltech", ["thrilltech:brand1", "thrilltech:brand2"]),
        jackpot(PRIVATE, "thrilltech", ["thrilltech:brand2"]),
        Operator(id="rival", name="Rival", enabled=True, created_ms=BORN_MS, brands=(brand,)),
        jackpot(RIVALS, "rival", ["rival:one"]),
        Source(
            owner_id="rival",
            source_id="rival-slots",
            name="Rival slots",
            jackpots=(Assignment(instance_id=RIVALS, priority=0),),
        ),
    )
