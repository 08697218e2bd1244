"""SIGTERM: what is in flight is finished, what is idle is closed, and nobody new is let in."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

import trio

from jackpotd.testing.server_process import running_server

from .stage import HEALTH, encoded, opened, unique, v2

if TYPE_CHECKING:
    from pathlib import Path

    from .raw import RawConnection
    from .stage import Stage

TIMEOUT_S: Final = 40.0
STOP_S: Final = 8.0  # below the deadline of a drain


def terminate(stage: Stage) -> None:
    os.kill(stage.server.process_group_id, signal.SIGTERM)


async def is_turned_away(stage: Stage) -> bool:
    """Whether a new connection cannot be made, is closed, or gets 503."""
    try:
        async with stage.connect() as connection:
            await connection.send(stage.get(HEALTH))
            responses = await connection.responses_until_closed("GET")
    except OSError:
        return True
    return [response.status for response in responses] in ([], [503])


async def test_stop_closes_the_idle_and_finishes_what_was_begun(tmp_path: Path) -> None:
    """An idle connection ends without a word, a half-sent request is answered and then closed."""
    with trio.fail_after(TIMEOUT_S):
        async with running_server(tmp_path / "data") as server, opened(server) as stage:
            body = v2(await stage.jackpot(), unique("key"))
            raw = stage.request(encoded(body))
            async with stage.connect() as fresh, stage.connect() as idle, stage.connect() as busy:
                await idle.send(stage.get(HEALTH))
                assert (await idle.response("GET")).status == 200
                await busy.send(stage.get(HEALTH) + raw[:-1])
                assert (await busy.response("GET")).status == 200
                terminate(stage)
                assert await idle.until_closed() == b""
                assert await fresh.until_closed() == b""
                assert await is_turned_away(stage)
                await busy.send(raw[-1:])
                (response,) = await busy.responses_until_closed()
            assert await server.wait(timeout_s=STOP_S) == 0
            assert response.status in {200, 503}
            assert response.closes
            await server.start()
            assert await stage.is_unused(body) == (response.status == 503)


async def test_stop_under_load_answers_or_does_not_but_loses_nothing(tmp_path: Path) -> None:
    """Whatever was answered 200 is there after the restart; every answer was whole."""
    with trio.fail_after(TIMEOUT_S):
        async with running_server(tmp_path / "data") as server, opened(server) as stage:
            jackpot = await stage.jackpot()
            counts = {200: 0, 503: 0, 0: 0}
            begun = trio.Event()

            async def contribute() -> None:
                raw = stage.request(encoded(v2(jackpot)))
                async with stage.connect() as connection:
                    while await one(connection, raw):
                        begun.set()

            async def one(connection: RawConnection, raw: bytes) -> bool:
                await connection.send(raw)
                if not await connection.bytes_so_far(1):
                    counts[0] += 1
                    return False
                response = await connection.response()
                counts[response.status] += 1
                return not response.closes

            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(contribute)
                await begun.wait()
                terminate(stage)
            assert await server.wait(timeout_s=STOP_S) == 0
            await server.start()
            contributed = await stage.contributions(jackpot)

    assert counts[200] <= contributed <= counts[200] + counts[0]
    assert counts[200] > 0


async def test_stop_with_an_answer_that_nobody_reads_ends_in_time(tmp_path: Path) -> None:
    """Clients that pipeline and do not read cannot keep the server from stopping."""
    environment = {"JACKPOTD_SERVICE_DRAIN_DEADLINE_S": "2"}
    with trio.fail_after(TIMEOUT_S):
        async with (
            running_server(tmp_path / "data", environment=environment) as server,
            opened(server) as stage,
            stage.connect() as connection,
        ):
            with trio.move_on_after(2):
                while True:
                    await connection.stream.send_all(stage.get("/openapi.json") * 50)
            terminate(stage)
            assert await server.wait(timeout_s=STOP_S) == 0
