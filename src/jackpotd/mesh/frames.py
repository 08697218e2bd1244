"""Frames out of a stream of bytes, without I/O."""

from collections.abc import Iterator

import msgspec

from jackpotd.mesh.limits import FRAME_BYTES_MAX, LENGTH_BYTES, FrameError
from jackpotd.wire import mesh_messages as wire

Messages = list[tuple[int, wire.Message]]


class FrameReader:
    """Gathers what was received until a frame is whole."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: memoryview) -> Iterator[Messages]:
        """The messages of each frame that is whole now; must be exhausted before it is fed again.

        Raises:
            FrameError: a frame that is too long, or no frame at all.
        """
        received = self._received
        received += data
        at = 0
        try:
            while len(received) - at >= LENGTH_BYTES:
                begin = at + LENGTH_BYTES
                length = int.from_bytes(received[at:begin], "big")
                if length > FRAME_BYTES_MAX:
                    raise FrameError(f"a frame of {length} bytes; {FRAME_BYTES_MAX} is the limit")
                if len(received) - begin < length:
                    break
                at = begin + length
                yield _decoded(received, begin, at)
        finally:
            del received[:at]


def _decoded(received: bytearray, begin: int, end: int) -> Messages:
    with memoryview(received) as whole, whole[begin:end] as part:
        try:
            return wire.decode(part)
        except msgspec.DecodeError as error:
            raise FrameError(f"a frame that does not decode: {error}") from None
