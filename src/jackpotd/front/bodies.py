"""Bodies: of a known length, or in chunks, which are read strictly.

That is, with sizes in hexadecimal, CR LF and nothing else, and bounded lines and trailers.

The parser library reads it too, but does not say where a message ends, and passes what it should refuse.
"""

import re

from jackpotd.front.head import body_too_large, malformed
from jackpotd.front.limits import FrontLimits

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_EXTENSION = rb"[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?" % (_TOKEN, _TOKEN, _QUOTED)
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:%b)*" % _EXTENSION)
_SIZE_LINE_BEGUN = re.compile(rb"[0-9A-Fa-f]{1,15}(?:[ \t]*(?:;[\t -~\x80-\xff]*)?\r?)?")
_TRAILER = re.compile(rb"%b:[\t -~\x80-\xff]*" % _TOKEN)

_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class SizedReader:
    """A body whose length is known."""

    __slots__ = ("_missing",)

    def __init__(self, length: int) -> None:
        self._missing = length

    @property
    def is_done(self) -> bool:
        return not self._missing

    def read(self, data: bytes, position: int) -> tuple[list[bytes], int]:
        """The pieces of the body from a position on, and the position of the first byte not used."""
        piece = data[position : position + self._missing]
        self._missing -= len(piece)
        return [piece] if piece else [], position + len(piece)


class ChunkReader:
    """Takes bytes, gives back the body's pieces, and knows where it ended.

    Args:
        limits: of lines, extensions and trailers.
        body_bytes_max: of the body; None where it has no limit.
    """

    __slots__ = (
        "_body_bytes_max",
        "_extension_bytes",
        "_limits",
        "_missing",
        "_state",
        "_trailer_bytes",
        "body_bytes",
    )

    def __init__(self, limits: FrontLimits, body_bytes_max: int | None) -> None:
        self._limits = limits
        self._body_bytes_max = body_bytes_max
        self._extension_bytes = 0
        self._state = _SIZE
        self._missing = 0
        self._trailer_bytes = 0
        self.body_bytes = 0

    @property
    def is_done(self) -> bool:
        return self._state == _DONE

    def read(self, data: bytes, position: int) -> tuple[list[bytes], int]:
        """The pieces of the body from a position on, and the position of the first byte not used.

        Raises:
            RequestRefused: the coding is malformed, or the body too long.
        """
        pieces: list[bytes] = []
        while self._state != _DONE:
            if self._state == _DATA:
                piece = data[position : position + self._missing]
                if not piece:
                    break
                pieces.append(piece)
                position += len(piece)
                self._missing -= len(piece)
                if self._missing:
                    break
                self._state = _DATA_END
                continue
            end = data.find(b"\r\n", position)
            if end < 0:
                self._check_begun(data[position:])
                break
            self._take_line(data[position:end])
            position = end + 2
        return pieces, position

    def _take_line(self, line: bytes) -> None:
        if self._state == _SIZE:
            self._begin_chunk(line)
        elif self._state == _DATA_END:
            if line:
                raise malformed("a chunk does not end where its size says")
            self._state = _SIZE
        elif not line:
            self._state = _DONE
        else:
            self._trailer_bytes += len(line) + 2
            if self._trailer_bytes > self._limits.trailer_bytes_max:
                raise malformed("the trailers are too long")
            if _TRAILER.fullmatch(line) is None:
                raise malformed("a trailer is malformed")

    def _begin_chunk(self, line: bytes) -> None:
        if len(line) > self._limits.chunk_line_bytes_max:
            raise malformed("the line of a chunk's size is too long")
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise malformed("the size of a chunk is malformed")
        self._extension_bytes += len(line) - len(match[1])
        if self._extension_bytes > self._limits.trailer_bytes_max:
            raise malformed("the extensions of the chunks are too long")
        size = int(match[1], 16)
        self.body_bytes += size
        if self._body_bytes_max is not None and self.body_bytes > self._body_bytes_max:
            raise body_too_large(self._limits)
        self._missing = size
        self._state = _DATA if size else _TRAILERS

    def _check_begun(self, begun: bytes) -> None:
        """A line that has not ended yet: may it still become good?"""
        if not begun:
            return
        if self._state == _DATA_END:
            if begun != b"\r":
                raise malformed("a chunk does not end where its size says")
        elif self._state == _SIZE:
            if len(begun) > self._limits.chunk_line_bytes_max:
                raise malformed("the line of a chunk's size is too long")
            if _SIZE_LINE_BEGUN.fullmatch(begun) is None:
                raise malformed("the size of a chunk is malformed")
        elif len(begun) + self._trailer_bytes > self._limits.trailer_bytes_max:
            raise malformed("the trailers are too long")
        elif b"\n" in begun or b"\r" in begun[:-1]:
            raise malformed("a trailer is malformed")
