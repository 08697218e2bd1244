"""Whether a dead server was amid a checkpoint: its rows are then newer than the position says.

Only counts what a campaign has come across; that the rows are right is `verify`'s to say, and the
next start's. Read through LMDB, by the format that `wire/rows` documents.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Final

import lmdb

if TYPE_CHECKING:
    from pathlib import Path

_MAP_BYTES: Final = 1 << 36
_POSITION_KEY: Final = b"@"
_AS_OF_KINDS: Final = {"i", "p"}


def is_cut_off(data_dir: Path) -> bool:
    """Whether some row of some worker reflects a record after its checkpoint's position."""
    return any(_is_cut_off(worker / "rows") for worker in data_dir.glob("worker-*"))


def _is_cut_off(directory: Path) -> bool:
    env = lmdb.open(str(directory), readonly=True, max_dbs=0, map_size=_MAP_BYTES)
    with closing(env), env.begin() as txn, txn.cursor() as cursor:
        stored = txn.get(_POSITION_KEY)
        position = 0 if stored is None else json.loads(stored)[1]
        rows = (json.loads(value) for _, value in cursor.iternext(keys=True, values=True))
        return any(row[0] in _AS_OF_KINDS and row[1] > position for row in rows)
