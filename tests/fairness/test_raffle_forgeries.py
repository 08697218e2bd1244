"""One thing is forged at a time in the export of a raffle that was fair, and the script has to find it."""

import random
import re

import msgspec
import pytest

from . import forged_prizes, forged_rounds
from .forging import HISTORIES, RAFFLE_FORGERIES, Lines
from .raffles import AMOUNTS, SHARES, draws_in, played, raffle
from .rehearsal import verdict

CONTRIBUTIONS = 600
TEMPLATES = {
    "shared": raffle(raffle={"prizes": [*SHARES, *AMOUNTS]}, withhold_wins_above=12),
    "several": raffle(
        currency="USD",
        raffle={"prizes": [*AMOUNTS, *SHARES], "one_prize_per_player": False},
        ticket={"cost": 0.3, "metric": "Contribution", "accumulate": False},
        withhold_wins_above=30,
    ),
}
CASES = [(forged, name) for forged, (*_, names) in RAFFLE_FORGERIES.items() for name in names]


@pytest.fixture(scope="module")
def histories() -> dict[str, bytes]:
    """The exports of two raffles that are fair."""
    found = {}
    for name in HISTORIES:
        lines = played(TEMPLATES[name], 11, CONTRIBUTIONS).lines()
        assert ("", True) == (verdict(lines)[0], len(draws_in(lines)) > 15)
        found[name] = msgspec.json.encode(lines)
    return found


def test_raffle_forgeries_are_registered() -> None:
    """Both modules have brought theirs."""
    modules = {forge.__module__ for forge, *_ in RAFFLE_FORGERIES.values()}
    assert {forged_prizes.__name__, forged_rounds.__name__} == modules
    assert len(RAFFLE_FORGERIES) > 45


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("forged", "name"), CASES)
def test_check_fairness_finds_in_a_raffle(
    forged: str, name: str, seed: int, histories: dict[str, bytes]
) -> None:
    """Whatever was forged, the script says that it is not fair, where, and what."""
    forge, finding, _ = RAFFLE_FORGERIES[forged]
    lines: Lines = msgspec.json.decode(histories[name])
    forge(lines, random.Random(seed))
    found, _ = verdict(lines)
    assert found.startswith("NOT FAIR: ")
    assert re.search(finding, found)


@pytest.mark.parametrize("name", HISTORIES)
def test_check_fairness_finds_any_one_number_of_a_prize(
    name: str, histories: dict[str, bytes]
) -> None:
    """Every field of every fourth prize, one after another, but the name of its payment."""
    lines: Lines = msgspec.json.decode(histories[name])
    prizes = [prize for line in draws_in(lines) for prize in line["prizes"]]
    assert len(prizes) > 100
    for at, prize in enumerate(prizes[::4]):
        fields = [field for field in prize if field != "round"]
        field = fields[at % len(fields)]
        before = prize[field]
        prize[field] = _other(before)
        assert re.search("prize", verdict(lines)[0])
        prize[field] = before


def _other(value: object) -> object:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return f"{value}x"
        case _:
            return [1, 1]
