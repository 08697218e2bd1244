"""HTTP/1.1 as clients use it: connections kept and closed, pipelines, pieces, and 100-continue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
import trio

from .raw import RawConnection, chunk, chunked
from .stage import BATCH, HEALTH, V2, encoded, unique, v2

if TYPE_CHECKING:
    from .stage import Stage

CLOSED: Final = b"Connection: close"
KEPT: Final = b"Connection: keep-alive"
EXPECTING: Final = b"Expect: 100-continue"
LOGIN: Final = {"username": "event-processor", "password": "event-processor-demo"}
OPT_IN: Final = "/jackpots/optin"


async def assert_closed(connection: RawConnection) -> None:
    assert await connection.until_closed() == b""


def opt_in(jackpot: str) -> bytes:
    body = {
        "instance_id": jackpot,
        "player_id": "p",
        "brand_id": "thrilltech:brand1",
        "player_country": "MT",
        "opt_in": True,
    }
    return encoded(body)


async def test_connection_is_kept_for_many_requests(stage: Stage) -> None:
    """One connection carries contributions, opt-ins and reads, one after the other."""
    jackpot = await stage.jackpot()
    async with stage.connect() as connection:
        for _ in range(20):
            await connection.send(stage.request(encoded(v2(jackpot))))
            assert (await connection.response()).status == 200
            await connection.send(stage.get(HEALTH))
            assert (await connection.response("GET")).status == 200
            await connection.send(stage.request(opt_in(jackpot), path=OPT_IN))
            assert (await connection.response()).body == b"null"

    assert await stage.contributions(jackpot) == 20


@pytest.mark.parametrize("value", [b"close", b"Close", b"CLOSE", b"keep-alive, close", b"x,close"])
@pytest.mark.parametrize("direct", [True, False])
async def test_close_that_is_asked_for_is_done(stage: Stage, value: bytes, direct: bool) -> None:
    """The answer says `Connection: close`, and nothing behind it is read."""
    first, second = [v2(await stage.jackpot(), unique("key")) for _ in range(2)]
    line = b"Connection: " + value
    raw = stage.request(encoded(first), line) if direct else stage.get(HEALTH, line)
    async with stage.connect() as connection:
        await connection.send(raw + stage.request(encoded(second)))
        response = await connection.response("POST" if direct else "GET")
        await assert_closed(connection)

    assert response.status == 200
    assert response.closes
    assert await stage.is_unused(second)


@pytest.mark.parametrize("path", [V2, HEALTH])
async def test_http_1_0_is_closed_unless_kept(stage: Stage, path: str) -> None:
    """HTTP/1.0 closes after the answer; with `Connection: keep-alive` it may stay, and says so."""
    method, body = ("GET", b"") if path == HEALTH else ("POST", encoded(v2(await stage.jackpot())))
    line = f"{method} {path} HTTP/1.0".encode()
    length = b"Content-Length: %d" % len(body)
    async with stage.connect() as connection:
        await connection.send(stage.head(length, request_line=line) + body)
        response = await connection.response(method)
        assert response.status == 200
        assert "keep-alive" not in response.headers.get("connection", "").lower()
        assert "transfer-encoding" not in response.headers
        await assert_closed(connection)
    async with stage.connect() as connection:
        raw = stage.head(length, KEPT, request_line=line) + body
        await connection.send(raw)
        response = await connection.response(method)
        assert response.status == 200
        if response.headers.get("connection", "").lower() == "keep-alive":
            await connection.send(raw)
            assert (await connection.response(method)).status == 200
        else:
            await assert_closed(connection)


async def test_pipeline_is_answered_in_order(stage: Stage) -> None:
    """Fifty requests in one write, fast ones among slow ones, come back in the order of sending."""
    jackpot = await stage.jackpot()
    raw, expected = b"", []
    for number in range(50):
        kind = number % 5
        if kind == 0:
            raw += stage.request(encoded(v2(jackpot, metadata=number)))
            expected.append(("POST", 200, number))
        elif kind == 1:
            raw += stage.get(HEALTH)
            expected.append(("GET", 200, -1))
        elif kind == 2:
            raw += stage.request(opt_in(jackpot), path=OPT_IN)
            expected.append(("POST", 200, -1))
        elif kind == 3:
            raw += stage.get(f"/no/such/path/{number}")
            expected.append(("GET", 404, -1))
        else:
            raw += stage.chunked_request(encoded(v2(jackpot, metadata=number)))
            expected.append(("POST", 200, number))
    async with stage.connect() as connection:
        await connection.send(raw)
        for method, status, metadata in expected:
            response = await connection.response(method)
            assert response.status == status
            if metadata >= 0:
                assert [result["metadata"] for result in response.json] == [metadata]
        await connection.send(stage.get(HEALTH, CLOSED))
        assert (await connection.response("GET")).closes
        await assert_closed(connection)

    assert await stage.contributions(jackpot) == 20


async def test_long_pipeline_is_answered_whole(stage: Stage) -> None:
    """A thousand contributions in one write are answered, each, and counted, each."""
    jackpot = await stage.jackpot()
    raw = b"".join(stage.request(encoded(v2(jackpot, metadata=n))) for n in range(1000))
    async with stage.connect() as connection, trio.open_nursery() as nursery:
        nursery.start_soon(connection.send, raw)
        for number in range(1000):
            response = await connection.response()
            assert response.status == 200
            assert response.json[0]["metadata"] == number

    assert await stage.contributions(jackpot) == 1000


@pytest.mark.parametrize("in_chunks", [False, True])
async def test_bytes_may_come_one_by_one(stage: Stage, in_chunks: bool) -> None:
    """A request in as many segments as it has bytes is the same request."""
    jackpot = await stage.jackpot()
    body = encoded(v2(jackpot))
    raw = stage.chunked_request(body[:50], body[50:]) if in_chunks else stage.request(body)
    async with stage.connect() as connection:
        connection.stream.setsockopt(6, 1, 1)  # TCP_NODELAY: every write is a segment
        for _ in range(2):
            for position in range(len(raw)):
                await connection.send(raw[position : position + 1])
            assert (await connection.response()).status == 200

    assert await stage.contributions(jackpot) == 2


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 50])
async def test_body_may_come_in_chunks(stage: Stage, pieces: int) -> None:
    """However the body is cut, it is one body, on direct and on application paths."""
    jackpot = await stage.jackpot()
    async with stage.connect() as connection:
        for path, body in ((V2, encoded(v2(jackpot))), ("/authenticate/service", encoded(LOGIN))):
            step = -(-len(body) // pieces)
            parts = [body[start : start + step] for start in range(0, len(body), step)]
            await connection.send(stage.chunked_request(*parts, path=path))
            assert (await connection.response()).status == 200


@pytest.mark.parametrize("path", [V2, OPT_IN, "/authenticate/service"])
async def test_empty_bodies_are_no_json(stage: Stage, path: str) -> None:
    """No body, a length of 0, and no chunk are the same: refused as JSON, and the connection kept."""
    line = f"POST {path} HTTP/1.1".encode()
    async with stage.connect() as connection:
        for head, body in (
            (stage.head(request_line=line), b""),
            (stage.head(b"Content-Length: 0", request_line=line), b""),
            (stage.head(b"Transfer-Encoding: chunked", request_line=line), chunked()),
        ):
            await connection.send(head + body)
            response = await connection.response()
            assert response.status == 400
            assert response.json["code"] == "INVALID_REQUEST"
            assert not response.closes


@pytest.mark.parametrize("path", [V2, OPT_IN, "/authenticate/service"])
@pytest.mark.parametrize("in_chunks", [False, True])
async def test_body_is_asked_for_where_the_client_waits(
    stage: Stage, path: str, in_chunks: bool
) -> None:
    """`Expect: 100-continue` gets its interim answer before a byte of the body was sent."""
    jackpot = await stage.jackpot()
    body = {
        V2: encoded(v2(jackpot)),
        OPT_IN: opt_in(jackpot),
        "/authenticate/service": encoded(LOGIN),
    }[path]
    framing = b"Transfer-Encoding: chunked" if in_chunks else b"Content-Length: %d" % len(body)
    head = stage.head(framing, EXPECTING, request_line=f"POST {path} HTTP/1.1".encode())
    async with stage.connect() as connection:
        for _ in range(2):
            await connection.send(head)
            assert await connection.interim() == 100
            await connection.send(chunked(body) if in_chunks else body)
            response = await connection.response()
            assert response.status == 200
            assert response.interim == ()


REFUSED_BY_HEAD: Final = (
    (401, V2, (b"Content-Length: 10",), False),
    (401, BATCH, (b"Content-Length: 10",), False),
    (404, "/no/such/path", (b"Content-Length: 10",), True),
    (405, "/sources", (b"Content-Length: 10",), True),
    (413, V2, (b"Content-Length: 100000000",), True),
    (415, V2, (b"Content-Length: 10", b"Content-Type: text/plain"), True),
)


@pytest.mark.parametrize(("status", "path", "lines", "token"), REFUSED_BY_HEAD)
async def test_body_is_not_asked_for_where_the_head_is_refused(
    stage: Stage, status: int, path: str, lines: tuple[bytes, ...], token: bool
) -> None:
    """The refusal comes at once, without an interim answer, and the connection is in step or ends."""
    line = f"POST {path} HTTP/1.1".encode()
    async with stage.connect() as connection:
        await connection.send(stage.head(*lines, EXPECTING, request_line=line, token=token))
        response = await connection.response()
        assert response.status == status
        assert response.interim == ()
        if response.closes:
            await assert_closed(connection)
        else:
            await connection.send(b"x" * 10 + stage.get(HEALTH))
            assert (await connection.response("GET")).status == 200


async def test_http_1_0_gets_no_interim_answer(stage: Stage) -> None:
    """RFC 9110 §10.1.1: an `Expect` of HTTP/1.0 is ignored."""
    body = encoded(v2(await stage.jackpot()))
    line = b"POST " + V2.encode() + b" HTTP/1.0"
    length = b"Content-Length: %d" % len(body)
    async with stage.connect() as connection:
        await connection.send(stage.head(length, EXPECTING, request_line=line) + body)
        response = await connection.response()

    assert response.status == 200
    assert response.interim == ()


async def test_expectation_that_nobody_knows_is_refused_or_ignored(stage: Stage) -> None:
    """RFC 9110 §10.1.1: 417, or as if it were not there; never a wrong interim answer."""
    body = v2(await stage.jackpot(), unique("key"))
    async with stage.connect() as connection:
        await connection.send(stage.request(encoded(body), b"Expect: 200-ok"))
        response = await connection.response()

    assert response.status in {200, 417}
    assert response.interim == ()
    assert await stage.is_unused(body) == (response.status == 417)


@pytest.mark.parametrize("path", [HEALTH, "/metrics", "/no/such/path", V2])
async def test_head_is_get_without_content(stage: Stage, path: str) -> None:
    """HEAD has the status and the type of GET, and not a byte of content."""
    async with stage.connect() as connection:
        await connection.send(stage.get(path) + stage.get(path, method="HEAD"))
        get = await connection.response("GET")
        head = await connection.response("HEAD")
        assert await connection.bytes_so_far(0) == b""
        await connection.send(stage.get(HEALTH))
        assert (await connection.response("GET")).status == 200

    assert head.status == get.status
    assert head.headers.get("content-type") == get.headers.get("content-type")
    assert head.body == b""


async def test_204_has_no_length(stage: Stage) -> None:
    """RFC 9110 §8.6: a 204 carries neither a length nor a coding, and leaves the pipeline in step."""
    body = encoded(v2(await stage.jackpot(), unique("key")))
    async with stage.connect() as connection:
        await connection.send(stage.request(body) * 3)
        statuses = []
        for _ in range(3):
            response = await connection.response()
            statuses.append(response.status)
            if response.status == 204:
                assert "content-length" not in response.headers
                assert "transfer-encoding" not in response.headers

    assert statuses == [200, 204, 204]


async def test_slow_requests_of_others_hold_nobody_up(stage: Stage) -> None:
    """Hundreds of connections in the middle of a request do not delay a whole one."""
    body = encoded(v2(await stage.jackpot()))
    raw = stage.request(body)
    in_chunks = stage.head(b"Transfer-Encoding: chunked") + chunk(body)
    async with trio.open_nursery() as nursery:
        ready = [trio.Event() for _ in range(200)]

        async def dawdle(number: int) -> None:
            async with stage.connect() as connection:
                await connection.send((raw[: number + 1], in_chunks)[number % 2])
                ready[number].set()
                await trio.sleep_forever()

        for number in range(len(ready)):
            nursery.start_soon(dawdle, number)
        for event in ready:
            await event.wait()
        async with stage.connect() as connection:
            with trio.fail_after(5):
                await connection.send(raw)
                assert (await connection.response()).status == 200
        nursery.cancel_scope.cancel()
