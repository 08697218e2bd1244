"""Batches are cut where a JSON parser would cut them, however they arrive."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackpotd.wire.batch_framing import ArrayReader, BatchBroken, LineReader

LONGEST = 4096

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.text(alphabet='ab"\\{}[],: \n\u00e9', max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('k"}', max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
cuts = st.lists(st.integers(1, 40), min_size=1, max_size=8)
spaces = st.sampled_from(["", " ", "\n", "\t \r\n"])


def chunks_of(data: bytes, sizes: list[int]) -> list[bytes]:
    chunks, at = list[bytes](), 0
    while at < len(data):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(data[at : at + size])
        at += size
    return chunks


def collect(reader: LineReader | ArrayReader, chunks: list[bytes], found: list[bytes]) -> None:
    """Elements one by one, so that those before a break are there when it raises."""
    for chunk in chunks:
        for element in reader.feed(chunk):
            found.append(element)  # noqa: PERF402 - what came before a break counts
    for element in reader.finish():
        found.append(element)  # noqa: PERF402


def read(reader: LineReader | ArrayReader, chunks: list[bytes]) -> list[bytes]:
    found: list[bytes] = []
    collect(reader, chunks, found)
    return found


@given(st.lists(values, max_size=8), cuts, spaces, st.booleans())
def test_an_array_is_cut_into_its_elements(
    elements: list[object], sizes: list[int], space: str, ascii_only: bool
) -> None:
    parts = [json.dumps(element, ensure_ascii=ascii_only) for element in elements]
    separator = f"{space},{space}"
    text = f"{space}[{space}{separator.join(parts)}{space}]{space}"
    found = read(ArrayReader(LONGEST), chunks_of(text.encode(), sizes))
    assert [part.decode() for part in found] == parts


@given(st.lists(values, max_size=8), cuts, st.sampled_from(["\n", "\r\n", "\n\n"]), st.booleans())
def test_lines_are_cut_at_their_ends(
    elements: list[object], sizes: list[int], end: str, is_ended: bool
) -> None:
    parts = [json.dumps(element) for element in elements]
    text = end.join(parts) + (end if is_ended else "")
    found = read(LineReader(LONGEST), chunks_of(text.encode(), sizes))
    assert [part.decode() for part in found] == parts


@given(st.lists(values, min_size=1, max_size=6), st.integers(0, 10_000), cuts)
def test_an_array_that_is_cut_off_yields_what_was_complete_and_then_breaks(
    elements: list[object], place: int, sizes: list[int]
) -> None:
    parts = [json.dumps(element) for element in elements]
    whole = f"[{','.join(parts)}]".encode()
    text = whole[: place % len(whole)]
    found = list[bytes]()
    with pytest.raises(BatchBroken):
        collect(ArrayReader(LONGEST), chunks_of(text, sizes), found)
    assert [part.decode() for part in found] == parts[: len(found)]


@pytest.mark.parametrize(
    ("text", "complete", "problem"),
    [
        (b"", 0, "the body is no array"),
        (b"  ", 0, "the body is no array"),
        (b'{"a":1}', 0, "the body is no array"),
        (b"[1,,2]", 1, "element 1 is missing"),
        (b"[,1]", 0, "element 0 is missing"),
        (b"[1,]", 1, "element 1 is missing"),
        (b"[1", 0, "the array has no end"),
        (b"[1] x", 1, "something follows the array"),
        (b"[1][2]", 1, "something follows the array"),
        (b"[1}", 0, "element 0 closes what it did not open"),
        (b'["' + b"x" * LONGEST + b'"]', 0, f"an element is longer than {LONGEST} bytes"),
        (b'[1,"' + b"x" * LONGEST, 1, f"an element is longer than {LONGEST} bytes"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_what_is_no_array_breaks_with_its_reason(
    text: bytes, complete: int, problem: str, size: int
) -> None:
    found = list[bytes]()
    with pytest.raises(BatchBroken, match=problem):
        collect(ArrayReader(LONGEST), chunks_of(text, [size]), found)
    assert len(found) == complete


@pytest.mark.parametrize("size", [1, 4000, 100_000])
def test_a_line_is_no_longer_than_an_element_may_be(size: int) -> None:
    text = b"1\n" + b"x" * (LONGEST + 1) + b"\n2\n"
    found = list[bytes]()
    with pytest.raises(BatchBroken, match=f"longer than {LONGEST}"):
        collect(LineReader(LONGEST), chunks_of(text, [size]), found)
    assert found == [b"1"]
