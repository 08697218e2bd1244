"""Bearer tokens: JWT, HS256, signed with a secret of the data directory, so they survive restarts (contract §2).

Service tokens do not expire; user tokens do, and are renewed with a refresh token. A token is void when its account is
gone, disabled, or has a new password.
"""

import os
import secrets
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import jwt
from msgspec import Struct

from jackpotd.identity.principal import AccountByName, Principal, principal_of
from jackpotd.wire.catalog_records import Account

SERVICE = "Service"
REFRESH_LIFETIMES = 48  # a refresh token lives this many lifetimes of an access token
_ALGORITHM = "HS256"
_SECRET_BYTES = 64
_CACHED_TOKENS_MAX = 10_000


class Use(StrEnum):
    """What a token is good for."""

    ACCESS = "access"
    REFRESH = "refresh"


class SecretDamaged(Exception):
    """The signing secret on disk cannot be used."""


class InvalidToken(Exception):
    """A token that opens nothing: malformed, forged, expired, of another use, or its account is gone."""


class _Known(Struct, frozen=True):
    username: str
    generation: int
    use: str
    expires_s: float | None


def load_secret(path: Path) -> bytes:
    """The signing secret of a data directory, created once, whole, and readable by its owner alone.

    Raises:
        SecretDamaged: the file is there and is no secret of ours; without it every token would be void.
    """
    if path.exists():
        secret = path.read_bytes()
        if len(secret) != _SECRET_BYTES:
            raise SecretDamaged(f"{path} is not a token secret of {_SECRET_BYTES} bytes")
        return secret
    secret = secrets.token_bytes(_SECRET_BYTES)
    draft = path.with_suffix(".draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return secret


class TokenDesk:
    """Issues tokens and tells who brings one.

    Args:
        secret: the signing secret.
        accounts: finds an account by its name.
        user_lifetime_s: of a user's access token.
        clock: Unix time in milliseconds.
    """

    def __init__(
        self,
        secret: bytes,
        accounts: AccountByName,
        *,
        user_lifetime_s: int,
        clock: Callable[[], int],
    ) -> None:
        self._secret = secret
        self._accounts = accounts
        self._user_lifetime_s = user_lifetime_s
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def issue(self, account: Account, use: Use = Use.ACCESS) -> str:
        """A token for an account; only a service's access token has no end."""
        now_s = self._clock() // 1000
        claims: dict[str, Any] = {
            "sub": account.username,
            "gen": account.generation,
            "use": use,
            "iat": now_s,
            "jti": secrets.token_hex(8),
        }
        if use is Use.REFRESH:
            claims["exp"] = now_s + self._user_lifetime_s * REFRESH_LIFETIMES
        elif account.account_type != SERVICE:
            claims["exp"] = now_s + self._user_lifetime_s
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def account(self, token: str, use: Use = Use.ACCESS) -> Account:
        """The account behind a token.

        Raises:
            InvalidToken: it opens nothing.
        """
        known = self._known.get(token) or self._read(token)
        if known.use != use:
            raise InvalidToken("this token is for another use")
        if known.expires_s is not None and known.expires_s * 1000 <= self._clock():
            raise InvalidToken("the token has expired")
        account = self._accounts(known.username)
        if account is None or not account.enabled or account.generation != known.generation:
            raise InvalidToken("the token's account is not in service")
        return account

    def principal(self, token: str) -> Principal:
        """Who brings this access token."""
        return principal_of(self.account(token))

    def _read(self, token: str) -> _Known:
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                options={
                    "verify_exp": False,
                    "verify_iat": False,
                    "require": ["sub", "gen", "use"],
                },
            )
        except (jwt.InvalidTokenError, UnicodeError, ValueError):
            raise InvalidToken("the token is not one of ours") from None
        known = _Known(claims["sub"], claims["gen"], claims["use"], claims.get("exp"))
        if len(self._known) >= _CACHED_TOKENS_MAX:
            self._known.clear()
        self._known[token] = known
        return known
