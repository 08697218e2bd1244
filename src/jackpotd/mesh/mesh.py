"""A node's connections to all others: who is up, what is sent to whom, and who handles what arrives.

Each pair of nodes has one connection; the node with the higher number opens it, again and again until it stands. Up and
down are told on both sides; a peer that connects anew is down first, so that nothing of the old connection comes after.
"""

import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
import trio
import trio.lowlevel

from jackpotd.mesh import EDGE, FEED, limits
from jackpotd.mesh.link import Callback, Link, Unreached
from jackpotd.wire.mesh_messages import Hello, Message

LISTEN_BACKLOG = 128

_log = structlog.get_logger("jackpotd.mesh")

M = TypeVar("M", bound=Message)
Handler = Callable[["Asked", Any], None]


class Asked:
    """A message that has arrived: who sent it, and the way back."""

    __slots__ = ("_link", "_number", "peer")

    def __init__(self, link: Link, number: int, peer: int) -> None:
        self._link = link
        self._number = number
        self.peer = peer

    @property
    def is_cut(self) -> bool:
        """Whether the connection that it came by is over."""
        return self._link.is_cut

    def answer(self, message: Message) -> None:
        """Answers once, at once or later; into the void where the connection is over or nothing was asked."""
        if self._number and not self._link.is_cut:
            self._link.answer(self._number, message)


def socket_path(directory: Path, node: int) -> Path:
    """Where a node listens."""
    named = {EDGE: "edge.sock", FEED: "feed.sock"}
    return directory / named.get(node, f"worker-{node}.sock")


def _connected(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


class Mesh:
    """One node among its peers.

    Args:
        node: its number; `EDGE` or a worker's.
        directory: where the nodes listen; private, with a short path.
        connects_to: the nodes with lower numbers. Those with higher ones connect by themselves.
    """

    def __init__(self, node: int, directory: Path, connects_to: Sequence[int]) -> None:
        self.node = node
        self._directory = directory
        self._connects_to = tuple(connects_to)
        self._links: dict[int, Link] = {}
        self._handlers: dict[type, Handler] = {Hello: self._greeted}
        self._on_up: list[Callable[[int], None]] = []
        self._on_down: list[Callable[[int], None]] = []
        self._nursery: trio.Nursery | None = None

    def handle(self, kind: type[M], handler: Callable[[Asked, M], None]) -> None:
        """Who takes messages of a kind; must not raise but for a defect, which stops the node."""
        self._handlers[kind] = handler

    def handle_slowly(self, kind: type[M], handler: Callable[[int, M], Awaitable[Message]]) -> None:
        """The same for what has to wait; it costs a task for each message."""

        async def serve(asked: Asked, message: M) -> None:
            asked.answer(await handler(asked.peer, message))

        def start(asked: Asked, message: M) -> None:
            assert self._nursery is not None  # noqa: S101 - narrows the type; messages arrive while it runs
            self._nursery.start_soon(serve, asked, message)

        self._handlers[kind] = start

    def on_up(self, callback: Callable[[int], None]) -> None:
        """Told each node that has come up, before anything that it sends."""
        self._on_up.append(callback)

    def on_down(self, callback: Callable[[int], None]) -> None:
        """Told each node that has gone down, before the questions to it are called back."""
        self._on_down.append(callback)

    def is_up(self, node: int) -> bool:
        return node in self._links

    def up(self) -> list[int]:
        """The nodes that are connected."""
        return sorted(self._links)

    def cut(self, node: int) -> None:
        """Ends the connection to a node; whoever opened it opens another one."""
        link = self._links.get(node)
        if link is not None:
            link.cut()

    def post(self, node: int, message: Message) -> bool:
        """Sends what needs no answer; whether the node is connected."""
        link = self._links.get(node)
        if link is None:
            return False
        link.post(message)
        return True

    def ask(self, node: int, message: Message, callback: Callback) -> None:
        """Calls back with the node's answer, or with the reason why there is none; at once where it is not asked."""
        link = self._links.get(node)
        if link is None:
            callback(Unreached.ABSENT)
        else:
            link.ask(message, callback)

    async def question(self, node: int, message: Message) -> Message | Unreached:
        """`ask`, for a task that waits for the answer."""
        event = trio.Event()
        found: list[Message | Unreached] = []

        def told(answer: Message | Unreached) -> None:
            found.append(answer)
            event.set()

        self.ask(node, message, told)
        await event.wait()
        return found[0]

    async def all_answered(self, nodes: Iterable[int], message: Message) -> None:
        """Asks several nodes; returns when each has answered or is gone, and cuts those that take too long."""
        waiting, done = set(nodes), trio.Event()

        def told(node: int, _: Message | Unreached) -> None:
            waiting.discard(node)
            if not waiting:
                done.set()

        for node in list(waiting):
            self.ask(node, message, partial(told, node))
        if waiting:
            with trio.move_on_after(limits.ANSWER_DEADLINE_S):
                await done.wait()
        for node in list(waiting):
            _log.warning("a node does not answer", node=node)
            self.cut(node)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listens and connects until cancelled."""
        path = socket_path(self._directory, self.node)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with listener:
            listener.setblocking(False)
            listener.bind(os.fspath(path))
            listener.listen(LISTEN_BACKLOG)
            try:
                async with trio.open_nursery() as self._nursery:
                    for node in self._connects_to:
                        self._nursery.start_soon(self._connect, node)
                    task_status.started()
                    await self._accept(listener, self._nursery)
            finally:
                path.unlink(missing_ok=True)

    async def _accept(self, listener: socket.socket, nursery: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue
            except OSError as error:
                if error.errno not in limits.OUT_OF_RESOURCES:
                    raise
                _log.error("a node cannot connect", reason=error.strerror)
                await trio.sleep(limits.RESOURCES_DELAY_S)
            else:
                nursery.start_soon(self._serve, connection)

    async def _connect(self, node: int) -> None:
        """Keeps the connection to a node, as well as it can."""
        path, delay_s = os.fspath(socket_path(self._directory, node)), limits.RECONNECT_DELAY_S
        while True:
            try:
                connection = _connected(path)
            except (
                OSError
            ):  # nobody is there, or too many connect at once, or there is no descriptor left
                await trio.sleep(delay_s)
                delay_s = min(2 * delay_s, limits.RECONNECT_DELAY_S_MAX)
            else:
                await self._serve(connection)
                delay_s = limits.RECONNECT_DELAY_S
                await trio.sleep(delay_s)

    async def _serve(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        link = Link(connection, self)
        link.post(Hello(self.node))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._await_hello, link)
            await link.run()
            nursery.cancel_scope.cancel()

    async def _await_hello(self, link: Link) -> None:
        await trio.sleep(limits.HELLO_DEADLINE_S)
        if link.peer is None:
            _log.warning("a connection that does not say who it is")
            link.cut()

    def received(self, link: Link, number: int, message: Message) -> None:
        """Takes a message from a connection."""
        peer = link.peer
        if peer is None:
            if not isinstance(message, Hello):
                raise limits.FrameError("the first message is no hello")
            peer = link.peer = message.node
        self._handlers[type(message)](Asked(link, number, peer), message)

    def _greeted(self, asked: Asked, hello: Hello) -> None:
        link = asked._link  # noqa: SLF001 - the mesh's own
        before = self._links.get(hello.node)
        if before is not None:
            before.cut()
        self._links[hello.node] = link
        for callback in self._on_up:
            callback(hello.node)

    def gone(self, link: Link) -> None:
        """A connection is over."""
        if link.peer is not None and self._links.get(link.peer) is link:
            del self._links[link.peer]
            for callback in self._on_down:
                callback(link.peer)
