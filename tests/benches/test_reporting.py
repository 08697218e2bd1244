"""Goals, skipped parts and what is written for people and for programs."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from bench import compare
from bench.generator.plan import Measured, histogram, latency, share_within
from bench.reporting.command import Options
from bench.reporting.plot import plot
from bench.reporting.render import CAVEATS, markdown
from bench.reporting.report import Goal, Report, Table, goal_of, ratio_goal
from bench.servers.subjects import OURS, QUART_ECHO, REDIS, TRIO_ECHO
from bench.servers.turns import Turn


def encoded(*ms: float) -> str:
    made = histogram()
    for each in ms:
        made.record_value(round(each * 1000))
    text: bytes = made.encode()
    return text.decode()


def measured(rate: float) -> Measured:
    return Measured(
        duration_s=2.0,
        contributions=round(2 * rate),
        statuses={200: round(2 * rate)},
        latency=encoded(1, 2, 3),
        service={200: encoded(1, 2, 3)},
        unanswered=0,
        unsent=0,
        lost=0,
        reconnects=0,
        timeline=[5, 10, 10],
        generator_cpu=0.5,
    )


def test_ratio_is_the_median_of_each_round_s_own() -> None:
    """A machine that drifts moves both sides of a round."""
    goal = ratio_goal("ours / theirs", 3, [300, 900, 100], [100, 200, 50])

    assert (goal.value, goal.low, goal.high, goal.is_met) == (3.0, 2.0, 4.5, True)
    assert goal.verdict == "not decided"
    assert ratio_goal("ours / theirs", 3, [300], None).verdict == "skipped"


@pytest.mark.parametrize(
    ("value", "is_at_most", "verdict"),
    [
        (4.5, False, "met"),
        (2.0, False, "not met"),
        (2.0, True, "met"),
        (4.5, True, "not met"),
        (3.2, False, "not decided"),
        (2.9, True, "not decided"),
        (None, True, "skipped"),
    ],
)
def test_goal_says_whether_it_is_met(value: float | None, is_at_most: bool, verdict: str) -> None:
    """At least, or at most, that; one round says nothing below 30 %."""
    assert Goal("name", 3, value, is_at_most=is_at_most).verdict == verdict


@pytest.mark.parametrize(
    ("values", "is_at_most", "verdict"),
    [
        ([3.0, 3.1, 3.2], False, "met"),
        ([2.8, 2.9, 2.99], False, "not met"),
        ([2.9, 4.0, 5.0], False, "not decided"),
        ([1.0, 2.0, 3.0], False, "not decided"),
        ([1.0, 2.0, 3.0], True, "met"),
        ([3.1, 3.2, 9.0], True, "not met"),
        ([2.0, 2.1, 3.1], True, "not decided"),
        ([3.1, 3.2], False, "not decided"),
        ([], False, "skipped"),
    ],
)
def test_goal_within_the_range_of_its_rounds_is_not_decided(
    values: list[float], is_at_most: bool, verdict: str
) -> None:
    """Only rounds that all fall on one side decide; two of them are too few to show the noise."""
    assert goal_of("name", 3, values, is_at_most=is_at_most).verdict == verdict


def test_goal_with_less_than_it_asks_for_is_not_decided() -> None:
    """However clear the figure: it is the figure of something smaller."""
    goal = goal_of("name", 3, [9, 9, 9], limits="at 1% of the size")

    assert goal.verdict == "not decided: at 1% of the size"


def test_comparison_without_a_peer_skips_its_goals_alone() -> None:
    """§5 of the design has six goals here; those of the peers that ran are judged."""
    rounds = {
        (name, connections): [Turn(measured(rate), 20.0)] * 3
        for connections in compare.CONNECTIONS
        for name, rate in {OURS: 1200, QUART_ECHO: 100, TRIO_ECHO: 1000, REDIS: 500}.items()
    }

    goals = compare._goals(rounds)
    verdicts = [(goal.value, goal.verdict) for goal in goals]

    assert [12, 3, 30, 0.6, 8, 0.45] == [goal.wanted for goal in goals]
    assert verdicts[:3] == [(12.0, "met"), (pytest.approx(2.4), "not met"), (None, "skipped")]
    assert any("skipped" in row for row in compare._table(rounds).rows)
    assert len(compare._core_table(rounds).rows) == 3


def test_report_is_the_same_after_json() -> None:
    """What a program reads later is what was measured."""
    report = Report(
        name="core",
        question="how?",
        facts={"cores": "2"},
        tables=(Table("t", ("a", "b"), (("1", "2"),)),),
        goals=(Goal("g", 1, 2.0),),
        notes=("skipped: no endpoint",),
        command="python -m bench core",
    )

    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


def test_markdown_begins_with_caveats_and_ends_with_commands() -> None:
    """A reader meets what the figures cannot say before the figures."""
    report = replace(
        Options().report("core", "how?"),
        goals=(Goal("g", 1, 2.0, unit="times"),),
        notes=("skipped: no endpoint",),
        command="python -m bench core",
    )
    text = markdown([report])

    assert text.startswith(CAVEATS)
    assert text.endswith("```sh\npython -m bench core\n```\n")
    assert "| core | g | ≥ 1.00 times | 2.00 times | met |" in text
    assert "- skipped: no endpoint" in text


def test_merged_histograms_give_percentiles_of_all() -> None:
    """Rounds are read as one."""
    seen = latency(encoded(*[1] * 98), encoded(50, 100))

    assert seen.count == 100
    assert seen.p50 == pytest.approx(1, rel=0.01)
    assert seen.highest == pytest.approx(100, rel=0.01)
    assert share_within(0.07, encoded(*[1] * 98), encoded(50, 100)) == pytest.approx(0.99)


@pytest.mark.parametrize(("name", "begins"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_plot_is_a_picture(tmp_path: Path, name: str, begins: bytes) -> None:
    """PNG or SVG, by the name."""
    plot(measured(100), "title", tmp_path / name)

    assert (tmp_path / name).read_bytes().startswith(begins)
