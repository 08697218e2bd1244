"""Instances: list, get, change of state, links (contract §8)."""

from jackpotd.admin.approvals import Approvals, Asked
from jackpotd.admin.context import AdminContext, operated, previewed
from jackpotd.admin.instance_answers import instance_answer
from jackpotd.core.commands import ChangeStatus
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Status
from jackpotd.edge.exchange import Incoming, Outgoing, answer, page_of, refused_by
from jackpotd.engine.catalog import Catalog
from jackpotd.identity.principal import Principal, Resource
from jackpotd.wire import admin_instances as wire
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import CatalogEntity, Links
from jackpotd.wire.errors import RequestRefused, invalid

_STATUS = codec.decoder(wire.StatusDoc)
_LINKS = codec.decoder(wire.LinksDoc)


class Instances:
    """The handlers of `/instances`."""

    def __init__(self, context: AdminContext, approvals: Approvals) -> None:
        self._context = context
        self._approvals = approvals
        approvals.register("termination", self._terminated)

    async def listing(self, request: Incoming) -> Outgoing:
        """List the instances that this account owns."""
        principal = self._context.reader(request, Resource.INSTANCES)
        owner, name = request.query.get("owner_id"), request.query.get("name")
        status = request.query.get("status")
        states = await self._context.owners.instances()
        if isinstance(states, Rejection):
            raise refused_by(states)
        found = [
            state
            for state in states
            if principal.reaches(state.definition.owner_id)
            and (not owner or owner == state.definition.owner_id)
            and (not name or name == state.definition.name)
            and (not status or status == state.status)
        ]
        fields = {
            "id": lambda state: state.definition.instance_id,
            "name": lambda state: state.definition.name,
            "status": lambda state: state.status,
            "created_timestamp": lambda state: state.definition.created_ms,
        }
        page = page_of(request, found, fields, self._context.list_limit_max)
        return answer([instance_answer(self._context.catalog, state) for state in page])

    async def get(self, request: Incoming) -> Outgoing:
        """Get an instance with its pots and its ledger."""
        principal = self._context.reader(request, Resource.INSTANCES)
        state = await self._context.instance(principal, request.path["instance_id"])
        return answer(instance_answer(self._context.catalog, state))

    async def put_status(self, request: Incoming) -> Outgoing:
        """Start, pause, resume or terminate an instance; other changes are 409 INVALID_STATE."""
        principal = self._context.writer(request, Resource.INSTANCES)
        document = self._context.body(_STATUS, request)
        entry = self._context.entry(principal, request.path["instance_id"])
        if Status(document.status) is not Status.TERMINATED:
            return await self._put(Asked(request.path, request.body, principal.username))
        state = await self._context.instance(principal, entry.instance_id)
        previewed(state, _command(document, principal.username))
        return await self._approvals.ask(
            principal, "termination", entry.owner_id, request.path, request.body
        )

    async def _terminated(self, asked: Asked) -> Outgoing:
        state = await self._context.owners.instance(asked.path["instance_id"])
        if asked.id and not isinstance(state, Rejection) and state.status is Status.TERMINATED:
            return answer(instance_answer(self._context.catalog, state))
        return await self._put(asked)

    async def _put(self, asked: Asked) -> Outgoing:
        command = _command(codec.decode(_STATUS, asked.body), asked.by)
        done = await operated(self._context.owners, asked.path["instance_id"], command)
        return answer(instance_answer(self._context.catalog, done.state))

    async def get_links(self, request: Incoming) -> Outgoing:
        """Get the instances that receive when this one does."""
        principal = self._context.reader(request, Resource.INSTANCES)
        entry = self._context.entry(principal, request.path["instance_id"])
        return answer(self._links(entry.instance_id))

    async def put_links(self, request: Incoming) -> Outgoing:
        """Set the instances that receive when this one does, in their order."""
        principal = self._context.writer(request, Resource.INSTANCES)
        document = self._context.body(_LINKS, request)
        instance_id = self._context.entry(principal, request.path["instance_id"]).instance_id
        self._check_links(principal, instance_id, document.linked_instances)
        return await self._set_links(principal, instance_id, tuple(document.linked_instances))

    def _check_links(self, principal: Principal, instance_id: str, linked: list[str]) -> None:
        for index, other in enumerate(linked):
            path = f"$.linked_instances[{index}]"
            if other == instance_id:
                raise invalid(path, "is the instance itself")
            if other in linked[:index]:
                raise invalid(path, "stands there twice")
            if other not in self._context.catalog.instances:
                raise RequestRefused(Code.JACKPOT_NOT_FOUND, f"{path}: {other}")
            self._context.entry(principal, other)

    async def delete_links(self, request: Incoming) -> Outgoing:
        """Remove all links of an instance."""
        principal = self._context.writer(request, Resource.INSTANCES)
        entry = self._context.entry(principal, request.path["instance_id"])
        return await self._set_links(principal, entry.instance_id, ())

    async def _set_links(
        self, principal: Principal, instance_id: str, linked: tuple[str, ...]
    ) -> Outgoing:
        def change(_catalog: Catalog) -> list[CatalogEntity] | Rejection:
            return [Links(instance_id=instance_id, linked=linked)]

        await self._context.change(principal, change)
        return answer(self._links(instance_id))

    def _links(self, instance_id: str) -> wire.LinksDoc:
        linked = self._context.catalog.links.get(instance_id, ())
        return wire.LinksDoc(linked_instances=list(linked))


def _command(document: wire.StatusDoc, by: str) -> ChangeStatus:
    return ChangeStatus(at_ms=0, status=Status(document.status), reason=document.reason, by=by)
