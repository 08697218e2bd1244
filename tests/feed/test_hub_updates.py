"""Updates: at a steady interval, at once after a win, and for who is behind only the latest."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import trio
import trio.testing
from trio.testing import MockClock

from jackpotd.core.state import Status
from jackpotd.feed.board import WHOLE_INTERVAL_S
from jackpotd.feed.hub import Wanted
from jackpotd.wire.feed_events import Kind
from tests.feed.hub_stage import ALL, Eyes, Stage, nothing, opt_in, win
from tests.feed.socket_stage import SOON_S, Client, limited

UPDATES = frozenset({Kind.UPDATE})


async def updates(client: Client, count: int) -> list[dict[str, Any]]:
    found = [await client.json() for _ in range(count)]
    assert {"JackpotUpdateEvent"} == {each["kind"] for each in found}
    return found


def values(found: list[dict[str, Any]]) -> dict[str, float]:
    return {each["instance"]: each["data"]["pots"][0]["current_value"] for each in found}


async def test_active_and_paused_instances_tick_steadily(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Every two seconds each of them, as it stands then; Pending ones are not told."""
    stage = Stage(tmp_path, autojump_clock)
    stage.show("a", value=100_000_000)
    stage.show("b", status=Status.PAUSED)
    stage.show("c", status=Status.PENDING)
    async with stage.running() as nursery:
        _, client = await stage.reader(nursery, ALL)
        times = []
        for tick in range(5):
            stage.show("a", value=100_000_000 * tick)
            found = await updates(client, 2)
            times.append(trio.current_time())
            assert ["a", "b"] == [each["instance"] for each in found]
            if tick > 1:
                assert values(found)["a"] == tick
            assert found[0]["at"] > found[1]["data"]["last_updated"]
        assert [2.0, 2.0, 2.0] == [
            round(after - before, 6) for before, after in pairwise(times[1:])
        ]
        await nothing(client, 1.9)


async def test_update_holds_what_the_documents_say(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Field for field, amounts as exact numbers, and the id of the place in the log."""
    stage = Stage(tmp_path, autojump_clock)
    ticker = stage.show("a", value=10_021_750_000)
    async with stage.running() as nursery:
        (win_id,) = stage.happen(win("z"))
        _, client = await stage.reader(nursery, UPDATES)
        text = await client.text()
        (second,) = await updates(client, 1)

    message = json.loads(text)
    rules = stage.board._definitions.of("a").rules
    assert message["data"] == {
        "id": "a",
        "status": "Active",
        "jackpot_type": "Jackpot",
        "currency": rules.currency,
        "allowed_brands": ["op:a", "op:b"],
        "allowed_sources": ["source-a"],
        "pots": [
            {"id": pot.id, "is_progressive": pot.is_progressive, "current_value": 100.2175}
            for pot in rules.pots
        ],
        "timestamp_start": None,
        "timestamp_end": None,
        "last_updated": ticker.updated_ms,
    }
    assert '"current_value": 100.2175' in text
    assert stage.ids.position(win_id) == stage.ids.position(message["id"]) == 1
    assert message["id"] != second["id"]


async def test_update_follows_a_win_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Right behind the event, with what the pot holds after it, for everybody who sees it."""
    stage = Stage(tmp_path, autojump_clock)
    stage.show("a", value=900_000_000)
    stage.show("b", value=500_000_000)
    async with stage.running() as nursery:
        readers = [await stage.reader(nursery, ALL, eyes=Eyes(brand)) for brand in ("op:a", None)]
        for _, client in readers:
            await updates(client, 2)
        await trio.sleep(3.0)
        for _, client in readers:
            await updates(client, 2)
        began = trio.current_time()
        stage.show("a", value=100_000_000)
        (win_id,) = stage.happen(win("a"))
        for _, client in readers:
            assert win_id == (await client.json())["id"]
            (update,) = await updates(client, 1)
            assert values([update]) == {"a": 1}
            assert stage.ids.position(update["id"]) == 1
        assert trio.current_time() == began


async def test_newcomer_gets_everything_soon_whatever_is_won_meanwhile(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """An update of the jackpot that was won does not stand for all the others."""
    stage = Stage(tmp_path, autojump_clock)
    stage.show("a")
    stage.show("b")
    async with stage.running() as nursery:
        await trio.sleep(1.0)
        _, client = await stage.reader(nursery, ALL)
        stage.happen(win("a"))
        assert (await client.json())["kind"] == "JackpotWinEvent"
        found = await updates(client, 3)
        assert trio.current_time() < 1.5
        assert ["a", "a", "b"] == [each["instance"] for each in found]
        assert ["a", "b"] == [each["instance"] for each in await updates(client, 2)]
        assert trio.current_time() == 2.0


async def test_subscribing_again_and_again_brings_no_more_updates(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Everything is rendered once for a newcomer, and then with the ticks, however often it changes its mind."""
    stage = Stage(tmp_path, autojump_clock)
    stage.show("a")
    eyes = Eyes()
    async with stage.running() as nursery:
        await trio.sleep(1.0)
        socket, client = await stage.reader(nursery, ALL, eyes=eyes)
        for number in range(100):
            wanted = Wanted(UPDATES if number % 2 else frozenset({Kind.WIN}))
            await stage.hub.subscribe(socket, eyes, wanted, None)
            await trio.sleep(0.06)
        found = await updates(client, 4)
        assert round(trio.current_time(), 3) == 7.0

    assert len(eyes.rendered) == 4
    assert len({each["id"] for each in found}) == 4


async def test_board_owes_no_last_word_of_what_was_over_before(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A feed that starts tells of no jackpot that ended a year ago; one that ends later is told once."""
    stage = Stage(tmp_path, autojump_clock)
    stage.show("old", status=Status.TERMINATED)
    stage.show("new")
    async with trio.open_nursery() as nursery:
        await stage.board.refresh(nursery)
        assert [] == stage.board.newly_over()
        assert ["new"] == stage.board.live()
        stage.show("new", status=Status.ENDED)
        await stage.board.refresh(nursery)
        assert ["new"] == stage.board.newly_over()
        assert [] == stage.board.newly_over()
        assert [] == stage.board.live()
        assert stage.board.update_of("pending") is None
    stage.store.close()


async def test_opt_in_brings_no_update(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It changes no pot."""
    stage = Stage(tmp_path, autojump_clock)
    stage.show("i")
    async with stage.running() as nursery:
        _, client = await stage.reader(nursery, ALL)
        await updates(client, 1)
        stage.happen(opt_in("p"))
        assert (await client.json())["kind"] == "OptInEvent"
        await nothing(client, 1.5)


async def test_instance_that_is_over_is_told_once_more(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """On Ended and on Terminated; one that was over before is not told at all."""
    stage = Stage(tmp_path, autojump_clock)
    for name in ("ends", "won", "stops", "stays"):
        stage.show(name)
    stage.show("was over", status=Status.ENDED)
    async with stage.running() as nursery:
        _, client = await stage.reader(nursery, ALL)
        await updates(client, 4)
        stage.show("ends", status=Status.ENDED)
        stage.show("stops", status=Status.TERMINATED)
        told = {each["instance"]: each["data"]["status"] for each in await updates(client, 4)}
        assert told == {
            "ends": "Ended",
            "stops": "Terminated",
            "won": "Active",
            "stays": "Active",
        }
        stage.show("won", status=Status.ENDED)
        stage.happen(win("won"))
        assert (await client.json())["kind"] == "JackpotWinEvent"
        (last,) = await updates(client, 1)
        assert ("won", "Ended") == (last["instance"], last["data"]["status"])
        stage.show("ends", status=Status.TERMINATED)
        stage.happen(win("won"))
        assert (await client.json())["kind"] == "JackpotWinEvent"
        for _ in range(3):
            assert ["stays"] == [each["instance"] for each in await updates(client, 1)]


async def test_reader_that_is_behind_gets_the_latest_later(tmp_path: Path) -> None:
    """It misses ticks, never sees an old value after a new one, and gets the last word of what is over."""
    stage = Stage(tmp_path, update_interval_s=0.05)
    for number in range(400):
        stage.show(f"i{number}", value=0)
    async with stage.running() as nursery:
        socket, slow = await stage.connect_tcp(nursery, receive_buffer_bytes=4096)
        _, fast = await stage.connect_tcp(nursery)
        for each in stage.hub._sockets:
            await stage.hub.subscribe(each, Eyes(), Wanted(UPDATES), None)
        tick = 0
        with trio.fail_after(SOON_S * 2):
            while not socket.is_behind:
                await updates(fast, 400)
            waiting = socket.unsent_bytes
            stage.show("i7", status=Status.ENDED)
            for tick in range(1, 6):
                for number in (1, 2, 3):
                    stage.show(f"i{number}", value=tick * 100_000_000)
                while values(await updates(fast, 399)).get("i1") != tick:
                    pass
                # Ticks go by, and nothing is put behind what waits already.
                assert 0 < socket.unsent_bytes <= waiting
            last: dict[str, float] = {}
            seen, status = 0, ""
            while last.get("i1") != tick or status != "Ended":
                (update,) = await updates(slow, 1)
                seen += 1
                name, value = update["instance"], values([update])[update["instance"]]
                assert value >= last.get(name, 0)
                last[name] = value
                status = update["data"]["status"] if name == "i7" else status
    assert seen < 400 * 30


async def test_reader_that_falls_behind_on_wins_is_closed(tmp_path: Path) -> None:
    """With 1013; another one gets all of them."""
    stage = Stage(tmp_path, limits=limited(backlog_bytes_max=50_000, close_timeout_s=SOON_S))
    async with stage.running() as nursery:
        socket, slow = await stage.connect_tcp(nursery, receive_buffer_bytes=4096)
        other, fast = await stage.connect_tcp(nursery)
        for each in (socket, other):
            await stage.hub.subscribe(each, Eyes(), Wanted(ALL), None)
        count = 0
        with trio.fail_after(SOON_S * 2):
            while not socket.is_closing:
                (event_id,) = stage.happen(win("i", filler="x" * 20_000))
                count += 1
                assert (await fast.json())["id"] == event_id
                assert socket.unsent_bytes < 100_000
            assert await slow.close_code() == 1013
            await slow.stream.aclose()
        assert count > 3
        assert not other.is_closing


async def test_worker_that_is_down_has_its_instances_left_out(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Refused or hanging; the others tick on time, and its last values can still be read."""
    stage = Stage(tmp_path, autojump_clock, workers=2)
    stage.show("a", value=100_000_000, worker=0)
    stage.show("b", value=200_000_000, worker=1)
    async with stage.running() as nursery:
        _, client = await stage.reader(nursery, UPDATES)
        await updates(client, 2)
        for away in (stage.workers.down, stage.workers.hanging):
            away.add(1)
            for _ in range(3):
                assert values(await updates(client, 1)) == {"a": 1}
            ticker = stage.board.ticker("b")
            assert ticker is not None
            assert ticker.values[0] >= 200_000_000
            assert stage.board.statistics().silent_workers == 1
            stage.show("b", value=300_000_000, worker=1)
            away.discard(1)
            assert values(await updates(client, 2)) == {"a": 1, "b": 3}
            assert stage.board.statistics().silent_workers == 0


async def test_only_what_has_changed_is_asked_for_and_everything_now_and_then(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Ticks ask from where the last one stood, whatever the workers' clocks say; whoever moved is found in time."""
    stage = Stage(tmp_path, autojump_clock, workers=2)
    stage.show("a", worker=0, updated_ms=1 << 50)
    stage.show("b", worker=0)
    async with stage.running():
        await trio.sleep(10.0)
        asked = [since for worker, since in stage.workers.asked if worker == 0]
        assert asked[0] == 0
        assert set(asked[1:]) == {2}
        stage.show("b", worker=0, value=500_000_000)
        await trio.sleep(3.0)
        told = stage.board.ticker("b")
        assert told is not None
        assert told.values[0] == 500_000_000
        moved = stage.workers.tickers[0].pop("a")
        stage.workers.tickers[1] = {"a": moved}
        await trio.sleep(WHOLE_INTERVAL_S + 5.0)
        stage.workers.down.add(0)
        await trio.sleep(5.0)
        assert ["a"] == stage.board.live()


async def test_catalog_change_is_seen_in_the_next_update(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A source that is mapped later, though the instance itself did not change."""
    stage = Stage(tmp_path, autojump_clock)
    stage.show("a")
    async with stage.running() as nursery:
        _, client = await stage.reader(nursery, UPDATES)
        (before,) = await updates(client, 1)
        source = stage.catalog.sources["op", "source-a"]
        del stage.catalog.sources["op", "source-a"]
        stage.catalog.apply(
            type(source)(owner_id="op", source_id="other", name="", jackpots=source.jackpots)
        )
        stage.catalog.version += 1
        await trio.sleep(2.0)
        await updates(client, 1)
        (after,) = await updates(client, 1)

    assert before["data"]["allowed_sources"] == ["source-a"]
    assert after["data"]["allowed_sources"] == ["other"]


async def test_brands_see_their_own_jackpots(tmp_path: Path, autojump_clock: MockClock) -> None:
    """And what they share is rendered once for each of them."""
    stage = Stage(tmp_path, autojump_clock)
    stage.create("only-b", ("op:b",))
    stage.show("both")
    stage.show("only-b")
    a, b = Eyes("op:a"), Eyes("op:b")
    async with stage.running() as nursery:
        clients = [(await stage.reader(nursery, UPDATES, eyes=eyes))[1] for eyes in (a, b, b)]
        await trio.sleep(0.2)
        first = await updates(clients[0], 1)
        others = [await updates(client, 2) for client in clients[1:]]

    assert ["both"] == [each["instance"] for each in first]
    for found in others:
        assert ["both", "only-b"] == [each["instance"] for each in found]
    assert set(b.rendered.values()) == {1}
