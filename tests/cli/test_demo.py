"""`jackpotd demo` as its users run it: the real command, its server, its output, its end.

Every process is in a group of its own, which is killed and awaited when its test is left.
"""

import fcntl
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import msgspec
import pytest
import trio
from msgspec import Raw
from msgspec.structs import replace

from jackpotd.engine.catalog import Catalog
from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.demo_data import BY, SLOTS, fill
from jackpotd.service.settings import Settings
from jackpotd.service.storage import clock_ms, opened_catalog
from jackpotd.service.wiring import build_catalog
from jackpotd.testing.server_process import running_server
from jackpotd.wire.catalog_records import CatalogEntity, InstanceEntry, Template

RUN_TIMEOUT_S = 120
LINE = re.compile(r"(?m)^ +[\d.]+ s  [\d,]+ contributions  [\d,]+/s  p50 [\d.]+ ms  p99 [\d.]+ ms")


def environment(tmp_path: Path, **changes: str) -> dict[str, str]:
    """Any free ports, and temporary directories below the test's own."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("JACKPOTD_")}
    return {
        **inherited,
        "JACKPOTD_GATEWAY_BIND": "127.0.0.1:0",
        "JACKPOTD_ADMIN_BIND": "127.0.0.1:0",
        "JACKPOTD_CONNECT_BIND": "127.0.0.1:0",
        "PYTHONUNBUFFERED": "1",
        "TERM": "xterm",
        "TMPDIR": str(tmp_path),
        **changes,
    }


def living_members(group: int) -> dict[int, int]:
    """The processes of a group and their parents, without those that are dead and wait for these."""
    members = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            # pid (name) state parent group …; the name may hold anything
            pid, _, rest = entry.read_text().partition(" ")
            state, parent, process_group = rest.rpartition(")")[2].split()[:3]
            if int(process_group) == group and state not in "ZX":
                members[int(pid)] = int(parent)
    return members


class Demo:
    """A demo that runs; its output is collected as it comes."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self.output = ""

    @property
    def group(self) -> int:
        return self._process.pid

    def server_pid(self) -> int:
        """The demo's only child; the server's own children are not the demo's."""
        members = living_members(self.group)
        (server,) = [pid for pid, parent in members.items() if parent == self.group]
        return server

    async def until(self, pattern: re.Pattern[str]) -> None:
        """Reads until the output has a line of this kind."""
        while not pattern.search(self.output):
            assert await self._read(), self.output

    async def end(self) -> int:
        """Reads all that is left; returns the exit status."""
        while await self._read():
            pass
        return await self._process.wait()

    async def _read(self) -> bool:
        assert self._process.stdout is not None
        chunk = await self._process.stdout.receive_some()
        self.output += chunk.decode()
        return bool(chunk)

    async def killed(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGKILL)
        await self._process.wait()


@asynccontextmanager
async def demo(tmp_path: Path, *arguments: str, **changes: str) -> AsyncIterator[Demo]:
    """A demo in a process group of its own, standard error within its output."""
    with trio.fail_after(RUN_TIMEOUT_S):
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "jackpotd", "demo", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(tmp_path, **changes),
            start_new_session=True,
        )
        running = Demo(process)
        try:
            yield running
        finally:
            with trio.CancelScope(shield=True):
                await running.killed()
                assert process.stdout is not None
                await process.stdout.aclose()


async def verified(data_dir: Path) -> str:
    """What `jackpotd verify` says about a directory, once it has agreed with it."""
    done = await trio.run_process(
        [sys.executable, "-m", "jackpotd", "verify", "--data-dir", str(data_dir)],
        capture_stdout=True,
    )
    return done.stdout.decode()


def data_dir_of(output: str) -> Path:
    found = re.search(r"(?m)^data +(\S+)$", output)
    assert found, output
    return Path(found[1])


def temporary_directories(tmp_path: Path) -> list[Path]:
    return list(tmp_path.glob("jackpotd-demo-*"))


async def test_demo_sends_contributions_shows_wins_and_verifies(tmp_path: Path) -> None:
    """`--contributions 2000` prints lines and wins, ends with 0, and leaves data that verify."""
    async with demo(tmp_path, "--contributions", "2000") as running:
        assert await running.end() == 0, running.output

        assert LINE.search(running.output)
        assert re.search(
            r"(?m)^page +http://127\.0\.0\.1:\d+/ shows the pots live$", running.output
        )
        assert re.search(r"(?m)^tickets +[1-9][\d,]* issued by raffles$", running.output)
        assert re.search(r"win: player_\d{5} ", running.output)
        assert "contributions  2,000 sent, 2,000 answered, 0 refused\n" in running.output
        assert living_members(running.group) == {}
        repeats = re.search(r"(?m)^repeats +(\d+) sent, (\d+) answered 204$", running.output)
        assert repeats
        assert int(repeats[1]) > 0
        assert repeats[1] == repeats[2]
        data_dir = data_dir_of(running.output)
        assert f"jackpotd verify --data-dir {data_dir}\n" in running.output
        assert " 2000 idempotency keys" in await verified(data_dir)


async def test_demo_on_a_filled_directory_contributes_again(tmp_path: Path) -> None:
    """A second run on the same directory has keys of its own, so that all of it counts."""
    data_dir = tmp_path / "data"
    for _ in range(2):
        arguments = ("--contributions", "100", "--data-dir", str(data_dir))
        async with demo(tmp_path, *arguments) as running:
            assert await running.end() == 0, running.output
            assert data_dir_of(running.output) == data_dir

    assert " 200 idempotency keys" in await verified(data_dir)


def without_raffles(entity: CatalogEntity) -> CatalogEntity:
    """A template or an instance of the demo as it was before there were raffles."""
    if not isinstance(entity, Template | InstanceEntry):
        return entity
    document = msgspec.json.decode(entity.document)
    if document.pop("raffle", None) is not None:
        chance = {"max_magic_number": 1_000, "cost_per_attempt": 0.1}
        document["pots"][0]["pot_types"] = [{"HitRate": chance}]
        document["jackpot_type"] = "Jackpot"
        entity = replace(entity, document=Raw(msgspec.json.encode(document)))
    return replace(entity, schedule=None) if isinstance(entity, InstanceEntry) else entity


async def test_demo_goes_on_with_a_directory_from_before_there_were_raffles(tmp_path: Path) -> None:
    """Its Daily, Weekly and Monthly stay the jackpots that they were born as."""
    data_dir = tmp_path / "data"
    settings = Settings()
    entities = fill(Catalog(), clock_ms())
    assert isinstance(entities, list)
    filling = [without_raffles(entity) for entity in entities]
    with trio.fail_after(RUN_TIMEOUT_S), opened_catalog(settings, DataDirectory(data_dir)) as log:
        part = build_catalog(settings, log)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(part.journal.run)
            assert await part.owner.change(BY, lambda _: filling) is None
            nursery.cancel_scope.cancel()
    arguments = ("--contributions", "200", "--data-dir", str(data_dir))
    async with demo(tmp_path, *arguments) as running:
        assert await running.end() == 0, running.output

        assert re.search(r"(?m)^tickets +0 issued by raffles$", running.output)
        assert re.search(r"(?m)^ +Daily: main [\d.]+ EUR$", running.output)
        assert re.search(r"(?m)^ok: .*; 1 catalog changes; ", running.output)


async def test_demo_on_a_terminal_shows_the_live_screen(tmp_path: Path) -> None:
    """On a terminal the pots and the wins are drawn in place, and the summary follows."""
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    with trio.fail_after(RUN_TIMEOUT_S):
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "jackpotd", "demo", "--contributions", "600"],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=environment(tmp_path),
            start_new_session=True,
        )
        os.close(inside)
        shown = b""
        async with trio.lowlevel.FdStream(terminal) as screen:
            # A terminal that its last process has left fails to be read.
            with suppress(trio.BrokenResourceError, OSError):
                while chunk := await screen.receive_some():
                    shown += chunk
        assert await process.wait() == 0, shown.decode()

    text = shown.decode()
    assert "\x1b[?25l" in text  # the cursor is hidden while the picture moves
    assert "\x1b[1A" in text  # and goes up to draw the next one
    for words in ("jackpotd demo", "Latest wins", "Sitewide", "Deposit", "contributions"):
        assert words in text.rpartition("\x1b[?25h")[0]
    assert not LINE.search(text)
    assert "600 sent, 600 answered" in text


@pytest.mark.parametrize(
    ("number", "is_group"),
    [
        pytest.param(signal.SIGINT, False, id="SIGINT"),
        pytest.param(signal.SIGINT, True, id="SIGINT to the group"),
        pytest.param(signal.SIGTERM, False, id="SIGTERM"),
    ],
)
async def test_signal_ends_the_demo_with_a_summary(
    tmp_path: Path, number: signal.Signals, is_group: bool
) -> None:
    """A signal to the command, or to its whole group as from a terminal, ends both processes in good order."""
    async with demo(tmp_path) as running:
        await running.until(LINE)
        if is_group:
            os.killpg(running.group, number)
        else:
            os.kill(running.group, number)

        assert await running.end() == 0, running.output
        assert re.search(
            r"(?m)^contributions +[\d,]+ sent, [\d,]+ answered, 0 refused", running.output
        )
        assert re.search(r"(?m)^ok: ", running.output)
        assert living_members(running.group) == {}


async def test_signal_before_the_number_is_reached_is_a_failure(tmp_path: Path) -> None:
    """With `--contributions`, a demo that was stopped early says so and ends with 1."""
    async with demo(tmp_path, "--contributions", "1000000") as running:
        await running.until(LINE)
        os.kill(running.group, signal.SIGINT)

        assert await running.end() == 1
        assert "of 1,000,000 contributions were answered, stopped by a signal\n" in running.output
        assert living_members(running.group) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal of a parent is Linux's")
async def test_server_notices_that_the_demo_was_killed(tmp_path: Path) -> None:
    """A demo that dies by SIGKILL takes its server with it."""
    async with demo(tmp_path) as running:
        await running.until(LINE)
        server = os.pidfd_open(running.server_pid())
        try:
            os.kill(running.group, signal.SIGKILL)
            await trio.lowlevel.wait_readable(server)
        finally:
            os.close(server)

        assert living_members(running.group) == {}


async def test_server_that_dies_fails_the_demo(tmp_path: Path) -> None:
    """A server killed under the demo is named as the reason; what it answered verifies all the same."""
    async with demo(tmp_path) as running:
        await running.until(LINE)
        os.kill(running.server_pid(), signal.SIGKILL)

        assert await running.end() == 1
        assert "demo: the server ended by itself\n" in running.output
        assert "demo: the server ended with exit status -9\n" in running.output
        assert re.search(r"(?m)^ok: ", running.output)


@pytest.mark.parametrize("listener", ["GATEWAY", "ADMIN", "CONNECT"])
async def test_taken_port_is_said_and_fails(tmp_path: Path, listener: str) -> None:
    """The server's own words about the port, exit status 1, and no temporary directory left."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with demo(tmp_path, **{f"JACKPOTD_{listener}_BIND": address}) as running:
            assert await running.end() == 1

            assert (
                f"[{listener.lower()}] bind = {address}: Address already in use" in running.output
            )
            assert f"JACKPOTD_{listener}_BIND" in running.output
            assert "Traceback" not in running.output
    assert temporary_directories(tmp_path) == []


async def test_refused_contributions_fail_the_demo(tmp_path: Path) -> None:
    """A jackpot that is paused refuses; the demo counts it, says the first, and ends with 1."""
    data_dir = tmp_path / "data"
    with trio.fail_after(RUN_TIMEOUT_S):
        async with running_server(data_dir) as server, httpx.AsyncClient(trust_env=False) as client:
            credentials = {"username": "admin", "password": "admin-demo"}
            login = await client.post(f"{server.admin_url}/accounts/auth", json=credentials)
            paused = await client.put(
                f"{server.admin_url}/instances/{SLOTS}/status",
                json={"status": "Paused", "reason": "a test"},
                headers={"Authorization": f"Bearer {login.json()['token']}"},
            )
            assert paused.status_code == 200, paused.text
            assert await server.stop() == 0
    async with demo(tmp_path, "--contributions", "100", "--data-dir", str(data_dir)) as running:
        assert await running.end() == 1

        assert re.search(r"(?m)^demo: \d+ problems, the first: .*JackpotNotActive", running.output)
        assert re.search(r"(?m)^demo: \d+ of 100 contributions were answered$", running.output)
        assert re.search(r"(?m)^ok: ", running.output)
