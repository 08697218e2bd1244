"""Randomness from the operating system, fetched in blocks: one system call for hundreds of draws."""

import os
import struct

_BLOCK_BYTES = 8192
_DRAW_BYTES = 8
_UUID_BYTES = 16
# Two bits of the first variant digit are fixed (RFC 9562), the others stay random.
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class SystemEntropy:
    """Independent 64-bit draws and version 4 UUIDs; every byte is used once."""

    def __init__(self) -> None:
        self._block = b""
        self._at = 0

    def _take(self, count: int) -> bytes:
        if self._at + count > len(self._block):
            self._block = os.urandom(max(_BLOCK_BYTES, count))
            self._at = 0
        taken = self._block[self._at : self._at + count]
        self._at += count
        return taken

    def draws(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}Q", self._take(count * _DRAW_BYTES))

    def uuid(self) -> str:
        text = self._take(_UUID_BYTES).hex()
        variant = _VARIANTS[text[16]]
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"
