"""What does a second worker bring to one hot instance, and what to two instances that each have a worker?

One server with one worker, and one with two, placed by a shards.toml, in turns: contributions to one jackpot, then to
two that stand on different workers. Each worker has a core, and the generator has one of its own: that takes three. On
two cores the second worker would take its time from the first or from the generator; there the bench skips, and shows
what it depends on instead, the owner's processor time for a forwarded contribution (`python -m bench mesh`).
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import mesh
from bench.generator.plan import latency
from bench.generator.workload import Workload
from bench.reporting.command import Options, run
from bench.reporting.report import Goal, Report, Table, number, ratio_goal
from bench.servers.subjects import Subject, jackpotd
from bench.servers.turns import Turn, take
from jackpotd.service.demo_data import DAILY_DROP, SLOTS

CONNECTIONS = 128
CORES_MIN = 3
HOT, TWO = "one hot instance", "two instances"
GOALS = {HOT: 1.3, TWO: 1.6}
INSTANCES = {HOT: (SLOTS,), TWO: (SLOTS, DAILY_DROP)}
"""Neither has links, so a contribution to one of them is no matter of any other's owner."""
PLACEMENT = {SLOTS: 0, DAILY_DROP: 1}

Rounds = dict[tuple[str, int], list[Turn]]
"""By instances and number of workers."""


def measure(options: Options) -> Report:
    """Both servers in turns; where there are too few cores, the mesh bench's figure."""
    report = options.report("workers", __doc__ or "")
    if options.cores.count < CORES_MIN:
        return _instead(options, report)
    found = compared(options, (options.cores.workers[:1], options.cores.workers[:2]))
    notes = [
        f"{name}, {workers} workers: {problem}"
        for (name, workers), turns in found.items()
        for problem in dict.fromkeys(said for turn in turns for said in turn.measured.problems)
    ]
    return replace(
        report,
        tables=(_table(found),),
        goals=tuple(_goal(name, found) for name in GOALS),
        notes=(*report.notes, *notes),
        figures={
            f"{name} {workers}": [turn.rate for turn in turns]
            for (name, workers), turns in found.items()
        },
    )


def _instead(options: Options, report: Report) -> Report:
    rounds = mesh.forwarded(options)
    owner_us = median(each.owner_us for each in rounds)
    shown = mesh.table(rounds)
    skipped = (
        f"skipped: two workers and a load generator need {CORES_MIN} cores, and there are "
        f"{options.cores.count}; instead, a forwarded contribution takes {number(owner_us)} µs of its owner"
    )
    return replace(
        report,
        tables=(replace(shown, title=f"Instead, as in the mesh bench: {shown.title}"),),
        goals=tuple(_goal(name, {}) for name in GOALS),
        notes=(*report.notes, skipped),
        figures={"owner_us": [each.owner_us for each in rounds]},
    )


def compared(options: Options, cores: tuple[tuple[int, ...], ...]) -> Rounds:
    """Turns of a server with one worker on the first cores, of one with two on the second, and so on.

    The one that is idle runs on, and takes next to nothing.
    """
    found: Rounds = {}
    with options.folder("workers") as folder, ExitStack() as stack:
        subjects = {
            workers: stack.enter_context(_server(folder, workers, on))
            for workers, on in enumerate(cores, 1)
        }
        for turn in range(1, options.rounds + 1):
            for name, instances in INSTANCES.items():
                for workers, subject in subjects.items():
                    plan = subject.plan(
                        connections=CONNECTIONS,
                        duration_s=options.seconds,
                        warm_up_s=options.warm_up_s,
                        core=options.cores.generator,
                        workload=Workload(seed=options.seed, instances=instances),
                    )
                    what = f"{name}, {workers} workers, turn {turn} of {options.rounds}"
                    found.setdefault((name, workers), []).append(take(subject, plan, what))
    return found


@contextmanager
def _server(folder: Path, workers: int, cores: tuple[int, ...]) -> Iterator[Subject]:
    own = folder / f"workers-{workers}"
    own.mkdir()
    shards = own / "shards.toml"
    lines = [f'"{instance}" = {place % workers}' for instance, place in PLACEMENT.items()]
    shards.write_text("\n".join(("[instances]", *lines, "")))
    environment = {
        "JACKPOTD_SERVICE_WORKERS": str(workers),
        "JACKPOTD_SERVICE_SHARDS": str(shards),
    }
    with jackpotd(own, cores, environment) as subject:
        yield subject


def _goal(name: str, found: Rounds) -> Goal:
    rates = {at: [turn.rate for turn in turns] for at, turns in found.items()}
    title = f"contributions/s to {name}, two workers / one"
    return ratio_goal(title, GOALS[name], rates.get((name, 2), []), rates.get((name, 1)))


def _table(found: Rounds) -> Table:
    rows = []
    for (name, workers), turns in found.items():
        rates, seen = [t.rate for t in turns], latency(*(t.measured.latency for t in turns))
        rows.append(
            (
                f"{name}, {workers} {'workers' if workers > 1 else 'worker'}",
                f"{median(rates):,.0f}",
                f"{min(rates):,.0f} – {max(rates):,.0f}",
                number(median(t.core_us for t in turns)),
                f"{number(seen.p50)} / {number(seen.p99)}",
            )
        )
    columns = (
        "", "contributions/s", "smallest – largest", "µs of all processes each", "p50 / p99 ms",
    )  # fmt: skip
    title = f"Closed loop, {CONNECTIONS} connections, medians"
    return Table(title, columns, tuple(rows))


if __name__ == "__main__":
    run(measure, __doc__)
