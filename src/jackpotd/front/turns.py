"""A request of a fast route, from its handler's start until its answer is on its way, in its place among the others."""

from time import perf_counter
from typing import Protocol

from jackpotd.edge.exchange import DEFECT, Outgoing
from jackpotd.front.head import RequestLine
from jackpotd.front.rendering import CLOSE, KEEP_ALIVE_1_0, rendered
from jackpotd.front.site import Site, log


class Queue(Protocol):
    """The protocol, as a turn sees it."""

    def answered(self) -> None: ...


class Turn:
    """One request; `data` is its whole answer, once there is one."""

    __slots__ = ("_line", "_queue", "_site", "_started", "data", "keep_alive")

    def __init__(
        self, queue: Queue, site: Site, line: RequestLine | None, *, keep_alive: bool
    ) -> None:
        self._queue = queue
        self._site = site
        self._line = line
        self._started = perf_counter()
        self.keep_alive = keep_alive
        self.data: bytes | None = None

    def answer(self, outgoing: Outgoing) -> None:
        """What a handler calls, once."""
        if self.data is not None:
            log.error("a request was answered twice", route=self._route)
            return
        try:
            self.data = rendered(outgoing, self._connection)
        except Exception:  # noqa: BLE001 - a handler's defect is that request's alone
            log.exception("an answer cannot be sent", route=self._route)
            self.fail()
            return
        site = self._site
        seconds = perf_counter() - self._started
        site.observe(site.name, self._route, outgoing.status, outgoing.code, seconds)
        self._queue.answered()

    def fail(self) -> None:
        """The handler has a defect; an answer that it gave before stands."""
        if self.data is None:
            self.refuse(self._site.refusal(DEFECT, route=self._route))

    def turn_away(self, accept: str) -> None:
        """There is no room; only while the request is read, whose reader then sends what is ready."""
        self.data = self._site.turned_away(self._route, accept, self._connection)

    def refuse(self, outgoing: Outgoing) -> None:
        """An answer that was counted already."""
        self.data = rendered(outgoing, self._connection)
        self._queue.answered()

    @property
    def _route(self) -> str:
        return "-" if self._line is None else self._line.route

    @property
    def _connection(self) -> str:
        if not self.keep_alive:
            return CLOSE
        return "" if self._line is None or self._line.is_1_1 else KEEP_ALIVE_1_0
