"""HMAC_DRBG with SHA-256 (NIST SP 800-90A, 10.1.2): random bytes from a little entropy, that is renewed for ever.

The entropy comes from a callable, so the generator is as pure as the rest of the core: the same entropy and the same
calls give the same bytes. When it is seeded anew depends on the calls alone, never on a clock. Entropy that is short,
that repeats itself, or that cannot be had ends the generator for good: it fails closed (R-RNG-3, R-RNG-4).
"""

import hashlib
import hmac
from collections.abc import Callable

from msgspec import Struct

EntropySource = Callable[[int], bytes]
"""Gives so many bytes of full entropy."""

ENTROPY_BYTES = 32
NONCE_BYTES = 16
REQUEST_BYTES_MAX = 1 << 16
RESEED_EVERY_MAX = 1 << 48

_OUT_BYTES = 32
_BLOCK_BYTES = 16


class EntropyFailed(Exception):
    """The source of entropy failed its health test, now or earlier; nothing more comes from this generator."""


class Seeding(Struct, frozen=True):
    """For the audit log: how often the generator has been seeded, and the SHA-256 of what it was seeded with last."""

    generation: int
    material_sha256: str


class Drbg:
    """One generator, with a security strength of 256 bits.

    Args:
        entropy: asked for 32 and 16 bytes now, and for 32 at each reseed.
        personalisation: tells generators apart that might get the same entropy.
        reseed_every: so many calls of `generate` on one seed, at most 2^48.

    Raises:
        EntropyFailed: the source failed its health test.
    """

    def __init__(
        self, entropy: EntropySource, *, personalisation: bytes = b"", reseed_every: int = 1024
    ) -> None:
        if not 1 <= reseed_every <= RESEED_EVERY_MAX:
            raise ValueError("reseed_every must be between 1 and 2^48")
        self._entropy = entropy
        self._reseed_every = reseed_every
        self._has_failed = False
        self._last_block = b""
        self._key = bytes(_OUT_BYTES)
        self._value = b"\1" * _OUT_BYTES
        self._generation = 0
        seed = self._read(ENTROPY_BYTES) + self._read(NONCE_BYTES)
        self._seed(seed + personalisation)

    @property
    def seeding(self) -> Seeding:
        """The seed that the next bytes stand on."""
        return Seeding(self._generation, self._material_sha256)

    def generate(self, length_bytes: int, additional: bytes = b"") -> bytes:
        """Random bytes; seeds itself anew first where the last seed is used up.

        Raises:
            EntropyFailed: a new seed was needed and could not be had, now or earlier.
        """
        if not 0 <= length_bytes <= REQUEST_BYTES_MAX:
            raise ValueError(f"at most {REQUEST_BYTES_MAX} bytes at once")
        if self._has_failed:
            raise EntropyFailed("the generator has failed and gives no more")
        if self._calls >= self._reseed_every:
            self.reseed(additional)
            additional = b""
        if additional:
            self._update(additional)
        found = b""
        while len(found) < length_bytes:
            self._value = hmac.digest(self._key, self._value, "sha256")
            found += self._value
        self._update(additional)
        self._calls += 1
        return found[:length_bytes]

    def reseed(self, additional: bytes = b"") -> None:
        """Seeds the generator anew, from its source and from what the caller adds of other entropy.

        Raises:
            EntropyFailed: the source failed its health test, now or earlier.
        """
        self._seed(self._read(ENTROPY_BYTES) + additional)

    def _seed(self, material: bytes) -> None:
        self._update(material)
        self._calls = 0
        self._generation += 1
        self._material_sha256 = hashlib.sha256(material).hexdigest()

    def _update(self, provided: bytes) -> None:
        for mark in (b"\0", b"\1") if provided else (b"\0",):
            self._key = hmac.digest(self._key, self._value + mark + provided, "sha256")
            self._value = hmac.digest(self._key, self._value, "sha256")

    def _read(self, length_bytes: int) -> bytes:
        """Entropy that has passed the continuous test: long enough, and no block like the one before it."""
        if self._has_failed:
            raise EntropyFailed("the generator has failed and gives no more")
        try:
            found = self._entropy(length_bytes)
        except Exception as error:
            self._fail()
            raise EntropyFailed("the source of entropy cannot be read") from error
        if len(found) != length_bytes:
            self._fail()
            raise EntropyFailed(f"the source of entropy gave {len(found)} of {length_bytes} bytes")
        for at in range(0, length_bytes, _BLOCK_BYTES):
            block = found[at : at + _BLOCK_BYTES]
            if block == self._last_block:
                self._fail()
                raise EntropyFailed("the source of entropy repeats itself")
            self._last_block = block
        return found

    def _fail(self) -> None:
        self._has_failed = True
        self._key = self._value = self._last_block = b""
