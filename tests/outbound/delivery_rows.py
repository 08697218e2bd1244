"""A store of deliveries in an LMDB environment of its own, as the feed's store would have it."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb
from msgspec import Raw

from jackpotd.journal.delivery_store import DeliveryLimits, DeliveryStore
from jackpotd.wire.deliveries import Delivery

MAP_BYTES = 1 << 30


class Rows:
    """The store, and the transactions that bring new deliveries."""

    def __init__(self, env: Any, limits: DeliveryLimits | None) -> None:
        self.env = env
        self.writing = threading.Lock()
        self.store = DeliveryStore(env, self.writing, limits)

    def add(self, *deliveries: Delivery) -> None:
        with self.writing, self.env.begin(write=True) as txn:
            self.store.put(txn, deliveries)

    def count(self) -> int:
        """All rows, of whatever kind."""
        return int(self.env.stat()["entries"])


@contextmanager
def rows_in(directory: Path, limits: DeliveryLimits | None = None) -> Iterator[Rows]:
    directory.mkdir(parents=True, exist_ok=True)
    env = lmdb.open(os.fspath(directory), map_size=MAP_BYTES, max_dbs=0, max_readers=64)
    try:
        yield Rows(env, limits)
    finally:
        env.close()


def delivery(
    name: str,
    url: str = "http://a.example/hooks",
    *,
    due_ms: int = 0,
    operator: str = "op",
    attempts: int = 0,
) -> Delivery:
    return Delivery(
        id=name,
        operator=operator,
        url=url,
        body=Raw(f'{{"name":"{name}"}}'.encode()),
        created_ms=0,
        next_ms=due_ms,
        attempts=attempts,
    )


def ids(deliveries: Sequence[Any]) -> list[str]:
    return [each.id for each in deliveries]
