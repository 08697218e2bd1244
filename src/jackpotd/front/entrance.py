"""Who comes in while there is room, and the refusal of everybody else, as cheap as an answer can be.

Under overload most answers are refusals: what they cost is taken from the good work that is left.
"""

import sys
from collections.abc import Callable

from jackpotd.edge.exchange import Incoming, http_date, refusal, refused_by
from jackpotd.engine.router import TOO_MANY_REQUESTS
from jackpotd.front.rendering import rendered

_KNOWN_MAX = 64
_TRACE_ID = b"-trace-id-"

Room = Callable[[], int]
"""How many more requests of the fast routes may be taken just now; may be below 0."""


def unlimited() -> int:
    """Room for any number: a listener without fast routes."""
    return sys.maxsize


class Entrance:
    """Decides whether a request of a fast route is taken.

    `is_shut` is set for those that came last where more wait in the sockets than there is room for.
    """

    def __init__(self, room: Room) -> None:
        self.room = room
        self.is_shut = False
        self._known: dict[tuple[str, str], tuple[bytes, bytes, bytes]] = {}

    def is_open(self) -> bool:
        return not self.is_shut and self.room() > 0

    def refusal(self, accept: str, connection: str, trace_id: str, now_ms: int) -> bytes:
        """What whoever does not come in is told, rendered once but for its trace id and date."""
        parts = self._known.get((accept, connection))
        if parts is None:
            parts = _rendered_parts(accept, connection)
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[accept, connection] = parts
        before, between, after = parts
        return b"%b%b%b%b%b" % (
            before,
            trace_id.encode(),
            between,
            http_date(now_ms).encode(),
            after,
        )


def _rendered_parts(accept: str, connection: str) -> tuple[bytes, bytes, bytes]:
    """The refusal before, between and behind trace id and date."""
    incoming = Incoming({"accept": accept}, trace_id=_TRACE_ID.decode())
    data = rendered(refusal(refused_by(TOO_MANY_REQUESTS), incoming), connection)
    before, _, rest = data.partition(_TRACE_ID)
    between, _, after = rest.partition(http_date(incoming.received_ms).encode())
    return before, between, after
