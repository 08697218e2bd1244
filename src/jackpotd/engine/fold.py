"""What a journal adds up to: instances, players, winners, linked requests under way, and the keys in use.

The live shard and every replay go through the same two steps: `prepare` computes the next state of an instance and its
player, changing nothing; `apply` puts it in place under the record's sequence number. `replay` does both from a record,
and skips what a row already reflects.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from copy import copy
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from jackpotd.core import evolve as transitions
from jackpotd.core.events import Contributed, HeldWinDecided, InstanceEvent, OptInChanged
from jackpotd.core.state import UNKNOWN_PLAYER, Instance, Player
from jackpotd.engine.cells import Cell, born, cell_of, row_of
from jackpotd.engine.moves import MoveRecord, Moves
from jackpotd.engine.overlay import Overlay, PlayerCell
from jackpotd.engine.ports import Keys, Rows
from jackpotd.engine.received import ReceivedLinks
from jackpotd.engine.winners import put_winners, settle_held_win
from jackpotd.wire import records, rows


class Prepared(Struct, frozen=True, gc=False):
    """The states that follow from events, not yet in place.

    `inherited` is to be staged and put in place before them: the player's opt-in was that with another instance.
    """

    state: Instance
    player_key: bytes | None
    player: Player
    inherited: records.InheritedPlayers | None = None


KnownPlayer = tuple[bytes, Player, str]
"""The key of a player's row, the player as it stands, and the instance whose opt-in counts, if it is another one."""


DIGESTS_AT_HAND = 4096


@lru_cache(maxsize=DIGESTS_AT_HAND)
def key_digest(operator: str, key: str) -> bytes:
    """The 16 bytes that stand for an idempotency key, which belongs to its operator.

    Each request asks twice, at its claim and at its record, and little else happens in between.
    """
    return hashlib.blake2b(f"{operator}\0{key}".encode(), digest_size=16).digest()


class Fold:
    """The state of one shard."""

    def __init__(self, disk: Rows, keys: Keys) -> None:
        self.cells: dict[str, Cell] = {}
        self.overlay = Overlay(disk)
        self.propagations: dict[int, rows.PropagationRow] = {}
        self.received = ReceivedLinks(self.overlay)
        self.moves = Moves(self.overlay, self.cells, self.received)
        self.keys = keys
        self._changed: set[str] = set()
        self._frozen_cells: list[Cell] = []
        self._position = 0

    def load(self) -> int:
        """Takes up the rows on disk; returns the sequence number that all of them reflect."""
        for _, data in self.overlay.scan(rows.POSITION_KEY):
            position: rows.PositionRow = rows.decode(data)
            self._position = position.seq
        self.received.load()
        self.moves.load()
        for _, data in self.overlay.scan(rows.INSTANCES):
            self._load_instance(rows.decode(data))
        for key, data in self.overlay.scan(rows.PROPAGATIONS):
            self.propagations[int.from_bytes(key[1:], "big")] = rows.decode(data)
        return self._position

    def _load_instance(self, row: rows.InstanceRow) -> None:
        cell = cell_of(row, 0)
        instance_id = cell.state.definition.instance_id
        dropping = self.moves.droppings.get(instance_id)
        # Rows go only after the checkpoint has reached the record that says so: before it, they are as they were.
        if dropping is None or dropping.since_seq > self._position:
            cell.order = rows.order_after_moves(self.moves.moves_of(instance_id))
            self.cells[instance_id] = cell

    def player(self, instance_id: str, brand: str, player_id: str) -> Player:
        """A player's standing with an instance; the unknown player if there is none yet."""
        return self.known_player(instance_id, brand, player_id)[1]

    def known_player(self, instance_id: str, brand: str, player_id: str) -> KnownPlayer:
        """A player's standing with an instance, and where it is kept.

        A player without a row is opted in where the instance inherits from another one, and is opted in with that.
        """
        key = rows.player_key(instance_id, brand, player_id)
        found = self.overlay.player(key)
        if found is not None:
            return key, found.player, ""
        cell = self.cells.get(instance_id)
        if cell is None or not cell.state.rare.inherits:
            return key, UNKNOWN_PLAYER, ""
        return key, *self._inherited(cell, brand, player_id)

    def _inherited(self, cell: Cell, brand: str, player_id: str) -> tuple[Player, str]:
        """The standing that a player brings from another instance here, which may inherit as well; none is unknown."""
        seen = {cell.state.definition.instance_id}
        while (name := cell.state.rare.inherits) and name not in seen and name in self.cells:
            seen.add(name)
            cell = self.cells[name]
            found = self.overlay.player(rows.player_key(name, brand, player_id))
            if found is not None:
                player = found.player
                if not player.opted_in:
                    break
                return _brought(player.preferences, player.updated_ms), name
        return UNKNOWN_PLAYER, ""

    def create(self, seq: int, created: records.Created, encoded: bytes) -> None:
        """An instance is born."""
        state = born(created)
        self.cells[created.instance_id] = Cell(state, seq, encoded)
        self._changed.add(created.instance_id)

    def prepare(
        self, cell: Cell, events: Sequence[InstanceEvent], known: KnownPlayer | None = None
    ) -> Prepared:
        """The states after these events of one instance and one player; nothing changes.

        `known` is the events' player, where the caller has looked it up already.
        """
        state = cell.state
        player_key, player, inherited = None, UNKNOWN_PLAYER, None
        for event in events:
            state = transitions.evolve(state, event)
            if isinstance(event, Contributed | OptInChanged):
                instance_id = state.definition.instance_id
                player_key, before, source = known or self.known_player(
                    instance_id, event.brand, event.player_id
                )
                player = transitions.evolve_player(before, event)
                if source:
                    brought = (event.brand, event.player_id, before.preferences)
                    inherited = records.InheritedPlayers(
                        instance_id, source, (brought,), event.at_ms
                    )
        return Prepared(state, player_key, player, inherited)

    def apply(
        self, seq: int, cell: Cell, prepared: Prepared, events: Sequence[InstanceEvent]
    ) -> None:
        """Puts prepared states in place, under the record that holds their events."""
        cell.state, cell.as_of = prepared.state, seq
        self._changed.add(prepared.state.definition.instance_id)
        if prepared.player_key is not None:
            self.overlay.put_player(prepared.player_key, PlayerCell(seq, prepared.player))
        if len(events) != 1 or type(events[0]) is not Contributed:
            instance_id = prepared.state.definition.instance_id
            put_winners(self.overlay, instance_id, seq + cell.order, events)
        if type(events[0]) is HeldWinDecided:
            settle_held_win(self.overlay, prepared.state.definition.instance_id, events[0])

    def inherit(self, seq: int, record: records.InheritedPlayers) -> None:
        """Players who have opted in with another instance have opted in with this one; who has a row, keeps it."""
        for brand, player_id, preferences in record.players:
            key = rows.player_key(record.instance_id, brand, player_id)
            if self.overlay.player(key) is None:
                self.overlay.put_player(key, PlayerCell(seq, _brought(preferences, record.at_ms)))

    def use_key(self, seq: int, request: records.Request) -> None:
        """A request's key, if it has one, now leads to this record."""
        if request.key is not None:
            digest = key_digest(request.operator, request.key)
            self.keys.put(digest, seq, request.accepted_ms)

    def open_propagation(
        self, cause: int, links: tuple[str, ...], request: records.Request
    ) -> None:
        """A target has contributed; its links are still to answer."""
        row = rows.PropagationRow(
            links=links,
            results=(0,) * len(links),
            key_digest=None if request.key is None else key_digest(request.operator, request.key),
            accepted_ms=request.accepted_ms,
        )
        self._put_propagation(cause, row)

    def link_answered(self, cause: int, place: int, seq: int) -> bool:
        """One link's record is staged; whether it was the last one."""
        before = self.propagations.get(cause)
        if before is None:
            return False
        results = (*before.results[:place], seq, *before.results[place + 1 :])
        self._put_propagation(cause, msgspec.structs.replace(before, results=results))
        return all(results)

    def awaits(self, cause: int, place: int) -> bool:
        """Whether a link has not answered yet, as far as this journal says."""
        row = self.propagations.get(cause)
        return row is not None and not row.results[place]

    def settlement(self, cause: int) -> records.Settled:
        """The record that closes a linked request."""
        row = self.propagations[cause]
        return records.Settled(cause, row.results, row.key_digest, row.accepted_ms)

    def settle(self, seq: int, settled: records.Settled) -> None:
        """A linked request has its whole answer, at this record."""
        self._close(settled.cause)
        if settled.key_digest is not None:
            self.keys.put(settled.key_digest, seq, settled.accepted_ms)

    def _close(self, cause: int) -> None:
        self.propagations.pop(cause, None)
        self.overlay.remove(rows.propagation_key(cause))

    def _put_propagation(self, cause: int, row: rows.PropagationRow) -> None:
        self.propagations[cause] = row
        self.overlay.put(rows.propagation_key(cause), row)

    def move(self, seq: int, record: MoveRecord) -> None:
        """A step of an instance's move between workers is staged, at this record."""
        self.moves.apply(seq, record)
        if isinstance(record, records.Adopted):
            self._changed.add(record.instance_id)
        elif isinstance(record, records.Departed):
            self._changed.discard(record.instance_id)

    def forgotten(
        self, worker: int, causes: tuple[int, ...], below: int, busy: Collection[str] = ()
    ) -> records.Forgotten:
        """The record by which this worker forgets what another one has settled, but for instances that are `busy`."""
        still = self.moves.departing() | self.moves.imports.keys() | set(busy)
        return records.Forgotten(worker, causes, below, tuple(sorted(still)))

    def forget(self, forgotten: records.Forgotten) -> None:
        """Another worker has settled causes: what it was answered may go."""
        self.received.forget(forgotten)

    def replay(self, seq: int, data: bytes) -> None:
        """Folds one record of the journal; what a row or the key index already reflects stays as it is."""
        record = records.decode(data)
        if seq > self.keys.covered_seq:
            self._replay_key(seq, record)
        if seq <= self._position or isinstance(record, records.Declined):
            return  # one that was declined has used its key, and changed nothing
        match record:
            case records.Created():
                if record.instance_id not in self.cells:
                    self.create(seq, record, data)
            case records.Entry():
                self._replay_entry(seq, record)
                self.received.answered(record, data)
            case records.LinkRefused():
                if record.worker is None:
                    self.link_answered(record.cause, record.place, seq)
                self.received.answered(record, data)
            case records.RemoteAnswered():
                self.link_answered(record.cause, record.place, seq)
            case records.Settled():
                self._close(record.cause)
            case records.Forgotten():
                self.forget(record)
            case records.InheritedPlayers():
                self.inherit(seq, record)
            case _:
                self._replay_move(seq, record)

    def _replay_move(self, seq: int, record: MoveRecord) -> None:
        self.move(seq, record)
        if isinstance(record, records.Dropped):
            self._changed.discard(record.instance_id)

    def _replay_key(self, seq: int, record: records.Record) -> None:
        if isinstance(record, records.Entry | records.Declined) and record.request is not None:
            self.use_key(seq, record.request)
        elif isinstance(record, records.Settled) and record.key_digest is not None:
            self.keys.put(record.key_digest, seq, record.accepted_ms)

    def _replay_entry(self, seq: int, entry: records.Entry) -> None:
        events = records.to_events(entry.events)
        cell = self.cells[entry.instance_id]
        if cell.as_of < seq:
            for event in events:
                cell.state = transitions.evolve(cell.state, event)
            cell.as_of = seq
            self._changed.add(entry.instance_id)
        self._replay_player(seq, entry.instance_id, events)
        put_winners(self.overlay, entry.instance_id, seq + cell.order, events)
        if isinstance(events[0], HeldWinDecided):
            settle_held_win(self.overlay, entry.instance_id, events[0])
        if entry.links and entry.request is not None:
            self.open_propagation(seq, entry.links, entry.request)
        if entry.cause is not None and entry.worker is None:
            self.link_answered(entry.cause, entry.place, seq)

    def _replay_player(self, seq: int, instance_id: str, events: Sequence[InstanceEvent]) -> None:
        """The player's row may be older or newer than the instance's: each is folded by its own `as_of`."""
        for event in events:
            if isinstance(event, Contributed | OptInChanged):
                key = rows.player_key(instance_id, event.brand, event.player_id)
                found = self.overlay.player(key)
                if found is None or found.as_of < seq:
                    before = UNKNOWN_PLAYER if found is None else found.player
                    after = transitions.evolve_player(before, event)
                    self.overlay.put_player(key, PlayerCell(seq, after))

    def freeze(self) -> None:
        """Ends a generation of changes, for the checkpoint to write; whoever serves is not held up by it."""
        self.overlay.freeze()
        self._frozen_cells = [copy(self.cells[instance_id]) for instance_id in self._changed]
        self._changed.clear()

    def frozen(self) -> Iterator[tuple[bytes, bytes | None]]:
        """The rows of the generation that was frozen last; runs in the checkpoint's thread."""
        for cell in self._frozen_cells:
            instance_id = cell.state.definition.instance_id
            yield rows.instance_key(instance_id), rows.encode(row_of(cell))
        yield from self.overlay.frozen()

    def forget_frozen(self) -> list[dict[bytes, Any]]:
        """The frozen rows are on disk; returns what held them, because to let go of many at once would take long."""
        self._frozen_cells = []
        return self.overlay.forget_frozen()

    @property
    def changed_rows(self) -> int:
        """Rows that the next checkpoint will write."""
        return len(self._changed) + len(self.overlay)


def _brought(preferences: tuple[tuple[str, int], ...], updated_ms: int) -> Player:
    """A player whose opt-in with another instance counts; nothing was contributed yet."""
    return Player(
        opted_in=True, preferences=preferences, count=0, value=0, pots=(), updated_ms=updated_ms
    )


def request_at(
    read: Callable[[int], bytes | None], cause: int
) -> tuple[records.Entry, records.Request]:
    """A target's entry and the request behind it, from the journal."""
    data = read(cause)
    entry = None if data is None else records.decode(data)
    if not isinstance(entry, records.Entry) or entry.request is None:
        raise ValueError(f"record {cause} is no target's entry")
    return entry, entry.request
