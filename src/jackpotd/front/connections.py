"""The open connections of a listener: what is to be done soon, who takes too long, and the end of all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import trio

from jackpotd.front.http1 import Http1
from jackpotd.front.limits import FrontLimits
from jackpotd.front.site import log

_SWEPT_AT_ONCE = 500


class Connection(Protocol):
    """What the keeper of connections needs to know of one."""

    protocol: Http1
    unsent_bytes: int
    sent_bytes: int

    @property
    def is_lingering(self) -> bool: ...

    def abort(self) -> None: ...


class _Watch:
    """How long a connection has been in one state, in seconds, counted in sweeps."""

    __slots__ = ("body_bytes", "requests", "seconds", "sent_bytes", "state")

    def __init__(self) -> None:
        self.state = ""
        self.seconds = 0.0
        self.requests = -1
        self.sent_bytes = 0
        self.body_bytes = 0


class Connections:
    """Every connection of a listener that speaks HTTP/1.1, and the number of the others."""

    def __init__(self, limits: FrontLimits) -> None:
        self._limits = limits
        self._open: dict[Connection, _Watch] = {}
        self._elsewhere = 0
        self._soon: dict[Connection, None] = {}
        self._waiting = trio.lowlevel.ParkingLot()
        self._ended: dict[Connection, float] = {}
        self._changed = trio.Event()

    @property
    def count(self) -> int:
        return len(self._open) + self._elsewhere

    @contextmanager
    def one_elsewhere(self) -> Iterator[None]:
        """A connection that counts, though it is not kept here: in its handshake, or handed over."""
        self._elsewhere += 1
        try:
            yield
        finally:
            self._elsewhere -= 1

    def add(self, connection: Connection) -> None:
        self._open[connection] = _Watch()

    def remove(self, connection: Connection) -> None:
        self._open.pop(connection, None)
        self._soon.pop(connection, None)
        self._ended.pop(connection, None)
        self._changed.set()

    def soon(self, connection: Connection) -> None:
        """Has a connection pumped in the next turn of the event loop."""
        self._soon[connection] = None
        self._waiting.unpark()

    def ended(self, connection: Connection) -> None:
        """The client sends no more, and is given a little time to be answered."""
        self._ended[connection] = trio.current_time() + self._limits.disconnect_delay_s

    async def run_pump(self) -> None:
        while True:
            if not self._soon:
                await self._waiting.park()
            connections, self._soon = self._soon, {}
            for connection in connections:
                with _alone(connection):
                    connection.protocol.pump()
            await trio.lowlevel.checkpoint()

    async def run_sweep(self, interval_s: float) -> None:
        """Looks at every connection once in a while: far cheaper than a timer for each."""
        while True:
            await trio.sleep(interval_s)
            now = trio.current_time()
            for connection, until in list(self._ended.items()):
                if until <= now:
                    del self._ended[connection]
                    with _alone(connection):
                        connection.protocol.disconnected()
            for number, (connection, watch) in enumerate(list(self._open.items())):
                if number % _SWEPT_AT_ONCE == _SWEPT_AT_ONCE - 1:
                    await trio.lowlevel.checkpoint()
                if connection in self._open:
                    with _alone(connection):
                        self._look_at(connection, watch, interval_s)

    def _look_at(self, connection: Connection, watch: _Watch, interval_s: float) -> None:
        protocol, limits = connection.protocol, self._limits
        state = _state_of(connection)
        if (
            state != watch.state
            or (state != "body" and protocol.requests != watch.requests)
            or connection.sent_bytes != watch.sent_bytes
        ):
            watch.state, watch.seconds = state, 0.0
            watch.requests, watch.sent_bytes = protocol.requests, connection.sent_bytes
            watch.body_bytes = protocol.body_bytes
            return
        watch.seconds += interval_s
        if (state == "unsent" and watch.seconds >= limits.write_timeout_s) or (
            state == "lingering" and watch.seconds >= limits.linger_s
        ):
            connection.abort()
        elif state == "head" and watch.seconds >= limits.header_timeout_s:
            protocol.time_out()
        elif state == "body" and watch.seconds >= limits.body_timeout_s:
            if protocol.body_bytes - watch.body_bytes < watch.seconds * limits.body_bytes_per_s_min:
                protocol.time_out()
        elif state == "idle" and watch.seconds >= limits.idle_timeout_s:
            connection.abort()

    async def drain(self, linger_s: float) -> None:
        """Closes what is idle, and waits until the rest has been answered; then lingers a little."""
        for connection in list(self._open):
            with _alone(connection):
                connection.protocol.stop()
        while any(not connection.is_lingering for connection in self._open):
            self._changed = trio.Event()
            await self._changed.wait()
        with trio.move_on_after(linger_s):
            while self._open:
                self._changed = trio.Event()
                await self._changed.wait()

    def closing(self) -> None:
        """A connection has begun to close."""
        self._changed.set()


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """A connection fails alone."""
    try:
        yield
    except Exception:  # noqa: BLE001 - whatever it is
        log.exception("a connection has failed")
        connection.abort()


def _state_of(connection: Connection) -> str:
    if connection.unsent_bytes:
        return "unsent"
    if connection.is_lingering:
        return "lingering"
    return connection.protocol.doing
