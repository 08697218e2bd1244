"""The edge's side of the feed: it changes the catalog for it, and asks it for dead letters."""

import msgspec

from jackpotd.cluster.answers import refusal_of
from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.catalog import Catalog, CatalogOwner
from jackpotd.mesh import FEED
from jackpotd.mesh.link import Unreached
from jackpotd.mesh.mesh import Mesh
from jackpotd.wire import deliveries
from jackpotd.wire import feed_messages as wire
from jackpotd.wire.catalog_records import CatalogEntity, Origin, Origins
from jackpotd.wire.mesh_messages import Message, Refused

NO_FEED = Rejection(Code.OVERLOADED, "the process that delivers webhooks is not there")


class OriginsDesk:
    """Takes changes of the origins that browsers may call Connect from."""

    def __init__(self, mesh: Mesh, owner: CatalogOwner) -> None:
        self._owner = owner
        mesh.handle_slowly(wire.ChangeOrigins, self._change)

    async def _change(self, _peer: int, message: wire.ChangeOrigins) -> Message:
        removed, operator = 0, message.operator

        def decide(known: Catalog) -> list[CatalogEntity] | Rejection:
            nonlocal removed
            left = {(each.operator_id, each.pattern): each for each in known.origins}
            for pattern in message.remove:
                removed += left.pop((operator, pattern), None) is not None
            for pattern, match_mode in message.add:
                left[operator, pattern] = _origin(operator, pattern, match_mode)
            changed = tuple(left.values())
            return [] if changed == known.origins else [Origins(origins=changed)]

        try:
            refusal = await self._owner.change(message.by, decide)
        except msgspec.ValidationError as error:
            refusal = Rejection(Code.INVALID_REQUEST, str(error))
        if refusal is not None:
            return Refused(refusal.code, refusal.message)
        return wire.Origins(
            tuple(
                [
                    (each.pattern, each.match_mode)
                    for each in self._owner.catalog.origins
                    if each.operator_id == operator
                ]
            ),
            removed,
        )


def _origin(operator: str, pattern: str, match_mode: str) -> Origin:
    """What every copy of the catalog can read."""
    fields = {"pattern": pattern, "match_mode": match_mode, "operator_id": operator}
    return msgspec.convert(fields, Origin)


class RemoteDeadLetters:
    """Dead letters, asked from the node that serves the administration."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh

    async def dead_letters(
        self, operator: str, skip: int, limit: int
    ) -> tuple[deliveries.DeadLetter, ...] | Rejection:
        """Those of an operator, the latest first."""
        answer = await self._mesh.question(FEED, wire.AskDeadLetters(operator, skip, limit))
        if not isinstance(answer, wire.DeadLetters):
            return _refusal_of(answer)
        found = [deliveries.decode(row) for row in answer.rows]
        return tuple(row for row in found if isinstance(row, deliveries.DeadLetter))

    async def replay(self, operator: str, ids: tuple[str, ...]) -> tuple[str, ...] | Rejection:
        """Has these tried again, or all of the operator's where none is named; those that are on their way, durably."""
        answer = await self._mesh.question(FEED, wire.ReplayDeadLetters(operator, ids))
        return answer.ids if isinstance(answer, wire.DeadLettersReplayed) else _refusal_of(answer)


def _refusal_of(answer: Message | Unreached) -> Rejection:
    return NO_FEED if isinstance(answer, Unreached) else refusal_of(answer)
