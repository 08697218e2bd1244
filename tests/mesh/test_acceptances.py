"""Contributions for webhooks at several workers: accepted where their key is, kept once, found by every front."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
from msgspec.structs import replace

from jackpotd.cluster.answers import NOT_THERE
from jackpotd.cluster.contributions import DEPARTING
from jackpotd.cluster.unmapped import (
    CROWDED,
    NO_EDGE,
    WAITING_MAX,
    OnlyWorkersSources,
    UnmappedSources,
    take_up,
)
from jackpotd.core.commands import ChangeStatus
from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Status
from jackpotd.engine.catalog import (
    EVERY_SOURCE,
    UNMAPPED_OF_BRAND_MAX,
    Catalog,
    CatalogOwner,
)
from jackpotd.engine.idempotency import KEY_REUSED
from jackpotd.engine.messages import Accepted, ContributionRequest, DepartMessage, Taken, Target
from jackpotd.mesh import EDGE
from jackpotd.mesh.mesh import Mesh
from jackpotd.testing.house import House, StepClock, currencies, operator, request
from jackpotd.testing.memory_journal import MemoryJournal
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.street import Street, sockets
from jackpotd.wire import records
from jackpotd.wire.catalog_records import CatalogEntity, Unmapped
from jackpotd.wire.parts import Callback

from .streets import (
    assert_every_link_was_taken_once,
    assert_no_key_was_used_twice,
    by_source,
    jackpots,
    linked,
    requests_kept,
    source,
)

TEST_TIMEOUT_S = 30
CALLBACK = Callback("https://operator.example/results", True)
NEGATIVE = -SCALE


@pytest.fixture
def directory() -> Iterator[Path]:
    with sockets() as made:
        yield made


def direct(key: str | None, target: str = "j1", **changes: Any) -> ContributionRequest:
    fields: dict[str, Any] = {"wager": SCALE, "callback": CALLBACK, **changes}
    return request(target, key=key, **fields)


def through_source(key: str | None, **changes: Any) -> ContributionRequest:
    return by_source(key, **{"callback": CALLBACK, **changes})


async def ask_everywhere(street: Street, asked: ContributionRequest, first: int = 0) -> None:
    """Once at each front, one after another: accepted once, then repeated, with its webhook and without."""
    for turn in range(6):
        front = street.workers[(first + turn) % 3].router
        again = direct_again(asked, f"turn {turn}", has_callback=turn % 2 == 0)
        answer = await front.contribute(again if turn else asked)
        assert answer == Accepted(
            trace_id=asked.trace_id,
            accepted_ms=asked.accepted_ms,
            api_version=2,
            metadata=answer.metadata if isinstance(answer, Accepted) else asked.metadata,
            outcomes=(),
            is_replay=turn > 0,
            is_asynchronous=True,
        )


def direct_again(
    asked: ContributionRequest, trace_id: str, *, has_callback: bool
) -> ContributionRequest:
    return replace(asked, trace_id=trace_id, callback=asked.callback if has_callback else None)


def kept(street: Street) -> list[tuple[int, str, str | None]]:
    """The journals' requests: worker, what became of each, and its key."""
    found = []
    for worker, record in requests_kept(street):
        assert record.request is not None
        assert CALLBACK == record.request.callback
        what = record.code if isinstance(record, records.Declined) else record.instance_id
        found.append((worker, what, record.request.key))
    return found


@pytest.mark.parametrize("front", range(3))
async def test_acceptance_is_kept_by_the_owner_alone(directory: Path, front: int) -> None:
    """Whichever front takes a request in, its owner keeps it, taken or refused; every front answers its repeats."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1, 2), 3)
        async with street.running():
            await ask_everywhere(street, direct("taken"), front)
            await ask_everywhere(street, direct("refused", wager=NEGATIVE), front)
            for worker in street.workers.values():
                for key in ("taken", "refused"):
                    other = direct(key, wager=2 * SCALE)
                    assert KEY_REUSED == await worker.router.contribute(other)
            assert isinstance(await street.workers[front].router.contribute(direct(None)), Accepted)
    assert [(1, "j1", "taken"), (1, "CONTRIBUTION_REJECTED", "refused"), (1, "j1", None)] == kept(
        street
    )


async def test_acceptance_by_a_third_worker_is_kept_where_its_key_is(directory: Path) -> None:
    """The home chooses a jackpot of another worker: that one keeps what it took, the home what was refused."""
    pause = ChangeStatus(0, Status.PAUSED, "", "test")
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, [*jackpots(0, 1, 2), source("j1", "j2")], 3)
        async with street.running():
            assert not isinstance(await street.edge.owners.operate("j1", pause), Rejection)
            await ask_everywhere(street, through_source("taken"))
            await ask_everywhere(street, through_source("refused", wager=NEGATIVE), 1)
            await ask_everywhere(street, through_source("late"), 2)
            assert not isinstance(await street.edge.owners.operate("j2", pause), Rejection)
            await ask_everywhere(street, through_source("closed"), 2)
            await street.change(source("j0", former=("j1", "j2")))
            for key, wager in (
                ("taken", SCALE),
                ("refused", NEGATIVE),
                ("late", SCALE),
                ("closed", SCALE),
            ):
                for worker in street.workers.values():
                    again = await worker.router.contribute(through_source(key, wager=wager))
                    assert isinstance(again, Accepted)
                    assert (True, True) == (again.is_replay, again.is_asynchronous)
    assert sorted(kept(street)) == [
        (1, "CONTRIBUTION_REJECTED", "closed"),
        (1, "CONTRIBUTION_REJECTED", "refused"),
        (2, "j2", "late"),
        (2, "j2", "taken"),
    ]
    refused = {
        each.request.key: each.instance_id
        for _, each in requests_kept(street)
        if isinstance(each, records.Declined)
    }
    assert {"refused": "j2", "closed": ""} == refused


async def test_acceptance_does_not_wait_for_links_of_a_worker_that_is_down(directory: Path) -> None:
    """The target's record is enough; the link is delivered once its worker is there again, and its result is kept."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, linked(), 3, link_deadline_s=1_000)
        async with street.running() as nursery:
            await street.stop(2)
            for front in (0, 1):
                asked = direct(f"k{front}", "a")
                answer = await street.workers[front].router.contribute(asked)
                assert isinstance(answer, Accepted)
                assert (False, True) == (answer.is_replay, answer.is_asynchronous)
            assert 2 == len(street.workers[0].fold.propagations)
            await street.start(nursery, 2)
            await street.acquainted()
            await street.settled()
            for front in range(3):
                again = await street.workers[front].router.contribute(direct("k0", "a"))
                assert isinstance(again, Accepted)
                assert (True, True) == (again.is_replay, again.is_asynchronous)
    assert 6 == assert_every_link_was_taken_once(street)
    copies = [
        record.cause
        for _, data in street.logs[0].scan(1)
        if isinstance(record := records.decode(data), records.RemoteAnswered)
    ]
    assert 4 == len(copies)  # of `b` and `c`, for each of the two


async def test_acceptance_of_what_no_jackpot_takes_is_kept_once(directory: Path) -> None:
    """A source that is unknown, or that has no jackpot, and an instance that is nowhere: one worker has their keys."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1, 2), 3)
        async with street.running():
            for front in range(3):
                await ask_everywhere(street, through_source(f"unknown {front}"), front)
                await ask_everywhere(street, direct(f"nowhere {front}", "nowhere"), front)
            await street.change(source())
            for front in range(3):
                await ask_everywhere(street, through_source(f"unmapped {front}"), front)
                again = await street.workers[front].router.contribute(through_source("unknown 0"))
                assert isinstance(again, Accepted)
                assert again.is_replay
            for worker in street.workers.values():
                assert {"op:a": {"s"}} == worker.catalog.unmapped
            sync = await street.workers[0].router.contribute(by_source("of its own"))
            assert Rejection(Code.SOURCE_JACKPOT_NOT_FOUND, "s") == sync
    assert_no_key_was_used_twice(street)
    found = kept(street)
    assert ["GAME_NOT_FOUND", "JACKPOT_NOT_FOUND", "SOURCE_JACKPOT_NOT_FOUND"] == sorted(
        {what for _, what, _ in found}
    )
    assert 9 == len(found)
    assert {0} == {worker for worker, _, _ in found}  # that of the oldest instance


async def test_acceptance_before_a_source_was_mapped_is_known_after_it(directory: Path) -> None:
    """Whichever worker's jackpot the source is given then, no repeat contributes; others of the source do."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1, 2), 3)
        async with street.running() as nursery:
            await ask_everywhere(street, through_source("k"))
            assert [(0, "GAME_NOT_FOUND", "k")] == kept(street)
            for name in ("j0", "j1", "j2"):
                await street.change(source(name, former=tuple({"j0", "j1", "j2"} - {name})))
                for front, worker in street.workers.items():
                    for callback in (CALLBACK, None):
                        again = await worker.router.contribute(by_source("k", callback=callback))
                        assert isinstance(again, Accepted)
                        assert (True, True) == (again.is_replay, again.is_asynchronous)
                    fresh = await worker.router.contribute(by_source(f"{name} {front}"))
                    assert isinstance(fresh, Accepted)
                    assert [name] == [
                        each.instance_id for each in fresh.outcomes if isinstance(each, Taken)
                    ]
            await street.stop(0)
            other = street.workers[1]
            while other.mesh.is_up(0):
                await trio.lowlevel.checkpoint()
            assert NOT_THERE == await other.router.contribute(through_source("k"))
            await street.start(nursery, 0)
            await street.acquainted()
            again = await other.router.contribute(through_source("k"))
            assert isinstance(again, Accepted)
            assert again.is_replay
    assert_no_key_was_used_twice(street)


async def test_acceptance_before_there_is_any_jackpot_is_kept_once(directory: Path) -> None:
    """A new installation of three workers: one of them keeps the keys, and is asked once there are jackpots."""
    nothing: list[CatalogEntity] = [operator("op", ["a"]), currencies("default")]
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, nothing, 3)
        async with street.running():
            for front in range(3):
                await ask_everywhere(street, through_source(f"source {front}"), front)
                await ask_everywhere(street, direct(f"instance {front}", "nowhere"), front)
            await street.change(*jackpots(1, 2))
            for worker, name in ((1, "j0"), (2, "j1")):
                assert None is await street.edge.give_birth(worker, (name,))
            await assert_known_everywhere(street, through_source, "source")
            await assert_known_everywhere(street, direct_to_nowhere, "instance")
            await street.change(source("j1"))
            await assert_known_everywhere(street, through_source, "source")
            fresh = await street.workers[0].router.contribute(by_source("fresh"))
            assert isinstance(fresh, Accepted)
            assert 1 == len(fresh.outcomes)
    assert_no_key_was_used_twice(street)


def direct_to_nowhere(key: str, **changes: Any) -> ContributionRequest:
    return direct(key, "nowhere", **changes)


async def assert_known_everywhere(
    street: Street, make: Callable[..., ContributionRequest], name: str
) -> None:
    """Each front answers repeats of these keys as such, with a webhook and without."""
    for front, worker in street.workers.items():
        for number in range(3):
            for callback in (CALLBACK, None):
                asked = make(f"{name} {number}", callback=callback, trace_id=f"again {front}")
                again = await worker.router.contribute(asked)
                assert isinstance(again, Accepted)
                assert (True, f"trace {name} {number}") == (again.is_replay, again.trace_id)


async def test_acceptance_by_the_only_worker_is_known_to_those_that_come_later(
    directory: Path,
) -> None:
    """A server of one process has more workers after its next start, and the source a jackpot of one of them."""
    known = jackpots(0)
    journal = MemoryJournal(MemoryLog())
    owner = CatalogOwner(Catalog(), journal, StepClock())
    with trio.fail_after(TEST_TIMEOUT_S):
        async with trio.open_nursery() as nursery:
            house = House(MemoryLog(), known)
            nursery.start_soon(journal.run)
            await owner.change("test", lambda _: [*known, source()])
            house.catalog.take_over(owner.catalog)
            sources = house.router.binding = OnlyWorkersSources(owner)
            nursery.start_soon(sources.run)
            async with house.running():
                for number in range(3):
                    asked = through_source(f"only {number}")
                    answer = await house.router.contribute(asked)
                    assert isinstance(answer, Accepted)
                    assert answer.is_asynchronous
                refused = await house.router.contribute(by_source("not kept"))
                assert Rejection(Code.SOURCE_JACKPOT_NOT_FOUND, "s") == refused
            nursery.cancel_scope.cancel()
        assert {"op:a": {"s"}} == owner.catalog.unmapped
        taken_up = [Unmapped(brand="op:a", source_id="s")]
        street = Street(directory, [*jackpots(0, 1, 2), *taken_up, source()], 3)
        street.logs[0] = house.log
        async with street.running():
            await assert_known_everywhere(street, through_source, "only")
            for name in ("j1", "j2"):
                await street.change(source(name, former=("j1",) if name == "j2" else ()))
                await assert_known_everywhere(street, through_source, "only")
    assert [(0, "SOURCE_JACKPOT_NOT_FOUND", f"only {number}") for number in range(3)] == kept(
        street
    )


async def test_only_worker_takes_sources_up_together_and_no_more_than_wait() -> None:
    """Many at once are one change of the catalog; what is known, keyless or of an instance waits for nothing."""
    journal = MemoryJournal(MemoryLog())
    owner = CatalogOwner(Catalog(), journal, StepClock())
    sources, told = OnlyWorkersSources(owner), list[Rejection | None]()
    with trio.fail_after(TEST_TIMEOUT_S):
        async with trio.open_nursery() as nursery:
            for number in range(WAITING_MAX + 1):
                asked = replace(through_source("k"), target=Target("source", f"s{number % 7}"))
                sources.bind(asked, told.append)
            assert [CROWDED] == told
            sources.bind(through_source(None), told.append)
            sources.bind(direct("k"), told.append)
            assert [None, None] == told[1:]
            nursery.start_soon(journal.run)
            nursery.start_soon(sources.run)
            while len(told) < WAITING_MAX + 3:
                await trio.lowlevel.checkpoint()
            assert {None} == set(told[1:])
            assert (1, 7) == (owner.catalog.version, len(owner.catalog.unmapped["op:a"]))
            sources.bind(replace(asked, target=Target("source", "s0")), told.append)
            assert WAITING_MAX + 4 == len(told)
            nursery.cancel_scope.cancel()


async def test_acceptance_while_a_source_is_mapped_is_kept_once(directory: Path) -> None:
    """Requests at all fronts while the source gets its first jackpot: each key is used once, and every repeat knows."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1, 2), 3)
        async with street.running():
            answers: dict[str, set[str]] = {}

            async def ask(front: int, key: str) -> None:
                asked = through_source(key, trace_id=f"{key} at {front}")
                answer = await street.workers[front].router.contribute(asked)
                if isinstance(answer, Accepted):
                    answers.setdefault(key, set()).add(answer.trace_id)
                else:
                    assert Code.OVERLOADED == answer.code

            async with trio.open_nursery() as asking:
                for number in range(60):
                    for front in range(3):
                        asking.start_soon(ask, front, f"k{number}")
                    if number == 30:
                        asking.start_soon(street.change, source("j1"))
                    await trio.lowlevel.checkpoint()
            for number in range(60):
                for front in range(3):
                    await ask(front, f"k{number}")
    assert 60 == len(kept(street))
    assert {1} == {len(found) for found in answers.values()}
    kinds = {what for _, what, _ in kept(street)}
    assert {"j1", "GAME_NOT_FOUND"} == kinds


async def test_acceptance_of_a_refusal_waits_until_its_instance_has_moved(directory: Path) -> None:
    """A key that was bound here while its instance leaves would not be found there: the caller asks again."""
    pause = ChangeStatus(0, Status.PAUSED, "", "test")
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, [*jackpots(0, 1, 2), source("j1")], 3)
        async with street.running():
            assert not isinstance(await street.edge.owners.operate("j1", pause), Rejection)
            home = street.workers[1]
            departed: list[int | Rejection] = []
            home.shard.actors["j1"].mailbox.post_due(DepartMessage(2, departed.append))
            while not departed:
                await trio.lowlevel.checkpoint()
            for worker in street.workers.values():
                assert DEPARTING == await worker.router.contribute(through_source("k"))
                assert 0 == worker.router.in_flight
                assert {} == worker.shard.key_desk._claims
    assert [] == kept(street)


async def test_unmapped_sources_are_taken_up_together(directory: Path) -> None:
    """While the edge is asked, others gather, and all of them are one question; without an edge the caller is told."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0), 1)
        told: list[Rejection | None] = []
        async with street.running():
            worker = street.workers[0]
            sources = UnmappedSources(worker.mesh, worker.catalog)
            before = street.owner.catalog.version
            for number in range(50):
                sources.take_up(("op:a", f"s{number % 25}"), told.append)
            while len(told) < 50:
                await trio.lowlevel.checkpoint()
            assert [None] * 50 == told
            assert {f"s{number}" for number in range(25)} == worker.catalog.unmapped["op:a"]
            assert 2 == street.owner.catalog.version - before
            for _ in range(WAITING_MAX + 2):
                sources.take_up(("op:a", "more"), told.append)
            assert [CROWDED] == told[50:]
            sources.take_up(("op:a", "s0"), told.append)
            assert None is told[51]
        alone = UnmappedSources(Mesh(0, directory, (EDGE,)), Catalog())
        alone.take_up(("op:a", "s"), told.append)
        assert NO_EDGE == told[-1]


async def test_unmapped_sources_of_a_brand_are_all_beyond_a_limit() -> None:
    """Callers may send any name: what is kept is bounded, no used key is forgotten, and other brands are as before."""
    journal = MemoryJournal(MemoryLog())
    owner = CatalogOwner(Catalog(), journal, StepClock())
    with trio.fail_after(TEST_TIMEOUT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.run)
            await take_up(owner, "test", [("op:b", "s")])
            names = [("op:a", f"s{number}") for number in range(UNMAPPED_OF_BRAND_MAX)]
            await take_up(owner, "test", names)
            await take_up(owner, "test", names)
            assert (2, UNMAPPED_OF_BRAND_MAX) == (
                owner.catalog.version,
                len(owner.catalog.unmapped["op:a"]),
            )
            assert not owner.catalog.was_unmapped("op:a", "another")
            await take_up(owner, "test", [("op:a", "more"), ("op:a", "still more")])
            await take_up(owner, "test", [("op:a", "and more")])
            nursery.cancel_scope.cancel()
    copy = Catalog()
    for entity in owner.catalog.entities():
        copy.apply(entity)
    for catalog in (owner.catalog, copy):
        assert {"op:a": {EVERY_SOURCE}, "op:b": {"s"}} == catalog.unmapped
        assert all(catalog.was_unmapped(*each) for each in (*names, ("op:a", "another")))
        assert not catalog.was_unmapped("op:b", "another")
    assert 3 == owner.catalog.version


@pytest.mark.parametrize("wager", [SCALE, NEGATIVE])
async def test_repeat_whose_webhook_is_not_allowed_any_more_is_a_repeat(
    directory: Path, wager: int
) -> None:
    """At every front; and a request that is none is refused as invalid, and its key is free."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, [*jackpots(0, 1, 2), source("j1", "j0")], 3)
        async with street.running():
            for make in (direct, through_source, through_unknown):
                key = f"used {make.__name__}"
                await ask_everywhere(street, make(key, wager=wager))
                for front, worker in street.workers.items():
                    hindered: dict[str, Any] = {
                        "wager": wager,
                        "callback": None,
                        "hindrance": "not allowed",
                    }
                    again = await worker.router.contribute(make(key, **hindered))
                    assert isinstance(again, Accepted)
                    assert (True, True) == (again.is_replay, again.is_asynchronous)
                    other = make(key, **{**hindered, "wager": 2 * SCALE})
                    assert KEY_REUSED == await worker.router.contribute(other)
                    fresh = f"fresh {make.__name__} {front}"
                    refused = await worker.router.contribute(make(fresh, **hindered))
                    assert Rejection(Code.INVALID_REQUEST, "not allowed") == refused
                    assert isinstance(
                        await worker.router.contribute(make(fresh, wager=wager)), Accepted
                    )
    assert 12 == len(kept(street))
    assert_no_key_was_used_twice(street)


def through_unknown(key: str, **changes: Any) -> ContributionRequest:
    return replace(through_source(key, **changes), target=Target("source", "unknown"))
