"""The players of a simulated jackpot, in the order in which they contributed last.

A log of who contributed, in which only a player's latest entry is alive. Counts of the living are kept for each bucket,
so a contribution costs the same whatever the number of players, and a question looks at buckets, not at players.
"""

from bisect import bisect_left

from jackpotd.core.state import LastSeen, Player

_BUCKET_BITS = 12
_BUCKET = 1 << _BUCKET_BITS
_ALIVE = b"\x01"


class SimulatedCrowd:
    """Who contributed, when, and what the core remembers of them; implements `commands.Crowd`."""

    def __init__(self, brand: str) -> None:
        self._brand = brand
        self._players: dict[int, Player] = {}
        self._places: dict[int, int] = {}
        self._log: list[int] = []
        self._times: list[int] = []
        self._alive = bytearray()
        self._counts: list[int] = []

    def player(self, number: int, newcomer: Player) -> Player:
        """What is known of a player."""
        return self._players.get(number, newcomer)

    def came(self, number: int, player: Player, at_ms: int) -> None:
        """A player has contributed."""
        self._players[number] = player
        before = self._places.get(number)
        if before is not None:
            self._alive[before] = 0
            self._counts[before >> _BUCKET_BITS] -= 1
        place = len(self._log)
        if not place & (_BUCKET - 1):
            if place > 2 * len(self._places) + _BUCKET:
                self._compact()
                place = len(self._log)
            self._make_room(place)
        self._log.append(number)
        self._times.append(at_ms)
        self._alive[place] = 1
        self._counts[place >> _BUCKET_BITS] += 1
        self._places[number] = place

    def _make_room(self, place: int) -> None:
        if place >> _BUCKET_BITS == len(self._counts):
            self._counts.append(0)
            self._alive += bytes(_BUCKET)

    def _compact(self) -> None:
        """Forgets the entries that are dead."""
        alive = [at for at in range(len(self._log)) if self._alive[at]]
        self._log = [self._log[at] for at in alive]
        self._times = [self._times[at] for at in alive]
        self._places = {number: at for at, number in enumerate(self._log)}
        buckets = -(-len(alive) // _BUCKET)
        self._alive = bytearray(_ALIVE * len(alive) + bytes(buckets * _BUCKET - len(alive)))
        self._counts = [
            self._alive.count(1, at * _BUCKET, (at + 1) * _BUCKET) for at in range(buckets)
        ]

    def active(self, since_ms: int) -> int:
        first = bisect_left(self._times, since_ms)
        bucket = first >> _BUCKET_BITS
        in_first = self._alive.count(1, first, (bucket + 1) * _BUCKET)
        return in_first + sum(self._counts[bucket + 1 :])

    def at(self, since_ms: int, place: int) -> tuple[str, str]:
        start = bisect_left(self._times, since_ms)
        bucket = start >> _BUCKET_BITS
        left = place
        living = self._alive.count(1, start, (bucket + 1) * _BUCKET)
        while left >= living:
            left -= living
            bucket += 1
            start, living = bucket * _BUCKET, self._counts[bucket]
        return self._brand, str(self._log[self._nth(start, (bucket + 1) * _BUCKET, left)])

    def _nth(self, start: int, end: int, nth: int) -> int:
        """The place of the living entry `nth`, counted from 0, between these places."""
        low, high = start, end
        while high - low > 1:
            middle = (low + high) // 2
            before = self._alive.count(1, low, middle)
            if nth < before:
                high = middle
            else:
                nth -= before
                low = middle
        return low

    def seen(self, brand: str, player_id: str) -> LastSeen | None:
        player = self._players.get(int(player_id)) if brand == self._brand else None
        return None if player is None else player.last
