"""The control socket: how `jackpotd shards` talks to a running server. One line asks, one line answers.

It lies in the server's private directory, so whoever may connect may also read the data directory.
"""

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import structlog
import trio
from msgspec import Struct

from jackpotd.mesh.limits import OUT_OF_RESOURCES, RESOURCES_DELAY_S
from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.figures import Report
from jackpotd.service.private_directory import CONTROL_SOCKET, running_directory

LINE_BYTES_MAX = 1 << 26
ASKING_TIMEOUT_S = 10.0

_log = structlog.get_logger("jackpotd.control")


class Look(Struct, frozen=True, tag="look"):
    """Report on workers and instances over an interval."""

    interval_s: float


class Move(Struct, frozen=True, tag="move"):
    """Move an instance to a worker."""

    instance_id: str
    worker: int


class Refused(Struct, frozen=True, tag="refused"):
    """Not done, and why."""

    message: str


class Moved(Struct, frozen=True, tag="moved"):
    """Done; `was_there` where there was nothing to do."""

    was_there: bool


class Looked(Struct, frozen=True, tag="looked"):
    """The answer to a look."""

    report: Report


Request = Look | Move
Answer = Looked | Moved | Refused

_REQUESTS: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_ANSWERS: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class NoServer(Exception):
    """Nobody answers for a data directory."""


async def serve_control(
    directory: Path,
    answer: Callable[[Request], Awaitable[Answer]],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answers until cancelled."""
    listening = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with listening:
        await listening.bind(str(directory / CONTROL_SOCKET))
        listening.listen()
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                try:
                    connection, _ = await listening.accept()
                except OSError as error:
                    if error.errno not in OUT_OF_RESOURCES:
                        raise
                    await trio.sleep(RESOURCES_DELAY_S)
                    continue
                nursery.start_soon(_serve_one, answer, trio.SocketStream(connection))


async def _serve_one(
    answer: Callable[[Request], Awaitable[Answer]], stream: trio.SocketStream
) -> None:
    async with stream:
        try:
            with trio.fail_after(ASKING_TIMEOUT_S):
                request = _REQUESTS.decode(await _line(stream))
        except (msgspec.MsgspecError, trio.BrokenResourceError, trio.TooSlowError) as error:
            _log.warning("control request is none", error=str(error))
            return
        try:
            await stream.send_all(msgspec.json.encode(await answer(request)) + b"\n")
        except trio.BrokenResourceError:
            _log.info("nobody waits for the answer any more", request=type(request).__name__)


async def _line(stream: trio.SocketStream) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n"):
        chunk = await stream.receive_some()
        if not chunk or len(data) > LINE_BYTES_MAX:
            break
        data += chunk
    return bytes(data)


async def ask(data: DataDirectory, request: Request) -> Answer:
    """Asks the server of a data directory.

    Raises:
        NoServer: there is none.
    """
    directory = running_directory(data)
    if directory is None:
        raise NoServer(f"no server runs on {data.root}")
    try:
        stream = await trio.open_unix_socket(directory / CONTROL_SOCKET)
    except OSError:
        raise NoServer(f"no server runs on {data.root}") from None
    async with stream:
        try:
            await stream.send_all(msgspec.json.encode(request) + b"\n")
            return _ANSWERS.decode(await _line(stream))
        except (trio.BrokenResourceError, msgspec.DecodeError):
            raise NoServer(f"the server on {data.root} has stopped") from None
