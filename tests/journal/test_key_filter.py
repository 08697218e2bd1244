"""The filter over all runs: it spares unknown keys the runs, and never hides a used key."""

import threading
from pathlib import Path
from typing import Any

import pytest

from jackpotd.journal import key_filter
from jackpotd.journal import keys as keys_module
from jackpotd.journal.keys import KeyIndex

from .key_oracle import absorb, digests, flush, open_index


def asked_runs(index: KeyIndex, monkeypatch: pytest.MonkeyPatch, keys: list[bytes]) -> int:
    """How many of these keys are looked for in any run."""
    asked: list[bytes] = []
    find = keys_module._find

    def counting(digest: bytes, probes: Any) -> int | None:
        asked.append(digest)
        return find(digest, probes)

    with monkeypatch.context() as patch:
        patch.setattr(keys_module, "_find", counting)
        for key in keys:
            index.get(key, 0)
    return len(asked)


def test_absorb_after_a_start_unknown_keys_ask_no_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Right after a start each unknown key asks the runs; once they are absorbed hardly any does, and all known do."""
    index, keys = open_index(tmp_path), digests(3_000)
    for seq, digest in enumerate(keys, 1):
        index.put(digest, seq, 0)
    flush(index, 3_000)
    index.close()
    index = open_index(tmp_path)
    unknown = digests(1_000, seed=2)
    assert (3_000, 1_000) == (
        index.statistics().unfiltered_keys,
        asked_runs(index, monkeypatch, unknown),
    )
    absorb(index)
    assert 0 == index.statistics().unfiltered_keys
    assert asked_runs(index, monkeypatch, unknown) < 20
    assert 3_000 == asked_runs(index, monkeypatch, keys)
    assert list(range(1, 3_001)) == [index.get(key, 0) for key in keys]
    assert index.begin_absorb() is None
    index.close()


def test_absorb_full_filter_makes_way_for_a_larger_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A filter with more keys than bytes is replaced, and what is flushed meanwhile is not lost between the two."""
    monkeypatch.setattr(key_filter, "SIZE_BITS_MIN", 8)
    index, keys = open_index(tmp_path), digests(1_200)
    for start in range(0, 1_200, 600):
        for seq, digest in enumerate(keys[start : start + 600], start + 1):
            index.put(digest, seq, 0)
        if start:
            absorption = index.begin_absorb()
            assert absorption is not None
            flush(index, 1_200)
            absorption.write()
            index.end_absorb(absorption)
            assert 600 == index.statistics().unfiltered_keys
        else:
            flush(index, 600)
            assert 256 == index.statistics().filter_bytes
    assert list(range(1, 1_201)) == [index.get(key, 0) for key in keys]
    for size in (1024, 2048):
        absorb(index)
        assert (0, size) == (index.statistics().unfiltered_keys, index.statistics().filter_bytes)
    assert list(range(1, 1_201)) == [index.get(key, 0) for key in keys]
    index.close()


class Guarded(bytearray):
    """A table that knows when it may be written."""

    def __init__(self, size: int, lock: threading.Lock) -> None:
        super().__init__(size)
        self._guard = lock

    def __setitem__(self, place: Any, value: Any) -> None:
        assert self._guard.locked()
        super().__setitem__(place, value)


def test_filter_is_written_by_one_thread_at_a_time() -> None:
    """A flush and an absorption add at the same time: a bit lost between them would make a used key look new."""
    shared, keys = key_filter.KeyFilter(0), digests(100)
    table = Guarded(shared.size, shared._lock)
    shared.table = table  # type: ignore[assignment]
    shared.add(b"".join(key + bytes(14) for key in keys))
    assert any(table)


def test_filter_knows_what_was_added_and_little_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a new filter every added key is known, and at most about one unknown key in 25 seems to be."""
    monkeypatch.setattr(key_filter, "SIZE_BITS_MIN", 8)
    known = digests(52_000)
    full = key_filter.KeyFilter(len(known))
    full.add(b"".join(key + bytes(14) for key in known))
    assert (1 << 16, False) == (full.size, full.is_full)

    def seems_known(key: bytes) -> bool:
        mask = key_filter.MASKS[key[4]]
        return full.table[int.from_bytes(key[:4], "big") >> full.shift] & mask == mask

    assert all(map(seems_known, known))
    assert 0.01 < sum(map(seems_known, digests(20_000, seed=2))) / 20_000 < 0.06
