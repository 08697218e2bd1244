"""The feed as the server leads it: one child beside the workers, in whichever mode the server runs.

It is not vital: when it dies, contributions go on, and it is started again however often that takes. Only one that does
not get through its first start stops the server, because what `ready` promises is not there then.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from jackpotd.service.keeping import Keeper, Kind, Slot
from jackpotd.service.leash import BeginFeed, Drain, Stop
from jackpotd.service.listeners import Listener, tls_files
from jackpotd.service.settings import Bind, ServiceSettings, Settings
from jackpotd.service.shared_port import hold

METRICS_TIMEOUT_S = 0.5
_GRACE_S = 1.0
_KIND = Kind("feed", {}, ("feed",), is_vital=False)


class Feed:
    """The feed's process through all its lives.

    Args:
        settings: how fast it is started again, and the deadline of a stop.
        begin: what it is told first.
    """

    def __init__(self, settings: ServiceSettings, begin: Callable[[], BeginFeed]) -> None:
        self._settings = settings
        self._begin = begin
        self._slot = Slot(_KIND, 0)
        self._may_begin = trio.Event()
        self._ends_at = 0.0

    @property
    def pid(self) -> int | None:
        """Its process; None where it has none just now."""
        return self._slot.pid

    async def run(self, metrics: Callable[[], Awaitable[bytes]]) -> None:
        """Keeps it alive until `stop`; `metrics` are those of all processes, which Connect shows.

        Raises:
            WorkerLost: it did not start.
        """

        async def answer(subject: str) -> str | None:
            return (await metrics()).decode() if subject == "metrics" else None

        keeper = Keeper(
            self._slot,
            self._settings,
            self._told_first,
            rejoined=trio.lowlevel.checkpoint,
            answer=answer,
        )
        await keeper.run()

    async def _told_first(self) -> BeginFeed:
        await self._may_begin.wait()
        return self._begin()

    async def serve(self, stopping: trio.Event) -> None:
        """Once the workers stand on their journals: lets it begin; returns when it serves, or all shall stop."""
        self._may_begin.set()
        await self._slot.serve()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when, stopping, nursery.cancel_scope)
            await self._slot.serving.wait()
            nursery.cancel_scope.cancel()

    async def drain_when(self, stopping: trio.Event) -> None:
        """`drain`, as soon as the server stops."""
        await stopping.wait()
        await self.drain()

    async def drain(self) -> None:
        """Has it close its listener and its sockets; events are still read and kept."""
        slot = self._slot
        if slot.ending.is_set():
            return
        slot.ending.set()
        self._ends_at = trio.current_time() + self._settings.drain_deadline_s
        if slot.pid is None:
            slot.drained.set()
        await slot.send(Drain())

    async def stop(self) -> None:
        """Ends it, after all that the journals hold by now is kept.

        It has the server's own deadline for all of that, from `drain` on, and what takes longer is left to the end of
        `run`: a feed that hangs must not take the time that the workers need.
        """
        await self.drain()
        slot = self._slot
        with trio.CancelScope(deadline=self._ends_at + _GRACE_S):
            await slot.drained.wait()
            await slot.send(Stop())
            await slot.ended.wait()

    async def metrics(self) -> bytes:
        """Its own; nothing where it is not there, or too slow."""
        leash = self._slot.leash
        text = None if leash is None else await leash.ask("metrics", timeout_s=METRICS_TIMEOUT_S)
        return b"" if text is None else text.encode()


async def _cancel_when(stopping: trio.Event, scope: trio.CancelScope) -> None:
    await stopping.wait()
    scope.cancel()


def held_connect(settings: Settings) -> Listener | None:
    """Connect's address, held for the feed and its next lives; None where Connect is not served.

    Raises:
        ListenerError: it cannot be bound.
    """
    address = settings.connect_address
    if address is None:
        return None
    return hold("connect", address, tls_files("connect", settings.connect))


def child(
    settings: Settings,
    sockets: Path,
    connect: Listener | None,
    *,
    is_demo: bool,
    workers: int,
    nodes: Callable[[], tuple[int, ...]],
) -> Feed | None:
    """The feed of a server, not yet running; None where the settings want none."""
    if not settings.events.enabled:
        return None
    address = settings.connect_address
    held = None
    if connect is not None and address is not None:
        held = Bind(address.host, connect.socket.getsockname()[1])

    def begin() -> BeginFeed:
        return BeginFeed(
            workers=workers,
            nodes=nodes(),
            settings=settings,
            sockets=str(sockets),
            connect=held,
            is_demo=is_demo,
        )

    return Feed(settings.service, begin)
