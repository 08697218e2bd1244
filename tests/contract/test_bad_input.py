"""Input that no client should send: a clear 4xx that names the field, and nothing changes."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Answer, Json, Platform

V1_SOURCE = "/jackpots/contribute/source"
V1_INSTANCE = "/jackpots/contribute/instance"
V2 = "/v2/jackpots/contribute"
JSON_TYPE = {"Content-Type": "application/json"}
TEN_MEGABYTES = 10 * 1024 * 1024
CHUNKED = {"Transfer-Encoding": "chunked"}


class Missing:
    """Stands for a field that is left out; its name in test ids is the same in every run."""

    def __repr__(self) -> str:
        return "missing"


MISSING: object = Missing()


def changed(body: Json, path: str, value: object) -> Json:
    """The body with the value at the dotted path replaced, or taken out."""
    copy: Json = json.loads(json.dumps(body))
    *parents, last = path.split(".")
    inner = copy
    for parent in parents:
        inner = inner[parent]
    if value is MISSING:
        del inner[last]
    else:
        inner[last] = value
    return copy


def assert_names(answer: Answer, field: str) -> None:
    status, code, message = answer.refusal
    assert (status, code) == (400, "INVALID_REQUEST")
    assert re.search(rf"\b{re.escape(field)}\b", message), message


V1_BAD = [
    ("base_wager", MISSING),
    ("base_wager", None),
    ("base_wager", True),
    ("base_wager", [1]),
    ("base_wager", {"value": 1}),
    ("base_wager", "one"),
    ("player_id", MISSING),
    ("player_id", None),
    ("player_id", 1),
    ("player_id", ["player_00001"]),
    ("player_country", MISSING),
    ("player_country", 356),
    ("brand_id", MISSING),
    ("brand_id", 1),
    ("brand_id", "brand1"),
    ("brand_id", ""),
    ("brand_id", ":"),
    ("currency", MISSING),
    ("currency", 978),
    ("currency", None),
    ("token", MISSING),
    ("token", 1),
    ("gameround_id", 1),
    ("gameround_id", {}),
    ("callback", "https://your.host/webhook"),
    ("callback", {"win_result_only": True}),
]


@pytest.mark.parametrize(("field", "value"), V1_BAD, ids=lambda v: repr(v)[:40])
async def test_v1_bad_field_is_named(platform: Platform, field: str, value: object) -> None:
    """A missing or ill-typed field of v1 is named, on both calls, and no pot changes."""
    jackpot = await platform.jackpot()
    source = await platform.source(jackpot)
    direct = changed(platform.v1(instance_id=jackpot, callback=None), field, value)
    by_source = changed(platform.v1(source_id=source, callback=None), field, value)

    assert_names(await platform.gateway.post(V1_INSTANCE, direct), field)
    assert_names(await platform.gateway.post(V1_SOURCE, by_source), field)
    assert await platform.main_pot(jackpot) == 10


@pytest.mark.parametrize("value", [MISSING, None, 1, [], {}], ids=repr)
async def test_v1_bad_target_is_named(platform: Platform, value: object) -> None:
    """A v1 call without its target names the target's field."""
    direct = changed(platform.v1(instance_id="x"), "instance_id", value)
    by_source = changed(platform.v1(source_id="x"), "source_id", value)

    assert_names(await platform.gateway.post(V1_INSTANCE, direct), "instance_id")
    assert_names(await platform.gateway.post(V1_SOURCE, by_source), "source_id")


@pytest.mark.parametrize("value", ["vip-1", [1], {"0": "vip-1"}, [None], 7], ids=repr)
async def test_segments_of_another_type_are_named(platform: Platform, value: object) -> None:
    """Segments are a list of strings."""
    source = await platform.source(await platform.jackpot())
    v1 = await platform.contribute_by_source(source, segments=value)
    v2 = await platform.contribute_v2("source", source, player={"segments": value})

    assert_names(v1, "segments")
    assert_names(v2, "segments")


V2_BAD = [
    ("target", MISSING, "target"),
    ("target", None, "target"),
    ("target", "sitewide-casino", "target"),
    ("target.type", MISSING, "type"),
    ("target.type", "game", "type"),
    ("target.type", "Instance", "type"),
    ("target.id", MISSING, "id"),
    ("target.id", 5, "id"),
    ("operator_id", MISSING, "operator_id"),
    ("operator_id", 5, "operator_id"),
    ("player", MISSING, "player"),
    ("player", [], "player"),
    ("player.id", MISSING, "id"),
    ("player.id", 5, "id"),
    ("player.brand_id", MISSING, "brand_id"),
    ("player.brand_id", None, "brand_id"),
    ("player.country", 5, "country"),
    ("base_wager", MISSING, "base_wager"),
    ("base_wager", 1, "base_wager"),
    ("base_wager.value", MISSING, "value"),
    ("base_wager.value", None, "value"),
    ("base_wager.value", "one", "value"),
    ("base_wager.value", [], "value"),
    ("base_wager.currency", MISSING, "currency"),
    ("base_wager.currency", 978, "currency"),
    ("source", MISSING, "source"),
    ("source", "gameround", "source"),
    ("source.id", 5, "id"),
    ("source.type", 5, "type"),
    ("options", "fast", "options"),
    ("options", [], "options"),
    ("options.vertical_id", 5, "vertical_id"),
    ("options.allow_linked_contributions", "yes", "allow_linked_contributions"),
    ("options.allow_linked_contributions", 1, "allow_linked_contributions"),
    ("options.callback", "https://your.host/webhook", "callback"),
]


@pytest.mark.parametrize(("field", "value", "name"), V2_BAD, ids=lambda v: repr(v)[:40])
async def test_v2_bad_field_is_named(
    platform: Platform, field: str, value: object, name: str
) -> None:
    """A missing or ill-typed field of v2 is named, and no pot changes."""
    jackpot = await platform.jackpot()
    body = changed(platform.v2("instance", jackpot, options={}), field, value)

    assert_names(await platform.gateway.post(V2, body), name)
    assert await platform.main_pot(jackpot) == 10


MALFORMED = [
    b"",
    b" ",
    b"{",
    b"}",
    b"[]",
    b"null",
    b"1",
    b'"text"',
    b"{}{}",
    b"{'single': 'quotes'}",
    b'{"trailing": "comma",}',
    b'{"comment": 1 /* no */}',
    b"\xff\xfe\x00",
    b"\x00",
    b"[" * 100_000,
    b'{"a":' * 100_000,
]


@pytest.mark.parametrize("raw", MALFORMED, ids=lambda raw: repr(raw[:24]))
@pytest.mark.parametrize("path", [V1_SOURCE, V1_INSTANCE, V2, "/jackpots/optin"])
async def test_body_that_is_no_json_object_is_refused(
    platform: Platform, path: str, raw: bytes
) -> None:
    """Malformed JSON, another JSON value, no body, endless nesting: `INVALID_REQUEST`."""
    answer = await platform.gateway.send("POST", path, raw=raw, headers=JSON_TYPE)

    assert answer.refusal[:2] in {(400, "INVALID_REQUEST"), (413, "PAYLOAD_TOO_LARGE")}


RAW_REPLACEMENTS = [
    (b'"base_wager": 1', b'"base_wager": NaN'),
    (b'"base_wager": 1', b'"base_wager": Infinity'),
    (b'"base_wager": 1', b'"base_wager": -Infinity'),
    (b'"base_wager": 1', b'"base_wager": 01'),
    (b'"base_wager": 1', b'"base_wager": +1'),
    (b'"base_wager": 1', b'"base_wager": .5'),
    (b'"base_wager": 1', b'"base_wager": 1.'),
    (b'"base_wager": 1', b'"base_wager": 0x1'),
    (b'"currency": "EUR"', b'"currency": "EU\xff"'),
    (b'"player_country": "MT"', b'"player_country": "M\xc3"'),
    (b'"gameround_id": "1000"', b'"gameround_id": "\xed\xa0\x80"'),
    (b'"currency": "EUR"', b'"currency": "EUR\n"'),
    (b'"gameround_id": "1000"', b'"gameround_id": "\\x41"'),
    (b'"gameround_id": "1000"', b'"gameround_id": "\\ud800"'),
    (b'"gameround_id": "1000"', b'"metadata": ' + b"[" * 5000 + b"]" * 5000),
    (b'"gameround_id": "1000"', b'"extra": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000),
]


@pytest.mark.parametrize(("good", "bad"), RAW_REPLACEMENTS, ids=lambda raw: repr(raw[:32]))
async def test_body_with_broken_content_is_refused(
    platform: Platform, good: bytes, bad: bytes
) -> None:
    """Numbers and texts that JSON or UTF-8 forbid, and nesting too deep: refused, no change."""
    jackpot = await platform.jackpot()
    raw = json.dumps(platform.v1(instance_id=jackpot)).encode()
    assert good in raw
    broken = raw.replace(good, bad)
    answer = await platform.gateway.send("POST", V1_INSTANCE, raw=broken, headers=JSON_TYPE)

    assert answer.refusal[:2] == (400, "INVALID_REQUEST")
    assert await platform.main_pot(jackpot) == 10


async def test_modest_nesting_is_accepted(platform: Platform) -> None:
    """Metadata of a few levels is no attack."""
    metadata: object = "core"
    for _ in range(20):
        metadata = {"inner": [metadata]}
    answer = await platform.contribute(await platform.jackpot(), metadata=metadata)

    assert answer.successful().body["metadata"] == metadata


class TenMegabytes(httpx.AsyncByteStream):
    """A body that is sent bit by bit; the server may answer and hang up before the end."""

    def __init__(self) -> None:
        self._left = TEN_MEGABYTES

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._left == 0:
            raise StopAsyncIteration
        chunk = b" " * min(65536, self._left)
        self._left -= len(chunk)
        return chunk


async def send_ten_megabytes(
    platform: Platform, url: str, token: str, framing: dict[str, str]
) -> tuple[int, str]:
    headers = JSON_TYPE | framing | {"Authorization": f"Bearer {token}"}
    headers["Host"] = httpx.URL(url).netloc.decode()
    request = httpx.Request("POST", url, headers=headers, stream=TenMegabytes())
    response = await platform.client.send(request)
    return response.status_code, response.json()["code"]


@pytest.mark.parametrize("framing", [{"Content-Length": str(TEN_MEGABYTES)}, CHUNKED], ids=str)
@pytest.mark.parametrize("path", [V1_SOURCE, V1_INSTANCE, V2, "/jackpots/optin"])
async def test_body_of_ten_megabytes_is_413(
    platform: Platform, path: str, framing: dict[str, str]
) -> None:
    """A body above the limit is refused as such, whether or not it declares its length."""
    url = platform.gateway.url + path
    refusal = await send_ten_megabytes(platform, url, platform.tokens.service, framing)

    assert refusal == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("framing", [{"Content-Length": str(TEN_MEGABYTES)}, CHUNKED], ids=str)
async def test_admin_body_of_ten_megabytes_is_413(
    platform: Platform, framing: dict[str, str]
) -> None:
    """The admin listener has its limit as well."""
    url = f"{platform.admin.url}/templates"
    refusal = await send_ten_megabytes(platform, url, platform.tokens.admin, framing)

    assert refusal == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data"],
)
@pytest.mark.parametrize("path", [V1_SOURCE, V1_INSTANCE, V2, "/jackpots/optin"])
async def test_other_content_type_is_415(platform: Platform, path: str, content_type: str) -> None:
    """A body that says it is no JSON is refused before it is read."""
    jackpot = await platform.jackpot()
    body = platform.v2("instance", jackpot) if path == V2 else platform.v1(instance_id=jackpot)
    raw = json.dumps(body).encode()
    headers = {"Content-Type": content_type}
    answer = await platform.gateway.send("POST", path, raw=raw, headers=headers)

    assert answer.refusal[:2] == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert await platform.main_pot(jackpot) == 10


@pytest.mark.parametrize(
    "content_type",
    [None, "application/json; charset=utf-8", "APPLICATION/JSON", "application/json;charset=UTF-8"],
)
async def test_json_content_type_or_none_is_accepted(
    platform: Platform, content_type: str | None
) -> None:
    """A missing type is JSON; a character set and another spelling are no matter."""
    jackpot = await platform.jackpot()
    headers = {} if content_type is None else {"Content-Type": content_type}
    for path, body in (
        (V1_INSTANCE, platform.v1(instance_id=jackpot)),
        (V2, platform.v2("instance", jackpot)),
    ):
        raw = json.dumps(body).encode()
        answer = await platform.gateway.send("POST", path, raw=raw, headers=headers)

        assert answer.status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", V2), ("DELETE", V1_SOURCE), ("PUT", "/jackpots/optin"), ("POST", "/sources")],
)
async def test_other_method_is_405(platform: Platform, method: str, path: str) -> None:
    """A known path under another method is 405 with the methods that it takes."""
    answer = await platform.gateway.send(method, path)

    assert answer.refusal[0] == 405
    assert answer.headers["Allow"]


async def test_unknown_fields_are_ignored_on_the_gateway(platform: Platform) -> None:
    """Integrators send extras: at every level of every call they are accepted."""
    jackpot = await platform.jackpot()
    v1 = platform.v1(instance_id=jackpot, extra=1, another={"deep": [None]})
    v2 = platform.v2("instance", jackpot, player={"nickname": "Joe"}, options={"speed": 9}, x=1)
    v2["target"]["name"] = "n"
    v2["base_wager"]["cents"] = 100
    v2["source"]["provider"] = "p"

    assert (await platform.gateway.post(V1_INSTANCE, v1)).status == 200
    assert (await platform.gateway.post(V2, v2)).status == 200
    assert (await platform.opt_in(jackpot, extra=1)).status == 200
    assert (await platform.opt_in_v2("instance", jackpot, extra=1)).status == 200


@pytest.mark.parametrize("country", ["XX", "Ruritania", "gb-eng", "🏴"])
async def test_unknown_countries_are_accepted(platform: Platform, country: str) -> None:
    """Countries are opaque: where no rule speaks about them, any will do."""
    jackpot = await platform.jackpot(blocked_countries=["UK"])

    assert (await platform.contribute(jackpot, player_country=country)).status == 200
    v2 = await platform.contribute_v2("instance", jackpot, player={"country": country})
    assert v2.status == 200


@pytest.mark.parametrize("player", ["żółć", "a b", "../x", "p:q", "x" * 200, "a\u0000b", "🎰"])
async def test_player_ids_are_opaque(platform: Platform, player: str) -> None:
    """Any text is a player's id, and keeps players apart."""
    jackpot = await platform.jackpot(rules={"opt_in_required": True})
    (await platform.opt_in(jackpot, player_id=player)).successful()

    assert (await platform.contribute(jackpot, player_id=player)).status == 200
    other = await platform.contribute(jackpot, player_id=f"{player}x")
    assert other.refusal[2] == "PlayerNotOptedIn"
