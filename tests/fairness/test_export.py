"""The export: nothing of what is still hidden, one history for each instance wherever it has lived, and the command."""

import random
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
import trio
from click.testing import CliRunner

from jackpotd.cli.main import main
from jackpotd.core.events import Sealed
from jackpotd.engine.cells import row_of
from jackpotd.engine.fold import Fold
from jackpotd.engine.recovery import MemoryKeys, MemoryRows, recover
from jackpotd.journal.log import LmdbLog
from jackpotd.service.data_directory import CATALOG_LOG, DataDirectory
from jackpotd.service.fairness_export import Journals, ReadFrom
from jackpotd.service.fairness_lines import HistoryBroken, Line, told
from jackpotd.testing.house import BORN_MS
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.vault import SeededVault
from jackpotd.wire import records
from tests.moving.load import NAMES, Load, hood_of
from tests.moving.neighbourhood import Neighbourhood

from .raffles import CHOSEN, OPEN, RaffleRehearsal, prizes_in
from .raffles import played as raffle_played
from .rehearsal import SCRIPT, Rehearsal, as_read, rehearsed, showcase, verdict, wins_in

TEST_TIMEOUT_S = 60
MAP_BYTES = 1 << 28


def text_of(log: MemoryLog) -> str:
    return "".join(
        msgspec.json.encode(line).decode() for line in told(Journals({0: log.scan}).in_order())
    )


def raffle_rehearsed(seed: int, count: int) -> RaffleRehearsal:
    """A raffle that withholds prizes, and was played."""
    return raffle_played(CHOSEN["withheld"], seed, count, OPEN)


def sealed_in(log: MemoryLog) -> Iterator[tuple[int, Sealed]]:
    """Every seal with the number of its record."""
    for seq, data in log.scan(1):
        record = records.decode(data)
        if isinstance(record, records.Entry):
            for event in records.to_events(record.events):
                if isinstance(event, Sealed):
                    yield seq, event


@pytest.mark.parametrize("kind", ["pots", "raffle"])
def test_r_win_2_export_never_holds_a_secret_that_still_decides_something(kind: str) -> None:
    """At any moment of a history: of the seals that stand, no secret; of those that do not, every one."""
    played = rehearsed(showcase(), 13, 500) if kind == "pots" else raffle_rehearsed(13, 900)
    vault, rng = SeededVault(13), random.Random(1)
    pots = [pot["id"] for pot in played.template["pots"]]
    cuts = sorted(rng.sample(range(2, played.log.last_seq), 40))
    for cut in cuts:
        log = played.log.copy(cut)
        text = text_of(log)
        standing: dict[str, str] = {}
        gone: set[str] = set()
        for _, event in sealed_in(log):
            pot = pots[event.pot]
            if pot in standing:
                gone.add(standing.pop(pot))
            if event.seal is not None:
                seal = event.seal
                standing[pot] = vault.secret("i", pot, seal.number, seal.nonce).hex()
                assert seal.commitment in text
        assert standing
        assert not any(secret in text for secret in standing.values())
        assert all(secret in text for secret in gone)
    assert len(gone) > (50 if kind == "pots" else 10)


def test_export_is_the_same_each_time_and_grows_at_its_end() -> None:
    """What was once told stays told: the export of a longer history begins with that of a shorter one."""
    for log in (rehearsed(showcase(), 4, 200).log, raffle_rehearsed(4, 300).log):
        whole = text_of(log)
        assert whole == text_of(log)
        for cut in (20, 100, log.last_seq - 1):
            assert whole.startswith(text_of(log.copy(cut)))


def test_export_of_a_raffle_is_fair_at_every_moment() -> None:
    """Wherever an export stops: in a round, between a draw and the next round, with nobody there for days."""
    log = raffle_rehearsed(6, 200).log
    kinds = set()
    for cut in range(1, log.last_seq + 1):
        lines = [as_read(line) for line in told(Journals({0: log.copy(cut).scan}).in_order())]
        assert "" == verdict(lines)[0]
        kinds.add(lines[-1]["type"])
    assert {"contribution", "seal", "state"} <= kinds


def test_r_rng_4_a_restart_redraws_nothing() -> None:
    """Lives that end in the middle: the seals that stood go on, and all draws of their cycles are still theirs."""
    played = Rehearsal(showcase(), 21)
    trio.run(played.play, 150)
    seals = [line for line in played.lines() if line["type"] == "seal"]
    for _ in range(4):
        played = played.again()
        trio.run(played.play, 150)
    lines = played.lines()
    assert "" == verdict(lines)[0]
    assert 750 == sum(line["type"] == "contribution" for line in lines)
    later = [line for line in lines if line["type"] == "seal"]
    assert seals == later[: len(seals)]
    assert len(wins_in(lines)) > 100


def test_export_values_are_those_of_the_fold() -> None:
    """What the last line says that the pots hold is what a replay of the journal holds."""
    log = rehearsed(showcase(), 8, 300).log
    fold = Fold(MemoryRows(), MemoryKeys())
    recover(fold, log)
    lines = list(told(Journals({0: log.scan}).in_order()))
    last = next(line for line in reversed(lines) if "values" in line)
    state = fold.cells["i"].state
    held = {rules.id: pot.value for rules, pot in zip(state.rules.pots, state.pots, strict=True)}
    assert held == last["values"]


def test_export_is_described() -> None:
    """The page for outsiders names every type of line, and every field of those that hold the evidence."""
    page = SCRIPT.with_name("fairness.md").read_text()
    lines = rehearsed(showcase(), 7, 600).lines()
    kinds = {line["type"] for line in lines}
    assert len(kinds) == 9
    assert set() == {kind for kind in kinds if f"| `{kind}` |" not in page}
    told_of = {"seal", "contribution", "window", "reveal", "state"}
    fields = {field for line in lines if line["type"] in told_of for field in line}
    plain = {
        "type",
        "instance",
        "at_ms",
        "pot",
        "point",
        "brand",
        "player",
        "currency",
        "status",
        "after",
        "round",
    }
    assert set() == {field for field in fields - plain if f"`{field}`" not in page}


def test_export_of_raffles_is_described() -> None:
    """So does it for raffles: each line, and each field of it, of what was bought, and of a prize."""
    page = SCRIPT.with_name("fairness.md").read_text()
    lines = raffle_rehearsed(7, 900).lines()
    told_of = {"instance", "schedule", "round", "draw"}
    assert told_of <= {line["type"] for line in lines}
    assert set() == {kind for kind in told_of if f"| `{kind}` |" not in page}
    parts = [line for line in lines if line["type"] in told_of - {"instance"}]
    parts += [prize for line in lines for prize in line.get("prizes", ())]
    parts += [line["bought"] for line in lines if line.get("bought")]
    parts += [line["schedule"] for line in lines if line.get("schedule")]
    plain = {"type", "instance", "at_ms", "player", "currency"}
    fields = {field for part in parts for field in part} - plain
    assert {"is", "until_ms", "awarded", "among", "added", "daily"} <= fields
    assert set() == {field for field in fields if f"`{field}`" not in page}


# Instances that have moved between workers.


async def moved_about(seed: int) -> Neighbourhood:
    """Three instances that are played on three workers, and moved among them all the time."""
    rng = random.Random(seed)
    hood = hood_of(rng, 3)
    load = Load(hood, rng)
    async with hood.running():
        for _ in range(12):
            async with trio.open_nursery() as nursery:
                load.requests(15)
                nursery.start_soon(load.move_somewhere)
                load.requests(15)
            await hood.quiet()
        for name in NAMES:
            assert None is await hood.move(name, (hood.places[name] + 1) % 3)
        await hood.quiet()
    return hood


def journals_of(hood: Neighbourhood) -> dict[int, ReadFrom]:
    return {index: ground.log.scan for index, ground in enumerate(hood.grounds)}


def exported(journals: Mapping[int, ReadFrom], instance_id: str | None = None) -> list[Line]:
    return [as_read(line) for line in told(Journals(journals, instance_id).in_order())]


@pytest.mark.parametrize("seed", range(4))
async def test_export_of_instances_that_moved_is_one_history_each(seed: int) -> None:
    """In whatever order the journals are read: every contribution once, in its order, and fair."""
    with trio.fail_after(TEST_TIMEOUT_S):
        hood = await moved_about(seed)
    journals = journals_of(hood)
    assert any(
        isinstance(records.decode(data), records.Adopted)
        for ground in hood.grounds
        for _, data in ground.log.scan(1)
    )
    by_instance: dict[str, list[Line]] = {}
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        lines = exported({index: journals[index] for index in order})
        assert "" == verdict(lines)[0]
        for name in NAMES:
            own = [line for line in lines if line.get("instance") == name]
            numbers = [line["number"] for line in own if line["type"] == "contribution"]
            assert list(range(1, len(numbers) + 1)) == numbers
            assert own == by_instance.setdefault(name, own)
    for worker in hood.workers.values():
        for name, cell in worker.fold.cells.items():
            told_of = [line for line in by_instance[name] if line["type"] == "contribution"]
            assert cell.state.contributions == len(told_of)


async def test_export_of_one_instance_is_its_part_of_all() -> None:
    """The same lines, and none of another instance."""
    with trio.fail_after(TEST_TIMEOUT_S):
        hood = await moved_about(9)
    journals = journals_of(hood)
    every = exported(journals)
    for name in NAMES:
        own = exported(journals, name)
        assert own[1:] == [line for line in every if line.get("instance") == name]
        assert "" == verdict(own)[0]
    assert 1 == len(exported(journals, "nobody"))


async def test_export_without_a_workers_journal_is_refused() -> None:
    """A history with a hole is none; where an instance came from is named."""
    with trio.fail_after(TEST_TIMEOUT_S):
        hood = await moved_about(2)
    for missing in range(3):
        rest = {index: read for index, read in journals_of(hood).items() if index != missing}
        with pytest.raises(HistoryBroken, match=r"whose journal does not say so|is in no journal"):
            exported(rest)


def test_export_of_journals_that_wait_for_each_other_is_refused() -> None:
    """Two journals that each have an instance come before it left are no history, and are not followed for ever."""
    log = rehearsed(showcase(), 1, 5).log
    fold = Fold(MemoryRows(), MemoryKeys())
    recover(fold, log)
    row = row_of(fold.cells["i"])
    logs = [
        MemoryLog([records.encode(records.Adopted(0, "i", 1 - own, 9, 1, row, ()))])
        for own in range(2)
    ]
    with pytest.raises(HistoryBroken, match="whose journal does not say so"):
        exported({0: logs[0].scan, 1: logs[1].scan})


# The command.


def on_disk(root: Path, played: Rehearsal) -> DataDirectory:
    """A data directory with the journal of a rehearsal."""
    found = DataDirectory(root)
    found.prepare()
    LmdbLog.open(found.catalog, name=CATALOG_LOG, map_bytes_max=MAP_BYTES, now_ms=BORN_MS).close()
    folder = found.worker(0)
    folder.prepare()
    log = LmdbLog.open(
        folder.journal, name=folder.log_name, map_bytes_max=MAP_BYTES, now_ms=BORN_MS
    )
    log.append(1, [data for _, data in played.log.scan(1)])
    log.close()
    return found


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    """That of a jackpot."""
    return on_disk(tmp_path / "data", rehearsed(showcase(), 2, 300))


def call(*arguments: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["fairness", "export", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def test_fairness_export_writes_a_file_that_is_fair(data: DataDirectory, tmp_path: Path) -> None:
    """To standard output, or to a file for its owner's eyes; what was written is counted on standard error."""
    code, out, said = call("--data-dir", data.root)
    assert 0 == code
    lines: list[Line] = [msgspec.json.decode(line) for line in out.splitlines()]
    assert "" == verdict(lines)[0]
    wins = len(wins_in(lines))
    assert f"1 jackpots, 300 contributions, {wins} wins, " in said
    path = tmp_path / "export.jsonl"
    code, nothing, said_again = call("--data-dir", data.root, "--out", path)
    assert (0, "", said) == (code, nothing, said_again)
    assert out == path.read_text()
    assert 0o600 == path.stat().st_mode & 0o777
    assert not path.with_name("export.jsonl.part").exists()


def test_fairness_export_of_one_instance(data: DataDirectory, tmp_path: Path) -> None:
    """By its id; one that is not there is said, and leaves no file."""
    assert call("--data-dir", data.root)[1] == call("--data-dir", data.root, "--instance", "i")[1]
    path = tmp_path / "none.jsonl"
    code, out, said = call("--data-dir", data.root, "--instance", "other", "--out", path)
    assert (1, "", f"fairness: there is no instance other in {data.root}\n") == (code, out, said)
    assert not path.exists()


def test_fairness_export_counts_the_prizes_of_raffles(tmp_path: Path) -> None:
    """Those that were paid, or will be, are wins."""
    played = raffle_played(CHOSEN["prizes too small to pay"], 2, 300)
    code, out, said = call("--data-dir", on_disk(tmp_path / "data", played).root)
    assert 0 == code
    lines: list[Line] = [msgspec.json.decode(line) for line in out.splitlines()]
    assert "" == verdict(lines)[0]
    paid = sum(prize["win"] > 0 for prize in prizes_in(lines))
    assert 0 < paid < len(prizes_in(lines))
    assert f" contributions, {paid} wins, " in said


def test_fairness_export_does_not_need_the_key(data: DataDirectory) -> None:
    """Whoever exports cannot even read what is still hidden; nothing in the data directory changes."""
    before = sorted(path.name for path in data.root.rglob("*"))
    assert 0 == call("--data-dir", data.root)[0]
    assert before == sorted(path.name for path in data.root.rglob("*"))
    assert not data.vault_key.exists()


def test_fairness_export_of_what_is_none_of_ours(tmp_path: Path, data: DataDirectory) -> None:
    """A folder of something else, and a journal that is gone: exit 1 and one line."""
    (tmp_path / "other").mkdir()
    code, _, said = call("--data-dir", tmp_path / "other")
    assert (1, 1) == (code, len(said.splitlines()))
    shutil.rmtree(data.worker(0).root)
    assert 1 == call("--data-dir", data.root, "--instance", "i")[0]
