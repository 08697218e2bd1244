"""How many contributions a second does the batch endpoint take, beside one request for each?

Single requests at 128 connections, then batches of several sizes and both forms at fewer connections, in turns. Every
element is a contribution with a key of its own, and its result is checked.
"""

import sys
from pathlib import Path
from statistics import median

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.generator.plan import latency
from bench.generator.workload import Workload
from bench.reporting.command import Options, run
from bench.reporting.report import Goal, Report, Table, number, ratio_goal
from bench.servers.subjects import Subject, jackpotd
from bench.servers.turns import Turn, take

GOAL = 3
SINGLE = "single requests, 128 connections"
BATCHED = "arrays of 64, 8 connections"
_KINDS = {
    SINGLE: (128, 0, False),
    "arrays of 16, 16 connections": (16, 16, False),
    BATCHED: (8, 64, False),
    "arrays of 256, 4 connections": (4, 256, False),
    "lines of 64, 8 connections": (8, 64, True),
}


def measure(options: Options) -> Report:
    """Single requests and batches in turns; only single ones where the endpoint is not there."""
    report = options.report("batch", __doc__ or "")
    found: dict[str, list[Turn]] = {kind: [] for kind in _KINDS}
    notes: list[str] = []
    with (
        options.folder("batch") as folder,
        jackpotd(folder, options.cores.server) as subject,
    ):
        probe = _measured(options, subject, BATCHED, "probe", seconds=1.0).measured
        if not probe.contributions:
            notes.append(f"skipped: the batch endpoint answers {probe.unexpected or 'nothing'}")
            return replace(report, goals=(_goal([], []),), notes=(*report.notes, *notes))
        for turn in range(1, options.rounds + 1):
            for kind, rounds in found.items():
                what = f"{kind}, turn {turn} of {options.rounds}"
                rounds.append(_measured(options, subject, kind, what, seconds=options.seconds))
    for kind, rounds in found.items():
        notes += [f"{kind}: {each}" for turns in rounds for each in turns.measured.problems]
    rates = {kind: [each.rate for each in rounds] for kind, rounds in found.items()}
    return replace(
        report,
        tables=(_table(found),),
        goals=(_goal(rates[BATCHED], rates[SINGLE]), _core_goal(found[BATCHED], found[SINGLE])),
        notes=(*report.notes, *dict.fromkeys(notes)),
        figures={
            **rates,
            **{f"{kind} µs": [each.core_us for each in rounds] for kind, rounds in found.items()},
        },
    )


def _goal(batched: list[float], single: list[float]) -> Goal:
    return ratio_goal(f"contributions/s in {BATCHED} / {SINGLE}", GOAL, batched, single)


def _core_goal(batched: list[Turn], single: list[Turn]) -> Goal:
    """The same question put to the server's own clock, which a busy machine moves less."""
    costs = [each.core_us for each in single], [each.core_us for each in batched]
    return ratio_goal("the same by processor time", GOAL, *costs)


def _measured(options: Options, subject: Subject, kind: str, what: str, *, seconds: float) -> Turn:
    connections, batch, is_ndjson = _KINDS[kind]
    plan = subject.plan(
        connections=connections,
        duration_s=seconds,
        warm_up_s=options.warm_up_s,
        core=options.cores.generator,
        workload=Workload(seed=options.seed, batch=batch, is_ndjson=is_ndjson),
    )
    return take(subject, plan, what)


def _table(found: dict[str, list[Turn]]) -> Table:
    rows = []
    base = median(each.rate for each in found[SINGLE])
    for kind, rounds in found.items():
        rate = median(each.rate for each in rounds)
        seen = latency(*(each.measured.latency for each in rounds))
        core_us = number(median(each.core_us for each in rounds))
        percentiles = f"{number(seen.p50)} / {number(seen.p99)}"
        rows.append((kind, f"{rate:,.0f}", f"{number(rate / base)} ×", core_us, percentiles))
    columns = ("", "contributions/s", "of single", "µs of core each", "p50 / p99 ms of a request")
    return Table("Closed loop, medians", columns, tuple(rows))


if __name__ == "__main__":
    run(measure, __doc__)
