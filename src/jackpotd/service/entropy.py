"""Randomness from the operating system, fetched in blocks: one system call for hundreds of draws."""

import os
import struct
from functools import lru_cache

_BLOCK_BYTES = 8192
_DRAW_BYTES = 8
_UUID_BYTES = 16
# Two bits of the first variant digit are fixed (RFC 9562), the others stay random.
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class SystemEntropy:
    """Independent 64-bit draws and version 4 UUIDs; every byte is used once."""

    def __init__(self) -> None:
        self._block = b""
        self._text = ""
        self._at = 0

    def _take(self, count: int) -> int:
        """Where the next bytes of the block begin."""
        at = self._at
        if at + count > len(self._block):
            self._block = os.urandom(max(_BLOCK_BYTES, count))
            self._text = self._block.hex()
            at = 0
        self._at = at + count
        return at

    def draws(self, count: int) -> tuple[int, ...]:
        at = self._take(count * _DRAW_BYTES)
        return _draws_format(count).unpack_from(self._block, at)

    def uuid(self) -> str:
        at = self._take(_UUID_BYTES) * 2
        text = self._text[at : at + 32]
        variant = _VARIANTS[text[16]]
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


@lru_cache(maxsize=64)
def _draws_format(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}Q")
