"""Operators and their brands (later-facts §1.2)."""

from typing import TypeVar

import msgspec

from jackpotd.admin.context import AdminContext, not_found
from jackpotd.core.rejections import Rejection
from jackpotd.edge.exchange import Incoming, Outgoing, answer, page_of
from jackpotd.edge.guard import forbidden, require_reach
from jackpotd.engine.catalog import Catalog
from jackpotd.identity.principal import Principal, Resource
from jackpotd.wire import admin_messages as wire
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import Brand, CatalogEntity, Operator

Changeable = TypeVar("Changeable", Operator, Brand)

_NAMED = codec.decoder(list[wire.NamedDoc])
_CHANGE = codec.decoder(wire.ChangeDoc)


class Operators:
    """The handlers of `/config/operators`."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context

    async def listing(self, request: Incoming) -> Outgoing:
        """List the operators that this account reaches, with their brands."""
        principal = self._context.reader(request, Resource.OPERATORS)
        owner, name = request.query.get("owner_id"), request.query.get("name")
        found = [
            _answer(operator, principal)
            for operator in self._context.catalog.operators.values()
            if (principal.is_platform or principal.org_id == operator.id)
            and (not owner or owner.partition(":")[0] == operator.id)
            and (not name or name == operator.name)
        ]
        fields = {
            "id": lambda operator: operator.id,
            "name": lambda operator: operator.name,
            "created_timestamp": lambda operator: operator.created_timestamp,
        }
        return answer(page_of(request, found, fields, self._context.list_limit_max))

    async def get(self, request: Incoming) -> Outgoing:
        """Get one operator with its brands."""
        principal = self._context.reader(request, Resource.OPERATORS)
        operator_id = request.path["operator_id"]
        if not principal.is_platform and principal.org_id != operator_id:
            raise forbidden(f"reach {operator_id}")
        return answer(_answer(self._operator(operator_id), principal))

    def _operator(self, operator_id: str) -> Operator:
        operator = self._context.catalog.operators.get(operator_id)
        if operator is None:
            raise not_found(f"operator {operator_id}")
        return operator

    async def put_many(self, request: Incoming) -> Outgoing:
        """Add operators, or rename those that exist. Only the platform's own accounts may."""
        principal = self._context.writer(request, Resource.OPERATORS)
        if not principal.is_platform:
            raise forbidden("add operators")
        documents = self._context.body(_NAMED, request)

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            put: dict[str, CatalogEntity] = {}
            for document in documents:
                known = catalog.operators.get(document.id)
                fresh = Operator(
                    id=document.id,
                    name=document.name,
                    enabled=True,
                    created_ms=self._context.clock(),
                )
                put[document.id] = (
                    msgspec.structs.replace(known, name=document.name) if known else fresh
                )
            return list(put.values())

        await self._context.change(principal, change)
        return answer(wire.BatchAnswer([document.id for document in documents], []))

    async def put_brands(self, request: Incoming) -> Outgoing:
        """Add brands to an operator, or rename those that exist."""
        principal = self._context.writer(request, Resource.OPERATORS)
        operator_id = request.path["operator_id"]
        require_reach(principal, operator_id)
        self._operator(operator_id)
        documents = self._context.body(_NAMED, request)

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            operator = catalog.operators[operator_id]
            brands = {brand.id: brand for brand in operator.brands}
            for document in documents:
                known = brands.get(document.id)
                fresh = Brand(
                    id=document.id,
                    name=document.name,
                    enabled=True,
                    created_ms=self._context.clock(),
                )
                brands[document.id] = (
                    msgspec.structs.replace(known, name=document.name) if known else fresh
                )
            return [msgspec.structs.replace(operator, brands=tuple(brands.values()))]

        await self._context.change(principal, change)
        return answer(wire.BatchAnswer([document.id for document in documents], []))

    async def put(self, request: Incoming) -> Outgoing:
        """Rename an operator, or switch it on or off."""
        principal = self._context.writer(request, Resource.OPERATORS)
        operator_id = request.path["operator_id"]
        require_reach(principal, operator_id)
        self._operator(operator_id)
        document = self._context.body(_CHANGE, request)

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            return [_changed(catalog.operators[operator_id], document)]

        await self._context.change(principal, change)
        return answer(_answer(self._operator(operator_id), principal))

    async def put_brand(self, request: Incoming) -> Outgoing:
        """Rename a brand, or switch it on or off."""
        principal = self._context.writer(request, Resource.OPERATORS)
        operator_id, brand_id = request.path["operator_id"], request.path["brand_id"]
        require_reach(principal, f"{operator_id}:{brand_id}")
        if not any(brand.id == brand_id for brand in self._operator(operator_id).brands):
            raise not_found(f"brand {operator_id}:{brand_id}")
        document = self._context.body(_CHANGE, request)

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            operator = catalog.operators[operator_id]
            brands = tuple(
                _changed(brand, document) if brand.id == brand_id else brand
                for brand in operator.brands
            )
            return [msgspec.structs.replace(operator, brands=brands)]

        await self._context.change(principal, change)
        return answer(_answer(self._operator(operator_id), principal))


def _changed(known: Changeable, document: wire.ChangeDoc) -> Changeable:
    wanted = {"name": document.name, "enabled": document.enabled}
    return msgspec.structs.replace(
        known, **{name: value for name, value in wanted.items() if value is not None}
    )


def _answer(operator: Operator, principal: Principal) -> wire.OperatorAnswer:
    """An operator with those of its brands that the caller reaches."""
    return wire.OperatorAnswer(
        id=operator.id,
        path=operator.id,
        name=operator.name,
        enabled=operator.enabled,
        created_timestamp=operator.created_ms,
        brands=[
            wire.BrandAnswer(
                id=brand.id,
                path=f"{operator.id}:{brand.id}",
                name=brand.name,
                enabled=brand.enabled,
                created_timestamp=brand.created_ms,
            )
            for brand in operator.brands
            if principal.reaches(f"{operator.id}:{brand.id}")
        ],
    )
