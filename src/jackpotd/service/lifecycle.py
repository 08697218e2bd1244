"""From the settings to the server that they ask for: how many workers, what is placed where, and what is left over.

One worker needs no supervisor and no mesh: it is one process that does everything.
"""

import os
from collections.abc import Callable
from pathlib import Path

from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.fleet import Plan, bring_home, run_fleet
from jackpotd.service.placement import OFF, load_placement
from jackpotd.service.server import require_loopback, run
from jackpotd.service.settings import Settings
from jackpotd.service.vault import guard_key


def planned(settings: Settings, *, is_demo: bool) -> Plan:
    """How many workers there shall be, and what the placement file says.

    Raises:
        ConfigurationError: the file cannot be used.
    """
    workers = settings.service.workers
    if workers == 0:
        workers = 1 if is_demo else len(os.sched_getaffinity(0))
    path = settings.service.shards
    placed = {} if path == OFF else load_placement(Path(path), workers)
    return Plan(workers, placed, retired=())


async def serve(
    settings: Settings, plan: Plan, *, is_demo: bool, say: Callable[[str], None]
) -> None:
    """Serves until SIGTERM or SIGINT.

    Args:
        settings: the configuration.
        plan: the workers; those of former starts are looked up here.
        is_demo: fill an empty data directory with the demo data, and use the wallet for development.
        say: told the line that begins with `ready`.

    Raises:
        ListenerError: an address cannot be bound, or the demo was asked for beyond loopback.
        DataDirectoryError: the data directory is in use.
        KeyDamaged: the master key behind the seals cannot be used.
        JournalFailed: a journal does not take writes any more.
        WorkerLost: a worker cannot be kept alive.
    """
    if is_demo:
        require_loopback(
            {
                "gateway": settings.gateway.address,
                "admin": settings.admin.address,
                "connect": settings.connect_address,
            }
        )
    data = DataDirectory(Path(settings.service.data_dir))
    with data.locked():
        guard_key(settings, data)
        retired = tuple(
            folder.index
            for folder in data.workers()
            if folder.index >= plan.workers and not folder.is_emptied
        )
        plan = Plan(plan.workers, plan.placed, retired)
        if plan.workers > 1:
            await run_fleet(settings, data, plan, is_demo=is_demo, say=say)
        elif not retired or await bring_home(settings, data, plan, is_demo=is_demo):
            await run(settings, data, is_demo=is_demo, say=say)
