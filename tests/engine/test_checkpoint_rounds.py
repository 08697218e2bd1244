"""Checkpoint rounds: what they write is what the journal says, at any moment and whoever asks for one."""

import random
import threading
from collections.abc import Sequence

import pytest
import trio
import trio.testing

from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Status
from jackpotd.engine import checkpoint as checkpoint_module
from jackpotd.engine.checkpoint import Checkpointer
from jackpotd.engine.fold import Fold
from jackpotd.engine.messages import Accepted
from jackpotd.engine.recovery import MemoryKeys, MemoryRows, recover
from jackpotd.testing.house import House, currencies, instance, operator, request
from jackpotd.testing.memory_journal import MemoryJournal
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.templates import random_template
from jackpotd.wire import rows
from jackpotd.wire.catalog_records import CatalogEntity

TEST_TIMEOUT_S = 30


class GatedRows(MemoryRows):
    """Rows whose writes wait for a gate, as a slow disk would."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()

    def write(self, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        self.gate.wait(TEST_TIMEOUT_S)
        super().write(items)


class FlushedKeys(MemoryKeys):
    """Keys with the promise of the key index: what is covered never goes back."""

    covered_seq = 0

    async def flush(self, seq: int) -> None:
        if seq < self.covered_seq:
            raise ValueError(f"records to {self.covered_seq} are covered already, not to {seq}")
        self.covered_seq = seq


def catalog() -> list[CatalogEntity]:
    template = random_template(random.Random(2))
    template["contribution_rules"] = {
        "opt_in_required": False,
        "contribution_type": {"Percentage": "0.5"},
    }
    return [
        operator("op", ["a"]),
        currencies("default"),
        *(instance(name, template, status=Status.ACTIVE) for name in ("one", "two")),
    ]


async def contribute(house: House, target: str, player: str) -> None:
    answer = await house.router.contribute(
        request(target, wager=SCALE, player_id=player, key=player)
    )
    assert not isinstance(answer, Rejection)


def wrong_rows(house: House, disk: MemoryRows) -> list[bytes]:
    """Rows of which a recovery from disk and journal says something else than the journal alone."""
    fold, whole = Fold(disk, keys := FlushedKeys()), Fold(MemoryRows(), MemoryKeys())
    keys.covered_seq = house.log.last_seq
    recover(fold, house.log)
    recover(whole, house.log)
    expected, found = MemoryRows(), MemoryRows(disk.items.items())
    expected.absorb(whole)
    found.absorb(fold)
    found.items.pop(rows.POSITION_KEY, None)
    names = expected.items.keys() | found.items.keys()
    return sorted(name for name in names if expected.items.get(name) != found.items.get(name))


def parts(rows_max: int) -> tuple[House, GatedRows, Checkpointer]:
    disk, keys = GatedRows(), FlushedKeys()
    house = House(MemoryLog(), catalog(), disk=disk, keys=keys)
    checkpointer = Checkpointer(
        house.fold, house.journal, disk, keys, interval_s=60, transaction_rows_max=rows_max
    )
    return house, disk, checkpointer


@pytest.mark.parametrize("rows_max", [1, 2, 1000])
async def test_checkpoint_rows_are_what_the_journal_says(rows_max: int) -> None:
    """Rounds between contributions, in transactions of any size: the next start needs only what came after."""
    house, disk, checkpointer = parts(rows_max)
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            for number in range(6):
                await contribute(house, "one" if number % 2 else "two", f"player{number}")
                await checkpointer.checkpoint()
                assert checkpointer.position == house.log.last_seq
                assert [] == wrong_rows(house, disk)
                assert 0 == house.fold.changed_rows


class OrderedRows(MemoryRows):
    """Rows that note in which order they were written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        self.written += [key for key, _ in items]
        super().write(items)


@pytest.mark.parametrize("pieces", [2, 100])
async def test_checkpoint_rows_go_to_disk_in_the_order_of_the_tree(
    monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    """Rows come in order as far as they are gathered at a time, all of them come, and the position comes last."""
    monkeypatch.setattr(checkpoint_module, "STEP_ROWS", 1)
    monkeypatch.setattr(checkpoint_module, "PIECE_ROWS", 2)
    monkeypatch.setattr(checkpoint_module, "PIECES_MAX", pieces)
    disk, keys = OrderedRows(), FlushedKeys()
    house = House(MemoryLog(), catalog(), disk=disk, keys=keys)
    checkpointer = Checkpointer(
        house.fold, house.journal, disk, keys, interval_s=60, transaction_rows_max=3
    )
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            for number in range(6):
                await contribute(house, "one" if number % 2 else "two", f"player{9 - number}")
            await checkpointer.checkpoint()
    *before, last = disk.written
    assert rows.POSITION_KEY == last
    assert len(before) >= 8
    gathered = 2 * pieces
    for start in range(0, len(before), gathered):
        part = before[start : start + gathered]
        assert sorted(part) == part
    assert [] == wrong_rows(house, disk)


async def test_checkpoint_under_way_hides_nothing_from_readers() -> None:
    """While rows are on their way to disk, players are read as they are, and go on changing."""
    house, disk, checkpointer = parts(1)
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running() as nursery:
            await contribute(house, "one", "anna")
            disk.gate.clear()
            nursery.start_soon(checkpointer.checkpoint)
            await trio.sleep(0.01)
            for number, player in enumerate(("anna", "bert")):
                asked = request("one", wager=SCALE, player_id=player, key=f"second {number}")
                assert isinstance(await house.router.contribute(asked), Accepted)
            assert 2 == house.fold.player("one", "op:a", "anna").count
            disk.gate.set()
            while checkpointer.position == 0:  # noqa: ASYNC110 - a round tells nobody that it is over
                await trio.sleep(0.001)
            assert 2 == house.fold.player("one", "op:a", "anna").count
            assert [] == wrong_rows(house, disk)


async def test_checkpoint_asked_for_while_another_runs_loses_no_row() -> None:
    """The shutdown's checkpoint meets the background's: what both leave on disk is still all of the journal."""
    house, disk, checkpointer = parts(1)
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            await contribute(house, "one", "anna")
            disk.gate.clear()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(checkpointer.checkpoint)
                await trio.sleep(0.01)
                await contribute(house, "two", "bert")
                nursery.start_soon(checkpointer.checkpoint)
                await trio.sleep(0.01)
                disk.gate.set()
            assert [] == wrong_rows(house, disk)


async def test_checkpoint_waits_until_the_journal_holds_what_it_writes() -> None:
    """No row is on disk before the records that it reflects are: a crash in between would leave money from nowhere."""
    house, disk, checkpointer = parts(1000)
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running(commits=False) as nursery:
            journal = house.journal
            assert isinstance(journal, MemoryJournal)
            nursery.start_soon(contribute, house, "one", "anna")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(checkpointer.checkpoint)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert {} == disk.items
            journal.commit()
            while checkpointer.position == 0:  # noqa: ASYNC110 - a round tells nobody that it is over
                await trio.sleep(0.001)
            assert [] == wrong_rows(house, disk)


async def test_checkpoint_that_would_forget_unwritten_rows_is_refused() -> None:
    """A generation that is frozen and not written is never dropped for the next one."""
    house, _, _ = parts(1)
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            await contribute(house, "one", "anna")
            house.fold.freeze()
            await contribute(house, "one", "bert")
            with pytest.raises(RuntimeError):
                house.fold.freeze()
            house.fold.forget_frozen()
            house.fold.freeze()
