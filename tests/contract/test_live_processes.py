"""One process after the other is killed: whoever reads events, or waits for results, has each of them once (§3, §6)."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import trio
from standardwebhooks import Webhook
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.contract.streams import is_a
from tests.contract.webhook_receivers import SECRET

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Platform, StartLive
    from tests.contract.streams import Live
    from tests.contract.webhook_receivers import Hook, Receivers

CONTRIBUTIONS: Final = 120
TRY_AGAIN_S: Final = 0.1
BUSY = {503, 504}


def children(process_group_id: int) -> list[int]:
    """The processes of the group but the one that leads it."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            group = int((entry / "stat").read_text().rpartition(")")[2].split()[2])
            if group == process_group_id:
                found.append(int(entry.name))
    return sorted(set(found) - {process_group_id})


class Load:
    """Keyed wins with a callback, one after the other, each sent until it is answered."""

    def __init__(self, live: Live, jackpots: list[str], hook: Hook) -> None:
        self.live = live
        self.jackpots = jackpots
        self.hook = hook
        self.answered = 0

    async def run(self) -> None:
        """All of them; in between, each process of the group but the first is killed."""
        group = self.live.server.process_group_id
        victims = children(group)
        assert victims
        step = CONTRIBUTIONS // (len(victims) + 1)
        for number in range(CONTRIBUTIONS):
            if victims and number % step == step - 1:
                os.kill(victims.pop(), signal.SIGKILL)
            await self.contribute(number)
        assert victims == []

    async def contribute(self, number: int) -> None:
        platform = self.live.platform
        options = {
            "callback": self.hook.callback(),
            "idempotency_key": f"{platform.player}-{number}",
        }
        target = self.jackpots[number % len(self.jackpots)]
        while True:
            with suppress(platform.connection_errors):
                answer = await platform.contribute_v2(
                    "instance", target, options=options, event_metadata=number, metadata=number
                )
                if answer.status in {200, 204}:
                    return
                assert answer.status in BUSY, answer.text
            await trio.sleep(TRY_AGAIN_S)


class Reader:
    """Reads a stream, and comes back with the last id that it saw, until it has seen each jackpot's last win."""

    def __init__(self, live: Live, jackpots: list[str]) -> None:
        self.live = live
        self.waiting_for = set(jackpots)
        self.events: list[Json] = []
        self.connections = 0

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        while self.waiting_for:
            with suppress(ConnectionClosed, InvalidHandshake, OSError):
                await self.read(task_status if not self.connections else None)
            await trio.sleep(TRY_AGAIN_S)

    async def read(self, task_status: trio.TaskStatus[None] | None) -> None:
        last_event_id = self.events[-1]["event_id"] if self.events else None
        async with self.live.events(last_event_id=last_event_id) as stream:
            self.connections += 1
            self.events += stream.seen
            if task_status is not None:
                task_status.started()
            while self.waiting_for:
                event = await stream.receive()
                self.events.append(event)
                if is_a("JackpotWinEvent", metadata="last")(event):
                    self.waiting_for.remove(event["data"]["instance_id"])


async def certain(platform: Platform) -> str:
    return await platform.jackpot(pots=[platform.pot(odds=1)])


@pytest.mark.parametrize("workers", ["1", "3"])
async def test_each_process_can_be_killed(
    start_live: StartLive, receivers: Receivers, workers: str
) -> None:
    """Each of the program's processes is killed once amid contributions: no event, no result is lost or doubled."""
    async with start_live(JACKPOTD_SERVICE_WORKERS=workers) as live:
        platform = live.platform
        jackpots = [await certain(platform) for _ in range(4)]
        hook, reader = receivers.main.hook(), Reader(live, jackpots)
        load = Load(live, jackpots, hook)
        async with trio.open_nursery() as nursery:
            await nursery.start(reader.run)
            await load.run()
            for jackpot in jackpots:
                (await platform.contribute(jackpot, event_metadata="last")).successful()
        wins = [event for event in reader.events if event["event_type"] == "JackpotWinEvent"]
        assert sorted(
            event["data"]["metadata"] for event in wins if event["data"]["metadata"] != "last"
        ) == list(range(CONTRIBUTIONS))
        assert not [event for event in reader.events if event.get("event_type") == "ResumeGap"]
        assert reader.connections >= 2

        received = await hook.until(
            lambda got: {each.body["metadata"] for each in got} >= set(range(CONTRIBUTIONS)),
            timeout_s=30,
        )
        ids = {each.id: Webhook(SECRET).verify(each.raw, each.headers) for each in received}
        assert sorted(body["metadata"] for body in ids.values()) == list(range(CONTRIBUTIONS))
        assert {body["type"] for body in ids.values()} == {"data"}
        for each in received:
            assert each.body == ids[each.id] or float(each.body["win_amount"]) == float(
                ids[each.id]["win_amount"]
            )
