"""`jackpotd verify`: the journal against everything that is derived from it."""

from pathlib import Path

import click
import msgspec

from jackpotd.core.ledger import InvariantViolation
from jackpotd.engine.recovery import Difference
from jackpotd.journal.key_runs import KeyIndexDamaged
from jackpotd.journal.log import LogError, StorageError
from jackpotd.service.data_directory import DataDirectory, DataDirectoryError
from jackpotd.service.settings import Settings
from jackpotd.service.verification import verify

FINDINGS = (
    DataDirectoryError,
    Difference,
    InvariantViolation,
    KeyIndexDamaged,
    LogError,
    StorageError,
    msgspec.MsgspecError,  # a record or a row that is none
)


def run_verify(settings: Settings) -> int:
    """Prints what was compared and returns 0, or the first difference and 1."""
    data = DataDirectory(Path(settings.service.data_dir))
    try:
        report = verify(settings, data)
    except FINDINGS as error:
        click.echo(f"verify: {error}", err=True)
        return 1
    compared = report.comparison
    click.echo(
        f"ok: {compared.records} records in one unbroken chain, "
        f"{compared.instances} instances, {compared.players} players, {compared.winners} winners, "
        f"{compared.keys} idempotency keys; {report.catalog_changes} catalog changes; "
        "ledger, rows and replay agree to the byte"
    )
    return 0
