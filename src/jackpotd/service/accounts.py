"""Accounts without a server: how the first one gets into a data directory that nobody can log in to yet."""

import uuid

import trio

from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.catalog import Catalog
from jackpotd.identity.passwords import hash_password
from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.settings import Settings
from jackpotd.service.storage import clock_ms, opened_catalog
from jackpotd.service.wiring import build_catalog
from jackpotd.wire.catalog_records import Account, CatalogEntity, Permission

_BY = "command line"


async def add_platform_account(
    settings: Settings, data: DataDirectory, username: str, password: str
) -> Rejection | None:
    """Adds an account of the platform itself, with every right; durable when this returns.

    Raises:
        DataDirectoryError: a server is running on the directory; it has `POST /admin/accounts`.
    """
    account = Account(
        id=str(uuid.uuid4()),
        username=username,
        password_hash=hash_password(password),
        account_type="User",
        org_id=None,
        unit_ids=(),
        permissions=(Permission(resource_id="*", permission="Write"),),
        enabled=True,
        created_ms=clock_ms(),
    )

    def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
        if username in catalog.accounts:
            return Rejection(Code.INVALID_STATE, f"account {username} exists")
        return [account]

    with data.locked(), opened_catalog(settings, data) as log:
        part = build_catalog(settings, log)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(part.journal.run)
            refused = await part.owner.change(_BY, change)
            nursery.cancel_scope.cancel()
    return refused
