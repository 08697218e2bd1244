"""What a reader gets that comes back, and what becomes of one that does not keep up (contract §6)."""

from __future__ import annotations

import socket as sockets
import uuid
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import trio
from websockets.exceptions import ConnectionClosed

from tests.contract.streams import connected, is_a, name_of, socket_url

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Lab, Platform, StartLive
    from tests.contract.streams import Live, Socket

TRY_AGAIN_LATER = 1013
REPRESENTATION = {"Prefer": "return=representation"}
WINS = 120
CLIENTS = 8


async def certain(platform: Platform, **changes: Any) -> str:
    """The id of a jackpot that every contribution wins."""
    return await platform.jackpot(pots=[platform.pot(odds=1)], **changes)


async def win(platform: Platform, instance_id: str, label: object) -> None:
    (await platform.contribute(instance_id, event_metadata=label)).successful()


def labels(stream: Socket, instance_id: str) -> list[Any]:
    """The labels of the wins that came, in their order."""
    wins = stream.of("JackpotWinEvent", instance_id=instance_id)
    return [event["data"]["metadata"] for event in wins]


def is_gap(message: Json) -> bool:
    return "ResumeGap" in {name_of(message), *message}


async def test_resume_after_a_win_sends_what_was_missed(live: Live) -> None:
    """Wins and opt-ins in their order and with their ids, then what is new; what was seen does not come again."""
    platform = live.platform
    jackpot = await certain(platform)
    async with live.events() as witness:
        async with live.events() as stream:
            await win(platform, jackpot, "seen")
            seen = await stream.until(is_a("JackpotWinEvent", instance_id=jackpot))
        await win(platform, jackpot, "missed")
        (await platform.opt_in(jackpot)).successful()
        await win(platform, jackpot, "missed too")
        async with live.events(last_event_id=seen["event_id"]) as resumed:
            await resumed.until(is_a("JackpotWinEvent", instance_id=jackpot, metadata="missed too"))
            await win(platform, jackpot, "live")
            await resumed.until(is_a("JackpotWinEvent", instance_id=jackpot, metadata="live"))
        await witness.until(is_a("JackpotWinEvent", instance_id=jackpot, metadata="live"))

    told = [event for event in resumed.seen if event["event_type"] != "JackpotUpdateEvent"]
    assert [name_of(event) for event in told] == [
        "JackpotWinEvent",
        "OptInEvent",
        "JackpotWinEvent",
        "JackpotWinEvent",
    ]
    assert labels(resumed, jackpot) == ["missed", "missed too", "live"]
    first = [event for event in witness.seen if event["event_type"] != "JackpotUpdateEvent"]
    assert told == first[1:]


@pytest.mark.parametrize("kind", ["JackpotUpdateEvent", "OptInEvent"])
async def test_resume_after_any_event(live: Live, kind: str) -> None:
    """The id of an update, or of an opt-in, does as well: what was told before it does not come again."""
    platform = live.platform
    jackpot = await certain(platform)
    async with live.events() as stream:
        await win(platform, jackpot, "seen")
        await stream.until(is_a("JackpotWinEvent", instance_id=jackpot))
        if kind == "OptInEvent":
            (await platform.opt_in(jackpot)).successful()
        seen = await stream.until(lambda event: name_of(event) == kind)
    await win(platform, jackpot, "missed")
    async with live.events(last_event_id=seen["event_id"]) as resumed:
        await resumed.until(is_a("JackpotWinEvent", instance_id=jackpot))
        await resumed.until(is_a("JackpotUpdateEvent", id=jackpot))

    assert labels(resumed, jackpot) == ["missed"]
    assert not [event for event in resumed.seen if is_gap(event)]


async def test_resume_with_nothing_missed(live: Live) -> None:
    """Updates come at once, no win does, and no gap is told."""
    platform = live.platform
    jackpot = await certain(platform)
    async with live.events() as stream:
        await win(platform, jackpot, "seen")
        seen = await stream.until(is_a("JackpotWinEvent", instance_id=jackpot))
    async with live.events(last_event_id=seen["event_id"]) as resumed:
        for _ in range(2):
            await resumed.until(is_a("JackpotUpdateEvent", id=jackpot))

    assert {event["event_type"] for event in resumed.seen} == {"JackpotUpdateEvent"}


async def test_unknown_id_is_a_gap(live: Live) -> None:
    """An id that was never given gives `ResumeGap`, and the stream goes on with what is new."""
    platform = live.platform
    jackpot = await certain(platform)
    for last_event_id in (str(uuid.uuid4()), "00000000-0000-0000-0000-000000000000"):
        async with live.events(last_event_id=last_event_id) as resumed:
            await resumed.until(is_gap)
            await win(platform, jackpot, last_event_id)
            await resumed.until(
                is_a("JackpotWinEvent", instance_id=jackpot, metadata=last_event_id)
            )
            assert len([event for event in resumed.seen if is_gap(event)]) == 1


@pytest.mark.parametrize("last_event_id", ["", "x", "0" * 10_000, 5, [], "\x00", "²"], ids=range(7))
async def test_malformed_id_hurts_nobody(live: Live, last_event_id: object) -> None:
    """An id that is none: a gap, or the end of that stream, and not of another one."""
    platform = live.platform
    jackpot = await certain(platform)
    authenticate = {"auth_token": platform.tokens.service, "last_event_id": last_event_id}
    async with live.events() as witness, live.gateway_socket() as socket:
        await socket.send({"action": {"Authenticate": authenticate}})
        try:
            await socket.until(is_gap)
        except ConnectionClosed as closed:
            assert closed.rcvd is not None, "no close frame"  # noqa: PT017
        await win(platform, jackpot, "still")
        await witness.until(is_a("JackpotWinEvent", instance_id=jackpot))


async def test_changed_id_does_not_hide_what_is_new(live: Live) -> None:
    """One digit of an id is another: whatever place that is, before, after or nowhere, a new win is told."""
    platform = live.platform
    jackpot = await certain(platform)
    async with live.events() as stream:
        await win(platform, jackpot, "seen")
        seen = await stream.until(is_a("JackpotWinEvent", instance_id=jackpot))
    event_id = seen["event_id"]
    for place in range(0, len(event_id), 2):
        digit = event_id[place]
        if digit == "-":
            continue
        changed = event_id[:place] + ("0" if digit == "f" else "f") + event_id[place + 1 :]
        async with live.events(last_event_id=changed) as resumed:
            await win(platform, jackpot, place)
            new = is_a("JackpotWinEvent", instance_id=jackpot, metadata=place)
            await resumed.until(new)
            told = labels(resumed, jackpot)
            assert len(told) == len(set(told))


async def test_resume_with_anothers_id_tells_ones_own(live: Live, live_lab: Lab) -> None:
    """An event id is no key: whoever resumes with it is told what their account may see, and no more."""
    platform = live.platform
    mine = await certain(platform)
    theirs = await certain(platform, owner_id=live_lab.operator, allowed_brands=[live_lab.one])
    async with live.events() as stream:
        await win(platform, mine, "seen")
        seen = await stream.until(is_a("JackpotWinEvent", instance_id=mine))
    await win(platform, mine, "mine")
    caller = platform.gateway.with_token(live_lab.service)
    body = platform.v1(instance_id=theirs, brand_id=live_lab.one, event_metadata="theirs")
    (await caller.post("/jackpots/contribute/instance", body)).successful()
    async with live.events(live_lab.service, last_event_id=seen["event_id"]) as resumed:
        await resumed.until(is_a("JackpotWinEvent", instance_id=theirs, metadata="theirs"))

    assert labels(resumed, mine) == []
    assert resumed.of("JackpotUpdateEvent", id=mine) == []


async def test_resume_amid_wins_loses_and_repeats_nothing(live: Live) -> None:
    """A reader that comes back while wins happen: first what it missed, then what is new, each once and in order."""
    platform = live.platform
    jackpot = await certain(platform)
    async with live.events() as stream:
        await win(platform, jackpot, "first")
        seen = await stream.until(is_a("JackpotWinEvent", instance_id=jackpot))
    told: list[list[Any]] = []

    async def resume() -> None:
        async with live.events(last_event_id=seen["event_id"]) as resumed:
            await resumed.until(is_a("JackpotWinEvent", instance_id=jackpot, metadata="last"))
            told.append(labels(resumed, jackpot))

    async with trio.open_nursery() as nursery:
        for number in range(40):
            await win(platform, jackpot, number)
            if number % 10 == 5:
                nursery.start_soon(resume)
        await win(platform, jackpot, "last")

    assert told == [[*range(40), "last"]] * 4


async def test_what_is_too_old_is_a_gap(start_live: StartLive) -> None:
    """Of a window of ten events the first of a hundred is gone: the reader is told, and not left to guess."""
    async with start_live(JACKPOTD_EVENTS_WINDOW_EVENTS_MAX="10") as live:
        platform = live.platform
        jackpot = await certain(platform)
        async with live.events() as stream:
            await win(platform, jackpot, "first")
            first = await stream.until(is_a("JackpotWinEvent", instance_id=jackpot))
            gaps: list[Json] = []
            with trio.fail_after(30):
                while not gaps:
                    for number in range(100):
                        await win(platform, jackpot, number)
                    async with live.events(last_event_id=first["event_id"]) as resumed:
                        await win(platform, jackpot, "last")
                        last = is_a("JackpotWinEvent", instance_id=jackpot, metadata="last")
                        await resumed.until(last)
                    gaps = [event for event in resumed.seen if is_gap(event)]

        assert len(gaps) == 1


class Wins:
    """Keyed wins of several clients at once on several jackpots, numbered, and which of them were answered."""

    def __init__(self, platform: Platform, jackpots: list[str]) -> None:
        self.platform = platform
        self.jackpots = jackpots
        self.answered: set[int] = set()
        self.enough = trio.Event()
        self._keys = [platform.unique("key") for _ in range(WINS)]

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for client in range(CLIENTS):
                nursery.start_soon(self._client, range(client, WINS, CLIENTS))

    async def _client(self, numbers: range) -> None:
        for number in numbers:
            try:
                answer = await self.platform.contribute(
                    self.jackpots[number % len(self.jackpots)],
                    headers=REPRESENTATION,
                    idempotency_key=self._keys[number],
                    event_metadata=number,
                )
            except self.platform.connection_errors:
                return
            assert answer.successful().body["win_pot_id"] == "main"
            self.answered.add(number)
            if len(self.answered) >= WINS // 3:
                self.enough.set()


async def read_until_it_ends(stream: Socket) -> None:
    try:
        while True:
            await stream.receive()
    except ConnectionClosed:
        return


def numbered(events: list[Json]) -> dict[int, str]:
    """The number of each win with its event id; each came once."""
    told = [
        (event["data"]["metadata"], event["event_id"])
        for event in events
        if event["event_type"] == "JackpotWinEvent" and isinstance(event["data"]["metadata"], int)
    ]
    assert len({number for number, _ in told}) == len(told)
    assert len({event_id for _, event_id in told}) == len(told)
    return dict(told)


@pytest.mark.parametrize("workers", ["1", "3"])
async def test_no_win_is_lost_or_told_twice_by_a_crash(start_live: StartLive, workers: str) -> None:
    """Killed amid wins and started again: with the last id it saw a reader has each win once, with one id for good."""
    async with start_live(JACKPOTD_SERVICE_WORKERS=workers) as live:
        platform = live.platform
        jackpots = [await certain(platform) for _ in range(4)]
        wins = Wins(platform, jackpots)
        async with live.events() as stream, trio.open_nursery() as nursery:
            first = stream.seen[-1]["event_id"]
            nursery.start_soon(read_until_it_ends, stream)
            nursery.start_soon(wins.run)
            await wins.enough.wait()
            await live.server.kill()
        before = numbered(stream.seen)
        assert len(wins.answered) < WINS
        await live.server.start()
        await wins.run()
        assert len(wins.answered) == WINS
        for jackpot in jackpots:
            await win(platform, jackpot, "last")
        last = is_a("JackpotWinEvent", metadata="last")
        async with live.events(last_event_id=stream.seen[-1]["event_id"]) as resumed:
            for _ in jackpots:
                await resumed.until(last)
        after = numbered(resumed.seen)
        assert not set(before) & set(after)
        assert set(before) | set(after) == set(range(WINS))

        await live.server.kill()
        await live.server.start()
        async with live.events(last_event_id=first) as again:
            for _ in jackpots:
                await again.until(last)
        assert numbered(again.seen) == before | after
        assert not [event for event in resumed.seen + again.seen if is_gap(event)]


async def test_reader_that_falls_behind_on_wins_is_disconnected(live: Live) -> None:
    """Who does not read is closed with 1013; who reads has every win, and contributions go on."""
    platform = live.platform
    jackpot = await certain(platform)
    large = {"text": "x" * 8_000}
    url = socket_url(live.server.gateway_url, "/events")
    parts = urlsplit(url)
    assert parts.hostname is not None
    small = sockets.socket()
    small.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    await trio.to_thread.run_sync(small.connect, (parts.hostname, parts.port))
    batch = [
        platform.v2("instance", jackpot, event_metadata=large | {"number": number})
        for number in range(12)
    ]
    async with connected(url, sock=small) as slow, live.events() as fast:
        await slow.send({"action": {"Authenticate": {"auth_token": platform.tokens.service}}})
        await slow.receive()

        for _ in range(100):
            answers = await platform.gateway.post("/v2/jackpots/contribute/batch", batch)
            assert {each["status_code"] for each in answers.successful().body} == {200}
            for _ in batch:
                await fast.until(is_a("JackpotWinEvent", instance_id=jackpot))
        told = Counter(label["number"] for label in labels(fast, jackpot))
        assert told == dict.fromkeys(range(len(batch)), 100)
        assert await slow.closed() == TRY_AGAIN_LATER


async def test_burst_of_large_wins_is_told_to_who_comes_back(live: Live) -> None:
    """Two megabytes of wins at once may be more than a reader may be behind; with its last id it gets on."""
    platform = live.platform
    jackpot = await certain(platform)
    batch = [
        platform.v2("instance", jackpot, event_metadata={"number": number, "text": "x" * 60_000})
        for number in range(15)
    ]
    events: list[Json] = []
    async with live.events() as stream:
        last_event_id = stream.seen[-1]["event_id"]
    for _ in range(2):
        answer = await platform.gateway.post("/v2/jackpots/contribute/batch", batch)
        answer.successful()
    while len(events) < 2 * len(batch):
        async with live.events(last_event_id=last_event_id) as stream:
            with suppress(ConnectionClosed):
                while len(events) < 2 * len(batch):
                    event = await stream.until(is_a("JackpotWinEvent", instance_id=jackpot))
                    events.append(event)
                    last_event_id = event["event_id"]
    told = Counter(event["data"]["metadata"]["number"] for event in events)
    assert told == dict.fromkeys(range(15), 2)
    assert len({event["event_id"] for event in events}) == 30
