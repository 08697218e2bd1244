"""Identifiers from the operating system's randomness, fetched in blocks: one system call for hundreds of them.

What decides a jackpot comes from `vault`, not from here.
"""

import os

_BLOCK_BYTES = 8192
_UUID_BYTES = 16
# Two bits of the first variant digit are fixed (RFC 9562), the others stay random.
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class SystemEntropy:
    """Version 4 UUIDs; every byte is used once."""

    def __init__(self) -> None:
        self._text = ""
        self._at = 0

    def uuid(self) -> str:
        at = self._at
        if at >= len(self._text):
            self._text = os.urandom(_BLOCK_BYTES).hex()
            at = 0
        self._at = at + 2 * _UUID_BYTES
        text = self._text[at : at + 2 * _UUID_BYTES]
        variant = _VARIANTS[text[16]]
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"
