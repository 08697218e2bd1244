"""The rows that an orderly end leaves of raffles: rounds, winners and credits, held against the journal.

Read through LMDB alone, by the format that `wire/rows` documents.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import lmdb

if TYPE_CHECKING:
    from pathlib import Path

    from .facts import Prize, RoundResolved
    from .history import History

_MAP_BYTES: Final = 1 << 36
_KEPT: Final = {"n", "w", "c"}
_RAFFLE_WINNER_FIELDS: Final = 12

Row = tuple[Any, ...]


def check_rows(data_dir: Path, history: History) -> int:
    """Each resolved round has one row, each winner of it one and one credit, and nobody else has any; how many."""
    found = Counter(row for worker in data_dir.glob("worker-*") for row in _rows(worker / "rows"))
    expected = Counter[Row]()
    for instance_id, account in history.jackpots.items():
        if account.raffle is not None:
            for event in account.raffle.resolved:
                expected.update(_expected(instance_id, event))
    assert found == expected
    return found.total()


def _rows(directory: Path) -> list[Row]:
    env = lmdb.open(str(directory), readonly=True, max_dbs=0, map_size=_MAP_BYTES)
    rows = []
    with closing(env), env.begin() as txn, txn.cursor() as cursor:
        for key, value in cursor.iternext(keys=True, values=True):
            kind, *fields = json.loads(value)
            instance_id = bytes(key)[1:].partition(b"\0")[0].decode(errors="replace")
            if kind == "w" and (len(fields) < _RAFFLE_WINNER_FIELDS or not fields[8]):
                continue  # of a jackpot
            if kind == "n":
                fields.pop()  # the order leads to the winners, and is no fact
            if kind in _KEPT:
                rows.append((instance_id, kind, *fields))
    return rows


def _expected(instance_id: str, event: RoundResolved) -> list[Row]:
    paid = [prize for prize in event.prizes if prize.win]
    return [
        (instance_id, "n", *_round(event)),
        *((instance_id, "w", *_winner(event, prize)) for prize in paid),
        *((instance_id, "c", *_credit(event, prize)) for prize in paid),
    ]


def _round(event: RoundResolved) -> Row:
    return (
        event.number,
        event.starts_ms,
        event.ends_ms,
        event.at_ms,
        event.tickets,
        event.entrants,
        event.counted,
        event.pot,
        len(event.prizes),
        sum(prize.paid for prize in event.prizes),
        event.shortfall + event.deficit,
    )


def _winner(event: RoundResolved, prize: Prize) -> Row:
    who = prize.winner
    return (
        event.at_ms,
        0,
        who.brand,
        who.player_id,
        prize.paid,
        prize.round_id,
        False,
        False,
        event.number,
        prize.tier,
        who.currency,
        prize.win,
    )


def _credit(event: RoundResolved, prize: Prize) -> Row:
    who = prize.winner
    return (
        event.at_ms,
        event.number,
        who.brand,
        who.player_id,
        who.currency,
        prize.win,
        prize.round_id,
        False,
    )
