"""Everything that can be measured, by name: how to start it, and how to send to it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
from msgspec import Struct

from bench.generator.plan import Plan
from bench.generator.workload import Workload
from bench.servers.databases import postgres_server, redis_server
from bench.servers.programs import Program, module, running

LOGIN_TIMEOUT_S = 30.0
_USER = {"username": "event-processor", "password": "event-processor-demo"}


class Subject(Struct, frozen=True):
    """A server that runs: its program, and where and with which token it is called."""

    program: Program
    url: str
    token: str = "no-token-needed"  # noqa: S105 - the peers ask for none

    def plan(
        self,
        *,
        connections: int,
        duration_s: float,
        core: int | None,
        rate: float | None = None,
        warm_up_s: float = 1.0,
        pipeline: int = 1,
        give_up_s: float | None = None,
        workload: Workload | None = None,
    ) -> Plan:
        """A measurement of this server, with keys of its own."""
        parts = urlsplit(self.url)
        return Plan(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 80,
            token=self.token,
            run=uuid4().hex[:16],
            connections=connections,
            duration_s=duration_s,
            rate=rate,
            warm_up_s=warm_up_s,
            pipeline=pipeline,
            give_up_s=give_up_s,
            core=core,
            workload=workload or Workload(),
        )


def log_in(url: str) -> str:
    """The demo's service token of a running jackpotd."""
    response = httpx.post(f"{url}/authenticate/service", json=_USER, timeout=LOGIN_TIMEOUT_S)
    response.raise_for_status()
    token: str = response.json()["token"]
    return token


@contextmanager
def jackpotd(
    directory: Path, core: int | tuple[int, ...], environment: Mapping[str, str] | None = None
) -> Iterator[Subject]:
    """Our server with the demo's data, every contribution on disk before it is answered.

    It has one worker if the environment does not say otherwise; several workers share all of the cores. No feed then
    either: nothing that it is compared with tells anybody what happens; what that costs has a bench of its own.
    """
    binds = {
        f"JACKPOTD_{name}_BIND": "127.0.0.1:0" for name in ("GATEWAY", "ADMIN", "CONNECT", "OFFICE")
    }
    binds["JACKPOTD_EVENTS_ENABLED"] = "false"
    command = module("jackpotd", "serve", "--demo", "--data-dir", str(directory / "data"))
    with running(
        command, directory, core=core, environment={**binds, **(environment or {})}
    ) as program:
        program.read_ready()
        url = program.words["gateway"]
        yield Subject(program, url, log_in(url))


@contextmanager
def _echo(directory: Path, core: int, *, name: str) -> Iterator[Subject]:
    with running(module(f"bench.servers.{name}"), directory, core=core) as program:
        program.read_ready()
        yield Subject(program, program.words["gateway"])


@contextmanager
def _on_postgres(directory: Path, core: int) -> Iterator[Subject]:
    with postgres_server(directory, core) as (database, folder):
        command = module("bench.servers.fastapi_postgres", str(folder))
        with running(command, directory, core=core) as program:
            program.read_ready()
            yield Subject(program.with_needs(database), program.words["gateway"])


@contextmanager
def _on_redis(directory: Path, core: int) -> Iterator[Subject]:
    with (
        redis_server(directory, core) as (database, where),
        running(module("bench.servers.asgi_redis", str(where)), directory, core=core) as program,
    ):
        program.read_ready()
        yield Subject(program.with_needs(database), program.words["gateway"])


OURS = "jackpotd"
QUART_ECHO = "quart-echo"
TRIO_ECHO = "trio-echo"
POSTGRES = "postgres"
REDIS = "redis"

TITLES = {
    QUART_ECHO: "Quart-Trio on Hypercorn, echo",
    TRIO_ECHO: "trio + httptools, echo",
    POSTGRES: "FastAPI + uvicorn/uvloop + PostgreSQL, one transaction each, one hot row",
    REDIS: "raw ASGI + uvicorn/uvloop + Redis Lua script, appendfsync always",
    OURS: "jackpotd, one worker, durable contributions",
}

Start = Callable[[Path, int], AbstractContextManager[Subject]]
STARTS: dict[str, Start] = {
    QUART_ECHO: partial(_echo, name="quart_echo"),
    TRIO_ECHO: partial(_echo, name="trio_echo"),
    POSTGRES: _on_postgres,
    REDIS: _on_redis,
    OURS: jackpotd,
}
