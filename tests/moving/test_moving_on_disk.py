"""The same on real files: journals, rows and keys on disk, views of run files that are merged meanwhile, `verify`."""

import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec
import pytest
import trio

from jackpotd.cli.verifying import run_verify
from jackpotd.engine.checkpoint import KeyFlush
from jackpotd.journal.group_commit import GroupCommit
from jackpotd.journal.key_upkeep import KeyUpkeep
from jackpotd.journal.key_views import KeyViews, ViewSource
from jackpotd.journal.keys import KeyIndex
from jackpotd.journal.log import LmdbLog
from jackpotd.journal.row_store import LmdbRows
from jackpotd.service.data_directory import CATALOG_LOG, DataDirectory
from jackpotd.service.settings import ServiceSettings, Settings
from jackpotd.testing.house import BORN_MS, RunningJournal

from .books import check
from .grounds import FreshViews, Ground
from .load import Load, hood_of

if TYPE_CHECKING:
    from .neighbourhood import Neighbourhood

TEST_TIMEOUT_S = 60
MAP_BYTES = 1 << 28
# The clock of these tests stands near the birth of the instances; `verify` reads the real one.
RETENTION_MS = 1 << 45


class Shared(LmdbLog):
    """A log that is open in this process already: LMDB opens a file once, so a view reads through the writer's."""

    def __init__(self, log: LmdbLog) -> None:
        self._env = log._env

    def close(self) -> None:
        pass


class DiskGround(Ground):
    """One worker's folder."""

    def __init__(self, data: DataDirectory, index: int) -> None:
        super().__init__(lambda: None)
        self._data = data
        folder = data.worker(index)
        folder.prepare()
        self.disk_log = LmdbLog.open(
            folder.journal, name=folder.log_name, map_bytes_max=MAP_BYTES, now_ms=BORN_MS
        )
        self.log = cast("object", self.disk_log)  # type: ignore[assignment]
        self.disk_rows = LmdbRows.open(folder.rows, map_bytes_max=MAP_BYTES)
        self.rows = cast("object", self.disk_rows)  # type: ignore[assignment]
        self.index = KeyIndex.open(folder.keys, retention_ms=RETENTION_MS, background_share=1)
        self.keys = cast("object", self.index)  # type: ignore[assignment]
        self.upkeep = KeyUpkeep(self.index, lambda: BORN_MS)

    def journal(self) -> RunningJournal:
        return GroupCommit(self.disk_log, batch_records_max=64)

    @property
    def key_flush(self) -> KeyFlush:
        return self.upkeep

    def views(self, hood: "Neighbourhood") -> FreshViews:
        def source(worker: int) -> ViewSource:
            ground = hood.grounds[worker]
            assert isinstance(ground, DiskGround)
            log = ground.disk_log
            return ViewSource(self._data.worker(worker).keys, lambda: Shared(log))

        return KeyViews(source, retention_ms=RETENTION_MS, clock=lambda: BORN_MS)

    def items(self) -> dict[bytes, bytes]:
        return dict(self.disk_rows.snapshot())

    def close(self) -> None:
        self.disk_log.close()
        self.disk_rows.close()
        self.index.close()


@contextmanager
def on_disk(data: DataDirectory, seed: int) -> Iterator["Neighbourhood"]:
    """A neighbourhood of three, whose folders stay."""
    with ExitStack() as closing:
        hood = hood_of(random.Random(seed), 3)
        grounds = [DiskGround(data, index) for index in range(3)]
        for ground in grounds:
            closing.callback(ground.close)
        hood.grounds = list(grounds)
        yield hood


async def played(hood: "Neighbourhood", seed: int) -> None:
    """Load and moves, with flushes and merges of keys all the time; ends with all on disk, "one" at worker 2."""
    rng = random.Random(seed)
    load = Load(hood, rng)
    for number in range(5):
        async with trio.open_nursery() as nursery:
            load.requests(10)
            nursery.start_soon(load.move_somewhere)
            nursery.start_soon(load.checkpoint_somewhere)
            load.requests(5)
        await hood.quiet()
        for ground in hood.grounds:
            assert isinstance(ground, DiskGround)
            await ground.upkeep.tidy()
        if number == 2:
            assert None is await hood.move("one", (hood.places["one"] + 1) % 3)
        await hood.quiet()
        await check(hood)
    if hood.places["one"] != 2:
        assert None is await hood.move("one", 2)
    await hood.quiet()
    await check(hood)


def settings_for(root: Path) -> Settings:
    settings = Settings()
    service: ServiceSettings = msgspec.structs.replace(settings.service, data_dir=str(root))
    return msgspec.structs.replace(settings, service=service)


@pytest.mark.parametrize("seed", range(3))
async def test_moving_on_disk_verifies(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every repeat is answered from the files of whoever has the key, and `verify` finds all folders of one mind."""
    data = DataDirectory(tmp_path / "data")
    data.prepare()
    LmdbLog.open(data.catalog, name=CATALOG_LOG, map_bytes_max=MAP_BYTES, now_ms=BORN_MS).close()
    with trio.fail_after(TEST_TIMEOUT_S):
        with on_disk(data, seed) as hood:
            async with hood.running():
                await played(hood, seed)
                answers, places = dict(hood.answers), dict(hood.places)
        with on_disk(data, seed) as again:
            again.answers, again.places = answers, places
            async with again.running():
                await check(again)
    assert 0 == run_verify(settings_for(data.root))
    assert "records in 3 unbroken chains, 3 instances" in capsys.readouterr().out

    shutil.rmtree(data.worker(2).root)
    assert 1 == run_verify(settings_for(data.root))
    said = capsys.readouterr().err.splitlines()
    assert said
    assert any(" gave " in line for line in said)
    assert all("worker 2, whose journal is missing" in line for line in said)
