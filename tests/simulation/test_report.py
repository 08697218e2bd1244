"""The report: one file that parses, holds the figures and their pictures, and asks nothing of a network."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from jackpotd.simulation import report, wording
from jackpotd.simulation.book import Book
from jackpotd.simulation.figures import Figures

Json = dict[str, Any]
Make = Callable[..., Json]
Simulate = Callable[..., tuple[Figures, Book]]

VOID = {"meta", "br"}


class Strict(HTMLParser):
    """Keeps the texts, and notices a tag that is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


@pytest.fixture(scope="module")
def named() -> str:
    return "<b>Fish & chips<b>"


def test_report_parses_and_holds_every_figure(
    template: Make, pot: Make, simulate: Simulate, named: str
) -> None:
    """Each cell of each table stands in it, names are escaped, and each warning is said."""
    funded = pot(
        id=named,
        seed_contribution={"Percentage": 1},
        seed=0.5,
        strategy={"fund_strategy": "CollectAlways"},
    )
    figures, book = simulate(template(funded, name=named), 40_000)
    page = report.page(figures, book)
    parser = Strict()
    parser.feed(page)
    parser.close()

    assert parser.open == []
    texts = set(parser.texts)
    for section in wording.sections(figures):
        assert section.title in texts
        for row in section.rows:
            assert {cell.strip() for cell in row} <= texts
    for warned in figures.warnings:
        assert warned.code in texts
    assert {named, f"Pot {named}", f"Simulation of {named}"} <= texts
    assert "b" not in parser.tags


def test_report_needs_no_network_and_no_script(
    template: Make, pot: Make, simulate: Simulate
) -> None:
    """Nothing is loaded, and its own policy forbids it."""
    figures, book = simulate(template(pot()), 10_000)
    page = report.page(figures, book)
    parser = Strict()
    parser.feed(page)

    assert "script" not in parser.tags
    for name, value in parser.attributes:
        assert name not in ("src", "href", "xlink:href") or (value or "").startswith("#")
    assert "@import" not in page
    assert "url(" not in page
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in parser.attributes


def test_report_shows_pictures(template: Make, pot: Make, simulate: Simulate) -> None:
    """Returns, liability, awards, stakes between hits, values, ruin: each a picture of its own."""
    funded = pot(seed_contribution={"Percentage": 1}, strategy={"fund_strategy": "CollectAlways"})
    figures, book = simulate(template(funded), 40_000)
    pictures = re.findall(r"<svg.*?</svg>", report.page(figures, book), re.DOTALL)
    titles = ["".join(ET.fromstring(picture).itertext()) for picture in pictures]  # noqa: S314 - our own

    expected = (
        "Returns so far",
        "Liability in the first life",
        "Awards",
        "Stake between hits",
        "The first life",
        "Ruin of the reserve",
    )
    assert len(pictures) == len(expected)
    for title, text in zip(expected, titles, strict=True):
        assert title in text


def test_same_figures_give_the_same_page(template: Make, pot: Make, simulate: Simulate) -> None:
    """Nothing in it is drawn by lot, so reports can be compared."""
    document = template(pot())

    assert report.page(*simulate(document, 5_000)) == report.page(*simulate(document, 5_000))


def test_report_of_a_pot_that_was_never_won(template: Make, pot: Make, simulate: Simulate) -> None:
    """It says so, and shows what there is."""
    rare = {"HitRate": {"max_magic_number": 10**12, "cost_per_attempt": 0.01}}
    page = report.page(*simulate(template(pot(pot_types=[rare])), 300, stake="0"))

    assert "NO_HITS" in page
    assert "Liability in the first life" in page


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, "-"), (1.25, "1.2 s"), (150, "2.5 min"), (9_000, "2.5 h"), (2.5 * 86_400, "2.5 d")],
)
def test_times_are_told_in_units_that_suit(seconds: float | None, expected: str) -> None:
    assert expected == wording.duration(seconds)
