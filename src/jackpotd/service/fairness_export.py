"""`fairness export`: what anybody needs to check each draw, as JSON Lines, from the journals alone.

A journal holds a secret only once it has been revealed, and the key of the vault is not opened here: what still has to
stay hidden cannot get out. Works beside a running server, in short read transactions.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import msgspec
from msgspec import Struct

from jackpotd.journal.log import LmdbLog, LogError, StorageError
from jackpotd.service.data_directory import DataDirectory, DataDirectoryError
from jackpotd.service.fairness_lines import HistoryBroken, told
from jackpotd.service.settings import Settings
from jackpotd.service.storage import map_bytes_max
from jackpotd.wire import records

ReadFrom = Callable[[int], Iterator[tuple[int, bytes]]]
"""Reads a journal from a record on."""

_IMPORTED = b'["M"'


class NoSuchInstance(Exception):
    """The journals hold no instance of the id that was asked for."""


FINDINGS = (
    DataDirectoryError,
    HistoryBroken,
    LogError,
    NoSuchInstance,
    OSError,
    StorageError,
    msgspec.MsgspecError,  # a record that is none
)


class Exported(Struct, frozen=True):
    """What was written; `wins` are those of pots, and prizes of raffles of which anything was paid."""

    lines: int
    instances: int
    contributions: int
    wins: int
    reveals: int


def export(
    settings: Settings, data: DataDirectory, instance_id: str | None, write: Callable[[bytes], Any]
) -> Exported:
    """Writes the history of all instances, or of one.

    Raises:
        DataDirectoryError: it is none of ours.
        NoSuchInstance: there is none of this id.
        HistoryBroken: the journals do not hold all of it.
        StorageError, LogError: a journal cannot be read.
    """
    data.require()
    counts = dict.fromkeys(Exported.__struct_fields__, 0)
    with ExitStack() as closing:
        journals: dict[int, ReadFrom] = {}
        for folder in data.workers():
            log = LmdbLog.open_readonly(
                folder.journal, name=folder.log_name, map_bytes_max=map_bytes_max(settings)
            )
            closing.callback(log.close)
            journals[folder.index] = log.scan
        for line in told(Journals(journals, instance_id).in_order()):
            write(msgspec.json.encode(line) + b"\n")
            counts["lines"] += 1
            counts["wins"] += len(line.get("wins", ()))
            counts["wins"] += sum(prize["win"] > 0 for prize in line.get("prizes", ()))
            if (kind := f"{line['type']}s") in counts:
                counts[kind] += 1
    if instance_id is not None and not counts["instances"]:
        raise NoSuchInstance(f"there is no instance {instance_id} in {data.root}")
    return Exported(**counts)


class Journals:
    """The journals of all workers, read side by side.

    Args:
        workers: how each worker's journal is read.
        instance_id: the only instance whose records are wanted; None for all.
    """

    def __init__(self, workers: Mapping[int, ReadFrom], instance_id: str | None = None) -> None:
        self._workers = workers
        self._instance_id = instance_id
        self._sign = b"" if instance_id is None else instance_id.encode()
        self._read = dict.fromkeys(workers, 0)
        self._under_way: set[int] = set()

    def in_order(self) -> Iterator[records.Record]:
        """The records of each worker in its own order; nobody arrives anywhere before they have left.

        Raises:
            HistoryBroken: an instance came from a journal that does not let it go.
        """
        for worker in self._workers:
            yield from self._until(worker, None)

    def _until(self, worker: int, last_seq: int | None) -> Iterator[records.Record]:
        """What has not been read yet of a journal, up to a record or as far as it goes now."""
        self._under_way.add(worker)
        for seq, encoded in self._workers[worker](self._read[worker] + 1):
            if last_seq is not None and seq > last_seq:
                break
            record = self._wanted(encoded)
            if record is not None:
                if isinstance(record, records.Adopted):
                    yield from self._left(record)
                yield record
            self._read[worker] = seq
        self._under_way.remove(worker)

    def _wanted(self, encoded: bytes) -> records.Record | None:
        """A record that is asked for; to look for the id is much cheaper than to decode."""
        if self._sign not in encoded or encoded.startswith(_IMPORTED):
            return None
        record = records.decode(encoded)
        is_other = self._sign and getattr(record, "instance_id", None) != self._instance_id
        return None if is_other else record

    def _left(self, arrival: records.Adopted) -> Iterator[records.Record]:
        """Everything that happened to an instance before it arrived."""
        giver, departing_seq = arrival.from_worker, arrival.departing_seq
        is_further = self._read.get(giver, departing_seq) < departing_seq
        if is_further and giver not in self._under_way:  # else each would wait for the other
            yield from self._until(giver, departing_seq)
        if self._read.get(giver, 0) < departing_seq:
            raise HistoryBroken(
                f"{arrival.instance_id} came from worker {giver}, whose journal does not say so"
            )
