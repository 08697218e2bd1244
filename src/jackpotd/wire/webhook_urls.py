"""The URL of a webhook as it is compared, grouped and called: one strict reading, so that no two parts can differ.

What two parsers might read differently is refused, not mended: user info, fragments, backslashes, control characters,
broken percent-encoding, dot segments however they are encoded, and numbers that only some resolvers take for addresses.
"""

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import unquote

import idna
from msgspec import Struct

URL_CHARACTERS_MAX = 2048
PARSED_AT_HAND = 1024
DECODINGS_MAX = 3

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SHAPE = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?", re.IGNORECASE | re.ASCII)
_AUTHORITY = re.compile(r"(?:\[([^\[\]]*)\]|([^\[\]:]*))(?::([0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*")
_QUERY = re.compile(r"\?(?:[!$&-;=?-\[\]-~]|%[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_SEPARATORS = re.compile(r"[/\\]")
_HOST_CHARACTERS_MAX = 253


class Unusable(Struct, frozen=True):
    """Why a text is not the URL of a webhook."""

    why: str


class WebhookUrl(Struct, frozen=True):
    """A URL in the one form that all its spellings have.

    `host` is in lower case, in ASCII, without a dot at its end and without brackets; `path` begins with a slash and has
    no needless escapes; `query` has its question mark, or is empty.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @property
    def origin(self) -> str:
        """Scheme, host and port; the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def text(self) -> str:
        return f"{self.origin}{self.path}{self.query}"


@lru_cache(maxsize=PARSED_AT_HAND)
def parse(text: str) -> WebhookUrl | Unusable:
    """Reads a URL, or says why it is none that a webhook may have."""
    if len(text) > URL_CHARACTERS_MAX:
        return Unusable(f"it is longer than {URL_CHARACTERS_MAX} characters")
    if "#" in text:
        return Unusable("it has a fragment")
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        return Unusable("it is not an http or https URL")
    scheme, authority, path, query = shape[1].lower(), shape[2], shape[3], shape[4] or ""
    if "@" in authority:
        return Unusable("it has user info")
    place = _AUTHORITY.fullmatch(authority)
    host = (
        None if place is None else _address(place[1]) if place[1] is not None else _name(place[2])
    )
    if place is None or host is None:
        return Unusable("its host is not a name or an address")
    port = int(place[3]) if place[3] else _DEFAULT_PORTS[scheme]
    if not 1 <= port <= 65535:
        return Unusable("its port is not one of 1 to 65535")
    if not _PATH.fullmatch(path) or (query and not _QUERY.fullmatch(query)):
        return Unusable("its path or query has characters that must be percent-encoded")
    if _is_ambiguous(path):
        return Unusable("its path has dot segments, control characters or escapes of escapes")
    return WebhookUrl(scheme, host, port, _ESCAPE.sub(_unescaped, path) or "/", query)


def _address(text: str) -> str | None:
    """An IPv6 address in its shortest form; one with a zone means something on one machine only."""
    try:
        return None if "%" in text else str(IPv6Address(text))
    except AddressValueError:
        return None


def _name(text: str) -> str | None:
    """A host's name in ASCII, or an IPv4 address of four plain numbers."""
    if not text.isascii():
        try:
            text = idna.encode(text, uts46=True).decode()
        except UnicodeError:
            return None
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > _HOST_CHARACTERS_MAX or not all(map(_LABEL.fullmatch, labels)):
        return None
    if not _NUMBER.fullmatch(labels[-1]):
        return name
    try:
        return str(IPv4Address(name))
    except AddressValueError:
        return None


def _is_ambiguous(path: str) -> bool:
    """Whether a server that decodes once or more often, or drops parameters, might read another path.

    Escapes of escapes of escapes mean nothing good, and each look at them costs.
    """
    for _ in range(DECODINGS_MAX):
        segments = _SEPARATORS.split(path)
        if any(segment.split(";")[0] in {".", ".."} for segment in segments):
            return True
        if any(character < " " or character == "\x7f" for character in path):
            return True
        decoded = unquote(path, encoding="latin-1")
        if decoded == path:
            return False
        path = decoded
    return True


def _unescaped(escape: re.Match[str]) -> str:
    character = chr(int(escape[0][1:], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()
