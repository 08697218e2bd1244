"""The demo's own server: `jackpotd serve --demo` as a child process that never outlives the demo.

Owns the process: its start in the demo's process group, its `ready` line, its end. However the demo is left, the child
is stopped and waited for; where the demo is killed outright, Linux tells the child. It knows nothing of HTTP.
"""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import trio

LOG_TAIL_BYTES = 4096
LOG_TAIL_LINES = 12
READ_BYTES_MAX = 65_536
_PR_SET_PDEATHSIG = 1


class ServerFailed(Exception):
    """The server did not start, or ended by itself; the message holds what it said."""


class DemoServer:
    """A running child."""

    def __init__(self, process: subprocess.Popen[bytes], output_fd: int, log: BinaryIO) -> None:
        self._process = process
        self._output = trio.lowlevel.FdStream(output_fd)
        self._log = log
        self._urls: dict[str, str] = {}

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    def url(self, listener: str) -> str:
        """Where a listener answers.

        Raises:
            ServerFailed: the configuration has switched it off.
        """
        if listener not in self._urls:
            raise ServerFailed(f"the demo needs the {listener} listener, and [{listener}] is off")
        return self._urls[listener]

    @property
    def page(self) -> str | None:
        """Where a browser shows the tickers; None where the configuration has switched that off."""
        url = self._urls.get("connect")
        return None if url is None else f"{url}/"

    async def ready(self) -> None:
        """Waits for the `ready` line.

        Raises:
            ServerFailed: the server ended instead.
        """
        output = b""
        while chunk := await self._output.receive_some(READ_BYTES_MAX):
            output += chunk
            for line in output.decode(errors="replace").splitlines(keepends=True):
                if line.startswith("ready") and line.endswith("\n"):
                    pairs = (word.partition("=") for word in line.split()[1:])
                    self._urls = {name: url for name, _, url in pairs}
                    return
        raise ServerFailed(f"the server did not start\n{self.log_tail()}".rstrip())

    async def ended(self) -> None:
        """Waits for the end of the server's output, which is the end of the server."""
        while await self._output.receive_some(READ_BYTES_MAX):
            pass

    async def stop(self, deadline_s: float, *, is_signalled: bool = True) -> int:
        """Ends the server, in the end by force, and returns its exit status; negative is a signal's number.

        Args:
            deadline_s: how long it may drain.
            is_signalled: False where it is known to be stopping already.
        """
        if self._process.poll() is None:
            if is_signalled:
                self._process.terminate()
            try:
                await self._wait(deadline_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                await self._wait(None)
        return self._process.wait()

    async def _wait(self, timeout_s: float | None) -> None:
        await trio.to_thread.run_sync(partial(self._process.wait, timeout_s))

    async def close(self) -> None:
        await self._output.aclose()

    def log_tail(self) -> str:
        """The last lines that the server has written to its log."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - LOG_TAIL_BYTES))
        lines = self._log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])


@asynccontextmanager
async def serving(data_dir: Path, *, stop_deadline_s: float) -> AsyncIterator[DemoServer]:
    """A server on a data directory, gone when the block is left."""
    with tempfile.TemporaryFile(prefix="jackpotd-demo-") as log:
        server = _started(data_dir, log)
        try:
            yield server
        finally:
            with trio.CancelScope(shield=True):
                await server.stop(stop_deadline_s)
                await server.close()


def _started(data_dir: Path, log: BinaryIO) -> DemoServer:
    """Starts the child from the main thread: Linux ties the death signal to the thread that forks."""
    command = [sys.executable, "-m", "jackpotd", "serve", "--demo", "--data-dir", str(data_dir)]
    environment = {"JACKPOTD_LOG_LEVEL": "warning", **os.environ}
    output_fd, its_output_fd = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            stdin=subprocess.DEVNULL,
            stdout=its_output_fd,
            stderr=log,
            env=environment,
            preexec_fn=_dying_with_us(),  # noqa: PLW1509 - one system call, and no thread holds a lock that it needs
        )
    except BaseException:
        os.close(output_fd)
        raise
    finally:
        os.close(its_output_fd)
    return DemoServer(process, output_fd, log)


def _dying_with_us() -> Callable[[], None] | None:
    """Runs in the child before it becomes the server: SIGTERM when the demo dies, even by SIGKILL."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:
            os._exit(1)

    return prepare
