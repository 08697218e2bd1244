"""Tokens that were shown once and count for long: those of sockets, which stay open while accounts change.

A token that becomes void ends what was opened with it within one interval: its account is gone, disabled, has a new
password, or other rights than it had; or the token of a user has expired.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio
from msgspec import Struct

from jackpotd.identity.principal import Principal, Resource, principal_of
from jackpotd.identity.tokens import InvalidToken, TokenDesk

CHECK_INTERVAL_S = 5.0
CHECKS_AT_ONCE = 256


class StandingToken(Struct, frozen=True, eq=False):
    """A token that something is open by; `end` is called once, when it has become void."""

    token: str
    principal: Principal
    end: Callable[[], None]


class StandingTokens:
    """Looks at all of them again and again.

    Args:
        tokens: tells whether a token is good.
        interval_s: how long a void token may count at most.
    """

    def __init__(self, tokens: TokenDesk, *, interval_s: float = CHECK_INTERVAL_S) -> None:
        self._tokens = tokens
        self._interval_s = interval_s
        self._standing: dict[int, StandingToken] = {}

    @contextmanager
    def watched(self, token: str, principal: Principal, end: Callable[[], None]) -> Iterator[None]:
        """While this is open, `end` is called as soon as the token is found void."""
        standing = StandingToken(token, principal, end)
        self._standing[id(standing)] = standing
        try:
            yield
        finally:
            self._standing.pop(id(standing), None)

    def reader(self, token: str) -> Principal | None:
        """Who brings a token, if it may read jackpots; None if it may not.

        Raises:
            InvalidToken: it opens nothing.
        """
        principal = principal_of(self._tokens.account(token))
        return principal if principal.may(Resource.JACKPOTS) else None

    async def run(self) -> None:
        """Checks until cancelled."""
        while True:
            await trio.sleep(self._interval_s)
            await self.check()

    async def check(self) -> None:
        """Ends what void tokens have opened."""
        for looked_at, standing in enumerate(list(self._standing.values()), 1):
            if not self._is_good(standing) and self._standing.pop(id(standing), None) is not None:
                standing.end()
            if looked_at % CHECKS_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()

    def _is_good(self, standing: StandingToken) -> bool:
        try:
            return principal_of(self._tokens.account(standing.token)) == standing.principal
        except InvalidToken:
            return False
