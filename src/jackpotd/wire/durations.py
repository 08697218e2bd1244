"""Lengths of time as a template has them: one unit with a whole number."""

from collections.abc import Mapping

from msgspec import Raw

from jackpotd.wire.codec import decode_part
from jackpotd.wire.errors import invalid

UNIT_MS: Mapping[str, int] = {
    "Seconds": 1_000,
    "Minutes": 60_000,
    "Hours": 3_600_000,
    "Days": 86_400_000,
    "Weeks": 604_800_000,
}


def duration_ms(value: dict[str, Raw], path: str) -> int:
    """A length of time.

    Raises:
        RequestRefused: 400 with the JSON path.
    """
    if len(value) != 1:
        raise invalid(path, "must hold exactly one variant")
    unit, content = next(iter(value.items()))
    path = f"{path}.{unit}"
    if unit not in UNIT_MS:
        raise invalid(path, f"is none of {', '.join(UNIT_MS)}")
    return decode_part(int, content, path) * UNIT_MS[unit]
