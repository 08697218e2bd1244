"""Rows that are newer than the disk, over the rows on disk: what every read of the shard sees (design decision 4).

A checkpoint freezes what has changed so far and writes it in the background; until it is done the frozen rows are still
read from memory, and changes gather in fresh tables.
"""

import heapq
from collections.abc import Iterator
from itertools import islice
from operator import itemgetter
from typing import Any

from msgspec import Struct

from jackpotd.core.state import Player, PotCount
from jackpotd.engine.ports import Rows
from jackpotd.wire import parts, rows

DROPPED_AT_ONCE = 1000


class PlayerCell(Struct, frozen=True, gc=False):
    """A player, and the last record that it reflects."""

    as_of: int
    player: Player


class Overlay:
    """Changed players and changed or removed other rows, in two generations: live and frozen."""

    def __init__(self, disk: Rows) -> None:
        self._disk = disk
        self._players: dict[bytes, PlayerCell] = {}
        self._frozen_players: dict[bytes, PlayerCell] = {}
        self._others: dict[bytes, rows.Row | None] = {}
        self._frozen_others: dict[bytes, rows.Row | None] = {}

    def __len__(self) -> int:
        return len(self._players) + len(self._others)

    def player(self, key: bytes) -> PlayerCell | None:
        found = self._players.get(key) or self._frozen_players.get(key)
        if found is not None:
            return found
        data = self._disk.get(key)
        return None if data is None else player_cell(rows.decode(data))

    def put_player(self, key: bytes, cell: PlayerCell) -> None:
        self._players[key] = cell

    def put_imported(self, key: bytes, row: rows.PlayerRow) -> None:
        self._players[key] = player_cell(row)

    def put(self, key: bytes, row: rows.Row) -> None:
        self._others[key] = row

    def remove(self, key: bytes) -> None:
        self._others[key] = None

    def fresh_players(self, prefix: bytes) -> Iterator[tuple[bytes, rows.PlayerRow]]:
        """Players with a prefix that have changed; those of a replay from nothing are all there are."""
        return (
            (key, player_row(cell)) for key, cell in self._players.items() if key.startswith(prefix)
        )

    def fresh_rows(self, prefix: bytes) -> Iterator[tuple[bytes, rows.Row]]:
        """Other rows with a prefix that have changed."""
        return (
            (key, row)
            for key, row in self._others.items()
            if row is not None and key.startswith(prefix)
        )

    def drop(self, key: bytes, prefixes: tuple[bytes, ...]) -> None:
        """Removes a row and all with these prefixes, here and on disk; for replays, where nothing is frozen."""
        for table in (self._players, self._others):
            for name in [name for name in table if name == key or name.startswith(prefixes)]:
                del table[name]
        for prefix in prefixes:
            on_disk = self._disk.scan(prefix)
            while found := list(islice(on_disk, DROPPED_AT_ONCE)):
                self._disk.write([(name, None) for name, _ in found])
        if self._disk.get(key) is not None:
            self._disk.write([(key, None)])

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows on disk with a prefix; used at start-up, when the overlay is empty."""
        return self._disk.scan(prefix)

    def pot_winners_down(
        self, instance_id: str, pot: int
    ) -> Iterator[tuple[bytes, rows.WinnerRow]]:
        """A pot's winners, the latest first, each with what orders it among those of all pots."""
        prefix = rows.winner_prefix(instance_id, pot)
        fresh = {
            key: row
            for table in (self._frozen_others, self._others)
            for key, row in table.items()
            if key.startswith(prefix)
        }
        newer = ((key, fresh[key]) for key in sorted(fresh, reverse=True))
        older = ((key, rows.decode(data)) for key, data in self._disk.scan_down(prefix))
        last = None
        for key, row in heapq.merge(newer, older, key=itemgetter(0), reverse=True):
            if key != last and isinstance(row, rows.WinnerRow):
                yield key[-rows.WINNER_ORDER_BYTES :], row
            last = key

    def winners_down(self, instance_id: str, pots: int) -> Iterator[rows.WinnerRow]:
        """An instance's winners over all pots, the latest first."""
        by_pot = [self.pot_winners_down(instance_id, pot) for pot in range(pots)]
        for _, row in heapq.merge(*by_pot, key=itemgetter(0), reverse=True):
            yield row

    def freeze(self) -> None:
        """Ends a generation: what has changed so far is what the next checkpoint writes.

        Raises:
            RuntimeError: the generation before has not been written; to go on would lose it.
        """
        if self._frozen_players or self._frozen_others:
            raise RuntimeError("a generation of rows is frozen already")
        self._frozen_players, self._players = self._players, {}
        self._frozen_others, self._others = self._others, {}

    def frozen(self) -> Iterator[tuple[bytes, bytes | None]]:
        """The frozen rows as they go to disk; runs in the checkpoint's thread."""
        return _encoded(self._frozen_players, self._frozen_others)

    def forget_frozen(self) -> list[dict[bytes, Any]]:
        """The frozen rows are on disk; returns the tables that held them."""
        tables: list[dict[bytes, Any]] = [self._frozen_players, self._frozen_others]
        self._frozen_players, self._frozen_others = {}, {}
        return tables


def _encoded(
    players: dict[bytes, PlayerCell], others: dict[bytes, rows.Row | None]
) -> Iterator[tuple[bytes, bytes | None]]:
    for key, cell in players.items():
        yield key, rows.encode(player_row(cell))
    for key, row in others.items():
        yield key, None if row is None else rows.encode(row)


def player_row(cell: PlayerCell) -> rows.PlayerRow:
    player = cell.player
    return rows.PlayerRow(
        as_of=cell.as_of,
        opted_in=player.opted_in,
        preferences=player.preferences,
        count=player.count,
        value=player.value,
        pots=tuple(rows.PotCountRow(pot.cycle, pot.count, pot.value) for pot in player.pots),
        updated_ms=player.updated_ms,
        last=None if player.last is None else parts.part_of(player.last),
    )


def player_cell(row: rows.PlayerRow) -> PlayerCell:
    player = Player(
        opted_in=row.opted_in,
        preferences=row.preferences,
        count=row.count,
        value=row.value,
        pots=tuple(PotCount(pot.cycle, pot.count, pot.value) for pot in row.pots),
        updated_ms=row.updated_ms,
        last=None if row.last is None else parts.core_of(row.last),
    )
    return PlayerCell(row.as_of, player)
