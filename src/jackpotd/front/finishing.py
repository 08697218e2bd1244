"""What an application behind Hypercorn needs at a stop, and when a client goes."""

from collections.abc import Iterator
from contextlib import contextmanager

import trio
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)

_DISCONNECT_DELAY_S = 1.0
_BODY_DELAY_S = 2.0


class RunningRequests:
    """Counts the requests that an application is serving."""

    def __init__(self) -> None:
        self.count = 0
        self._none = trio.Event()
        self._one = trio.Event()

    @contextmanager
    def one_more(self) -> Iterator[None]:
        if not self.count:
            self._none = trio.Event()
            self._one.set()
            self._one = trio.Event()
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
            if not self.count:
                self._none.set()

    async def none(self) -> None:
        """Waits until nothing is being served."""
        if self.count:
            await self._none.wait()

    async def one(self) -> None:
        """Waits until something is being served."""
        if not self.count:
            await self._one.wait()


def counted(app: ASGIFramework, running: RunningRequests) -> ASGIFramework:
    """The same application, whose requests are counted."""

    async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        with running.one_more():
            await app(scope, receive, send)

    return answer


def finishing(app: ASGIFramework, running: RunningRequests, stopping: trio.Event) -> ASGIFramework:
    """The same application, which takes nothing in once it stops, and hears late of a disconnect.

    Hypercorn closes idle connections at a stop, also where a request has just come in. Such a request is not served,
    because its answer would be lost, and gets no answer, because that would be cut off.

    Hypercorn announces a disconnect while it still handles that last message. Quart-Trio would cancel the sender, and
    the connection would never be watched for idleness again: no keep-alive limit, no close at a stop. A client that
    does not read still loses its request after the delay.

    Hypercorn forgets an HTTP/2 stream with the end of its answer, and drops the whole connection when that stream's
    body goes on. So an answer that comes before the end of the body ends after it, if that comes soon.
    """

    async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        if stopping.is_set():
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        with running.one_more():
            call = _Call(receive, send, is_http_2=scope["http_version"].startswith("2"))
            await app(scope, call.receive, call.send)

    return answer


class _Call:
    """The two callables of one request, and what they know of each other."""

    def __init__(
        self, receive: ASGIReceiveCallable, send: ASGISendCallable, *, is_http_2: bool
    ) -> None:
        self._receive = receive
        self._send = send
        self._is_http_2 = is_http_2
        self._is_finishing = False
        self._body_ended = trio.Event()

    async def receive(self) -> ASGIReceiveEvent:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            self._body_ended.set()
        if self._is_finishing and message["type"] == "http.disconnect":
            await trio.sleep(_DISCONNECT_DELAY_S)
        return message

    async def send(self, message: ASGISendEvent) -> None:
        self._is_finishing = False
        if message["type"] == "http.response.body" and not message.get("more_body"):
            if self._is_http_2 and not self._body_ended.is_set():
                await self._send({**message, "more_body": True})
                with trio.move_on_after(_BODY_DELAY_S):
                    await self._body_ended.wait()
                message = {**message, "body": b""}
            self._is_finishing = True
        await self._send(message)
