"""Contribution sources and the jackpots mapped to them (later-facts §1.3)."""

from collections.abc import Callable

import msgspec

from jackpotd.admin.context import AdminContext
from jackpotd.core.rejections import Rejection
from jackpotd.edge.exchange import Incoming, Outgoing, answer, page_of
from jackpotd.engine.catalog import Catalog
from jackpotd.identity.principal import Resource
from jackpotd.wire import admin_messages as wire
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import Assignment, CatalogEntity, Former, Source
from jackpotd.wire.rendering import source_answer

_SOURCES = codec.decoder(list[wire.SourceDoc])
_ASSIGN = codec.decoder(wire.AssignDoc)
_UNASSIGN = codec.decoder(wire.UnassignDoc)


class Sources:
    """The handlers of `/config/sources`."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context

    async def listing(self, request: Incoming) -> Outgoing:
        """List the sources that this account reaches."""
        principal = self._context.reader(request, Resource.SOURCES)
        owner, name = request.query.get("owner_id"), request.query.get("name")
        found = [
            source_answer(source, self._context.catalog.instances)
            for source in self._context.catalog.sources.values()
            if principal.reaches(source.owner_id)
            and (not owner or owner == source.owner_id)
            and (not name or name == source.name)
        ]
        fields = {
            "source_id": lambda source: source.source_id,
            "source_name": lambda source: source.source_name,
            "owner_id": lambda source: source.owner_id,
        }
        return answer(page_of(request, found, fields, self._context.list_limit_max))

    async def put_many(self, request: Incoming) -> Outgoing:
        """Add sources, or rename those that exist."""
        principal = self._context.writer(request, Resource.SOURCES)
        documents = self._context.body(_SOURCES, request)
        for index, document in enumerate(documents):
            self._context.require_owner(principal, document.owner_id, f"$[{index}].owner_id")

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            put: dict[tuple[str, str], CatalogEntity] = {}
            for document in documents:
                at = (document.owner_id, document.source_id)
                known = catalog.sources.get(at)
                put[at] = Source(
                    owner_id=document.owner_id,
                    source_id=document.source_id,
                    name=document.source_name,
                    jackpots=known.jackpots if known else (),
                    former=known.former if known else (),
                )
            return list(put.values())

        await self._context.change(principal, change)
        return answer(wire.BatchAnswer([document.source_id for document in documents], []))

    async def assign(self, request: Incoming) -> Outgoing:
        """Map an instance to sources; sources that do not exist are in `failed`."""
        principal = self._context.writer(request, Resource.SOURCES)
        document = self._context.body(_ASSIGN, request)
        self._context.require_owner(principal, document.owner_id, "$.owner_id")
        self._context.entry(principal, document.instance_id)
        return answer(
            await self._remap(
                principal.username,
                document.owner_id,
                document.source_id,
                lambda source: _assigned(source, document),
            )
        )

    async def unassign(self, request: Incoming) -> Outgoing:
        """Take an instance off sources; sources that are not mapped to it are in `failed`."""
        principal = self._context.writer(request, Resource.SOURCES)
        document = self._context.body(_UNASSIGN, request)
        self._context.require_owner(principal, document.owner_id, "$.owner_id")
        return answer(
            await self._remap(
                principal.username,
                document.owner_id,
                document.source_id,
                lambda source: _unassigned(source, document.instance_id),
            )
        )

    async def _remap(
        self, by: str, owner: str, source_ids: list[str], remap: Callable[[Source], Source | None]
    ) -> wire.BatchAnswer:
        success: list[str] = []
        failed: list[str] = []
        now_ms = self._context.clock()
        expired_ms = now_ms - self._context.key_retention_ms

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            put: list[CatalogEntity] = []
            for source_id in dict.fromkeys(source_ids):
                source = catalog.sources.get((owner, source_id))
                remapped = None if source is None else remap(source)
                if source is None or remapped is None:
                    failed.append(source_id)
                else:
                    success.append(source_id)
                    put.append(remembering(source, remapped, now_ms, expired_ms))
            return put

        await self._context.owner.change(by, change)
        return wire.BatchAnswer(success, failed)


def _assigned(source: Source, document: wire.AssignDoc) -> Source:
    """The source with the instance in its place; equal priorities keep the order of assignment."""
    others = [known for known in source.jackpots if known.instance_id != document.instance_id]
    last = max((known.priority for known in others), default=-1)
    priority = last + 1 if document.priority is None else document.priority
    added = Assignment(instance_id=document.instance_id, priority=priority)
    ordered = sorted([*others, added], key=lambda known: known.priority)
    return msgspec.structs.replace(source, jackpots=tuple(ordered))


def _unassigned(source: Source, instance_id: str) -> Source | None:
    left = tuple(known for known in source.jackpots if known.instance_id != instance_id)
    if len(left) == len(source.jackpots):
        return None
    return msgspec.structs.replace(source, jackpots=left)


def remembering(before: Source, after: Source, now_ms: int, expired_ms: int) -> Source:
    """The source with what it was mapped to until now; keys of longer ago do not live any more."""
    mapped = {jackpot.instance_id for jackpot in after.jackpots}
    removed = {known.instance_id: known.removed_ms for known in before.former}
    removed |= {jackpot.instance_id: now_ms for jackpot in before.jackpots}
    former = tuple(
        Former(instance_id=instance_id, removed_ms=removed_ms)
        for instance_id, removed_ms in removed.items()
        if instance_id not in mapped and removed_ms > expired_ms
    )
    return msgspec.structs.replace(after, former=former)
