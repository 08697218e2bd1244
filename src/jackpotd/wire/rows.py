"""The rows of the checkpoint: what the journal's fold looks like on disk, and the keys that order it.

A row carries `as_of`, the sequence number of the last record that it reflects, so a fold that starts earlier skips what
a row already holds. Same rules of evolution as the journal's records.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from jackpotd.core.state import Status


class _Row(Struct, frozen=True, array_like=True):
    pass


class PotRow(_Row, frozen=True):
    value: int
    reserve: int
    cycle: int
    is_open: bool
    hits: int
    paid: int


class InstanceRow(_Row, frozen=True, tag="i"):
    """An instance: `created` is its birth record as it stands in the journal."""

    as_of: int
    created: Raw
    status: Status
    version: int
    updated_ms: int
    pots: tuple[PotRow, ...]
    carried: tuple[int, ...]
    contributions: int
    contributed: int
    operator: int
    deficit: int
    house: int
    payouts: int


class PotCountRow(_Row, frozen=True):
    cycle: int
    count: int
    value: int


class PlayerRow(_Row, frozen=True, tag="p"):
    """A player's standing with one instance."""

    as_of: int
    opted_in: bool
    preferences: tuple[tuple[str, int], ...]
    count: int
    value: int
    pots: tuple[PotCountRow, ...]
    updated_ms: int


class WinnerRow(_Row, frozen=True, tag="w"):
    """One pot won, in the jackpot's currency."""

    at_ms: int
    pot: int
    brand: str
    player_id: str
    paid: int
    round_id: str


class PropagationRow(_Row, frozen=True, tag="l"):
    """A linked request whose links have not all answered: 0 where a result is still missing."""

    links: tuple[str, ...]
    results: tuple[int, ...]
    key_digest: bytes | None
    accepted_ms: int


class PositionRow(_Row, frozen=True, tag="@"):
    """Every row reflects the journal at least up to this sequence number."""

    seq: int


Row = InstanceRow | PlayerRow | WinnerRow | PropagationRow | PositionRow

POSITION_KEY = b"@"
INSTANCES = b"i"
PLAYERS = b"p"
WINNERS = b"w"
PROPAGATIONS = b"l"

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Row)


def encode(row: Row) -> bytes:
    return _ENCODER.encode(row)


def decode(data: bytes) -> Any:
    """The row; its kind is that of the key's prefix."""
    return _DECODER.decode(data)


def instance_key(instance_id: str) -> bytes:
    return INSTANCES + instance_id.encode()


def player_key(instance_id: str, brand: str, player_id: str) -> bytes:
    """Ids of instances and brands hold no NUL; a player's id stands last, so it may hold anything."""
    return f"p{instance_id}\0{brand}\0{player_id}".encode()


def winner_prefix(instance_id: str, pot: int) -> bytes:
    return f"w{instance_id}\0".encode() + pot.to_bytes(2, "big")


def winner_key(instance_id: str, pot: int, seq: int, place: int) -> bytes:
    """Winners of one pot stand together, in the order of the journal."""
    return winner_prefix(instance_id, pot) + winner_order(seq, place)


def winner_order(seq: int, place: int) -> bytes:
    return seq.to_bytes(8, "big") + place.to_bytes(2, "big")


WINNER_ORDER_BYTES = 10


def propagation_key(cause: int) -> bytes:
    return PROPAGATIONS + cause.to_bytes(8, "big")
