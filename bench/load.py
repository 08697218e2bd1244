"""How many contributions a second does a server take, and how fast does it answer?

Without --rate the loop is closed: every connection sends its next request when one is answered, which finds the peak.
With --rate requests are due at a constant rate whatever the server does, and latency counts from then on, so a pause of
the server is not hidden. Without --url a server with the demo's data is started, and removed afterwards.

    python -m bench load --url http://127.0.0.1:8084 --connections 128 --rate 2000 --plot load.png
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import click
import httpx
from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.generator.driving import drive
from bench.generator.plan import Measured, Plan, latency
from bench.generator.workload import SLOTS, Workload
from bench.reporting.command import DATA_ROOT, Options, refusing, write_json
from bench.reporting.report import number
from bench.servers.subjects import jackpotd, log_in

SOURCES = (SLOTS, "sitewide-casino")


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--url", help="The gateway of a running server with the demo's data.")
@click.option("--connections", default=128, show_default=True, type=click.IntRange(1, 20_000))
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 1e6),
    help="Requests a second; without it, as many as are answered.",
)
@click.option("--duration-s", default=10.0, show_default=True, type=click.FloatRange(0.1, 3600))
@click.option(
    "--warm-up-s",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0, 600),
    help="Not counted.",
)
@click.option(
    "--pipeline",
    default=1,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Requests under way on one connection.",
)
@click.option(
    "--give-up-s",
    type=click.FloatRange(0.001, 600),
    help="With --rate: never send what found no connection for so long.",
)
@click.option(
    "--batch",
    default=0,
    show_default=True,
    type=click.IntRange(0, 10_000),
    help="Contributions in a request to the batch endpoint.",
)
@click.option("--ndjson", is_flag=True, help="With --batch: lines instead of an array.")
@click.option(
    "--source",
    "sources",
    multiple=True,
    default=(SLOTS,),
    show_default=True,
    type=click.Choice(SOURCES),
)
@click.option("--players", default=10_000, show_default=True, type=click.IntRange(1, 10**8))
@click.option(
    "--v1-share",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Part of requests that use the v1 call.",
)
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--data-root",
    default=DATA_ROOT,
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the measurement there.",
)
@click.option(
    "--plot",
    "plot_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw it there (.png or .svg).",
)
def main(
    *,
    url: str | None,
    connections: int,
    rate: float | None,
    duration_s: float,
    warm_up_s: float,
    pipeline: int,
    give_up_s: float | None,
    batch: int,
    ndjson: bool,
    sources: tuple[str, ...],
    players: int,
    v1_share: float,
    seed: int,
    data_root: Path,
    json_file: Path | None,
    plot_file: Path | None,
) -> None:
    workload = Workload(
        seed=seed,
        sources=sources,
        players=players,
        v1_share=v1_share,
        batch=batch,
        is_ndjson=ndjson,
    )
    options = Options(seed=seed, data_root=data_root)
    with refusing(), _server(url, options) as (where, token):
        plan = Plan(
            host=where[0],
            port=where[1],
            token=token,
            run=uuid4().hex[:16],
            connections=connections,
            duration_s=duration_s,
            rate=rate,
            warm_up_s=warm_up_s,
            pipeline=pipeline,
            give_up_s=give_up_s,
            core=options.cores.generator,
            workload=workload,
        )
        measured = drive(plan, "load")
    for line in _lines(measured, plan):
        print(line)
    outcome = {"plan": replace(plan, token=""), "measured": measured}
    write_json({**outcome, "latency_ms": latency(measured.latency)}, json_file)
    if plot_file:
        from bench.reporting.plot import plot  # noqa: PLC0415 - takes a second to load

        plot(measured, _lines(measured, plan)[0], plot_file)


@contextmanager
def _server(url: str | None, options: Options) -> Iterator[tuple[tuple[str, int], str]]:
    """Host and port of the server, and a token: of the one that was named, or of one of our own."""
    if url is not None:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise click.UsageError("--url is http://HOST:PORT")
        try:
            yield (parts.hostname, parts.port or 80), log_in(url.rstrip("/"))
        except httpx.HTTPError as error:
            raise click.ClickException(f"cannot log in at {url}: {error}") from None
        return
    with options.folder("load") as folder, jackpotd(folder, options.cores.server) as subject:
        plan = subject.plan(connections=1, duration_s=1, core=None)
        yield (plan.host, plan.port), subject.token


def _lines(measured: Measured, plan: Plan) -> list[str]:
    """The figures in words, the rate first, problems last."""
    seen = latency(measured.latency)
    asked = "closed loop" if plan.rate is None else f"{plan.rate:,.0f} requests/s asked for"
    percentiles = (seen.p50, seen.p90, seen.p99, seen.p999, seen.highest)
    return [
        f"{measured.rate:,.0f} contributions/s, {plan.connections} connections, {asked}",
        f"latency ms: {' / '.join(map(number, percentiles))} (p50 / p90 / p99 / p99.9 / highest)",
        f"generator: {measured.generator_cpu:.0%} of its core, {measured.reconnects} reconnects",
        *(f"note: {problem}" for problem in measured.problems),
    ]


if __name__ == "__main__":
    main()
