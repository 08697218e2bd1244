"""A client library that we did not write, for Trio: it waits in threads."""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import trio
import websockets
from websockets.sync.client import ClientConnection
from websockets.typing import Origin as ClientOrigin

Json = dict[str, Any]

ANSWER_TIMEOUT_S = 5.0


class Client:
    """A socket of the library's, for Trio; `recv` waits in a thread."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: Json | str | bytes) -> None:
        text = json.dumps(message) if isinstance(message, dict) else message
        await trio.to_thread.run_sync(self.connection.send, text)

    async def receive(self, timeout_s: float = ANSWER_TIMEOUT_S) -> Json:
        """The next message, which is text."""
        text = await trio.to_thread.run_sync(partial(self.connection.recv, timeout=timeout_s))
        assert isinstance(text, str)
        found: Json = json.loads(text)
        return found

    async def until(
        self, is_wanted: Callable[[Json], bool], timeout_s: float = ANSWER_TIMEOUT_S
    ) -> Json:
        """The next message of a kind; others are passed over."""
        with trio.fail_after(timeout_s):
            while True:
                message = await self.receive(timeout_s)
                if is_wanted(message):
                    return message

    async def named(self, name: str) -> Json:
        """The next message of that name, on either listener."""
        return await self.until(lambda message: name == _name(message))

    async def error(self) -> Json:
        """The next error message."""
        return await self.until(lambda message: message.get("msg_type") == "Error")

    async def subscribe(self, event_type: str = "*", **more: Any) -> None:
        events = [{"source": "thrillpots", "event_type": event_type}]
        await self.send({"SubscribeRequest": {"events": events, **more}})

    async def all_until(self, is_last: Callable[[Json], bool]) -> list[Json]:
        """All messages up to one, which is the last of them."""
        found = [await self.receive()]
        while not is_last(found[-1]):
            found.append(await self.receive())
        return found

    async def closed(self) -> tuple[int, str]:
        """The code and the reason that the server closes it with, whatever it sends before that."""
        with suppress(websockets.ConnectionClosed):
            while True:
                await self.receive()
        return self.connection.close_code or 0, self.connection.close_reason or ""

    async def is_alive(self) -> bool:
        """Whether an error is answered by an error: the socket lives, and all before it was served."""
        await self.send({"Ping": {}})
        answer = await self.until(lambda message: message.get("msg_name") == "Ping")
        return bool(answer["msg_type"] == "Error")


def _name(message: Json) -> str | None:
    found = message.get("msg_name") or message.get("event_type")
    return None if found is None else str(found)


def origin(text: str) -> ClientOrigin:
    """An origin as the client library types it."""
    return ClientOrigin(text)
