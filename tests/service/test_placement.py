"""The placement file: what it says, and what is said about a wrong one."""

from pathlib import Path

import pytest

from jackpotd.service.configuration import ConfigurationError
from jackpotd.service.placement import load_placement

CONFIG = Path(__file__).parents[2] / "config"


def written(folder: Path, text: str) -> Path:
    path = folder / "shards.toml"
    path.write_bytes(text.encode())
    return path


def problems_of(path: Path, workers: int = 2) -> list[str]:
    """What is said about a placement, the file's folder cut off."""
    with pytest.raises(ConfigurationError) as caught:
        load_placement(path, workers)
    return [problem.removeprefix(f"{path.parent}/") for problem in caught.value.problems]


def test_each_instance_has_its_worker(tmp_path: Path) -> None:
    """Names are taken as they stand, quoted or not."""
    text = '[instances]\n"a b" = 0\nplain-name = 1\n'
    assert {"a b": 0, "plain-name": 1} == load_placement(written(tmp_path, text), 2)


@pytest.mark.parametrize("text", ["", "# nothing\n", "[instances]\n"])
def test_nothing_placed_is_a_placement(tmp_path: Path, text: str) -> None:
    """What is not named is placed by its hash."""
    assert load_placement(written(tmp_path, text), 1) == {}


def test_shipped_file_places_nothing() -> None:
    """It explains; which jackpots are busy, the operator knows."""
    assert load_placement(CONFIG / "shards.toml", 1) == {}


def test_shipped_file_shows_an_example_that_works(tmp_path: Path) -> None:
    """The commented lines, as they would be written."""
    lines = (CONFIG / "shards.toml").read_text().splitlines()
    example = [line[2:] for line in lines if line.startswith(("# [instances]", '# "'))]
    assert sorted(load_placement(written(tmp_path, "\n".join(example)), 2).values()) == [0, 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[instances]\n"x" = 2\n',
            "2: [instances] 'x': there is no worker 2; with [service] workers = 2 there are workers 0 to 1",
        ),
        ('[instances]\n\n"x" = -1\n', "3: [instances] 'x': there is no worker -1; "),
        ('[instances]\n"x" = "one"\n', "2: [instances] 'x': expected the number of a worker"),
        ('[instances]\n"x" = true\n', "2: [instances] 'x': expected the number of a worker"),
        ('[instances]\n"" = 0\n', "2: [instances] '': expected the id of an instance"),
        ('[instances]\n"x" = 0\n"y" = 1\n"x" = 1\n', "4: [instances] 'x' stands twice"),
        ('[instances]\nx = 0\n"x" = 0\n', "3: [instances] 'x' stands twice"),
        ("[instance]\nx = 0\n", "1: unknown table or setting instance; did you mean [instances]?"),
        ("workers = 2\n", "1: unknown table or setting workers; the nearest known is [instances]"),
        ("instances = 1\n", "1: expected a table [instances], not a value or a list"),
        ("[[instances]]\nx = 0\n", "1: expected a table [instances], not a value or a list"),
        ("[instances]\nx = \n", "2: malformed TOML: "),
    ],
)
def test_problem_names_file_and_line(tmp_path: Path, text: str, expected: str) -> None:
    """Each kind of mistake is told by its line."""
    (problem,) = problems_of(written(tmp_path, text))
    assert problem.startswith(f"shards.toml:{expected}")


def test_all_problems_are_told_together(tmp_path: Path) -> None:
    """One start tells all that is wrong."""
    problems = problems_of(written(tmp_path, "[instances]\na = 7\nb = 'x'\n[other]\n"))
    assert ["4", "2", "3"] == [problem.split(":")[1] for problem in problems]


def test_one_worker_has_one_number(tmp_path: Path) -> None:
    """The message says what there is."""
    (problem,) = problems_of(written(tmp_path, "[instances]\nx = 1\n"), workers=1)
    assert problem.endswith("with [service] workers = 1 there is worker 0 only")


def test_file_that_cannot_be_read_is_a_problem_like_any_other(tmp_path: Path) -> None:
    """A missing file stops the start."""
    path = tmp_path / "shards.toml"
    assert ["shards.toml: cannot be read: No such file or directory"] == problems_of(path)
