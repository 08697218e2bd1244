"""Requests whose framing two servers in a row might read in two ways: a table, not a test.

Collected from RFC 9112 (§2.2, §3, §5, §6, §7, §11.2), PortSwigger's research on desynchronisation,
and the cases of llhttp, h11, Http11Probe and The HTTP Garden. Each function gives the bytes of a
case; the runner appends a whole contribution, which must never be taken for a request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .raw import chunk, chunked
from .stage import V2

if TYPE_CHECKING:
    from .stage import Stage

V2_LINE: Final = b"POST " + V2.encode() + b" HTTP/1.1"
CHUNKED: Final = b"Transfer-Encoding: chunked"
LONG: Final = b"a" * 100_000

REFUSED: Final = frozenset({400})
TOO_LARGE: Final = frozenset({400, 413})
UNKNOWN_CODING: Final = frozenset({400, 501})  # RFC 9112 §6.1 says 501; our rule is 400
UNKNOWN_VERSION: Final = frozenset({400, 505})
UNKNOWN_METHOD: Final = frozenset({400, 405, 501})
HEAD_TOO_LARGE: Final = frozenset({400, 413, 431})


@dataclass(frozen=True)
class Outer:
    """What the cases are made of: a server's address and token, and a contribution's JSON."""

    stage: Stage
    body: bytes

    def head(self, *lines: bytes, line: bytes = V2_LINE, host: bytes | None = None) -> bytes:
        return self.stage.head(*lines, request_line=line, host=host)

    def sized(self, *lines: bytes, line: bytes = V2_LINE, host: bytes | None = None) -> bytes:
        """A request that is right but for these lines."""
        length = b"Content-Length: %d" % len(self.body)
        return self.head(length, *lines, line=line, host=host) + self.body

    def in_chunks(self, payload: bytes) -> bytes:
        """A chunked request with this as everything behind its head."""
        return self.head(CHUNKED) + payload

    @property
    def length(self) -> int:
        return len(self.body)


Make = Callable[[Outer], bytes]


@dataclass(frozen=True)
class Case:
    """Bytes, and the statuses that a server may refuse them with."""

    name: str
    make: Make
    statuses: frozenset[int] = REFUSED


def _length(value: str, statuses: frozenset[int] = REFUSED) -> Case:
    """A Content-Length of this spelling; `{n}` is what the body really has."""

    def make(outer: Outer) -> bytes:
        line = b"Content-Length:" + value.format(n=outer.length, x=f"{outer.length:x}").encode()
        return outer.head(line) + outer.body

    return Case(f"content-length:{value!r}"[:60], make, statuses)


LENGTHS: Final = (
    *(
        _length(value)
        for value in (
            " +{n}",
            " -{n}",
            " -0",
            " -1",
            " 0x{x}",
            " 0o644",
            " {n}_0",
            " 1_0",
            " {n} {n}",
            " {n}, {n}",
            " {n},{n}",
            " {n}, 0",
            " 0, {n}",
            " {n},",
            " ,{n}",
            " {n};",
            " {n}.0",
            " {n}e0",
            " {n}a",
            ' "{n}"',
            "",
            "  ",
            " chunked",
            " \N{FULLWIDTH DIGIT ONE}\N{FULLWIDTH DIGIT TWO}",
            " {n}\x00",
            " {n}\x0b",
            " \x0c{n}",
            " {n}\x7f",
            " {n}\N{NO-BREAK SPACE}",
        )
    ),
    _length(" 9223372036854775808", TOO_LARGE),
    _length(" 18446744073709551616", TOO_LARGE),
    _length(" 1" + "0" * 30, TOO_LARGE),
    Case("two lengths, zero last", lambda o: o.sized(b"Content-Length: 0")),
    Case("two lengths, in two cases", lambda o: o.sized(b"X: y", b"content-length: 5")),
    Case(
        "two lengths, both right",
        lambda o: o.sized(b"Content-Length: %d" % o.length),
    ),
    Case(
        "two lengths, five first",
        lambda o: o.head(b"Content-Length: 5", b"Content-Length: %d" % o.length) + o.body,
    ),
)


def _coding(value: bytes, statuses: frozenset[int] = UNKNOWN_CODING) -> Case:
    """A chunked body under this Transfer-Encoding."""

    def make(outer: Outer) -> bytes:
        return outer.head(b"Transfer-Encoding:" + value) + chunked(outer.body)

    return Case(f"transfer-encoding:{value!r}", make, statuses)


def _both(coding: bytes, *lengths: bytes) -> Case:
    """Content-Length and Transfer-Encoding together, in the order given."""

    def make(outer: Outer) -> bytes:
        return outer.head(*lengths, coding) + chunked(outer.body)

    return Case(f"both {coding!r} {b' '.join(lengths)!r}", make)


def _raw_coding(lines: bytes) -> Case:
    """Transfer-Encoding spelled so that some see it, beside a length that covers the rest."""

    def make(outer: Outer) -> bytes:
        return outer.head(b"Content-Length: 5", lines) + b"0\r\n\r\n"

    return Case(f"obscured {lines!r}", make)


CODINGS: Final = (
    *(
        _coding(value)
        for value in (
            b" xchunked",
            b" chunkedx",
            b" chunk",
            b" identity",
            b" gzip",
            b" gzip, chunked",
            b" deflate,chunked",
            b" chunked, gzip",
            b" chunked, identity",
            b" chunked, chunked",
            b" chunked chunked",
            b" identity, chunked",
            b" cow, chunked",
            b' "chunked"',
            b" 'chunked'",
            b" chunked;q=1",
            b" chunked;foo=bar",
        )
    ),
    *(
        _coding(value, REFUSED)
        for value in (
            b"",
            b" ",
            b" \x0bchunked",
            b" \x0cchunked",
            b" chunked\x00",
            b" chunked\x0b",
            b" \x00chunked",
            b" chun\x01ked",
            b" chunked\x7f",
        )
    ),
    _both(CHUNKED, b"Content-Length: 5"),
    _both(CHUNKED, b"Content-Length: 0"),
    _both(b"transfer-encoding: Chunked", b"content-length: 100"),
    _both(b"Transfer-Encoding: identity", b"Content-Length: 5"),
    _both(b"Content-Length: 5", CHUNKED),
    _both(b"Content-Length: 0", CHUNKED),
    _both(CHUNKED, b"Content-Length: +5"),
    _both(CHUNKED, b"Content-Length: blah"),
    _both(CHUNKED, b"Content-Length: 5", b"Content-Length: 6"),
    _both(CHUNKED, CHUNKED),
    _both(CHUNKED, b"Transfer-Encoding: identity"),
    _both(b"Transfer-Encoding: identity", CHUNKED),
    _both(b"Transfer-Encoding: x", CHUNKED),
    _both(CHUNKED, b"Transfer-Encoding: x"),
    _raw_coding(b"Transfer-Encoding : chunked"),
    _raw_coding(b"Transfer-Encoding\t: chunked"),
    _raw_coding(b"Transfer-Encoding\x00: chunked"),
    _raw_coding(b"Transfer-Encoding\x85: chunked"),
    _raw_coding(b"Transfer-Encoding\xa0: chunked"),
    _raw_coding(b" Transfer-Encoding: chunked"),
    _raw_coding(b"Transfer-Encoding:\n chunked"),
    _raw_coding(b"Transfer-Encoding:\r\n chunked"),
    _raw_coding(b"Transfer-Encoding:\r\n\tchunked"),
    _raw_coding(b"X: y\nTransfer-Encoding: chunked"),
    _raw_coding(b"X: y\rTransfer-Encoding: chunked"),
    _raw_coding(b"X: y\r\r\nTransfer-Encoding: chunked"),
    _raw_coding(b"\x00Transfer-Encoding: chunked"),
    _raw_coding(b"Transfer-Encoding"),
    Case(
        "chunked in HTTP/1.0",
        lambda o: o.head(CHUNKED, line=V2_LINE[:-1] + b"0") + chunked(o.body),
    ),
    Case(
        "chunked in HTTP/1.0 that is kept alive",
        lambda o: (
            o.head(CHUNKED, b"Connection: keep-alive", line=V2_LINE[:-1] + b"0") + chunked(o.body)
        ),
    ),
)


def _size(size: str, statuses: frozenset[int] = REFUSED) -> Case:
    """A chunk whose size has this spelling; `{x}` is the right one."""

    def make(outer: Outer) -> bytes:
        line = size.format(x=f"{outer.length:x}").encode("latin-1")
        return outer.in_chunks(line + b"\r\n" + outer.body + b"\r\n0\r\n\r\n")

    return Case(f"chunk size {size!r}"[:60], make, statuses)


def _data(name: str, make: Callable[[bytes], bytes], statuses: frozenset[int] = REFUSED) -> Case:
    return Case(f"chunk {name}", lambda outer: outer.in_chunks(make(outer.body)), statuses)


CHUNKS: Final = (
    *(
        _size(size)
        for size in (
            "0x{x}",
            "+{x}",
            "-{x}",
            "-1",
            " {x}",
            "{x} ",
            "{x}\t",
            "{x}_0",
            "1_0",
            "",
            "z",
            "{x}g",
            "{x}.0",
            "{x}\x00",
            "{x};",
            "{x}; ",
            "{x};=",
            "{x};a b",
            '{x};a="b',
            "{x};a=\x00",
            "{x};a=\x01",
            "{x};a[b]=c",
            "{x};a\n",
            "{x};a\nb",
            "{x};a\rb",
            "{x}\r\r;a",
            "{x} ext",
            "{x},{x}",
            "\n{x}",
        )
    ),
    _size("10000000000000000", TOO_LARGE),
    _size("ffffffffffffffff", TOO_LARGE),
    _size("8000000000000000", TOO_LARGE),
    _size("100000000000000{x}", TOO_LARGE),
    _size("f" * 100, TOO_LARGE),
    _size("{x};" + "a" * 100_000, HEAD_TOO_LARGE),
    _size("{x};a=" + "b" * 100_000, HEAD_TOO_LARGE),
    _data("size ended by LF", lambda b: b"%x\n%b\r\n0\r\n\r\n" % (len(b), b)),
    _data("size ended by CR", lambda b: b"%x\r%b\r\n0\r\n\r\n" % (len(b), b)),
    _data("data ended by LF", lambda b: b"%x\r\n%b\n0\r\n\r\n" % (len(b), b)),
    _data("data ended by CR", lambda b: b"%x\r\n%b\r0\r\n\r\n" % (len(b), b)),
    _data("data not ended", lambda b: b"%x\r\n%b0\r\n\r\n" % (len(b), b)),
    _data("data ended by XX", lambda b: b"%x\r\n%bXX0\r\n\r\n" % (len(b), b)),
    _data("data longer than said", lambda b: b"%x\r\n%b\r\n0\r\n\r\n" % (len(b) - 2, b)),
    _data("last size ended by LF", lambda b: chunk(b) + b"0\n\r\n"),
    _data("last line ended by LF", lambda b: chunk(b) + b"0\r\n\n"),
    _data("last line ended by CR", lambda b: chunk(b) + b"0\r\n\rX"),
    _data("trailer without colon", lambda b: chunk(b) + b"0\r\nX\r\n\r\n"),
    _data("trailer with space before colon", lambda b: chunk(b) + b"0\r\nX : y\r\n\r\n"),
    _data("trailer with NUL", lambda b: chunk(b) + b"0\r\nX: \x00\r\n\r\n"),
    _data("trailer ended by LF", lambda b: chunk(b) + b"0\r\nX: y\n\r\n"),
    _data("trailer folded", lambda b: chunk(b) + b"0\r\nX: y\r\n z\r\n\r\n"),
    _data("huge trailer", lambda b: chunk(b) + b"0\r\nX: " + LONG + b"\r\n\r\n", HEAD_TOO_LARGE),
    _data(
        "many trailers",
        lambda b: chunk(b) + b"0\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        HEAD_TOO_LARGE,
    ),
    _data(
        "many extensions",
        lambda b: b"".join(b"1;a=%b\r\n%c\r\n" % (b"x" * 2000, byte) for byte in b) + b"0\r\n\r\n",
        HEAD_TOO_LARGE,
    ),
)
