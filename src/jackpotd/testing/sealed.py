"""Instances that can be played without an engine: sealed, with what their secrets decide."""

from collections.abc import Sequence

from jackpotd.core.commands import Streams
from jackpotd.core.events import InstanceEvent
from jackpotd.core.evolve import evolve
from jackpotd.core.sealing import unsealed
from jackpotd.core.state import Instance
from jackpotd.engine.consequences import Seals
from jackpotd.testing.vault import SeededVault


class SealedPlay:
    """An instance's secrets, from a seed: seals it, and seals again what has been won."""

    def __init__(self, instance_id: str, seed: int = 0) -> None:
        self._seals = Seals(SeededVault(seed), instance_id)

    def begun(self, state: Instance) -> Instance:
        """The instance with a seal for each open pot."""
        for event in self._seals.missing(state, state.updated_ms):
            state = evolve(state, event)
        return state

    def streams(self, state: Instance) -> Streams:
        return self._seals.streams(state)

    def following(self, state: Instance, events: Sequence[InstanceEvent]) -> list[InstanceEvent]:
        """The seals that follow from events, of which `state` is the outcome."""
        return [self._seals.sealed(state, pot, state.updated_ms) for pot in unsealed(state, events)]
