"""What sockets may take: how many there are, for one address and for one account, and how fast each may talk."""

from collections import Counter
from collections.abc import Hashable

from msgspec import Struct

from jackpotd.wire.errors import RequestRefused

_RATE_BURST_S = 2.0


class SocketLimits(Struct, frozen=True, kw_only=True):
    """The bounds of all sockets of the feed; the defaults are those of the settings.

    `backlog_bytes_max` bounds what waits for a reader beside the update that it is being sent; `messages_per_s_max`
    counts frames of every kind, and twice as many may come at once.
    """

    sockets_max: int = 12_000
    sockets_per_address_max: int = 1_000
    sockets_per_account_max: int = 1_000
    backlog_bytes_max: int = 262_144
    message_bytes_max: int = 65_536
    messages_per_s_max: float = 50.0
    message_queue_length_max: int = 4
    head_bytes_max: int = 16_384
    handshake_timeout_s: float = 10.0
    close_timeout_s: float = 30.0
    """So long a client may take to hear our close, behind what it has not read yet, and to close, too."""
    linger_s: float = 2.0
    """So long one may take who has been refused, or at a stop."""
    heartbeat_interval_s: float = 20.0
    refusing_max: int = 256
    """Handshakes that are being refused because there are too many sockets; more of them are cut off without a word."""


class SocketCounts(Struct, frozen=True):
    """How many sockets there are, of how many addresses and accounts, and how many were refused so far."""

    sockets: int
    addresses: int
    accounts: int
    refused: int


class Places:
    """The sockets that there are, counted for all listeners together."""

    def __init__(self, limits: SocketLimits) -> None:
        self._limits = limits
        self._total = 0
        self._by_address: Counter[Hashable] = Counter()
        self._by_account: Counter[Hashable] = Counter()
        self._refused = 0

    def statistics(self) -> SocketCounts:
        return SocketCounts(
            self._total, len(self._by_address), len(self._by_account), self._refused
        )

    def take(self, address: str) -> "Place":
        """A place for one more socket of an address, to be given back.

        Raises:
            RequestRefused: 503 where there are too many sockets, 429 where there are too many of this address.
        """
        if self._total >= self._limits.sockets_max:
            self._refused += 1
            raise RequestRefused("OVERLOADED", "there are too many sockets", status=503)
        if self._by_address[address] >= self._limits.sockets_per_address_max:
            self._refused += 1
            raise too_many("this address")
        self._total += 1
        self._by_address[address] += 1
        return Place(self, address)

    def take_account(self, account: str) -> bool:
        """Counts one more socket of an account; False where it has too many."""
        if self._by_account[account] >= self._limits.sockets_per_account_max:
            self._refused += 1
            return False
        self._by_account[account] += 1
        return True

    def leave_account(self, account: str) -> None:
        _count_down(self._by_account, account)

    def leave(self, address: str) -> None:
        self._total -= 1
        _count_down(self._by_address, address)


class Place:
    """One socket's place; its account may become known later."""

    __slots__ = ("_account", "_address", "_places")

    def __init__(self, places: Places, address: str) -> None:
        self._places = places
        self._address = address
        self._account = ""

    def belong_to(self, account: str) -> bool:
        """Says whose socket it is; False where that account has too many."""
        if account == self._account:
            return True
        if not self._places.take_account(account):
            return False
        if self._account:
            self._places.leave_account(self._account)
        self._account = account
        return True

    def give_back(self) -> None:
        self._places.leave(self._address)
        if self._account:
            self._places.leave_account(self._account)


def too_many(whose: str) -> RequestRefused:
    """What a client is told whose address or account has as many sockets as it may have."""
    return RequestRefused("TOO_MANY_SOCKETS", f"there are too many sockets of {whose}", status=429)


def _count_down(counter: Counter[Hashable], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


class Rate:
    """A bound on how many things happen in a second, with some room for bursts.

    Args:
        per_s_max: how many in the long run.
        now_s: the time at the beginning, in seconds of any clock.
    """

    __slots__ = ("_at_s", "_per_s_max", "_room")

    def __init__(self, per_s_max: float, now_s: float) -> None:
        self._per_s_max = per_s_max
        self._room = per_s_max * _RATE_BURST_S
        self._at_s = now_s

    def allows(self, count: int, now_s: float) -> bool:
        """Whether so many more may happen now; they are counted either way."""
        regained = (now_s - self._at_s) * self._per_s_max
        self._at_s = now_s
        self._room = min(self._room + regained, self._per_s_max * _RATE_BURST_S) - count
        return self._room >= 0
