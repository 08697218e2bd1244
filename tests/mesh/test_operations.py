"""Operators' commands over several workers: the owner decides, and money that moves between workers arrives once."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
import trio
import trio.lowlevel

from jackpotd.cluster.answers import NOT_THERE
from jackpotd.core import ledger
from jackpotd.core.commands import Boost, ChangeStatus, Inherit, SendTransfers, TakeTransfer
from jackpotd.core.events import Boosted, StatusChanged, TransferTaken
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.rules import WHOLE
from jackpotd.core.state import Instance, Status, Transfer
from jackpotd.engine.messages import Operated
from jackpotd.engine.owners import Owners
from jackpotd.testing.street import Street, sockets

from .streets import jackpots

TEST_TIMEOUT_S = 30


@pytest.fixture
def directory() -> Iterator[Path]:
    with sockets() as made:
        yield made


async def done(owners: Owners, name: str, command: Boost | SendTransfers) -> Operated:
    outcome = await owners.operate(name, command)
    assert isinstance(outcome, Operated), outcome
    return outcome


def sending(state: Instance, target: str, stem: str) -> SendTransfers:
    """All of an instance to the first pot of another one."""
    transfers = tuple(
        Transfer(f"{stem}:{pot}", pot, target, "pot0", 0, 0, 0) for pot in range(len(state.pots))
    )
    return SendTransfers(0, transfers, tuple(WHOLE for _ in transfers), "ann", "why")


async def state_of(street: Street, name: str) -> Instance:
    while True:
        state = await street.edge.owners.instance(name)
        if isinstance(state, Instance):
            return state
        assert state.code is Code.OVERLOADED
        await trio.lowlevel.checkpoint()


async def settled(street: Street, *names: str) -> list[Instance]:
    """The instances once nothing is on its way between them."""
    while True:
        states = [await state_of(street, name) for name in names]
        if not any(state.rare.transfers for state in states):
            return states
        await trio.lowlevel.checkpoint()


async def filled(street: Street, name: str) -> Instance:
    """With something to send."""
    boost = Boost(0, "pot0", 123456789, "ann", "why")
    return (await done(street.edge.owners, name, boost)).state


def in_pots(state: Instance) -> int:
    kept = sum(each.boost + each.undistributed for each in state.rare.pots)
    return kept + sum(pot.value + pot.reserve for pot in state.pots) + ledger.residual(state)


async def test_the_owner_answers_whoever_asks(directory: Path) -> None:
    """From the edge and from each worker: the same events, the state of the owner, its refusals."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1), 2)
        async with street.running():
            nodes = [
                street.edge.owners,
                *(worker.node.owners for worker in street.workers.values()),
            ]
            for count, owners in enumerate(nodes, 1):
                outcome = await done(owners, "j1", Boost(0, "pot0", 10**10, "ann", "why"))
                (event,) = outcome.events
                assert isinstance(event, Boosted)
                assert (10**10, "ann", "why") == (event.amount_units, event.by, event.reason)
                assert 10**10 * count == outcome.state.rare.pots[0].boost
                assert street.workers[1].shard.state("j1") == outcome.state
                refused = await owners.operate("j1", Boost(0, "none", 1, "ann", "why"))
                assert Rejection(Code.JACKPOT_NOT_FOUND, "pot none") == refused
                missing = await owners.operate("none", Boost(0, "pot0", 1, "ann", "why"))
                assert Rejection(Code.JACKPOT_NOT_FOUND, "none") == missing
            await street.stop(1)
            gone = await street.edge.owners.operate("j1", Boost(0, "pot0", 1, "ann", "why"))
            assert NOT_THERE == gone


async def test_a_status_that_was_changed_is_known_everywhere(directory: Path) -> None:
    """When it is answered, every worker goes by it."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1, 2), 3)
        async with street.running():
            pause = ChangeStatus(0, Status.PAUSED, "why", "ann")
            outcome = await street.edge.owners.operate("j1", pause)
            assert isinstance(outcome, Operated)
            assert [StatusChanged] == [type(event) for event in outcome.events]
            for worker in street.workers.values():
                seen = worker.router._known("j1")
                assert seen is not None
                assert Status.PAUSED is seen.status


async def test_money_reaches_an_instance_of_another_worker(directory: Path) -> None:
    """Sent, taken and struck off, without anybody asking again; both books balance."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1), 2)
        async with street.running():
            before = await filled(street, "j0")
            await done(street.edge.owners, "j0", sending(before, "j1", "t"))
            sender, receiver = await settled(street, "j0", "j1")
            assert Status.TERMINATED is sender.status
            assert 0 == in_pots(sender)
            assert in_pots(before) == sender.rare.sent == receiver.rare.received
            for state in (sender, receiver):
                ledger.check_whole(state)


async def test_money_waits_for_a_worker_that_is_down(directory: Path) -> None:
    """On its way it stands in the sender's books; it arrives when both are back, whoever was down."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1), 2)
        async with street.running() as nursery:
            before = await filled(street, "j0")
            await street.stop(1)
            await done(street.edge.owners, "j0", sending(before, "j1", "t"))
            waiting = await state_of(street, "j0")
            assert in_pots(before) == waiting.rare.sent
            assert waiting.rare.transfers
            await street.stop(0)
            await street.start(nursery, 1)
            assert 0 == (await state_of(street, "j1")).rare.received
            await street.start(nursery, 0)
            sender, receiver = await settled(street, "j0", "j1")
            assert in_pots(before) == sender.rare.sent == receiver.rare.received


async def test_a_transfer_is_taken_once_however_often_it_comes(directory: Path) -> None:
    """A repeat does nothing and says so; what was taken before a crash is known after it."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1), 2)
        async with street.running() as nursery:
            transfer = Transfer("t", 0, "j1", "pot0", 5, 6, 7)
            for life in range(3):
                outcome = await street.edge.owners.operate("j1", TakeTransfer(0, "j0", transfer))
                assert isinstance(outcome, Operated)
                kinds = [] if life else [TransferTaken]
                assert kinds == [type(event) for event in outcome.events]
                assert 18 == outcome.state.rare.received
                await street.stop(1)
                await street.start(nursery, 1)
                await street.acquainted()


async def test_opt_ins_are_inherited_from_a_neighbour_only(directory: Path) -> None:
    """The other instance's players must be with the same worker: else it is refused, and nothing is lost."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1, 1), 2)
        async with street.running():
            refused = await street.edge.owners.operate("j1", Inherit(0, "j0"))
            assert isinstance(refused, Rejection)
            assert Code.INVALID_STATE is refused.code
            outcome = await street.edge.owners.operate("j1", Inherit(0, "j2"))
            assert isinstance(outcome, Operated)
            assert "j2" == outcome.state.rare.inherits


@pytest.mark.parametrize("seed", range(3))
async def test_no_money_is_lost_or_doubled_in_a_storm(directory: Path, seed: int) -> None:
    """Instances pour into one another while workers crash: in the end the last one has it all."""
    rng = Random(seed)
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1, 2, 0, 1, 2), 3)
        names = [f"j{number}" for number in range(6)]
        async with street.running() as nursery:
            whole = sum([in_pots(await filled(street, name)) for name in names])
            for source, target in pairwise(names):
                if rng.random() < 0.7:
                    index = rng.randrange(3)
                    await street.stop(index)
                    nursery.start_soon(street.start, nursery, index)
                command = sending(await state_of(street, source), target, source)
                outcome = await street.edge.owners.operate(source, command)
                while isinstance(outcome, Rejection):
                    assert outcome.code is Code.OVERLOADED
                    await trio.lowlevel.checkpoint()
                    outcome = await street.edge.owners.operate(source, command)
                await settled(street, source)
            states = await settled(street, *names)
            for state in states:
                ledger.check_whole(state)
            assert [0] * 5 == [in_pots(state) for state in states[:-1]]
            assert whole == in_pots(states[-1])
