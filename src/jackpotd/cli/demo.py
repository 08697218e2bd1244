"""`jackpotd demo`: a server of its own, simulated players against it, and proof at the end that the ledger balances.

Owns the order of things and the exit code: 0 only if everything was answered as it should be and the verification of
what lies on disk agrees. The server never outlives the command.
"""

import errno
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import click
import httpx
import trio
from msgspec import structs
from rich.console import Console

from jackpotd.cli.demo_players import Crowd
from jackpotd.cli.demo_readings import Commits, DemoRefused, Rates, Readings, View
from jackpotd.cli.demo_screen import Screen, say_page, say_summary, say_where, screen_on
from jackpotd.cli.demo_server import DemoServer, ServerFailed, serving
from jackpotd.cli.demo_traffic import CONNECTIONS, SIGNAL_GRACE_S, Traffic, connections
from jackpotd.cli.serving import leaves
from jackpotd.cli.verifying import run_verify
from jackpotd.service.settings import Settings

VIEW_TIMEOUT_S = 5.0
STOP_MARGIN_S = 5.0

_EXPECTED = (ServerFailed, DemoRefused, httpx.TransportError)


def run_demo(settings: Settings, *, contributions: int | None, is_fresh: bool) -> int:
    """Runs the demo; 0 if all went well.

    Args:
        settings: the configuration.
        contributions: how many are sent; None goes on until a signal.
        is_fresh: use a new temporary directory, which is kept, instead of the configured one.
    """
    if is_fresh:
        directory = tempfile.mkdtemp(prefix="jackpotd-demo-")
        service = structs.replace(settings.service, data_dir=directory)
        settings = structs.replace(settings, service=service)
    demo = Demo(settings, contributions)
    problems, is_output_closed = [], False
    try:
        trio.run(demo.main)
    except* _EXPECTED as group:
        problems = [_in_words(error) for error in leaves(group)]
    except* BrokenPipeError:
        is_output_closed = True
    if is_output_closed:  # as click expects it, which ends the command quietly
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    if demo.traffic is None:
        if is_fresh:
            shutil.rmtree(settings.service.data_dir)
        return _verdict(["stopped before it began"] if demo.stopping.is_set() else problems)
    say_where(Path(settings.service.data_dir))
    if run_verify(settings):
        problems.append("the data directory does not verify")
    return _verdict([*demo.problems(), *problems])


def _in_words(error: BaseException) -> str:
    if isinstance(error, httpx.TransportError):
        return f"no answer from the server: {error!r}"
    return str(error)


def _verdict(problems: list[str]) -> int:
    for problem in problems:
        click.echo(f"demo: {problem}", err=True)
    return 1 if problems else 0


class Demo:
    """One run, from the server's start to its end.

    Attributes:
        stopping: set by the first signal, and when the server is gone.
        traffic: what was sent; None where it never came to that.
    """

    def __init__(self, settings: Settings, contributions: int | None) -> None:
        self._settings = settings
        self._contributions = contributions
        self._view = View()
        self._is_signalled = False
        self._server_problems: list[str] = []
        self.stopping = trio.Event()
        self.traffic: Traffic | None = None

    async def main(self) -> None:
        deadline_s = self._settings.service.drain_deadline_s + STOP_MARGIN_S
        data_dir = Path(self._settings.service.data_dir)
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._heed, signals)
                async with serving(data_dir, stop_deadline_s=deadline_s) as server:
                    is_draining = await self._serve_players(server)
                    status = await server.stop(deadline_s, is_signalled=not is_draining)
                    self._judge_end(server, status)
                nursery.cancel_scope.cancel()

    async def _heed(self, signals: AsyncIterator[int]) -> None:
        async for _ in signals:
            self._is_signalled = True
            self.stopping.set()

    async def _serve_players(self, server: DemoServer) -> bool:
        """Everything between the server's start and its stop; returns whether the server is stopping already."""
        async with connections(CONNECTIONS + 1) as (reader, *players):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cancel_when_stopping, nursery.cancel_scope)
                await server.ready()
                gateway_url, admin_url = server.url("gateway"), server.url("admin")
                say_page(server.page)
                readings = Readings(reader, gateway_url, admin_url)
                headers = await readings.log_in()
                rates = await readings.rates(headers)
                nursery.cancel_scope.cancel()
            if self.stopping.is_set():
                return False
            self.traffic = Traffic(players, gateway_url, headers, rates, self.stopping)
            return await self._drive(server, self.traffic, readings, rates)

    async def _cancel_when_stopping(self, scope: trio.CancelScope) -> None:
        await self.stopping.wait()
        scope.cancel()

    async def _drive(
        self, server: DemoServer, traffic: Traffic, readings: Readings, rates: Rates
    ) -> bool:
        crowd = Crowd(rates.multipliers, uuid.uuid4().hex[:16])
        before = Commits()
        with screen_on(Console()) as screen:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_end, server)
                await traffic.opt_in(crowd)
                await self._look(readings)
                before = self._view.commits
                nursery.start_soon(self._watch, screen, traffic, readings)
                await traffic.contribute(crowd, self._contributions)
                nursery.cancel_scope.cancel()
            is_reachable = await self._look(readings)
            screen.show(traffic.tally, self._view)
        commits = self._view.commits.since(before)
        say_summary(traffic.tally, commits, self._view)
        return self._is_signalled and not is_reachable

    async def _watch(self, screen: Screen, traffic: Traffic, readings: Readings) -> None:
        while True:
            await trio.sleep(screen.interval_s)
            await self._look(readings)
            screen.show(traffic.tally, self._view)

    async def _look(self, readings: Readings) -> bool:
        """Takes a new view, or keeps the last one; returns whether the server was there to be asked."""
        try:
            with trio.fail_after(VIEW_TIMEOUT_S):
                self._view = await readings.view()
        except DemoRefused:
            return True
        except (httpx.TransportError, trio.TooSlowError):
            return False
        return True

    async def _watch_end(self, server: DemoServer) -> None:
        await server.ended()
        # A terminal's Ctrl-C reaches the server too, and perhaps first.
        with trio.move_on_after(SIGNAL_GRACE_S):
            await self.stopping.wait()
        if not self.stopping.is_set():
            self._server_problems.append("the server ended by itself")
            self.stopping.set()

    def _judge_end(self, server: DemoServer, status: int) -> None:
        if status:
            said = f"the server ended with exit status {status}\n{server.log_tail()}"
            self._server_problems.append(said.rstrip())

    def problems(self) -> list[str]:
        """Why the run failed; empty where it did not."""
        found = list(self._server_problems)
        if self.traffic is None:
            return found
        tally, wanted = self.traffic.tally, self._contributions
        if tally.problems:
            found.append(f"{tally.problems:,} problems, the first: {tally.first_problem}")
        if wanted is not None and tally.answered < wanted:
            why = ", stopped by a signal" if self._is_signalled else ""
            found.append(f"{tally.answered:,} of {wanted:,} contributions were answered{why}")
        return found
