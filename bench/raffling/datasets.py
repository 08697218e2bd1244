"""A data directory with a jackpot, a raffle of the same pot, and raffles whose round has as many tickets as wanted."""

import os
from collections.abc import Iterator, Sequence
from math import gcd
from pathlib import Path
from typing import Any

import lmdb
import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from bench.growing.datasets import (
    BRAND,
    CATALOG,
    MAP_BYTES_MAX,
    WORKER,
    birth,
    instance_id,
    player_id,
)
from jackpotd.core import evolve as transitions
from jackpotd.core.events import RoundOpened, Sealed
from jackpotd.core.fairness import commitment_to
from jackpotd.core.state import Instance, Round, Seal, Status
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.cells import Cell, born, row_of
from jackpotd.journal.log import LmdbLog
from jackpotd.service import demo_data
from jackpotd.testing.vault import SeededVault
from jackpotd.wire import catalog_records, parts, records, rows
from jackpotd.wire.catalog_records import CatalogEntity, InstanceEntry

JACKPOT, RAFFLE, FIRST_FULL = instance_id(0), instance_id(1), 2
"""The instances: a jackpot and a raffle for rates, and from this number on raffles that are full."""
BEFORE_MS, AFTER_MS = 3_600_000, 86_400_000
ROWS_CHUNK = 50_000
_SEALED = 1

Json = dict[str, Any]


class Full(Struct, frozen=True):
    """How many raffles are full, with so many tickets, one for each player, and so many prizes."""

    raffles: int
    tickets: int
    prizes: int


def make(directory: Path, full: Full, now_ms: int) -> None:
    """Writes the directory; rounds have run for an hour and end in a day."""
    found = demo_data.fill(Catalog(), now_ms)
    if not isinstance(found, list):
        raise TypeError("an empty catalog takes the demo data")
    entries = _entries(found, full, now_ms)
    kept: list[CatalogEntity] = [
        entity
        for entity in found
        if type(entity).__name__ in ("Operator", "Currencies", "Account", "Template")
    ]
    changes: list[Sequence[CatalogEntity]] = [kept, *[[entry] for entry in entries]]
    encoded = [
        catalog_records.encode(
            catalog_records.Change(at_ms=now_ms, by="bench", entities=tuple(entities))
        )
        for entities in changes
    ]
    _append(directory / "catalog", CATALOG, encoded, now_ms)
    births = [birth(entry) for entry in entries]
    last_seq = _append(
        directory / "journal", WORKER, [records.encode(birth) for birth in births], now_ms
    )
    _write_rows(directory / "rows", births, full, last_seq, now_ms)


def _append(folder: Path, name: str, encoded: list[bytes], now_ms: int) -> int:
    log = LmdbLog.open(folder, name=name, map_bytes_max=MAP_BYTES_MAX, now_ms=now_ms)
    log.append(log.last_seq + 1, encoded)
    last_seq = log.last_seq
    log.close()
    return last_seq


def _entries(found: list[CatalogEntity], full: Full, now_ms: int) -> list[InstanceEntry]:
    model = next(
        entity
        for entity in found
        if isinstance(entity, InstanceEntry) and entity.instance_id == demo_data.DAILY
    )
    document: Json = msgspec.json.decode(model.document)
    chance = {"HitRate": {"max_magic_number": 10**9, "cost_per_attempt": 0.1}}
    plain_pots = [{**pot, "pot_types": [chance]} for pot in document["pots"]]
    plain = {**document, "jackpot_type": "Jackpot", "raffle": None, "pots": plain_pots}
    raffle = {**document["raffle"], "duration": None}
    prizes = {**raffle, "prizes": [{"count": full.prizes, "amount": 0.01}]}
    schedule = parts.Schedule(now_ms - BEFORE_MS, now_ms + AFTER_MS)
    documents = [plain, {**document, "raffle": raffle}]
    documents += [{**document, "raffle": prizes} for _ in range(full.raffles)]
    return [
        replace(
            model,
            instance_id=instance_id(number),
            document=Raw(msgspec.json.encode(each)),
            schedule=schedule,
            created_ms=now_ms - BEFORE_MS,
            status=Status.ACTIVE,
        )
        for number, each in enumerate(documents)
    ]


def _write_rows(
    folder: Path, births: list[records.Created], full: Full, last_seq: int, now_ms: int
) -> None:
    position = (rows.POSITION_KEY, rows.encode(rows.PositionRow(last_seq)))
    folder.mkdir()
    with lmdb.open(os.fspath(folder), map_size=MAP_BYTES_MAX, max_dbs=0, sync=False) as env:
        with env.begin(write=True) as txn:
            txn.put(*position)
            for number, birth in enumerate(births):
                state = born(birth)
                if number >= FIRST_FULL:
                    state = _full(state, full.tickets, now_ms)
                cell = Cell(state, last_seq, records.encode(birth))
                txn.put(rows.instance_key(birth.instance_id), rows.encode(row_of(cell)))
        for number in range(FIRST_FULL, FIRST_FULL + full.raffles):
            for chunk in _player_rows(instance_id(number), full.tickets, last_seq, now_ms):
                with env.begin(write=True) as txn, txn.cursor() as cursor:
                    cursor.putmulti(chunk, append=True)
        env.sync(True)


def _full(state: Instance, tickets: int, now_ms: int) -> Instance:
    """A raffle with a seal, as its owner would have made it, and a round that has sold its tickets."""
    name, pot_id = state.definition.instance_id, state.rules.pots[0].id
    start_ms = now_ms - BEFORE_MS
    nonce, secret = SeededVault().fresh(name, pot_id, _SEALED)
    commitment = commitment_to(secret, name, pot_id, _SEALED)
    seal = Seal(_SEALED, nonce, commitment, start_ms, 0, state.pots[0].value)
    for event in (
        Sealed(start_ms, 0, seal, ""),
        RoundOpened(start_ms, 1, start_ms, now_ms + AFTER_MS),
    ):
        state = transitions.evolve(state, event)
    sold = Round(1, start_ms, now_ms + AFTER_MS, tickets, tickets, 0)
    return replace(state, rare=replace(state.rare, round=sold))


def _player_rows(
    name: str, players: int, last_seq: int, now_ms: int
) -> Iterator[list[tuple[bytes, bytes]]]:
    """The players in the order of their keys, each with a ticket; who came first is shuffled, as it would be."""
    last = parts.LastSeen(0, now_ms, "EUR", 10**8, 10**8)
    pots = (rows.PotCountRow(1, 1, 10_000_000),)
    step = _coprime(players)
    for start in range(0, players, ROWS_CHUNK):
        numbers = range(start, min(start + ROWS_CHUNK, players))
        yield [
            (
                rows.player_key(name, BRAND, player_id(number)),
                rows.encode(
                    rows.PlayerRow(
                        last_seq, True, (), 1, 10_000_000, pots, now_ms, last,
                        parts.Tickets(1, number * step % players, 1, 0),
                    )
                ),
            )
            for number in numbers
        ]  # fmt: skip


def _coprime(count: int) -> int:
    """A step that visits every number below a count."""
    step = int(count * 0.618) | 1
    while gcd(step, count) != 1:
        step += 2
    return step
