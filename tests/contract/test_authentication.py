"""Who may call, and with what token (contract §2)."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Lab, Platform

PASSWORD = "Correct-Horse-7-Battery"
WRONG_PASSWORDS_BEFORE_LOCK_MAX = 20


def claims(token: str) -> dict[str, Any]:
    """The payload of a JWT, unverified."""
    payload = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * 3))
    return decoded


def account(platform: Platform, operator: str, units: list[str], **changes: object) -> Json:
    body: Json = {
        "username": platform.unique("account"),
        "password": PASSWORD,
        "account_type": "Service",
        "org_id": operator,
        "unit_ids": units,
        "permissions": [{"resource_id": "*", "permission": "Write"}],
    }
    return body | changes


async def test_service_login_answers_a_token_that_does_not_expire(platform: Platform) -> None:
    """`POST /authenticate/service` answers `{token}`, an HS256 JWT without an expiry."""
    body = {"username": "event-processor", "password": "event-processor-demo"}
    login = await platform.gateway.with_token(None).post("/authenticate/service", body)

    assert login.status == 200
    assert set(login.body) == {"token"}
    header = json.loads(base64.urlsafe_b64decode(login.body["token"].split(".")[0] + "=="))
    assert header["alg"] == "HS256"
    assert claims(login.body["token"]).get("exp") is None


async def test_user_login_answers_a_token_for_1800_seconds(platform: Platform) -> None:
    """`POST /accounts/auth` answers a token of 1800 s, a refresh token and what they reach."""
    body = {"username": "admin", "password": "admin-demo"}
    login = await platform.admin.with_token(None).post("/accounts/auth", body)

    assert login.status == 200
    assert {"token", "refresh_token", "access_to"} <= set(login.body)
    payload = claims(login.body["token"])
    assert payload["exp"] - payload["iat"] == 1800


async def test_refresh_answers_a_working_token(platform: Platform) -> None:
    """`POST /accounts/refresh` exchanges the refresh token for a token that works."""
    body = {"username": "admin", "password": "admin-demo"}
    guest = platform.admin.with_token(None)
    login = (await guest.post("/accounts/auth", body)).body
    refreshed = await guest.post("/accounts/refresh", {"token": login["refresh_token"]})

    assert refreshed.status == 200
    assert {"token", "refresh_token", "access_to"} <= set(refreshed.body)
    fresh = platform.admin.with_token(refreshed.body["token"])
    assert (await fresh.get("/config/operators")).status == 200


async def test_refresh_token_is_no_access_token(platform: Platform) -> None:
    """The refresh token alone opens nothing."""
    body = {"username": "admin", "password": "admin-demo"}
    login = (await platform.admin.with_token(None).post("/accounts/auth", body)).body
    answer = await platform.admin.with_token(login["refresh_token"]).get("/config/operators")

    assert answer.refusal[:2] == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    ("username", "password"),
    [("event-processor", "wrong"), ("nobody-of-that-name", "event-processor-demo")],
)
async def test_service_login_with_wrong_credentials_is_401(
    platform: Platform, username: str, password: str
) -> None:
    """A wrong password and an unknown name get the same answer."""
    body = {"username": username, "password": password}
    login = await platform.gateway.with_token(None).post("/authenticate/service", body)

    assert login.refusal[:2] == (401, "UNAUTHORIZED")


async def test_user_login_with_a_wrong_password_is_401(platform: Platform, lab: Lab) -> None:
    """The admin's login refuses a wrong password with `UNAUTHORIZED`."""
    user = account(platform, lab.operator, ["one"], account_type="User")
    (await platform.admin.post("/admin/accounts", user)).successful()
    body = {"username": user["username"], "password": "wrong"}
    login = await platform.admin.with_token(None).post("/accounts/auth", body)

    assert login.refusal[:2] == (401, "UNAUTHORIZED")


async def test_account_is_locked_after_repeated_failures(platform: Platform, lab: Lab) -> None:
    """After enough wrong passwords even the right one is refused."""
    service = account(platform, lab.operator, ["one"])
    (await platform.admin.post("/admin/accounts", service)).successful()
    guest = platform.gateway.with_token(None)
    wrong = {"username": service["username"], "password": "wrong"}
    for _ in range(WRONG_PASSWORDS_BEFORE_LOCK_MAX):
        assert (await guest.post("/authenticate/service", wrong)).status in {401, 403, 429}
    right = {"username": service["username"], "password": PASSWORD}
    login = await guest.post("/authenticate/service", right)

    assert login.status in {401, 403, 429}


GATEWAY_CALLS = [
    ("POST", "/jackpots/contribute/source"),
    ("POST", "/jackpots/contribute/instance"),
    ("POST", "/jackpots/contribute"),
    ("POST", "/v2/jackpots/contribute"),
    ("POST", "/jackpots/optin"),
    ("POST", "/v2/jackpots/optin"),
    ("GET", "/sources?owner_id=thrilltech:brand1"),
    ("GET", "/currencies/thrilltech:brand1"),
    ("GET", "/jackpots/instances/source/daily/brand/thrilltech:brand1"),
    ("GET", "/jackpots/instances/jackpot/bdfa6295-d5a5-4c54-98bf-046355ce0252/latest_winners"),
    ("GET", "/jackpots/instances/jackpot/bdfa6295-d5a5-4c54-98bf-046355ce0252/pot_winners"),
]
ADMIN_CALLS = [
    ("GET", "/templates"),
    ("POST", "/templates"),
    ("POST", "/templates/instantiate"),
    ("GET", "/instances"),
    ("GET", "/instances/bdfa6295-d5a5-4c54-98bf-046355ce0252"),
    ("PUT", "/instances/bdfa6295-d5a5-4c54-98bf-046355ce0252/status"),
    ("GET", "/instances/bdfa6295-d5a5-4c54-98bf-046355ce0252/links"),
    ("GET", "/config/operators"),
    ("POST", "/config/operators"),
    ("POST", "/config/sources"),
    ("PUT", "/config/currencies/default"),
    ("POST", "/admin/accounts"),
]


@pytest.mark.parametrize(("method", "path"), GATEWAY_CALLS)
async def test_gateway_call_without_a_token_is_401(
    platform: Platform, method: str, path: str
) -> None:
    """Every call but login, health and metrics asks for a token, before it looks at the body."""
    answer = await platform.gateway.with_token(None).send(method, path)

    assert answer.refusal[:2] == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(("method", "path"), ADMIN_CALLS)
async def test_admin_call_without_a_token_is_401(
    platform: Platform, method: str, path: str
) -> None:
    """Every call but login, health and metrics asks for a token, before it looks at the body."""
    answer = await platform.admin.with_token(None).send(method, path)

    assert answer.refusal[:2] == (401, "UNAUTHORIZED")


def unsigned(token: str) -> str:
    """The same claims under `alg: none`."""
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    return f"{header}.{token.split('.')[1]}."


def tampered(token: str) -> str:
    """The same token with another signature."""
    head, _, signature = token.rpartition(".")
    return f"{head}.{signature[::-1]}"


@pytest.mark.parametrize("forge", [unsigned, tampered])
async def test_forged_token_is_401(platform: Platform, forge: Any) -> None:
    """A token that we did not sign opens nothing on either listener."""
    gateway = platform.gateway.with_token(forge(platform.tokens.service))
    admin = platform.admin.with_token(forge(platform.tokens.admin))

    sources = await gateway.get("/sources", {"owner_id": platform.brand})
    assert sources.refusal[:2] == (401, "UNAUTHORIZED")
    assert (await gateway.post("/v2/jackpots/contribute", {})).refusal[0] == 401
    assert (await admin.get("/instances")).refusal[:2] == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer garbage", "Bearer a.b.c", "Basic YWRtaW46YWRtaW4=", "garbage"],
)
async def test_malformed_authorization_is_401(platform: Platform, authorization: str) -> None:
    """Anything but a Bearer token that we issued is 401."""
    headers = {"Authorization": authorization}
    guest = platform.gateway.with_token(None)
    read = await guest.get("/sources", {"owner_id": platform.brand}, headers=headers)
    write = await guest.post("/v2/jackpots/contribute", {}, headers=headers)

    assert read.refusal[:2] == (401, "UNAUTHORIZED")
    assert write.refusal[:2] == (401, "UNAUTHORIZED")


async def test_unauthorised_contribution_changes_no_pot(platform: Platform) -> None:
    """A contribution without a token leaves the pot as it was."""
    jackpot = await platform.jackpot()
    body = platform.v1(instance_id=jackpot)
    answer = await platform.gateway.with_token(None).post("/jackpots/contribute/instance", body)

    assert answer.status == 401
    assert await platform.main_pot(jackpot) == 10


async def test_account_without_write_permission_is_403(platform: Platform, lab: Lab) -> None:
    """A good token without the right to write is `FORBIDDEN`, not `UNAUTHORIZED`."""
    permissions = [{"resource_id": "*", "permission": "Read"}]
    reader = account(platform, lab.operator, ["one"], permissions=permissions)
    (await platform.admin.post("/admin/accounts", reader)).successful()
    login = {"username": reader["username"], "password": PASSWORD}
    guest = platform.gateway.with_token(None)
    token = (await guest.post("/authenticate/service", login)).successful().body["token"]
    jackpot = await platform.jackpot(owner_id=lab.operator, allowed_brands=[lab.one])
    body = platform.v1(instance_id=jackpot, brand_id=lab.one)
    answer = await guest.with_token(token).post("/jackpots/contribute/instance", body)

    assert answer.refusal[:2] == (403, "FORBIDDEN")
    assert await platform.main_pot(jackpot) == 10
