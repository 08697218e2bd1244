"""The head of one request after another: found, read by the parser library, and checked."""

import re
from collections.abc import Mapping

import httptools

from jackpotd.front import head as heads
from jackpotd.front.head import Head, RequestLine
from jackpotd.front.site import Site

_PLAIN_LINE = b"GET / HTTP/1.1"
_BLANKS = (" ", "\t")
_TRAILING_BLANKS = re.compile(rb"(?<=[!-~\x80-\xff])[ \t]+(?=\r\n)")
_SINGLE = frozenset({"host", "content-length", "transfer-encoding", "expect", "upgrade"})
"""Headers that may not be repeated: two of them mean two readings."""


class HeadReader:
    """The parser of a connection.

    After a head, `end` is the position behind it. `headers` are those of the request that was read last, also where it
    was refused. `has_preface` says that HTTP/2 begins instead of a request.

    The parser knows neither positions nor when to stop, so it is given one header section at a time, and the body
    that belongs to it only where it is whole; otherwise the next request gets a new parser.
    """

    __slots__ = (
        "_has_parsed",
        "_limits",
        "_parser",
        "_reading",
        "_repeated",
        "_scanned",
        "_site",
        "end",
        "has_preface",
        "headers",
    )

    def __init__(self, site: Site) -> None:
        self._site = site
        self._limits = site.limits
        self._scanned = 0
        self.end = 0
        self.has_preface = False
        self._parser: httptools.HttpRequestParser | None = None
        self._repeated = ""
        self._has_parsed = False
        self._reading: dict[str, str] = {}
        self.headers: Mapping[str, str] = {}

    def read(self, data: bytes, start: int, *, is_first: bool) -> Head | None:
        """The head at a position; None where it is not there as a whole.

        Raises:
            RequestRefused: it is malformed, or larger than it may be; also where only a part of it is there.
        """
        end = data.find(b"\r\n\r\n", max(start, self._scanned - 3))
        if end >= 0 and (known := self._site.known_head(data[start : end + 4])) is not None:
            self._scanned = 0
            self._has_parsed = False
            self.end = end + 4
            self.headers = known.headers
            return known
        text = data[start : data.find(b"\r\n", start)] if end >= 0 else b""
        line = self._site.lines.get(text)
        if line is None:
            if data.startswith(b"\r\n", start):  # one empty line before a request is ignored
                start += 2
                end = data.find(b"\r\n\r\n", start)
            if end < 0:
                self._check_begun(data[start:])
                return None
            text = data[start : data.find(b"\r\n", start)]
            if is_first and text == heads.PREFACE_LINE:
                self.has_preface = heads.is_preface(data[start:])
                return None
            line = self._site.lines.get(text) or self._site.line(text)
        self._scanned = 0
        self.end = end = end + 4
        if end - start > self._limits.header_bytes_max:
            raise heads.header_too_large(self._limits)
        headers = self._parse(data, start, end, line)
        self._site.check_host(line, headers.get("host"))
        if line.authority is not None:
            headers["host"] = line.authority
        length = heads.framing(line, headers)
        if length is not None and length > self._limits.body_bytes_max and line.stream is None:
            raise heads.body_too_large(self._limits)
        connection = headers.get("connection")
        keep_alive = line.is_1_1 if connection is None else heads.keeps_alive(line, connection)
        if "expect" not in headers and "upgrade" not in headers:
            head = Head(line, headers, length, keep_alive)
            if line.direct is not None and length is not None:
                self._site.remember_head(data[start:end], head)
            return head
        expects_continue = length != 0 and heads.expects_continue(line, headers)
        is_upgrade = "upgrade" in headers and heads.is_upgrade(line, headers)
        return Head(line, headers, length, keep_alive, expects_continue, is_upgrade)

    def _check_begun(self, begun: bytes) -> None:
        if begun not in (b"", b"\r"):
            heads.check_partial(begun, self._scanned, self._limits)
        self._scanned = len(begun)

    def _parse(self, data: bytes, start: int, end: int, line: RequestLine) -> dict[str, str]:
        self.headers = self._reading = headers = dict[str, str]()
        self._repeated = ""
        self._has_parsed = True
        text = data[start:end]
        if line.direct is None:
            # The parser knows some methods only, and has ideas of its own about a few of them.
            text = _PLAIN_LINE + data[data.find(b"\r\n", start) : end]
        if b"\t\r\n" in text:
            text = _TRAILING_BLANKS.sub(b"", text)  # the parser takes them for a part of the value
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(text)
        except httptools.HttpParserUpgrade:
            self._parser = None
        except httptools.HttpParserError as error:
            self._parser = None
            raise heads.malformed(f"the header section is malformed: {error}") from None
        if self._repeated:
            raise heads.malformed(f"the header {self._repeated} is repeated")
        if len(headers) > self._site.limits.header_lines_max:
            raise heads.header_too_large(self._limits)
        return headers

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser tells a header."""
        site = self._site
        key = site.names.get(name) or site.name_of(name)
        text = value.decode("latin-1")
        if text[-1:] in _BLANKS:
            text = text.rstrip(" \t")
        headers = self._reading
        if key in headers:
            if key in _SINGLE:
                self._repeated = key
            text = f"{headers[key]}{'; ' if key == 'cookie' else ', '}{text}"
        headers[key] = text

    def pass_body(self, body: bytes) -> None:
        """The whole body of what was read: where the parser has read its head, it goes on to the next request."""
        if self._parser is not None and self._has_parsed:
            self._parser.feed_data(body)

    def forget(self) -> None:
        """The body does not come here: the parser could not tell it from the next request."""
        self._parser = None
