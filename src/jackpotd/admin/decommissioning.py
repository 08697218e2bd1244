"""Decommissioning: an instance is terminated, and all that its pots hold goes to pots of other instances (R-MON-5)."""

from jackpotd.admin.approvals import Approvals, Asked
from jackpotd.admin.context import AdminContext, operated, previewed
from jackpotd.admin.instance_answers import instance_answer, transfer_answer, transfers_in
from jackpotd.core.commands import SendTransfers
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.rules import WHOLE
from jackpotd.core.state import OVER, Instance, Status, Transfer
from jackpotd.edge.exchange import Incoming, Outgoing, answer, refused_by
from jackpotd.engine.transfers import deliver
from jackpotd.identity.principal import Principal, Resource
from jackpotd.wire import admin_instances as wire
from jackpotd.wire import codec
from jackpotd.wire.errors import RequestRefused, invalid

_DECOMMISSION = codec.decoder(wire.DecommissionDoc)


class Decommissioning:
    """The handler of `/instances/{id}/decommission`."""

    def __init__(self, context: AdminContext, approvals: Approvals) -> None:
        self._context = context
        self._approvals = approvals
        approvals.register("decommission", self._decommissioned)

    async def decommission(self, request: Incoming) -> Outgoing:
        """Terminate an instance and move the money of each pot, with its reserve and its boost, to another instance.

        Money that was set aside when the instance was terminated can be moved later. Targets have the same currency.
        """
        principal = self._context.writer(request, Resource.INSTANCES)
        document = self._context.body(_DECOMMISSION, request)
        entry = self._context.entry(principal, request.path["instance_id"])
        for index, destination in enumerate(document.destinations):
            self._require_target(principal, destination, f"$.destinations[{index}]")
        asked = Asked(request.path, request.body, principal.username)
        state = await self._context.instance(principal, entry.instance_id)
        command = await self._command(asked, document, state)
        transfers = transfers_in(previewed(state, command))
        if state.status is Status.TERMINATED and not transfers:
            message = "the jackpot is Terminated, and holds no money"
            raise RequestRefused(Code.INVALID_STATE, message)
        if document.dry_run:
            return self._answer(state, transfers, is_dry=True)
        return await self._approvals.ask(
            principal, "decommission", entry.owner_id, request.path, request.body
        )

    def _require_target(
        self, principal: Principal, destination: wire.DestinationDoc, path: str
    ) -> None:
        if destination.instance_id not in self._context.catalog.instances:
            raise RequestRefused(
                Code.JACKPOT_NOT_FOUND, f"{path}.instance_id: {destination.instance_id}"
            )
        self._context.entry(principal, destination.instance_id)

    async def _command(
        self, asked: Asked, document: wire.DecommissionDoc, state: Instance
    ) -> SendTransfers:
        """What the owner is asked, once everything that concerns the targets has been looked at."""
        ids = [pot.id for pot in state.rules.pots]
        transfers: list[Transfer] = []
        stem = asked.id or self._context.new_id()
        for index, destination in enumerate(document.destinations):
            path = f"$.destinations[{index}]"
            if destination.pot_id not in ids:
                raise invalid(f"{path}.pot_id", f"names no pot: {destination.pot_id}")
            pot = ids.index(destination.pot_id)
            if any(known.pot == pot for known in transfers):
                raise invalid(f"{path}.pot_id", "stands there twice")
            await self._check_target(state, destination, path)
            transfers.append(
                Transfer(
                    id=f"{stem}:{pot}",
                    pot=pot,
                    to_instance=destination.instance_id,
                    to_pot=destination.target_pot_id,
                    value=0,
                    reserve=0,
                    boost=0,
                )
            )
        left_out = sorted(set(ids) - {ids[each.pot] for each in transfers})
        if left_out:
            raise invalid("$.destinations", f"leaves out pot {left_out[0]}")
        weights = tuple(WHOLE for _ in transfers)
        return SendTransfers(0, tuple(transfers), weights, asked.by, document.reason)

    async def _check_target(
        self, state: Instance, destination: wire.DestinationDoc, path: str
    ) -> None:
        if destination.instance_id == state.definition.instance_id:
            raise invalid(f"{path}.instance_id", "is the instance itself")
        target = await self._context.owners.instance(destination.instance_id)
        if isinstance(target, Rejection):
            raise refused_by(target)
        if target.rules.currency != state.rules.currency:
            message = f"has another currency: {target.rules.currency}"
            raise invalid(f"{path}.instance_id", message)
        if target.status in OVER:
            message = f"{path}.instance_id: the target is {target.status}"
            raise RequestRefused(Code.INVALID_STATE, message)
        known = {rules.id: pot for rules, pot in zip(target.rules.pots, target.pots, strict=True)}
        if destination.target_pot_id not in known:
            message = f"names no pot of the target: {destination.target_pot_id}"
            raise invalid(f"{path}.target_pot_id", message)
        if not known[destination.target_pot_id].is_open:
            message = f"{path}.target_pot_id: pot {destination.target_pot_id} is used up"
            raise RequestRefused(Code.INVALID_STATE, message)

    async def _decommissioned(self, asked: Asked) -> Outgoing:
        document = codec.decode(_DECOMMISSION, asked.body)
        instance_id = asked.path["instance_id"]
        owners = self._context.owners
        state = await owners.instance(instance_id)
        if isinstance(state, Rejection):
            raise refused_by(state)
        if asked.id and any(each.startswith(f"{asked.id}:") for each in state.rare.taken):
            transfers = list(
                state.rare.transfers
            )  # sent before a crash, whatever has become of the targets
        else:
            command = await self._command(asked, document, state)
            transfers = transfers_in((await operated(owners, instance_id, command)).events)
        for transfer in transfers:
            # What cannot be delivered now is delivered in the background.
            await deliver(owners, instance_id, transfer)
        after = await owners.instance(instance_id)
        return self._answer(state if isinstance(after, Rejection) else after, transfers)

    def _answer(
        self, state: Instance, transfers: list[Transfer], *, is_dry: bool = False
    ) -> Outgoing:
        shown = [transfer_answer(state, transfer) for transfer in transfers]
        catalog = self._context.catalog
        return answer(wire.DecommissionAnswer(is_dry, shown, instance_answer(catalog, state)))
