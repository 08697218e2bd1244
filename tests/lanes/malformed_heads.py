"""Requests whose request line or header section is not HTTP/1.1: the other half of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .malformed import (
    HEAD_TOO_LARGE,
    LONG,
    REFUSED,
    UNKNOWN_METHOD,
    UNKNOWN_VERSION,
    V2_LINE,
    Case,
)
from .stage import V2

if TYPE_CHECKING:
    from .malformed import Outer

_PATH: Final = V2.encode()


def _header(line: bytes) -> Case:
    return Case(f"header {line!r}", lambda outer: outer.sized(line))


HEADERS: Final = (
    *(
        _header(line)
        for line in (
            b"X : y",
            b"X\t: y",
            b"X: y\r\n folded",
            b"X: y\r\n\tfolded",
            b"X: y\r\n ",
            b"X",
            b": y",
            b" : y",
            b"X[1]: y",
            b"X(1): y",
            b"X@: y",
            b"X\\: y",
            b'"X": y',
            b"X{: y",
            b"X\x80: y",
            b"X\xff: y",
            b"X\x00: y",
            b"X\x01: y",
            b"X\x7f: y",
            b"X Y: z",
            b"X: a\x00b",
            b"X: a\x01b",
            b"X: a\x08b",
            b"X: a\x0bb",
            b"X: a\x1bb",
            b"X: a\x7fb",
            b"X: a\rb",
            b"X: a\r",
            b"X: a\nY: b",
            b"X: a\n",
            b"X:\n\nGET / HTTP/1.1",
            b"X: a\r\n\n",
        )
    ),
    Case("first header indented", lambda o: _before_headers(o, b" X: y\r\n")),
    Case("first header after a tab", lambda o: _before_headers(o, b"\tX: y\r\n")),
    Case("first line folded into nothing", lambda o: _before_headers(o, b" \r\n")),
    Case("first line ended by LF", lambda o: o.sized().replace(b"\r\n", b"\n", 1)),
    Case("all lines ended by LF", lambda o: o.sized().replace(b"\r\n", b"\n")),
    Case("all lines ended by CR", lambda o: o.sized().replace(b"\r\n", b"\r")),
    Case("head ended by LF", lambda o: o.head().replace(b"\r\n\r\n", b"\r\n\n") + o.body),
    Case("head ended by LFLF", lambda o: o.head().replace(b"\r\n\r\n", b"\n\n") + o.body),
)


def _before_headers(outer: Outer, line: bytes) -> bytes:
    first, _, rest = outer.sized().partition(b"\r\n")
    return first + b"\r\n" + line + rest


def _host(value: bytes) -> Case:
    return Case(f"host {value!r}", lambda outer: outer.sized(host=value))


HOSTS: Final = (
    *(
        _host(value)
        for value in (
            b"",
            b"a b",
            b"a, b",
            b"user@host",
            b"user:secret@host",
            b"host/path",
            b"host?query",
            b"host#fragment",
            b"http://host",
            b"host:80:80",
            b"host:8x",
            b"host:-1",
            b"[::1",
            b"::1]",
            b"[::g]",
            b"ho<st",
            b'ho"st',
            b"ho\\st",
            b"h\x80st",
            b"ho\x00st",
            b"ho%st",
        )
    ),
    Case("no host", lambda o: _without_host(o.sized())),
    Case("two hosts", lambda o: o.sized(b"Host: other.example")),
    Case("the same host twice", lambda o: o.sized(b"Host: " + o.stage.host)),
    Case("host in another case twice", lambda o: o.sized(b"hOST: " + o.stage.host)),
    Case("two hosts in HTTP/1.0", lambda o: o.sized(b"Host: b", line=V2_LINE[:-1] + b"0")),
)


def _without_host(request: bytes) -> bytes:
    first, host, rest = request.split(b"\r\n", 2)
    assert host.startswith(b"Host")
    return first + b"\r\n" + rest


def _line(line: bytes, statuses: frozenset[int] = REFUSED) -> Case:
    return Case(f"line {line!r}"[:70], lambda outer: outer.sized(line=line), statuses)


LINES: Final = (
    *(
        _line(line)
        for line in (
            b"POST  " + _PATH + b" HTTP/1.1",
            b"POST " + _PATH + b"  HTTP/1.1",
            b"POST\t" + _PATH + b" HTTP/1.1",
            b"POST " + _PATH + b"\tHTTP/1.1",
            b" " + V2_LINE,
            b"\t" + V2_LINE,
            V2_LINE + b" ",
            V2_LINE + b" HTTP/1.1",
            b"POST " + _PATH + b" http/1.1",
            b"POST " + _PATH + b" Http/1.1",
            b"POST " + _PATH + b" HTTP /1.1",
            b"POST " + _PATH + b" HTTP/ 1.1",
            b"POST " + _PATH + b" HTTP/1.",
            b"POST " + _PATH + b" HTTP/1",
            b"POST " + _PATH + b" HTTP/.1",
            b"POST " + _PATH + b" HTTP/01.1",
            b"POST " + _PATH + b" HTTP/1.01",
            b"POST " + _PATH + b" HTTP/1.10",
            b"POST " + _PATH + b" HTTP/11",
            b"POST " + _PATH + b" HTTP/1.1x",
            b"POST " + _PATH + b" HTTP/1,1",
            b"POST " + _PATH + b" HTTPS/1.1",
            b"POST " + _PATH + b" ICY/1.1",
            b"POST " + _PATH + b" RTSP/1.0",
            b"POST " + _PATH + b" XYZ/1.1",
            b"POST " + _PATH,
            b"POST " + _PATH + b" ",
            b"POST HTTP/1.1",
            b"POST",
            b"POST /a b HTTP/1.1",
            b"POST " + _PATH + b"\x00 HTTP/1.1",
            b"POST " + _PATH + b"\x01 HTTP/1.1",
            b"POST " + _PATH + b"\x7f HTTP/1.1",
            b"POST " + _PATH + b"\x80 HTTP/1.1",
            b"POST " + _PATH + b"\xc3\xa9 HTTP/1.1",
            b"POST " + _PATH + b"\r HTTP/1.1",
            b"POST " + _PATH + b"\n HTTP/1.1",
            b"POST " + _PATH + b"#fragment HTTP/1.1",
            b"POST " + _PATH[1:] + b" HTTP/1.1",
            b"POST * HTTP/1.1",
            b"POST host:80 HTTP/1.1",
            b"POST ?a=b HTTP/1.1",
            b"GET * HTTP/1.1",
            b"P\x00ST " + _PATH + b" HTTP/1.1",
            b"P\x80ST " + _PATH + b" HTTP/1.1",
            b"(POST) " + _PATH + b" HTTP/1.1",
            b'"POST" ' + _PATH + b" HTTP/1.1",
            b"POST: " + _PATH + b" HTTP/1.1",
            b"{} " + _PATH + b" HTTP/1.1",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"\x00\x00\x00",
            b"HTTP/1.1 200 OK",
        )
    ),
    *(
        _line(b"POST " + _PATH + b" HTTP/" + version, UNKNOWN_VERSION)
        for version in (b"0.9", b"1.2", b"1.9", b"2.0", b"2", b"3.0", b"9.9")
    ),
    _line(b"CONNECT host:80 HTTP/1.1", UNKNOWN_METHOD),
    _line(LONG + b" " + _PATH + b" HTTP/1.1", UNKNOWN_METHOD | HEAD_TOO_LARGE | {414}),
)
