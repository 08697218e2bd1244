"""Data directories as years of traffic leave them, written in bulk in the formats that the server reads.

A directory has the demo's operator, some instances of three pots, players known to the first instance, and keys that
are all alive. Rows and keys are sorted and appended; nothing here goes through the engine but the births.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import lmdb
from msgspec import Raw, Struct
from msgspec.structs import replace

from bench.generator.workload import BRANDS, OPERATOR
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.fold import Fold
from jackpotd.engine.recovery import MemoryKeys, MemoryRows
from jackpotd.journal.key_manifest import (
    MANIFEST_FORMAT,
    Manifest,
    sync_directory,
    write_manifest,
)
from jackpotd.journal.key_runs import AT_BITS, ROW_BYTES, VALUE_BYTES, RunEntry, RunWriter
from jackpotd.journal.keys import BUCKETS_PER_RETENTION
from jackpotd.journal.log import LmdbLog
from jackpotd.service import demo_data
from jackpotd.wire import catalog_records, records, rows
from jackpotd.wire.catalog_records import CatalogEntity, InstanceEntry

MAP_BYTES_MAX = 64 << 30
RETENTION_MS = 7 * 86_400_000
CATALOG, WORKER = "catalog", "worker-0"
CHUNK = 1_000
PLAYERS_CHUNK = 100_000
PART_BITS = 12
BRAND = f"{OPERATOR}:{BRANDS[0]}"


class Size(Struct, frozen=True):
    """How much there is of everything."""

    instances: int = 1
    players: int = 0
    keys: int = 0


def instance_id(number: int) -> str:
    return f"bdfa6295-d5a5-4c54-98bf-{number:012d}"


def player_id(number: int) -> str:
    return f"player_{number:09d}"


def make(directory: Path, size: Size, now_ms: int) -> None:
    """Writes a data directory of this size."""
    entries = _catalog(directory, size.instances, now_ms)
    log = LmdbLog.open(
        directory / "journal", name=WORKER, map_bytes_max=MAP_BYTES_MAX, now_ms=now_ms
    )
    fold = Fold(MemoryRows(), MemoryKeys())
    pending: list[bytes] = []
    for seq, entry in enumerate(entries, 1):
        created = birth(entry)
        pending.append(records.encode(created))
        fold.create(seq, created, pending[-1])
        if len(pending) == CHUNK or seq == len(entries):
            log.append(log.last_seq + 1, pending)
            pending = []
    last_seq = log.last_seq
    log.close()
    _write_rows(directory / "rows", fold, size.players, last_seq, now_ms)
    _write_keys(directory / "keys", size.keys, last_seq, now_ms)


def _catalog(directory: Path, instances: int, now_ms: int) -> list[InstanceEntry]:
    found = demo_data.fill(Catalog(), now_ms)
    if not isinstance(found, list):
        raise TypeError("an empty catalog takes the demo data")
    model = next(
        entity
        for entity in found
        if isinstance(entity, InstanceEntry) and entity.instance_id == demo_data.SLOTS
    )
    kept: list[CatalogEntity] = [
        entity
        for entity in found
        if type(entity).__name__ in ("Operator", "Currencies", "Account", "Template")
    ]
    entries = [replace(model, instance_id=instance_id(number)) for number in range(instances)]
    log = LmdbLog.open(
        directory / "catalog", name=CATALOG, map_bytes_max=MAP_BYTES_MAX, now_ms=now_ms
    )
    # An operator's admin client creates one instance with each call: so does the catalog's journal.
    changes: list[Sequence[catalog_records.CatalogEntity]] = [kept, *[[entry] for entry in entries]]
    for start in range(0, len(changes), CHUNK):
        encoded = [
            catalog_records.encode(
                catalog_records.Change(at_ms=now_ms, by="bench", entities=tuple(entities))
            )
            for entities in changes[start : start + CHUNK]
        ]
        log.append(log.last_seq + 1, encoded)
    log.close()
    return entries


def birth(entry: InstanceEntry) -> records.Created:
    """The record by which an instance of the catalog is born."""
    return records.Created(
        at_ms=entry.created_ms,
        instance_id=entry.instance_id,
        name=entry.name,
        owner_id=entry.owner_id,
        template_id=entry.template_id,
        template_owner_id=entry.template_owner_id,
        template=Raw(bytes(entry.document)),
        brands=entry.brands,
        status=entry.status,
        by=entry.by,
        schedule=entry.schedule,
    )


def _write_rows(directory: Path, fold: Fold, players: int, last_seq: int, now_ms: int) -> None:
    fold.freeze()
    position = (rows.POSITION_KEY, rows.encode(rows.PositionRow(last_seq)))
    directory.mkdir()
    with lmdb.open(os.fspath(directory), map_size=MAP_BYTES_MAX, max_dbs=0, sync=False) as env:
        with env.begin(write=True) as txn, txn.cursor() as cursor:
            cursor.putmulti([(key, value) for key, value in fold.frozen() if value] + [position])
        for chunk in _player_rows(players, last_seq, now_ms):
            with env.begin(write=True) as txn, txn.cursor() as cursor:
                cursor.putmulti(chunk, append=True)
        env.sync(True)


def _player_rows(players: int, last_seq: int, now_ms: int) -> Iterator[list[tuple[bytes, bytes]]]:
    """The first instance's players, in the order of their keys; they sort behind all rows that are there already."""
    pots = tuple(rows.PotCountRow(1, 120, 300_000_000) for _ in range(3))
    row = rows.PlayerRow(last_seq, True, (), 120, 1_200_000_000, pots, now_ms)
    value = rows.encode(row)
    first = instance_id(0)
    for start in range(0, players, PLAYERS_CHUNK):
        numbers = range(start, min(start + PLAYERS_CHUNK, players))
        yield [(rows.player_key(first, BRAND, player_id(number)), value) for number in numbers]


def _write_keys(directory: Path, keys: int, last_seq: int, now_ms: int) -> None:
    directory.mkdir()
    bucket_ms = RETENTION_MS // BUCKETS_PER_RETENTION
    newest = now_ms // bucket_ms
    buckets = range(newest - BUCKETS_PER_RETENTION + 2, newest + 1) if keys else range(0)
    runs = tuple(
        _write_run(directory, number, bucket, keys // len(buckets), last_seq, bucket * bucket_ms)
        for number, bucket in enumerate(buckets, 1)
    )
    sync_directory(directory)
    write_manifest(
        directory,
        Manifest(
            format=MANIFEST_FORMAT,
            byte_order=sys.byteorder,
            bucket_ms=bucket_ms,
            covered_seq=last_seq,
            next_number=len(runs) + 1,
            runs=runs,
        ),
    )


def _write_run(
    directory: Path, number: int, bucket: int, keys: int, seq: int, at_ms: int
) -> RunEntry:
    """One closed bucket: random digests in order, all of one time."""
    value = (seq << AT_BITS | at_ms).to_bytes(VALUE_BYTES, "big")
    rest = ROW_BYTES - VALUE_BYTES - 2
    parts = 1 << PART_BITS
    writer = RunWriter(
        directory, number=number, age=number, bucket=bucket, rows_max=keys, newest_at_ms=at_ms
    )
    for part in range(parts):
        count = keys * (part + 1) // parts - keys * part // parts
        noise = os.urandom((rest + 1) * count)
        records_of_part = []
        for start in range(0, len(noise), rest + 1):
            low = noise[start] >> (8 - (16 - PART_BITS))
            head = (part << (16 - PART_BITS) | low).to_bytes(2, "big")
            records_of_part.append(head + noise[start + 1 : start + 1 + rest] + value)
        records_of_part.sort()
        writer.append(part, PART_BITS, records_of_part)
    entry = writer.finish()
    writer.close()
    return entry
