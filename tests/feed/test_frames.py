"""Frames against an independent reader and writer of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage

from jackpotd.feed import frames
from tests.feed.socket_stage import frame

SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, 70_000)


def read(data: bytes) -> list[Event]:
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(data)
    return list(client.events())


@pytest.mark.parametrize("size", SIZES)
def test_text_is_read_as_one_message(size: int) -> None:
    """At every border of the three ways to say a length."""
    message = "ä" * (size // 2) + "a" * (size % 2)

    events = read(frames.text(message.encode()))

    assert all(isinstance(event, TextMessage) for event in events)
    assert message == "".join(event.data for event in events if isinstance(event, TextMessage))
    assert [event.message_finished for event in events if isinstance(event, TextMessage)][-1]


@given(st.lists(st.text(max_size=300), max_size=10))
def test_joined_frames_are_read_as_messages_in_order(messages: list[str]) -> None:
    """A block of frames is as good as one after the other."""
    events = read(b"".join(frames.text(message.encode()) for message in messages))

    assert messages == [event.data for event in events if isinstance(event, TextMessage)]


def test_ping_is_read_as_such_and_bounded() -> None:
    """Its payload comes back in the pong; a control frame holds 125 bytes at most."""
    (event,) = read(frames.ping(b"x" * 125))

    assert event == Ping(payload=b"x" * 125)
    with pytest.raises(ValueError, match="125"):
        frames.ping(b"x" * 126)


@pytest.mark.parametrize(
    ("reason", "said"), [("", ""), ("slow", "slow"), ("ä" * 100, "ä" * 61), ("x" * 200, "x" * 123)]
)
def test_close_says_why_as_far_as_there_is_room(reason: str, said: str) -> None:
    """A reason that is cut is cut between characters."""
    data = frames.close(1013, reason)
    (event,) = read(data)

    assert isinstance(event, CloseConnection)
    assert (1013, said) == (event.code, event.reason or "")
    assert frames.is_close(data)
    assert not frames.is_close(frames.ping())
    assert not frames.is_close(b"")


@given(st.lists(st.integers(0, 70_000), min_size=1, max_size=4), st.data())
def test_end_of_frame_is_where_the_begun_frame_ends(sizes: list[int], data: st.DataObject) -> None:
    """Between two frames nothing is kept; inside of one, all of it."""
    parts = [frames.text(b"x" * size) for size in sizes]
    block = b"".join(parts)
    sent = data.draw(st.integers(0, len(block)))
    ends = [0]
    for part in parts:
        ends.append(ends[-1] + len(part))

    assert min(end for end in ends if end >= sent) == frames.end_of_frame(block, sent)


WRITTEN = st.one_of(
    st.tuples(
        st.just("text"),
        st.lists(st.sampled_from([0, 1, 100, 125, 126, 300, 65_536]), min_size=1, max_size=4),
    ),
    st.tuples(st.just("ping"), st.just([0])),
    st.tuples(st.just("pong"), st.just([20])),
)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(WRITTEN, max_size=6),
    st.booleans(),
    st.lists(st.sampled_from([1, 2, 3, 13, 14, 15, 200, 40_000]), min_size=1, max_size=8),
)
def test_incoming_frames_are_counted_however_they_are_cut(
    written: list[tuple[str, list[int]]], closes: bool, cuts: list[int]
) -> None:
    """Heads may be cut anywhere, and messages may be in fragments."""
    sent, count, longest = b"", 0, 0
    for kind, sizes in written:
        count += len(sizes)
        if kind != "text":
            sent += frame(0x9 if kind == "ping" else 0xA, b"p" * sizes[0])
            continue
        longest = max(longest, sum(sizes))
        for place, size in enumerate(sizes):
            is_last = place == len(sizes) - 1
            sent += frame(0x0 if place else 0x1, b"x" * size, fin=is_last)
    sent += frame(0x8, b"\x03\xe8") if closes else b""
    following, strict, at, place = frames.IncomingFrames(), frames.IncomingFrames(), 0, 0
    fits = True
    while at < len(sent):
        data = sent[at : at + cuts[place % len(cuts)]]
        assert following.feed(data, 280_000)
        fits = strict.feed(bytearray(data), max(longest - 1, 125)) and fits
        at, place = at + len(data), place + 1

    assert count + closes == following.count
    assert closes == following.has_closed
    assert fits == (longest <= 125)


def test_client_frames_of_these_tests_are_those_of_an_independent_writer() -> None:
    """What the hostile clients here build by hand is well formed where it means to be."""
    server = Connection(ConnectionType.SERVER)
    server.receive_data(frame(0x1, b"some ") + frame(0x2, b"x" * 300)[:0] + frame(0x9, b"p"))

    assert [TextMessage(data="some "), Ping(payload=b"p")] == list(server.events())
    server.receive_data(frame(0x2, b"x" * 300, mask=b"\xff\x00\x11\x22"))
    (event,) = server.events()
    assert isinstance(event, BytesMessage)
    assert bytes(event.data) == b"x" * 300
