"""The instance that a source shows to a reader, with a player's standing: durable, and of one moment (contract §5)."""

from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Instance, Player
from jackpotd.engine.owners import Owners
from jackpotd.engine.router import Router

LOOKS_MAX = 3


class Shown:
    """What readers of sources get, on a node that knows the status of all instances."""

    def __init__(self, router: Router, owners: Owners) -> None:
        self._router = router
        self._owners = owners

    async def of(
        self,
        source_id: str,
        brand: str,
        *,
        country: str | None,
        segments: tuple[str, ...] | None,
        player_id: str,
    ) -> tuple[Instance, Player] | Rejection:
        """The instance of a source, and the player's standing with it; parameters that are None skip their check."""
        looks = 0
        while True:
            looks += 1
            seen = self._router.visible_instance(source_id, brand, country, segments)
            if isinstance(seen, Rejection):
                return seen
            found = await self._owners.standing(seen.definition.instance_id, brand, player_id)
            if isinstance(found, Rejection):
                return found
            # With another status than was known here, the source may give another instance.
            if found[0].status is seen.status or looks == LOOKS_MAX:
                return found
