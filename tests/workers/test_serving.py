"""Several workers answer as one server: totals, catalog and metrics are the same on every connection."""

from __future__ import annotations

import socket
from collections import Counter
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from jackpotd.service.demo_data import DAILY, DAILY_DROP, MONTHLY, SITEWIDE, SLOTS, WEEKLY
from jackpotd.testing.server_process import ServerNotReadyError, ServerProcess

from .fleet import CONTRIBUTE, PLACED, TIMEOUT_S, WORKERS, bet, fleet_on, verified

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from .fleet import Fleet

CONNECTIONS: Final = 24
ROUNDS: Final = 5
TARGETS: Final = (SITEWIDE, DAILY_DROP, SLOTS, DAILY, MONTHLY)


async def connections(stack: AsyncExitStack, fleet: Fleet) -> list[httpx.AsyncClient]:
    """So many that no worker is without one: each misses all of them with a chance of (2/3)^24."""
    return [await stack.enter_async_context(fleet.connection()) for _ in range(CONNECTIONS)]


async def served_by(fleet: Fleet) -> Counter[str]:
    """How many contributions each worker has answered, whoever owned them."""
    counts: Counter[str] = Counter()
    async with fleet.connection() as gateway:
        text = (await gateway.get("/metrics")).text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "jackpotd_request_seconds_count" and (
                sample.labels["route"] == CONTRIBUTE
            ):
                counts[sample.labels["worker"]] += int(sample.value)
    return counts


async def test_contributions_through_every_front_to_every_owner_give_exact_totals(
    tmp_path: Path,
) -> None:
    """Every worker has answered some, every instance has counted all of its own and its links', to the last unit."""
    expected = dict.fromkeys(PLACED, 0)
    answers: list[tuple[str, Any]] = []

    async def contribute(gateway: httpx.AsyncClient, number: int) -> None:
        for turn in range(ROUNDS):
            for target in TARGETS:
                body = bet(target, player=f"player_{number}", key=f"{number}-{turn}-{target}")
                answer = (await gateway.post(CONTRIBUTE, json=body)).raise_for_status().json()
                answers.append((target, answer))
                for each in answer:
                    if "code" not in each:  # Weekly refuses who has not opted in
                        expected[each["instance_id"]] += 1

    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(tmp_path / "data") as fleet, AsyncExitStack() as stack:
            assert PLACED == await fleet.homes()
            async with trio.open_nursery() as nursery:
                for number, gateway in enumerate(await connections(stack, fleet)):
                    nursery.start_soon(contribute, gateway, number)
            standings = await fleet.standings()
            fronts = await served_by(fleet)
            await stack.aclose()
            assert await fleet.server.stop() == 0
        await verified(tmp_path / "data")

    once = CONNECTIONS * ROUNDS
    assert expected[SITEWIDE] == expected[SLOTS] == expected[DAILY] == once
    assert expected[DAILY_DROP] == expected[MONTHLY] == 2 * once  # themselves, and as a link
    assert {str(worker) for worker in range(WORKERS)} == set(fronts)
    assert len(TARGETS) * once == sum(fronts.values())
    for instance_id, standing in standings.items():
        assert expected[instance_id] == standing.contributions
        each = Decimal("0.0775") if instance_id == SITEWIDE else Decimal("0.1")
        assert expected[instance_id] * each == standing.players
    links = {SITEWIDE: (DAILY_DROP,), DAILY: (WEEKLY, MONTHLY)}
    for target, answer in answers:
        assert [target, *links.get(target, ())] == [
            each.get("instance_id", WEEKLY) for each in answer
        ]


async def test_key_is_known_to_every_worker(tmp_path: Path) -> None:
    """A repeat on any connection contributes nothing; another request with the key is refused on any."""
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(tmp_path / "data") as fleet, AsyncExitStack() as stack:
            gateways = await connections(stack, fleet)
            for target in (SITEWIDE, SLOTS, "daily"):
                body = bet(target, key=f"key-{target}")
                first = (await gateways[0].post(CONTRIBUTE, json=body)).raise_for_status()
                for gateway in gateways:
                    repeat = await gateway.post(CONTRIBUTE, json=body)
                    assert (204, first.headers["x-trace-id"]) == (
                        repeat.status_code,
                        repeat.headers["x-trace-id"],
                    )
                    shown = await gateway.post(
                        CONTRIBUTE, json=body, headers={"Prefer": "return=representation"}
                    )
                    assert first.json() == shown.json()
                    other = body | {"base_wager": {"currency": "EUR", "value": 2}}
                    assert (await gateway.post(CONTRIBUTE, json=other)).status_code == 422
            standings = await fleet.standings()
    assert {SITEWIDE: 1, DAILY_DROP: 1, SLOTS: 1, DAILY: 1, MONTHLY: 1} == {
        name: each.contributions for name, each in standings.items() if each.contributions
    }


async def test_admin_writes_are_visible_on_every_worker_when_they_answer(tmp_path: Path) -> None:
    """A source, its mapping, a brand's currencies, a new jackpot and its status are there on the next request."""
    owner = {"owner_id": "thrilltech"}
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(tmp_path / "data") as fleet, AsyncExitStack() as stack:
            gateways, admin = await connections(stack, fleet), fleet.admin

            async def everywhere(target: str, **expected: Any) -> None:
                for gateway in gateways:
                    answer = await gateway.post(CONTRIBUTE, json=bet(target))
                    body = answer.json()
                    found = body[0] if isinstance(body, list) else body
                    assert expected == {name: found.get(name) for name in expected}, answer.text

            await everywhere("new", code="GAME_NOT_FOUND")
            source = owner | {"source_name": "New", "source_id": "new"}
            (await admin.post("/config/sources", json=[source])).raise_for_status()
            await everywhere("new", code="SOURCE_JACKPOT_NOT_FOUND")
            assignment = owner | {"source_id": ["new"], "instance_id": SLOTS}
            (await admin.post("/config/sources/assignjackpot", json=assignment)).raise_for_status()
            await everywhere("new", instance_id=SLOTS)
            paused = {"status": "Paused", "reason": "a test"}
            (await admin.put(f"/instances/{SLOTS}/status", json=paused)).raise_for_status()
            await everywhere("new", message="JackpotNotActive")
            (
                await admin.put(f"/instances/{SLOTS}/status", json=paused | {"status": "Active"})
            ).raise_for_status()
            await everywhere("new", instance_id=SLOTS)


async def test_metrics_of_any_worker_are_those_of_all(tmp_path: Path) -> None:
    """One scrape of any listener finds every node, and every instance once, with its owner."""
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(tmp_path / "data") as fleet, AsyncExitStack() as stack:
            texts = [
                (await gateway.get("/metrics")).raise_for_status().text
                for gateway in await connections(stack, fleet)
            ]
            texts.append((await fleet.admin.get("/metrics")).raise_for_status().text)
    for text in texts:
        owners = {}
        nodes = set()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                nodes.add(sample.labels["worker"])
                if sample.name == "jackpotd_contributions_total":
                    owners[sample.labels["instance"]] = int(sample.labels["worker"])
        assert owners == PLACED
        assert {"0", "1", "2"} <= nodes


async def test_one_worker_leaves_placement_and_mesh_alone(tmp_path: Path) -> None:
    """`shards` works with one process too; a move is refused in words."""
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(tmp_path / "data", workers=1, placed=None) as fleet:
            report = await fleet.report()
            pids = await fleet.pids()
            assert {0: fleet.server.process_group_id} == pids
            assert len(report.instances) == len(PLACED)


async def test_port_of_a_running_server_is_not_shared_with_another(tmp_path: Path) -> None:
    """Sharing a port between workers must not let a second server in: its start names the address."""
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(tmp_path / "data") as fleet:
            bind = fleet.server.gateway_url.removeprefix("http://")
            second = ServerProcess(
                tmp_path / "second",
                arguments=("--demo", "--workers", "2"),
                environment={"JACKPOTD_GATEWAY_BIND": bind},
            )
            with pytest.raises(ServerNotReadyError) as refused:
                await second.start()
            foreign = socket.socket()
            with foreign, pytest.raises(OSError, match="in use"):
                foreign.bind(("127.0.0.1", int(bind.rpartition(":")[2])))
    assert refused.value.returncode == 1
    assert f"[gateway] bind = {bind}: Address already in use" in refused.value.stderr
