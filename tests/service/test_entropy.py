"""Identifiers: UUIDs that are UUIDs, and no byte used twice."""

import os
import re
import uuid
from functools import reduce
from operator import and_, or_

import pytest

from jackpotd.service.entropy import SystemEntropy

EVERY_BIT = (1 << 128) - 1
VERSION_BITS = 0xF << 76
VARIANT_BITS = 0b11 << 62
CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class CountingSource:
    """Stands for the system's generator: words of 8 bytes with a count in their upper half.

    The version and the variant of a UUID lie outside the bytes that hold a count below 2^16.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given = 0
        monkeypatch.setattr(os, "urandom", self.urandom)

    def urandom(self, size: int) -> bytes:
        assert size % 8 == 0
        first, self.given = self.given, self.given + size // 8
        return b"".join(
            [bytes(4) + count.to_bytes(4, "little") for count in range(first, self.given)]
        )


def counts_in(text: str) -> list[int]:
    """The two counts that a UUID was made of."""
    data = uuid.UUID(text).bytes
    return [int.from_bytes(data[at : at + 2], "little") for at in (4, 12)]


def test_uuid_is_canonical_version_4_of_rfc_9562() -> None:
    """Version and variant stand where the RFC wants them, in lower case with four hyphens."""
    draw = SystemEntropy()
    for _ in range(1_000):
        text = draw.uuid()
        assert CANONICAL.fullmatch(text)
        parsed = uuid.UUID(text)
        assert (4, uuid.RFC_4122, text) == (parsed.version, parsed.variant, str(parsed))


def test_uuid_all_other_bits_are_random() -> None:
    """Among a thousand, each of the 122 free bits was set once and clear once, and no other."""
    draw = SystemEntropy()
    numbers = [uuid.UUID(draw.uuid()).int for _ in range(1_000)]
    fixed = VERSION_BITS | VARIANT_BITS
    assert EVERY_BIT & ~fixed | 4 << 76 | 0b10 << 62 == reduce(or_, numbers)
    assert 4 << 76 | 0b10 << 62 == reduce(and_, numbers)


def test_uuid_does_not_repeat() -> None:
    """Tens of thousands, over many blocks and from two sources, are all different."""
    one, other = SystemEntropy(), SystemEntropy()
    ids = [source.uuid() for _ in range(10_000) for source in (one, other)]
    assert len(ids) == len(set(ids))


def test_uuid_uses_every_byte_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No part of the system's randomness is given twice, and none is left out."""
    source = CountingSource(monkeypatch)
    draw = SystemEntropy()
    seen = [count for _ in range(2_048) for count in counts_in(draw.uuid())]
    assert list(range(4_096)) == seen
    assert source.given == 4_096


def test_uuid_asks_the_system_once_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call of the system serves hundreds; none is made before the first."""
    source = CountingSource(monkeypatch)
    draw = SystemEntropy()
    assert source.given == 0
    for _ in range(512):
        draw.uuid()
    assert source.given == 1_024
    draw.uuid()
    assert source.given == 2_048
