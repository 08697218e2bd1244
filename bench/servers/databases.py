"""PostgreSQL and Redis for the peers: found or installed, started on an empty directory, with fsync really on."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench.servers.programs import Program, ProgramFailed, running

INSTALL_TIMEOUT_S = 300.0
READY_TIMEOUT_S = 30.0
_POLL_S = 0.05
_POSTGRES_FOLDERS = "/usr/lib/postgresql/*/bin/postgres"


class Unavailable(Exception):
    """The server is not here and cannot be had; the message says why."""


def _program(name: str, package: str, elsewhere: str = "") -> Path:
    """Where a program is; it is installed if that can be done.

    Raises:
        Unavailable: it is not there.
    """
    for attempt in range(2):
        found = shutil.which(name)
        if found:
            return Path(found)
        others = sorted(Path("/").glob(elsewhere.lstrip("/"))) if elsewhere else []
        if others:
            return others[-1]
        if attempt == 0:
            _install(package)
    raise Unavailable(f"{name} is not there, also not after installing {package}")


def _install(package: str) -> None:
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise Unavailable(f"{package} is not installed, and installing it needs apt-get and root")
    # The runlevel of a single user keeps the package from starting its own service.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", package]):
        try:
            done = subprocess.run(
                [apt, *arguments],
                env=environment,
                capture_output=True,
                timeout=INSTALL_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"installing {package} took too long") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise Unavailable(f"{package} cannot be installed: {said[-1] if said else 'no reason'}")


@contextmanager
def redis_server(directory: Path, core: int) -> Iterator[tuple[Program, Path]]:
    """A Redis that appends every command to its log and syncs it before it answers; with the path of its socket.

    Raises:
        Unavailable: there is no Redis here.
    """
    program = _program("redis-server", "redis-server")
    where = directory / "redis.sock"
    command = [
        str(program), "--port", "0", "--unixsocket", str(where), "--dir", str(directory), "--save", "",
        "--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no", "--loglevel", "warning",
    ]  # fmt: skip
    with running(command, directory, core=core) as redis:
        _wait_for_socket(where, redis)
        yield redis, where


@contextmanager
def postgres_server(directory: Path, core: int) -> Iterator[tuple[Program, Path]]:
    """A PostgreSQL with its defaults, which sync every commit; with the folder of its socket.

    Raises:
        Unavailable: there is no PostgreSQL here.
    """
    program = _program("postgres", "postgresql", _POSTGRES_FOLDERS).resolve()  # initdb is beside it
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    data = directory / "data"
    if user:
        shutil.chown(directory, user)
    make = [
        str(program.with_name("initdb")),
        "-D",
        str(data),
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
    ]
    made = subprocess.run(
        make, capture_output=True, check=False, user=user, cwd=directory, timeout=READY_TIMEOUT_S
    )
    if made.returncode:
        raise Unavailable(f"initdb: {made.stderr.decode(errors='replace').strip()}")
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(directory),
        "fsync": "on",
        "synchronous_commit": "on",
        "max_connections": "100",
        "shared_buffers": "256MB",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with running(
        [str(program), "-D", str(data), *options], directory, core=core, user=user
    ) as postgres:
        _wait_for_socket(directory / ".s.PGSQL.5432", postgres)
        yield postgres, directory


def _wait_for_socket(where: Path, program: Program) -> None:
    """Neither server says when it is ready; a connection tells."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        with closing(socket.socket(socket.AF_UNIX)) as probe:
            if probe.connect_ex(str(where)) == 0:
                return
        time.sleep(_POLL_S)
    raise ProgramFailed(f"no connection to {where}: {program.log_tail()}")
