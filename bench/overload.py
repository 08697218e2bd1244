"""How much good work is left when more is asked than the server can do, and how fast does it refuse the rest?

Finds the peak with a closed loop, then asks for one, one and a half, two and three times as much at a constant rate,
over more connections than the server serves requests at once, so that its limits are met and not the generator's.
Goodput is what was answered 200. A request that finds no connection for a second is given up by its client.
"""

import resource
import sys
from pathlib import Path
from statistics import median

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.generator.driving import drive
from bench.generator.plan import Measured, Plan, latency, share_within
from bench.generator.workload import Workload
from bench.reporting.command import Options, run
from bench.reporting.report import Goal, Report, Table, number
from bench.servers.subjects import Subject, jackpotd

FACTORS = (1.0, 1.5, 2.0, 3.0)
GOAL_FACTOR, GOAL = 2.0, 0.9
PEAK_CONNECTIONS = 256
CONNECTIONS = 9_000
_OTHER_FILES = 200
GIVE_UP_S = SOON_S = 1.0
SETTLE_S = 3.0

Turn = tuple[float, Measured]


def measure(options: Options) -> Report:
    """Rounds of peak and every factor; each ratio is to the peak of its own round."""
    report = options.report("overload", __doc__ or "")
    found: dict[float, list[Turn]] = {factor: [] for factor in FACTORS}
    peaks: list[float] = []
    with (
        options.folder("overload") as folder,
        jackpotd(folder, options.cores.server) as subject,
    ):
        for turn in range(1, options.rounds + 1):
            what = f"turn {turn} of {options.rounds}"
            peak = drive(_plan(options, subject, None), f"peak, {what}").rate
            peaks.append(peak)
            for factor, turns in found.items():
                measured = drive(_plan(options, subject, factor * peak), f"{factor} ×, {what}")
                turns.append((measured.rate / peak, measured))
    ratios = [ratio for ratio, _ in found[GOAL_FACTOR]]
    goal = Goal(
        f"goodput at {GOAL_FACTOR:g} × / peak",
        GOAL,
        median(ratios),
        low=min(ratios),
        high=max(ratios),
    )
    return replace(
        report,
        tables=(_table(found, median(peaks)),),
        goals=(goal,),
        notes=(*report.notes, *_notes(found)),
        figures={f"{factor:g}": [ratio for ratio, _ in turns] for factor, turns in found.items()},
    )


def _plan(options: Options, subject: Subject, rate: float | None) -> Plan:
    return subject.plan(
        connections=PEAK_CONNECTIONS if rate is None else _connections(),
        rate=rate,
        give_up_s=None if rate is None else GIVE_UP_S,
        duration_s=options.seconds,
        # Under overload the server also has thousands of connections to accept first.
        warm_up_s=options.warm_up_s if rate is None else max(options.warm_up_s, SETTLE_S),
        core=options.cores.generator,
        workload=Workload(seed=options.seed),
    )


def _connections() -> int:
    """As many as wanted, or as the system's limit of open files allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(CONNECTIONS, hard - _OTHER_FILES)


def _table(found: dict[float, list[Turn]], peak: float) -> Table:
    rows = []
    for factor, turns in found.items():
        measured = [each for _, each in turns]
        seconds = sum(each.duration_s for each in measured)
        refused = sum(each.statuses.get(503, 0) for each in measured) / seconds
        rows.append(
            (
                f"{factor:g} ×",
                f"{median(each.rate for each in measured):,.0f}",
                number(median(ratio for ratio, _ in turns)),
                _percentiles(measured, 200),
                f"{share_within(SOON_S, *(each.service[200] for each in measured if 200 in each.service)):.0%}",
                f"{refused:,.0f}",
                _percentiles(measured, 503),
                f"{sum(each.unsent for each in measured) / seconds:,.0f}",
                str(sum(each.lost + each.unanswered for each in measured)),
            )
        )
    columns = (
        "asked for", "goodput/s", "of the peak", "200: p50 / p99 ms", f"within {SOON_S:g} s", "503/s",
        "503: p50 / p99 ms", "given up/s", "lost or unanswered",
    )  # fmt: skip
    title = f"Open loop over {_connections()} connections; peak {peak:,.0f}/s at {PEAK_CONNECTIONS}"
    return Table(title, columns, tuple(rows))


def _notes(found: dict[float, list[Turn]]) -> list[str]:
    notes = []
    for factor, turns in found.items():
        statuses = {status for _, each in turns for status in each.statuses} - {200, 503}
        notes += [f"answers of status {status} at {factor:g} ×" for status in sorted(statuses)]
    if not any(503 in each.statuses for turns in found.values() for _, each in turns):
        notes.append("nothing was refused: what was too much waited in the sockets")
    return notes


def _percentiles(measured: list[Measured], status: int) -> str:
    seen = latency(*(each.service[status] for each in measured if status in each.service))
    return f"{number(seen.p50)} / {number(seen.p99)}" if seen.count else "–"


if __name__ == "__main__":
    run(measure, __doc__, rounds=3, seconds=5.0)
