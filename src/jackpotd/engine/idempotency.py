"""Idempotency keys: one request with a key is served, its repeats get its answer (contract §3, "Idempotency").

A key is claimed before anything else is looked at. A repeat that comes while the first is running waits for it; if the
first is refused as a whole the key is free again, and the repeat takes its turn.
"""

from collections import deque
from collections.abc import Callable

from msgspec import Struct

from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.rules import Rules
from jackpotd.engine.acceptance import replayed
from jackpotd.engine.fold import Fold, key_digest
from jackpotd.engine.messages import Accepted, Outcome, Pending, Taken
from jackpotd.engine.places import Definitions
from jackpotd.engine.ports import Clock, Journal, Read, Views
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
    """Hands out claims on keys and finds the answers of used ones.

    Args:
        fold: knows the keys in use.
        journal: has their records.
        clock: tells which keys have expired.
        views: the keys of workers that instances here came from.
    """

    def __init__(
        self, fold: Fold, journal: Journal, clock: Clock, views: Views | None = None
    ) -> None:
        self._fold = fold
        self._journal = journal
        self._clock = clock
        self._views = views
        self.definitions: Definitions | None = None
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
        used = None
        if seq is not None:
            used = self._used(seq, operator, key, fingerprint, self._journal.read)
        if used is None and self._views is not None:
            seen = self._views.find(digest, self._clock())
            if seen is not None:
                used = self._used(seen[0], operator, key, fingerprint, seen[1])
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

    def decline(
        self,
        request: records.Request,
        instance_id: str,
        refused: Rejection,
        told: Callable[[], None],
    ) -> None:
        """Keeps that a request with a webhook was refused as a whole, which uses its key.

        Args:
            request: it; its key is claimed.
            instance_id: the instance that refused it, empty where none was found.
            refused: why.
            told: called back once that is durable.
        """
        declined = records.Declined(
            self._clock(), request, instance_id, refused.code, refused.message
        )
        seq = self._journal.stage(records.encode(declined))
        self._fold.use_key(seq, request)
        self._journal.when_durable(told)

    def _used(
        self, seq: int, operator: str, key: str, fingerprint: bytes, read: Read
    ) -> Used | Rejection | None:
        """What a key has to be answered with that leads to this record of the journal that `read` reads."""
        found = _record(read, seq)
        cause = found.cause if isinstance(found, records.Settled) else seq
        first = found if cause == seq else _record(read, cause)
        if not isinstance(first, records.Entry | records.Declined) or first.request is None:
            raise ValueError(f"record {cause} has no key")
        request = first.request
        if (request.operator, request.key) != (operator, key):
            return None  # another key with the same digest: one in 2**64 pairs
        if request.fingerprint != fingerprint:
            return KEY_REUSED
        if isinstance(first, records.Declined) or request.callback is not None:
            return Used(replayed(request, ()))
        outcomes: list[Outcome] = [self._taken(first.instance_id, first.events)]
        if isinstance(found, records.Settled):
            outcomes += [self._outcome(_record(read, result)) for result in found.results]
        else:
            outcomes += self._so_far(cause, first, read)
        return Used(replayed(request, tuple(outcomes)))

    def _so_far(self, cause: int, entry: records.Entry, read: Read) -> list[Outcome]:
        """The links of a request that is not settled: what the journal has of their answers durably."""
        row = None if read != self._journal.read else self._fold.propagations.get(cause)
        if row is None:
            return [Pending(instance_id) for instance_id in entry.links]
        durable_seq = self._journal.committed_seq
        return [
            self._outcome(_record(read, seq)) if 0 < seq <= durable_seq else Pending(instance_id)
            for instance_id, seq in zip(entry.links, row.results, strict=True)
        ]

    def _outcome(self, record: records.Record) -> Outcome:
        match record:
            case records.LinkRefused() as refused:
                return Rejection(Code(refused.code), refused.message)
            case records.RemoteAnswered(events=None) as refused:
                return Rejection(Code(refused.code), refused.message)
            case records.RemoteAnswered(events=tuple(events)) as answered:
                return self._taken(answered.instance_id, events)
            case records.Entry() as entry:
                return self._taken(entry.instance_id, entry.events)
            case other:
                raise TypeError(f"{type(other).__name__} is no link's answer")

    def _taken(self, instance_id: str, events: tuple[records.EventRecord, ...]) -> Taken:
        return Taken(instance_id, tuple(records.to_events(events)), self._rules(instance_id))

    def _rules(self, instance_id: str) -> Rules:
        """The rules of an instance, wherever it lives."""
        cell = self._fold.cells.get(instance_id)
        if cell is not None:
            return cell.state.rules
        if self.definitions is None:
            raise KeyError(instance_id)
        return self.definitions.of(instance_id).rules


def _record(read: Read, seq: int) -> records.Record:
    data = read(seq)
    if data is None:
        raise LookupError(f"the key index names record {seq}, which the journal does not have")
    return records.decode(data)
