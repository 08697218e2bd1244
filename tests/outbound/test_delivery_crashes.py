"""A process that delivers is killed again and again: every result arrives, at least once, with one id."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import trio

from jackpotd.outbound.lanes import UNSETTLED_PER_ATTEMPT_MAX
from tests.outbound.delivering_process import EXISTS
from tests.outbound.delivery_rows import rows_in
from tests.outbound.receivers import Received, answering, receiving

DEADLINE_S = 120
LIVES = 5
BATCHES = 12
ATTEMPTS_AT_ONCE = 4
"""The dispatcher's default for one target."""


async def _killed(directory: Path, origin: str, after_s: float, batches: int) -> None:
    """One life: it is killed some time after it is ready."""
    command = [
        *(sys.executable, "-m", "tests.outbound.delivering_process"),
        *(str(directory), origin, str(batches)),
    ]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert await process.stdout.receive_some() == b"ready\n"
        with trio.move_on_after(after_s):
            await process.wait()
    finally:
        process.kill()
        await process.wait()
    assert process.returncode == -signal.SIGKILL


def _what_is_there(directory: Path) -> tuple[set[str], int, int]:
    """The ids of all that was ever written, how many are pending, and how many were given up."""
    with rows_in(directory) as rows:
        with rows.env.begin() as txn, txn.cursor() as cursor:
            keys = list(cursor.iternext(keys=True, values=False))
        statistics = rows.store.statistics()
    ids = {key[1:].decode() for key in keys if key.startswith(EXISTS) and key != b"!!"}
    return ids, statistics.pending, statistics.dead_letters


async def test_no_kill_loses_a_result(tmp_path: Path) -> None:
    """Kills strike while results are added, sent, answered and written down; some are refused once before."""
    seed = random.randrange(1 << 32)
    print("seed", seed)  # noqa: T201 - shown when it fails
    chance = random.Random(seed)
    refused: set[str] = set()

    async def behave(request: Received, stream: trio.abc.Stream) -> None:
        await trio.sleep(chance.random() * 0.01)
        if int(request.id) % 7 == 0 and request.id not in refused:
            refused.add(request.id)
            await answering(500)(request, stream)
        else:
            taken.append(request.id)
            await answering(200)(request, stream)

    taken: list[str] = []
    with trio.fail_after(DEADLINE_S):
        async with receiving(behave) as receiver:
            for _ in range(LIVES):
                await _killed(tmp_path, receiver.origin, chance.random() * 0.5, BATCHES)
            kills = LIVES
            ids, pending, _ = _what_is_there(tmp_path)
            while pending or not ids:
                kills += 1
                await _killed(tmp_path, receiver.origin, 2.0, 0 if ids else BATCHES)
                ids, pending, _ = _what_is_there(tmp_path)
    ids, pending, dead = _what_is_there(tmp_path)
    assert (pending, dead) == (0, 0)
    assert ids == set(taken)
    # A kill repeats what was under way or not written yet, and no more.
    assert len(taken) - len(ids) <= kills * UNSETTLED_PER_ATTEMPT_MAX * ATTEMPTS_AT_ONCE
