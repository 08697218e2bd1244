"""Contributions for webhooks: answered once they are accepted durably, refusals kept under their key, each once.

The journal here has no thread, so the test commits by hand where the moment counts.
"""

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from jackpotd.core import rejections
from jackpotd.core.commands import ChangeStatus
from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Status
from jackpotd.engine.decider import FENCED
from jackpotd.engine.fold import Fold
from jackpotd.engine.idempotency import KEY_REUSED
from jackpotd.engine.messages import (
    Accepted,
    ContributionRequest,
    Operated,
    OperateMessage,
    Taken,
    Target,
)
from jackpotd.engine.recovery import MemoryKeys, MemoryRows, compare
from jackpotd.journal.keys import KeyIndex
from jackpotd.testing.house import BORN_MS, House, instance, request
from jackpotd.testing.memory_journal import MemoryJournal
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.wire import records
from jackpotd.wire.catalog_records import Assignment, CatalogEntity, Source
from jackpotd.wire.parts import Callback

from .test_key_desk import catalog as plain_catalog
from .test_key_desk import template

TEST_TIMEOUT_S = 30
CALLBACK = Callback("https://operator.example/results", False)
NEGATIVE = -SCALE


def catalog() -> list[CatalogEntity]:
    """As the keys' tests have it, and a source without jackpots."""
    unmapped = Source(owner_id="op", source_id="unmapped", name="", jackpots=())
    return [*plain_catalog(), unmapped]


def asynchronous(target: str = "alone", **changes: Any) -> ContributionRequest:
    fields: dict[str, Any] = {"wager": SCALE, "key": "k", "callback": CALLBACK, **changes}
    return request(target, **fields)


def kept(log: MemoryLog) -> list[records.Entry | records.Declined]:
    """The records of requests that the journal has."""
    found = [records.decode(data) for _, data in log.scan(1)]
    return [
        each
        for each in found
        if isinstance(each, records.Declined)
        or (isinstance(each, records.Entry) and each.request is not None)
    ]


def accepted(asked: ContributionRequest, *, is_replay: bool = False) -> Accepted:
    """What the caller of a request for a webhook is answered."""
    return Accepted(
        trace_id=asked.trace_id,
        accepted_ms=asked.accepted_ms,
        api_version=asked.api_version,
        metadata=asked.metadata,
        outcomes=(),
        is_replay=is_replay,
        is_asynchronous=True,
    )


async def test_acceptance_is_answered_once_the_target_is_durable_and_before_its_links() -> None:
    """Links have their own records, which the webhook is told of; the answer waits for none of them."""
    house, asked = House(MemoryLog(), catalog()), asynchronous("first")
    answers: list[Accepted | Rejection] = []
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running(commits=False):
            journal = house.journal
            assert isinstance(journal, MemoryJournal)
            journal.commit()
            house.router.submit(asked, answers.append)
            await trio.testing.wait_all_tasks_blocked()
            assert 4 == journal.staged_seq - journal.committed_seq  # target, two links, settled
            assert [] == answers
            journal.commit(1)
            assert [accepted(asked)] == answers
            house.router.submit(asked, answers.append)
            await trio.testing.wait_all_tasks_blocked()
            journal.commit()
            assert [accepted(asked), accepted(asked, is_replay=True)] == answers
            house.router.submit(asked, answers.append)
            assert accepted(asked, is_replay=True) == answers[-1]
            assert 0 == house.router.in_flight
    (entry,) = kept(house.log)
    assert isinstance(entry, records.Entry)
    assert entry.request is not None
    assert (CALLBACK, ("second", "third")) == (entry.request.callback, entry.links)


async def test_acceptance_of_a_target_is_lost_with_its_record() -> None:
    """Before the commit nobody is answered, and after a crash the key is free."""
    house, asked = House(MemoryLog(), catalog()), asynchronous()
    answers: list[Accepted | Rejection] = []
    negative = asynchronous(wager=NEGATIVE, key="n")
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running(commits=False):
            journal = house.journal
            assert isinstance(journal, MemoryJournal)
            journal.commit()
            house.router.submit(asked, answers.append)
            house.router.submit(negative, answers.append)
            await trio.testing.wait_all_tasks_blocked()
            journal.commit(0)
        reborn = House(house.log.copy(), catalog())
        async with reborn.running():
            assert [] == answers
            assert [] == kept(reborn.log)
            assert accepted(asked) == await reborn.router.contribute(asked)
            assert accepted(negative) == await reborn.router.contribute(negative)
    assert 2 == len(kept(reborn.log))


@pytest.mark.parametrize("is_crash", [True, False])
async def test_acceptance_of_a_refusal_is_answered_once_that_is_durable(is_crash: bool) -> None:
    """What was refused is staged, and not answered; a crash leaves it undone, a commit answers it."""
    house, asked = House(MemoryLog(), catalog()), asynchronous(wager=NEGATIVE)
    answers: list[Accepted | Rejection] = []
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running(commits=False):
            journal = house.journal
            assert isinstance(journal, MemoryJournal)
            journal.commit()
            house.router.submit(asked, answers.append)
            await trio.testing.wait_all_tasks_blocked()
            assert 1 == journal.staged_seq - journal.committed_seq
            assert [] == answers
            if not is_crash:
                journal.commit()
                assert [accepted(asked)] == answers
        reborn = House(house.log.copy(), catalog())
        async with reborn.running():
            expected = accepted(asked, is_replay=not is_crash)
            assert expected == await reborn.router.contribute(asked)
    assert 1 == len(kept(reborn.log))


@pytest.mark.parametrize("wager", [SCALE, NEGATIVE])
@pytest.mark.parametrize("target", ["alone", "first"])
@pytest.mark.parametrize("is_reborn", [True, False])
async def test_acceptance_is_repeated_with_the_original_s_trace_id(
    wager: int, target: str, is_reborn: bool
) -> None:
    """Whether it was taken or refused, and with or without a webhook of its own; another request is refused at once."""
    asked = asynchronous(target, wager=wager)
    repeats = [
        replace(asked, trace_id="later", accepted_ms=BORN_MS + 5),
        replace(asked, trace_id="later", callback=None),
        replace(asked, callback=Callback("https://operator.example/others", True)),
    ]
    others = [replace(asked, fingerprint=b"other", callback=each) for each in (CALLBACK, None)]
    house = House(MemoryLog(), catalog())
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            assert accepted(asked) == await house.router.contribute(asked)
            await house.settled()
        if is_reborn:
            house = House(house.log.copy(), catalog())
        async with house.running():
            before = house.log.last_seq
            for repeat in repeats:
                answer = await house.router.contribute(repeat)
                assert accepted(asked, is_replay=True) == answer
            for other in others:
                assert KEY_REUSED == await house.router.contribute(other)
            assert before == house.log.last_seq
    assert 1 == len(kept(house.log))


async def test_acceptance_of_a_repeat_is_no_acceptance_where_the_first_was_none() -> None:
    """A key that was used without a webhook is answered as it was, also where its repeat names one."""
    house, asked = House(MemoryLog(), catalog()), asynchronous("first", callback=None)
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            first = await house.router.contribute(asked)
            assert isinstance(first, Accepted)
            assert [Taken] * 3 == [type(outcome) for outcome in first.outcomes]
            again = await house.router.contribute(replace(asked, callback=CALLBACK))
            assert replace(first, is_replay=True) == again


REFUSALS: list[tuple[Target, dict[str, Any], Code, str, str]] = [
    (Target("instance", "nowhere"), {}, Code.JACKPOT_NOT_FOUND, "nowhere", ""),
    (Target("source", "nowhere"), {}, Code.GAME_NOT_FOUND, "nowhere", ""),
    (Target("source", "unmapped"), {}, Code.SOURCE_JACKPOT_NOT_FOUND, "unmapped", ""),
    (
        Target("instance", "alone"),
        {"currency": "CHF"},
        Code.CURRENCY_MULTIPLIERS_NOT_FOUND,
        "CHF",
        "alone",
    ),
    (
        Target("source", "source"),
        {"wager": NEGATIVE},
        Code.CONTRIBUTION_REJECTED,
        "NegativeWager",
        "alone",
    ),
]


@pytest.mark.parametrize(("target", "bet", "code", "message", "instance_id"), REFUSALS)
async def test_acceptance_keeps_what_refused_a_request(
    target: Target, bet: dict[str, Any], code: Code, message: str, instance_id: str
) -> None:
    """By the router or by the core: the webhook is told which instance it was, where one is known; the key is used."""
    house, asked = House(MemoryLog(), catalog()), replace(asynchronous(), target=target)
    asked = replace(asked, bet=replace(asked.bet, **bet))
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            assert accepted(asked) == await house.router.contribute(asked)
            assert accepted(asked, is_replay=True) == await house.router.contribute(asked)
    (declined,) = kept(house.log)
    assert isinstance(declined, records.Declined)
    assert (code, message, instance_id) == (declined.code, declined.message, declined.instance_id)
    request_kept = declined.request
    assert (asked.trace_id, asked.key, CALLBACK) == (
        request_kept.trace_id,
        request_kept.key,
        request_kept.callback,
    )


async def test_acceptance_keeps_the_refusal_of_an_instance_that_is_out_of_service() -> None:
    """A fault of ours is told to the webhook like every refusal, and uses the key: the caller was told so."""
    house, asked = House(MemoryLog(), catalog()), asynchronous()
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            house.shard.actors["alone"]._decider.is_fenced = True
            assert accepted(asked) == await house.router.contribute(asked)
    (declined,) = kept(house.log)
    assert isinstance(declined, records.Declined)
    assert (FENCED.code, FENCED.message, "alone") == (
        declined.code,
        declined.message,
        declined.instance_id,
    )


async def test_acceptance_refuses_at_once_what_is_the_caller_s_own_matter() -> None:
    """403, 422 and 503 are told to the caller, nothing is kept, and the key is free."""
    vip = instance("vip", template(allowed_segments=["vip"]))
    jackpots = (Assignment(instance_id="vip", priority=0),)
    source = Source(owner_id="op", source_id="vips", name="", jackpots=jackpots)
    house = House(MemoryLog(), [*catalog(), vip, source], mailbox_length_max=1)
    asked = asynchronous()
    strange = replace(asked, bet=replace(asked.bet, brand="op:nobody"))
    barred = replace(asked, target=Target("source", "vips"))
    outcomes: list[Accepted | Rejection] = []
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            refused = [await house.router.contribute(each) for each in (strange, barred)]
            assert [Code.UNSUPPORTED_BRAND, Code.SOURCE_JACKPOTS_NOT_ALLOWED] == [
                each.code for each in refused if isinstance(each, Rejection)
            ]
            crowd = [replace(asked, key=f"k{number}") for number in range(3)]
            async with trio.open_nursery() as nursery:

                async def ask(each: ContributionRequest) -> None:
                    outcomes.append(await house.router.contribute(each))

                for each in crowd:
                    nursery.start_soon(ask, each)
            assert [Code.OVERLOADED] * 2 == [
                each.code for each in outcomes if isinstance(each, Rejection)
            ]
            assert 1 == len(kept(house.log))
            answers = [await house.router.contribute(each) for each in (asked, *crowd)]
            assert [False] * 3 + [True] == sorted(
                isinstance(each, Accepted) and each.is_replay for each in answers
            )


@pytest.mark.parametrize("wager", [SCALE, NEGATIVE])
async def test_acceptance_of_concurrent_duplicates_is_kept_once(
    wager: int, autojump_clock: trio.testing.MockClock
) -> None:
    """Fifty callers with one key: one is accepted, the others get its trace id."""
    house = House(MemoryLog(), catalog(), journal=lambda log: MemoryJournal(log, commit_s=1))
    asked = asynchronous("first", wager=wager)
    answers: list[Accepted | Rejection] = []
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running(), trio.open_nursery() as nursery:

            async def ask() -> None:
                answers.append(await house.router.contribute(asked))

            for _ in range(50):
                nursery.start_soon(ask)
    assert 1 == answers.count(accepted(asked))
    assert 49 == answers.count(accepted(asked, is_replay=True))
    assert 1 == len(kept(house.log))
    assert autojump_clock.autojump_threshold == 0


async def test_acceptance_without_a_key_is_kept_each_time() -> None:
    """Nothing ties two such requests together."""
    house, asked = House(MemoryLog(), catalog()), asynchronous(wager=NEGATIVE, key=None)
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            for _ in range(2):
                assert accepted(asked) == await house.router.contribute(asked)
    assert 2 == len(kept(house.log))


async def test_acceptance_goes_to_the_next_jackpot_when_the_first_stops() -> None:
    """A source's first jackpot pauses while a request is on its way: the next one takes it, and nothing is declined."""
    house = House(MemoryLog(), catalog())
    asked = replace(asynchronous(), target=Target("source", "source"))
    pause = ChangeStatus(0, Status.PAUSED, "", "test")
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            actors = house.shard.actors
            paused: list[Operated | Rejection] = []
            for name, each in (("alone", asked), ("second", replace(asked, key="late"))):
                # The pause is in the mailbox before the contribution, and the source still resolves to this one.
                actors[name].mailbox.post(OperateMessage(pause, paused.append))
                assert accepted(each) == await house.router.contribute(each)
            assert [Operated] * 2 == [type(each) for each in paused]
    taken, declined = kept(house.log)
    assert isinstance(taken, records.Entry)
    assert "second" == taken.instance_id
    assert isinstance(declined, records.Declined)
    assert rejections.JACKPOT_NOT_ACTIVE.message == declined.message


async def test_acceptance_is_in_the_key_files_and_the_journal_proves_them(tmp_path: Path) -> None:
    """After a flush the files answer for refusals, too; a key that the files lack or misplace is a difference."""
    log = MemoryLog()
    index = KeyIndex.open(tmp_path / "keys", retention_ms=10**9)
    house = House(log, catalog(), keys=index)
    asked = [asynchronous("first", key="taken"), asynchronous(wager=NEGATIVE, key="refused")]
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            for each in asked:
                assert accepted(each) == await house.router.contribute(each)
            await house.settled()
        flush = index.begin_flush(log.last_seq)
        assert flush is not None
        await trio.to_thread.run_sync(flush.write)
        index.end_flush(flush)
        index.close()
        read = KeyIndex.open(tmp_path / "keys", retention_ms=10**9)
        try:
            assert log.last_seq == read.covered_seq
            compared = compare(log, (), read, alive_since_ms=0)
            assert 2 == compared.keys
            reborn = House(log.copy(), catalog(), keys=read)
            async with reborn.running():
                for each in asked:
                    answer = await reborn.router.contribute(each)
                    assert accepted(each, is_replay=True) == answer
        finally:
            read.close()


async def test_acceptance_replays_to_the_same_rows_wherever_the_checkpoint_stood() -> None:
    """A refusal changes no row: whichever records a checkpoint has reached, a replay ends as who served."""
    house = House(MemoryLog(), catalog())
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            for number, wager in enumerate((SCALE, NEGATIVE, SCALE)):
                for target in ("alone", "first"):
                    asked = asynchronous(target, wager=wager, key=f"{target} {number}")
                    assert accepted(asked) == await house.router.contribute(asked)
            await house.settled()
    served = MemoryRows()
    served.absorb(house.fold)
    assert 2 == sum(isinstance(each, records.Declined) for each in kept(house.log))
    for checkpoint in range(house.log.last_seq + 1):
        assert served.items == _rows(house.log, checkpoint)


def _rows(log: MemoryLog, checkpoint: int) -> dict[bytes, bytes]:
    """The rows after the whole journal, with a checkpoint after this record and a start from its rows."""
    disk = MemoryRows()
    fold = Fold(disk, MemoryKeys())
    for seq, data in log.scan(1):
        fold.replay(seq, data)
        if seq == checkpoint:
            disk.absorb(fold)
            fold = Fold(disk, MemoryKeys())
            fold.load()
    disk.absorb(fold)
    return disk.items
