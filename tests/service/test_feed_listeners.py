"""The listeners of a live server: one set of metrics on all of them, TLS on each, and one end for all processes."""

import json
import os
import signal
import ssl
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
import trio
import trio_websocket
import trustme

from jackpotd.service.demo_data import SLOTS
from jackpotd.testing.server_process import ServerProcess, running_server

from .live import feed_pids, live_environment, token_of

TIMEOUT_S = 90


@pytest.mark.parametrize("workers", [1, 3])
async def test_every_listener_shows_the_metrics_of_all_processes(
    tmp_path: Path, workers: int
) -> None:
    """Of workers and feed alike, each family once; also of what the other listener has answered."""
    with trio.fail_after(TIMEOUT_S):
        async with running_server(
            tmp_path / "data", environment=live_environment(workers), live=True
        ) as server:
            urls = [server.gateway_url, server.admin_url, server.connect_url]
            async with httpx.AsyncClient(timeout=20) as client:
                for url in urls:
                    (await client.get(f"{url}/health")).raise_for_status()
                for url in urls:
                    lines = (
                        (await client.get(f"{url}/metrics")).raise_for_status().text.splitlines()
                    )
                    assert "jackpotd_sockets 0.0" in lines
                    assert "jackpotd_silent_workers 0.0" in lines
                    for worker in range(workers):
                        start = f'jackpotd_events_journal_position{{worker="{worker}"}} '
                        assert sum(line.startswith(start) for line in lines) == 1
                    assert any(
                        line.startswith("jackpotd_") and 'listener="connect"' in line
                        for line in lines
                    )
                    assert any(SLOTS in line for line in lines)
                    heads = [line for line in lines if line.startswith("# HELP ")]
                    assert len(heads) == len(set(heads))


async def test_sockets_and_reads_over_tls(tmp_path: Path) -> None:
    """Connect's own listener, and the stream behind the gateway's; their URLs say so."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    key, chain = tmp_path / "key.pem", tmp_path / "certificate.pem"
    certificate.private_key_pem.write_to_path(key)
    certificate.cert_chain_pems[0].write_to_path(chain)
    environment = {
        f"JACKPOTD_{listener}_TLS_{name}": str(path)
        for listener in ("GATEWAY", "CONNECT")
        for name, path in (("CERTIFICATE", chain), ("KEY", key))
    }
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with trio.fail_after(TIMEOUT_S):
        async with running_server(tmp_path / "data", environment=environment, live=True) as server:
            assert server.connect_url.startswith("https://")
            async with httpx.AsyncClient(verify=context, timeout=20) as client:
                assert (await client.get(f"{server.connect_url}/v1/currencies")).status_code == 200
                body = {"username": "event-processor", "password": "event-processor-demo"}
                login = await client.post(f"{server.gateway_url}/authenticate/service", json=body)
                token = login.json()["token"]
            events = await first_event(server.gateway_url, "/events", context, authenticate(token))
            assert events["event_type"] == "JackpotUpdateEvent"
            path = f"/v1/events/service?token={token}"
            subscribe = {
                "msg_type": "Request",
                "msg_name": "SubscribeRequest",
                "data": {"event_type": "*"},
            }
            told = await first_event(server.connect_url, path, context, subscribe)
            assert told["msg_name"]
            assert await server.stop() == 0


def authenticate(token: str) -> dict[str, object]:
    return {"action": {"Authenticate": {"auth_token": token}}}


async def first_event(
    url: str, path: str, context: ssl.SSLContext, message: Mapping[str, object]
) -> dict[str, object]:
    """What comes first after a message."""
    host, _, port = url.removeprefix("https://").rpartition(":")
    plain = await trio.open_tcp_stream(host, int(port))
    stream = trio.SSLStream(plain, context, server_hostname=host, https_compatible=True)
    async with stream, trio.open_nursery() as nursery:
        connection = await trio_websocket.wrap_client_stream(nursery, stream, host, path)
        await connection.send_message(json.dumps(message))
        found: dict[str, object] = json.loads(await connection.get_message())
        nursery.cancel_scope.cancel()
    return found


@pytest.mark.parametrize("workers", [1, 3])
async def test_feed_ends_with_a_server_that_is_killed(tmp_path: Path, workers: int) -> None:
    """Also where nobody could tell it; and the next start finds all as it was."""
    with trio.fail_after(TIMEOUT_S):
        server = ServerProcess(tmp_path / "data", environment=live_environment(workers), live=True)
        try:
            await server.start()
            (feed,) = await feed_pids(server)
            descriptor = os.pidfd_open(feed)
            os.kill(server.process_group_id, signal.SIGKILL)
            await trio.lowlevel.wait_readable(descriptor)
            os.close(descriptor)
            await server.wait()
            await server.start()
            assert await token_of(server)
            assert await server.stop() == 0
        finally:
            with trio.CancelScope(shield=True):
                await server.close()
