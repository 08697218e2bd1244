"""Who calls a listener, and whether they may (contract §2)."""

from functools import lru_cache

from jackpotd.edge.exchange import Incoming
from jackpotd.identity.principal import Principal, Resource, principal_of
from jackpotd.identity.tokens import InvalidToken, TokenDesk
from jackpotd.wire.catalog_records import Account
from jackpotd.wire.errors import RequestRefused

# Tokens whose rights are remembered; an account that changes is another object, and asked again.
_KNOWN_MAX = 4096


class Guard:
    """Tells who calls and refuses who may not (contract §2)."""

    def __init__(self, tokens: TokenDesk) -> None:
        self._tokens = tokens
        self._known: dict[tuple[str, Resource, bool], tuple[Account, Principal]] = {}

    def principal(self, request: Incoming, resource: Resource, *, write: bool = False) -> Principal:
        """The caller, with the right that this call needs.

        Raises:
            RequestRefused: 401 without a good token, 403 without the right.
        """
        header = request.headers.get("authorization", "")
        try:
            account = self._tokens.account(_bearer_token(header))
        except InvalidToken as error:
            raise RequestRefused("UNAUTHORIZED", str(error)) from None
        known = self._known.get((header, resource, write))
        if known is not None and known[0] is account:
            return known[1]
        principal = principal_of(account)
        if not principal.may(resource, write=write):
            raise forbidden(f"{'write' if write else 'read'} {resource}")
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known[header, resource, write] = account, principal
        return principal


@lru_cache(maxsize=_KNOWN_MAX)
def _bearer_token(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise RequestRefused("UNAUTHORIZED", "a bearer token is needed")
    return token.strip()


def forbidden(what: str) -> RequestRefused:
    return RequestRefused("FORBIDDEN", f"this account may not {what}")


def require_reach(principal: Principal, owner: str) -> None:
    """Refuses an owner path that is not the caller's own: another operator's, or another brand's."""
    if not principal.reaches(owner):
        raise forbidden(f"reach {owner}")
