"""WebSockets that another process serves: their bytes over a Unix socket, whatever they are, and whoever is slow."""

import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
import trio
import trio.testing
import trustme

from jackpotd.front.hand_over import TlsFiles
from jackpotd.front.limits import FrontLimits
from jackpotd.front.relay import LAST_WORDS_TIMEOUT_S, Relay, serve_relayed
from jackpotd.testing.street import sockets as short_directory

from .staging import USUAL, Client, Stage, staged
from .test_tls_and_hand_over import trusting

AUTHORITY = trustme.CA()
HEAD = (
    b"GET /events?x=1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PATHS = frozenset({b"/events"})
ENOUGH_BYTES = 1 << 21


@pytest.fixture
def there() -> Iterator[Path]:
    with short_directory() as folder:
        yield folder / "events.sock"


class Other:
    """The other process: what it was given, and what it does with it."""

    def __init__(self) -> None:
        self.peers: list[str] = []
        self.received = bytearray()
        self.sent_bytes = 0
        self.has_ended = trio.Event()
        self.is_there = trio.Event()
        self.answers: list[bytes] = []
        self.floods = False
        self.waits_for_end = True

    async def serve(self, stream: trio.abc.Stream, peer: str) -> None:
        self.peers.append(peer)
        self.is_there.set()
        try:
            while data := await stream.receive_some(1024):
                self.received += data
                if self.floods:
                    await self._flood(stream)
                for answer in self.answers:
                    await stream.send_all(answer)
                if self.answers and not self.waits_for_end:
                    return
        except trio.BrokenResourceError:
            pass
        finally:
            self.has_ended.set()

    async def _flood(self, stream: trio.abc.Stream) -> None:
        while True:
            await stream.send_all(b"x" * 4096)
            self.sent_bytes += 4096

    async def until(self, size: int) -> None:
        """Returns when so many bytes have come."""
        while len(self.received) < size:
            await trio.lowlevel.checkpoint()


@asynccontextmanager
async def relayed(
    there: Path, other: Other, tls: TlsFiles | None = None, limits: FrontLimits = USUAL
) -> AsyncIterator[Stage]:
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_relayed, there, other.serve)
        async with staged(sockets=Relay(PATHS, there), tls=tls, limits=limits) as stage:
            yield stage
        nursery.cancel_scope.cancel()


async def test_every_byte_goes_there_and_back_however_it_is_split(there: Path) -> None:
    """The head with its query, what came with it, and what follows; with the client's address."""
    rng, other = Random(6), Other()
    body = rng.randbytes(5000)
    async with relayed(there, other) as stage:
        client = await stage.connect()
        data, at = HEAD + body, 0
        while at < len(data):
            size = rng.choice([1, 2, 7, 100, 2000])
            await client.send(data[at : at + size])
            at += size
        await other.until(len(data))
        assert bytes(other.received) == data
        assert other.peers == ["127.0.0.1"]
        other.answers = [bytes([number]) * number for number in range(200)]
        await client.send(b".")
        expected, got = b"".join(other.answers), b""
        while len(got) < len(expected):
            got += await client.stream.receive_some(64)
        assert got == expected
        await client.stream.aclose()
        await other.has_ended.wait()


async def test_half_close_reaches_the_other_side(there: Path) -> None:
    """Of either side, and the rest still comes."""
    other = Other()
    async with relayed(there, other) as stage:
        client = await stage.connect()
        await client.send(HEAD)
        await other.is_there.wait()
        assert isinstance(client.stream, trio.SocketStream)
        await client.stream.send_eof()
        await other.has_ended.wait()
        assert await client.ended() == b""

        other.answers, other.waits_for_end = [b"last words"], False
        client = await stage.connect()
        await client.send(HEAD)
        assert await client.ended() == b"last words"
        await client.send(b"after the end")  # nobody is there, and nobody minds


async def test_client_that_vanishes_takes_its_relay_with_it(there: Path) -> None:
    """A reset is passed on, also while the other side sends and the client does not read."""
    other = Other()
    other.floods = True
    async with relayed(there, other) as stage:
        client = await stage.connect()
        await client.send(HEAD)
        await other.is_there.wait()
        assert isinstance(client.stream, trio.SocketStream)
        client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await client.stream.aclose()
        await other.has_ended.wait()


async def test_reader_that_stops_holds_nothing_but_its_own_buffers(there: Path) -> None:
    """What the other side may send ahead is bounded, and others are served."""
    other = Other()
    other.floods = True
    async with relayed(there, other) as stage:
        slow = await stage.connect()
        await slow.send(HEAD)
        while True:
            before = other.sent_bytes
            with trio.move_on_after(0.3):
                while other.sent_bytes == before:
                    await trio.lowlevel.checkpoint()
                continue
            break  # it stands still: nobody takes any more
        assert other.sent_bytes < 16 * ENOUGH_BYTES

        other.floods, other.answers = False, [b"served"]
        client = await stage.connect()
        await client.send(HEAD)
        got = b""
        while got != b"served":
            got += await client.stream.receive_some(64)
        await client.stream.aclose()
        await slow.stream.aclose()


async def test_without_the_other_process_it_is_503_with_retry_after(there: Path) -> None:
    """The connection is closed after it; other requests of the listener are served."""
    async with staged(sockets=Relay(PATHS, there)) as stage:
        client = await stage.connect()
        await client.send(HEAD)
        answer = await client.answer("GET")
        assert answer.status == 503
        assert answer.json["code"] == "OVERLOADED"
        assert int(answer.headers["retry-after"]) >= 1
        assert await client.ended() == b""

        client = await stage.connect()
        await client.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer("GET")).body == b"hello "
        assert ("gateway", "-", 503, "OVERLOADED") in stage.handlers.observed


async def test_other_paths_are_served_as_ever(there: Path) -> None:
    """A socket of the application, an unknown one, and a plain request to the path of events."""
    other = Other()
    async with relayed(there, other) as stage:
        for path, status in ((b"/ws", 101), (b"/nowhere", 404)):
            client = await stage.connect()
            await client.send(HEAD.replace(b"/events?x=1", path))
            got = await client.stream.receive_some(100)
            assert got.startswith(b"HTTP/1.1 %d" % status)
        client = await stage.connect()
        await client.send(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer("GET")).status == 404
        assert other.peers == []


async def test_sockets_do_not_take_the_place_of_connections(there: Path) -> None:
    """They are counted where they are served."""
    other = Other()
    async with relayed(there, other, limits=FrontLimits(connections_max=2)) as stage:
        for _ in range(5):
            client = await stage.connect()
            await client.send(HEAD)
        while len(other.peers) < 5:
            await trio.lowlevel.checkpoint()
        client = await stage.connect()
        await client.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer("GET")).status == 200
        for each in stage.clients:
            await trio.aclose_forcefully(each.stream)


async def test_tls_ends_here(there: Path, tmp_path: Path) -> None:
    """The other side gets what was inside, and says when it is over."""
    certificate = AUTHORITY.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    files = TlsFiles(str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem"))
    context = trusting("http/1.1")
    AUTHORITY.configure_trust(context)
    other = Other()
    other.answers, other.waits_for_end = [b"y" * 300_000], False
    async with relayed(there, other, tls=files) as stage:
        stream = await trio.open_tcp_stream("127.0.0.1", stage.port)
        client = Client(
            trio.SSLStream(stream, context, server_hostname="127.0.0.1", https_compatible=True)
        )
        stage.clients.append(client)
        await client.send(HEAD)
        assert await client.ended() == other.answers[0]
        assert bytes(other.received) == HEAD


async def test_stop_waits_for_sockets_that_the_other_process_ends(there: Path) -> None:
    """As long as it may; a client that never closes its side is cut."""
    other = Other()
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_relayed, there, other.serve)
        relay = Relay(PATHS, there)
        async with staged(sockets=relay) as stage:
            client = await stage.connect()
            await client.send(HEAD)
            await other.is_there.wait()
            stage.stopping.set()
            with trio.move_on_after(0.1):
                await stage.ended.wait()
            assert not stage.ended.is_set()
            other.answers, other.waits_for_end = [b"bye"], False
            await client.send(b".")
            assert await client.ended() == b"bye"
            began = trio.current_time()
            await stage.ended.wait()
            assert trio.current_time() - began < LAST_WORDS_TIMEOUT_S + 1
        nursery.cancel_scope.cancel()
