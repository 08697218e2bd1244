"""Batches as they travel: a JSON array or lines of JSON, cut into elements while they arrive (contract §3, "Batch").

Nothing is decoded here: an element is the bytes of one JSON value, and only a structure that cannot be cut is refused.
Both readers are fed with chunks of any size and hold no more than one element that is still incomplete. Answers are
framed like the elements: `opening` before the first, `separator` before each other one, `ending` after each, `closing`
at the end.
"""

import re
from collections.abc import Iterator

_SPACE = b" \t\r\n"
_QUOTE = ord('"')
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FLAT = rb'[^][{}"]++|' + _STRING
# Runs without structure: strings are whole, so what they hold is none. What has arrived may end in the middle of one.
_PLAIN = re.compile(rb'(?:[^][{}",]++|' + _STRING + rb")*+", re.DOTALL)
_NESTED = re.compile(rb"(?:" + _FLAT + rb")*+", re.DOTALL)
_STRING_REST = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


def _brackets(inside: bytes) -> bytes:
    return rb"[\[{](?:" + inside + rb")*+[\]}]"


# What most elements are: complete, and no deeper than this. Others are passed bracket by bracket.
_SHALLOW = re.compile(
    _brackets(_FLAT + b"|" + _brackets(_FLAT + b"|" + _brackets(_FLAT))), re.DOTALL
)


class BatchBroken(ValueError):
    """The batch cannot be read from here on; the message says why."""


class ElementTooLong(BatchBroken):
    """An element is longer than it may be; nothing behind it is looked for."""


class LineReader:
    """`application/x-ndjson`: one element a line; empty lines count for nothing."""

    opening, separator, ending, closing = b"", b"", b"\n", b""

    def __init__(self, element_bytes_max: int) -> None:
        self._element_bytes_max = element_bytes_max
        self._pending: list[bytes] = []
        self._pending_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Elements that are complete.

        Raises:
            BatchBroken: a line is longer than an element may be.
        """
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._pending, lines[0]))
            self._pending, self._pending_bytes = [], 0
        for line in lines:
            element = line.strip(_SPACE)
            _check_length(len(element), self._element_bytes_max)
            if element:
                yield element
        self._pending.append(rest)
        self._pending_bytes += len(rest)
        _check_length(self._pending_bytes, self._element_bytes_max)

    def finish(self) -> Iterator[bytes]:
        """The last element, which needs no line end."""
        return self.feed(b"\n")


class ArrayReader:
    """A JSON array: cut at the commas of its first level."""

    opening, separator, ending, closing = b"[", b",", b"", b"]"

    def __init__(self, element_bytes_max: int) -> None:
        self._element_bytes_max = element_bytes_max
        self._buffer = bytearray()
        self._at = 0  # everything before has been looked at
        self._depth = 0
        self._in_string = False
        self._elements = 0
        self._ended = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Elements that are complete.

        Raises:
            BatchBroken: no array, an element that is too long or missing, or something behind the array.
        """
        self._buffer += chunk
        while (element := self._next()) is not None:
            yield element
        _check_length(len(self._buffer), self._element_bytes_max)

    def finish(self) -> Iterator[bytes]:
        """Nothing is left, or the array has no end.

        Raises:
            BatchBroken: the array has no end.
        """
        if not self._ended:
            raise BatchBroken("the array has no end" if self._depth else "the body is no array")
        return iter(())

    def _next(self) -> bytes | None:
        buffer = self._buffer
        while self._at < len(buffer):
            if self._ended:
                if buffer.strip(_SPACE):
                    raise BatchBroken("something follows the array")
                break
            if not self._depth:
                self._open()
            elif self._skip():
                break
            else:
                mark = buffer[self._at]
                if self._depth == 1 and mark in b",]":
                    return self._cut(mark)
                if self._depth == 1 and (end := _end(_SHALLOW, buffer, self._at)) > self._at:
                    self._at = end
                    continue
                self._at += 1
                self._depth += 1 if mark in b"[{" else -1
                if not self._depth:
                    raise BatchBroken(f"element {self._elements} closes what it did not open")
        return None

    def _open(self) -> None:
        buffer = self._buffer
        del buffer[: len(buffer) - len(buffer.lstrip(_SPACE))]
        if buffer and buffer[0] != ord("["):
            raise BatchBroken("the body is no array")
        self._depth = 1 if buffer else 0
        del buffer[:1]

    def _skip(self) -> bool:
        """Passes what is no structure; True where that reaches the end of what has arrived."""
        buffer = self._buffer
        while self._at < len(buffer):
            if not self._in_string:
                self._at = _end(_PLAIN if self._depth == 1 else _NESTED, buffer, self._at)
            elif (end := _end(_STRING_REST, buffer, self._at)) < len(buffer) and buffer[
                end
            ] != _QUOTE:
                self._at = end
                return True  # a backslash whose character has not arrived
            else:
                self._at = end
            if self._at < len(buffer) and buffer[self._at] != _QUOTE:
                return False
            if self._at < len(buffer):
                self._at += 1
                self._in_string = not self._in_string
        return True

    def _cut(self, mark: int) -> bytes | None:
        element = bytes(self._buffer[: self._at]).strip(_SPACE)
        del self._buffer[: self._at + 1]
        self._at = 0
        self._ended = mark == ord("]")
        if not element and (self._elements or not self._ended):
            raise BatchBroken(f"element {self._elements} is missing")
        if not element:
            return self._next()  # an empty array; only space may follow
        _check_length(len(element), self._element_bytes_max)
        self._elements += 1
        return element


def _end(pattern: re.Pattern[bytes], buffer: bytearray, at: int) -> int:
    found = pattern.match(buffer, at)
    return at if found is None else found.end()


def _check_length(length: int, element_bytes_max: int) -> None:
    if length > element_bytes_max:
        raise ElementTooLong(f"an element is longer than {element_bytes_max} bytes")
