"""The life of the feed's process: join the mesh, read the journals, tell the world; each step when the server says so.

It ends at once where the server is gone, and with an exit status of 1 where its store fails: the server starts it
again, and it goes on where it stood. At a stop it closes its sockets first, and keeps what the journals still tell.
"""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from pathlib import Path

import structlog
import trio

from jackpotd.service import interpreter
from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.feed_wiring import FeedSystem, build_feed
from jackpotd.service.leash import (
    Ask,
    BeginFeed,
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
from jackpotd.service.storage import fitting_feed, journals, opened_feed
from jackpotd.service.telemetry import Telemetry, configure_logs

METRICS_TIMEOUT_S = 5.0
WORKERS_WAIT_S = 2.0
CATCH_UP_POLL_S = 0.01

_log = structlog.get_logger("jackpotd.feed")


class _Commands:
    """What the server has said so far."""

    def __init__(self) -> None:
        self.serve = trio.Event()
        self.drain = trio.Event()
        self.stop = trio.Event()


async def run_feed(end: socket.socket) -> None:
    """Is the feed until the server says that it is enough, or is gone.

    Raises:
        FeedUnusable: what the feed keeps does not fit the journals, or cannot be opened.
        StorageError: the store or a journal does not take writes or reads any more.
        ListenerError: Connect's address cannot be listened on.
    """
    interpreter.prepare()
    leash = Leash(end)
    async with aclosing(leash.lines()) as lines:
        begin = await anext(lines, None)
        if not isinstance(begin, BeginFeed):
            return
        structlog.contextvars.bind_contextvars(worker="feed")
        configure_logs(begin.settings.log)
        for name in ("httpx", "httpcore"):  # they log each request, with its whole URL
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            await _live(leash, lines, begin)
        except* LeashBroken:
            _log.warning("the server is gone")


async def _live(leash: Leash, lines: AsyncIterator[Message], begin: BeginFeed) -> None:
    settings, commands = begin.settings, _Commands()
    data, telemetry = DataDirectory(Path(settings.service.data_dir)), Telemetry("feed")

    async def metrics() -> bytes:
        """Those of all nodes; the server asks them."""
        text = await leash.ask("metrics", timeout_s=METRICS_TIMEOUT_S)
        return telemetry.text() if text is None else text.encode()

    with opened_feed(settings, data) as store, closing(journals(settings, data)) as readers:
        system = build_feed(begin, data, store, readers, metrics, telemetry)
        with fitting_feed(data):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_obey, leash, lines, telemetry, commands, nursery.cancel_scope)
                await nursery.start(system.node.run, name="mesh")
                await system.node.meet(WORKERS_WAIT_S)
                await system.start(nursery)
                interpreter.settle()
                await leash.send(Recovered(len(system.node.catalog.instances), 0))
                await _serve(leash, system, commands)
                with trio.move_on_after(settings.service.drain_deadline_s):
                    await _catch_up(system)
                nursery.cancel_scope.cancel()
    _log.info("stopped")


async def _serve(leash: Leash, system: FeedSystem, commands: _Commands) -> None:
    """Serves from the word to the word; the journals are read on until the server says stop."""
    async with trio.open_nursery() as serving:
        serving.start_soon(_cancel_unless_serving, commands, serving.cancel_scope)
        await commands.serve.wait()
        await system.serve(serving, commands.drain)
        await leash.send(Serving())
    await leash.send(Drained())
    await commands.stop.wait()


async def _cancel_unless_serving(commands: _Commands, scope: trio.CancelScope) -> None:
    """A stop that comes before the first word of serving needs no draining."""
    await commands.drain.wait()
    if not commands.serve.is_set():
        scope.cancel()


async def _catch_up(system: FeedSystem) -> None:
    """Until everything that the journals hold has been looked at."""
    while not system.has_caught_up():  # noqa: ASYNC110 - the journals are other processes': nothing tells of a record
        await trio.sleep(CATCH_UP_POLL_S)


async def _obey(
    leash: Leash,
    lines: AsyncIterator[Message],
    telemetry: Telemetry,
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
                text = telemetry.text().decode() if subject == "metrics" else None
                await leash.send(Told(number, text))
            case _:
                raise TypeError(f"the server said {message}")
    _log.warning("the server is gone")
    life.cancel()
