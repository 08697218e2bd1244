"""Who is at the other end of a socket, and for whom they may act (contract §7): a player for no one else, a service for
the players of the brands that its account reaches.
"""

from typing import Protocol

from msgspec import Struct

from jackpotd.connect.players import AuthenticatedPlayer
from jackpotd.edge.guard import forbidden, require_reach
from jackpotd.identity.principal import Principal, Resource


class Whom(Struct, frozen=True):
    """Whom a message is about: operator, bare brand, player; None where it is about no single one."""

    operator_id: str | None
    brand_id: str | None
    player_id: str | None

    @property
    def brand(self) -> str:
        """The brand's path."""
        return f"{self.operator_id}:{self.brand_id}"


def whom(brand: str, player_id: str) -> Whom:
    """A player of a brand that is given by its path."""
    operator_id, _, brand_id = brand.partition(":")
    return Whom(operator_id, brand_id, player_id)


class Role(Protocol):
    """What the other end of a socket is."""

    @property
    def itself(self) -> Whom:
        """Whom messages are for that are about no request that could be read."""
        ...

    @property
    def players(self) -> frozenset[str] | None:
        """The players whose opt-ins are told; None for all that the audience sees."""
        ...

    def check(self, player: Whom, *, write: bool) -> None:
        """Refuses to act, or to read, for somebody else than this role may.

        Raises:
            RequestRefused: 403.
        """
        ...

    def operator_id(self) -> str | None:
        """The operator that is meant where a message names none."""
        ...

    def country(self, said: str | None) -> str | None:
        """A player's country: what is known of it, else what the message says."""
        ...


class PlayerRole:
    """A player, by the token that the socket was opened with."""

    __slots__ = ("_player", "itself", "players")

    def __init__(self, operator_id: str, brand_id: str, player: AuthenticatedPlayer) -> None:
        self._player = player
        self.itself = Whom(operator_id, brand_id, player.ids[0])
        self.players = frozenset(player.ids)

    def check(self, player: Whom, *, write: bool) -> None:  # noqa: ARG002 - one's own is one's own
        own = (self.itself.operator_id, self.itself.brand_id)
        is_own = (player.operator_id, player.brand_id) == own and player.player_id in self.players
        if not is_own:
            raise forbidden("act for another player than the token's")

    def operator_id(self) -> str | None:
        return self.itself.operator_id

    def country(self, said: str | None) -> str | None:
        # A wallet knows better than a browser, which can say anything.
        return self._player.country or said


class ServiceRole:
    """A service, with the rights of its account."""

    __slots__ = ("_principal", "itself", "players")

    def __init__(self, principal: Principal) -> None:
        self._principal = principal
        self.itself = Whom(principal.org_id, None, None)
        self.players = None

    def check(self, player: Whom, *, write: bool) -> None:
        resource = Resource.OPT_INS if write else Resource.JACKPOTS
        if not self._principal.may(resource, write=write):
            raise forbidden(f"{'write' if write else 'read'} {resource}")
        require_reach(self._principal, player.brand)

    def operator_id(self) -> str | None:
        return self._principal.org_id

    def country(self, said: str | None) -> str | None:
        return said
