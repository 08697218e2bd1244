"""The life of a worker process: recover, join the mesh, serve, drain, stop; each step when the server says so.

It ends at once where the server is gone, and with an exit status of 1 where its journal fails: the server starts it
again, from disk.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from pathlib import Path

import msgspec
import structlog
import trio

from jackpotd.service import interpreter
from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.figures import figures_of
from jackpotd.service.leash import (
    Ask,
    Begin,
    Drain,
    Drained,
    Leash,
    LeashBroken,
    Message,
    Recovered,
    Serve,
    Serving,
    Stop,
    Told,
)
from jackpotd.service.listeners import tls_files
from jackpotd.service.nodes import Worker, build_worker_node
from jackpotd.service.server import (
    flush,
    serve_listeners,
    start_upkeep,
)
from jackpotd.service.shared_port import listen
from jackpotd.service.storage import opened_worker
from jackpotd.service.telemetry import Telemetry, configure_logs
from jackpotd.service.wiring import System

METRICS_TIMEOUT_S = 5.0
PEERS_WAIT_S = 1.0

_log = structlog.get_logger("jackpotd.worker")


class _Commands:
    """What the server has said so far."""

    def __init__(self) -> None:
        self.serve = trio.Event()
        self.drain = trio.Event()
        self.stop = trio.Event()


async def run_worker(end: socket.socket) -> None:
    """Is a worker until the server says that it is enough, or is gone.

    Raises:
        JournalFailed: the journal does not take writes any more.
        StorageError: it cannot be opened.
    """
    interpreter.prepare()
    leash = Leash(end)
    async with aclosing(leash.lines()) as lines:
        begin = await anext(lines, None)
        if not isinstance(begin, Begin):
            return
        structlog.contextvars.bind_contextvars(worker=begin.index)
        configure_logs(begin.settings.log)
        try:
            await _live(leash, lines, begin)
        except* LeashBroken:
            _log.warning("the server is gone")


async def _live(leash: Leash, lines: AsyncIterator[Message], begin: Begin) -> None:
    settings, commands = begin.settings, _Commands()
    data, telemetry = DataDirectory(Path(settings.service.data_dir)), Telemetry(str(begin.index))

    async def metrics() -> bytes:
        """Those of all nodes; the server asks them."""
        text = await leash.ask("metrics", timeout_s=METRICS_TIMEOUT_S)
        return telemetry.text() if text is None else text.encode()

    with opened_worker(settings, data.worker(begin.index)) as storage:
        node = build_worker_node(begin, data, storage, metrics, telemetry)
        worker = node.system.worker
        with closing(worker.views):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_obey, leash, lines, node.system, commands, nursery.cancel_scope)
                nursery.start_soon(worker.journal.run, name="journal")
                await worker.views.open_all(worker.shard.fold.moves.views)
                await nursery.start(node.node.run, name="mesh")
                await worker.journal.durable()
                start_upkeep(nursery, node.system)
                interpreter.settle()
                await leash.send(
                    Recovered(worker.shard.statistics().instances, worker.replayed_records)
                )
                await _serve(leash, node, begin, commands)
                await flush(worker, settings.service.drain_deadline_s)
                nursery.cancel_scope.cancel()
    _log.info("stopped")


async def _serve(leash: Leash, node: Worker, begin: Begin, commands: _Commands) -> None:
    """Serves from the word to the word; the mesh goes on, because the other workers may still need this one."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_listen, leash, node, begin, commands)
        await commands.drain.wait()
        if not commands.serve.is_set():
            nursery.cancel_scope.cancel()
    await leash.send(Drained())
    await commands.stop.wait()


async def _listen(leash: Leash, node: Worker, begin: Begin, commands: _Commands) -> None:
    await commands.serve.wait()
    peers = (peer for peer in range(begin.workers) if peer != begin.index)
    await node.meet(peers, PEERS_WAIT_S)
    bound = {}
    if begin.gateway is not None:
        tls = tls_files("gateway", begin.settings.gateway)
        bound["gateway"] = listen("gateway", begin.gateway, tls)
    async with trio.open_nursery() as nursery:

        def say(_line: str) -> None:
            nursery.start_soon(leash.send, Serving())

        await serve_listeners(node.system, {"gateway": begin.gateway}, bound, say, commands.drain)


async def _obey(
    leash: Leash,
    lines: AsyncIterator[Message],
    system: System,
    commands: _Commands,
    life: trio.CancelScope,
) -> None:
    """Takes the server's word; its end is the end."""
    async for message in lines:
        match message:
            case Serve():
                commands.serve.set()
            case Drain():
                commands.drain.set()
            case Stop():
                commands.drain.set()
                commands.stop.set()
            case Ask(number, subject):
                await leash.send(Told(number, _told(system, subject)))
            case _:
                raise TypeError(f"the server said {message}")
    _log.warning("the server is gone")
    life.cancel()


def _told(system: System, subject: str) -> str | None:
    match subject:
        case "report":
            return msgspec.json.encode(figures_of(system.worker)).decode()
        case "metrics":
            return system.telemetry.text().decode()
    return None
