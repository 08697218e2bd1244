"""Sends and receives: non-blocking sockets over one epoll object, no task and no framework.

Open loop: request number n is due at begin + n / rate, whatever the server does. Where no connection is free it waits,
and its latency counts from the time at which it was due, so a server that stalls cannot hide it (no coordinated
omission). Closed loop: each connection sends its next request when one is answered.
"""

import resource
import select
import socket
import time
from collections import deque
from collections.abc import Callable

from bench.generator.http1 import BadAnswer, answer_at
from bench.generator.plan import Measured, Plan
from bench.generator.tally import Tally
from bench.generator.workload import Requests

CONNECT_TIMEOUT_S = 10.0
DRAIN_S = 5.0
PROGRESS_INTERVAL_S = 1.0
RECONNECTS_EACH_MAX = 20
_RECEIVE_BYTES = 262_144
_EVENTS_MAX = 1024
_IDLE_WAIT_S = 0.05

_clock = time.perf_counter


class LoadFailed(Exception):
    """The server cannot be loaded: it is not there, or it does not speak HTTP/1.1."""


class _Connection:
    """One kept-alive connection; `under_way` holds when each of its requests was due and sent."""

    __slots__ = ("received", "socket", "under_way", "unwritten")

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened
        self.under_way: deque[tuple[float, float]] = deque()
        self.received = b""
        self.unwritten = b""


class Loop:
    """One run of a plan; `run` blocks for as long as it takes, which is bounded by the plan.

    Args:
        plan: what to do.
        say: told contributions answered so far and seconds since the begin, once a second.
    """

    def __init__(self, plan: Plan, say: Callable[[int, float], None]) -> None:
        self._plan = plan
        self._say = say
        host = f"{plan.host}:{plan.port}"
        self._requests = Requests(plan.workload, host=host, token=plan.token, run=plan.run)
        # One for all: a new one of this size for each call would cost three times the call itself.
        self._buffer = memoryview(bytearray(_RECEIVE_BYTES))
        self._epoll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        # Open loop: a connection stands here once for each further request that it may take; the last used goes first.
        self._free: deque[_Connection] = deque()
        self._sent = 0
        self._begin = 0.0
        self._is_sending = True

    def run(self) -> Measured:
        """Sends the whole plan.

        Raises:
            LoadFailed: the server cannot be reached, or answers nonsense.
        """
        try:
            _allow_many_files()
            for _ in range(self._plan.connections):
                self._open(1)
            self._free.extend(list(self._free) * (self._plan.pipeline - 1))
            self._begin = _clock()
            self._tally = Tally(self._plan, self._begin)
            return self._measure()
        except (OSError, BadAnswer) as error:
            raise LoadFailed(str(error)) from error
        finally:
            for connection in self._connections.values():
                connection.socket.close()
            self._epoll.close()

    def _measure(self) -> Measured:
        tally = self._tally
        if self._plan.rate is None:
            for connection in list(self._connections.values()):
                self._send(connection, [_clock()] * self._plan.pipeline)
        self._serve_until(tally.measure_from)
        cpu_before = time.process_time()
        self._serve_until(tally.measure_until)
        cpu_s = time.process_time() - cpu_before
        if self._plan.rate is not None:
            self._send_due(tally.measure_until, self._plan.rate)
        self._is_sending = False
        self._drain()
        return tally.measured(cpu_s / self._plan.duration_s)

    def _serve_until(self, end: float) -> None:
        said = _clock()
        while (now := _clock()) < end:
            wait_until = min(end, now + _IDLE_WAIT_S)
            if self._plan.rate is not None:
                wait_until = min(wait_until, self._send_due(now, self._plan.rate))
            self._serve(wait_until)
            if now - said >= PROGRESS_INTERVAL_S:
                said = now
                self._say(self._tally.answered, now - self._begin)

    def _serve(self, wait_until: float) -> None:
        """Handles what is ready; waits for something to be, but not longer than until then."""
        if self._plan.rate is None:
            events = self._epoll.poll(max(0.0, wait_until - _clock()), _EVENTS_MAX)
        else:
            events = self._epoll.poll(0, _EVENTS_MAX)
            if not events and (wait_s := wait_until - _clock()) > 0:
                # epoll waits in whole milliseconds, which is late for what is due; select in microseconds
                select.select([self._epoll], [], [], wait_s)
                events = self._epoll.poll(0, _EVENTS_MAX)
        for number, event in events:
            connection = self._connections.get(number)
            if connection is None:
                continue
            if event & select.EPOLLOUT:
                self._write(connection, b"")
            if event & ~select.EPOLLOUT:
                self._receive(connection)

    def _send_due(self, now: float, rate: float) -> float:
        """Sends what is due and has a connection; returns when there is something to send again."""
        begin, give_up_s = self._begin, self._plan.give_up_s
        if give_up_s is not None:
            while (due := begin + self._sent / rate) < now - give_up_s:
                self._sent += 1
                self._never_sent(due, now)
        free = self._free
        while (due := begin + self._sent / rate) < now:
            if not free:
                return now + _IDLE_WAIT_S  # an answer ends the wait
            self._sent += 1
            self._send(free.pop(), [due])
        return due

    def _never_sent(self, due: float, now: float) -> None:
        if self._tally.measure_from <= due:
            self._tally.unsent += 1
            self._tally.add_never(due, now)

    def _send(self, connection: _Connection, due: list[float]) -> None:
        now = _clock()
        for each in due:
            connection.under_way.append((each, now))
        following = self._requests.next
        if len(due) == 1:
            self._write(connection, following())
        else:
            self._write(connection, b"".join([following() for _ in due]))

    def _write(self, connection: _Connection, data: bytes) -> None:
        was_waiting = bool(connection.unwritten)
        if was_waiting:
            data = connection.unwritten + data
        try:
            written = connection.socket.send(data)
        except BlockingIOError:
            written = 0
        except OSError:
            self._replace(connection)
            return
        connection.unwritten = data[written:]
        if was_waiting != bool(connection.unwritten):
            wanted = select.EPOLLIN | (select.EPOLLOUT if connection.unwritten else 0)
            self._epoll.modify(connection.socket, wanted)

    def _receive(self, connection: _Connection) -> None:
        try:
            length = connection.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            length = 0
        if not length:
            self._replace(connection)
            return
        data = bytes(self._buffer[:length])
        if connection.received:
            data = connection.received + data
        at, answered, is_last = 0, 0, False
        now = _clock()
        while not is_last and at < len(data) and (found := answer_at(data, at)) is not None:
            status, body, at, is_last = found
            if not connection.under_way:
                raise BadAnswer(f"an answer that nothing asked for: {status} {body[:80]!r}")
            due, sent = connection.under_way.popleft()
            self._tally.add(status, body, due, sent, now)
            answered += 1
        connection.received = data[at:] if at < len(data) else b""
        if is_last:
            self._replace(connection)
        elif answered and self._is_sending:
            self._go_on(connection, answered, now)

    def _go_on(self, connection: _Connection, answered: int, now: float) -> None:
        if self._plan.rate is None:
            self._send(connection, [now] * answered)
        else:
            self._free.extend([connection] * answered)

    def _open(self, free: int) -> None:
        opened = socket.create_connection((self._plan.host, self._plan.port), CONNECT_TIMEOUT_S)
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(opened)
        self._connections[opened.fileno()] = connection
        self._epoll.register(opened, select.EPOLLIN)
        self._free.extend([connection] * free)
        if self._begin and self._plan.rate is None and self._is_sending:
            self._send(connection, [_clock()] * self._plan.pipeline)

    def _replace(self, connection: _Connection) -> None:
        """Puts a new connection in the place of one that the server has closed."""
        tally = self._tally
        now = _clock()
        for due, _ in connection.under_way:
            tally.lost += 1
            tally.add_never(due, now)
        connection.under_way.clear()
        del self._connections[connection.socket.fileno()]
        connection.socket.close()
        self._free = deque(kept for kept in self._free if kept is not connection)
        tally.reconnects += 1
        if tally.reconnects > RECONNECTS_EACH_MAX * self._plan.connections:
            raise BadAnswer(f"the server closed {tally.reconnects} connections")
        if self._is_sending:
            self._open(self._plan.pipeline)

    def _drain(self) -> None:
        """Waits for the last answers, and counts what never came."""
        tally, rate = self._tally, self._plan.rate
        end = tally.measure_until
        if rate is not None:
            while (due := self._begin + self._sent / rate) < end:
                self._sent += 1
                self._never_sent(due, end)
        while _clock() < end + DRAIN_S and any(c.under_way for c in self._connections.values()):
            self._serve(_clock() + _IDLE_WAIT_S)
        now = _clock()
        for connection in self._connections.values():
            for due, _ in connection.under_way:
                tally.unanswered += 1
                tally.add_never(due, now)


def _allow_many_files() -> None:
    """As many sockets as the system lets this process have; the usual limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
