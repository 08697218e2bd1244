"""Names of hosts to addresses, by the system's resolver, in threads of its own: one that hangs takes none of others."""

import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import trio

ADDRESSES_MAX = 8

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host for connections to a port, those to be tried first in front; OSError where it has none."""


class SystemResolver:
    """Asks the system.

    Args:
        threads_max: lookups at once. One that was given up still holds its thread until the system gives up, too.
    """

    def __init__(self, *, threads_max: int) -> None:
        self._threads = trio.CapacityLimiter(threads_max)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        ask = partial(socket.getaddrinfo, host.encode(), port, type=socket.SOCK_STREAM)
        found = await trio.to_thread.run_sync(ask, limiter=self._threads, abandon_on_cancel=True)
        addresses = dict.fromkeys(str(address[0]) for *_, address in found)
        # An address with a zone cannot stand in a URL.
        return [address for address in addresses if "%" not in address][:ADDRESSES_MAX]
