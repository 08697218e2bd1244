"""One filter over all run files of the key index: a key that was never used costs one look at it and no run.

The first bits of a digest choose a byte, a further byte chooses two bits in it. A digest whose two bits are not both
set is in none of the runs that the filter knows. Bits are only ever added: merging runs changes nothing, what expiry
leaves behind is a little less sharpness, until a new filter takes over. It is made of the run files and lives in
memory only, so nothing about it can be lost.

Never here: which runs are known. The index keeps that, and asks every other run itself.
"""

import sys
import threading
from array import array

from jackpotd.journal.key_runs import ROW_BYTES, anonymous_memory

WORD_BYTES = 4  # of a digest; they choose its byte
SIZE_BITS_MIN, SIZE_BITS_MAX = 20, 8 * WORD_BYTES
# At one key for each byte, one unknown key in 15 is still asked of the runs; at the size of a new filter, one in 25.
BYTES_PER_KEY_MIN = 1.25


def _two_bits(choice: int) -> int:
    first, step = choice & 7, 1 + (choice >> 3) % 7
    return 1 << first | 1 << ((first + step) & 7)


MASKS = bytes(map(_two_bits, range(256)))
"""The two bits of a digest in its byte, by its byte at `WORD_BYTES`."""


class KeyFilter:
    """Reads belong to the event loop, which does them itself; `add` runs in worker threads."""

    def __init__(self, keys: int) -> None:
        bits = int(keys * BYTES_PER_KEY_MIN).bit_length()
        self.size = 1 << min(max(bits, SIZE_BITS_MIN), SIZE_BITS_MAX)
        self.shift = 8 * WORD_BYTES - self.size.bit_length() + 1
        self.table = anonymous_memory(self.size)
        self.keys = 0
        self._lock = threading.Lock()

    @property
    def is_full(self) -> bool:
        """So many keys that a larger one, or one without those that have expired, is sharper."""
        return self.keys > self.size < 1 << SIZE_BITS_MAX

    def has_room_for(self, keys: int) -> bool:
        """Whether it stays sharp when it knows so many keys in all."""
        return keys * BYTES_PER_KEY_MIN <= self.size

    def add(self, rows: bytes) -> None:
        """Know the digests of these rows."""
        count = len(rows) // ROW_BYTES
        columns = bytearray(WORD_BYTES * count)
        for place in range(WORD_BYTES):
            columns[place::WORD_BYTES] = rows[place::ROW_BYTES]
        words = array("I", bytes(columns))
        if sys.byteorder == "little":
            words.byteswap()
        masks = rows[WORD_BYTES::ROW_BYTES].translate(MASKS)
        table, shift = self.table, self.shift
        # A bit that two threads lose between them would make a used key look new: a bet would count twice.
        with self._lock:
            for word, mask in zip(words, masks, strict=True):
                table[word >> shift] |= mask
            self.keys += count
