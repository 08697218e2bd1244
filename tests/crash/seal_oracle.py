"""Commit and reveal, by the two formulas that are published: what was drawn follows from a secret sealed before.

Uses the standard library and the journal's facts alone: a commitment must stand before the first draw, and once its
secret is told, the secret has that hash, and every draw since is its own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .facts import Prize, Seal, Sealed

_WORDS_AT_ONCE: Final = 256
_LONG_WORDS_AT_ONCE: Final = 8
_LONG_WORD_BYTES: Final = 16
_WORD_BYTES: Final = 8
_COMMITMENT_HEX: Final = 64


@dataclass(slots=True)
class SealedPot:
    """One pot with its seal, and the draws that its secret must explain."""

    instance_id: str
    pot_id: str
    seal: Seal | None = None
    sealed: int = 0
    _draws: list[tuple[int, int]] = field(default_factory=list)
    _rounds: list[tuple[int, tuple[Prize, ...]]] = field(default_factory=list)

    def draw(self, contributions: int, draw: int) -> None:
        """A draw of this pot for a contribution, with how many the jackpot had taken before."""
        assert self.seal is not None, "drawn without a seal"
        self._draws.append((contributions - self.seal.first, draw))

    def draw_round(self, number: int, prizes: tuple[Prize, ...]) -> None:
        """The draws of a raffle's round."""
        assert self.seal is not None, "drawn without a seal"
        self._rounds.append((number, prizes))

    def take(self, event: Sealed, contributions: int, value: int, *, goes_on: bool) -> None:
        """A new seal, if the pot goes on; the one before is revealed, and has decided everything so far."""
        if self.seal is None:
            assert event.revealed == "", "a secret that nobody sealed"
        else:
            self._check(self.seal, bytes.fromhex(event.revealed))
        self._draws.clear()
        self._rounds.clear()
        if not goes_on:
            assert event.seal is None
            self.seal = None
            return
        assert event.seal is not None, "a pot that goes on, without a seal"
        self.sealed += 1
        assert event.seal.number == self.sealed
        assert len(event.seal.commitment) == _COMMITMENT_HEX
        assert event.seal.at_ms == event.at_ms
        assert (event.seal.first, event.seal.floor) == (contributions, value)
        self.seal = event.seal

    def _check(self, seal: Seal, secret: bytes) -> None:
        whose = f"jackpotd seal 1\0{self.instance_id}\0{self.pot_id}\0{seal.number}\0".encode()
        assert hashlib.sha256(whose + secret).hexdigest() == seal.commitment
        assert len(secret) == hashlib.sha256().digest_size
        blocks: dict[int, bytes] = {}
        for number, draw in self._draws:
            block, place = divmod(number, _WORDS_AT_ONCE)
            if block not in blocks:
                blocks[block] = _block(secret, block)
            word = blocks[block][place * _WORD_BYTES : (place + 1) * _WORD_BYTES]
            assert draw == int.from_bytes(word, "big"), f"draw {number} is not the secret's"
        for number, prizes in self._rounds:
            for place, prize in enumerate(prizes):
                drawn = _uniform(secret, f"raffle {number} {place}", prize.among)
                assert prize.draw == drawn, f"draw {place} of round {number} is not the secret's"


def _uniform(secret: bytes, label: str, bound: int) -> int:
    """The first word that is no leftover, of so many numbers each equally likely."""
    whole = 1 << 8 * _LONG_WORD_BYTES
    block = 0
    while True:
        start = b"jackpotd stream 1\0" + secret + label.encode() + b"\0" + block.to_bytes(8, "big")
        data = hashlib.shake_256(start).digest(_LONG_WORDS_AT_ONCE * _LONG_WORD_BYTES)
        for at in range(0, len(data), _LONG_WORD_BYTES):
            word = int.from_bytes(data[at : at + _LONG_WORD_BYTES], "big")
            if word < whole - whole % bound:
                return word % bound
        block += 1


def _block(secret: bytes, block: int) -> bytes:
    """The draws of a pot's one HitRate, for so many contributions."""
    start = b"jackpotd stream 1\0" + secret + b"hit 0\0" + block.to_bytes(8, "big")
    return hashlib.shake_256(start).digest(_WORDS_AT_ONCE * _WORD_BYTES)
