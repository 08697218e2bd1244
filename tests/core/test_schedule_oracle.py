"""Schedules against an oracle that marks every minute, or every second, of a span of days."""

from datetime import UTC, date, datetime, timedelta
from math import lcm
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from jackpotd.core import schedule as core
from jackpotd.testing.schedule_oracle import Marked, unix_ms, windows_of
from jackpotd.wire.codec import decode, decoder, encode
from jackpotd.wire.errors import RequestRefused
from jackpotd.wire.schedule import ScheduleDoc, compile_schedule, schedule_answer

Json = dict[str, Any]

ci = settings(derandomize=True, deadline=None, max_examples=200)
few = settings(derandomize=True, deadline=None, max_examples=80)
DECODER = decoder(ScheduleDoc)
DAY_MS = 86_400_000
EDGES_MAX = 100  # of a span that are looked at from all sides
NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# Leap days, years that are none, ends of years, and those with an ISO week 53.
TURNS = [
    date(*each)
    for each in [
        (2000, 2, 28),
        (2015, 12, 28),
        (2020, 12, 27),
        (2024, 2, 27),
        (2024, 12, 30),
        (2026, 12, 29),
        (2027, 1, 3),
        (2100, 2, 27),
    ]
]
DATES = st.sampled_from(TURNS) | st.dates(date(2000, 1, 12), date(2190, 1, 1))
END_OF_DAY = {"hour": 23, "minute": 59, "sec": 59}
NEVER_OPEN = {
    "$.schedule.recurrence_rules never open: no day has both a Weekly and a Daily rule",
    "$.schedule.timestamp_end comes before the first window opens",
}
INTERVALS = st.sampled_from([1, 1, 1, 2, 3, 4, 5, 7, 9])


def times(slot_s: int) -> st.SearchStrategy[Json]:
    """Times of day that are multiples of a slot, those near midnight more often."""
    per_day = 86_400 // slot_s
    near = st.sampled_from([0, 1, per_day // 2, per_day - 1])
    return st.one_of(near, st.integers(0, per_day - 1)).map(
        lambda at: {
            "hour": at * slot_s // 3600,
            "minute": at * slot_s // 60 % 60,
            "sec": at * slot_s % 60,
        }
    )


def hours(slot_s: int) -> st.SearchStrategy[Json]:
    """Windows of a day, over midnight or until its last second too."""
    pair = st.tuples(times(slot_s), times(slot_s) | st.just(END_OF_DAY))
    usual = pair.filter(lambda each: each[0] != each[1]).map(list)
    return st.fixed_dictionaries({"hours": st.lists(usual, min_size=1, max_size=3)})


@st.composite
def documents(draw: st.DrawFn, slot_s: int) -> Json:
    """Schedules whose times are multiples of a slot; they may never be open."""
    own = st.none() | hours(slot_s).map(lambda content: {"Daily": content})
    days = st.lists(st.sampled_from(NAMES), min_size=1, max_size=7, unique=True)
    weekly = days.flatmap(
        lambda names: st.tuples(*[own for _ in names]).map(
            lambda overrides: {"days": [list(each) for each in zip(names, overrides, strict=True)]}
        )
    )
    frequency = hours(slot_s).map(lambda each: {"Daily": each}) | weekly.map(
        lambda each: {"Weekly": each}
    )
    rules = draw(st.lists(frequency, max_size=5))
    slots = st.integers(0, 86_400 // slot_s)
    start = end = None
    if draw(st.integers(0, 4)):
        start = midnight_ms(draw(DATES)) + draw(slots) * slot_s * 1000
        if draw(st.integers(0, 2)) == 0:
            end = start + (draw(st.integers(0, 12)) * DAY_MS) + (draw(slots) + 1) * slot_s * 1000
    return {
        "timestamp_start": start,
        "timestamp_end": end,
        "recurrence_rules": [
            {"frequency": each} | ({"interval": draw(INTERVALS)} if start is not None else {})
            for each in rules
        ],
    }


def midnight_ms(day: date) -> int:
    return unix_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))


def first_day(document: Json, otherwise: date) -> date:
    """The day before the start, so that what begins then is seen to be cut; or some day."""
    start = document["timestamp_start"]
    if start is None:
        return otherwise
    return date(1970, 1, 1) + timedelta(days=start // DAY_MS - 1)


def read(document: Json) -> core.Schedule | None:
    """What the document says to the core; None where it is refused because it is never open."""
    try:
        return compile_schedule(decode(DECODER, encode(document)))
    except RequestRefused as refused:
        if refused.body.message not in NEVER_OPEN:
            raise
        return None


def period_days(document: Json) -> int:
    """After how many days all rules repeat, whatever they are."""
    return 7 * lcm(*[rule.get("interval", 1) for rule in document["recurrence_rules"]])


def compare(document: Json, first: date, days: int, slot_s: int) -> None:
    """All answers in a span, at and around its edges and at moments between; if refused, nothing is open ever."""
    schedule = read(document)
    if schedule is None:
        end = document["timestamp_end"]
        days = period_days(document) if end is None else (end - midnight_ms(first)) // DAY_MS + 1
        assert [] == Marked(document, first, days, slot_s).stretches()
        return
    marked = Marked(document, first, days, slot_s)
    stretches = marked.stretches()
    assert stretches == list(core.windows(schedule, marked.from_ms, marked.to_ms))

    edges = [edge for stretch in stretches for edge in stretch]
    edges = edges[:: 1 + len(edges) // EDGES_MAX // 2 * 2]  # an odd step: openings and ends in turn
    moments = {edge + by for edge in edges for by in (-1000, -1, 0, 1, 1000)}
    moments |= set(range(marked.from_ms + 777, marked.to_ms, (marked.to_ms - marked.from_ms) // 99))
    moments |= {at for at in (document["timestamp_start"], document["timestamp_end"]) if at}
    for at_ms in sorted(each for each in moments if marked.from_ms <= each < marked.to_ms):
        assert marked.is_open(at_ms) == core.is_open(schedule, at_ms), at_ms
        same_or_beyond(marked.next_open_ms(at_ms), core.next_open_ms(schedule, at_ms), marked)
        if marked.is_open(at_ms):
            same_or_beyond(marked.open_until_ms(at_ms), core.open_until_ms(schedule, at_ms), marked)


def same_or_beyond(expected: int | None, actual: int | None, marked: Marked) -> None:
    """What the span does not show comes after it, or never."""
    if expected is None:
        assert actual is None or actual >= marked.to_ms
    else:
        assert expected == actual


@ci
@given(documents(60), DATES)
def test_every_minute_of_two_weeks_is_as_the_oracle_marks_it(document: Json, day: date) -> None:
    """Windows, next opening and end of a stretch, with starts and ends in the middle of windows."""
    compare(document, first_day(document, day), days=15, slot_s=60)


@few
@given(documents(1), DATES)
def test_every_second_of_three_days_is_as_the_oracle_marks_it(document: Json, day: date) -> None:
    """The same with times of whole seconds."""
    compare(document, first_day(document, day), days=3, slot_s=1)


@few
@given(documents(3600), st.integers(0, 4000))
def test_every_hour_of_a_year_is_as_the_oracle_marks_it(document: Json, later: int) -> None:
    """Intervals come round, years end and leap days pass, long after the start too."""
    first = first_day(document, date(2023, 6, 1)) + timedelta(days=later)
    compare(document, first, days=370, slot_s=3600)


PRIMES = st.sampled_from([1, 2, 4, 6, 7, 9, 11, 13, 14, 15, 21])


@st.composite
def rare_documents(draw: st.DrawFn) -> Json:
    """Weekly rules whose days need Daily rules, with intervals that may never meet."""
    window = {"hours": [[{"hour": 22}, {"hour": 2}]]}
    daily = draw(st.lists(PRIMES, min_size=1, max_size=2))
    weekly = draw(st.lists(st.tuples(st.sampled_from(NAMES), PRIMES), min_size=1, max_size=2))
    return {
        "timestamp_start": midnight_ms(draw(DATES)) + draw(st.integers(0, 24)) * 3_600_000,
        "timestamp_end": None,
        "recurrence_rules": [
            *[{"frequency": {"Daily": window}, "interval": each} for each in daily],
            *[
                {"frequency": {"Weekly": {"days": [[name, None]]}}, "interval": each}
                for name, each in weekly
            ],
        ],
    }


@ci
@given(rare_documents(), st.integers(0, 3000))
def test_next_opening_is_found_as_by_looking_at_each_day(document: Json, later: int) -> None:
    """Days that two intervals have in common are computed; that there is none, too."""
    first = first_day(document, date(2024, 1, 1)) + timedelta(days=later + 2)
    # Nothing that began the day before is open at this hour.
    at = datetime(first.year, first.month, first.day, 2, tzinfo=UTC)
    expected = None
    for number in range(period_days(document)):
        found = windows_of(document, first + timedelta(days=number))
        if found:
            expected = unix_ms(found[0][0])
            break

    schedule = read(document)

    assert (schedule is None) == (expected is None)
    if schedule is not None:
        assert expected == core.next_open_ms(schedule, unix_ms(at))


@few
@given(st.sampled_from([1, 60]).flatmap(documents))
def test_what_was_written_is_rendered_and_read_again(document: Json) -> None:
    """The answer of a schedule means the schedule."""
    schedule = read(document)
    if schedule is not None:
        written = encode(schedule_answer(schedule))
        assert schedule == compile_schedule(decode(DECODER, written))
