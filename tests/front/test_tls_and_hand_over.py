"""TLS, HTTP/2 and WebSockets on the port of the fast lane."""

import ssl
from pathlib import Path

import httpx
import pytest
import trio
import trio_websocket
import trustme

from jackpotd.front.hand_over import TlsFiles, tls_context
from jackpotd.front.limits import FrontLimits

from .staging import QUICK, Client, Stage, chunked, post, staged

AUTHORITY = trustme.CA()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    folder = tmp_path_factory.mktemp("tls")
    certificate = AUTHORITY.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for number, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(folder / "certificate.pem", append=number > 0)
    return TlsFiles(str(folder / "certificate.pem"), str(folder / "key.pem"))


def trusting(*protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


async def secure(stage: Stage) -> Client:
    """A connection with TLS and HTTP/1.1."""
    stream = await trio.open_tcp_stream("127.0.0.1", stage.port)
    client = Client(
        trio.SSLStream(
            stream, trusting("http/1.1"), server_hostname="127.0.0.1", https_compatible=True
        )
    )
    stage.clients.append(client)
    return client


async def test_tls_serves_every_kind_of_request(files: TlsFiles) -> None:
    """The same protocol inside: fast, other and streamed routes, pipelined, on one connection."""
    async with staged(tls=files) as stage:
        client = await secure(stage)
        get = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
        for _ in range(2):
            await client.send(
                post("/echo", b"1") + get + chunked("/stream", b"b") + post("/echo", b"2")
            )
            bodies = [(await client.answer()).body for _ in range(4)]
            assert [b"hello ", b"<B>"] == bodies[1:3]
        big = b"x" * 900_000
        await client.send(post("/echo", big))
        assert len(big) == len((await client.answer()).json["body"])
        await client.send(post("/hold", b"late"))
        await stage.handlers.has_held.wait()
        stage.handlers.release()
        assert "late" == (await client.answer()).json["body"]


async def test_tls_refuses_and_closes(files: TlsFiles) -> None:
    """A refused connection with TLS serves nothing more either."""
    async with staged(tls=files) as stage:
        client = await secure(stage)
        await client.send(b"GET / HTTP/1.1\r\n\r\n" + post("/echo", b"smuggled"))
        assert 400 == (await client.answer()).status
        assert b"" == await client.ended()
        assert [] == stage.handlers.seen


async def test_plain_text_on_a_port_with_tls_harms_nobody(files: TlsFiles) -> None:
    """A failed or endless handshake is that client's alone."""
    async with staged(QUICK, tls=files) as stage:
        plain, silent = await stage.connect(), await stage.connect()
        await plain.send(post("/echo", b"a"))
        await plain.ended()
        assert b"" == await silent.ended()
        client = await secure(stage)
        await client.send(post("/echo", b"a"))
        assert 200 == (await client.answer()).status


async def test_tls_stop_answers_what_runs(files: TlsFiles) -> None:
    """Idle connections are closed, running ones answered."""
    async with staged(tls=files, grace_s=10) as stage:
        idle, held = await secure(stage), await secure(stage)
        await idle.send(post("/echo", b"a"))
        await idle.answer()
        await held.send(post("/hold", b"a"))
        await stage.handlers.has_held.wait()
        stage.stopping.set()
        assert b"" == await idle.ended()
        stage.handlers.release()
        got = await held.answer()
        assert (200, "close") == (got.status, got.headers["connection"])


async def test_tls_slow_reader_is_dropped(files: TlsFiles) -> None:
    """Buffers and time are bounded with TLS too."""
    async with staged(QUICK, tls=files) as stage:
        client = await secure(stage)
        await client.send(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        idle = await secure(stage)
        await idle.send(post("/echo", b"a"))
        await idle.answer()
        await idle.ended()
        rest = await client.ended()
        assert len(rest) < 100_000_000


async def test_http2_by_alpn(files: TlsFiles) -> None:
    """A client that speaks HTTP/2 is understood; the application answers."""
    async with (
        staged(tls=files) as stage,
        httpx.AsyncClient(http2=True, http1=False, verify=trusting()) as client,
    ):
        for _ in range(2):
            got = await client.get(f"https://127.0.0.1:{stage.port}/hello?name=x")
            assert ("HTTP/2", "hello x") == (got.http_version, got.text)


async def test_http2_by_prior_knowledge() -> None:
    """The preface is recognised on a plain connection."""
    async with staged() as stage, httpx.AsyncClient(http2=True, http1=False) as client:
        for _ in range(2):
            got = await client.post(f"http://127.0.0.1:{stage.port}/upload", content=b"abc")
            assert ("HTTP/2", "3") == (got.http_version, got.text)


async def test_http2_by_upgrade_after_other_requests() -> None:
    """The request that asks for HTTP/2 is answered in HTTP/2."""
    async with staged() as stage:
        client = await stage.connect()
        await client.send(post("/echo", b"a"))
        await client.answer()
        await client.send(
            b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
        )
        data = b""
        while b"hello " not in data:
            data += bytes(await client.stream.receive_some(65536))
        assert data.startswith(b"HTTP/1.1 101")


@pytest.mark.parametrize("is_tls", [False, True])
async def test_web_socket_is_the_applications(files: TlsFiles, is_tls: bool) -> None:
    """A WebSocket passes through, with TLS and without."""
    async with staged(tls=files if is_tls else None) as stage:
        url = f"ws{'s' if is_tls else ''}://127.0.0.1:{stage.port}/ws"
        context = trusting("http/1.1") if is_tls else None
        async with trio_websocket.open_websocket_url(url, ssl_context=context) as ws:
            for number in range(3):
                await ws.send_message(f"hello {number}")
                assert f"hello {number}" == await ws.get_message()


async def test_web_socket_as_a_later_request_behind_others() -> None:
    """The upgrade waits for the answers before it, and its bytes are replayed from its first."""
    async with staged() as stage:
        client = await stage.connect()
        await client.send(
            post("/hold", b"1")
            + b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await stage.handlers.has_held.wait()
        stage.handlers.release()
        assert "1" == (await client.answer()).json["body"]
        data = client.unread
        while b"\r\n\r\n" not in data:
            data += bytes(await client.stream.receive_some(65536))
        assert data.startswith(b"HTTP/1.1 101")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in data


async def test_stop_closes_what_was_handed_over() -> None:
    """An HTTP/2 connection that idles does not hold the stop."""
    async with staged(grace_s=10) as stage, httpx.AsyncClient(http2=True, http1=False) as client:
        await client.get(f"http://127.0.0.1:{stage.port}/hello")
        started = trio.current_time()
        stage.stopping.set()
        await stage.ended.wait()
        assert trio.current_time() - started < 5


def test_certificate_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """A listener does not start with a certificate that it cannot use."""
    with pytest.raises(OSError, match="No such file"):
        tls_context(TlsFiles(str(tmp_path / "no.pem"), str(tmp_path / "no.key")))


async def test_handed_over_connections_count() -> None:
    """A limit that HTTP/2 could get round would be none."""
    async with (
        staged(FrontLimits(connections_max=1)) as stage,
        httpx.AsyncClient(http2=True, http1=False) as client,
    ):
        await client.get(f"http://127.0.0.1:{stage.port}/hello")
        other = await stage.connect()
        assert 503 == (await other.answer()).status


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
WEB_SOCKET = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
FRAME = b"\x82\xfe\xff\xff\x00\x00\x00\x00" + b"x" * 65_535  # binary, masked with zeros


async def test_silent_http2_is_closed_and_a_running_request_is_not() -> None:
    """Whatever comes between requests but a request, whole or half a frame, buys no time."""
    async with staged(QUICK) as stage, httpx.AsyncClient(http2=True, http1=False) as client:
        async with trio.open_nursery() as nursery:
            got: list[httpx.Response] = []

            async def wait() -> None:
                got.append(await client.get(f"http://127.0.0.1:{stage.port}/wait", timeout=15))

            nursery.start_soon(wait)
            await stage.handlers.has_begun.wait()
            for raw in (PREFACE, PREFACE + b"\x00\x40\x00\x00\x00"):
                silent = await stage.connect()
                await silent.send(raw)
                await silent.ended()
            stage.handlers.may_go_on.set()
        assert ["waited"] == [each.text for each in got]


async def pour(client: Client) -> None:
    """Sends without end, and reads nothing but that the WebSocket is open."""
    await client.send(WEB_SOCKET)
    head = b""
    while b"\r\n\r\n" not in head:
        head += bytes(await client.stream.receive_some(1))
    while True:
        await client.send(FRAME)


async def test_handed_over_client_that_does_not_read_is_dropped() -> None:
    """Its echoes fill the sockets; then it has the time that everybody has."""
    async with staged(QUICK) as stage:
        client = await stage.connect()
        with pytest.raises(trio.BrokenResourceError):
            await pour(client)


async def test_handed_over_client_that_does_not_read_does_not_hold_a_stop() -> None:
    """Hypercorn shields what it sends; the stop is bounded all the same."""
    async with staged(grace_s=0.2) as stage:
        client = await stage.connect()
        with trio.move_on_after(1):
            await pour(client)
        started = trio.current_time()
        stage.stopping.set()
        await stage.ended.wait()
        assert trio.current_time() - started < 5
