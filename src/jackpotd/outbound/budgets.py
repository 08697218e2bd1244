"""Attempts that may be made at once, in all and for one operator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


class Budget:
    """A number of attempts at once, of which one operator may use a half, and one at the least."""

    def __init__(self, attempts_max: int) -> None:
        self._all = trio.CapacityLimiter(attempts_max)
        self._share = max(1, attempts_max // 2)
        self._operators: dict[str, trio.CapacityLimiter] = {}

    @asynccontextmanager
    async def of(self, operator: str) -> AsyncIterator[None]:
        """Waits for room for one attempt, and holds it until left."""
        limiter = self._operators.get(operator)
        if limiter is None:
            limiter = self._operators[operator] = trio.CapacityLimiter(self._share)
        try:
            async with limiter, self._all:
                yield
        finally:
            statistics = limiter.statistics()
            if not statistics.borrowed_tokens and not statistics.tasks_waiting:
                self._operators.pop(operator, None)
