"""Accounts: logging in, and who may call (contract §2, later-facts §5)."""

import msgspec
import trio

from jackpotd.admin.context import AdminContext, conflict
from jackpotd.core.rejections import Rejection
from jackpotd.edge.exchange import Incoming, Outgoing, answer, page_of
from jackpotd.edge.guard import forbidden, require_reach
from jackpotd.edge.sessions import Session, Sessions
from jackpotd.engine.catalog import Catalog
from jackpotd.identity.passwords import hash_password
from jackpotd.identity.principal import Resource
from jackpotd.wire import admin_messages as wire
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import Account, CatalogEntity, Permission
from jackpotd.wire.errors import invalid

_LOGIN = codec.decoder(wire.LoginDoc)
_REFRESH = codec.decoder(wire.RefreshDoc)
_ACCOUNT = codec.decoder(wire.AccountDoc)


class Accounts:
    """The handlers of `/accounts` and `/admin/accounts`."""

    def __init__(self, context: AdminContext, sessions: Sessions, *, is_loopback: bool) -> None:
        self._context = context
        self._sessions = sessions
        self._is_loopback = is_loopback

    async def log_in(self, request: Incoming) -> Outgoing:
        """Get tokens for a user or a service account."""
        document = self._context.body(_LOGIN, request)
        session = await self._sessions.open(
            document.username, document.password, is_loopback=self._is_loopback
        )
        return answer(self._session_answer(session))

    async def refresh(self, request: Incoming) -> Outgoing:
        """Get new tokens for a refresh token."""
        document = self._context.body(_REFRESH, request)
        return answer(self._session_answer(self._sessions.renew(document.token)))

    def _session_answer(self, session: Session) -> wire.SessionAnswer:
        account = session.account
        operators = self._context.catalog.operators
        reached = operators.values() if account.org_id is None else [operators.get(account.org_id)]
        paths = [
            f"{operator.id}:{brand.id}"
            for operator in reached
            if operator is not None
            for brand in operator.brands
            if not account.unit_ids or brand.id in account.unit_ids
        ]
        access = wire.AccessTo(account.org_id, list(account.unit_ids), paths)
        return wire.SessionAnswer(session.token, session.refresh_token, access, {}, {})

    async def listing(self, request: Incoming) -> Outgoing:
        """List the accounts of the organisations that this account reaches."""
        principal = self._context.reader(request, Resource.ACCOUNTS)
        found = [
            _answer(account)
            for account in self._context.catalog.accounts.values()
            if principal.is_platform
            or (account.org_id is not None and principal.reaches(account.org_id))
        ]
        fields = {
            "username": lambda account: account.username,
            "created_on": lambda account: account.created_on,
        }
        return answer(page_of(request, found, fields, self._context.list_limit_max))

    async def create(self, request: Incoming) -> Outgoing:
        """Create an account; nobody can hand on more than they have themselves."""
        principal = self._context.writer(request, Resource.ACCOUNTS)
        document = self._context.body(_ACCOUNT, request)
        if document.org_id is None:
            if not principal.is_platform:
                raise forbidden("create accounts of the platform")
        else:
            units = document.unit_ids or [""]
            for unit in units:
                require_reach(principal, f"{document.org_id}:{unit}" if unit else document.org_id)
        self._check_units(document)
        permissions = tuple(
            Permission(resource_id=granted.resource_id, permission=granted.permission)
            for granted in document.permissions
        )
        if not principal.covers(permissions):
            raise forbidden("hand on rights that it does not have")
        account = Account(
            id=self._context.new_id(),
            username=document.username,
            password_hash=await trio.to_thread.run_sync(hash_password, document.password),
            account_type=document.account_type,
            org_id=document.org_id,
            unit_ids=tuple(document.unit_ids),
            permissions=permissions,
            enabled=document.enabled,
            created_ms=self._context.clock(),
        )

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            if account.username in catalog.accounts:
                return conflict(f"account {account.username} exists")
            return [account]

        await self._context.change(principal, change)
        return answer(_answer(account), 201)

    def _check_units(self, document: wire.AccountDoc) -> None:
        org = document.org_id
        if org is None and document.unit_ids:
            raise invalid("$.unit_ids", "needs an org_id")
        if org is not None and not self._context.catalog.owner_exists(org):
            raise invalid("$.org_id", f"names no operator: {org}")
        for index, unit in enumerate(document.unit_ids):
            if not self._context.catalog.owner_exists(f"{org}:{unit}"):
                raise invalid(f"$.unit_ids[{index}]", f"names no brand: {org}:{unit}")


def _answer(account: Account) -> wire.AccountAnswer:
    return wire.AccountAnswer(
        id=account.id,
        username=account.username,
        account_type=account.account_type,
        org_id=account.org_id,
        unit_ids=list(account.unit_ids),
        permissions=[
            msgspec.convert(granted, wire.PermissionDoc, from_attributes=True)
            for granted in account.permissions
        ],
        enabled=account.enabled,
        created_on=account.created_ms,
    )
