"""Runs a plan in a process of its own, and shows how it goes."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from bench.generator.plan import Failed, Measured, Plan, Progress

ROOT = Path(__file__).resolve().parents[2]
MARGIN_S = 60.0
LINE_INTERVAL_S = 5.0

_MESSAGE = msgspec.json.Decoder(Progress | Failed | Measured)


class GeneratorFailed(Exception):
    """There is no measurement; the message says why."""


def drive(plan: Plan, what: str = "") -> Measured:
    """Runs a plan; a bar shows how far it is on a terminal, a line now and then elsewhere.

    Raises:
        GeneratorFailed: the server cannot be loaded, or the generator ended without a word.
    """
    command = [sys.executable, "-m", "bench.generator"]
    with (
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process,
        _Watch(what, plan.warm_up_s + plan.duration_s) as watch,
    ):
        try:
            return _followed(process, plan, watch)
        finally:
            with suppress(ProcessLookupError):
                process.kill()


def _followed(process: subprocess.Popen[bytes], plan: Plan, watch: "_Watch") -> Measured:
    if process.stdin is None or process.stdout is None:
        raise GeneratorFailed("the generator was started without pipes")
    with process.stdin as stdin:
        stdin.write(msgspec.json.encode(plan))
    for line in process.stdout:
        match _MESSAGE.decode(line):
            case Progress() as progress:
                watch.show(progress)
            case Failed(why=why):
                raise GeneratorFailed(why)
            case Measured() as measured:
                return measured
    raise GeneratorFailed(f"the generator ended with status {process.wait(MARGIN_S)}")


class _Watch:
    """What is seen of a run, on standard error: results alone go to standard output."""

    def __init__(self, what: str, total_s: float) -> None:
        self._what = what
        console = Console(stderr=True)
        self._is_terminal = console.is_terminal
        self._said_s = 0.0
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[lately]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not self._is_terminal,
        )
        self._task = self._bar.add_task(what, total=total_s, lately="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, progress: Progress) -> None:
        lately = f"{progress.lately:,.0f}/s"
        self._bar.update(self._task, completed=progress.done_s, lately=lately)
        if not self._is_terminal and progress.done_s - self._said_s >= LINE_INTERVAL_S:
            self._said_s = progress.done_s
            done = f"{progress.done_s:.0f} of {progress.total_s:.0f} s"
            print(f"{self._what}: {done}, {lately}", file=sys.stderr, flush=True)
