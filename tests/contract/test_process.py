"""The command itself: its ready line, its end, the starts that it refuses (contract §1, §12)."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from jackpotd.testing.server_process import ServerNotReadyError, running_server

if TYPE_CHECKING:
    from tests.contract.conftest import Platform, StartServer

START_TIMEOUT_S = 30


def living_members(group: int) -> list[str]:
    """The processes of a group, without those that are dead and wait for their parent."""
    members = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            # pid (name) state parent group …; the name may hold anything
            name, _, rest = entry.read_text().rpartition(")")
            state, _, process_group = rest.split()[:3]
            if int(process_group) == group and state not in "ZX":
                members.append(name)
    return members


async def test_ready_line_comes_when_both_listeners_answer(start_server: StartServer) -> None:
    """At the ready line, gateway and admin answer on the ports that the line names."""
    async with start_server() as (server, platform):
        for caller in (platform.gateway, platform.admin):
            health = await caller.with_token(None).get("/health")

            assert health.status == 200
        assert server.gateway_url.startswith("http://127.0.0.1:")
        assert server.admin_url.startswith("http://127.0.0.1:")
        assert server.gateway_url != server.admin_url


async def test_sigterm_ends_the_whole_group_with_exit_status_0(start_server: StartServer) -> None:
    """SIGTERM to the command drains, exits 0 and leaves no process of its group behind."""
    async with start_server() as (server, _):
        group = server.process_group_id

        assert living_members(group)
        assert await server.stop() == 0
        assert living_members(group) == []


async def test_sigterm_does_not_wait_for_idle_connections(start_server: StartServer) -> None:
    """A connection on which nothing is asked is no work in flight, on either listener."""
    environment = {"JACKPOTD_SERVICE_DRAIN_DEADLINE_S": "30"}
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with start_server(environment=environment) as (server, _), AsyncExitStack() as streams:
        for url in (server.gateway_url, server.admin_url):
            port = int(url.rpartition(":")[2])
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await streams.enter_async_context(stream)
            await stream.send_all(request)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")

        assert await server.stop(timeout_s=8) == 0


async def test_sigterm_answers_the_requests_in_flight(start_server: StartServer) -> None:
    """A contribution is either answered in full or never accepted while the server drains."""
    async with start_server() as (server, platform):
        jackpot = await platform.jackpot()
        statuses: list[int] = []
        first_answer = trio.Event()

        async def contribute_until_refused() -> None:
            with suppress(platform.connection_errors):
                while True:
                    answer = await platform.contribute(jackpot)
                    statuses.append(answer.status)
                    first_answer.set()

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(contribute_until_refused)
            await first_answer.wait()
            returncode = await server.stop()

        assert returncode == 0
        assert set(statuses) <= {200, 503}


@pytest.mark.parametrize("listener", ["GATEWAY", "ADMIN"])
async def test_demo_refuses_a_listener_that_is_not_loopback(tmp_path: Path, listener: str) -> None:
    """`--demo`, with its public passwords, does not start on an address that others can reach."""
    environment = {f"JACKPOTD_{listener}_BIND": "0.0.0.0:0"}
    with trio.fail_after(START_TIMEOUT_S), pytest.raises(ServerNotReadyError) as refused:
        async with running_server(tmp_path / "data", environment=environment):
            pass

    assert refused.value.returncode not in {None, 0}


async def test_unknown_setting_stops_the_start(tmp_path: Path) -> None:
    """A mistyped setting ends the start with the file, the line and the nearest known name."""
    config = tmp_path / "mistyped.toml"
    config.write_text('[gateway]\nbindd = "127.0.0.1:0"\n')
    with trio.fail_after(START_TIMEOUT_S), pytest.raises(ServerNotReadyError) as refused:
        async with running_server(tmp_path / "data", arguments=("--demo", "--config", str(config))):
            pass

    assert refused.value.returncode not in {None, 0}
    output = refused.value.stderr + refused.value.stdout
    assert "mistyped.toml" in output
    assert "2" in output.partition("mistyped.toml")[2]
    assert "bindd" in output
    assert "bind" in output.replace("bindd", "")


async def test_ill_typed_setting_stops_the_start(tmp_path: Path) -> None:
    """A setting of the wrong type in the environment ends the start with its name."""
    environment = {"JACKPOTD_SERVICE_WORKERS": "many"}
    with trio.fail_after(START_TIMEOUT_S), pytest.raises(ServerNotReadyError) as refused:
        async with running_server(tmp_path / "data", environment=environment):
            pass

    assert refused.value.returncode not in {None, 0}
    output = (refused.value.stderr + refused.value.stdout).lower()
    assert "workers" in output


async def test_health_names_the_version_without_a_token(platform: Platform) -> None:
    """`/health` is open on both listeners and answers `{"version"}`."""
    for caller in (platform.gateway, platform.admin):
        health = await caller.with_token(None).get("/health")

        assert health.status == 200
        assert set(health.body) == {"version"}
        assert len(health.body["version"].split(".")) >= 3


async def test_metrics_are_prometheus_text_without_a_token(platform: Platform) -> None:
    """`/metrics` is open on both listeners and parses as the Prometheus text format."""
    from prometheus_client.parser import text_string_to_metric_families

    for caller in (platform.gateway, platform.admin):
        metrics = await caller.with_token(None).get("/metrics")

        assert metrics.status == 200
        assert metrics.headers["Content-Type"].startswith("text/plain")
        assert list(text_string_to_metric_families(metrics.text))


async def test_openapi_describes_each_listener(platform: Platform) -> None:
    """Both listeners publish OpenAPI 3.1 with the calls that they serve."""
    gateway = (await platform.gateway.get("/openapi.json")).body
    admin = (await platform.admin.get("/openapi.json")).body

    assert gateway["openapi"].startswith("3.1")
    assert admin["openapi"].startswith("3.1")
    contributions = {
        "/authenticate/service",
        "/jackpots/contribute/source",
        "/jackpots/contribute/instance",
        "/v2/jackpots/contribute",
        "/jackpots/optin",
        "/v2/jackpots/optin",
        "/sources",
    }
    assert contributions <= set(gateway["paths"])
    assert {"/templates", "/templates/instantiate", "/instances"} <= set(admin["paths"])


async def test_docs_are_a_readable_page(platform: Platform) -> None:
    """`/docs` of both listeners is HTML."""
    for caller in (platform.gateway, platform.admin):
        docs = await caller.get("/docs")

        assert docs.status == 200
        assert docs.headers["Content-Type"].startswith("text/html")


async def test_unknown_path_is_a_documented_404(platform: Platform) -> None:
    """A path that no listener serves answers 404 in the documented error shape."""
    for caller in (platform.gateway, platform.admin):
        assert (await caller.get("/no/such/path")).refusal[0] == 404
