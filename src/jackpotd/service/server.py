"""The life of a server: lock, recover, start, say ready, serve, drain, stop.

Nested nurseries, from the inside out: listeners stop first and let running requests finish; then the last records are
committed and checkpointed; then the storage is closed. A journal that fails stops everything and answers nobody.
"""

import signal
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import structlog
import trio

from jackpotd.service import demo_data
from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.listeners import Listener, ListenerError, bind, serve_app
from jackpotd.service.settings import Bind, Settings
from jackpotd.service.wiring import System, build, clock_ms, opened

KEY_TIDY_INTERVAL_S = 10.0
SWITCH_INTERVAL_S = 0.0005

_log = structlog.get_logger("jackpotd.server")


async def run(settings: Settings, *, is_demo: bool, say: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT.

    Args:
        settings: the configuration.
        is_demo: fill an empty data directory with the demo data, and use the wallet for development.
        say: told the line that begins with `ready`.

    Raises:
        ListenerError: an address cannot be bound, or the demo was asked for beyond loopback.
        DataDirectoryError: the data directory is in use.
        JournalFailed: the journal does not take writes any more.
    """
    # A thread that holds the interpreter delays a commit by this much; the default costs milliseconds.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    addresses = {"gateway": settings.gateway.address, "admin": settings.admin.address}
    if is_demo:
        _require_loopback(addresses)
    data = DataDirectory(Path(settings.service.data_dir))
    with data.locked():
        bound = {name: bind(name, at) for name, at in addresses.items() if at is not None}
        with (
            opened(settings, data) as storage,
            trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals,
        ):
            system = build(settings, data, storage, is_demo=is_demo)
            stopping = trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_watch, signals, stopping)
                await _start(nursery, system, is_demo=is_demo)
                await _serve(system, addresses, bound, say, stopping)
                system.key_upkeep.stop()
                # What is left is derived data: a start without it replays a longer tail.
                with trio.move_on_after(settings.service.drain_deadline_s):
                    await system.journal.durable()
                    await system.catalog_journal.durable()
                    await system.checkpointer.checkpoint()
                nursery.cancel_scope.cancel()
    _log.info("stopped")


def _require_loopback(addresses: dict[str, Bind | None]) -> None:
    for name, address in addresses.items():
        if address is not None and not address.is_loopback:
            raise ListenerError(
                f"[{name}] bind = {address}: the demo has passwords that everybody knows, "
                "so it runs on loopback only"
            )


async def _start(nursery: trio.Nursery, system: System, *, is_demo: bool) -> None:
    nursery.start_soon(system.catalog_journal.run, name="catalog journal")
    nursery.start_soon(system.journal.run, name="journal")
    if is_demo:
        await system.owner.change(demo_data.BY, lambda catalog: demo_data.fill(catalog, clock_ms()))
    await nursery.start(system.shard.run, system.catalog, name="shard")
    await system.journal.durable()
    nursery.start_soon(system.checkpointer.run, name="checkpoint")
    nursery.start_soon(system.key_upkeep.run, KEY_TIDY_INTERVAL_S, name="key upkeep")
    _log.info(
        "recovered",
        instances=system.shard.statistics().instances,
        replayed_records=system.replayed_records,
    )


async def _serve(
    system: System,
    addresses: dict[str, Bind | None],
    bound: dict[str, Listener],
    say: Callable[[str], None],
    stopping: trio.Event,
) -> None:
    """Runs the listeners until they are told to stop, and further until the last request has been answered or the
    deadline is over.
    """
    limits, deadline_s = system.settings.limits, system.settings.service.drain_deadline_s
    apps = {"gateway": system.gateway, "admin": system.admin}
    async with trio.open_nursery() as nursery:
        for name, listener in bound.items():
            address = addresses[name]
            app = apps[name](is_loopback=address is not None and address.is_loopback)
            serve = partial(
                serve_app,
                app,
                listener,
                stopping=stopping,
                graceful_timeout_s=deadline_s,
                body_bytes_max=limits.body_bytes_max,
            )
            await nursery.start(serve, name=name)
        say(" ".join(["ready", *(f"{name}={at.url}" for name, at in bound.items())]))
        await stopping.wait()
        nursery.cancel_scope.deadline = trio.current_time() + deadline_s + 1


async def _watch(signals: AsyncIterator[int], stopping: trio.Event) -> None:
    """The first signal begins the stop, which is bounded by its deadlines; further ones change nothing."""
    async for signal_number in signals:
        name = signal.Signals(signal_number).name
        _log.info("stopping already" if stopping.is_set() else "draining", signal=name)
        stopping.set()
