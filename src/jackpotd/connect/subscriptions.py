"""What a socket subscribes to: sources and event types by name, in both spellings, or by pattern (contract §7)."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from jackpotd.wire.connect_messages import SOURCE, SubscribeRequest, Wish
from jackpotd.wire.errors import invalid
from jackpotd.wire.feed_events import Kind

FREEBETS = "thrillgate"
"""The source of events about freebets, of which there are none yet; who subscribes to them already is not refused."""

MESSAGE_NAMES: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.UPDATE: "JackpotUpdate",
        Kind.WIN: "WinEvent",
        Kind.RAFFLE_WIN: "RaffleWinEvent",
        Kind.OPT_IN: "OptInEvent",
    }
)
"""The events that Connect sends, under the names that it sends them with; no others are its readers' business."""

_NAMES: Mapping[str, Mapping[str, Kind | None]] = MappingProxyType(
    {
        SOURCE: {
            **{name: kind for kind, name in MESSAGE_NAMES.items()},
            **{kind.value: kind for kind in MESSAGE_NAMES},
        },
        FREEBETS: dict.fromkeys(
            (
                "PlayerBonusAdded",
                "PlayerBonusRemoved",
                "PlayerBonusUpdated",
                "PlayerBonusConsumed",
                "PlayerBonusExpired",
            )
        ),
    }
)


def kinds_of(request: SubscribeRequest) -> frozenset[Kind]:
    """The events that a request is about.

    Raises:
        RequestRefused: 400; it names a source or an event that there is not.
    """
    found: set[Kind] = set()
    for index, wish in enumerate(request.events):
        found.update(_kinds(wish, f"$.SubscribeRequest.events[{index}]"))
    return frozenset(found)


def _kinds(wish: Wish, path: str) -> Iterator[Kind]:
    sources = [names for source, names in _NAMES.items() if matches(wish.source, source)]
    if not sources:
        raise invalid(f"{path}.source", f"is none of {sorted(_NAMES)}")
    matched = {
        name: kind
        for names in sources
        for name, kind in names.items()
        if matches(wish.event_type, name)
    }
    if not matched:
        raise invalid(f"{path}.event_type", "is no event of this source")
    return (kind for kind in matched.values() if kind is not None)


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern, in which `*` stands for any text, is the whole of a name."""
    first, *others = pattern.split("*")
    if not others:
        return pattern == name
    *middle, last = others
    if not name.startswith(first):
        return False
    at = len(first)
    for part in middle:
        at = name.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return len(name) - at >= len(last) and name.endswith(last)
