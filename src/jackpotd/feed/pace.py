"""Long loops that let others have their turn."""

from time import perf_counter

import trio

_STRETCH_S = 0.002


class Pace:
    """Says when a loop has kept the others waiting for long enough.

    Asking costs next to nothing, so it may be done for each of ten thousand.
    """

    __slots__ = ("_began",)

    def __init__(self) -> None:
        self._began = perf_counter()

    @property
    def is_due(self) -> bool:
        return perf_counter() - self._began > _STRETCH_S

    async def rest(self) -> None:
        """Lets everybody else have a turn."""
        await trio.lowlevel.checkpoint()
        self._began = perf_counter()
