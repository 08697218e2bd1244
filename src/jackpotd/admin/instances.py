"""Instances: list, get, change of state, links (contract §8)."""

from jackpotd.admin.context import AdminContext
from jackpotd.core import ledger
from jackpotd.core.commands import ChangeStatus
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Instance, Status
from jackpotd.edge.exchange import Incoming, Outgoing, answer, page_of, refused_by
from jackpotd.engine.catalog import Catalog
from jackpotd.identity.principal import Principal, Resource
from jackpotd.wire import admin_messages as wire
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import CatalogEntity, Links
from jackpotd.wire.errors import RequestRefused, invalid
from jackpotd.wire.rendering import contribution_type

_STATUS = codec.decoder(wire.StatusDoc)
_LINKS = codec.decoder(wire.LinksDoc)


class Instances:
    """The handlers of `/instances`."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context

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
        instance_id = self._context.entry(principal, request.path["instance_id"]).instance_id
        command = ChangeStatus(
            at_ms=0,
            status=Status(document.status),
            reason=document.reason,
            by=principal.username,
        )
        outcome = await self._context.owners.change_status(instance_id, command)
        if isinstance(outcome, Rejection):
            raise refused_by(outcome)
        return answer(instance_answer(self._context.catalog, outcome))

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


def instance_answer(catalog: Catalog, state: Instance) -> wire.InstanceState:
    """An instance as the admin listener shows it."""
    definition, rules = state.definition, state.rules
    return wire.InstanceState(
        id=definition.instance_id,
        name=definition.name,
        owner_id=definition.owner_id,
        template_id=definition.template_id,
        template_owner_id=definition.template_owner_id,
        jackpot_type="Jackpot",
        currency=rules.currency,
        status=state.status,
        instance_version=state.version,
        opt_in_required=rules.opt_in_required,
        contribution_type=contribution_type(rules.contribution),
        allowed_brands=sorted(rules.allowed_brands),
        allowed_sources=sorted(set(catalog.sources_of(definition.instance_id))),
        linked_instances=list(catalog.links.get(definition.instance_id, ())),
        pots=_pots(state),
        contribution_count=state.contributions,
        ledger={name: codec.amount(units) for name, units in ledger.accounts(state).items()},
        created_timestamp=definition.created_ms,
        last_updated=state.updated_ms,
    )


def _pots(state: Instance) -> list[wire.PotState]:
    return [
        wire.PotState(
            id=rules.id,
            is_progressive=rules.is_progressive,
            current_value=codec.amount(pot.value),
            seed_reserve=codec.amount(pot.reserve),
            instance_count=pot.cycle,
            max_instantiation_count=rules.cycles_max,
            is_open=pot.is_open,
            hits=pot.hits,
            wins=codec.amount(pot.paid),
        )
        for rules, pot in zip(state.rules.pots, state.pots, strict=True)
    ]
