"""Instances that leave and arrive: what the records of a move change, live and in every replay.

The giver stages `Departing`, and from then on the instance's rows stand still; `Departed` after the taker has it. The
taker stages `Imported` for each handful of rows and `Adopted` last. Rows that are to go (of an instance that departed,
of an import that was abandoned) are dropped in the background; until `Dropped` they may be there or not, and nobody
reads them.
"""

from msgspec.structs import replace

from jackpotd.engine.cells import Cell, cell_of
from jackpotd.engine.overlay import Overlay
from jackpotd.engine.received import ReceivedLinks
from jackpotd.wire import records, rows

MoveRecord = (
    records.Departing
    | records.Returned
    | records.Departed
    | records.Imported
    | records.Adopted
    | records.Abandoned
    | records.Dropped
)


class Moves:
    """Who leaves, who arrives, who came from where, and whose keys are looked into."""

    def __init__(self, overlay: Overlay, cells: dict[str, Cell], received: ReceivedLinks) -> None:
        self._overlay = overlay
        self._cells = cells
        self._received = received
        self.departures: dict[str, rows.DepartureRow] = {}
        self.imports: dict[str, rows.ImportRow] = {}
        self.arrivals: dict[str, rows.ArrivalRow] = {}
        self.droppings: dict[str, rows.DroppingRow] = {}
        self.views: dict[int, int] = {}

    def load(self) -> None:
        """Takes up the rows on disk."""
        for _, data in self._overlay.scan(rows.DEPARTURES):
            departure: rows.DepartureRow = rows.decode(data)
            self.departures[departure.instance_id] = departure
        for _, data in self._overlay.scan(rows.IMPORTS):
            arriving: rows.ImportRow = rows.decode(data)
            self.imports[arriving.instance_id] = arriving
        for _, data in self._overlay.scan(rows.ARRIVALS):
            arrival: rows.ArrivalRow = rows.decode(data)
            self.arrivals[arrival.instance_id] = arrival
        for _, data in self._overlay.scan(rows.DROPPINGS):
            dropping: rows.DroppingRow = rows.decode(data)
            self.droppings[dropping.instance_id] = dropping
        for _, data in self._overlay.scan(rows.VIEWS):
            view: rows.ViewRow = rows.decode(data)
            self.views[view.worker] = view.since_ms

    def departing(self) -> set[str]:
        """Instances that stand still, because they are being moved away."""
        return {name for name, row in self.departures.items() if not row.departed_seq}

    def moves_of(self, instance_id: str) -> int:
        """How often an instance that lives here has moved."""
        arrival = self.arrivals.get(instance_id)
        return 0 if arrival is None else arrival.moves

    def apply(self, seq: int, record: MoveRecord) -> None:
        """Puts a step of a move in place, under its record's number."""
        match record:
            case records.Departing():
                self._put_departure(
                    rows.DepartureRow(record.instance_id, record.to_worker, seq, departed_seq=0)
                )
            case records.Returned():
                self._remove_departure(record.instance_id)
            case records.Departed():
                self._depart(seq, record)
            case records.Imported():
                self._import(seq, record)
            case records.Adopted():
                self._adopt(seq, record)
            case records.Abandoned():
                self._remove_import(record.instance_id)
                self._received.drop(record.instance_id)
                self._put_dropping(rows.DroppingRow(record.instance_id, seq))
            case records.Dropped():
                self._drop(record.instance_id)

    def _put_departure(self, row: rows.DepartureRow) -> None:
        self.departures[row.instance_id] = row
        self._overlay.put(rows.departure_key(row.instance_id), row)

    def _remove_departure(self, instance_id: str) -> None:
        if self.departures.pop(instance_id, None) is not None:
            self._overlay.remove(rows.departure_key(instance_id))

    def _put_dropping(self, row: rows.DroppingRow) -> None:
        self.droppings[row.instance_id] = row
        self._overlay.put(rows.dropping_key(row.instance_id), row)

    def _remove_import(self, instance_id: str) -> None:
        if self.imports.pop(instance_id, None) is not None:
            self._overlay.remove(rows.import_key(instance_id))

    def _depart(self, seq: int, departed: records.Departed) -> None:
        name = departed.instance_id
        self._cells.pop(name, None)
        self._received.drop(name)
        if self.arrivals.pop(name, None) is not None:
            self._overlay.remove(rows.arrival_key(name))
        self._put_departure(
            rows.DepartureRow(name, departed.to_worker, departed.departing_seq, departed_seq=seq)
        )
        self._put_dropping(rows.DroppingRow(name, seq))

    def _import(self, seq: int, imported: records.Imported) -> None:
        name = imported.instance_id
        if name not in self.imports:
            row = rows.ImportRow(name, imported.from_worker, imported.departing_seq)
            self.imports[name] = row
            self._overlay.put(rows.import_key(name), row)
        for brand, player_id, player in imported.players:
            key = rows.player_key(name, brand, player_id)
            self._overlay.put_imported(key, replace(player, as_of=seq))
        for pot, order, place, winner in imported.winners:
            self._overlay.put(rows.winner_key(name, pot, order, place), winner)
        for ended in imported.rounds:
            self._overlay.put(rows.round_key(name, ended.number), ended)
        for credit in imported.credits:
            key = rows.credit_key(name, credit.raffle_round, credit.round_id)
            self._overlay.put(key, credit)
        for received in imported.received:
            self._received.put(received)

    def _adopt(self, seq: int, adopted: records.Adopted) -> None:
        name = adopted.instance_id
        self._remove_import(name)
        self._remove_departure(name)
        if name not in self._cells:
            self._cells[name] = cell_of(replace(adopted.instance, as_of=seq), adopted.moves)
        self._cells[name].order = rows.order_after_moves(adopted.moves)
        arrival = rows.ArrivalRow(name, adopted.from_worker, adopted.departing_seq, adopted.moves)
        self.arrivals[name] = arrival
        self._overlay.put(rows.arrival_key(name), arrival)
        for worker, since_ms in adopted.views:
            self.views[worker] = max(since_ms, self.views.get(worker, 0))
            self._overlay.put(rows.view_key(worker), rows.ViewRow(worker, self.views[worker]))

    def _drop(self, instance_id: str) -> None:
        """A replay may still have rows, older or newer ones than the record; the newer come again with it."""
        self._cells.pop(instance_id, None)
        self._overlay.drop(rows.instance_key(instance_id), rows.prefixes_of(instance_id))
        self.dropped(instance_id)

    def dropped(self, instance_id: str) -> None:
        """Live: the rows are gone, and the record that says so is staged."""
        if self.droppings.pop(instance_id, None) is not None:
            self._overlay.remove(rows.dropping_key(instance_id))
