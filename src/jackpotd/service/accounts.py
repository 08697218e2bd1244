"""Accounts without a server: how the first one gets into a data directory that nobody can log in to yet."""

import uuid

import trio

from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.catalog import Catalog, CatalogOwner, replay
from jackpotd.identity.passwords import hash_password
from jackpotd.journal.group_commit import GroupCommit
from jackpotd.journal.log import LmdbLog
from jackpotd.service.data_directory import CATALOG_LOG, DataDirectory
from jackpotd.service.settings import Settings
from jackpotd.service.wiring import GIBIBYTE, clock_ms
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

    with data.locked():
        log = LmdbLog.open(
            data.catalog,
            name=CATALOG_LOG,
            map_bytes_max=settings.journal.map_gibibytes_max * GIBIBYTE,
            now_ms=clock_ms(),
        )
        try:
            catalog = Catalog()
            replay(catalog, log.scan(0))
            journal = GroupCommit(log, batch_records_max=settings.journal.batch_records_max)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(journal.run)
                refused = await CatalogOwner(catalog, journal, clock_ms).change(_BY, change)
                nursery.cancel_scope.cancel()
        finally:
            log.close()
    return refused
