"""Peer: Quart-Trio on Hypercorn, decode and encode only. What this program was before it had a lane of its own."""

from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import Response, request
from quart_trio import QuartTrio

from bench.generator.workload import V2_PATH
from bench.servers import message

app = QuartTrio(__name__)


@app.post(V2_PATH)
async def contribute() -> Response:
    body = await request.get_data()
    return Response(message.answer(message.decode(body)), content_type="application/json")


def main() -> None:
    opened, ready = message.listening()
    config = Config()
    config.bind = [f"fd://{opened.fileno()}"]
    config.loglevel = "WARNING"
    config.keep_alive_max_requests = 1_000_000_000
    print(ready)
    asgi: Any = app
    trio.run(serve, asgi, config)


if __name__ == "__main__":
    main()
