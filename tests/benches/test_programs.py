"""Servers under measurement: started on their core, suspended, and gone afterwards."""

import os
import sys
import time
from pathlib import Path

import httpx
import pytest

from bench.generator.driving import drive
from bench.generator.plan import latency
from bench.servers.databases import Unavailable, redis_server
from bench.servers.machine import cores
from bench.servers.programs import ProgramFailed, module, running
from bench.servers.subjects import OURS, QUART_ECHO, STARTS, TRIO_ECHO

CHATTY = "print('hello'); print('ready gateway=http://127.0.0.1:1 admin=x', flush=True); input()"


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def is_stopped_soon(pid: int) -> bool:
    """A process on a busy core hears of a signal when it gets its turn."""
    deadline = time.monotonic() + 10
    while state(pid) != "T" and time.monotonic() < deadline:
        os.sched_yield()
    return state(pid) == "T"


def test_program_is_ready_on_its_core_and_gone_after_the_block(tmp_path: Path) -> None:
    """Its words are read, and nothing of it is left."""
    command = [sys.executable, "-c", "import time;" + CHATTY.replace("input()", "time.sleep(60)")]
    with running(command, tmp_path, core=cores().server) as program:
        program.read_ready()
        assert program.words == {"gateway": "http://127.0.0.1:1", "admin": "x"}
        assert os.sched_getaffinity(program.pid) == {cores().server}
        program.suspend()
        assert is_stopped_soon(program.pid)
        program.resume()
        assert state(program.pid) != "T"

    assert not is_alive(program.pid)
    assert len(os.sched_getaffinity(0)) == cores().count


PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print(f"ready child={child.pid}", flush=True)
child.wait()
"""


def test_suspended_program_is_gone_with_children_in_groups_of_their_own(tmp_path: Path) -> None:
    """As a database has them: they are suspended, counted and ended with it."""
    with running([sys.executable, "-c", PARENT], tmp_path, core=cores().server) as program:
        program.read_ready()
        child = int(program.words["child"])
        program.suspend()
        assert is_stopped_soon(program.pid)
        assert is_stopped_soon(child)
        assert program.cpu_s() > 0

    assert not is_alive(program.pid)
    assert not is_alive(child) or state(child) == "Z"


def test_program_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    """The reason is on its standard error."""
    command = [sys.executable, "-c", "raise SystemExit('no such option')"]
    with (
        running(command, tmp_path, core=cores().server) as program,
        pytest.raises(ProgramFailed, match="no such option"),
    ):
        program.read_ready()


def test_database_that_cannot_be_had_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither there nor installable: the bench says so and goes on without."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Unavailable, match="redis-server"), redis_server(tmp_path, cores().server):
        pass


@pytest.mark.parametrize("name", [TRIO_ECHO, QUART_ECHO, OURS])
def test_generator_in_its_own_process_loads_a_real_server(tmp_path: Path, name: str) -> None:
    """The same requests are answered 200 by the echoes and by our server with the demo's data."""
    with STARTS[name](tmp_path, cores().server) as subject:
        plan = subject.plan(connections=4, duration_s=0.5, warm_up_s=0.2, core=cores().generator)
        measured = drive(plan, name)
        open_loop = subject.plan(connections=4, duration_s=0.5, warm_up_s=0, core=None, rate=40)
        constant = drive(open_loop, name)

    assert measured.contributions > 0
    assert measured.statuses == {200: measured.contributions}
    assert measured.lost == measured.unanswered == 0
    assert latency(constant.latency).count == 20
    assert not is_alive(subject.program.pid)


def test_two_runs_on_one_server_never_repeat_a_key(tmp_path: Path) -> None:
    """A repeat would be answered 204; two plans of one seed have names of their own."""
    with STARTS[OURS](tmp_path, cores().server) as subject:
        statuses = [
            drive(subject.plan(connections=2, duration_s=0.2, warm_up_s=0, core=None)).statuses
            for _ in range(2)
        ]
        health = httpx.get(f"{subject.url}/health", timeout=10)

    assert health.status_code == 200
    assert [set(each) for each in statuses] == [{200}, {200}]


def test_module_command_uses_this_interpreter() -> None:
    """A server runs with the packages of the bench."""
    assert module("bench.servers.trio_echo", "x") == [
        sys.executable, "-m", "bench.servers.trio_echo", "x",
    ]  # fmt: skip
