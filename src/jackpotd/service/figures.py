"""What `jackpotd shards` shows: each worker's own figures, and what they say about all of them together.

A worker tells totals and the processor time of its event loop; whoever asks twice knows the rates in between.
"""

import time
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from jackpotd.service.wiring import WorkerPart

SATURATED_LOOP = 0.9
HOT_RATIO = 2.0
HOT_PER_S = 100.0


class InstanceFigures(Struct, frozen=True):
    """One instance at one moment, as its owner sees it."""

    instance_id: str
    name: str
    contributions: int
    queued: int
    is_fenced: bool


class WorkerFigures(Struct, frozen=True):
    """A worker's own view of one moment; times are its own clocks, good for differences only."""

    at_s: float
    busy_s: float
    in_flight: int
    staged: int
    unfinished: int  # links under way, and instances that have moved out but for some rows
    instances: tuple[InstanceFigures, ...]


class InstanceReport(Struct, frozen=True):
    """One instance over an interval."""

    instance_id: str
    name: str
    worker: int
    contributions_per_s: float
    queued: int
    is_fenced: bool


class WorkerReport(Struct, frozen=True):
    """One worker over an interval; without a process, only its name and its state."""

    worker: int
    pid: int | None
    state: str
    restarts: int
    instances: int
    contributions_per_s: float
    queued: int
    in_flight: int
    staged: int
    loop_busy: float
    is_hot: bool


class Report(Struct, frozen=True):
    """All of it."""

    interval_s: float
    workers: tuple[WorkerReport, ...]
    instances: tuple[InstanceReport, ...]
    warnings: tuple[str, ...]


class Standing(Struct, frozen=True):
    """What the server knows of a worker without asking it."""

    worker: int
    pid: int | None
    state: str
    restarts: int


def figures_of(part: WorkerPart) -> WorkerFigures:
    """A worker's figures of this moment. Called on its event loop, whose processor time is the thread's."""
    actors = part.shard.actor_statistics()
    states = {state.definition.instance_id: state for state in part.shard.states()}
    commits = part.journal.statistics()
    return WorkerFigures(
        at_s=time.monotonic(),
        busy_s=time.thread_time(),
        in_flight=part.router.in_flight,
        staged=commits.staged,
        unfinished=len(part.shard.fold.propagations) + len(part.shard.fold.moves.droppings),
        instances=tuple(
            InstanceFigures(
                instance_id=instance_id,
                name=states[instance_id].definition.name,
                contributions=actor.contributions,
                queued=actor.queued,
                is_fenced=actor.is_fenced,
            )
            for instance_id, actor in actors.items()
            if instance_id in states
        ),
    )


_FIGURES: msgspec.json.Decoder[WorkerFigures] = msgspec.json.Decoder(WorkerFigures)


def decode_figures(text: str) -> WorkerFigures:
    """A worker's figures as it has sent them."""
    return _FIGURES.decode(text)


def report(
    standings: Sequence[Standing],
    before: Mapping[int, WorkerFigures],
    after: Mapping[int, WorkerFigures],
    interval_s: float,
) -> Report:
    """What two looks at the workers tell."""
    instances: list[InstanceReport] = []
    workers: list[WorkerReport] = []
    for standing in standings:
        was, now = before.get(standing.worker), after.get(standing.worker)
        owned = [] if now is None else _instances(standing.worker, was, now)
        instances += owned
        workers.append(_worker(standing, was, now, owned))
    judged = [_judged(worker, workers) for worker in workers]
    warnings = [_advice(worker, judged, instances) for worker in judged if worker.is_hot]
    warnings += [
        f"instance {each.instance_id} is out of service after a defect"
        for each in instances
        if each.is_fenced
    ]
    return Report(interval_s, tuple(judged), tuple(instances), tuple(warnings))


def _instances(worker: int, was: WorkerFigures | None, now: WorkerFigures) -> list[InstanceReport]:
    counts = {} if was is None else {each.instance_id: each for each in was.instances}
    elapsed_s = 0.0 if was is None else now.at_s - was.at_s
    found = []
    for each in now.instances:
        known = counts.get(each.instance_id)
        # Who has come back, or was given the instance, in between has no rate yet.
        new = each.contributions - known.contributions if known is not None else 0
        found.append(
            InstanceReport(
                instance_id=each.instance_id,
                name=each.name,
                worker=worker,
                contributions_per_s=round(max(new, 0) / elapsed_s, 1) if elapsed_s > 0 else 0.0,
                queued=each.queued,
                is_fenced=each.is_fenced,
            )
        )
    return found


def _worker(
    standing: Standing,
    was: WorkerFigures | None,
    now: WorkerFigures | None,
    owned: Sequence[InstanceReport],
) -> WorkerReport:
    busy = 0.0
    if was is not None and now is not None and now.at_s > was.at_s:
        busy = max(now.busy_s - was.busy_s, 0.0) / (now.at_s - was.at_s)
    return WorkerReport(
        worker=standing.worker,
        pid=standing.pid,
        state=standing.state,
        restarts=standing.restarts,
        instances=len(owned),
        contributions_per_s=round(sum(each.contributions_per_s for each in owned), 1),
        queued=sum(each.queued for each in owned),
        in_flight=0 if now is None else now.in_flight,
        staged=0 if now is None else now.staged,
        loop_busy=round(busy, 3),
        is_hot=False,
    )


def _judged(worker: WorkerReport, workers: Sequence[WorkerReport]) -> WorkerReport:
    """A worker is hot where its event loop is saturated, or where it does more than twice the mean of the others.

    Where nobody has much to do, nobody is hot.
    """
    others = [each.contributions_per_s for each in workers if each.worker != worker.worker]
    is_lopsided = (
        bool(others)
        and worker.contributions_per_s >= HOT_PER_S
        and worker.contributions_per_s > HOT_RATIO * sum(others) / len(others)
    )
    return replace(worker, is_hot=is_lopsided or worker.loop_busy >= SATURATED_LOOP)


def _advice(
    worker: WorkerReport, workers: Sequence[WorkerReport], instances: Sequence[InstanceReport]
) -> str:
    """What is hot, and what could be done."""
    text = (
        f"worker {worker.worker} is hot: {worker.contributions_per_s:,.0f} contributions/s, "
        f"event loop {worker.loop_busy:.0%} busy"
    )
    others = [each for each in workers if each.worker != worker.worker]
    if not others:
        return f"{text}; more workers would share the connections ([service] workers)"
    coolest = min(others, key=lambda each: each.contributions_per_s)
    gap = worker.contributions_per_s - coolest.contributions_per_s
    owned = [each for each in instances if each.worker == worker.worker]
    # Whatever is more than the gap would only carry the heat over.
    movable = [each for each in owned if 0 < each.contributions_per_s < gap]
    if not movable:
        return f"{text}; nothing that it owns would be better off elsewhere"
    best = min(movable, key=lambda each: abs(each.contributions_per_s - gap / 2))
    return (
        f"{text}; `jackpotd shards move {best.instance_id} {coolest.worker}` would take "
        f"{best.contributions_per_s:,.0f}/s of it away"
    )
