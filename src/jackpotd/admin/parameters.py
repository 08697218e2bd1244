"""Parameters of a live instance (contract §8, R-CHG-1): asked for now, in effect from the next win.

What a change would make of the template is checked here, whole; the owner of the instance keeps it until its win comes.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from jackpotd.admin.context import AdminContext, operated
from jackpotd.admin.instance_answers import parameters_answer
from jackpotd.core.commands import AskChange
from jackpotd.core.passing import own_schedule
from jackpotd.core.raffle import schedule_problem
from jackpotd.core.state import Instance, PendingChange
from jackpotd.edge.exchange import Incoming, Outgoing, answer
from jackpotd.identity.principal import Principal, Resource
from jackpotd.wire import admin_instances as wire
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import InstanceEntry
from jackpotd.wire.errors import invalid
from jackpotd.wire.parameter_changes import raffles_in, split_changes, values_before

_PARAMETERS = codec.decoder(wire.ParametersDoc)


class Parameters:
    """The handlers of `/instances/{id}/parameters`."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context

    async def get(self, request: Incoming) -> Outgoing:
        """Get the template as it is in effect for an instance, and the parameters that wait for a win."""
        principal = self._context.reader(request, Resource.INSTANCES)
        entry = self._context.entry(principal, request.path["instance_id"])
        state = await self._context.instance(principal, entry.instance_id)
        return answer(parameters_answer(state, entry.document))

    async def put(self, request: Incoming) -> Outgoing:
        """Change parameters from the next win on: a pot's own with its win, those of all pots with any win.

        The chance and the hidden value of the running pot never change, nor a raffle before the end of its round.
        """
        principal = self._context.writer(request, Resource.INSTANCES)
        document = self._context.body(_PARAMETERS, request)
        entry = self._context.entry(principal, request.path["instance_id"])
        state = await self._context.instance(principal, entry.instance_id)
        command = self._command(principal, entry, state, document)
        done = await operated(self._context.owners, entry.instance_id, command)
        return answer(parameters_answer(done.state, entry.document))

    def _command(
        self,
        principal: Principal,
        entry: InstanceEntry,
        state: Instance,
        document: wire.ParametersDoc,
    ) -> AskChange:
        in_effect = state.rare.document or bytes(entry.document)
        pieces = split_changes(
            document.changes,
            in_effect,
            list(entry.brands),
            [pot.id for pot in state.rules.pots],
            [(change.pot, change.changes) for change in state.rare.pending],
        )
        _require_for_schedule(state, [changes for _, changes in pieces])
        parts = tuple(
            PendingChange(
                id=self._context.new_id(),
                pot=pot,
                changes=changes,
                at_ms=0,
                by=principal.username,
                reason=document.reason,
            )
            for pot, changes in pieces
        )
        whole = codec.encode(document.changes)
        return AskChange(at_ms=0, parts=parts, before=values_before(in_effect, whole))


def _require_for_schedule(state: Instance, pieces: Sequence[bytes]) -> None:
    """Refuses a raffle that could not have its rounds by the schedule of the instance."""
    for rules in raffles_in(pieces):
        if schedule_problem(replace(state.rules, raffle=rules), own_schedule(state)) is not None:
            raise invalid("$.changes.raffle.duration", "is needed: the schedule has no end")
