"""The placement file: which worker owns which instance, as `config/shards.toml` explains it.

Every problem is told at once, each with its file and line, like those of the settings. Whether an instance exists is
the catalog's business: one that is named before it is made is placed when it is.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from jackpotd.service.configuration import ConfigurationError, nearest, read_document

OFF = "off"
TABLE = "instances"

_TWICE = re.compile(r"(?P<place>.*:(?P<line>\d+)): malformed TOML: Cannot overwrite a value\b.*")


def load_placement(path: Path, workers: int) -> dict[str, int]:
    """The worker of each instance that the file names.

    Raises:
        ConfigurationError: it cannot be read, or names a worker that there is not.
    """
    problems: list[str] = []
    document, lines = read_document(path, problems)
    problems = [_named(path, problem) for problem in problems]

    def place(*keys: str) -> str:
        return f"{path}:{lines[keys]}" if keys in lines else str(path)

    for name in document:
        if name != TABLE:
            hint = nearest(name, {TABLE: f"[{TABLE}]"})
            problems.append(f"{place(name)}: unknown table or setting {name}; {hint}")
    table = document.get(TABLE, {})
    if not isinstance(table, dict):
        problems.append(f"{place(TABLE)}: expected a table [{TABLE}], not a value or a list")
        table = {}
    for instance_id, worker in table.items():
        if reason := _refusal(instance_id, worker, workers):
            problems.append(f"{place(TABLE, instance_id)}: [{TABLE}] {instance_id!r}: {reason}")
    if problems:
        raise ConfigurationError(problems)
    return dict(table)


def _refusal(instance_id: str, worker: Any, workers: int) -> str:
    if not instance_id:
        return "expected the id of an instance"
    if type(worker) is not int:
        return "expected the number of a worker"
    if not 0 <= worker < workers:
        known = "is worker 0 only" if workers == 1 else f"are workers 0 to {workers - 1}"
        return f"there is no worker {worker}; with [service] workers = {workers} there {known}"
    return ""


def _named(path: Path, problem: str) -> str:
    """A key that stands twice is malformed TOML; which one it is helps more than that."""
    match = _TWICE.fullmatch(problem)
    if match is None:
        return problem
    row = path.read_text().splitlines()[int(match["line"]) - 1]
    try:
        (instance_id,) = tomllib.loads(row)
    except ValueError:
        return problem
    return f"{match['place']}: [{TABLE}] {instance_id!r} stands twice"
