"""Deliveries from a real store to real receivers: what is taken, what is tried again and when, and what ends as a dead
letter. The test's clock says what is due, so that days pass in no time; sockets, threads and disk are real.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from msgspec import structs
from standardwebhooks import Webhook

from jackpotd.journal.delivery_store import DeliveryLimits, DeliveryStatistics
from jackpotd.outbound import lanes
from jackpotd.outbound.schedule import DELAYS_S
from jackpotd.wire.catalog_records import Webhooks
from tests.outbound import receivers
from tests.outbound.delivering import SECRETS, House, running
from tests.outbound.delivery_rows import Rows, delivery, ids, rows_in
from tests.outbound.receivers import Received, answering, receiving

DEADLINE_S = 30
DAY_MS = 86_400_000
HOUR_MS = 3_600_000


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Rows]:
    with rows_in(tmp_path / "feed") as opened:
        yield opened


# -- what is taken


async def test_results_are_delivered_once_and_leave_no_rows(rows: Rows) -> None:
    """Each with its id, its body, and signatures that whoever has the secret can verify."""
    names = [f"n{number}" for number in range(200)]
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200)) as receiver:
            house = House(rows, [receiver.origin])
            house.clock.now_ms = int(1000 * time.time())
            async with running(house):
                house.add(f"{receiver.origin}/hooks", *names)
                await house.until_empty()
            assert sorted(names) == sorted(receiver.ids())
            for request in receiver.requests:
                Webhook(SECRETS[0]).verify(request.body, dict(request.headers))
                assert request.body == bytes(delivery(request.id).body)
                assert request.target == "/hooks"
            assert receiver.connections <= 4
            assert receiver.most_under_way <= 4
            assert house.dispatcher.statistics().delivered == len(names)
            assert rows.count() == 0


async def test_what_was_there_before_the_start_is_delivered(rows: Rows) -> None:
    """And what comes before anybody runs: the store alone counts."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200)) as receiver:
            house = House(rows, [receiver.origin])
            house.add(receiver.origin, "a")
            house.add(receiver.origin, "b")
            async with running(house):
                await receiver.until(2)
                house.add(receiver.origin, "c")
                await house.until_empty()
            assert {"a", "b", "c"} == set(receiver.ids())


async def test_a_lane_ends_and_begins_again(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target for which nothing comes takes no memory; the next result opens it again."""
    monkeypatch.setattr("jackpotd.outbound.dispatcher.LINGER_MS", 1)
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200)) as receiver:
            house = House(rows, [receiver.origin])
            async with running(house):
                for number in range(3):
                    house.add(receiver.origin, f"n{number}")
                    await receiver.until(number + 1)
                    await house.until(lambda: not house.dispatcher._lanes)
            assert ["n0", "n1", "n2"] == receiver.ids()
            assert receiver.connections == 3


# -- what is tried again


async def test_a_result_is_tried_on_the_schedule_and_then_given_up(rows: Rows) -> None:
    """Ten attempts with one id, each when it is due and not before, and a dead letter that says why."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(500)) as receiver:
            house = House(rows, [receiver.origin])
            async with running(house):
                house.add(receiver.origin, "a")
                for count, delay_s in enumerate(DELAYS_S[1:], 1):
                    await receiver.until(count)
                    await house.until_settled()
                    house.pass_ms(delay_s * 1000 - 1_000)
                    await house.nothing_more()
                    assert len(receiver.requests) == count
                    house.pass_ms(1_000)
                await house.until_empty()
            assert ["a"] * len(DELAYS_S) == receiver.ids()
            (letter,) = rows.store.dead_letters("op", 0, 9)
            assert (letter.id, letter.attempts, letter.reason) == ("a", 10, "status 500")
            statistics = house.dispatcher.statistics()
            assert (statistics.attempts_failed, statistics.dead) == (10, 1)
            stamps = [int(request.headers["webhook-timestamp"]) for request in receiver.requests]
            assert stamps[-1] - stamps[0] == sum(DELAYS_S)


async def test_a_result_whose_receiver_recovers_is_delivered(rows: Rows) -> None:
    """The next attempt finds it."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(503)) as receiver:
            house = House(rows, [receiver.origin])
            async with running(house):
                house.add(receiver.origin, "a")
                await receiver.until(1)
                await house.until_settled()
                receiver.behaviour = answering(200)
                house.pass_ms(5_000)
                await house.until_empty()
            assert ["a", "a"] == receiver.ids()
            assert [] == rows.store.dead_letters("op", 0, 9)


async def test_gone_ends_it_at_once(rows: Rows) -> None:
    """410; the others of the same receiver are tried all the same."""

    async def gone_for_one(request: Received, stream: trio.abc.Stream) -> None:
        await answering(410 if request.id == "a" else 200)(request, stream)

    with trio.fail_after(DEADLINE_S):
        async with receiving(gone_for_one) as receiver:
            house = House(rows, [receiver.origin])
            async with running(house):
                house.add(receiver.origin, "a", "b")
                await house.until_empty()
            assert ["a", "b"] == sorted(receiver.ids())
            (letter,) = rows.store.dead_letters("op", 0, 9)
            assert (letter.id, letter.attempts, letter.reason) == ("a", 1, "status 410")


async def test_a_receiver_is_left_alone_for_as_long_as_it_wants(rows: Rows) -> None:
    """What it refused is not tried before; others of its results wait, too, but for minutes at the most."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(429, {"Retry-After": "3600"})) as receiver:
            house = House(rows, [receiver.origin])
            async with running(house):
                house.add(receiver.origin, "a")
                await receiver.until(1)
                await house.until_settled()
                house.add(receiver.origin, "b")
                house.pass_ms(lanes.HOLD_MAX_MS - 1_000)
                await house.nothing_more()
                assert ["a"] == receiver.ids()
                house.pass_ms(1_000)
                await receiver.until(2)
                await house.until_settled()
                assert ["a", "b"] == receiver.ids()
                receiver.behaviour = answering(200)
                house.pass_ms(HOUR_MS - lanes.HOLD_MAX_MS - 1_000)
                await house.nothing_more()
                assert ["a", "b"] == receiver.ids()
                house.pass_ms(1_000)
                await receiver.until(3)
                house.pass_ms(HOUR_MS)
                await house.until_empty()
            assert ["a", "b", "a", "b"] == receiver.ids()


async def test_a_prefix_that_is_removed_makes_dead_letters(rows: Rows) -> None:
    """Permission is asked for at every attempt, and the letter says that it was not given."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(500)) as receiver:
            house = House(rows, [receiver.origin])
            async with running(house):
                house.add(receiver.origin, "a")
                await receiver.until(1)
                await house.until_settled()
                house.webhooks["op"] = Webhooks(operator_id="op")
                house.pass_ms(5_000)
                await house.until_empty()
            assert len(receiver.requests) == 1
            (letter,) = rows.store.dead_letters("op", 0, 9)
            assert letter.attempts == 1
            assert "not on the allow-list" in letter.reason


async def test_a_result_that_comes_before_its_prefix_is_delivered(rows: Rows) -> None:
    """The process that delivers may hear of a change of the list after the one that took the request."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200)) as receiver:
            house = House(rows, [])
            async with running(house):
                house.add(receiver.origin, "a")
                await house.until(lambda: house.dispatcher.statistics().attempts_failed == 1)
                await house.until_settled()
                assert ["a"] == house.pending()
                assert receiver.connections == 0
                house.webhooks["op"] = Webhooks(operator_id="op", allow=(receiver.origin,))
                house.pass_ms(5_000)
                await house.until_empty()
            assert ["a"] == receiver.ids()


async def test_a_dead_letter_is_replayed_with_its_id(rows: Rows) -> None:
    """And with the whole schedule before it."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(410)) as receiver:
            house = House(rows, [receiver.origin])
            async with running(house):
                house.add(receiver.origin, "a", "b")
                await house.until_empty()
                receiver.behaviour = answering(200)
                assert ["a"] == await trio.to_thread.run_sync(
                    rows.store.replay, "op", ["a"], house.clock()
                )
                house.dispatcher.wake()
                await house.until_empty()
            assert receiver.ids()[2:] == ["a"]
            assert ["b"] == ids(rows.store.dead_letters("op", 0, 9))


async def test_what_a_full_target_has_no_room_for_can_be_replayed(tmp_path: Path) -> None:
    """Nothing is lost where too much waits."""
    with (
        trio.fail_after(DEADLINE_S),
        rows_in(tmp_path, DeliveryLimits(pending_per_target_max=3)) as rows,
    ):
        async with receiving(answering(200)) as receiver:
            house = House(rows, [receiver.origin])
            house.add(receiver.origin, *"abcde")
            async with running(house):
                await house.until_empty()
                assert {"d", "e"} == set(rows.store.replay("op", [], house.clock()))
                house.dispatcher.wake()
                await house.until_empty()
            assert set("abcde") == set(receiver.ids())


# -- targets that fail


@pytest.mark.parametrize("behaviour", [receivers.hanging, receivers.closing, answering(503)])
async def test_a_dead_target_delays_no_other(rows: Rows, behaviour: receivers.Behaviour) -> None:
    """Though much more waits for it than may be under way in all."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(behaviour) as dead, receiving(answering(200)) as live:
            house = House(rows, [dead.origin, live.origin], concurrency_max=5, timeout_s=60)
            async with running(house):
                house.add(dead.origin, *(f"dead{number}" for number in range(100)))
                await dead.until(1)
                house.add(live.origin, *(f"live{number}" for number in range(100)))
                await live.until(100)
            assert len(set(live.ids())) == 100


async def test_targets_that_hang_leave_room_for_those_that_answer(rows: Rows) -> None:
    """Once it is known that they do: they have a budget of their own, whatever their number."""
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery, receiving(answering(200)) as live:
            hanging = [await _entered(nursery, receivers.hanging) for _ in range(4)]
            house = House(
                rows,
                [live.origin, *(each.origin for each in hanging)],
                concurrency_max=2,
                target_concurrency_max=1,
                timeout_s=0.2,
            )
            async with running(house):
                for number, each in enumerate(hanging):
                    house.add(each.origin, *(f"{number}-{count}" for count in range(50)))
                await house.until(lambda: house.dispatcher.statistics().targets_failing == 4)
                house.add(live.origin, *(f"live{number}" for number in range(50)))
                with trio.fail_after(DEADLINE_S / 2):
                    await live.until(50)
            nursery.cancel_scope.cancel()


async def test_targets_that_are_slow_leave_room_for_those_that_are_quick(rows: Rows) -> None:
    """Also where they are many, and take every result in the end; each begins with one attempt."""
    gate, are_two_waiting, waiting = trio.Event(), trio.Event(), list[str]()

    async def slowly(request: Received, stream: trio.abc.Stream) -> None:
        waiting.append(request.id)
        if len(waiting) == 2:
            are_two_waiting.set()
        await gate.wait()
        await answering(200)(request, stream)

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery, receiving(answering(200)) as live:
            slow = [await _entered(nursery, slowly) for _ in range(6)]
            house = House(rows, [live.origin, *(each.origin for each in slow)], concurrency_max=4)
            async with running(house):
                house.add(live.origin, "known")
                await live.until(1)
                for number, each in enumerate(slow):
                    house.add(each.origin, *(f"{number}-{count}" for count in range(8)))
                await are_two_waiting.wait()
                house.add(live.origin, *(f"live{number}" for number in range(20)))
                await live.until(21)
                assert len(waiting) == 2  # a half of the budget for new ones
                gate.set()
                await house.until_empty()
            assert sorted(len(set(each.ids())) for each in slow) == [8] * 6
            nursery.cancel_scope.cancel()


async def _entered(nursery: trio.Nursery, behaviour: receivers.Behaviour) -> receivers.Receiver:
    async def hold(task_status: trio.TaskStatus[receivers.Receiver]) -> None:
        async with receiving(behaviour) as receiver:
            task_status.started(receiver)
            await trio.sleep_forever()

    receiver: receivers.Receiver = await nursery.start(hold)
    return receiver


async def test_a_failing_target_is_tried_by_one_at_a_time(rows: Rows) -> None:
    """Alone at first, as nobody knows it; after that with pauses, until it answers: then side by side."""
    gate = trio.Event()

    async def behave(request: Received, stream: trio.abc.Stream) -> None:
        if gate.is_set():
            await trio.sleep(0.005)
            await answering(200)(request, stream)
        else:
            await answering(502)(request, stream)

    with trio.fail_after(DEADLINE_S):
        async with receiving(behave) as receiver:
            house = House(rows, [receiver.origin])
            async with running(house):
                house.add(receiver.origin, *(f"n{number}" for number in range(60)))
                await receiver.until(2)
                await house.until_settled()
                assert house.dispatcher.statistics().targets_failing == 1
                tried = len(receiver.requests)
                assert tried <= 3
                assert receiver.most_under_way == 1
                for count in range(1, 6):
                    receiver.most_under_way = 0
                    house.pass_ms(lanes.PAUSE_MAX_MS)
                    await receiver.until(tried + count)
                    await house.until_settled()
                    assert len(receiver.requests) == tried + count
                    assert receiver.most_under_way == 1
                gate.set()
                house.pass_ms(lanes.PAUSE_MAX_MS)
                await house.until(lambda: house.dispatcher.statistics().targets_failing == 0)
                house.pass_ms(DAY_MS)
                await house.until_empty()
                assert receiver.most_under_way == 4
            assert len(set(receiver.ids())) == 60


async def test_refusals_of_single_results_do_not_slow_the_others(rows: Rows) -> None:
    """A receiver that says 400 is there."""

    async def picky(request: Received, stream: trio.abc.Stream) -> None:
        await answering(400 if int(request.id) % 2 else 200)(request, stream)

    with trio.fail_after(DEADLINE_S):
        async with receiving(picky) as receiver:
            house = House(rows, [receiver.origin])
            async with running(house):
                house.add(receiver.origin, *map(str, range(100)))
                await receiver.until(100)
                await house.until_settled()
                assert house.dispatcher.statistics().targets_failing == 0
                assert len(house.pending()) == 50


async def test_operators_do_not_share_a_lane(rows: Rows) -> None:
    """One whose prefix is missing gets dead letters, while the other's results reach the same receiver."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200)) as receiver:
            house = House(rows, [receiver.origin])
            house.webhooks["other"] = Webhooks(operator_id="other")
            async with running(house):
                house.add(receiver.origin, "a")
                house.add(receiver.origin, "b", operator="other")
                await receiver.until(1)
                await house.until_settled()
                house.pass_ms(5_000)
                await house.until_empty()
            assert ["a"] == receiver.ids()
            assert ["b"] == ids(rows.store.dead_letters("other", 0, 9))


# -- stopping


async def test_what_was_taken_is_written_down_at_the_end(rows: Rows) -> None:
    """A stop between an answer and its write does not make the receiver hear it again."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200)) as receiver:
            house = House(rows, [receiver.origin])
            async with running(house):
                house.add(receiver.origin, *map(str, range(50)))
                await house.until(lambda: house.dispatcher.statistics().delivered >= 10)
            taken = house.dispatcher.statistics().delivered
            assert len(house.pending()) == 50 - taken
            again = House(rows, [receiver.origin])
            async with running(again):
                await again.until_empty()
            assert set(receiver.ids()) == set(map(str, range(50)))


async def test_a_stop_does_not_wait_for_a_receiver_that_hangs(rows: Rows) -> None:
    """The attempt is repeated after the next start."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(receivers.hanging) as receiver:
            house = House(rows, [receiver.origin], timeout_s=600)
            async with running(house):
                house.add(receiver.origin, "a")
                await receiver.until(1)
            assert rows.store.statistics() == DeliveryStatistics(1, 1, 0)
            (pending,) = rows.store.earliest(rows.store.lanes()[0], 9)
            assert structs.replace(pending, next_ms=0) == delivery("a", receiver.origin)
