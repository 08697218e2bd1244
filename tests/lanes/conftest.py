"""A server for each module, with the settings that the module asks for as `ENVIRONMENT`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from jackpotd.testing.server_process import server_in_thread

from .stage import Stage, log_in, open_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from jackpotd.testing.server_process import ServerProcess

TEST_TIMEOUT_S = 60.0
LOG_IN_TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """The module's server."""
    environment = getattr(request.module, "ENVIRONMENT", None)
    with server_in_thread(
        tmp_path_factory.mktemp("lanes") / "data", environment=environment
    ) as server:
        yield server


@pytest.fixture(scope="module")
def tokens(server: ServerProcess) -> tuple[str, str]:
    """Service and admin token of the module's server."""

    async def run() -> tuple[str, str]:
        with trio.fail_after(LOG_IN_TIMEOUT_S):
            async with open_client() as client:
                return await log_in(client, server)

    return trio.run(run)


@pytest.fixture
async def stage(server: ServerProcess, tokens: tuple[str, str]) -> AsyncIterator[Stage]:
    """The module's server, and a client of the test's own; no test of this suite hangs."""
    with trio.fail_after(TEST_TIMEOUT_S):
        async with open_client() as client:
            yield Stage(server, client, *tokens)


@pytest.fixture(scope="module")
def shared_jackpot(server: ServerProcess, tokens: tuple[str, str]) -> str:
    """A jackpot for tests that look at keys, not at the pot."""

    async def run() -> str:
        with trio.fail_after(LOG_IN_TIMEOUT_S):
            async with open_client() as client:
                return await Stage(server, client, *tokens).jackpot()

    return trio.run(run)
