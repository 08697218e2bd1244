"""Answers are read right wherever the network cuts them."""

import pytest

from bench.generator.http1 import BadAnswer, answer_at

PLAIN = b"HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 5\r\n\r\nhello"
EMPTY = b"HTTP/1.1 204 No Content\r\nx-trace-id: 1\r\n\r\n"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3\r\nhel\r\n2;name=value\r\nlo\r\n0\r\n\r\n"
)


@pytest.mark.parametrize(
    ("data", "status", "body"),
    [(PLAIN, 200, b"hello"), (EMPTY, 204, b""), (CHUNKED, 200, b"hello")],
)
def test_answer_is_complete_at_its_last_byte_and_not_before(
    data: bytes, status: int, body: bytes
) -> None:
    """Every cut is tried; what follows is not touched."""
    assert [answer_at(data[:end], 0) for end in range(len(data))] == [None] * len(data)
    assert answer_at(data, 0) == (status, body, len(data), False)
    assert answer_at(b"before" + data + PLAIN, 6) == (status, body, len(data) + 6, False)


def test_last_answer_of_a_connection_is_known() -> None:
    """A server that closes says so."""
    closing = PLAIN.replace(b"Date: today", b"Connection: close")

    assert answer_at(closing, 0) == (200, b"hello", len(closing), True)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno-length: 1\r\n\r\n",
        CHUNKED.replace(b"hel\r\n", b"helm\r"),
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    """A generator that guesses would count what never was."""
    with pytest.raises(BadAnswer):
        answer_at(data, 0)
