"""Logging in: a name and a password for tokens, the same on every listener (contract §2)."""

from msgspec import Struct

from jackpotd.identity.passwords import AccountLocked, PasswordDesk
from jackpotd.identity.tokens import InvalidToken, TokenDesk, Use
from jackpotd.wire.catalog_records import Account
from jackpotd.wire.errors import RequestRefused


class Session(Struct, frozen=True):
    """What a login yields."""

    account: Account
    token: str
    refresh_token: str


class Sessions:
    """Opens and renews sessions."""

    def __init__(self, passwords: PasswordDesk, tokens: TokenDesk) -> None:
        self._passwords = passwords
        self._tokens = tokens

    async def open(self, username: str, password: str, *, is_loopback: bool) -> Session:
        """A session for a right password.

        Raises:
            RequestRefused: 401, saying neither whether the name exists nor what was wrong.
        """
        try:
            account = await self._passwords.check(username, password, is_loopback=is_loopback)
        except AccountLocked as locked:
            message = f"too many wrong passwords; try again in {locked.seconds} s"
            raise RequestRefused("UNAUTHORIZED", message) from None
        if account is None:
            raise RequestRefused("UNAUTHORIZED", "unknown username or wrong password")
        return self._session(account)

    def renew(self, refresh_token: str) -> Session:
        """A new session for a refresh token."""
        try:
            return self._session(self._tokens.account(refresh_token, Use.REFRESH))
        except InvalidToken as error:
            raise RequestRefused("UNAUTHORIZED", str(error)) from None

    def _session(self, account: Account) -> Session:
        return Session(
            account, self._tokens.issue(account), self._tokens.issue(account, Use.REFRESH)
        )
