"""Accounts: logging in, and who may call (contract §2, later-facts §5)."""

from typing import Any

import msgspec
import trio

from jackpotd.admin.context import AdminContext, conflict, not_found
from jackpotd.core.rejections import Rejection
from jackpotd.edge.exchange import Incoming, Outgoing, answer, page_of
from jackpotd.edge.guard import forbidden, require_reach
from jackpotd.edge.sessions import Session, Sessions
from jackpotd.engine.catalog import Catalog
from jackpotd.identity.passwords import hash_password
from jackpotd.identity.principal import Principal, Resource
from jackpotd.wire import admin_messages as wire
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import Account, CatalogEntity, Permission
from jackpotd.wire.errors import invalid

_LOGIN = codec.decoder(wire.LoginDoc)
_REFRESH = codec.decoder(wire.RefreshDoc)
_ACCOUNT_CHANGE = codec.decoder(wire.AccountChangeDoc)
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
            if _is_within(principal, account)
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
        permissions = _permissions(document.permissions)
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

    async def change(self, request: Incoming) -> Outgoing:
        """Switch an account on or off, or set its password or its rights; a new password voids its tokens."""
        principal = self._context.writer(request, Resource.ACCOUNTS)
        username = request.path["username"]
        known = self._context.catalog.accounts.get(username)
        if known is None:
            raise not_found(f"account {username}")
        if not (_is_within(principal, known) and principal.covers(known.permissions)):
            raise forbidden(f"change account {username}")
        document = self._context.body(_ACCOUNT_CHANGE, request)
        wanted: dict[str, Any] = {}
        if document.enabled is not None:
            wanted["enabled"] = document.enabled
        if document.permissions is not None:
            wanted["permissions"] = _permissions(document.permissions)
            if not principal.covers(wanted["permissions"]):
                raise forbidden("hand on rights that it does not have")
        if document.password is not None:
            wanted["password_hash"] = await trio.to_thread.run_sync(
                hash_password, document.password
            )

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            account = catalog.accounts[username]
            generation = account.generation + ("password_hash" in wanted)
            return [msgspec.structs.replace(account, **wanted, generation=generation)]

        await self._context.change(principal, change)
        return answer(_answer(self._context.catalog.accounts[username]))

    def _check_units(self, document: wire.AccountDoc) -> None:
        org = document.org_id
        if org is None and document.unit_ids:
            raise invalid("$.unit_ids", "needs an org_id")
        if org is not None and not self._context.catalog.owner_exists(org):
            raise invalid("$.org_id", f"names no operator: {org}")
        for index, unit in enumerate(document.unit_ids):
            if not self._context.catalog.owner_exists(f"{org}:{unit}"):
                raise invalid(f"$.unit_ids[{index}]", f"names no brand: {org}:{unit}")


def _is_within(principal: Principal, account: Account) -> bool:
    """Whether an account reaches nothing that the caller does not reach as well."""
    if account.org_id is None:
        return principal.is_platform
    return all(principal.reaches(f"{account.org_id}:{unit}") for unit in account.unit_ids) and (
        bool(account.unit_ids) or principal.reaches(account.org_id)
    )


def _permissions(documents: list[wire.PermissionDoc]) -> tuple[Permission, ...]:
    return tuple(
        Permission(resource_id=granted.resource_id, permission=granted.permission)
        for granted in documents
    )


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
