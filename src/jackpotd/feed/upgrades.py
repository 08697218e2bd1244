"""The handshake of a WebSocket (RFC 6455, section 4) before trio-websocket has it: read, checked, and perhaps refused.

Everything that could be refused is refused here, in the words of the house, so that what goes on is good.
"""

import base64
import binascii
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

import h11
import trio
from msgspec import Struct

from jackpotd.core.rejections import Code
from jackpotd.edge.exchange import Outgoing
from jackpotd.wire.errors import RequestRefused

VERSION = "13"
_KEY_BYTES = 16
_END = b"\r\n\r\n"
_RECEIVE_BYTES = 4096
_REFUSAL_LINGER_BYTES_MAX = 65_536
_QUERY_FIELDS_MAX = 64


class Upgrade(Struct, frozen=True):
    """What a client asks for: its path without the query, both decoded, headers by their lower-case names.

    Of a name that comes twice in the query the last one counts; headers of one name are joined with commas. `peer` is
    the client's address.
    """

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    peer: str


class UpgradeRefused(Exception):
    """A handshake that is none; it carries the refusal."""

    def __init__(self, refused: RequestRefused, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(str(refused))
        self.refused = refused
        self.headers = headers


async def read_head(stream: trio.abc.ReceiveStream, head_bytes_max: int) -> tuple[bytes, bytes]:
    """The head of a request with its empty line, and what has come behind it; two empty ones where none comes.

    Raises:
        UpgradeRefused: it is too long.
    """
    data = bytearray()
    while (end := data.find(_END)) < 0 and len(data) <= head_bytes_max:
        received = await stream.receive_some(_RECEIVE_BYTES)
        if not received:
            return b"", b""
        data += received
    end += len(_END)
    if not len(_END) <= end <= head_bytes_max:
        refused = RequestRefused("HEADER_TOO_LARGE", "the headers are too long", status=431)
        raise UpgradeRefused(refused)
    return bytes(data[:end]), bytes(data[end:])


def upgrade_in(head: bytes, peer: str) -> Upgrade:
    """What a handshake asks for.

    Raises:
        UpgradeRefused: it is no good HTTP/1.1, or asks for no WebSocket of version 13.
    """
    request = _parsed(head)
    headers = _headers_of(request)
    if request.method != b"GET":
        raise _malformed("the method of a WebSocket is GET")
    if "upgrade" not in _tokens(headers, "connection") or "websocket" not in _tokens(
        headers, "upgrade"
    ):
        needed = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
        raise UpgradeRefused(
            RequestRefused("UPGRADE_REQUIRED", "this is for WebSockets", status=426), needed
        )
    if headers.get("sec-websocket-version") != VERSION:
        raise UpgradeRefused(
            RequestRefused("UPGRADE_REQUIRED", f"the version must be {VERSION}", status=426),
            (("Sec-WebSocket-Version", VERSION),),
        )
    if not _is_key(headers.get("sec-websocket-key", "")):
        raise _malformed("Sec-WebSocket-Key must be 16 bytes in base64")
    path, _, query = request.target.decode("ascii").partition("?")
    return Upgrade(_text(path), _query_in(query), headers, peer)


def _parsed(head: bytes) -> h11.Request:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=len(head) + 1)
    connection.receive_data(head)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise _malformed(str(error)) from None
    if not isinstance(event, h11.Request) or event.http_version != b"1.1":
        raise _malformed("the HTTP version is not supported")
    if not event.target.startswith(b"/"):
        raise _malformed("the request target is malformed")
    return event


def _headers_of(request: h11.Request) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in request.headers:
        if not value.isascii():
            raise _malformed(f"the header {name.decode()} is not ASCII")
        key, said = name.decode(), value.decode()
        headers[key] = f"{headers[key]}, {said}" if key in headers else said
    host = headers.get("host", "")
    try:
        host.encode().decode("idna")  # as trio-websocket's parser will
    except UnicodeError:
        raise _malformed("the header host is malformed") from None
    return headers


def _tokens(headers: Mapping[str, str], name: str) -> set[str]:
    return {token.strip().lower() for token in headers.get(name, "").split(",")}


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _text(quoted: str) -> str:
    try:
        return unquote(quoted, errors="strict")
    except UnicodeDecodeError:
        raise _malformed("the path is not UTF-8") from None


def _query_in(query: str) -> dict[str, str]:
    try:
        return dict(
            parse_qsl(
                query, keep_blank_values=True, errors="strict", max_num_fields=_QUERY_FIELDS_MAX
            )
        )
    except (UnicodeDecodeError, ValueError):
        raise _malformed("the query is malformed") from None


def _malformed(message: str) -> UpgradeRefused:
    return UpgradeRefused(RequestRefused(Code.INVALID_REQUEST, message))


def rendered(outgoing: Outgoing) -> bytes:
    """A refusal as HTTP/1.1; the connection ends with it."""
    phrase = HTTPStatus(outgoing.status).phrase
    lines = [f"HTTP/1.1 {outgoing.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in outgoing.headers]
    lines += [f"Content-Length: {len(outgoing.body)}", "Connection: close"]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header has a line break in it")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + outgoing.body


async def refuse(stream: trio.abc.Stream, outgoing: Outgoing, linger_s: float) -> None:
    """Sends a refusal, and waits a moment for the client to have read it; the caller closes the stream."""
    with trio.move_on_after(linger_s):
        try:
            await stream.send_all(rendered(outgoing))
            if isinstance(stream, trio.abc.HalfCloseableStream):
                await stream.send_eof()
            left = _REFUSAL_LINGER_BYTES_MAX
            while left > 0 and (received := await stream.receive_some(_RECEIVE_BYTES)):
                left -= len(received)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
