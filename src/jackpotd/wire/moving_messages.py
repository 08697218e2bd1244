"""What two workers and the edge tell each other while an instance moves; carried by the messages of the mesh."""

from typing import Literal

from msgspec import Struct


class _Part(Struct, frozen=True, array_like=True):
    pass


class Departure(_Part, frozen=True):
    """An instance that stands still and is ready to be fetched; `instance` is its row, encoded.

    `views` are (worker, since) of those that may hold keys of the giver's instances, the giver not among them.
    """

    instance_id: str
    from_worker: int
    to_worker: int
    departing_seq: int
    moves: int
    views: tuple[tuple[int, int], ...]
    instance: bytes


class RowsChunk(_Part, frozen=True):
    """Some rows of an instance that departs, in order; the next ones are asked for with `last`."""

    rows: tuple[tuple[bytes, bytes], ...]
    last: bytes
    is_end: bool


HoldingState = Literal["serving", "departing", "importing"]


class Holding(_Part, frozen=True):
    """An instance as one worker's journal knows it.

    `worker` is where it departs to, or is imported from; `departing_seq` the number of that departure there.
    """

    instance_id: str
    state: HoldingState
    moves: int
    worker: int | None = None
    departing_seq: int = 0
