"""Links of other workers that instances here have answered, until those workers have settled: each is taken once.

A row holds the answer as it was journalled, so a sender that asks again gets it again. It belongs to the instance and
moves with it. There are as many as links are under way, so they are held in memory.
"""

from msgspec import Raw

from jackpotd.engine.overlay import Overlay
from jackpotd.wire import records, rows

Place = tuple[int, int, int]
"""The worker that sent a link, its cause there, and the link's place."""


class ReceivedLinks:
    """The answers that other workers may still ask for."""

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._rows: dict[Place, rows.ReceivedRow] = {}

    def load(self) -> None:
        """Takes up the rows on disk."""
        for _, data in self._overlay.scan(rows.RECEIVED):
            row: rows.ReceivedRow = rows.decode(data)
            self._rows[row.worker, row.cause, row.place] = row

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, worker: int, cause: int, place: int) -> rows.ReceivedRow | None:
        """What was answered to this link, if it was."""
        return self._rows.get((worker, cause, place))

    def put(self, row: rows.ReceivedRow) -> None:
        """A link was answered."""
        self._rows[row.worker, row.cause, row.place] = row
        self._overlay.put(rows.received_key(row.worker, row.cause, row.place), row)

    def answered(self, entry: records.Entry | records.LinkRefused, encoded: bytes) -> None:
        """A link of another worker's was answered by this record."""
        if entry.worker is not None and entry.cause is not None:
            row = rows.ReceivedRow(
                entry.worker, entry.cause, entry.place, entry.instance_id, Raw(encoded)
            )
            self.put(row)

    def of_instance(self, instance_id: str) -> list[rows.ReceivedRow]:
        """Everything that one instance has answered, in the order of the keys."""
        return [row for _, row in sorted(self._rows.items()) if row.instance_id == instance_id]

    def forget(self, forgotten: records.Forgotten) -> None:
        """A worker has settled causes."""
        causes = set(forgotten.causes)
        gone = [
            place
            for place, row in self._rows.items()
            if row.worker == forgotten.worker
            and (row.cause in causes or row.cause < forgotten.below)
            and row.instance_id not in forgotten.still
        ]
        self._remove(gone)

    def drop(self, instance_id: str) -> None:
        """An instance has left."""
        gone = [place for place, row in self._rows.items() if row.instance_id == instance_id]
        self._remove(gone)

    def _remove(self, gone: list[Place]) -> None:
        for place in gone:
            del self._rows[place]
            self._overlay.remove(rows.received_key(*place))
