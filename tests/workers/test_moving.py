"""Jackpots that move: between starts, because workers or placement have changed, and while they are played."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from jackpotd.service.control import Move, Moved, Refused
from jackpotd.service.demo_data import DAILY, DAILY_DROP, DEPOSIT, MONTHLY, SITEWIDE, SLOTS, WEEKLY

from .fleet import CONTRIBUTE, PLACED, TIMEOUT_S, Count, bet, fleet_on, verified

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .fleet import Fleet, Standing

PLAYERS: Final = 6
TURNS: Final = 4
TARGETS: Final = (SITEWIDE, SLOTS, DAILY, DEPOSIT, WEEKLY)
LINKS: Final = {SITEWIDE: (DAILY_DROP,), DAILY: (WEEKLY, MONTHLY)}
LOAD_CLIENTS: Final = 8
MOVES: Final = 6
GAP_MAX_S: Final = 3.0  # on a machine that others use too; what is measured is printed


class Story:
    """What was contributed over all lives of a data directory."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(PLACED, 0)
        self.answers: dict[str, Any] = {}
        self._chapter = 0

    async def goes_on(self, fleet: Fleet) -> None:
        """Some contributions more, and every key that was ever used is a repeat with its first answer."""
        self._chapter += 1
        if self._chapter == 1:
            for instance_id in (DEPOSIT, WEEKLY):
                await fleet.opt_in(instance_id, [f"player_{number}" for number in range(PLAYERS)])
        async with trio.open_nursery() as nursery:
            for number in range(PLAYERS):
                nursery.start_soon(self._play, fleet, number)
        async with trio.open_nursery() as nursery:
            for number in range(PLAYERS):
                mine = [key for key in self.answers if key.startswith(f"{number}/")]
                nursery.start_soon(self._repeat, fleet, mine)

    async def _play(self, fleet: Fleet, number: int) -> None:
        async with fleet.connection() as gateway:
            for turn in range(TURNS):
                for target in TARGETS:
                    key = f"{number}/{self._chapter}/{turn}/{target}"
                    body = bet(target, player=f"player_{number}", key=key)
                    answer = await gateway.post(CONTRIBUTE, json=body)
                    assert answer.status_code == 200, answer.text
                    self.answers[key] = answer.json()
                    for name in (target, *LINKS.get(target, ())):
                        self.counts[name] += 1

    async def _repeat(self, fleet: Fleet, keys: list[str]) -> None:
        async with fleet.connection() as gateway:
            for key in keys:
                number, _, _, target = key.split("/")
                body = bet(target, player=f"player_{number}", key=key)
                repeat = await gateway.post(CONTRIBUTE, json=body)
                assert repeat.status_code == 204, (key, repeat.text)
                shown = await gateway.post(
                    CONTRIBUTE, json=body, headers={"Prefer": "return=representation"}
                )
                assert self.answers[key] == shown.json()

    def check(self, before: Mapping[str, Standing], after: Mapping[str, Standing]) -> None:
        """Counts are those of the story; winners that were there are there, behind the new ones."""
        assert self.counts == {name: each.contributions for name, each in after.items()}
        for name, standing in before.items():
            old = standing.winners
            assert old == after[name].winners[len(after[name].winners) - len(old) :]


def hashed(homes: Mapping[str, int], workers: int) -> bool:
    return set(homes.values()) <= set(range(workers))


async def test_totals_keys_and_winners_outlive_every_change_of_workers_and_placement(
    tmp_path: Path,
) -> None:
    """3 workers, 2, 1, 3 again, placed by hand and by hash, turned round; `verify` is content after each life."""
    data, story = tmp_path / "data", Story()
    turned = {name: 2 - worker for name, worker in PLACED.items()}
    halves = {SITEWIDE: 1, SLOTS: 0}
    lives: list[tuple[int, Mapping[str, int] | None]] = [
        (3, PLACED),
        (2, halves),
        (1, None),
        (3, turned),
        (3, None),
        (2, None),
        (3, PLACED),
        (1, None),
    ]
    shown: dict[str, Standing] = {}
    with trio.fail_after(2 * TIMEOUT_S):
        for workers, placed in lives:
            async with fleet_on(data, workers=workers, placed=placed) as fleet:
                homes = await fleet.homes()
                assert hashed(homes, workers)
                assert homes == homes | dict(placed or {})
                await story.goes_on(fleet)
                standings = await fleet.standings()
                story.check(shown, standings)
                shown = standings
                assert await fleet.server.stop() == 0
            await verified(data)


class Load:
    """Clients that contribute to one jackpot without a pause, and note when each answer came."""

    def __init__(self, fleet: Fleet, target: str) -> None:
        self._fleet = fleet
        self._target = target
        self.is_over = False
        self.times: list[float] = []
        self.slowest_s = 0.0
        self._count = Count()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(LOAD_CLIENTS):
                nursery.start_soon(self._one, number)

    async def _one(self, number: int) -> None:
        turn = 0
        async with self._fleet.connection() as gateway:
            while not self.is_over:
                before = trio.current_time()
                answer = await gateway.post(
                    CONTRIBUTE, json=bet(self._target, key=f"load-{number}-{turn}")
                )
                assert answer.status_code == 200, answer.text
                now = trio.current_time()
                self.slowest_s = max(self.slowest_s, now - before)
                self.times.append(now)
                self._count.one_more()
                turn += 1

    async def more(self, answers: int) -> None:
        await self._count.reaches(self._count.value + answers)

    @property
    def longest_gap_s(self) -> float:
        return max(
            later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)
        )


@pytest.mark.parametrize("target", [SLOTS, SITEWIDE])
async def test_move_under_load_refuses_nothing_and_loses_nothing(
    tmp_path: Path, target: str
) -> None:
    """Each contribution is answered 200 after a moment at most, over several moves round the workers."""
    data = tmp_path / "data"
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(data) as fleet:
            load = Load(fleet, target)
            took_s = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(load.run)
                await load.more(50)
                for move in range(MOVES):
                    worker = (PLACED[target] + 1 + move) % 3
                    before = trio.current_time()
                    assert await fleet.asked(Move(target, worker)) == Moved(was_there=False)
                    took_s.append(trio.current_time() - before)
                    await load.more(50)
                load.is_over = True
            standings = await fleet.standings()
            assert await fleet.server.stop() == 0
        await verified(data)
    print(  # noqa: T201 - a figure for the README, with -rP
        f"longest gap {load.longest_gap_s * 1000:.0f} ms, slowest answer {load.slowest_s * 1000:.0f} ms, "
        f"moves took {', '.join(f'{each * 1000:.0f}' for each in took_s)} ms"
    )
    for name in (target, *LINKS.get(target, ())):
        assert len(load.times) == standings[name].contributions
    assert standings[target].worker == (PLACED[target] + MOVES) % 3
    assert load.longest_gap_s < GAP_MAX_S


async def test_moved_jackpot_stays_where_it_is_over_restarts_unless_the_file_names_it(
    tmp_path: Path,
) -> None:
    """What a person has moved is not moved back by a hash; a placement file has the last word."""
    data = tmp_path / "data"
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(data, placed=None) as fleet:
            homes = await fleet.homes()
            elsewhere = (homes[SLOTS] + 1) % 3
            assert await fleet.asked(Move(SLOTS, elsewhere)) == Moved(was_there=False)
            assert await fleet.asked(Move(SLOTS, elsewhere)) == Moved(was_there=True)
            assert homes | {SLOTS: elsewhere} == await fleet.homes()
            assert await fleet.server.stop() == 0
        async with fleet_on(data, placed=None) as fleet:
            assert homes | {SLOTS: elsewhere} == await fleet.homes()
            assert await fleet.server.stop() == 0
        async with fleet_on(data, placed={SLOTS: homes[SLOTS]}) as fleet:
            assert homes == await fleet.homes()
            assert await fleet.server.stop() == 0


async def test_move_that_makes_no_sense_is_refused_in_words(tmp_path: Path) -> None:
    """An unknown instance or worker moves nothing; nor does a server of one process."""
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(tmp_path / "data") as fleet:
            for move in (Move("unknown", 0), Move(SLOTS, 3), Move(SLOTS, -1)):
                refused = await fleet.asked(move)
                assert isinstance(refused, Refused)
                assert ("unknown" in refused.message) or (
                    f"worker {move.worker}" in refused.message
                )
            assert PLACED == await fleet.homes()
        async with fleet_on(tmp_path / "one", workers=1, placed=None) as fleet:
            refused = await fleet.asked(Move(SLOTS, 0))
            assert isinstance(refused, Refused)
            assert "one worker only" in refused.message


@pytest.mark.parametrize("is_giver", [True, False])
async def test_worker_killed_during_moves_neither_loses_nor_doubles_a_jackpot(
    tmp_path: Path, *, is_giver: bool
) -> None:
    """Whatever a kill cuts off is finished or called off: one home, every key once, `verify` content."""
    data = tmp_path / "data"
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(data) as fleet:
            async with fleet.connection() as gateway:
                for number in range(20):
                    body = bet(SLOTS, key=f"key-{number}")
                    (await gateway.post(CONTRIBUTE, json=body)).raise_for_status()
            pids = await fleet.pids()
            victim = 1 if is_giver else 2
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fleet.asked, Move(SLOTS, 2))
                await trio.sleep(0.01)  # not to wait for anything: somewhere within the move
                os.kill(pids[victim], signal.SIGKILL)
                await fleet.serving_again(victim, pids[victim])
            answer = await fleet.asked(Move(SLOTS, 2))
            assert isinstance(answer, Moved), answer
            async with fleet.connection() as gateway:
                for number in range(20):
                    repeat = await gateway.post(CONTRIBUTE, json=bet(SLOTS, key=f"key-{number}"))
                    assert repeat.status_code == 204
                assert (await gateway.post(CONTRIBUTE, json=bet(SLOTS))).status_code == 200
            standings = await fleet.standings()
            assert (2, 21) == (standings[SLOTS].worker, standings[SLOTS].contributions)
            assert await fleet.server.stop() == 0
        await verified(data)


async def test_shards_command_shows_and_moves(tmp_path: Path) -> None:
    """As a person types it: a table, JSON for programs, a move, and a clear word where no server runs."""

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "jackpotd",
                "shards",
                "--data-dir",
                str(tmp_path / "data"),
                *words,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )

    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(tmp_path / "data") as fleet:
            run = trio.to_thread.run_sync
            table = await run(command, "--interval", "0.1")
            as_json = await run(command, "--interval", "0.1", "--json")
            moved = await run(command, "move", SLOTS, "2")
            refused = await run(command, "move", SLOTS, "9")
            assert (await fleet.homes())[SLOTS] == 2
            assert await fleet.server.stop() == 0
        gone = await run(command)
    assert [0, 0, 0, 1, 1] == [
        each.returncode for each in (table, as_json, moved, refused, gone)
    ], refused.stderr
    for text in ("workers, over 0.1 s", "serving", SLOTS, "Sitewide"):
        assert text in table.stdout
    assert '"contributions_per_s"' in as_json.stdout
    assert moved.stdout == f"moved {SLOTS} to worker 2\n"
    assert "there is no worker 9" in refused.stderr
    assert gone.stderr.startswith("jackpotd: no server runs on ")
