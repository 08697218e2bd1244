"""A campaign against one data directory: lives of the server, and how each of them ends.

A round is one life: start, look at everything, send, and die at a moment of the plan's choosing;
then, while nothing runs, `verify` and the book are asked whether everything is as it must be.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

import trio

import jackpotd
from jackpotd.service.control import Look, Looked, ask
from jackpotd.service.data_directory import DataDirectory
from jackpotd.testing.server_process import ServerProcess

from . import checkpoint_reader
from .audit import audit
from .book import Book
from .calls import open_caller
from .clients import Client, Trigger
from .demo_jackpots import OPERATOR
from .history import History
from .plans import CLIENTS, DEATHS_IN_RECOVERY, DYING_YOUNG, Death, Plan
from .raffle_rows import check_rows
from .scenes import DemoScene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jackpotd.service.figures import Report, WorkerReport

    from .calls import Caller
    from .jackpot_oracle import JackpotAccount
    from .scenes import Scene

ROUND_TIMEOUT_S: Final = 60.0
ANSWER_TIMEOUT_S: Final = 0.05  # for each that a plan asks for
VERIFY_TIMEOUT_S: Final = 60.0
LAST_WORDS_MAX: Final = 4000
STOP_TIMEOUT_S: Final = 8.0  # below the deadline of a drain: these requests take milliseconds
AFTERMATH_S: Final = 0.5
LOOK_S: Final = 0.02
SERVICE: Final = "event-processor"
PERSON: Final = "admin"
_BY_THE_CLOCK: Final = {Death.ROUND, Death.ROUND_WORKER}
PLAYERS_READ: Final = 4
_SOURCE_ROOT: Final = Path(jackpotd.__file__).resolve().parents[1]


def _trigger(plan: Plan) -> Trigger:
    if plan.death in _BY_THE_CLOCK:
        return Trigger()
    counts = plan.threshold if plan.death is Death.SENT else None
    return Trigger(sent=counts, answered=None if counts else plan.threshold)


class Campaign:
    """One directory, its clients, their book, and the journals as far as they have been read.

    Args:
        data_dir: the directory.
        seed: decides the plans, and what the clients do.
        workers: processes of the server.
        scene: what is played; by default the demo.
    """

    def __init__(self, data_dir: Path, seed: int, workers: int, scene: Scene | None = None) -> None:
        self.scene: Final = scene or DemoScene()
        self.data_dir: Final = data_dir
        self.workers: Final = workers
        self.book: Final = Book()
        self.history: Final = History(data_dir, workers, self.scene.jackpots)
        self.rng: Final = Random(f"{seed} campaign")
        self._clients = [
            Client(str(number), str(seed), self.book, self.scene.kinds) for number in range(CLIENTS)
        ]
        self._tokens: list[tuple[str, str]] = []
        self._start_s = 0.5
        self._died_ms = 0.0

    async def begin(self) -> None:
        """The first life: fill the directory, log in, set the scene; the tokens serve for good."""
        async with self._life(Plan(Death.TERM)) as server:
            await server.start()
            self._tokens.append(await self._log_in(server))
            async with self._callers(server) as (_, admin):
                await self.scene.build(admin)
            self.history.read_on()
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
        await self.reckon(verify=plan.verify_after)
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
                players = self.rng.sample(players, min(len(players), self.scene.players_read))
                await self.scene.rest(admin)
                await audit(self.history, gateway, admin, players)
                await self.verify()
            assert await server.stop() == 0
        await self.reckon()
        self.history.check_whole()
        self.book.tally["rows of raffles"] += check_rows(self.data_dir, self.history)
        assert not any(client.has_pending for client in self._clients)

    async def reckon(self, *, verify: bool = True) -> None:
        """While the server is down: the directory verifies, and the book agrees with it."""
        self.book.tally["checkpoints cut off"] += checkpoint_reader.is_cut_off(self.data_dir)
        if verify:
            await self.verify()
        self.history.read_on()
        self.history.check_all_follows()
        self.book.tally["links cut off"] += self.history.cut_off_links()
        over = self.history.unresolved_rounds(self._died_ms)
        self.book.tally["rounds over and unresolved"] += over
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
        self._died_ms = time.time_ns() / 1e6
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
            trigger = _trigger(plan)
            async with trio.open_nursery() as nursery:
                for client in clients:
                    nursery.start_soon(client.run, server.gateway_url, self._tokens[0][0], trigger)
                nursery.start_soon(self._beside, server)
                if plan.verify_beside:
                    await self.verify()
                    self.book.tally["verified beside"] += 1
                victim = await self._victim(server, plan)
                if plan.death in _BY_THE_CLOCK:
                    await trio.sleep(self._until_round_end_s(plan))
                    trigger.fired.set()
                await trigger.fired.wait()
                await trio.sleep(plan.fuse_s)  # not to wait for anything: the moment is the plan's
                if victim is not None:
                    await self._end_of_a_worker(server, victim, trigger)
                await self._end(server, plan)

    async def _beside(self, server: ServerProcess) -> None:
        async with open_caller(server.gateway_url, self._tokens[0][0]) as gateway:
            await self.scene.beside(gateway, self.book, self.rng)

    def _raffle_of(self, plan: Plan) -> JackpotAccount:
        return self.history.jackpots[self.scene.raffles[plan.raffle].id]

    def _until_round_end_s(self, plan: Plan) -> float:
        """How long it is to the plan's moment, around the first end of a round that leaves time to play."""
        account = self._raffle_of(plan)
        rule, begins_ms = account.jackpot.raffle, account.birth.begins_ms
        assert rule is not None
        assert begins_ms is not None
        now_ms = time.time_ns() / 1e6
        earliest_ms = now_ms + 1000 * (plan.lead_s + max(0.0, -plan.offset_s))
        rounds = math.ceil((earliest_ms - begins_ms) / rule.duration_ms)
        return (begins_ms + rounds * rule.duration_ms - now_ms) / 1000 + plan.offset_s

    async def _victim(self, server: ServerProcess, plan: Plan) -> WorkerReport | None:
        """The worker that dies before all of them, if one does."""
        if plan.death is Death.WORKER:
            return self.rng.choice((await self._workers(server)).workers)
        if plan.death is Death.ROUND_WORKER:
            place = self._raffle_of(plan).birth.at.worker
            return (await self._workers(server)).workers[place]
        return None

    async def _end_of_a_worker(
        self, server: ServerProcess, victim: WorkerReport, trigger: Trigger
    ) -> None:
        """One worker dies and the clients go on, until everything ends: mostly after its return."""
        trigger.is_outlived = True
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
