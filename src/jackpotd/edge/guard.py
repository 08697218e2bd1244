"""Who calls a listener, and whether they may (contract §2)."""

from jackpotd.edge.exchange import Incoming
from jackpotd.identity.principal import Principal, Resource
from jackpotd.identity.tokens import InvalidToken, TokenDesk
from jackpotd.wire.errors import RequestRefused


class Guard:
    """Tells who calls and refuses who may not (contract §2)."""

    def __init__(self, tokens: TokenDesk) -> None:
        self._tokens = tokens

    def principal(self, request: Incoming, resource: Resource, *, write: bool = False) -> Principal:
        """The caller, with the right that this call needs.

        Raises:
            RequestRefused: 401 without a good token, 403 without the right.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise RequestRefused("UNAUTHORIZED", "a bearer token is needed")
        try:
            principal = self._tokens.principal(token.strip())
        except InvalidToken as error:
            raise RequestRefused("UNAUTHORIZED", str(error)) from None
        if not principal.may(resource, write=write):
            raise forbidden(f"{'write' if write else 'read'} {resource}")
        return principal


def forbidden(what: str) -> RequestRefused:
    return RequestRefused("FORBIDDEN", f"this account may not {what}")


def require_reach(principal: Principal, owner: str) -> None:
    """Refuses an owner path that is not the caller's own: another operator's, or another brand's."""
    if not principal.reaches(owner):
        raise forbidden(f"reach {owner}")
