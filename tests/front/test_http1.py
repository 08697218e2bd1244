"""The protocol object without a socket: framing, order, limits."""

import re
from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackpotd.front.limits import FrontLimits

from .staging import TRACE_ID, Got, bench, chunked, post


def answers(written: bytes, count: int) -> list[Got]:
    """So many answers, read by h11, and nothing behind them."""
    got = []
    for _ in range(count):
        oracle = h11.Connection(h11.CLIENT)
        oracle.send(h11.Request(method="POST", target="/", headers=[("Host", "a")]))
        oracle.send(h11.EndOfMessage())
        oracle.receive_data(written)
        head = oracle.next_event()
        assert isinstance(head, h11.Response)
        body = b""
        while isinstance(event := oracle.next_event(), h11.Data):
            body += bytes(event.data)
        assert isinstance(event, h11.EndOfMessage)
        headers = {name.decode(): value.decode() for name, value in head.headers}
        got.append(Got(head.status_code, headers, body))
        written = oracle.trailing_data[0]
    assert written == b""
    return got


PIPELINE = (
    post("/echo", b"one")
    + chunked("/echo", b"t", b"wo" * 40)
    + post("/echo?a=b", b"")
    + b"\r\n"
    + post("/empty", b"x")
    + post("/echo", b"four", b"Connection: close")
)


def test_pipelined_requests_are_answered_in_order() -> None:
    """Every request of a pipeline gets its own answer, and the last one closes."""
    stage = bench()
    one, two, three, four, five = answers(stage.feed(PIPELINE), 5)
    assert [one.json["body"], two.json["body"]] == ["one", "t" + "wo" * 40]
    assert three.json == {"body": "", "query": {"a": "b"}}
    assert (four.status, four.body) == (204, b"")
    assert "content-length" not in four.headers
    assert (five.json["body"], five.headers["connection"]) == ("four", "close")
    assert stage.port.is_closed
    assert ("gateway", "/empty", 204, "") in stage.handlers.observed


def test_defect_of_a_handler_is_one_answer() -> None:
    """What a handler raises is a 500 for that request, and the connection goes on."""
    stage = bench()
    one, two = answers(stage.feed(post("/boom", b"a") + post("/echo", b"b")), 2)
    assert (500, "SYSTEM_ERROR") == (one.status, one.json["code"])
    assert 200 == two.status
    assert ("gateway", "/boom", 500, "SYSTEM_ERROR") in stage.handlers.observed


def test_more_requests_than_the_bound_in_one_read_are_all_answered() -> None:
    """The bound is on what is open, and requests that were answered at once are not."""
    written = bench().feed(post("/echo", b"a") * 200)
    assert 200 == len(answers(written, 200))


@given(cuts=st.lists(st.integers(0, len(PIPELINE)), max_size=12))
def test_any_split_of_a_pipeline_gives_the_same_answers(cuts: list[int]) -> None:
    """Where the bytes are cut is the network's business, and changes nothing."""
    marks = [0, *sorted(cuts), len(PIPELINE)]
    pieces = [PIPELINE[a:b] for a, b in pairwise(marks) if a != b]
    stage = bench()
    assert bench().feed(PIPELINE) == stage.feed(*pieces)
    assert stage.port.is_closed


def test_one_byte_at_a_time_gives_the_same_answers() -> None:
    """The slowest of all splits."""
    expected = bench().feed(PIPELINE)
    assert expected == bench().feed(*(bytes([byte]) for byte in PIPELINE))


@given(order=st.permutations(range(5)))
def test_late_answers_leave_in_the_order_of_the_requests(order: list[int]) -> None:
    """Handlers answer in any order; the connection keeps that of the requests."""
    stage = bench()
    stage.feed(b"".join(post("/hold", b"%d" % number) for number in range(5)))
    held = list(stage.handlers.held)
    for number in order:
        stage.handlers.held = [held[number]]
        stage.handlers.release()
        stage.pump()
    assert ["0", "1", "2", "3", "4"] == [got.json["body"] for got in answers(stage.port.written, 5)]


def test_second_answer_to_a_request_is_not_sent() -> None:
    """A handler that answers twice does not answer the next request too."""
    stage = bench()
    stage.feed(post("/hold", b"a"), post("/hold", b"b"))
    stage.handlers.held.append(stage.handlers.held[0])
    stage.handlers.release(0)
    stage.handlers.release(1)
    stage.pump()
    assert ["a"] == [got.json["body"] for got in answers(stage.port.written, 1)]


def test_pipeline_is_bounded_and_goes_on() -> None:
    """A client with too many open requests is not read until one is answered."""
    stage = bench(FrontLimits(pipelined_requests_max=2))
    stage.feed(b"".join(post("/hold", b"%d" % number) for number in range(4)))
    assert len(stage.handlers.held) == 2
    assert stage.port.is_paused
    stage.handlers.release()
    stage.pump()
    assert 2 == len(stage.handlers.held)
    for _ in range(3):
        stage.handlers.release()
        stage.pump()
    assert 4 == len(answers(stage.port.written, 4))


REFUSED = {
    "no host": b"POST /echo HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "two hosts": post("/echo", b"", b"Host: b"),
    "bad host": b"POST /echo HTTP/1.1\r\nHost: a b\r\n\r\n",
    "http/0.9": b"GET /\r\n\r\n",
    "http/2.0": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "http/1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "preface without settings": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "preface cut short": b"PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "preface later": post("/echo", b"a") + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no target": b"GET  HTTP/1.1\r\nHost: a\r\n\r\n",
    "relative target": b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "bad method": b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "space before colon": post("/echo", b"", b"X : y"),
    "folded": post("/echo", b"", b"X: y", b" z"),
    "bare lf": b"POST /echo HTTP/1.1\nHost: a\n\n",
    "bare lf in a header": post("/echo", b"", b"X: y\nZ: z"),
    "bare cr in a header": post("/echo", b"", b"X: y\rZ: z"),
    "nul": post("/echo", b"", b"X: \x00"),
    "control": post("/echo", b"", b"X: \x01"),
    "field name": post("/echo", b"", b"X(): y"),
    "length +": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
    "length list": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
    "length twice": post("/echo", b"a", b"Content-Length: 1"),
    "length huge": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1%b\r\n\r\n" % (b"0" * 30),
    "length and coding": post("/echo", b"", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "gzip": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked in 1.0": chunked("/echo").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "chunk size": chunked("/echo", b"a").replace(b"1\r\na", b"0x1\r\na"),
    "chunk size huge": chunked("/echo", b"a").replace(b"1\r\na", b"1%b\r\na" % (b"0" * 16)),
    "chunk extension long": chunked("/echo", b"a").replace(b"1\r\na", b"1;%b\r\na" % (b"a" * 999)),
    "chunk end": chunked("/echo", b"abc").replace(b"abc\r\n", b"abcd\r\n"),
    "chunk lf": chunked("/echo", b"abc").replace(b"3\r\n", b"3\n"),
    "trailer": chunked("/echo", b"a")[:-2] + b"X : y\r\n\r\n",
    "trailers long": chunked("/echo", b"a")[:-2] + b"X: %b\r\n\r\n" % (b"y" * 9000),
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("is_split", [False, True])
def test_what_could_be_read_in_two_ways_is_refused(raw: bytes, is_split: bool) -> None:
    """A 400 that closes, like every other error, and nothing that follows is served."""
    stage = bench()
    smuggled = raw + post("/echo", b"smuggled")
    pieces = [bytes([byte]) for byte in smuggled] if is_split else [smuggled]
    written = stage.feed(*pieces)
    got = answers(written, 2 if raw.startswith(b"POST") and b"PRI" in raw else 1)[-1]
    assert 400 == got.status
    assert {"status_code": 400, "code": "INVALID_REQUEST"} == {
        name: got.json[name] for name in ("status_code", "code")
    }
    assert "close" == got.headers["connection"]
    assert TRACE_ID == got.headers["x-trace-id"]
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", got.headers["date"])
    assert "application/json" == got.headers["content-type"]
    assert stage.port.is_closed
    assert all(seen.body != b"smuggled" for seen in stage.handlers.seen)


OTHERS = {
    "target": (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 9000), 414),
    "target begun": (b"GET /%b" % (b"a" * 9000), 414),
    "header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"a" * 70_000), 431),
    "header begun": (b"GET / HTTP/1.1\r\nHost: a\r\nX: %b" % (b"a" * 70_000), 431),
    "headers": (
        b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % b"".join(b"X%d: y\r\n" % n for n in range(200)),
        431,
    ),
    "body": (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n", 413),
    "chunked body": (chunked("/echo", *[b"a" * 500_000] * 3), 413),
    "expectation": (post("/echo", b"a", b"Expect: a-miracle"), 417),
    "method in lower case": (post("/echo").replace(b"POST", b"post"), 405),
    "connect": (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
}


@pytest.mark.parametrize(("raw", "status"), OTHERS.values(), ids=OTHERS)
def test_what_is_too_much_is_refused(raw: bytes, status: int) -> None:
    """Each limit has its status, and closes too."""
    stage = bench()
    got = answers(stage.feed(raw + post("/echo", b"smuggled")), 1)[0]
    assert (status, status) == (got.status, got.json["status_code"])
    assert stage.port.is_closed
    assert [] == stage.handlers.seen


def test_problem_details_where_the_client_asks_for_them() -> None:
    """The front's own refusals listen to Accept as all others do."""
    stage = bench()
    raw = post("/echo", b"", b"Accept: application/problem+json", b"Expect: x").replace(
        b"Length: 0", b"Length: 1"
    )
    (got,) = answers(stage.feed(raw), 1)
    assert "application/problem+json" == got.headers["content-type"]


@pytest.mark.parametrize(
    ("version", "line", "is_kept"),
    [
        (b"1.1", b"X: y", True),
        (b"1.1", b"Connection: keep-alive", True),
        (b"1.1", b"Connection: x, Close", False),
        (b"1.0", b"X: y", False),
        (b"1.0", b"Connection: Keep-Alive", True),
    ],
)
def test_connection_is_kept_as_its_version_says(
    version: bytes,
    line: bytes,
    is_kept: bool,
) -> None:
    """HTTP/1.1 stays open unless told otherwise, HTTP/1.0 the other way round."""
    stage = bench()
    stage.feed(post("/echo", b"a", line, version=version))
    assert is_kept != stage.port.is_closed
    (got,) = answers(stage.port.written, 1)
    expected = ("keep-alive" if version == b"1.0" else None) if is_kept else "close"
    assert expected == got.headers.get("connection")


def test_answer_with_a_line_break_in_a_header_is_a_defect() -> None:
    """No handler can write a second answer into its first."""
    (got,) = answers(bench().feed(post("/injection", b"")), 1)
    assert (500, None) == (got.status, got.headers.get("x-c"))


def test_absolute_target_is_the_same_route() -> None:
    """A proxy may name the whole URL; its authority is the host."""
    stage = bench()
    stage.feed(post("http://b.example/echo", b"a"))
    assert 200 == answers(stage.port.written, 1)[0].status
    assert "b.example" == stage.handlers.seen[0].headers["host"]


@pytest.mark.parametrize("value", [b":\tchunked\t", b": Chunked", b":chunked "])
def test_white_space_around_a_coding_is_none_of_it(value: bytes) -> None:
    """What the standard allows is allowed."""
    raw = chunked("/echo", b"a").replace(b": chunked", value)
    assert 200 == answers(bench().feed(raw), 1)[0].status


def test_headers_reach_the_handler_in_lower_case() -> None:
    """Repeats are joined, white space around values is gone."""
    stage = bench()
    stage.feed(post("/echo", b"", b"X-A: \t1 ", b"x-a: 2", b"X-B:"))
    headers = stage.handlers.seen[0].headers
    assert ("1, 2", "") == (headers["x-a"], headers["x-b"])


def test_body_is_asked_for_where_the_client_waits() -> None:
    """100 Continue comes once the request is found good, and not if the body is there already."""
    stage = bench()
    head, body = post("/echo", b"abc", b"Expect: 100-continue").split(b"\r\n\r\n")
    assert b"HTTP/1.1 100 Continue\r\n\r\n" == stage.feed(head + b"\r\n\r\n")
    stage.port.written = b""
    assert 200 == answers(stage.feed(body), 1)[0].status
    assert 1 == len(answers(bench().feed(post("/echo", b"abc", b"Expect: 100-continue")), 1))


def test_other_routes_wait_for_the_answers_before_them() -> None:
    """An exchange has the connection to itself, also where it came in behind open requests."""
    stage = bench()
    stage.feed(post("/hold", b"a") + post("/upload", b"b") + post("/echo", b"c"))
    assert [] == stage.exchanges
    stage.handlers.release()
    stage.pump()
    (exchange,) = stage.exchanges
    assert exchange.is_body_whole
    assert [] == stage.handlers.seen


@pytest.mark.parametrize(
    "raw",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00abc",
        b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\nx",
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
        ),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_what_leaves_http1_is_handed_over_whole(raw: bytes, size: int) -> None:
    """Whoever takes the connection reads it from the first byte of that request."""
    stage = bench()
    pieces = [raw[start : start + size] for start in range(0, len(raw), size)]
    fed = b""
    for piece in pieces:
        fed += piece
        stage.feed(piece)
        if stage.port.handed is not None:
            break
    assert raw.startswith(fed)
    assert fed == stage.port.handed
    assert b"" == stage.port.written


def test_unknown_upgrade_is_an_ordinary_request() -> None:
    """A server may ignore an upgrade that it does not know."""
    stage = bench()
    stage.feed(post("/echo", b"a", b"Connection: upgrade", b"Upgrade: foo") * 2)
    assert 2 == len(answers(stage.port.written, 2))
