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

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
    """An instance was born."""

    at: Place
    instance_id: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """Money came in."""

    at_ms: int
    round_id: str
    brand: str
    player_id: str
    currency: str
    amount: int
    worth: int
    operator_part: int
    cycles: list[int]
    draws: list[list[int]]
    source_id: str | None
    reference_type: str
    reference_id: str | None
    player_rate: int
    jackpot_rate: int
    attendance: list[Any] | None = None


@dataclass(frozen=True, slots=True)
class Win:
    """A pot was paid and seeded again."""

    at_ms: int
    round_id: str
    brand: str
    player_id: str
    currency: str
    pot: int
    win: int
    paid: int
    player_rate: int
    jackpot_rate: int
    from_reserve: int
    deficit: int
    seed: int
    from_boost: int = 0
    tip: str = "HitRate"
    is_withheld: bool = False
    times: tuple[int, ...] | list[int] = ()


@dataclass(frozen=True, slots=True)
class Seal:
    """The commitment to a pot's next secret."""

    number: int
    nonce: str
    commitment: str
    at_ms: int
    first: int
    floor: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """A pot has a new secret; the one before it, if there was one, is told in hex."""

    at_ms: int
    pot: int
    seal: Seal | None
    revealed: str


@dataclass(frozen=True, slots=True)
class OptIn:
    """A player opted in or out."""

    at_ms: int
    brand: str
    player_id: str
    opted_in: bool
    preferred: int | None
    preferred_currency: str | None


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
    """What happened to one instance at once: an opt-in, or a contribution with what it won, or its first seals."""

    at: Place
    instance_id: str
    contribution: Contribution | None
    wins: tuple[Win, ...]
    seals: tuple[Sealed, ...]
    opt_in: OptIn | None
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
                    if seq and (record := _record(Place(self._worker, seq), json.loads(value))):
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


def _record(at: Place, array: list[Any]) -> Record | None:
    """A record, or None for one that is only there to save room."""

    def cause_at(seq: int, worker: int | None) -> Place:
        return Place(at.worker if worker is None else worker, seq)

    match array:
        case ["I", _, instance_id, *_]:
            return Birth(at, instance_id)
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
            happened = _events(at, events or [])
            refusal = (code, message) if events is None else None
            own = cause_at(cause, None)
            return RemoteAnswer(at, own, place, worker, instance_id, *happened[:3], refusal)
        case ["F", *_]:
            return None
    raise AssertionError(f"record {at} is of no kind that this test knows: {array}")


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
    contribution, wins, seals, opt_in = _events(at, events)
    asked = None if request is None else Request(*request[:6])
    if contribution is None:
        # Nothing is won or asked for: an opt-in, or seals that an instance has from its start on.
        assert (opt_in is None) == bool(seals), f"record {at}: {events}"
        assert not wins
        assert asked is None
    else:
        assert opt_in is None, f"record {at}: {events}"
    return Entry(
        at,
        instance_id,
        contribution,
        wins,
        seals,
        opt_in,
        asked,
        links,
        cause,
        place,
        is_sent_again,
    )


def _events(
    at: Place, events: list[list[Any]]
) -> tuple[Contribution | None, tuple[Win, ...], tuple[Sealed, ...], OptIn | None]:
    contribution, opt_in = None, None
    wins, seals = list[Win](), list[Sealed]()
    for tag, *fields in events:
        if tag == "c":
            contribution = Contribution(*fields[:16])
        elif tag == "o":
            opt_in = OptIn(*fields[:6])
        elif tag == "w":
            assert not seals, f"record {at}: won after the secret was told"
            wins.append(Win(*fields[:17]))
        elif tag == "k":
            at_ms, pot, seal, revealed, *_ = fields
            made = None if seal is None else Seal(*seal[:6])
            seals.append(Sealed(at_ms, pot, made, revealed))
        else:
            raise AssertionError(f"record {at}: nobody asked for an event {tag!r}")
    return contribution, tuple(wins), tuple(seals), opt_in
