"""How late are answers at half of the peak rate, beside what one commit costs on this machine?

Finds the peak with a closed loop, then sends half of it at a constant rate: latency counts from the time at which a
request was due, so nothing that the server does can hide a late answer. Before and after, single records are appended
to a log of the same kind in the same folder on the same core: the price of one sync, which no answer can beat.
"""

import sys
from pathlib import Path
from statistics import median

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.generator.driving import drive
from bench.generator.plan import Latency, latency
from bench.generator.workload import Workload
from bench.reporting.command import Options, run
from bench.reporting.report import Goal, Report, Table, number
from bench.servers.commits import append_times, sample_records
from bench.servers.machine import pinned
from bench.servers.subjects import Subject, jackpotd

CONNECTIONS = 128
SHARE = 0.5
COMMIT_SECONDS = 2.0
GOALS = {"p50": 4, "p99": 20}


def measure(options: Options) -> Report:
    """Rounds of peak, single commits, half of the peak, single commits."""
    report = options.report("latency", __doc__ or "")
    rows, notes = list[tuple[str, ...]](), list[str]()
    ratios: dict[str, list[float]] = {name: [] for name in GOALS}
    with (
        options.folder("latency") as folder,
        jackpotd(folder, options.cores.server) as subject,
    ):
        for turn in range(1, options.rounds + 1):
            peak, rate, seen, commit_ms, problems = _turn(options, subject, folder, turn)
            ratios["p50"].append(seen.p50 / commit_ms)
            ratios["p99"].append(seen.p99 / commit_ms)
            figures = (commit_ms, seen.p50, seen.p90, seen.p99, seen.p999, seen.highest)
            rows.append((str(turn), f"{peak:,.0f}", f"{rate:,.0f}", *map(number, figures)))
            notes += [f"turn {turn}: {problem}" for problem in problems]
    columns = ("turn", "peak/s", "sent/s", "one commit", "p50", "p90", "p99", "p99.9", "highest")
    return replace(
        report,
        tables=(Table(f"ms at half of the peak, {CONNECTIONS} connections", columns, tuple(rows)),),
        goals=tuple(_goal(name, ratios[name]) for name in GOALS),
        notes=(*report.notes, *notes),
        figures=ratios,
    )


def _goal(name: str, ratios: list[float]) -> Goal:
    title = f"{name} at half of the peak / a single commit"
    return Goal(
        title, GOALS[name], median(ratios), is_at_most=True, low=min(ratios), high=max(ratios)
    )


def _turn(
    options: Options, subject: Subject, folder: Path, turn: int
) -> tuple[float, float, Latency, float, list[str]]:
    """Peak and half of it a second, latencies there, the median of single commits around it in ms, and problems."""
    plan = subject.plan(
        connections=CONNECTIONS,
        duration_s=min(options.seconds, 5.0),
        warm_up_s=options.warm_up_s,
        core=options.cores.generator,
        workload=Workload(seed=options.seed),
    )
    peak = drive(plan, f"peak, turn {turn} of {options.rounds}")
    times = _commits(options, subject, folder)
    half = subject.plan(
        connections=CONNECTIONS,
        duration_s=options.seconds,
        warm_up_s=options.warm_up_s,
        rate=max(peak.rate * SHARE, 1.0),
        core=options.cores.generator,
        workload=Workload(seed=options.seed),
    )
    at_half = drive(half, f"half of it, turn {turn} of {options.rounds}")
    times += _commits(options, subject, folder)
    problems = [*peak.problems, *at_half.problems]
    seen = latency(at_half.latency)
    return peak.rate, half.rate or 0.0, seen, median(times) * 1e3, problems


def _commits(options: Options, subject: Subject, folder: Path) -> list[float]:
    """Single commits in the server's place, while it is suspended."""
    records = sample_records(options.seed)
    subject.program.suspend()
    try:
        with pinned(options.cores.server):
            seconds = min(COMMIT_SECONDS, options.seconds)
            return append_times(folder, records, batch=1, seconds=seconds)
    finally:
        subject.program.resume()


if __name__ == "__main__":
    run(measure, __doc__, rounds=3, seconds=15.0)
