"""One port, two lanes, the same answers: every case once over HTTP/1.1 and once over HTTP/2.

HTTP/1.1 reaches the contribution calls by the fast lane, HTTP/2 by the application. Each lane has a
world of its own in the same state, so status, headers and body must be equal but for ids and time.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
import trio

from .lane_cases import CASES, DIRECT
from .stage import Stage, open_client, unique
from .world import Normaliser, Seen, World, build_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from jackpotd.testing.server_process import ServerProcess

    from .lane_cases import Case, Step

ENVIRONMENT: Final = {"JACKPOTD_LIMITS_BODY_BYTES_MAX": "65536"}
PROTOCOLS: Final[tuple[dict[str, Any], ...]] = ({}, {"http1": False, "http2": True})
SET_UP_TIMEOUT_S: Final = 30.0
TEST_TIMEOUT_S: Final = 30.0


class Lane:
    """A client of one protocol, and the world that it acts in."""

    def __init__(self, client: httpx.AsyncClient, stage: Stage, world: World) -> None:
        self._client = client
        self._stage = stage
        self._world = world

    async def play(self, case: Case) -> list[Seen]:
        """Send the case's requests, one after the other, as a player whom no other case knows."""
        world = World(**{**self._world.__dict__, "player": unique("player"), "key": unique("key")})
        normalised = Normaliser(world)
        return [normalised(await self._send(step)) for step in case(world)]

    async def _send(self, step: Step) -> httpx.Response:
        headers = httpx.Headers(step.headers)
        if step.content_type is not None:
            headers["Content-Type"] = step.content_type
        if step.token:
            headers["Authorization"] = f"Bearer {self._stage.service_token}"
        response = await self._client.request(
            step.method, self._stage.url + step.path, content=step.content, headers=headers
        )
        assert step.status in {None, response.status_code}, (step.path, response.text)
        return response


@pytest.fixture(scope="module")
def worlds(server: ServerProcess, tokens: tuple[str, str]) -> tuple[World, World]:
    """A world for each lane."""

    async def run() -> tuple[World, World]:
        with trio.fail_after(SET_UP_TIMEOUT_S):
            async with open_client() as client:
                stage = Stage(server, client, *tokens)
                return await build_world(stage), await build_world(stage)

    return trio.run(run)


@pytest.fixture(scope="module")
def module_stage(server: ServerProcess, tokens: tuple[str, str]) -> Iterator[Stage]:
    """The stage without a client: the lanes bring theirs."""
    client = open_client()
    yield Stage(server, client, *tokens)
    trio.run(client.aclose)


@pytest.fixture
async def lanes(module_stage: Stage, worlds: tuple[World, World]) -> AsyncIterator[list[Lane]]:
    """HTTP/1.1 and HTTP/2 with prior knowledge."""
    with trio.fail_after(TEST_TIMEOUT_S):
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(open_client(limits=httpx.Limits(), **option))
                for option in PROTOCOLS
            ]
            yield [
                Lane(client, module_stage, world)
                for client, world in zip(clients, worlds, strict=True)
            ]


async def test_lanes_are_two(module_stage: Stage, lanes: list[Lane]) -> None:
    """The two clients do speak two protocols."""
    versions = [
        (await lane._client.get(f"{module_stage.url}/health")).http_version for lane in lanes
    ]
    assert versions == ["HTTP/1.1", "HTTP/2"]


@pytest.mark.parametrize("name", CASES)
async def test_both_lanes_answer_alike(lanes: list[Lane], name: str) -> None:
    """Status, headers and body are the same, whichever way the request came."""
    fast, other = [await lane.play(CASES[name]) for lane in lanes]

    assert fast == other


@pytest.mark.parametrize("path", DIRECT)
async def test_answers_of_the_fast_lane_say_what_every_answer_says(
    module_stage: Stage, lanes: list[Lane], path: str
) -> None:
    """A trace, a date and a type stand on refusals of both lanes."""
    for lane in lanes:
        response = await lane._client.post(module_stage.url + path, content=b"{}")
        assert response.status_code == 401
        assert response.headers["X-Trace-Id"]
        assert response.headers["Date"]
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["Content-Length"] == str(len(response.content))


async def test_lanes_share_their_keys(module_stage: Stage, worlds: tuple[World, World]) -> None:
    """A key that came over one protocol is known over the other, both ways."""
    world = worlds[0]
    headers = {"Authorization": f"Bearer {module_stage.service_token}"}
    url = f"{module_stage.url}/v2/jackpots/contribute"
    with trio.fail_after(TEST_TIMEOUT_S):
        async with open_client(**PROTOCOLS[0]) as fast, open_client(**PROTOCOLS[1]) as other:
            for first, second in ((fast, other), (other, fast)):
                body = world.v2("instance", world.open)
                body["options"] = {"idempotency_key": unique("key")}
                original = await first.post(url, json=body, headers=headers)
                repeat = await second.post(url, json=body, headers=headers)
                assert (original.status_code, repeat.status_code) == (200, 204)
                assert repeat.headers["X-Trace-Id"] == original.headers["X-Trace-Id"]
                assert repeat.headers["Date"] == original.headers["Date"]
