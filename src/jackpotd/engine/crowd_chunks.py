"""Stretches of the log of a crowd, as columns: an entry takes 21 bytes and the length of brand and id."""

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, compress, islice

Entry = tuple[int, int, bytes]
"""The number of a contribution, its Unix time in ms, and who contributed, as `name_of` says it."""


def name_of(brand: str, player_id: str) -> bytes:
    """Who it is: a brand holds no NUL, and a player's id stands last, so it may hold anything."""
    return f"{brand}\0{player_id}".encode()


class Chunk:
    """A stretch of the log, in columns without an object for each entry, which the garbage collector need not walk.

    `marks` holds 1 for an entry that counts and 0 for one that was cleared; `live` is how many count.
    """

    __slots__ = ("at_ms", "ends", "live", "marks", "names", "numbers")

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self.numbers = array("q")
        self.at_ms = array("q")
        self.names = bytearray()
        self.ends = array("I")
        self.marks = bytearray()
        self.live = 0
        self.extend(entries)

    @property
    def slots(self) -> int:
        return len(self.marks)

    def append(self, number: int, at_ms: int, name: bytes) -> None:
        self.numbers.append(number)
        self.at_ms.append(at_ms)
        self.names += name
        self.ends.append(len(self.names))
        self.marks.append(1)
        self.live += 1

    def extend(self, entries: Sequence[Entry]) -> None:
        names = [name for _, _, name in entries]
        ends = accumulate(map(len, names), initial=len(self.names))
        self.numbers.extend([number for number, _, _ in entries])
        self.at_ms.extend([at_ms for _, at_ms, _ in entries])
        self.names += b"".join(names)
        self.ends.extend(islice(ends, 1, None))
        self.marks += b"\1" * len(entries)
        self.live += len(entries)

    def name(self, slot: int) -> bytes:
        return bytes(self.names[self.ends[slot - 1] if slot else 0 : self.ends[slot]])

    def entries(self) -> Iterator[Entry]:
        """Those that count."""
        names = bytes(self.names)
        bounds = zip(chain((0,), self.ends), self.ends, strict=False)
        whole = zip(
            self.numbers, self.at_ms, [names[begin:end] for begin, end in bounds], strict=True
        )
        return compress(whole, self.marks)

    def memory_bytes(self) -> int:
        columns = (self.numbers, self.at_ms, self.names, self.ends, self.marks)
        return sum(map(sys.getsizeof, (self, *columns)))

    def slot_at(self, place: int) -> int:
        """The slot of the entry at this place among those that count."""
        return next(islice(compress(range(self.slots), self.marks), place, None))

    def clear(self, number: int) -> None:
        """The entry of this number counts no longer.

        Raises:
            ValueError: there is none that counts.
        """
        slot = bisect_left(self.numbers, number)
        if slot == self.slots or self.numbers[slot] != number or not self.marks[slot]:
            raise ValueError(f"contribution {number} is nobody's last one")
        self.marks[slot] = 0
        self.live -= 1


def packed(chunks: Iterable[Chunk]) -> Chunk:
    """What counts of neighbouring chunks, without the rest."""
    return Chunk([entry for chunk in chunks for entry in chunk.entries()])
