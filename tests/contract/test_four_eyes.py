"""`[admin] four_eyes`: what one account asks, another one approves (R-CHG-4, R-CHG-5, contract §8)."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import trio

from jackpotd.journal.log import LmdbLog
from jackpotd.service.data_directory import DataDirectory
from jackpotd.testing.server_process import server_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from jackpotd.testing.server_process import ServerProcess
    from tests.contract.conftest import Answer, Caller, Platform, StartServer

FOUR_EYES = {"JACKPOTD_ADMIN_FOUR_EYES": "true"}
PASSWORD = "Correct-Horse-7-Battery"
WHY = "a test asks for it"
EVERYTHING = [{"resource_id": "*", "permission": "Write"}]


@dataclass(frozen=True)
class Office:
    """Two people who may do everything, `ann` and `bob`; `platform` is a third one."""

    server: ServerProcess
    platform: Platform
    ann: Caller
    bob: Caller

    def name(self, person: str) -> str:
        """The person's account: a server may know more than one of that name."""
        return f"{person}-{self.platform.player}"

    async def account(self, person: str, permissions: object = None, **more: object) -> Caller:
        username = self.name(person)
        account = {
            "username": username,
            "password": PASSWORD,
            "permissions": EVERYTHING if permissions is None else permissions,
            **more,
        }
        (await self.platform.admin.post("/admin/accounts", account)).successful()
        login = {"username": username, "password": PASSWORD}
        session = (await self.platform.admin.post("/accounts/auth", login)).successful()
        return self.platform.admin.with_token(session.body["token"])

    async def template(self, **changes: Any) -> str:
        """A draft."""
        template = self.platform.template(**changes)
        (await self.platform.admin.post("/templates", template)).successful()
        return str(template["id"])

    async def jackpot(self, **changes: Any) -> str:
        """An instance, published by two people."""
        template = self.platform.template(**changes)
        (await self.platform.admin.post("/templates", template)).successful()
        await self.both("POST", f"/templates/{template['id']}/publish")
        body = self.platform.instantiation(template)
        created = await self.platform.admin.post("/templates/instantiate", body)
        return str(created.successful().body["id"])

    async def both(self, method: str, path: str, body: object = None) -> Answer:
        """Asked by ann, asked by bob."""
        assert (await self.ann.send(method, path, body)).status == 202
        return (await self.bob.send(method, path, body)).successful()

    async def state(self, instance_id: str) -> dict[str, Any]:
        return dict(await self.platform.instance(instance_id))


async def staffed(server: ServerProcess, platform: Platform) -> Office:
    bare = Office(server, platform, platform.admin, platform.admin)
    return Office(server, platform, await bare.account("ann"), await bare.account("bob"))


@asynccontextmanager
async def office(start_server: StartServer, **environment: str) -> AsyncIterator[Office]:
    """One with a server of its own, which may be killed."""
    async with start_server(environment={**FOUR_EYES, **environment}) as (server, platform):
        yield await staffed(server, platform)


@pytest.fixture(scope="module")
def eyes_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with server_in_thread(
        tmp_path_factory.mktemp("eyes") / "data", environment=FOUR_EYES
    ) as server:
        yield server


@pytest.fixture
async def at(platform: Platform, eyes_server: ServerProcess) -> Office:
    """The module's server, with two people whom no other test knows."""

    async def token(url: str, username: str) -> str:
        body = {"username": username, "password": f"{username}-demo"}
        return str((await platform.client.post(url, json=body)).raise_for_status().json()["token"])

    tokens = type(platform.tokens)(
        service=await token(f"{eyes_server.gateway_url}/authenticate/service", "event-processor"),
        admin=await token(f"{eyes_server.admin_url}/accounts/auth", "admin"),
    )
    return await staffed(eyes_server, type(platform)(platform.client, eyes_server, tokens))


def asked(answer: Answer) -> str:
    """The id of what waits."""
    assert answer.status == 202, answer.text
    assert answer.body["state"] == "Waiting"
    return str(answer.body["approval_id"])


async def test_r_chg_4_publishing_needs_a_second_person(at: Office) -> None:
    """Who asks cannot approve, by name or by asking again; a draft stays a draft until somebody else does."""
    template = await at.template()
    publish = f"/templates/{template}/publish"
    approval = asked(await at.ann.post(publish))
    assert asked(await at.ann.post(publish)) == approval
    refused = await at.ann.post(f"/approvals/{approval}/approve")
    assert refused.refusal[:2] == (403, "FORBIDDEN")
    assert (await at.ann.get(f"/templates/{template}")).body["status"] == "Draft"

    published = (await at.bob.post(f"/approvals/{approval}/approve")).successful()

    assert published.body["status"] == "Published"
    assert published.body["id"] == template
    shown = (await at.ann.get(f"/approvals/{approval}")).successful().body
    assert (shown["state"], shown["asked_by"], shown["decided_by"]) == (
        "Executed",
        at.name("ann"),
        at.name("bob"),
    )
    again = await at.bob.post(f"/approvals/{approval}/approve")
    assert again.refusal[:2] == (409, "INVALID_STATE")
    assert (await at.ann.post(publish)).refusal[:2] == (409, "INVALID_STATE")


async def test_r_chg_4_a_correction_needs_a_second_person(at: Office) -> None:
    """The same call with the same content by somebody else approves; another amount is another request."""
    jackpot = await at.jackpot()
    path = f"/instances/{jackpot}/adjustments"
    body = {"pot_id": "main", "amount": 5, "reason": WHY}
    first = asked(await at.ann.post(path, body))
    other = asked(await at.bob.post(path, body | {"amount": 50}))
    assert first != other
    assert (await at.state(jackpot))["pots"][0]["current_value"] == 10

    same = {"reason": WHY, "amount": 5.0, "pot_id": "main"}
    done = (await at.bob.post(path, same)).successful().body

    assert done["pots"][0]["current_value"] == 15
    waiting = (await at.ann.get("/approvals", {"state": "Waiting"})).successful().body
    (shown,) = [known for known in waiting if known["path"] == {"instance_id": jackpot}]
    assert (shown["approval_id"], shown["request"]) == (other, body | {"amount": 50})


async def test_r_chg_4_a_payout_needs_a_second_person(at: Office) -> None:
    """Neither release nor rejection of a withheld win is one person's; only the first decision counts."""
    pots = [at.platform.pot(odds=1)]
    jackpot = await at.jackpot(pots=pots, withhold_wins_above=5)
    won = (await at.platform.contribute(jackpot)).successful().body
    held = f"/instances/{jackpot}/withheld/{won['gameround_id']}/main"
    release = asked(await at.ann.post(f"{held}/release", {"reason": WHY}))
    reject = asked(await at.ann.post(f"{held}/reject", {"reason": WHY}))
    assert (await at.state(jackpot))["ledger"]["withheld"] == won["win_amount"]

    done = (await at.bob.post(f"/approvals/{release}/approve")).successful().body

    assert done["ledger"]["payouts"] == won["win_amount"]
    late = await at.bob.post(f"/approvals/{reject}/approve")
    assert late.refusal[:2] == (404, "JACKPOT_NOT_FOUND")
    shown = (await at.ann.get(f"/approvals/{reject}")).body
    assert shown["state"] == "Failed"
    assert (await at.state(jackpot))["ledger"]["payouts"] == won["win_amount"]


async def test_r_chg_4_an_end_needs_a_second_person(at: Office) -> None:
    """Termination and decommissioning wait; to pause and to resume is one person's."""
    first, second, heir = [await at.jackpot() for _ in range(3)]
    status = f"/instances/{first}/status"
    end = {"status": "Terminated", "reason": WHY}
    paused = {"status": "Paused", "reason": WHY}
    assert (await at.ann.put(status, paused)).status == 200
    assert (await at.ann.put(status, end)).status == 202
    assert (await at.state(first))["status"] == "Paused"
    assert (await at.bob.put(status, end)).successful().body["status"] == "Terminated"

    destination = {"pot_id": "main", "instance_id": heir, "target_pot_id": "main"}
    gone = {"destinations": [destination], "reason": WHY}
    path = f"/instances/{second}/decommission"
    dry = await at.ann.post(path, gone | {"dry_run": True})
    assert (dry.status, dry.body["dry_run"]) == (200, True)
    approval = asked(await at.ann.post(path, gone))
    assert (await at.state(second))["status"] == "Active"
    done = (await at.bob.post(f"/approvals/{approval}/approve")).successful().body
    assert done["instance"]["status"] == "Terminated"
    assert (await at.state(heir))["pots"][0]["current_value"] == 20


async def test_r_chg_5_only_those_with_the_right_approve(at: Office) -> None:
    """The list of accounts states each one's authority, and it counts: for who approves, and for who had asked."""
    jackpot = await at.jackpot()
    reads = [{"resource_id": "instances", "permission": "Read"}]
    reader = await at.account("reader", reads)
    writes = [{"resource_id": "templates", "permission": "Write"}]
    designer = await at.account("designer", writes)
    stranger_of = {"id": at.platform.player, "name": "Elsewhere"}
    (await at.ann.post("/config/operators", [stranger_of])).successful()
    stranger = await at.account("stranger", org_id=at.platform.player)
    path = f"/instances/{jackpot}/adjustments"
    body = {"pot_id": "main", "amount": 5, "reason": WHY}
    approval = asked(await at.ann.post(path, body))
    for caller in (reader, designer, stranger):
        refused = await caller.post(f"/approvals/{approval}/approve")
        assert refused.refusal[:2] == (403, "FORBIDDEN")
        assert (await caller.post(path, body)).refusal[0] == 403
    assert (await reader.get("/approvals")).body[-1]["approval_id"] == approval
    for caller in (designer, stranger):
        seen = [known["approval_id"] for known in (await caller.get("/approvals")).body]
        assert approval not in seen
    accounts = (await at.bob.get("/admin/accounts")).body
    authority = {known["username"]: known["permissions"] for known in accounts}
    assert (authority[at.name("ann")], authority[at.name("reader")]) == (EVERYTHING, reads)

    (
        await at.platform.admin.put(f"/admin/accounts/{at.name('ann')}", {"permissions": reads})
    ).successful()
    late = await at.bob.post(f"/approvals/{approval}/approve")
    assert late.refusal[:2] == (409, "INVALID_STATE")
    assert (await at.state(jackpot))["pots"][0]["current_value"] == 10


async def test_r_chg_5_an_account_locks_after_three_failures(start_server: StartServer) -> None:
    """With the setting at 3 the right password is refused after three wrong ones, and the log says so."""
    settings = {"JACKPOTD_IDENTITY_LOCK_FAILURES_MAX": "3"}
    async with start_server(environment=settings) as (server, platform):
        for password in ("wrong-1", "wrong-2", "wrong-3", "admin-demo"):
            login = {"username": "admin", "password": password}
            refused = await platform.admin.post("/accounts/auth", login)
            assert refused.refusal[:2] == (401, "UNAUTHORIZED")
        assert "account locked" in server.log_path.read_text()


async def test_rejected_and_expired_requests_come_to_nothing(start_server: StartServer) -> None:
    """A request that was rejected, taken back or left too long cannot be approved; it can be asked anew."""
    async with office(start_server, JACKPOTD_ADMIN_APPROVAL_LIFETIME_S="1") as at:
        template = await at.template()
        publish = f"/templates/{template}/publish"
        approval = asked(await at.ann.post(publish))
        path = f"/approvals/{approval}/reject"
        assert (await at.bob.post(path, {"reason": ""})).refusal[0] == 400
        shown = (await at.bob.post(path, {"reason": "not yet"})).successful().body
        assert (shown["state"], shown["decided_by"], shown["note"]) == (
            "Rejected",
            at.name("bob"),
            "not yet",
        )
        assert (await at.bob.post(f"/approvals/{approval}/approve")).refusal[0] == 409

        late = asked(await at.ann.post(publish))
        assert late != approval
        while (await at.ann.get(f"/approvals/{late}")).body["state"] == "Waiting":
            await trio.lowlevel.checkpoint()
        assert (await at.ann.get(f"/approvals/{late}")).body["state"] == "Expired"
        assert (await at.bob.post(f"/approvals/{late}/approve")).refusal[:2] == (
            409,
            "INVALID_STATE",
        )
        assert asked(await at.bob.post(publish)) != late
        assert (await at.ann.get(f"/templates/{template}")).body["status"] == "Draft"
        unknown = await at.bob.post("/approvals/none/approve")
        assert unknown.refusal[:2] == (404, "NOT_FOUND")


async def test_what_cannot_be_is_refused_at_the_first_attempt(at: Office) -> None:
    """Nobody has to look at a request that would fail."""
    jackpot = await at.jackpot()
    low = {"pot_id": "main", "amount": -1, "reason": WHY}
    path = f"/instances/{jackpot}/adjustments"
    assert (await at.ann.post(path, low)).refusal[:2] == (409, "INVALID_STATE")
    assert (await at.ann.post(path, low | {"amount": 0})).refusal[0] == 400
    gone = {"destinations": [], "reason": WHY}
    assert (await at.ann.post(f"/instances/{jackpot}/decommission", gone)).refusal[0] == 400
    waiting = (await at.ann.get("/approvals", {"state": "Waiting"})).body
    assert [known for known in waiting if known["path"] == {"instance_id": jackpot}] == []


async def test_requests_wait_over_a_crash_and_are_executed_once(start_server: StartServer) -> None:
    """What waits, waits after `kill -9`; what two people asked for at once, many times, happens once."""
    async with office(start_server) as at:
        jackpot = await at.jackpot()
        path = f"/instances/{jackpot}/adjustments"
        body = {"pot_id": "main", "amount": 5, "reason": WHY}
        approval = asked(await at.ann.post(path, body))
        await at.server.kill()
        await at.server.start()
        assert (await at.ann.get(f"/approvals/{approval}")).body["state"] == "Waiting"

        statuses: list[int] = []

        async def approve() -> None:
            answer = await at.bob.post(f"/approvals/{approval}/approve")
            statuses.append(answer.status)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(approve)

        assert sorted(statuses) == [200, 409, 409, 409, 409]
        assert (await at.state(jackpot))["pots"][0]["current_value"] == 15
        await at.server.kill()
        await at.server.start()
        assert (await at.state(jackpot))["pots"][0]["current_value"] == 15
        assert (await at.ann.get(f"/approvals/{approval}")).body["state"] == "Executed"


async def test_r_rec_5_before_after_who_authorised_by_whom_and_why_are_recorded(
    start_server: StartServer,
) -> None:
    """The journal has the value before, the correction, both names and the reason, as JSON that anybody can read."""
    async with office(start_server) as at:
        jackpot = await at.jackpot()
        body = {"pot_id": "main", "amount": 5, "reason": "the meter was off"}
        await at.both("POST", f"/instances/{jackpot}/adjustments", body)
        await at.server.stop()
        (adjusted,) = adjustments_of(at.server.data_dir, jackpot)
        assert adjusted[2:7] == [
            0,
            5_00000000,
            10_00000000,
            f"{at.name('ann')}, approved by {at.name('bob')}",
            "the meter was off",
        ]
        await at.server.start()


def adjustments_of(data_dir: Path, instance_id: str) -> list[list[Any]]:
    folder = DataDirectory(data_dir).worker(0)
    log = LmdbLog.open_readonly(folder.journal, name=folder.log_name, map_bytes_max=1 << 36)
    with closing(log):
        records = [json.loads(data) for seq, data in log.scan(0) if seq]
    return [
        event
        for record in records
        if record[:2] == ["E", instance_id]
        for event in record[2]
        if event[0] == "a"
    ]


async def test_r_chg_4_a_schedule_that_could_end_a_jackpot_needs_a_second_person(
    at: Office,
) -> None:
    """The instance's own, set or taken away; a brand's only says when that brand contributes."""
    jackpot = await at.jackpot()
    path = f"/instances/{jackpot}/schedule"
    soon = {"timestamp_end": (await at.state(jackpot))["created_timestamp"] + 3_600_000}
    asked(await at.ann.put(path, soon))
    assert (await at.state(jackpot))["timestamp_end"] is None

    shown = (await at.bob.put(path, soon)).successful().body
    assert shown["schedule"]["timestamp_end"] == soon["timestamp_end"]
    await at.both("DELETE", path)
    assert (await at.state(jackpot))["timestamp_end"] is None

    brand = {"brand_id": at.platform.brand, "timestamp_end": soon["timestamp_end"]}
    assert at.platform.brand in (await at.ann.put(path, brand)).successful().body["brands"]
