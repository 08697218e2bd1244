"""Whose pages may call from a browser just now: the lists of all operators, and of the platform (contract §7).

An entry stands in the list of one operator, whose sockets its pages may open, or in the platform's, whose pages may
open all; what is public may be read by pages of either.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import structlog

from jackpotd.edge.origin_patterns import (
    ORIGIN_LENGTH_MAX,
    Address,
    BadPattern,
    Entry,
    Expression,
    Suffix,
    entry,
    parsed,
)
from jackpotd.engine.catalog import Catalog
from jackpotd.wire.catalog_records import Origin
from jackpotd.wire.errors import RequestRefused

DECISIONS_MAX = 4096
PLATFORM = ""
"""Whose list it is that counts for every operator."""

_log = structlog.get_logger("jackpotd.edge")


class AllowedOrigins:
    """Who is let in; a change of the catalog counts from its moment on.

    Whatever comes as an origin is decided without looking at every entry, and an entry is compiled once, however often
    the lists around it change: both happen on the event loop that serves everybody.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._listed: tuple[Origin, ...] = ()
        self._entries: dict[tuple[str, str], Entry | None] = {}
        self._index = _Index(())
        self._decided: dict[tuple[str, str | None], bool] = {}

    def allows(self, origin: str, operator: str | None = None) -> bool:
        """Whether pages of this origin may call; what is no origin may not.

        Args:
            origin: as the browser sent it.
            operator: whose list counts beside the platform's; None for what is public, where every list counts.
        """
        if self._catalog.origins is not self._listed:
            self._take(self._catalog.origins)
        known = self._decided.get((origin, operator))
        if known is None:
            address = parsed(origin)
            known = address is not None and self._index.has(address, operator)
            if len(self._decided) >= DECISIONS_MAX:
                self._decided.clear()
            if len(origin) <= ORIGIN_LENGTH_MAX:
                self._decided[origin, operator] = known
        return known

    def _take(self, listed: tuple[Origin, ...]) -> None:
        before, self._entries = self._entries, {}
        for each in listed:
            key = each.pattern, each.match_mode
            self._entries[key] = before[key] if key in before else _entry_of(each)
        found = (
            (each.operator_id, self._entries[each.pattern, each.match_mode]) for each in listed
        )
        self._index = _Index(found)
        self._listed = listed
        self._decided.clear()


def _entry_of(origin: Origin) -> Entry | None:
    """What was listed; None, and nobody is let in by it, where it cannot be read any more."""
    try:
        return entry(origin.pattern, origin.match_mode)
    except BadPattern as bad:
        _log.warning("a listed origin cannot be used", pattern=origin.pattern, why=str(bad))
        return None


class _Index:
    """Entries by what they are found by; expressions by their operators."""

    def __init__(self, entries: Iterable[tuple[str, Entry | None]]) -> None:
        self._exact: dict[Address, set[str]] = defaultdict(set)
        self._suffixes: dict[str, list[tuple[str, Suffix]]] = defaultdict(list)
        self._expressions: dict[str, list[Expression]] = defaultdict(list)
        for operator, known in entries:
            match known:
                case Address():
                    self._exact[known].add(operator)
                case Suffix():
                    self._suffixes[known.host].append((operator, known))
                case Expression():
                    self._expressions[operator].append(known)
                case None:
                    pass

    def has(self, address: Address, operator: str | None) -> bool:
        """Whether an origin stands in a list that counts."""
        by_name = (
            found in (operator, PLATFORM) or operator is None for found in self._by_name(address)
        )
        lists = self._expressions if operator is None else {operator, PLATFORM}
        return any(by_name) or any(
            expression.matches(address)
            for each in lists
            for expression in self._expressions.get(each, ())
        )

    def _by_name(self, address: Address) -> Iterator[str]:
        """The operators whose lists have it as Exact, or its end as Suffix."""
        yield from self._exact.get(address, ())
        tail = address.host
        while tail:
            for operator, suffix in self._suffixes.get(tail, ()):
                if suffix.matches(address):
                    yield operator
            tail = tail.partition(".")[2]


def check_socket(
    origins: AllowedOrigins,
    headers: Mapping[str, str],
    scheme: str,
    operator: str | None = None,
) -> None:
    """Refuses a socket that a page of a stranger opens; who names no origin is no browser, and nobody's page.

    Args:
        origins: who is let in.
        headers: of the handshake, by their lower-case names.
        scheme: of the listener, http or https: its own pages are let in.
        operator: whose socket it is; None as long as nobody can say.

    Raises:
        RequestRefused: 403.
    """
    origin = headers.get("origin")
    if origin is None or is_own(origin, headers.get("host", ""), scheme):
        return
    if not origins.allows(origin, operator):
        raise RequestRefused("FORBIDDEN", "pages of this origin may not open a socket")


def is_own(origin: str, host: str, scheme: str) -> bool:
    """Whether an origin is that of the listener itself, as the client named it in its Host header."""
    address = parsed(origin)
    return address is not None and address == parsed(f"{scheme}://{host}")
