"""The feed as a process of the server: it dies, and nobody but its readers notices; it ends, and nothing is lost."""

import json
import os
import resource
import shutil
import signal
from pathlib import Path

import httpx
import pytest
import trio
import trio_websocket

from jackpotd.testing.server_process import ServerNotReadyError, ServerProcess, running_server

from .live import (
    BET,
    HANDSHAKE,
    Load,
    Reader,
    code_of,
    feed_pids,
    live_environment,
    next_feed,
    socket_to,
    text_frame,
    token_of,
)

TIMEOUT_S = 90
WORKERS = pytest.mark.parametrize("workers", [1, 3])


@WORKERS
async def test_feed_that_is_killed_comes_back_and_its_readers_miss_nothing(
    tmp_path: Path, workers: int
) -> None:
    """Contributions go on as if nothing had happened, and each win is told once, over several lives."""
    environment = live_environment(workers, JACKPOTD_EVENTS_UPDATE_INTERVAL_S="0.2")
    with trio.fail_after(TIMEOUT_S):
        async with running_server(tmp_path / "data", environment=environment, live=True) as server:
            token, connect_url = await token_of(server), server.connect_url
            load, reader = Load(server, token), Reader(server, token)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reader.run)
                await reader.is_reading.wait()
                async with trio.open_nursery() as loading:
                    loading.start_soon(load.run)
                    for life in (1, 2):
                        await load.wins(2)
                        os.kill(await next_feed(server, life), signal.SIGKILL)
                        await load.wins(2)
                        await next_feed(server, life + 1)
                    await load.wins(2)
                    loading.cancel_scope.cancel()
                await reader.sees(load.won)
                nursery.cancel_scope.cancel()
            assert set(load.statuses) == {200}
            assert sorted(reader.wins) == sorted(load.won)
            assert reader.wins == sorted(reader.wins)  # one player, so one order
            assert reader.gaps == 0
            assert reader.lives >= 3
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"{connect_url}/health")).status_code == 200
            assert await server.stop() == 0


@WORKERS
async def test_feed_dies_as_often_as_it_likes_without_stopping_the_server(
    tmp_path: Path, workers: int
) -> None:
    """The restart budget is the workers'; the feed is not vital."""
    environment = live_environment(
        workers,
        JACKPOTD_SERVICE_RESTARTS_MAX="1",
        JACKPOTD_SERVICE_RESTART_DELAY_S="0",
    )
    with trio.fail_after(TIMEOUT_S):
        async with running_server(tmp_path / "data", environment=environment, live=True) as server:
            for life in range(1, 4):
                os.kill(await next_feed(server, life), signal.SIGKILL)
            await next_feed(server, 4)
            async with httpx.AsyncClient() as client:
                for url in (server.gateway_url, server.admin_url, server.connect_url):
                    assert (await client.get(f"{url}/health")).status_code == 200
            assert await server.stop() == 0


@WORKERS
async def test_stop_says_goodbye_to_open_sockets(tmp_path: Path, workers: int) -> None:
    """With 1001 on both listeners, long before the deadline; what was won last is kept for the next start."""
    data = tmp_path / "data"
    with trio.fail_after(TIMEOUT_S):
        async with running_server(data, environment=live_environment(workers), live=True) as server:
            token = await token_of(server)
            load, reader = Load(server, token), Reader(server, token)
            connect_url, service = server.connect_url, f"/v1/events/service?token={token}"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reader.run)
                await reader.is_reading.wait()
                async with socket_to(connect_url, service) as connection:
                    async with trio.open_nursery() as loading:
                        loading.start_soon(load.run)
                        await load.wins(2)
                        loading.cancel_scope.cancel()
                    with trio.fail_after(5):
                        assert await server.stop() == 0
                    with pytest.raises(trio_websocket.ConnectionClosed) as closed:
                        await connection.get_message()
                    assert code_of(closed.value) == 1001
                assert reader.close_codes == [1001]
                await server.start()
                await reader.sees(load.won)
                nursery.cancel_scope.cancel()
            assert sorted(reader.wins) == sorted(load.won)
            assert reader.gaps == 0


async def test_clients_that_do_not_read_cannot_hold_up_a_stop(tmp_path: Path) -> None:
    """Neither on Connect nor behind the gateway, whose relay is cut then."""
    environment = live_environment(
        1, JACKPOTD_EVENTS_UPDATE_INTERVAL_S="0.01", JACKPOTD_SERVICE_DRAIN_DEADLINE_S="1"
    )
    with trio.fail_after(TIMEOUT_S):
        async with running_server(tmp_path / "data", environment=environment, live=True) as server:
            token = await token_of(server)
            port = int(server.gateway_url.rpartition(":")[2])
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                asked = {"action": {"Authenticate": {"auth_token": token}}}
                await stream.send_all(HANDSHAKE + text_frame(json.dumps(asked)))
                received = b""
                while b"JackpotUpdateEvent" not in received:
                    received += await stream.receive_some(4096)
                assert await server.stop(timeout_s=20) == 0


async def test_feed_that_cannot_be_started_is_tried_again_until_it_can(tmp_path: Path) -> None:
    """A server without descriptors goes on serving who is connected; as soon as it has some, the feed is back."""
    with trio.fail_after(TIMEOUT_S):
        async with running_server(tmp_path / "data", live=True) as server:
            load = Load(server, await token_of(server))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(load.run)
                await load.wins(1)
                soft, hard = resource.prlimit(server.process_group_id, resource.RLIMIT_NOFILE)
                resource.prlimit(server.process_group_id, resource.RLIMIT_NOFILE, (5, hard))
                os.kill(await next_feed(server, 1), signal.SIGKILL)
                while (
                    "could not be started (Too many open files)" not in await server.stderr_tail()
                ):
                    await load.wins(1)
                resource.prlimit(server.process_group_id, resource.RLIMIT_NOFILE, (soft, hard))
                await next_feed(server, 2)
                nursery.cancel_scope.cancel()
            assert set(load.statuses) == {200}
            assert await server.stop() == 0


@WORKERS
async def test_feed_that_hangs_holds_up_nobody(tmp_path: Path, workers: int) -> None:
    """Neither changes of the catalog, nor contributions, nor the stop, which has one deadline for everything."""
    environment = live_environment(workers, JACKPOTD_SERVICE_DRAIN_DEADLINE_S="1")
    with trio.fail_after(TIMEOUT_S):
        async with running_server(tmp_path / "data", environment=environment, live=True) as server:
            headers = {"Authorization": f"Bearer {await token_of(server)}"}
            body = {"username": "admin", "password": "admin-demo"}
            async with httpx.AsyncClient(timeout=20) as client:
                login = await client.post(f"{server.admin_url}/accounts/auth", json=body)
                admin = {"Authorization": f"Bearer {login.json()['token']}"}
                os.kill(await next_feed(server, 1), signal.SIGSTOP)
                for number in range(4):
                    source = {
                        "owner_id": "thrilltech:brand1",
                        "source_name": "x",
                        "source_id": f"x{number}",
                    }
                    # A node that must answer is given ten seconds; nobody waits so long for the feed.
                    with trio.fail_after(8):
                        url = f"{server.admin_url}/config/sources"
                        changed = await client.post(url, json=[source], headers=admin)
                    assert changed.json() == {"success": [f"x{number}"], "failed": []}
                url = f"{server.gateway_url}/jackpots/contribute"
                assert (await client.post(url, json=BET, headers=headers)).status_code == 200
                assert (await client.get(f"{server.gateway_url}/metrics")).status_code == 200
            assert await server.stop(timeout_s=12) == 0


async def test_feed_of_another_server_is_refused_in_one_line(tmp_path: Path) -> None:
    """With what can be done about it; moved away, the next start makes a new one."""
    data, other = tmp_path / "data", tmp_path / "other"
    with trio.fail_after(TIMEOUT_S):
        for directory in (data, other):
            async with running_server(directory, live=True) as server:
                assert await server.stop() == 0
        shutil.rmtree(data / "feed")
        shutil.copytree(other / "feed", data / "feed")
        refused = ServerProcess(data, live=True)
        with pytest.raises(ServerNotReadyError) as not_ready:
            await refused.start()
        await refused.close()
        assert not_ready.value.returncode == 1
        assert "Traceback" not in not_ready.value.stderr
        lines = [
            line for line in not_ready.value.stderr.splitlines() if line.startswith("jackpotd: ")
        ]
        assert f"{data / 'feed'}: the feed has read" in lines[0]
        assert "move" in lines[0]

        shutil.rmtree(data / "feed")
        (data / "feed").mkdir()
        (data / "feed" / "data.mdb").write_bytes(b"rubbish" * 1000)
        with pytest.raises(ServerNotReadyError) as not_ready:
            await refused.start()
        await refused.close()
        assert "Traceback" not in not_ready.value.stderr
        assert "move it away" in not_ready.value.stderr

        shutil.rmtree(data / "feed")
        async with running_server(data, live=True) as server:
            assert await server.stop() == 0


async def test_without_events_there_is_no_feed(tmp_path: Path) -> None:
    """No Connect, no stream, and a callback is refused; everything else is there."""
    with trio.fail_after(TIMEOUT_S):
        async with running_server(tmp_path / "data") as server:
            assert set(server.endpoints) == {"gateway", "admin"}
            assert await feed_pids(server) == []
            host, _, port = server.gateway_url.removeprefix("http://").rpartition(":")
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                await stream.send_all(HANDSHAKE)
                assert (await stream.receive_some(12)) == b"HTTP/1.1 404"
            headers = {"Authorization": f"Bearer {await token_of(server)}"}
            body = BET | {"callback": {"web_hook": "http://127.0.0.1:9/", "win_result_only": False}}
            async with httpx.AsyncClient() as client:
                url = f"{server.gateway_url}/jackpots/contribute"
                answer = await client.post(url, json=body, headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
