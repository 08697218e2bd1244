"""How many durable contributions a second do we take, beside what else could be built on the same core?

Starts the peers and our server, and lets each take its turn, several times, at 32 and at 128 connections: an echo on
Quart-Trio and Hypercorn, a bare echo on trio and httptools, FastAPI with PostgreSQL, raw ASGI with Redis. All get the
same requests; one jackpot of three pots is everybody's hot row. The µs that a request took of the core, database and
kernel included, move less on a busy machine than the rates do.
"""

import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.generator.driving import GeneratorFailed
from bench.generator.plan import latency
from bench.generator.workload import Workload
from bench.reporting.command import Options, run
from bench.reporting.report import Goal, Report, Table, number, ratio_goal
from bench.servers.databases import Unavailable
from bench.servers.programs import ProgramFailed
from bench.servers.subjects import (
    OURS,
    POSTGRES,
    QUART_ECHO,
    REDIS,
    STARTS,
    TITLES,
    TRIO_ECHO,
    Subject,
)
from bench.servers.turns import Turn, take

CONNECTIONS = (32, 128)
GOALS = {
    128: {QUART_ECHO: 12, REDIS: 3, POSTGRES: 30, TRIO_ECHO: 0.6},
    32: {QUART_ECHO: 8, TRIO_ECHO: 0.45},
}


Rounds = dict[tuple[str, int], list[Turn]]


def measure(options: Options) -> Report:
    """Starts everything that can be had, and measures it in turns.

    Raises:
        ProgramFailed: our own server does not start.
    """
    report = options.report("compare", __doc__ or "")
    notes: list[str] = []
    with options.folder("compare") as folder, ExitStack() as stack:
        subjects: dict[str, Subject] = {}
        for name, start in STARTS.items():
            own = folder / name
            own.mkdir()
            try:
                subjects[name] = stack.enter_context(start(own, options.cores.server))
            except (Unavailable, ProgramFailed) as error:
                if name == OURS:
                    raise
                notes.append(f"skipped {TITLES[name]}: {error}")
            else:
                subjects[name].program.suspend()
        found = _take_turns(options, subjects, notes)
    notes += [
        f"{name} at {connections} connections: {problem}"
        for (name, connections), rounds in found.items()
        for problem in dict.fromkeys(said for each in rounds for said in each.measured.problems)
    ]
    return replace(
        report,
        tables=(_table(found), _core_table(found)),
        goals=tuple(_goals(found)),
        notes=(*report.notes, *notes),
        figures={
            **{f"{name} {at}": _rates(turns) for (name, at), turns in found.items()},
            **{
                f"{name} {at} µs": [t.core_us for t in turns] for (name, at), turns in found.items()
            },
        },
    )


def _take_turns(options: Options, subjects: dict[str, Subject], notes: list[str]) -> Rounds:
    found: Rounds = {}
    left_out: set[str] = set()
    for connections in CONNECTIONS:
        for turn in range(1, options.rounds + 1):
            for name, subject in subjects.items():
                if name in left_out:
                    continue
                what = f"{name}, {connections} connections, turn {turn} of {options.rounds}"
                subject.program.resume()
                try:
                    turns = found.setdefault((name, connections), [])
                    turns.append(_turn(options, subject, connections, what))
                except GeneratorFailed as error:
                    if name == OURS:
                        raise
                    left_out.add(name)
                    notes.append(f"skipped {TITLES[name]}: {error}; {subject.program.log_tail()}")
                subject.program.suspend()
    return {key: rounds for key, rounds in found.items() if key[0] not in left_out}


def _turn(options: Options, subject: Subject, connections: int, what: str) -> Turn:
    plan = subject.plan(
        connections=connections,
        duration_s=options.seconds,
        warm_up_s=options.warm_up_s,
        core=options.cores.generator,
        workload=Workload(seed=options.seed),
    )
    return take(subject, plan, what)


def _rates(rounds: list[Turn]) -> list[float]:
    return [each.rate for each in rounds]


def _goals(found: Rounds) -> list[Goal]:
    goals = []
    for connections, wanted in GOALS.items():
        ours = _rates(found[OURS, connections])
        for name, times in wanted.items():
            theirs = found.get((name, connections))
            title = f"contributions/s at {connections} connections / {TITLES[name]}"
            goals.append(ratio_goal(title, times, ours, _rates(theirs) if theirs else None))
    return goals


def _table(found: Rounds) -> Table:
    columns = ["requests or contributions a second"]
    for connections in CONNECTIONS:
        columns += [f"{connections} conn.", "smallest – largest", "p50 / p99 ms", "µs of core"]
    rows = []
    for name, title in TITLES.items():
        row = [title]
        for connections in CONNECTIONS:
            rounds = found.get((name, connections))
            if not rounds:
                row += ["skipped", "", "", ""]
                continue
            rates, seen = _rates(rounds), latency(*(each.measured.latency for each in rounds))
            row += [
                f"{median(rates):,.0f}",
                f"{min(rates):,.0f} – {max(rates):,.0f}",
                f"{number(seen.p50)} / {number(seen.p99)}",
                number(median(each.core_us for each in rounds)),
            ]
        rows.append(tuple(row))
    return Table("Closed loop, everything on one core, medians", tuple(columns), tuple(rows))


def _core_table(found: Rounds) -> Table:
    """What a request of the others takes of the core, in ours; medians."""
    rows = []
    for name, title in TITLES.items():
        row = [title]
        for connections in CONNECTIONS:
            theirs, ours = found.get((name, connections)), found[OURS, connections]
            if name != OURS and theirs:
                ratio = median(e.core_us for e in theirs) / median(e.core_us for e in ours)
                row.append(f"{number(ratio)} ×")
        if len(row) > len(CONNECTIONS):
            rows.append(tuple(row))
    columns = ("µs of core / ours", *(f"{connections} conn." for connections in CONNECTIONS))
    return Table(
        "The same by processor time, which the machine's other work changes less",
        columns,
        tuple(rows),
    )


if __name__ == "__main__":
    run(measure, __doc__)
