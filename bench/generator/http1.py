"""Reads HTTP/1.1 answers from a buffer: as little as a generator needs, and nothing that would let it miscount.

A library would do it too, at a third of the cost of sending a request; the load must cost less than what it loads.
"""

NO_BODY = frozenset({204, 304})


class BadAnswer(Exception):
    """The server sent something that is no answer to a POST."""


Answer = tuple[int, bytes, int, bool]
"""Status, body, where the next answer begins, and whether the server closes the connection after this one."""


def answer_at(data: bytes, start: int) -> Answer | None:
    """The answer that begins at `start`; None if it is not complete yet.

    Raises:
        BadAnswer: it is not HTTP/1.1, or its length cannot be told.
    """
    head_end = data.find(b"\r\n\r\n", start)
    if head_end < 0:
        return None
    if not data.startswith(b"HTTP/1.1 ", start):
        raise BadAnswer(f"not an answer: {data[start : start + 80]!r}")
    status = int(data[start + 9 : start + 12])
    head = data[start : head_end + 2].lower()
    is_last = b"\r\nconnection: close" in head
    body_at = head_end + 4
    if status in NO_BODY:
        return status, b"", body_at, is_last
    length_at = head.find(b"\r\ncontent-length:")
    if length_at >= 0:
        end = body_at + int(head[length_at + 17 : head.index(b"\r\n", length_at + 17)])
        return None if len(data) < end else (status, data[body_at:end], end, is_last)
    if b"\r\ntransfer-encoding: chunked\r\n" in head:
        found = _chunked(data, body_at)
        return None if found is None else (status, *found, is_last)
    raise BadAnswer(f"an answer without a length: {head!r}")


def _chunked(data: bytes, at: int) -> tuple[bytes, int] | None:
    chunks: list[bytes] = []
    while True:
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            return None
        size = int(data[at:line_end].partition(b";")[0], 16)
        begin = line_end + 2
        at = begin + size + 2
        if len(data) < at:
            return None
        if data[at - 2 : at] != b"\r\n":
            raise BadAnswer("a chunk of the wrong length, or trailers")
        if not size:
            return b"".join(chunks), at
        chunks.append(data[begin : begin + size])
