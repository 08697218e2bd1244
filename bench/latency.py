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

from bench.generator.plan import latency
from bench.generator.workload import Workload
from bench.reporting.command import Options, run
from bench.reporting.report import Goal, Report, Table, goal_of, number
from bench.servers.commits import append_times, sample_records
from bench.servers.machine import pinned
from bench.servers.subjects import Subject, jackpotd
from bench.servers.turns import Turn, take

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
            peak, half, commit_ms = _turn(options, subject, folder, turn)
            seen = latency(half.measured.latency)
            ratios["p50"].append(seen.p50 / commit_ms)
            ratios["p99"].append(seen.p99 / commit_ms)
            figures = (commit_ms, seen.p50, seen.p90, seen.p99, seen.p999, seen.highest)
            asked = f"{peak.rate * SHARE:,.0f}"
            rates = (f"{peak.rate:,.0f}", asked, f"{half.rate:,.0f}", number(half.core_us))
            rows.append((str(turn), *rates, *map(number, figures)))
            problems = [*peak.measured.problems, *half.measured.problems]
            notes += [f"turn {turn}: {problem}" for problem in problems]
    columns = (
        "turn", "peak/s", "asked/s", "answered/s", "µs of core each", "one commit", "p50", "p90",
        "p99", "p99.9", "highest",
    )  # fmt: skip
    return replace(
        report,
        tables=(Table(f"ms at half of the peak, {CONNECTIONS} connections", columns, tuple(rows)),),
        goals=tuple(_goal(name, ratios[name]) for name in GOALS),
        notes=(*report.notes, *notes),
        figures=ratios,
    )


def _goal(name: str, ratios: list[float]) -> Goal:
    title = f"{name} at half of the peak / a single commit"
    return goal_of(title, GOALS[name], ratios, is_at_most=True)


def _turn(options: Options, subject: Subject, folder: Path, turn: int) -> tuple[Turn, Turn, float]:
    """The peak, half of it, and the median of single commits around it in ms."""
    plan = subject.plan(
        connections=CONNECTIONS,
        duration_s=min(options.seconds, 5.0),
        warm_up_s=options.warm_up_s,
        core=options.cores.generator,
        workload=Workload(seed=options.seed),
    )
    peak = take(subject, plan, f"peak, turn {turn} of {options.rounds}")
    times = _commits(options, subject, folder)
    half = subject.plan(
        connections=CONNECTIONS,
        duration_s=options.seconds,
        warm_up_s=options.warm_up_s,
        rate=max(peak.rate * SHARE, 1.0),
        core=options.cores.generator,
        workload=Workload(seed=options.seed),
    )
    at_half = take(subject, half, f"half of it, turn {turn} of {options.rounds}")
    times += _commits(options, subject, folder)
    return peak, at_half, median(times) * 1e3


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
