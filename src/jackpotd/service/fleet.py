"""A server of several processes: this one is the edge, which leads the workers, owns the catalog and serves admin.

The order of a start: workers are started side by side and recover; what lives elsewhere than it shall is moved; then
the workers listen, then admin, then the server is ready. A stop goes the other way: listeners first, everywhere; then,
when nobody needs anybody any more, the workers; the catalog last.
"""

import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import structlog
import trio
from msgspec import Struct
from msgspec.structs import replace

from jackpotd.core.rejections import Rejection
from jackpotd.engine.catalog import Catalog
from jackpotd.journal.log import LmdbLog
from jackpotd.service.control import Answer, Looked, Move, Moved, Refused, Request, serve_control
from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.feeding import child, held_connect
from jackpotd.service.figures import Report, Standing, WorkerFigures, decode_figures, report
from jackpotd.service.leash import Begin
from jackpotd.service.listeners import Listener, bind, tls_files
from jackpotd.service.nodes import Edge, build_edge
from jackpotd.service.placing import Placer
from jackpotd.service.private_directory import private_directory
from jackpotd.service.server import fill_demo, ready_line, serve_listeners, watch_signals
from jackpotd.service.settings import Bind, Settings
from jackpotd.service.shared_port import hold
from jackpotd.service.storage import opened_catalog
from jackpotd.service.supervisor import Supervisor
from jackpotd.service.telemetry import Telemetry, merged
from jackpotd.wire.catalog_records import CatalogEntity, Placement

LOOK_DELAY_MIN_S = 0.02
LOOK_DELAY_MAX_S = 5.0
PLACED_BY = "placement file"

Serve = Callable[[Edge], Awaitable[None]]

_log = structlog.get_logger("jackpotd.fleet")


class Plan(Struct, frozen=True):
    """How many workers there shall be, and what the placement file says."""

    workers: int
    placed: Mapping[str, int]
    retired: tuple[int, ...]
    """Workers that are no more, and that something may still live with."""


async def run_fleet(
    settings: Settings,
    data: DataDirectory,
    plan: Plan,
    *,
    is_demo: bool,
    say: Callable[[str], None],
) -> None:
    """Serves with several workers until SIGTERM or SIGINT. Expects the data directory's lock to be held.

    Raises:
        ListenerError: an address cannot be bound.
        WorkerLost: a worker did not start, or has spent its budget of restarts.
        JournalFailed: the catalog's journal does not take writes any more.
    """
    bound: dict[str, Listener] = {}
    if (gateway := settings.gateway.address) is not None:
        bound["gateway"] = hold("gateway", gateway, tls_files("gateway", settings.gateway))
    if (admin := settings.admin.address) is not None:
        bound["admin"] = bind("admin", admin, tls_files("admin", settings.admin))
    if (connect := held_connect(settings)) is not None:
        bound["connect"] = connect
    with (
        trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals,
        private_directory(data) as sockets,
        opened_catalog(settings, data) as log,
    ):
        fleet = Fleet(settings, data, plan, sockets, bound, is_demo=is_demo)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_signals, signals, fleet.stopping)
            await fleet.run(log, lambda edge: fleet.serve(edge, say))
            nursery.cancel_scope.cancel()
    if fleet.supervisor.loss is not None:
        raise fleet.supervisor.loss
    _log.info("stopped")


async def bring_home(settings: Settings, data: DataDirectory, plan: Plan, *, is_demo: bool) -> bool:
    """Moves what lives with retired workers to those that stay, and serves nothing; False where a signal ends that.

    Raises:
        WorkerLost: a worker did not start.
    """
    with (
        trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals,
        private_directory(data) as sockets,
        opened_catalog(settings, data) as log,
    ):
        silent = replace(settings, events=replace(settings.events, enabled=False))
        fleet = Fleet(silent, data, plan, sockets, {}, is_demo=is_demo)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_signals, signals, fleet.stopping)
            await fleet.run(log, lambda _: fleet.bring_home())
            nursery.cancel_scope.cancel()
    return not fleet.stopping.is_set()


class Fleet:
    """The edge and its workers."""

    def __init__(
        self,
        settings: Settings,
        data: DataDirectory,
        plan: Plan,
        sockets: Path,
        bound: dict[str, Listener],
        *,
        is_demo: bool,
    ) -> None:
        self.stopping = trio.Event()
        self._settings = settings
        self._data = data
        self._plan = plan
        self._sockets = sockets
        self._bound = bound
        self._is_demo = is_demo
        self._telemetry = Telemetry("edge")
        self._feed = child(
            settings,
            sockets,
            bound.get("connect"),
            is_demo=is_demo,
            workers=plan.workers,
            nodes=lambda: tuple(sorted(self.supervisor.slots)),
        )
        self.supervisor = Supervisor(
            settings.service,
            self._begin,
            rejoined=self._rejoined,
            answer=self._answer,
            lost=self.stopping.set,
        )

    async def run(self, log: LmdbLog, serve: Serve) -> None:
        """From the first process to the last; `serve` is what is done in between."""
        edge = self._edge(log)
        journal = edge.system.writing.journal
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.run, name="catalog journal")
            await nursery.start(edge.node.run, name="mesh")
            if self._feed is not None:
                nursery.start_soon(self._feed.run, self._metrics, name="feed")
            with trio.CancelScope() as starting:
                nursery.start_soon(self._give_up, starting)
                await self._start(nursery, edge)
            if not starting.cancelled_caught:
                await serve(edge)
            await self.supervisor.stop()
            with trio.move_on_after(self._settings.service.drain_deadline_s):
                await journal.durable()
            nursery.cancel_scope.cancel()

    def _edge(self, log: LmdbLog) -> Edge:
        workers, retired = self._plan.workers, self._plan.retired
        edge = build_edge(
            self._settings,
            self._data,
            log,
            self._sockets,
            self._metrics,
            self._telemetry,
            workers=workers,
            retired=retired,
        )
        self._placer = Placer(
            edge.system.writing.owner,
            edge.node,
            edge.node.places.owner_of,
            dict(edge.workers),
            workers=workers,
        )
        return edge

    async def _give_up(self, starting: trio.CancelScope) -> None:
        await self.stopping.wait()
        starting.cancel()

    async def _start(self, nursery: trio.Nursery, edge: Edge) -> None:
        """Until every worker stands on its journal, and everything lives where it shall."""
        async with trio.open_nursery() as preparing:
            preparing.start_soon(self._prepare_catalog, edge)
            await nursery.start(self.supervisor.run, self._plan.workers, self._plan.retired)
        await self._placer.settle()

    async def _prepare_catalog(self, edge: Edge) -> None:
        """What the catalog needs, while the workers come up."""
        writing = edge.system.writing
        if self._is_demo:
            await fill_demo(writing)
        known = edge.system.catalog
        strangers = sorted(self._plan.placed.keys() - known.instances.keys())
        if strangers:
            _log.warning("placement names unknown instances", instances=strangers)
        await writing.owner.change(PLACED_BY, self._placements)

    def _placements(self, catalog: Catalog) -> list[CatalogEntity] | Rejection:
        return [
            Placement(instance_id=instance_id, worker=worker)
            for instance_id, worker in sorted(self._plan.placed.items())
            if catalog.placements.get(instance_id) != worker
        ]

    async def bring_home(self) -> None:
        """Until retired workers are empty, and no link is under way between those that stay; or until told to stop."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._give_up, nursery.cancel_scope)
            await self.empty_retired()
            for delay_s in _look_delays_s():
                figures = await self._figures()
                if not sum(each.unfinished for each in figures.values()):
                    break
                await trio.sleep(delay_s)
            nursery.cancel_scope.cancel()

    async def empty_retired(self) -> None:
        """Ends each retired worker once nothing lives there, and nothing is left to do."""
        waiting = set(self._plan.retired)
        for delay_s in _look_delays_s():
            figures = await self._figures() if waiting else {}
            for worker in sorted(waiting):
                look = figures.get(worker)
                if look is None or look.unfinished or not await self._placer.is_empty(worker):
                    continue
                self._placer.forget(worker)
                await self.supervisor.retire(worker)
                self._data.worker(worker).mark_emptied()
                waiting.discard(worker)
                _log.info("worker retired", worker=worker)
            if not waiting:
                break
            await trio.sleep(delay_s)

    async def serve(self, edge: Edge, say: Callable[[str], None]) -> None:
        """Until it is told to stop, and nothing is in flight any more."""
        address = self._settings.admin.address
        admin = {"admin": self._bound["admin"]} if address is not None else {}

        def ready(_line: str) -> None:
            say(ready_line(self._bound.values()))

        async with trio.open_nursery() as nursery:
            await self.supervisor.serve()
            if self._feed is not None:
                await self._feed.serve(self.stopping)
            await nursery.start(serve_control, self._sockets, self._control)
            nursery.start_soon(self.empty_retired)
            nursery.start_soon(self._placer.run, name="placement")
            nursery.start_soon(edge.system.administered.run, name="administration")
            async with trio.open_nursery() as listening:
                listening.start_soon(
                    serve_listeners, edge.system, {"admin": address}, admin, ready, self.stopping
                )
                await self.stopping.wait()
                await self._stop()
            nursery.cancel_scope.cancel()

    async def _stop(self) -> None:
        """Listeners and sockets close everywhere at once; the feed still sees what the workers did last."""
        if self._feed is not None:
            await self._feed.drain()
            await self.supervisor.drain()
            await self._feed.stop()
        await self.supervisor.stop()

    def _begin(self, index: int) -> Begin:
        gateway = None
        held, address = self._bound.get("gateway"), self._settings.gateway.address
        if held is not None and address is not None and index < self._plan.workers:
            gateway = Bind(address.host, held.socket.getsockname()[1])
        return Begin(
            index=index,
            workers=self._plan.workers,
            nodes=tuple(sorted(self.supervisor.slots)),
            settings=self._settings,
            sockets=str(self._sockets),
            gateway=gateway,
            is_demo=self._is_demo,
        )

    async def _rejoined(self, _worker: int) -> None:
        self._placer.look_again()

    async def _metrics(self) -> bytes:
        told = await self.supervisor.ask("metrics")
        texts = [self._telemetry.text(), *(told[worker].encode() for worker in sorted(told))]
        if self._feed is not None:
            texts.append(await self._feed.metrics())
        return merged(texts)

    async def _answer(self, subject: str) -> str | None:
        return (await self._metrics()).decode() if subject == "metrics" else None

    async def _figures(self) -> dict[int, WorkerFigures]:
        told = await self.supervisor.ask("report")
        return {worker: decode_figures(text) for worker, text in told.items()}

    async def _control(self, request: Request) -> Answer:
        if isinstance(request, Move):
            moved = await self._placer.move(request.instance_id, request.worker)
            return Refused(moved.message) if isinstance(moved, Rejection) else Moved(not moved)
        return Looked(await self._look(request.interval_s))

    async def _look(self, interval_s: float) -> Report:
        before = await self._figures()
        await trio.sleep(interval_s)
        after = await self._figures()
        standings = [
            Standing(slot.index, slot.pid, slot.state, slot.restarts)
            for _, slot in sorted(self.supervisor.slots.items())
        ]
        return report(standings, before, after, interval_s)


def _look_delays_s() -> Iterator[float]:
    """How long to wait before looking again: what is nearly done is soon seen, what takes long costs little."""
    delay_s = LOOK_DELAY_MIN_S
    while True:
        yield delay_s
        delay_s = min(2 * delay_s, LOOK_DELAY_MAX_S)
