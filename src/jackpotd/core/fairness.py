"""Commit and reveal: every draw of a pot's cycle follows from one secret whose hash was published before.

A secret of 32 bytes decides, for as long as its seal stands: the draws of every HitRate, the hidden values, the hidden
instants, the draws among contributors and the picks of active players. Each is a number at a stated place of a stream
that SHAKE-256 makes of the secret and a label. Whoever has the revealed secret can recompute them with any standard
library; nobody can without it, because it is as long as the hash (R-WIN-2).

    commitment = SHA-256("jackpotd seal 1" 0 instance 0 pot 0 number 0 secret)
    stream(label, block) = SHAKE-256("jackpotd stream 1" 0 secret label 0 block)    block: 8 bytes, big-endian

"""

import hashlib
import hmac
import struct

SECRET_BYTES = 32
DRAWS_AT_ONCE = 256
_WORD_BITS = 128
_WORD_BYTES = _WORD_BITS // 8
_WORDS_AT_ONCE = 8
# A block is squeezed as far as it is needed, in these steps: of thousands of quiet pots each would else hold 256 draws.
_STEPS = [struct.Struct(f">{count}Q") for count in (16, 64, DRAWS_AT_ONCE)]


def secret_from(master: bytes, instance_id: str, pot_id: str, number: int, nonce: str) -> bytes:
    """The secret of a seal: HMAC-SHA-256 of who it is for and of fresh entropy, under the keeper's master key."""
    message = f"jackpotd secret 1\0{instance_id}\0{pot_id}\0{number}\0{nonce}".encode()
    return hmac.digest(master, message, "sha256")


def commitment_to(secret: bytes, instance_id: str, pot_id: str, number: int) -> str:
    """What is published of a secret, in hex."""
    prefix = f"jackpotd seal 1\0{instance_id}\0{pot_id}\0{number}\0".encode()
    return hashlib.sha256(prefix + secret).hexdigest()


def stream(secret: bytes, label: str, block: int, length_bytes: int) -> bytes:
    """Some bytes of the stream of a label."""
    start = b"jackpotd stream 1\0" + secret + label.encode() + b"\0" + block.to_bytes(8, "big")
    return hashlib.shake_256(start).digest(length_bytes)


class PotStream:
    """All that a secret decides, by place. Asking changes nothing but what is remembered."""

    __slots__ = ("_at", "_draws", "_known", "secret")

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self._at: list[int] = []
        self._draws: list[tuple[int, ...]] = []
        self._known: dict[tuple[str, int, int], int] = {}

    def draw(self, point: int, number: int) -> int:
        """The 64 bits of a HitRate: of the pot's point `point`, for the contribution `number` since the seal."""
        block, at = divmod(number, DRAWS_AT_ONCE)
        try:
            if self._at[point] == block:
                return self._draws[point][at]
        except IndexError:
            missing = point + 1 - len(self._at)
            self._at += [-1] * missing
            self._draws += [()] * missing
        step = next(each for each in _STEPS if at < each.size // 8)
        self._at[point] = block
        self._draws[point] = step.unpack(stream(self.secret, f"hit {point}", block, step.size))
        return self._draws[point][at]

    def uniform(self, label: str, number: int, bound: int) -> int:
        """An integer below `bound`, each equally likely: the first word of the stream that is no leftover (R-RNG-2)."""
        block = 0
        while True:
            data = stream(self.secret, f"{label} {number}", block, _WORDS_AT_ONCE * _WORD_BYTES)
            for at in range(0, len(data), _WORD_BYTES):
                found = scaled(
                    int.from_bytes(data[at : at + _WORD_BYTES], "big"), bound, _WORD_BITS
                )
                if found is not None:
                    return found
            block += 1

    def hidden_value(self, point: int, low: int, high: int) -> int:
        """The hidden value of a tipping point, in [low, high]."""
        return self._remembered(f"value {point}", 0, low, high)

    def instant_ms(self, point: int, window: int, low_ms: int, end_ms: int) -> int:
        """The hidden instant of a window, in [low, end)."""
        return self._remembered(f"time {point}", window, low_ms, end_ms - 1)

    def _remembered(self, label: str, number: int, low: int, high: int) -> int:
        at = (label, number, low)
        found = self._known.get(at)
        if found is None:
            if len(self._known) >= DRAWS_AT_ONCE:
                self._known.clear()
            found = self._known[at] = low + self.uniform(label, number, high - low + 1)
        return found


def scaled(word: int, bound: int, bits: int) -> int | None:
    """A random word of so many bits as an integer below `bound`; None for a word of the incomplete last round."""
    whole = 1 << bits
    return None if word >= whole - whole % bound else word % bound
