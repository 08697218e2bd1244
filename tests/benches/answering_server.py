"""A small HTTP/1.1 server on a thread, for the generator's tests: what it answers is the test's to say."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httptools

Reply = Callable[[int, bytes], bytes | None]
"""Given the number of the request and its body: the bytes to send; None closes the connection without an answer."""


class _Request:
    def __init__(self) -> None:
        self.body = b""
        self.complete: list[bytes] = []

    def on_message_begin(self) -> None:
        self.body = b""

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete.append(self.body)


class AnsweringServer:
    """Serves each connection on a thread; `bodies` holds every request that came, in order of arrival."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self.bodies: list[bytes] = []
        self.connections = 0
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(accepted,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, accepted: socket.socket) -> None:
        request = _Request()
        parser = httptools.HttpRequestParser(request)
        with accepted:
            while data := accepted.recv(65_536):
                parser.feed_data(data)
                for body in request.complete:
                    with self._lock:
                        number = len(self.bodies)
                        self.bodies.append(body)
                    answer = self._reply(number, body)
                    if answer is None:
                        return
                    accepted.sendall(answer)
                    if b"Connection: close" in answer:
                        return
                request.complete.clear()


def answer(status: int = 200, body: bytes = b"[]", *headers: str) -> bytes:
    """A complete answer."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextmanager
def answering(reply: Reply) -> Iterator[AnsweringServer]:
    """The server inside the block."""
    server = AnsweringServer(reply)
    try:
        yield server
    finally:
        server.close()
