"""How long does a commit take, by the records in it, and how many records a second does the journal make durable?

The real log on the real disk: appends of a given number of records, one after the other; then the group commit with
many writers, each of which stages its next record when the last one is durable, as requests do. One record alone is the
machine's own price of a sync, beside which latencies are read.
"""

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

import trio
from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.reporting.command import Options, run
from bench.reporting.report import Report, Table, number
from bench.servers.commits import append_times, log_in_folder, sample_records
from bench.servers.machine import pinned
from jackpotd.journal.group_commit import GroupCommit

BATCHES = (1, 4, 16, 64, 256, 1024)
WRITERS = (1, 32, 128, 256, 1024)
BATCH_RECORDS_MAX = 4096


def measure(options: Options) -> Report:
    """Times appends, then the group commit, on the server's core."""
    report = options.report("journal", __doc__ or "")
    records = sample_records(options.seed)
    sizes = f"records of {median(map(len, records)):.0f} bytes"
    with options.folder("journal") as folder, pinned(options.cores.server):
        appends = [_appends(folder, records, batch, options.seconds) for batch in BATCHES]
        grouped = [
            trio.run(partial(_grouped, folder, records, writers, options)) for writers in WRITERS
        ]
    columns = ("records in a commit", "p50 ms", "p99 ms", "µs a record", "records/s")
    writers = ("writers", "records/s", "µs of core a record", "records in a commit", "ms a commit")
    return replace(
        report,
        tables=(
            Table(f"Appends one after the other, {sizes}", columns, tuple(appends)),
            Table(f"Group commit, {sizes}", writers, tuple(grouped)),
        ),
    )


def _appends(folder: Path, records: Sequence[bytes], batch: int, seconds: float) -> tuple[str, ...]:
    times = sorted(append_times(folder, records, batch=batch, seconds=seconds))
    middle, late = times[len(times) // 2], times[len(times) * 99 // 100]
    mean = sum(times) / len(times)
    return (
        str(batch),
        number(middle * 1e3),
        number(late * 1e3),
        number(mean / batch * 1e6),
        f"{batch / mean:,.0f}",
    )


async def _grouped(
    folder: Path, records: Sequence[bytes], writers: int, options: Options
) -> tuple[str, ...]:
    """So many writers for some seconds; each has one record under way."""
    with log_in_folder(folder / f"grouped-{writers}") as log:
        journal = GroupCommit(log, batch_records_max=BATCH_RECORDS_MAX)

        def stage(number: int) -> None:
            journal.stage(records[number % len(records)])
            journal.when_durable(partial(stage, number + 1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.run)
            for writer in range(writers):
                stage(writer)
            await trio.sleep(options.warm_up_s)
            before, began = journal.statistics(), time.perf_counter()
            cpu_s = time.process_time()
            await trio.sleep(options.seconds)
            cpu_s = time.process_time() - cpu_s
            after, took_s = journal.statistics(), time.perf_counter() - began
            nursery.cancel_scope.cancel()
    commits, made = after.commits - before.commits, after.records - before.records
    return (
        str(writers),
        f"{made / took_s:,.0f}",
        number(cpu_s / max(made, 1) * 1e6),
        number(made / max(commits, 1)),
        number((after.commit_s - before.commit_s) / max(commits, 1) * 1e3),
    )


if __name__ == "__main__":
    run(measure, __doc__, seconds=2.0)
