"""A worker, or the feed, as a process: how it is started so that it cannot outlive the server, and how it makes
sure of that itself.

It stays in the server's process group and leaves the signals of a terminal or a service manager to the server, which
leads the stop. Linux ends it where the server is killed outright.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import trio

LEASH_FD = 0

_PR_SET_PDEATHSIG = 1
_LED_BY_THE_SERVER = (signal.SIGINT, signal.SIGTERM)
_STDERR = 2
_LAST_WAIT_S = 5.0


class WorkerProcess:
    """A running child."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        """Waits for the end, which is near: the leash is gone. In the end by force."""
        with trio.move_on_after(_LAST_WAIT_S), suppress(OSError):  # there may be no descriptor left
            descriptor = os.pidfd_open(self._process.pid)
            try:
                await trio.lowlevel.wait_readable(descriptor)
            finally:
                os.close(descriptor)
        self._process.kill()
        return self._process.wait()


@contextmanager
def started(part: Sequence[str], leash: socket.socket) -> Iterator[WorkerProcess]:
    """A child on its end of a leash, which is closed here; killed, if it still runs, when left. `part` is its command.

    Is called in the main thread: Linux ties the death signal to the thread that forks.
    """
    command = [sys.executable, "-m", "jackpotd", *part, "--server", str(os.getpid())]
    # The mask is inherited, so that no signal reaches the child before it has said what it makes of it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _LED_BY_THE_SERVER)
    try:
        process = subprocess.Popen(command, stdin=leash.fileno(), stdout=_STDERR)  # noqa: S603 - our own program
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        leash.close()
    with process:
        try:
            yield WorkerProcess(process)
        finally:
            process.kill()


def bind_to(server: int) -> socket.socket:
    """In the child, before anything else: binds its life to the server's; returns its end of the leash.

    Raises:
        SystemExit: the server is gone already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != server:
        sys.exit(1)
    for number in _LED_BY_THE_SERVER:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _LED_BY_THE_SERVER)
    return socket.socket(fileno=os.dup(LEASH_FD))
