"""The seed of a crash test, and a campaign on a directory of the test's own.

`CRASH_SEED=… pytest tests/crash` plays the same plans again; what the scheduler and the disk make
of them is new each time.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import pytest

from .campaign import Campaign

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def seed() -> Iterator[int]:
    """A new seed for each test, or the one that is asked for; pytest shows it when a test fails."""
    seed = int(os.environ.get("CRASH_SEED") or secrets.randbits(32))
    print(f"CRASH_SEED={seed}")  # noqa: T201 - captured, and shown when the test fails
    yield seed
    print(f"CRASH_SEED={seed}")  # noqa: T201


@pytest.fixture
def workers() -> int:
    """How many worker processes the server has, where a test does not say."""
    return 1


@pytest.fixture
def campaign(tmp_path: Path, seed: int, workers: int) -> Iterator[Campaign]:
    """A campaign on an empty directory, and what it came to (`pytest -rP`)."""
    campaign = Campaign(tmp_path / "data", seed, workers)
    yield campaign
    print(f"{campaign.history.last_seq} records, {dict(campaign.book.tally)}")  # noqa: T201
