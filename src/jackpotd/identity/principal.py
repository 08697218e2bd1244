"""A caller with its rights: which owners' things it reaches, and which resources it may read or write (contract §2)."""

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from jackpotd.wire.catalog_records import Account, Permission

AccountByName = Callable[[str], Account | None]

EVERY_RESOURCE = "*"
WRITE = "Write"
READ = "Read"


class Resource(StrEnum):
    """What rights are given on."""

    CONTRIBUTIONS = "contributions"
    OPT_INS = "optins"
    JACKPOTS = "jackpots"
    TEMPLATES = "templates"
    INSTANCES = "instances"
    OPERATORS = "operators"
    SOURCES = "sources"
    CURRENCIES = "currencies"
    ACCOUNTS = "accounts"


class Principal(Struct, frozen=True):
    """An authenticated account. `org_id` None is the platform itself, which reaches every operator."""

    username: str
    org_id: str | None
    unit_ids: tuple[str, ...]
    permissions: tuple[Permission, ...]

    @property
    def is_platform(self) -> bool:
        return self.org_id is None

    def reaches(self, owner: str) -> bool:
        """Whether an owner path (`operator` or `operator:brand`) is this account's own, or below its own."""
        if self.org_id is None:
            return True
        operator, _, brand = owner.partition(":")
        if operator != self.org_id:
            return False
        return not self.unit_ids or brand in self.unit_ids

    def may(self, resource: Resource, *, write: bool = False) -> bool:
        """Whether the account holds the right; writing includes reading."""
        return any(
            granted.resource_id in (resource, EVERY_RESOURCE)
            and (granted.permission == WRITE or not write)
            for granted in self.permissions
        )

    def covers(self, permissions: tuple[Permission, ...]) -> bool:
        """Whether the account holds every one of these rights itself, so that it may hand them on."""
        return all(
            all(self.may(resource, write=asked.permission == WRITE) for resource in Resource)
            if asked.resource_id == EVERY_RESOURCE
            else self.may(Resource(asked.resource_id), write=asked.permission == WRITE)
            for asked in permissions
        )


def principal_of(account: Account) -> Principal:
    return Principal(account.username, account.org_id, account.unit_ids, account.permissions)
