"""What operators do to the pots of an instance: boosts, corrections, external triggers, withheld wins (contract §8).

Each needs a reason; who did it and why is in the instance's journal. Corrections and decisions on withheld wins need a
second person under four eyes.
"""

from jackpotd.admin.approvals import Approvals, Asked
from jackpotd.admin.context import AdminContext, operated, previewed
from jackpotd.admin.instance_answers import held_win_answer, instance_answer
from jackpotd.core import rejections
from jackpotd.core.commands import Adjust, Boost, DecideHeldWin, Trigger
from jackpotd.core.events import InstanceEvent, PotWon
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Contributor, Instance
from jackpotd.edge.exchange import Incoming, Outgoing, answer, refused_by
from jackpotd.identity.principal import Resource
from jackpotd.wire import admin_instances as wire
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import ApprovalKind
from jackpotd.wire.errors import invalid

_MONEY = codec.decoder(wire.PotMoneyDoc)
_TRIGGER = codec.decoder(wire.TriggerDoc)
_REASON = codec.decoder(wire.ReasonDoc)


class Pots:
    """The handlers of what is done to pots."""

    def __init__(self, context: AdminContext, approvals: Approvals) -> None:
        self._context = context
        self._approvals = approvals
        approvals.register("adjustment", self._adjusted)
        approvals.register("release", self._released)
        approvals.register("rejection", self._rejected)

    async def boost(self, request: Incoming) -> Outgoing:
        """Put the operator's money aside for the next seeds of a pot."""
        principal = self._context.writer(request, Resource.INSTANCES)
        document = self._context.body(_MONEY, request)
        instance_id = self._context.entry(principal, request.path["instance_id"]).instance_id
        if document.amount.units <= 0:
            raise invalid("$.amount", "must be above 0")
        command = Boost(
            at_ms=0,
            pot_id=document.pot_id,
            amount_units=document.amount.units,
            by=principal.username,
            reason=document.reason,
        )
        done = await operated(self._context.owners, instance_id, command)
        return answer(instance_answer(self._context.catalog, done.state))

    async def adjust(self, request: Incoming) -> Outgoing:
        """Correct a pot's value, up or down: the operator pays in, or takes back.

        Never below the pot's reset value, nor above its ceiling.
        """
        principal = self._context.writer(request, Resource.INSTANCES)
        document = self._context.body(_MONEY, request)
        entry = self._context.entry(principal, request.path["instance_id"])
        if not document.amount.units:
            raise invalid("$.amount", "must not be 0")
        state = await self._context.instance(principal, entry.instance_id)
        previewed(state, _adjustment(Asked(request.path, request.body, principal.username)))
        return await self._approvals.ask(
            principal, "adjustment", entry.owner_id, request.path, request.body
        )

    async def _adjusted(self, asked: Asked) -> Outgoing:
        owners = self._context.owners
        done = await operated(owners, asked.path["instance_id"], _adjustment(asked))
        return answer(instance_answer(self._context.catalog, done.state))

    async def trigger(self, request: Incoming) -> Outgoing:
        """Tip a pot from outside, for a player; a round triggers a pot once."""
        principal = self._context.writer(request, Resource.INSTANCES)
        document = self._context.body(_TRIGGER, request)
        entry = self._context.entry(principal, request.path["instance_id"])
        player = document.player
        brand = player.brand_id
        if ":" not in brand:
            brand = f"{entry.owner_id.partition(':')[0]}:{brand}"
        if not self._context.catalog.brand_exists(brand):
            raise refused_by(rejections.unsupported_brand(brand))
        found = await self._context.owners.standing(entry.instance_id, brand, player.id)
        if isinstance(found, Rejection):
            raise refused_by(found)
        state, standing = found
        last = standing.last.currency if standing.last is not None else state.rules.currency
        command = Trigger(
            at_ms=0,
            round_id="",
            pot_id=request.path["pot_id"],
            winner=self._winner(state, brand, player.id, player.currency or last),
            reference_id=document.gameround_id,
            by=principal.username,
            reason=document.reason,
            streams=(),
        )
        done = await operated(self._context.owners, entry.instance_id, command)
        return answer(_trigger_answer(done.state, done.events))

    def _winner(self, state: Instance, brand: str, player_id: str, currency: str) -> Contributor:
        """The player with the rates of the brand at this moment."""
        multipliers = self._context.catalog.multipliers_for(brand)
        rates = {} if multipliers is None else multipliers.rates
        for needed in (currency, state.rules.currency):
            if needed not in rates:
                raise refused_by(rejections.multipliers_not_found(needed))
        return Contributor(
            brand=brand,
            player_id=player_id,
            currency=currency,
            player_rate=rates[currency],
            jackpot_rate=rates[state.rules.currency],
        )

    async def withheld(self, request: Incoming) -> Outgoing:
        """List the wins whose money waits for a person."""
        principal = self._context.reader(request, Resource.INSTANCES)
        state = await self._context.instance(principal, request.path["instance_id"])
        return answer([held_win_answer(state, win) for win in state.rare.held])

    async def release(self, request: Incoming) -> Outgoing:
        """Pay a withheld win to its winner."""
        return await self._decide(request, "release")

    async def reject(self, request: Incoming) -> Outgoing:
        """Reject a withheld win: its money returns to the pot."""
        return await self._decide(request, "rejection")

    async def _decide(self, request: Incoming, kind: ApprovalKind) -> Outgoing:
        principal = self._context.writer(request, Resource.INSTANCES)
        self._context.body(_REASON, request)
        entry = self._context.entry(principal, request.path["instance_id"])
        state = await self._context.instance(principal, entry.instance_id)
        asked = Asked(request.path, request.body, principal.username)
        previewed(state, _held_win_command(asked, release=kind == "release"))
        return await self._approvals.ask(
            principal, kind, entry.owner_id, request.path, request.body
        )

    async def _released(self, asked: Asked) -> Outgoing:
        return await self._decided(asked, release=True)

    async def _rejected(self, asked: Asked) -> Outgoing:
        return await self._decided(asked, release=False)

    async def _decided(self, asked: Asked, *, release: bool) -> Outgoing:
        command = _held_win_command(asked, release=release)
        done = await operated(self._context.owners, asked.path["instance_id"], command)
        return answer(instance_answer(self._context.catalog, done.state))


def _adjustment(asked: Asked) -> Adjust:
    document = codec.decode(_MONEY, asked.body)
    return Adjust(
        at_ms=0,
        pot_id=document.pot_id,
        amount_units=document.amount.units,
        by=asked.by,
        reason=document.reason,
        id=asked.id,
    )


def _held_win_command(asked: Asked, *, release: bool) -> DecideHeldWin:
    return DecideHeldWin(
        at_ms=0,
        round_id=asked.path["gameround_id"],
        pot_id=asked.path["pot_id"],
        release=release,
        by=asked.by,
        reason=codec.decode(_REASON, asked.body).reason,
        id=asked.id,
    )


def _trigger_answer(state: Instance, events: tuple[InstanceEvent, ...]) -> wire.TriggerAnswer:
    won = next(event for event in events if isinstance(event, PotWon))
    return wire.TriggerAnswer(
        instance_id=state.definition.instance_id,
        pot_id=state.rules.pots[won.pot].id,
        gameround_id=won.round_id,
        player_id=won.player_id,
        brand_id=won.brand,
        win_amount=codec.amount(won.win),
        win_currency=won.currency,
        win_withheld=won.is_withheld,
        timestamp=won.at_ms,
    )
