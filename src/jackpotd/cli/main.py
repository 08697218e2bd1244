"""The command line (contract §12). Exit codes: 0 done, 1 something is wrong with data or service, 2 a wrong call."""

import os
import sys
from pathlib import Path

import click

from jackpotd import __version__
from jackpotd.cli.fairness import fairness
from jackpotd.cli.simulate_command import simulate
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


def settings_of(config: Path | None, data_dir: Path | None, **service: object) -> Settings:
    """The settings of a command; a problem with them ends the command with exit code 2."""
    given = {f"service.{name}": value for name, value in service.items()}
    try:
        return load_settings(config, os.environ, {"service.data_dir": data_dir, **given})
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        sys.exit(2)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="jackpotd")
def main() -> None:
    """The jackpot platform that casinos run their shared pots on."""


main.add_command(simulate)
main.add_command(fairness)


@main.command()
@_CONFIG
@_DATA_DIR
@click.option(
    "--demo", is_flag=True, help="Fill an empty data directory with the demo data; loopback only."
)
@click.option(
    "--workers",
    type=int,
    help="Worker processes. Default: the setting, which is one for each core.",
)
@click.option(
    "--shards",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Placement file, such as config/shards.toml: which worker owns which instance.",
)
def serve(
    config: Path | None,
    data_dir: Path | None,
    demo: bool,
    workers: int | None,
    shards: Path | None,
) -> None:
    """Serve the gateway and the admin listener until SIGTERM or SIGINT.

    Prints one line that begins with `ready` once every listener answers. With --demo it runs one worker unless told
    otherwise.
    """
    from jackpotd.cli.serving import run_server  # noqa: PLC0415 - `--help` stays quick

    settings = settings_of(config, data_dir, workers=workers, shards=shards)
    sys.exit(run_server(settings, is_demo=demo))


@main.command(hidden=True)
@click.option(
    "--index", type=int, required=True, help="The worker's number, for whoever lists processes."
)
@click.option("--server", type=int, required=True, help="The process that started it.")
def worker(index: int, server: int) -> None:  # noqa: ARG001 - the number comes again with the settings
    """Be a worker of a server that runs; `serve` starts these by itself."""
    from jackpotd.cli.serving import run_worker_process  # noqa: PLC0415 - `--help` stays quick

    sys.exit(run_worker_process(server))


@main.command(hidden=True)
@click.option("--server", type=int, required=True, help="The process that started it.")
def feed(server: int) -> None:
    """Be the feed of a server that runs; `serve` starts it by itself."""
    from jackpotd.cli.serving import run_feed_process  # noqa: PLC0415 - `--help` stays quick

    sys.exit(run_feed_process(server))


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


@main.group(invoke_without_command=True)
@_CONFIG
@_DATA_DIR
@click.option("--json", "as_json", is_flag=True, help="The same for programs.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.05, max=60),
    default=1.0,
    show_default=True,
    help="Seconds over which the rates are taken.",
)
@click.pass_context
def shards(
    context: click.Context,
    config: Path | None,
    data_dir: Path | None,
    as_json: bool,
    interval: float,
) -> None:
    """Show the workers of the server that runs on a data directory, and their instances.

    Warns of a worker that is hot: its event loop is more than 90 % busy, or it does more than twice the others' mean.
    """
    from jackpotd.cli.shards import run_look  # noqa: PLC0415 - `--help` stays quick

    context.obj = settings_of(config, data_dir)
    if context.invoked_subcommand is None:
        sys.exit(run_look(context.obj, interval_s=interval, as_json=as_json))


@shards.command("move")
@click.argument("instance")
@click.argument("worker", type=int)
@click.pass_obj
def shards_move(settings: Settings, instance: str, worker: int) -> None:
    """Move INSTANCE to WORKER while it is served.

    Contributions that arrive meanwhile wait for a moment; none is lost or counted twice. The instance stays there over
    restarts, unless the placement file says otherwise.
    """
    from jackpotd.cli.shards import run_move  # noqa: PLC0415 - `--help` stays quick

    sys.exit(run_move(settings, instance, worker))
