"""The head of a request: what RFC 9112 demands of it beyond what the parser checks.

Pure functions of bytes. Whatever two readers could take for two different requests is refused, never repaired.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus

from msgspec import Struct

from jackpotd.core.rejections import Code
from jackpotd.edge.exchange import DirectHandler, StreamHandler
from jackpotd.front.limits import FrontLimits
from jackpotd.wire.errors import RequestRefused

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_TARGET = rb'[!"$-~]'  # visible ASCII but for the fragment's sign
_LINE = re.compile(rb"(%b+) (%b+) HTTP/([0-9])\.([0-9])" % (_TOKEN, _TARGET))
_LINE_BEGUN = re.compile(rb"%b*(?: (?:%b+(?: [HTP/0-9.]{0,8}\r?)?)?)?" % (_TOKEN, _TARGET))
_ABSOLUTE = re.compile(rb"https?://([^/?]+)(/[^?]*)?(?:\?(.*))?", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=-]+)(?::[0-9]*)?")
_STRAY_BREAK = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)
_LINE_EXTRA_BYTES = 64  # method, spaces and version beside the target

PREFACE_LINE = b"PRI * HTTP/2.0"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS_HEAD = re.compile(rb"\x00[\x00-\x03].\x04\x00\x00\x00\x00\x00", re.DOTALL)


class RequestLine(Struct, frozen=True):
    """The first line, and where it leads."""

    method: str
    path: bytes
    query: bytes
    is_1_1: bool
    authority: str | None = None
    route: str = "-"
    direct: DirectHandler | None = None
    stream: StreamHandler | None = None


class Head(Struct, frozen=True):
    """A whole head that was found good; `length` is None where the body is chunked."""

    line: RequestLine
    headers: Mapping[str, str]
    length: int | None
    keep_alive: bool
    expects_continue: bool = False
    is_upgrade: bool = False


def malformed(message: str) -> RequestRefused:
    return RequestRefused(Code.INVALID_REQUEST, message, status=HTTPStatus.BAD_REQUEST)


def body_too_large(limits: FrontLimits) -> RequestRefused:
    message = f"the body is larger than {limits.body_bytes_max} bytes"
    return RequestRefused("PAYLOAD_TOO_LARGE", message)


def parse_line(line: bytes, limits: FrontLimits) -> RequestLine:
    """The request line's parts.

    Raises:
        RequestRefused: it is malformed, too long, or of another version.
    """
    if len(line) > limits.target_bytes_max + _LINE_EXTRA_BYTES:
        raise RequestRefused("URI_TOO_LONG", "the request target is too long", status=414)
    match = _LINE.fullmatch(line)
    if match is None:
        raise malformed("the request line is malformed")
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in b"01":
        raise malformed("the HTTP version is not supported")
    if len(target) > limits.target_bytes_max:
        raise RequestRefused("URI_TOO_LONG", "the request target is too long", status=414)
    path, query, authority = _parts_of(method, target)
    return RequestLine(method.decode(), path, query, minor == b"1", authority)


def _parts_of(method: bytes, target: bytes) -> tuple[bytes, bytes, str | None]:
    if method == b"CONNECT" or method != method.upper():
        # Methods are case-sensitive, and the application behind would take `post` for POST.
        message = f"the method {method.decode()} is not served"
        raise RequestRefused("METHOD_NOT_ALLOWED", message, status=405)
    if target[:1] == b"/":
        path, _, query = target.partition(b"?")
        return path, query, None
    if target == b"*" and method == b"OPTIONS":
        return target, b"", None
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise malformed("the request target is malformed")
    authority = match[1].decode()
    _check_host_text(authority)
    return match[2] or b"/", match[3] or b"", authority


def check_partial(data: bytes, scanned: int, limits: FrontLimits) -> None:
    """Refuses a head as soon as it cannot become good: nobody should wait for the rest of it."""
    end = data.find(b"\r\n")
    if end >= 0:
        if data[:end] != PREFACE_LINE:
            parse_line(data[:end], limits)
    elif (
        len(data) > limits.target_bytes_max + _LINE_EXTRA_BYTES
        or len(data.partition(b" ")[2].partition(b" ")[0]) > limits.target_bytes_max
    ):
        raise RequestRefused("URI_TOO_LONG", "the request target is too long", status=414)
    elif _LINE_BEGUN.fullmatch(data) is None:
        raise malformed("the request line is malformed")
    if _STRAY_BREAK.search(data, max(0, scanned - 1)):
        raise malformed("a line of the header section does not end with CR LF")
    if len(data) > limits.header_bytes_max:
        raise header_too_large(limits)


def is_preface(data: bytes) -> bool:
    """Whether HTTP/2 begins here; False while that cannot be said yet.

    Raises:
        RequestRefused: the preface is not followed by settings (RFC 9113 §3.4).
    """
    start, settings = data[: len(_PREFACE)], data[len(_PREFACE) : len(_PREFACE) + 9]
    if not _PREFACE.startswith(start) or (
        len(settings) == 9 and not _SETTINGS_HEAD.match(settings)
    ):
        raise malformed("the preface of HTTP/2 is malformed")
    return len(settings) == 9


def header_too_large(limits: FrontLimits) -> RequestRefused:
    message = (
        f"the header section is larger than {limits.header_bytes_max} bytes "
        f"or {limits.header_lines_max} lines"
    )
    return RequestRefused("HEADER_TOO_LARGE", message, status=431)


def check_host(line: RequestLine, host: str | None) -> None:
    """Exactly one Host in HTTP/1.1 (repeats are refused where they are read)."""
    if host is None:
        if line.is_1_1:
            raise malformed("the Host header is missing")
        return
    _check_host_text(host)


def _check_host_text(host: str) -> None:
    if _HOST.fullmatch(host) is None:
        raise malformed("the Host header is malformed")


def framing(line: RequestLine, headers: Mapping[str, str]) -> int | None:
    """The body's length in bytes; None where it is chunked."""
    coding = headers.get("transfer-encoding")
    text = headers.get("content-length")
    if coding is not None:
        if not line.is_1_1:
            raise malformed("Transfer-Encoding is not part of HTTP/1.0")
        if text is not None:
            raise malformed("Transfer-Encoding and Content-Length exclude each other")
        if coding.lower() != "chunked":
            raise malformed("the only Transfer-Encoding is chunked, once")
        return None
    if text is None:
        return 0
    if _LENGTH.fullmatch(text) is None:
        raise malformed("the Content-Length is malformed")
    return int(text)


def tokens(value: str) -> list[str]:
    return [token.strip().lower() for token in value.split(",")]


def keeps_alive(line: RequestLine, connection: str) -> bool:
    wanted = tokens(connection)
    return "close" not in wanted and (line.is_1_1 or "keep-alive" in wanted)


def expects_continue(line: RequestLine, headers: Mapping[str, str]) -> bool:
    """Whether the client waits for a 100 before it sends the body."""
    expectation = headers.get("expect")
    if expectation is None or not line.is_1_1:
        return False
    if expectation.lower() != "100-continue":
        raise RequestRefused(
            "EXPECTATION_FAILED", "the only expectation that is met is 100-continue", status=417
        )
    return True


def is_upgrade(line: RequestLine, headers: Mapping[str, str]) -> bool:
    """Whether the request leaves HTTP/1.1: a WebSocket or HTTP/2, without a body."""
    if not line.is_1_1 or "upgrade" not in tokens(headers.get("connection", "")):
        return False
    if "transfer-encoding" in headers or headers.get("content-length", "0").strip("0"):
        return False
    wanted = headers["upgrade"].lower()
    return wanted == "h2c" or (wanted == "websocket" and line.method == "GET")
