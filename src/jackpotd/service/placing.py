"""The server's side of placement: everything lives where it shall before anything is served, and moves when told.

Asks the workers what they hold, has done what is to be done, and asks again until nothing is left. What needs a worker
that is down waits until it is back.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import structlog
import trio

from jackpotd.cluster.moving import WorkerUnreached
from jackpotd.cluster.relocation import Place, Relocate, Step, WorkerPort, homes, plan, take_step
from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.catalog import CatalogOwner
from jackpotd.engine.moving import MoveRefused
from jackpotd.wire.catalog_records import Placement
from jackpotd.wire.moving_messages import Holding

_ROUNDS_MAX = 1000
_RETRY_MIN_S = 0.02
_RETRY_MAX_S = 1.0

_log = structlog.get_logger("jackpotd.placing")


class HoldingWorker(WorkerPort, Protocol):
    """A worker that can be asked what it holds; None where it cannot be reached."""

    async def holdings(self) -> tuple[Holding, ...] | None: ...


class Midwife(Protocol):
    """Has instances born that the catalog knows and nobody holds."""

    async def give_birth(self, worker: int, instance_ids: tuple[str, ...]) -> Rejection | None: ...


class Placer:
    """One move at a time, whoever asks."""

    def __init__(
        self,
        owner: CatalogOwner,
        midwife: Midwife,
        owner_of: Callable[[str], int],
        ports: dict[int, HoldingWorker],
        *,
        workers: int,
    ) -> None:
        self._owner = owner
        self._midwife = midwife
        self._owner_of = owner_of
        self._ports = ports
        self._workers = workers
        self._lock = trio.Lock()
        self._unsettled = trio.Event()
        self._told: set[str] = set()

    async def settle(self) -> None:
        """Before anything is served: returns when everything lives where it shall, and everything is born.

        Nobody needs to be told yet where an instance is, and what the placement file says stands.

        Raises:
            TwoHomes: two workers serve one instance.
        """
        # The workers are all there, and find each other in a moment; no event tells of the last pair.
        while not await self._settled(_nobody_asks):  # noqa: ASYNC110
            await trio.sleep(_RETRY_MIN_S)

    async def run(self) -> None:
        """While it is served: ends what was cut off, as soon as those are there whom it needs, until cancelled.

        Raises:
            TwoHomes: two workers serve one instance.
        """
        while True:
            await self._unsettled.wait()
            self._unsettled = trio.Event()
            delay_s = _RETRY_MIN_S
            while not await self._settled(self._placing("placement")):
                await trio.sleep(delay_s)
                delay_s = min(2 * delay_s, _RETRY_MAX_S)

    def look_again(self) -> None:
        """A worker has come back, or a move was cut off."""
        self._unsettled.set()

    async def _settled(self, place: Place) -> bool:
        """Does what can be done; whether nothing is left to do."""
        async with self._lock:
            for _ in range(_ROUNDS_MAX):
                holdings = await self._holdings()
                steps = plan(holdings, self._owner_of, self._workers)
                if not steps:
                    break
                if not any([await self._take(step, place) for step in steps]):
                    return False
            if len(holdings) < len(self._ports):
                return False
            return await self._give_birth(holdings)

    async def move(self, instance_id: str, worker: int) -> bool | Rejection:
        """Moves an instance while it is served; False where it was there already."""
        if instance_id not in self._owner.catalog.instances:
            return Rejection(Code.JACKPOT_NOT_FOUND, f"there is no instance {instance_id}")
        if not 0 <= worker < self._workers:
            return Rejection(Code.INVALID_STATE, f"there is no worker {worker}")
        async with self._lock:
            home = homes(await self._holdings()).get(instance_id)
            if home is None:
                return Rejection(Code.OVERLOADED, "the worker of this instance is not there")
            place = self._placing("shards move")
            if home == worker:
                await place(instance_id, worker)
                return False
            step = Relocate(instance_id, home, worker)
            try:
                refused = await take_step(step, self._ports, place)
            except (WorkerUnreached, MoveRefused) as lost:
                self.look_again()
                return Rejection(
                    Code.OVERLOADED, f"{lost}; what was begun is ended in the background"
                )
        _log.info("moved", instance=instance_id, origin=home, worker=worker)
        return True if refused is None else refused

    async def is_empty(self, worker: int) -> bool:
        """Whether nothing lives with a worker any more."""
        return await self._ports[worker].holdings() == ()

    def forget(self, worker: int) -> None:
        """A worker that is no more."""
        self._ports.pop(worker)

    async def _holdings(self) -> Mapping[int, tuple[Holding, ...]]:
        found: dict[int, tuple[Holding, ...]] = {}
        for worker, port in list(self._ports.items()):
            held = await port.holdings()
            if held is not None:
                found[worker] = held
        return found

    async def _take(self, step: Step, place: Place) -> bool:
        try:
            refused = await take_step(step, self._ports, place)
            reason = "" if refused is None else refused.message
        except (WorkerUnreached, MoveRefused) as lost:
            reason = str(lost)
        text = f"{step}: {reason}"
        if reason and text not in self._told:
            self._told.add(text)  # once: it is tried again and again
            _log.warning("placement waits", step=str(step), reason=reason)
        if not reason:
            _log.info("placed", step=str(step))
        return not reason

    def _placing(self, by: str) -> Place:
        async def place(instance_id: str, worker: int) -> None:
            if self._owner_of(instance_id) != worker:
                await self._owner.change(
                    by, lambda _: [Placement(instance_id=instance_id, worker=worker)]
                )

        return place

    async def _give_birth(self, holdings: Mapping[int, tuple[Holding, ...]]) -> bool:
        """Whether everything that the catalog knows is born."""
        held = {holding.instance_id for holds in holdings.values() for holding in holds}
        unborn: dict[int, list[str]] = {}
        for instance_id in self._owner.catalog.instances:
            if instance_id not in held:
                unborn.setdefault(self._owner_of(instance_id), []).append(instance_id)
        all_born = True
        for worker, instance_ids in sorted(unborn.items()):
            refused = await self._midwife.give_birth(worker, tuple(instance_ids))
            if refused is not None:
                _log.warning("births wait", worker=worker, reason=refused.message)
                all_born = False
        return all_born


async def _nobody_asks(_instance_id: str, _worker: int) -> None:
    pass
