"""Style as a test: lengths, names and words that a reviewer should not have to count or look for.

What ruff, mypy and import-linter can say is theirs; this is the rest of the style guide's numbers.
Tests here name every offender at once, so that one run shows all there is to do.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).resolve().parents[1] / "src" / "jackpotd"
FILES: Final = sorted(SOURCE.rglob("*.py"))

FILE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 60
FORBIDDEN_NAMES: Final = frozenset({"utils", "util", "common", "helpers", "helper"})
LEFT_OVER: Final = re.compile(r"\b(TODO|FIXME|XXX)\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def parsed() -> Iterator[tuple[str, ast.Module]]:
    for path in FILES:
        yield name_of(path), ast.parse(path.read_text(encoding="utf-8"))


def function_lines(function: Function) -> int:
    """The length of a function from its `def` to its end, without its docstring."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        assert docstring.end_lineno is not None
        lines -= docstring.end_lineno - docstring.lineno + 1
    return lines


def test_source_is_where_these_tests_look() -> None:
    """The tests below would pass on an empty folder; there are dozens of files."""
    assert len(FILES) > 50
    assert SOURCE / "cli" / "main.py" in FILES


def test_files_are_short() -> None:
    """A file holds one thing."""
    lengths = {name_of(path): lines_of(path) for path in FILES}
    assert {} == {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX}


def test_functions_are_short() -> None:
    """A function fits on a screen; its docstring does not count."""
    too_long = {
        f"{name}:{node.lineno} {node.name}": function_lines(node)
        for name, module in parsed()
        for node in ast.walk(module)
        if isinstance(node, Function) and function_lines(node) > FUNCTION_LINES_MAX
    }
    assert {} == too_long


def test_modules_are_named_by_what_they_hold() -> None:
    """A module or a package for odds and ends has no subject, so it grows without end."""
    names = {
        part.removesuffix(".py").strip("_") for path in FILES for part in name_of(path).split("/")
    }
    assert set() == names & FORBIDDEN_NAMES


def test_modules_say_what_they_are_for() -> None:
    """Every module, packages too, begins with a docstring."""
    assert [] == [name for name, module in parsed() if not ast.get_docstring(module)]


def test_nothing_is_left_over() -> None:
    """What is still to be done is in the tracker, not in the source."""
    left_over = [
        f"{name_of(path)}:{number} {line.strip()}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if LEFT_OVER.search(line)
    ]
    assert [] == left_over


def test_only_the_command_line_prints() -> None:
    """Everything else logs, or gives its words to whoever called it."""
    prints = [
        f"{name}:{node.lineno}"
        for name, module in parsed()
        if not name.startswith("cli/")
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert [] == prints
