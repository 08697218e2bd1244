"""What does an idempotency key cost at few and at many live keys, and how long does the event loop wait for the rest?

Fills a key index with random keys spread over six of seven days, flushing and merging as it goes, then asks: a new key
(miss and put), a repeat (hit), the background work for a key, memory and disk, reopening, and how long a start takes
until the filter knows everything. Beside it, where asked for, the alternatives: the same keys at random places of an
LMDB tree, in default sync, 64 to a commit; and in RocksDB (`pip install rocksdict`), with Bloom filters of ten bits.

Then a Trio loop takes 10,000 contributions a second, each with a look-up, a put and 50 µs of other work, first alone,
then while keys are flushed and merged and rows are checkpointed in threads: how late is a timer?

One machine, shared and noisy: read ratios of one run. Keys and files are warm in the page cache.

    python -m bench keys 1000000 10000000 50000000 --lmdb --rocksdict
"""

import random
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import trio
from msgspec.structs import replace

from bench.growing.alternatives import Unavailable
from bench.growing.key_costs import FLUSH_KEYS, Costs, measure_index, measure_lmdb, measure_rocks
from bench.growing.pauses import CONTRIBUTIONS_PER_S, measure_pauses
from bench.reporting.command import DATA_ROOT, Options, refusing, write_json
from bench.reporting.render import show
from bench.reporting.report import Goal, Report, Table, goal_of, number
from bench.servers.machine import pinned
from jackpotd.service import interpreter

GROWTH_MAX = 1.3
SIZES = (100_000, 1_000_000)
PAUSE_S = 12.0
PAUSE_FLUSHES = 8
FULL_KEYS = 10_000_000


def measure(
    options: Options,
    sizes: Sequence[int] = SIZES,
    *,
    with_lmdb: bool = False,
    with_rocks: bool = False,
) -> Report:
    """Each size with what is asked for beside it, then the timer; on the server's core."""
    report = options.report("keys", __doc__ or "")
    interpreter.prepare()
    draw, found, notes = random.Random(options.seed), list[Costs](), list[str]()
    with options.folder("keys") as folder, pinned(options.cores.server):
        for keys in sizes:
            costs = measure_index(keys, draw, folder / "index")
            found.append(costs)
            if with_lmdb:
                lmdb_us = measure_lmdb(keys, draw, folder / "lmdb")
                times = number(lmdb_us / costs.new_us)
                notes.append(f"{keys:,} keys: a new one costs LMDB {times} times as much")
            if with_rocks:
                notes.append(f"{keys:,} keys: {_rocks(keys, draw, folder / 'rocks')}")
            for used in folder.iterdir():
                shutil.rmtree(used)
        # Large enough that flushes and merges go on for the whole time.
        filled = min(PAUSE_FLUSHES * FLUSH_KEYS, max(sizes))
        watch = partial(measure_pauses, draw, folder, keys=filled, seconds=options.seconds)
        late = trio.run(watch)
    figures = {"new": [c.new_us for c in found], "known": [c.hit_us for c in found]}
    limits = "" if max(sizes) >= FULL_KEYS else f"up to {max(sizes):,} keys"
    return replace(
        report,
        tables=(_table(found), _late_table(late)),
        goals=tuple(_goal(kind, values, limits) for kind, values in figures.items()),
        notes=(*report.notes, *notes),
        figures={f"{kind}_us": values for kind, values in figures.items()},
    )


def _rocks(keys: int, draw: random.Random, directory: Path) -> str:
    try:
        new_us, write_us = measure_rocks(keys, draw, directory)
    except Unavailable as reason:
        return f"RocksDB skipped: {reason}"
    return f"a new one costs RocksDB {number(new_us)} µs behind a table in memory, {number(write_us)} to write"


def _goal(kind: str, costs: Sequence[float], limits: str) -> Goal:
    title = f"a {kind} key among the most / among the fewest"
    return goal_of(title, GROWTH_MAX, [costs[-1] / costs[0]], is_at_most=True, limits=limits)


def _table(found: Sequence[Costs]) -> Table:
    columns = (
        "live keys", "runs", "new key, µs", "repeat, µs", "background, µs", "memory, B", "disk, B",
        "reopen, ms", "filter whole after, s",
    )  # fmt: skip
    rows = [
        (
            f"{costs.keys:,}",
            str(costs.runs),
            number(costs.new_us),
            number(costs.hit_us),
            number(costs.background_us),
            number(costs.memory_bytes),
            number(costs.disk_bytes),
            number(costs.reopen_ms),
            number(costs.filter_s),
        )
        for costs in found
    ]
    return Table("Each key, by processor time, the best of three", columns, tuple(rows))


def _late_table(late: dict[str, list[float]]) -> Table:
    rows = []
    for name, times in late.items():
        percentiles = [times[len(times) * part // 1000] for part in (500, 990, 999)]
        rows.append((name, *map(number, (*percentiles, times[-1]))))
    title = f"ms that a timer is late beside {CONTRIBUTIONS_PER_S:,} contributions/s"
    return Table(title, ("background", "p50", "p99", "p99.9", "highest"), tuple(rows))


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("sizes", nargs=-1, type=click.IntRange(1000))
@click.option("--lmdb", "with_lmdb", is_flag=True, help="The tree with random places beside it.")
@click.option("--rocksdict", "with_rocks", is_flag=True, help="RocksDB beside it, if installed.")
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--seconds",
    default=PAUSE_S,
    show_default=True,
    type=click.FloatRange(0.1, 600),
    help="Of the timer beside each kind of background work.",
)
@click.option(
    "--data-root",
    default=DATA_ROOT,
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
def main(
    sizes: tuple[int, ...],
    with_lmdb: bool,
    with_rocks: bool,
    seed: int,
    seconds: float,
    data_root: Path,
    json_file: Path | None,
) -> None:
    options = Options(seed=seed, seconds=seconds, data_root=data_root)
    with refusing():
        report = measure(options, sizes or SIZES, with_lmdb=with_lmdb, with_rocks=with_rocks)
    show(report)
    write_json(report, json_file)


if __name__ == "__main__":
    main()
