"""Pictures: latency by percentile, and contributions by second. PNG or SVG, by the name of the file."""

from pathlib import Path

from matplotlib.figure import Figure

from bench.generator.plan import Measured, histogram

_PERCENTILES = (0, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.9, 99.95, 99.99)
_TICKS = (50, 90, 99, 99.9, 99.99)


def plot(measured: Measured, title: str, file: Path) -> None:
    """Draws one measurement into a file."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    by_percentile, by_second = figure.subplots(1, 2)
    figure.suptitle(title)
    recorded = histogram(measured.latency)
    by_percentile.plot(
        [_distance(at) for at in _PERCENTILES],
        [recorded.get_value_at_percentile(at) / 1e3 for at in _PERCENTILES],
        marker=".",
    )
    by_percentile.set_xscale("log")
    by_percentile.set_yscale("log")
    by_percentile.set_xticks([_distance(at) for at in _TICKS], [f"{at} %" for at in _TICKS])
    by_percentile.set_xlabel("percentile")
    by_percentile.set_ylabel("ms from the time a request was due")
    by_percentile.grid(visible=True, which="major", alpha=0.3)
    by_second.bar(range(len(measured.timeline)), measured.timeline)
    by_second.set_xlabel("second, warm-up included")
    by_second.set_ylabel("contributions")
    figure.savefig(file)


def _distance(percentile: float) -> float:
    """Every further nine takes the same room."""
    return 100 / (100 - percentile)
