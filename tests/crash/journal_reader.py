"""The journal as evidence: read through LMDB alone, by the format that `wire/records` documents.

Shares no code with the program, so a reader of ours that is wrong in the same way as the writer
cannot hide anything. Opened for reading only, beside a running server or on a dead one's files.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import lmdb

from .facts import facts_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .facts import Contribution, OptIn, RoundEvent, Sealed, Win

_SEQ_BYTES: Final = 8
_SEAL_KEY_BYTES: Final = 9
_MAP_BYTES: Final = 1 << 36  # address space: a small map would break as soon as the server writes


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A record: whose journal it stands in, and its number there."""

    worker: int
    seq: int


@dataclass(frozen=True, slots=True)
class Birth:
    """An instance was born; `begins_ms` and `ends_ms` are those of its schedule, where it has one."""

    at: Place
    instance_id: str
    status: str
    begins_ms: int | None = None
    ends_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """The request behind a target's entry."""

    operator: str
    key: str | None
    fingerprint: str
    trace_id: str
    accepted_ms: int
    api_version: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened to one instance at once.

    An opt-in, or a contribution with what it won, or the end of a raffle's round with the next one, or first seals.
    """

    at: Place
    instance_id: str
    contribution: Contribution | None
    wins: tuple[Win, ...]
    seals: tuple[Sealed, ...]
    opt_in: OptIn | None
    rounds: tuple[RoundEvent, ...]
    request: Request | None
    links: tuple[str, ...]
    cause: Place | None
    place: int
    is_sent_again: bool  # a link that may have crossed a start or a worker: a record of its own tells the cause


@dataclass(frozen=True, slots=True)
class LinkRefusal:
    """A linked instance refused its part."""

    at: Place
    cause: Place
    place: int
    instance_id: str
    code: str
    message: str
    is_sent_again: bool


@dataclass(frozen=True, slots=True)
class Settlement:
    """All links of a request have answered."""

    at: Place
    cause: Place
    results: tuple[int, ...]
    has_key: bool


@dataclass(frozen=True, slots=True)
class RemoteAnswer:
    """What another worker has made of a link, copied into the journal of the one that asked."""

    at: Place
    cause: Place
    place: int
    worker: int
    instance_id: str
    contribution: Contribution | None
    wins: tuple[Win, ...]
    seals: tuple[Sealed, ...]
    refusal: tuple[str, str] | None


Record = Birth | Entry | LinkRefusal | Settlement | RemoteAnswer


class JournalReader:
    """Reads on from where it stopped, and checks the chain of seals on the way."""

    def __init__(self, directory: Path, worker: int) -> None:
        self._directory = directory
        self._worker = worker
        self.last_seq = -1
        self._seal = b""

    def read_on(self) -> Iterator[Record]:
        """The records that were committed since the last call, in one read transaction."""
        # Without a sync of its own a reader cannot change what it looks at.
        env = lmdb.open(str(self._directory), readonly=True, max_dbs=0, map_size=_MAP_BYTES)
        with closing(env), env.begin() as txn, txn.cursor() as cursor:
            self._require_same_past(txn)
            found = cursor.set_range((self.last_seq + 1).to_bytes(_SEQ_BYTES, "big"))
            pending: list[bytes] = []
            while found:
                key, value = cursor.item()
                seq = int.from_bytes(key[:_SEQ_BYTES], "big")
                if len(key) == _SEAL_KEY_BYTES:
                    self._take_seal(seq, value, pending)
                else:
                    assert seq == self.last_seq + 1, f"record {self.last_seq + 1} is missing"
                    self.last_seq = seq
                    pending.append(value)
                    if seq and (record := _read(Place(self._worker, seq), value)):
                        yield record
                found = cursor.next()
            assert not pending, "the journal does not end with a seal"

    def _require_same_past(self, txn: Any) -> None:
        """What was read before is still there, to the byte: the last seal covers all of it."""
        if self.last_seq >= 0:
            key = self.last_seq.to_bytes(_SEQ_BYTES, "big") + b"\x01"
            assert txn.get(key) == self._seal, f"the seal of record {self.last_seq} has changed"

    def _take_seal(self, seq: int, value: bytes, pending: list[bytes]) -> None:
        digest = hashlib.sha256(self._seal)
        for record in pending:
            digest.update(len(record).to_bytes(4, "big") + record)
        assert seq == self.last_seq, f"the seal of {seq} stands after record {self.last_seq}"
        assert value == digest.digest(), f"the seal of record {seq} does not fit"
        self._seal = value
        pending.clear()


def _read(at: Place, value: bytes) -> Record | None:
    try:
        return _record(at, json.loads(value))
    except AssertionError as error:
        error.add_note(f"record {at}: {value.decode()}")
        raise


def _record(at: Place, array: list[Any]) -> Record | None:
    """A record, or None for one that is only there to save room."""

    def cause_at(seq: int, worker: int | None) -> Place:
        return Place(at.worker if worker is None else worker, seq)

    match array:
        case ["I", _, instance_id, *more]:
            schedule = more[8] if len(more) > 8 else None
            return Birth(at, instance_id, more[6], *(schedule or ())[:2])
        case ["E", instance_id, events, request, links, cause, place, *more]:
            worker = more[0] if more else None
            of = None if cause is None else cause_at(cause, worker)
            again = worker is not None
            return _entry(at, instance_id, events, request, tuple(links), of, place, again)
        case ["L", cause, place, instance_id, code, message, *more]:
            worker = more[0] if more else None
            of = cause_at(cause, worker)
            return LinkRefusal(at, of, place, instance_id, code, message, worker is not None)
        case ["S", cause, results, key_digest, *_]:
            return Settlement(at, cause_at(cause, None), tuple(results), key_digest is not None)
        case ["R", cause, place, worker, instance_id, events, code, message, *_]:
            facts = facts_of(events or [])
            return RemoteAnswer(
                at,
                cause_at(cause, None),
                place,
                worker,
                instance_id,
                facts.contribution,
                tuple(facts.wins),
                tuple(facts.seals),
                (code, message) if events is None else None,
            )
        case ["F", *_]:
            return None
    raise AssertionError("a record of no kind that this test knows")


def _entry(
    at: Place,
    instance_id: str,
    events: list[list[Any]],
    request: list[Any] | None,
    links: tuple[str, ...],
    cause: Place | None,
    place: int,
    is_sent_again: bool,
) -> Entry:
    facts = facts_of(events)
    facts.check_alone()
    asked = None if request is None else Request(*request[:6])
    assert asked is None or facts.contribution is not None
    return Entry(
        at,
        instance_id,
        facts.contribution,
        tuple(facts.wins),
        tuple(facts.seals),
        facts.opt_in,
        tuple(facts.rounds),
        asked,
        links,
        cause,
        place,
        is_sent_again,
    )
