"""Raffles and schedules over several workers: everybody reads the same, and hears what time does to an instance."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
from msgspec.structs import replace

from jackpotd.cluster.answers import NOT_THERE
from jackpotd.cluster.owners import RemoteOwners
from jackpotd.core.commands import ChangeStatus, DecideHeldWin
from jackpotd.core.events import Contributed
from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Instance, Status
from jackpotd.engine.messages import Accepted, Operated, Taken
from jackpotd.engine.owners import Owners
from jackpotd.engine.raffle_reads import EntrantsPage, HeldTickets
from jackpotd.testing.house import BORN_MS, currencies, instance, operator, request
from jackpotd.testing.street import Neighbour, Street, sockets
from jackpotd.testing.templates import Json
from jackpotd.wire import mesh_messages as wire
from jackpotd.wire import raffle_messages, rows
from jackpotd.wire.catalog_records import CatalogEntity, InstanceEntry, Placement
from jackpotd.wire.parts import Schedule
from jackpotd.wire.rows import CreditRow, RoundRow, WinnerRow

from .streets import by_source, source

TEST_TIMEOUT_S = 30
FIRST_MS = BORN_MS
HOUR_MS = 3_600_000
LATER_MS = BORN_MS + 10 * HOUR_MS
BRANDS = ("op:a", "op:b")

Page = tuple[list[tuple[str, str, int, int]], Instance]
Told = tuple[Instance, RoundRow, list[WinnerRow], list[CreditRow]]


@pytest.fixture
def directory() -> Iterator[Path]:
    with sockets() as made:
        yield made


def document(brands: Sequence[str], **raffle: Any) -> Json:
    """A template: 10 % of the wager go into the pot, which begins with 100; a ticket is 2 of base wager."""
    seeds = {
        "initial_seed_value": "100",
        "min_reseed_value": "100",
        "fund_strategy": "CollectToMinReseed",
        "reseed_strategy": "Full",
    }
    pot = {
        "id": "main",
        "is_progressive": True,
        "contribution": {"Percentage": "1"},
        "seed_contribution": {"Percentage": "0"},
        "seed_strategy": seeds,
        "pot_types": [],
    }
    rules = {
        "duration": {"Hours": 1},
        "ticket": {"cost": "2", "metric": "BaseWager", "accumulate": True},
        "prizes": [{"count": 2, "amount": "30"}, {"count": 1, "share": "0.1"}],
        "one_prize_per_player": True,
    }
    return {
        "name": "raffle",
        "owner_id": "op",
        "currency": "EUR",
        "jackpot_type": "Raffle",
        "allowed_brands": list(brands),
        "contribution_rules": {
            "opt_in_required": False,
            "contribution_type": {"Percentage": "0.1"},
            "operator_contribution_percentage": "0",
        },
        "house_hold_contribution": {"Percentage": "0"},
        "win_selector_strategy": "Highest",
        "withhold_wins_above": raffle.pop("withhold", None),
        "pots": [pot],
        "raffle": rules | raffle,
    }


def raffle(name: str, *, brands: Sequence[str] = BRANDS, **changes: Any) -> InstanceEntry:
    """A raffle of rounds of an hour from the first moment on."""
    entry = instance(name, document(brands, **changes))
    return replace(entry, brands=tuple(brands), schedule=Schedule(FIRST_MS, None))


def jackpot(
    name: str, *, starts_ms: int | None = None, ends_ms: int | None = None
) -> InstanceEntry:
    """A plain jackpot with a schedule."""
    template = document(BRANDS) | {"jackpot_type": "Jackpot", "raffle": None}
    (pot,) = template["pots"]
    pot["pot_types"] = [{"HitRate": {"max_magic_number": 10**6, "cost_per_attempt": "0.1"}}]
    status = Status.ACTIVE if starts_ms is None else Status.PENDING
    entry = instance(name, template, status=status)
    return replace(entry, brands=BRANDS, schedule=Schedule(starts_ms, ends_ms))


def placed(*entries: InstanceEntry, workers: Sequence[int]) -> list[CatalogEntity]:
    places = [
        Placement(instance_id=entry.instance_id, worker=worker)
        for entry, worker in zip(entries, workers, strict=True)
    ]
    return [operator("op", ["a", "b"]), currencies("default"), *entries, *places]


def everybody(street: Street) -> list[Owners]:
    """The edge and the workers, each as it asks the owners."""
    return [street.edge.owners, *(worker.node.owners for worker in street.workers.values())]


async def played(
    street: Street, name: str, player_id: str, wager: int, *, brand: str = "op:a", front: int = 0
) -> int:
    """A contribution through one of the workers; returns the tickets."""
    sent = request(name, wager=wager * SCALE, brand=brand, player_id=player_id)
    outcome = await street.workers[front].router.contribute(sent)
    assert isinstance(outcome, Accepted), outcome
    (taken,) = outcome.outcomes
    assert isinstance(taken, Taken), taken
    contributed = taken.events[0]
    assert isinstance(contributed, Contributed)
    return 0 if contributed.issued is None else contributed.issued.awarded


async def listed(owners: Owners, name: str, **changes: Any) -> Page:
    page = EntrantsPage(brands=None, by="entrant", descending=False, skip=0, limit=100)
    found = await owners.entrants(name, replace(page, **changes))
    assert not isinstance(found, Rejection), found
    state, entrants = found
    return [(brand, who, held.count, held.accumulated) for brand, who, held in entrants], state


async def same_for_all(street: Street, name: str, **changes: Any) -> list[str]:
    """The players of a page, which is the same for everybody."""
    pages = [(await listed(owners, name, **changes))[0] for owners in everybody(street)]
    assert all(page == pages[0] for page in pages)
    return [player_id for _, player_id, _, _ in pages[0]]


def turn_clocks(street: Street, now_ms: int) -> None:
    """It is so late now, for every worker; whoever has something due is woken."""
    for worker in street.workers.values():
        worker.shard._clock.now_ms = now_ms  # type: ignore[attr-defined]
        for name in worker.shard.actors:
            worker.shard._ring(name)


async def told_round(owners: Owners, name: str, number: int) -> Told:
    """A round, as soon as it is resolved."""
    while True:
        found = await owners.round(name, number)
        if not isinstance(found, Rejection):
            return found
        assert found.code is Code.JACKPOT_NOT_FOUND
        await trio.lowlevel.checkpoint()


def known(street: Street, name: str) -> set[Status]:
    """The statuses of an instance that the workers go by."""
    states = [worker.router._known(name) for worker in street.workers.values()]
    return {state.status for state in states if state is not None}


async def all_know(street: Street, name: str, status: Status) -> None:
    while known(street, name) != {status}:
        await trio.lowlevel.checkpoint()


async def test_entrants_are_the_same_for_everybody(directory: Path) -> None:
    """Wherever the raffle lives and whoever asks: order, brands and pages are those that were asked for."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, placed(raffle("r"), workers=[1]), 3)
        async with street.running():
            plays = [("zoe", 3, "op:a"), ("ann", 9, "op:b"), ("bob", 1, "op:a"), ("ann", 5, "op:a")]
            for number, (who, wager, brand) in enumerate(plays):
                tickets = await played(street, "r", who, wager, brand=brand, front=number % 3)
                assert wager // 2 == tickets
            assert 1 == await played(street, "r", "bob", 2)

            page, state = await listed(street.edge.owners, "r")
            assert [
                ("op:a", "zoe", 1, SCALE),
                ("op:b", "ann", 4, SCALE),
                ("op:a", "bob", 1, SCALE),
                ("op:a", "ann", 2, SCALE),
            ] == page
            assert state.rare.round is not None
            assert (1, FIRST_MS, 8) == (
                state.rare.round.number,
                state.rare.round.starts_ms,
                state.rare.round.tickets,
            )
            assert ["zoe", "ann", "bob", "ann"] == await same_for_all(street, "r")
            assert ["ann", "bob"] == await same_for_all(street, "r", skip=1, limit=2)
            assert [] == await same_for_all(street, "r", skip=4, limit=2)
            by_count = await same_for_all(street, "r", by="ticket_count", descending=True)
            assert ["ann", "ann", "zoe", "bob"] == by_count
            assert ["ann", "ann", "bob", "zoe"] == await same_for_all(street, "r", by="player_id")
            assert ["ann"] == await same_for_all(street, "r", brands=("op:b",))
            assert ["zoe", "ann", "bob", "ann"] == await same_for_all(street, "r", brands=BRANDS)
            assert [] == await same_for_all(street, "r", brands=())


async def test_entrants_of_what_has_no_round_are_none(directory: Path) -> None:
    """A raffle that has not begun, and a plain jackpot: nobody, and at once."""
    entry = replace(
        raffle("r"), status=Status.PENDING, schedule=Schedule(LATER_MS, LATER_MS + HOUR_MS)
    )
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, placed(entry, jackpot("j"), workers=[0, 1]), 2)
        async with street.running():
            for name in ("r", "j"):
                for owners in everybody(street):
                    page, state = await listed(owners, name)
                    assert ([], name) == (page, state.definition.instance_id)
            missing = await street.edge.owners.entrants(
                "none", EntrantsPage(None, "entrant", False, 0, 1)
            )
            assert Rejection(Code.JACKPOT_NOT_FOUND, "none") == missing


async def test_entrants_of_a_new_round_are_those_who_come_to_it(directory: Path) -> None:
    """The draw empties the list; who took part in the round before has nothing."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, placed(raffle("r"), workers=[1]), 2)
        async with street.running():
            await played(street, "r", "ann", 5)
            turn_clocks(street, FIRST_MS + HOUR_MS)
            await told_round(street.edge.owners, "r", 1)
            assert [] == await same_for_all(street, "r")
            assert [] == await street.edge.owners.held_tickets("op:a", "ann")
            await played(street, "r", "bob", 3)
            await played(street, "r", "ann", 2)
            page, state = await listed(street.edge.owners, "r")
            assert [("op:a", "bob", 1, SCALE), ("op:a", "ann", 1, 0)] == page
            assert state.rare.round is not None
            assert 2 == state.rare.round.number


async def test_tickets_of_a_player_come_from_all_workers(directory: Path) -> None:
    """Active raffles that allow the brand, in the order of the catalog; one question to each worker."""
    entries = [
        raffle("r0"),
        raffle("r1"),
        raffle("r2"),
        raffle("r3"),
        raffle("r4", brands=BRANDS[:1]),
    ]
    entries += [jackpot("j"), raffle("r5")]
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, placed(*entries, workers=[0, 1, 2, 1, 2, 0, 1]), 3)
        async with street.running():
            for wager, name in enumerate(("r3", "r2", "r1", "r0", "r4"), 2):
                await played(street, name, "ann", wager)
            await played(street, "r2", "ann", 9, brand="op:b")
            pause = ChangeStatus(0, Status.PAUSED, "why", "ann")
            assert isinstance(await street.edge.owners.operate("r3", pause), Operated)

            for owners in everybody(street):
                found = await owners.held_tickets("op:a", "ann")
                assert isinstance(found, list), found
                assert [("r0", 2, SCALE), ("r1", 2, 0), ("r2", 1, SCALE), ("r4", 3, 0)] == [
                    (each.instance_id, each.tickets.count, each.tickets.accumulated)
                    for each in found
                ]
                times = {(each.starts_ms, each.ends_ms) for each in found}
                assert {(FIRST_MS, FIRST_MS + HOUR_MS)} == times
                (of_b,) = await _held(owners, "op:b", "ann")
                assert ("r2", 4) == (of_b.instance_id, of_b.tickets.count)
                assert [] == await _held(owners, "op:a", "bob")


async def _held(owners: Owners, brand: str, player_id: str) -> list[HeldTickets]:
    found = await owners.held_tickets(brand, player_id)
    assert isinstance(found, list), found
    return found


async def test_each_worker_is_asked_once(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many raffles it has."""
    entries = [raffle(f"r{number}") for number in range(12)]
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, placed(*entries, workers=[0, 1, 2] * 4), 3)
        async with street.running():
            for entry in entries:
                await played(street, entry.instance_id, "ann", 2)
            asked: list[int] = []
            question = street.edge.owners._mesh.question

            async def counted(node: int, message: wire.Message) -> Any:
                asked.append(node)
                return await question(node, message)

            monkeypatch.setattr(street.edge.owners._mesh, "question", counted)
            assert 12 == len(await _held(street.edge.owners, "op:a", "ann"))
            assert [0, 1, 2] == sorted(asked)


async def test_a_raffle_that_moves_meanwhile_is_asked_for_again(directory: Path) -> None:
    """Where it was it is no more; one that nobody has yet is passed over, for nobody takes part in it."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, placed(raffle("r0"), raffle("r1"), workers=[0, 1]), 2)
        async with street.running():
            await played(street, "r0", "ann", 2)
            await played(street, "r1", "ann", 4)
            await street.change(raffle("r2"), Placement(instance_id="r2", worker=0))
            for owners in everybody(street):
                assert isinstance(owners, RemoteOwners)
                known, before = owners._where, {"r0": 1, "r1": 0}
                owners._where = lambda name, known=known, before=before: (  # type: ignore[misc]
                    before.pop(name) if name in before else known(name)
                )
                found = await _held(owners, "op:a", "ann")
                assert ["r0", "r1"] == [each.instance_id for each in found]
                assert {} == before
                owners._where = known


async def test_a_worker_that_is_down_is_not_passed_over(directory: Path) -> None:
    """A list that may lack something is refused; what lives elsewhere can still be read."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, placed(raffle("r0"), raffle("r1"), workers=[0, 1]), 2)
        async with street.running():
            await played(street, "r0", "ann", 2)
            await street.stop(1)
            owners = street.edge.owners
            page = EntrantsPage(None, "entrant", False, 0, 1)
            assert NOT_THERE == await owners.held_tickets("op:a", "ann")
            assert NOT_THERE == await owners.entrants("r1", page)
            assert NOT_THERE == await owners.rounds("r1", 10, None)
            assert NOT_THERE == await owners.round("r1", 1)
            assert ["ann"] == [who for _, who, _, _ in (await listed(owners, "r0"))[0]]


async def test_resolved_rounds_are_the_same_for_everybody(directory: Path) -> None:
    """Newest first; a round with its winners as they were drawn and one credit for each."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, placed(raffle("r"), workers=[1]), 3)
        async with street.running():
            assert [] == await street.edge.owners.rounds("r", 10, None)
            for number in range(1, 5):
                for player in range(number + 1):
                    await played(street, "r", f"p{player}", 2 + player, front=player % 3)
                turn_clocks(street, FIRST_MS + number * HOUR_MS)
                await told_round(street.edge.owners, "r", number)
                fold = street.workers[1].fold
                if number == 1:  # on disk
                    fold.freeze()
                    fold.overlay._disk.write(list(fold.frozen()))
                    fold.forget_frozen()
                elif number == 2:  # on their way to it
                    fold.freeze()

            for owners in everybody(street):
                assert [4, 3, 2, 1] == await _numbers(owners, 10, None)
                assert [4, 3] == await _numbers(owners, 2, None)
                assert [2, 1] == await _numbers(owners, 10, 3)
                assert [] == await _numbers(owners, 10, 1)
                assert [] == await _numbers(owners, 0, None)
                for number in range(1, 5):
                    _check_round(await told_round(owners, "r", number), number)
                nothing = await owners.round("r", 5)
                assert Rejection(Code.JACKPOT_NOT_FOUND, "round 5 of r") == nothing
            told = [await told_round(owners, "r", 3) for owners in everybody(street)]
            assert all(each == told[0] for each in told)


async def _numbers(owners: Owners, limit: int, before: int | None) -> list[int]:
    found = await owners.rounds("r", limit, before)
    assert isinstance(found, list), found
    return [row.number for row in found]


def _check_round(told: Told, number: int) -> None:
    state, row, winners, unpaid = told
    assert "r" == state.definition.instance_id
    prizes = min(3, number + 1)
    assert (number, prizes, number + 1) == (row.number, row.prizes, row.entrants)
    assert (FIRST_MS + (number - 1) * HOUR_MS, FIRST_MS + number * HOUR_MS) == (
        row.starts_ms,
        row.ends_ms,
    )
    assert [0, 0, 1][:prizes] == [winner.tier for winner in winners]
    assert row.paid == sum(winner.paid for winner in winners)
    assert {number} == {winner.raffle_round for winner in winners}
    assert prizes == len({winner.player_id for winner in winners})
    paid = {(each.round_id, each.player_id, each.amount) for each in unpaid}
    assert paid == {(each.round_id, each.player_id, each.win) for each in winners}


async def test_a_prize_that_was_withheld_is_a_credit_once_it_is_released(directory: Path) -> None:
    """Whatever the checkpoint has written meanwhile; one that is rejected has no winner and no credit."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, placed(raffle("r", withhold="20"), workers=[1]), 2)
        async with street.running():
            for who in ("ann", "bob", "cy"):
                await played(street, "r", who, 2)
            turn_clocks(street, FIRST_MS + HOUR_MS)
            _, _, winners, unpaid = await told_round(street.edge.owners, "r", 1)
            assert [True, True, False] == [winner.win_withheld for winner in winners]
            assert 2 == sum(each.is_withheld for each in unpaid)
            fold = street.workers[1].fold
            fold.freeze()
            fold.overlay._disk.write(list(fold.frozen()))
            fold.forget_frozen()

            for winner, releases in zip(winners, (True, False), strict=False):
                command = DecideHeldWin(0, winner.round_id, "main", releases, "ann", "why")
                assert isinstance(await street.edge.owners.operate("r", command), Operated)
            _, _, left, unpaid = await told_round(street.edge.owners, "r", 1)
            assert [winners[0].player_id, winners[2].player_id] == [who.player_id for who in left]
            assert {each.round_id for each in left} == {each.round_id for each in unpaid}
            assert not any(each.is_withheld for each in unpaid)


async def test_nothing_is_told_before_it_is_durable(directory: Path) -> None:
    """Tickets, and what came of a round, wait for the commit that covers them, whoever asks."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, placed(raffle("r"), workers=[1]), 2)
        async with street.running() as nursery:
            await street.stop(1)
            worker = await street.start(nursery, 1, commits=False)
            await street.acquainted()
            worker.journal.commit()
            page = EntrantsPage(None, "entrant", False, 0, 10)
            sent = request("r", wager=2 * SCALE, player_id="ann")
            worker.router.submit(sent, lambda _: None)
            while not worker.shard.fold.cells["r"].state.contributions:
                await trio.lowlevel.checkpoint()
            for owners in (street.edge.owners, worker.node.owners):
                await _waits(worker, partial(owners.entrants, "r", page))
                await _waits(worker, partial(owners.held_tickets, "op:a", "ann"))
            turn_clocks(street, FIRST_MS + HOUR_MS)
            while not worker.shard.fold.cells["r"].state.rare.rounds:
                await trio.lowlevel.checkpoint()
            for owners in (street.edge.owners, worker.node.owners):
                await _waits(worker, partial(owners.rounds, "r", 10, None))
                await _waits(worker, partial(owners.round, "r", 1))


async def _waits(worker: Neighbour, ask: Callable[[], Awaitable[object]]) -> None:
    """An answer comes with the commit, and not before; another record is staged then, so that the next one waits."""
    told: list[object] = []
    before = len(worker.journal._waiting)

    async def wait() -> None:
        told.append(await ask())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        while len(worker.journal._waiting) == before:
            await trio.lowlevel.checkpoint()
        assert [] == told
        worker.journal.commit()
    assert told[0]
    assert not isinstance(told[0], Rejection)
    worker.router.submit(request("r", wager=SCALE, player_id="ann"), lambda _: None)
    while worker.journal.staged_seq == worker.journal.committed_seq:
        await trio.lowlevel.checkpoint()


def test_rows_of_any_amount_pass_between_workers() -> None:
    """A prize in a small currency may exceed what a MessagePack integer holds."""
    credit = rows.CreditRow(1, 1, "op:a", "ann", "IDR", 1 << 80, "round")
    sent = raffle_messages.ResolvedRound(b"", b"", (), (rows.encode(credit),))
    ((_, received),) = wire.decode(memoryview(wire.encode([(1, sent)])))
    assert isinstance(received, raffle_messages.ResolvedRound)
    assert [credit] == [rows.decode(data) for data in received.credits]


async def test_a_jackpot_begins_by_its_schedule_at_every_worker(directory: Path) -> None:
    """Nobody is asked: the owner's alarm rings, and all hear of it and let contributions in."""
    starts_ms = BORN_MS + 500
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, placed(jackpot("j", starts_ms=starts_ms), workers=[1]), 3)
        async with street.running():
            assert {Status.PENDING} == known(street, "j")
            for front in range(3):
                outcome = await street.workers[front].router.contribute(request("j", wager=SCALE))
                assert isinstance(outcome, Rejection)
                assert (Code.CONTRIBUTION_REJECTED, "JackpotNotActive") == (
                    outcome.code,
                    outcome.message,
                )
            street.workers[1].shard._clock.now_ms = starts_ms  # type: ignore[attr-defined]
            await all_know(street, "j", Status.ACTIVE)
            for front in range(3):
                await played(street, "j", "ann", 1, front=front)


async def test_a_source_falls_over_when_a_jackpot_ends_by_its_schedule(directory: Path) -> None:
    """Its first jackpot is terminated by its end; each worker sends the next contribution to the second one."""
    ends_ms = BORN_MS + 500
    entries = placed(jackpot("j0", ends_ms=ends_ms), jackpot("j1"), workers=[1, 2])
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, [*entries, source("j0", "j1")], 3)
        async with street.running():
            assert ["j0"] * 3 == [await _receiver(street, front) for front in range(3)]
            street.workers[1].shard._clock.now_ms = ends_ms  # type: ignore[attr-defined]
            await all_know(street, "j0", Status.TERMINATED)
            assert ["j1"] * 3 == [await _receiver(street, front) for front in range(3)]
            visible = [
                worker.router.visible_instance("s", "op:a", None, None)
                for worker in street.workers.values()
            ]
            assert ["j1"] * 3 == [
                state.definition.instance_id for state in visible if isinstance(state, Instance)
            ]


async def _receiver(street: Street, front: int) -> str:
    """The instance that a contribution to the source comes to."""
    outcome = await street.workers[front].router.contribute(by_source())
    assert isinstance(outcome, Accepted), outcome
    (taken,) = outcome.outcomes
    assert isinstance(taken, Taken)
    return taken.instance_id


async def test_a_raffle_that_ends_is_known_to_have_ended(directory: Path) -> None:
    """Its last round is drawn at the end of the schedule, and all workers hear of the status."""
    entry = replace(raffle("r"), schedule=Schedule(FIRST_MS, FIRST_MS + HOUR_MS))
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, placed(entry, workers=[2]), 3)
        async with street.running():
            await played(street, "r", "ann", 2)
            turn_clocks(street, FIRST_MS + HOUR_MS)
            await all_know(street, "r", Status.ENDED)
            assert [] == await same_for_all(street, "r")
            assert [] == await _held(street.edge.owners, "op:a", "ann")


async def test_entrants_are_gathered_again_after_a_crash(directory: Path) -> None:
    """A worker that comes back has the round's tickets from its rows; reads wait until they are all there."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, placed(raffle("r"), workers=[1]), 2)
        async with street.running() as nursery:
            for number in range(40):
                await played(street, "r", f"p{number}", 2 + number % 3)
            before = await same_for_all(street, "r", by="ticket_count")
            await street.stop(1)
            await street.start(nursery, 1)
            await street.acquainted()
            assert before == await same_for_all(street, "r", by="ticket_count")
