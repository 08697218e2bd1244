"""What the journals of several workers say about the same instances: each move, seen from both of its sides.

While a journal is replayed from nothing, an instance's rows are summed up at each `Departing` and each `Adopted`. What
the taker had when it took an instance over must be what the giver had when it let it stand still, to the byte; only
`as_of` names records of different journals.
"""

import hashlib
from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from jackpotd.engine.cells import row_of
from jackpotd.engine.fold import Fold
from jackpotd.wire import records, rows

_SUM_BYTES = 16


class Adoption(Struct, frozen=True):
    """An instance that was taken over, with the sum of its rows."""

    instance_id: str
    from_worker: int
    departing_seq: int
    total: int


class Whereabouts(Struct):
    """What one worker's journal says of its moves; `last_seq` is where it was read to.

    `given` is where the instances are that were here last before they were given to another worker.
    """

    departures: dict[tuple[str, int], int]
    adoptions: list[Adoption]
    serving: dict[str, int]
    given: dict[str, int]
    last_seq: int = 0

    def note(self, fold: Fold, seq: int, record: records.Record) -> None:
        """A record that a replay from nothing has just folded."""
        match record:
            case records.Departing():
                self.departures[record.instance_id, seq] = total(fold, record.instance_id)
            case records.Adopted():
                summed = total(fold, record.instance_id)
                self.adoptions.append(
                    Adoption(record.instance_id, record.from_worker, record.departing_seq, summed)
                )
            case _:
                pass

    def close(self, fold: Fold, last_seq: int) -> None:
        """The replay is over."""
        self.last_seq = last_seq
        departing = fold.moves.departing()
        self.serving = {
            name: fold.moves.moves_of(name) for name in fold.cells if name not in departing
        }
        self.given = {
            name: row.to_worker for name, row in fold.moves.departures.items() if row.departed_seq
        }


def total(fold: Fold, instance_id: str) -> int:
    """The sum of an instance's rows, whatever their order, in a fold that has them all in memory."""
    instance = replace(row_of(fold.cells[instance_id]), as_of=0)
    summed = _digest(rows.instance_key(instance_id), instance)
    for prefix in rows.prefixes_of(instance_id):
        for key, player in fold.overlay.fresh_players(prefix):
            summed += _digest(key, replace(player, as_of=0))
        for key, row in fold.overlay.fresh_rows(prefix):
            summed += _digest(key, row)
    for received in fold.received.of_instance(instance_id):
        key = rows.received_key(received.worker, received.cause, received.place)
        summed += _digest(key, received)
    return summed % (1 << 8 * _SUM_BYTES)


def _digest(key: bytes, row: rows.Row) -> int:
    digest = hashlib.blake2b(len(key).to_bytes(4, "big") + key, digest_size=_SUM_BYTES)
    digest.update(rows.encode(row))
    return int.from_bytes(digest.digest(), "big")


def contradictions(workers: Mapping[int, Whereabouts]) -> Iterator[str]:
    """Where the journals do not agree, in words.

    They were read one after another, perhaps beside running workers: what points behind the end of a journal as it was
    read is left out.
    """
    unknown: set[str] = set()
    for worker, seen in workers.items():
        for adoption in seen.adoptions:
            giver = workers.get(adoption.from_worker)
            what = f"worker {worker} took {adoption.instance_id} over from worker {adoption.from_worker}"
            if giver is None:
                yield f"{what}, whose journal is missing"
            elif adoption.departing_seq > giver.last_seq:
                unknown.add(adoption.instance_id)
            elif (
                there := giver.departures.get((adoption.instance_id, adoption.departing_seq))
            ) is None:
                yield f"{what}, where no record {adoption.departing_seq} lets it go"
            elif there != adoption.total:
                yield f"{what} with other rows than it had there at record {adoption.departing_seq}"
        for instance_id, taker in seen.given.items():
            if taker not in workers:
                yield f"worker {worker} gave {instance_id} to worker {taker}, whose journal is missing"
    yield from _served_twice(workers, unknown)


def _served_twice(workers: Mapping[int, Whereabouts], unknown: set[str]) -> Iterator[str]:
    served: dict[str, int] = {}
    for worker, seen in workers.items():
        for instance_id in seen.serving:
            other = served.setdefault(instance_id, worker)
            if other != worker and instance_id not in unknown:
                yield f"{instance_id} is served by worker {other} and by worker {worker}"
