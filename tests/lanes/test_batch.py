"""Many contributions in one request (contract §3, Batch): an array, or a line for each.

An element is a request of its own: its key, its refusal, its place in the answer. Framing is the
only thing that they share, besides the token.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from .raw import chunked
from .stage import BATCH, BRAND, V2, encoded, open_client, unique, v2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .raw import Response
    from .stage import Json, Stage

NDJSON: Final = b"application/x-ndjson"
ARRAY: Final = b"application/json"
TYPES: Final = (ARRAY, NDJSON)
LINE: Final = b"POST " + BATCH.encode() + b" HTTP/1.1"
NOWHERE: Final = "00000000-0000-4000-8000-000000000000"
BODY_BYTES: Final = 65_536
ENVIRONMENT: Final = {"JACKPOTD_LIMITS_BODY_BYTES_MAX": str(BODY_BYTES)}


def framed(content_type: bytes, elements: Sequence[bytes]) -> bytes:
    """The elements as one body."""
    if content_type == ARRAY:
        return b"[" + b",".join(elements) + b"]"
    return b"".join(element + b"\n" for element in elements)


def results(response: Response) -> list[Json]:
    """The elements of an answer, each `{status_code, result}`."""
    assert response.status == 200, response.body
    content_type = response.headers["content-type"].partition(";")[0].strip()
    if content_type == NDJSON.decode():
        assert not response.body or response.body.endswith(b"\n")
        lines = response.body.splitlines()
        found = [json.loads(line, parse_float=Decimal) for line in lines]
    else:
        assert content_type == ARRAY.decode()
        found = response.json
    for each in found:
        assert set(each) == {"status_code", "result"}
    return list(found)


async def send(
    stage: Stage, content_type: bytes, body: bytes, *lines: bytes, in_chunks: bool = False
) -> Response:
    """The answer to one batch, and proof that the connection is in step behind it."""
    framing = b"Transfer-Encoding: chunked" if in_chunks else b"Content-Length: %d" % len(body)
    head = stage.head(b"Content-Type: " + content_type, framing, *lines, request_line=LINE)
    async with stage.connect() as connection:
        await connection.send(head + (chunked(body[:7], body[7:]) if in_chunks else body))
        response = await connection.response()
        if not response.closes:
            await connection.send(stage.get("/no/such/path"))
            assert (await connection.response("GET")).status == 404
        return response


async def batch(
    stage: Stage, content_type: bytes, elements: Sequence[object], *lines: bytes
) -> list[Json]:
    body = framed(content_type, [encoded(element) for element in elements])
    return results(await send(stage, content_type, body, *lines))


@pytest.mark.parametrize("in_chunks", [False, True])
@pytest.mark.parametrize("content_type", TYPES)
async def test_answers_stand_in_the_order_of_the_elements(
    stage: Stage, content_type: bytes, in_chunks: bool
) -> None:
    """Each element gets its result, in its place, as the single call would answer it."""
    jackpot, other = await stage.jackpot(), await stage.jackpot()
    elements = [v2((jackpot, other)[n % 3 == 0], metadata={"n": n}) for n in range(50)]
    body = framed(content_type, [encoded(element) for element in elements])
    answers = results(await send(stage, content_type, body, in_chunks=in_chunks))
    single = (await stage.post(V2, elements[0])).json()

    assert [answer["status_code"] for answer in answers] == [200] * 50
    assert [answer["result"][0]["metadata"]["n"] for answer in answers] == list(range(50))
    assert [set(answer["result"][0]) for answer in answers] == [set(single[0])] * 50
    assert [answer["result"][0]["instance_id"] for answer in answers] == [
        element["target"]["id"] for element in elements
    ]
    assert await stage.contributions(other) == 17 + 1
    assert await stage.contributions(jackpot) == 33


@pytest.mark.parametrize("content_type", TYPES)
async def test_batch_is_no_transaction(stage: Stage, content_type: bytes) -> None:
    """Refused elements stand among the others with status and code, and touch nobody else."""
    jackpot, private = await stage.jackpot(), await stage.jackpot(opt_in_required=True)
    elements: list[Json] = [
        v2(jackpot),
        v2(private),
        v2(jackpot),
        v2(NOWHERE),
        v2(jackpot, operator_id="somebody"),
        v2(jackpot) | {"base_wager": {"currency": "EUR", "value": "much"}},
        {},
        v2(jackpot, base_wager={"currency": "XTS", "value": 1}),
        v2(jackpot, base_wager={"currency": "EUR", "value": -1}),
        v2(jackpot),
    ]
    answers = await batch(stage, content_type, elements)
    refusals = [answer["result"] for answer in answers if answer["status_code"] != 200]

    expected = [200, 400, 200, 404, 403, 400, 400, 404, 400, 200]
    assert [answer["status_code"] for answer in answers] == expected
    assert [refusal["status_code"] for refusal in refusals] == [s for s in expected if s != 200]
    assert [refusal["code"] for refusal in refusals] == [
        "CONTRIBUTION_REJECTED",
        "JACKPOT_NOT_FOUND",
        "FORBIDDEN",
        "INVALID_REQUEST",
        "INVALID_REQUEST",
        "CURRENCY_MULTIPLIERS_NOT_FOUND",
        "CONTRIBUTION_REJECTED",
    ]
    assert "value" in refusals[3]["message"]
    assert await stage.contributions(jackpot) == 3


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("element", [None, 1, "text", [], [{}], True])
async def test_element_that_is_no_object_is_refused_in_its_place(
    stage: Stage, content_type: bytes, element: object
) -> None:
    """Another JSON value is `INVALID_REQUEST`, and its neighbours contribute."""
    jackpot = await stage.jackpot()
    answers = await batch(stage, content_type, [v2(jackpot), element, v2(jackpot)])

    assert [answer["status_code"] for answer in answers] == [200, 400, 200]
    assert answers[1]["result"]["code"] == "INVALID_REQUEST"
    assert await stage.contributions(jackpot) == 2


@pytest.mark.parametrize("content_type", TYPES)
async def test_keys_count_once_within_a_batch_and_across(stage: Stage, content_type: bytes) -> None:
    """A repeat in the same batch, in another batch and in a single call contributes nothing."""
    jackpot = await stage.jackpot()
    one, two = v2(jackpot, unique("key")), v2(jackpot, unique("key"))
    reused = one | {"base_wager": {"currency": "EUR", "value": 9}}
    first = await batch(stage, content_type, [one, one, two, reused, one])
    second = await batch(stage, content_type, [two, v2(jackpot), one])

    assert [answer["status_code"] for answer in first] == [200, 204, 200, 422, 204]
    assert first[1]["result"] is None
    assert first[3]["result"]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert [answer["status_code"] for answer in second] == [204, 200, 204]
    assert (await stage.post(V2, one)).status_code == 204
    assert await stage.contributions(jackpot) == 3


@pytest.mark.parametrize("content_type", TYPES)
async def test_repeats_show_their_result_where_it_is_preferred(
    stage: Stage, content_type: bytes
) -> None:
    """`Prefer: return=representation` on the batch holds for each repeat in it."""
    jackpot = await stage.jackpot()
    element = v2(jackpot, unique("key"), metadata="m")
    (original,) = await batch(stage, content_type, [element])
    repeats = await batch(stage, content_type, [element] * 3, b"Prefer: return=representation")

    assert repeats == [original] * 3
    assert await stage.contributions(jackpot) == 1


async def test_linked_jackpots_stand_in_the_result(stage: Stage) -> None:
    """The result of an element is the array that v2 answers."""
    linked, jackpot = await stage.jackpot(opt_in_required=True), await stage.jackpot()
    await stage.link(jackpot, linked)
    (answer,) = await batch(stage, ARRAY, [v2(jackpot)])

    assert answer["status_code"] == 200
    assert answer["result"][0]["instance_id"] == jackpot
    assert answer["result"][1]["message"] == "PlayerNotOptedIn"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [(ARRAY, b"[]"), (ARRAY, b" [ ] \r\n"), (NDJSON, b""), (NDJSON, b"\n"), (NDJSON, b"\n\r\n\n")],
)
async def test_batch_of_nothing_answers_nothing(
    stage: Stage, content_type: bytes, body: bytes
) -> None:
    """No element, no result."""
    assert results(await send(stage, content_type, body)) == []


@pytest.mark.parametrize("body", [b"", b" ", b"{}", b"1", b"null", b'"x"', b"x", b"]", b"\xff"])
async def test_body_that_is_no_array_is_refused(stage: Stage, body: bytes) -> None:
    """As JSON a batch is an array, and nothing else."""
    response = await send(stage, ARRAY, body)

    assert response.status == 400
    assert response.json["code"] == "INVALID_REQUEST"


async def test_white_space_between_elements_is_nothing(stage: Stage) -> None:
    """Elements may be spread over lines, in an array; lines may end in CRLF or be empty."""
    jackpot = await stage.jackpot()
    element = encoded(v2(jackpot))
    pretty = json.dumps([v2(jackpot), v2(jackpot)], indent=2).encode()
    array = results(await send(stage, ARRAY, b"\r\n " + pretty + b"\n"))
    lines = results(await send(stage, NDJSON, element + b"\r\n\n " + element + b" \n" + element))

    assert [answer["status_code"] for answer in array] == [200] * 2
    assert [answer["status_code"] for answer in lines] == [200] * 3
    assert await stage.contributions(jackpot) == 5


BROKEN: Final = (b"{", b'{"a":}', b"x", b"\xff", b"{}}", b'"', b"nul", b"{'a':1}")


@pytest.mark.parametrize("broken", BROKEN)
async def test_broken_line_is_refused_in_its_place(stage: Stage, broken: bytes) -> None:
    """A line ends where it ends: the next one is an element again."""
    jackpot = await stage.jackpot()
    element = encoded(v2(jackpot))
    answers = results(await send(stage, NDJSON, framed(NDJSON, [element, broken, element])))

    assert [answer["status_code"] for answer in answers] == [200, 400, 200]
    assert answers[1]["result"]["code"] == "INVALID_REQUEST"
    assert await stage.contributions(jackpot) == 2


@pytest.mark.parametrize(
    "ending",
    [b",{", b',{"a":}]', b",x]", b"", b",", b",]", b",,{}]", b" {}]", b"}", b"]x", b"][]", b"]]"],
)
async def test_broken_array_is_answered_up_to_the_break(stage: Stage, ending: bytes) -> None:
    """What is answered 200 has contributed, and nothing else; one 400 ends the answer.

    Whether the element right before the break still counts is the reader's choice.
    """
    jackpot = await stage.jackpot()
    element = encoded(v2(jackpot))
    body = b"[" + element + b"," + element + ending
    answers = results(await send(stage, ARRAY, body))

    statuses = [answer["status_code"] for answer in answers]
    assert statuses in ([200, 200, 400], [200, 400])
    assert answers[-1]["result"]["code"] == "INVALID_REQUEST"
    assert await stage.contributions(jackpot) == statuses.count(200)


@pytest.mark.parametrize("content_type", TYPES)
async def test_element_above_the_limit_is_413_in_its_place(
    stage: Stage, content_type: bytes
) -> None:
    """One element may be as long as one body; the batch as a whole may be longer."""
    jackpot = await stage.jackpot()
    long = v2(jackpot, metadata="x" * (BODY_BYTES + 1))
    fitting = v2(jackpot, metadata="x" * (BODY_BYTES - 1000))
    elements = [fitting, fitting, fitting, long, v2(jackpot)]
    answers = await batch(stage, content_type, elements)
    statuses = [answer["status_code"] for answer in answers]

    assert statuses in ([200, 200, 200, 413, 200], [200, 200, 200, 413])
    assert answers[3]["result"]["code"] == "PAYLOAD_TOO_LARGE"
    assert await stage.contributions(jackpot) == statuses.count(200)


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("token", [b"", b"Bearer a.b.c", b"Basic YTpi"])
async def test_batch_without_a_token_is_refused_as_a_whole(
    stage: Stage, content_type: bytes, token: bytes
) -> None:
    """One 401, not one for each element, and nothing happens."""
    jackpot = await stage.jackpot()
    body = framed(content_type, [encoded(v2(jackpot))] * 3)
    lines = [b"Content-Type: " + content_type, b"Content-Length: %d" % len(body)]
    lines += [b"Authorization: " + token] if token else []
    async with stage.connect() as connection:
        await connection.send(stage.head(*lines, request_line=LINE, token=False) + body)
        response = await connection.response()

    assert response.status == 401
    assert response.json["code"] == "UNAUTHORIZED"
    assert await stage.contributions(jackpot) == 0


async def test_brand_of_another_operator_is_403_in_its_place(stage: Stage) -> None:
    """The token is checked once, its reach for each element."""
    operator = unique("other")
    await stage.admin("POST", "/config/operators", [{"id": operator, "name": "Other"}])
    await stage.admin("POST", f"/config/operators/{operator}/brands", [{"id": "one", "name": "O"}])
    jackpot = await stage.jackpot(allowed_brands=[BRAND, f"{operator}:one"])
    foreign = v2(jackpot, operator_id=operator)
    foreign["player"] = foreign["player"] | {"brand_id": "one"}
    elements = [v2(jackpot), foreign, v2(jackpot)]
    answers = await batch(stage, ARRAY, elements)

    statuses = [answer["status_code"] for answer in answers]
    assert statuses in ([200, 403, 200], [200, 200, 200])  # the demo's account may reach everybody
    assert statuses[1] == (await stage.post(V2, foreign)).status_code


@pytest.mark.parametrize("line", [b"Content-Encoding: gzip", b"Content-Encoding: br"])
@pytest.mark.parametrize("content_type", TYPES)
async def test_compressed_batch_is_415(stage: Stage, content_type: bytes, line: bytes) -> None:
    """A coding that nobody undoes is refused before anything is read into it."""
    response = await send(stage, content_type, b"\x1f\x8b\x08\x00", line)

    assert response.status == 415
    assert response.json["code"] == "UNSUPPORTED_MEDIA_TYPE"


@pytest.mark.parametrize("content_type", [b"text/plain", b"application/xml", b"text/csv"])
async def test_batch_of_another_type_is_415(stage: Stage, content_type: bytes) -> None:
    """Only arrays and lines of JSON are batches."""
    assert (await send(stage, content_type, b"[]")).status == 415


async def test_batch_over_http_2_is_the_same(stage: Stage) -> None:
    """The other lane answers a batch alike."""
    jackpot = await stage.jackpot()
    elements: list[Any] = [v2(jackpot), {}, v2(jackpot)]
    headers = {"Authorization": f"Bearer {stage.service_token}"}
    async with open_client(http1=False, http2=True, limits=httpx.Limits()) as client:
        for content_type in TYPES:
            response = await client.post(
                stage.url + BATCH,
                content=framed(content_type, [encoded(element) for element in elements]),
                headers=headers | {"Content-Type": content_type.decode()},
            )
            assert response.status_code == 200
            assert response.headers["Content-Type"].startswith(content_type.decode())
            lines = (
                response.json() if content_type == ARRAY else map(json.loads, response.iter_lines())
            )
            assert [answer["status_code"] for answer in lines] == [200, 400, 200]

    assert await stage.contributions(jackpot) == 4
