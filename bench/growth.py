"""Does it stay as quick with 10,000 instances, 10 million known players and 50 million live keys?

Writes three data directories in the server's own formats, then lets one process at a time serve each of them in turn,
several times over: one instance and nothing else; many instances, all in use; one instance in use among many, with all
the players and keys. A process starts as a worker does and has 128 contributions in flight, without HTTP; it is killed
with its tail, so that the next start has one to replay. Rates drift with the machine; the processor time of a
contribution, beside them, hardly does.
"""

import subprocess
import sys
import time
from pathlib import Path
from random import Random
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import msgspec
from msgspec.structs import replace

from bench.growing.datasets import Size, make
from bench.growing.deleting import measure as measure_deletion
from bench.growing.serving import Outcome
from bench.reporting.command import DATA_ROOT, Options, refusing, write_json
from bench.reporting.render import show
from bench.reporting.report import Goal, Report, Table, goal_of, number, ratio_goal
from bench.servers.machine import pinned
from bench.servers.programs import ProgramFailed

SERVING = Path(__file__).resolve().parent / "growing" / "serving.py"
INSTANCES, PLAYERS, KEYS = 10_000, 10_000_000, 50_000_000
ACTIVE_PLAYERS = 10_000
DELETED_PLAYERS = 500_000
START_S_MAX = 5.0
MEMORY_KB_MAX = 12.0
SERVING_S_MAX = 900.0

ONE, MANY, ALL = "one instance", "many instances", "all of it"
Rounds = dict[str, list[tuple[float, Outcome]]]


def serve(folder: Path, instances: int, players: int, options: Options) -> tuple[float, Outcome]:
    """The seconds of one start, from the call to ready, and what the process measured."""
    command = [sys.executable, str(SERVING), str(folder)]
    command += ["--instances", str(instances), "--players", str(players)]
    command += ["--warm-up-s", str(options.warm_up_s), "--seconds", str(options.seconds)]
    started = time.perf_counter()
    with (
        pinned(options.cores.server),
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None  # noqa: S101 - narrows the type
        is_ready = process.stdout.readline() == "ready\n"
        start_s = time.perf_counter() - started
        line = process.stdout.readline()
        process.wait(SERVING_S_MAX)
    if not is_ready or not line:
        raise ProgramFailed(f"the process over {folder.name} ended with {process.returncode}")
    return start_s, msgspec.json.decode(line, type=Outcome)


def measure(options: Options, scale: float) -> Report:
    """Builds, and lets all take their turns."""
    instances, players, keys = (max(1, int(size * scale)) for size in (INSTANCES, PLAYERS, KEYS))
    sizes = {
        ONE: (Size(), 1, ACTIVE_PLAYERS),
        MANY: (Size(instances=instances), instances, ACTIVE_PLAYERS),
        ALL: (Size(instances=instances, players=players, keys=keys), 1, players),
    }
    rounds: Rounds = {name: [] for name in sizes}
    with options.folder("growth") as folder:
        for name, (size, _, _) in sizes.items():
            (folder / name).mkdir()
            make(folder / name, size, time.time_ns() // 1_000_000)
        for _ in range(options.rounds):
            for name, (_, used, known) in sizes.items():
                rounds[name].append(serve(folder / name, used, known, options))
        deleted = max(1_000, int(DELETED_PLAYERS * scale))
        before, after = measure_deletion(folder / "deletion", deleted, Random(options.seed))
    return replace(
        options.report("growth", __doc__ or ""),
        tables=(_table(rounds),),
        goals=tuple(
            replace(goal, limits="" if scale >= 1 else f"at {scale:.0%} of the size")
            for goal in (*_goals(rounds, instances), _deletion_goal(before, after))
        ),
        notes=(
            *options.caveats(),
            f"{instances:,} instances, {players:,} players, {keys:,} keys",
            *(
                f"{name}: {sum(o.refused for _, o in found)} refused"
                for name, found in rounds.items()
            ),
        ),
    )


def _table(rounds: Rounds) -> Table:
    def middle(name: str, field: str) -> float:
        return float(median(getattr(outcome, field) for _, outcome in rounds[name]))

    fields = {
        "contributions/s": "rate",
        "event loop, µs each": "loop_us",
        "background, µs each": "background_us",
        "commit, ms": "commit_ms",
        "records in one": "records_per_commit",
        "timer late, p99.9 ms": "late_p999",
        "max ms": "late_max",
        "tail at start": "replayed",
        "settled after, s": "settled_s",
    }
    return Table(
        "medians of all rounds; 128 in flight",
        ("", *fields, "ready after, s"),
        tuple(
            (
                name,
                *(number(middle(name, field)) for field in fields.values()),
                number(median(start_s for start_s, _ in found)),
            )
            for name, found in rounds.items()
        ),
    )


def _goals(rounds: Rounds, instances: int) -> list[Goal]:
    rates = {name: [outcome.rate for _, outcome in found] for name, found in rounds.items()}
    costs = {
        name: [1e6 / (outcome.loop_us + outcome.background_us) for _, outcome in found]
        for name, found in rounds.items()
    }
    memory = [
        (many.memory - one.memory) / max(1, instances - 1) / 1e3
        for (_, many), (_, one) in zip(rounds[MANY], rounds[ONE], strict=True)
    ]
    starts = [start_s for start_s, _ in rounds[ALL]]
    return [
        ratio_goal(f"rate, {MANY} : {ONE}", 0.8, rates[MANY], rates[ONE]),
        ratio_goal(f"the same by processor time, {MANY}", 0.8, costs[MANY], costs[ONE]),
        ratio_goal(f"rate, {ALL} : {ONE}", 0.8, rates[ALL], rates[ONE]),
        ratio_goal(f"the same by processor time, {ALL}", 0.8, costs[ALL], costs[ONE]),
        _at_most(f"start-up, {ALL}", START_S_MAX, starts, "s"),
        _at_most("memory of an idle instance", MEMORY_KB_MAX, memory, "kB"),
    ]


def _at_most(name: str, wanted: float, values: list[float], unit: str) -> Goal:
    return goal_of(name, wanted, values, unit, is_at_most=True)


def _deletion_goal(before: float, after: float) -> Goal:
    return Goal(
        "a checkpoint transaction after a bulk delete : before", 1.2, after / before, "×", True
    )


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--scale", default=1.0, show_default=True, help="Of instances, players and keys.")
@click.option("--seed", default=1, show_default=True, help="Of the deletion's rows.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 100))
@click.option("--seconds", default=8.0, show_default=True, type=click.FloatRange(0.1, 600))
@click.option("--warm-up-s", default=3.0, show_default=True, type=click.FloatRange(0, 60))
@click.option(
    "--data-root",
    default=DATA_ROOT,
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder on a real disk with 5 GB to spare; every run makes and removes its own in it.",
)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
def main(
    scale: float,
    seed: int,
    rounds: int,
    seconds: float,
    warm_up_s: float,
    data_root: Path,
    json_file: Path | None,
) -> None:
    options = Options(seed, rounds, seconds, warm_up_s, data_root)
    with refusing():
        report = measure(options, scale)
    show(report)
    write_json(report, json_file)


if __name__ == "__main__":
    main()
