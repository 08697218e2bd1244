"""Bounds of the mesh."""

import errno

from jackpotd.wire import mesh_messages as wire

LENGTH_BYTES = 4
FRAME_BYTES_MAX = 64 * 1024 * 1024
FRAME_MESSAGES_MAX = 256
RECEIVE_BYTES = 256 * 1024

# A peer that does not read is asked no more; what must not be lost then cuts the connection, and is sent again.
QUESTIONS_OPEN_MAX = 20_000
QUEUED_MESSAGES_MAX = 50_000

HELLO_DEADLINE_S = 5.0
ANSWER_DEADLINE_S = 10.0
RECONNECT_DELAY_S = 0.02
RECONNECT_DELAY_S_MAX = 0.5

OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
RESOURCES_DELAY_S = 0.2
"""How long a node waits that could not take a connection for want of descriptors or memory."""


class FrameError(Exception):
    """A peer that does not speak as it should; its connection is cut."""


def frame(messages: list[tuple[int, wire.Message]]) -> bytes:
    """The bytes of a frame: its length, then its messages.

    Raises:
        FrameError: it would be longer than a peer takes.
    """
    data = wire.encode(messages)
    if len(data) > FRAME_BYTES_MAX:
        raise FrameError(f"a frame of {len(data)} bytes; {FRAME_BYTES_MAX} is the limit")
    return len(data).to_bytes(LENGTH_BYTES, "big") + data
