"""Ids of events: UUIDs of version 8 (RFC 9562) that say where in the log an event stands.

From the left: the position in 40 bits, the epoch of the log in 24 bits, and 58 bits that keep ids apart, around the
bits of version and variant. So each id can be resumed from, also that of an update, which holds the position of the
last event before it. A log that was begun anew has another epoch, and knows that an id is not of its own.
"""

import hashlib
import secrets
import uuid

_REST_BITS = 58
_REST = (1 << _REST_BITS) - 1
_EPOCH_BITS = 24
_EPOCH_MAX = (1 << _EPOCH_BITS) - 1
_POSITION_MAX = (1 << 40) - 1
_VERSION = 8
_VARIANT = 0b10


class EventIds:
    """The ids of one log.

    Args:
        epoch: the log's own number, 24 bits.
    """

    def __init__(self, epoch: int) -> None:
        if not 0 <= epoch <= _EPOCH_MAX:
            raise ValueError(f"epoch {epoch} does not fit into {_EPOCH_BITS} bits")
        self._epoch = epoch
        self._next = secrets.randbits(_REST_BITS)

    def of(self, position: int) -> str:
        """The id of a logged event: the same each time it is asked for."""
        origin = self._epoch.to_bytes(3, "big") + position.to_bytes(8, "big")
        digest = hashlib.blake2b(origin, digest_size=8).digest()
        return _text(position, self._epoch, int.from_bytes(digest, "big") & _REST)

    def fresh(self, position: int) -> str:
        """A new id for what is not logged, told after the event at this position (0: before all).

        Counted on from a random number: never the same twice in one process, and hardly ever in two.
        """
        self._next = (self._next + 1) & _REST
        return _text(position, self._epoch, self._next)

    def position(self, event_id: str) -> int | None:
        """Where an id's holder stood in this log; None where it is not an id of this log."""
        try:
            found = uuid.UUID(event_id)
        except ValueError:
            return None
        if found.variant != uuid.RFC_4122 or found.version != _VERSION:
            return None
        packed = _unpacked(found.int)
        if (packed >> _REST_BITS) & _EPOCH_MAX != self._epoch:
            return None
        return packed >> (_REST_BITS + _EPOCH_BITS)


def _text(position: int, epoch: int, rest: int) -> str:
    """122 bits, with those of version and variant put between them."""
    if not 0 <= position <= _POSITION_MAX:
        raise ValueError(f"position {position} does not fit into 40 bits")
    packed = (position << (_REST_BITS + _EPOCH_BITS)) | (epoch << _REST_BITS) | rest
    high, middle, low = packed >> 74, (packed >> 62) & 0xFFF, packed & ((1 << 62) - 1)
    return str(uuid.UUID(int=high << 80 | _VERSION << 76 | middle << 64 | _VARIANT << 62 | low))


def _unpacked(number: int) -> int:
    """The 122 bits of an id without those of version and variant."""
    high, middle, low = number >> 80, (number >> 64) & 0xFFF, number & ((1 << 62) - 1)
    return high << 74 | middle << 62 | low
