"""The machine: which cores serve and load, where data lie, and what a reader of the figures must know about it."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

_MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs", "ramdisk"})


class Cores(Struct, frozen=True):
    """The server has one core to itself, and so has the generator where the machine has two."""

    server: int
    generator: int
    count: int
    workers: tuple[int, ...] = ()
    """All but the generator's, where there are two or more."""

    @property
    def are_shared(self) -> bool:
        return self.server == self.generator


def cores() -> Cores:
    """The cores that this process may use, the last one for the generator."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(
        server=allowed[0], generator=allowed[-1], count=len(allowed), workers=tuple(allowed[:-1])
    )


@contextmanager
def pinned(*to: int) -> Iterator[None]:
    """What is started inside runs on these cores alone, with all its threads and children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(to))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def file_system(path: Path) -> str:
    """The type of the file system that a path lies on, such as ext4."""
    wanted = os.fspath(path.resolve())
    best, found = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        is_above = wanted == where or wanted.startswith(where.rstrip("/") + "/")
        if is_above and len(where) >= len(best):
            best, found = where, kind
    return found


def is_in_memory(path: Path) -> bool:
    """Whether an fsync there costs nothing, so that durability cannot be measured."""
    return file_system(path) in _MEMORY_FILE_SYSTEMS


def facts() -> dict[str, str]:
    """What belongs beside every figure."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": str(cores().count),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }
