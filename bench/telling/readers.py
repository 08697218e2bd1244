"""Readers of WebSockets by the thousand, in one thread: an epoll, sockets that never block, and frames split by hand.

What comes is split and counted, and hardly looked at, so that the readers take little time from what is measured beside
them. Pings are answered.
"""

import select
import socket
import time
from collections.abc import Callable, Iterable

_READ = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR
_RECEIVE_BYTES = 262_144
_EVENTS_MAX = 4096
_MASK = b"\x00\x00\x00\x00"  # a mask that changes nothing
_TEXT, _CLOSE, _PING = 0x1, 0x8, 0x9
_PONG = b"\x8a\x80" + _MASK
_POLL_S = 0.05
OPENING_MAX = 256
"""Handshakes under way at once."""

Heard = Callable[[bytes], None]


class ReadersFailed(Exception):
    """A server refuses a reader, or does not answer it; the message says how."""


class _Reader:
    """One connection: what has come of a frame that is not whole yet."""

    __slots__ = ("hello", "is_open", "rest", "sock")

    def __init__(self, sock: socket.socket, hello: bytes) -> None:
        self.sock = sock
        self.hello = hello
        self.rest = b""
        self.is_open = False


class Readers:
    """All connections to one address.

    Args:
        host, port: where the server listens.
        heard: called with each text message; without it messages are only counted.
    """

    def __init__(self, host: str, port: int, heard: Heard | None = None) -> None:
        self._address = (host, port)
        self._heard = heard
        self._epoll = select.epoll()
        self._readers: dict[int, _Reader] = {}
        self._opening = 0
        self.messages = 0
        self.bytes = 0
        self.closed = 0

    @property
    def count(self) -> int:
        return len(self._readers)

    def open(self, requests: Iterable[tuple[str, bytes]], timeout_s: float) -> None:
        """Opens a connection for each request target, and sends each its first frame after the handshake.

        Raises:
            ReadersFailed: one is refused, or they are not all open in time.
        """
        deadline, wanted = time.monotonic() + timeout_s, self.count
        for target, hello in requests:
            self._connect(target, hello)
            wanted += 1
            while self._opening >= OPENING_MAX:
                self._turn(deadline)
        while self._opening:
            self._turn(deadline)
        if self.count != wanted:
            raise ReadersFailed(f"{wanted - self.count} readers of {wanted} were closed")

    def read_until(self, is_done: Callable[[], bool], timeout_s: float) -> None:
        """Reads what comes until it is enough, or the time is over.

        Raises:
            ReadersFailed: the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while not is_done():
            self._turn(deadline)

    def read_for(self, seconds: float) -> None:
        """Reads what comes within a time."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._poll(left)

    def close(self) -> None:
        for reader in self._readers.values():
            reader.sock.close()
        self._readers.clear()
        self._epoll.close()

    def _turn(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise ReadersFailed(
                f"{self._opening} handshakes do not end; {self.messages} messages came"
            )
        self._poll(_POLL_S)

    def _connect(self, target: str, hello: bytes) -> None:
        sock = socket.create_connection(self._address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host, port = self._address
        sock.sendall(
            f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        sock.setblocking(False)
        self._readers[sock.fileno()] = _Reader(sock, hello)
        self._epoll.register(sock.fileno(), _READ)
        self._opening += 1

    def _poll(self, timeout_s: float) -> None:
        for fd, _ in self._epoll.poll(timeout_s, _EVENTS_MAX):
            reader = self._readers[fd]
            try:
                data = reader.sock.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if data:
                self._take(reader, data)
            else:
                self._lose(fd, reader)

    def _lose(self, fd: int, reader: _Reader) -> None:
        self._epoll.unregister(fd)
        del self._readers[fd]
        reader.sock.close()
        self.closed += 1
        if not reader.is_open:
            raise ReadersFailed("the server ends the connection during the handshake")

    def _take(self, reader: _Reader, data: bytes) -> None:
        self.bytes += len(data)
        if reader.rest:
            data = reader.rest + data
        if not reader.is_open:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                reader.rest = head
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                raise ReadersFailed(f"refused: {head[:40]!r} {data[:200]!r}")
            reader.is_open = True
            self._opening -= 1
            if reader.hello:
                reader.sock.sendall(text_frame(reader.hello))
        self._split(reader, data)

    def _split(self, reader: _Reader, data: bytes) -> None:
        """Whole frames are heard; the rest is kept."""
        at, size = 0, len(data)
        while size - at >= 2:
            begin, length = at + 2, data[at + 1]
            if length == 126:
                begin, length = at + 4, int.from_bytes(data[at + 2 : at + 4], "big")
            elif length == 127:
                begin, length = at + 10, int.from_bytes(data[at + 2 : at + 10], "big")
            if begin + length > size:
                break
            opcode = data[at] & 0x0F
            if opcode == _TEXT:
                self.messages += 1
                if self._heard is not None:
                    self._heard(data[begin : begin + length])
            elif opcode == _PING:
                reader.sock.send(_PONG)
            at = begin + length
        reader.rest = data[at:]


def text_frame(message: bytes) -> bytes:
    """A client's text frame, of up to 65,535 bytes."""
    if len(message) < 126:
        return bytes((0x81, 0x80 | len(message))) + _MASK + message
    return bytes((0x81, 0xFE)) + len(message).to_bytes(2, "big") + _MASK + message
