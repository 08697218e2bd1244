"""Peer: trio and httptools alone, decode and encode only. A task for each connection, and nothing else."""

import httptools
import trio

from bench.servers import message

_RECEIVE_BYTES = 65_536
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"


class Request:
    """What httptools calls back; one for each connection."""

    def __init__(self) -> None:
        self.body = b""
        self.complete: list[bytes] = []

    def on_message_begin(self) -> None:
        self.body = b""

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete.append(self.body)


async def serve_connection(stream: trio.SocketStream) -> None:
    request = Request()
    parser = httptools.HttpRequestParser(request)
    try:
        while data := await stream.receive_some(_RECEIVE_BYTES):
            parser.feed_data(data)
            answers = []
            for body in request.complete:
                answer = message.answer(message.decode(body))
                answers.append(_HEAD % (len(answer), answer))
            request.complete.clear()
            if answers:
                await stream.send_all(b"".join(answers))
    except trio.BrokenResourceError:
        pass
    finally:
        await trio.aclose_forcefully(stream)


async def main() -> None:
    opened, ready = message.listening()
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(opened))
    print(ready)
    await trio.serve_listeners(serve_connection, [listener])


if __name__ == "__main__":
    trio.run(main)
