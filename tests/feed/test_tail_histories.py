"""Tails over random histories: what they find in journals on disk is what an oracle reads in every record of them."""

import random
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from hypothesis import event, given, settings
from hypothesis import strategies as st

from .ground import (
    TEST_TIMEOUT_S,
    Following,
    assert_told,
    delivered,
    journal_on_disk,
    logged,
    open_store,
    oracle_of,
)
from .play import house_on, play, play_catalog

ci = settings(derandomize=True, deadline=None, max_examples=60)
SEEDS = st.integers(0, 2**48)


@ci
@given(SEEDS)
async def test_a_history_is_told_whole(seed: int) -> None:
    """Everything that happened before the feed was there: each win, round, opt-in and result, once, in order."""
    rng = random.Random(seed)
    entities = play_catalog(rng)
    with TemporaryDirectory() as name, trio.fail_after(TEST_TIMEOUT_S):
        log = journal_on_disk(Path(name), 0)
        house = house_on(log, entities, rng, seed)
        async with house.running():
            await play(house, rng, rng.randint(1, 4))
        with open_store(Path(name)) as store:
            following = Following({0: log}, entities, store)
            await following.caught_up()
            expected = oracle_of(entities, {0: log}).expected(0)
            assert_told(store, [expected])
            assert [position for position, _ in following.told] == list(
                range(1, store.last_position + 1)
            )
            assert store.awaiting(0) == {}
            statistics = following.tails[0].statistics()
            assert statistics.position == log.last_seq
            assert statistics.skipped + statistics.decoded == log.last_seq
        log.close()
    for what in expected.seen:
        event(what)


@ci
@given(SEEDS)
async def test_a_history_is_told_as_it_happens(seed: int) -> None:
    """The tail beside the engine, nothing is missed, and nothing told before it is durable."""
    rng = random.Random(seed)
    entities = play_catalog(rng)
    with TemporaryDirectory() as name, trio.fail_after(TEST_TIMEOUT_S):
        log = journal_on_disk(Path(name), 0)
        house = house_on(log, entities, rng, seed)
        with open_store(Path(name)) as store:
            async with house.running() as nursery:
                following = Following({0: log}, entities, store)
                nursery.start_soon(following.tails[0].run)
                await play(house, rng, rng.randint(1, 4))
                while not following.is_caught_up():
                    await trio.lowlevel.checkpoint()
            assert_told(store, [oracle_of(entities, {0: log}).expected(0)])
            assert following.told == store.events_after(0, 1_000_000)
        log.close()


async def test_histories_hold_what_the_tail_has_to_find() -> None:
    """The generator is no weaker than it should be: every kind of event and result comes up."""
    seen: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    with trio.fail_after(3 * TEST_TIMEOUT_S):
        for seed in range(25):
            rng = random.Random(seed)
            entities = play_catalog(rng)
            with TemporaryDirectory() as name:
                log = journal_on_disk(Path(name), 0)
                house = house_on(log, entities, rng, seed)
                async with house.running():
                    await play(house, rng, 5)
                with open_store(Path(name)) as store:
                    await Following({0: log}, entities, store).caught_up()
                    for told in logged(store):
                        kinds[told["kind"]] += 1
                        kinds["community"] += bool(told["data"].get("community_winners"))
                        kinds["metadata"] += bool(told["data"].get("metadata"))
                        kinds["withheld"] += bool(told["data"].get("win_withheld"))
                        kinds["source"] += bool(told["data"].get("source_id"))
                    for _, body in delivered(store).values():
                        kinds[body["type"]] += 1
                        kinds["won"] += bool(body.get("win_pot_id"))
                seen += oracle_of(entities, {0: log}).expected(0).seen
                log.close()
    assert min(seen[tag] for tag in "cwpjo") >= 5
    for kind in (
        *("JackpotWinEvent", "RaffleWinEvent", "OptInEvent", "community", "metadata", "withheld"),
        *("source", "data", "error", "won"),
    ):
        assert kinds[kind] >= 3, kind
