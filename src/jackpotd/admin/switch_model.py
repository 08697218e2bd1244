"""`POST /instances/switchmodel`: what is asked is looked at as a whole, then driven to its end (later-facts 1.6)."""

from msgspec import Raw

from jackpotd.admin.approvals import Approvals, Asked
from jackpotd.admin.context import AdminContext, not_found, previewed
from jackpotd.admin.instance_answers import instance_answer, transfer_answer, transfers_in
from jackpotd.admin.switching import Switcher, sending
from jackpotd.admin.templates import new_entry, not_published
from jackpotd.core import evolve
from jackpotd.core.commands import TakeTransfer
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.rules import WHOLE, Rules
from jackpotd.core.state import OVER, Instance, Status, Transfer
from jackpotd.edge.exchange import Incoming, Outgoing, answer, refused_by
from jackpotd.engine.places import definition_in
from jackpotd.identity.principal import Resource
from jackpotd.wire import admin_instances as wire
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import (
    InstanceEntry,
    Switching,
    SwitchPart,
    Template,
    compile_document,
)
from jackpotd.wire.errors import RequestRefused, invalid

_SWITCH = codec.decoder(wire.SwitchModelDoc)


class SwitchModel:
    """The handler of `/instances/switchmodel`."""

    def __init__(self, context: AdminContext, approvals: Approvals, switcher: Switcher) -> None:
        self._context = context
        self._approvals = approvals
        self._switcher = switcher
        approvals.register("switchmodel", self._switched)

    async def switch(self, request: Incoming) -> Outgoing:
        """Create an instance of another template and move pots, opt-ins, schedules, sources and links to it.

        The weights of each source pot add up to 1; a pot that receives starts at 0 in the new template. A repeat of a
        call that was cut off goes on with it. Raffles are not switched.
        """
        principal = self._context.writer(request, Resource.INSTANCES)
        document = self._context.body(_SWITCH, request)
        entry = self._context.entry(principal, document.source_instance_id)
        for owner, path in (
            (document.template_owner_id, "$.template_owner_id"),
            (document.target_instance_owner_id, "$.target_instance_owner_id"),
        ):
            self._context.require_owner(principal, owner, path)
        state = await self._context.instance(principal, entry.instance_id)
        asked = Asked(request.path, request.body, principal.username)
        if not document.dry_run and self._begun(document, state) is not None:
            return await self._switched(asked)
        switching, target = self._plan(asked, document, state)
        if document.dry_run:
            return self._previewed(state, switching, target)
        previewed(state, sending(switching))
        return await self._approvals.ask(
            principal, "switchmodel", entry.owner_id, request.path, request.body
        )

    def _begun(self, document: wire.SwitchModelDoc, state: Instance) -> Switching | None:
        """The switch that this call has begun, if it was made before."""
        catalog = self._context.catalog
        for known in catalog.switchings.values():
            if known.source == document.source_instance_id and known.stage != "CalledOff":
                target = catalog.instances[known.target]
                is_same = (
                    known.parts == _parts(document, state.rules, None)
                    and (target.template_owner_id, target.template_id)
                    == (document.template_owner_id, document.template_id)
                    and (target.owner_id, target.name)
                    == (document.target_instance_owner_id, document.target_instance_name)
                    and known.with_opt_ins == document.transfer_optins
                )
                return known if is_same else None
        return None

    def _plan(
        self, asked: Asked, document: wire.SwitchModelDoc, state: Instance
    ) -> tuple[Switching, InstanceEntry]:
        """The switch and the new instance, once everything that can be wrong with them has been looked at."""
        if state.status in OVER:
            message = f"the jackpot is {state.status}"
            raise RequestRefused(Code.INVALID_STATE, message)
        _require_plain(state, self._context.clock())
        template = self._template(document)
        rules = compile_document(
            template.document, self._context.catalog.brands_of(template.owner_id)
        )
        if rules.raffle is not None:
            raise invalid(
                "$.template_id", "is the template of a raffle: nothing is switched to one"
            )
        if rules.currency != state.rules.currency:
            raise invalid("$.template_id", f"has another currency: {rules.currency}")
        parts = _parts(document, state.rules, rules)
        target = new_entry(
            self._context,
            template,
            name=document.target_instance_name,
            owner=document.target_instance_owner_id,
            status=Status.PENDING,
            by=asked.by,
        )
        switching = Switching(
            id=asked.id or self._context.new_id(),
            source=document.source_instance_id,
            target=target.instance_id,
            parts=parts,
            with_opt_ins=document.transfer_optins,
            starts=state.status is Status.ACTIVE,
            by=asked.by,
            reason=document.reason,
            at_ms=self._context.clock(),
        )
        return switching, target

    def _template(self, document: wire.SwitchModelDoc) -> Template:
        at = (document.template_owner_id, document.template_id)
        template = self._context.catalog.templates.get(at)
        if template is None:
            raise not_found(f"template {document.template_id}")
        if not template.published:
            raise refused_by(not_published(template))
        return template

    def _previewed(self, state: Instance, switching: Switching, target: InstanceEntry) -> Outgoing:
        """What would move, and what the new pots would hold."""
        transfers = transfers_in(previewed(state, sending(switching)))
        born = evolve.create(definition_in(target), Status.PENDING)
        for transfer in transfers:
            for event in previewed(born, TakeTransfer(0, switching.source, transfer)):
                born = evolve.evolve(born, event)
        return answer(
            wire.SwitchModelAnswer(
                dry_run=True,
                stage="Validated",
                source_instance_id=switching.source,
                target_instance_id=None,
                transfers=[transfer_answer(state, transfer) for transfer in transfers],
                pots=_values(born),
                instance=None,
            )
        )

    async def _switched(self, asked: Asked) -> Outgoing:
        document = codec.decode(_SWITCH, asked.body)
        owners = self._context.owners
        state = await owners.instance(document.source_instance_id)
        if isinstance(state, Rejection):
            raise refused_by(state)
        known = self._context.catalog.switchings.get(asked.id)
        switching = known or self._begun(document, state)
        transfers: list[Transfer] = []
        if switching is None:
            switching, target = self._plan(asked, document, state)
            transfers = transfers_in(previewed(state, sending(switching)))
            refused = await self._switcher.begin(switching, target)
            if refused is not None:
                raise refused_by(refused)
        refused = await self._switcher.drive(switching.id)
        is_off = self._context.catalog.switchings[switching.id].stage == "CalledOff"
        if is_off and refused is not None:
            raise refused_by(refused)
        return await self._answer(switching, [transfer_answer(state, each) for each in transfers])

    async def _answer(self, switching: Switching, transfers: list[wire.TransferState]) -> Outgoing:
        """The new instance as it stands; 202 where the rest is done in the background."""
        known = self._context.catalog.switchings[switching.id]
        state = await self._context.owners.instance(switching.target)
        if known.stage == "CalledOff":
            message = f"the switch of {known.source} was called off"
            raise RequestRefused(Code.INVALID_STATE, message)
        is_there = not isinstance(state, Rejection)
        shown = wire.SwitchModelAnswer(
            dry_run=False,
            stage=known.stage,
            source_instance_id=switching.source,
            target_instance_id=switching.target,
            transfers=transfers,
            pots={} if isinstance(state, Rejection) else _values(state),
            instance=None
            if isinstance(state, Rejection)
            else instance_answer(self._context.catalog, state),
        )
        return answer(shown, 200 if is_there and known.stage == "Done" else 202)


def _require_plain(state: Instance, now_ms: int) -> None:
    """Refuses what cannot go on as it is: a raffle, and a brand that is kept out for good."""
    if state.rules.raffle is not None:
        message = "the jackpot is a raffle: raffles are not switched"
        raise RequestRefused(Code.INVALID_STATE, message)
    for each in state.rare.schedules:
        if each.brand and each.schedule.end_ms is not None and each.schedule.end_ms <= now_ms:
            message = f"the schedule of {each.brand} is over: set another, or take it away, first"
            raise RequestRefused(Code.INVALID_STATE, message)


def _values(state: Instance) -> dict[str, Raw]:
    pots = zip(state.rules.pots, state.pots, strict=True)
    return {rules.id: codec.amount(pot.value) for rules, pot in pots}


def _parts(
    document: wire.SwitchModelDoc, source: Rules, target: Rules | None
) -> tuple[SwitchPart, ...]:
    """The pot rules in units; checked against the new template, unless that was done before (None)."""
    ids = [pot.id for pot in source.pots]
    parts: list[SwitchPart] = []
    for index, rule in enumerate(document.pot_rules):
        path = f"$.pot_rules[{index}]"
        if rule.source_pot not in ids:
            raise invalid(f"{path}.source_pot", f"names no pot: {rule.source_pot}")
        pot = ids.index(rule.source_pot)
        if any(part.pot == pot for part in parts):
            raise invalid(f"{path}.source_pot", "stands there twice")
        own = [
            _part(pot, to_pot, weight, f"{path}.target_pot.{to_pot}", target)
            for to_pot, weight in rule.target_pot.items()
        ]
        if sum(part.share for part in own) != WHOLE:
            raise invalid(f"{path}.target_pot", "the weights must add up to exactly 1")
        parts += own
    left_out = [pot for pot in range(len(ids)) if all(part.pot != pot for part in parts)]
    if left_out:
        raise invalid("$.pot_rules", f"leaves out pot {ids[left_out[0]]}")
    return tuple(parts)


def _part(pot: int, to_pot: str, weight: Raw, path: str, target: Rules | None) -> SwitchPart:
    share = codec.decode_part(codec.IncomingAmount, weight, path).units
    if not 0 <= share <= WHOLE:
        raise invalid(path, "must be between 0 and 1")
    if target is not None:
        found = next((rules for rules in target.pots if rules.id == to_pot), None)
        if found is None:
            raise invalid(path, "names no pot of the template")
        if share and found.initial_seed:
            raise invalid(path, "receives money, so its initial_seed_value must be 0")
    return SwitchPart(pot=pot, to_pot=to_pot, share=share)
