"""What a receiver may send us: little at a time, and not much in all.

The HTTP client parses whatever one read has brought in one go, on the event loop that serves everybody. So a read
brings little, and an answer is over where it goes beyond its bound, however many interim responses or chunks it is
made of.
"""

import ssl
import typing
from collections.abc import Iterable
from http.cookiejar import CookieJar
from urllib.request import Request

import httpcore
import httpx

ANSWER_BYTES_MAX = 16_384
"""Head and body of an answer, with whatever comes before it."""

READ_BYTES_MAX = 2_048


class _MeasuredStream(httpcore.AsyncNetworkStream):
    """A connection that reads little at a time, and breaks where the answer to what was written is too long."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left = ANSWER_BYTES_MAX

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the port's shape
        if self._left <= 0:
            raise httpcore.ReadError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
        data = await self._stream.read(min(max_bytes, READ_BYTES_MAX), timeout)
        self._left -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the port's shape
        self._left = ANSWER_BYTES_MAX
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the port's shape
    ) -> httpcore.AsyncNetworkStream:
        return _MeasuredStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> typing.Any:
        return self._stream.get_extra_info(info)


class _MeasuredConnections(httpcore.AsyncNetworkBackend):
    """Opens such connections on Trio."""

    def __init__(self) -> None:
        self._backend = httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the port's shape
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _MeasuredStream(
            await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        )

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own transport over a pool with these connections, which it has no argument for (of 0.28; pinned)."""

    def __init__(self, tls: ssl.SSLContext, *, connections_max: int) -> None:
        super().__init__(verify=tls)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=connections_max,
            max_keepalive_connections=connections_max,
            network_backend=_MeasuredConnections(),
        )


class _NoCookies(CookieJar):
    """Nothing that a receiver sets is looked at, or comes back to it."""

    def extract_cookies(self, response: typing.Any, request: Request) -> None:
        pass

    def add_cookie_header(self, request: Request) -> None:
        pass


def new_client(tls: ssl.SSLContext, *, connections_max: int) -> httpx.AsyncClient:
    """A client for one receiver.

    Args:
        tls: what certificates are checked with.
        connections_max: at once.
    """
    return httpx.AsyncClient(
        transport=_Transport(tls, connections_max=connections_max),
        trust_env=False,
        follow_redirects=False,
        headers={"user-agent": "jackpotd", "accept-encoding": "identity"},
        cookies=_NoCookies(),
    )
