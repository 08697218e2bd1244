"""The guard of a listener: who comes in, who is asked for a token, and who is told no."""

import json

import pytest
from msgspec.structs import replace

from jackpotd.edge.exchange import Incoming, Outgoing, answer, serve
from jackpotd.edge.guard import Guard, require_reach
from jackpotd.identity.principal import Principal, Resource, principal_of
from jackpotd.identity.tokens import TokenDesk, Use
from jackpotd.wire.catalog_records import Account, Permission
from jackpotd.wire.errors import RequestRefused

START_MS = 1_700_000_000_000
LIFETIME_S = 1_800

ANNA = Account(
    id="1",
    username="anna",
    password_hash="$argon2id$",
    account_type="User",
    org_id="acme",
    unit_ids=("one",),
    permissions=(
        Permission(resource_id=Resource.SOURCES, permission="Read"),
        Permission(resource_id=Resource.OPT_INS, permission="Write"),
    ),
    enabled=True,
    created_ms=0,
)


class House:
    """A guard over real tokens, with the clock and the one account in the test's hands."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.accounts = {"anna": ANNA}
        self.tokens = TokenDesk(
            bytes(64), self.accounts.get, user_lifetime_s=LIFETIME_S, clock=lambda: self.now_ms
        )
        self.guard = Guard(self.tokens)
        self.token = self.tokens.issue(ANNA)

    def principal(
        self,
        authorization: str | None,
        resource: Resource = Resource.SOURCES,
        *,
        write: bool = False,
    ) -> Principal:
        headers = {} if authorization is None else {"authorization": authorization}
        return self.guard.principal(Incoming(headers), resource, write=write)

    def refusal(
        self,
        authorization: str | None,
        resource: Resource = Resource.SOURCES,
        *,
        write: bool = False,
    ) -> tuple[int, str, str]:
        with pytest.raises(RequestRefused) as refused:
            self.principal(authorization, resource, write=write)
        body = refused.value.body
        return body.status_code, body.code, body.message


# -- who comes in


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer  ", "Bearer \t"])
def test_principal_good_token_is_the_caller(scheme: str) -> None:
    """The scheme's case does not matter, as HTTP says, and neither does white space."""
    house = House()
    assert principal_of(ANNA) == house.principal(scheme + house.token)


@pytest.mark.parametrize(
    ("resource", "write", "allowed"),
    [
        (Resource.SOURCES, False, True),
        (Resource.SOURCES, True, False),
        (Resource.OPT_INS, False, True),
        (Resource.OPT_INS, True, True),
        (Resource.ACCOUNTS, False, False),
        (Resource.ACCOUNTS, True, False),
    ],
)
def test_principal_needs_the_right_that_the_call_needs(
    resource: Resource, write: bool, allowed: bool
) -> None:
    """A good token without the right is 403, and the message names the right."""
    house = House()
    authorization = f"Bearer {house.token}"
    if allowed:
        assert house.principal(authorization, resource, write=write).username == "anna"
    else:
        status, code, message = house.refusal(authorization, resource, write=write)
        assert (403, "FORBIDDEN") == (status, code)
        assert f"{'write' if write else 'read'} {resource}" in message


# -- who does not


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YW5uYTpwYXNz",
        "Token {token}",
        "{token}",
        "Bearer,{token}",
    ],
)
def test_principal_without_a_bearer_token_is_asked_for_one(authorization: str | None) -> None:
    """No header, another scheme, or a token without its scheme: 401, and what is needed."""
    house = House()
    shown = None if authorization is None else authorization.format(token=house.token)
    assert (401, "UNAUTHORIZED", "a bearer token is needed") == house.refusal(shown)


@pytest.mark.parametrize(
    "token", [" ", "null", "a.b.c", "{token}x", "{token} {token}", "{token},", "x{token}", "\xff"]
)
def test_principal_bad_token_is_unauthorized(token: str) -> None:
    """A malformed or unknown token is 401, whatever the right would have been."""
    house = House()
    status, code, _ = house.refusal(f"Bearer {token.format(token=house.token)}", Resource.ACCOUNTS)
    assert (401, "UNAUTHORIZED") == (status, code)


def test_principal_refresh_token_opens_no_call() -> None:
    """A refresh token is for renewing only."""
    house = House()
    refresh = house.tokens.issue(ANNA, Use.REFRESH)
    assert (401, "UNAUTHORIZED", "this token is for another use") == house.refusal(
        f"Bearer {refresh}"
    )


def test_principal_expired_token_is_unauthorized_not_forbidden() -> None:
    """Once the token has expired, who calls is unknown, also to the question of rights."""
    house = House()
    house.now_ms += LIFETIME_S * 1_000
    expected = (401, "UNAUTHORIZED", "the token has expired")
    for resource in (Resource.SOURCES, Resource.ACCOUNTS):
        assert expected == house.refusal(f"Bearer {house.token}", resource)


def test_principal_account_changes_take_effect_at_the_next_call() -> None:
    """Rights that are taken away are 403 at once, and a disabled account is 401 at once."""
    house = House()
    authorization = f"Bearer {house.token}"
    assert house.principal(authorization).username == "anna"
    house.accounts["anna"] = replace(ANNA, permissions=())
    assert house.refusal(authorization)[:2] == (403, "FORBIDDEN")
    house.accounts["anna"] = replace(ANNA, enabled=False)
    assert house.refusal(authorization)[:2] == (401, "UNAUTHORIZED")


async def test_serve_behind_the_guard_answers_401_with_the_scheme_and_403_without() -> None:
    """A listener's handler that asks the guard answers in the documented shape."""
    house = House()

    async def handler(request: Incoming) -> Outgoing:
        return answer(house.guard.principal(request, Resource.ACCOUNTS).username)

    nobody = await serve(handler, Incoming({}))
    assert nobody.status == json.loads(nobody.body)["status_code"] == 401
    assert dict(nobody.headers)["WWW-Authenticate"] == "Bearer"
    anna = await serve(handler, Incoming({"authorization": f"Bearer {house.token}"}))
    assert anna.status == json.loads(anna.body)["status_code"] == 403
    assert "WWW-Authenticate" not in dict(anna.headers)


# -- reach


@pytest.mark.parametrize("owner", ["acme:one"])
def test_require_reach_own_path_passes(owner: str) -> None:
    """An account of a brand reaches that brand."""
    require_reach(principal_of(ANNA), owner)


@pytest.mark.parametrize("owner", ["acme", "acme:two", "other", "other:one", ""])
def test_require_reach_foreign_path_is_forbidden(owner: str) -> None:
    """Another operator's path, another brand's and the operator's own are 403."""
    with pytest.raises(RequestRefused) as refused:
        require_reach(principal_of(ANNA), owner)
    body = refused.value.body
    assert (403, "FORBIDDEN") == (body.status_code, body.code)
    assert body.message.endswith(owner)
