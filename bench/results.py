"""What are all figures and goals of this version, in one run?

Runs the benches one after the other, each in a process of its own, and writes one file of JSON and one of Markdown for
the README. One that fails, or does not end, becomes a line that says so; the others go on. All of it takes about half
an hour, of which growth and keys, with their millions of players and keys, are the larger part; `--only` leaves the
others out, and `--quick` takes a few minutes.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Timer

import click
import msgspec
from msgspec import Struct

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from msgspec.structs import replace

from bench.generator.driving import ROOT
from bench.reporting.command import DATA_ROOT, Options, write_json
from bench.reporting.render import markdown
from bench.reporting.report import Report


class Part(Struct, frozen=True):
    """A bench with its arguments, for a whole run and for a quick one; its own defaults where there are none."""

    whole: tuple[str, ...] = ()
    quick: tuple[str, ...] = ("--rounds", "3", "--seconds", "0.5", "--warm-up-s", "0.5")


_ONE_ROUND = ("--rounds", "1", "--seconds", "1", "--warm-up-s", "0.5")
PARTS = {
    "compare": Part(),
    "latency": Part(quick=("--rounds", "3", "--seconds", "2", "--warm-up-s", "0.5")),
    "batch": Part(),
    "core": Part(),
    "journal": Part(quick=("--seconds", "0.5", "--warm-up-s", "0.2")),
    "overload": Part(quick=_ONE_ROUND),
    "growth": Part(quick=("--scale", "0.01", *_ONE_ROUND)),
    "keys": Part(("1000000", "10000000", "--lmdb"), ("20000", "200000", "--seconds", "1")),
    "mesh": Part(),
    "workers": Part(),
    "crowd": Part(),
    "sockets": Part(),
    "tickers": Part(quick=("--readers", "500", "--rounds", "3", "--seconds", "1")),
    "raffle": Part(quick=("--rounds", "1", "--seconds", "1", "--warm-up-s", "0.5")),
}
DEADLINE_S, QUICK_DEADLINE_S = 3600.0, 180.0
STOP_TIMEOUT_S = 60.0
_SAID_LENGTH_MAX = 300


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--only", multiple=True, type=click.Choice(list(PARTS)), help="Instead of all; may be repeated."
)
@click.option("--quick", is_flag=True, help="Short rounds and little data: most goals stay open.")
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
        part = PARTS[name]
        arguments = (*(part.quick if quick else part.whole), "--seed", str(seed))
        options = Options(seed=seed, data_root=data_root)
        deadline_s = QUICK_DEADLINE_S if quick else DEADLINE_S
        reports.append(outcome(name, arguments, options, deadline_s))
        # What is there so far is kept, however the run ends.
        write_json(reports, json_file)
        if markdown_file is not None:
            markdown_file.write_text(markdown(reports))


def outcome(name: str, arguments: Sequence[str], options: Options, deadline_s: float) -> Report:
    """The report of a bench in a process of its own, or one that says why there is none."""
    with tempfile.TemporaryDirectory(prefix="jackpotd-results-") as made:
        file = Path(made) / "report.json"
        command = ["-m", "bench", name, *arguments, "--data-root", str(options.data_root)]
        code, said = _run([sys.executable, *command, "--json", str(file)], deadline_s)
        command_line = f"python -m bench {' '.join((name, *arguments))}"
        if code == 0 and file.exists():
            with suppress(msgspec.DecodeError):
                report = msgspec.json.decode(file.read_bytes(), type=Report)
                return replace(report, command=command_line)
    failed = f"failed with {code}: {said or 'no word'}"
    print(f"{name} {failed}", file=sys.stderr)
    empty = options.report(name, "There are no figures of this bench.")
    return replace(empty, notes=(failed,), command=command_line)


def _run(command: Sequence[str], deadline_s: float) -> tuple[int, str]:
    """Runs a bench, and passes on what it prints; its exit code, and the last line on its standard error."""
    said, began = "", time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        # As a terminal would: it removes its servers and folders, which a kill would leave behind.
        timers = [Timer(deadline_s, process.send_signal, [signal.SIGINT])]
        timers += [Timer(deadline_s + STOP_TIMEOUT_S, process.kill)]
        for timer in timers:
            timer.start()
        try:
            for line in process.stderr or ():
                print(line, end="", file=sys.stderr, flush=True)
                said = line.strip() or said
            code = process.wait()
            if time.monotonic() - began >= deadline_s:
                said = f"it did not end within {deadline_s:g} s"
            return code, said[:_SAID_LENGTH_MAX]
        finally:
            for timer in timers:
                timer.cancel()


if __name__ == "__main__":
    main()
