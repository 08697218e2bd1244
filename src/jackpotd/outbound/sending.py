"""One attempt to tell a receiver of a result: resolve, check, connect to what was checked, sign, send, read the status.

The client is given an address, never a name, so nothing between the check and the connection can answer differently;
the name stands in the Host header and is what a certificate is checked against. Permission is asked for at every
attempt, so a connection that is open already is not used for what was forbidden meanwhile.
"""

import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf

import httpx
import trio
from msgspec import Struct

from jackpotd.outbound.measured_streams import new_client
from jackpotd.outbound.resolving import Resolve
from jackpotd.wire.webhook_urls import WebhookUrl

RETRY_AFTER_MS_MAX = 86_400_000
BODY_BYTES_MAX = 8_192
RESPONSE_S_MAX = 1.0
ADDRESSES_KEPT_S = 10.0
CONNECTIONS_TRIED_MAX = 3
CONNECTING_PART = 0.9
"""Of what is left of an attempt's time, what connecting may take at the most."""

REASON_CHARACTERS_MAX = 200

_BROKEN = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ssl.SSLError)


class Answer(Struct, frozen=True):
    """How an attempt ended: with a status, or with none and the reason; when the receiver wants to be asked again."""

    status: int | None
    reason: str
    retry_after_ms: int = 0

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """Whether the receiver says that it is there no more, for good."""
        return self.status == httpx.codes.GONE

    @property
    def is_away(self) -> bool:
        """Whether it may be the receiver that fails, or has too much to do, rather than this one result."""
        status = self.status
        return status is None or status == httpx.codes.TOO_MANY_REQUESTS or status >= 500


class Post(Struct, frozen=True):
    """What is sent, and where."""

    url: WebhookUrl
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """The connections to one origin, for one operator.

    Args:
        resolve: the origin's addresses.
        tls: what certificates are checked with.
        timeout_s: how long an attempt may take, up to the head of its response.
        connections_max: attempts at once.
    """

    def __init__(
        self, resolve: Resolve, tls: ssl.SSLContext, *, timeout_s: float, connections_max: int
    ) -> None:
        self._resolve = resolve
        self._tls = tls
        self._timeout_s = timeout_s
        self._connections_max = connections_max
        self._client: httpx.AsyncClient | None = None
        self._addresses: Sequence[str] = ()
        self._addresses_until_s = -inf

    async def send(self, post: Post, may_connect: Callable[[str], bool], now_ms: int) -> Answer:
        """Makes one attempt; whatever the receiver does, this answers within the timeout and a second.

        Args:
            post: the request.
            may_connect: whether an address of its host is permitted.
            now_ms: the time, Unix ms, to understand dates in the response with.
        """
        with trio.move_on_after(self._timeout_s) as until_head:
            try:
                return await self._send(post, may_connect, now_ms, until_head)
            except _BROKEN as error:
                self._addresses_until_s = -inf
                return Answer(None, _reason(error))
        self._addresses_until_s = -inf
        return Answer(None, f"no answer within {self._timeout_s:g} s")

    async def _send(
        self,
        post: Post,
        may_connect: Callable[[str], bool],
        now_ms: int,
        until_head: trio.CancelScope,
    ) -> Answer:
        addresses = [each for each in await self._resolved(post.url) if may_connect(each)]
        addresses = addresses[:CONNECTIONS_TRIED_MAX]
        failure = f"{post.url.host} has no address that may be connected to"
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            # For the connection, and as much again for TLS. The client ends these by itself: where it is cancelled in
            # the middle of a handshake, it leaves the socket to the garbage collection.
            left_s = until_head.deadline - trio.current_time()
            connect_s = CONNECTING_PART * left_s / (2 * left)
            try:
                answer = await self._post(post, address, connect_s, now_ms, until_head)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = _reason(error)
            else:
                # The one that works is the first to be tried next time.
                self._addresses = sorted(self._addresses, key=lambda each: each != address)
                return answer
        self._addresses_until_s = -inf
        return Answer(None, failure)

    async def _resolved(self, url: WebhookUrl) -> Sequence[str]:
        """The addresses of a host, of late: results come in bursts. They are checked at each attempt all the same."""
        if trio.current_time() >= self._addresses_until_s:
            self._addresses = await self._resolve(url.host, url.port)
            self._addresses_until_s = trio.current_time() + ADDRESSES_KEPT_S
        return self._addresses

    async def _post(
        self,
        post: Post,
        address: str,
        connect_s: float,
        now_ms: int,
        until_head: trio.CancelScope,
    ) -> Answer:
        if self._client is None:
            self._client = new_client(self._tls, connections_max=self._connections_max)
        async with self._client.stream(
            "POST",
            httpx.URL(post.url.text).copy_with(host=address),
            content=post.body,
            headers={"host": post.url.origin.partition("://")[2], **post.headers},
            timeout=httpx.Timeout(None, connect=connect_s),
            extensions={"sni_hostname": post.url.host},
        ) as response:
            until_head.deadline = inf
            await _read_rest(response)
        return Answer(
            response.status_code,
            f"status {response.status_code}",
            _retry_after_ms(response.headers.get("retry-after", ""), now_ms),
        )

    async def close(self) -> None:
        """Ends the connections; the next attempt opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


async def _read_rest(response: httpx.Response) -> None:
    """Reads a short body, so that the connection can be used again; else that is closed with the body unread.

    The status has said it all: whatever happens to the body does not matter.
    """
    length = response.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit() and int(length[:10]) <= BODY_BYTES_MAX):
        return
    with trio.move_on_after(RESPONSE_S_MAX):
        try:
            async for _ in response.aiter_raw():
                pass
        except _BROKEN:
            return


def _retry_after_ms(text: str, now_ms: int) -> int:
    """How long a receiver asks to be left alone; 0 where it does not, or is not understood."""
    if text.isascii() and text.isdigit():
        return min(int(text[:10]) * 1000, RETRY_AFTER_MS_MAX)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    return max(0, min(int((at - now).total_seconds() * 1000), RETRY_AFTER_MS_MAX))


def _reason(error: Exception) -> str:
    """What an error says, or what the one says that caused it: the client's own are often silent."""
    cause: BaseException | None = error
    while cause is not None and not str(cause):
        cause = cause.__cause__ or cause.__context__
    kind = type(error).__name__
    return kind if cause is None else f"{kind}: {cause}"[:REASON_CHARACTERS_MAX]
