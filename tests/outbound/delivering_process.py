"""A process that delivers what is in a store, and adds to it, until it is killed.

    python -m tests.outbound.delivering_process DIRECTORY ORIGIN BATCHES

Says "ready" once it runs. Each delivery is written together with a row that says that it exists, so whoever killed the
process knows what it has to have delivered.
"""

import sys
import time
from pathlib import Path

import trio

from jackpotd.outbound.dispatcher import Dispatcher
from jackpotd.outbound.targets import Targets
from tests.outbound.delivering import SECRETS
from tests.outbound.delivery_rows import Rows, delivery, rows_in

EXISTS = b"!"
BATCH = 10
SPEED = 100
"""How much faster than real time the schedule runs."""


def fast_ms() -> int:
    return int(time.time() * 1000 * SPEED)


def add(rows: Rows, origin: str) -> None:
    """One transaction with a batch."""
    with rows.writing, rows.env.begin(write=True) as txn:
        first = int(txn.get(b"!!", b"0"))
        txn.put(b"!!", str(first + BATCH).encode())
        for number in range(first, first + BATCH):
            txn.put(EXISTS + str(number).encode(), b"")
            new = delivery(str(number), f"{origin}/{number % 3}", due_ms=fast_ms())
            rows.store.put(txn, [new])


async def run(rows: Rows, origin: str, batches: int) -> None:
    dispatcher = Dispatcher(
        rows.store, Targets([origin], lambda _operator: None), lambda _operator: SECRETS, fast_ms
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dispatcher.run)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for _ in range(batches):
            await trio.to_thread.run_sync(add, rows, origin)
            dispatcher.wake()


def main() -> None:
    directory, origin, batches = sys.argv[1:]
    with rows_in(Path(directory)) as rows:
        trio.run(run, rows, origin, int(batches))


if __name__ == "__main__":
    main()
