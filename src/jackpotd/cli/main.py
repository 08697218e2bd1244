"""The command line (contract §12). Exit codes: 0 done, 1 something is wrong with data or service, 2 a wrong call."""

import os
import sys
from pathlib import Path

import click

from jackpotd import __version__
from jackpotd.service.configuration import ConfigurationError, load_settings
from jackpotd.service.settings import Settings

_CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file (TOML). Every setting is also an environment variable JACKPOTD_….",
)
_DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where journal, rows, keys and the token secret live. Default: the setting, which is ./data.",
)


def settings_of(config: Path | None, data_dir: Path | None) -> Settings:
    """The settings of a command; a problem with them ends the command with exit code 2."""
    try:
        return load_settings(config, os.environ, {"service.data_dir": data_dir})
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        sys.exit(2)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="jackpotd")
def main() -> None:
    """The jackpot platform that casinos run their shared pots on."""


@main.command()
@_CONFIG
@_DATA_DIR
@click.option(
    "--demo", is_flag=True, help="Fill an empty data directory with the demo data; loopback only."
)
def serve(config: Path | None, data_dir: Path | None, demo: bool) -> None:
    """Serve the gateway and the admin listener until SIGTERM or SIGINT.

    Prints one line that begins with `ready` once every listener answers.
    """
    from jackpotd.cli.serving import run_server  # noqa: PLC0415 - `--help` stays quick

    sys.exit(run_server(settings_of(config, data_dir), is_demo=demo))


@main.command()
@click.option(
    "--contributions",
    type=click.IntRange(min=1),
    help="End after so many contributions; without it, Ctrl-C ends the demo.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the demo's data live. Default: a new temporary directory, which is kept.",
)
def demo(contributions: int | None, data_dir: Path | None) -> None:
    """Serve the demo data and drive simulated players through the HTTP API.

    Shows pots, rates, latencies and wins live. At the end the data directory is verified: exit code 0 only if all
    contributions were answered and the ledger balances.
    """
    from jackpotd.cli.demo import run_demo  # noqa: PLC0415 - `--help` stays quick

    settings = settings_of(None, data_dir)
    sys.exit(run_demo(settings, contributions=contributions, is_fresh=data_dir is None))


@main.command()
@_CONFIG
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The data directory to check; a server may be running on it.",
)
def verify(config: Path | None, data_dir: Path) -> None:
    """Replay the journal from nothing and compare it with rows, ledger, keys and hash chain.

    Exit code 1 and the first difference if anything is off.
    """
    from jackpotd.cli.verifying import run_verify  # noqa: PLC0415 - `--help` stays quick

    sys.exit(run_verify(settings_of(config, data_dir)))


@main.group()
def accounts() -> None:
    """Accounts of a data directory that no server runs on."""


@accounts.command("add")
@_CONFIG
@_DATA_DIR
@click.option("--username", required=True, help="Name to log in with.")
@click.password_option(help="At least 8 characters; asked for where it is left out.")
def accounts_add(config: Path | None, data_dir: Path | None, username: str, password: str) -> None:
    """Add an account of the platform, with every right: the first one of a new data directory.

    Further accounts are made with POST /admin/accounts on the admin listener.
    """
    from jackpotd.cli.accounting import run_add  # noqa: PLC0415 - `--help` stays quick

    sys.exit(run_add(settings_of(config, data_dir), username, password))
