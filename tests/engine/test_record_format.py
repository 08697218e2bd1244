"""The format on disk: events, records and rows have the core's fields, survive a round trip, and refuse the rest."""

import random
import types
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from jackpotd.core import events as core
from jackpotd.core import state
from jackpotd.core.state import Status
from jackpotd.wire import records, rows
from jackpotd.wire.codec import NULL

ci = settings(derandomize=True, deadline=None, max_examples=150)
INTEGERS = st.integers(-(2**70), 2**70)
TEXTS = st.text(max_size=12)
EVENT_NAMES = [kind.__name__ for kind in typing.get_args(core.InstanceEvent)]


def strategy(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type; integers have no size."""
    simple: dict[Any, st.SearchStrategy[Any]] = {
        int: INTEGERS,
        str: TEXTS,
        bool: st.booleans(),
        bytes: st.binary(max_size=16),
        Status: st.sampled_from(Status),
        type(None): st.none(),
        Raw: st.sampled_from((b"null", b'{"a":[1,"x"]}', b"[]", b"1.50")).map(Raw),
    }
    if kind in simple:
        return simple[kind]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return structs(kind)
    inner = typing.get_args(kind)
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return st.one_of([strategy(each) for each in inner])
    if inner[-1] is Ellipsis:
        return st.lists(strategy(inner[0]), max_size=4).map(tuple)
    return st.tuples(*(strategy(each) for each in inner))


def structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    fields = {field.name: strategy(field.type) for field in msgspec.structs.fields(kind)}
    return st.fixed_dictionaries(fields).map(lambda values: kind(**values))


def shape(kind: type[msgspec.Struct]) -> list[tuple[str, Any]]:
    return [(field.name, field.type) for field in msgspec.structs.fields(kind)]


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_record_format_of_events_has_the_core_s_fields_in_their_order(name: str) -> None:
    """Events are copied by position, so both sides must stay alike."""
    assert shape(getattr(core, name)) == shape(getattr(records, name))


def test_record_format_knows_every_event_and_no_tag_twice() -> None:
    """Each event of the core has a record, and tags tell the records and the rows apart."""
    written = {kind.__name__ for kind in typing.get_args(records.EventRecord)}
    assert set(EVENT_NAMES) == written
    for union, expected in (
        (records.EventRecord, {"c", "w", "x", "s", "o"}),
        (records.Record, set("IELSRFDBGMAQZ")),
        (rows.Row, set("ipwlrdmaxv@")),
    ):
        tags = [kind.__struct_config__.tag for kind in typing.get_args(union)]
        assert (len(expected), expected) == (len(tags), set(tags))


def test_record_format_of_rows_has_the_core_s_state() -> None:
    """A row holds every field of the state that it stands for, under the same names and in the same order."""
    assert shape(state.Pot) == shape(rows.PotRow)
    assert shape(state.PotCount) == shape(rows.PotCountRow)
    derived = {"definition", "plan"}
    expected = [field.name for field in msgspec.structs.fields(state.Instance)]
    found = [field.name for field in msgspec.structs.fields(rows.InstanceRow)]
    assert ["as_of", "created", *(name for name in expected if name not in derived)] == found
    player = [field.name for field in msgspec.structs.fields(state.Player)]
    assert ["as_of", *player] == [field.name for field in msgspec.structs.fields(rows.PlayerRow)]


@ci
@given(st.lists(st.one_of([strategy(kind) for kind in typing.get_args(core.InstanceEvent)])))
def test_record_format_of_events_survives_a_round_trip(events: list[core.InstanceEvent]) -> None:
    """What happened is read back as it happened, with integers of any size and text of any kind."""
    entry = records.Entry("id", records.from_events(events))
    decoded = records.decode(records.encode(entry))

    assert isinstance(decoded, records.Entry)
    assert events == records.to_events(decoded.events)


@ci
@given(st.one_of([strategy(kind) for kind in typing.get_args(records.Record)]))
def test_record_format_of_records_survives_a_round_trip(record: records.Record) -> None:
    """Every kind of record is read back equal, and written again to the same bytes."""
    data = records.encode(record)

    assert data == records.encode(records.decode(data))
    assert type(record) is type(records.decode(data))


@ci
@given(st.one_of([strategy(kind) for kind in typing.get_args(rows.Row)]))
def test_record_format_of_rows_survives_a_round_trip(row: rows.Row) -> None:
    """Every kind of row is read back equal, and written again to the same bytes."""
    data = rows.encode(row)

    assert data == rows.encode(rows.decode(data))
    assert type(row) is type(rows.decode(data))


@pytest.mark.parametrize(
    "data",
    [
        b'["Z",1]',
        b"[]",
        b'["E"]',
        b'["E","id",[["z",1]]]',
        b'["E","id",[["s",1,"Asleep","",""]]]',
        b'["L","one",0,"id","code","message"]',
        b'["S",1,[0.5],null,0]',
        b'{"E":1}',
        b'["E","id",[]',
        b'["p",1,true,[],0,0,[],0]',
        b"null",
        b"",
    ],
)
def test_record_format_refuses_what_it_does_not_know(data: bytes) -> None:
    """An unknown tag, a wrong type, a missing field or half a record is an error, never a guess."""
    with pytest.raises(msgspec.DecodeError):
        records.decode(data)


@pytest.mark.parametrize("data", [b'["E","id",[]]', b'["?",1]', b'["@"]', b'["@","1"]', b'["w",1]'])
def test_record_format_of_rows_refuses_what_it_does_not_know(data: bytes) -> None:
    """A row of an unknown kind or shape is an error."""
    with pytest.raises(msgspec.DecodeError):
        rows.decode(data)


def test_record_format_reads_records_without_their_later_fields() -> None:
    """Fields that have defaults may be missing at the end: an older journal stays readable."""
    decoded = records.decode(b'["E","id",[],["op",null,"","trace",1,2]]')

    assert isinstance(decoded, records.Entry)
    request = decoded.request
    assert request is not None
    assert ((), None, 0) == (decoded.links, decoded.cause, decoded.place)
    assert (NULL, 0, None) == (request.metadata, request.wager, request.segments)


def test_record_format_of_keys_keeps_rows_apart_and_in_order() -> None:
    """Keys of one kind share a prefix, a pot's winners sort by record and place, players may have any id."""
    rng = random.Random(1)
    places = [(rng.randint(0, 2**40), rng.randint(0, 40)) for _ in range(200)]
    keys = [rows.winner_key("id", 1, seq, place) for seq, place in places]

    assert sorted(places) == [place for _, place in sorted(zip(keys, places, strict=True))]
    assert all(key.startswith(rows.winner_prefix("id", 1)) for key in keys)
    assert not keys[0].startswith(rows.winner_prefix("id", 0))
    assert not keys[0].startswith(rows.winner_prefix("i", 1))
    assert {rows.WINNER_ORDER_BYTES} == {len(rows.winner_order(*place)) for place in places}
    names = [("id", "op:a", "\0b"), ("id", "op:a", "b"), ("id", "op:a", ""), ("i", "op:a", "\0b")]
    assert len(names) == len({rows.player_key(*name) for name in names})
    assert rows.propagation_key(1) < rows.propagation_key(256) < rows.propagation_key(1 << 40)
