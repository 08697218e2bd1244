"""The settings: what ships in config/, which origin wins, and what is said about a wrong value.

Most tests run over every setting in the catalogue, so a new setting is tested, and must be
documented, from the day that it is written.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from jackpotd.service.configuration import ConfigurationError, load_settings
from jackpotd.service.setting_catalogue import SETTINGS, Setting
from jackpotd.service.settings import Bind, Settings, parse_bind

CONFIG = Path(__file__).parents[2] / "config"
LEVEL = "expected one of debug, error, info, warning"
BIND = 'expected "HOST:PORT" or "off"; an IPv6 address stands in brackets'
UNITS = {"_s": "Seconds", "_bytes": "Bytes", "_gibibytes": "Gibibytes", "_days": "Days"}
PREFIX = st.sampled_from(["https://a.example/", "http://127.0.0.1:9000/in", "http://[::1]:9/"])

every_setting = pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.dotted)


def valid_values(setting: Setting) -> st.SearchStrategy[object]:
    """Values that the setting's own type and range allow."""
    match setting.kind:
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType(ge=low, le=high):
            return st.integers(low, high)
        case inspect.FloatType(gt=above, ge=least, le=high):
            return st.floats(above if least is None else least, high, exclude_min=least is None)
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.VarTupleType():
            return st.lists(PREFIX, max_size=3).map(tuple)
        case _ if setting.field == "bind":
            return st.sampled_from(["off", "0.0.0.0:0", "[::1]:65535", "pots.example.com:80"])
        case _:
            return st.text(min_size=1)


def wrong_values(setting: Setting) -> list[object]:
    """Typed values of a wrong type, and those just outside the range."""
    match setting.kind:
        case inspect.BoolType():
            return [1, 0.0, []]
        case inspect.IntType(ge=int(low), le=int(high)):
            return [low - 1, high + 1, 10**30, 2.5, True, []]
        case inspect.FloatType(gt=above):
            return [
                -0.5 if above is None else above,
                3600.5,
                float("nan"),
                float("inf"),
                -float("inf"),
                True,
            ]
        case inspect.VarTupleType():
            return [3, False, [3], {"a": 1}]
        case _:
            return [3, False, ["info"], {"a": 1}]


def wrong_texts(setting: Setting) -> list[str]:
    """Texts that mean nothing for the setting, or something outside the range."""
    match setting.kind:
        case inspect.BoolType():
            return ["", "maybe", "2", " true"]
        case inspect.IntType(ge=int(low), le=int(high)):
            return ["", "many", "2.5", "nan", "true", "9" * 5000, f"{low - 1}", f"{high + 1}"]
        case inspect.FloatType():
            return ["", "long", "nan", "inf", "-1", "3600.5", "1e999"]
        case inspect.LiteralType():
            return ["", "INFO", "auto,json"]
        case inspect.VarTupleType():
            return []
        case _ if setting.field == "bind":
            return ["", "8084", "localhost", "Off", "127.0.0.1:99999"]
        case _:
            return [""]


def value_in(settings: Settings, setting: Setting) -> object:
    return getattr(getattr(settings, setting.table), setting.field)


def as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def written(folder: Path, text: str) -> Path:
    path = folder / "jackpotd.toml"
    path.write_bytes(text.encode())
    return path


def problems_of(
    path: Path | None, environ: Mapping[str, str] = {}, overrides: Mapping[str, object] = {}
) -> list[str]:
    """What is said about the settings, the file's folder cut off."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path, environ, overrides)
    folder = f"{path.parent}/" if path else ""
    return [problem.removeprefix(folder) for problem in caught.value.problems]


def test_shipped_file_loads_to_exactly_the_defaults() -> None:
    """Starting with the shipped file is the same as starting with none."""
    assert Settings() == load_settings(CONFIG / "jackpotd.toml", {})


def test_shipped_file_holds_every_setting_and_no_other() -> None:
    """Each setting stands in the shipped file, with its default, in the catalogue's order."""
    document = tomllib.loads((CONFIG / "jackpotd.toml").read_text())
    assert json.dumps(msgspec.to_builtins(Settings())) == json.dumps(document)


@every_setting
def test_shipped_file_describes_the_setting(setting: Setting) -> None:
    """The comment above a setting has its description, unit, range, default and variable."""
    text = (CONFIG / "jackpotd.toml").read_text()
    table = text.split(f"\n[{setting.table}]\n")[1].split("\n[")[0]
    (comment,) = re.findall(rf"((?:#.*\n)+){setting.field} = ", table)
    description, facts = comment.replace("# ", "").splitlines()
    assert setting.description == description
    assert facts.endswith(f" Default: {json.dumps(setting.default)}. {setting.variable}")
    for suffix, unit in UNITS.items():
        if setting.field.removesuffix("_max").endswith(suffix):
            assert facts.startswith(f"{unit}, ")
    assert not setting.range or f", {setting.range}. " in facts
    assert all(f'"{choice}"' in facts for choice in setting.choices)


@every_setting
def test_setting_has_a_limit_and_one_line_of_description(setting: Setting) -> None:
    """Every number has both ends of its range, and every setting one sentence."""
    if isinstance(setting.kind, inspect.IntType | inspect.FloatType):
        assert setting.kind.le is not None
        assert (setting.kind.ge is None) != (setting.kind.gt is None)
    assert re.fullmatch(r"[A-Z].+\.", setting.description)


@every_setting
@given(data=st.data())
def test_environment_with_a_valid_value_sets_that_setting_only(
    setting: Setting, data: st.DataObject
) -> None:
    """A variable sets its own setting to its own value and leaves the rest at the defaults."""
    value = data.draw(valid_values(setting))
    loaded = load_settings(None, {setting.variable: as_text(value)})
    assert value == value_in(loaded, setting)
    for other in SETTINGS:
        if other != setting:
            assert other.default == value_in(loaded, other)


@every_setting
@given(data=st.data())
def test_override_with_a_valid_value_wins_over_the_environment(
    setting: Setting, data: st.DataObject
) -> None:
    """The command line wins, whether it brings a typed value or its text."""
    value = data.draw(valid_values(setting))
    environ = {setting.variable: as_text(data.draw(valid_values(setting)))}
    for override in (value, as_text(value)):
        loaded = load_settings(None, environ, {setting.dotted: override})
        assert value == value_in(loaded, setting)


@every_setting
def test_wrong_value_in_the_file_is_refused_with_its_line(setting: Setting, tmp_path: Path) -> None:
    """A value of a wrong type or out of range stops, with the file and the line."""
    for value in wrong_values(setting):
        toml = json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")
        text = f"# one\n[{setting.table}]\n\n{setting.field} = {toml.replace(': ', ' = ')}\n"
        (problem,) = problems_of(written(tmp_path, text))
        assert problem.startswith(f"jackpotd.toml:4: {setting.label} = ")
        assert f": expected {setting.expectation}" in problem


@every_setting
def test_wrong_variable_or_override_is_refused_with_its_name(setting: Setting) -> None:
    """A text, or a typed override, that the setting cannot hold stops, in one short line."""
    problems = []
    for text in wrong_texts(setting):
        problems += problems_of(None, {setting.variable: text})
    for value in (*wrong_texts(setting), *wrong_values(setting)):
        problems += problems_of(None, {}, {setting.dotted: value})
    assert 2 * len(wrong_texts(setting)) + len(wrong_values(setting)) == len(problems)
    for problem in problems:
        assert problem.startswith((f"{setting.variable} = ", f"command line: {setting.dotted} = "))
        assert ": expected " in problem
        assert len(problem) < 200


def test_list_as_a_text_is_comma_separated() -> None:
    """A list is read from a text without brackets."""
    text = "https://a.example/,http://127.0.0.1:9000/"
    loaded = load_settings(None, {"JACKPOTD_WEBHOOKS_ALLOW": text})
    assert loaded.webhooks.allow == ("https://a.example/", "http://127.0.0.1:9000/")


@pytest.mark.parametrize(
    "prefix", ["", "a.example", "ftp://a.example/", "https://user@a.example/", "https:///path"]
)
def test_webhook_target_that_is_no_prefix_stops_the_start(prefix: str, tmp_path: Path) -> None:
    """Scheme and host are required and user info is refused, with the line and the entry."""
    text = f"[webhooks]\nallow = ['https://a.example/', '{prefix}']\n"
    (problem,) = problems_of(written(tmp_path, text))
    assert problem.startswith("jackpotd.toml:2: [webhooks] allow = ")
    assert f": {prefix}: " in problem


@pytest.mark.parametrize("text", ["true", "YES", "1", "false", "No", "0"])
def test_boolean_variable_takes_three_spellings(text: str) -> None:
    """true, yes and 1 are one thing, false, no and 0 the other, in either case."""
    loaded = load_settings(None, {"JACKPOTD_WALLET_EMBEDDED": text})
    assert (text in {"true", "YES", "1"}) is loaded.wallet.embedded


def test_environment_wins_over_the_file_and_the_command_line_over_both(tmp_path: Path) -> None:
    """Each origin overrides the one below it and leaves the rest of the file alone."""
    text = "service = {data_dir = 'a', drain_deadline_s = 3}\n[limits]\nbody_bytes_max = 5\n"
    environ = {"JACKPOTD_SERVICE_DATA_DIR": "b", "JACKPOTD_SERVICE_DRAIN_DEADLINE_S": "2"}
    overrides = {"service.data_dir": Path("c"), "limits.body_bytes_max": None}
    loaded = load_settings(written(tmp_path, text), environ, overrides)
    assert loaded.service.data_dir == "c"
    assert loaded.service.drain_deadline_s == 2.0
    assert loaded.limits.body_bytes_max == 5


def test_foreign_variables_are_left_alone() -> None:
    """Only names with our prefix, as it is written, are read."""
    assert Settings() == load_settings(None, {"PATH": "/", "jackpotd_log": "", "MY_JACKPOTD_": ""})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[gateway]\nbnid = 1", "2: unknown setting [gateway] bnid; did you mean bind?"),
        ("[wallet]\nzzz = 1", "2: unknown setting [wallet] zzz; the nearest known is embedded"),
        ("[admin]\nlevel = 1", "2: unknown setting [admin] level; did you mean [log] level?"),
        ("\n[walet]\nembedded = true", "2: unknown table [walet]; did you mean [wallet]?"),
        ("level = 1", "1: unknown setting level outside any table; did you mean [log] level?"),
        ("[[log]]", "1: expected a table [log], not a value or a list"),
        ("[[walet]]", "1: unknown table [walet]; did you mean [wallet]?"),
        ("log.level = 'inof'", f"1: [log] level = 'inof': {LEVEL}; did you mean info?"),
        ("admin.bind = 'a:'", f"1: [admin] bind = 'a:': {BIND}"),
        ("[admin]\nbind = off", "2: malformed TOML: Invalid value (column 8)"),
        ("[log]\n[log]\n", "2: malformed TOML: Cannot declare ('log',) twice (column 5)"),
        ("[log]\nlevel = '''\n", "2: malformed TOML: Expected \"'''\" (end of file)"),
    ],
)
def test_file_problem_names_line_and_nearest_name(text: str, expected: str, tmp_path: Path) -> None:
    """Each kind of mistake in a file is told by its line and what was probably meant."""
    assert [f"jackpotd.toml:{expected}"] == problems_of(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[log]\n"bnid" = 1\n', 2),
        ("[ 'log' ]\n# bnid = 0\n\n  'bnid' = 1\n", 4),
        ("# log\nlog.level = 'info'\nlog . bnid = 1\n", 3),
        ("\r\nlog = { level = 'info', bnid = 1 }\r\n", 2),
        ("[log.bnid]\nx = 1\n", 1),
        ("[wallet]\n[[log.bnid]]\nx = 1\n", 2),
        ("[log]\nlevel = '''info'''\nbnid = [\n  1,\n  2,\n]\n", 3),
        ("[service]\ndata_dir = '''\n[log]\nbnid = 1\n'''\n[log]\nbnid = 1", 7),
        ("[service]\ndata_dir = 'a\u2028b'\n[log]\nbnid = 1\n", 4),
    ],
)
def test_line_is_found_however_the_setting_is_written(text: str, line: int, tmp_path: Path) -> None:
    """Quoted and dotted keys, inline tables and long values do not mislead the line."""
    (problem,) = problems_of(written(tmp_path, text))
    assert problem.startswith(f"jackpotd.toml:{line}: unknown setting [log] bnid; ")


def test_unreadable_file_is_a_problem_like_any_other(tmp_path: Path) -> None:
    """A file that is missing, a folder, not UTF-8 or absurd is refused in the same way."""
    missing = "none.toml: cannot be read: No such file or directory"
    assert problems_of(tmp_path / "none.toml") == [missing]
    assert problems_of(tmp_path) == [f"{tmp_path.name}: cannot be read: Is a directory"]
    (tmp_path / "jackpotd.toml").write_bytes(b"[log]\n\n# caf\xe9\n")
    assert problems_of(tmp_path / "jackpotd.toml") == ["jackpotd.toml:3: malformed TOML: not UTF-8"]
    for absurd in (f"a = {'[' * 100_000}", f"a = {'9' * 10_000}"):
        (problem,) = problems_of(written(tmp_path, absurd))
        assert "malformed TOML: " in problem


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("JACKPOTD_GATEWAY_BNID", "did you mean JACKPOTD_GATEWAY_BIND?"),
        ("JACKPOTD_LOG_LEVEL_", "did you mean JACKPOTD_LOG_LEVEL?"),
        ("JACKPOTD_QQ", "the nearest known is JACKPOTD_"),
    ],
)
def test_unknown_variable_names_the_nearest(variable: str, expected: str) -> None:
    """A variable with our prefix that is no setting stops, and is not just ignored."""
    (problem,) = problems_of(None, {variable: "1"})
    assert problem.startswith(f"{variable}: unknown setting; {expected}")


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    """One start tells all that is wrong: in the file, the environment and the command line."""
    path = written(tmp_path, "[log]\nlevel = 1\nlevle = 1\n[walet]\n")
    overrides = {"log.colour": 1, "log.level": "loud"}
    problems = problems_of(path, {"JACKPOTD_LOG_FORMAT": "xml"}, overrides)
    begins = [
        "jackpotd.toml:2: [log] level = 1: ",
        "jackpotd.toml:3: unknown setting [log] levle; ",
        "jackpotd.toml:4: unknown table [walet]; ",
        "JACKPOTD_LOG_FORMAT = 'xml': ",
        "command line: unknown setting log.colour; ",
        "command line: log.level = 'loud': ",
    ]
    for begin, problem in zip(begins, problems, strict=True):
        assert problem.startswith(begin)


@pytest.mark.parametrize("text", ["127.0.0.1:8084", "127.9.9.9:0", "[::1]:80", "Localhost:65535"])
def test_bind_to_this_machine_is_loopback(text: str) -> None:
    """127.0.0.0/8, ::1 and localhost are reached from this machine only."""
    bind = parse_bind(text)
    assert isinstance(bind, Bind)
    assert bind.is_loopback
    assert text == str(bind)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "128.0.0.1", "localhost.example"])  # noqa: S104
def test_bind_to_anything_else_is_not_loopback(host: str) -> None:
    """Every interface, another address and a name that only looks local are not loopback."""
    assert not Bind(host, 80).is_loopback


def test_bind_is_parsed_to_an_address_or_none() -> None:
    """A listener has its host and port, and none when it is off."""
    loaded = load_settings(None, {"JACKPOTD_GATEWAY_BIND": "off", "JACKPOTD_ADMIN_BIND": "[::1]:0"})
    assert loaded.gateway.address is None
    assert Bind("::1", 0) == loaded.admin.address


@pytest.mark.parametrize(
    "text",
    [
        *("", ":80", "host", "host:", "host:x", "host:-1", "host:65536", "host:99999999", "a b:1"),
        *("::1:80", "[::1]", "[]:80", "[host]:80", "[127.0.0.1]:80", "http://host:80", "OFF"),
        *("256.0.0.1:80", "127.1:80", "1:80", "host:80 ", "host:80\n", "host:\u0661", "-a:1"),
    ],
)
def test_bind_of_another_form_is_refused_with_a_reason(text: str) -> None:
    """Nothing is guessed: half an address or a port out of range says what was expected."""
    with pytest.raises(ValueError, match=r"^expected "):
        parse_bind(text)
