"""One thing is forged at a time in the export of a history that is fair, and the script has to find it.

Each forgery is made where the secret has been revealed later; what is still sealed cannot be checked by anybody yet.
"""

import random
import re
from collections.abc import Sequence

import msgspec
import pytest

from . import forged_draws, forged_wins
from .forging import FORGERIES, Lines, is_revealed, lines_of
from .rehearsal import rehearsed, showcase, verdict

CONTRIBUTIONS = 1_200


@pytest.fixture(scope="module")
def histories() -> dict[str, bytes]:
    """The exports of a jackpot that pays all pots that tip, and of one that pays the highest."""
    found = {}
    for selector in ("All", "Highest"):
        lines = rehearsed(showcase(selector), 11, CONTRIBUTIONS).lines()
        assert ("", True) == (verdict(lines)[0], len(lines) > CONTRIBUTIONS)
        found[selector] = msgspec.json.encode(lines)
    return found


def test_forgeries_are_registered() -> None:
    """Both modules have brought theirs."""
    modules = {forge.__module__ for forge, _ in FORGERIES.values()}
    assert {forged_draws.__name__, forged_wins.__name__} == modules
    assert len(FORGERIES) > 35


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("forged", FORGERIES)
def test_check_fairness_finds(forged: str, seed: int, histories: dict[str, bytes]) -> None:
    """Whatever was forged, the script says that it is not fair, where, and what."""
    forge, finding = FORGERIES[forged]
    lines: Lines = msgspec.json.decode(histories["All"])
    forge(lines, random.Random(seed))
    found, _ = verdict(lines)
    assert found.startswith("NOT FAIR: ")
    assert re.search(finding, found)


def test_check_fairness_finds_a_pot_paid_that_was_not_to_be_selected(
    histories: dict[str, bytes],
) -> None:
    """Where the highest pot is paid, the lowest would have been another: the rules decide, not who reports."""
    lines: Lines = msgspec.json.decode(histories["Highest"])
    lines[1]["rules"]["selector"] = "Lowest"
    assert re.search("tipped, and was not won", verdict(lines)[0])


def test_check_fairness_finds_any_one_number_of_a_draw(histories: dict[str, bytes]) -> None:
    """Every tenth draw of the first cycles, one after another."""
    lines: Lines = msgspec.json.decode(histories["All"])[:400]
    while lines[-1]["type"] not in ("seal", "reveal"):
        lines.pop()
    assert "" == verdict(lines)[0]
    draws: Sequence[list[int]] = [
        each
        for at, line in lines_of(lines, "contribution")
        for each in line["draws"]
        if is_revealed(lines, at, each[0])
    ]
    assert len(draws) > 100
    for each in draws[::10]:
        each[1] += 1
        assert re.search("a draw for", verdict(lines)[0])
        each[1] -= 1
