"""Links: every link of a contribution is answered exactly once, also when the journal was cut after any record."""

import random
from collections import Counter

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Status
from jackpotd.engine.messages import Accepted, Pending, Taken
from jackpotd.engine.recovery import MemoryKeys, MemoryRows
from jackpotd.testing.house import House, currencies, instance, links, operator, request
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.templates import random_template
from jackpotd.wire import records
from jackpotd.wire.catalog_records import CatalogEntity

TEST_TIMEOUT_S = 30
NAMES = ("a", "b", "c", "d")


def catalog(rng: random.Random) -> list[CatalogEntity]:
    """Four instances linked to each other; `d` is paused, and refuses every link."""
    entities: list[CatalogEntity] = [operator("op", ["a"]), currencies("default")]
    for name in NAMES:
        template = random_template(rng)
        template["contribution_rules"] |= {"opt_in_required": name == "c"}
        for pot in template["pots"]:
            pot["max_instantiation_count"] = None
        status = Status.PAUSED if name == "d" else Status.ACTIVE
        entities.append(instance(name, template, status=status))
    return [*entities, links("a", "b", "c", "d"), links("b", "a"), links("c", "a", "b")]


def deliveries(log: MemoryLog) -> tuple[dict[int, tuple[str, ...]], Counter[tuple[int, int, str]]]:
    """The links that each target's record names, and the (cause, place, instance) of each link's record."""
    owed: dict[int, tuple[str, ...]] = {}
    answered: Counter[tuple[int, int, str]] = Counter()
    for seq, data in log.scan(1):
        match records.decode(data):
            case records.Entry(instance_id=name, cause=int(cause), place=place):
                answered[cause, place, name] += 1
            case records.LinkRefused(instance_id=name, cause=cause, place=place):
                answered[cause, place, name] += 1
            case records.Entry(links=linked) if linked:
                owed[seq] = linked
            case _:
                pass
    return owed, answered


def assert_every_link_is_answered_once(log: MemoryLog) -> None:
    owed, answered = deliveries(log)
    expected = {(cause, at, name) for cause, names in owed.items() for at, name in enumerate(names)}
    assert expected == answered.keys()
    assert {1} >= set(answered.values())
    closed = [
        record.cause
        for record in (records.decode(data) for _, data in log.scan(1))
        if isinstance(record, records.Settled)
    ]
    assert sorted(owed) == sorted(closed)


async def played(seed: int, requests: int) -> tuple[House, dict[str, Accepted]]:
    """A house after so many requests at once, with their answers by key."""
    rng = random.Random(seed)
    house = House(MemoryLog(), catalog(rng), seed=seed)
    answers: dict[str, Accepted] = {}

    async def ask(number: int) -> None:
        asked = request("abc"[number % 3], wager=SCALE, key=f"k{number}")
        answer = await house.router.contribute(asked)
        if isinstance(answer, Accepted):
            answers[f"k{number}"] = answer

    async with house.running(), trio.open_nursery() as nursery:
        for number in range(requests):
            nursery.start_soon(ask, number)
    return house, answers


async def test_links_are_answered_once_in_their_order_and_refusals_are_recorded() -> None:
    """The target first, then its links in order; a link that refuses stands in its place, live and repeated."""
    with trio.fail_after(TEST_TIMEOUT_S):
        house, answers = await played(3, 30)
    assert_every_link_is_answered_once(house.log)
    answer = answers["k0"]
    first, second, third, fourth = answer.outcomes
    assert isinstance(first, Taken)
    assert isinstance(second, Taken)
    assert ("a", "b") == (first.instance_id, second.instance_id)
    assert Rejection(Code.CONTRIBUTION_REJECTED, "PlayerNotOptedIn") == third
    assert Rejection(Code.CONTRIBUTION_REJECTED, "JackpotNotActive") == fourth
    refused = [records.decode(data) for _, data in house.log.scan(1)]
    assert 10 <= sum(isinstance(record, records.LinkRefused) for record in refused)


async def test_links_are_not_followed_further_and_can_be_switched_off() -> None:
    """Only the target's own links count, each instance receives once, and `with_links` off means the target alone."""
    with trio.fail_after(TEST_TIMEOUT_S):
        house = House(MemoryLog(), catalog(random.Random(1)))
        async with house.running():
            for target, with_links, expected in (
                ("b", True, {"a": 1, "b": 1}),
                ("b", False, {"a": 1, "b": 2}),
                ("a", False, {"a": 2, "b": 2}),
            ):
                asked = request(target, wager=SCALE, with_links=with_links)
                assert isinstance(await house.router.contribute(asked), Accepted)
                cells = house.fold.cells.items()
                found = {name: cell.state.contributions for name, cell in cells}
                assert {**dict.fromkeys(NAMES, 0), **expected} == found


async def test_links_that_a_player_would_pay_are_refused_without_a_wallet() -> None:
    """Each link is measured by its own template: who pays nothing needs no wallet, live and after a crash."""
    free, paid = random_template(random.Random(1)), random_template(random.Random(1))
    for template, share in ((free, "1"), (paid, "0.5")):
        template["contribution_rules"] |= {
            "opt_in_required": False,
            "operator_contribution_percentage": share,
        }
    entities: list[CatalogEntity] = [operator("op", ["a"]), currencies("default")]
    entities += [instance("free", free), instance("paid", paid), instance("also free", free)]
    entities.append(links("free", "paid", "also free"))
    refused = Rejection(Code.WALLET_NOT_CONFIGURED, "op:a")
    asked = request("free", wager=SCALE, key="k")
    with trio.fail_after(TEST_TIMEOUT_S):
        house = House(MemoryLog(), entities, has_embedded_wallet=False)
        async with house.running():
            assert refused == await house.router.contribute(request("paid", wager=SCALE))
            answer = await house.router.contribute(asked)
        cut = House(house.log.copy(4), entities, has_embedded_wallet=False)
        async with cut.running():
            await cut.settled()
            again = await cut.router.contribute(asked)
    for found in (answer, again):
        assert isinstance(found, Accepted)
        assert isinstance(found.outcomes[0], Taken)
        assert refused == found.outcomes[1]
        assert isinstance(found.outcomes[2], Taken)


async def test_links_after_a_cut_behind_any_record_are_delivered_exactly_once() -> None:
    """A crash after each record of the journal in turn: the next life answers every link that is still owed."""
    with trio.fail_after(TEST_TIMEOUT_S):
        house, _ = await played(5, 9)
        entities = catalog(random.Random(5))
        for last_seq in range(house.log.last_seq + 1):
            reborn = House(house.log.copy(last_seq), entities, seed=last_seq)
            async with reborn.running():
                await reborn.settled()
            assert_every_link_is_answered_once(reborn.log)
            assert {} == reborn.fold.propagations
            assert house.log.records[: last_seq + 1] == reborn.log.records[: last_seq + 1]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 2**48), st.data())
async def test_links_and_keys_survive_crashes_in_a_row(seed: int, data: st.DataObject) -> None:
    """Three crashes at random records, callers that repeat in every life: what was answered once is answered alike."""
    rng = random.Random(seed)
    with trio.fail_after(TEST_TIMEOUT_S):
        house, answers = await played(seed, 6)
        log, entities = house.log, catalog(random.Random(seed))
        for life in range(3):
            last_seq = data.draw(st.integers(0, log.last_seq))
            known = durable_answers(log.copy(last_seq), entities, answers)
            reborn = House(log.copy(last_seq), entities, seed=rng.getrandbits(32))
            async with reborn.running():
                await reborn.settled()
                for number in range(6):
                    key = f"k{number}"
                    asked = request("abc"[number % 3], wager=SCALE, key=key)
                    answer = await reborn.router.contribute(asked)
                    if isinstance(answer, Accepted):
                        assert not any(isinstance(each, Pending) for each in answer.outcomes)
                        if key in known:
                            assert known[key] == replace(answer, is_replay=False)
                        answers[key] = replace(answer, is_replay=False)
            assert_every_link_is_answered_once(reborn.log)
            log = reborn.log
            assert life < 3


def durable_answers(
    log: MemoryLog, entities: list[CatalogEntity], answers: dict[str, Accepted]
) -> dict[str, Accepted]:
    """The answers whose records are all in a log: a house that was cut there knows them without any more work."""
    house = House(log, entities, disk=MemoryRows(), keys=MemoryKeys())
    targets = {}
    for seq, data in log.scan(1):
        record = records.decode(data)
        if isinstance(record, records.Entry) and record.request is not None:
            targets[seq] = str(record.request.key)
    open_keys = {targets[cause] for cause in house.fold.propagations}
    return {key: answers[key] for key in targets.values() if key not in open_keys if key in answers}
