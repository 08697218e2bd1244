"""A house under random load: its money is accounted for from the answers alone, and its journal says the same again.

Random templates, instances linked to each other and back, several brands and currencies, requests at once, cancelled
callers and repeats; the real router, shard and fold over the real group commit. `Bank` knows what came in and went out
only from what was answered; a caller that went away asks again with its key.
"""

import random
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import pytest
import trio
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jackpotd.core.commands import ChangeStatus, OptIn
from jackpotd.core.events import Contributed, PotWon
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Status
from jackpotd.engine.checkpoint import Checkpointer
from jackpotd.engine.fold import Fold
from jackpotd.engine.messages import Accepted, ContributionRequest, Reply, Taken
from jackpotd.engine.ports import Keys
from jackpotd.engine.recovery import MemoryKeys, MemoryRows, compare, recover
from jackpotd.journal.group_commit import GroupCommit, JournalFailed
from jackpotd.testing.house import House, currencies, instance, links, operator, request
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.templates import MULTIPLIERS, random_template, rates
from jackpotd.wire import records, rows
from jackpotd.wire.catalog_records import CatalogEntity

BRANDS = ("op:a", "op:b", "op:c")
IDS = ("one", "two", "three")
PLAYERS = ("anna", "bert", "caro", "dora")
TEST_TIMEOUT_S = 30


class Bank:
    """Money in and money out of each instance, from the answers."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.balance = {
            instance_id: sum(pot.initial_seed for pot in cell.state.rules.pots)
            for instance_id, cell in house.fold.cells.items()
        }
        self.seen: Counter[str] = Counter()
        self.rounds: Counter[str] = Counter()

    def book(self, answer: Accepted) -> None:
        for outcome in answer.outcomes:
            if isinstance(outcome, Taken):
                self._take(outcome)
            elif isinstance(outcome, Rejection):
                self.seen["links refused"] += 1

    def _take(self, taken: Taken) -> None:
        for item in taken.events:
            if isinstance(item, Contributed):
                self.balance[taken.instance_id] += item.worth
                self.rounds[item.round_id] += 1
                self.seen["contributions"] += 1
            elif isinstance(item, PotWon):
                self.balance[taken.instance_id] += item.deficit - item.paid
                self.seen["wins"] += 1

    def check(self) -> None:
        """Every unit that came in and did not leave is in one of the instance's accounts."""
        for instance_id, cell in self.house.fold.cells.items():
            state = cell.state
            held = state.house + sum(pot.value + pot.reserve for pot in state.pots)
            carried = Fraction(sum(state.carried), state.plan.denominator)
            assert self.balance[instance_id] == held + carried, instance_id
        assert set(self.rounds.values()) <= {1}

    def check_winners(self) -> None:
        """Winners are read in the order of the journal, the latest first, over all pots and for each."""
        won: dict[str, list[tuple[int, str, int]]] = {name: [] for name in self.house.fold.cells}
        for _, data in self.house.log.scan(1):
            record = records.decode(data)
            if isinstance(record, records.Entry):
                wins = [item for item in record.events if isinstance(item, records.PotWon)]
                won[record.instance_id] += [(each.pot, each.round_id, each.paid) for each in wins]
        overlay = self.house.fold.overlay
        for name, expected in won.items():
            pots = len(self.house.fold.cells[name].state.pots)
            found = [(r.pot, r.round_id, r.paid) for r in overlay.winners_down(name, pots)]
            assert expected[::-1] == found
            for pot in range(pots):
                of_pot = [row.round_id for _, row in overlay.pot_winners_down(name, pot)]
                assert [round_id for at, round_id, _ in expected[::-1] if at == pot] == of_pot


class Flushed(MemoryKeys):
    """Keys that a checkpoint makes durable, and what a crash leaves of them."""

    def __init__(self) -> None:
        super().__init__()
        self.durable: dict[bytes, tuple[int, int]] = {}
        self.covered_seq = 0

    async def flush(self, seq: int) -> None:
        self.durable = {digest: item for digest, item in self.items.items() if item[0] <= seq}
        self.covered_seq = seq

    def after_crash(self) -> "Flushed":
        left = Flushed()
        left.items, left.durable = dict(self.durable), dict(self.durable)
        left.covered_seq = self.covered_seq
        return left


class CrashableRows(MemoryRows):
    """Rows that remember each transaction, with the journal's end and the keys at that time."""

    def __init__(self, log: MemoryLog, keys: Flushed) -> None:
        super().__init__()
        self._log, self._keys = log, keys
        self.transactions: list[tuple[int, Flushed, dict[bytes, bytes]]] = []

    def write(self, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        super().write(items)
        self.transactions.append((self._log.last_seq, self._keys.after_crash(), dict(self.items)))


def catalog(rng: random.Random) -> list[CatalogEntity]:
    """Three instances of random templates: the first two linked to each other, the third to both."""
    entities: list[CatalogEntity] = [
        operator("op", ["a", "b", "c"]),
        currencies("default"),
        replace(currencies("op:b"), rates=rates(MULTIPLIERS | {"USD": "0.99999999"})),
    ]
    for instance_id in IDS:
        allowed = rng.sample(BRANDS, rng.choice((2, 3, 3)))
        entities.append(instance(instance_id, random_template(rng, allowed)))
    return [
        *entities,
        links("one", "two", "three"),
        links("two", "one"),
        links("three", "two", "one"),
    ]


class Load:
    """Callers at once, some of whom go away and come back."""

    def __init__(self, house: House, bank: Bank, rng: random.Random) -> None:
        self.house, self.bank, self.rng = house, bank, rng
        self._keys = 0

    async def round(self, callers: int) -> None:
        """So many requests at once, answered or given up; then whoever gave up asks again."""
        gone: list[ContributionRequest] = []
        async with trio.open_nursery() as nursery:
            for _ in range(callers):
                nursery.start_soon(self._call, gone)
        for asked in gone:
            answer = await self.house.router.contribute(asked)
            if isinstance(answer, Accepted):
                self.bank.book(answer)
                self.bank.seen["came back"] += answer.is_replay

    async def _call(self, gone: list[ContributionRequest]) -> None:
        rng = self.rng
        if rng.random() < 0.1:
            await self._opt_in_or_pause()
            return
        self._keys += 1
        asked = self._request()
        with trio.CancelScope() as scope:
            if rng.random() < 0.2:
                scope.deadline = trio.current_time() + rng.choice((0, 0.0002, 0.001))
            answer = await self.house.router.contribute(asked)
        if scope.cancelled_caught:
            gone.append(asked)
        elif isinstance(answer, Accepted):
            self.bank.book(answer)
            await self._repeat(asked, answer)
        else:
            self.bank.seen["refused"] += 1

    async def _repeat(self, asked: ContributionRequest, answer: Accepted) -> None:
        """A repeat gets the same answer, and nothing more is contributed."""
        if self.rng.random() < 0.2:
            again = await self.house.router.contribute(asked)
            assert replace(answer, is_replay=True) == again

    def _request(self) -> ContributionRequest:
        rng = self.rng
        return request(
            rng.choice(IDS),
            wager=rng.choice((rng.randint(1, 10**10), 10**8, 10**8, 0)),
            key=f"key {self._keys}",
            brand=rng.choice(BRANDS),
            player_id=rng.choice(PLAYERS),
            currency=rng.choice(list(MULTIPLIERS)),
            with_links=rng.random() < 0.8,
        )

    async def _opt_in_or_pause(self) -> None:
        rng, shard, instance_id = self.rng, self.house.shard, self.rng.choice(IDS)
        if rng.random() < 0.2:
            for status in (Status.PAUSED, Status.ACTIVE):
                await shard.change_status(instance_id, ChangeStatus(0, status, "", "test"))
            return
        opt_in = OptIn(0, rng.choice(BRANDS), rng.choice(PLAYERS), None, True, None, None, rates())
        reply: Reply[Taken | Rejection | None] = Reply()
        shard.opt_in(instance_id, opt_in, reply.resolve)
        await reply.wait()


def all_rows(fold: Fold, disk: MemoryRows) -> dict[bytes, bytes]:
    """Every row as a checkpoint right now would leave them."""
    whole = MemoryRows(disk.items.items())
    whole.absorb(fold)
    whole.items.pop(rows.POSITION_KEY, None)
    return whole.items


def replayed(log: MemoryLog, disk: MemoryRows, keys: Keys) -> dict[bytes, bytes]:
    """The rows after recovery from these remains."""
    fold = Fold(disk, keys)
    recover(fold, log)
    return all_rows(fold, disk)


@settings(derandomize=True, deadline=None, max_examples=120)
@given(st.integers(0, 2**48))
async def test_books_of_a_house_balance_and_its_journal_repeats_them(seed: int) -> None:
    """Money in less money out is in the accounts to the last unit, also after a replay from nothing, byte for byte."""
    rng = random.Random(seed)
    log, keys = MemoryLog(), Flushed()
    disk = CrashableRows(log, keys)
    with trio.fail_after(TEST_TIMEOUT_S):
        house = House(
            log,
            catalog(rng),
            disk=disk,
            keys=keys,
            seed=seed,
            journal=lambda log: GroupCommit(log, batch_records_max=rng.choice((1, 5, 64))),
        )
        checkpointer = Checkpointer(
            house.fold, house.journal, disk, keys, interval_s=60, transaction_rows_max=3
        )
        async with house.running():
            bank = Bank(house)
            load = Load(house, bank, rng)
            for _ in range(rng.randint(2, 5)):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(load.round, rng.randint(1, 15))
                    if rng.random() < 0.6:
                        nursery.start_soon(checkpointer.checkpoint)
                await house.settled()
                bank.check()
                bank.check_winners()
        checkpoint = MemoryRows(disk.items.items())
        compare(log, checkpoint.items.items(), keys, alive_since_ms=0)
        live = all_rows(house.fold, disk)
        assert live == replayed(log, MemoryRows(), MemoryKeys())
        assert not any(key.startswith(rows.PROPAGATIONS) for key in live)
        assert_crashes_lose_nothing(rng, log, disk)
    for what in bank.seen:
        event(what)


def assert_crashes_lose_nothing(rng: random.Random, log: MemoryLog, disk: CrashableRows) -> None:
    """After any transaction of any checkpoint, and any journal that goes at least as far, recovery is exact."""
    for last_seq, keys, items in rng.sample(disk.transactions, min(6, len(disk.transactions))):
        cut = log.copy(rng.randint(last_seq, log.last_seq))
        whole_keys = MemoryKeys()
        expected = replayed(cut, MemoryRows(), whole_keys)
        assert expected == replayed(cut, MemoryRows(items.items()), keys)
        assert whole_keys.items == keys.items


async def test_books_of_a_house_that_restarts_many_times_balance() -> None:
    """Ten lives of one log: what was answered stays, and the books go on from there."""
    rng = random.Random(10)
    entities, log, rounds = catalog(rng), MemoryLog(), Counter[str]()
    with trio.fail_after(TEST_TIMEOUT_S):
        for life in range(10):
            house = House(log, entities, seed=life)
            async with house.running():
                await house.settled()
                bank = Bank(house)
                bank.balance = {
                    instance_id: cell.state.contributed
                    + cell.state.operator
                    + cell.state.deficit
                    - cell.state.payouts
                    for instance_id, cell in house.fold.cells.items()
                }
                load = Load(house, bank, rng)
                load._keys = 1_000 * life
                await load.round(20)
                await house.settled()
                bank.check()
                rounds += bank.rounds
            log = house.log.copy()

    assert rounds.total() > 50
    assert {1} == set(rounds.values())


async def test_books_of_a_journal_that_failed_answer_nobody() -> None:
    """A journal that cannot append answers nobody: the caller sees no answer, and nothing is in the log."""
    log = MemoryLog()
    house = House(
        log,
        catalog(random.Random(1)),
        journal=lambda log: GroupCommit(log, batch_records_max=64),
    )
    answers: list[Accepted | Rejection] = []

    async def ask() -> None:
        answers.append(await house.router.contribute(request("one", wager=10**8, key="k")))

    async def live() -> None:
        async with house.running() as nursery:
            log.is_broken = True
            nursery.start_soon(ask)
            await trio.sleep_forever()

    with trio.fail_after(TEST_TIMEOUT_S), pytest.raises(BaseExceptionGroup) as failure:
        await live()

    assert failure.group_contains(JournalFailed)
    assert [] == answers
    assert len(IDS) == log.last_seq  # their births, and nothing else
