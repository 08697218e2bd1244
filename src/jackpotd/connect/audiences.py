"""Who sees which events on Connect's sockets, and how they read (contract §7): players of a brand, and services.

Sockets of one audience share what is rendered, so nothing in a message is one socket's own: an opt-in, which only one
player's sockets get, names its player itself.
"""

from collections.abc import Callable, Hashable

import msgspec
from msgspec import Raw

from jackpotd.connect.subscriptions import MESSAGE_NAMES
from jackpotd.edge.event_reach import may_see
from jackpotd.engine.catalog import Catalog
from jackpotd.identity.principal import Principal
from jackpotd.wire import codec
from jackpotd.wire.connect_messages import Envelope
from jackpotd.wire.feed_events import Kind, LoggedEvent
from jackpotd.wire.stream_messages import RESUME_GAP, Gap

HIDDEN_FROM_PLAYERS = "seed_deficit"
"""What a reseed lacked is between the operator and the platform."""

_FIELDS = msgspec.json.Decoder(dict[str, Raw])


class PlayerAudience:
    """Everybody who plays at a brand: the jackpots that allow it, and opt-ins of its own players.

    Args:
        catalog: tells whether the brand is in service.
        operator_id: of the brand.
        brand_id: the bare brand.
        clock: Unix time in milliseconds.
    """

    __slots__ = ("_brand", "_brand_id", "_catalog", "_clock", "_operator_id")

    def __init__(
        self, catalog: Catalog, operator_id: str, brand_id: str, clock: Callable[[], int]
    ) -> None:
        self._catalog = catalog
        self._operator_id = operator_id
        self._brand_id = brand_id
        self._brand = f"{operator_id}:{brand_id}"
        self._clock = clock

    @property
    def key(self) -> Hashable:
        return "players", self._brand

    def sees(self, event: LoggedEvent) -> bool:
        if event.kind not in MESSAGE_NAMES or not self._catalog.brand_exists(self._brand):
            return False
        if event.kind is Kind.OPT_IN:
            return event.brand == self._brand
        return self._brand in event.brands

    def render(self, event_id: str, event: LoggedEvent) -> bytes:
        is_own = event.kind is Kind.OPT_IN
        return codec.encode(
            Envelope(
                msg_type="Event",
                msg_name=MESSAGE_NAMES[event.kind],
                operator_id=self._operator_id,
                brand_id=self._brand_id,
                player_id=event.player_id if is_own else None,
                data=_shown_to_players(event),
                timestamp=self._clock(),
                event_id=event_id,
            )
        )

    def gap(self, event_id: str, last_event_id: str) -> bytes:
        return _gap(self._operator_id, self._brand_id, event_id, last_event_id, self._clock())


def _shown_to_players(event: LoggedEvent) -> Raw:
    if event.kind not in (Kind.WIN, Kind.RAFFLE_WIN):
        return event.data
    fields = _FIELDS.decode(event.data)
    fields.pop(HIDDEN_FROM_PLAYERS, None)
    return Raw(codec.encode(fields))


class ServiceAudience:
    """A service: all jackpots that its account reaches, and opt-ins at the brands that it reaches.

    Args:
        principal: the account.
        clock: Unix time in milliseconds.
    """

    def __init__(self, principal: Principal, clock: Callable[[], int]) -> None:
        self._principal = principal
        self._clock = clock

    @property
    def key(self) -> Hashable:
        return "services", self._principal.org_id, self._principal.unit_ids

    def sees(self, event: LoggedEvent) -> bool:
        return event.kind in MESSAGE_NAMES and may_see(self._principal, event)

    def render(self, event_id: str, event: LoggedEvent) -> bytes:
        """Addressed to the brand that it happened at, where the account reaches that one; else to its operator."""
        is_own = bool(event.brand) and self._principal.reaches(event.brand)
        path = event.brand if is_own else self._principal.org_id or event.owner_id
        operator_id, _, brand_id = path.partition(":")
        return codec.encode(
            Envelope(
                msg_type="Event",
                msg_name=MESSAGE_NAMES[event.kind],
                operator_id=operator_id,
                brand_id=brand_id or None,
                player_id=event.player_id if event.kind is Kind.OPT_IN else None,
                data=event.data,
                timestamp=self._clock(),
                event_id=event_id,
            )
        )

    def gap(self, event_id: str, last_event_id: str) -> bytes:
        return _gap(self._principal.org_id, None, event_id, last_event_id, self._clock())


def _gap(
    operator_id: str | None, brand_id: str | None, event_id: str, last_event_id: str, now_ms: int
) -> bytes:
    return codec.encode(
        Envelope(
            msg_type="Message",
            msg_name=RESUME_GAP,
            operator_id=operator_id,
            brand_id=brand_id,
            player_id=None,
            data=Gap(last_event_id),
            timestamp=now_ms,
            event_id=event_id,
        )
    )
