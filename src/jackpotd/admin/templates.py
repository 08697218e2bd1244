"""Templates: create, publish, list, get, and give birth to instances from them (contract §8, §9)."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from jackpotd.admin.approvals import Approvals, Asked
from jackpotd.admin.context import AdminContext, conflict, not_found
from jackpotd.admin.instance_answers import instance_answer
from jackpotd.admin.schedules import require_first_schedule
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.schedule import Schedule
from jackpotd.core.state import Status
from jackpotd.edge.exchange import Incoming, Outgoing, answer, json_body, page_of, refused_by
from jackpotd.edge.guard import forbidden, require_reach
from jackpotd.engine.catalog import Catalog
from jackpotd.identity.principal import Principal, Resource
from jackpotd.wire import admin_instances as wire
from jackpotd.wire import codec
from jackpotd.wire import template as template_wire
from jackpotd.wire.catalog_records import (
    CatalogEntity,
    InstanceEntry,
    Links,
    Template,
    compile_document,
)
from jackpotd.wire.errors import RequestRefused, invalid
from jackpotd.wire.parts import part_of
from jackpotd.wire.schedule import compile_schedule

_INSTANTIATE = codec.decoder(wire.InstantiateDoc)


class Templates:
    """The handlers of `/templates`."""

    def __init__(self, context: AdminContext, approvals: Approvals) -> None:
        self._context = context
        self._approvals = approvals
        approvals.register("publish", self._published)

    async def listing(self, request: Incoming) -> Outgoing:
        """List the templates that this account reaches."""
        principal = self._context.reader(request, Resource.TEMPLATES)
        owner, name = request.query.get("owner_id"), request.query.get("name")
        found = [
            shown
            for template in self._context.catalog.templates.values()
            if principal.reaches(template.owner_id) and (not owner or owner == template.owner_id)
            for shown in [_shown(template)]
            if not name or name == shown.name
        ]
        fields = {
            "id": lambda template: template.id,
            "name": lambda template: template.name,
            "owner_id": lambda template: template.owner_id,
            "created_timestamp": lambda template: template.created_timestamp,
        }
        page = page_of(request, found, fields, self._context.list_limit_max)
        return answer([shown.document for shown in page])

    async def get(self, request: Incoming) -> Outgoing:
        """Get one template; `owner_id` tells apart equal ids of several owners."""
        principal = self._context.reader(request, Resource.TEMPLATES)
        return answer(_shown(self._template(principal, request)).document)

    def _template(self, principal: Principal, request: Incoming) -> Template:
        template_id = request.path["template_id"]
        owner = request.query.get("owner_id")
        found = [
            template
            for template in self._context.catalog.templates.values()
            if template.id == template_id and (not owner or owner == template.owner_id)
        ]
        if not found:
            raise not_found(f"template {template_id}")
        found = [template for template in found if principal.reaches(template.owner_id)]
        if not found:
            raise forbidden(f"reach template {template_id}")
        if len(found) > 1:
            message = f"several owners have a template {template_id}; name one with owner_id"
            raise RequestRefused(Code.INVALID_REQUEST, message)
        return found[0]

    async def create(self, request: Incoming) -> Outgoing:
        """Create a template. It is checked whole: what cannot be published is refused here, with the JSON path."""
        principal = self._context.writer(request, Resource.TEMPLATES)
        body = json_body(request)
        document = self._context.body(template_wire.DECODER, request)
        self._context.require_owner(principal, document.owner_id, "$.owner_id")
        if document.id is not None and "/" in document.id:
            raise invalid("$.id", "stands in paths, so it must not contain /")
        brands = self._allowed_brands(principal, document)
        template_wire.compile_rules(document, brands)
        template = Template(
            owner_id=document.owner_id,
            id=document.id or self._context.new_id(),
            document=Raw(body),
            published=False,
            created_ms=self._context.clock(),
        )

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            if (template.owner_id, template.id) in catalog.templates:
                return conflict(f"template {template.id} exists")
            return [template]

        await self._context.change(principal, change)
        return answer(_shown(template).document, 201)

    def _allowed_brands(
        self, principal: Principal, document: template_wire.TemplateDoc
    ) -> list[str]:
        for index, brand in enumerate(document.allowed_brands or ()):
            require_reach(principal, brand)
            if not self._context.catalog.owner_exists(brand):
                raise invalid(f"$.allowed_brands[{index}]", f"names no brand: {brand}")
        return self._context.catalog.brands_of(document.owner_id)

    async def publish(self, request: Incoming) -> Outgoing:
        """Publish a template, so that it can be instantiated; it never changes from then on."""
        principal = self._context.writer(request, Resource.TEMPLATES)
        template = self._template(principal, request)
        if template.published:
            raise refused_by(_published_already(template))
        # Rules may have become stricter since it was stored.
        document = template_wire.DECODER.decode(template.document)
        template_wire.compile_rules(document, self._context.catalog.brands_of(template.owner_id))
        path = {"template_id": template.id, "owner_id": template.owner_id}
        return await self._approvals.ask(principal, "publish", template.owner_id, path, codec.NULL)

    async def _published(self, asked: Asked) -> Outgoing:
        at = (asked.path["owner_id"], asked.path["template_id"])

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            known = catalog.templates[at]
            if known.published:
                return [] if asked.id else _published_already(known)
            return [msgspec.structs.replace(known, published=True)]

        await self._context.change_by(asked.by, change)
        return answer(_shown(self._context.catalog.templates[at]).document)

    async def instantiate(self, request: Incoming) -> Outgoing:
        """Create an instance from a published template; one whose schedule begins later waits for that."""
        principal = self._context.writer(request, Resource.INSTANCES)
        document = self._context.body(_INSTANTIATE, request)
        self._context.require_owner(principal, document.template_owner_id, "$.template_owner_id")
        self._context.require_owner(principal, document.instance_owner_id, "$.instance_owner_id")
        template = self._context.catalog.templates.get(
            (document.template_owner_id, document.template_id)
        )
        if template is None:
            raise not_found(f"template {document.template_id}")
        if document.linked_instance is not None:
            self._context.entry(principal, document.linked_instance)
        entry = self._entry(principal, document, template)

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            if not catalog.templates[template.owner_id, template.id].published:
                return not_published(template)
            linked = document.linked_instance
            links: list[CatalogEntity] = (
                [Links(instance_id=entry.instance_id, linked=(linked,))] if linked else []
            )
            return [entry, *links]

        await self._context.change(principal, change)
        state = await self._context.owners.create(entry)
        if isinstance(state, Rejection):
            raise refused_by(state)
        return answer(instance_answer(self._context.catalog, state), 201)

    def _entry(
        self, principal: Principal, document: wire.InstantiateDoc, template: Template
    ) -> InstanceEntry:
        schedule = None if document.schedule is None else compile_schedule(document.schedule)
        brands = self._context.catalog.brands_of(template.owner_id)
        now_ms = self._context.clock()
        require_first_schedule(compile_document(template.document, brands), schedule, now_ms)
        status = Status(document.status)
        if schedule is not None and schedule.start_ms is not None and schedule.start_ms > now_ms:
            status = Status.PENDING
        return new_entry(
            self._context,
            template,
            name=document.instance_name,
            owner=document.instance_owner_id,
            status=status,
            by=principal.username,
            schedule=schedule,
        )


def new_entry(
    context: AdminContext,
    template: Template,
    *,
    name: str,
    owner: str,
    status: Status,
    by: str,
    schedule: Schedule | None = None,
) -> InstanceEntry:
    """A new instance of a template, as the catalog has it."""
    brands = context.catalog.brands_of(template.owner_id)
    rules = compile_document(template.document, brands)
    return InstanceEntry(
        instance_id=context.new_id(),
        name=name,
        owner_id=owner,
        template_id=template.id,
        template_owner_id=template.owner_id,
        document=template.document,
        brands=tuple(sorted(rules.allowed_brands)),
        status=status,
        created_ms=context.clock(),
        by=by,
        schedule=part_of(schedule),
    )


def not_published(template: Template) -> Rejection:
    return conflict(f"template {template.id} is not published")


def _published_already(template: Template) -> Rejection:
    return conflict(f"template {template.id} is published already")


class _Shown(Struct, frozen=True):
    """A template's answer beside the fields that lists sort and filter by."""

    id: str
    owner_id: str
    name: str
    created_timestamp: int
    document: dict[str, Any]


def _shown(template: Template) -> _Shown:
    """The template as it was written, with its id, whether it can be instantiated, and when it was created."""
    document = msgspec.json.decode(template.document, type=dict[str, Raw])
    shown = {
        **document,
        "id": template.id,
        "status": "Published" if template.published else "Draft",
        "created_timestamp": template.created_ms,
    }
    name = msgspec.json.decode(document["name"], type=str)
    return _Shown(template.id, template.owner_id, name, template.created_ms, shown)
