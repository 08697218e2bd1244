"""`jackpotd shards`: what the workers of a running server do, and moving an instance to another one."""

from pathlib import Path

import click
import msgspec
import trio
from rich.console import Console
from rich.table import Table

from jackpotd.service.control import Look, Looked, Move, Moved, NoServer, Refused, ask
from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.figures import Report
from jackpotd.service.settings import Settings

INSTANCES_SHOWN_MAX = 40
WIDTH_IN_A_FILE = 120


def run_look(settings: Settings, *, interval_s: float, as_json: bool) -> int:
    """Prints the workers and their instances; 0, or 1 where no server runs."""
    data = DataDirectory(Path(settings.service.data_dir))
    try:
        answer = trio.run(ask, data, Look(interval_s))
    except NoServer as error:
        click.echo(f"jackpotd: {error}", err=True)
        return 1
    if not isinstance(answer, Looked):
        raise TypeError(f"the server answered {answer}")
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(answer.report)).decode())
    else:
        _show(answer.report)
    return 0


def run_move(settings: Settings, instance_id: str, worker: int) -> int:
    """Moves an instance; 0, or 1 with the reason."""
    data = DataDirectory(Path(settings.service.data_dir))
    try:
        answer = trio.run(ask, data, Move(instance_id, worker))
    except NoServer as error:
        click.echo(f"jackpotd: {error}", err=True)
        return 1
    match answer:
        case Moved(was_there=True):
            click.echo(f"{instance_id} is with worker {worker} already")
        case Moved():
            click.echo(f"moved {instance_id} to worker {worker}")
        case Refused(message):
            click.echo(f"jackpotd: not moved: {message}", err=True)
            return 1
        case _:
            raise TypeError(f"the server answered {answer}")
    return 0


def _show(report: Report) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_IN_A_FILE)
    console.print(_workers(report), _instances(report))
    hidden = len(report.instances) - INSTANCES_SHOWN_MAX
    if hidden > 0:
        console.print(f"{hidden} more instances have less to do; --json shows all")
    for warning in report.warnings:
        console.print(f"warning: {warning}", style="bold yellow", highlight=False)


def _workers(report: Report) -> Table:
    table = Table(title=f"workers, over {report.interval_s:g} s", title_justify="left")
    table.add_column("worker", justify="right")
    table.add_column("pid", justify="right")
    table.add_column("state")
    for name in (
        "restarts", "instances", "contributions/s", "queued", "in flight", "staged", "loop busy",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    for each in report.workers:
        table.add_row(
            str(each.worker),
            "-" if each.pid is None else str(each.pid),
            f"{each.state}, hot" if each.is_hot else each.state,
            *(f"{figure:,}" for figure in (each.restarts, each.instances)),
            f"{each.contributions_per_s:,.1f}",
            *(f"{figure:,}" for figure in (each.queued, each.in_flight, each.staged)),
            f"{each.loop_busy:.0%}",
            style="bold yellow" if each.is_hot else None,
        )
    return table


def _instances(report: Report) -> Table:
    table = Table(title="instances, the busiest first", title_justify="left")
    table.add_column("instance", no_wrap=True)
    table.add_column("name")
    for name in ("worker", "contributions/s", "queued"):
        table.add_column(name, justify="right")
    busiest = sorted(report.instances, key=lambda each: (-each.contributions_per_s, each.name))
    for each in busiest[:INSTANCES_SHOWN_MAX]:
        table.add_row(
            each.instance_id,
            f"{each.name} (fenced)" if each.is_fenced else each.name,
            str(each.worker),
            f"{each.contributions_per_s:,.1f}",
            f"{each.queued:,}",
            style="bold red" if each.is_fenced else None,
        )
    return table
