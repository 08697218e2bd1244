"""What was answered survives, and what was not happened once or not at all (contract §3)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jackpotd.testing.server_process import ServerProcess
    from tests.contract.conftest import Answer, Json, Platform, StartServer

REPRESENTATION = {"Prefer": "return=representation"}
GROWTH = Decimal("0.035")
REQUESTS = 240
CLIENTS = 24


async def crash(server: ServerProcess) -> None:
    await server.kill()
    await server.start()


async def restart(server: ServerProcess) -> None:
    await server.restart()


Restart = pytest.mark.parametrize("happens", [restart, crash])


def assert_replayed(original: Answer, repeat: Answer) -> None:
    assert repeat.status == 204, repeat.text
    assert repeat.text == ""
    assert repeat.headers["X-Trace-Id"] == original.headers["X-Trace-Id"]
    assert repeat.headers["Date"] == original.headers["Date"]
    assert repeat.headers["Idempotency-Replayed"] == "true"


@Restart
async def test_state_survives(
    start_server: StartServer, happens: Callable[[ServerProcess], Awaitable[None]]
) -> None:
    """Pots, winners, opt-ins, sources, links, statuses, rates and tokens are as they were."""
    async with start_server() as (server, platform):
        winning = await platform.jackpot(pots=[platform.pot(odds=1)])
        private = await platform.jackpot(rules={"opt_in_required": True})
        paused = await platform.jackpot()
        jackpot = await platform.jackpot(linked=private)
        source = await platform.source(jackpot)
        (await platform.set_status(paused, "Paused")).successful()
        (await platform.opt_in(private)).successful()
        for instance_id in (winning, jackpot, private):
            (await platform.contribute(instance_id)).successful()
        before = [await platform.instance(i) for i in (winning, private, paused, jackpot)]
        winners = await platform.winners(winning)
        await happens(server)

        after = [await platform.instance(i) for i in (winning, private, paused, jackpot)]
        assert after == before
        assert await platform.winners(winning) == winners
        answer = await platform.contribute_v2("source", source)
        assert [r.get("instance_id") for r in answer.successful().body] == [jackpot, private]
        assert (await platform.contribute(paused)).refusal[2] == "JackpotNotActive"


@Restart
async def test_keys_survive(
    start_server: StartServer, happens: Callable[[ServerProcess], Awaitable[None]]
) -> None:
    """A repeat after a restart or a crash is still the same 204, for v1, sources and links."""
    async with start_server() as (server, platform):
        linked = await platform.jackpot()
        jackpot = await platform.jackpot(linked=linked)
        source = await platform.source(jackpot)
        first, second = platform.unique("key"), platform.unique("key")
        options = {"idempotency_key": platform.unique("key")}

        async def contribute() -> list[Answer]:
            return [
                await platform.contribute(jackpot, idempotency_key=first),
                await platform.contribute_by_source(source, idempotency_key=second),
                await platform.contribute_v2("source", source, options=options),
            ]

        originals = await contribute()
        assert [original.status for original in originals] == [200] * 3
        await happens(server)
        repeats = await contribute()

        for original, repeat in zip(originals, repeats, strict=True):
            assert_replayed(original, repeat)
        assert await platform.main_pot(jackpot) == 10 + 3 * GROWTH
        assert await platform.main_pot(linked) == 10 + GROWTH


@Restart
async def test_results_survive(
    start_server: StartServer, happens: Callable[[ServerProcess], Awaitable[None]]
) -> None:
    """The original body, a win among it, can be asked for after a restart or a crash."""
    async with start_server() as (server, platform):
        private = await platform.jackpot(rules={"opt_in_required": True})
        jackpot = await platform.jackpot(pots=[platform.pot(odds=1)], linked=private)
        options: Json = {"idempotency_key": platform.unique("key")}
        original = await platform.contribute_v2("instance", jackpot, options=options)
        assert original.successful().body[0]["win_pot_id"] == "main"
        await happens(server)
        repeat = await platform.contribute_v2(
            "instance", jackpot, options=options, headers=REPRESENTATION
        )
        other = await platform.contribute_v2(
            "instance", jackpot, options=options, player={"id": "somebody-else"}
        )

        assert repeat.status == 200
        assert repeat.text == original.text
        assert repeat.headers["X-Trace-Id"] == original.headers["X-Trace-Id"]
        assert other.refusal[:2] == (422, "IDEMPOTENCY_KEY_REUSED")


@Restart
async def test_key_survives_together_with_a_remapped_source(
    start_server: StartServer, happens: Callable[[ServerProcess], Awaitable[None]]
) -> None:
    """A source mapped elsewhere and then a crash: the repeat still contributes nothing."""
    async with start_server() as (server, platform):
        before, after = await platform.jackpot(), await platform.jackpot()
        source = await platform.source(before)
        key = platform.unique("key")
        original = await platform.contribute_by_source(source, idempotency_key=key)
        assert original.status == 200
        await platform.unassign(source, before)
        await platform.assign(source, after)
        await happens(server)
        repeat = await platform.contribute_by_source(source, idempotency_key=key)

        assert_replayed(original, repeat)
        assert await platform.main_pot(before) == 10 + GROWTH
        assert await platform.main_pot(after) == 10


@Restart
async def test_refused_request_left_no_key_behind(
    start_server: StartServer, happens: Callable[[ServerProcess], Awaitable[None]]
) -> None:
    """The key of a refused request is free after a restart or a crash as well."""
    async with start_server() as (server, platform):
        jackpot = await platform.jackpot(rules={"opt_in_required": True})
        key = platform.unique("key")
        assert (await platform.contribute(jackpot, idempotency_key=key)).status == 400
        (await platform.opt_in(jackpot)).successful()
        await happens(server)

        assert (await platform.contribute(jackpot, idempotency_key=key)).status == 200


@Restart
async def test_demo_data_are_filled_in_once(
    start_server: StartServer, happens: Callable[[ServerProcess], Awaitable[None]]
) -> None:
    """`--demo` on a filled directory changes nothing."""
    async with start_server() as (server, platform):
        (await platform.contribute_v2("source", "casino-slots")).successful()
        before = (await platform.admin.get("/instances?limit=1000")).successful().body
        await happens(server)
        after = (await platform.admin.get("/instances?limit=1000")).successful().body

        def by_id(instances: list[Json]) -> list[Json]:
            return sorted(instances, key=lambda instance: str(instance["id"]))

        assert by_id(after) == by_id(before)


class Load:
    """Keyed linked contributions from several clients at once, and what was answered to them."""

    def __init__(self, platform: Platform, jackpot: str) -> None:
        self.platform = platform
        self.jackpot = jackpot
        self.answered: dict[int, Answer] = {}
        self.enough = trio.Event()
        self._keys = [platform.unique("key") for _ in range(REQUESTS)]

    async def send(self, number: int) -> Answer:
        options = {"idempotency_key": self._keys[number]}
        return await self.platform.contribute_v2(
            "instance", self.jackpot, options=options, headers=REPRESENTATION
        )

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for client in range(CLIENTS):
                nursery.start_soon(self._client, range(client, REQUESTS, CLIENTS))

    async def _client(self, numbers: range) -> None:
        for number in numbers:
            try:
                self.answered[number] = await self.send(number)
            except self.platform.connection_errors:
                return
            if len(self.answered) >= REQUESTS // 3:
                self.enough.set()


async def test_crash_under_load_loses_nothing_and_repeats_nothing(
    start_server: StartServer,
) -> None:
    """Killed amid contributions, then all sent again: each is there once, with its first answer."""
    async with start_server() as (server, platform):
        linked = await platform.jackpot()
        jackpot = await platform.jackpot(linked=linked)
        load = Load(platform, jackpot)

        async def kill_amid() -> None:
            await load.enough.wait()
            await server.kill()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill_amid)
            nursery.start_soon(load.run)
        before = dict(load.answered)
        assert {answer.status for answer in before.values()} == {200}
        assert len(before) < REQUESTS
        await server.start()
        counted = (await platform.main_pot(jackpot) - 10) / GROWTH
        assert len(before) <= counted <= REQUESTS
        assert counted == (await platform.main_pot(linked) - 10) / GROWTH
        await load.run()

        assert {answer.status for answer in load.answered.values()} == {200}
        assert len(load.answered) == REQUESTS
        for number, answer in before.items():
            assert load.answered[number].text == answer.text
        assert await platform.main_pot(jackpot) == 10 + REQUESTS * GROWTH
        assert await platform.main_pot(linked) == 10 + REQUESTS * GROWTH


async def test_opt_ins_and_admin_writes_survive_a_crash_at_once(start_server: StartServer) -> None:
    """A change that was answered is there after a SIGKILL in the next instant."""
    async with start_server() as (server, platform):
        jackpot = await platform.jackpot(rules={"opt_in_required": True})
        await crash(server)
        source = await platform.source(jackpot)
        await crash(server)
        (await platform.opt_in(jackpot)).successful()
        await crash(server)
        contributed = await platform.contribute_by_source(source)
        await crash(server)

        assert contributed.status == 200
        assert await platform.main_pot(jackpot) == 10 + GROWTH
        (await platform.set_status(jackpot, "Terminated")).successful()
        await crash(server)
        assert (await platform.instance(jackpot))["status"] == "Terminated"
