"""`jackpotd simulate`: a template's lives through the real core, for the person who designs a jackpot.

Results go to standard output, the progress bar to a terminal on standard error, and nowhere else.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from jackpotd.cli.simulating_tables import say_figures
from jackpotd.core.rules import Rules
from jackpotd.simulation import estimates, figures, population, templates, workers
from jackpotd.simulation.figures import Template
from jackpotd.simulation.life import Plan
from jackpotd.simulation.life import Progress as Heard
from jackpotd.simulation.population import Population, PopulationError
from jackpotd.wire.errors import RequestRefused

TEMPLATE_BYTES_MAX = 1 << 20
CONTRIBUTIONS_A_PROCESS_MIN = 100_000
SEED_BYTES = 6
_INTERRUPTED = 130


class Asked(Struct, frozen=True, kw_only=True):
    """The call: what the flags said; None where they said nothing."""

    template: Path
    contributions: int
    stake: str | None
    players: int | None
    currencies: str | None
    per_second: float | None
    population: Path | None
    seed: int | None
    lives: int | None
    processes: int | None
    house_edge: float | None
    as_json: bool
    html: Path | None


class _Wrong(Exception):
    """A call that cannot be answered; the message is for whoever made it."""


def run_simulate(asked: Asked) -> int:
    """Simulates and prints; 2 for a bad template, population or flag, 1 where it failed, 130 where it was stopped."""
    try:
        rules, template = _template(asked.template)
        people = _population(asked, rules)
        _require_writable(asked.html)
        plan, processes = _plan(asked, rules, people)
    except _Wrong as error:
        click.echo(f"simulate: {error}", err=True)
        return 2
    began_s = time.monotonic()
    try:
        with _bar(plan.contributions) as progress:
            book = workers.run(plan, processes, progress)
    except KeyboardInterrupt:
        click.echo("simulate: stopped", err=True)
        return _INTERRUPTED
    except workers.WorkerFailed as error:
        click.echo(f"simulate: {error}", err=True)
        return 1
    elapsed_s = time.monotonic() - began_s
    found = figures.figures_of(plan, book, template, asked.house_edge)
    if asked.html is not None:
        from jackpotd.simulation import report  # noqa: PLC0415 - charts are not loaded for nothing

        try:
            asked.html.write_text(report.page(found, book), encoding="utf-8")
        except OSError as error:
            click.echo(f"simulate: {asked.html}: {error.strerror}", err=True)
            return 1
    if asked.as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        say_figures(found, elapsed_s=elapsed_s, processes=processes, html=asked.html)
    return 0


def _template(path: Path) -> tuple[Rules, Template]:
    body = _bytes_of(path)
    try:
        return templates.read(body)
    except RequestRefused as refused:
        raise _Wrong(f"{path}: {refused.body.message}") from None


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            body = file.read(TEMPLATE_BYTES_MAX + 1)
    except OSError as error:
        raise _Wrong(f"{path}: {error.strerror}") from None
    if len(body) > TEMPLATE_BYTES_MAX:
        raise _Wrong(f"{path}: is longer than {TEMPLATE_BYTES_MAX} bytes")
    return body


def _population(asked: Asked, rules: Rules) -> Population:
    flags = {
        "--stake": asked.stake,
        "--players": asked.players,
        "--currency": asked.currencies,
        "--rate": asked.per_second,
    }
    try:
        if asked.population is None:
            people = population.from_flags(
                rules.currency,
                stake=asked.stake or "1",
                players=asked.players or population.PLAYERS_DEFAULT,
                per_second=asked.per_second or population.RATE_DEFAULT,
                currencies=asked.currencies,
            )
        else:
            given = [name for name, value in flags.items() if value is not None]
            if given:
                raise _Wrong(f"{given[0]} says what --population says: leave one of them out")
            people = _from_file(asked.population, rules.currency)
        population.require_fit(people, rules)
    except PopulationError as error:
        raise _Wrong(str(error)) from None
    return people


def _from_file(path: Path, currency: str) -> Population:
    try:
        return population.from_toml(_bytes_of(path).decode(), currency)
    except UnicodeDecodeError:
        raise _Wrong(f"{path}: is not UTF-8") from None
    except PopulationError as error:
        raise _Wrong(f"{path}: {error}") from None


def _require_writable(html: Path | None) -> None:
    """Before minutes are spent on a report that cannot be written."""
    if html is not None and not os.access(html if html.exists() else html.parent, os.W_OK):
        raise _Wrong(f"{html}: cannot be written")


def _plan(asked: Asked, rules: Rules, people: Population) -> tuple[Plan, int]:
    """What is simulated, on how many processes: one for each core, as far as there is enough for each to do."""
    cores = len(os.sched_getaffinity(0))
    worth_it = max(1, asked.contributions // CONTRIBUTIONS_A_PROCESS_MIN)
    processes = min(cores, worth_it) if asked.processes is None else asked.processes
    lives = processes if asked.lives is None else asked.lives
    if lives > asked.contributions:
        raise _Wrong(f"{asked.contributions} contributions are too few for {lives} lives")
    seed = int.from_bytes(os.urandom(SEED_BYTES)) if asked.seed is None else asked.seed
    plan = Plan(
        rules=rules,
        population=people,
        contributions=asked.contributions,
        lives=lives,
        seed=seed,
        batches=estimates.BATCHES,
    )
    return plan, min(processes, lives)


@contextmanager
def _bar(contributions: int) -> Iterator[Heard]:
    """A progress bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    if not sys.stderr.isatty() or console.is_dumb_terminal:
        yield lambda _done: None
        return
    columns = (
        TextColumn("simulate"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("simulate", total=contributions)
        yield lambda done: progress.advance(task, done)
