"""A house under random load: its money is accounted for from the answers alone, and its journal says the same again.

Random jackpots and raffles, with schedules or without, instances linked to each other and back, several brands and
currencies, requests at once, some of them for webhooks, cancelled callers and repeats; the real router, shard and fold
over the real group commit. `Bank` knows what came in and went out only from what was answered, or is for a webhook; a
caller that went away asks again with its key.
"""

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import pytest
import trio
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jackpotd.core.commands import Bet
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Status
from jackpotd.engine.checkpoint import Checkpointer
from jackpotd.engine.messages import Accepted
from jackpotd.engine.recovery import MemoryKeys, MemoryRows, compare
from jackpotd.journal.group_commit import GroupCommit, JournalFailed
from jackpotd.testing.cases import schedule
from jackpotd.testing.house import (
    BORN_MS,
    House,
    currencies,
    instance,
    links,
    operator,
    request,
)
from jackpotd.testing.house_bank import Bank
from jackpotd.testing.house_load import BRANDS, IDS, Load
from jackpotd.testing.journal_audit import Audit
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.raffle_templates import random_raffle, random_schedule
from jackpotd.testing.templates import EVERYTHING, MULTIPLIERS, Feature, random_template, rates
from jackpotd.testing.vault import SeededVault
from jackpotd.wire import rows
from jackpotd.wire.catalog_records import CatalogEntity, InstanceEntry

from .crashable_rows import CrashableRows, Flushed, all_rows, replayed

RATES_OF_B = rates(MULTIPLIERS | {"USD": "0.99999999"})
TEST_TIMEOUT_S = 30


def catalog(rng: random.Random, features: Collection[Feature] = EVERYTHING) -> list[CatalogEntity]:
    """Three random instances, raffles among them: the first two linked to each other, the third to both."""
    entities: list[CatalogEntity] = [
        operator("op", ["a", "b", "c"]),
        currencies("default"),
        replace(currencies("op:b"), rates=RATES_OF_B),
    ]
    for instance_id in IDS:
        allowed = rng.sample(BRANDS, rng.choice((2, 3, 3)))
        entities.append(some_instance(rng, instance_id, allowed, features))
    return [
        *entities,
        links("one", "two", "three"),
        links("two", "one"),
        links("three", "two", "one"),
    ]


def some_instance(
    rng: random.Random, instance_id: str, brands: Sequence[str], features: Collection[Feature]
) -> InstanceEntry:
    """A jackpot, with a schedule or without one, or (where there are any features) a raffle."""
    is_raffle, is_scheduled = rng.random() < 0.4, rng.random() < 0.2
    if not features or not (is_raffle or is_scheduled):
        return instance(instance_id, random_template(rng, brands, features))
    own = schedule(BORN_MS) if rng.random() < 0.5 else None
    own = own or random_schedule(rng, BORN_MS, is_raffle=is_raffle)
    is_ahead = (own["timestamp_start"] or 0) > BORN_MS
    template = (
        random_raffle(rng, brands, must_last=own["timestamp_end"] is None)
        if is_raffle
        else random_template(rng, brands, features)
    )
    status = Status.PENDING if is_ahead else Status.ACTIVE
    return instance(instance_id, template, status=status, schedule=own)


@settings(derandomize=True, deadline=None, max_examples=120)
@given(st.integers(0, 2**48))
async def test_books_of_a_house_balance_and_its_journal_repeats_them(seed: int) -> None:
    """Money in less money out is in the accounts to the last unit, also after a replay from nothing, byte for byte.

    The oracle works every entry of the journal out again.
    """
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
                bank.check_credits()
            if rng.random() < 0.3:
                await load.decommission()
                await load.round(5)
                await house.settled()
                bank.check()
        audit = audited(log, load.bets)
        checkpoint = MemoryRows(disk.items.items())
        compare(log, checkpoint.items.items(), keys, alive_since_ms=0)
        live = all_rows(house.fold, disk)
        assert live == replayed(log, MemoryRows(), MemoryKeys())
        assert not any(key.startswith(rows.PROPAGATIONS) for key in live)
        assert_crashes_lose_nothing(rng, log, disk)
    for what in bank.seen + audit.seen:
        event(what)


def audited(log: MemoryLog, bets: Mapping[str, Bet]) -> Audit:
    """The journal, worked out again by the oracle."""
    audit = Audit(
        SeededVault(),
        lambda brand: RATES_OF_B if brand == "op:b" else rates(),
        bets.__getitem__,
    )
    for seq, data in log.scan(1):
        audit.read(seq, data)
    return audit


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
    bets: dict[str, Bet] = {}
    with trio.fail_after(TEST_TIMEOUT_S):
        for life in range(10):
            house = House(log, entities, seed=life)
            async with house.running():
                await house.settled()
                bank = Bank.of_what_stands(house)
                load = Load(house, bank, rng, keys=1_000 * life)
                await load.round(20)
                await house.settled()
                bank.check()
                rounds += bank.rounds
                bets |= load.bets
            log = house.log.copy()

    audited(log, bets)
    assert rounds.total() > 50
    assert {1} == set(rounds.values())


async def test_books_of_a_journal_that_failed_answer_nobody() -> None:
    """A journal that cannot append answers nobody: the caller sees no answer, and nothing is in the log."""
    log = MemoryLog()
    house = House(
        log,
        catalog(random.Random(1), ()),
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
    assert 2 * len(IDS) == log.last_seq  # their births and their first seals, and nothing else
