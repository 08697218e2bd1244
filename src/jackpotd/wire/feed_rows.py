"""The rows of the feed's store beside its events and deliveries: who it is, and how far it has read.

Same rules of evolution as the journal's records: fields are added last with a default, tags are never used again.
"""

from typing import TypeVar

import msgspec
from msgspec import Struct


class _Row(Struct, frozen=True, gc=False, array_like=True):
    pass


class FeedGenesis(_Row, frozen=True, gc=False, tag="@"):
    """What a store was created with, for good; event ids hold the `epoch`, so those of another store are known."""

    format: int
    epoch: int


class Position(_Row, frozen=True, gc=False, tag="p"):
    """The last record of a worker's journal that was looked at, and when that journal was created (Unix ms)."""

    seq: int
    created_ms: int


RowT = TypeVar("RowT", FeedGenesis, Position)

_ENCODER = msgspec.json.Encoder()


def encode(row: FeedGenesis | Position) -> bytes:
    return _ENCODER.encode(row)


def decode(data: bytes, kind: type[RowT]) -> RowT:
    """A row of this kind.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return msgspec.json.decode(data, type=kind)
