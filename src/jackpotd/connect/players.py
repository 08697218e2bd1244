"""Who a player is, by the token that their browser brings: a port, and the wallet of development behind it.

The operators' own wallets answer behind the same port.
"""

import re
from typing import Protocol

from msgspec import Struct

from jackpotd.wire.errors import ErrorBody

_DEMO_TOKEN = re.compile(r"token_([0-9]{1,12})")


class AuthenticatedPlayer(Struct, frozen=True):
    """A player of a brand. `ids` are all the names that this player goes by, the usual one first.

    `country` is None where the wallet does not know it: the player's own word is taken then.
    """

    ids: tuple[str, ...]
    currency: str
    country: str | None = None


class PlayerAuthority(Protocol):
    """Tells whose a token is; what it says is the operator's word."""

    async def authenticate(
        self, operator_id: str, brand_id: str, token: str, currency: str
    ) -> AuthenticatedPlayer | ErrorBody:
        """The player behind a token of a brand that is in service; else why not, in the wallet's words."""
        ...


class MemoryWallet:
    """The embedded wallet of development (contract §10): `token_NNNNN` is `player_NNNNN`, or `player_id_token_NNNNN`.

    Every brand knows every player, in every currency.
    """

    async def authenticate(
        self,
        operator_id: str,  # noqa: ARG002 - players of all brands are alike here
        brand_id: str,  # noqa: ARG002
        token: str,
        currency: str,
    ) -> AuthenticatedPlayer | ErrorBody:
        known = _DEMO_TOKEN.fullmatch(token)
        if known is None:
            return _failed("the player's token is unknown")
        return AuthenticatedPlayer((f"player_{known[1]}", f"player_id_{token}"), currency)


class NoWallet:
    """No wallet can be asked, so no player is known."""

    async def authenticate(
        self,
        operator_id: str,
        brand_id: str,
        token: str,  # noqa: ARG002 - nobody could tell whose it is
        currency: str,  # noqa: ARG002
    ) -> AuthenticatedPlayer | ErrorBody:
        return _failed(f"{operator_id}:{brand_id} has no wallet that knows players")


def _failed(message: str) -> ErrorBody:
    return ErrorBody(401, "PLAYER_AUTH_FAILED", message)
