"""Moving an instance from one worker to another: the giver's side and the taker's.

The giver lets the instance stand still (`Departing`), so that its rows do not change any more, and brings them and its
keys to disk; what arrives for it is parked. The taker fetches the rows a chunk at a time, journals each handful
(`Imported`), and at last the instance itself (`Adopted`): from that record on it lives there. Then the giver lets it go
(`Departed`) and sends on what was parked. Every step may be asked for again after a crash of either side; before
`Adopted` the move can be called off (`Abandoned` there, then `Returned` here). `relocation` knows the order.

A million players must not be in one list, one record, or in memory at all: chunks, and a checkpoint now and then.
"""

from collections.abc import Mapping
from typing import Protocol

from jackpotd.engine.actor import Actor
from jackpotd.engine.cells import Cell
from jackpotd.engine.fold import Fold
from jackpotd.engine.messages import ContributeMessage, LinkMessage, OperateMessage, OptInMessage
from jackpotd.wire.moving_messages import Holding, HoldingState, RowsChunk


class MoveRefused(Exception):
    """A step that does not fit to where the instance is; the move has to be looked at anew."""


class Host(Protocol):
    """The shard: where actors run."""

    @property
    def actors(self) -> Mapping[str, Actor]: ...

    def start(self, cell: Cell) -> None:
        """Runs an actor for an instance."""
        ...

    def remove(self, instance_id: str) -> None:
        """Knows an actor no more."""
        ...


class Redispatch(Protocol):
    """Where messages go that were parked while their instance moved away."""

    def contribute(self, message: ContributeMessage) -> None: ...

    def link(self, instance_id: str, message: LinkMessage) -> None: ...

    def opt_in(self, instance_id: str, message: OptInMessage) -> None: ...

    def operate(self, instance_id: str, message: OperateMessage) -> None: ...


class GiverPort(Protocol):
    """The other side, as the taker sees it."""

    async def rows(self, instance_id: str, departing_seq: int, after: bytes) -> RowsChunk:
        """The rows behind a key; the first ones behind the empty one.

        Raises:
            MoveRefused: this departure is not, or not any more.
        """
        ...


def holdings(fold: Fold) -> tuple[Holding, ...]:
    """Which instances this worker's journal has, and in which state."""
    found = []
    for instance_id in fold.cells:
        departure = fold.moves.departures.get(instance_id)
        state: HoldingState = "serving" if departure is None else "departing"
        worker, seq = None, 0
        if departure is not None:
            worker, seq = departure.to_worker, departure.departing_seq
        found.append(Holding(instance_id, state, fold.moves.moves_of(instance_id), worker, seq))
    found += [
        Holding(row.instance_id, "importing", 0, row.from_worker, row.departing_seq)
        for row in fold.moves.imports.values()
    ]
    return tuple(found)
