"""A year of raffles in virtual time: a day's, a week's and a month's rounds end on time with nobody there, each once.

The real shard with its alarms, over a journal in memory. Trio's clock jumps from alarm to alarm; afterwards the oracle
works the whole journal out again.
"""

from collections.abc import Sequence

import pytest
from trio.testing import MockClock

from jackpotd.core.commands import ChangeStatus, SetSchedule
from jackpotd.core.events import (
    RoundOpened,
    RoundResolved,
    RoundsMissed,
    StatusChanged,
)
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Status
from jackpotd.engine import alarms
from jackpotd.engine.messages import Operated
from jackpotd.testing.cases import pot, raffle, schedule, template
from jackpotd.testing.house import (
    currencies,
    instance,
    operator,
)
from jackpotd.testing.templates import compiled_schedule
from jackpotd.wire.catalog_records import CatalogEntity

from .virtual_street import (
    DAY_MS,
    EUR,
    HOUR_MS,
    LENGTHS_MS,
    NEW_YEAR_MS,
    PRIZES,
    SECOND_MS,
    Street,
)


@pytest.fixture
def _long_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sets this clock, so nobody has to look at it each minute of a year."""
    monkeypatch.setattr(alarms, "LOOK_AGAIN_S", 30.0 * 86_400)


def bounds(name: str, number: int) -> tuple[int, int]:
    """When a round begins and ends that is never missed."""
    starts_ms = NEW_YEAR_MS + (number - 1) * LENGTHS_MS[name]
    return starts_ms, starts_ms + (22 * HOUR_MS if name == "daily" else LENGTHS_MS[name])


def assert_on_time(name: str, resolved: Sequence[RoundResolved]) -> None:
    """Each round has its time, and was resolved within the second."""
    for each in resolved:
        assert bounds(name, each.number) == (each.starts_ms, each.ends_ms)
        assert 0 <= each.at_ms - each.ends_ms < SECOND_MS


@pytest.mark.usefixtures("_long_looks")
async def test_raffle_year_of_daily_rounds_resolves_each_of_them_once_and_on_time(
    autojump_clock: MockClock,
) -> None:
    """365 days, 52 weeks and 12 months; on every tenth day somebody plays, which buys tickets in all three."""
    street = Street(autojump_clock)
    async with street.house.running():
        for day in range(5, 365, 10):
            await street.until(NEW_YEAR_MS + day * DAY_MS + 9 * HOUR_MS)
            for player in ("anna", "bert"):
                spun = await street.spin(player, 5 * EUR)
                numbers = [each.issued.round for each in spun if each.issued is not None]
                assert [day + 1, day // 7 + 1, day // 30 + 1] == numbers
            for name, number in zip(LENGTHS_MS, numbers, strict=True):
                assert number == street.state(name).version
        await street.until(NEW_YEAR_MS + 365 * DAY_MS)
        await street.house.settled()

    for name, rounds in (("daily", 365), ("weekly", 52), ("monthly", 12)):
        resolved = street.resolved(name)
        assert [*range(1, rounds + 1)] == [each.number for each in resolved]
        assert_on_time(name, resolved)
        assert (rounds + 1, rounds, 0) == (
            street.state(name).version,
            street.state(name).rare.rounds,
            street.state(name).rare.missed,
        )
        opened = [each for each in street.events(name) if isinstance(each, RoundOpened)]
        assert [*range(1, rounds + 2)] == [each.number for each in opened]
    played = [each for each in street.resolved("daily") if each.tickets]
    assert [*range(6, 366, 10)] == [each.number for each in played]
    assert {4} == {each.tickets for each in played}
    assert all({2} == {len(each.prizes) for each in played} for each in played)
    street.check()


@pytest.mark.usefixtures("_long_looks")
async def test_raffle_year_ends_with_its_schedule(autojump_clock: MockClock) -> None:
    """At the end of the year the last rounds are cut, resolved then, and all three have ended."""
    end_ms = NEW_YEAR_MS + 366 * DAY_MS
    street = Street(autojump_clock, end_ms=end_ms)
    async with street.house.running():
        await street.until(end_ms - HOUR_MS)
        assert Status.ACTIVE is street.state("weekly").status
        await street.until(end_ms + DAY_MS)
        await street.house.settled()

    last = {name: street.resolved(name)[-1] for name in LENGTHS_MS}
    assert {"daily": 366, "weekly": 53, "monthly": 13} == {
        name: each.number for name, each in last.items()
    }
    assert [end_ms] * 2 == [last[name].at_ms for name in ("weekly", "monthly")]
    for name in LENGTHS_MS:
        assert isinstance(street.events(name)[-2], StatusChanged)
        assert Status.ENDED is street.state(name).status
        assert (None, (None,)) == (street.state(name).rare.round, street.state(name).rare.seals)
    street.check()


@pytest.mark.usefixtures("_long_looks")
async def test_raffle_year_with_a_month_of_downtime_misses_rounds_and_resolves_one(
    autojump_clock: MockClock,
) -> None:
    """The round that was open is resolved once, at start-up, with its tickets; the others are counted and empty."""
    street = Street(autojump_clock)
    async with street.house.running():
        await street.until(NEW_YEAR_MS + 10 * DAY_MS + HOUR_MS)
        await street.spin("anna", 5 * EUR)
        await street.house.settled()
    down_ms = NEW_YEAR_MS + 40 * DAY_MS + HOUR_MS
    await street.until(down_ms)
    street.move_in(street.house.log.copy())
    async with street.house.running():
        await street.until(down_ms + SECOND_MS)
        await street.house.settled()
        late = {name: street.resolved(name)[-1] for name in LENGTHS_MS}
        missed = {
            name: [each for each in street.events(name) if isinstance(each, RoundsMissed)]
            for name in LENGTHS_MS
        }
        spun = await street.spin("anna", 5 * EUR)
        await street.until(NEW_YEAR_MS + 60 * DAY_MS)
        await street.house.settled()

    assert {"daily": 11, "weekly": 2, "monthly": 1} == {
        name: each.number for name, each in late.items()
    }
    assert all(down_ms <= each.at_ms < down_ms + SECOND_MS for each in late.values())
    assert {(2, 1)} == {(each.tickets, len(each.prizes)) for each in late.values()}
    # Round 12 to 40 of the days, 3 to 5 of the weeks; the second month's runs.
    assert [29] == [each.count for each in missed["daily"]]
    assert [3] == [each.count for each in missed["weekly"]]
    assert [] == missed["monthly"]
    assert [41, 6, 2] == [each.issued.round for each in spun if each.issued is not None]
    numbers = [each.number for each in street.resolved("daily")]
    assert [*range(1, 12), *range(41, 61)] == numbers
    assert_on_time("daily", street.resolved("daily")[11:])
    assert [1, 2, *range(6, 9)] == [each.number for each in street.resolved("weekly")]
    assert (29, 3, 0) == tuple(street.state(name).rare.missed for name in LENGTHS_MS)
    street.check()


@pytest.mark.usefixtures("_long_looks")
async def test_raffle_that_restarts_at_any_time_resolves_each_round_once(
    autojump_clock: MockClock,
) -> None:
    """A hundred lives, each of half a day and a little more; every round is resolved, on time or at the next start."""
    street = Street(autojump_clock)
    for life in range(100):
        async with street.house.running():
            if life % 7 == 0 and street.wall() % DAY_MS < 21 * HOUR_MS:
                await street.spin(f"player {life}", 5 * EUR)
            await street.until(street.wall() + 12 * HOUR_MS + 420 * SECOND_MS)
            await street.house.settled()
        street.move_in(street.house.log.copy())

    for name, rounds in (("daily", 50), ("weekly", 7), ("monthly", 1)):
        resolved = street.resolved(name)
        assert [*range(1, rounds + 1)] == [each.number for each in resolved]
        assert_on_time(name, resolved)
    street.check()


async def test_paused_raffle_is_resolved_as_soon_as_it_goes_on(autojump_clock: MockClock) -> None:
    """Three days at a stand: nothing happens, then the open round is resolved, and the missed ones are counted."""
    street = Street(autojump_clock)
    async with street.house.running():
        await street.spin("anna", 5 * EUR)
        await operate(street, Status.PAUSED)
        await street.until(NEW_YEAR_MS + 3 * DAY_MS + HOUR_MS)
        assert [] == street.resolved("daily")
        await operate(street, Status.ACTIVE)
        await street.until(street.wall() + SECOND_MS)
        await street.house.settled()
        (resolved,) = street.resolved("daily")
        state = street.state("daily")

    assert (1, NEW_YEAR_MS + 22 * HOUR_MS) == (resolved.number, resolved.ends_ms)
    assert NEW_YEAR_MS + 3 * DAY_MS + HOUR_MS == resolved.at_ms
    assert (1, 2) == (len(resolved.prizes), state.rare.missed)
    assert 4 == state.version
    street.check()


async def operate(street: Street, status: Status) -> None:
    found = await street.house.shard.operate("daily", ChangeStatus(0, status, "why", "someone"))
    assert isinstance(found, Operated)


@pytest.mark.usefixtures("_long_looks")
async def test_schedule_begins_and_ends_on_time_with_nobody_there(
    autojump_clock: MockClock,
) -> None:
    """A raffle and a jackpot that are pending begin by their schedules; the jackpot is terminated by its own."""
    starts_ms, ends_ms = NEW_YEAR_MS + 3 * DAY_MS + 5, NEW_YEAR_MS + 8 * DAY_MS + 7
    own = schedule(starts_ms, ends_ms)
    documents = {"raffle": raffle(*PRIZES, duration={"Days": 1}), "jackpot": template(pot())}
    entities: list[CatalogEntity] = [
        operator("op", ["a"]),
        currencies("default"),
        *(
            instance(name, document, status=Status.PENDING, schedule=own)
            for name, document in documents.items()
        ),
    ]
    street = Street(autojump_clock, entities=entities)
    async with street.house.running():
        await street.until(ends_ms + DAY_MS)
        await street.house.settled()

    expected = {
        "raffle": [(starts_ms, Status.ACTIVE), (ends_ms, Status.ENDED)],
        "jackpot": [(starts_ms, Status.ACTIVE), (ends_ms, Status.TERMINATED)],
    }
    assert expected == {
        name: [
            (each.at_ms, each.status)
            for each in street.events(name)
            if isinstance(each, StatusChanged)
        ]
        for name in documents
    }
    ends = [(each.number, each.at_ms) for each in street.resolved("raffle")]
    whole = [(number, starts_ms + number * DAY_MS) for number in range(1, 6)]
    assert [*whole, (6, ends_ms)] == ends
    street.check()


@pytest.mark.usefixtures("_long_looks")
async def test_another_schedule_sets_another_alarm(autojump_clock: MockClock) -> None:
    """A week's round that is cut by an earlier end resolves then; a later end is of no use to a raffle that is over."""
    ends_ms = NEW_YEAR_MS + DAY_MS + 3 * HOUR_MS
    street = Street(autojump_clock)
    async with street.house.running():
        await street.spin("anna", 5 * EUR)
        await street.until(NEW_YEAR_MS + DAY_MS)
        for end_ms, is_done in ((ends_ms, True), (NEW_YEAR_MS + HOUR_MS, False)):
            new = compiled_schedule(schedule(NEW_YEAR_MS, end_ms))
            command = SetSchedule(0, "", new, "someone", "why")
            found = await street.house.shard.operate("weekly", command)
            assert is_done is isinstance(found, Operated)
        await street.until(ends_ms + DAY_MS)
        await street.house.settled()
        later = compiled_schedule(schedule(NEW_YEAR_MS, ends_ms + 9 * DAY_MS))
        refused = await street.house.shard.operate("weekly", SetSchedule(0, "", later, "me", "why"))

    (resolved,) = street.resolved("weekly")
    assert (1, ends_ms, ends_ms, 1) == (
        resolved.number,
        resolved.ends_ms,
        resolved.at_ms,
        len(resolved.prizes),
    )
    assert Status.ENDED is street.state("weekly").status
    assert isinstance(refused, Rejection)
    street.check()
