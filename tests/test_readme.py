"""What the README shows is run here: its session with curl, its commands, its picture of the house."""

import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from jackpotd.testing.server_process import running_server

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
SESSION = re.findall(r"^```console\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
VOLATILE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}(?=\",\"win)"
    r"|(?<=\"timestamp\":)\d+|(?<=\"timestamp_start\":)\d+|(?<=\"timestamp_end\":)\d+"
)
GATEWAY, ADMIN, CONNECT = (f"http://127.0.0.1:{port}" for port in (8084, 8080, 11000))
RECEIVER_PORT = "9000"


def commands_and_output(session: str) -> list[tuple[str, str]]:
    """The commands of a session, each with what the README shows it to print."""
    steps: list[tuple[list[str], list[str]]] = []
    for line in session.splitlines():
        if line.startswith("$ "):
            steps.append(([line[2:]], []))
        elif line.startswith("> "):
            steps[-1][0].append(line[2:])
        else:
            steps[-1][1].append(line)
    return [("\n".join(command), "\n".join(output)) for command, output in steps]


def without_volatile(text: str) -> str:
    return VOLATILE.sub("…", text.strip())


def free_port() -> str:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return str(held.getsockname()[1])


def script_with(words: str) -> str:
    """The block of commands that holds these words, with this environment's programs."""
    blocks: list[str] = [block for block in BLOCKS if words in block]
    (block,) = blocks
    return (
        block.replace(".venv/bin/jackpotd", f"{sys.executable} -m jackpotd")
        .replace("python3 docs/", f"{sys.executable} {ROOT}/docs/")
        .replace(" config/", f" {ROOT}/config/")
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's session needs curl")
async def test_session_with_curl_prints_what_the_readme_shows(tmp_path: Path) -> None:
    """Every command of the README's sessions, in order, answers as printed there; and what it drew was fair."""
    steps = [step for session in SESSION for step in commands_and_output(session)]
    assert len(steps) >= 25
    receiver_port = free_port()
    with trio.fail_after(120):
        async with running_server(tmp_path / "data", live=True) as server:
            script = "\n".join(f"{command}\necho '----'" for command, _ in steps)
            for shown, real in (
                (GATEWAY, server.gateway_url),
                (ADMIN, server.admin_url),
                (CONNECT, server.connect_url),
                (RECEIVER_PORT, receiver_port),
                (".venv/bin/python", sys.executable),
            ):
                script = script.replace(shown, real)
            result = await trio.run_process(
                ["bash", "-euo", "pipefail", "-c", script],
                capture_stdout=True,
                capture_stderr=True,
                cwd=tmp_path,
            )
            checked = await trio.run_process(
                ["bash", "-euo", "pipefail", "-c", script_with("fairness export")],
                capture_stdout=True,
                cwd=tmp_path,
            )
    assert checked.stdout
    printed = result.stdout.decode().split("----\n")[: len(steps)]

    assert [without_volatile(shown) for _, shown in steps] == [
        without_volatile(text.replace(receiver_port, RECEIVER_PORT)) for text in printed
    ]


def test_simulation_that_is_shown_runs_and_warns_of_what_the_readme_says(tmp_path: Path) -> None:
    """The template of `config/` is played as shown; its middle pot does not pay for its seeds."""
    done = subprocess.run(
        shlex.split(script_with("simulate config/")),
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    assert "SEED_NOT_FUNDED  major" in done.stdout
    assert "Returns to players" in done.stdout


def test_commands_of_the_table_exist() -> None:
    """Each command that the README's table names answers to --help."""
    named = re.findall(r"^\| `jackpotd ([a-z]+(?: [a-z]+)?)[ `]", README, re.MULTILINE)

    assert sorted(named) == [
        "accounts add",
        "demo",
        "fairness export",
        "serve",
        "shards",
        "shards move",
        "simulate",
        "verify",
    ]
    for command in named:
        called = [sys.executable, "-m", "jackpotd", *command.split(), "--help"]
        assert subprocess.run(called, check=False, capture_output=True).returncode == 0


def test_benches_that_are_shown_exist() -> None:
    """Each bench that the README names is listed by `python -m bench`, and takes the options that are shown."""
    shown = re.findall(r"^python -m bench ([^#\n]*)", README, re.MULTILINE)
    listed = subprocess.run(
        [sys.executable, "-m", "bench"], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout

    assert len(shown) >= 4
    for name, *options in [line.split() for line in shown if line.strip()]:
        assert re.search(rf"^{name} ", listed, re.MULTILINE)
        called = [sys.executable, "-m", "bench", name, "--help"]
        described = subprocess.run(called, check=True, capture_output=True, text=True, cwd=ROOT)
        for option in options:
            assert not option.startswith("--") or option in described.stdout


def test_set_up_commands_are_one_line_each() -> None:
    """The two commands of the README set up from nothing, and CI takes the second one from there."""
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv .venv && ")]

    assert [line.rpartition("/")[2] for line in lines] == ["jackpotd demo", "pytest"]


def test_requirements_of_the_table_have_tests() -> None:
    """Each test that the table of requirements names is there, and each one that is there is named."""
    named = set(re.findall(r"`test_(r_[a-z]+_[0-9])_…`", README))
    text = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"^(?:async )?def test_(r_[a-z]+_[0-9])_", text, re.MULTILINE))

    assert len(named) >= 15
    assert there - {"r_rng_3", "r_rng_4"} == named  # these two have folders of their own


def test_house_in_the_readme_is_the_house() -> None:
    """The rooms of the README's picture are the folders of the package."""
    drawn = set(re.findall(r"^  ([a-z]+)/ ", README, re.MULTILINE))
    rooms = {path.parent.name for path in (ROOT / "src" / "jackpotd").glob("*/__init__.py")}

    assert rooms == drawn
