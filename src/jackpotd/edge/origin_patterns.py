"""Origins of browsers, and the entries that let them in, compared as parsed (contract §7).

An entry is read in one of three ways. Exact: an origin, `https://casino.example`. Suffix: the end of a host at the
border of a label, `.casino.example` for every host below it and `casino.example` for that one, too; a scheme or a port
that stands with it must be the same, without them it is http or https on its default port. Regex: an expression for the
whole origin in the form that browsers send, lower case and without a default port; whatever it says, it is matched in
time that grows with the origin alone, so it knows no look-around and no references.

There is no entry for everybody: `*` is refused.
"""

import ipaddress
import re

import re2  # type: ignore[import-untyped]
from msgspec import Struct

ORIGIN_LENGTH_MAX = 300
EXPRESSION_BYTES_MAX = 8_192
"""So large is an expression when it is compiled: some hundred states, microseconds for an origin."""

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_ORIGIN = re.compile(r"([a-z][a-z0-9+.\-]*)://(\[[0-9a-f:.]+\]|[^\[\]:/?#@]+)(?::([0-9]{1,5}))?")
_SUFFIX = re.compile(r"(?:(https?)://)?(\.?)([^\[\]:/?#@]+)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_\-]{0,61}[a-z0-9_])?")
_UNICODE_CLASS = re.compile(r"\\[pP]")
_PORT_MAX = 65_535
_HOST_LENGTH_MAX = 253


class Address(Struct, frozen=True):
    """An origin as parsed; the port is the scheme's default where none is named, 0 where it has no default."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        is_default = self.port == _DEFAULT_PORTS.get(self.scheme, 0)
        return f"{self.scheme}://{self.host}" + ("" if is_default else f":{self.port}")

    def matches(self, address: "Address") -> bool:
        """Whether it is the same one: an Exact entry."""
        return address == self


def parsed(text: str) -> Address | None:
    """An origin; None if it is none: "null", a path, user information, a host that cannot be."""
    if len(text) > ORIGIN_LENGTH_MAX or not text.isascii():
        return None
    found = _ORIGIN.fullmatch(text.lower())
    if found is None:
        return None
    scheme, host, port_text = found.groups()
    known = _host(host)
    port = int(port_text) if port_text else _DEFAULT_PORTS.get(scheme, 0)
    if known is None or port > _PORT_MAX:
        return None
    return Address(scheme, known, port)


def _host(text: str) -> str | None:
    """A host in the one form that it is compared in."""
    if text.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(text[1:-1])}]"
        except ValueError:
            return None
    is_good = len(text) <= _HOST_LENGTH_MAX and all(map(_LABEL.fullmatch, text.split(".")))
    return text if is_good else None


class Suffix(Struct, frozen=True):
    """The end of a host; `port` None is the default of the origin's scheme."""

    scheme: str | None
    host: str
    is_below_only: bool
    port: int | None

    def matches(self, address: Address) -> bool:
        """Whether an origin ends like this."""
        if address.scheme not in ((self.scheme,) if self.scheme else ("http", "https")):
            return False
        wanted = _DEFAULT_PORTS[address.scheme] if self.port is None else self.port
        if address.port != wanted:
            return False
        is_same = address.host == self.host and not self.is_below_only
        return is_same or address.host.endswith(f".{self.host}")


class Expression:
    """A regular expression for whole origins.

    Raises:
        BadPattern: it is none, or larger than it may be.
    """

    __slots__ = ("_compiled",)

    def __init__(self, pattern: str) -> None:
        # Classes of all the letters there are take a thousand times as long to compile, and origins are ASCII.
        if not pattern.isascii() or _UNICODE_CLASS.search(pattern):
            raise BadPattern("must be ASCII, without classes of Unicode")
        options = re2.Options()
        options.max_mem = EXPRESSION_BYTES_MAX
        options.log_errors = False
        options.never_capture = True
        options.encoding = re2.Options.Encoding.LATIN1
        try:
            self._compiled = re2.compile(pattern.encode(), options)
        except re2.error as error:
            said = error.args[0]
            why = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
            raise BadPattern(f"is no expression that can be used: {why}") from None

    def matches(self, address: Address) -> bool:
        """Whether it describes the whole of an origin."""
        return self._compiled.fullmatch(str(address).encode()) is not None


Entry = Address | Suffix | Expression


class BadPattern(ValueError):
    """A pattern that cannot be listed; the message says why."""


def entry(pattern: str, mode: str) -> Entry:
    """What a pattern lets in.

    Raises:
        BadPattern: it is no pattern of that mode.
    """
    match mode:
        case "Exact":
            wanted = parsed(pattern)
            if wanted is None:
                raise BadPattern("must be an origin: a scheme, a host, and a port if need be")
            return wanted
        case "Suffix":
            return _suffix(pattern)
        case "Regex":
            return Expression(pattern)
        case _:
            raise BadPattern(f"has the unknown match mode {mode}")


def _suffix(pattern: str) -> Suffix:
    found = _SUFFIX.fullmatch(pattern.lower())
    if found is None:
        raise BadPattern("must be the end of a host, with a scheme before it or a port behind")
    scheme, dot, host, port = found.groups()
    if _host(host) is None or int(port or 0) > _PORT_MAX:
        raise BadPattern("must be the end of a host, with a scheme before it or a port behind")
    *others, last = host.split(".")
    if last.isdecimal():
        raise BadPattern("must not be the end of an address")
    if not others and last != "localhost":
        raise BadPattern("must have two labels or more: it would let in strangers")
    return Suffix(scheme, host, bool(dot), int(port) if port else None)
