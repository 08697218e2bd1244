"""Ends of workers and of their server: nothing is lost or counted twice, and nobody outlives the server."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING, Final

import httpx
import pytest
import trio

from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.demo_data import DAILY, DAILY_DROP, DEPOSIT, MONTHLY, SITEWIDE, SLOTS
from jackpotd.testing.server_process import ServerNotReadyError, ServerProcess

from .fleet import CONTRIBUTE, TIMEOUT_S, WORKERS, Count, bet, fleet_on, verified

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .fleet import Fleet

VICTIM: Final = 1
CLIENTS: Final = 12
AFTER: Final = 40
STOPPING: Final = "the server is stopping"


async def ended(pid: int) -> None:
    """Returns when a process, not necessarily ours to wait for, is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)


class Players:
    """Clients that contribute until they are told that it is enough; what has no answer is sent again by its key."""

    def __init__(self, fleet: Fleet, targets: tuple[str, ...]) -> None:
        self._fleet = fleet
        self._targets = targets
        self.accepted = dict.fromkeys(targets, 0)
        self.refused: list[tuple[str, httpx.Response]] = []
        self.cut_off = 0
        self.count = Count()
        self.enough: Callable[[], bool] = lambda: False

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS):
                nursery.start_soon(self._one, number, name=f"client {number}")

    async def _one(self, number: int) -> None:
        turn = 0
        while not self.enough():
            target = self._targets[(number + turn) % len(self._targets)]
            body = bet(target, key=f"{number}-{turn}", links=False)
            while not await self._sent(target, body):
                pass
            turn += 1

    async def _sent(self, target: str, body: dict[str, object]) -> bool:
        """Whether it is known to have counted, now or before; a connection for each, so that all workers are met."""
        try:
            async with self._fleet.connection() as gateway:
                answer = await gateway.post(CONTRIBUTE, json=body)
        except httpx.TransportError:
            self.cut_off += 1
            return False
        if answer.status_code in {200, 204}:
            self.accepted[target] += 1
            self.count.one_more()
            return True
        self.refused.append((target, answer))
        assert answer.status_code == 503, answer.text
        return False


async def test_killed_worker_is_missed_by_its_own_jackpots_only_and_comes_back(
    tmp_path: Path,
) -> None:
    """503 with Retry-After for what it owned, no refusal for the others, and in the end every key counted once."""
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(tmp_path / "data") as fleet:
            players = Players(fleet, (SLOTS, MONTHLY, SITEWIDE))
            pid = (await fleet.pids())[VICTIM]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(players.run)
                await players.count.reaches(AFTER)
                os.kill(pid, signal.SIGKILL)
                await fleet.serving_again(VICTIM, pid)
                target = players.accepted[SLOTS] + AFTER
                players.enough = lambda: players.accepted[SLOTS] >= target
            standings = await fleet.standings()
            restarts = [each.restarts for each in (await fleet.report()).workers]
            assert await fleet.server.stop() == 0
        await verified(tmp_path / "data")

    assert [0, 1, 0] == restarts
    assert players.accepted == {name: standings[name].contributions for name in players.accepted}
    assert {name for name, _ in players.refused} <= {SLOTS}
    for _, answer in players.refused:
        assert answer.json()["code"] == "OVERLOADED"
        assert int(answer.headers["retry-after"]) > 0
    assert players.refused or players.cut_off


async def test_jackpot_of_a_worker_that_is_down_is_refused_at_once(tmp_path: Path) -> None:
    """With a restart that is put off, its jackpots answer 503 without delay, and the others 200."""
    environment = {"JACKPOTD_SERVICE_RESTART_DELAY_S": "3600"}
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(tmp_path / "data", environment=environment) as fleet:
            for _ in range(2):  # the first restart is at once
                pid = (await fleet.pids())[VICTIM]
                os.kill(pid, signal.SIGKILL)
                await ended(pid)
                if (await fleet.pids()).get(VICTIM) != pid and _ == 0:
                    await fleet.serving_again(VICTIM, pid)
            async with fleet.connection() as gateway:
                before = trio.current_time()
                refused = await gateway.post(CONTRIBUTE, json=bet(SLOTS))
                took_s = trio.current_time() - before
                assert (await gateway.post(CONTRIBUTE, json=bet(MONTHLY))).status_code == 200
                # A link of a worker that is down is delivered later; the answer says so.
                linked = await gateway.post(CONTRIBUTE, json=bet(SITEWIDE, key="late"))
            assert await fleet.server.stop() == 0
    assert (503, "OVERLOADED") == (refused.status_code, refused.json()["code"])
    assert "retry-after" in refused.headers
    assert took_s < 1
    assert [SITEWIDE, 202] == [linked.json()[0]["instance_id"], linked.json()[1]["status_code"]]
    assert linked.json()[1]["code"] == "LINK_PENDING"
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(tmp_path / "data") as fleet:
            async with fleet.connection() as gateway:
                headers = {"Prefer": "return=representation"}
                body = bet(SITEWIDE, key="late")
                while True:
                    shown = (await gateway.post(CONTRIBUTE, json=body, headers=headers)).json()
                    if shown[1].get("instance_id") == DAILY_DROP and "code" not in shown[1]:
                        break
                    await trio.sleep(0.02)
            assert (await fleet.standings())[DAILY_DROP].contributions == 1
            assert await fleet.server.stop() == 0
        await verified(tmp_path / "data")


async def test_spent_budget_of_restarts_stops_the_server_with_a_clear_message(
    tmp_path: Path,
) -> None:
    """The others end orderly, the exit status is 1, and the last line says who, how often and which setting."""
    environment = {"JACKPOTD_SERVICE_RESTARTS_MAX": "1"}
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(tmp_path / "data", environment=environment) as fleet:
            pids = await fleet.pids()
            os.kill(pids[VICTIM], signal.SIGKILL)
            await fleet.serving_again(VICTIM, pids[VICTIM])
            pids = await fleet.pids()
            os.kill(pids[VICTIM], signal.SIGKILL)
            assert await fleet.server.wait() == 1
            for pid in pids.values():
                await ended(pid)
            said = (await fleet.server.stderr_tail()).splitlines()
        await verified(tmp_path / "data")
    (last,) = [line for line in said if line.startswith("jackpotd: ")]
    assert "worker 1 was ended by SIGKILL" in last
    assert "end number 2 within 60 s" in last
    assert "[service] restarts_max = 1" in last


async def test_worker_that_cannot_start_stops_the_start(tmp_path: Path) -> None:
    """One more start does not mend a damaged journal: the message of the worker and of the server name it."""
    data = tmp_path / "data"
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(data) as fleet:
            assert await fleet.server.stop() == 0
        journal = DataDirectory(data).worker(VICTIM).journal / "data.mdb"
        journal.write_bytes(b"damaged" * 10_000)
        server = ServerProcess(data, arguments=("--demo", "--workers", "3"))
        with pytest.raises(ServerNotReadyError) as refused:
            await server.start()
    assert refused.value.returncode == 1
    assert (
        "jackpotd: worker 1 ended with exit status 1 before it had started" in refused.value.stderr
    )
    assert str(journal.parent) in refused.value.stderr


@pytest.mark.parametrize("is_group", [False, True])
async def test_killed_server_leaves_no_worker_and_no_port(
    tmp_path: Path, *, is_group: bool
) -> None:
    """SIGKILL of the server alone, or of all at once: every worker ends, the port is free, the next start is clean."""
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(tmp_path / "data") as fleet:
            async with fleet.connection() as gateway:
                (await gateway.post(CONTRIBUTE, json=bet(SLOTS, key="before"))).raise_for_status()
            pids = list((await fleet.pids()).values())
            stale = (tmp_path / "data" / "runtime").read_text()
            address = ("127.0.0.1", int(fleet.server.gateway_url.rpartition(":")[2]))
            if is_group:
                await fleet.server.kill()
            else:
                os.kill(fleet.server.process_group_id, signal.SIGKILL)
                assert await fleet.server.wait() == -signal.SIGKILL
            for pid in pids:
                await ended(pid)
            with socket.socket() as free:
                free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                free.bind(address)
                free.listen()
        async with fleet_on(tmp_path / "data") as fleet:
            assert not os.path.exists(stale)  # noqa: PTH110, ASYNC240 - one look
            async with fleet.connection() as gateway:
                repeat = await gateway.post(CONTRIBUTE, json=bet(SLOTS, key="before"))
            assert await fleet.server.stop() == 0
        await verified(tmp_path / "data")
    assert repeat.status_code == 204


@pytest.mark.parametrize("is_group", [False, True])
async def test_stop_under_load_answers_everything_or_nothing(
    tmp_path: Path, *, is_group: bool
) -> None:
    """SIGTERM to the server, or to its group as a service manager does: exit 0, and what was answered is there."""
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(tmp_path / "data") as fleet:
            players = Players(fleet, (SLOTS, MONTHLY, SITEWIDE, DAILY))
            is_over = trio.Event()
            players.enough = is_over.is_set
            async with trio.open_nursery() as nursery:
                nursery.start_soon(players.run)
                await players.count.reaches(AFTER)
                if is_group:
                    os.killpg(fleet.server.process_group_id, signal.SIGTERM)
                code = await (fleet.server.wait() if is_group else fleet.server.stop())
                is_over.set()
                nursery.cancel_scope.cancel()
        assert code == 0
        # A request of which the server has half when it stops is refused, and nothing of it has happened.
        assert {answer.json()["message"] for _, answer in players.refused} <= {STOPPING}
        await verified(tmp_path / "data")
        async with fleet_on(tmp_path / "data") as fleet:
            standings = await fleet.standings()
    for name, count in players.accepted.items():
        assert count <= standings[name].contributions <= count + CLIENTS
    assert standings[DEPOSIT].contributions == 0
    assert len({standings[name].worker for name in players.accepted}) == WORKERS
