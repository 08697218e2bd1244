"""Latencies of requests: counted by hand, because it happens for each of them, and shaped when they are read."""

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

BUCKETS_S = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
_BOUNDS = (*[str(bound) for bound in BUCKETS_S], "+Inf")


class _Series:
    """One series: how many in each bucket, and the seconds in all."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * len(_BOUNDS)
        self.seconds = 0.0


class Latencies(Collector):
    """The histogram `jackpotd_request_seconds`, by listener, route and status."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._series: dict[tuple[str, str, int], _Series] = {}

    def observe(self, listener: str, route: str, status: int, seconds: float) -> None:
        """One answer; routes are those of the application, so the number of series is bounded."""
        key = listener, route, status
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series()
        series.counts[bisect_left(BUCKETS_S, seconds)] += 1
        series.seconds += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(
            "jackpotd_request_seconds",
            "Time from a whole request to its answer",
            labels=["worker", "listener", "route", "status"],
        )
        for (listener, route, status), series in list(self._series.items()):
            total, buckets = 0, list[tuple[str, float]]()
            for bound, count in zip(_BOUNDS, series.counts, strict=True):
                total += count
                buckets.append((bound, total))
            labels = [self._worker, listener, route, str(status)]
            family.add_metric(labels, buckets, series.seconds)
        yield family
