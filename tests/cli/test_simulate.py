"""`jackpotd simulate` as its users run it: output, files, exit codes."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TIMEOUT_S = 60

TEMPLATE: dict[str, Any] = {
    "name": "Quick hit",
    "owner_id": "op",
    "currency": "EUR",
    "contribution_rules": {
        "opt_in_required": True,
        "contribution_type": {"Percentage": 0.02},
    },
    "house_hold_contribution": {"Percentage": 0.1},
    "pots": [
        {
            "id": "main",
            "contribution": {"Percentage": 0.9},
            "seed_contribution": {"Percentage": 0.5},
            "seed_strategy": {"initial_seed_value": 1, "min_reseed_value": 1},
            "pot_types": [{"HitRate": {"max_magic_number": 200, "cost_per_attempt": 0.02}}],
        }
    ],
}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "jackpotd", "simulate", *map(str, arguments)]


def simulate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.json"
    path.write_text(json.dumps(TEMPLATE))
    return path


def changed(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(TEMPLATE | changes))
    return path


def test_json_has_the_keys_of_the_contract(template: Path) -> None:
    """Contributions, returns in their parts, and for each pot its wins; all relative to the base wagers."""
    ended = simulate(template, "--contributions", "20000", "--stake", "2", "--seed", "7", "--json")

    assert (ended.returncode, ended.stderr) == (0, "")
    found = json.loads(ended.stdout)
    assert found["contributions"] == 20_000
    assert {"total", "growth", "seed", "community"} == set(found["rtp"])
    main = found["pots"]["main"]
    assert {"hits", "mean_award", "stderr_award", "mean_stake_between_hits"} <= set(main)
    assert found["simulated"]["stake"] == 40_000
    assert main["mean_stake_between_hits"] == pytest.approx(40_000 / main["hits"])
    assert found["rtp"]["total"] == pytest.approx(main["hits"] * main["mean_award"] / 40_000)
    assert found["rtp"]["total"] == pytest.approx(
        found["rtp"]["growth"] + found["rtp"]["seed"] + found["rtp"]["community"]
    )


def test_same_call_prints_the_same(template: Path) -> None:
    """To the byte, on several processes too; without a seed it is another one each time, and said."""
    call = (template, "--contributions", "4000", "--processes", "2", "--json")
    first, again = simulate(*call, "--seed", "7"), simulate(*call, "--seed", "7")
    other, another = json.loads(simulate(*call).stdout), json.loads(simulate(*call).stdout)

    assert first.stdout == again.stdout
    assert json.loads(first.stdout)["lives"] == 2
    assert other["seed"] != another["seed"]


def test_table_shows_figures_and_warnings(template: Path) -> None:
    """Without a terminal: plain text, no progress bar, and how to get the same again."""
    ended = simulate(template, "--contributions", "20000", "--seed", "7")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\x1b" not in ended.stdout
    for title in ("Quick hit", "Returns to players", "Wins", "Awards", "Seeds and reserves"):
        assert f"\n{title}" in f"\n{ended.stdout}"
    assert "again with --seed 7 --lives 1" in ended.stdout


def test_progress_bar_on_a_terminal(template: Path) -> None:
    """It stands on standard error, so the JSON stays JSON."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        command(template, "--contributions", "60000", "--processes", "1", "--json"),
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # the other end is closed
        pass
    output, _ = running.communicate(timeout=TIMEOUT_S)
    os.close(ours)

    assert running.returncode == 0
    assert b"simulate" in shown
    assert b"/60000" in shown
    assert json.loads(output)["contributions"] == 60_000


def test_report_is_written(template: Path, tmp_path: Path) -> None:
    """Beside whatever else is asked for."""
    html = tmp_path / "report.html"
    ended = simulate(template, "--contributions", "20000", "--html", html, "--json")

    assert ended.returncode == 0
    assert json.loads(ended.stdout)["contributions"] == 20_000
    page = html.read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "Simulation of Quick hit" in page
    assert page.count("<svg") > 3


RAFFLE = {
    "jackpot_type": "Raffle",
    "pots": [TEMPLATE["pots"][0] | {"pot_types": []}],
    "raffle": {
        "duration": {"Hours": 22},
        "ticket": {"cost": 2, "metric": "BaseWager"},
        "prizes": [{"count": 1, "amount": 50}],
    },
}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"house_hold_contribution": {"Percentage": 0.2}}, "$.house_hold_contribution"),
        ({"currency": 5}, "$.currency"),
        ({"unheard": 1}, "$.unheard is unknown"),
        ({"pots": []}, "$.pots"),
        ({"pots": [TEMPLATE["pots"][0] | {"pot_types": [{"Luck": {}}]}]}, "$.pots[0].pot_types[0]"),
        ({"allowed_brands": []}, "$.allowed_brands is empty"),
        (RAFFLE, "$.raffle is not simulated"),
    ],
)
def test_bad_template_is_refused_with_its_path(
    template: Path, changes: dict[str, Any], problem: str
) -> None:
    """As `POST /templates` refuses it; exit code 2, and nothing on standard output."""
    ended = simulate(changed(template, **changes), "--contributions", "10")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("simulate: ")
    assert problem in ended.stderr


def test_file_that_is_no_json_is_refused(template: Path) -> None:
    """With its name and where it breaks."""
    template.write_text('{"name": ')
    ended = simulate(template, "--contributions", "10")

    assert ended.returncode == 2
    assert f"simulate: {template}: the body is not JSON" in ended.stderr


def test_owner_and_brands_may_be_missing(template: Path) -> None:
    """A template under construction belongs to nobody yet."""
    document = {name: value for name, value in TEMPLATE.items() if name != "owner_id"}
    template.write_text(json.dumps(document))

    assert simulate(template, "--contributions", "10", "--json").returncode == 0


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--stake", "dice:6"), "--stake: 'dice:6' is none of NUMBER"),
        (("--currency", "SEK=11"), "the template's currency EUR has no multiplier"),
        (("--lives", "11"), "10 contributions are too few for 11 lives"),
        (("--html", "/nowhere/report.html"), "/nowhere/report.html: cannot be written"),
        (("--contributions", "0"), "Invalid value for '--contributions'"),
    ],
)
def test_bad_flags_are_refused(template: Path, flags: tuple[str, str], problem: str) -> None:
    """Exit code 2 and the reason, before anything is simulated."""
    ended = simulate(template, "--contributions", "10", *flags)

    assert ended.returncode == 2
    assert problem in ended.stderr


def test_population_file(template: Path, tmp_path: Path) -> None:
    """All of the population in one file; its problems are named with it, and it excludes the flags."""
    people = tmp_path / "people.toml"
    people.write_text(
        'rate = 10\n[currencies]\nEUR = 1\nSEK = 11.6761\n[[groups]]\nname = "swedes"\n'
        'players = 10\nstake = "uniform:1:3"\ncurrency = "SEK"\n'
    )
    call = (template, "--contributions", "5000", "--population", people)
    ended = simulate(*call, "--json")
    twice = simulate(*call, "--stake", "1")
    people.write_text("[[groups]]\nstake = 'dice'\n")
    bad = simulate(*call)

    found = json.loads(ended.stdout)
    assert found["population"]["groups"][0]["name"] == "swedes"
    assert found["simulated"]["mean_stake"] == pytest.approx(2, rel=0.05)
    assert twice.returncode == bad.returncode == 2
    assert "--stake says what --population says" in twice.stderr
    assert f"simulate: {people}: $.groups[0].stake: 'dice' is not a number\n" == bad.stderr


def test_interrupt_stops_every_process(template: Path) -> None:
    """Ctrl-C goes to the whole group; the command says that it stopped, and leaves nobody behind."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        command(template, "--contributions", "100000000", "--processes", "2", "--json"),
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"/100000000" not in shown:  # the bar stands: the processes are being started
        shown += os.read(ours, 65536)
    os.killpg(running.pid, signal.SIGINT)
    output, _ = running.communicate(timeout=TIMEOUT_S)
    rest = b""
    try:
        while piece := os.read(ours, 65536):
            rest += piece
    except OSError:
        pass
    os.close(ours)

    assert (running.returncode, output) == (130, b"")
    assert b"simulate: stopped" in rest
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)


@pytest.mark.slow
def test_two_million_contributions_take_well_under_a_minute_on_one_core(template: Path) -> None:
    """The contract's promise, in processor time."""
    call = command(
        template, "--contributions", "2000000", "--seed", "1", "--processes", "1", "--json"
    )
    before = os.times().children_user
    subprocess.run(call, capture_output=True, timeout=600, check=True)

    assert os.times().children_user - before < 40
