"""Logs and metrics. Metrics read the frozen `statistics()` of long-lived objects when they are scraped; latencies are
observed as they happen, in histograms by route, and never by instance (design decision 14).
"""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jackpotd.engine.actor import ActorStatistics
from jackpotd.engine.shard import ShardStatistics
from jackpotd.journal.group_commit import CommitStatistics
from jackpotd.journal.keys import KeyStatistics
from jackpotd.service.latencies import BUCKETS_S, Latencies
from jackpotd.service.settings import LogSettings

_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


def configure_logs(settings: LogSettings) -> None:
    """Structured logs on standard error: readable at a terminal, JSON elsewhere."""
    is_console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer() if is_console else structlog.processors.JSONRenderer()
    )
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # Libraries log through the standard library; only their warnings are worth a line.
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr)


class Gauges(Collector):
    """What a scrape reads, set once the parts exist."""

    def __init__(
        self,
        worker: str,
        *,
        actors: Callable[[], dict[str, ActorStatistics]],
        shard: Callable[[], ShardStatistics],
        commits: Callable[[], CommitStatistics],
        keys: Callable[[], KeyStatistics],
        in_flight: Callable[[], int],
    ) -> None:
        self._worker = worker
        self._actors = actors
        self._shard = shard
        self._commits = commits
        self._keys = keys
        self._in_flight = in_flight

    def collect(self) -> Iterable[Metric]:
        yield from self._by_instance()
        yield from self._by_worker()

    def _by_instance(self) -> Iterator[Metric]:
        labels = ["worker", "instance"]
        contributions = CounterMetricFamily(
            "jackpotd_contributions", "Contributions taken, by instance", labels=labels
        )
        hits = CounterMetricFamily("jackpotd_wins", "Pots won, by instance", labels=labels)
        refusals = CounterMetricFamily(
            "jackpotd_refusals", "Requests refused by an instance since the start", labels=labels
        )
        queued = GaugeMetricFamily(
            "jackpotd_mailbox_length", "Messages waiting for an instance", labels=labels
        )
        fenced = GaugeMetricFamily(
            "jackpotd_fenced", "1 where an instance is out of service after a defect", labels=labels
        )
        for instance_id, actor in self._actors().items():
            at = [self._worker, instance_id]
            contributions.add_metric(at, actor.contributions)
            hits.add_metric(at, actor.hits)
            refusals.add_metric(at, actor.refusals)
            queued.add_metric(at, actor.queued)
            fenced.add_metric(at, int(actor.is_fenced))
        yield from (contributions, hits, refusals, queued, fenced)

    def _by_worker(self) -> Iterator[Metric]:
        commits, shard, keys = self._commits(), self._shard(), self._keys()
        gauges = {
            "jackpotd_requests_in_flight": ("Contributions being served", self._in_flight()),
            "jackpotd_journal_staged": ("Records waiting for the next commit", commits.staged),
            "jackpotd_journal_position": ("Last committed record", commits.committed_seq),
            "jackpotd_rows_changed": ("Rows that wait for the checkpoint", shard.changed_rows),
            "jackpotd_links_pending": ("Requests whose links are under way", shard.propagations),
            "jackpotd_instances": ("Instances of the worker", shard.instances),
            "jackpotd_keys_in_memory": ("Idempotency keys in memory", keys.memory_keys),
            "jackpotd_keys_in_files": ("Idempotency keys in files", keys.file_keys),
        }
        for name, (text, value) in gauges.items():
            gauge = GaugeMetricFamily(name, text, labels=["worker"])
            gauge.add_metric([self._worker], value)
            yield gauge


class Telemetry:
    """The metrics of one node; each series is labelled with it."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self._registry = CollectorRegistry()
        self._latencies = Latencies(worker)
        self._registry.register(self._latencies)
        self._errors = Counter(
            "jackpotd_errors",
            "Requests refused, by error code",
            ["worker", "listener", "code"],
            registry=self._registry,
        )
        self._batch = Histogram(
            "jackpotd_commit_records",
            "Records in one commit",
            ["worker"],
            buckets=_BATCH_BUCKETS,
            registry=self._registry,
        )
        self._commit = Histogram(
            "jackpotd_commit_seconds",
            "Time of one commit, the sync included",
            ["worker"],
            buckets=BUCKETS_S,
            registry=self._registry,
        )

    def read_from(self, gauges: Collector) -> None:
        """What else a scrape reads."""
        self._registry.register(gauges)

    def observe_request(
        self, listener: str, route: str, status: int, code: str, seconds: float
    ) -> None:
        self._latencies.observe(listener, route, status, seconds)
        if code:
            self._errors.labels(self.worker, listener, code).inc()

    def observe_commit(self, records: int, seconds: float) -> None:
        self._batch.labels(self.worker).observe(records)
        self._commit.labels(self.worker).observe(seconds)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


def merged(texts: Iterable[bytes]) -> bytes:
    """The texts of several nodes as one: the series of a family stand together, under its one head."""
    families: dict[bytes, list[bytes]] = {}
    for text in texts:
        samples: list[bytes] = []
        for line in text.splitlines(keepends=True):
            if line.startswith(b"# HELP "):
                samples = families.setdefault(line, [])
            elif not line.startswith(b"# TYPE ") or line not in samples:
                samples.append(line)
    return b"".join(head + b"".join(samples) for head, samples in families.items())
