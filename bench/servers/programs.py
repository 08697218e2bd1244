"""Starts a server on its core, waits for its `ready` line, stops it: the same for ours and for every peer.

Nothing of a program is left when the context is left, whatever happens, also none of its children. A program that is
not being measured is suspended, so that it takes no time from another; what it left to be done in the background waits
for its own next turn.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.generator.driving import ROOT
from bench.servers.machine import pinned

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
KILL_TIMEOUT_S = 10.0
_POLL_S = 0.01
_LOG_TAIL_BYTES = 2048
# Places in /proc/PID/stat after the name.
_PARENT, _USER_TICKS, _SYSTEM_TICKS, _STARTED = 1, 11, 12, 19


class ProgramFailed(Exception):
    """It did not start; the message holds the end of its log."""


class Program:
    """A running program, and the servers that it needs, such as its database."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        self._needs: tuple[Program, ...] = ()
        self.words: dict[str, str] = {}

    @property
    def pid(self) -> int:
        return self._process.pid

    def with_needs(self, *needs: "Program") -> "Program":
        self._needs = needs
        return self

    def read_ready(self) -> None:
        """Reads its output up to the line that begins with `ready`, whose words name=value are kept.

        Raises:
            ProgramFailed: it ended, or said nothing in time.
        """
        deadline = time.monotonic() + READY_TIMEOUT_S
        output = self._process.stdout
        if output is None:
            raise ProgramFailed("it was started without a pipe")
        said = b""
        while not (said.startswith(b"ready ") or b"\nready " in said) or not said.endswith(b"\n"):
            is_readable, _, _ = select.select([output], [], [], deadline - time.monotonic())
            chunk = os.read(output.fileno(), 65_536) if is_readable else b""
            if not chunk:
                raise ProgramFailed(f"it is not ready: {self.log_tail()}")
            said += chunk
        line = next(line for line in said.decode().splitlines() if line.startswith("ready "))
        pairs = (word.partition("=") for word in line.split()[1:])
        self.words = {name: value for name, separator, value in pairs if separator}

    def log_tail(self) -> str:
        with suppress(FileNotFoundError):
            return self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
        return ""

    def suspend(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def memory_bytes(self) -> int:
        """Resident memory of the process itself."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        """Ends everything of it: SIGTERM first, so that data are left in good order."""
        self._needs = ()  # they end by themselves, after what needs them
        self.resume()
        family = {pid: _started(pid) for pid in self._family()}
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _end(family)
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()

    def cpu_s(self) -> float:
        """Time on its core so far, of all of its processes and of those of the servers that it needs."""
        ticks = 0
        for pid in self._family():
            with suppress(FileNotFoundError, ProcessLookupError):
                fields = _fields(Path(f"/proc/{pid}"))
                ticks += int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._family():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _family(self) -> list[int]:
        """All processes, parents first: a database puts its workers into groups of their own."""
        children: dict[int, list[int]] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(FileNotFoundError, ProcessLookupError):
                children.setdefault(int(_fields(folder)[_PARENT]), []).append(int(folder.name))
        found = [self.pid, *(program.pid for program in self._needs)]
        for pid in found:
            found += children.get(pid, [])
        return found


def _end(family: Mapping[int, str]) -> None:
    """Kills what is left of a family, and waits until it is gone."""
    deadline = time.monotonic() + KILL_TIMEOUT_S
    left = {pid for pid, started in family.items() if started and _started(pid) == started}
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while time.monotonic() < deadline and any(_started(pid) == family[pid] for pid in left):
        time.sleep(_POLL_S)


def _started(pid: int) -> str:
    """When a process began, which tells it from a later one of the same id; empty if it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = _fields(Path(f"/proc/{pid}"))
        return "" if fields[0] == "Z" else fields[_STARTED]
    return ""


def _fields(folder: Path) -> list[str]:
    """A process's `stat` after its name, which may hold anything."""
    return (folder / "stat").read_text().rpartition(") ")[2].split()


@contextmanager
def running(
    command: Sequence[str],
    directory: Path,
    *,
    core: int | tuple[int, ...],
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
) -> Iterator[Program]:
    """A program on one core inside the block; its log is a file in the directory.

    Args:
        command: what to run; it is not waited for, see `Program.read_ready`.
        directory: where its log goes.
        core: where all of its threads and children run; one, or several for workers.
        environment: variables to add; those of the configuration of jackpotd are never inherited.
        user: another user to run it as.
    """
    name = command[2] if command[1] == "-m" else Path(command[0]).name
    log = directory / f"{name}.log"
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("JACKPOTD_")}
    with log.open("wb") as log_file, pinned(*([core] if isinstance(core, int) else core)):
        process = subprocess.Popen(
            command,
            cwd=directory if user else ROOT,
            env={**inherited, "PYTHONUNBUFFERED": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log_file,
            start_new_session=True,
            user=user,
            extra_groups=() if user else None,
        )
    program = Program(process, log)
    try:
        yield program
    finally:
        program.stop()


def module(name: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules."""
    return [sys.executable, "-m", name, *arguments]
