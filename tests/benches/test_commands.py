"""The benches as they are called: by name, as a file, with --help."""

import ast
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench.__main__ import benches, question
from bench.reporting.command import Options
from bench.reporting.render import markdown
from bench.reporting.report import Report
from bench.results import PARTS, outcome

ROOT = Path(__file__).resolve().parents[2]
BENCHES = benches()


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


def test_list_names_every_bench_with_its_question() -> None:
    """Every file beside `__main__` is a bench, one for each question."""
    listed = call("-m", "bench").stdout.splitlines()

    assert {line.split()[0] for line in listed} == set(BENCHES)
    assert all(line.endswith("?") for line in listed)
    files = {file.stem for file in (ROOT / "bench").glob("*.py")}
    assert files - {"__init__", "__main__"} == set(BENCHES)
    assert set(PARTS) | {"load", "results"} == set(BENCHES)


@pytest.mark.parametrize("name", BENCHES)
def test_bench_says_what_it_asks(name: str) -> None:
    """By its name and as a file, wherever it is called from."""
    by_name = call("-m", "bench", name, "--help")
    as_file = call(str(BENCHES[name]), "--help")

    assert (by_name.returncode, by_name.stderr) == (0, "")
    assert by_name.stdout == as_file.stdout
    assert ast.get_docstring(ast.parse(BENCHES[name].read_text())) is not None
    assert question(BENCHES[name]) in " ".join(by_name.stdout.split())


def test_unknown_bench_is_a_wrong_call() -> None:
    """Exit code 2, with the names that there are."""
    wrong = call("-m", "bench", "nothing")

    assert wrong.returncode == 2
    assert "compare" in wrong.stderr


@pytest.mark.parametrize(
    ("name", "seconds"), [("core", "0.1"), ("journal", "0.1"), ("mesh", "0.5")]
)
def test_bench_writes_its_report(name: str, seconds: str, tmp_path: Path) -> None:
    """A short run prints tables and writes the same as JSON."""
    file = tmp_path / "report.json"
    done = call(
        "-m", "bench", name, "--rounds", "1", "--seconds", seconds, "--warm-up-s", "0",
        "--data-root", str(tmp_path), "--json", str(file),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    report = msgspec.json.decode(file.read_bytes(), type=Report)
    assert report.tables
    assert report.tables[0].title.split()[0] in done.stdout
    assert list(tmp_path.iterdir()) == [file]


def test_results_go_on_after_a_bench_that_fails(tmp_path: Path) -> None:
    """It becomes a line among the goals; what the others measured stands beside it."""
    options = Options(data_root=tmp_path)
    core = outcome("core", ("--rounds", "1"), options, deadline_s=60)
    failed = outcome("core", ("--rounds", "none"), options, deadline_s=60)
    endless = outcome("core", ("--rounds", "100"), options, deadline_s=0.01)

    assert core.tables
    assert core.command == "python -m bench core --rounds 1"
    assert "failed with 2: " in failed.notes[-1]
    assert "it did not end within 0.01 s" in endless.notes[-1]
    rows = [line for line in markdown([core, failed]).splitlines() if line.startswith("| core |")]
    assert len(rows) == 2
    assert rows[1].endswith("| failed |")


def test_load_measures_a_server_of_its_own_and_draws_it(tmp_path: Path) -> None:
    """The whole way: server, generator, figures, JSON, picture."""
    done = call(
        "-m", "bench", "load", "--duration-s", "0.5", "--warm-up-s", "0.2", "--connections", "4",
        "--rate", "50", "--data-root", str(tmp_path), "--json", str(tmp_path / "load.json"),
        "--plot", str(tmp_path / "load.png"),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "contributions/s" in done.stdout
    assert msgspec.json.decode((tmp_path / "load.json").read_bytes())["measured"]["contributions"]
    assert (tmp_path / "load.png").read_bytes().startswith(b"\x89PNG")


def test_load_says_where_nobody_answers() -> None:
    """One line, and exit code 1."""
    refused = call("-m", "bench", "load", "--url", "http://127.0.0.1:9")

    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: cannot log in at http://127.0.0.1:9")
    assert len(refused.stderr.splitlines()) == 1
