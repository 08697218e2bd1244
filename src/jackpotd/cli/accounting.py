"""`jackpotd accounts add`: the first account of a new data directory."""

from pathlib import Path

import click
import trio

from jackpotd.identity.passwords import PASSWORD_LENGTH_MIN
from jackpotd.service.accounts import add_platform_account
from jackpotd.service.data_directory import DataDirectory, DataDirectoryError
from jackpotd.service.settings import Settings


def run_add(settings: Settings, username: str, password: str) -> int:
    """Adds the account; 0, or 1 with the reason."""
    if len(password) < PASSWORD_LENGTH_MIN:
        click.echo(
            f"jackpotd: the password needs at least {PASSWORD_LENGTH_MIN} characters", err=True
        )
        return 2
    data = DataDirectory(Path(settings.service.data_dir))
    try:
        refused = trio.run(add_platform_account, settings, data, username, password)
    except DataDirectoryError as error:
        click.echo(f"jackpotd: {error}", err=True)
        return 1
    if refused is not None:
        click.echo(f"jackpotd: {refused.message}", err=True)
        return 1
    click.echo(f"added platform account {username} in {data.root}")
    return 0
