"""Cross-origin reads, and the administration of who may: at once, checked, by those who may."""

from typing import Any

import pytest

from jackpotd.connect.origin_desk import EXPRESSIONS_MAX, ORIGINS_MAX
from jackpotd.wire.catalog_records import Origin, Origins

from .connect_data import Json
from .connect_house import ConnectHouse, connect_house

READ = "/v1/currencies"
ORIGINS = "/v1/admin/cors/origins"
CASINO = "https://casino.example"
EXACT: Json = {"pattern": CASINO, "match_mode": "Exact"}
SUFFIX: Json = {"pattern": ".casino.example", "match_mode": "Suffix"}


async def ask(
    house: ConnectHouse,
    method: str,
    path: str,
    *,
    by: str | None = None,
    body: Any = None,
    **headers: str,
) -> Any:
    """An answer of Connect's; `headers` with underscores."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if by is not None:
        sent["Authorization"] = f"Bearer {house.token(by)}"
    options: Json = {} if body is None else {"json": body}
    return await house.app.test_client().open(path, method=method, headers=sent, **options)


def _cors_headers(response: Any) -> list[str]:
    return [name for name, _ in response.headers.items() if "Access-Control" in name]


async def allow(house: ConnectHouse, *origins: Json) -> None:
    listed = tuple(Origin(**each) for each in origins)
    await house.street.change(Origins(origins=listed))


# -- reads


async def test_a_listed_page_may_read_and_a_stranger_gets_no_header_of_it() -> None:
    async with connect_house() as house:
        await allow(house, EXACT)
        listed = await ask(house, "GET", READ, Origin=CASINO)
        assert CASINO == listed.headers["Access-Control-Allow-Origin"]
        for stranger in ("https://evil.example", "null", "*", f"{CASINO}.evil.example"):
            refused = await ask(house, "GET", READ, Origin=stranger)
            assert 200 == refused.status_code
            assert not _cors_headers(refused)
        plain = await ask(house, "GET", READ)
        for response in (listed, refused, plain):
            assert "Origin" in response.headers["Vary"]
            assert "Access-Control-Allow-Credentials" not in response.headers


async def test_errors_can_be_read_by_listed_pages_too() -> None:
    async with connect_house() as house:
        await allow(house, EXACT)
        for path in ("/v1/thrillpots/sources", "/nowhere"):
            response = await ask(house, "GET", path, Origin=CASINO)
            assert response.status_code in (400, 404)
            assert CASINO == response.headers["Access-Control-Allow-Origin"]


async def test_a_preflight_is_answered_for_listed_pages() -> None:
    async with connect_house() as house:
        await allow(house, SUFFIX)
        asked = {
            "Access_Control_Request_Method": "GET",
            "Access_Control_Request_Headers": "authorization",
        }
        page = "https://www.casino.example"
        response = await ask(house, "OPTIONS", READ, Origin=page, **asked)
        assert 204 == response.status_code
        assert page == response.headers["Access-Control-Allow-Origin"]
        assert "GET" in response.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
        assert "Origin" in response.headers["Vary"]
        refused = await ask(house, "OPTIONS", READ, Origin="https://evil.example", **asked)
        assert not _cors_headers(refused)
        assert "Origin" in refused.headers["Vary"]


async def test_the_administration_is_not_for_pages() -> None:
    async with connect_house() as house:
        await allow(house, EXACT)
        asked = {"Access_Control_Request_Method": "DELETE"}
        for method, more in (("OPTIONS", asked), ("GET", {})):
            for path in (ORIGINS, "/admin/cors/origins"):
                response = await ask(house, method, path, by="platform", Origin=CASINO, **more)
                assert "Access-Control-Allow-Origin" not in response.headers


# -- administration


async def test_origins_are_added_replaced_and_removed_at_once() -> None:
    async with connect_house() as house:

        async def is_allowed(page: str) -> bool:
            response = await ask(house, "GET", READ, Origin=page)
            return bool(response.headers.get("Access-Control-Allow-Origin") == page)

        for path in (ORIGINS, "/admin/cors/origins"):
            empty = await ask(house, "GET", path, by="platform")
            assert {"cors_origin_list": []} == await empty.get_json()

            added = await ask(
                house, "POST", path, by="platform", body={"cors_origin_list": [EXACT]}
            )
            assert {"cors_origin_list": [EXACT]} == await added.get_json()
            assert await is_allowed(CASINO)

            more = await ask(
                house, "POST", path, by="platform", body={"cors_origin_list": [SUFFIX, EXACT]}
            )
            assert [EXACT, SUFFIX] == sorted(
                (await more.get_json())["cors_origin_list"], key=lambda each: each["match_mode"]
            )
            assert await is_allowed("https://www.casino.example")

            only = await ask(house, "PUT", path, by="platform", body={"cors_origin_list": [SUFFIX]})
            assert {"cors_origin_list": [SUFFIX]} == await only.get_json()
            assert not await is_allowed(CASINO)
            assert await is_allowed("https://www.casino.example")

            gone = {"cors_origin_list": [SUFFIX["pattern"], "https://never.example"]}
            removed = await ask(house, "DELETE", path, by="platform", body=gone)
            assert {"removed": 1, "cors_origin_list": []} == await removed.get_json()
            assert not await is_allowed("https://www.casino.example")


async def test_a_pattern_that_is_added_again_has_the_mode_that_was_named_last() -> None:
    async with connect_house() as house:
        pattern = "https://casino.example"
        for mode in ("Exact", "Suffix", "Regex"):
            body = {"cors_origin_list": [{"pattern": pattern, "match_mode": mode}]}
            answer = await ask(house, "POST", ORIGINS, by="platform", body=body)
            assert body == await answer.get_json()


@pytest.mark.parametrize(
    ("listed", "path"),
    [
        ([{"pattern": "*", "match_mode": "Exact"}], "$.cors_origin_list[0].pattern"),
        ([{"pattern": "*", "match_mode": "Suffix"}], "$.cors_origin_list[0].pattern"),
        ([{"pattern": "null", "match_mode": "Exact"}], "$.cors_origin_list[0].pattern"),
        ([EXACT, {"pattern": f"{CASINO}/x", "match_mode": "Exact"}], "$.cors_origin_list[1]"),
        ([EXACT, {"pattern": "https://a@b.example", "match_mode": "Exact"}], "$.cors_origin_list["),
        ([{"pattern": "https://(", "match_mode": "Regex"}], "$.cors_origin_list[0].pattern"),
        ([{"pattern": "", "match_mode": "Exact"}], "$.cors_origin_list"),
        ([{"pattern": "a" * 257, "match_mode": "Regex"}], "$.cors_origin_list"),
        ([{"pattern": CASINO, "match_mode": "Wildcard"}], "$.cors_origin_list"),
        ([{"pattern": CASINO, "match_mode": "exact"}], "$.cors_origin_list"),
        ([{"pattern": CASINO}], "$.cors_origin_list"),
        ([CASINO], "$.cors_origin_list"),
        (None, "$.cors_origin_list"),
    ],
)
async def test_a_bad_origin_is_refused_with_its_place_and_nothing_changes(
    listed: Any, path: str
) -> None:
    async with connect_house() as house:
        await allow(house, SUFFIX)
        for method in ("POST", "PUT"):
            body = {"cors_origin_list": listed}
            response = await ask(house, method, ORIGINS, by="platform", body=body)
            assert 400 == response.status_code
            error = await response.get_json()
            assert "INVALID_REQUEST" == error["code"]
            assert error["message"].startswith(path), error["message"]
        assert (Origin(**SUFFIX),) == house.node.catalog.origins


async def test_a_list_is_bounded_and_so_are_its_expressions() -> None:
    """Nothing is compiled of a list that is too long, and nothing of it is listed."""
    async with connect_house() as house:
        exact = [
            {"pattern": f"https://a{number}.example", "match_mode": "Exact"}
            for number in range(ORIGINS_MAX + 1)
        ]
        regex = [
            {"pattern": rf"https://a{number}\.example", "match_mode": "Regex"}
            for number in range(EXPRESSIONS_MAX + 1)
        ]
        for documents in (exact, regex):
            for method in ("POST", "PUT"):
                body = {"cors_origin_list": documents}
                refused = await ask(house, method, ORIGINS, by="service", body=body)
                assert 400 == refused.status_code
                assert (await refused.get_json())["message"].startswith("$.cors_origin_list")
            some = {"cors_origin_list": documents[1:]}
            assert 200 == (await ask(house, "PUT", ORIGINS, by="service", body=some)).status_code
            one_more = {"cors_origin_list": documents[:1]}
            refused = await ask(house, "POST", ORIGINS, by="service", body=one_more)
            assert 400 == refused.status_code
            other = await ask(house, "POST", ORIGINS, by="rival", body=one_more)
            assert 200 == other.status_code


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_accounts_with_the_right_and_of_more_than_some_brands_administer(method: str) -> None:
    async with connect_house() as house:
        body: Json = {"cors_origin_list": []}
        asked: Json = {} if method == "GET" else {"body": body}
        assert 401 == (await ask(house, method, ORIGINS, **asked)).status_code
        bad = await ask(house, method, ORIGINS, Authorization="Bearer wrong", **asked)
        assert 401 == bad.status_code
        for username in ("reader", "brand-one", "contributor"):
            refused = await ask(house, method, ORIGINS, by=username, **asked)
            assert 403 == refused.status_code, username
        for username in ("service", "platform"):
            taken = await ask(house, method, ORIGINS, by=username, **asked)
            assert 200 == taken.status_code, username


async def test_every_operator_has_a_list_of_its_own() -> None:
    """Nobody sees or changes that of another one; pages of each may read what is public."""
    async with connect_house() as house:
        theirs: Json = {"pattern": "https://rival.example", "match_mode": "Exact"}
        for username, document in (("service", EXACT), ("rival", theirs), ("platform", SUFFIX)):
            body = {"cors_origin_list": [document]}
            added = await ask(house, "POST", ORIGINS, by=username, body=body)
            assert body == await added.get_json()
        for page in (CASINO, "https://rival.example", "https://www.casino.example"):
            response = await ask(house, "GET", READ, Origin=page)
            assert page == response.headers["Access-Control-Allow-Origin"]

        foreign = {"cors_origin_list": [EXACT["pattern"], SUFFIX["pattern"]]}
        removed = await ask(house, "DELETE", ORIGINS, by="rival", body=foreign)
        assert {"removed": 0, "cors_origin_list": [theirs]} == await removed.get_json()
        emptied = await ask(house, "PUT", ORIGINS, by="rival", body={"cors_origin_list": []})
        assert {"cors_origin_list": []} == await emptied.get_json()
        for username, document in (("service", EXACT), ("platform", SUFFIX)):
            listed = await ask(house, "GET", ORIGINS, by=username)
            assert {"cors_origin_list": [document]} == await listed.get_json()


async def test_one_pattern_may_stand_in_several_lists() -> None:
    async with connect_house() as house:
        body = {"cors_origin_list": [EXACT]}
        for username in ("service", "rival"):
            await ask(house, "POST", ORIGINS, by=username, body=body)
        gone = {"cors_origin_list": [CASINO]}
        removed = await ask(house, "DELETE", ORIGINS, by="rival", body=gone)
        assert {"removed": 1, "cors_origin_list": []} == await removed.get_json()
        kept = await ask(house, "GET", ORIGINS, by="service")
        assert body == await kept.get_json()
