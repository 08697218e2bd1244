"""The reactor and its exchanges over real sockets."""

import socket
import struct

import pytest
import trio
import trio.testing

from jackpotd.front.limits import FrontLimits

from .staging import QUICK, chunked, post, staged

BIG = b"x" * 700_000


async def test_requests_follow_each_other_on_one_connection() -> None:
    """Fast, other and streamed routes share a connection, in any order."""
    async with staged() as stage:
        client = await stage.connect()
        for _ in range(2):
            await client.send(post("/echo", b"a"))
            assert "a" == (await client.answer()).json["body"]
            await client.send(b"GET /hello?name=b HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"hello b" == (await client.answer("GET")).body
            await client.send(chunked("/stream", b"abc", b"def"))
            got = await client.answer()
            assert (b"<ABCDEF>", "chunked") == (got.body, got.headers["transfer-encoding"])
            assert "x-trace-id" in got.headers


async def test_pipeline_of_all_kinds_is_answered_in_order() -> None:
    """One segment with every kind of request."""
    async with staged() as stage:
        client = await stage.connect()
        get = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
        await client.send(post("/echo", b"1") + get + post("/stream", b"b") + post("/echo", b"2"))
        bodies = [(await client.answer()).body for _ in range(4)]
        assert [b"hello ", b"<B>"] == bodies[1:3]
        assert b'"2"' in bodies[3]


async def test_late_answer_is_written_and_pipelined_ones_keep_their_order() -> None:
    """Answers that come from elsewhere reach a connection that nobody reads just now."""
    async with staged() as stage:
        client = await stage.connect()
        await client.send(post("/hold", b"1"))
        await stage.handlers.has_held.wait()
        stage.handlers.release()
        assert "1" == (await client.answer()).json["body"]
        stage.handlers.has_held = trio.Event()
        await client.send(post("/hold", b"2") + post("/hold", b"3"))
        await stage.handlers.has_held.wait()
        stage.handlers.release(1)
        stage.handlers.release(0)
        assert ["2", "3"] == [(await client.answer()).json["body"] for _ in range(2)]


async def test_head_is_answered_without_a_body() -> None:
    """HEAD has the headers of GET, and its length."""
    async with staged() as stage:
        client = await stage.connect()
        await client.send(b"HEAD /hello?name=b HTTP/1.1\r\nHost: a\r\n\r\n")
        got = await client.answer("HEAD")
        assert (200, "7", b"") == (got.status, got.headers["content-length"], got.body)
        await client.send(post("/echo", b"a"))
        assert 200 == (await client.answer()).status


@pytest.mark.parametrize("route", ["/nowhere", "/echo"])
async def test_unknown_route_and_method_are_the_applications(route: str) -> None:
    """404 and 405 come from the application, also for methods that the parser does not know."""
    async with staged() as stage:
        client = await stage.connect()
        await client.send(b"FETCH %b HTTP/1.1\r\nHost: a\r\n\r\n" % route.encode())
        assert 404 == (await client.answer("GET")).status


async def test_chunked_answer_for_1_1_and_open_end_for_1_0() -> None:
    """An answer without a length is in chunks, or ends with the connection."""
    async with staged() as stage:
        client = await stage.connect()
        await client.send(b"GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n")
        got = await client.answer("GET")
        assert (b"abbccc", "chunked") == (got.body, got.headers["transfer-encoding"])
        await client.send(b"GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        rest = await client.ended()
        assert rest.endswith(b"\r\n\r\nabbccc")
        assert b"connection: close" in rest.lower()


async def test_large_bodies_go_both_ways() -> None:
    """A body of many reads, in one piece and in chunks, to every kind of route."""
    async with staged() as stage:
        client = await stage.connect()
        for raw in (post("/echo", BIG), chunked("/echo", BIG[:300_000], BIG[300_000:])):
            await client.send(raw)
            assert len(BIG) == len((await client.answer()).json["body"])
        for raw in (post("/upload", BIG), chunked("/upload", BIG[:300_000], BIG[300_000:])):
            await client.send(raw)
            assert b"700000" == (await client.answer()).body


async def test_streamed_body_is_read_and_answered_with_bounded_buffers() -> None:
    """A stream larger than any limit passes while both ends move."""
    async with staged(FrontLimits(body_bytes_max=100_000)) as stage:
        client = await stage.connect()
        total = 20 * len(BIG)

        async def send() -> None:
            head = b"POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % total
            await client.send(head)
            for _ in range(20):
                await client.send(BIG)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            got = await client.answer()
        assert total + 2 == len(got.body)


async def test_expectation_is_met_when_the_body_is_read() -> None:
    """The application's first read asks for the body; a route that reads nothing closes."""
    async with staged() as stage:
        for path, interim in (("/upload", (100,)), ("/stream", (100,)), ("/echo", (100,))):
            client = await stage.connect()
            head, body = post(path, b"abc", b"Expect: 100-continue").split(b"\r\n\r\n")
            await client.send(head + b"\r\n\r\n")
            first = bytes(await client.stream.receive_some(25))
            assert b"HTTP/1.1 100 Continue\r\n\r\n" == first
            await client.send(body)
            got = await client.answer()
            assert (200, ()) == (got.status, got.interim)
            assert interim
        client = await stage.connect()
        await client.send(post("/nowhere", b"abc", b"Expect: 100-continue")[:-3])
        got = await client.answer()
        assert (404, "close", ()) == (got.status, got.headers["connection"], got.interim)
        assert b"" == await client.ended()


async def test_answer_before_the_body_closes() -> None:
    """The rest of a body that nobody wanted is never read as a request."""
    async with staged() as stage:
        client = await stage.connect()
        await client.send(b"POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n")
        got = await client.answer()
        assert (b"ignored", "close") == (got.body, got.headers["connection"])
        await client.send(post("/echo", b"smuggled"))
        assert b"" == await client.ended()
        assert [] == stage.handlers.seen


async def test_defect_in_an_application_cuts_the_answer_off() -> None:
    """A begun answer cannot become an error, so it does not end."""
    async with staged() as stage:
        client = await stage.connect()
        await client.send(b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\n")
        rest = await client.ended()
        assert b"begun" in rest
        assert not rest.endswith(b"0\r\n\r\n")


async def test_malformed_chunks_in_an_applications_body_are_refused() -> None:
    """The application's reading ends, and the client is told why."""
    async with staged() as stage:
        for path in ("/upload", "/stream"):
            client = await stage.connect()
            await client.send(chunked(path)[:-5] + b"xyz\r\n")
            got = await client.answer()
            assert (400, "close") == (got.status, got.headers["connection"])


async def test_client_that_goes_has_its_request_cancelled() -> None:
    """The application hears of a disconnect, after the delay that a half-closed client has."""
    async with staged(QUICK) as stage:
        client = await stage.connect()
        await client.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        await stage.handlers.has_begun.wait()
        await client.stream.aclose()
        await stage.handlers.was_cancelled.wait()


async def test_client_that_has_said_all_is_still_answered() -> None:
    """A half-closed connection is good enough for what was asked before."""
    async with staged() as stage:
        for raw in (post("/hold", b"a"), b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"):
            client = await stage.connect()
            assert isinstance(client.stream, trio.SocketStream)
            await client.send(raw)
            await client.stream.send_eof()
            if raw.startswith(b"POST"):
                await stage.handlers.has_held.wait()
                stage.handlers.release()
            assert 200 == (await client.answer()).status
            assert b"" == await client.ended()


async def test_client_that_resets_before_its_answer_harms_nobody() -> None:
    """A late answer to a connection that is gone is dropped."""
    async with staged() as stage:
        client = await stage.connect()
        assert isinstance(client.stream, trio.SocketStream)
        await client.send(post("/hold", b"a"))
        await stage.handlers.has_held.wait()
        client.stream.socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        client.stream.socket.close()
        other = await stage.connect()
        await other.send(post("/echo", b"b"))
        await other.answer()
        stage.handlers.release()
        await other.send(post("/echo", b"b"))
        assert 200 == (await other.answer()).status


async def test_slow_header_is_refused_in_time() -> None:
    """A header section that dribbles in does not hold a connection."""
    async with staged(QUICK) as stage:
        client = await stage.connect()
        await client.send(b"POST /echo HTTP/1.1\r\n")
        got = await client.answer()
        assert (408, "close", "REQUEST_TIMEOUT") == (
            got.status,
            got.headers["connection"],
            got.json["code"],
        )
        assert b"" == await client.ended()


@pytest.mark.parametrize("path", ["/echo", "/upload", "/stream"])
async def test_slow_body_is_refused_in_time(path: str) -> None:
    """So does a body without progress."""
    async with staged(QUICK) as stage:
        client = await stage.connect()
        await client.send(post(path, b"abc")[:-1])
        if path == "/stream":
            rest = await client.ended()
            assert b"0\r\n\r\n" not in rest
        else:
            assert 408 == (await client.answer()).status
            assert b"" == await client.ended()


async def test_idle_connections_are_closed() -> None:
    """Both a new connection and one that was used."""
    async with staged(QUICK) as stage:
        new, used = await stage.connect(), await stage.connect()
        await used.send(post("/echo", b"a"))
        await used.answer()
        assert [b"", b""] == [await new.ended(), await used.ended()]


async def test_running_request_is_not_idle() -> None:
    """Waiting for an answer is not idleness, however long it takes."""
    async with staged(QUICK) as stage:
        client, idle = await stage.connect(), await stage.connect()
        await client.send(post("/hold", b"a"))
        await idle.ended()
        stage.handlers.release()
        assert 200 == (await client.answer()).status


@pytest.mark.parametrize("path", ["/endless", "/echo"])
async def test_client_that_does_not_read_is_bounded_and_dropped(path: str) -> None:
    """Its connection ends; what it had sent is not all served."""
    async with staged(QUICK) as stage:
        client = await stage.connect()
        if path == "/endless":
            await client.send(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        else:
            with pytest.raises(trio.BrokenResourceError):
                await client.send(post("/echo", b"a" * 30_000) * 10_000)
            assert len(stage.handlers.seen) < 1000
        rest = await client.ended()
        assert len(rest) < 100_000_000


async def test_too_many_connections_are_refused() -> None:
    """The one too many is told so, and the others go on."""
    async with staged(FrontLimits(connections_max=2)) as stage:
        first, second = await stage.connect(), await stage.connect()
        for client in (first, second):
            await client.send(post("/echo", b"a"))
            await client.answer()
        third = await stage.connect()
        got = await third.answer()
        assert (503, "OVERLOADED", "1", "close") == (
            got.status,
            got.json["code"],
            got.headers["retry-after"],
            got.headers["connection"],
        )
        assert b"" == await third.ended()
        await third.stream.aclose()
        await first.stream.aclose()
        await second.send(post("/echo", b"a"))
        assert 200 == (await second.answer()).status


async def test_refused_client_that_still_sends_can_read_why() -> None:
    """The connection is closed only after the client could read, though its bytes are not looked at."""
    async with staged() as stage:
        client = await stage.connect()
        head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, head + b"x" * 3_000_000)
            got = await client.answer()
        assert 413 == got.status
        await client.stream.aclose()


async def test_stop_closes_idle_connections_and_finishes_requests() -> None:
    """What runs is answered, with a word that the connection ends; what idles is closed."""
    async with staged(grace_s=10) as stage:
        idle, held, waiting, begun = [await stage.connect() for _ in range(4)]
        await idle.send(post("/echo", b"a"))
        await idle.answer()
        await held.send(post("/hold", b"a"))
        await waiting.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        await begun.send(b"POST /echo HTTP/1.1\r\n")
        await stage.handlers.has_held.wait()
        await stage.handlers.has_begun.wait()
        stage.stopping.set()
        assert b"" == await idle.ended()
        got = await begun.answer()
        assert (503, "close") == (got.status, got.headers["connection"])
        with pytest.raises(OSError, match=r"."):
            await stage.connect()
        stage.handlers.release()
        got = await held.answer()
        assert (200, "close") == (got.status, got.headers["connection"])
        stage.handlers.may_go_on.set()
        got = await waiting.answer("GET")
        assert (b"waited", "close") == (got.body, got.headers["connection"])
        await stage.ended.wait()


async def test_stop_is_bounded_by_its_deadline() -> None:
    """A request that does not end is cut off."""
    async with staged(grace_s=0.2) as stage:
        client = await stage.connect()
        await client.send(post("/hold", b"a"))
        await stage.handlers.has_held.wait()
        stage.stopping.set()
        await stage.ended.wait()
        assert b"" == await client.ended()
