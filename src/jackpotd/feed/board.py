"""The board: what all tickers show at the moment, asked of the workers, and the updates that are made of it."""

from collections.abc import Awaitable, Callable, Iterable
from math import inf

import structlog
import trio
from msgspec import Raw, Struct

from jackpotd.core.rejections import Rejection
from jackpotd.core.state import OVER, Status
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.places import Definitions
from jackpotd.engine.ports import Clock
from jackpotd.wire import codec
from jackpotd.wire.feed_bodies import JackpotUpdateData, PotTicker
from jackpotd.wire.feed_events import Kind, LoggedEvent
from jackpotd.wire.feed_messages import Ticker, Tickers

_log = structlog.get_logger("jackpotd.feed")

WHOLE_INTERVAL_S = 60.0
"""After so long a worker is asked for everything: an instance that moved there has not changed by it."""

AskTickers = Callable[[int, int], Awaitable[Tickers | Rejection]]
"""The instances of a worker that have changed behind a position in its journal; 0 are all of them."""


class _Static(Struct, frozen=True):
    """What does not change of an instance as long as the catalog does not."""

    owner_id: str
    brands: tuple[str, ...]
    sources: list[str]
    currency: str
    jackpot_type: str
    pots: tuple[tuple[str, bool], ...]


_LIVE = (Status.ACTIVE, Status.PAUSED)
_NO_VERSION = -1


class _Shown:
    """An instance on the board; `is_told` once its last update has been made.

    `static` and `data`, its update's, are those of a version of the catalog.
    """

    __slots__ = ("data", "is_told", "static", "ticker", "version", "worker")

    def __init__(self, ticker: Ticker, worker: int) -> None:
        self.ticker = ticker
        self.worker = worker
        self.static: _Static | None = None
        self.data = Raw()
        self.version = _NO_VERSION
        self.is_told = False

    @property
    def is_over(self) -> bool:
        return self.ticker.status in OVER


class _Known:
    """How far a worker has told its instances; `whole_at` is when it was asked for all of them.

    It is taken to be up until it does not answer.
    """

    __slots__ = ("is_asked", "is_up", "since_seq", "whole_at")

    def __init__(self) -> None:
        self.since_seq = 0
        self.whole_at = -inf
        self.is_up = True
        self.is_asked = False


class BoardCounts(Struct, frozen=True):
    """How many instances are shown, and how many workers do not answer."""

    instances: int
    silent_workers: int


class Board:
    """The instances of all workers, as far as these have told.

    A worker that does not answer keeps its instances on the board, so that they can still be read, but they are left
    out of the updates until it answers: a reader who sees a jackpot stand still for a moment loses nothing, one who is
    told of old values as if they were new is misled.

    Args:
        catalog: who owns the instances, and which sources lead to them.
        definitions: their rules.
        ask: how a worker is asked.
        workers: all of them.
        clock: Unix milliseconds, for the times of updates.
        answer_timeout_s: how long a worker may take before it is left out.
    """

    def __init__(
        self,
        catalog: Catalog,
        definitions: Definitions,
        ask: AskTickers,
        workers: Iterable[int],
        *,
        clock: Clock,
        answer_timeout_s: float = 1.0,
    ) -> None:
        self._catalog = catalog
        self._definitions = definitions
        self._ask = ask
        self._clock = clock
        self._answer_timeout_s = answer_timeout_s
        self._workers = {worker: _Known() for worker in workers}
        self._shown: dict[str, _Shown] = {}

    def statistics(self) -> BoardCounts:
        silent = sum(not known.is_up for known in self._workers.values())
        return BoardCounts(len(self._shown), silent)

    def ticker(self, instance_id: str) -> Ticker | None:
        """The last that is known of an instance, also while its worker is away; None where nothing is."""
        shown = self._shown.get(instance_id)
        return None if shown is None else shown.ticker

    def is_over(self, instance_id: str) -> bool:
        """Whether an instance is known to be Ended or Terminated."""
        shown = self._shown.get(instance_id)
        return shown is not None and shown.is_over

    # -- asking

    async def refresh(self, nursery: trio.Nursery) -> None:
        """Asks all workers for what has changed; returns when each has answered, or its time is over.

        Args:
            nursery: where those are asked that did not answer the last time: nobody waits for them.
        """
        for worker, known in self._workers.items():
            if not known.is_up and not known.is_asked:
                nursery.start_soon(self._ask_one, worker)
        await self._ask_all(self._workers)

    async def refresh_of(self, instance_ids: Iterable[str]) -> None:
        """Asks the workers of these instances; all of them, where one is not known yet."""
        asked: set[int] = set()
        for instance_id in instance_ids:
            shown = self._shown.get(instance_id)
            asked.update(self._workers if shown is None else (shown.worker,))
        await self._ask_all(asked)

    async def _ask_all(self, workers: Iterable[int]) -> None:
        async with trio.open_nursery() as nursery:
            for worker in workers:
                if self._workers[worker].is_up:
                    nursery.start_soon(self._ask_one, worker)

    async def _ask_one(self, worker: int) -> None:
        known, now = self._workers[worker], trio.current_time()
        is_whole = now - known.whole_at >= WHOLE_INTERVAL_S
        answer: Tickers | Rejection | None = None
        known.is_asked = True
        with trio.move_on_after(self._answer_timeout_s):
            answer = await self._ask(worker, 0 if is_whole else known.since_seq)
        known.is_asked = False
        if not isinstance(answer, Tickers):
            if known.is_up:
                _log.warning("a worker does not tell its tickers", worker=worker)
            known.is_up, known.whole_at = False, -inf
            return
        known.is_up = True
        if is_whole:
            known.whole_at = now
        known.since_seq = answer.position
        for ticker in answer.tickers:
            self._put(ticker, worker)

    def _put(self, ticker: Ticker, worker: int) -> None:
        shown = self._shown.get(ticker.instance_id)
        if shown is None:
            self._shown[ticker.instance_id] = shown = _Shown(ticker, worker)
            # What was over before we looked needs no last word.
            shown.is_told = shown.is_over
        elif ticker.updated_ms >= shown.ticker.updated_ms:
            if ticker != shown.ticker:
                shown.ticker, shown.version = ticker, _NO_VERSION
            shown.worker = worker

    # -- updates

    def live(self) -> list[str]:
        """The instances that every tick tells of: Active or Paused, and their worker answers."""
        return [
            instance_id
            for instance_id, shown in self._shown.items()
            if shown.ticker.status in _LIVE and self._workers[shown.worker].is_up
        ]

    def newly_over(self) -> list[str]:
        """The instances that have become Ended or Terminated, each once: they are owed a last update."""
        found = []
        for instance_id, shown in self._shown.items():
            if shown.is_over and not shown.is_told:
                shown.is_told = True
                found.append(instance_id)
        return found

    def update_of(self, instance_id: str) -> LoggedEvent | None:
        """An instance as it stands, now; None where there is nothing to be told of it.

        That is where it is Pending, or not known here or in the catalog, or its worker does not answer and it may still
        change.
        """
        shown = self._shown.get(instance_id)
        if shown is None or shown.ticker.status == Status.PENDING:
            return None
        if not shown.is_over and not self._workers[shown.worker].is_up:
            return None
        static = self._static_of(shown)
        if static is None:
            return None
        return LoggedEvent(
            Kind.UPDATE,
            self._clock(),
            instance_id,
            static.owner_id,
            static.brands,
            brand="",
            player_id="",
            data=shown.data,
        )

    def _static_of(self, shown: _Shown) -> _Static | None:
        """What the catalog says of an instance; its data are up to date then."""
        version = self._catalog.version
        if shown.version == version:
            return shown.static
        instance_id = shown.ticker.instance_id
        if instance_id not in self._catalog.instances:
            return None
        shown.static, shown.version = self._static(instance_id), version
        shown.data = Raw(codec.encode(_data(shown.static, shown.ticker)))
        return shown.static

    def _static(self, instance_id: str) -> _Static:
        definition = self._definitions.of(instance_id)
        rules = definition.rules
        return _Static(
            owner_id=definition.owner_id,
            brands=tuple(sorted(rules.allowed_brands)),
            sources=sorted(set(self._catalog.sources_of(instance_id))),
            currency=rules.currency,
            jackpot_type="Jackpot" if rules.raffle is None else "Raffle",
            pots=tuple((pot.id, pot.is_progressive) for pot in rules.pots),
        )


def _data(static: _Static, ticker: Ticker) -> JackpotUpdateData:
    pots = [
        PotTicker(pot_id, is_progressive, codec.amount(value))
        for (pot_id, is_progressive), value in zip(static.pots, ticker.values, strict=True)
    ]
    return JackpotUpdateData(
        id=ticker.instance_id,
        status=ticker.status,
        jackpot_type=static.jackpot_type,
        currency=static.currency,
        allowed_brands=list(static.brands),
        allowed_sources=static.sources,
        pots=pots,
        timestamp_start=ticker.starts_ms,
        timestamp_end=ticker.ends_ms,
        last_updated=ticker.updated_ms,
    )
