"""The format of the journal: events and records have the core's fields, survive a round trip, and refuse the rest."""

import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackpotd.core import events as core
from jackpotd.core.rules import CommunityKind
from jackpotd.core.schedule import DailyRule, Schedule, WeeklyRule
from jackpotd.core.state import Contributor, Seal, Status, Transfer
from jackpotd.wire import catalog_records, parts, records, rows
from jackpotd.wire.catalog_records import compile_document
from jackpotd.wire.codec import NULL

from .format_values import BRANDS, DOCUMENTS, mirrored, shape, strategy

ci = settings(derandomize=True, deadline=None, max_examples=150)
EVENT_NAMES = [kind.__name__ for kind in typing.get_args(core.InstanceEvent)]
OLDER_ENTRY = (
    b'["E","one",['
    b'["c",2000,"r1","op:a","p1","EUR",10000000,10000000,0,[1],[[0,5,9223372036854775808]],'
    b'"src","game","g1",100000000,100000000],'
    b'["w",2000,"r1","op:a","p1","EUR",0,1002000000,1002000000,100000000,100000000,2500000,'
    b"997500000,1000000000],"
    b'["x",2000,0,[1],[2],3],["s",2000,"Paused","why","me"],'
    b'["o",2000,"op:a","p1",true,5000000,"EUR"]],'
    b'["op","k","ZnA=","t",1999,2,null,null,0,null,null,null],[],null,0,null]'
)
# As they were written before there were raffles and schedules.
DECISION_BEFORE_RAFFLES = b'["E","one",[["d",9,"r",0,false,[1,0],"me","why","id"]]]'
ENTRY_BEFORE_RAFFLES = (
    b'["E","one",[["c",2000,"r1","op:a","p1","EUR",10000000,10000000,0,[1],'
    b'[[0,5,9223372036854775808]],"src","game","g1",100000000,100000000,'
    b"[7,80,[50],[[0,1,30]]]]],null,[],null,0,null]"
)
BIRTH_BEFORE_RAFFLES = b'["I",1000,"one","One","op","two","op",{},["op:a","op:b"],"Active","root"]'
IMPORT_BEFORE_RAFFLES = (
    b'["M","one",3,1,[["op:a","p1",["p",7,true,[],1,5,[],9,[3,9,"EUR",100000000,100000000]]]],'
    b'[[0,7,1,["w",2000,0,"op:a","p1",1002000000,"r1",true,true]]],[]]'
)
CATALOG_BEFORE_RAFFLES = (
    b'{"at_ms":1,"by":"root","entities":[{"kind":"instance","instance_id":"one","name":"One",'
    b'"owner_id":"op","template_id":"two","template_owner_id":"op","document":{},"brands":["op:a"],'
    b'"status":"Active","created_ms":1000,"by":"root"}]}'
)
CONTRIBUTED = core.Contributed(
    at_ms=2000,
    round_id="r1",
    brand="op:a",
    player_id="p1",
    currency="EUR",
    amount=10_000_000,
    worth=10_000_000,
    operator_part=0,
    cycles=(1,),
    draws=((0, 5, 1 << 63),),
    source_id="src",
    reference_type="game",
    reference_id="g1",
    player_rate=10**8,
    jackpot_rate=10**8,
)
WON = core.PotWon(
    at_ms=2000,
    round_id="r1",
    brand="op:a",
    player_id="p1",
    currency="EUR",
    pot=0,
    win=1_002_000_000,
    paid=1_002_000_000,
    player_rate=10**8,
    jackpot_rate=10**8,
    from_reserve=2_500_000,
    deficit=997_500_000,
    seed=1_000_000_000,
)
SOMEBODY = Contributor("op:b", "p2", "USD", 10**8, 11 * 10**7)
SCHEDULE = Schedule(
    1, None, (DailyRule(((2, 3), (4, 5)), 2),), (WeeklyRule(((0, None), (5, ((6, 7),))), 3),)
)
# One of each kind, and how it stands in the journal from now on.
WRITTEN: list[tuple[core.InstanceEvent, bytes]] = [
    (
        msgspec.structs.replace(
            CONTRIBUTED, attendance=core.Attendance(7, 80, (50,), ((0, 1, 30),))
        ),
        (
            b'["c",2000,"r1","op:a","p1","EUR",10000000,10000000,0,[1],[[0,5,9223372036854775808]],'
            b'"src","game","g1",100000000,100000000,[7,80,[50],[[0,1,30]]],null]'
        ),
    ),
    (
        msgspec.structs.replace(CONTRIBUTED, issued=core.Issued(3, 1, 10, 4, 5)),
        (
            b'["c",2000,"r1","op:a","p1","EUR",10000000,10000000,0,[1],[[0,5,9223372036854775808]],'
            b'"src","game","g1",100000000,100000000,null,[3,1,10,4,5]]'
        ),
    ),
    (
        msgspec.structs.replace(
            WON, from_boost=4, tip=core.Tip.FALLBACK, is_withheld=True, times=(0, 2)
        ),
        (
            b'["w",2000,"r1","op:a","p1","EUR",0,1002000000,1002000000,100000000,100000000,2500000,'
            b'997500000,1000000000,4,"TimeFallback",true,[0,2]]'
        ),
    ),
    (
        core.CommunityPaid(
            9, "r", 1, (core.Payout(0, CommunityKind.ACTIVE_PLAYERS, SOMEBODY, 5, 6, 7, 8),)
        ),
        b'["p",9,"r",1,[[0,"ActivePlayers",["op:b","p2","USD",100000000,110000000],5,6,7,8]]]',
    ),
    (core.PotClosed(9, 0, (1, 2), (3, 4), 5), b'["x",9,0,[1,2],[3,4],5]'),
    (core.Sealed(9, 0, Seal(2, "ab", "cd", 9, 3, 4), "ef"), b'["k",9,0,[2,"ab","cd",9,3,4],"ef"]'),
    (core.Sealed(9, 0, None, "ef"), b'["k",9,0,null,"ef"]'),
    (core.TipHeld(9, 0, 1), b'["h",9,0,1]'),
    (core.WindowEnded(9, 0, 1, -2), b'["t",9,0,1,-2]'),
    (core.Triggered(9, 0, "game", "me", "why"), b'["g",9,0,"game","me","why"]'),
    (
        core.HeldWinDecided(9, "r", 0, False, (1, 0), "me", "why", "id", 3),
        b'["d",9,"r",0,false,[1,0],"me","why","id",3]',
    ),
    (core.Boosted(9, 0, 5, "me", "why"), b'["b",9,0,5,"me","why"]'),
    (core.Adjusted(9, 0, -5, 6, "me", "why", "id"), b'["a",9,0,-5,6,"me","why","id"]'),
    (
        core.ChangeAsked(9, "id", None, b'{"a": [1]}', b"", "me", "why"),
        b'["q",9,"id",null,{"a": [1]},null,"me","why"]',
    ),
    (
        core.RulesChanged(9, "id", DOCUMENTS[0], compile_document(DOCUMENTS[0], list(BRANDS))),
        b'["r",9,"id",' + DOCUMENTS[0] + b',["op:a","op:b"]]',
    ),
    (core.RulesChanged(9, "id", b"", None), b'["r",9,"id",null,[]]'),
    (
        core.TransfersSent(9, (Transfer("id", 0, "two", "main", 1, 2, 3),), "me", "why"),
        b'["f",9,[["id",0,"two","main",1,2,3]],"me","why"]',
    ),
    (core.TransferDone(9, "id"), b'["e",9,"id"]'),
    (core.TransferTaken(9, "id", "one", 0, 1, 2, 3), b'["v",9,"id","one",0,1,2,3]'),
    (core.Inherited(9, "one"), b'["i",9,"one"]'),
    (
        core.ScheduleChanged(9, "op:a", SCHEDULE, "me", "why"),
        b'["l",9,"op:a",[1,null,[[[[2,3],[4,5]],2]],[[[[0,null],[5,[[6,7]]]],3]]],"me","why"]',
    ),
    (core.ScheduleChanged(9, "op:a", None, "me", "why"), b'["l",9,"op:a",null,"me","why"]'),
    (core.RoundOpened(9, 2, 10, 20), b'["n",9,2,10,20]'),
    (core.RoundsMissed(9, 3, 40), b'["m",9,3,40]'),
    (
        core.RoundResolved(
            9,
            2,
            10,
            20,
            5,
            4,
            30,
            6,
            (core.Prize(1, SOMEBODY, "r", 3, 2, 5, 7, 8, 6, is_withheld=True),),
            1,
            2,
            3,
            4,
        ),
        (
            b'["j",9,2,10,20,5,4,30,6,[[1,["op:b","p2","USD",100000000,110000000],"r",3,2,5,7,8,6,true]],'
            b"1,2,3,4]"
        ),
    ),
    (core.StatusChanged(9, Status.ENDED, "why", "me"), b'["s",9,"Ended","why","me"]'),
    (
        core.OptInChanged(9, "op:a", "p", True, 5, "EUR", 6, 7),
        b'["o",9,"op:a","p",true,5,"EUR",6,7]',
    ),
]


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_record_format_of_events_has_the_core_s_fields_in_their_order(name: str) -> None:
    """Events are copied by position, so both sides must stay alike; rules are written as their template."""
    expected = [(field, mirrored(kind)) for field, kind in shape(getattr(core, name))]
    if name == "RulesChanged":
        expected[-1] = ("brands", tuple[str, ...])

    assert expected == shape(getattr(records, name))


@pytest.mark.parametrize("kind", parts.CORE)
def test_record_format_of_parts_has_the_core_s_fields_in_their_order(kind: type[Any]) -> None:
    """What events and rows hold in parts is copied by position, too, and lacks no field that the core has."""
    expected = [(field, mirrored(each)) for field, each in shape(kind)]

    assert expected == shape(getattr(parts, kind.__name__))


def test_record_format_knows_every_event_and_no_tag_twice() -> None:
    """Each event of the core has a record, and tags tell the records and the rows apart."""
    written = {kind.__name__ for kind in typing.get_args(records.EventRecord)}
    assert set(EVENT_NAMES) == written
    for union, expected in (
        (records.EventRecord, set("cwpxkhtgdbaqrfevisolnmj")),
        (records.Record, set("IELYSRFPDBGMAQZ")),
        (rows.Row, set("ipwlrdmaxv@nc")),
    ):
        tags = [kind.__struct_config__.tag for kind in typing.get_args(union)]
        assert (len(expected), expected) == (len(tags), set(tags))


@pytest.mark.parametrize(("event", "expected"), WRITTEN)
def test_record_format_of_an_event_is_this(event: core.InstanceEvent, expected: bytes) -> None:
    """Every kind of event stands in the journal as it stands here, for ever."""
    data = records.encode(records.Entry("id", records.from_events([event])))
    decoded = records.decode(b'["E","id",[' + expected + b"]]")

    assert b'["E","id",[' + expected + b"],null,[],null,0,null]" == data
    assert isinstance(decoded, records.Entry)
    assert [event] == records.to_events(decoded.events)


def test_record_format_is_written_for_every_kind_of_event() -> None:
    """The table above leaves none out."""
    assert set(typing.get_args(core.InstanceEvent)) == {type(event) for event, _ in WRITTEN}


@ci
@given(st.lists(strategy(core.InstanceEvent)))
def test_record_format_of_events_survives_a_round_trip(events: list[core.InstanceEvent]) -> None:
    """What happened is read back as it happened, with integers of any size and text of any kind."""
    entry = records.Entry("id", records.from_events(events))
    decoded = records.decode(records.encode(entry))

    assert isinstance(decoded, records.Entry)
    assert events == records.to_events(decoded.events)
    assert entry == decoded


@ci
@given(strategy(core.Contributed))
def test_record_format_of_one_contribution_is_that_of_one_among_many(
    event: core.Contributed,
) -> None:
    """The short way that nearly every entry takes leads to the same record."""
    (alone,), (among, _) = records.from_events([event]), records.from_events([event, event])

    assert alone == among
    assert type(alone) is records.Contributed
    assert [event] == records.to_events((alone,)) == records.to_events((alone, among))[:1]


@ci
@given(strategy(records.Record))
def test_record_format_of_records_survives_a_round_trip(record: records.Record) -> None:
    """Every kind of record is read back equal, and written again to the same bytes."""
    data = records.encode(record)

    assert data == records.encode(records.decode(data))
    assert type(record) is type(records.decode(data))


@pytest.mark.parametrize(
    "data",
    [
        b'["Z",1]',
        b"[]",
        b'["E"]',
        b'["E","id",[["z",1]]]',
        b'["E","id",[["s",1,"Asleep","",""]]]',
        b'["E","id",[["k",1,0,[1,"","",1,1],""]]]',
        b'["E","id",[["p",1,"",0,[[0,"Everybody",["","","",1,1],1,1]]]]]',
        b'["L","one",0,"id","code","message"]',
        b'["S",1,[0.5],null,0]',
        b'["P","id","from",[["op:a","p"]]]',
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


def test_record_format_reads_records_without_their_later_fields() -> None:
    """Fields that have defaults may be missing at the end: an older journal stays readable."""
    decoded = records.decode(b'["E","id",[],["op",null,"","trace",1,2]]')

    assert isinstance(decoded, records.Entry)
    request = decoded.request
    assert request is not None
    assert ((), None, 0) == (decoded.links, decoded.cause, decoded.place)
    assert (NULL, 0, None) == (request.metadata, request.wager, request.segments)


def test_record_format_reads_the_records_of_version_0_1() -> None:
    """What the first version wrote means what it meant: no attendance, a draw's win, nothing withheld."""
    decoded = records.decode(OLDER_ENTRY)

    assert isinstance(decoded, records.Entry)
    assert [
        CONTRIBUTED,
        WON,
        core.PotClosed(2000, 0, (1,), (2,), 3),
        core.StatusChanged(2000, Status.PAUSED, "why", "me"),
        core.OptInChanged(2000, "op:a", "p1", True, 5_000_000, "EUR"),
    ] == records.to_events(decoded.events)
    assert (None, 0, core.Tip.HIT_RATE, False) == (
        CONTRIBUTED.attendance,
        WON.from_boost,
        WON.tip,
        WON.is_withheld,
    )


def test_record_format_reads_the_records_from_before_raffles() -> None:
    """Nothing was issued, nobody had tickets, no winner was a raffle's, and an instance had no schedule."""
    entry, born, imported = (
        records.decode(data)
        for data in (ENTRY_BEFORE_RAFFLES, BIRTH_BEFORE_RAFFLES, IMPORT_BEFORE_RAFFLES)
    )

    assert isinstance(entry, records.Entry)
    attendance = core.Attendance(7, 80, (50,), ((0, 1, 30),))
    (contributed,) = records.to_events(entry.events)
    assert msgspec.structs.replace(CONTRIBUTED, attendance=attendance) == contributed
    decided = records.decode(DECISION_BEFORE_RAFFLES)
    assert isinstance(decided, records.Entry)
    assert [core.HeldWinDecided(9, "r", 0, False, (1, 0), "me", "why", "id", 0)] == (
        records.to_events(decided.events)
    )
    assert isinstance(born, records.Created)
    assert born.schedule is None
    assert isinstance(imported, records.Imported)
    ((_, _, player),), ((_, _, _, winner),) = imported.players, imported.winners
    assert (None, (), ()) == (player.tickets, imported.rounds, imported.credits)
    assert (0, 0, "", 0) == (winner.raffle_round, winner.tier, winner.currency, winner.win)
    for older, record in (
        (BIRTH_BEFORE_RAFFLES, born),
        (ENTRY_BEFORE_RAFFLES, entry),
    ):
        assert older.count(b",") + 1 == records.encode(record).count(b",")


def test_record_format_of_what_is_for_a_webhook_is_this() -> None:
    """A request names its webhook behind a tag of its own; a refusal that is told to one is a record of its own."""
    request = records.Request(
        "op", "k", b"fp", "t", 1999, 2, callback=parts.Callback("https://a.example/", True)
    )
    written = (
        b'["op","k","ZnA=","t",1999,2,null,null,0,null,null,null,'
        b'["webhook","https://a.example/",true]]'
    )
    declined = records.Declined(2000, request, "one", "CONTRIBUTION_REJECTED", "OutsideSchedule")

    assert b'["E","one",[],' + written + b",[],null,0,null]" == (
        records.encode(records.Entry("one", (), request))
    )
    assert b'["Y",2000,' + written + b',"one","CONTRIBUTION_REJECTED","OutsideSchedule"]' == (
        records.encode(declined)
    )
    assert declined == records.decode(records.encode(declined))


def test_record_format_reads_requests_from_before_webhooks() -> None:
    """Nobody was told of them but their callers."""
    decoded = records.decode(OLDER_ENTRY)

    assert isinstance(decoded, records.Entry)
    assert decoded.request is not None
    assert ("k", None) == (decoded.request.key, decoded.request.callback)


def test_record_format_reads_a_catalog_from_before_raffles() -> None:
    """An instance of it has no schedule."""
    (entry,) = catalog_records.decode(CATALOG_BEFORE_RAFFLES).entities

    assert isinstance(entry, catalog_records.InstanceEntry)
    assert entry.schedule is None
    assert entry.status is Status.ACTIVE


def test_record_format_keeps_json_as_json() -> None:
    """White space around a document goes, as it would go when it is read back; what is in it stays."""
    event = core.ChangeAsked(9, "id", 0, b' {"a":\n1}\r\n', b"\t", "me", "why")
    (record,) = records.from_events([event])
    (read,) = records.to_events((record,))

    assert msgspec.structs.replace(event, changes=b'{"a":\n1}', before=b"") == read
