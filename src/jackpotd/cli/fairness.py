"""`jackpotd fairness`: what anybody needs to check the draws of a data directory."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

T = TypeVar("T")


@click.group()
def fairness() -> None:
    """Show that the draws of a jackpot were fair."""


@fairness.command("export")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file (TOML).",
)
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The data directory; a server may be running on it.",
)
@click.option("--instance", help="Only the jackpot of this id. Default: all of them.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, for its owner's eyes: it holds players' ids. Default: standard output.",
)
def fairness_export(
    config: Path | None, data_dir: Path, instance: str | None, out: Path | None
) -> None:
    """Write seals, revealed secrets, contributions and wins as JSON Lines, for docs/check_fairness.py.

    Secrets that still decide something are not in the journal, and so not in the export.
    """
    from jackpotd.cli.main import settings_of  # noqa: PLC0415 - which registers this group
    from jackpotd.service.data_directory import DataDirectory  # noqa: PLC0415
    from jackpotd.service.fairness_export import (  # noqa: PLC0415 - `--help` stays quick
        FINDINGS,
        Exported,
        export,
    )

    settings, data = settings_of(config, data_dir), DataDirectory(data_dir)

    def write_to(write: Callable[[bytes], object]) -> Exported:
        return export(settings, data, instance, write)

    try:
        done = write_to(sys.stdout.buffer.write) if out is None else _whole(out, write_to)
    except FINDINGS as error:
        click.echo(f"fairness: {error}", err=True)
        sys.exit(1)
    click.echo(
        f"{done.instances} jackpots, {done.contributions} contributions, {done.wins} wins, "
        f"{done.reveals} revealed secrets in {done.lines} lines",
        err=True,
    )


def _whole(path: Path, write_to: Callable[[Callable[[bytes], object]], T]) -> T:
    """Writes a file that appears whole, or not at all."""
    draft = path.with_name(f"{path.name}.part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            result = write_to(file.write)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return result
