"""What Connect asks of the rest of the platform: the catalog as it stands, the owners of instances, the edge."""

from collections.abc import Sequence
from typing import Protocol

from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Instance, Player
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.messages import OptInRequest
from jackpotd.engine.opt_ins import OptInResult
from jackpotd.engine.owners import Owners
from jackpotd.engine.places import Definitions
from jackpotd.wire import feed_messages as wire


class ConnectNode(Protocol):
    """The platform, as the feed's process sees it. What it tells of instances is durable with their owners."""

    @property
    def catalog(self) -> Catalog:
        """A copy that changes with the original."""
        ...

    @property
    def owners(self) -> Owners:
        """Who answers for single instances and players."""
        ...

    @property
    def definitions(self) -> Definitions:
        """Who the instances of the catalog are."""
        ...

    async def shown(
        self,
        source_id: str,
        brand: str,
        country: str | None,
        segments: tuple[str, ...] | None,
        player_id: str,
    ) -> tuple[Instance, Player] | Rejection:
        """The instance that a source gives to a reader, and the player's standing with it."""
        ...

    async def opt_in(self, request: OptInRequest) -> OptInResult | Rejection:
        """Opts a player in or out, of a target and of its links where that was asked for."""
        ...

    async def change_origins(
        self,
        by: str,
        add: Sequence[tuple[str, str]],
        remove: Sequence[str],
        operator: str = "",
    ) -> wire.Origins | Rejection:
        """Forgets patterns of an operator's list (empty: the platform's), then allows others; at once, everywhere."""
        ...
