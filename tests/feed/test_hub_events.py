"""What happens is told at once, to those who want it and may see it, once and in the order of the log."""

from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock
from wsproto.events import Ping

from jackpotd.feed import frames
from jackpotd.feed.client_socket import SocketClosed
from jackpotd.feed.hub import EVENTS_AT_ONCE, Wanted
from jackpotd.wire.feed_events import Kind
from tests.feed.hub_stage import EVENTS, Eyes, Stage, error, ids_of, nothing, opt_in, win
from tests.feed.socket_stage import frame, limited


async def test_event_is_told_at_once_with_the_id_of_the_log(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """No time passes, and each id is the one that it will have when it is resumed."""
    stage = Stage(tmp_path, autojump_clock)
    async with stage.running() as nursery:
        _, client = await stage.reader(nursery)
        before = trio.current_time()
        ids = stage.happen(win(n=1), error(n=2)) + stage.happen(opt_in("p"))
        messages = [await client.json() for _ in range(3)]

        assert trio.current_time() == before
    assert ids == [message["id"] for message in messages]
    assert ["JackpotWinEvent", "CommunityPayoutErrorEvent", "OptInEvent"] == [
        message["kind"] for message in messages
    ]
    assert messages[0]["data"] == {"n": 1}
    assert [1, 2, 3] == [stage.ids.position(each) for each in ids]


async def test_everybody_hears_what_he_wants_and_may_see(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """By kinds, by brand, by player; a player of the same name elsewhere is somebody else."""
    stage = Stage(tmp_path, autojump_clock)
    a, b, everybody = Eyes("op:a"), Eyes("op:b"), Eyes()
    own = frozenset({"p"})
    async with stage.running() as nursery:
        _, wins_of_a = await stage.reader(nursery, frozenset({Kind.WIN}), eyes=a)
        _, player_of_a = await stage.reader(nursery, EVENTS, eyes=a, players=own)
        _, player_of_b = await stage.reader(nursery, EVENTS, eyes=b, players=own)
        _, service = await stage.reader(nursery, EVENTS, eyes=everybody)
        _, nobody = await stage.reader(nursery, frozenset(), eyes=everybody)
        _, deaf = await stage.reader(nursery, frozenset({Kind.WIN}), eyes=a, players=own)
        events = [opt_in("p"), win(), opt_in("q"), opt_in("p", "op:b"), opt_in("p"), win()]
        ids = stage.happen(*events)
        heard = {
            "wins": await ids_of(wins_of_a, 2),
            "a": await ids_of(player_of_a, 4),
            "b": await ids_of(player_of_b, 3),
            "service": await ids_of(service, 6),
            "deaf": await ids_of(deaf, 2),
        }
        for client in (wins_of_a, player_of_a, player_of_b, service, nobody, deaf):
            await nothing(client, 1.0)

    def chosen(*places: int) -> list[str]:
        return [ids[place] for place in places]

    assert heard == {
        "wins": chosen(1, 5),
        "a": chosen(0, 1, 4, 5),
        "b": chosen(1, 3, 5),
        "service": ids,
        "deaf": chosen(1, 5),
    }


async def test_equal_eyes_share_what_is_rendered(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Once for each audience, however many readers there are and whatever else they want."""
    stage = Stage(tmp_path, autojump_clock)
    a, b = Eyes("op:a"), Eyes("op:b")
    async with stage.running() as nursery:
        clients = []
        for number in range(12):
            eyes = Eyes("op:a", a.rendered) if number % 2 else Eyes("op:b", b.rendered)
            kinds = EVENTS if number % 3 else frozenset({Kind.WIN})
            clients.append((await stage.reader(nursery, kinds, eyes=eyes))[1])
        ids = stage.happen(win(n=1), win(n=2))
        for client in clients:
            assert ids == await ids_of(client, 2)

    assert dict.fromkeys(ids, 1) == a.rendered == b.rendered


async def test_opt_ins_of_one_player_do_not_touch_the_others(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """They are found by the player's id: of a hundred readers one is looked at."""
    stage, looked = Stage(tmp_path, autojump_clock), []

    class Watched(Eyes):
        def sees(self, event: object) -> bool:
            looked.append(event)
            return True

    async with stage.running() as nursery:
        for number in range(100):
            await stage.reader(nursery, EVENTS, eyes=Watched(), players=frozenset({f"p{number}"}))
        _, client = await stage.reader(nursery, EVENTS, eyes=Watched(), players=frozenset({"q"}))
        looked.clear()
        (event_id,) = stage.happen(opt_in("q"))
        assert [event_id] == await ids_of(client, 1)

    assert len(looked) <= 3


async def test_burst_is_told_whole_and_in_order(tmp_path: Path, autojump_clock: MockClock) -> None:
    """More than are read from the log at once, committed in parts of any size."""
    stage = Stage(tmp_path, autojump_clock)
    async with stage.running() as nursery:
        _, all_of_it = await stage.reader(nursery)
        _, some = await stage.reader(nursery, EVENTS, players=frozenset({"p1"}))
        ids: list[str] = []
        for size in (1, EVENTS_AT_ONCE + 7, 3, EVENTS_AT_ONCE):
            ids += stage.happen(*[opt_in(f"p{number % 3}", n=number) for number in range(size)])
        assert ids == await ids_of(all_of_it, len(ids))
        mine = [
            stage.ids.of(position)
            for position, event in stage.store.events_after(0, 1000)
            if event.player_id == "p1"
        ]
        assert mine == await ids_of(some, len(mine))


async def test_new_subscription_goes_on_where_the_earlier_one_stood(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Whatever is changed when: what is wanted now comes from then on, nothing twice, nothing lost."""
    stage = Stage(tmp_path, autojump_clock)
    async with stage.running() as nursery:
        socket, client = await stage.reader(nursery, frozenset({Kind.WIN}))
        first = stage.happen(win(n=1), opt_in("p"))
        told = stage.commit(win(n=2), opt_in("q"))
        await stage.hub.subscribe(socket, Eyes(), Wanted(EVENTS), None)
        stage.hub.happened(told)
        last = stage.happen(win(n=3))
        heard = await ids_of(client, 5)
        await nothing(client, 1.0)
        await stage.hub.subscribe(socket, Eyes(), Wanted(frozenset()), None)
        stage.happen(win(n=4))
        await nothing(client, 1.0)
        await stage.hub.subscribe(socket, Eyes(), Wanted(EVENTS), None)
        await nothing(client, 1.0)

    # The first ones had not been told yet when the subscription was changed.
    second = [stage.ids.of(position) for position, _ in told]
    assert first + second + last == heard


async def test_socket_that_has_gone_cannot_subscribe(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """And it is forgotten, with its groups."""
    stage = Stage(tmp_path, autojump_clock)
    async with stage.running() as nursery:
        socket, client = await stage.reader(nursery, EVENTS, players=frozenset({"p"}))
        assert (1, 1, 1) == _counts(stage)
        await client.close()
        await trio.testing.wait_all_tasks_blocked()
        assert (0, 0, 0) == _counts(stage)
        with pytest.raises(SocketClosed):
            await stage.hub.subscribe(socket, Eyes(), Wanted(EVENTS), None)
        stage.happen(opt_in("p"), win())
        await trio.testing.wait_all_tasks_blocked()
        assert stage.hub.statistics().position == 2


def _counts(stage: Stage) -> tuple[int, int, int]:
    counts = stage.hub.statistics()
    return counts.sockets, counts.subscribers, counts.groups


async def test_silent_client_is_pinged_and_a_dead_one_is_let_go(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Who answers stays; who says nothing for two heartbeats is gone; who talks is not asked."""
    stage = Stage(tmp_path, autojump_clock, heartbeat_interval_s=20.0)
    async with stage.running() as nursery:
        _, alive = await stage.connect(nursery)
        _, dead = await stage.connect(nursery)
        _, chatty = await stage.connect(nursery)
        pings = []

        async def answer() -> None:
            while True:
                data = await alive.stream.receive_some()
                assert data == frames.ping()
                pings.append(trio.current_time())
                await alive.send(frame(0xA))

        nursery.start_soon(answer)
        for _ in range(40):
            await trio.sleep(5.0)
            await chatty.say("hello")
        assert stage.hub.statistics().sockets == 2
        assert len(pings) in (8, 9)
        await nothing(chatty, 1.0)
        assert isinstance(await dead.event(), Ping)
        assert await dead.event() is None


async def test_dead_client_is_let_go_within_two_heartbeats(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Not before them, and not much later."""
    stage = Stage(
        tmp_path, autojump_clock, heartbeat_interval_s=20.0, limits=limited(close_timeout_s=60.0)
    )
    async with stage.running() as nursery:
        await stage.reader(nursery)
        began = trio.current_time()
        while stage.hub.statistics().sockets:
            await trio.sleep(0.5)
            assert trio.current_time() - began < 60
        assert 39.0 <= trio.current_time() - began <= 46.0
