"""The life of a server: lock, recover, start, say ready, serve, drain, stop.

Nested nurseries, from the inside out: listeners stop first and let running requests finish; then the last records are
committed and checkpointed; then the storage is closed. A journal that fails stops everything and answers nobody.
"""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import closing
from functools import partial

import structlog
import trio
from msgspec.structs import replace
from quart_trio import QuartTrio

from jackpotd.edge.exchange import Incoming, json_body
from jackpotd.edge.guard import Guard
from jackpotd.front.relay import Relay
from jackpotd.front.serving import FrontParts, serve_front
from jackpotd.gateway.app import direct_routes, stream_routes
from jackpotd.identity.principal import Resource
from jackpotd.service import demo_data, interpreter
from jackpotd.service.control import Answer, Looked, Move, Refused, Request, serve_control
from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.feeding import child, held_connect
from jackpotd.service.figures import Standing, figures_of, report
from jackpotd.service.fronts import parts_of
from jackpotd.service.listeners import Listener, ListenerError, bind, tls_files
from jackpotd.service.private_directory import private_directory
from jackpotd.service.settings import Bind, Settings
from jackpotd.service.storage import clock_ms, opened_catalog, opened_worker
from jackpotd.service.wiring import CatalogPart, System, WorkerPart, build_single

KEY_TIDY_INTERVAL_S = 10.0
EVENT_PATHS = frozenset({b"/events"})

_log = structlog.get_logger("jackpotd.server")


async def run(
    settings: Settings, data: DataDirectory, *, is_demo: bool, say: Callable[[str], None]
) -> None:
    """Serves with one process until SIGTERM or SIGINT. Expects the data directory's lock to be held.

    Args:
        settings: the configuration.
        data: what is where.
        is_demo: fill an empty data directory with the demo data, and use the wallet for development.
        say: told the line that begins with `ready`.

    Raises:
        ListenerError: an address cannot be bound.
        JournalFailed: the journal does not take writes any more.
    """
    interpreter.prepare()
    addresses = {"gateway": settings.gateway.address, "admin": settings.admin.address}
    bound = {
        name: bind(name, at, tls_files(name, getattr(settings, name)))
        for name, at in addresses.items()
        if at is not None
    }
    connect = held_connect(settings)
    with (
        opened_catalog(settings, data) as catalog_log,
        opened_worker(settings, data.worker(0)) as storage,
        private_directory(data) as sockets,
        trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals,
    ):
        feed = child(settings, sockets, connect, is_demo=is_demo, workers=1, nodes=lambda: (0,))
        system = build_single(settings, data, catalog_log, storage, sockets, feed, is_demo=is_demo)
        stopping = trio.Event()
        with closing(system.worker.views):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch_signals, signals, stopping)
                if feed is not None:
                    nursery.start_soon(feed.run, system.metrics, name="feed")
                await _start(nursery, system, is_demo=is_demo)
                interpreter.settle()
                await nursery.start(serve_control, sockets, partial(_control, system.worker))
                if feed is not None:
                    await feed.serve(stopping)
                    nursery.start_soon(feed.drain_when, stopping)
                line = ready_line([*bound.values(), connect])
                await serve_listeners(system, addresses, bound, lambda _: say(line), stopping)
                if feed is not None:
                    await feed.stop()
                await _end(system)
                nursery.cancel_scope.cancel()
    _log.info("stopped")


def ready_line(listeners: Iterable[Listener | None]) -> str:
    """What is said once every listener answers."""
    return " ".join(["ready", *(f"{at.name}={at.url}" for at in listeners if at is not None)])


async def _end(system: System) -> None:
    deadline_s = system.settings.service.drain_deadline_s
    await flush(system.worker, deadline_s)
    with trio.move_on_after(deadline_s):
        await system.writing.journal.durable()


async def _control(worker: WorkerPart, request: Request) -> Answer:
    """What `jackpotd shards` gets from a server of one process."""
    if isinstance(request, Move):
        return Refused("there is one worker only: nothing can be moved ([service] workers)")
    before = figures_of(worker)
    await trio.sleep(request.interval_s)
    standing = Standing(worker=0, pid=os.getpid(), state="serving", restarts=0)
    looks = {0: before}, {0: figures_of(worker)}
    return Looked(report([standing], *looks, request.interval_s))


def require_loopback(addresses: dict[str, Bind | None]) -> None:
    """Refuses to serve the demo to the world.

    Raises:
        ListenerError: an address is not this machine's own.
    """
    for name, address in addresses.items():
        if address is not None and not address.is_loopback:
            raise ListenerError(
                f"[{name}] bind = {address}: the demo has passwords that everybody knows, "
                "so it runs on loopback only"
            )


async def _start(nursery: trio.Nursery, system: System, *, is_demo: bool) -> None:
    writing, worker = system.writing, system.worker
    nursery.start_soon(writing.journal.run, name="catalog journal")
    nursery.start_soon(worker.journal.run, name="journal")
    if is_demo:
        await fill_demo(writing)
    await worker.views.open_all(worker.shard.fold.moves.views)
    await nursery.start(worker.shard.run, system.catalog, name="shard")
    await worker.journal.durable()
    start_upkeep(nursery, system)
    nursery.start_soon(system.administered.run, name="administration")
    if system.single_node is not None:
        await nursery.start(system.single_node.run, name="mesh")


async def fill_demo(writing: CatalogPart) -> None:
    """Puts the demo data into an empty catalog, in one change."""
    await writing.owner.change(demo_data.BY, lambda known: demo_data.fill(known, clock_ms()))


def start_upkeep(nursery: trio.Nursery, system: System) -> None:
    """Starts what a recovered worker does in the background."""
    worker, settings = system.worker, system.settings
    if system.transfers is not None:
        nursery.start_soon(system.transfers.run, name="transfers")
    nursery.start_soon(worker.inheriting.run, name="inherited opt-ins")
    nursery.start_soon(worker.dropper.run, name="dropper")
    nursery.start_soon(worker.views.run, settings.journal.checkpoint_interval_s, name="key views")
    nursery.start_soon(worker.checkpointer.run, name="checkpoint")
    nursery.start_soon(worker.key_upkeep.run, KEY_TIDY_INTERVAL_S, name="key upkeep")
    _log.info(
        "recovered",
        instances=worker.shard.statistics().instances,
        replayed_records=worker.replayed_records,
    )


async def flush(worker: WorkerPart, deadline_s: float) -> None:
    """Writes what is left at the end."""
    worker.key_upkeep.stop()
    # What is left is derived data: a start without it replays a longer tail.
    with trio.move_on_after(deadline_s):
        await worker.journal.durable()
        await worker.checkpointer.checkpoint()


async def serve_listeners(
    system: System,
    addresses: dict[str, Bind | None],
    bound: dict[str, Listener],
    say: Callable[[str], None],
    stopping: trio.Event,
) -> None:
    """Runs the listeners until they are told to stop, and further until the last request has been answered or the
    deadline is over.
    """
    deadline_s = system.settings.service.drain_deadline_s
    async with trio.open_nursery() as nursery:
        for name, listener in bound.items():
            address = addresses[name]
            is_loopback = address is not None and address.is_loopback
            starters = {"gateway": _gateway, "admin": _admin}
            serve = starters[name](system, listener, stopping, is_loopback=is_loopback)
            await nursery.start(serve, name=name)
        say(" ".join(["ready", *(f"{name}={at.url}" for name, at in bound.items())]))
        await stopping.wait()
        nursery.cancel_scope.deadline = trio.current_time() + deadline_s + 1


def _gateway(
    system: System, listener: Listener, stopping: trio.Event, *, is_loopback: bool
) -> Callable[..., Awaitable[None]]:
    """Serves the gateway: contributions and opt-ins by the fast lane, the rest by the application."""
    gateway = system.gateway_parts(is_loopback=is_loopback)
    parts = replace(
        _parts(system, listener, system.gateway(is_loopback=is_loopback)),
        direct=direct_routes(gateway),
        streams=stream_routes(gateway),
        admit=partial(_admit, gateway.guard),
        room=lambda: gateway.router.room,
        sockets=None if system.events is None else Relay(EVENT_PATHS, system.events),
    )
    return _front(system, parts, listener, stopping)


def _parts(system: System, listener: Listener, app: QuartTrio) -> FrontParts:
    return parts_of(system.settings, system.telemetry, system.entropy, listener, app)


def _front(
    system: System, parts: FrontParts, listener: Listener, stopping: trio.Event
) -> Callable[..., Awaitable[None]]:
    deadline_s = system.settings.service.drain_deadline_s
    return partial(
        serve_front, parts, listener.socket, stopping=stopping, graceful_timeout_s=deadline_s
    )


def _admit(guard: Guard, route: str, request: Incoming) -> None:
    """Refuses a request of the fast lane before its body is sent, where that can be said."""
    is_opt_in = route.endswith("/optin")
    guard.principal(request, Resource.OPT_INS if is_opt_in else Resource.CONTRIBUTIONS, write=True)
    json_body(request)


def _admin(
    system: System, listener: Listener, stopping: trio.Event, *, is_loopback: bool
) -> Callable[..., Awaitable[None]]:
    """Serves the administration, all of it by the application."""
    parts = _parts(system, listener, system.admin(is_loopback=is_loopback))
    return _front(system, parts, listener, stopping)


async def watch_signals(signals: AsyncIterator[int], stopping: trio.Event) -> None:
    """The first signal begins the stop, which is bounded by its deadlines; further ones change nothing."""
    async for signal_number in signals:
        name = signal.Signals(signal_number).name
        _log.info("stopping already" if stopping.is_set() else "draining", signal=name)
        stopping.set()
