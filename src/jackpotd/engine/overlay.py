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
from msgspec.structs import astuple

from jackpotd.core.state import LastSeen, Player, PotCount, Tickets
from jackpotd.engine.ports import Rows
from jackpotd.wire import parts, rows

DROPPED_AT_ONCE = 1000
_PLACE_BYTES = 2  # what the keys of one record's winners differ in


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

    def changed_players(self, prefix: bytes) -> list[bytes]:
        """Keys of players that are newer than the disk, some of them twice: at once, and `player` finds each later."""
        return [
            key
            for table in (self._frozen_players, self._players)
            for key in table
            if key.startswith(prefix)
        ]

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

    def _rows(self, prefix: bytes, *, is_down: bool) -> Iterator[tuple[bytes, rows.Row]]:
        """Rows with a prefix in the order of their keys, each in its newest version; none of players.

        What has changed is taken down when the first one is asked for, the disk is read as it goes on.
        """
        fresh = {
            key: row
            for table in (self._frozen_others, self._others)
            for key, row in table.items()
            if key.startswith(prefix)
        }
        newer = ((key, fresh[key]) for key in sorted(fresh, reverse=is_down))
        on_disk = self._disk.scan_down(prefix) if is_down else self._disk.scan(prefix)
        older = ((key, rows.decode(data)) for key, data in on_disk)
        last = None
        for key, row in heapq.merge(newer, older, key=itemgetter(0), reverse=is_down):
            if key != last and row is not None:
                yield key, row
            last = key

    def _row(self, key: bytes) -> rows.Row | None:
        """One row that is no player's."""
        for table in (self._others, self._frozen_others):
            if key in table:
                return table[key]
        data = self._disk.get(key)
        row: rows.Row | None = None if data is None else rows.decode(data)
        return row

    def pot_winners_down(
        self, instance_id: str, pot: int
    ) -> Iterator[tuple[bytes, rows.WinnerRow]]:
        """A pot's winners, the latest first, each with what orders it among those of all pots."""
        for key, row in self._rows(rows.winner_prefix(instance_id, pot), is_down=True):
            if isinstance(row, rows.WinnerRow):
                yield key[-rows.WINNER_ORDER_BYTES :], row

    def winners_down(self, instance_id: str, pots: int) -> Iterator[rows.WinnerRow]:
        """An instance's winners over all pots, the latest first."""
        by_pot = [self.pot_winners_down(instance_id, pot) for pot in range(pots)]
        for _, row in heapq.merge(*by_pot, key=itemgetter(0), reverse=True):
            yield row

    def rounds_down(self, instance_id: str) -> Iterator[rows.RoundRow]:
        """The rounds of a raffle that were resolved, the latest first."""
        for _, row in self._rows(rows.rounds_prefix(instance_id), is_down=True):
            if isinstance(row, rows.RoundRow):
                yield row

    def round(self, instance_id: str, number: int) -> rows.RoundRow | None:
        """A round of a raffle, once it was resolved."""
        row = self._row(rows.round_key(instance_id, number))
        return row if isinstance(row, rows.RoundRow) else None

    def round_winners(self, instance_id: str, order: int) -> Iterator[rows.WinnerRow]:
        """The winners of the round that has this `order`, as their prizes were drawn."""
        return (row for _, row in self.round_winners_by_key(instance_id, order))

    def round_winners_by_key(
        self, instance_id: str, order: int
    ) -> Iterator[tuple[bytes, rows.WinnerRow]]:
        """The same, each with the key of its row."""
        prefix = rows.winner_key(instance_id, 0, order, 0)[:-_PLACE_BYTES]
        for key, row in self._rows(prefix, is_down=False):
            if isinstance(row, rows.WinnerRow):
                yield key, row

    def round_credits(self, instance_id: str, number: int) -> Iterator[rows.CreditRow]:
        """What wallets have still to be told of a round, in no order that means anything."""
        for _, row in self._rows(rows.round_credits_prefix(instance_id, number), is_down=False):
            if isinstance(row, rows.CreditRow):
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
        last=None if player.last is None else parts.LastSeen(*astuple(player.last)),
        tickets=None if player.tickets is None else parts.Tickets(*astuple(player.tickets)),
    )


def player_cell(row: rows.PlayerRow) -> PlayerCell:
    player = Player(
        opted_in=row.opted_in,
        preferences=row.preferences,
        count=row.count,
        value=row.value,
        pots=tuple(PotCount(pot.cycle, pot.count, pot.value) for pot in row.pots),
        updated_ms=row.updated_ms,
        last=None if row.last is None else LastSeen(*astuple(row.last)),
        tickets=None if row.tickets is None else Tickets(*astuple(row.tickets)),
    )
    return PlayerCell(row.as_of, player)
