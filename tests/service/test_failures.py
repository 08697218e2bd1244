"""What a server does when its disk fails, when clients do not read, and when it is stopped under load."""

import resource
import sys
from pathlib import Path

import httpx
import pytest
import trio

from jackpotd.service.demo_data import SLOTS
from jackpotd.testing.server_process import ServerProcess, running_server

TIMEOUT_S = 60
ENOUGH_FOR_NOTHING_BYTES = 4096
BET = {
    "token": "token_00001",
    "brand_id": "thrilltech:brand1",
    "player_id": "player_00001",
    "player_country": "MT",
    "instance_id": SLOTS,
    "base_wager": 1,
    "currency": "EUR",
}


async def token(client: httpx.AsyncClient, server: ServerProcess, *, admin: bool) -> str:
    name = "admin" if admin else "event-processor"
    url = (
        f"{server.admin_url}/accounts/auth"
        if admin
        else f"{server.gateway_url}/authenticate/service"
    )
    answer = await client.post(url, json={"username": name, "password": f"{name}-demo"})
    text: str = answer.json()["token"]
    return text


def fill_disk(server: ServerProcess) -> None:
    """From now on no file of the server may grow: every append fails as on a full disk."""
    limit = (ENOUGH_FOR_NOTHING_BYTES, ENOUGH_FOR_NOTHING_BYTES)
    resource.prlimit(server.process_group_id, resource.RLIMIT_FSIZE, limit)


@pytest.mark.parametrize("is_admin", [False, True])
async def test_full_disk_answers_nobody_and_stops_the_server(
    tmp_path: Path, *, is_admin: bool
) -> None:
    """A failed append, of a contribution or of the catalog, ends the process with exit code 1 and no answer."""
    with trio.fail_after(TIMEOUT_S):
        async with running_server(tmp_path / "data") as server:
            async with httpx.AsyncClient(timeout=20) as client:
                bearer = await token(client, server, admin=is_admin)
                fill_disk(server)
                headers = {"Authorization": f"Bearer {bearer}"}
                url, body = (
                    (f"{server.admin_url}/config/operators", [{"id": "x", "name": "X"}])
                    if is_admin
                    else (f"{server.gateway_url}/jackpots/contribute", BET)
                )
                with pytest.raises(httpx.TransportError):
                    await client.post(url, json=body, headers=headers)

            assert await server.wait() == 1


async def test_stop_under_load_loses_no_row(tmp_path: Path) -> None:
    """SIGTERM while a checkpoint is under way leaves rows that `verify` finds equal to the journal."""
    environment = {
        "JACKPOTD_JOURNAL_CHECKPOINT_INTERVAL_S": "0.01",
        "JACKPOTD_JOURNAL_CHECKPOINT_ROWS_MAX": "1",
    }
    data = tmp_path / "data"
    with trio.fail_after(TIMEOUT_S):
        async with running_server(data, environment=environment) as server:
            async with httpx.AsyncClient(timeout=20) as client:
                headers = {"Authorization": f"Bearer {await token(client, server, admin=False)}"}
                answered = trio.Event()

                async def contribute(worker: int) -> None:
                    url = f"{server.gateway_url}/jackpots/contribute"
                    for number in range(10_000):
                        body = BET | {"player_id": f"player_{worker}_{number}"}
                        try:
                            await client.post(url, json=body, headers=headers)
                        except httpx.TransportError:
                            return
                        if number == 30:
                            answered.set()

                async with trio.open_nursery() as nursery:
                    for worker in range(4):
                        nursery.start_soon(contribute, worker)
                    await answered.wait()
                    assert await server.stop() == 0
            verified = await trio.run_process(
                [sys.executable, "-m", "jackpotd", "verify", "--data-dir", str(data)],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )

    assert (0, b"") == (verified.returncode, verified.stderr)


async def test_client_that_does_not_read_cannot_hold_up_a_stop(tmp_path: Path) -> None:
    """An HTTP/2 client with a window of 0 never takes its answer; the server stops within its deadline."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    window_of_zero = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00" + b"\x00\x04\x00\x00\x00\x00"
    # HEADERS, END_STREAM and END_HEADERS: GET http /health, with :authority as a literal.
    fields = b"\x82\x86\x04\x07/health\x01\x01x"
    request = len(fields).to_bytes(3, "big") + b"\x01\x05\x00\x00\x00\x01" + fields
    environment = {"JACKPOTD_SERVICE_DRAIN_DEADLINE_S": "1"}
    with trio.fail_after(TIMEOUT_S):
        async with running_server(tmp_path / "data", environment=environment) as server:
            port = int(server.gateway_url.rpartition(":")[2])
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(preface + window_of_zero + request)
                received = b""
                while (
                    b"\x00\x00\x00\x01" not in received
                ):  # a frame of stream 1: the answer's headers
                    received += await stream.receive_some()

                assert await server.stop(timeout_s=20) == 0
