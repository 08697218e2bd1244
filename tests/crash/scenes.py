"""What a campaign plays: the jackpots that clients contribute to, and how they come to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .audit import map_sources
from .demo_jackpots import JACKPOTS, UNMAPPED
from .operations import DEMO_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from .book import Book
    from .calls import Caller
    from .demo_jackpots import Jackpot
    from .operations import Kind


class Scene(Protocol):
    """Jackpots, those whose rounds end, and what is done with them; all complete once the scene is built.

    Attributes:
        players_read: at how many players the last look is.
    """

    players_read: int

    @property
    def jackpots(self) -> Mapping[str, Jackpot]: ...

    @property
    def raffles(self) -> Sequence[Jackpot]: ...

    @property
    def kinds(self) -> Sequence[Kind]: ...

    async def build(self, admin: Caller) -> None:
        """In the first life of a directory, which has the demo data: everything else that is needed."""
        ...

    async def beside(self, gateway: Caller, book: Book, rng: Random) -> None:
        """In each life, what is sent beside the clients; it ends by itself, and may find that the server is gone."""
        ...

    async def rest(self, admin: Caller) -> None:
        """Before the last look: nothing happens by itself any more."""
        ...


class DemoScene:
    """The demo as it is; no round of its raffles ends while a campaign lasts."""

    players_read = 1000
    jackpots: Mapping[str, Jackpot] = JACKPOTS
    raffles: Sequence[Jackpot] = ()
    kinds: Sequence[Kind] = DEMO_KINDS

    async def build(self, admin: Caller) -> None:
        await map_sources(admin, UNMAPPED)

    async def beside(self, gateway: Caller, book: Book, rng: Random) -> None:
        pass

    async def rest(self, admin: Caller) -> None:
        pass
