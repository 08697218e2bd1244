"""The demo's figures: quantiles of many latencies, of one, and of none."""

import pytest

from jackpotd.cli.demo_tally import Latencies


def test_latencies_know_their_quantiles() -> None:
    """A thousand answers of 1 to 1000 ms: the quantiles of all to half a percent, the latest ones exactly."""
    latencies = Latencies()
    for milliseconds in range(1000, 0, -1):
        latencies.add(milliseconds / 1000)

    assert latencies.quantile_s(0.5) == pytest.approx(0.5, rel=0.01)
    assert latencies.quantile_s(0.99) == pytest.approx(0.99, rel=0.01)
    assert latencies.recent_quantiles_s(0, 1) == [0.001, 1.0]
    assert latencies.mean_s == pytest.approx(0.5005)


def test_latencies_of_nothing_are_zero() -> None:
    """No answer yet is no error."""
    assert Latencies().quantile_s(0.5) == 0
    assert Latencies().recent_quantiles_s(0.5, 0.99) == [0, 0]
    assert Latencies().mean_s == 0
