"""Reading the settings: the file, then the environment, then the command line, the last wins.

Owns where a value may come from and what is said about a wrong one: every problem at once, each
with its file and line or its variable, and the nearest known name. It must never guess: a value
that is overridden later is checked all the same, and an unknown name stops the start.
"""

import os
import re
import reprlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from jackpotd.service.setting_catalogue import SETTINGS, Setting
from jackpotd.service.settings import Settings

_PREFIX = "JACKPOTD_"
_BY_NAME = {(setting.table, setting.field): setting for setting in SETTINGS}
_BY_DOTTED = {setting.dotted: setting for setting in SETTINGS}
_BY_VARIABLE = {setting.variable: setting for setting in SETTINGS}
_TABLES = tuple(dict.fromkeys(setting.table for setting in SETTINGS))
_BOOLEAN_WORDS = {"yes": "true", "no": "false"}
_TOML_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


class ConfigurationError(Exception):
    """The configuration cannot be used; `problems` holds one line for each reason."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class _Given(NamedTuple):
    """One value from one origin, before it is checked."""

    setting: Setting
    origin: str  # how a message names it: "FILE:LINE: [table] field", or the variable
    value: object


def load_settings(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object] = {}
) -> Settings:
    """Read the settings, or raise ConfigurationError with every problem found.

    Without a path only the defaults, the environment and the overrides count. Overrides are keyed
    "table.field"; `None` means that the option was not given, a text is read as in the environment.
    """
    problems: list[str] = []
    values: dict[str, dict[str, object]] = {}
    for entry in chain(
        _from_file(path, problems) if path is not None else (),
        _from_environment(environ, problems),
        _from_overrides(overrides, problems),
    ):
        try:
            value = _checked(entry)
        except ValueError as error:
            problems.append(f"{entry.origin} = {reprlib.repr(entry.value)}: {error}")
        else:
            values.setdefault(entry.setting.table, {})[entry.setting.field] = value
    if problems:
        raise ConfigurationError(problems)
    return msgspec.convert(values, Settings)


def _checked(given: _Given) -> object:
    setting = given.setting
    try:
        group = msgspec.convert({setting.field: given.value}, setting.group)
    except msgspec.ValidationError as error:
        # A reason of our own (a bind's) arrives as the cause; msgspec's words name no setting.
        if error.__cause__ is not None:
            raise ValueError(str(error.__cause__)) from None
        reason = f"expected {setting.expectation}"
        if setting.choices and isinstance(given.value, str):
            reason += f"; {nearest(given.value, _same(setting.choices))}"
        raise ValueError(reason) from None
    return getattr(group, setting.field)


def _from_text(text: str, setting: Setting) -> object:
    """Turn a text into what the file would have held; what cannot be turned stays a text."""
    if isinstance(setting.default, tuple):
        return text.split(",") if text else []
    if isinstance(setting.default, bool):
        text = _BOOLEAN_WORDS.get(text.lower(), text)
    try:
        return msgspec.convert(text, type(setting.default), strict=False)
    except msgspec.ValidationError:
        return text


def _from_file(path: Path, problems: list[str]) -> Iterator[_Given]:
    document, lines = read_document(path, problems)

    def place(*keys: str) -> str:
        return f"{path}:{lines[keys]}" if keys in lines else str(path)

    for table, body in document.items():
        if table not in _TABLES and not isinstance(body, dict | list):
            problems.append(f"{place(table)}: {_unknown_outside(table)}")
        elif table not in _TABLES:
            hint = nearest(table, {name: f"[{name}]" for name in _TABLES})
            problems.append(f"{place(table)}: unknown table [{table}]; {hint}")
        elif not isinstance(body, dict):
            problems.append(f"{place(table)}: expected a table [{table}], not a value or a list")
        else:
            for field, value in body.items():
                setting = _BY_NAME.get((table, field))
                if setting is None:
                    problems.append(f"{place(table, field)}: {_unknown_in(table, field)}")
                else:
                    yield _Given(setting, f"{place(table, field)}: {setting.label}", value)


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> Iterator[_Given]:
    # The prefix is cut off before names are compared: shared by all, it would make all alike.
    known = {name.removeprefix(_PREFIX): name for name in _BY_VARIABLE}
    for name in sorted(environ):
        if not name.startswith(_PREFIX):
            continue
        setting = _BY_VARIABLE.get(name)
        if setting is None:
            hint = nearest(name.removeprefix(_PREFIX), known)
            problems.append(f"{name}: unknown setting; {hint}")
        else:
            yield _Given(setting, name, _from_text(environ[name], setting))


def _from_overrides(overrides: Mapping[str, object], problems: list[str]) -> Iterator[_Given]:
    for name, value in overrides.items():
        setting = _BY_DOTTED.get(name)
        if setting is None:
            hint = nearest(name, _same(_BY_DOTTED))
            problems.append(f"command line: unknown setting {name}; {hint}")
        elif value is not None:
            plain = os.fspath(value) if isinstance(value, os.PathLike) else value
            if isinstance(plain, str):
                plain = _from_text(plain, setting)
            yield _Given(setting, f"command line: {name}", plain)


def _unknown_in(table: str, field: str) -> str:
    namesake = next((setting for setting in SETTINGS if setting.field == field), None)
    if namesake is not None:
        hint = f"did you mean {namesake.label}?"
    else:
        fields = (setting.field for setting in SETTINGS if setting.table == table)
        hint = nearest(field, _same(fields))
    return f"unknown setting [{table}] {field}; {hint}"


def _unknown_outside(name: str) -> str:
    known = {setting.field: setting.label for setting in reversed(SETTINGS)}
    known |= {setting.dotted: setting.label for setting in SETTINGS}
    return f"unknown setting {name} outside any table; {nearest(name, known)}"


def _same(names: Iterable[str]) -> dict[str, str]:
    return {name: name for name in names}


def nearest(name: str, known: Mapping[str, str]) -> str:
    """Name the nearest of the known names, each shown as the mapping says."""
    if close := get_close_matches(name, known, n=1):
        return f"did you mean {known[close[0]]}?"
    return f"the nearest known is {known[get_close_matches(name, known, n=1, cutoff=0.0)[0]]}"


def read_document(
    path: Path, problems: list[str]
) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    """Reads a TOML file, and the line of each table and each key in one; what is wrong joins the problems."""
    text = ""
    try:
        text = path.read_bytes().decode()
        return tomllib.loads(text), _locate(text)
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problems.append(f"{path}:{line}: malformed TOML: not UTF-8")
    except (ValueError, RecursionError) as error:
        problems.append(_malformed(path, text, str(error)))
    return {}, {}


def _malformed(path: Path, text: str, reason: str) -> str:
    match = _TOML_PLACE.search(reason)
    if match is None:
        return f"{path}: malformed TOML: {reason}"
    line = match["line"] or str(text.rstrip("\n").count("\n") + 1)
    column = f" (column {match['column']})" if match["column"] else " (end of file)"
    return f"{path}:{line}: malformed TOML: {reason[: match.start()]}{column}"


def _locate(text: str) -> dict[tuple[str, ...], int]:
    """Find the line on which each table and each setting of a well-formed document begins.

    tomllib keeps no lines, but each statement of a well-formed document also parses alone, and a
    part of one does not. So lines are gathered until they parse: quoted and dotted keys, inline
    tables and values over many lines need no rules of their own.
    """
    lines: dict[tuple[str, ...], int] = {}
    header: tuple[str, ...] = ()
    pending, first = "", 1
    for number, row in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        pending += row + "\n"
        try:
            statement = tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue
        paths = list(_paths(statement))
        if pending.lstrip().startswith("["):
            header = paths[-1]
        else:
            paths = [header + path for path in paths]
        for path in paths:
            lines.setdefault(path, first)
        pending, first = "", number + 1
    return lines


def _paths(document: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in document.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, inner) for inner in value)
