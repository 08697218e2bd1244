"""What does it cost to know who is active among a thousand players and a million, and how long does it pause at most?

Players come again and again, some far more often than others; each contribution is noted in the crowd, and now and then
a community is paid: how many are active, and who stands at some of the places. Then the crowd is made anew from the
players' rows on disk, as at a start. Time is that of the processor.
"""

import random
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

import trio
from msgspec import Struct
from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.reporting.command import Options, run
from bench.reporting.report import Report, Table, goal_of, number
from bench.servers.machine import pinned
from bench.servers.slots import slots
from jackpotd.core.state import LastSeen
from jackpotd.engine.cells import Cell
from jackpotd.engine.crowd import Crowd, gathered
from jackpotd.engine.fold import Fold
from jackpotd.engine.recovery import MemoryKeys
from jackpotd.journal.row_store import LmdbRows
from jackpotd.service import interpreter
from jackpotd.wire import parts, rows

SIZES = (1_000, 30_000, 1_000_000)
NOTES = 100_000
WINS = 100
WINNERS = 10
RETENTION_MS = 10**9
PAUSE_GOAL_MS = 1.0
START_GOAL_S = 5.0
LMDB_BYTES_MAX = 4 << 30
TRANSACTION_ROWS = 20_000
BRAND = "op:brand1"

_clock = time.thread_time
Note = tuple[int, int, str, str, LastSeen]


class Costs(Struct, frozen=True):
    """Of one round, in µs each; pauses are single calls, in ms."""

    note_us: float
    pause_ms: float
    rare_pause_ms: float
    active_us: float
    at_us: float


class Players:
    """So many, who have all come once, and come again by a seeded draw."""

    def __init__(self, count: int, seed: int) -> None:
        self._draw = random.Random(seed)
        self._ids = [f"player_{player:09d}" for player in range(count)]
        self._numbers = list(range(1, count + 1))
        self._number = count
        self.crowd = Crowd(RETENTION_MS, lambda _brand, _player_id: None)
        for player, player_id in enumerate(self._ids, 1):
            self.crowd.note(player, player, BRAND, player_id, None)

    def coming(self, count: int) -> Iterator[Note]:
        for _ in range(count):
            player = int(len(self._ids) * self._draw.random() ** 2)
            before = self._numbers[player]
            self._number += 1
            self._numbers[player] = self._number
            yield self._number, self._number, BRAND, self._ids[player], seen_at(before)

    def round(self) -> Costs:
        note, times = self.crowd.note, []
        notes = list(self.coming(NOTES))
        begin = _clock()
        for each in notes:
            note(*each)
        note_us = (_clock() - begin) / NOTES * 1e6
        del notes  # the collector would walk them in the middle of what is timed next
        for each in self.coming(NOTES):
            begin = _clock()
            note(*each)
            times.append(_clock() - begin)
        times.sort()
        rare = times[len(times) * 9_999 // 10_000]
        return Costs(note_us, times[-1] * 1e3, rare * 1e3, *self._wins())

    def _wins(self) -> tuple[float, float]:
        """The first question after a contribution, and each one after it."""
        crowd, first_s, more_s = self.crowd, 0.0, 0.0
        for each in list(self.coming(WINS)):
            crowd.note(*each)
            since_ms = self._number - self._draw.randrange(self._number)
            begin = _clock()
            among = crowd.active(since_ms)
            asked = _clock()
            for place in range(0, among, max(1, among // WINNERS)):
                crowd.at(since_ms, place)
            first_s, more_s = first_s + asked - begin, more_s + _clock() - asked
        return first_s / WINS * 1e6, more_s / WINS / WINNERS * 1e6


def seen_at(at: int) -> LastSeen:
    return LastSeen(at, at, "EUR", 10**8, 10**8)


def measure(options: Options) -> Report:
    """Each size in rounds, then the start with the largest; on the server's core."""
    report = options.report("crowd", __doc__ or "")
    interpreter.prepare()
    lines, pauses, notes = [], list[float](), list[float]()
    with options.folder("crowd") as folder, pinned(options.cores.server):
        for count in SIZES:
            players = Players(count, options.seed)
            interpreter.settle()
            found = [players.round() for _ in range(options.rounds)]
            lines.append(_line(players.crowd, found))
            pauses, notes = [each.pause_ms for each in found], [each.note_us for each in found]
        starts = [_start_s(folder / "rows", SIZES[-1])]
    columns = (
        "players", "note, µs", "1 of 10,000, ms", "longest, ms", "first question of a win, µs", "a place, µs",
        "memory, B",
    )  # fmt: skip
    among = f"among {SIZES[-1]:,} players"
    goals = (
        goal_of(f"longest pause of {NOTES:,} contributions {among}", PAUSE_GOAL_MS, pauses, "ms", is_at_most=True),
        goal_of(f"a crowd of {SIZES[-1]:,} players from their rows", START_GOAL_S, starts, "s", is_at_most=True),
    )  # fmt: skip
    return replace(
        report,
        tables=(Table("A crowd, medians of the rounds", columns, tuple(lines)),),
        goals=goals,
        figures={"note_us": notes, "pause_ms": pauses, "start_s": starts},
    )


def _line(crowd: Crowd, found: list[Costs]) -> tuple[str, ...]:
    statistics = crowd.statistics()
    return (
        f"{statistics.players:,}",
        number(median(each.note_us for each in found)),
        number(median(each.rare_pause_ms for each in found)),
        number(max(each.pause_ms for each in found)),
        number(median(each.active_us for each in found)),
        number(median(each.at_us for each in found)),
        number(statistics.memory_bytes / statistics.players),
    )


def _start_s(folder: Path, count: int) -> float:
    """The rows of an instance's players on disk, read into a crowd."""
    disk = LmdbRows.open(folder, map_bytes_max=LMDB_BYTES_MAX)
    fold, state = Fold(disk, MemoryKeys()), replace(slots()[0], updated_ms=count)
    instance_id = state.definition.instance_id
    fold.cells[instance_id] = Cell(state, 0, b"")
    order = random.Random(count).sample(range(count), count)
    for start in range(0, count, TRANSACTION_ROWS):
        players = range(start, min(start + TRANSACTION_ROWS, count))
        disk.write([_row(instance_id, player, order[player] + 1) for player in players])
    begin = _clock()
    crowd = trio.run(partial(gathered, fold, instance_id, retention_ms=RETENTION_MS))
    took_s = _clock() - begin
    disk.close()
    if crowd.active(0) != count:
        raise ValueError(f"{crowd.active(0)} players of {count} were found")
    return took_s


def _row(instance_id: str, player: int, last: int) -> tuple[bytes, bytes]:
    row = rows.PlayerRow(
        as_of=last,
        opted_in=False,
        preferences=(),
        count=120,
        value=1_200_000_000,
        pots=tuple(rows.PotCountRow(1, 120, 300_000_000) for _ in range(3)),
        updated_ms=last,
        last=parts.part_of(seen_at(last)),
    )
    return rows.player_key(instance_id, BRAND, f"player_{player:09d}"), rows.encode(row)


if __name__ == "__main__":
    run(measure, __doc__, rounds=5)
