"""Contributions through any worker: the same answers, each key once, sources over several workers, remaps."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from jackpotd.cluster.answers import NOT_THERE, contribute
from jackpotd.core.commands import ChangeStatus, OptIn
from jackpotd.core.money import SCALE
from jackpotd.core.rejections import JACKPOT_NOT_ACTIVE, Code, Rejection
from jackpotd.core.state import UNKNOWN_PLAYER, Status
from jackpotd.edge.exchange import Incoming
from jackpotd.engine.fold import key_digest
from jackpotd.engine.idempotency import KEY_REUSED
from jackpotd.engine.messages import Accepted, Taken
from jackpotd.gateway.contributions import _answered
from jackpotd.mesh.mesh import Mesh
from jackpotd.testing.house import operator, request
from jackpotd.testing.street import Street, sockets
from jackpotd.testing.templates import rates
from jackpotd.wire import mesh_messages as wire
from jackpotd.wire import records

from .streets import by_source, jackpots, source

TEST_TIMEOUT_S = 30


@pytest.fixture
def directory() -> Iterator[Path]:
    with sockets() as made:
        yield made


def contributions(street: Street) -> dict[str, int]:
    """How often each instance has received, by the journals."""
    found: dict[str, int] = {}
    for log in street.logs:
        for _, data in log.scan(1):
            record = records.decode(data)
            if isinstance(record, records.Entry) and record.request is not None:
                found[record.instance_id] = found.get(record.instance_id, 0) + 1
    return found


def taken_by(outcome: Accepted | Rejection) -> str:
    assert isinstance(outcome, Accepted), outcome
    first = outcome.outcomes[0]
    assert isinstance(first, Taken)
    return first.instance_id


def rendered(outcome: Accepted | Rejection) -> bytes:
    assert isinstance(outcome, Accepted)
    return _answered(outcome, Incoming({"prefer": "return=representation"})).body


async def test_every_front_gives_the_answer_of_the_owner(directory: Path) -> None:
    """An instance's contributions, repeats and refusals are the same whichever worker takes them in."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1, 2), 3)
        async with street.running():
            for number in range(30):
                asked = request("j1", wager=SCALE, key=f"k{number}")
                answers = [
                    await street.workers[(number + at) % 3].router.contribute(asked)
                    for at in range(3)
                ]
                bodies = {rendered(answer) for answer in answers}
                assert 1 == len(bodies)
                assert isinstance(answers[0], Accepted)
                assert isinstance(answers[1], Accepted)
                assert answers[0].outcomes == answers[1].outcomes
                assert [False, True, True] == [
                    isinstance(answer, Accepted) and answer.is_replay for answer in answers
                ]
                other = request("j1", wager=2 * SCALE, key=f"k{number}")
                assert KEY_REUSED == await street.workers[number % 3].router.contribute(other)
            negative = request("j1", wager=-SCALE)
            refused = {
                str(await worker.router.contribute(negative)) for worker in street.workers.values()
            }
            assert 1 == len(refused)
    assert {"j1": 30} == contributions(street)


async def test_one_key_at_all_fronts_at_once_contributes_once(directory: Path) -> None:
    """Repeats that arrive together wait for the first one, at every worker; all get its answer."""
    answers: dict[str, list[Accepted | Rejection]] = {}
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, [*jackpots(0, 1, 2), source("j2", "j0")], 3)
        async with street.running(), trio.open_nursery() as asking:

            async def ask(worker: int, key: str) -> None:
                asked = by_source(key) if key < "k5" else request("j1", wager=SCALE, key=key)
                answer = await street.workers[worker].router.contribute(asked)
                answers.setdefault(key, []).append(answer)

            for number in range(10):
                for _ in range(3):
                    for worker in range(3):
                        asking.start_soon(ask, worker, f"k{number}")
    assert {"j2": 5, "j1": 5} == contributions(street)
    for found in answers.values():
        assert 9 == len(found)
        assert 1 == len({rendered(answer) for answer in found} - {b""})
        assert 8 == sum(isinstance(answer, Accepted) and answer.is_replay for answer in found)


async def test_a_source_over_three_workers_follows_their_states(directory: Path) -> None:
    """The first Active one receives; what a person changes at its worker counts at every front at once."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, [*jackpots(0, 1, 2), source("j1", "j2", "j0")], 3)
        async with street.running():

            async def served() -> list[str]:
                fronts = street.workers.values()
                return [taken_by(await front.router.contribute(by_source())) for front in fronts]

            async def switch(name: str, status: Status) -> None:
                command = ChangeStatus(0, status, "", "test")
                operated = await street.edge.owners.operate(name, command)
                assert not isinstance(operated, Rejection)
                assert status is operated.state.status

            assert ["j1"] * 3 == await served()
            await switch("j1", Status.PAUSED)
            assert ["j2"] * 3 == await served()
            await switch("j2", Status.PAUSED)
            assert ["j0"] * 3 == await served()
            await switch("j0", Status.PAUSED)
            for front in street.workers.values():
                assert JACKPOT_NOT_ACTIVE == await front.router.contribute(by_source("k"))
            await switch("j2", Status.ACTIVE)
            for front in street.workers.values():
                assert "j2" == taken_by(await front.router.contribute(by_source("k")))
            await switch("j1", Status.ACTIVE)
            assert ["j1"] * 3 == await served()
            for front in street.workers.values():
                assert "j2" == taken_by(await front.router.contribute(by_source("k")))
    assert {"j1": 6, "j2": 4, "j0": 3} == contributions(street)


async def test_a_key_is_remembered_over_remaps_between_workers(directory: Path) -> None:
    """After the source has been mapped to another worker's jackpot, or to none, a repeat is still a repeat."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, [*jackpots(0, 1, 2), source("j0")], 3)
        async with street.running():
            for number in range(3):
                first = street.workers[number].router
                assert "j0" == taken_by(await first.contribute(by_source(f"k{number}")))
            for mapped, former in ((("j1",), ("j0",)), ((), ("j0", "j1")), (("j2", "j1"), ("j0",))):
                await street.change(source(*mapped, former=former))
                for front in street.workers.values():
                    for number in range(3):
                        again = await front.router.contribute(by_source(f"k{number}"))
                        assert "j0" == taken_by(again)
                        assert isinstance(again, Accepted)
                        assert again.is_replay
            assert "j2" == taken_by(await street.workers[0].router.contribute(by_source("new")))
    assert {"j0": 3, "j2": 1} == contributions(street)


async def test_a_key_that_is_asked_while_the_source_is_remapped_contributes_once(
    directory: Path,
) -> None:
    """Repeats at all fronts, while the source goes from worker to worker and back: each key has one contribution."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, [*jackpots(0, 1, 2), source("j0")], 3)
        async with street.running():
            async with trio.open_nursery() as asking:

                async def ask(worker: int, key: str) -> None:
                    answer = await street.workers[worker].router.contribute(by_source(key))
                    assert isinstance(answer, Accepted) or answer.code == Code.OVERLOADED, answer

                for turn in range(12):
                    for number in range(5):
                        for worker in range(3):
                            asking.start_soon(ask, worker, f"k{turn}-{number}")
                    mapped = f"j{turn % 3}"
                    others = tuple({"j0", "j1", "j2"} - {mapped})
                    asking.start_soon(street.change, source(mapped, former=others))
                    for _ in range(turn):
                        await trio.lowlevel.checkpoint()
            for turn in range(12):
                for number in range(5):
                    for worker in range(3):
                        await ask(worker, f"k{turn}-{number}")
    assert 60 == sum(contributions(street).values())


async def test_an_owner_that_is_down_is_503_at_once_and_its_keys_are_kept(directory: Path) -> None:
    """Other jackpots go on; after its restart the owner serves again, and knows the keys of before."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, [*jackpots(0, 1, 2), source("j1", "j0")], 3)
        async with street.running() as nursery:
            asked = request("j1", wager=SCALE, key="k")
            assert "j1" == taken_by(await street.workers[0].router.contribute(asked))
            await street.stop(1)
            while street.workers[0].mesh.is_up(1):
                await trio.lowlevel.checkpoint()
            assert NOT_THERE == await street.workers[0].router.contribute(asked)
            assert NOT_THERE == await street.workers[0].router.contribute(by_source("s"))
            assert NOT_THERE == await street.workers[0].node.owners.instance("j1")
            assert NOT_THERE == await street.edge.owners.instances()
            elsewhere = request("j2", wager=SCALE)
            assert "j2" == taken_by(await street.workers[0].router.contribute(elsewhere))
            await street.start(nursery, 1)
            await street.acquainted()
            again = await street.workers[2].router.contribute(asked)
            assert "j1" == taken_by(again)
            assert isinstance(again, Accepted)
            assert again.is_replay
    assert {"j1": 1, "j2": 1} == contributions(street)


async def test_reads_and_opt_ins_are_the_owners(directory: Path) -> None:
    """States, players and winners read through any node are those that the owner's journal holds durably."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1, 2), 3)
        async with street.running():
            for number in range(40):
                front = street.workers[number % 3].router
                await front.contribute(request("j1", wager=SCALE, player_id=f"p{number % 4}"))
            command = OptIn(0, "op:a", "p9", None, True, None, None, rates())
            told: list[object] = []
            street.workers[2].node.owners.opt_in("j1", command, told.append)
            while not told:
                await trio.lowlevel.checkpoint()
            assert [None] == told
            truth = street.workers[1].shard
            for owners in [
                street.edge.owners,
                *(worker.node.owners for worker in street.workers.values()),
            ]:
                assert truth.state("j1") == await owners.instance("j1")
                states = await owners.instances()
                assert isinstance(states, list)
                assert ["j0", "j1", "j2"] == sorted(s.definition.instance_id for s in states)
                for player_id in ("p1", "p9"):
                    standing = await owners.standing("j1", "op:a", player_id)
                    player = truth.player("j1", "op:a", player_id)
                    assert (truth.state("j1"), player) == standing
                unknown = await owners.standing("j1", "op:a", "nobody")
                assert not isinstance(unknown, Rejection)
                assert unknown[1] is UNKNOWN_PLAYER
                winners = list(truth.winners_down("j1"))
                assert len(winners) > 5
                assert winners[:5] == await owners.winners("j1", None, "", 5)
                assert list(truth.pot_winners_down("j1", 0)) == await owners.winners(
                    "j1", 0, "op:a", 1000
                )
                assert [] == await owners.winners("j1", 0, "op:b", 1000)
                missing = Rejection(Code.JACKPOT_NOT_FOUND, "none")
                assert missing == await owners.instance("none")
                assert missing == await owners.operate(
                    "none", ChangeStatus(0, Status.PAUSED, "", "test")
                )


async def test_a_change_of_the_catalog_is_answered_when_all_workers_have_it(
    directory: Path,
) -> None:
    """Also by one that starts meanwhile; a worker that is down is not waited for, and gets all when it comes back."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1, 2), 3)
        async with street.running() as nursery:
            for number in range(20):
                await street.change(operator(f"op{number}", ["a"]))
                for worker in street.workers.values():
                    assert f"op{number}" in worker.catalog.operators
                    assert worker.catalog.version == street.owner.catalog.version
            await street.stop(2)
            await street.change(operator("later", ["a"]))
            worker = await street.start(nursery, 2)
            for table in ("operators", "instances", "currencies", "placements", "sources"):
                expected = getattr(street.owner.catalog, table)
                assert expected == getattr(worker.catalog, table)
            assert "later" in worker.catalog.operators


async def test_who_goes_by_a_newer_catalog_waits_until_it_is_here(directory: Path) -> None:
    """Claims and contributions that name a version which this worker has not seen are served after it has come."""
    answers: list[object] = []
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, [*jackpots(0, 0), source("j0")], 1)
        peer = Mesh(7, directory, (0,))
        peer.handle(wire.Announce, lambda asked, _: asked.answer(wire.DONE))
        peer.handle(wire.LinksSettled, lambda _asked, _: None)
        async with street.running() as nursery:
            await nursery.start(peer.run)
            while not peer.is_up(0):
                await trio.lowlevel.checkpoint()
            next_version = street.owner.catalog.version + 1
            peer.ask(0, wire.ClaimKey(next_version, "op", "k", b"f"), answers.append)
            peer.ask(0, contribute(by_source("other"), next_version, 1), answers.append)
            now = contribute(request("j0", wager=SCALE), next_version - 1, 1)
            assert isinstance(await peer.question(0, now), wire.Served)
            assert [] == answers
            await street.change(source("j1", former=("j0",)))
            while len(answers) < 2:
                await trio.lowlevel.checkpoint()
    assert wire.DONE == answers[0]
    assert isinstance(served := answers[1], wire.Served)
    assert isinstance(taken := served.outcomes[0], wire.TakenPart)
    assert "j1" == taken.instance_id


async def test_the_claims_of_a_worker_that_is_gone_are_free(directory: Path) -> None:
    """A key that a peer has claimed here is busy for others until the peer lets go, or its connection breaks."""
    answers: list[Accepted | Rejection] = []
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0), 1)
        peer = Mesh(7, directory, (0,))
        peer.handle(wire.Announce, lambda asked, _: asked.answer(wire.DONE))
        peer.handle(wire.LinksSettled, lambda _asked, _: None)
        async with street.running() as nursery:
            await nursery.start(peer.run)
            while not peer.is_up(0):
                await trio.lowlevel.checkpoint()
            for key, let_go in (("k1", "release"), ("k2", "cut")):
                claimed = await peer.question(0, wire.ClaimKey(0, "op", key, b"f"))
                assert wire.DONE == claimed
                asked = request("j0", wager=SCALE, key=key)
                street.workers[0].router.submit(asked, answers.append)
                for _ in range(50):
                    await trio.lowlevel.checkpoint()
                assert [] == answers
                if let_go == "release":
                    peer.post(0, wire.ReleaseKey(key_digest("op", key)))
                else:
                    peer.cut(0)
                while not answers:
                    await trio.lowlevel.checkpoint()
                assert "j0" == taken_by(answers.pop())
