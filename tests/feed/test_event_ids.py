"""Ids of events: UUIDs that say where in which log an event stands."""

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackpotd.feed.event_ids import EventIds

EPOCHS = st.integers(0, 2**24 - 1)
POSITIONS = st.integers(0, 2**40 - 1)
ci = settings(derandomize=True, deadline=None, max_examples=200)


@ci
@given(EPOCHS, POSITIONS)
def test_an_id_is_a_uuid_that_knows_its_position(epoch: int, position: int) -> None:
    """Of a logged event and of an update: version 8, the usual variant, and the position comes back."""
    ids = EventIds(epoch)
    for event_id in (ids.of(position), ids.fresh(position)):
        parsed = uuid.UUID(event_id)
        assert str(parsed) == event_id
        assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)
        assert ids.position(event_id) == position
        assert EventIds(epoch).position(event_id.upper()) == position


@ci
@given(EPOCHS, POSITIONS)
def test_a_logged_event_has_one_id_for_good(epoch: int, position: int) -> None:
    """In every life of the feed; and no two positions or logs share one."""
    event_id = EventIds(epoch).of(position)

    assert EventIds(epoch).of(position) == event_id
    assert EventIds(epoch).of((position + 1) % 2**40) != event_id
    assert EventIds((epoch + 1) % 2**24).of(position) != event_id


@ci
@given(EPOCHS, POSITIONS, st.integers(1, 2**24 - 1))
def test_an_id_of_another_log_is_known_as_such(epoch: int, position: int, apart: int) -> None:
    """A log that was begun anew does not take a position for one of its own."""
    other = EventIds((epoch + apart) % 2**24)

    assert EventIds(epoch).position(other.of(position)) is None
    assert EventIds(epoch).position(other.fresh(position)) is None


def test_ids_sort_as_their_events_happened() -> None:
    """The position stands first, so texts compare as positions do, also with those of updates in between."""
    ids = EventIds(0xABCDEF)
    told = [ids.of(position) for position in (1, 2, 255, 256, 2**32, 2**39)]

    assert told == sorted(told)
    assert ids.of(6) < ids.fresh(7) < ids.of(8)


def test_ids_of_updates_are_never_the_same() -> None:
    """Nor that of the event whose position they hold."""
    ids = EventIds(7)
    told = {ids.fresh(12) for _ in range(10_000)} | {ids.of(12)}

    assert len(told) == 10_001
    assert EventIds(7).fresh(12) not in told


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "not an id",
        str(uuid.UUID(int=0)),
        str(uuid.UUID(int=2**128 - 1)),
        "00000000-0700-4000-8000-000000000000",
        "00000000-0700-8000-c000-000000000000",
        "00000000-0700-8000-8000-00000000000g",
        "é" * 36,
    ],
)
def test_what_is_no_id_has_no_position(text: str) -> None:
    """Other versions and variants, and what is no UUID at all."""
    assert EventIds(0).position(text) is None


def test_positions_and_epochs_have_bounds() -> None:
    """An id never says what it cannot hold."""
    with pytest.raises(ValueError, match="24 bits"):
        EventIds(2**24)
    with pytest.raises(ValueError, match="40 bits"):
        EventIds(0).of(2**40)
    with pytest.raises(ValueError, match="40 bits"):
        EventIds(0).fresh(-1)
