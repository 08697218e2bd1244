"""What are all figures and goals of this version, in one run?

Runs the benches one after the other, and writes one file of JSON and one of Markdown for the README. All of it takes
about a quarter of an hour, of which growth, with its millions of players and keys, is the larger part; `--only` leaves
the others out.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from msgspec.structs import replace

from bench import batch, compare, core, growth, journal, latency, overload
from bench.reporting.command import DATA_ROOT, Measure, Options, write_json
from bench.reporting.render import markdown, show
from bench.reporting.report import Report

# Each with its rounds and the seconds of a turn.
PARTS: dict[str, tuple[Measure, int, float]] = {
    "compare": (compare.measure, 5, 3.0),
    "latency": (latency.measure, 3, 15.0),
    "batch": (batch.measure, 5, 3.0),
    "core": (core.measure, 5, 3.0),
    "journal": (journal.measure, 1, 2.0),
    "overload": (overload.measure, 3, 5.0),
    "growth": (partial(growth.measure, scale=1.0), 3, 8.0),
}
QUICK_S = 0.5
QUICK_SCALE = 0.01


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--only", multiple=True, type=click.Choice(list(PARTS)), help="Instead of all; may be repeated."
)
@click.option("--quick", is_flag=True, help="One short round of everything, to see that it works.")
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--data-root",
    default=DATA_ROOT,
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all reports there.",
)
@click.option(
    "--markdown",
    "markdown_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the README's part there.",
)
def main(
    only: Sequence[str],
    quick: bool,
    seed: int,
    data_root: Path,
    json_file: Path | None,
    markdown_file: Path | None,
) -> None:
    reports: list[Report] = []
    for name in only or PARTS:
        measure, rounds, seconds = PARTS[name]
        if quick and name == "growth":
            measure = partial(growth.measure, scale=QUICK_SCALE)
        options = Options(
            seed=seed,
            rounds=1 if quick else rounds,
            seconds=QUICK_S if quick else seconds,
            warm_up_s=QUICK_S if quick else 1.0,
            data_root=data_root,
        )
        try:
            report = measure(options)
        except Exception as error:  # noqa: BLE001 - what the other parts took minutes to find is kept
            report = replace(options.report(name, name), notes=(f"failed: {error!r}",))
        report = replace(report, command=f"python -m bench {name} --seed {seed}")
        show(report)
        reports.append(report)
        # What is there so far is kept, however the run ends.
        write_json(reports, json_file)
        if markdown_file is not None:
            markdown_file.write_text(markdown(reports))


if __name__ == "__main__":
    main()
