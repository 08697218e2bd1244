"""Raffles in virtual time, with the journal cut after any record: each round is resolved once, to the same winners.

Two raffles, the second linked to the first, are played by a script; nobody is online when most of their rounds end. A
life that begins with a cut journal has other entropy than the first one, and goes on with the script.
"""

import random
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import pytest
import trio
from msgspec import Struct
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked

from jackpotd.core.events import Prize, RoundResolved
from jackpotd.core.money import SCALE
from jackpotd.engine.fold import Fold
from jackpotd.engine.messages import Accepted
from jackpotd.engine.recovery import MemoryKeys, MemoryRows, recover
from jackpotd.testing.house import House, StepClock, currencies, instance, links, operator, request
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.wire import records, rows
from jackpotd.wire.catalog_records import CatalogEntity
from jackpotd.wire.parts import Schedule

TEST_TIMEOUT_S = 1_000_000  # of virtual time
START_MS = 1_700_000_000_000
SECOND_MS = 1_000
BEATS_S = {"daily": 10, "weekly": 15}
STEPS = 20
END_MS = START_MS + 31 * SECOND_MS
HOUR_MS = 3_600_000
CURRENCIES = ("EUR", "USD", "JPY", "KWD")

Rounds = dict[tuple[str, int], tuple[int, RoundResolved]]
"""Raffle and number → the record that resolved it, and how."""


class TrioClock(StepClock):
    """Unix time that passes with Trio's."""

    def __init__(self, now_ms: int) -> None:
        super().__init__(now_ms)
        self._ahead_ms = now_ms - round(trio.current_time() * 1000)

    def __call__(self) -> int:
        return self._ahead_ms + round(trio.current_time() * 1000)


class Step(Struct, frozen=True):
    """A contribution of the script."""

    at_ms: int
    key: str
    player: str
    currency: str
    wager: int


def template(prizes: list[dict[str, Any]], *, one_prize: bool) -> dict[str, Any]:
    return {
        "id": "raffle",
        "name": "A raffle",
        "owner_id": "op",
        "currency": "EUR",
        "jackpot_type": "Raffle",
        "contribution_rules": {"opt_in_required": False, "contribution_type": {"Fixed": "0.1"}},
        "house_hold_contribution": {"Percentage": "0.3"},
        "pots": [
            {
                "id": "main",
                "contribution": {"Percentage": "0.7"},
                "seed_contribution": {"Percentage": "0.5"},
                "seed_strategy": {"initial_seed_value": 10, "min_reseed_value": 10},
                "pot_types": [],
            }
        ],
        "raffle": {
            "duration": {"Seconds": 1},
            "ticket": {"cost": 2, "metric": "BaseWager", "accumulate": True},
            "prizes": prizes,
            "one_prize_per_player": one_prize,
        },
    }


def catalog() -> list[CatalogEntity]:
    """Both raffles begin at once; Daily's prizes are as many as can be won, Weekly's are for different players."""
    entities: list[CatalogEntity] = [operator("op", ["a"]), currencies("default")]
    for name, prizes, one_prize in (
        ("daily", [{"count": 1, "share": "0.5"}, {"count": 40, "amount": "0.25"}], False),
        ("weekly", [{"count": 1, "amount": 5}, {"count": 3, "amount": 1}], True),
    ):
        document = template(prizes, one_prize=one_prize)
        document["raffle"]["duration"] = {"Seconds": BEATS_S[name]}
        schedule = Schedule(start_ms=START_MS, end_ms=None)
        entities.append(replace(instance(name, document), schedule=schedule))
    return [*entities, links("daily", "weekly")]


def script(seed: int) -> list[Step]:
    """Contributions over three rounds, none of them just before an end."""
    rng = random.Random(seed)
    times = sorted(rng.sample(range(0, 30 * SECOND_MS, 100), STEPS))
    return [
        Step(
            START_MS + at_ms + 17,
            f"k{number}",
            f"p{rng.randrange(5)}",
            rng.choice(CURRENCIES),
            rng.randrange(1, 20 * SCALE),
        )
        for number, at_ms in enumerate(times)
    ]


async def lived(
    log: MemoryLog,
    steps: Iterable[Step],
    *,
    from_ms: int,
    seed: int,
    disk: MemoryRows | None = None,
) -> House:
    """A life on a log: it begins at a time, plays what it is asked for, and ends when the script is over."""
    house = House(log, catalog(), seed=seed, clock=TrioClock(from_ms), disk=disk)
    async with house.running():
        await house.settled()
        for step in steps:
            await trio.sleep(max(0, step.at_ms - house.clock()) / 1000)
            asked = request(
                "daily",
                wager=step.wager,
                key=step.key,
                player_id=step.player,
                currency=step.currency,
            )
            assert isinstance(await house.router.contribute(asked), Accepted)
        await trio.sleep(max(0, END_MS - house.clock()) / 1000)
        await wait_all_tasks_blocked()
        await house.settled()
    return house


def checkpointed(log: MemoryLog, rng: random.Random) -> MemoryRows:
    """Rows as a crash may leave them: all of a checkpoint, and those of the next one as far as it had come."""
    disk = MemoryRows()
    first, second = sorted(rng.randint(0, log.last_seq) for _ in range(2))
    for position in (first, second):
        fold = Fold(disk, MemoryKeys())
        recover(fold, log.copy(position))
        fold.freeze()
        written = list(fold.frozen())
        if position == first:
            written.append((rows.POSITION_KEY, rows.encode(rows.PositionRow(first))))
        else:
            written = written[: rng.randint(0, len(written))]
        disk.write(written)
    return disk


def resolutions(log: MemoryLog) -> Rounds:
    """Every round that a journal has resolved, which none may have twice."""
    found: Rounds = {}
    for seq, data in log.scan(1):
        record = records.decode(data)
        if isinstance(record, records.Entry):
            for event in records.to_events(record.events):
                if isinstance(event, RoundResolved):
                    assert (record.instance_id, event.number) not in found
                    found[record.instance_id, event.number] = seq, event
    return found


def sealed(log: MemoryLog) -> set[tuple[str, int]]:
    """The raffles' rounds whose secret was committed to in a journal: the n-th seal is that of the n-th draw."""
    found: set[tuple[str, int]] = set()
    for _, data in log.scan(1):
        record = records.decode(data)
        if isinstance(record, records.Entry):
            for event in record.events:
                if isinstance(event, records.Sealed) and event.seal is not None:
                    found.add((record.instance_id, event.seal.number))
    return found


def unnamed(event: RoundResolved) -> RoundResolved:
    """A resolution without what entropy and the clock have made of it."""
    prizes = tuple(replace(prize, round_id="") for prize in event.prizes)
    return replace(event, at_ms=0, prizes=prizes)


def assert_books_of_rounds(house: House) -> None:
    """Rounds follow each other; each has a row, and each winner of it a row and one credit."""
    overlay = house.fold.overlay
    found = resolutions(house.log)
    for name, beat_s in BEATS_S.items():
        numbers = [number for raffle, number in found if raffle == name]
        assert sorted(set(numbers)) == numbers
        assert [row.number for row in overlay.rounds_down(name)] == numbers[::-1]
        for number in numbers:
            _, event = found[name, number]
            paid = [prize for prize in event.prizes if prize.win]
            row = overlay.round(name, number)
            assert row is not None
            assert [won(prize) for prize in paid] == [
                (each.round_id, each.player_id, each.win)
                for each in overlay.round_winners(name, row.order)
            ]
            assert sorted(won(prize) for prize in paid) == sorted(
                (each.round_id, each.player_id, each.amount)
                for each in overlay.round_credits(name, number)
            )
        expected = START_MS + len(numbers) * beat_s * SECOND_MS
        rare = house.fold.cells[name].state.rare
        assert rare.round is not None
        assert (rare.missed, rare.rounds) == (0, len(numbers))
        assert rare.round.starts_ms == expected


def won(prize: Prize) -> tuple[str, str, int]:
    return prize.round_id, prize.winner.player_id, prize.win


def last_ms(log: MemoryLog) -> int:
    """The time of the last thing that a journal tells of."""
    times = [START_MS]
    for _, data in log.scan(1):
        record = records.decode(data)
        if isinstance(record, records.Entry):
            times.append(max(event.at_ms for event in records.to_events(record.events)))
    return max(times)


def played(log: MemoryLog, first_seq: int, end_seq: int) -> set[str]:
    """Who received contributions in these records of a journal."""
    found = [records.decode(data) for seq, data in log.scan(first_seq) if seq < end_seq]
    return {
        record.instance_id
        for record in found
        if isinstance(record, records.Entry)
        and any(isinstance(event, records.Contributed) for event in record.events)
    }


def births(log: MemoryLog) -> int:
    """The record from which on every raffle has a round."""
    entries = [seq for seq, data in log.scan(1) if isinstance(records.decode(data), records.Entry)]
    return entries[len(BEATS_S) - 1]


async def test_rounds_end_on_time_with_nobody_online(autojump_clock: MockClock) -> None:
    """The script's rounds are resolved at their ends, to the millisecond, and tickets are what was paid for."""
    assert autojump_clock.autojump_threshold == 0
    with trio.fail_after(TEST_TIMEOUT_S):
        house = await lived(MemoryLog(), script(1), from_ms=START_MS, seed=1)
    found = resolutions(house.log)

    assert_books_of_rounds(house)
    assert found.keys() == {*(("daily", n) for n in (1, 2, 3)), ("weekly", 1), ("weekly", 2)}
    for _, event in found.values():
        assert event.at_ms == event.ends_ms
        assert event.tickets >= len(event.prizes) > 0
        assert 0 <= Fraction(event.counted, 2 * SCALE) - event.tickets < event.entrants


@pytest.mark.parametrize("seed", range(2, 6))
async def test_journal_cut_anywhere_gives_the_same_winners(
    autojump_clock: MockClock, seed: int
) -> None:
    """A crash after each record in turn: what was sealed draws the same, no round is resolved twice or left out."""
    assert autojump_clock.autojump_threshold == 0
    with trio.fail_after(TEST_TIMEOUT_S):
        rng, steps = random.Random(seed), script(seed)
        whole = await lived(MemoryLog(), steps, from_ms=START_MS, seed=seed)
        expected = resolutions(whole.log)
        agreed = 0
        for cut in range(whole.log.last_seq + 1):
            log = whole.log.copy(cut)
            known, from_ms, disk = sealed(log), last_ms(log), checkpointed(log, rng)
            reborn = await lived(log, steps, from_ms=from_ms, seed=1000 + cut, disk=disk)
            found = resolutions(reborn.log)

            assert_books_of_rounds(reborn)
            assert found.keys() == expected.keys()
            for at in known & found.keys():
                assert unnamed(expected[at][1]) == unnamed(found[at][1])
                agreed += found[at][0] > cut
    assert agreed > whole.log.last_seq / 2


async def test_round_that_was_open_is_resolved_once_after_a_long_downtime(
    autojump_clock: MockClock,
) -> None:
    """An hour after a crash anywhere: the open round is drawn as it stood, and those since are missed and empty."""
    assert autojump_clock.autojump_threshold == 0
    with trio.fail_after(TEST_TIMEOUT_S):
        rng = random.Random(3)
        whole = await lived(MemoryLog(), script(3), from_ms=START_MS, seed=3)
        expected = resolutions(whole.log)
        agreed = 0
        for cut in range(births(whole.log), whole.log.last_seq + 1):
            log = whole.log.copy(cut)
            before, from_ms = resolutions(log), last_ms(log) + HOUR_MS
            disk = checkpointed(log, rng)
            reborn = await lived(log, (), from_ms=from_ms, seed=1000 + cut, disk=disk)
            found = resolutions(reborn.log)
            for name, beat_s in BEATS_S.items():
                opened = 1 + sum(raffle == name for raffle, _ in before)
                assert [n for raffle, n in found if raffle == name] == [*range(1, opened + 1)]
                assert cut < found[name, opened][0]
                over = (from_ms - START_MS) // (beat_s * SECOND_MS)
                rare = reborn.fold.cells[name].state.rare
                assert (rare.rounds, rare.missed) == (over, over - opened)
                if (name, opened) in expected:
                    seq, event = expected[name, opened]
                    if name not in played(whole.log, cut + 1, seq):
                        assert unnamed(event) == unnamed(found[name, opened][1])
                        agreed += 1
    assert agreed > len(expected)
