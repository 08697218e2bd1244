"""Readers that come back: what they have missed first, then what happens, nothing twice and nothing lost."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import trio
import trio.testing
from hypothesis import given, note, settings
from hypothesis import strategies as st
from trio.testing import MockClock
from wsproto.events import TextMessage

from jackpotd.feed import hub
from jackpotd.feed.client_socket import Socket, SocketClosed
from jackpotd.feed.event_ids import EventIds
from jackpotd.feed.hub import Wanted
from jackpotd.feed.pace import Pace
from jackpotd.wire.feed_events import Kind, LoggedEvent
from tests.feed.hub_stage import (
    ALL,
    EPOCH,
    EVENTS,
    Eyes,
    Stage,
    error,
    ids_of,
    nothing,
    opt_in,
    win,
)
from tests.feed.socket_stage import SOON_S, Client, limited


async def test_what_was_missed_comes_first(tmp_path: Path, autojump_clock: MockClock) -> None:
    """In the order of the log, and only what this reader wants and may see."""
    stage = Stage(tmp_path, autojump_clock)
    async with stage.running() as nursery:
        ids = stage.happen(
            win(n=1), opt_in("p"), opt_in("q"), error(n=2), opt_in("p", "op:b"), win(n=3)
        )
        _, player = await stage.reader(
            nursery, EVENTS, eyes=Eyes("op:a"), players=frozenset({"p"}), last_event_id=ids[0]
        )
        _, all_of_it = await stage.reader(nursery, last_event_id=stage.ids.fresh(0))
        ids += stage.happen(win(n=4))
        assert [ids[1], ids[3], ids[5], ids[6]] == await ids_of(player, 4)
        assert ids == await ids_of(all_of_it, 7)
        for client in (player, all_of_it):
            await nothing(client, 1.0)


async def test_an_update_can_be_resumed_from(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It stands behind the last event that was told before it."""
    stage = Stage(tmp_path, autojump_clock)
    stage.show("i")
    async with stage.running() as nursery:
        stage.happen(win("other"))
        await trio.testing.wait_all_tasks_blocked()
        _, client = await stage.reader(nursery, frozenset({Kind.UPDATE}))
        (update_id,) = await ids_of(client, 1)
        ids = stage.happen(win("other"), win("other"))
        _, again = await stage.reader(nursery, EVENTS, last_event_id=update_id)
        assert ids == await ids_of(again, 2)


async def test_no_update_stands_before_an_event_that_was_told_already(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A reader who has caught up from the log is ahead of the others: it would hear that event again."""
    stage = Stage(tmp_path, autojump_clock)
    stage.show("i")
    async with stage.running() as nursery:
        told = stage.commit(win("other"))
        _, client = await stage.reader(nursery, ALL, last_event_id=stage.ids.fresh(0))
        assert [stage.ids.of(1)] == await ids_of(client, 1)
        await nothing(client, 5.0)
        stage.hub.happened(told)
        (update_id,) = await ids_of(client, 1)

    assert stage.ids.position(update_id) == 1


@pytest.mark.parametrize(
    "last_event_id",
    [
        "",
        "nonsense",
        "00000000-0000-4000-8000-000000000001",
        EventIds(EPOCH ^ 1).of(3),
        EventIds(EPOCH).of(7),
        EventIds(EPOCH).of(1),
    ],
)
async def test_id_that_cannot_be_resumed_from_tells_of_the_gap_and_all_that_is_kept(
    tmp_path: Path, autojump_clock: MockClock, last_event_id: str
) -> None:
    """Unreadable, of another log, from the future, or older than what is kept."""
    stage = Stage(tmp_path, autojump_clock)
    async with stage.running() as nursery:
        ids = stage.happen(*[win(n=number) for number in range(6)])
        stage.store.trim(events_max=3, before_ms=0)
        _, client = await stage.reader(nursery, last_event_id=last_event_id)
        gap = await client.json()
        assert ids[3:] == await ids_of(client, 3)
        assert ("gap", last_event_id) == (gap["kind"], gap["since"])
        _, again = await stage.reader(nursery, last_event_id=gap["id"])
        assert ids[3:] == await ids_of(again, 3)
        _, border = await stage.reader(nursery, last_event_id=ids[2])
        assert ids[3:] == await ids_of(border, 3)


async def test_reader_that_comes_back_slowly_is_not_overrun(tmp_path: Path) -> None:
    """A window far larger than its backlog is told as fast as it reads, while more happens."""
    stage = Stage(tmp_path, limits=limited(backlog_bytes_max=300_000, close_timeout_s=SOON_S))
    filler = "x" * 2_000
    async with stage.running() as nursery:
        ids: list[str] = []
        for _ in range(20):
            ids += stage.happen(*[win(filler=filler) for _ in range(100)])
        socket, client = await stage.connect_tcp(nursery, receive_buffer_bytes=4096)

        async def subscribe() -> None:
            await stage.hub.subscribe(socket, Eyes(), Wanted(ALL), stage.ids.fresh(0))

        nursery.start_soon(subscribe)
        heard: list[str] = []
        with trio.fail_after(3 * SOON_S):
            while len(heard) < len(ids):
                heard += await ids_of(client, min(len(ids) - len(heard), 30))
                assert socket.unsent_bytes < 300_000
                if len(ids) < 2_200:
                    ids += stage.happen(win(filler=filler))
        assert ids == heard
        assert not socket.is_closing


async def test_large_events_are_told_in_small_parts(tmp_path: Path) -> None:
    """A reader that comes back and does not read has little of them waiting; one that reads has all."""
    stage = Stage(tmp_path)
    filler = "x" * 100_000
    async with stage.running() as nursery:
        _, live = await stage.reader(nursery)
        ids = stage.happen(*[win(filler=filler) for _ in range(60)], win(), win())
        assert ids == await ids_of(live, 62)
        socket, client = await stage.connect_tcp(nursery, receive_buffer_bytes=4096)

        async def subscribe() -> None:
            await stage.hub.subscribe(socket, Eyes(), Wanted(ALL), stage.ids.fresh(0))

        nursery.start_soon(subscribe)
        await trio.testing.wait_all_tasks_blocked()
        assert 0 < socket.unsent_bytes < 300_000
        assert ids == await ids_of(client, 62)


async def test_reading_the_log_again_and_again_costs_others_little(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """All who read it take turns with a pause; who wants nothing of it reads nothing."""
    stage = Stage(tmp_path, autojump_clock)
    async with stage.running() as nursery:
        stage.happen(*[opt_in("q") for _ in range(20 * hub.EVENTS_AT_ONCE)])
        await trio.testing.wait_all_tasks_blocked()
        sockets = [(await stage.connect(nursery))[0] for _ in range(5)]
        before, first_id = trio.current_time(), stage.ids.fresh(0)
        async with trio.open_nursery() as readers:
            for socket in sockets:
                wanted = Wanted(ALL, frozenset({"p"}))
                readers.start_soon(stage.hub.subscribe, socket, Eyes(), wanted, first_id)
        assert trio.current_time() - before >= 5 * 19 * hub.RESUME_PAUSE_S
        before = trio.current_time()
        for kinds in (frozenset[Kind](), frozenset({Kind.UPDATE})):
            await stage.hub.subscribe(sockets[0], Eyes(), Wanted(kinds), first_id)
        assert trio.current_time() == before


async def test_reader_that_goes_while_it_catches_up_is_forgotten(tmp_path: Path) -> None:
    """Its subscription ends with an error that says so."""
    stage = Stage(tmp_path)
    async with stage.running() as nursery:
        for _ in range(30):
            stage.happen(*[win(filler="x" * 2_000) for _ in range(100)])
        socket, client = await stage.connect_tcp(nursery, receive_buffer_bytes=4096)
        ended = trio.Event()

        async def subscribe() -> None:
            with pytest.raises(SocketClosed):
                await stage.hub.subscribe(socket, Eyes(), Wanted(ALL), stage.ids.fresh(0))
            ended.set()

        nursery.start_soon(subscribe)
        await ids_of(client, 10)
        await client.stream.aclose()
        with trio.fail_after(SOON_S):
            await ended.wait()


# -- random interleavings

CHOICES = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.lists(st.integers(0, 5), min_size=1, max_size=8)),
        st.tuples(st.just("tell"), st.just(0)),
        st.tuples(st.just("turns"), st.integers(1, 40)),
        st.tuples(st.just("time"), st.sampled_from([0.01, 0.1, 2.5])),
        st.tuples(st.just("come"), st.integers(0, 3)),
        st.tuples(st.just("again"), st.integers(0, 3)),
        st.tuples(st.just("read"), st.tuples(st.integers(0, 3), st.integers(1, 6))),
        st.tuples(st.just("leave"), st.integers(0, 3)),
        st.tuples(st.just("trim"), st.integers(1, 12)),
    ),
    min_size=5,
    max_size=40,
)
READERS: tuple[tuple[Eyes, Wanted], ...] = (
    (Eyes(), Wanted(ALL)),
    (Eyes("op:a"), Wanted(ALL, frozenset({"p2"}))),
    (Eyes("op:b"), Wanted(frozenset({Kind.WIN, Kind.UPDATE}))),
    (Eyes("op:a"), Wanted(EVENTS, frozenset({"p2", "p3"}))),
)


def made(choice: int) -> LoggedEvent:
    """One of six: two wins, an error, opt-ins of three players, one of them elsewhere."""
    match choice:
        case 0 | 5:
            return win()
        case 1:
            return error()
        case _:
            return opt_in(f"p{choice}", "op:a" if choice != 4 else "op:b")


class Reader:
    """A client program that remembers what it has heard, and since when it listens."""

    def __init__(self, stage: Stage, number: int) -> None:
        self.stage = stage
        self.eyes, self.wanted = READERS[number]
        self.socket: Socket | None = None
        self.client: Client | None = None
        self.last_id: str | None = None
        self.is_new = True
        self.since = 0
        self.heard: list[str] = []

    async def come(self, nursery: trio.Nursery) -> None:
        if self.client is not None:
            return
        self.socket, self.client = await self.stage.connect(nursery)
        nursery.start_soon(self._subscribe, self.socket, self.last_id)

    async def _subscribe(self, socket: Socket, last_id: str | None) -> None:
        if self.is_new:
            self.since, self.heard = self.stage.store.last_position, []
            self.is_new = False
        try:
            await self.stage.hub.subscribe(socket, self.eyes, self.wanted, last_id)
        except SocketClosed:
            return

    def again(self, nursery: trio.Nursery) -> None:
        """Wants the same anew, without saying where it stood."""
        if self.socket is not None:
            nursery.start_soon(self._subscribe, self.socket, None)

    async def read(self, count: int) -> None:
        """Reads so many messages, if there are."""
        if self.client is None:
            return
        for _ in range(count):
            with trio.move_on_after(0.001):
                event = await self.client.event()
                assert isinstance(event, TextMessage)
                self._hear(json.loads(event.data))
                continue
            return

    def _hear(self, message: dict[str, str]) -> None:
        self.last_id = message["id"]
        if message["kind"] == "gap":
            position = self.stage.ids.position(message["id"])
            assert position is not None
            assert position >= self.since
            self.since, self.heard = position, []
        elif message["kind"] != Kind.UPDATE:
            self.heard.append(message["id"])

    async def leave(self) -> None:
        """Goes without a word, and has not heard what was on its way."""
        if self.client is not None:
            await trio.aclose_forcefully(self.client.stream)
            self.socket = self.client = None
            self.is_new = self.last_id is None

    def should_have_heard(self, happened: list[LoggedEvent]) -> Iterator[str]:
        for position, event in enumerate(happened, 1):
            if position <= self.since or event.kind not in self.wanted.kinds:
                continue
            players = self.wanted.players if event.kind is Kind.OPT_IN else None
            if (players is None or event.player_id in players) and self.eyes.sees(event):
                yield self.stage.ids.of(position)


class Play:
    """One course of things."""

    def __init__(self, directory: Path) -> None:
        self.stage = Stage(directory)
        self.stage.show("i")
        self.readers = [Reader(self.stage, number) for number in range(len(READERS))]
        self.happened: list[LoggedEvent] = []
        self.untold: list[tuple[int, LoggedEvent]] = []

    async def run(self, choices: list[tuple[str, Any]]) -> None:
        note(repr(choices))
        async with self.stage.running() as nursery:
            for action, what in choices:
                if action in ("come", "again", "leave", "read"):
                    await self._reader(action, what, nursery)
                else:
                    await self._world(action, what)
            self._tell()
            for reader in self.readers:
                await reader.come(nursery)
            await trio.sleep(0.5)
            for reader in self.readers:
                await reader.read(1000)
                note(f"{reader.wanted}: {reader.heard} since {reader.since}")
                assert list(reader.should_have_heard(self.happened)) == reader.heard

    async def _reader(self, action: str, what: Any, nursery: trio.Nursery) -> None:
        number, count = what if action == "read" else (what, 0)
        reader = self.readers[number]
        match action:
            case "come":
                await reader.come(nursery)
            case "again":
                reader.again(nursery)
            case "leave":
                await reader.leave()
            case "read":
                await reader.read(count)

    async def _world(self, action: str, what: Any) -> None:
        match action:
            case "commit":
                events = [made(kind) for kind in what]
                self.happened += events
                self.untold += self.stage.commit(*events)
            case "tell":
                self._tell()
            case "turns":
                for _ in range(what):
                    await trio.lowlevel.checkpoint()
            case "time":
                await trio.sleep(what)
            case "trim":
                self.stage.store.trim(events_max=what, before_ms=0)

    def _tell(self) -> None:
        if self.untold:
            self.stage.hub.happened(self.untold)
            self.untold = []


@settings(deadline=None, max_examples=150)
@given(CHOICES)
def test_every_event_is_heard_exactly_once_and_in_order(
    choices: list[tuple[str, Any]],
) -> None:
    """Whenever readers come, go without having read all, come back, want anew, and the log forgets."""
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(patch.object(hub, "EVENTS_AT_ONCE", 3))
        stack.enter_context(patch.object(Pace, "is_due", property(lambda _: True)))
        play = Play(Path(directory))
        trio.run(play.run, choices, clock=MockClock(autojump_threshold=0))
