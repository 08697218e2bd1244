"""Frames of WebSockets (RFC 6455) as a server writes them, and what a server must know of those that it reads.

Pure functions of bytes. A message is framed once for all who get it: frames of a server are not masked, and no
extension was agreed on that would make them differ from one connection to the next.
"""

import struct

_FIN = 0x80
_TEXT, _CLOSE, _PING = 0x1, 0x8, 0x9
_OPCODE = 0x0F
_IS_CONTROL = 0x8
_IS_MASKED = 0x80
_LENGTH = 0x7F
_TWO_BYTES, _EIGHT_BYTES = 126, 127
_CONTROL_BYTES_MAX = 125
_CODE_BYTES = 2
_MASK_BYTES = 4
_HEAD_BYTES_MAX = 14

NORMAL = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
UNSUPPORTED_DATA = 1003
POLICY_VIOLATION = 1008
MESSAGE_TOO_BIG = 1009
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013


def text(message: bytes) -> bytes:
    """A whole text message of a server in one frame; the message is UTF-8."""
    return _head(_TEXT, len(message)) + message


def ping(payload: bytes = b"") -> bytes:
    """A ping of a server; what is in it, 125 bytes at most, comes back in the pong."""
    if len(payload) > _CONTROL_BYTES_MAX:
        raise ValueError(f"a ping holds {_CONTROL_BYTES_MAX} bytes at most")
    return _head(_PING, len(payload)) + payload


def close(code: int, reason: str = "") -> bytes:
    """A server's word that it closes, and why; a reason that is too long is cut."""
    room = _CONTROL_BYTES_MAX - _CODE_BYTES
    said = reason.encode()[:room].decode(errors="ignore").encode()
    return _head(_CLOSE, _CODE_BYTES + len(said)) + code.to_bytes(_CODE_BYTES, "big") + said


def is_close(frame: bytes | bytearray | memoryview) -> bool:
    """Whether the first frame of some that a server sends is a close."""
    return len(frame) > 0 and frame[0] == _FIN | _CLOSE


def end_of_frame(block: bytes, sent: int) -> int:
    """Where the frame ends that the byte before `sent` belongs to; what follows of a block may be left out."""
    end = 0
    while end < sent:
        length = block[end + 1] & _LENGTH
        if length == _TWO_BYTES:
            end += 4 + int.from_bytes(block[end + 2 : end + 4], "big")
        elif length == _EIGHT_BYTES:
            end += 10 + int.from_bytes(block[end + 2 : end + 10], "big")
        else:
            end += 2 + length
    return end


def _head(opcode: int, length: int) -> bytes:
    if length < _TWO_BYTES:
        return bytes((_FIN | opcode, length))
    if length < 1 << 16:
        return struct.pack(">BBH", _FIN | opcode, _TWO_BYTES, length)
    return struct.pack(">BBQ", _FIN | opcode, _EIGHT_BYTES, length)


class IncomingFrames:
    """Follows the frames of a client through its bytes, however they are cut, without keeping any of them.

    `count` is how many frames have begun, `has_closed` whether one of them was a close, `message_bytes` how long the
    current message is so far, with all that its last frame has announced.
    """

    __slots__ = ("_head", "_skip", "count", "has_closed", "message_bytes")

    def __init__(self) -> None:
        self.count = 0
        self.has_closed = False
        self.message_bytes = 0
        self._head = b""
        self._skip = 0

    def feed(self, data: bytes | bytearray, message_bytes_max: int) -> bool:
        """Goes on through these bytes; False where a message is longer than that, and so are those that follow."""
        at = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            taken = data[at : at + _HEAD_BYTES_MAX - len(self._head)]
            head = self._head + taken
            size = _head_size(head)
            if len(head) < size:
                self._head = bytes(head)
                return True
            at += size - len(self._head)
            self._head = b""
            if not self._begin(bytes(head), message_bytes_max):
                return False
        return True

    def _begin(self, head: bytes, message_bytes_max: int) -> bool:
        first, length = head[0], head[1] & _LENGTH
        if length >= _TWO_BYTES:
            end = 4 if length == _TWO_BYTES else 10
            length = int.from_bytes(head[2:end], "big")
        self.count += 1
        self._skip = length
        if first & _IS_CONTROL:
            self.has_closed = self.has_closed or first & _OPCODE == _CLOSE
            return length <= message_bytes_max
        self.message_bytes += length
        fits = self.message_bytes <= message_bytes_max
        if first & _FIN:
            self.message_bytes = 0
        return fits


def _head_size(head: bytes | bytearray) -> int:
    """How long a frame's head is, as far as its first bytes tell."""
    if len(head) < 2:
        return 2
    length = head[1] & _LENGTH
    size = {_TWO_BYTES: 4, _EIGHT_BYTES: 10}.get(length, 2)
    return size + (_MASK_BYTES if head[1] & _IS_MASKED else 0)
