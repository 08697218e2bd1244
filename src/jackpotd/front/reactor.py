"""Plain TCP connections without a task each: one task, one nested epoll, and sockets that never block.

Waking a task and Trio's own socket calls cost more than everything else about a small request, so both happen once for
all connections that are ready together.
"""

import errno
import select
import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

import trio

from jackpotd.front.connections import Connections
from jackpotd.front.http1 import Http1
from jackpotd.front.rendering import CLOSE, rendered
from jackpotd.front.site import Site, log
from jackpotd.wire.errors import RequestRefused

_READ, _WRITE = select.EPOLLIN, select.EPOLLOUT
_GONE = select.EPOLLHUP | select.EPOLLERR
_EVENTS_MAX = 16_384
_STRETCH = 256  # connections that are served before others have their turn, and a commit may begin
_STRETCHES = (
    8  # of a crowd between two looks at who has come, which cost a while where thousands wait
)
_REFUSED_MAX = 128  # that many refusals take about a tenth of the time of a stretch
_ACCEPTS_MAX = 256
_LINGERING_MAX = 1024
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Give = Callable[[socket.socket, bytes, bytes], None]
"""Takes a socket that the reactor does not keep, with the bytes that were read from it, and a WebSocket's path."""


class PlainConnection:
    """A socket of the reactor, and the port of its protocol."""

    __slots__ = (
        "_is_closing",
        "_out",
        "_reactor",
        "events",
        "fd",
        "has_ended",
        "lingered_bytes",
        "protocol",
        "receive",
        "sent_bytes",
        "sock",
        "unsent_bytes",
    )

    is_tls = False

    def __init__(self, reactor: "Reactor", sock: socket.socket) -> None:
        self._reactor = reactor
        self.sock = sock
        self.fd = sock.fileno()
        self.receive = sock.recv
        self.events = _READ
        self._out: list[bytes] = []
        self._is_closing = False
        self.has_ended = False
        self.lingered_bytes = 0
        self.unsent_bytes = 0
        self.sent_bytes = 0
        self.protocol = Http1(reactor.site, self)

    def client(self) -> tuple[str, int] | None:
        return _address(self.sock.getpeername)

    def server(self) -> tuple[str, int] | None:
        return _address(self.sock.getsockname)

    def write(self, data: bytes) -> None:
        if self.unsent_bytes:
            self._out.append(data)
            self.unsent_bytes += len(data)
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._reactor.lose(self)
            return
        if sent < len(data):
            self._out.append(data[sent:])
            self.unsent_bytes = len(data) - sent
            self._watch(self.events | _WRITE)

    def on_writable(self) -> None:
        """The client takes more."""
        data = b"".join(self._out)
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            return
        except OSError:
            self._reactor.lose(self)
            return
        self.sent_bytes += sent
        self.unsent_bytes = len(data) - sent
        self._out = [data[sent:]] if self.unsent_bytes else []
        if self.unsent_bytes:
            return
        self._watch(self.events & ~_WRITE)
        if self._is_closing:
            self._end()
        else:
            self.protocol.on_drained()

    def close(self) -> None:
        if self._is_closing or self.fd < 0:
            return
        self._is_closing = True
        self._reactor.connections.closing()
        self._watch(self.events | _READ)
        if not self.unsent_bytes:
            self._end()

    @property
    def is_lingering(self) -> bool:
        return self._is_closing

    def _end(self) -> None:
        """Everything is sent; a close with unread bytes would take the answer back from the client."""
        if self.has_ended or self._reactor.is_stopped:
            self._reactor.lose(self)
            return
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        self._reactor.lose(self)

    def pause(self) -> None:
        self._watch(self.events & ~_READ)

    def resume(self) -> None:
        if not self.has_ended:
            self._watch(self.events | _READ)

    def _watch(self, events: int) -> None:
        if events != self.events and self.fd >= 0:
            self.events = events
            self._reactor.epoll.modify(self.fd, events)

    def soon(self) -> None:
        self._reactor.connections.soon(self)

    def hand_over(self, data: bytes, socket_path: bytes = b"") -> None:
        self._reactor.release(self)
        self._reactor.give(self.sock, data, socket_path)

    def on_end(self) -> None:
        """The client sends no more."""
        self.has_ended = True
        self.pause()
        if self._is_closing and not self.unsent_bytes:
            self._reactor.lose(self)
        elif self.protocol.eof():
            self._reactor.connections.ended(self)


def _address(name: Callable[[], tuple[str, int]]) -> tuple[str, int] | None:
    try:
        return name()[:2]
    except OSError:
        return None


class Reactor:
    """Accepts, reads and writes for one listening socket until it is cancelled."""

    def __init__(
        self, site: Site, listener: socket.socket, connections: Connections, give: Give
    ) -> None:
        self.site = site
        self.connections = connections
        self.give = give
        self.is_stopped = False
        self.epoll = select.epoll()
        self._give_new: Give | None = None
        self._by_fd: dict[int, PlainConnection] = {}
        self._crowd: OrderedDict[PlainConnection, int] = OrderedDict()
        self._receive_bytes_max = site.limits.receive_bytes_max
        self._listener = listener
        self._is_accepting = False
        listener.setblocking(False)

    def give_new_to(self, give: Give) -> None:
        """Has new connections served elsewhere: those of a listener with TLS."""
        self._give_new = give

    async def run(self) -> None:
        """Serves; closes every connection that it still has when it is cancelled."""
        self.start_accepting()
        epoll = self.epoll
        poll, crowd = epoll.poll, self._crowd
        try:
            while True:
                events = poll(0, _EVENTS_MAX)
                if crowd or len(events) > _STRETCH:
                    await self._serve_crowd(events)
                elif events:
                    has_new = False
                    for fd, event in events:
                        connection = self._by_fd.get(fd)
                        if connection is None:
                            has_new = True
                        else:
                            self._serve(connection, event)
                    if has_new:
                        self._accept()  # last: no event of a closed socket meets a new one of its number
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.lowlevel.wait_readable(epoll.fileno())
        finally:
            for connection in list(self._by_fd.values()):
                self.lose(connection)
            epoll.close()

    async def _serve_crowd(self, events: list[tuple[int, int]]) -> None:
        """Serves a crowd from its head, a stretch at a time, and refuses the last who are too many.

        Who waits in a socket waits for us as well, and where more wait than there is room for, the last of them, who
        have waited least, are told so at once. What a refusal costs is taken from the good work that is left, so in a
        turn there are only so many; whoever is neither served nor refused goes on waiting, in his place.
        """
        crowd, entrance = self._crowd, self.site.entrance
        for fd, event in events:
            if (connection := self._by_fd.get(fd)) is not None:
                crowd[connection] = event  # keeps its place if it has one
        for _ in range(_STRETCHES):
            entrance.is_shut = True
            self._serve_some(min(len(crowd) - entrance.room(), _REFUSED_MAX), are_last=True)
            entrance.is_shut = False
            self._serve_some(_STRETCH, are_last=False)
            self._accept()  # tried unseen: the listener has no place in a crowd
            await trio.lowlevel.checkpoint()
            if not crowd:
                break

    def _serve_some(self, count: int, *, are_last: bool) -> None:
        crowd = self._crowd
        for _ in range(count):
            if not crowd:
                return
            connection, event = crowd.popitem(last=are_last)
            # It may have been paused since it was seen, by an answer to another request of its own.
            self._serve(connection, event & (connection.events | _GONE))

    def _serve(self, connection: PlainConnection, event: int) -> None:
        """Reads and writes where that is possible."""
        try:
            if event & _READ:
                try:
                    data = connection.receive(self._receive_bytes_max)
                except BlockingIOError:
                    return
                if data and not connection.is_lingering:
                    connection.protocol.feed(data)
                elif data:
                    self._discard(connection, data)
                else:
                    connection.on_end()
            elif event & _GONE:
                self.lose(connection)
                return
            if event & _WRITE and connection.fd >= 0:
                connection.on_writable()
        except OSError:
            self.lose(connection)
        except Exception:  # noqa: BLE001 - a connection fails alone
            log.exception("a connection has failed", listener=self.site.name)
            self.lose(connection)

    def _discard(self, connection: PlainConnection, data: bytes) -> None:
        connection.lingered_bytes += len(data)
        if connection.lingered_bytes > self.site.limits.linger_bytes_max:
            self.lose(connection)

    # -- connections come and go

    def start_accepting(self) -> None:
        """Takes connections, also again after it was out of descriptors."""
        if not self._is_accepting and not self.site.is_stopping:
            self._is_accepting = True
            self.epoll.register(self._listener.fileno(), _READ)

    def stop_accepting(self) -> None:
        if self._is_accepting:
            self._is_accepting = False
            self.epoll.unregister(self._listener.fileno())

    def _accept(self) -> None:
        if not self._is_accepting:
            return
        for _ in range(_ACCEPTS_MAX):
            try:
                sock, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    # The sweep tries again: a listener that stays readable would keep the loop busy.
                    log.error("no connection can be accepted", reason=error.strerror)
                    self.stop_accepting()
                    return
                continue  # this client went before it was accepted
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._take(sock)
            except OSError as error:
                log.error("a connection cannot be served", reason=error.strerror)
                sock.close()

    def _take(self, sock: socket.socket) -> None:
        count = self.connections.count
        is_full = count >= self.site.limits.connections_max
        if is_full and (
            self._give_new is not None or count >= self.site.limits.connections_max + _LINGERING_MAX
        ):
            sock.close()  # before TLS there is nobody to talk to
        elif self._give_new is not None:
            self._give_new(sock, b"", b"")
        else:
            connection = PlainConnection(self, sock)
            self.epoll.register(connection.fd, _READ)
            self._by_fd[connection.fd] = connection
            self.connections.add(connection)
            if is_full:
                refused = RequestRefused("OVERLOADED", "there are too many connections", status=503)
                connection.write(rendered(self.site.refusal(refused), CLOSE))
                connection.close()

    def release(self, connection: PlainConnection) -> None:
        """Forgets a connection, and leaves its socket open."""
        if connection.fd >= 0:
            self.epoll.unregister(connection.fd)
            del self._by_fd[connection.fd]
            self._crowd.pop(connection, None)
            connection.fd = -1
            self.connections.remove(connection)

    def lose(self, connection: PlainConnection) -> None:
        """Closes a connection; what it was still doing is told."""
        if connection.fd < 0:
            return
        self.release(connection)
        connection.sock.close()
        connection.unsent_bytes = 0
        connection.protocol.lost()
