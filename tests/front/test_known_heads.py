"""Heads that were read before: the same bytes mean the same, and nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .staging import Bench, bench, chunked, post
from .test_http1 import answers

TOKEN = b"Authorization: Bearer abc"
KNOWN = post("/echo", b"0123456789", TOKEN, b"X-A: b")
HEAD_BYTES = KNOWN.index(b"\r\n\r\n") + 4


def outcome(stage: Bench, *pieces: bytes) -> tuple[object, ...]:
    """All that a connection makes of some bytes."""
    stage.handlers.seen.clear()
    stage.exchanges.clear()
    written = stage.feed(*pieces)
    seen = [(each.body, dict(each.headers), dict(each.query)) for each in stage.handlers.seen]
    heads = [exchange.head.headers for exchange in stage.exchanges]
    return written, seen, heads, stage.port.is_closed, stage.port.handed


def warmed() -> Bench:
    """A listener that knows the head, by a connection that has ended."""
    stage = bench()
    stage.feed(KNOWN, KNOWN)
    assert stage.site.known_head(KNOWN[:HEAD_BYTES]) is not None
    return stage


def assert_told_apart(*pieces: bytes) -> None:
    """A listener that knows the head makes of these bytes what one makes that has never seen it."""
    expected = outcome(bench(), *pieces)
    assert expected == outcome(warmed().connect(), *pieces)


NEARLY = (
    KNOWN.replace(b"Length: 10", b"Length: 9"),
    KNOWN.replace(b"Length: 10", b"Length: 1"),
    KNOWN.replace(b"Length: 10", b"Length: 010"),
    KNOWN.replace(b"Length: 10", b"Length: 10\r\nContent-Length: 10"),
    KNOWN.replace(b"Length: 10", b"Length: 10\r\nTransfer-Encoding: chunked"),
    KNOWN.replace(b"Content-Length: 10", b"Transfer-Encoding: chunked"),
    KNOWN.replace(b"Content-Length", b"Content-Length "),
    KNOWN.replace(b"Bearer abc", b"Bearer abd"),
    KNOWN.replace(b"Host: a", b"Host: b"),
    KNOWN.replace(b"Host: a\r\n", b""),
    KNOWN.replace(b"X-A: b", b"x-a: b"),
    KNOWN.replace(b"X-A: b", b"X-A:\tb"),
    KNOWN.replace(b"X-A: b", b"X-A: b\n\nGET / HTTP/1.1"),
    KNOWN.replace(b"X-A: b", b"Expect: 100-continue"),
    KNOWN.replace(b"X-A: b", b"Connection: close"),
    KNOWN.replace(b"HTTP/1.1", b"HTTP/1.0"),
    KNOWN.replace(b"/echo", b"/echo?a=1"),
    KNOWN.replace(b"POST", b"post"),
    b"\r\n" + KNOWN,
    b"\r\n\r\n" + KNOWN,
    b" " + KNOWN,
)


@pytest.mark.parametrize("raw", NEARLY)
@pytest.mark.parametrize("behind", [b"", KNOWN])
def test_nearly_the_same_is_something_else(raw: bytes, behind: bytes) -> None:
    """Alone, with a known request behind it, and behind one."""
    assert_told_apart(raw + behind)
    assert_told_apart(KNOWN + raw + behind)


@given(data=st.data(), at=st.integers(0, HEAD_BYTES - 1), is_put_in=st.booleans())
def test_one_byte_makes_the_difference(data: st.DataObject, at: int, is_put_in: bool) -> None:
    """Whatever byte of the head is changed, put in or left out, however the bytes are cut."""
    byte = data.draw(st.sampled_from([b"", b"\r", b"\n", b" ", b"\t", b":", b"0", b"a", b"\x00"]))
    raw = KNOWN[:at] + byte + KNOWN[at + (0 if is_put_in else 1) :] + KNOWN
    cut = data.draw(st.integers(0, len(raw)))
    assert_told_apart(raw[:cut], raw[cut:])


@given(st.integers(0, len(KNOWN) * 2), st.integers(0, len(KNOWN) * 2))
def test_known_head_may_be_cut_anywhere(first: int, second: int) -> None:
    """In one piece or in several, alone or behind another."""
    low, high = sorted((first, second))
    raw = KNOWN * 2
    assert_told_apart(raw[:low], raw[low:high], raw[high:])


def test_same_head_has_its_own_body_each_time() -> None:
    """Only the head is remembered; requests that are parsed anew may stand between."""
    stage = warmed().connect()
    bodies = [b"abcdefghij", b"POST / HTT", b"\r\n\r\n\r\n\r\n\r\n"]
    raw = b"".join(
        KNOWN[:HEAD_BYTES] + body + post("/echo", body[:3]) + chunked("/echo", body)
        for body in bodies
    )
    got = [each.json["body"].encode("latin-1") for each in answers(stage.feed(raw), 9)]
    assert [each for body in bodies for each in (body, body[:3], body)] == got


def test_only_good_heads_of_fast_routes_with_a_length_are_kept() -> None:
    """What is refused, streamed, in chunks, an upgrade or another's is read anew each time."""
    for raw in (
        chunked("/echo", b"a"),
        post("/stream", b"a"),
        b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
        post("/echo", b"a", b"Expect: 100-continue"),
        post("/echo", b"a", b"Upgrade: h2c"),
        post("/echo", b"a", b"X: " + b"y" * 4000),
        post("/echo", b"a").replace(b"Host: a", b"Host: <>"),
    ):
        stage = bench()
        stage.feed(raw)
        assert stage.site.known_head(raw[: raw.index(b"\r\n\r\n") + 4]) is None


def test_heads_that_are_kept_are_bounded() -> None:
    """A client that invents headers does not fill the memory."""
    stage = bench()
    for number in range(3000):
        stage.feed(post("/echo", b"", b"X: %d" % number))
    assert len(stage.site._heads) <= 1024
