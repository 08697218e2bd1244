"""The script of the docs: it accepts what is fair, and it stands on its own feet."""

import ast
import importlib.util
import random
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
import trio

from jackpotd.core import hit_rate
from jackpotd.core.fairness import PotStream
from jackpotd.core.rules import HIT_RATE_MAX
from jackpotd.core.state import Contributor
from jackpotd.core.winners import payable
from jackpotd.service.fairness_lines import Line
from jackpotd.testing.templates import EVERYTHING, random_template

from .rehearsal import SCRIPT, as_read, rehearsed, showcase, verdict, wins_in

LINES_MAX = 345
SELECTORS = ("All", "Highest", "Lowest")


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_fairness", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("selector", SELECTORS)
def test_check_fairness_accepts_hundreds_of_cycles(selector: str) -> None:
    """Every kind of tip, of share and of operator's deed, under each strategy; each revealed cycle has its line."""
    played = rehearsed(showcase(selector), 7, 3_000)
    lines = played.lines()
    found, printed = verdict(lines)
    assert "" == found
    tips = Counter((win["pot"], win["tip"]) for _, win in wins_in(lines))
    assert {
        ("hits", "HitRate"),
        ("hidden", "Value"),
        ("hidden", "HitRate"),
        ("timed", "Time"),
        ("timed", "TimeFallback"),
        ("rolling", "Time"),
        ("funded", "HitRate"),
        ("funded", "Value"),
    } <= set(tips)
    assert sum(tips.values()) > 500
    reveals = [line for line in lines if line["type"] == "reveal"]
    fair = [line for line in printed.splitlines() if " fair:" in line]
    assert len(reveals) == len(fair)
    assert 3_000 == sum(line["type"] == "contribution" for line in lines)
    assert {"trigger", "window", "rules", "state"} <= {line["type"] for line in lines}
    shares = Counter(share["strategy"] for _, win in wins_in(lines) for share in win["community"])
    assert {0, 1, 2} == set(shares)


@pytest.mark.parametrize("seed", range(40))
def test_check_fairness_accepts_random_templates(seed: int) -> None:
    """Whatever an operator may write, with all features of this version."""
    template = random_template(random.Random(seed), features=EVERYTHING)
    template["contribution_rules"]["opt_in_required"] = False
    assert ("", True) == (verdict(rehearsed(template, seed, 400).lines())[0], True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1_000, 1_400))
def test_check_fairness_accepts_many_random_templates(seed: int) -> None:
    """The same for longer."""
    template = random_template(random.Random(seed), features=EVERYTHING)
    template["contribution_rules"]["opt_in_required"] = False
    assert "" == verdict(rehearsed(template, seed, 1_500).lines())[0]


def test_check_fairness_needs_the_standard_library_alone() -> None:
    """Short, and without an import that Python does not bring along."""
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= LINES_MAX
    imported = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert imported <= sys.stdlib_module_names


def run(path: Path) -> subprocess.CompletedProcess[str]:
    """As an outsider runs it: no packages, no environment."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT), str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_check_fairness_as_a_program(tmp_path: Path) -> None:
    """Exit status 0 with a line for each cycle; 1 and the place of the first thing that is not fair."""
    lines = rehearsed(showcase(), 3, 400).lines()
    path = tmp_path / "export.jsonl"
    write(path, lines)
    done = run(path)
    assert (0, "") == (done.returncode, done.stderr)
    assert "i hits 1 fair: " in done.stdout
    at, line = next((at, line) for at, line in enumerate(lines, 1) if line.get("draws"))
    line["draws"][0][1] += 1
    write(path, lines)
    done = run(path)
    assert 1 == done.returncode
    said = f"NOT FAIR: line {at}, contribution {line['number']}: a draw for {line['draws'][0][0]}"
    assert done.stderr.startswith(said)


def write(path: Path, lines: list[Line]) -> None:
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


def test_check_fairness_threshold_is_the_cores_to_the_last_bit() -> None:
    """Its own formula at 80 digits and the core's fixed point are within 1 of 2^64, for whatever may be asked."""
    threshold, rng = script().threshold, random.Random(5)
    for _ in range(1_000):
        outcomes = rng.choice((1, 2, 3, rng.randint(1, 1_000), rng.randint(1, HIT_RATE_MAX)))
        cost = rng.choice((0, 1, 10**7, rng.randint(1, 10**12)))
        worth = rng.choice((0, 1, 10**7, rng.randint(1, 10**13)))
        expected: Decimal = threshold(outcomes, cost, worth)
        assert abs(hit_rate.threshold(outcomes, cost, worth) - expected) <= 1


def test_check_fairness_draws_are_the_cores() -> None:
    """Its own reading of the streams, against the core's."""
    secret = bytes(range(32))
    own, core = script().Secret(secret), PotStream(secret)
    for place in (0, 1, 255, 256, 1_000_000):
        assert core.draw(2, place) == own.draw(2, place)
    for bound in (1, 2, 6, 10**9, (1 << 127) + 1):
        numbers = [core.uniform("lot 0", place, bound) for place in range(50)]
        assert numbers == [own.below(bound, f"lot 0 {place}") for place in range(50)]


def test_check_fairness_sums_are_the_cores() -> None:
    """What a player can be paid, over currencies and rates."""
    rng = random.Random(9)
    for _ in range(1_000):
        currency = rng.choice(("EUR", "JPY", "KWD", "CLF"))
        rates = (rng.randint(1, 10**12), rng.choice((10**8, rng.randint(1, 10**12))))
        who = Contributor("b", "p", currency, *rates)
        step = {"EUR": 10**6, "JPY": 10**8, "KWD": 10**5, "CLF": 10**4}[currency]
        units = rng.randint(0, 10**14)
        own = script_payable(units, {"rates": rates, "minor_unit": step})
        assert payable(units, who) == own


script_payable = script().payable


def test_check_fairness_passes_over_what_was_before_there_were_seals() -> None:
    """An instance of an older version: nothing of it can be checked until its pots are sealed, then all of it."""
    lines = rehearsed(showcase(), 5, 300).lines()
    seals = [line for line in lines if line["type"] == "seal" and not line["first"]]
    assert 5 == len(seals)
    old = {"instance": "i", "at_ms": lines[2]["at_ms"]}
    values = lines[2]["values"]
    before: list[Line] = [
        {
            **old,
            "type": "contribution",
            "number": number,
            "round": "r",
            "brand": "op:a",
            "player": "p1",
            "currency": "EUR",
            "rates": [1, 1],
            "minor_unit": 10**6,
            "worth": 0,
            "attended": False,
            "draws": [["hits", 1, 2]],
            "lots": [],
            "values": values,
            "unfunded": [],
            "wins": [],
            "held": [],
        }
        for number in (1, 2)
    ]
    for line in lines:
        if line["type"] == "contribution":
            line["number"] += 2
        elif line["type"] == "seal":
            line["first"] += 2
    state = {**lines[2], "after": ["Contributed"]}
    assert ("", True) == (verdict([*lines[:2], state, *before, *lines[2:]])[0], True)


def test_check_fairness_checks_the_last_cycles_of_a_jackpot_that_is_over() -> None:
    """When it is terminated, every secret is revealed: nothing is left that cannot be checked."""
    played = rehearsed(showcase(), 6, 300)
    again = played.again()
    trio.run(again.end)
    found, printed = verdict(again.lines())
    assert "" == found
    assert "not checked" not in printed


def test_check_fairness_says_what_it_could_not_check() -> None:
    """A pot whose secrets are kept back altogether is named: an empty proof is none."""
    lines = rehearsed(showcase(), 5, 100).lines()
    kept = [
        line
        for line in lines
        if not (line["type"] in ("seal", "reveal") and line["pot"] == "timed")
    ]
    found, printed = verdict(kept)
    assert "" == found
    assert "i timed 0 not checked: 100 contributions, nothing revealed" in printed.splitlines()


def test_check_fairness_refuses_a_format_that_it_does_not_know() -> None:
    """It does not call fair what it cannot read."""
    lines = [as_read({"type": "export", "format": 2, "units_in_1": 10**8})]
    assert "another format" in verdict(lines)[0]
