"""Requests that look odd and are right: strictness must not turn good clients away.

Where the standard leaves a server the choice, these tests take either, but nothing in between: a
request that is accepted is understood as the standard says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from .malformed import UNKNOWN_METHOD, V2_LINE
from .raw import RawConnection, chunked
from .stage import V2, encoded, unique, v2

if TYPE_CHECKING:
    from collections.abc import Callable

    from .stage import Stage

    Make = Callable[[Stage, bytes], bytes]

CHUNKED: Final = b"Transfer-Encoding: chunked"
TEN: Final = b"HTTP/1.0"
CUT: Final = 26  # 1a: a chunk size with a letter in it


def sized(
    stage: Stage,
    body: bytes,
    *lines: bytes,
    line: bytes = V2_LINE,
    host: bytes | None = None,
    length: bytes = b"Content-Length: %d",
) -> bytes:
    if b"%d" in length:
        length %= len(body)
    return stage.head(length, *lines, request_line=line, host=host) + body


def in_chunks(stage: Stage, payload: bytes, *lines: bytes) -> bytes:
    return stage.head(CHUNKED, *lines) + payload


def two_chunks(body: bytes, size: bytes, last: bytes = b"0\r\n\r\n") -> bytes:
    """The body in two chunks, the first with its size as it is spelled here."""
    rest = body[CUT:]
    return size + b"\r\n" + body[:CUT] + b"\r\n%x\r\n" % len(rest) + rest + b"\r\n" + last


def path_line(target: bytes) -> bytes:
    return b"POST " + target + b" HTTP/1.1"


def absolute(stage: Stage) -> bytes:
    return b"http://" + stage.host + V2.encode()


GOOD: Final[dict[str, Make]] = {
    "chunk size in lower case": lambda s, b: in_chunks(s, two_chunks(b, b"1a")),
    "chunk size in upper case": lambda s, b: in_chunks(s, two_chunks(b, b"1A")),
    "chunk size with zeros": lambda s, b: in_chunks(s, two_chunks(b, b"0001a")),
    "a chunk for each byte": lambda s, b: in_chunks(
        s, chunked(*(b[i : i + 1] for i in range(len(b))))
    ),
    "chunk extension": lambda s, b: in_chunks(s, two_chunks(b, b"1a;name=value")),
    "chunk extension without value": lambda s, b: in_chunks(s, two_chunks(b, b"1a;name")),
    "quoted chunk extension": lambda s, b: in_chunks(s, two_chunks(b, b'1a;name="a; b"')),
    "several chunk extensions": lambda s, b: in_chunks(s, two_chunks(b, b"1a;a;b=c;d=e")),
    "long last chunk": lambda s, b: in_chunks(s, two_chunks(b, b"1a", b"0000\r\n\r\n")),
    "extension of the last chunk": lambda s, b: in_chunks(
        s, two_chunks(b, b"1a", b"0;a=b\r\n\r\n")
    ),
    "trailers": lambda s, b: in_chunks(
        s, two_chunks(b, b"1a", b"0\r\nX-Checksum: 1\r\nX-Other:\r\n\r\n"), b"Trailer: X-Checksum"
    ),
    "coding in upper case": lambda s, b: s.head(b"TRANSFER-ENCODING: CHUNKED") + chunked(b),
    "coding after a tab": lambda s, b: s.head(b"Transfer-Encoding:\tchunked") + chunked(b),
    "coding without a space": lambda s, b: s.head(b"Transfer-Encoding:chunked") + chunked(b),
    "length after spaces": lambda s, b: sized(s, b, length=b"Content-Length:  \t %d \t "),
    "length without a space": lambda s, b: sized(s, b, length=b"Content-Length:%d"),
    "names in lower case": lambda s, b: sized(s, b, length=b"content-length: %d").replace(
        b"Host", b"host"
    ),
    "names in upper case": lambda s, b: sized(s, b, length=b"CONTENT-LENGTH: %d").replace(
        b"Host", b"HOST"
    ),
    "names in mixed case": lambda s, b: sized(s, b).replace(b"Authorization", b"aUTHORIZATION"),
    "empty value": lambda s, b: sized(s, b, b"X-Empty:", b"X-Blank:   "),
    "value with a tab": lambda s, b: sized(s, b, b"X: a\tb"),
    "value beyond ASCII": lambda s, b: sized(s, b, b"X: \x80\xff", "X-Name: żółć".encode()),
    "value with a colon": lambda s, b: sized(s, b, b"X: a: b: c", b"Y: :"),
    "name of odd characters": lambda s, b: sized(s, b, b"!#$%&'*+-.^_`|~09aZ: y"),
    "names with underscores": lambda s, b: sized(
        s, b, b"Transfer_Encoding: chunked", b"Content_Length: 0"
    ),
    "the same header twice": lambda s, b: sized(s, b, b"X: a", b"X: b", b"X: a"),
    "many headers": lambda s, b: sized(s, b, *(b"X-%d: %d" % (i, i) for i in range(60))),
    "long header": lambda s, b: sized(s, b, b"X: " + b"a" * 4000),
    "TE": lambda s, b: sized(s, b, b"TE: trailers, deflate;q=0.5", b"Connection: TE"),
    "empty line before": lambda s, b: b"\r\n" + sized(s, b),
    "query": lambda s, b: sized(s, b, line=path_line(V2.encode() + b"?a=b&c=%20?/")),
    "empty query": lambda s, b: sized(s, b, line=path_line(V2.encode() + b"?")),
    "long target": lambda s, b: sized(s, b, line=path_line(V2.encode() + b"?" + b"a" * 4000)),
    "escaped path": lambda s, b: sized(s, b, line=path_line(V2.encode().replace(b"b", b"%62"))),
    "absolute form": lambda s, b: sized(s, b, line=path_line(absolute(s))),
    "absolute form with a query": lambda s, b: sized(s, b, line=path_line(absolute(s) + b"?a=b")),
    "absolute form in upper case": lambda s, b: sized(
        s, b, line=path_line(b"HTTP" + absolute(s)[4:])
    ),
    "another host": lambda s, b: sized(s, b, host=b"jackpots.example"),
    "host with a port": lambda s, b: sized(s, b, host=b"jackpots.example:8084"),
    "host with an empty port": lambda s, b: sized(s, b, host=b"jackpots.example:"),
    "host of IPv6": lambda s, b: sized(s, b, host=b"[2001:db8::1]:8084"),
    "host in upper case": lambda s, b: sized(s, b, host=b"Jackpots.EXAMPLE"),
    "HTTP/1.0 with a host": lambda s, b: sized(s, b, line=V2_LINE[:-8] + TEN),
    "HTTP/1.0 without a host": lambda s, b: sized(s, b, line=V2_LINE[:-8] + TEN).replace(
        b"Host: " + s.host + b"\r\n", b""
    ),
}


async def assert_contributes_once(stage: Stage, connection: RawConnection, body: bytes) -> None:
    response = await connection.response()
    assert response.status == 200, response.body
    assert len(response.json) == 1
    repeat = await stage.client.post(
        stage.url + V2, content=body, headers={"Authorization": f"Bearer {stage.service_token}"}
    )
    assert repeat.status_code == 204


@pytest.mark.parametrize("name", GOOD)
async def test_unusual_request_is_served(stage: Stage, shared_jackpot: str, name: str) -> None:
    """It contributes, once, and says so."""
    body = encoded(v2(shared_jackpot, unique("key")))
    async with stage.connect() as connection:
        await connection.send(GOOD[name](stage, body))
        await assert_contributes_once(stage, connection, body)


@pytest.mark.parametrize("name", [name for name in GOOD if "1.0" not in name])
async def test_unusual_request_leaves_the_connection_in_step(
    stage: Stage, shared_jackpot: str, name: str
) -> None:
    """The request behind it, sent in the same write, is read from its first byte."""
    first, second = [encoded(v2(shared_jackpot, unique("key"))) for _ in range(2)]
    async with stage.connect() as connection:
        await connection.send(GOOD[name](stage, first) + stage.request(second))
        await assert_contributes_once(stage, connection, first)
        await assert_contributes_once(stage, connection, second)


def trailer(line: bytes) -> Make:
    return lambda s, b: in_chunks(s, chunked(b)[:-2] + line + b"\r\n\r\n")


EITHER: Final[dict[str, Make]] = {
    "length with zeros": lambda s, b: sized(s, b, length=b"Content-Length: 000%d"),
    "coding before a tab": lambda s, b: s.head(b"Transfer-Encoding: chunked\t") + chunked(b),
    "coding behind a comma": lambda s, b: s.head(b"Transfer-Encoding: ,chunked") + chunked(b),
    "coding before a comma": lambda s, b: s.head(b"Transfer-Encoding: chunked,") + chunked(b),
    "coding among commas": lambda s, b: s.head(b"Transfer-Encoding: , chunked , ,") + chunked(b),
    "chunk size of many zeros": lambda s, b: in_chunks(s, two_chunks(b, b"0" * 40 + b"1a")),
    "spaces in an extension": lambda s, b: in_chunks(s, two_chunks(b, b"1a ; a = b")),
    "length in a trailer": trailer(b"Content-Length: 5"),
    "coding in a trailer": trailer(b"Transfer-Encoding: chunked"),
    "host in a trailer": trailer(b"Host: other.example"),
    "type in a trailer": trailer(b"Content-Type: text/plain"),
    "token in a trailer": trailer(b"Authorization: Bearer x"),
    "several empty lines before": lambda s, b: b"\r\n\r\n\r\n" + sized(s, b),
    "another host in the target": lambda s, b: sized(
        s, b, line=path_line(b"http://other.example" + V2.encode())
    ),
    "another scheme in the target": lambda s, b: sized(
        s, b, line=path_line(b"https://" + s.host + V2.encode())
    ),
}


@pytest.mark.parametrize("name", EITHER)
async def test_request_that_a_server_may_refuse_is_served_right_or_refused(
    stage: Stage, shared_jackpot: str, name: str
) -> None:
    """Served as the standard says, or refused with the connection closed."""
    body = v2(shared_jackpot, unique("key"))
    async with stage.connect() as connection:
        await connection.send(EITHER[name](stage, encoded(body)))
        response = await connection.response()
        if response.status == 200:
            await connection.send(stage.get("/x", b"Connection: close"))
            (last,) = await connection.responses_until_closed()
            assert last.status == 404
        else:
            assert response.status in {400, 421}
            assert response.closes
            assert await connection.until_closed() == b""

    assert await stage.is_unused(body) == (response.status != 200)


METHODS: Final = ("post", "Post", "POSTX", "XPOST", "BREW", "M-SEARCH", "SOURCE", "TRACE", "PATCH")


@pytest.mark.parametrize("method", METHODS)
async def test_method_that_nobody_knows_is_no_post(
    stage: Stage, shared_jackpot: str, method: str
) -> None:
    """Methods are compared as they stand; another one is refused, and what follows is in step."""
    refused, good = [v2(shared_jackpot, unique("key")) for _ in range(2)]
    raw = sized(stage, encoded(refused), line=f"{method} {V2} HTTP/1.1".encode())
    async with stage.connect() as connection:
        await connection.send(raw)
        response = await connection.response()
        assert response.status in UNKNOWN_METHOD
        if not response.closes:
            await connection.send(stage.request(encoded(good)))
            assert (await connection.response()).status == 200
        else:
            assert await connection.until_closed() == b""

    assert await stage.is_unused(refused)
    assert await stage.is_unused(good) == response.closes
