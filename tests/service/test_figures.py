"""What two looks at the workers tell: rates, and which worker is hot."""

from collections.abc import Mapping

from jackpotd.service.figures import (
    InstanceFigures,
    Report,
    Standing,
    WorkerFigures,
    report,
)

INTERVAL_S = 2.0


def figures(
    at_s: float, contributions: Mapping[str, int], *, busy_s: float = 0.0, fenced: str = ""
) -> WorkerFigures:
    return WorkerFigures(
        at_s=at_s,
        busy_s=busy_s,
        in_flight=3,
        staged=4,
        unfinished=0,
        instances=tuple(
            InstanceFigures(name, name.upper(), count, 5, name == fenced)
            for name, count in contributions.items()
        ),
    )


def looked(*rates: Mapping[str, int], busy: tuple[float, ...] = ()) -> Report:
    """A report on workers whose instances do so many contributions a second."""
    before = {i: figures(10.0, dict.fromkeys(each, 1000)) for i, each in enumerate(rates)}
    after = {
        i: figures(
            10.0 + INTERVAL_S,
            {name: 1000 + int(rate * INTERVAL_S) for name, rate in each.items()},
            busy_s=INTERVAL_S * busy[i] if busy else 0.0,
        )
        for i, each in enumerate(rates)
    }
    standings = [Standing(i, 100 + i, "serving", 0) for i in range(len(rates))]
    return report(standings, before, after, INTERVAL_S)


def hot(of: Report) -> list[int]:
    return [each.worker for each in of.workers if each.is_hot]


def test_rates_are_those_of_the_interval() -> None:
    """Not of the whole life of an instance."""
    of = looked({"a": 30, "b": 12}, {"c": 0})
    assert [30.0, 12.0, 0.0] == [each.contributions_per_s for each in of.instances]
    assert [42.0, 0.0] == [each.contributions_per_s for each in of.workers]
    assert [(2, 10, 3, 4), (1, 5, 3, 4)] == [
        (each.instances, each.queued, each.in_flight, each.staged) for each in of.workers
    ]


def test_even_load_is_not_hot_whatever_its_height() -> None:
    """Nobody does more than twice what the others do."""
    assert hot(looked({"a": 9000}, {"b": 8000}, {"c": 5000})) == []


def test_more_than_twice_the_others_is_hot() -> None:
    """With two workers, too, where a mean over all could never be exceeded twice."""
    assert hot(looked({"a": 900}, {"b": 400})) == [0]
    assert hot(looked({"a": 800}, {"b": 400})) == []
    assert hot(looked({"a": 500}, {"b": 1500}, {"c": 500})) == [1]


def test_where_little_is_done_nobody_is_hot() -> None:
    """A demo's handful of contributions is no reason to move anything."""
    assert hot(looked({"a": 99}, {"b": 0})) == []


def test_saturated_loop_is_hot_also_alone() -> None:
    """A worker that cannot do more is hot without any comparison."""
    assert hot(looked({"a": 10}, busy=(0.93,))) == [0]
    assert hot(looked({"a": 10}, {"b": 10}, busy=(0.93, 0.89))) == [0]


def test_advice_names_the_move_that_levels_best() -> None:
    """Half of the gap is best; what is more than the gap would only carry the heat over."""
    of = looked({"huge": 5000, "fit": 2400, "small": 100}, {"other": 500})
    (warning,) = of.warnings
    assert "worker 0 is hot: 7,500 contributions/s" in warning
    assert "`jackpotd shards move fit 1`" in warning


def test_advice_admits_that_one_jackpot_cannot_be_divided() -> None:
    """Moving the only busy one would make another worker as hot."""
    (warning,) = looked({"all": 5000}, {"none": 0}).warnings
    assert "better off elsewhere" in warning


def test_fenced_instance_is_a_warning() -> None:
    """It refuses everything until a person looks."""
    now = {0: figures(1.0, {"a": 1, "b": 1}, fenced="b")}
    of = report([Standing(0, 1, "serving", 0)], now, now, INTERVAL_S)
    assert ["instance b is out of service after a defect"] == list(of.warnings)


def test_worker_that_was_down_or_has_come_back_has_no_rate_yet() -> None:
    """Its counts begin anew, so differences would be nonsense; a worker without a process is shown all the same."""
    standings = [Standing(0, None, "down", 2), Standing(1, 7, "serving", 1)]
    before = {1: figures(1.0, {"a": 10_000}, busy_s=50.0)}
    after = {1: figures(2.0, {"a": 10, "b": 3000}, busy_s=0.2)}
    of = report(standings, before, after, 1.0)
    assert [(0, "down", 0.0, 2), (1, "serving", 0.0, 1)] == [
        (each.worker, each.state, each.contributions_per_s, each.restarts) for each in of.workers
    ]
    assert [0.0, 0.0] == [each.loop_busy for each in of.workers]
