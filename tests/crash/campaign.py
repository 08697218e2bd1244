"""A campaign against one data directory: lives of the server, and how each of them ends.

A round is one life: start, look at everything, send, and die at a moment of the plan's choosing;
then, while nothing runs, `verify` and the book are asked whether everything is as it must be.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

import trio

import jackpotd
from jackpotd.service.control import Look, Looked, ask
from jackpotd.service.data_directory import DataDirectory
from jackpotd.testing.server_process import ServerProcess

from . import checkpoint_reader
from .audit import audit, map_sources
from .book import Book
from .calls import open_caller
from .clients import Client, Trigger
from .demo_jackpots import OPERATOR
from .history import History

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jackpotd.service.figures import Report

    from .calls import Caller

ROUND_TIMEOUT_S: Final = 60.0
ANSWER_TIMEOUT_S: Final = 0.05  # for each that a plan asks for
VERIFY_TIMEOUT_S: Final = 60.0
LAST_WORDS_MAX: Final = 4000
STOP_TIMEOUT_S: Final = 8.0  # below the deadline of a drain: these requests take milliseconds
CLIENTS: Final = 24
AFTERMATH_S: Final = 0.5
LOOK_S: Final = 0.02
SERVICE: Final = "event-processor"
PERSON: Final = "admin"
PLAYERS_READ: Final = 4
DEATHS_IN_RECOVERY: Final = (0.3, 1.1)  # of the time that a start takes
_SOURCE_ROOT: Final = Path(jackpotd.__file__).resolve().parents[1]


class Death(StrEnum):
    """When, in its life, the server has to die; `TERM` is the one that it may prepare for."""

    RECOVERY = "while it starts"
    READY = "right after the ready line"
    SENT = "when so many requests have been sent"
    ANSWERED = "when so many requests have been answered"
    WORKER = "all of it, soon after one of its workers"
    TERM = "by SIGTERM, when so many requests have been answered"


@dataclass(frozen=True, slots=True)
class Plan:
    """One round; `fuse_s` varies the moment within a request's life, which no event shows.

    Where nobody looks around first, what a crash left open is asked for right after the ready line.
    """

    death: Death
    threshold: int = 0
    clients: int = 0
    fuse_s: float = 0.0
    start_share: float = 0.0
    checkpoint_interval_s: float = 2.0
    checkpoint_rows_max: int = 2000
    batch_records_max: int = 4096
    looks_around: bool = True
    verify_beside: bool = False

    @property
    def environment(self) -> dict[str, str]:
        return {
            "JACKPOTD_JOURNAL_CHECKPOINT_INTERVAL_S": str(self.checkpoint_interval_s),
            "JACKPOTD_JOURNAL_CHECKPOINT_ROWS_MAX": str(self.checkpoint_rows_max),
            "JACKPOTD_JOURNAL_BATCH_RECORDS_MAX": str(self.batch_records_max),
        }


DYING_YOUNG: Final = Plan(Death.RECOVERY)


def plan_round(rng: Random, deaths: tuple[Death, ...], weights: tuple[int, ...]) -> Plan:
    """A round at random: small thresholds are as likely as large ones, bursts as trickles.

    Small batches part what belongs together, such as a target from its links, by whole commits.
    """
    has_checkpoints, has_small_batches = rng.random() < 0.6, rng.random() < 0.6
    return Plan(
        death=rng.choices(deaths, weights)[0],
        threshold=int(2 ** rng.uniform(3 if has_checkpoints else 0, 8)),
        clients=rng.choice((2, 6, 12, CLIENTS)),
        fuse_s=rng.choice((0.0, rng.uniform(0, 0.03))),
        start_share=rng.uniform(*DEATHS_IN_RECOVERY),
        checkpoint_interval_s=rng.choice((0.01, 0.05)) if has_checkpoints else 2.0,
        checkpoint_rows_max=rng.choice((1, 2, 5)) if has_checkpoints else 2000,
        batch_records_max=rng.choice((1, 1, 1, 2, 3)) if has_small_batches else 4096,
        looks_around=rng.random() < 0.5,
        verify_beside=rng.random() < 0.2,
    )


class Campaign:
    """One directory, its clients, their book, and the journals as far as they have been read."""

    def __init__(self, data_dir: Path, seed: int, workers: int) -> None:
        self.data_dir: Final = data_dir
        self.workers: Final = workers
        self.book: Final = Book()
        self.history: Final = History(data_dir, workers)
        self.rng: Final = Random(f"{seed} campaign")
        self._clients = [Client(str(number), str(seed), self.book) for number in range(CLIENTS)]
        self._tokens: list[tuple[str, str]] = []
        self._start_s = 0.5

    async def begin(self) -> None:
        """The first life: fill the directory, log in, map sources; the tokens serve for good."""
        async with self._life(Plan(Death.TERM)) as server:
            await server.start()
            self._tokens.append(await self._log_in(server))
            async with self._callers(server) as (_, admin):
                await map_sources(admin)
            await self.kill(server)

    async def die_young(self) -> None:
        """Before the directory has ever served: killed somewhere in its first start."""
        async with self._life(DYING_YOUNG) as server:
            plan = replace(DYING_YOUNG, start_share=self.rng.uniform(*DEATHS_IN_RECOVERY))
            if await self._start(server, plan):
                await self.kill(server)

    async def show_tokens(self) -> None:
        """A life in which every token that was ever issued is shown, and new ones are asked for."""
        async with self._life(Plan(Death.ANSWERED)) as server:
            await server.start()
            for service, person in self._tokens:
                async with self._callers(server, service, person) as (gateway, admin):
                    assert await gateway.get("/sources", {"owner_id": OPERATOR})
                    assert await admin.get("/instances")
            self._tokens.append(await self._log_in(server))
            await self.kill(server)

    async def round(self, plan: Plan) -> None:
        """One life and its end, then the reckoning."""
        self.book.open_ends.clear()
        async with self._life(plan) as server:
            if await self._start(server, plan):
                await self._live(server, plan)
        await self.reckon()
        if plan.death is Death.TERM:
            self.book.check_nothing_hangs()

    async def finish(self) -> None:
        """The last life: everything that is open is asked for, and everything is looked at."""
        async with self._life(Plan(Death.TERM)) as server:
            await server.start()
            async with self._callers(server) as (gateway, admin):
                async with trio.open_nursery() as nursery:
                    for client in self._clients:
                        nursery.start_soon(client.finish, server.gateway_url, self._tokens[0][0])
                self.history.read_on()
                self.book.reckon(self.history)
                players = [player for client in self._clients for player in client.players]
                await audit(self.history, gateway, admin, players)
                await self.verify()
            assert await server.stop() == 0
        await self.reckon()
        self.history.check_whole()
        assert not any(client.has_pending for client in self._clients)

    async def reckon(self) -> None:
        """While the server is down: the directory verifies, and the book agrees with it."""
        self.book.tally["checkpoints cut off"] += checkpoint_reader.is_cut_off(self.data_dir)
        await self.verify()
        self.history.read_on()
        self.history.check_all_follows()
        self.book.tally["links cut off"] += self.history.cut_off_links()
        self.book.reckon(self.history)

    async def verify(self) -> None:
        """`python -m jackpotd verify` on the directory, beside the server or not."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("JACKPOTD_")}
        with trio.fail_after(VERIFY_TIMEOUT_S):
            done = await trio.run_process(
                [sys.executable, "-m", "jackpotd", "verify", "--data-dir", str(self.data_dir)],
                capture_stdout=True,
                stderr=subprocess.STDOUT,
                check=False,
                env=inherited | {"PYTHONPATH": str(_SOURCE_ROOT)},
            )
        assert done.returncode == 0, done.stdout.decode(errors="replace")

    async def kill(self, server: ServerProcess) -> None:
        await server.kill()
        self.book.tally["kills"] += 1

    @asynccontextmanager
    async def _life(self, plan: Plan) -> AsyncIterator[ServerProcess]:
        arguments = ("--demo", "--workers", str(self.workers))
        server = ServerProcess(self.data_dir, arguments=arguments, environment=plan.environment)
        try:
            with trio.fail_after(ROUND_TIMEOUT_S + plan.threshold * ANSWER_TIMEOUT_S):
                yield server
        except BaseException as error:
            with trio.CancelScope(shield=True):
                words = await server.stderr_tail()
            error.add_note(f"in {plan}; the server's last words:\n{words[-LAST_WORDS_MAX:]}")
            raise
        finally:
            with trio.CancelScope(shield=True):
                await server.close()

    async def _log_in(self, server: ServerProcess) -> tuple[str, str]:
        """A token of the demo's service on the gateway, and one of its person on admin."""
        async with (
            open_caller(server.gateway_url, None) as gateway,
            open_caller(server.admin_url, None) as admin,
        ):
            body = {"username": SERVICE, "password": f"{SERVICE}-demo"}
            service = (await gateway.post("/authenticate/service", body)).successful()["token"]
            body = {"username": PERSON, "password": f"{PERSON}-demo"}
            person = (await admin.post("/accounts/auth", body)).successful()["token"]
            return service, person

    async def _start(self, server: ServerProcess, plan: Plan) -> bool:
        """Whether the server has lived to say that it is ready."""
        if plan.death is not Death.RECOVERY:
            before = trio.current_time()
            await server.start()
            self._start_s = trio.current_time() - before
            return True
        with trio.move_on_after(self._start_s * plan.start_share) as scope:
            await server.start()
        if scope.cancelled_caught:
            await server.close()
            self.book.tally["kills"] += 1
            self.book.tally["kills while starting"] += 1
        return not scope.cancelled_caught

    async def _live(self, server: ServerProcess, plan: Plan) -> None:
        async with self._callers(server) as (gateway, admin):
            if plan.death in {Death.READY, Death.RECOVERY}:
                await self.kill(server)
                return
            clients = self.rng.sample(self._clients, plan.clients)
            if plan.looks_around:
                sampled = [self.rng.choice(client.players) for client in clients[:PLAYERS_READ]]
                await audit(self.history, gateway, admin, sampled)
            counts = plan.threshold if plan.death is Death.SENT else None
            trigger = Trigger(sent=counts, answered=None if counts else plan.threshold)
            async with trio.open_nursery() as nursery:
                for client in clients:
                    nursery.start_soon(client.run, server.gateway_url, self._tokens[0][0], trigger)
                if plan.verify_beside:
                    await self.verify()
                    self.book.tally["verified beside"] += 1
                await trigger.fired.wait()
                await trio.sleep(plan.fuse_s)  # not to wait for anything: the moment is the plan's
                if plan.death is Death.WORKER:
                    await self._end_of_a_worker(server, trigger)
                await self._end(server, plan)

    async def _end_of_a_worker(self, server: ServerProcess, trigger: Trigger) -> None:
        """One worker dies and the clients go on, until everything ends: mostly after its return."""
        trigger.is_outlived = True
        victim = self.rng.choice((await self._workers(server)).workers)
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        self.book.tally["workers killed"] += 1
        waits_for_return = self.rng.random() < 0.7
        while waits_for_return:
            now = (await self._workers(server)).workers[victim.worker]
            if (now.state, now.restarts) == ("serving", victim.restarts + 1):
                break
        await trio.sleep(self.rng.uniform(0, AFTERMATH_S))  # the moment is the campaign's
        trigger.is_outlived, trigger.is_over = False, True

    async def _workers(self, server: ServerProcess) -> Report:
        answer = await ask(DataDirectory(server.data_dir), Look(LOOK_S))
        assert isinstance(answer, Looked)
        return answer.report

    async def _end(self, server: ServerProcess, plan: Plan) -> None:
        if plan.death is Death.TERM:
            with trio.fail_after(STOP_TIMEOUT_S):
                assert await server.stop() == 0
            self.book.tally["stops"] += 1
        else:
            await self.kill(server)

    @asynccontextmanager
    async def _callers(
        self, server: ServerProcess, service: str | None = None, person: str | None = None
    ) -> AsyncIterator[tuple[Caller, Caller]]:
        """The gateway and admin, by default with the first tokens that were issued."""
        first_service, first_person = self._tokens[0]
        async with (
            open_caller(server.gateway_url, service or first_service) as gateway,
            open_caller(server.admin_url, person or first_person) as admin,
        ):
            yield gateway, admin
