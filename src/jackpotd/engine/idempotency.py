"""Idempotency keys: one request with a key is served, its repeats get its answer (contract §3, "Idempotency").

A key is claimed before anything else is looked at. A repeat that comes while the first is running waits for it; if the
first is refused as a whole the key is free again, and the repeat takes its turn.
"""

import trio
from msgspec import Struct

from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.fold import Fold, key_digest, request_at
from jackpotd.engine.messages import Accepted, Outcome, Pending, Taken
from jackpotd.engine.ports import Clock, Journal
from jackpotd.wire import records

KEY_REUSED = Rejection(Code.IDEMPOTENCY_KEY_REUSED, "this key was used for a different request")


class Claim:
    """The right to serve a key; released when the request is refused, or answered durably."""

    __slots__ = ("_claims", "_digest", "done", "fingerprint")

    def __init__(
        self, claims: "dict[bytes, Claim] | None", digest: bytes, fingerprint: bytes
    ) -> None:
        self._claims = claims
        self._digest = digest
        self.fingerprint = fingerprint
        self.done = trio.Event()

    def release(self) -> None:
        if self._claims is not None:
            self._claims.pop(self._digest, None)
            self.done.set()


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

    async def claim(
        self, operator: str, key: str | None, fingerprint: bytes
    ) -> Claim | Used | Rejection:
        """A claim, the answer of the key's first request, or IDEMPOTENCY_KEY_REUSED."""
        if key is None:
            return Claim(None, b"", fingerprint)
        digest = key_digest(operator, key)
        while (running := self._claims.get(digest)) is not None:
            await running.done.wait()
        seq = self._fold.keys.get(digest, self._clock())
        if seq is not None and seq > self._journal.committed_seq:
            # A link that was resumed after a start settles without a claim.
            await self._journal.durable()
            return await self.claim(operator, key, fingerprint)
        if seq is not None:
            used = self._used(seq, operator, key, fingerprint)
            if used is not None:
                return used
        claim = Claim(self._claims, digest, fingerprint)
        self._claims[digest] = claim
        return claim

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
