"""What a journal adds up to: instances, players, winners, linked requests under way, and the keys in use.

The live shard and every replay go through the same two steps: `prepare` computes the next state of an instance and its
player, changing nothing; `apply` puts it in place under the record's sequence number. `replay` does both from a record,
and skips what a row already reflects.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec import Raw, Struct

from jackpotd.core import evolve as transitions
from jackpotd.core.events import Contributed, InstanceEvent, OptInChanged, PotWon
from jackpotd.core.split import allocation
from jackpotd.core.state import UNKNOWN_PLAYER, Definition, Instance, Player, Pot
from jackpotd.engine.overlay import Overlay, PlayerCell
from jackpotd.engine.ports import Keys, Rows
from jackpotd.wire import records, rows
from jackpotd.wire.catalog_records import compile_document


class Cell:
    """An instance as it stands; `created` is its birth record, which its row carries along."""

    __slots__ = ("as_of", "created", "state")

    def __init__(self, state: Instance, as_of: int, created: bytes) -> None:
        self.state = state
        self.as_of = as_of
        self.created = created


class Prepared(Struct, frozen=True):
    """The states that follow from events, not yet in place."""

    state: Instance
    player_key: bytes | None
    player: Player


def key_digest(operator: str, key: str) -> bytes:
    """The 16 bytes that stand for an idempotency key, which belongs to its operator."""
    return hashlib.blake2b(f"{operator}\0{key}".encode(), digest_size=16).digest()


def definition_of(created: records.Created) -> Definition:
    """Who an instance is, from its birth record."""
    return Definition(
        instance_id=created.instance_id,
        name=created.name,
        owner_id=created.owner_id,
        template_id=created.template_id,
        template_owner_id=created.template_owner_id,
        created_ms=created.at_ms,
        rules=compile_document(created.template, list(created.brands)),
    )


class Fold:
    """The state of one shard."""

    def __init__(self, disk: Rows, keys: Keys) -> None:
        self.cells: dict[str, Cell] = {}
        self.overlay = Overlay(disk)
        self.propagations: dict[int, rows.PropagationRow] = {}
        self.keys = keys
        self._changed: set[str] = set()

    def load(self) -> int:
        """Takes up the rows on disk; returns the sequence number that all of them reflect."""
        for _, data in self.overlay.scan(rows.INSTANCES):
            cell = _cell_of(rows.decode(data))
            self.cells[cell.state.definition.instance_id] = cell
        for key, data in self.overlay.scan(rows.PROPAGATIONS):
            self.propagations[int.from_bytes(key[1:], "big")] = rows.decode(data)
        for _, data in self.overlay.scan(rows.POSITION_KEY):
            position: rows.PositionRow = rows.decode(data)
            return position.seq
        return 0

    def player(self, instance_id: str, brand: str, player_id: str) -> Player:
        """A player's standing with an instance; the unknown player if there is none yet."""
        found = self.overlay.player(rows.player_key(instance_id, brand, player_id))
        return UNKNOWN_PLAYER if found is None else found.player

    def create(self, seq: int, created: records.Created, encoded: bytes) -> None:
        """An instance is born."""
        state = transitions.create(definition_of(created), created.status)
        self.cells[created.instance_id] = Cell(state, seq, encoded)
        self._changed.add(created.instance_id)

    def prepare(self, cell: Cell, events: Sequence[InstanceEvent]) -> Prepared:
        """The states after these events of one instance and one player; nothing changes."""
        state = cell.state
        player_key, player = None, UNKNOWN_PLAYER
        for event in events:
            state = transitions.evolve(state, event)
            if isinstance(event, Contributed | OptInChanged):
                instance_id = state.definition.instance_id
                player_key = rows.player_key(instance_id, event.brand, event.player_id)
                found = self.overlay.player(player_key)
                player = transitions.evolve_player(
                    UNKNOWN_PLAYER if found is None else found.player, event
                )
        return Prepared(state, player_key, player)

    def apply(
        self, seq: int, cell: Cell, prepared: Prepared, events: Sequence[InstanceEvent]
    ) -> None:
        """Puts prepared states in place, under the record that holds their events."""
        cell.state, cell.as_of = prepared.state, seq
        self._changed.add(prepared.state.definition.instance_id)
        if prepared.player_key is not None:
            self.overlay.put_player(prepared.player_key, PlayerCell(seq, prepared.player))
        if len(events) > 1:
            self._put_winners(seq, prepared.state.definition.instance_id, events)

    def _put_winners(self, seq: int, instance_id: str, events: Sequence[InstanceEvent]) -> None:
        for place, event in enumerate(events):
            if isinstance(event, PotWon):
                row = rows.WinnerRow(
                    at_ms=event.at_ms,
                    pot=event.pot,
                    brand=event.brand,
                    player_id=event.player_id,
                    paid=event.paid,
                    round_id=event.round_id,
                )
                self.overlay.put(rows.winner_key(instance_id, event.pot, seq, place), row)

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

    def settlement(self, cause: int) -> records.Settled:
        """The record that closes a linked request."""
        row = self.propagations[cause]
        return records.Settled(cause, row.results, row.key_digest, row.accepted_ms)

    def settle(self, seq: int, settled: records.Settled) -> None:
        """A linked request has its whole answer, at this record."""
        self.propagations.pop(settled.cause, None)
        self.overlay.remove(rows.propagation_key(settled.cause))
        if settled.key_digest is not None and seq > self.keys.covered_seq:
            self.keys.put(settled.key_digest, seq, settled.accepted_ms)

    def _put_propagation(self, cause: int, row: rows.PropagationRow) -> None:
        self.propagations[cause] = row
        self.overlay.put(rows.propagation_key(cause), row)

    def replay(self, seq: int, data: bytes) -> None:
        """Folds one record of the journal; what a row or the key index already reflects stays as it is."""
        match records.decode(data):
            case records.Created() as created:
                if created.instance_id not in self.cells:
                    self.create(seq, created, data)
            case records.Entry() as entry:
                self._replay_entry(seq, entry)
            case records.LinkRefused() as refused:
                self.link_answered(refused.cause, refused.place, seq)
            case records.Settled() as settled:
                self.settle(seq, settled)

    def _replay_entry(self, seq: int, entry: records.Entry) -> None:
        events = records.to_events(entry.events)
        cell = self.cells[entry.instance_id]
        if cell.as_of < seq:
            for event in events:
                cell.state = transitions.evolve(cell.state, event)
            cell.as_of = seq
            self._changed.add(entry.instance_id)
        self._replay_player(seq, entry.instance_id, events)
        self._put_winners(seq, entry.instance_id, events)
        if entry.request is not None and seq > self.keys.covered_seq:
            self.use_key(seq, entry.request)
        if entry.links and entry.request is not None:
            self.open_propagation(seq, entry.links, entry.request)
        if entry.cause is not None:
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
        """Ends a generation of changes: rows of changed instances join the others, for the checkpoint to write."""
        for instance_id in self._changed:
            cell = self.cells[instance_id]
            self.overlay.put(rows.instance_key(instance_id), _row_of(cell))
        self._changed.clear()
        self.overlay.freeze()

    def frozen(self) -> Iterator[tuple[bytes, bytes | None]]:
        """The rows of the generation that was frozen last."""
        return self.overlay.frozen()

    def forget_frozen(self) -> None:
        """The frozen rows are on disk."""
        self.overlay.forget_frozen()

    @property
    def changed_rows(self) -> int:
        """Rows that the next checkpoint will write."""
        return len(self._changed) + len(self.overlay)


def request_at(
    read: Callable[[int], bytes | None], cause: int
) -> tuple[records.Entry, records.Request]:
    """A target's entry and the request behind it, from the journal."""
    data = read(cause)
    entry = None if data is None else records.decode(data)
    if not isinstance(entry, records.Entry) or entry.request is None:
        raise ValueError(f"record {cause} is no target's entry")
    return entry, entry.request


def _row_of(cell: Cell) -> rows.InstanceRow:
    state = cell.state
    return rows.InstanceRow(
        as_of=cell.as_of,
        created=Raw(cell.created),
        status=state.status,
        version=state.version,
        updated_ms=state.updated_ms,
        pots=tuple(rows.PotRow(*msgspec.structs.astuple(pot)) for pot in state.pots),
        carried=state.carried,
        contributions=state.contributions,
        contributed=state.contributed,
        operator=state.operator,
        deficit=state.deficit,
        house=state.house,
        payouts=state.payouts,
    )


def _cell_of(row: rows.InstanceRow) -> Cell:
    created = records.decode(row.created)
    if not isinstance(created, records.Created):
        raise TypeError("an instance's row does not carry its birth record")
    definition = definition_of(created)
    pots = tuple(Pot(*msgspec.structs.astuple(pot)) for pot in row.pots)
    state = Instance(
        definition=definition,
        plan=allocation(definition.rules, tuple(pot.is_open for pot in pots)),
        status=row.status,
        version=row.version,
        updated_ms=row.updated_ms,
        pots=pots,
        carried=row.carried,
        contributions=row.contributions,
        contributed=row.contributed,
        operator=row.operator,
        deficit=row.deficit,
        house=row.house,
        payouts=row.payouts,
    )
    return Cell(state, row.as_of, bytes(row.created))
