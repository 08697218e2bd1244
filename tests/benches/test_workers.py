"""One worker and two: real servers with a placement, as the bench starts them. Which is faster takes more cores."""

from pathlib import Path

from bench import workers
from bench.reporting.command import Options


def test_both_servers_serve_both_workloads(tmp_path: Path) -> None:
    """Whoever owns the instance, every contribution is answered 200, and every goal has its ratio."""
    options = Options(rounds=1, seconds=0.2, warm_up_s=0.1, data_root=tmp_path)
    core = (options.cores.server,)

    found = workers.compared(options, (core, core))

    assert set(found) == {(name, count) for name in workers.INSTANCES for count in (1, 2)}
    for (turn,) in found.values():
        assert turn.measured.statuses == {200: turn.measured.contributions}
        assert turn.measured.contributions > 0
        assert turn.core_us > 0
    assert all(workers._goal(name, found).value for name in workers.GOALS)
    assert len(workers._table(found).rows) == len(found)
    assert list(tmp_path.iterdir()) == []


def test_too_few_cores_skip_the_goals_and_show_the_owner(tmp_path: Path) -> None:
    """A clear line, and what a second worker's gain depends on."""
    options = Options(rounds=1, seconds=0.3, warm_up_s=0.2, data_root=tmp_path)

    report = workers._instead(options, options.report("workers", "how?"))

    assert [goal.verdict for goal in report.goals] == ["skipped", "skipped"]
    assert "need 3 cores" in report.notes[-1]
    assert report.figures["owner_us"][0] > 0
