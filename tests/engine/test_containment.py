"""Failures stay where they belong: a broken core fences one instance, broken books stop the shard."""

import logging
import random
from collections.abc import Iterator

import pytest
import structlog
import trio
from msgspec.structs import replace

from jackpotd.core.commands import ChangeStatus
from jackpotd.core.ledger import InvariantViolation
from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Status
from jackpotd.engine.decider import FENCED
from jackpotd.engine.messages import Accepted, Taken
from jackpotd.engine.recovery import MemoryRows
from jackpotd.testing.house import House, currencies, instance, links, operator, request
from jackpotd.testing.memory_journal import MemoryJournal
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.templates import random_template
from jackpotd.wire import rows
from jackpotd.wire.catalog_records import CatalogEntity

TEST_TIMEOUT_S = 30


def catalog() -> list[CatalogEntity]:
    """`sound` linked to `broken`, and `other`."""
    template = random_template(random.Random(2))
    template["contribution_rules"] = {
        "opt_in_required": False,
        "contribution_type": {"Percentage": "0.5"},
    }
    return [
        operator("op", ["a"]),
        currencies("default"),
        *(instance(name, template) for name in ("sound", "broken", "other")),
        links("sound", "broken"),
    ]


def break_rules(house: House, instance_id: str) -> None:
    """Rules that no template has: a pot without the tipping point that its draws are for."""
    cell = house.fold.cells[instance_id]
    rules = replace(cell.state.rules, pots=())
    definition = replace(cell.state.definition, rules=rules)
    cell.state = replace(cell.state, definition=definition)


@pytest.fixture
def quiet_logs() -> Iterator[None]:
    """The fence's log is below what the tests show; afterwards logs are as they were for others."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("quiet_logs")
async def test_containment_of_a_core_failure_fences_one_instance_only() -> None:
    """The poisonous instance refuses everything with SYSTEM_ERROR and stages nothing; its neighbours go on."""
    with trio.fail_after(TEST_TIMEOUT_S):
        house = House(MemoryLog(), catalog())
        async with house.running():
            break_rules(house, "broken")
            state, born = house.fold.cells["broken"].state, house.log.last_seq
            poison = request("broken", wager=SCALE, key="poison")
            for _ in range(3):
                assert FENCED == await house.router.contribute(poison)
            pause = ChangeStatus(0, Status.PAUSED, "", "test")
            assert FENCED == await house.shard.operate("broken", pause)
            assert born == house.log.last_seq
            assert state is house.fold.cells["broken"].state
            for target in ("other", "sound"):
                answer = await house.router.contribute(request(target, wager=SCALE, key=target))
                assert isinstance(answer, Accepted)
                assert isinstance(answer.outcomes[0], Taken)
                assert [FENCED] * len(answer.outcomes[1:]) == list(answer.outcomes[1:])
        statistics = house.shard.actor_statistics()
        assert ["broken"] == [name for name, each in statistics.items() if each.is_fenced]
        reborn = House(house.log.copy(), catalog())
        async with reborn.running():
            assert isinstance(await reborn.router.contribute(poison), Accepted)


async def broken_books(house: House, answers: list[Accepted | Rejection]) -> None:
    """An instance whose ledger is off by one unit gets a contribution; nothing commits meanwhile."""

    async def ask() -> None:
        answers.append(await house.router.contribute(request("broken", wager=SCALE, key="k")))

    async with house.running(commits=False) as nursery:
        assert isinstance(house.journal, MemoryJournal)
        house.journal.commit()
        cell = house.fold.cells["broken"]
        cell.state = replace(cell.state, house=cell.state.house + 1)
        nursery.start_soon(ask)
        await trio.sleep_forever()


async def test_containment_of_broken_books_stops_the_shard() -> None:
    """A ledger that is off by one unit raises out of the shard before anybody is answered."""
    house, answers = House(MemoryLog(), catalog()), list[Accepted | Rejection]()
    with trio.fail_after(TEST_TIMEOUT_S), pytest.raises(BaseExceptionGroup) as failure:
        await broken_books(house, answers)

    assert failure.group_contains(InvariantViolation)
    assert [] == answers


async def test_containment_of_broken_books_leaves_nothing_of_the_batch_to_the_journal() -> None:
    """What the shard refuses to stand for can neither become durable nor be answered."""
    house = House(MemoryLog(), catalog())
    with trio.fail_after(TEST_TIMEOUT_S), pytest.raises(BaseExceptionGroup):
        await broken_books(house, [])

    assert house.journal.committed_seq == house.journal.staged_seq


async def test_containment_of_a_full_mailbox_sheds_load_for_one_instance() -> None:
    """OVERLOADED for the jackpot that is behind; the others have mailboxes of their own, and links always get in."""
    house = House(MemoryLog(), catalog(), mailbox_length_max=1)
    outcomes: dict[str, list[Accepted | Rejection]] = {"sound": [], "other": []}

    async def ask(target: str) -> None:
        outcomes[target].append(await house.router.contribute(request(target, wager=SCALE)))

    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running(), trio.open_nursery() as nursery:
            for target in ("sound", "sound", "other", "other", "sound"):
                nursery.start_soon(ask, target)
    for target, refused in (("sound", 2), ("other", 1)):
        codes = [each.code for each in outcomes[target] if isinstance(each, Rejection)]
        assert [Code.OVERLOADED] * refused == codes
    (answer,) = [each for each in outcomes["sound"] if isinstance(each, Accepted)]
    assert all(isinstance(outcome, Taken) for outcome in answer.outcomes)


async def test_containment_of_a_row_that_does_not_balance_refuses_to_start() -> None:
    """Recovery checks every ledger before anything is served."""
    with trio.fail_after(TEST_TIMEOUT_S):
        house, disk = House(MemoryLog(), catalog()), MemoryRows()
        async with house.running():
            await house.router.contribute(request("other", wager=SCALE))
        disk.absorb(house.fold)
        key = rows.instance_key("other")
        row = rows.decode(disk.items[key])
        disk.items[key] = rows.encode(replace(row, payouts=row.payouts + 1))
        disk.items[rows.POSITION_KEY] = rows.encode(rows.PositionRow(house.log.last_seq))

        with pytest.raises(InvariantViolation):
            House(house.log.copy(), catalog(), disk=disk)
