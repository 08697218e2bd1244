"""Tokens: whom they let in, for how long, and everything that is no token of ours."""

from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jackpotd.identity import tokens
from jackpotd.identity.principal import principal_of
from jackpotd.identity.tokens import REFRESH_LIFETIMES, InvalidToken, TokenDesk, Use
from jackpotd.wire.catalog_records import Account, Permission

SECRET = bytes(range(64))
START_MS = 1_700_000_000_000
LIFETIME_S = 1_800
LIFETIME_MS = LIFETIME_S * 1_000
TEN_YEARS_MS = 10 * 365 * 86_400_000

ANNA = Account(
    id="1",
    username="anna",
    password_hash="$argon2id$",
    account_type="User",
    org_id="acme",
    unit_ids=("one",),
    permissions=(Permission(resource_id="sources", permission="Read"),),
    enabled=True,
    created_ms=0,
    generation=3,
)
SERVICE = replace(ANNA, username="service", account_type="Service")


@dataclass
class House:
    """A desk with its clock and the accounts as they stand now."""

    now_ms: int = START_MS
    secret: bytes = SECRET
    accounts: dict[str, Account] = field(default_factory=lambda: {"anna": ANNA, "service": SERVICE})

    def __post_init__(self) -> None:
        self.desk = self.another_desk()

    def another_desk(self) -> TokenDesk:
        """A desk as after a restart: the same secret, the same accounts, nothing remembered."""
        return TokenDesk(
            self.secret,
            self.accounts.get,
            user_lifetime_s=LIFETIME_S,
            clock=lambda: self.now_ms,
        )

    def opens(self, token: str, use: Use = Use.ACCESS) -> bool:
        try:
            self.desk.account(token, use)
        except InvalidToken:
            return False
        return True


def claims(**changes: Any) -> dict[str, Any]:
    """What a token of anna's says; None takes a claim away."""
    said = {"sub": "anna", "gen": 3, "use": "access", "exp": START_MS // 1_000 + LIFETIME_S}
    return {name: value for name, value in (said | changes).items() if value is not None}


def signed(said: dict[str, Any], *, algorithm: str = "HS256", secret: bytes = SECRET) -> str:
    return jwt.encode(said, secret, algorithm=algorithm)


# -- good tokens


@pytest.mark.parametrize("account", [ANNA, SERVICE])
def test_issue_gives_a_token_of_the_account(account: Account) -> None:
    """A token leads to the account as it stands, with its reach and its rights."""
    house = House()
    token = house.desk.issue(account)
    for desk in (house.desk, house.desk, house.another_desk()):
        assert account == desk.account(token)
        assert principal_of(account) == desk.principal(token)


def test_issue_is_hs256_and_each_token_is_another() -> None:
    """Two tokens of one account and one moment differ; both are signed as the contract says."""
    house = House()
    one, other = house.desk.issue(ANNA), house.desk.issue(ANNA)
    assert one != other
    assert {"alg": "HS256", "typ": "JWT"} == jwt.get_unverified_header(one)


def test_account_rights_are_those_of_now_not_of_the_login() -> None:
    """A token carries no rights: what was taken away is gone at once, what was given is there."""
    house = House()
    token = house.desk.issue(ANNA)
    assert house.desk.principal(token).unit_ids == ("one",)
    house.accounts["anna"] = replace(ANNA, unit_ids=("two",), permissions=())
    assert (("two",), ()) == (
        house.desk.principal(token).unit_ids,
        house.desk.principal(token).permissions,
    )


# -- time


def test_account_user_token_ends_with_its_lifetime() -> None:
    """A user's token opens until its last millisecond, and is void from the next one on."""
    house = House()
    token = house.desk.issue(ANNA)
    house.now_ms = START_MS + LIFETIME_MS - 1
    assert house.opens(token)
    house.now_ms += 1
    assert not house.opens(token)
    with pytest.raises(InvalidToken, match="expired"):
        house.another_desk().account(token)


def test_account_service_token_has_no_end() -> None:
    """A service's token opens for as long as its account is in service."""
    house = House()
    token = house.desk.issue(SERVICE)
    house.now_ms += TEN_YEARS_MS
    assert house.opens(token)
    assert SERVICE == house.another_desk().account(token)


@pytest.mark.parametrize("account", [ANNA, SERVICE])
def test_account_refresh_token_ends_after_its_lifetimes(account: Account) -> None:
    """A refresh token outlives the access token, and ends too, a service's as well."""
    house = House()
    token = house.desk.issue(account, Use.REFRESH)
    house.now_ms = START_MS + REFRESH_LIFETIMES * LIFETIME_MS - 1
    assert house.opens(token, Use.REFRESH)
    house.now_ms += 1
    assert not house.opens(token, Use.REFRESH)


# -- use


@pytest.mark.parametrize("account", [ANNA, SERVICE])
@pytest.mark.parametrize(
    ("issued", "shown_as"), [(Use.ACCESS, Use.REFRESH), (Use.REFRESH, Use.ACCESS)]
)
def test_account_token_of_another_use_is_refused(
    account: Account, issued: Use, shown_as: Use
) -> None:
    """A refresh token opens no call, and an access token is not renewed, known to the desk or not."""
    house = House()
    token = house.desk.issue(account, issued)
    assert not house.opens(token, shown_as)
    assert house.opens(token, issued)
    with pytest.raises(InvalidToken, match="another use"):
        house.desk.account(token, shown_as)


# -- accounts that change


@pytest.mark.parametrize("use", list(Use))
@pytest.mark.parametrize("changes", [{"enabled": False}, {"generation": 4}, {"generation": 2}])
def test_account_changed_since_voids_its_tokens_at_once(changes: dict[str, Any], use: Use) -> None:
    """Disabling an account or changing its password voids what was issued, remembered or not."""
    house = House()
    used, unused = house.desk.issue(ANNA, use), house.desk.issue(ANNA, use)
    assert house.opens(used, use)
    house.accounts["anna"] = replace(ANNA, **changes)
    assert [False, False] == [house.opens(token, use) for token in (used, unused)]
    with pytest.raises(InvalidToken, match="not in service"):
        house.another_desk().account(used, use)


def test_account_gone_voids_its_tokens_at_once() -> None:
    """A token whose account was taken away opens nothing."""
    house = House()
    token = house.desk.issue(ANNA)
    assert house.opens(token)
    del house.accounts["anna"]
    assert not house.opens(token)


def test_account_enabled_again_has_its_tokens_back() -> None:
    """Disabling is no new password: the tokens of before open again."""
    house = House()
    token = house.desk.issue(ANNA)
    house.accounts["anna"] = replace(ANNA, enabled=False)
    assert not house.opens(token)
    house.accounts["anna"] = ANNA
    assert house.opens(token)


def test_account_new_password_new_tokens_open() -> None:
    """After a new password only tokens that were issued with it open."""
    house = House()
    old = house.desk.issue(ANNA)
    house.accounts["anna"] = replace(ANNA, generation=4)
    new = house.desk.issue(house.accounts["anna"])
    assert [False, True] == [house.opens(old), house.opens(new)]


def test_account_cache_is_bounded_and_forgets_no_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tokens are shown, few are remembered, and each opens as before."""
    monkeypatch.setattr(tokens, "_CACHED_TOKENS_MAX", 3)
    house = House()
    issued = [house.desk.issue(ANNA) for _ in range(8)]
    assert [True] * 16 == [house.opens(token) for token in issued * 2]
    assert len(house.desk._known) <= 3
    assert not house.opens(signed(claims(), secret=bytes(64)))


# -- what is no token of ours


def test_account_claims_signed_by_us_are_the_measure_of_the_forgeries_below() -> None:
    """The helper's claims, signed with our secret, do open: the cases below fail for their own reason."""
    assert House().opens(signed(claims()))


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(signed(claims(), secret=bytes(64)), id="another secret"),
        pytest.param(signed(claims(), secret=SECRET[:-1]), id="most of our secret"),
        pytest.param(jwt.encode(claims(), "", algorithm="none"), id="no algorithm"),
        pytest.param(signed(claims(), algorithm="HS384"), id="HS384 with our secret"),
        pytest.param(signed(claims(), algorithm="HS512"), id="HS512 with our secret"),
        pytest.param(signed(claims(sub=None)), id="no subject"),
        pytest.param(signed(claims(gen=None)), id="no generation"),
        pytest.param(signed(claims(use=None)), id="no use"),
        pytest.param(signed(claims(use="admin")), id="a use that is none"),
        pytest.param(signed(claims(sub="nobody")), id="an account that is none"),
        pytest.param(signed(claims(exp=START_MS // 1_000)), id="expired"),
    ],
)
def test_account_forged_or_foreign_token_is_refused(token: str) -> None:
    """Only HS256 with our secret counts, and only with all that we say in a token."""
    house = House()
    assert not house.opens(token)
    assert not house.opens(token), "and it is not remembered as a good one"


def test_account_none_in_the_header_of_a_good_token_is_refused() -> None:
    """Taking the algorithm and the signature off a good token leaves nothing."""
    house = House()
    _, payload, signature = house.desk.issue(SERVICE).split(".")
    header, _, _ = jwt.encode({}, "", algorithm="none").split(".")
    for rest in ("", signature):
        assert not house.opens(f"{header}.{payload}.{rest}")


def test_account_claims_of_another_token_do_not_fit_the_signature() -> None:
    """Header, claims and signature of two good tokens cannot be mixed."""
    house = House()
    one, other = (house.desk.issue(account).split(".") for account in (ANNA, SERVICE))
    assert not house.opens(".".join([one[0], other[1], one[2]]))
    assert not house.opens(".".join([one[0], one[1], other[2]]))


BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


GOOD = signed(claims())


@settings(derandomize=True, deadline=None, max_examples=300)
# Two bits of the last letter are no part of the signature, so it is left as it is.
@given(at=st.integers(0, len(GOOD) - 2), letter=st.sampled_from(BASE64URL + "."))
def test_account_token_with_one_changed_letter_is_refused(at: int, letter: str) -> None:
    """Wherever a letter of a good token is changed, the token opens nothing."""
    assert (letter == GOOD[at]) == House().opens(GOOD[:at] + letter + GOOD[at + 1 :])


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.text(max_size=40) | st.lists(st.text(BASE64URL), max_size=5).map(".".join))
def test_account_any_text_is_refused_and_raises_nothing_else(text: str) -> None:
    """Whatever stands where a token should, the answer is InvalidToken."""
    assert not House().opens(text)


@pytest.mark.parametrize(
    "header", [b"[" * 5_000, b'{"alg":["HS256"]}', b"null", b'"HS256"', b"9" * 5_000]
)
def test_account_header_that_is_no_header_is_refused(header: bytes) -> None:
    """What is read before the signature is checked cannot hurt: nesting, lists, huge numbers."""
    assert not House().opens(jwt.utils.base64url_encode(header).decode() + ".e30.c2ln")
