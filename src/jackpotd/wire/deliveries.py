"""Results that a webhook has still to be told of, as the feed keeps them: from the commit that knows of them until they
were taken, or are a dead letter (contract §3, "Asynchronous").
"""

import msgspec
from msgspec import Raw, Struct


class Delivery(Struct, frozen=True, array_like=True, tag="d"):
    """One result on its way. `id` is the same on every attempt, and the same if it is found in the journal again.

    `attempts` were made without success, the next one is due at `next_ms`; `last` says how the last one ended.
    """

    id: str
    operator: str
    url: str
    body: Raw
    created_ms: int
    next_ms: int
    attempts: int = 0
    last: str = ""


class DeadLetter(Struct, frozen=True, array_like=True, tag="x"):
    """A result that was given up: the schedule was over, or the receiver said that it is gone for good."""

    id: str
    operator: str
    url: str
    body: Raw
    created_ms: int
    dead_ms: int
    attempts: int
    reason: str


class Awaiting(Struct, frozen=True, array_like=True, tag="a"):
    """A request with a webhook whose links have not all answered: what their results need of it."""

    operator: str
    url: str
    win_result_only: bool
    trace_id: str
    metadata: Raw


_ENCODER = msgspec.json.Encoder()


def encode(row: Delivery | DeadLetter | Awaiting) -> bytes:
    return _ENCODER.encode(row)


_DECODER: msgspec.json.Decoder[Delivery | DeadLetter | Awaiting] = msgspec.json.Decoder(
    Delivery | DeadLetter | Awaiting
)


def decode(data: bytes) -> Delivery | DeadLetter | Awaiting:
    return _DECODER.decode(data)
