"""Randomness: UUIDs that are UUIDs, draws within their range, and no byte used twice."""

import os
import re
import uuid
from functools import reduce
from operator import and_, or_

import pytest

from jackpotd.service import entropy
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


def test_uuid_and_draws_do_not_repeat() -> None:
    """Tens of thousands, over many blocks and from two sources, are all different."""
    one, other = SystemEntropy(), SystemEntropy()
    ids = [source.uuid() for _ in range(10_000) for source in (one, other)]
    assert len(ids) == len(set(ids))
    numbers = [
        number for _ in range(5_000) for source in (one, other) for number in source.draws(3)
    ]
    assert len(numbers) == len(set(numbers))


def test_draws_are_64_bits_wide() -> None:
    """A draw is from 0 to 2^64 - 1, and each of its bits is used."""
    numbers = [number for _ in range(250) for number in SystemEntropy().draws(4)]
    assert all(0 <= number < 1 << 64 for number in numbers)
    assert (1 << 64) - 1 == reduce(or_, numbers)
    assert reduce(and_, numbers) == 0


@pytest.mark.parametrize("count", [0, 1, 3, 1_023, 1_024, 1_025, 5_000])
def test_draws_gives_as_many_as_asked(count: int) -> None:
    """However many are asked for at once, more than a block too, so many come."""
    assert count == len(SystemEntropy().draws(count))
    assert entropy._BLOCK_BYTES == 8 * 1_024


def test_draws_and_uuids_use_every_byte_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked in whatever order, no part of the system's randomness is given twice."""
    source = CountingSource(monkeypatch)
    draw = SystemEntropy()
    seen: list[int] = []
    for turn in range(800):
        seen.extend([number >> 32 for number in draw.draws(turn % 7)])
        seen.extend(counts_in(draw.uuid()))
    assert 2 * 1_024 < source.given < 1 << 16
    assert len(seen) == len(set(seen))
    assert set() == set(seen) - set(range(source.given))


def test_draws_ask_the_system_once_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call of the system serves hundreds of draws; none is made before the first."""
    source = CountingSource(monkeypatch)
    draw = SystemEntropy()
    assert source.given == 0
    assert list(range(1_024)) == [draw.draws(1)[0] >> 32 for _ in range(1_024)]
    assert source.given == 1_024
    assert [1_024, 1_025] == [number >> 32 for number in draw.draws(2)]
    assert source.given == 2_048
