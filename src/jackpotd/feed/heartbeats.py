"""Clients that have gone without a word are found out: who is silent is pinged, who stays silent is let go.

Who reads steadily, though more slowly than it is told, shows by that that it is there: it could not hear a ping before
all that stands in front of it.
"""

from collections.abc import Collection

import trio

from jackpotd.feed.client_socket import Socket
from jackpotd.feed.pace import Pace

_SWEEPS_PER_HEARTBEAT = 4
_SILENT_HEARTBEATS_MAX = 2


class Heartbeats:
    """Looks at all sockets once in a while: far cheaper than a timer for each.

    Args:
        interval_s: the silence after which a client is pinged; after two of them it is gone.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s

    async def run(self, sockets: Collection[Socket]) -> None:
        """Looks at those that there are at the time, until it is cancelled."""
        swept_at = trio.current_time()
        while True:
            await trio.sleep(self._interval_s / _SWEEPS_PER_HEARTBEAT)
            now = trio.current_time()
            # Where this process itself has been held up, the answers are still waiting to be read.
            is_late, swept_at = now - swept_at > self._interval_s, now
            await self._sweep(list(sockets), now, is_late=is_late)

    async def _sweep(self, sockets: Collection[Socket], now: float, *, is_late: bool) -> None:
        pace = Pace()
        for socket in sockets:
            silent_s = now - socket.heard_at
            if silent_s >= self._interval_s * _SILENT_HEARTBEATS_MAX and not is_late:
                socket.cut()
            elif min(silent_s, now - socket.pinged_at) >= self._interval_s:
                socket.ping()
            if pace.is_due:
                await pace.rest()
