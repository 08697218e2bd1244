"""`jackpotd verify`: the journals against everything that is derived from them."""

from pathlib import Path

import click

from jackpotd.service.data_directory import DataDirectory, DataDirectoryError
from jackpotd.service.settings import Settings
from jackpotd.service.verification import verify


def run_verify(settings: Settings) -> int:
    """Prints what was compared and returns 0, or what is off and 1."""
    data = DataDirectory(Path(settings.service.data_dir))
    try:
        report = verify(settings, data)
    except DataDirectoryError as error:
        click.echo(f"verify: {error}", err=True)
        return 1
    for problem in report.problems:
        click.echo(f"verify: {problem}", err=True)
    if report.problems:
        return 1
    workers = len(report.comparisons)
    chain = "one unbroken chain" if workers == 1 else f"{workers} unbroken chains"
    moves = sum(len(each.whereabouts.adoptions) for each in report.comparisons.values())
    moved = f"{moves} moves between workers, " if moves else ""
    click.echo(
        f"ok: {report.total('records')} records in {chain}, "
        f"{report.total('instances')} instances, {report.total('players')} players, "
        f"{report.total('winners')} winners, {moved}"
        f"{report.total('keys')} idempotency keys; {report.catalog_changes} catalog changes; "
        "ledger, rows and replay agree to the byte"
    )
    return 0
