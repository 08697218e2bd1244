"""A request and its answer apart from any framework: bodies, lists, errors, and what every answer has."""

import json

import pytest

from jackpotd.core.rejections import PLAYER_NOT_OPTED_IN, Code, Rejection
from jackpotd.edge.exchange import (
    Incoming,
    Outgoing,
    answer,
    completed,
    http_date,
    integer,
    json_body,
    page_of,
    refuse,
    refused_by,
    serve,
)
from jackpotd.wire.errors import STATUS_BY_CODE, RequestRefused

TRACE_ID = "0b6f7a3e-6f0e-4d52-9d5c-0f6f1f1c2a11"
RECEIVED_MS = 784_111_777_999
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def request(*, body: bytes = b"", query: dict[str, str] | None = None, **headers: str) -> Incoming:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Incoming(named, body, {}, query or {}, TRACE_ID, RECEIVED_MS)


async def served(refused: RequestRefused, accept: str = "") -> Outgoing:
    """What a client gets where a handler refuses."""

    async def handler(_request: Incoming) -> Outgoing:
        raise refused

    return await serve(handler, request(accept=accept))


# -- bodies


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "APPLICATION/JSON",
        " application/json ; charset=utf-8",
        "application/json;charset=utf-8",
        "application/vnd.acme+json",
        "application/problem+json; profile=x",
        "",
    ],
)
def test_json_body_json_type_gives_the_body(content_type: str) -> None:
    """Whatever is JSON by its type is read, with parameters and in any case; so is an empty type."""
    assert json_body(request(body=b"{}", content_type=content_type)) == b"{}"


def test_json_body_missing_type_is_read_as_json() -> None:
    """Integrators leave the type out; the contract accepts that."""
    assert json_body(request(body=b"{}")) == b"{}"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json",
        "application/jsonp",
        "application/json-seq",
        "text/plain; application/json",
        "json",
    ],
)
def test_json_body_other_type_is_refused_with_415(content_type: str) -> None:
    """A body of another type is refused before anybody looks into it, and the type is named."""
    with pytest.raises(RequestRefused) as refused:
        json_body(request(body=b"{}", content_type=content_type))
    assert (415, "UNSUPPORTED_MEDIA_TYPE") == (
        refused.value.body.status_code,
        refused.value.body.code,
    )
    assert content_type.partition(";")[0] in refused.value.body.message


# -- whole numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [(None, 7), ("", 7), ("0", 0), ("10", 10), ("007", 7), ("-0", 0), ("3", 3)],
)
def test_integer_within_bounds_is_read_and_missing_is_the_default(
    text: str | None, value: int
) -> None:
    """Both bounds belong to the range; a parameter that is left out or empty is the default."""
    query = {} if text is None else {"limit": text}
    assert value == integer(request(query=query), "limit", 7, 0, 10)


@pytest.mark.parametrize(
    "text",
    ["-1", "11", "1.0", "1e1", "0x1", " 1", "1 ", "+1", "1_0", "\u0661", "one", "\0", "9" * 5_000],
)
def test_integer_outside_bounds_or_no_number_is_refused(text: str) -> None:
    """Only ASCII digits are a whole number; the refusal names the parameter and its bounds."""
    with pytest.raises(RequestRefused) as refused:
        integer(request(query={"limit": text}), "limit", 7, 0, 10)
    assert (400, Code.INVALID_REQUEST) == (
        refused.value.body.status_code,
        refused.value.body.code,
    )
    assert refused.value.body.message == "query parameter limit must be a whole number, 0 to 10"


# -- lists

# Two fields in orders of their own, with a tie in the second.
ITEMS = [("b", 1), ("d", 3), ("a", 3), ("c", 2)]
FIELDS = {"name": lambda item: item[0], "size": lambda item: item[1]}
LIMIT_MAX = 3


def names(**query: str) -> str:
    """The names of a page, in its order."""
    return "".join(name for name, _ in page_of(request(query=query), ITEMS, FIELDS, LIMIT_MAX))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "bda"),
        ({"page": "1"}, "c"),
        ({"page": "2"}, ""),
        ({"page": "1000000"}, ""),
        ({"limit": "2"}, "bd"),
        ({"limit": "2", "page": "1"}, "ac"),
        ({"limit": "0"}, ""),
        ({"limit": "0", "page": "5"}, ""),
        ({"sort_field": "name"}, "abc"),
        ({"sort_field": "name", "page": "1"}, "d"),
        ({"sort_field": "name", "sort_direction": "1"}, "abc"),
        ({"sort_field": "name", "sort_direction": "-1"}, "dcb"),
        ({"sort_field": "size"}, "bcd"),
        ({"sort_field": "size", "sort_direction": "-1"}, "dac"),
        ({"sort_field": "", "sort_direction": "", "page": "", "limit": ""}, "bda"),
    ],
)
def test_page_of_sorts_then_cuts(query: dict[str, str], expected: str) -> None:
    """Pages count from 0 over the sorted list; ties keep their order; past the end is empty."""
    assert expected == names(**query)


def test_page_of_pages_hold_every_item_once() -> None:
    """Page by page at any limit gives the list, nothing twice and nothing left out."""
    for limit in range(1, LIMIT_MAX + 1):
        pages = [names(limit=str(limit), page=str(page), sort_field="size") for page in range(5)]
        assert "".join(pages) == "bcda"
    assert ITEMS == [("b", 1), ("d", 3), ("a", 3), ("c", 2)], "the list itself stays as it is"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"limit": "4"}, "limit must be a whole number, 0 to 3"),
        ({"limit": "-1"}, "limit must be"),
        ({"page": "-1"}, "page must be a whole number, 0 to"),
        ({"page": "1000001"}, "page must be"),
        ({"sort_direction": "0"}, "sort_direction must be 1 or -1"),
        ({"sort_direction": "asc"}, "sort_direction must be 1 or -1"),
        ({"sort_field": "price"}, "sort_field must be one of ['name', 'size']"),
    ],
)
def test_page_of_outside_bounds_is_refused(query: dict[str, str], named: str) -> None:
    """Every parameter of a list has its bounds, and a refusal says which one and what it may be."""
    with pytest.raises(RequestRefused) as refused:
        names(**query)
    assert refused.value.body.status_code == 400
    assert f"query parameter {named}" in refused.value.body.message


# -- answers


async def test_serve_answer_has_trace_date_and_type() -> None:
    """Every answer says which request it belongs to, when, and what its body is."""

    async def handler(incoming: Incoming) -> Outgoing:
        return answer({"echo": incoming.body.decode()}, 201)

    outgoing = await serve(handler, request(body=b"hello"))
    assert (201, b'{"echo":"hello"}', "") == (outgoing.status, outgoing.body, outgoing.code)
    assert {
        "X-Trace-Id": TRACE_ID,
        "Date": DATE,
        "Content-Type": "application/json",
    } == dict(outgoing.headers)


def test_completed_empty_answer_has_no_content_type() -> None:
    """An answer without a body does not say what its body is."""
    assert {"X-Trace-Id", "Date"} == dict(completed(Outgoing(204), request()).headers).keys()


def test_completed_headers_of_the_handler_come_first() -> None:
    """A replay brings the trace id and the date of the original, and they are said once."""
    own = (("X-Trace-Id", "original"), ("Date", "then"), ("Idempotency-Replayed", "true"))
    outgoing = completed(Outgoing(204, headers=own), request())
    assert sorted(own) == sorted(outgoing.headers)


@pytest.mark.parametrize(
    ("unix_ms", "text"),
    [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (RECEIVED_MS, DATE),
        (1_709_164_800_000, "Thu, 29 Feb 2024 00:00:00 GMT"),
    ],
)
def test_http_date_is_imf_fixdate(unix_ms: int, text: str) -> None:
    """Dates are in the one form that HTTP wants, in GMT, cut to the second."""
    assert text == http_date(unix_ms)


# -- refusals


async def test_serve_refusal_is_the_documented_error() -> None:
    """The body has three fields, and the HTTP status is the one inside."""
    outgoing = await served(RequestRefused("NOT_FOUND", "no such thing"))
    assert {"status_code": 404, "code": "NOT_FOUND", "message": "no such thing"} == json.loads(
        outgoing.body
    )
    assert (404, "NOT_FOUND") == (outgoing.status, outgoing.code)
    assert {"X-Trace-Id": TRACE_ID, "Date": DATE, "Content-Type": "application/json"} == dict(
        outgoing.headers
    )


@pytest.mark.parametrize(
    "accept",
    [
        "application/problem+json",
        "Application/Problem+JSON",
        "application/json, application/problem+json",
        "application/problem+json;q=0.5, application/json",
        "text/html,\tapplication/problem+json ; q=1",
    ],
)
async def test_serve_refusal_as_problem_details_where_asked_for(accept: str) -> None:
    """Who names problem+json gets RFC 9457, with our code as an extension."""
    outgoing = await served(RequestRefused(Code.INVALID_REQUEST, "$.amount is missing"), accept)
    assert {
        "type": "about:blank",
        "title": "Invalid request",
        "status": 400,
        "detail": "$.amount is missing",
        "code": "INVALID_REQUEST",
    } == json.loads(outgoing.body)
    assert "application/problem+json" == dict(outgoing.headers)["Content-Type"]
    assert (400, Code.INVALID_REQUEST) == (outgoing.status, outgoing.code)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/*",
        "application/json",
        "application/problem+xml",
        "application/problem+jsonx",
        "application/problem+json;q=0",
        "application/problem+json; q=0.000",
    ],
)
async def test_serve_refusal_is_no_problem_details_where_not_asked_for(accept: str) -> None:
    """Anything else, a wildcard or an exclusion too, gets the documented error."""
    outgoing = await served(RequestRefused(Code.INVALID_REQUEST, "no"), accept)
    assert "application/json" == dict(outgoing.headers)["Content-Type"]
    assert {"status_code", "code", "message"} == json.loads(outgoing.body).keys()


async def test_serve_unauthorized_names_the_scheme() -> None:
    """A 401 says how to authenticate, as HTTP demands of it."""
    outgoing = await served(RequestRefused("UNAUTHORIZED", "a bearer token is needed"))
    assert outgoing.status == 401
    assert "Bearer" == dict(outgoing.headers)["WWW-Authenticate"]


async def test_serve_overloaded_says_when_to_come_back() -> None:
    """A 503 carries a Retry-After in whole seconds, above zero."""
    outgoing = await served(RequestRefused(Code.OVERLOADED, "too many requests"))
    assert outgoing.status == 503
    assert int(dict(outgoing.headers)["Retry-After"]) > 0


@pytest.mark.parametrize("code", sorted(set(STATUS_BY_CODE) - {"UNAUTHORIZED", Code.OVERLOADED}))
async def test_serve_other_refusals_have_neither_of_these_headers(code: str) -> None:
    """Only a 401 asks for credentials, and only a 503 for patience."""
    outgoing = await served(RequestRefused(code, "no"))
    assert STATUS_BY_CODE[code] == outgoing.status
    assert {"WWW-Authenticate", "Retry-After"}.isdisjoint(dict(outgoing.headers))


@pytest.mark.parametrize("status", [401, 503])
def test_refuse_headers_go_by_the_status_not_the_code(status: int) -> None:
    """A code with a status of its own, as a wallet may bring, has the headers of that status."""
    outgoing = refuse(RequestRefused("WALLET_SAYS_NO", "no", status=status), "")
    expected = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}[status]
    assert (status, expected) == (outgoing.status, dict(outgoing.headers))


def test_refuse_unknown_code_is_a_500() -> None:
    """A code that nobody gave a status is a defect of ours, not of the client."""
    assert refuse(RequestRefused("NEVER_HEARD_OF", "?"), "").status == 500


@pytest.mark.parametrize(
    ("rejection", "status"),
    [
        (PLAYER_NOT_OPTED_IN, 400),
        (Rejection(Code.GAME_NOT_FOUND, "slot-1"), 404),
        (Rejection(Code.UNSUPPORTED_BRAND, "acme:one"), 403),
        (Rejection(Code.IDEMPOTENCY_KEY_REUSED, "k"), 422),
    ],
)
def test_refused_by_rule_keeps_code_message_and_its_status(
    rejection: Rejection, status: int
) -> None:
    """A rule's refusal reaches the client word for word, with the documented status."""
    body = refused_by(rejection).body
    assert (status, rejection.code, rejection.message) == (
        body.status_code,
        body.code,
        body.message,
    )


def test_every_code_of_the_core_has_a_status() -> None:
    """No rule can refuse with a code that the wire does not know."""
    assert set() == set(Code) - STATUS_BY_CODE.keys()
