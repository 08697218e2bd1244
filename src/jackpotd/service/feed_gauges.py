"""Metrics of the feed: its sockets, its events, its webhooks, and how far it has read. None of them by client."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jackpotd.feed.board import Board
from jackpotd.feed.hub import Hub
from jackpotd.feed.socket_limits import Places
from jackpotd.feed.tail import Tail
from jackpotd.journal.feed_store import FeedStore
from jackpotd.outbound.dispatcher import Dispatcher


class FeedGauges(Collector):
    """What a scrape reads of the feed."""

    def __init__(
        self,
        hub: Hub,
        board: Board,
        places: Places,
        store: FeedStore,
        dispatcher: Dispatcher,
        tails: Mapping[int, Tail],
    ) -> None:
        self._hub = hub
        self._board = board
        self._places = places
        self._store = store
        self._dispatcher = dispatcher
        self._tails = tails

    def collect(self) -> Iterable[Metric]:
        for name, (text, gauge) in self._gauges().items():
            yield GaugeMetricFamily(name, text, value=gauge)
        for name, (text, total) in self._totals().items():
            yield CounterMetricFamily(name, text, value=total)
        yield from self._by_journal()

    def _gauges(self) -> dict[str, tuple[str, int]]:
        hub, board, window = (
            self._hub.statistics(),
            self._board.statistics(),
            self._store.statistics(),
        )
        deliveries, sending = self._store.deliveries.statistics(), self._dispatcher.statistics()
        kept = window.last_position + 1 - window.first_position
        return {
            "jackpotd_sockets": ("WebSockets that are open", hub.sockets),
            "jackpotd_socket_subscribers": ("Those that have subscribed", hub.subscribers),
            "jackpotd_socket_groups": ("Groups that are told the same", hub.groups),
            "jackpotd_tickers": ("Instances that tickers show", board.instances),
            "jackpotd_silent_workers": ("Workers that tell no tickers", board.silent_workers),
            "jackpotd_events_kept": ("Events that can be resumed from", kept),
            "jackpotd_webhooks_pending": ("Results not taken yet", deliveries.pending),
            "jackpotd_webhooks_under_way": ("Attempts being made", sending.under_way),
            "jackpotd_webhook_targets_failing": (
                "Receivers that failed last",
                sending.targets_failing,
            ),
            "jackpotd_dead_letters": ("Results that were given up", deliveries.dead_letters),
        }

    def _totals(self) -> dict[str, tuple[str, int]]:
        sending = self._dispatcher.statistics()
        return {
            "jackpotd_events": ("Events told", self._store.statistics().last_position),
            "jackpotd_sockets_refused": (
                "WebSockets refused for want of room",
                self._places.statistics().refused,
            ),
            "jackpotd_webhooks_delivered": ("Results taken", sending.delivered),
            "jackpotd_webhook_attempts_failed": (
                "Attempts without success",
                sending.attempts_failed,
            ),
            "jackpotd_webhooks_dead": ("Results given up", sending.dead),
        }

    def _by_journal(self) -> Iterator[Metric]:
        position = GaugeMetricFamily(
            "jackpotd_events_journal_position", "Last record looked at", labels=["worker"]
        )
        stuck = GaugeMetricFamily(
            "jackpotd_events_journal_stuck",
            "1 where a record cannot be told, and so none after it",
            labels=["worker"],
        )
        for worker, tail in self._tails.items():
            statistics = tail.statistics()
            position.add_metric([str(worker)], statistics.position)
            stuck.add_metric([str(worker)], int(statistics.is_stuck))
        yield from (position, stuck)
