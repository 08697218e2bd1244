"""Peer: raw ASGI on uvicorn and uvloop with Redis, one Lua script for each contribution, `appendfsync always`.

The fast answer that skips the framework: key, pots and history in one atomic script. Called with the path of the
server's socket.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio as redis
import uvicorn

from bench.servers import message

POOL_CONNECTIONS = 64

_SCRIPT = """
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', 604800) then return -1 end
redis.call('HINCRBY', KEYS[2], 'minor', ARGV[3])
redis.call('HINCRBY', KEYS[2], 'major', ARGV[3])
redis.call('HINCRBY', KEYS[2], 'mega', ARGV[4])
redis.call('XADD', KEYS[3], '*', 'player', ARGV[1], 'amount', ARGV[2], 'reference', ARGV[5])
return redis.call('HINCRBY', KEYS[2], 'contributions', 1)
"""

Message = dict[str, Any]
_HEADERS = [(b"content-type", b"application/json")]


class Application:
    """An ASGI application; the script is loaded when the server starts."""

    def __init__(self, socket_path: str) -> None:
        pool: Any = redis.BlockingConnectionPool.from_url(
            f"unix://{socket_path}", max_connections=POOL_CONNECTIONS
        )
        self._client = redis.Redis(connection_pool=pool)
        self._script = ""

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        body, is_more = b"", True
        while is_more:
            event = await receive()
            body += event.get("body", b"")
            is_more = event.get("more_body", False)
        answer = await self._contribute(message.decode(body))
        length = (b"content-length", b"%d" % len(answer))
        await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, length]})
        await send({"type": "http.response.body", "body": answer})

    async def _lifespan(
        self, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        await receive()
        self._script = await self._client.script_load(_SCRIPT)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._client.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _contribute(self, body: message.Contribution) -> bytes:
        keys = (f"key:{body.options.idempotency_key}", f"pot:{body.target.id}", "contributions")
        amount = 10_000_000
        arguments = (body.player.id, amount, amount // 4, amount // 5, body.source.id)
        evaluated: Any = self._client.evalsha(self._script, len(keys), *keys, *arguments)
        await evaluated
        return message.answer(body)


def main() -> None:
    opened, ready = message.listening()
    app: Any = Application(sys.argv[1])
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", log_level="warning", access_log=False
    )
    print(ready)
    uvicorn.Server(config).run(sockets=[opened])


if __name__ == "__main__":
    main()
