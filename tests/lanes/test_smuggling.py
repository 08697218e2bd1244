"""No request hides behind another one: what is not plainly HTTP/1.1 is refused, and that is the end.

Each case is a contribution with something wrong, and a second, faultless one right behind it. The
answer is one refusal and a closed connection; neither of the two has contributed, which a later
request under the same key tells for certain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
import trio

from .malformed import CHUNKS, CODINGS, LENGTHS, Case, Outer
from .malformed_heads import HEADERS, HOSTS, LINES
from .raw import chunked
from .stage import HEALTH, V2, encoded, unique, v2

if TYPE_CHECKING:
    from .stage import Stage

CLOSE_TIMEOUT_S: Final = 5.0

CASES: Final = (*LENGTHS, *CODINGS, *CHUNKS, *HEADERS, *HOSTS, *LINES)


def test_table_is_as_long_as_it_should_be() -> None:
    """Names are unique, so that no case hides another one."""
    assert len(CASES) == len({case.name for case in CASES}) > 200


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.name))
async def test_doubtful_request_is_refused_and_nothing_behind_it_is_read(
    stage: Stage, shared_jackpot: str, case: Case
) -> None:
    """One refusal, the connection closed, and neither request has contributed."""
    outer = v2(shared_jackpot, unique("outer"))
    smuggled = v2(shared_jackpot, unique("smuggled"))
    async with stage.connect() as connection:
        await connection.send(
            case.make(Outer(stage, encoded(outer))) + stage.request(encoded(smuggled))
        )
        with trio.fail_after(CLOSE_TIMEOUT_S):
            responses = await connection.responses_until_closed()

    assert [response.status for response in responses] == [responses[0].status]
    assert responses[0].status in case.statuses, responses[0]
    assert responses[0].closes
    assert responses[0].interim == ()
    assert await stage.is_unused(outer)
    assert await stage.is_unused(smuggled)


@pytest.mark.parametrize("case", CHUNKS + CODINGS, ids=lambda case: ascii(case.name))
async def test_doubtful_request_to_the_application_is_refused_too(
    stage: Stage, shared_jackpot: str, case: Case
) -> None:
    """The same rules hold in front of a path that the application answers."""
    smuggled = v2(shared_jackpot, unique("smuggled"))
    login = encoded({"username": "event-processor", "password": "event-processor-demo"})
    raw = case.make(Outer(stage, login)).replace(V2.encode(), b"/authenticate/service", 1)
    async with stage.connect() as connection:
        await connection.send(raw + stage.request(encoded(smuggled)))
        with trio.fail_after(CLOSE_TIMEOUT_S):
            responses = await connection.responses_until_closed()

    assert len(responses) == 1
    assert responses[0].status in case.statuses, responses[0]
    assert await stage.is_unused(smuggled)


@pytest.mark.parametrize(
    "garbage", [b"\x00", b"\r\r", b"G\x00T", b"XX / HTTP/1.1\r\n", b"0\r\n\r\n"]
)
async def test_garbage_behind_a_good_request_is_refused_by_itself(
    stage: Stage, shared_jackpot: str, garbage: bytes
) -> None:
    """The good request counts, the garbage gets its 400, and what follows is not read."""
    good, smuggled = [v2(shared_jackpot, unique("key")) for _ in range(2)]
    async with stage.connect() as connection:
        await connection.send(
            stage.request(encoded(good)) + garbage + stage.request(encoded(smuggled))
        )
        with trio.fail_after(CLOSE_TIMEOUT_S):
            first, second = await connection.responses_until_closed()

    assert first.status == 200
    assert second.status in {400, 405, 501}
    assert second.closes
    assert not await stage.is_unused(good)
    assert await stage.is_unused(smuggled)


FRAMED: Final = (
    ("GET", HEALTH, True),
    ("HEAD", HEALTH, True),
    ("GET", "/no/such/path", True),
    ("GET", V2, True),
    ("DELETE", V2, True),
    ("OPTIONS", V2, True),
    ("POST", "/no/such/path", True),
    ("POST", "/jackpots/contribute", False),
    ("POST", V2, False),
    ("POST", "/v2/jackpots/optin", False),
    ("POST", "/v2/jackpots/contribute/batch", False),
    ("POST", "/authenticate/service", True),
    ("POST", V2, True),
)


@pytest.mark.parametrize("in_chunks", [False, True])
@pytest.mark.parametrize(("method", "path", "token"), FRAMED)
async def test_content_of_a_refused_request_is_no_request(
    stage: Stage, shared_jackpot: str, method: str, path: str, token: bool, in_chunks: bool
) -> None:
    """A refusal before the content is read must not leave the content to be read as a request."""
    smuggled = v2(shared_jackpot, unique("smuggled"))
    content = stage.request(encoded(smuggled))
    framing = b"Transfer-Encoding: chunked" if in_chunks else b"Content-Length: %d" % len(content)
    head = stage.head(framing, request_line=f"{method} {path} HTTP/1.1".encode(), token=token)
    async with stage.connect() as connection:
        await connection.send(head + (chunked(content) if in_chunks else content))
        first = await connection.response(method)
        if not first.closes:
            await connection.send(stage.get("/not/found", b"Connection: close"))
            (second,) = await connection.responses_until_closed()
            assert second.status == 404
        else:
            assert await connection.until_closed() == b""

    assert await stage.is_unused(smuggled)


@pytest.mark.parametrize("content_type", [b"text/plain", b"application/xml"])
async def test_content_of_another_type_is_no_request(
    stage: Stage, shared_jackpot: str, content_type: bytes
) -> None:
    """415 may come before the content is read; the content is still not a request."""
    smuggled = v2(shared_jackpot, unique("smuggled"))
    content = stage.request(encoded(smuggled))
    lines = (b"Content-Type: " + content_type, b"Content-Length: %d" % len(content))
    async with stage.connect() as connection:
        await connection.send(stage.head(*lines) + content + stage.get("/x", b"Connection: close"))
        responses = await connection.responses_until_closed()

    assert responses[0].status == 415
    assert [response.status for response in responses[1:]] in ([], [404])
    assert await stage.is_unused(smuggled)


@pytest.mark.parametrize(
    "trailer",
    [b"Authorization: Bearer {token}", b"authorization: bearer {token}"],
)
async def test_trailer_authorises_nobody(stage: Stage, shared_jackpot: str, trailer: bytes) -> None:
    """RFC 9110 §6.5.1: what comes in a trailer is no credential."""
    body = v2(shared_jackpot, unique("key"))
    line = trailer.replace(b"{token}", stage.service_token.encode())
    payload = chunked(encoded(body))[:-2] + line + b"\r\n\r\n"
    async with stage.connect() as connection:
        await connection.send(stage.head(b"Transfer-Encoding: chunked", token=False) + payload)
        response = await connection.response()

    assert response.status in {400, 401}
    assert await stage.is_unused(body)
