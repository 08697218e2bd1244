"""The flags of `jackpotd simulate`; what they do stands in `simulating`, which is loaded when it is asked for."""

import sys
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("template", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--contributions", type=click.IntRange(min=1), required=True, help="How many are simulated."
)
@click.option(
    "--stake",
    help="Base wager in the template's currency: a number, uniform:LOW:HIGH, lognormal:MEDIAN:SIGMA[:MAX] or "
    "choice:VALUE=WEIGHT,…. Default: 1.",
)
@click.option("--players", type=click.IntRange(min=1), help="How many play. Default: 1000.")
@click.option(
    "--currency",
    "currencies",
    help="Currencies with their multipliers, such as EUR=1,SEK=11.6; the players are spread over them evenly.",
)
@click.option(
    "--rate",
    "per_second",
    type=click.FloatRange(min=0, min_open=True),
    help="Contributions per second, arriving as a Poisson process. Default: 1.",
)
@click.option(
    "--population",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="All of that in a TOML file, with groups of players.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), help="The same seed and lives give the same result."
)
@click.option(
    "--processes",
    type=click.IntRange(min=1, max=1024),
    help="Default: one for each core, with at least 100,000 contributions each.",
)
@click.option(
    "--lives",
    type=click.IntRange(min=1, max=100_000),
    help="Independent jackpots that share the contributions. Default: as many as processes.",
)
@click.option(
    "--house-edge",
    type=click.FloatRange(min=0, max=1),
    help="Of the game beside the jackpot; says when a pot of hidden value is worth waiting for.",
)
@click.option("--json", "as_json", is_flag=True, help="The same for programs.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a report with pictures; it needs no network.",
)
def simulate(**asked: Any) -> None:
    """Play TEMPLATE with simulated players through the real core, for the person who designs a jackpot.

    Shows returns to players in their parts, how often pots are won and what they pay, seed reserves and deficits, the
    operator's liability, all with 95 % intervals, and warnings.

    Each process plays jackpots of its own, from their initial state on: with --processes 1 (and no --lives) it is one
    continuous life, else so many shorter ones, and figures are of all of them together.
    """
    from jackpotd.cli.simulating import Asked, run_simulate  # noqa: PLC0415 - `--help` stays quick

    sys.exit(run_simulate(Asked(**asked)))
