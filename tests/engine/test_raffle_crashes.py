"""Crashes around the end of a raffle's round: one resolution, the same winners, one credit for each (contract §9).

Whatever the journal holds, and whatever part of which checkpoint was written, the tickets are the same after a restart;
a draw that was not committed is taken again with the same secret, and comes out the same.
"""

import random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from jackpotd.core.commands import Bet
from jackpotd.core.events import Contributed, RoundResolved
from jackpotd.engine.checkpoint import Checkpointer
from jackpotd.engine.recovery import MemoryKeys, MemoryRows, compare
from jackpotd.testing.cases import raffle, schedule
from jackpotd.testing.house import (
    BORN_MS,
    House,
    StepClock,
    currencies,
    instance,
    operator,
    request,
)
from jackpotd.testing.house_bank import Bank
from jackpotd.testing.journal_audit import Audit
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.templates import MULTIPLIERS, Json, rates
from jackpotd.testing.vault import SeededVault
from jackpotd.wire import records, rows
from jackpotd.wire.catalog_records import CatalogEntity

from .crashable_rows import CrashableRows, Flushed, all_rows, replayed

ROUND_MS = 3_600_000
PLAYERS = [f"player {number}" for number in range(9)]
TEST_TIMEOUT_S = 30


def entities(rng: random.Random) -> list[CatalogEntity]:
    """One raffle of rounds of an hour, in which a prize may be withheld."""
    prizes: list[Json] = [
        {"count": rng.randint(1, 4), "share": "0.1"},
        {"count": rng.randint(1, 9), "amount": rng.choice(("1", "30", "0.001"))},
    ]
    document = raffle(
        *prizes,
        duration={"Hours": 1},
        cost=rng.choice(("0.5", "2")),
        accumulate=rng.random() < 0.5,
        one_prize_per_player=rng.random() < 0.5,
        withhold_wins_above=rng.choice((None, "1.5")),
    )
    own = schedule(BORN_MS, None)
    return [operator("op", ["a"]), currencies("default"), instance("one", document, schedule=own)]


class Life:
    """A raffle whose round is played, with checkpoints in between, and then the process is gone."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.entities = entities(self.rng)
        self.bets: dict[str, Bet] = {}
        self.log = MemoryLog()
        self.keys = Flushed()
        self.disk = CrashableRows(self.log, self.keys)

    async def play(self, spins: int) -> None:
        """So many spins in the first round."""
        rng = self.rng
        house = House(self.log, self.entities, disk=self.disk, keys=self.keys)
        checkpointer = Checkpointer(
            house.fold, house.journal, self.disk, self.keys, interval_s=60, transaction_rows_max=2
        )
        async with house.running():
            for spin in range(spins):
                asked = request(
                    "one",
                    wager=rng.choice((rng.randint(1, 10**9), 10**8)),
                    key=f"key {spin}",
                    player_id=rng.choice(PLAYERS),
                    currency=rng.choice([*MULTIPLIERS]),
                )
                self.bets[asked.trace_id] = asked.bet
                await house.router.contribute(asked)
                if rng.random() < 0.15:
                    await checkpointer.checkpoint()

    def remains(self) -> tuple[MemoryLog, MemoryRows, MemoryKeys]:
        """Some end of the journal after the first spin, and some transaction of a checkpoint that it covers."""
        rng = self.rng
        first = 1 + next(seq for seq, data in self.log.scan(1) if b'["c"' in data)
        cut = self.log.copy(rng.randint(first, self.log.last_seq))
        found = [each for each in self.disk.transactions if each[0] <= cut.last_seq]
        if not found or rng.random() < 0.2:
            return cut, MemoryRows(), MemoryKeys()
        _, keys, items = rng.choice(found)
        return cut, MemoryRows(items.items()), keys


async def resolved_after_restart(house: House, *, commits: bool = True) -> list[RoundResolved]:
    """Serves until nothing is due any more, then crashes; what is resolved by then, committed or not."""
    async with house.running(commits=commits):
        await wait_all_tasks_blocked()
        if commits:
            await house.settled()
        return [each for each in events_of(house.log) if isinstance(each, RoundResolved)]


def events_of(log: MemoryLog) -> list[object]:
    """All that has happened to the raffle."""
    entries = [records.decode(data) for _, data in log.scan(1)]
    return [
        event
        for entry in entries
        if isinstance(entry, records.Entry)
        for event in records.to_events(entry.events)
    ]


def drawn(resolved: RoundResolved) -> list[tuple[object, ...]]:
    """Everything of a draw but the names that entropy gives."""
    return [
        (prize.tier, prize.winner, prize.entrant, prize.draw, prize.among, prize.paid, prize.win)
        for prize in resolved.prizes
    ]


def late(clocks: int = 0) -> StepClock:
    """A clock after the end of the first round, and of no other."""
    return StepClock(BORN_MS + ROUND_MS + 1_000 * clocks)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 2**48))
async def test_raffle_round_is_resolved_alike_after_any_crash(seed: int) -> None:
    """From each remains: one resolution at the next start, with the same tickets and the same winners as from others.

    A draw that was staged and not committed is taken again; what was committed is never drawn again.
    """
    with trio.fail_after(TEST_TIMEOUT_S):
        life = Life(seed)
        await life.play(life.rng.randint(2, 25))
        log, disk, keys = life.remains()
        lost = House(log.copy(), life.entities, disk=disk, keys=keys, seed=1, clock=late())
        assert [] == await resolved_after_restart(lost, commits=False)
        whole = House(log.copy(), life.entities, seed=2, clock=late(1))
        (expected,) = await resolved_after_restart(whole)
        again = House(log.copy(), life.entities, disk=disk, keys=keys, seed=3, clock=late(2))
        (resolved,) = await resolved_after_restart(again)
        assert drawn(expected) == drawn(resolved)
        assert (expected.tickets, expected.pot, expected.shortfall) == (
            resolved.tickets,
            resolved.pot,
            resolved.shortfall,
        )
        after = House(again.log.copy(), life.entities, disk=disk, keys=keys, seed=4, clock=late(3))
        assert [resolved] == await resolved_after_restart(after)

    check(after, life, disk)


def check(house: House, life: Life, disk: MemoryRows) -> None:
    """The ledger, the replay, the oracle; one winner and one credit for each prize that was paid."""
    log = house.log
    compare(log, [], MemoryKeys(), alive_since_ms=0)
    audit = Audit(SeededVault(), lambda _brand: rates(), life.bets.__getitem__)
    for seq, data in log.scan(1):
        audit.read(seq, data)
    bank = Bank.of_what_stands(house)
    bank.check_winners()
    bank.check_credits()
    live = replayed(log, MemoryRows(), MemoryKeys())
    (resolved,) = [each for each in events_of(log) if isinstance(each, RoundResolved)]
    paid = sorted(prize.round_id for prize in resolved.prizes if prize.win)
    for prefix in (rows.WINNERS, rows.CREDITS):
        found = [rows.decode(data) for key, data in live.items() if key.startswith(prefix)]
        assert paid == sorted(row.round_id for row in found)
    assert live == all_rows(house.fold, disk)


async def test_raffle_that_is_asked_while_it_resolves_answers_after_it() -> None:
    """Contributions that wait for the end of a round are taken in by the next one, and lose nothing."""
    with trio.fail_after(TEST_TIMEOUT_S):
        life = Life(5)
        await life.play(12)
        house = House(life.log.copy(), life.entities, clock=late())
        asked = [
            request("one", wager=10**9, key=f"late {number}", player_id=PLAYERS[0])
            for number in range(5)
        ]
        life.bets |= {each.trace_id: each.bet for each in asked}
        async with house.running():
            async with trio.open_nursery() as nursery:
                for each in asked:
                    nursery.start_soon(house.router.contribute, each)
            await house.settled()

    events = events_of(house.log)
    place = next(at for at, each in enumerate(events) if isinstance(each, RoundResolved))
    rounds = [
        (at > place, each.issued.round)
        for at, each in enumerate(events)
        if isinstance(each, Contributed) and each.issued is not None
    ]
    assert {(False, 1), (True, 2)} == {*rounds}
    assert 5 == sum(number == 2 for _, number in rounds)
    check(house, life, MemoryRows())


@pytest.mark.parametrize("torn", range(1, 4))
async def test_raffle_s_resolution_is_one_record(torn: int) -> None:
    """Its winners, its credits, the next round and the next seal: whoever has one of them, has all."""
    with trio.fail_after(TEST_TIMEOUT_S):
        life = Life(torn)
        await life.play(10)
        house = House(life.log.copy(), life.entities, clock=late())
        before = house.log.last_seq
        await resolved_after_restart(house)

    assert before + 1 == house.log.last_seq
    entry = records.decode(house.log.records[before + 1])
    assert isinstance(entry, records.Entry)
    assert ["RoundResolved", "RoundOpened", "Sealed"] == [
        type(each).__name__ for each in records.to_events(entry.events)
    ]
