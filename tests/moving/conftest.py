"""Moves in these tests come in many small pieces, so that there are many moments in the middle of one."""

import pytest

from jackpotd.engine import giving, taking


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row or two in each chunk and each record, and a checkpoint after every few."""
    monkeypatch.setattr(giving, "CHUNK_BYTES_MAX", 150)
    monkeypatch.setattr(taking, "RECORD_BYTES_MAX", 150)
    monkeypatch.setattr(taking, "ROWS_IN_MEMORY_MAX", 3)
