"""Idempotency keys: one request with a key is served, its repeats get its answer (contract §3, "Idempotency").

A key is claimed before anything else is looked at. A repeat that comes while the first is running waits for it; if the
first is refused as a whole the key is free again, and the repeat takes its turn.
"""

from collections import deque
from collections.abc import Callable

from msgspec import Struct

from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.fold import Fold, key_digest, request_at
from jackpotd.engine.messages import Accepted, Outcome, Pending, Taken
from jackpotd.engine.ports import Clock, Journal
from jackpotd.wire import records

KEY_REUSED = Rejection(Code.IDEMPOTENCY_KEY_REUSED, "this key was used for a different request")


class Claim:
    """The right to serve a key; released when the request is refused, or answered durably."""

    __slots__ = ("_desk", "_digest", "waiting")

    def __init__(self, desk: "KeyDesk | None", digest: bytes) -> None:
        self._desk = desk
        self._digest = digest
        self.waiting: list[Callable[[], None]] = []

    def release(self) -> None:
        if self._desk is not None:
            self._desk.release(self._digest)


KEYLESS = Claim(None, b"")


class Used(Struct, frozen=True):
    """A key that was used before: the answer of its first request."""

    answer: Accepted


class KeyDesk:
    """Hands out claims on keys and finds the answers of used ones."""

    def __init__(self, fold: Fold, journal: Journal, clock: Clock) -> None:
        self._fold = fold
        self._journal = journal
        self._clock = clock
        self._claims: dict[bytes, Claim] = {}
        self._freed: deque[Callable[[], None]] = deque()
        self._is_calling = False

    def claim(
        self, operator: str, key: str | None, fingerprint: bytes, retry: Callable[[], None]
    ) -> Claim | Used | Rejection | None:
        """A claim, the answer of the key's first request, or IDEMPOTENCY_KEY_REUSED.

        None where the key is busy; `retry` is then called once it is worth asking again.
        """
        if key is None:
            return KEYLESS
        digest = key_digest(operator, key)
        running = self._claims.get(digest)
        if running is not None:
            running.waiting.append(retry)
            return None
        seq = self._fold.keys.get(digest, self._clock())
        if seq is not None and seq > self._journal.committed_seq:
            # A link that was resumed after a start settles without a claim.
            self._journal.when_durable(retry)
            return None
        if seq is not None:
            used = self._used(seq, operator, key, fingerprint)
            if used is not None:
                return used
        claim = self._claims[digest] = Claim(self, digest)
        return claim

    def release(self, digest: bytes) -> None:
        """Frees a key; those that waited for it are served one after another, without nesting."""
        self._freed.extend(self._claims.pop(digest).waiting)
        if self._is_calling:
            return
        self._is_calling = True
        try:
            while self._freed:
                self._freed.popleft()()
        finally:
            self._is_calling = False

    def _used(
        self, seq: int, operator: str, key: str, fingerprint: bytes
    ) -> Used | Rejection | None:
        settled = self._record(seq)
        cause = settled.cause if isinstance(settled, records.Settled) else seq
        entry, request = request_at(self._journal.read, cause)
        if (request.operator, request.key) != (operator, key):
            return None  # another key with the same digest: one in 2**64 pairs
        if request.fingerprint != fingerprint:
            return KEY_REUSED
        outcomes: list[Outcome] = [self._taken(entry)]
        if isinstance(settled, records.Settled):
            outcomes += [self._outcome(result) for result in settled.results]
        else:
            outcomes += [Pending(instance_id) for instance_id in entry.links]
        answer = Accepted(
            trace_id=request.trace_id,
            accepted_ms=request.accepted_ms,
            api_version=request.api_version,
            metadata=request.metadata,
            outcomes=tuple(outcomes),
            is_replay=True,
        )
        return Used(answer)

    def _record(self, seq: int) -> records.Record:
        data = self._journal.read(seq)
        if data is None:
            raise LookupError(f"the key index names record {seq}, which the journal does not have")
        return records.decode(data)

    def _outcome(self, seq: int) -> Outcome:
        match self._record(seq):
            case records.LinkRefused() as refused:
                return Rejection(Code(refused.code), refused.message)
            case records.Entry() as entry:
                return self._taken(entry)
            case other:
                raise TypeError(f"record {seq} is no link's answer but {type(other).__name__}")

    def _taken(self, entry: records.Entry) -> Taken:
        cell = self._fold.cells[entry.instance_id]
        return Taken(entry.instance_id, tuple(records.to_events(entry.events)), cell.state.rules)
