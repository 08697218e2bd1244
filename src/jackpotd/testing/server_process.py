"""The program as its users run it: `python -m jackpotd serve`, in a process group of its own.

Black-box and crash tests start, kill, stop and restart a server with this. It knows the command
line, the environment and the `ready` line, and nothing of what is inside. Every wait ends with an
event (a line, an exit, the end of the output) under a deadline; there is no polling and no sleep.
However a test ends, no process of the group outlives the context manager.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

import trio

READY_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 30.0
KILL_TIMEOUT_S: Final = 10.0
OUTPUT_TAIL_BYTES: Final = 64 * 1024

_SOURCE_ROOT: Final = Path(__file__).resolve().parents[2]
_LISTENERS: Final = ("GATEWAY", "ADMIN", "CONNECT", "OFFICE")

LIVE: Final = {"JACKPOTD_EVENTS_ENABLED": "true"}
NOT_LIVE: Final = {"JACKPOTD_EVENTS_ENABLED": "false"}
"""Most tests need nothing of what the outside sees live, and a process less for each server."""


class ServerNotReadyError(Exception):
    """The program ended, or stayed silent, before it printed its `ready` line."""

    def __init__(self, *, returncode: int | None, stdout: str, stderr: str) -> None:
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr
        ended = "no ready line in time" if returncode is None else f"exit status {returncode}"
        super().__init__(f"{ended}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")


class ServerProcess:
    """One data directory and the program that serves it, through as many lives as a test wants.

    Args:
        data_dir: the directory.
        arguments: what follows the command and its directory.
        environment: variables beside the inherited ones; listeners take any free port where it does not say otherwise.
        ready_timeout_s: how long a start may take.
        live: with events, webhooks and Connect, which are a process of their own.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        arguments: Sequence[str] = ("--demo",),
        environment: Mapping[str, str] | None = None,
        ready_timeout_s: float = READY_TIMEOUT_S,
        live: bool = False,
    ) -> None:
        self.data_dir: Final = data_dir
        self.log_path: Final = data_dir.with_name(f"{data_dir.name}.stderr")
        self.endpoints: dict[str, str] = {}
        self._arguments: Final = tuple(arguments)
        self._environment: Final = {**(LIVE if live else NOT_LIVE), **(environment or {})}
        self._ready_timeout_s: Final = ready_timeout_s
        self._process: trio.Process | None = None
        self._output = bytearray()
        self._output_ended = trio.Event()

    @property
    def gateway_url(self) -> str:
        return self.endpoints["gateway"]

    @property
    def admin_url(self) -> str:
        return self.endpoints["admin"]

    @property
    def connect_url(self) -> str:
        """Where front ends connect; a server has it that was started live."""
        return self.endpoints["connect"]

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def process_group_id(self) -> int:
        """The group's id, which is also the process id of the command itself."""
        return self._alive().pid

    async def start(self) -> None:
        """Start the program on the data directory and return once every listener answers."""
        if self._process is not None:
            message = "the server runs already"
            raise RuntimeError(message)
        process = await self._open()
        self._process = process
        self._output = bytearray()
        self._output_ended = trio.Event()
        try:
            with trio.fail_after(self._ready_timeout_s):
                self.endpoints = await self._read_until_ready(process)
        except trio.TooSlowError:
            raise await self._not_ready(None) from None
        trio.lowlevel.spawn_system_task(_drain, process.stdout, self._keep, self._output_ended)

    async def stop(self, *, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask the command to end with SIGTERM; answer its exit status once the group is gone."""
        process = self._alive()
        process.terminate()
        with trio.fail_after(timeout_s):
            returncode = await process.wait()
            await self._output_ended.wait()
        await self._forget(process)
        return returncode

    async def kill(self) -> None:
        """End every process of the group with SIGKILL, as a power cut would, and wait for it."""
        process = self._alive()
        _signal_group(process.pid, signal.SIGKILL)
        with trio.fail_after(KILL_TIMEOUT_S):
            await process.wait()
            await self._output_ended.wait()
        await self._forget(process)

    async def restart(self) -> None:
        """Start again on the same directory, after a stop if the program still runs."""
        if self.running:
            await self.stop()
        await self.start()

    async def wait(self, *, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Wait until the command ends by itself; answer its exit status."""
        process = self._alive()
        with trio.fail_after(timeout_s):
            returncode = await process.wait()
            await self._output_ended.wait()
        await self._forget(process)
        return returncode

    async def close(self) -> None:
        """Leave no process behind, whatever state the program is in, nor what a killed one would clean away later."""
        process = self._process
        if process is not None:
            _signal_group(process.pid, signal.SIGKILL)
            with trio.move_on_after(KILL_TIMEOUT_S):
                await process.wait()
            await self._forget(process)
        with suppress(OSError):
            private = await trio.Path(self.data_dir / "runtime").read_text()
            shutil.rmtree(private, ignore_errors=True)

    async def stderr_tail(self) -> str:
        """The last lines that the program logged, for the message of a failed test."""
        with suppress(FileNotFoundError):
            content = await trio.Path(self.log_path).read_bytes()
            return content[-OUTPUT_TAIL_BYTES:].decode(errors="replace")
        return ""

    def _alive(self) -> trio.Process:
        if self._process is None:
            message = "the server does not run"
            raise RuntimeError(message)
        return self._process

    async def _open(self) -> trio.Process:
        await trio.Path(self.data_dir).mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "jackpotd", "serve", "--data-dir", str(self.data_dir)]
        log = await trio.Path(self.log_path).open("ab")
        try:
            return await trio.lowlevel.open_process(
                [*command, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log.fileno(),
                env=self._complete_environment(),
                start_new_session=True,
            )
        finally:
            with trio.CancelScope(shield=True):
                await log.aclose()

    def _complete_environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("JACKPOTD_")}
        search_path = [str(_SOURCE_ROOT), *filter(None, [inherited.get("PYTHONPATH")])]
        binds = {f"JACKPOTD_{name}_BIND": "127.0.0.1:0" for name in _LISTENERS}
        return {
            **inherited,
            "PYTHONPATH": os.pathsep.join(search_path),
            "PYTHONUNBUFFERED": "1",
            **binds,
            **self._environment,
        }

    async def _read_until_ready(self, process: trio.Process) -> dict[str, str]:
        stdout = process.stdout
        if stdout is None:
            message = "the program was started without a pipe for its output"
            raise RuntimeError(message)
        while True:
            chunk = await stdout.receive_some()
            if not chunk:
                raise await self._not_ready(await process.wait())
            self._keep(chunk)
            endpoints = _ready_endpoints(bytes(self._output))
            if endpoints is not None:
                return endpoints

    async def _not_ready(self, returncode: int | None) -> ServerNotReadyError:
        with trio.CancelScope(shield=True):
            await self.close()
            stderr = await self.stderr_tail()
        return ServerNotReadyError(
            returncode=returncode,
            stdout=self._output.decode(errors="replace"),
            stderr=stderr,
        )

    def _keep(self, chunk: bytes | bytearray) -> None:
        self._output += chunk
        del self._output[:-OUTPUT_TAIL_BYTES]

    async def _forget(self, process: trio.Process) -> None:
        self._process = None
        if process.stdout is not None:
            await process.stdout.aclose()


@asynccontextmanager
async def running_server(
    data_dir: Path,
    *,
    arguments: Sequence[str] = ("--demo",),
    environment: Mapping[str, str] | None = None,
    ready_timeout_s: float = READY_TIMEOUT_S,
    live: bool = False,
) -> AsyncIterator[ServerProcess]:
    """A server that is ready inside the block and gone, with all its children, after it."""
    server = ServerProcess(
        data_dir,
        arguments=arguments,
        environment=environment,
        ready_timeout_s=ready_timeout_s,
        live=live,
    )
    try:
        await server.start()
        yield server
    finally:
        with trio.CancelScope(shield=True):
            await server.close()


@contextmanager
def server_in_thread(
    data_dir: Path, *, environment: Mapping[str, str] | None = None, live: bool = False
) -> Iterator[ServerProcess]:
    """The same for synchronous code, such as a fixture of the whole session.

    The process belongs to a Trio run in a thread: only the URLs of the yielded server are for use.
    """
    ready: Future[tuple[ServerProcess, trio.lowlevel.TrioToken, trio.Event]] = Future()

    async def serve() -> None:
        finished = trio.Event()
        async with running_server(data_dir, environment=environment, live=live) as server:
            ready.set_result((server, trio.lowlevel.current_trio_token(), finished))
            await finished.wait()

    def run() -> None:
        try:
            trio.run(serve)
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=run, name="server process")
    thread.start()
    try:
        server, token, finished = ready.result(timeout=2 * READY_TIMEOUT_S)
        try:
            yield server
        finally:
            trio.from_thread.run_sync(finished.set, trio_token=token)
    finally:
        thread.join(timeout=2 * KILL_TIMEOUT_S)


async def _drain(
    stdout: trio.abc.ReceiveStream | None,
    keep: Callable[[bytes | bytearray], None],
    ended: trio.Event,
) -> None:
    """Read until the last process of the group has closed the pipe: the sign that all are gone."""
    if stdout is not None:
        with suppress(trio.ClosedResourceError, trio.BrokenResourceError):
            async for chunk in stdout:
                keep(chunk)
    ended.set()


def _ready_endpoints(output: bytes) -> dict[str, str] | None:
    """The listeners of the first complete line that begins with `ready`, as name → URL."""
    for line in output.decode(errors="replace").splitlines(keepends=True):
        if line.startswith("ready") and line.endswith("\n"):
            pairs = (word.partition("=") for word in line.split()[1:])
            return {name: url for name, separator, url in pairs if separator}
    return None


def _signal_group(process_group_id: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process_group_id, number)
