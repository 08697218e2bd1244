"""Which web pages may use Connect from a browser, and who says so (contract §7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.contract.front_ends import still_answers
from tests.contract.streams import connected, refused, someone

if TYPE_CHECKING:
    from tests.contract.conftest import Answer, Caller, Json, StartLive
    from tests.contract.streams import Live

PATH = "/v1/admin/cors/origins"
ALLOW_ORIGIN = "Access-Control-Allow-Origin"
FORBIDDEN = 403


@pytest.fixture(params=["operator", "platform"])
def admin(live: Live, live_service: str, request: pytest.FixtureRequest) -> Caller:
    """The service of the demo's operator, and one that is no operator's."""
    token = live.platform.tokens.service if request.param == "operator" else live_service
    return live.connect.with_token(token)


async def add(admin: Caller, pattern: str, match_mode: str = "Exact") -> Answer:
    body = {"cors_origin_list": [{"pattern": pattern, "match_mode": match_mode}]}
    return await admin.post(PATH, body)


async def remove(admin: Caller, *patterns: str, path: str = PATH) -> Answer:
    return await admin.send("DELETE", path, {"cors_origin_list": list(patterns)})


async def listed(admin: Caller) -> list[Json]:
    return list((await admin.get(PATH)).successful().body["cors_origin_list"])


async def allowed(live: Live, origin: str) -> bool:
    """Whether a page of this origin may read, which is then said, and then a socket of it opens, too."""
    answer = await live.connect.get("/v1/currencies", headers={"Origin": origin})
    assert answer.status == 200
    assert "origin" in answer.headers.get("Vary", "").lower()
    header = answer.headers.get(ALLOW_ORIGIN)
    assert header in {None, origin}
    player = someone()
    url = live.player_url(player.token)
    if header is None:
        assert await refused(url, origin=origin) == FORBIDDEN
        return False
    async with connected(url, origin=origin) as socket:
        await still_answers(socket, player.id)
    return True


def unique_origin(live: Live) -> str:
    return f"https://{live.platform.unique('shop')}.example"


async def test_origins_are_administered_as_documented(live: Live, admin: Caller) -> None:
    """Added ones are listed, twice is once; removed ones are counted and gone."""
    first, second = unique_origin(live), ".suffix" + live.platform.unique("x") + ".example"
    docs = [
        {"pattern": first, "match_mode": "Exact"},
        {"pattern": second, "match_mode": "Suffix"},
    ]
    added = await admin.post(PATH, {"cors_origin_list": docs})
    again = await admin.post(PATH, {"cors_origin_list": docs[:1]})

    for answer in (added, again):
        assert set(answer.successful().body) == {"cors_origin_list"}
        for doc in docs:
            assert answer.body["cors_origin_list"].count(doc) == 1
    assert await listed(admin) == again.body["cors_origin_list"]
    removed = (await remove(admin, first, "https://never.listed.example")).successful()
    assert removed.body == {"removed": 1, "cors_origin_list": await listed(admin)}
    assert docs[0] not in removed.body["cors_origin_list"]
    assert docs[1] in removed.body["cors_origin_list"]
    assert (await remove(admin, first, second)).successful().body["removed"] == 1


async def test_list_can_be_put(live: Live, admin: Caller) -> None:
    """`PUT` answers the list as it is then, with what was put; the path without `/v1` is the same."""
    origin = unique_origin(live)
    doc = {"pattern": origin, "match_mode": "Exact"}
    body = {"cors_origin_list": [*await listed(admin), doc]}
    put = (await admin.put("/admin/cors/origins", body)).successful()

    assert set(put.body) == {"cors_origin_list"}
    assert doc in put.body["cors_origin_list"]
    assert await listed(admin) == put.body["cors_origin_list"]
    assert await allowed(live, origin)
    assert (await remove(admin, origin, path="/admin/cors/origins")).successful().body["removed"]


async def test_origin_takes_effect_at_once(live: Live, admin: Caller) -> None:
    """Reads and sockets of a page are refused, then allowed, then refused again, each from the very next one on."""
    origin = unique_origin(live)
    for _ in range(3):
        assert not await allowed(live, origin)
        (await add(admin, origin)).successful()
        assert await allowed(live, origin)
        (await remove(admin, origin)).successful()
    assert not await allowed(live, origin)


async def test_exact_is_exact(live: Live, admin: Caller) -> None:
    """Another scheme, port, host or case of path is another page."""
    origin = unique_origin(live)
    (await add(admin, origin)).successful()
    others = [
        origin.replace("https", "http"),
        f"{origin}:8443",
        f"{origin}.evil.example",
        origin.replace("https://", "https://www."),
        f"{origin}/",
        "null",
    ]
    assert await allowed(live, origin)
    for other in others:
        assert not await allowed(live, other), other


async def test_suffix_is_the_end(live: Live, admin: Caller) -> None:
    """Every host under a domain, and none that only holds its name."""
    domain = f".{live.platform.unique('group')}.example"
    (await add(admin, domain, "Suffix")).successful()
    assert await allowed(live, f"https://a{domain}")
    assert await allowed(live, f"https://a.b{domain}")
    for other in (f"https://a{domain}.evil.example", f"https://evil{domain[1:]}"):
        assert not await allowed(live, other), other


async def test_regex_matches_the_whole_origin(live: Live, admin: Caller) -> None:
    """A pattern with anchors allows what it matches."""
    name = live.platform.unique("re")
    (await add(admin, rf"^https://[a-z]+\.{name}\.example$", "Regex")).successful()
    assert await allowed(live, f"https://shop.{name}.example")
    for other in (
        f"https://SHOP1.{name}.example",
        f"https://shop.{name}.example.evil.example",
        f"https://evil.example/https://shop.{name}.example",
        f"https://shopx{name}.example",
    ):
        assert not await allowed(live, other), other


async def test_dear_regex_costs_nothing(live: Live, admin: Caller) -> None:
    """A pattern that would try without end is refused, or its matches are: nobody waits for it."""
    name = live.platform.unique("re")
    pattern = rf"^https://{name}(a+)+(a|aa)+([a-z]*)*$"
    answer = await add(admin, pattern, "Regex")
    assert answer.status in {200, 201, 400}
    with trio.fail_after(5):
        bad = f"https://{name}{'a' * 60}!"
        await live.connect.get("/v1/currencies", headers={"Origin": bad})
    await remove(admin, pattern)


@pytest.mark.parametrize(
    "doc",
    [
        {"pattern": "https://a.example", "match_mode": "Prefix"},
        {"pattern": "https://a.example"},
        {"match_mode": "Exact"},
        {"pattern": 5, "match_mode": "Exact"},
        {"pattern": "", "match_mode": "Suffix"},
        {"pattern": "([", "match_mode": "Regex"},
        {"pattern": "x" * 100_000, "match_mode": "Exact"},
        "https://a.example",
    ],
    ids=range(8),
)
async def test_bad_origins_are_refused(live: Live, admin: Caller, doc: object) -> None:
    """A mode or a pattern that is none is 400, and nothing of the list is changed."""
    before = await listed(admin)
    good = {"pattern": unique_origin(live), "match_mode": "Exact"}
    for method in ("POST", "PUT"):
        answer = await admin.send(method, PATH, {"cors_origin_list": [good, doc]})
        assert answer.refusal[:2] == (400, "INVALID_REQUEST")
    for body in ({}, {"cors_origin_list": "*"}, [good]):
        assert (await admin.post(PATH, body)).refusal[0] == 400
    assert await listed(admin) == before


async def test_administration_takes_a_service_token(live: Live, admin: Caller) -> None:
    """Nobody, a bad token and a player's are 401, for each of the methods."""
    body = {"cors_origin_list": [{"pattern": unique_origin(live), "match_mode": "Exact"}]}
    before = await listed(admin)
    for token in (None, "nobody", "token_00001", live.platform.tokens.service[:-4] + "AAAA"):
        caller = live.connect.with_token(token)
        answers = [await caller.send(method, PATH, body) for method in ("POST", "PUT", "DELETE")]
        answers.append(await caller.get(PATH))
        assert [answer.refusal[:2] for answer in answers] == [(401, "UNAUTHORIZED")] * 4
    assert await listed(admin) == before


async def test_preflight_is_answered(live: Live, admin: Caller) -> None:
    """A browser's question before a call: yes for a listed page, and no word of it for others."""
    origin = unique_origin(live)
    (await add(admin, origin)).successful()

    async def asked(page: str) -> Answer:
        headers = {
            "Origin": page,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "content-type",
        }
        return await live.connect.send("OPTIONS", "/v1/currencies", headers=headers)

    yes, no = await asked(origin), await asked(unique_origin(live))
    assert yes.status in {200, 204}
    assert yes.headers[ALLOW_ORIGIN] == origin
    assert "GET" in yes.headers["Access-Control-Allow-Methods"]
    assert ALLOW_ORIGIN not in no.headers


async def test_errors_can_be_read_by_a_listed_page(live: Live, admin: Caller) -> None:
    """What is refused carries the header, too: else a browser shows its page nothing."""
    origin = unique_origin(live)
    (await add(admin, origin)).successful()
    path = "/v1/thrillpots/instances/source/no-such-source/brand/thrilltech:brand1"
    answer = await live.connect.get(path, headers={"Origin": origin})

    assert answer.refusal[0] == 404
    assert answer.headers[ALLOW_ORIGIN] == origin


async def test_sockets_without_an_origin_and_of_ones_own(live: Live) -> None:
    """What is no browser sends no origin; a page of Connect's own host is not cross-origin."""
    player = someone()
    for origin in (None, live.server.connect_url):
        async with connected(live.player_url(player.token), origin=origin) as socket:
            await still_answers(socket, player.id)
    url = live.server.connect_url
    port = url.rpartition(":")[2]
    for origin in (url.replace("http", "https"), f"http://localhost:{port}", url[:-1], f"{url}1"):
        assert await refused(live.player_url(player.token), origin=origin) == FORBIDDEN, origin


async def test_service_sockets_ask_for_the_origin_as_well(live: Live) -> None:
    """A service's token in a page does not open what the page may not."""
    assert await refused(live.service_url(), origin=unique_origin(live)) == FORBIDDEN


async def test_origins_survive(start_live: StartLive) -> None:
    """A list that was answered is there after a SIGKILL at once, and after a restart."""
    async with start_live() as live:
        admin = live.connect.with_token(live.platform.tokens.service)
        kept, gone = unique_origin(live), unique_origin(live)
        for origin in (kept, gone):
            (await add(admin, origin)).successful()
        (await remove(admin, gone)).successful()
        before = await listed(admin)
        await live.server.kill()
        await live.server.start()
        assert await listed(admin) == before
        assert await allowed(live, kept)
        await live.server.restart()
        assert await listed(admin) == before
        assert await allowed(live, kept)
        assert not await allowed(live, gone)
