"""The command line that all benches share: the same options, the same output, the same exit codes."""

import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from bench.generator.driving import GeneratorFailed
from bench.reporting.render import show
from bench.reporting.report import Report
from bench.servers.machine import Cores, cores, facts, file_system, is_in_memory
from bench.servers.programs import ProgramFailed

DATA_ROOT = Path("/var/tmp")  # noqa: S108 - on disk where /tmp is in memory; every run makes its own folder in it


class Options(Struct, frozen=True):
    """What every bench may be told.

    Attributes:
        seed: the workload.
        rounds: how often everything takes its turn.
        seconds: counted in each turn.
        warm_up_s: not counted before each.
        data_root: a folder on a real disk.
    """

    seed: int = 1
    rounds: int = 5
    seconds: float = 3.0
    warm_up_s: float = 1.0
    data_root: Path = DATA_ROOT

    @property
    def cores(self) -> Cores:
        return cores()

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """A folder of this run, gone after it. Others may enter it: a database may run as another user."""
        with tempfile.TemporaryDirectory(prefix=f"jackpotd-{name}-", dir=self.data_root) as made:
            Path(made).chmod(0o755)
            yield Path(made)

    def caveats(self) -> list[str]:
        """What is wrong with this machine or this folder, for the notes."""
        found = []
        if self.cores.are_shared:
            found.append("one core: server and generator share it, so no rate says much")
        if is_in_memory(self.data_root):
            kind = file_system(self.data_root)
            found.append(f"{self.data_root} is in memory ({kind}): nothing durable is measured")
        return found

    def report(self, name: str, question: str) -> Report:
        """An empty report of this run."""
        return Report(
            name=name,
            question=question.splitlines()[0],
            facts={**facts(), "data on": file_system(self.data_root)},
            notes=tuple(self.caveats()),
            command=f"python -m bench {shlex.join([name, *sys.argv[1:]])}",
        )


Measure = Callable[[Options], Report]


def run(
    measure: Measure, documentation: str | None, *, rounds: int = 5, seconds: float = 3.0
) -> None:
    """Runs a bench from the command line.

    Args:
        measure: does the work.
        documentation: of the module; the text of `--help`.
        rounds, seconds: the bench's own defaults.
    """

    @click.command(help=documentation, context_settings={"help_option_names": ["-h", "--help"]})
    @click.option("--seed", default=1, show_default=True, help="Of the workload.")
    @click.option("--rounds", default=rounds, show_default=True, type=click.IntRange(1, 100))
    @click.option(
        "--seconds",
        default=seconds,
        show_default=True,
        type=click.FloatRange(0.1, 600),
        help="Counted in each turn.",
    )
    @click.option(
        "--warm-up-s",
        default=1.0,
        show_default=True,
        type=click.FloatRange(0, 60),
        help="Before each turn.",
    )
    @click.option(
        "--data-root",
        default=DATA_ROOT,
        show_default=True,
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="A folder on a real disk; every run makes and removes its own in it.",
    )
    @click.option(
        "--json",
        "json_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write the report there.",
    )
    def command(
        seed: int,
        rounds: int,
        seconds: float,
        warm_up_s: float,
        data_root: Path,
        json_file: Path | None,
    ) -> None:
        options = Options(seed, rounds, seconds, warm_up_s, data_root)
        with refusing():
            report = measure(options)
        show(report)
        write_json(report, json_file)

    command()


@contextmanager
def refusing() -> Iterator[None]:
    """Ends the command with one line and exit code 1 where there is nothing to measure."""
    try:
        yield
    except (ProgramFailed, GeneratorFailed) as error:
        raise click.ClickException(str(error)) from None


def write_json(content: object, file: Path | None) -> None:
    """Writes a result as JSON, if a file was asked for."""
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
