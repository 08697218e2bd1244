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
from bench.reporting.report import Goal, Report, Table, ratio_goal
from bench.servers.subjects import OURS, QUART_ECHO, REDIS, TRIO_ECHO


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
    assert ratio_goal("ours / theirs", 3, [300], None).verdict == "skipped"


@pytest.mark.parametrize(
    ("value", "is_at_most", "verdict"),
    [(4.0, False, "met"), (2.9, False, "not met"), (2.9, True, "met"), (None, True, "skipped")],
)
def test_goal_says_whether_it_is_met(value: float | None, is_at_most: bool, verdict: str) -> None:
    """At least, or at most, that."""
    assert Goal("name", 3, value, is_at_most=is_at_most).verdict == verdict


def test_comparison_without_a_peer_skips_its_goals_alone() -> None:
    """§5 of the design has six goals here; those of the peers that ran are judged."""
    rounds = {
        (name, connections): [compare.Turn(measured(rate), 20.0)] * 2
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
    assert "| g | ≥ 1.00 times | 2.00 times | met |" in text
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
