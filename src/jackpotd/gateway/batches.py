"""Many v2 contributions in one request: read, served and answered as they come (contract §3, "Batch").

Each element is a contribution of its own, with its own key; the batch is no transaction. Answers come in the order of
the elements, each as soon as it and those before it are there. Memory is bounded by the elements that are under way.
"""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

import trio
import trio.lowlevel
from msgspec.structs import replace

from jackpotd.edge.exchange import (
    JSON,
    Incoming,
    Outgoing,
    Streamed,
    completed,
    content_type_of,
    refusal,
)
from jackpotd.gateway.contributions import Contributions
from jackpotd.identity.principal import Principal
from jackpotd.wire.batch_framing import ArrayReader, BatchBroken, ElementTooLong, LineReader
from jackpotd.wire.errors import RequestRefused

NDJSON = "application/x-ndjson"
_UNDER_WAY_MAX = 512
_UNANSWERED_MAX = 1024  # elements of all batches: half of what is served at once by default, so that others get in
_AT_A_STRETCH = 32  # elements; others have their turn, and a commit may begin


class Batches:
    """The handler of the batch call.

    Args:
        contributions: serve the elements.
        clock: Unix time in milliseconds.
        new_id: a trace id for each element.
        element_bytes_max: the longest element, which is as long as a single contribution's body may be.
    """

    def __init__(
        self,
        contributions: Contributions,
        *,
        clock: Callable[[], int],
        new_id: Callable[[], str],
        element_bytes_max: int,
    ) -> None:
        self._contributions = contributions
        self._clock = clock
        self._new_id = new_id
        self._element_bytes_max = element_bytes_max
        self.unanswered = 0

    async def serve(self, request: Incoming, body: AsyncIterator[bytes]) -> Streamed:
        """Contribute many times at once (v2); each element is a contribution of its own.

        A JSON array is answered by an array, `application/x-ndjson` by lines: `{"status_code", "result"}` for each
        element, in their order. A batch that cannot be read to its end is answered up to there, with an error last.
        """
        principal = self._contributions.principal(request)
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise RequestRefused("UNSUPPORTED_MEDIA_TYPE", "a batch is read without encoding")
        content_type = content_type_of(request)
        if content_type not in (JSON, NDJSON):
            raise RequestRefused(
                "UNSUPPORTED_MEDIA_TYPE", f"content-type {content_type} is not {JSON} or {NDJSON}"
            )
        run: _Run
        if content_type == NDJSON:
            run = _Run(self, principal, request, LineReader(self._element_bytes_max), b"")
        else:
            opening = await _array_opening(body)
            run = _Run(self, principal, request, ArrayReader(self._element_bytes_max), opening)
        headers = completed(Outgoing(200, b"-", content_type), request).headers
        return Streamed(200, run.answers(body), headers)

    def begin(self, element: bytes, principal: Principal, batch: Incoming, slot: "_Slot") -> None:
        """Serves one element; its answer goes to its slot."""
        # Of the batch's headers only this one is about an element.
        prefer = batch.headers.get("prefer")
        headers = {} if prefer is None else {"prefer": prefer}
        incoming = Incoming(headers, element, {}, {}, self._new_id(), self._clock())
        self._contributions.element(incoming, principal, slot.put)


async def _array_opening(body: AsyncIterator[bytes]) -> bytes:
    """The beginning of an array; a body that is none is refused before anything is answered."""
    opening = b""
    while not opening:
        chunk = await anext(body, None)
        if chunk is None:
            break
        opening = chunk.lstrip()
    if opening[:1] != b"[":
        raise RequestRefused("INVALID_REQUEST", "the body is no array")
    return opening


class _Slot:
    """The place of one element's answer."""

    __slots__ = ("_run", "answer")

    def __init__(self, run: "_Run") -> None:
        self._run = run
        self.answer: bytes | None = None

    def put(self, outgoing: Outgoing) -> None:
        self.answer = b'{"status_code":%d,"result":%b}' % (
            outgoing.status,
            outgoing.body or b"null",
        )
        self._run.note(self)


class _Run:
    """One batch under way: a task that reads, and one that writes."""

    def __init__(
        self,
        batches: Batches,
        principal: Principal,
        request: Incoming,
        reader: LineReader | ArrayReader,
        opening: bytes,
    ) -> None:
        self._batches = batches
        self._principal = principal
        self._request = request
        self._reader = reader
        self._opening = opening
        self._slots: deque[_Slot] = deque()
        self._has_news = trio.Event()
        self._has_room = trio.Event()
        self._is_read = False
        self._unanswered = 0

    def note(self, slot: _Slot) -> None:
        """An answer is there; the writer cares only for the one that is next."""
        self._count(-1)
        self._has_room.set()
        if self._slots and slot is self._slots[0]:
            self._has_news.set()

    def _count(self, change: int) -> None:
        self._unanswered += change
        self._batches.unanswered += change

    @property
    def _is_full(self) -> bool:
        """Whether the next element has to wait; with none of its own under way, no batch waits for others."""
        if len(self._slots) >= _UNDER_WAY_MAX:
            return True
        return self._unanswered > 0 and self._batches.unanswered >= _UNANSWERED_MAX

    @trio.as_safe_channel
    async def answers(self, body: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, body)
            framing = self._reader
            between, before = framing.ending + framing.separator, framing.opening
            while not (self._is_read and not self._slots):
                ready = self._ready()
                if ready:
                    yield before + between.join(ready) + framing.ending
                    before = framing.separator
                else:
                    await self._has_news.wait()
        if before == framing.opening:
            yield before
        yield framing.closing

    def _ready(self) -> list[bytes]:
        """The answers that can be written now."""
        self._has_news = trio.Event()
        slots, ready = self._slots, list[bytes]()
        while slots and slots[0].answer is not None:
            ready.append(slots.popleft().answer or b"")
        if ready:
            self._has_room.set()
        return ready

    async def _read(self, body: AsyncIterator[bytes]) -> None:
        try:
            await self._serve(self._reader.feed(self._opening))
            async for chunk in body:
                await self._serve(self._reader.feed(chunk))
            await self._serve(self._reader.finish())
        except ElementTooLong as broken:
            self._refuse("PAYLOAD_TOO_LARGE", str(broken))
        except BatchBroken as broken:
            self._refuse("INVALID_REQUEST", str(broken))
        self._is_read = True
        self._has_news.set()

    async def _serve(self, elements: Iterator[bytes]) -> None:
        for index, element in enumerate(elements, 1):
            while self._is_full:
                self._has_room = trio.Event()
                await self._has_room.wait()
            if not index % _AT_A_STRETCH:
                await trio.lowlevel.checkpoint()
            slot = self._new_slot()
            try:
                self._batches.begin(element, self._principal, self._request, slot)
            except BaseException:
                if slot.answer is None:
                    self._count(-1)
                raise

    def _new_slot(self) -> _Slot:
        slot = _Slot(self)
        self._slots.append(slot)
        self._count(1)
        return slot

    def _refuse(self, code: str, message: str) -> None:
        slot = self._new_slot()
        refused = RequestRefused(code, message)
        slot.put(refusal(refused, replace(self._request, headers={})))
