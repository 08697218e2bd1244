"""A server of several workers as its users and its operator see it, and what its tests ask of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import httpx
import trio

from jackpotd.service.control import Answer, Look, Looked, Move, ask
from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.demo_data import (
    DAILY,
    DAILY_DROP,
    DEPOSIT,
    MONTHLY,
    SITEWIDE,
    SLOTS,
    WEEKLY,
)
from jackpotd.testing.server_process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from pathlib import Path

    from jackpotd.service.figures import Report

TIMEOUT_S: Final = 120.0
REQUEST_TIMEOUT_S: Final = 20.0
WORKERS: Final = 3
PLACED: Final = {
    SITEWIDE: 0,
    DEPOSIT: 0,
    WEEKLY: 0,
    DAILY_DROP: 1,
    SLOTS: 1,
    DAILY: 2,
    MONTHLY: 2,
}
"""Sitewide's link goes to another worker; of Daily's, one does and one does not."""


def shards_file(folder: Path, placed: Mapping[str, int]) -> Path:
    path = folder / f"shards-{uuid.uuid4()}.toml"
    lines = [f'"{instance_id}" = {worker}' for instance_id, worker in placed.items()]
    path.write_text("\n".join(["[instances]", *lines, ""]))
    return path


@dataclass(frozen=True, slots=True)
class Standing:
    """What an instance shows of itself."""

    worker: int
    contributions: int
    players: Decimal
    winners: list[dict[str, Any]]


class Fleet:
    """A running server."""

    def __init__(self, server: ServerProcess, admin: httpx.AsyncClient, token: str) -> None:
        self.server = server
        self.admin = admin
        self.headers: Final = {"Authorization": f"Bearer {token}"}

    async def asked(self, request: Look | Move) -> Answer:
        return await ask(DataDirectory(self.server.data_dir), request)

    async def report(self, interval_s: float = 0.05) -> Report:
        answer = await self.asked(Look(interval_s))
        assert isinstance(answer, Looked)
        return answer.report

    async def pids(self) -> dict[int, int]:
        """The process of each worker that has one."""
        workers = (await self.report()).workers
        return {each.worker: each.pid for each in workers if each.pid is not None}

    async def homes(self) -> dict[str, int]:
        """The worker of each instance."""
        return {each.instance_id: each.worker for each in (await self.report()).instances}

    async def serving_again(self, worker: int, old_pid: int) -> None:
        """Returns when a worker that was killed serves again: its server says so in its log."""
        needle = f'"worker": {worker}, '
        while True:
            for line in (await self.server.stderr_tail()).splitlines():
                if needle in line and '"worker serves"' in line:
                    found = json.loads(line)
                    if found["pid"] != old_pid and (await self.pids()).get(worker) == found["pid"]:
                        return
            await trio.sleep(0.05)  # the log is a file: nothing tells of a new line

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[httpx.AsyncClient]:
        """One connection to the gateway: some worker's, as Linux likes."""
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(
            base_url=self.server.gateway_url,
            headers=self.headers,
            limits=limits,
            timeout=REQUEST_TIMEOUT_S,
        ) as client:
            yield client

    async def standings(self) -> dict[str, Standing]:
        """Each instance, as admin and the gateway show it."""
        homes = await self.homes()
        found = {}
        async with self.connection() as gateway:
            for instance_id in PLACED:
                shown = (await self.admin.get(f"/instances/{instance_id}")).raise_for_status()
                winners = await gateway.get(
                    f"/jackpots/instances/jackpot/{instance_id}/latest_winners?limit=1000"
                )
                body = json.loads(shown.text, parse_float=Decimal)
                ledger = {name: Decimal(amount) for name, amount in body["ledger"].items()}
                assert sum(ledger.values()) == 0
                found[instance_id] = Standing(
                    worker=homes[instance_id],
                    contributions=body["contribution_count"],
                    players=-ledger.get("players", Decimal(0)),
                    winners=winners.raise_for_status().json(),
                )
        return found

    async def opt_in(self, instance_id: str, players: Iterable[str]) -> None:
        async with self.connection() as gateway:
            for player in players:
                body = {
                    "instance_id": instance_id,
                    "player_id": player,
                    "brand_id": "thrilltech:brand1",
                    "player_country": "MT",
                    "opt_in": True,
                }
                (await gateway.post("/jackpots/optin", json=body)).raise_for_status()


def bet(
    target: str, *, player: str = "player_1", key: str | None = None, links: bool = True
) -> dict[str, Any]:
    """A v2 contribution of 1 EUR, by source where the target is no id."""
    options: dict[str, Any] = {"allow_linked_contributions": links}
    if key is not None:
        options["idempotency_key"] = key
    kind = "instance" if "-" in target and target in PLACED else "source"
    return {
        "target": {"type": kind, "id": target},
        "operator_id": "thrilltech",
        "player": {"id": player, "token": "token_00001", "country": "MT", "brand_id": "brand1"},
        "base_wager": {"currency": "EUR", "value": 1},
        "source": {"type": "gameround", "id": f"round-{key}"},
        "options": options,
    }


CONTRIBUTE: Final = "/v2/jackpots/contribute"


@asynccontextmanager
async def fleet_on(
    data: Path,
    *,
    workers: int = WORKERS,
    placed: Mapping[str, int] | None = PLACED,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Fleet]:
    """A server with the demo data, gone when the block is left."""
    arguments = ["--demo", "--workers", str(workers)]
    if placed is not None:
        arguments += ["--shards", str(shards_file(data.parent, placed))]
    server = ServerProcess(data, arguments=arguments, environment=environment)
    try:
        await server.start()
        async with httpx.AsyncClient(timeout=REQUEST_TIMEOUT_S) as client:
            token = await _token(
                client, f"{server.gateway_url}/authenticate/service", "event-processor"
            )
            person = await _token(client, f"{server.admin_url}/accounts/auth", "admin")
        async with httpx.AsyncClient(
            base_url=server.admin_url,
            headers={"Authorization": f"Bearer {person}"},
            timeout=REQUEST_TIMEOUT_S,
        ) as admin:
            yield Fleet(server, admin, token)
    except BaseException as error:
        with trio.CancelScope(shield=True):
            error.add_note((await server.stderr_tail())[-6000:])
        raise
    finally:
        with trio.CancelScope(shield=True):
            await server.close()


async def _token(client: httpx.AsyncClient, url: str, name: str) -> str:
    body = {"username": name, "password": f"{name}-demo"}
    token: str = (await client.post(url, json=body)).raise_for_status().json()["token"]
    return token


async def verified(data: Path) -> str:
    """What `jackpotd verify` says of a directory, which must be that all is well."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JACKPOTD_")}
    done = await trio.run_process(
        [sys.executable, "-m", "jackpotd", "verify", "--data-dir", str(data)],
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
        env=environment,
    )
    output = done.stdout.decode()
    assert done.returncode == 0, output
    return output


class Count:
    """A number that grows, and those who wait for it."""

    def __init__(self) -> None:
        self.value = 0
        self._waiting: list[tuple[int, trio.Event]] = []

    def one_more(self) -> None:
        self.value += 1
        for wanted, event in self._waiting:
            if self.value >= wanted:
                event.set()

    async def reaches(self, value: int) -> None:
        event = trio.Event()
        self._waiting.append((value, event))
        if self.value < value:
            await event.wait()
