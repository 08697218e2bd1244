"""Money on its way from one instance to others: brought there until it has arrived, and then struck off (R-MON-5).

An instance that has sent money keeps each transfer until its target has taken it. A target takes a transfer once, by
its id, so it may be brought again after any crash: the money is in exactly one place at every moment, and while it is
on its way it stands in the sender's account `transferred`.
"""

import structlog
import trio

from jackpotd.core.commands import FinishTransfer, TakeTransfer
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Instance, Transfer
from jackpotd.engine.owners import Owners
from jackpotd.engine.shard import Shard

RETRY_MIN_S = 0.05
RETRY_MAX_S = 10.0

_log = structlog.get_logger("jackpotd.transfers")


async def deliver(owners: Owners, sender: str, transfer: Transfer) -> Rejection | None:
    """Brings a transfer to its target and strikes it off at its sender; both happen once, however often it is asked."""
    taken = await owners.operate(transfer.to_instance, TakeTransfer(0, sender, transfer))
    if isinstance(taken, Rejection):
        return taken
    finished = await owners.operate(sender, FinishTransfer(0, transfer.id))
    return finished if isinstance(finished, Rejection) else None


class Transfers:
    """The transfers of all instances that live with one worker.

    Args:
        shard: where the senders live; it says which have something under way.
        owners: of all instances, wherever they live.
    """

    def __init__(self, shard: Shard, owners: Owners) -> None:
        self._shard = shard
        self._owners = owners
        self._senders: set[str] = set()
        self._wake = trio.Event()
        self._told: set[str] = set()
        shard.on_unfinished(self._notice)

    def _notice(self, state: Instance) -> None:
        if state.rare.transfers:
            self._senders.add(state.definition.instance_id)
            self._wake.set()

    async def run(self) -> None:
        """Delivers until cancelled; what cannot be delivered is tried again, ever more rarely."""
        delay_s = RETRY_MIN_S
        while True:
            with trio.move_on_after(delay_s if self._senders else float("inf")):
                await self._wake.wait()
                delay_s = RETRY_MIN_S
            self._wake = trio.Event()
            senders, self._senders = sorted(self._senders), set()
            for sender in senders:
                if not await self._deliver_all(sender):
                    self._senders.add(sender)
            delay_s = min(2 * delay_s, RETRY_MAX_S)

    async def _deliver_all(self, sender: str) -> bool:
        """Brings everything that an instance has sent to where it belongs; whether all of it has arrived."""
        state = self._shard.state(sender)
        # Who has moved away goes on with its transfers where it lives now.
        transfers = () if state is None else state.rare.transfers
        await self._shard.durable()
        has_arrived = True
        for transfer in transfers:
            refused = await deliver(self._owners, sender, transfer)
            if refused is not None:
                has_arrived = False
                self._complain(transfer, refused)
        return has_arrived

    def _complain(self, transfer: Transfer, refused: Rejection) -> None:
        text = f"{transfer.id}: {refused.message}"
        if text not in self._told:
            self._told.add(text)  # once: it is tried again and again
            _log.warning(
                "a transfer waits",
                transfer=transfer.id,
                target=transfer.to_instance,
                reason=refused.message,
            )
