"""Lives spread over processes. Each has generators of its own, so the result does not depend on who ran which.

A worker is a fresh interpreter, not a fork. It sends how far it is, then its book; it ends when nobody listens any
more, and leaves Ctrl-C to the process that started it.
"""

import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from jackpotd.simulation import book as books
from jackpotd.simulation.book import Book
from jackpotd.simulation.life import Plan, Progress, live

REPORT_INTERVAL_S = 0.1
_STOP_TIMEOUT_S = 5.0


class WorkerFailed(Exception):
    """A process ended without a result; the message says what it said last."""


def run(plan: Plan, processes: int, progress: Progress) -> Book:
    """All lives of a plan.

    Args:
        plan: what is simulated.
        processes: how many run beside each other; 1 runs here.
        progress: hears of contributions as they are done.

    Raises:
        WorkerFailed: a process died, or met a defect.
    """
    processes = min(processes, plan.lives)
    if processes == 1:
        return run_lives(plan, range(plan.lives), progress)
    edges = [plan.lives * at // processes for at in range(processes + 1)]
    parts = [range(edges[at], edges[at + 1]) for at in range(processes)]
    with _workers(plan, parts) as connections:
        found = _collect(connections, progress)
    return _merged([found[at] for at in range(processes)])


def run_lives(plan: Plan, lives: range, progress: Progress) -> Book:
    """Some lives, one after the other."""
    whole: Book | None = None
    for life in lives:
        book = live(plan, life, progress)
        if whole is None:
            whole = book
        else:
            books.merge(whole, book)
    if whole is None:
        raise ValueError("no lives to run")
    return whole


def _merged(found: list[Book]) -> Book:
    for book in found[1:]:
        books.merge(found[0], book)
    return found[0]


@contextmanager
def _workers(plan: Plan, parts: list[range]) -> Iterator[list[Connection]]:
    """A process for each part; none is left when this ends, however it ends."""
    context = get_context("spawn")
    processes: list[BaseProcess] = []
    connections: list[Connection] = []
    try:
        for lives in parts:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(theirs, plan, lives), daemon=True)
            with _interrupts_held():
                process.start()
            theirs.close()
            processes.append(process)
            connections.append(ours)
        yield connections
    finally:
        for started in processes:
            started.terminate()
        for started in processes:
            started.join(_STOP_TIMEOUT_S)
        for connection in connections:
            connection.close()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """A process that starts inherits this: Ctrl-C never reaches it, however early it comes, and is not lost here."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _collect(connections: list[Connection], progress: Progress) -> dict[int, Book]:
    found: dict[int, Book] = {}
    places = {id(connection): at for at, connection in enumerate(connections)}
    while len(found) < len(connections):
        waiting = [each for each in connections if places[id(each)] not in found]
        for ready in wait(waiting):
            if not isinstance(ready, Connection):
                continue
            try:
                message = ready.recv()
            except (EOFError, OSError):
                raise WorkerFailed("a process of the simulation died") from None
            match message:
                case int():
                    progress(message)
                case Book():
                    found[places[id(ready)]] = message
                case _:
                    raise WorkerFailed(str(message))
    return found


def _work(connection: Connection, plan: Plan, lives: range) -> None:
    """The whole of a worker process."""
    report = _Report(connection)
    try:
        book = run_lives(plan, lives, report.done)
        report.flush()
        connection.send(book)
    except (BrokenPipeError, ConnectionResetError):
        return  # nobody listens any more
    except Exception:  # noqa: BLE001 - it is told to the process that waits
        connection.send(traceback.format_exc())


class _Report:
    """Tells how far a worker is, now and then."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._done = 0
        self._next_s = 0.0

    def done(self, contributions: int) -> None:
        self._done += contributions
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + REPORT_INTERVAL_S
            self.flush()

    def flush(self) -> None:
        self._connection.send(self._done)
        self._done = 0
