"""Idempotency keys through the router: one contribution for each key, whatever callers and crashes do.

The journal here has no thread, so the clock is virtual or the test commits by hand.
"""

import random
from collections import Counter
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jackpotd.core import rejections
from jackpotd.core.commands import ChangeStatus
from jackpotd.core.events import Contributed
from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Status
from jackpotd.engine.idempotency import KEY_REUSED
from jackpotd.engine.messages import Accepted, ContributionRequest, Taken, Target
from jackpotd.testing.house import House, currencies, instance, links, operator, request
from jackpotd.testing.memory_journal import MemoryJournal
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.templates import Json, random_template
from jackpotd.wire.catalog_records import Assignment, CatalogEntity, Source

TEST_TIMEOUT_S = 30


def template(**changes: object) -> Json:
    """A template that takes a percentage from everybody."""
    made = random_template(random.Random(2))
    made["currency"] = "EUR"
    made["contribution_rules"] = {
        "opt_in_required": False,
        "contribution_type": {"Percentage": "0.5"},
    }
    for pot in made["pots"]:
        pot["max_instantiation_count"] = None
    return made | changes


def catalog() -> list[CatalogEntity]:
    """`alone`; `first` linked to `second` and `third`; a source that prefers `alone` to `second`."""
    jackpots = tuple(
        Assignment(instance_id=target, priority=at) for at, target in enumerate(("alone", "second"))
    )
    return [
        operator("op", ["a"]),
        currencies("default"),
        *(instance(name, template()) for name in ("alone", "first", "second", "third")),
        links("first", "second", "third"),
        Source(owner_id="op", source_id="source", name="", jackpots=jackpots),
    ]


def slow(log: MemoryLog) -> MemoryJournal:
    """A second for each commit, on the virtual clock."""
    return MemoryJournal(log, commit_s=1)


def contributions(house: House) -> dict[str, int]:
    found = {name: cell.state.contributions for name, cell in house.fold.cells.items()}
    return {name: count for name, count in found.items() if count}


async def ask_many(house: House, asked: ContributionRequest, count: int) -> list[Accepted]:
    """So many callers at once; all of them are answered."""
    answers: list[Accepted] = []

    async def ask() -> None:
        answer = await house.router.contribute(asked)
        assert isinstance(answer, Accepted)
        answers.append(answer)

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(ask)
    return answers


@pytest.mark.parametrize("target", ["alone", "first"])
async def test_keys_of_concurrent_duplicates_end_in_one_contribution(
    target: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Fifty callers with one key: one contributes, the others get its answer, with links and without."""
    house = House(MemoryLog(), catalog(), journal=slow)
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            answers = await ask_many(house, request(target, wager=SCALE, key="k"), 50)
            (original,) = [answer for answer in answers if not answer.is_replay]

            assert [replace(original, is_replay=True)] * 49 == [a for a in answers if a.is_replay]
            expected = {"alone": 1} if target == "alone" else {"first": 1, "second": 1, "third": 1}
            assert expected == contributions(house)
    assert autojump_clock.autojump_threshold == 0


@pytest.mark.parametrize("target", ["alone", "first"])
async def test_keys_that_are_repeated_after_a_restart_get_the_same_answer(target: str) -> None:
    """The journal alone knows the answer: a new house over the log repeats it to the last event."""
    house, asked = House(MemoryLog(), catalog()), request(target, wager=SCALE, key="k")
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            answer = await house.router.contribute(asked)
        assert isinstance(answer, Accepted)
        reborn = House(house.log.copy(), catalog())
        async with reborn.running():
            before = contributions(reborn)

            assert replace(answer, is_replay=True) == await reborn.router.contribute(asked)
            assert before == contributions(reborn)


@pytest.mark.parametrize(
    "changes",
    [{"wager": SCALE + 1}, {"player_id": "other"}, {"with_links": False}, {"target": "first"}],
)
@pytest.mark.parametrize("is_running", [True, False])
async def test_keys_of_another_request_are_refused(
    changes: dict[str, Any], is_running: bool
) -> None:
    """The same key with a different fingerprint is IDEMPOTENCY_KEY_REUSED, while the first runs and after it."""
    house = House(MemoryLog(), catalog())
    fields: dict[str, Any] = {"target": "alone", "wager": SCALE, "key": "k"}
    other = request(**(fields | changes))
    outcomes: list[Accepted | Rejection] = []

    async def ask(asked: ContributionRequest) -> None:
        outcomes.append(await house.router.contribute(asked))

    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running(commits=False) as nursery:
            journal = house.journal
            assert isinstance(journal, MemoryJournal)
            journal.commit()
            nursery.start_soon(ask, request("alone", wager=SCALE, key="k"))
            await trio.testing.wait_all_tasks_blocked()
            if not is_running:
                journal.commit()
                await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(ask, other)
            await trio.testing.wait_all_tasks_blocked()
            journal.commit()
            await trio.testing.wait_all_tasks_blocked()

            assert 2 == len(outcomes)
            assert KEY_REUSED in outcomes
            assert {"alone": 1} == contributions(house)


async def test_keys_belong_to_their_operator() -> None:
    """The same key of another operator is another key."""
    house, asked = House(MemoryLog(), catalog()), request("alone", wager=SCALE, key="k")
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            for operator_id in ("op", "other"):
                answer = await house.router.contribute(replace(asked, operator=operator_id))
                assert isinstance(answer, Accepted)
                assert not answer.is_replay
            assert {"alone": 2} == contributions(house)


async def test_keys_of_a_request_refused_as_a_whole_are_free_for_a_waiting_repeat() -> None:
    """The first is refused while a repeat waits: the repeat takes its turn, and contributes once it can."""
    house = House(MemoryLog(), catalog())
    asked, outcomes = request("alone", wager=SCALE, key="k"), []

    async def ask() -> None:
        outcomes.append(await house.router.contribute(asked))

    async def change(status: Status) -> None:
        await house.shard.operate("alone", ChangeStatus(0, status, "", "test"))

    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running(commits=False) as nursery:
            journal = house.journal
            assert isinstance(journal, MemoryJournal)
            journal.commit()
            nursery.start_soon(change, Status.PAUSED)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(change, Status.ACTIVE)
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            assert [] == outcomes
            for _ in range(3):
                journal.commit()
                await trio.testing.wait_all_tasks_blocked()
            first, second = outcomes
            assert rejections.JACKPOT_NOT_ACTIVE == first
            assert isinstance(second, Accepted)
            assert not second.is_replay
            assert {"alone": 1} == contributions(house)


@pytest.mark.parametrize(
    ("target", "bet", "code"),
    [
        (Target("instance", "nowhere"), {}, Code.JACKPOT_NOT_FOUND),
        (Target("source", "nowhere"), {}, Code.GAME_NOT_FOUND),
        (Target("instance", "alone"), {"brand": "op:nobody"}, Code.UNSUPPORTED_BRAND),
        (Target("instance", "alone"), {"currency": "CHF"}, Code.CURRENCY_MULTIPLIERS_NOT_FOUND),
        (Target("instance", "alone"), {"wager": -1}, Code.CONTRIBUTION_REJECTED),
    ],
)
async def test_keys_of_refused_requests_are_free_wherever_they_were_refused(
    target: Target, bet: dict[str, Any], code: Code
) -> None:
    """By the router or by the core: the same key is refused again, and then serves a request that is allowed."""
    house, asked = House(MemoryLog(), catalog()), request("alone", wager=SCALE, key="k")
    refused = replace(asked, target=target, bet=replace(asked.bet, **bet))
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            for _ in range(2):
                outcome = await house.router.contribute(refused)
                assert isinstance(outcome, Rejection)
                assert code is outcome.code
            assert isinstance(await house.router.contribute(asked), Accepted)
            assert {"alone": 1} == contributions(house)


async def test_keys_move_on_to_the_next_jackpot_when_the_first_stops() -> None:
    """A source's first jackpot pauses while a request is on its way: the next one takes it, once."""
    house = House(MemoryLog(), catalog())
    asked = replace(request("alone", wager=SCALE, key="k"), target=Target("source", "source"))
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running() as nursery:
            pause = ChangeStatus(0, Status.PAUSED, "", "test")
            # The pause is in the mailbox before the contribution, and the source still resolves to `alone`.
            nursery.start_soon(house.shard.operate, "alone", pause)
            await trio.lowlevel.checkpoint()
            answer = await house.router.contribute(asked)
            assert isinstance(answer, Accepted)
            assert 1 == sum(contributions(house).values())
            assert replace(answer, is_replay=True) == await house.router.contribute(asked)


async def test_keys_are_free_after_a_full_mailbox() -> None:
    """OVERLOADED consumes nothing: the same key contributes as soon as there is room."""
    house = House(MemoryLog(), catalog(), mailbox_length_max=2)
    outcomes: list[Accepted | Rejection] = []

    async def ask(key: str) -> None:
        outcomes.append(await house.router.contribute(request("alone", wager=SCALE, key=key)))

    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            async with trio.open_nursery() as nursery:
                for number in range(5):
                    nursery.start_soon(ask, f"k{number}")
            refused = [each for each in outcomes if isinstance(each, Rejection)]
            assert [Code.OVERLOADED] * 3 == [each.code for each in refused]
            assert {"alone": 2} == contributions(house)
            for number in range(5):
                await ask(f"k{number}")
            assert 2 == sum(each.is_replay for each in outcomes if isinstance(each, Accepted))
            assert {"alone": 5} == contributions(house)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 2**48))
async def test_keys_of_cancelled_callers_never_contribute_twice(seed: int) -> None:
    """Callers leave at any moment and ask again with their key: each key contributes once to each instance."""
    rng = random.Random(seed)
    house = House(MemoryLog(), catalog(), seed=seed)
    keys = [f"key {number}" for number in range(6)]

    async def ask() -> None:
        key = rng.choice(keys)
        target = "first" if key in keys[:3] else "alone"
        with trio.CancelScope() as scope:
            if rng.random() < 0.7:
                scope.deadline = trio.current_time() + rng.choice((0, 1e-4, 3e-4))
            await trio.sleep(rng.choice((0, 1e-4)))
            await house.router.contribute(request(target, wager=SCALE, key=key))

    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            async with trio.open_nursery() as nursery:
                for _ in range(25):
                    nursery.start_soon(ask)
            rounds: Counter[str] = Counter()
            for number, key in enumerate(keys):
                target = "first" if number < 3 else "alone"
                answer = await house.router.contribute(request(target, wager=SCALE, key=key))
                assert isinstance(answer, Accepted)
                for outcome in answer.outcomes:
                    assert isinstance(outcome, Taken)
                    rounds[outcome.instance_id] += isinstance(outcome.events[0], Contributed)
            assert rounds == contributions(house)
            assert {"first": 3, "second": 3, "third": 3, "alone": 3} == rounds


async def test_keys_repeated_while_a_restart_settles_their_links_are_answered() -> None:
    """A crash cut off the links; a repeat that comes before their records are durable is answered, not an error."""
    asked = request("first", wager=SCALE, key="k")
    with trio.fail_after(TEST_TIMEOUT_S):
        house = House(MemoryLog(), catalog())
        async with house.running():
            await house.router.contribute(asked)
        # The target's record is there, those of its links are not.
        cut = house.log.copy(house.log.last_seq - 3)
        reborn = House(cut, catalog())
        async with reborn.running(commits=False) as nursery:
            await trio.testing.wait_all_tasks_blocked()
            assert isinstance(reborn.journal, MemoryJournal)
            assert reborn.journal.staged_seq > reborn.journal.committed_seq
            nursery.start_soon(reborn.journal.run)
            answer = await reborn.router.contribute(asked)
            assert isinstance(answer, Accepted)
            assert answer.is_replay
            assert [Taken] * 3 == [type(outcome) for outcome in answer.outcomes]
