"""The program itself: played over HTTP, moved between workers and restarted, exported beside it, and checked."""

import json
import os
import sys
from collections import Counter
from pathlib import Path

import trio

from jackpotd.service.control import Move, Moved
from jackpotd.service.demo_data import DAILY_DROP, SITEWIDE
from jackpotd.service.fairness_lines import Line
from tests.workers.fleet import CONTRIBUTE, Fleet, bet, fleet_on

from .rehearsal import SCRIPT

TIMEOUT_S = 120
BATCH = 300
PLACED = {SITEWIDE: 0, DAILY_DROP: 1}


async def play(fleet: Fleet, chapter: str) -> None:
    """Contributions to Sitewide, each with its link to the daily drop, which is won about every fiftieth time."""
    bets = [
        bet(SITEWIDE, player=f"player_{number % 7}", key=f"{chapter} {number}")
        for number in range(BATCH)
    ]
    async with fleet.connection() as gateway:
        answer = (await gateway.post(f"{CONTRIBUTE}/batch", json=bets)).raise_for_status()
    assert {200} == {each["status_code"] for each in answer.json()}


async def ran(*command: str) -> tuple[int, str, str]:
    """A command as an operator gives it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JACKPOTD_")}
    done = await trio.run_process(
        [sys.executable, *command],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env=environment,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def exported(data: Path, out: Path) -> list[Line]:
    """An export that the script accepts."""
    arguments = ("--data-dir", str(data), "--out", str(out))
    code, _, said = await ran("-m", "jackpotd", "fairness", "export", *arguments)
    assert 0 == code, said
    code, printed, said = await ran("-I", "-S", str(SCRIPT), str(out))
    assert (0, "") == (code, said)
    lines = [json.loads(line) for line in (await trio.Path(out).read_text()).splitlines()]
    reveals = sum(line["type"] == "reveal" for line in lines)
    assert reveals == sum(" fair:" in line for line in printed.splitlines())
    return lines


async def test_fairness_of_a_server_that_moves_and_restarts(tmp_path: Path) -> None:
    """Every draw of three chapters is checked: before and after a move, while it runs, and over a restart."""
    data = tmp_path / "data"
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(data, workers=2, placed=PLACED) as fleet:
            await play(fleet, "first")
            assert isinstance(await fleet.asked(Move(DAILY_DROP, 0)), Moved)
            await play(fleet, "second")
            first = await exported(data, tmp_path / "first.jsonl")
            await fleet.server.restart()
            await play(fleet, "third")
            await fleet.server.stop()
        second = await exported(data, tmp_path / "second.jsonl")
    for lines, chapters in ((first, 2), (second, 3)):
        counts = Counter(line["instance"] for line in lines if line["type"] == "contribution")
        assert dict.fromkeys(PLACED, chapters * BATCH) == counts
        drops = [line for line in lines if line.get("instance") == DAILY_DROP]
        assert 0 < sum(len(line.get("wins", ())) for line in drops)
    drop = [line for line in first if line.get("instance") == DAILY_DROP]
    assert drop == [line for line in second if line.get("instance") == DAILY_DROP][: len(drop)]
    assert 0o600 == (data / "vault.key").stat().st_mode & 0o777


async def test_fairness_serve_refuses_to_start_without_the_key_of_its_seals(tmp_path: Path) -> None:
    """It does not make a new key where an old one is lost; with the old one, all goes on and is fair."""
    data, kept = tmp_path / "data", tmp_path / "kept.key"
    with trio.fail_after(TIMEOUT_S):
        async with fleet_on(data, workers=2, placed=PLACED) as fleet:
            await play(fleet, "before")
            await fleet.server.stop()
            (data / "vault.key").rename(kept)
            arguments = ("-m", "jackpotd", "serve", "--demo", "--data-dir", str(data))
            for workers in ("1", "2"):
                code, out, said = await ran(*arguments, "--workers", workers)
                assert (1, "") == (code, out)
                assert "vault.key is missing, and the jackpots here are sealed with it" in said
                assert not (data / "vault.key").exists()
            kept.rename(data / "vault.key")
            await fleet.server.start()
            await play(fleet, "after")
            await fleet.server.stop()
        lines = await exported(data, tmp_path / "export.jsonl")
    counts = Counter(line["instance"] for line in lines if line["type"] == "contribution")
    assert dict.fromkeys(PLACED, 2 * BATCH) == counts


async def test_fairness_serve_refuses_a_key_that_others_can_read(tmp_path: Path) -> None:
    """One line that names it, and no server: with the key, anybody could foresee the draws."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "vault.key").write_bytes(bytes(range(32)))
    (data / "vault.key").chmod(0o644)
    with trio.fail_after(TIMEOUT_S):
        code, out, said = await ran("-m", "jackpotd", "serve", "--demo", "--data-dir", str(data))
    assert (1, "") == (code, out)
    assert "vault.key can be reached by others than its owner" in said.splitlines()[-1]
