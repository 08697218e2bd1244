"""Answers as bytes."""

from http import HTTPStatus

from jackpotd.edge.exchange import Outgoing

STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus
}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE = "Connection: close\r\n"
KEEP_ALIVE_1_0 = "Connection: keep-alive\r\n"
_BODILESS = frozenset({204, 304})


def rendered(outgoing: Outgoing, connection: str) -> bytes:
    """An answer with what belongs to its connection.

    Raises:
        ValueError: a header would break out of its line, or cannot be encoded.
    """
    head = STATUS_LINES[outgoing.status]
    headers = outgoing.headers
    for name, value in headers:
        head += f"{name}: {value}\r\n"
    if outgoing.status in _BODILESS:
        head += f"{connection}\r\n"
        body = b""
        lines = len(headers) + 2
    else:
        body = outgoing.body
        head += f"{connection}Content-Length: {len(body)}\r\n\r\n"
        lines = len(headers) + 3
    if connection:
        lines += 1
    if head.count("\n") != lines or head.count("\r") != lines:
        raise ValueError("a header has a line break in it")
    return head.encode("latin-1") + body
