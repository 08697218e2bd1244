"""Who listens to what: readers in groups that get the very same frames, and players by their ids."""

from collections.abc import Hashable, Iterable
from math import inf
from typing import Protocol

from msgspec import Struct

from jackpotd.feed.client_socket import Socket
from jackpotd.wire.feed_events import Kind, LoggedEvent


class Audience(Protocol):
    """Whose eyes events are seen with, and how they look to them.

    Sockets whose audiences have equal keys share what is rendered, so these must behave alike.
    """

    @property
    def key(self) -> Hashable: ...

    def sees(self, event: LoggedEvent) -> bool:
        """Whether anybody of this key might see an event; of opt-ins, some player's."""
        ...

    def render(self, event_id: str, event: LoggedEvent) -> bytes:
        """The whole text message, JSON."""
        ...

    def gap(self, event_id: str, last_event_id: str) -> bytes:
        """The message that some of what came after `last_event_id` is not kept any more."""
        ...


class Wanted(Struct, frozen=True):
    """What a socket wants of what its audience sees; of opt-ins, those of these players alone (None: of everybody)."""

    kinds: frozenset[Kind]
    players: frozenset[str] | None = None


class Subscriber:
    """A socket with what it wants; `position` is that of the last event that it was told, or that it does not want.

    It is live where it is in its group; before that it is being told what it has missed. `owed` are instances whose
    last update it has not taken yet; it is new until it has got its first updates, for which it was greeted.
    """

    __slots__ = (
        "audience",
        "greeted_at",
        "group",
        "is_gone",
        "is_new",
        "owed",
        "position",
        "socket",
        "wanted",
    )

    def __init__(self, socket: Socket, audience: Audience, wanted: Wanted, position: int) -> None:
        self.socket = socket
        self.audience = audience
        self.wanted = wanted
        self.position = position
        self.group: Group | None = None
        self.owed: frozenset[str] = frozenset()
        self.is_new = False
        self.greeted_at = -inf
        self.is_gone = False

    def inherit(self, earlier: "Subscriber") -> None:
        """Takes over what the socket's earlier subscriber was owed, and when it was greeted."""
        self.owed = earlier.owed
        self.greeted_at = earlier.greeted_at

    def wants(self, event: LoggedEvent) -> bool:
        """Whether it is to be told of an event."""
        wanted = self.wanted
        if event.kind not in wanted.kinds or not self.audience.sees(event):
            return False
        is_others = wanted.players is not None and event.player_id not in wanted.players
        return event.kind is not Kind.OPT_IN or not is_others


class Group:
    """Live subscribers that get the same frames, but for the opt-ins of single players."""

    __slots__ = ("audience", "has_all_players", "key", "kinds", "members")

    def __init__(self, key: Hashable, subscriber: Subscriber) -> None:
        self.key = key
        self.audience = subscriber.audience
        self.kinds = subscriber.wanted.kinds
        self.has_all_players = subscriber.wanted.players is None
        self.members: dict[Subscriber, None] = {}

    def wants(self, event: LoggedEvent) -> bool:
        """Whether all members are to be told of an event."""
        if event.kind not in self.kinds or (event.kind is Kind.OPT_IN and not self.has_all_players):
            return False
        return self.audience.sees(event)


class Subscriptions:
    """The subscribers that there are, one for each socket at most."""

    def __init__(self) -> None:
        self.groups: dict[Hashable, Group] = {}
        self._by_socket: dict[Socket, Subscriber] = {}
        self._by_player: dict[str, dict[Subscriber, None]] = {}

    def __len__(self) -> int:
        return len(self._by_socket)

    def of(self, socket: Socket) -> Subscriber | None:
        return self._by_socket.get(socket)

    def put(self, subscriber: Subscriber) -> None:
        """Takes the place of the socket's earlier subscriber; not live yet."""
        self.remove(subscriber.socket)
        self._by_socket[subscriber.socket] = subscriber

    def make_live(self, subscriber: Subscriber) -> None:
        """From here on it is told what its group is told."""
        wanted = subscriber.wanted
        key = (subscriber.audience.key, wanted.kinds, wanted.players is None)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(key, subscriber)
        group.members[subscriber] = None
        subscriber.group = group
        for player_id in self._indexed(subscriber):
            self._by_player.setdefault(player_id, {})[subscriber] = None

    def remove(self, socket: Socket) -> None:
        """Forgets the subscriber of a socket, if there is one."""
        subscriber = self._by_socket.pop(socket, None)
        if subscriber is None:
            return
        subscriber.is_gone = True
        group = subscriber.group
        if group is None:
            return
        subscriber.group = None
        del group.members[subscriber]
        if not group.members:
            del self.groups[group.key]
        for player_id in self._indexed(subscriber):
            theirs = self._by_player[player_id]
            del theirs[subscriber]
            if not theirs:
                del self._by_player[player_id]

    def with_player(self, player_id: str) -> list[Subscriber]:
        """The live subscribers that want opt-ins of this player among others that they name."""
        return list(self._by_player.get(player_id, ()))

    @staticmethod
    def _indexed(subscriber: Subscriber) -> Iterable[str]:
        wanted = subscriber.wanted
        return (wanted.players or ()) if Kind.OPT_IN in wanted.kinds else ()
