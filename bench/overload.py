"""How much good work is left when more is asked than the server can do, and how fast does it refuse the rest?

Finds the peak with a closed loop, then asks for one, one and a half, two and three times as much at a constant rate:
over so few connections that the server serves all of them, where what is too much waits at the client; and over
thousands, where it comes to the server and has to be refused. Goodput is what was answered 200. A request that finds
no connection for a second is given up by its client. The µs of core for a good answer have the refusals in them.
"""

import resource
import sys
from pathlib import Path
from statistics import median

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.generator.plan import Plan, latency, share_within
from bench.generator.workload import Workload
from bench.reporting.command import Options, run
from bench.reporting.report import Goal, Report, Table, goal_of, number
from bench.servers.subjects import Subject, jackpotd
from bench.servers.turns import Turn, take

FACTORS = (1.0, 1.5, 2.0, 3.0)
GOAL_FACTOR, GOAL = 2.0, 0.9
PEAK_CONNECTIONS = 256
FEW, MANY = 512, 4_000
_OTHER_FILES = 200
GIVE_UP_S = SOON_S = 1.0
SETTLE_S = 2.0

Case = tuple[int, float]
"""Connections, and how many times the peak is asked for."""
Found = dict[Case, list[tuple[float, Turn]]]
"""The turns of each case, each with its ratio to the peak of its own round."""


def measure(options: Options) -> Report:
    """Rounds of peak and every case."""
    report = options.report("overload", __doc__ or "")
    crowds = (FEW, _many())
    found: Found = {(crowd, factor): [] for crowd in crowds for factor in FACTORS}
    peaks: list[Turn] = []
    with (
        options.folder("overload") as folder,
        jackpotd(folder, options.cores.server) as subject,
    ):
        for turn in range(1, options.rounds + 1):
            what = f"turn {turn} of {options.rounds}"
            peak = take(subject, _plan(options, subject, PEAK_CONNECTIONS, None), f"peak, {what}")
            peaks.append(peak)
            for (crowd, factor), turns in found.items():
                plan = _plan(options, subject, crowd, factor * peak.rate)
                each = take(subject, plan, f"{factor} × over {crowd} connections, {what}")
                turns.append((each.rate / max(peak.rate, 1.0), each))
    return replace(
        report,
        tables=tuple(_table(found, crowd, peaks) for crowd in crowds),
        goals=tuple(_goal(found, crowd) for crowd in crowds),
        notes=(*report.notes, *_notes(found)),
        figures={
            f"{factor:g} × over {crowd}": [ratio for ratio, _ in turns]
            for (crowd, factor), turns in found.items()
        },
    )


def _goal(found: Found, crowd: int) -> Goal:
    ratios = [ratio for ratio, _ in found[crowd, GOAL_FACTOR]]
    return goal_of(f"goodput at {GOAL_FACTOR:g} × over {crowd:,} connections / peak", GOAL, ratios)


def _plan(options: Options, subject: Subject, connections: int, rate: float | None) -> Plan:
    return subject.plan(
        connections=connections,
        rate=rate,
        give_up_s=None if rate is None else GIVE_UP_S,
        duration_s=options.seconds,
        # Under overload the server also has thousands of connections to accept first.
        warm_up_s=options.warm_up_s if rate is None else max(options.warm_up_s, SETTLE_S),
        core=options.cores.generator,
        workload=Workload(seed=options.seed),
    )


def _many() -> int:
    """As many as wanted, or as the system's limit of open files allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MANY, hard - _OTHER_FILES)


def _table(found: Found, crowd: int, peaks: list[Turn]) -> Table:
    rows = [
        (f"{factor:g} ×", *_figures(turns))
        for (connections, factor), turns in found.items()
        if connections == crowd
    ]
    columns = (
        "asked for", "goodput/s", "of the peak", "µs of core each", "200: p50 / p99 ms",
        f"within {SOON_S:g} s", "503/s", "503: p50 / p99 ms", "given up/s", "lost or unanswered",
        "generator busy",
    )  # fmt: skip
    rate, core_us = (median(each.rate for each in peaks), median(each.core_us for each in peaks))
    peak = f"peak {rate:,.0f}/s at {PEAK_CONNECTIONS}, {number(core_us)} µs of core each"
    return Table(f"Open loop over {crowd:,} connections; {peak}", columns, tuple(rows))


def _figures(turns: list[tuple[float, Turn]]) -> tuple[str, ...]:
    measured = [turn.measured for _, turn in turns]
    seconds = sum(each.duration_s for each in measured)
    refused = sum(each.statuses.get(503, 0) for each in measured) / seconds
    good = [each.service[200] for each in measured if 200 in each.service]
    return (
        f"{median(each.rate for each in measured):,.0f}",
        number(median(ratio for ratio, _ in turns)),
        number(median(turn.core_us for _, turn in turns)),
        _percentiles(turns, 200),
        f"{share_within(SOON_S, *good):.0%}" if good else "–",
        f"{refused:,.0f}",
        _percentiles(turns, 503),
        f"{sum(each.unsent for each in measured) / seconds:,.0f}",
        str(sum(each.lost + each.unanswered for each in measured)),
        f"{median(each.generator_cpu for each in measured):.0%}",
    )


def _notes(found: Found) -> list[str]:
    notes = []
    for (crowd, factor), turns in found.items():
        where = f"at {factor:g} × over {crowd:,} connections"
        statuses = {status for _, turn in turns for status in turn.measured.statuses} - {200, 503}
        notes += [f"answers of status {status} {where}" for status in sorted(statuses)]
        notes += [
            f"the generator was busy for {turn.measured.generator_cpu:.0%} {where}: it may be the limit"
            for _, turn in turns
            if turn.measured.generator_cpu > 0.95
        ]
    if not any(503 in turn.measured.statuses for turns in found.values() for _, turn in turns):
        notes.append("nothing was refused: what was too much waited at the client")
    return list(dict.fromkeys(notes))


def _percentiles(turns: list[tuple[float, Turn]], status: int) -> str:
    """Of answers with this status, from the moment at which the request was really sent."""
    services = [turn.measured.service for _, turn in turns]
    seen = latency(*(service[status] for service in services if status in service))
    return f"{number(seen.p50)} / {number(seen.p99)}" if seen.count else "–"


if __name__ == "__main__":
    run(measure, __doc__, rounds=3, seconds=5.0)
