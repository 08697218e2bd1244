"""The order of a move, as the edge drives it, and what is still to be done after a crash of anybody.

Where an instance lives is what the journals say: with the worker that has moved it in last. Everything else follows
from asking all workers what they hold.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from jackpotd.core.rejections import Rejection
from jackpotd.wire.moving_messages import Departure, Holding


class WorkerPort(Protocol):
    """A worker, as the edge sees it; every call may be made again."""

    async def depart(self, instance_id: str, to_worker: int) -> Departure | Rejection: ...

    async def take(self, departure: Departure) -> None: ...

    async def finish(self, instance_id: str, departing_seq: int) -> None: ...

    async def abandon(self, instance_id: str, from_worker: int, departing_seq: int) -> bool: ...

    async def resume(self, instance_id: str, departing_seq: int) -> None: ...


Place = Callable[[str, int], Awaitable[None]]
"""Makes every worker send what concerns an instance to another worker; returns when all of them do."""


class TwoHomes(Exception):
    """Two workers serve one instance. That must never be, and nothing is done before a person has looked."""


class Finish(Struct, frozen=True):
    """The instance lives at home already; what stands still at this worker goes."""

    instance_id: str
    worker: int
    departing_seq: int
    home: int


class Relocate(Struct, frozen=True):
    """The instance shall move, or a move that was begun goes on."""

    instance_id: str
    from_worker: int
    to_worker: int


class CallOff(Struct, frozen=True):
    """A move that was begun leads nowhere, or is over for the giver: what was imported goes, the giver goes on."""

    instance_id: str
    from_worker: int
    to_worker: int
    departing_seq: int


Step = Finish | Relocate | CallOff

Holdings = Mapping[int, Sequence[Holding]]
"""What each worker that can be asked has said."""


def homes(holdings: Holdings) -> dict[str, int]:
    """Where each instance lives: of those that have it, the one that it moved to last.

    Raises:
        TwoHomes: it is served twice.
    """
    found: dict[str, tuple[int, int]] = {}
    serving: dict[str, int] = {}
    for worker, held in holdings.items():
        for holding in held:
            if holding.state == "importing":
                continue
            if (
                holding.state == "serving"
                and serving.setdefault(holding.instance_id, worker) != worker
            ):
                raise TwoHomes(
                    f"{holding.instance_id} is served by workers {serving[holding.instance_id]} and {worker}"
                )
            here = (holding.moves, worker)
            found[holding.instance_id] = max(here, found.get(holding.instance_id, here))
    return {instance_id: worker for instance_id, (_, worker) in found.items()}


def plan(holdings: Holdings, owner: Callable[[str], int], workers: int) -> list[Step]:
    """What has to be done next so that every instance lives where it shall and nothing is left over elsewhere.

    What was begun is finished first, whatever is wanted by now: the plan is made again until nothing is left to do.

    Args:
        holdings: of all workers, also of those with a number of `workers` and above, which are to be emptied.
        owner: where an instance shall live.
        workers: how many workers serve.
    """
    lives = homes(holdings)
    begun = [
        step
        for worker, held in holdings.items()
        for holding in held
        if (step := _begun(worker, holding, lives, holdings, workers)) is not None
    ]
    if begun:
        return sorted(begun, key=lambda step: (Finish, CallOff, Relocate).index(type(step)))
    return [
        Relocate(name, worker, owner(name))
        for name, worker in sorted(lives.items())
        if owner(name) != worker
    ]


def _begun(
    worker: int, holding: Holding, lives: Mapping[str, int], holdings: Holdings, workers: int
) -> Step | None:
    """How a move goes on that was begun."""
    name, other, seq = holding.instance_id, holding.worker, holding.departing_seq
    if holding.state == "serving" or other is None:
        return None
    if holding.state == "importing":
        is_going_on = any(
            (held.instance_id, held.state, held.worker, held.departing_seq)
            == (name, "departing", worker, seq)
            for held in holdings.get(other, ())
        )
        # The giver's own step goes on with this import.
        return None if is_going_on else CallOff(name, other, worker, seq)
    if lives[name] != worker:
        return Finish(name, worker, seq, lives[name])
    if other >= workers:
        return CallOff(name, worker, other, seq)
    return Relocate(name, worker, other)


async def relocate(
    step: Relocate, giver: WorkerPort, taker: WorkerPort, place: Place
) -> Rejection | None:
    """Moves an instance, or goes on with it; it lives with the taker when this returns None."""
    departure = await giver.depart(step.instance_id, step.to_worker)
    if isinstance(departure, Rejection):
        return departure
    await taker.take(departure)
    await place(step.instance_id, step.to_worker)
    await giver.finish(step.instance_id, departure.departing_seq)
    return None


async def call_off(step: CallOff, giver: WorkerPort | None, taker: WorkerPort | None) -> bool:
    """Ends a move where it began; False if the instance lives with the taker already, so that it has to go on.

    None stands for a worker that is no more, not even to be emptied.
    """
    asked = (step.instance_id, step.from_worker, step.departing_seq)
    if taker is not None and not await taker.abandon(*asked):
        return False
    if giver is not None:
        await giver.resume(step.instance_id, step.departing_seq)
    return True


async def take_step(
    step: Step, workers: Mapping[int, WorkerPort], place: Place
) -> Rejection | None:
    """Does what was planned."""
    match step:
        case Finish():
            await place(step.instance_id, step.home)
            await workers[step.worker].finish(step.instance_id, step.departing_seq)
        case CallOff():
            await call_off(step, workers.get(step.from_worker), workers.get(step.to_worker))
        case Relocate():
            return await relocate(step, workers[step.from_worker], workers[step.to_worker], place)
    return None
