"""The owner's process: a worker's shard, router and journal over a data directory, behind nothing but the mesh."""

import sys
from pathlib import Path

import trio

from jackpotd.cluster.worker_node import WorkerNode
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.fold import Fold
from jackpotd.engine.router import Router
from jackpotd.engine.shard import Shard
from jackpotd.journal.group_commit import GroupCommit
from jackpotd.journal.keys import KeyIndex
from jackpotd.journal.log import LmdbLog
from jackpotd.journal.row_store import LmdbRows
from jackpotd.mesh import EDGE
from jackpotd.mesh.mesh import Mesh
from jackpotd.service import interpreter
from jackpotd.service.entropy import SystemEntropy
from jackpotd.service.storage import clock_ms
from jackpotd.testing.vault import SeededVault

OWNER = 0
MAP_BYTES_MAX = 8 << 30
_RETENTION_MS = 7 * 86_400_000
_WAITING_MAX = 10_000
_LINK_DEADLINE_S = 2.0


async def own(directory: Path) -> None:
    """Owns what it is told to, until it is killed. Says so when it begins to look for the edge."""
    interpreter.prepare()
    log = LmdbLog.open(directory / "journal", name="bench", map_bytes_max=MAP_BYTES_MAX, now_ms=0)
    rows = LmdbRows.open(directory / "rows", map_bytes_max=MAP_BYTES_MAX)
    keys = KeyIndex.open(directory / "keys", retention_ms=_RETENTION_MS)
    journal = GroupCommit(log, batch_records_max=4096)
    catalog = Catalog()
    shard = Shard(
        Fold(rows, keys),
        journal,
        clock_ms,
        SystemEntropy(),
        vault=SeededVault(),
        mailbox_length_max=_WAITING_MAX,
        has_embedded_wallet=True,
        index=OWNER,
    )
    router = Router(catalog, shard, requests_in_flight_max=_WAITING_MAX)
    mesh = Mesh(OWNER, directory, connects_to=(EDGE,))
    node = WorkerNode(mesh, catalog, shard, router, workers=1, link_deadline_s=_LINK_DEADLINE_S)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        # Before it runs: it is up only when it has a catalog, which the edge gives it once it is called.
        print("ready node=owner", flush=True)
        await nursery.start(node.run)
        interpreter.settle()


if __name__ == "__main__":
    trio.run(own, Path(sys.argv[1]))
