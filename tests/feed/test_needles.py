"""What the tail skips undecoded: never a record that matters, however its strings look."""

import random
import typing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from jackpotd.core.state import Status
from jackpotd.feed.needles import has_needle, is_of_link
from jackpotd.wire import event_records, parts, records
from jackpotd.wire.codec import NULL
from tests.engine.format_values import structs

from .ground import TEST_TIMEOUT_S, journal_on_disk
from .play import house_on, play, play_catalog

ci = settings(derandomize=True, deadline=None, max_examples=300)
RECORDS = typing.get_args(records.Record)
# The request is settled; it was refused as a whole; a link refused; a link of another worker answered.
OF_LINKS = (records.Settled, records.LinkRefused, records.RemoteAnswered)
TOLD = (event_records.PotWon, event_records.RoundResolved, event_records.OptInChanged)
ADVERSARIAL = st.sampled_from(
    (
        '["w",',
        '["j",1',
        '["o"',
        '"',
        "\\",
        '\\"',
        ",null,0,null]",
        '["L",',
        '["webhook","u",true]',
        "\x00",
        "\u2028",
        "[",
        '["E",',
    )
)
TEXTS = st.one_of(ADVERSARIAL, st.lists(ADVERSARIAL, max_size=3).map("".join), st.text(max_size=8))
JSON = (
    b"null",
    b'{"a": [ "w" , 1 ]}',
    b'[ "webhook", "x", true ]',
    b'"[\\"w\\","',
    b'",null,0,null]"',
    b"[null,0,null]",
)


def requests() -> st.SearchStrategy[records.Request]:
    """With webhooks and without, and with any JSON that a caller may send."""
    raws = st.sampled_from(JSON).map(Raw)
    callbacks = st.none() | st.builds(parts.Callback, TEXTS, st.booleans())
    return structs(
        records.Request,
        operator=TEXTS,
        trace_id=TEXTS,
        vertical=st.none() | TEXTS,
        metadata=raws,
        event_metadata=raws,
        callback=callbacks,
    )


def records_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Records of a kind; texts and JSON in them look like what is looked for."""
    given_fields: dict[str, st.SearchStrategy[Any]] = {}
    fields = kind.__struct_fields__
    if "request" in fields:
        given_fields["request"] = requests() if kind is records.Declined else st.none() | requests()
    for name in ("instance_id", "message", "code", "name", "by"):
        if name in fields:
            given_fields[name] = TEXTS
    if "links" in fields:
        given_fields["links"] = st.lists(TEXTS, max_size=2).map(tuple)
    return structs(kind, **given_fields)


ANY_RECORD = st.one_of([records_of(kind) for kind in RECORDS])


@ci
@given(st.data())
def test_no_record_that_matters_is_skipped(data: st.DataObject) -> None:
    """Whatever it holds beside: the bytes of a record that tells something always show it."""
    record = data.draw(ANY_RECORD)
    encoded = records.encode(record)

    events = record.events if isinstance(record, records.Entry) else ()
    request = record.request if isinstance(record, records.Entry | records.Declined) else None
    has_webhook = request is not None and request.callback is not None
    if has_webhook or any(isinstance(event, TOLD) for event in events):
        assert has_needle(encoded)
    if isinstance(record, OF_LINKS):
        assert is_of_link(encoded)
    if isinstance(record, records.Entry) and record.cause is not None:
        assert is_of_link(encoded)


def test_every_kind_is_recognised() -> None:
    """One of each kind that matters, and none of the kinds that do not, of plain values."""
    webhook = parts.Callback("https://a", win_result_only=False)
    request = records.Request("op", "k", b"", "t", 1, 2)
    asked = records.Request("op", "k", b"", "t", 1, 2, callback=webhook)
    opt_in = records.OptInChanged(1, "op:a", "p", True, None, None)
    status = records.StatusChanged(1, Status.PAUSED, "w", "j")
    told: list[records.Record] = [
        records.Entry("one", (opt_in,)),
        records.Entry("one", (status,), asked),
        records.Declined(1, asked, "", "GAME_NOT_FOUND", "x"),
    ]
    answers: list[records.Record] = [
        records.Entry("one", (status,), cause=1),
        records.Entry("one", (status,), cause=1, place=2, worker=0),
        records.LinkRefused(1, 0, "one", "c", "m"),
        records.RemoteAnswered(1, 0, 3, "one", None, "c", "m"),
        records.Settled(1, (2,), None, 3),
    ]
    others: list[records.Record] = [
        records.Entry("one", (status,)),
        records.Entry("one", (status,), request, ("two",)),
        records.Forgotten(1, (2, 3)),
        records.Departing(1, "one", 2),
        records.Dropped("one"),
    ]
    for record in told:
        assert has_needle(records.encode(record))
    for record in answers:
        assert is_of_link(records.encode(record))
        assert not has_needle(records.encode(record))
    for record in others:
        assert not has_needle(records.encode(record))
        assert not is_of_link(records.encode(record))


async def test_nothing_is_decoded_in_vain() -> None:
    """In a history, a needle is only where something is told, but for JSON of a caller that looks like it."""
    rng, plain = random.Random(5), 0
    entities = play_catalog(rng)
    with TemporaryDirectory() as name, trio.fail_after(TEST_TIMEOUT_S):
        log = journal_on_disk(Path(name), 0)
        house = house_on(log, entities, rng, 5)
        async with house.running():
            await play(house, rng, 6)
        for _, data in log.scan(1):
            record = records.decode(data)
            if not isinstance(record, records.Entry):
                continue
            asked = record.request
            is_told = any(isinstance(event, TOLD) for event in record.events)
            if asked is None or NULL == asked.metadata == asked.event_metadata:
                wanted = is_told or (asked is not None and asked.callback is not None)
                assert has_needle(data) == wanted
                plain += not wanted
        log.close()
    assert plain > 3
