"""What a revealed secret decides, worked out again from the published scheme with nothing but `hashlib`.

    commitment = SHA-256("jackpotd seal 1" 0 instance 0 pot 0 number 0 secret)
    stream(label, block) = SHAKE-256("jackpotd stream 1" 0 secret label 0 block)    block: 8 bytes, big-endian

A HitRate's draws are 64-bit words of the stream `hit POINT`, 256 to a block. Every other choice among `bound` takes
128-bit words of the stream `LABEL NUMBER`, eight to a block, and passes over those of the incomplete last round.
"""

from hashlib import sha256, shake_256
from itertools import count
from typing import Final

WORDS_IN_BLOCK: Final = 8
DRAWS_IN_BLOCK: Final = 256


def commitment(secret: bytes, instance_id: str, pot_id: str, number: int) -> str:
    """The hash that is published before a secret decides anything, in hex."""
    named = "\0".join(("jackpotd seal 1", instance_id, pot_id, str(number), ""))
    return sha256(named.encode() + secret).hexdigest()


class Places:
    """The places of one secret's streams."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self._blocks: dict[tuple[str, int], bytes] = {}

    def draw(self, point: int, number: int) -> int:
        """The 64 bits of a HitRate point for the contribution `number`, counted from the seal."""
        block, place = divmod(number, DRAWS_IN_BLOCK)
        words = self._block(f"hit {point}", block, 8 * DRAWS_IN_BLOCK)
        return int.from_bytes(words[8 * place : 8 * place + 8], "big")

    def below(self, bound: int, label: str, number: int) -> int:
        """One of 0 … bound - 1, each as likely as any other."""
        rounds = 2**128 // bound
        for block in count():
            words = self._block(f"{label} {number}", block, 16 * WORDS_IN_BLOCK)
            for place in range(0, len(words), 16):
                word = int.from_bytes(words[place : place + 16], "big")
                if word < rounds * bound:
                    return word % bound
        raise AssertionError("the stream has no end")

    def hidden_value(self, point: int, low: int, high: int, floor: int) -> int:
        """Uniform in [low, high], all in units; only what lies above the pot as it was sealed."""
        least = max(low, floor + 1)
        return least + self.below(max(high, least) - least + 1, f"value {point}", 0)

    def instant(self, point: int, window: int, start_ms: int, end_ms: int) -> int:
        """Uniform in [start, end)."""
        return start_ms + self.below(end_ms - start_ms, f"time {point}", window)

    def _block(self, label: str, block: int, length: int) -> bytes:
        known = self._blocks.get((label, block))
        if known is None:
            if len(self._blocks) > 256:
                self._blocks.clear()
            text = b"jackpotd stream 1\0" + self.secret + label.encode() + b"\0"
            known = shake_256(text + block.to_bytes(8, "big")).digest(length)
            self._blocks[label, block] = known
        return known
